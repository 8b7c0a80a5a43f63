"""Hyper-parameter search: random against grid, log scale against linear, coarse to fine.

Left: 25 trials on f(x, y) = (x − 0.37)² + 0.01 (y − 0.7)², of which one parameter matters. A 5 × 5 grid tries 5 values of
it, random search 25 (ticks below). Middle: where 10,000 draws of a learning rate between 10⁻⁴ and 1 fall, uniformly or as 10^r: a linear
scale spends nine tenths of its trials in the last decade. Right: `nnx.tune` on the digits with `stages="coarse-to-fine"`: 36 random
trials of a learning rate (10^r) and a momentum (1 − 10^s), five epochs each; the later stages draw from a smaller box
around the best of the earlier.

Source: Bergstra and Bengio (2012) for the left; CS231n notes, neural networks, part 3.
"""

import numpy as np
from _gallery import COLOURS, MARKERS, Numbers, dress, show, trained

import nnx

TRIALS, DECADES = 36, np.arange(-4, 1)


def cost(x, y):
    """One parameter matters: its best value lies between the values of a grid."""
    return (x - 0.37) ** 2 + 0.01 * (y - 0.7) ** 2


def measure(backend):
    """The best of grid and random search, the densities, and the trials of a search in stages."""
    numbers = Numbers()
    side = (np.arange(5) + 0.5) / 5
    grid = np.stack([axis.ravel() for axis in np.meshgrid(side, side)])
    draws = [nnx.random.uniform(nnx.random.key(0, "trial", step=repeat), (2, 25)) for repeat in range(1000)]
    numbers.add("plane", "grid", *grid)
    numbers.add("plane", "random", *draws[0])
    numbers.add("best of 25", "grid", 0, cost(*grid).min())
    numbers.add(
        "best of 25",
        "random (1000 repetitions)",
        (0.1, 0.5, 0.9),
        np.quantile([cost(*draw).min() for draw in draws], (0.1, 0.5, 0.9)),
    )
    better = [cost(*draw).min() < cost(*grid).min() for draw in draws]
    numbers.add("best of 25", "random better than grid", 0, np.mean(better))
    u = nnx.random.uniform(nnx.random.key(0, "rates"), (10_000,))
    for name, rates in (("uniform", 1e-4 + u * (1 - 1e-4)), ("10^r", 10 ** (-4 + 4 * u))):
        numbers.add("share of draws", name, DECADES[:-1], np.histogram(np.log10(rates), DECADES)[0] / u.size)
    train, val = nnx.data.split(nnx.data.digits(), (0.5, 0.5), seed=0)

    def trial(one):
        model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 32), nnx.ReLU(), nnx.Linear(32, 10))
        optimizer = nnx.optim.SGD(one["rate"], momentum=one["momentum"])
        with np.errstate(all="ignore"):
            run = trained(model, train, val, backend=backend, optimizer=optimizer, epochs=5)
        return run.history[-1]["val_loss"]

    space = {"rate": {"low": 1e-4, "high": 1.0, "log": True}, "momentum": {"one_minus_log": [-2, -0.05]}}
    found = nnx.tune(trial, space, trials=TRIALS, stages="coarse-to-fine", seed=0)
    rows = sorted((row for row in found.of("done")), key=lambda row: row.trial)
    for stage in sorted({row.stage for row in rows}):
        these = [row for row in rows if row.stage == stage]
        rates, slips = zip(*((row.params["rate"], 1 - row.params["momentum"]) for row in these))
        numbers.add("search", f"stage {stage + 1}", rates, slips)
        numbers.add("validation loss", f"stage {stage + 1}", [row.trial for row in these], [row.score for row in these])
    return numbers


def lesson(numbers):
    """Random beats the grid, the log scale spreads its trials, later stages are better."""
    grid, better = numbers.value("best of 25", "grid"), numbers.value("best of 25", "random better than grid")
    _, (low, median, high) = numbers["best of 25", "random (1000 repetitions)"]
    assert median < 0.5 * grid
    uniform, logarithmic = (numbers["share of draws", name][1] for name in ("uniform", "10^r"))
    assert uniform[-1] > 0.88
    assert abs(logarithmic - 0.25).max() < 0.02
    stages = [numbers["validation loss", stage][1] for stage in numbers.names("validation loss")]
    medians = [float(np.median(stage)) for stage in stages]
    assert medians[-1] < 0.5 * medians[0]
    return [
        f"best of 25 trials: grid {grid:.5f}; random {median:.5f} in the median (tenth to ninetieth of a hundred: {low:.5f} … {high:.5f}), better than the grid in {better:.0%} of 1,000 repetitions",
        f"draws between 0.1 and 1: {uniform[-1]:.0%} of the uniform, {logarithmic[-1]:.0%} of the logarithmic",
        "validation loss of a trial, median (best) by stage: "
        + ", ".join(f"{median:.3f} ({stage.min():.3f})" for median, stage in zip(medians, stages)),
    ]


def draw(figure, numbers):
    """The trials in the plane, the densities, the stages."""
    left, middle, right = figure.subplots(1, 3)
    axis = np.linspace(0, 1, 101)
    left.contour(
        axis, axis, cost(*np.meshgrid(axis, axis)), levels=(0.001, 0.01, 0.05, 0.15, 0.3), colors="0.75", linewidths=0.8
    )
    for index, name in enumerate(("grid", "random")):
        x, y = numbers["plane", name]
        left.plot(x, y, linestyle="", color=COLOURS[index], marker="so"[index], markersize=4, label=name)
        left.plot(x, np.full(x.size, -0.06 - 0.06 * index), linestyle="", color=COLOURS[index], marker="|")
    dress(left, "25 trials; only x matters", "x, the parameter that matters", "y, the other")
    left.set_ylim(-0.18, 1.16)
    left.legend(loc="upper center", ncols=2, frameon=False)
    for index, name in enumerate(("uniform", "10^r")):
        decades, share = numbers["share of draws", name]
        look = {"color": COLOURS[index], "hatch": ("", "//")[index], "edgecolor": "white", "label": name}
        middle.bar(decades + 0.3 + 0.4 * index, share, width=0.4, **look)
    middle.set_xticks(DECADES, [f"10$^{{{power}}}$" for power in DECADES])
    dress(middle, "draws of a rate, by decade", "learning rate", "share of the draws", legend=True)
    for index, stage in enumerate(numbers.names("search")):
        look = {"color": COLOURS[index], "marker": MARKERS[index], "markersize": 5, "linestyle": "", "label": stage}
        right.plot(*numbers["search", stage], **look)
    dress(right, "coarse to fine on the digits", "learning rate", "1 − momentum", log="xy", legend=True)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9.5, 3.8))
