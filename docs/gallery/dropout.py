"""Why dropout is inverted: the vanilla form must be undone at every prediction, the inverted one leaves prediction alone.

Vanilla dropout only drops while training; at test time every value has to be multiplied by 1 − p, or the next layer sees values 1/(1 − p) times
as large as those it learnt with, once for each dropout layer. Inverted dropout divides by 1 − p while training instead. Left: the mean
that dropout hands to the next layer at test time, relative to training, on the hidden units of a network with fresh weights
(64 → 256 → 256 → 10, ReLU). Right: validation loss of the network trained with p = 0.5: unscaled
it is far too sure of itself, though the order of its classes, and so its accuracy, hardly suffers. The vanilla form lives in
this script only.

Source: Srivastava et al. (2014), section 10; CS231n notes, neural networks, part 2.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, plot_lines, show, trained

import nnx

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
FORMS = ("inverted", "vanilla, scaled at test time", "vanilla, not scaled")


class Vanilla(nnx.Module):
    """Dropout as first published: values are dropped in training and, with ``scaled``, multiplied by 1 − p at test time."""

    def __init__(self, p, scaled):
        self.p, self.scaled = p, scaled

    def forward(self, x):
        this = nnx.layers.current_pass()
        if this is None:
            return x * (1 - self.p) if self.scaled else x
        where = nnx.backends.of(getattr(x, "value", x))
        keep = nnx.random.bernoulli(this.key("dropout", self), 1 - self.p, tuple(x.shape), where)
        return nnx.ops.dropout(x, keep, self.p) * (1 - self.p)


def network(form, p):
    """Two hidden layers with dropout behind each."""
    make = (lambda: nnx.Dropout(p)) if form == "inverted" else (lambda: Vanilla(p, form != "vanilla, not scaled"))
    return nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 256), nnx.ReLU(), make(), nnx.Linear(256, 256), nnx.ReLU(), make(),
                          nnx.Linear(256, 10))  # fmt: skip


def handed_on(model, x, layers):
    """The mean of what the first ``layers`` layers give."""
    return float(nnx.backends.of(x).to_numpy(nnx.namespace(x).mean(model[:layers](x))))


def measure(backend):
    """Scale of the activations in training and at test time for each p; losses of trained networks."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.5, 0.5), seed=0)
    x = backend.asarray(train.x.astype(np.float64))
    for form in FORMS:
        scales, further = [], []
        for p in RATES:
            model = network(form, p).initialize(0, dtype="float64")
            model[0].fit(train.x)
            model.to(backend)
            for layers, ratios in ((4, scales), (7, further)):
                with nnx.training(seed=0, step=0):
                    learnt = handed_on(model, x, layers)
                ratios.append(handed_on(model, x, layers) / learnt)
        numbers.add("test / training", form, RATES, scales)
        numbers.add("test / training, second layer", form, RATES, further)
        model = network(form, 0.5)
        run = trained(model, train, val, backend=backend, optimizer=nnx.optim.Adam(1e-3), epochs=30)
        numbers.add("validation loss", form, np.arange(1, 31), run.curve("val_loss"))
        numbers.add("validation accuracy", form, 30, run.history[-1]["val_accuracy"])
    return numbers


def lesson(numbers):
    """Unscaled vanilla predicts with values 1/(1 − p) times too large."""
    half = {form: float(numbers["test / training", form][1][RATES.index(0.5)]) for form in FORMS}
    second = {form: float(numbers["test / training, second layer", form][1][RATES.index(0.5)]) for form in FORMS}
    loss = {form: numbers.value("validation loss", form) for form in FORMS}
    assert abs(half["inverted"] - 1) < 0.02
    assert abs(half["vanilla, scaled at test time"] - 1) < 0.02
    assert abs(half["vanilla, not scaled"] - 2) < 0.04
    accuracy = [numbers.value("validation accuracy", form) for form in FORMS]
    assert max(accuracy) - min(accuracy) < 0.01
    assert loss["vanilla, not scaled"] > 1.2 * max(loss["inverted"], loss["vanilla, scaled at test time"])
    return [
        "mean at test time over mean in training, behind the first dropout layer at p = 0.5: "
        + "; ".join(f"{form} {value:.2f}" for form, value in half.items()),
        "the same behind the second, after another ReLU: "
        + "; ".join(f"{form} {value:.2f}" for form, value in second.items())
        + " (no form keeps it there: noise lifts the mean of a ReLU)",
        "validation after 30 epochs at p = 0.5: "
        + "; ".join(
            f"{form} loss {loss[form]:.3f}, accuracy {numbers.value('validation accuracy', form):.3f}" for form in FORMS
        ),
    ]


def draw(figure, numbers):
    """Scale left, loss right."""
    left, right = figure.subplots(1, 2)
    for index, form in enumerate(FORMS):
        left.plot(*numbers["test / training", form], color=COLOURS[index], marker="osD"[index], markersize=4 + 3 * (index == 0),
                  fillstyle="none", label=form)  # fmt: skip
    dress(
        left,
        "what the next layer is given",
        "p, the share dropped",
        "mean at test time / in training",
        log="y",
        legend=True,
    )
    left.set_yticks([1, 2, 3, 4], ["1", "2", "3", "4"])
    left.minorticks_off()
    plot_lines(right, numbers, "validation loss")
    dress(right, "validation loss, p = 0.5", "epoch", "cross-entropy", log="y", legend=True)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.8))
