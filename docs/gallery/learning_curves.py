"""Learning curves: under-fitted, over-fitted, well fitted.

Three trainings on digits, each validated on the same 897 images. Left: a softmax on 4 principal components has too little to go by: both
losses stop high and close together. Middle: 400 hidden units on 60 images: the training loss goes to zero, the validation loss
stays high: the gap is the sign. Right: the same network with 900 images, dropout and a small L2: the validation loss is a sixth of the others. The
training loss is lower than it here, too: what counts is that the validation loss still falls. The remedy follows from the picture: a larger model for the left, more data or regularisation for the middle.

Source: CS231n notes, neural networks, part 3; Ng, Machine Learning Yearning, chapters 20 to 32.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show, trained

import nnx

EPOCHS = 60
CASES = ("under-fitted", "over-fitted", "well fitted")


def cases():
    """(rows, model, optimizer) of each."""
    wide = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 400), nnx.ReLU(), nnx.Linear(400, 10))
    dropped = nnx.Sequential(
        nnx.Standardize(64), nnx.Linear(64, 400), nnx.ReLU(), nnx.Dropout(0.5), nnx.Linear(400, 10)
    )
    return {
        "under-fitted": (900, nnx.Sequential(nnx.PCA(64, 4, whiten=True), nnx.Linear(4, 10)), nnx.optim.Adam(1e-2)),
        "over-fitted": (60, wide, nnx.optim.Adam(1e-3)),
        "well fitted": (900, dropped, nnx.optim.chain(nnx.optim.penalize(l2=1e-3), nnx.optim.Adam(1e-3))),
    }


def measure(backend):
    """Losses without dropout after each epoch."""
    numbers = Numbers()
    pool, val = nnx.data.split(nnx.data.digits(), (900, 897), seed=0)
    for name, (rows, model, optimizer) in cases().items():
        train, seen = pool.take(np.arange(rows)), []

        def note(run, record, train=train, seen=seen):
            seen.append((nnx.evaluate(run.model, train)["loss"], record["val_loss"]))

        run = trained(model, train, val, backend=backend, optimizer=optimizer, epochs=EPOCHS, callbacks=[note])
        for line, losses in zip(("training", "validation"), np.asarray(seen).T):
            numbers.add(name, line, np.arange(1, EPOCHS + 1), losses)
        numbers.add("validation accuracy", name, EPOCHS, run.history[-1]["val_accuracy"])
    return numbers


def lesson(numbers):
    """Where both are high it is under-fitted, where they part over-fitted."""
    under, over, well = ((numbers.value(name, "training"), numbers.value(name, "validation")) for name in CASES)
    assert under[0] > 0.5
    assert under[1] < 1.3 * under[0]
    assert over[1] > 10 * over[0]
    assert well[1] < 0.4 * min(over[1], under[1])
    return [
        f"{name}: training loss {a:.3f}, validation loss {b:.3f}, validation accuracy {numbers.value('validation accuracy', name):.3f}"
        for name, (a, b) in zip(CASES, (under, over, well))
    ]


def draw(figure, numbers):
    """A panel for each."""
    for axes, name in zip(figure.subplots(1, 3, sharey=True), CASES):
        axes.plot(*numbers[name, "training"], color=COLOURS[0], label="training")
        axes.plot(*numbers[name, "validation"], color=COLOURS[1], linestyle="--", label="validation")
        dress(
            axes,
            f"{name}: accuracy {numbers.value('validation accuracy', name):.3f}",
            "epoch",
            "cross-entropy" if name == CASES[0] else "",
            log="y",
        )
        axes.set_ylim(5e-3, 5)
    axes.legend(frameon=False)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.6))
