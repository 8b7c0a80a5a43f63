"""Batch, mini-batch and stochastic descent: the smaller the batch, the noisier the path and the cheaper the step.

A softmax classifier of the digits (standardised, 1,438 training images) by gradient descent at rate 0.05: all images in one step, 64, or
1. Left: the first 400 steps of each in the plane of two weights, the smoother
the more images a step averages. Middle: the loss on all training images against passes
through the data: small batches step more often and are far ahead for the same work. Right: how far a batch's gradient is from the
gradient of all images, relative to its length, at the starting weights; the line falls as 1/√N.

Source: Bottou, Curtis and Nocedal (2018), section 3.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, plot_lines, show

import nnx

PASSES, STEPS, RATE = 3, 400, 0.05
PIXELS, LABELS = (20, 36), (7, 4)
KINDS = {"batch (1438)": 1438, "mini-batch (64)": 64, "stochastic (1)": 1}
SIZES = (1, 4, 16, 64, 256)


def measure(backend):
    """Paths, losses and the noise of the gradient."""
    numbers = Numbers()
    train, _ = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    x = nnx.Standardize(64).initialize(0, dtype="float64").fit(train.x)(train.x.astype(np.float64))
    x, y = backend.asarray(x), backend.asarray(train.y)
    cost = nnx.value_and_grad(lambda p, x, y: nnx.losses.cross_entropy(x @ p["w"], y))
    start = {"w": backend.asarray(0.01 * nnx.random.normal(nnx.random.key(0, "start"), (64, 10)))}
    xp = nnx.namespace(x)

    def descent(size, steps):
        """The weights before each step."""
        optimizer, params = nnx.optim.SGD(RATE), start
        state, step = optimizer.init(start), 0
        while True:
            for rows in nnx.data.batches(
                len(train), size, seed=0, epoch=step // nnx.data.batch_count(len(train), size)
            ):
                yield params
                if step == steps:
                    return
                rows, step = backend.asarray(rows), step + 1
                params, state = optimizer.update(
                    cost(params, xp.take(x, rows, axis=0), xp.take(y, rows, axis=0))[1], state, params
                )

    for kind, size in KINDS.items():
        steps = PASSES * nnx.data.batch_count(len(train), size)
        every = max(1, steps // 60)
        points = [backend.to_numpy(params["w"])[PIXELS, LABELS] for params in descent(size, STEPS)]
        losses = [
            float(backend.to_numpy(cost(params, x, y)[0]))
            for at, params in enumerate(descent(size, steps))
            if at % every == 0
        ]
        numbers.add("path", kind, *np.asarray(points).T)
        numbers.add("loss", kind, np.arange(0, steps + 1, every) * PASSES / steps, losses)
        numbers.add("steps", kind, PASSES, steps)
    whole = backend.to_numpy(cost(start, x, y)[1]["w"])
    for size in SIZES:
        off = []
        for trial in range(50):
            rows = backend.asarray(
                nnx.random.permutation(nnx.random.key(1, "rows", str(size), trial), len(train))[:size]
            )
            gradient = cost(start, xp.take(x, rows, axis=0), xp.take(y, rows, axis=0))[1]["w"]
            off.append(np.linalg.norm(backend.to_numpy(gradient) - whole) / np.linalg.norm(whole))
        numbers.add("noise", f"{size}", size, np.sqrt(np.mean(np.square(off))))
    return numbers


def lesson(numbers):
    """For the same number of passes small batches get farther; their gradients are noisier by 1/√N."""
    loss = {kind: numbers.value("loss", kind) for kind in KINDS}
    noise = [numbers.value("noise", f"{size}") for size in SIZES]
    slope = np.polyfit(np.log(SIZES[:4]), np.log(noise[:4]), 1)[0]
    assert loss["batch (1438)"] > 1.5 > 0.7 > loss["mini-batch (64)"] > loss["stochastic (1)"]
    assert abs(slope + 0.5) < 0.06
    return [
        f"training loss after {PASSES} passes: "
        + "; ".join(f"{kind} {value:.3f} ({numbers[('steps', kind)][1][0]:.0f} steps)" for kind, value in loss.items()),
        "gradient of a batch, distance from the gradient of all over its length: "
        + "; ".join(f"N = {size}: {value:.2f}" for size, value in zip(SIZES, noise))
        + f"; it falls as N^{slope:.2f}",
    ]


def draw(figure, numbers):
    """Paths, losses, noise."""
    left, middle, right = figure.subplots(1, 3)
    for index, kind in reversed(list(enumerate(KINDS))):
        left.plot(*numbers["path", kind], color=COLOURS[index], linewidth=(2.5, 1.3, 0.8)[index], label=kind)
    dress(left, f"path of two weights, {STEPS} steps", "weight, pixel 20 → digit 7", "weight, pixel 36 → digit 4")
    plot_lines(middle, numbers, "loss")
    dress(middle, "loss on all training images", "passes through the data", "cross-entropy", legend=True)
    noise = [numbers.value("noise", f"{size}") for size in SIZES]
    right.plot(SIZES, noise, color=COLOURS[0], marker="o", label="measured")
    right.plot(SIZES, noise[0] / np.sqrt(SIZES), color=COLOURS[1], linestyle="--", label="1/√N")
    dress(right, "noise of the gradient", "batch size N", "distance / length", log="xy", legend=True)
    right.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
    right.minorticks_off()


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9.5, 3.6))
