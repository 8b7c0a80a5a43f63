"""Early stopping: the weights of the best epoch are kept.

A network 64 → 256 → 10 learns 300 digits by Adam, a sixth of them with a wrong label, as real data have; every epoch it is tried
on 600 clean others. First it learns what the digits have in common, then the wrong labels by heart: the training loss falls all the way, the
validation loss turns back. `EarlyStopping` waits for 10 epochs without improvement (dashed line), ends the training and gives back the
weights of the best epoch (star); a second training of the same network goes on to the end to show what was spared.

Source: Prechelt, Early Stopping – But When? (1998).
"""

from dataclasses import replace

import numpy as np
from _gallery import COLOURS, Numbers, dress, show, trained

import nnx

EPOCHS, PATIENCE = 100, 10


def measure(backend):
    """Both losses of the full training; the epochs at which the other one ended and was best; its restored loss."""
    numbers = Numbers()
    train, val, _ = nnx.data.split(nnx.data.digits(), (300, 600, 897), seed=0)
    train = replace(train, y=np.where(np.arange(300) % 6 == 0, (train.y + 1) % 10, train.y))
    model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 256), nnx.ReLU(), nnx.Linear(256, 10))
    settings = {"backend": backend, "optimizer": nnx.optim.Adam(1e-3), "batch_size": 32}
    run = trained(model, train, val, epochs=EPOCHS, **settings)
    for name in ("loss", "val_loss"):
        numbers.add(
            "loss", "validation" if name.startswith("val") else "training", np.arange(1, EPOCHS + 1), run.curve(name)
        )
    stopper = nnx.train.EarlyStopping(PATIENCE)
    run = trained(model, train, val, epochs=EPOCHS, callbacks=[stopper], **settings)
    numbers.add("early stopping", "ended", len(run.history), run.history[-1]["val_loss"])
    numbers.add("early stopping", "best", stopper.best_epoch, stopper.best)
    numbers.add("early stopping", "restored", stopper.best_epoch, nnx.evaluate(model, val)["loss"])
    return numbers


def lesson(numbers):
    """The weights given back are those of the lowest validation loss seen."""
    (best_epoch,), (best,) = numbers["early stopping", "best"]
    (ended,), _ = numbers["early stopping", "ended"]
    restored, last = numbers.value("early stopping", "restored"), numbers.value("loss", "validation")
    training = numbers["loss", "training"][1]
    assert ended == best_epoch + PATIENCE < EPOCHS
    assert abs(restored - best) < 1e-5
    assert abs(numbers["loss", "validation"][1][: int(ended)].min() - best) < 1e-5
    assert restored < last
    assert training[-1] < training[int(best_epoch) - 1] / 2
    return [
        f"ended after epoch {ended:.0f} of {EPOCHS}; best was epoch {best_epoch:.0f}, and its weights are back: validation loss {restored:.4f}",
        f"trained on to epoch {EPOCHS}: validation loss {last:.4f}, training loss {training[-1]:.5f} (it was {training[int(best_epoch) - 1]:.4f} in epoch {best_epoch:.0f})",
    ]


def draw(figure, numbers):
    """Both losses, the best epoch and the last."""
    axes = figure.subplots()
    axes.plot(*numbers["loss", "training"], color=COLOURS[0], label="training")
    axes.plot(*numbers["loss", "validation"], color=COLOURS[1], linestyle="--", label="validation")
    axes.plot(
        *numbers["early stopping", "best"],
        color="black",
        marker="*",
        markersize=13,
        linestyle="",
        label="best, restored",
    )
    (ended,), _ = numbers["early stopping", "ended"]
    axes.axvline(ended, color="black", linestyle=":", label=f"ended, {PATIENCE} epochs later")
    dress(axes, "", "epoch", "cross-entropy", log="y", legend=True)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(8, 4))
