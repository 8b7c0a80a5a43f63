"""The learning rate: too low, good, too high, and what decay adds.

A network 64 → 64 (ReLU) → 10 on the digits by gradient descent with batches of 16. Left: constant rates. Too low a rate wastes
epochs; with too high a rate the loss climbs instead of falling. Right: that rate, and decays that begin with it: constant, every step is
too long for ever; each decay lets the weights settle, far below what the good constant rate reaches. None of it helps the validation
accuracy here, which the plain good rate has best.

Source: CS231n notes, neural networks, part 3.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show, trained

import nnx

EPOCHS, HIGH = 25, 0.8
CONSTANT = {"too low: 0.001": 0.001, "good: 0.1": 0.1, "too high: 0.8": 0.8}
DECAYS = {
    f"constant {HIGH}": HIGH,
    "step: × 0.3 every 8 epochs": nnx.optim.StepDecay(HIGH, factor=0.3, every=8),
    "1/t: 1 / (1 + 0.5 epoch)": nnx.optim.InverseDecay(HIGH, rate=0.5),
    "cosine": nnx.optim.CosineDecay(HIGH, length=EPOCHS),
}
LOOSE = ("too high: 0.8", *DECAYS)  # the weights fly about at first: rounding decides where to


def measure(backend):
    """The loss on all training images after each epoch, and the validation accuracy at the end."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for panel, rates in (("constant rates", CONSTANT), ("decays", DECAYS)):
        for name, rate in rates.items():
            if panel == "decays" and rate == HIGH:  # drawn in both
                numbers.add(panel, name, *numbers["constant rates", f"too high: {HIGH}"])
                numbers.add("accuracy", name, EPOCHS, numbers.value("accuracy", f"too high: {HIGH}"))
                continue
            losses, model = [], nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 10))
            run = trained(model, train, val, backend=backend, optimizer=nnx.optim.SGD(rate), epochs=EPOCHS, batch_size=16,
                          callbacks=[lambda run, record: losses.append(nnx.evaluate(run.model, train)["loss"])])  # fmt: skip # noqa: B023
            numbers.add(panel, name, np.arange(1, EPOCHS + 1), losses)
            numbers.add("accuracy", name, EPOCHS, run.history[-1]["val_accuracy"])
    return numbers


def lesson(numbers):
    """The good rate wins; decay goes below what the constant rate reaches."""
    ends = {name: numbers.value(panel, name) for panel in ("constant rates", "decays") for name in numbers.names(panel)}
    good, low = ends["good: 0.1"], ends["too low: 0.001"]
    high = float(np.mean(numbers["constant rates", "too high: 0.8"][1][-10:]))
    assert good < 0.1 * low
    decayed = [ends[name] for name in list(DECAYS)[1:]]
    assert high > 0.5 > good > max(decayed)
    accuracy = {name: numbers.value("accuracy", name) for name in ends}
    assert max(accuracy, key=accuracy.get) == "good: 0.1"
    return [
        f"training loss at rate {HIGH}, mean of the last ten epochs: {high:.0f}",
        "training loss at the end (validation accuracy): "
        + "; ".join(f"{name} → {loss:.2g} ({numbers.value('accuracy', name):.3f})" for name, loss in ends.items()),
    ]


def draw(figure, numbers):
    """Constant rates, and decays."""
    for axes, (panel, title) in zip(
        figure.subplots(1, 2), (("constant rates", "constant rates"), ("decays", f"decay from {HIGH}"))
    ):
        plot_lines(axes, numbers, panel)
        dress(axes, title, "epoch", "cross-entropy on all training images", log="y")
        axes.set_ylim(5e-4 if panel == "constant rates" else 1e-8)
        axes.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4))
