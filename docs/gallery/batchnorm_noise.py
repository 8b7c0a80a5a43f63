"""The noise of batch norm: in training, one image's activations depend on which others share its batch.

A batch-norm layer behind random weights is given the same digit in 200 random batches of each size. Left: one unit's output for
that digit, batch by batch. Right: the standard deviation of that output over batches, averaged over 64 units. It falls as 1/√N: this is
the regularising noise, strong in small batches and absent at inference, where running statistics are used.

Source: Ioffe and Szegedy (2015), section 3.4; Luo et al. (2019).
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show

import nnx

SIZES, TRIALS = (4, 8, 16, 32, 64, 128, 256, 512), 200


def measure(backend):
    """Outputs of one unit, and the noise of all units by batch size."""
    numbers = Numbers()
    x = nnx.data.digits().x.astype(np.float64)
    model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 64, bias=False), nnx.BatchNorm(64)).initialize(
        0, dtype="float64"
    )
    model[0].fit(x)
    model.to(backend)
    noise = []
    for size in SIZES:
        seen = []
        for trial in range(TRIALS):
            others = 1 + nnx.random.permutation(nnx.random.key(0, "batch", str(size), trial), len(x) - 1)[: size - 1]
            with nnx.training(step=trial, write_back=False):
                out = model(backend.asarray(x[np.concatenate([[0], others])]))
            seen.append(backend.to_numpy(out)[0])
        seen = np.asarray(seen)
        noise.append(seen.std(axis=0).mean())
        numbers.add("one unit", f"N = {size}", np.full(TRIALS, float(size)), seen[:, 0])
    numbers.add("noise", "mean of 64 units", SIZES, noise)
    return numbers


def lesson(numbers):
    """The noise falls as 1/√N."""
    sizes, noise = numbers["noise", "mean of 64 units"]
    slope = float(np.polyfit(np.log(sizes[2:6]), np.log(noise[2:6]), 1)[0])
    assert -0.62 < slope < -0.45
    return [
        "standard deviation of the normalised output over batches: "
        + "; ".join(f"N = {n:.0f}: {value:.3f}" for n, value in zip(sizes, noise)),
        f"from N = 16 to 128 it falls as N^{slope:.2f}; at 512 it is lower still, for large batches drawn without replacement from 1,797 images resemble each other",
    ]


def draw(figure, numbers):
    """Single outputs left, their standard deviation right."""
    left, right = figure.subplots(1, 2)
    for index, size in enumerate(SIZES):
        _, y = numbers["one unit", f"N = {size}"]
        left.scatter(index + np.linspace(-0.3, 0.3, TRIALS), y, s=3, color=COLOURS[0])
    left.set_xticks(range(len(SIZES)), SIZES)
    dress(left, "one unit, the same digit, 200 batches of each size", "batch size N", "normalised output")
    sizes, noise = numbers["noise", "mean of 64 units"]
    right.plot(sizes, noise, color=COLOURS[0], marker="o", label="measured, mean of 64 units")
    right.plot(sizes, noise[2] * np.sqrt(sizes[2] / sizes), color=COLOURS[1], linestyle="--", label="1/√N")
    dress(
        right,
        "noise of the normalised output",
        "batch size N",
        "standard deviation over batches",
        log="xy",
        legend=True,
    )
    right.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
    right.set_yticks([0.05, 0.1, 0.2, 0.5], ["0.05", "0.1", "0.2", "0.5"])
    right.minorticks_off()


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.8))
