"""Where weights come from: the distributions of the initialisers.

A layer with 256 inputs and 128 outputs drawn by each rule. The rules differ in variance alone – 1/fan_in (LeCun; what the notes call
"Xavier"), 2/(fan_in + fan_out) (Xavier/Glorot), 2/fan_in (He) – and each has a normal and a uniform form of the same variance; the truncated
normal has no tails beyond two standard deviations; an orthogonal matrix has entries of variance 1/256 here, but all its singular
values are exactly 1.

Source: LeCun et al. (1998), Glorot and Bengio (2010), He et al. (2015), Saxe et al. (2014).
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show

import nnx

IN, OUT = 256, 128
RULES = {
    "small normal 0.01": (nnx.init.normal(0.01), 1e-4),
    "truncated normal 0.05": (nnx.init.truncated_normal(0.05), 0.0025),
    "LeCun normal": (nnx.init.lecun_normal(), 1 / IN),
    "LeCun uniform": (nnx.init.lecun_uniform(), 1 / IN),
    "Xavier normal": (nnx.init.xavier_normal(), 2 / (IN + OUT)),
    "Xavier uniform": (nnx.init.xavier_uniform(), 2 / (IN + OUT)),
    "He normal": (nnx.init.he_normal(), 2 / IN),
    "He uniform": (nnx.init.he_uniform(), 2 / IN),
    "orthogonal": (nnx.init.orthogonal(), 1 / IN),
}
EDGES = np.linspace(-0.3, 0.3, 61)


def measure(backend):
    """Histograms, standard deviations and extreme singular values."""
    numbers = Numbers()
    for name, (rule, variance) in RULES.items():
        layer = nnx.Linear(IN, OUT, bias=False, init=rule).to(backend).initialize(0, dtype="float64")
        weight = backend.to_numpy(layer.weight)
        counts, _ = np.histogram(weight, EDGES)
        singular = np.linalg.svd(weight, compute_uv=False)
        numbers.add("histogram", name, (EDGES[1:] + EDGES[:-1]) / 2, counts / weight.size / np.diff(EDGES))
        numbers.add("standard deviation", name, variance**0.5, weight.std())
        numbers.add("singular values", name, singular[-1], singular[0])
    return numbers


def lesson(numbers):
    """Each has the variance that its name promises."""
    for name in RULES:
        (promised,), (found,) = numbers["standard deviation", name]
        assert abs(found / promised - 1) < 0.02, name
    (least,), (largest,) = numbers["singular values", "orthogonal"]
    assert abs(least - 1) < 1e-5 > abs(largest - 1)
    (low,), (high,) = numbers["singular values", "LeCun normal"]
    return [
        "standard deviation, drawn / promised: "
        + "; ".join(
            f"{name}: {y[0]:.4f} / {x[0]:.4f}" for name in RULES for x, y in [numbers["standard deviation", name]]
        ),
        f"singular values: orthogonal {least:.3f} … {largest:.3f}, LeCun normal {low:.2f} … {high:.2f}",
    ]


def draw(figure, numbers):
    """A histogram for each rule."""
    for index, (axes, name) in enumerate(zip(figure.subplots(3, 3, sharex=True).flat, RULES)):
        x, density = numbers["histogram", name]
        axes.fill_between(x, density, step="mid", color=COLOURS[0], alpha=0.6)
        (promised,), _ = numbers["standard deviation", name]
        for side in (-promised, promised):
            axes.axvline(side, color=COLOURS[1], linestyle="--", linewidth=1)
        dress(axes, f"{name}: σ = {promised:.3f}", "weight" if index > 5 else "", "density" if not index % 3 else "")
        axes.set_ylim(0)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 6))
