"""Why inputs are standardised: the cost is a long valley for raw inputs and a round bowl for standardised ones.

J(w) = ½ mean (w·x − t)² for a linear unit on two features of the digits, the grey values of two neighbours in the bottom row
(0…16), and the target "is it a 2?". Both descents start at the same height above the minimum, half of it along each
axis of the ellipse, and take the best constant rate that there is, 2/(λ₁ + λ₂). See the path: on raw inputs it crosses the valley
to and fro and hardly moves along it; on standardised ones it goes nearly straight to the minimum.

Source: LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.3.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show

import nnx

PIXELS = ("pixel_7_1", "pixel_7_2")
KINDS = ("raw", "standardised")


def problem(kind):
    """The features (N, 2) and the centred target (N, 1)."""
    data = nnx.data.digits()
    x = np.stack([data.x[:, data.feature_names.index(name)] for name in PIXELS], axis=1).astype(np.float64)
    if kind == "standardised":
        x = nnx.Standardize(2).initialize(0, dtype="float64").fit(x)(x)
    t = (data.y == 2).astype(np.float64)[:, None]
    return x, t - t.mean()


def measure(backend):
    """The path (w₁, w₂), the cost above the minimum after each step, and the two curvatures."""
    numbers = Numbers()
    for kind in KINDS:
        x, t = problem(kind)
        curvature, axes = np.linalg.eigh(x.T @ x / len(x))
        best = np.linalg.lstsq(x, t, rcond=None)[0]
        least = 0.5 * np.mean((x @ best - t) ** 2)
        start = best + axes @ (np.sqrt(0.1 / curvature) * np.asarray([1.0, 1.0]))[:, None]
        optimizer = nnx.optim.SGD(2 / float(curvature.sum()))
        inputs, target = backend.asarray(x), backend.asarray(t)
        cost = nnx.value_and_grad(lambda p: 0.5 * nnx.losses.mse(inputs @ p["w"], target))  # noqa: B023 (called at once)
        params = {"w": backend.asarray(start)}
        state, path, above = optimizer.init(params), [start[:, 0]], []
        for _ in range(301):
            value, grads = cost(params)
            above.append(float(backend.to_numpy(value)) - least)
            params, state = optimizer.update(grads, state, params)
            path.append(backend.to_numpy(params["w"])[:, 0])
        keep = next((i for i, height in enumerate(above) if height < 1e-6 * above[0]), 300) + 1
        numbers.add("path", kind, *np.asarray(path)[:keep].T)
        numbers.add("cost above the minimum", kind, np.arange(keep), above[:keep])
        numbers.add("minimum", kind, *best.T.ravel()[:, None])
        numbers.add("curvatures", kind, *curvature[:, None])
    return numbers


def steps(numbers, kind, share=0.01):
    """How many steps until the cost above the minimum is this share of what it was."""
    at, above = numbers["cost above the minimum", kind]
    return int(at[above <= share * above[0]][0])


def lesson(numbers):
    """Standardised inputs need fewer than a tenth of the steps."""
    raw, standardised = (steps(numbers, kind) for kind in KINDS)
    ratio = [float(b[0] / a[0]) for a, b in (numbers["curvatures", kind] for kind in KINDS)]
    assert standardised * 10 < raw, f"{raw} steps raw, {standardised} standardised"
    return [
        f"the valley is {ratio[0] ** 0.5:.1f} times as long as wide on raw inputs (curvatures 1 : {ratio[0]:.0f}), "
        f"{ratio[1] ** 0.5:.1f} times on standardised ones (1 : {ratio[1]:.1f})",
        f"steps to 1 % of the starting cost above the minimum: {raw} raw, {standardised} standardised",
    ]


def draw(figure, numbers):
    """Surfaces above, contours below."""
    for column, kind in enumerate(KINDS):
        x, _ = problem(kind)
        path, best = np.stack(numbers["path", kind]), np.stack(numbers["minimum", kind])
        hessian = x.T @ x / len(x)
        reach = 1.25 * np.abs(path - best).max()
        grid = np.linspace(-reach, reach, 101)
        d = np.stack(np.meshgrid(grid, grid))
        height = 0.5 * np.einsum("iab,ij,jab->ab", d, hessian, d)
        above = numbers["cost above the minimum", kind][1]
        axes = figure.add_subplot(2, 2, column + 1, projection="3d")
        limit = above[0] * 3
        shown = np.minimum(height, limit)
        axes.plot_surface(*(d + best[:, :, None]), shown, cmap="cividis", alpha=0.75, rcount=50, ccount=50, linewidth=0)
        axes.plot(*path, above + 0.02, color=COLOURS[1], marker="o", markersize=2.5, zorder=9)
        axes.view_init(50, -60)
        axes.set(
            xlabel="w₁", ylabel="w₂", zlabel="J − J*", title=f"{kind} inputs: surface (cut off above)", zlim=(0, limit)
        )
        axes.tick_params(labelsize=7)
        axes.set_box_aspect(None, zoom=0.88)
        flat = figure.add_subplot(2, 2, column + 3)
        levels = above[0] * np.asarray([0.01, 0.1, 0.4, 1, 2, 4])
        flat.contour(grid + best[0], grid + best[1], height, levels=levels, colors="0.45", linewidths=0.9)
        flat.plot(*path, color=COLOURS[1], marker="o", markersize=3, linewidth=1)
        flat.plot(*best, marker="*", color="black", markersize=9, linestyle="")
        dress(
            flat,
            f"{kind} inputs: {steps(numbers, kind)} steps to 1 %",
            "w₁ (target per unit of feature 1)",
            "w₂ (per unit of feature 2)",
        )
        flat.set_aspect("equal")


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 8))
