"""L-BFGS against SciPy's, on Rosenbrock and a logistic regression, and its line search against the Wolfe conditions."""

import math

import numpy as np
import pytest

import nnx
from nnx.errors import ConfigError, DivergedError
from nnx.optim import LBFGS
from nnx.optim.line_search import Point, _beyond, _minimum, strong_wolfe


def rosenbrock(params):
    x = params["x"]
    xp = nnx.namespace(x)
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def scipy_iterations(objective, start, tolerance):
    """How many iterations SciPy's L-BFGS-B needs to bring every gradient entry within the tolerance."""
    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy")

    def flat(v):
        loss, grads = objective({"x": v})
        return float(loss), np.asarray(grads["x"])

    options = {"maxcor": 10, "gtol": tolerance, "ftol": 0.0, "maxiter": 10_000, "maxfun": 100_000}
    return optimize.minimize(flat, start, jac=True, method="L-BFGS-B", options=options).nit


COMPILES = pytest.mark.skip_backends("jax", reason="compiles every shape anew: two dimensions run")


@pytest.mark.parametrize("n", [2, pytest.param(100, marks=COMPILES)])
def test_rosenbrock_within_scipys_iterations(n, backend):
    start = np.where(np.arange(n) % 2 == 0, -1.2, 1.0)
    objective = nnx.value_and_grad(rosenbrock)
    found = LBFGS().minimize(objective, {"x": backend.asarray(start)}, tolerance=1e-5, iterations=2000)
    assert found.reason == "converged"
    assert np.abs(backend.to_numpy(found.params["x"]) - 1.0).max() < 1e-4
    assert found.iterations <= 1.5 * scipy_iterations(objective, start, 1e-5)


def logistic_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12)) * np.geomspace(0.1, 3.0, 12)
    return x, (x @ rng.normal(size=12) + rng.normal(size=200) > 0).astype(np.float64)


def test_logistic_regression_within_scipys_iterations(backend):
    x, y = logistic_data()

    def on(x, y):
        def loss(params):
            w = params["x"]
            xp = nnx.namespace(w)
            return nnx.losses.binary_cross_entropy(x @ w, y) + 0.5 * 1e-3 * xp.sum(w * w)

        return nnx.value_and_grad(loss)

    here = on(backend.asarray(x), backend.asarray(y))
    found = LBFGS().minimize(here, {"x": backend.asarray(np.zeros(12))}, tolerance=1e-7, iterations=500)
    assert found.reason == "converged"
    assert found.gradient <= 1e-7
    assert found.iterations <= 1.5 * scipy_iterations(on(x, y), np.zeros(12), 1e-7)


def test_penalties_belong_to_the_objective(backend):
    x, y = logistic_data()

    def on(x, y, strength):
        def loss(params):
            w = params["x"]
            xp = nnx.namespace(w)
            return nnx.losses.binary_cross_entropy(x @ w, y) + 0.5 * strength * xp.sum(w * w)

        return nnx.value_and_grad(loss)

    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy")
    whole = on(x, y, 1e-2)
    options = {"gtol": 1e-10, "ftol": 0.0, "maxiter": 10_000}
    outside = optimize.minimize(
        lambda v: tuple(map(np.asarray, (whole({"x": v})[0], whole({"x": v})[1]["x"]))),
        np.zeros(12), jac=True, method="L-BFGS-B", options=options,
    )  # fmt: skip
    optimizer = nnx.optim.chain(nnx.optim.penalize(l2=1e-2, applies_to="all"), LBFGS(tolerance=1e-8))
    assert isinstance(optimizer, LBFGS)
    found = optimizer.minimize(on(backend.asarray(x), backend.asarray(y), 0.0), {"x": backend.asarray(np.zeros(12))})
    assert found.reason == "converged"
    assert found.loss == pytest.approx(outside.fun, rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(found.params["x"]), outside.x, atol=1e-6)


def test_without_a_step_downhill_it_forgets_its_pairs_and_tries_again():
    """Pairs of another function point uphill at a kink: along −g there is still something lower."""
    objective = nnx.value_and_grad(lambda p: nnx.namespace(p["x"]).sum(p["x"] * p["x"]))
    optimizer, params = LBFGS(evaluations=1), {"x": np.asarray([1.0, 1e-3])}
    state = optimizer.init(params) | {
        "s": {"0": {"x": np.asarray([1e9, 0.0])}}, "y": {"0": {"x": np.asarray([1e-9, 0.0])}}
    }  # fmt: skip
    _, state = optimizer.step(objective, state, params)
    assert not state["stuck"]
    assert state["loss"] < 1.0
    assert list(state["s"]) in ([], ["0"])
    assert state["evaluations"] > 2


def test_a_quadratic_takes_about_as_many_steps_as_it_has_dimensions():
    scales = np.asarray([1.0, 4.0, 9.0, 16.0])
    objective = nnx.value_and_grad(lambda p: nnx.namespace(p["x"]).sum(scales * (p["x"] - 2.0) ** 2))
    found = LBFGS().minimize(objective, {"x": np.zeros(4)}, tolerance=1e-8)
    assert found.reason == "converged"
    assert found.iterations <= 15
    np.testing.assert_allclose(found.params["x"], 2.0, atol=1e-7)


def test_steps_by_hand_are_minimize():
    objective = nnx.value_and_grad(rosenbrock)
    optimizer, params = LBFGS(history=3), {"x": np.asarray([-1.2, 1.0])}
    state = optimizer.init(params)
    for _ in range(12):
        params, state = optimizer.step(objective, state, params)
    found = LBFGS(history=3).minimize(objective, {"x": np.asarray([-1.2, 1.0])}, tolerance=0.0, iterations=12)
    assert np.array_equal(params["x"], found.params["x"])
    assert state["loss"] == found.loss
    assert len(state["s"]) == len(state["y"]) <= 3


def test_it_takes_over_from_adam():
    objective = nnx.value_and_grad(rosenbrock)
    params = {"x": np.asarray([-1.2, 1.0])}
    adam = nnx.optim.Adam(1e-2)
    state = adam.init(params)
    for _ in range(200):
        _, grads = objective(params)
        params, state = adam.update(grads, state, params)
    before = float(objective(params)[0])
    found = LBFGS().minimize(objective, params, tolerance=1e-6)
    assert before > 1e-3
    assert found.loss < 1e-12


def test_why_it_ended():
    objective, start = nnx.value_and_grad(rosenbrock), {"x": np.asarray([-1.2, 1.0])}
    for settings, reason in (
        ({"iterations": 2}, "out of iterations"),
        ({"callback": lambda iteration, loss: iteration == 3}, "the callback ended it"),
        ({}, "converged"),
    ):
        assert LBFGS().minimize(objective, start, **settings).reason == reason


def test_at_a_minimum_it_stays():
    found = LBFGS().minimize(nnx.value_and_grad(rosenbrock), {"x": np.ones(3), "nothing": np.ones((0, 3))})
    assert (found.iterations, found.reason) == (0, "converged")


def test_arguments_stay_untouched():
    start = np.asarray([-1.2, 1.0])
    start.flags.writeable = False
    LBFGS().minimize(nnx.value_and_grad(rosenbrock), {"x": start}, iterations=5)
    assert start.tolist() == [-1.2, 1.0]


def test_errors():
    for name in ("history", "c1", "c2", "evaluations", "tolerance"):
        with pytest.raises(ConfigError, match=rf"LBFGS: {name} is out of range, expected a (whole )?number .*got -1"):
            LBFGS(**{name: -1})
    with pytest.raises(ConfigError, match=r"LBFGS: expected penalties alone before L-BFGS.*got clip_by_value"):
        nnx.optim.chain(nnx.optim.clip_by_value(1.0), LBFGS())
    with pytest.raises(ConfigError, match=r"kink at 0.*got l1=0.1. Use l2, or Adam for l1"):
        nnx.optim.chain(nnx.optim.penalize(l1=0.1), LBFGS())
    bad = nnx.value_and_grad(lambda p: nnx.namespace(p["x"]).sum(p["x"] * math.nan))
    with pytest.raises(DivergedError, match="expected a finite loss to start from, got nan"):
        LBFGS().step(bad, LBFGS().init({"x": np.ones(2)}), {"x": np.ones(2)})


CURVES = {
    "parabola": (lambda t: (t - 3.0) ** 2, lambda t: 2.0 * (t - 3.0)),
    "far minimum": (lambda t: (t - 300.0) ** 2 / 1e4, lambda t: (t - 300.0) / 5e3),
    "wavy": (lambda t: 0.05 * t * t - math.sin(t), lambda t: 0.1 * t - math.cos(t)),
    "wall": (lambda t: -t if t < 1 else math.inf, lambda t: -1.0),
    "barrier": (lambda t: -math.log(max(1.0 - t, 0.0)) - 3.0 * t if t < 1 else math.inf, lambda t: 1 / (1 - t) - 3.0),
}


@pytest.mark.parametrize("first", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("name", sorted(CURVES))
def test_line_search_gives_strong_wolfe_points(name, first):
    value, slope = CURVES[name]
    start = Point(0.0, value(0.0), slope(0.0))
    found = strong_wolfe(lambda t: Point(t, value(t), slope(t) if t != 1 else math.inf), start, first, c2=0.4)
    assert found.value <= start.value + 1e-4 * found.t * start.slope
    assert found.t > 0
    if name != "wall":
        assert abs(found.slope) <= 0.4 * abs(start.slope)


def test_the_cubic_through_two_points():
    a, b = (Point(t, t**3 - 3 * t, 3 * t**2 - 3) for t in (0.5, 2.0))
    assert [_minimum(a, b), _minimum(b, a)] == pytest.approx([1.0, 1.0])
    for lowest, tried in ((5.0, 5.0), (1.05, 2.0), (-1.0, 2.0)):  # only what is clearly farther
        assert _beyond(*(Point(t, (t - lowest) ** 2, 2 * (t - lowest)) for t in (0.0, 1.0))) == pytest.approx(tried)


def test_the_line_search_keeps_off_the_ends_of_its_interval():
    tried = []

    def steep(t):
        tried.append(t)
        return Point(t, 1e6 * t * t - t, 2e6 * t - 1)

    strong_wolfe(steep, steep(0.0), 1.0)
    assert tried[:4] == pytest.approx([0.0, 1.0, 0.1, 0.01])


def test_the_line_search_steps_back_from_slopes_that_are_no_numbers():
    tried = []

    def broken(t):
        tried.append(t)
        return Point(t, (t - 0.3) ** 2, math.nan if 0.2 < t < 0.5 else 2 * (t - 0.3))

    assert strong_wolfe(broken, broken(0.0), 1.0).slope == pytest.approx(2 * (0.15 - 0.3))
    assert tried == pytest.approx([0.0, 1.0, 0.3, 0.15])


def test_going_on_after_the_minimum_was_reached_divides_by_nothing(backend):
    """½(x² + 100 y²): the losses fall below the smallest number there is."""

    def objective(params):
        xp = nnx.namespace(params["x"])
        return 0.5 * xp.sum(params["x"] ** 2 * backend.asarray(np.asarray([1.0, 100.0])))

    optimizer, params = nnx.optim.LBFGS(), {"x": backend.asarray(np.asarray([-4.0, 1.0]))}
    state = optimizer.init(params)
    for _ in range(80):
        params, state = optimizer.step(nnx.value_and_grad(objective), state, params)
    assert np.all(np.isfinite(backend.to_numpy(params["x"])))
    assert state["loss"] < 1e-300
