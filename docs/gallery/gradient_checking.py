"""Gradient checking: the relative error of a numerical derivative against its step h is a V.

The loss of a small tanh network on 64 digits, differentiated along one random direction of all its weights: the numerical derivative from
differences with step h against nnx's. For large h the error is that of the formula: it falls with h for the one-sided
difference (f(w + h) − f(w))/h and with h² for the centred one (f(w + h) − f(w − h))/2h. For small h it is rounding, which
grows as ε/h. So centred beats one-sided, the best h lies near ε^(1/3) for it and near ε^(1/2) for the one-sided, and in float32 no step is good enough to
tell a subtle mistake from rounding: `nnx.gradcheck` works in float64.

Source: CS231n notes, neural networks, part 3; Press et al., Numerical Recipes, section 5.7.
"""

import numpy as np
from _gallery import COLOURS, MARKERS, Numbers, dress, show

import nnx

LOOSE = ("one-sided, float64", "centred, float64", "one-sided, float32", "centred, float32")  # rounding itself is drawn
STEPS = 10.0 ** np.arange(0, -14.5, -0.5)


def measure(backend):
    """|a − n| / max(|a|, |n|) for every step, form and precision."""
    numbers = Numbers()
    data = nnx.data.digits().take(np.arange(64))
    for dtype in ("float64", "float32"):
        model = nnx.Sequential(
            nnx.Standardize(64), nnx.Linear(64, 8, init=nnx.init.glorot_normal()), nnx.Tanh(), nnx.Linear(8, 10)
        ).initialize(0, dtype=dtype)
        model[0].fit(data.x)
        model.to(backend)
        x, y = backend.asarray(data.x, dtype=dtype), backend.asarray(data.y)
        params = model.parameters()
        direction = {
            path: nnx.random.normal(nnx.random.key(0, "direction", path), tuple(p.shape)) for path, p in params.items()
        }
        length = np.sqrt(sum(np.sum(d * d) for d in direction.values()))
        direction = {path: backend.asarray(d / length, dtype=dtype) for path, d in direction.items()}

        def loss(t):
            there = model.copy().load({path: p + float(t) * direction[path] for path, p in params.items()})  # noqa: B023
            return float(backend.to_numpy(nnx.losses.cross_entropy(there(x), y)))  # noqa: B023

        gradient = nnx.grad(lambda model, x, y: nnx.losses.cross_entropy(model(x), y))(model, x, y)
        analytic = sum(
            float(backend.to_numpy(nnx.namespace(g).sum(g * direction[path]))) for path, g in gradient.items()
        )
        here = loss(0.0)
        for form, numeric in (
            ("one-sided", [(loss(h) - here) / h for h in STEPS]),
            ("centred", [(loss(h) - loss(-h)) / (2 * h) for h in STEPS]),
        ):
            n = np.asarray(numeric)
            error = np.abs(analytic - n) / np.maximum(abs(analytic), np.abs(n))
            numbers.add("relative error", f"{form}, {dtype}", STEPS, np.maximum(error, 1e-17))
    return numbers


def lesson(numbers):
    """The best step and the best error of each line."""
    lines = {line: numbers["relative error", line] for line in numbers.names("relative error")}
    best = {line: (h[error.argmin()], error.min()) for line, (h, error) in lines.items()}
    assert best["centred, float64"][1] < 1e-9
    assert best["one-sided, float64"][1] < 1e-6
    assert min(best["centred, float32"][1], best["one-sided, float32"][1]) > 1e-7
    for form, power in (("one-sided", 1), ("centred", 2)):
        h, error = lines[f"{form}, float64"]
        slope = np.log10(error[2] / error[6]) / np.log10(h[2] / h[6])
        assert abs(slope - power) < 0.2, "the error of the formula"
    return [
        "smallest relative error: "
        + "; ".join(f"{line}: {error:.0e} at h = {h:.0e}" for line, (h, error) in best.items())
    ]


def draw(figure, numbers):
    """The V of each form in each precision."""
    axes = figure.subplots()
    for index, line in enumerate(numbers.names("relative error")):
        axes.plot(
            *numbers["relative error", line],
            color=COLOURS[index],
            label=line,
            marker=MARKERS[index],
            markersize=4,
            linestyle=("-", "-", "--", "--")[index],
        )
    dress(
        axes,
        "derivative of a network's loss along one direction",
        "step h (length in weight space)",
        "relative error of the numerical derivative",
        log="xy",
        legend=True,
    )
    axes.invert_xaxis()


if __name__ == "__main__":
    show(measure, lesson, draw, size=(8, 4.4))
