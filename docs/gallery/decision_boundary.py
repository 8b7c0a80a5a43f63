"""Regularisation and the decision boundary: none, L2 small and large, dropout.

The digits 5 and 9 in the plane of their two first principal components (whitened): 101 images to train on, 261 to test. A network
2 → 64 → 64 → 2 with ReLU is trained for 300 steps by Adam on all training images at once. Without a penalty it bends the
boundary around single images and is sure of itself (dark up to the line); L2 in the gradient and dropout smooth both. Circles and
crosses are the training images; the grey is the probability of a 9.

Source: Srivastava et al. (2014) for dropout; Krogh and Hertz (1992) for L2.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show, trained

import nnx

CASES = {
    "no penalty": (nnx.optim.Adam(3e-3), 0.0),
    "L2, λ = 0.003": (nnx.optim.chain(nnx.optim.penalize(l2=0.003), nnx.optim.Adam(3e-3)), 0.0),
    "L2, λ = 0.3": (nnx.optim.chain(nnx.optim.penalize(l2=0.3), nnx.optim.Adam(3e-3)), 0.0),
    "dropout, p = 0.5": (nnx.optim.Adam(3e-3), 0.5),
}
GRID = np.linspace(-2.6, 2.6, 33)


def problem():
    """Training and test images in two dimensions."""
    digits = nnx.data.digits()
    rows = np.flatnonzero((digits.y == 5) | (digits.y == 9))
    x = digits.x[rows].astype(np.float64)
    plane = nnx.PCA(64, 2, whiten=True).initialize(0, dtype="float64").fit(x)
    return nnx.data.split(
        nnx.data.load((plane(x), (digits.y[rows] == 9).astype(np.int64)), task="classification"), (0.28, 0.72), seed=0
    )


def network(p):
    """2 → 64 → 64 → 2, with dropout after each hidden layer where p > 0."""
    hidden = [part for n in (2, 64) for part in (nnx.Linear(n, 64), nnx.ReLU(), *([nnx.Dropout(p)] if p else []))]
    return nnx.Sequential(*hidden, nnx.Linear(64, 2))


def measure(backend):
    """The log-odds of a 9 on a grid, and what the network makes of training and test images."""
    numbers = Numbers()
    train, test = problem()
    plane = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)
    for name, (optimizer, p) in CASES.items():
        model = network(p)
        trained(model, train, backend=backend, optimizer=optimizer, epochs=300, batch_size=len(train))
        logits = nnx.predict(model, plane)
        numbers.add("log-odds of a 9", name, np.arange(plane.shape[0]), logits[:, 1] - logits[:, 0])
        for part, data in (("training", train), ("test", test)):
            for quantity, value in nnx.evaluate(model, data).items():
                numbers.add(f"{part} {quantity}", name, 0, value)
    return numbers


def length(numbers, name):
    """The length of the boundary: how many neighbours on the grid it parts, in units of the plane."""
    nine = numbers["log-odds of a 9", name][1].reshape(GRID.size, -1) > 0
    return float(np.sum(nine[1:] != nine[:-1]) + np.sum(nine[:, 1:] != nine[:, :-1])) * (GRID[1] - GRID[0])


def lesson(numbers):
    """Regularised networks are worse in training and better in the test."""
    loss = {name: (numbers.value("training loss", name), numbers.value("test loss", name)) for name in CASES}
    steep = {name: float(np.std(numbers["log-odds of a 9", name][1])) for name in CASES}
    first, *others = CASES
    assert all(loss[name][0] > loss[first][0] and loss[name][1] < 0.7 * loss[first][1] for name in others)
    assert all(steep[name] < steep[first] for name in others)
    assert length(numbers, "L2, λ = 0.3") < length(numbers, first)
    return [
        f"{name}: accuracy {numbers.value('training accuracy', name):.3f} training, {numbers.value('test accuracy', name):.3f} test; "
        f"loss {loss[name][0]:.3f} and {loss[name][1]:.3f}; boundary {length(numbers, name):.1f} long, log-odds spread {steep[name]:.1f}"
        for name in CASES
    ]


def draw(figure, numbers):
    """The plane under each regularisation."""
    train, _ = problem()
    for axes, name in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, CASES):
        odds = numbers["log-odds of a 9", name][1].reshape(GRID.size, -1)
        chance = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        image = axes.contourf(GRID, GRID, chance, levels=np.linspace(0, 1, 11), cmap="Greys", alpha=0.6)
        axes.contour(GRID, GRID, odds, levels=[0.0], colors="black", linewidths=1.6)
        for label, mark, colour in ((0, "o", COLOURS[0]), (1, "x", COLOURS[1])):
            axes.scatter(
                *train.x[train.y == label].T, marker=mark, color=colour, s=16, linewidths=1.2, label=f"a {'59'[label]}"
            )
        dress(axes, f"{name}: test accuracy {numbers.value('test accuracy', name):.3f}")
        axes.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6))
    for axes in figure.axes[2:4]:
        axes.set_xlabel("first principal component (σ)")
    for axes in (figure.axes[0], figure.axes[2]):
        axes.set_ylabel("second component (σ)")
    figure.axes[0].legend(loc="lower left")
    figure.colorbar(image, ax=figure.axes[:4], label="probability of a 9", shrink=0.6)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 7.4))
