"""The optimizers of the curriculum on a function of two numbers: shared by the bowl and by Rosenbrock's valley."""

import numpy as np
from _gallery import COLOURS, Numbers, dress

import nnx

SGD = nnx.optim.SGD


def optimizers(rate, velocity, adaptive, beta=0.9):
    """All by name: ``rate`` for plain descent, ``velocity`` for its forms with momentum, ``adaptive`` for the others."""
    return {
        "gradient descent": SGD(rate),
        "momentum": SGD(velocity, momentum=beta),
        "momentum, averaged": SGD(velocity / (1 - beta), momentum=beta, averaged=True),
        "Nesterov": SGD(velocity, momentum=beta, nesterov=True),
        "Adagrad": nnx.optim.Adagrad(5 * adaptive),
        "RMSprop": nnx.optim.RMSprop(adaptive / 5),
        "RMSprop, centred, momentum": nnx.optim.RMSprop(adaptive / 50, centered=True, momentum=beta),
        "Adam": nnx.optim.Adam(adaptive),
        "AdamW": nnx.optim.AdamW(adaptive, weight_decay=0.01, applies_to="all"),
        "AMSGrad": nnx.optim.Adam(adaptive, amsgrad=True),
        "L-BFGS": nnx.optim.LBFGS(),
    }


def paths(backend, function, start, chosen, steps, target):
    """The points visited, the value at each, and the steps to a value below ``target``, for each optimizer."""
    numbers = Numbers()
    cost = nnx.value_and_grad(lambda p: function(p["w"][0], p["w"][1]))
    for name, optimizer in chosen.items():
        params, points = {"w": backend.asarray(np.asarray(start))}, [np.asarray(start)]
        state = optimizer.init(params)
        for _ in range(steps):
            if name == "L-BFGS":
                params, state = optimizer.step(cost, state, params)
                if state["stuck"] or state["loss"] < 1e-14:
                    break
            else:
                params, state = optimizer.update(cost(params)[1], state, params)
            points.append(backend.to_numpy(params["w"]))
        values = np.asarray([float(function(*point)) for point in points])
        at = np.asarray([step for step in range(len(points)) if step <= 60 or step % (steps // 125) == 0])
        numbers.add("path", name, *np.asarray(points)[at].T)
        numbers.add("value", name, at, np.maximum(values[at], 1e-16))
        below = np.flatnonzero(values < target)
        numbers.add("steps", name, target, below[0] if below.size else np.nan)
    return numbers


def steps_to(numbers):
    """For each optimizer the first step with a value below the target, infinity if there is none."""
    steps = {name: numbers.value("steps", name) for name in numbers.names("steps")}
    return {name: value if value == value else np.inf for name, value in steps.items()}


def panels(figure, numbers, function, window, levels, minimum, target):
    """A small contour for each path, and in the last panel the values of all."""
    names = numbers.names("path")
    grids = figure.subplots(3, 4)
    x, y = (np.linspace(*side, 121) for side in window)
    heights = function(*np.meshgrid(x, y))
    for axes, name in zip(grids.flat, names):
        axes.contour(x, y, heights, levels=levels, colors="0.6", linewidths=0.7)
        axes.plot(*numbers["path", name], color=COLOURS[0], marker="o", markersize=2, linewidth=1)
        axes.plot(*minimum, marker="*", color=COLOURS[1], markersize=9, linestyle="")
        steps = steps_to(numbers)[name]
        dress(
            axes, f"{name}\n" + (f"{steps:.0f} steps to {target:g}" if np.isfinite(steps) else f"not below {target:g}")
        )
        axes.set(xlim=window[0], ylim=window[1])
        axes.title.set_fontsize(8)
    last = grids.flat[len(names)]
    for name, colour, line in (
        ("gradient descent", 6, ":"),
        ("Nesterov", 0, "-"),
        ("Adagrad", 3, "--"),
        ("Adam", 2, "-."),
        ("L-BFGS", 1, "-"),
    ):
        last.plot(*numbers["value", name], color=COLOURS[colour], linestyle=line, linewidth=1.2, label=name)
    dress(last, "value", "step", "f(w)", log="y")
    last.set_ylim(1e-8)
    figure.legend(*last.get_legend_handles_labels(), loc="outside lower right", ncols=5, frameon=False)
    for axes in grids[-1][:3]:
        axes.set_xlabel("w₁")
    for axes in grids[:, 0]:
        axes.set_ylabel("w₂")
