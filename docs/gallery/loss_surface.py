"""The loss surface around a trained network, and the way there.

A network 64 → 32 (ReLU) → 10 trained on the digits for 30 epochs of gradient descent with momentum. Left: the loss along three random
directions, each filter of them as long as that of the weights (1 = the length of the weights). Middle: the loss over two
such directions. Right: the path of the training in the plane that holds most of it, the principal directions of the weights after each
epoch. The minimum looks like a bowl; the path runs down one wall and along the floor, and nearly all of it lies in this
one plane.

Source: Li et al. (2018), arXiv:1712.09913.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, plot_lines, show, trained

import nnx
from nnx import plot


def measure(backend):
    """Slices through the loss, and the trajectory in its plane."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 32), nnx.ReLU(), nnx.Linear(32, 10))
    snapshots = nnx.train.Snapshots(most=40)
    trained(
        model,
        train,
        val,
        backend=backend,
        optimizer=nnx.optim.SGD(0.01, momentum=0.9),
        epochs=30,
        callbacks=[snapshots],
    )
    lines = plot.surface(model, train, dimensions=1, points=41, rows=500)
    for index, values in enumerate(lines.values):
        numbers.add("lines", f"direction {index + 1}", lines.at, values)
    plane = plot.surface(model, train, points=25, rows=500)
    route = plot.trajectory(model, train, snapshots.kept, points=25, rows=500)
    for name, square in (("plane", plane), ("trajectory", route.plane)):
        numbers.add(name, "first axis", np.arange(25), square.x)
        numbers.add(name, "second axis", np.arange(25), square.y)
        numbers.add(name, "loss", np.arange(25 * 25), square.values.ravel())
    numbers.add("path", "weights", *route.points.T)
    numbers.add("shares", "of the squared way", (1, 2), route.shares)
    return numbers


def lesson(numbers):
    """The trained weights lie at the bottom of every slice; the plane holds most of the path."""
    lines = [numbers["lines", line][1] for line in numbers.names("lines")]
    assert all(line.min() > 0.9 * line[20] and min(line[0], line[-1]) > 10 * line[20] for line in lines)
    _, shares = numbers["shares", "of the squared way"]
    assert shares.sum() > 0.9
    points = np.stack(numbers["path", "weights"])
    return [
        f"loss at the trained weights {lines[0][20]:.4f}; one length of the weights away along three random directions {', '.join(f'{max(line[0], line[-1]):.1f}' for line in lines)}",
        f"the two principal directions hold {shares[0]:.1%} and {shares[1]:.1%} of the squared way; it began {np.linalg.norm(points[:, 0]):.2f} from where it ended",
    ]


def draw(figure, numbers):
    """Lines, plane, trajectory."""
    left, middle, right = figure.subplots(1, 3)
    plot_lines(left, numbers, "lines")
    dress(left, "along three random directions", "step (1 = length of the weights)", "cross-entropy", legend=True)
    for axes, name, title in (
        (middle, "plane", "over two of them"),
        (right, "trajectory", "path in its principal plane"),
    ):
        x, y, z = (numbers[name, what][1] for what in ("first axis", "second axis", "loss"))
        levels = np.geomspace(max(z.min(), 1e-3) * 1.05, z.max(), 9)
        drawn = axes.contour(x, y, z.reshape(y.size, x.size), levels=levels, cmap="cividis", linewidths=1)
        axes.clabel(drawn, fontsize=7, fmt="%.2g")
        dress(axes, title)
    middle.set(xlabel="step along direction 1", ylabel="step along direction 2")
    _, shares = numbers["shares", "of the squared way"]
    right.plot(*numbers["path", "weights"], color=COLOURS[1], marker="o", markersize=3)
    right.plot(0, 0, color="black", marker="*", markersize=9)
    right.set(xlabel=f"first direction ({shares[0]:.0%} of the way)", ylabel=f"second direction ({shares[1]:.0%})")


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9.5, 3.6))
