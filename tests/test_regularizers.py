"""Penalties and the max-norm constraint against closed forms, differences and scikit-learn's objective."""

from typing import Any

import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import errors, regularizers
from nnx.regularizers import L1, L2, ElasticNet, MaxNorm

PENALTIES = {
    "L2": (L2(0.3), lambda w: 0.15 * np.sum(w**2)),
    "L1": (L1(0.3), lambda w: 0.3 * np.sum(np.abs(w))),
    "ElasticNet": (ElasticNet(0.3, mix=0.2), lambda w: 0.3 * (0.2 * np.linalg.norm(w.ravel(), 1) + 0.4 * np.linalg.norm(w.ravel()) ** 2)),
}  # fmt: skip
every = pytest.mark.parametrize("penalty, closed", PENALTIES.values(), ids=PENALTIES)


def parameters() -> dict[str, Any]:
    rng = np.random.Generator(np.random.Philox(key=[0, 9]))
    shapes = {"first.weight": (4, 3), "first.bias": (3,), "kernel": (2, 2, 3, 4), "gain": ()}
    params = {path: np.asarray(rng.normal(size=shape)) for path, shape in shapes.items()}
    for array in params.values():
        array.flags.writeable = False
    return params


@every
def test_closed_form_on_the_weights_alone(penalty: Any, closed: Any, backend: Any) -> None:
    params = parameters()
    value = penalty({path: backend.asarray(w) for path, w in params.items()})
    expected = closed(params["first.weight"]) + closed(params["kernel"])
    assert_agrees(backend.xp.asarray(value), np.asarray(expected), rtol=1e-14, backend=backend)


@every
def test_gradient_against_central_differences(penalty: Any, closed: Any) -> None:
    params, h = parameters(), 1e-6
    gradient = penalty.gradient(params)
    assert list(gradient) == list(params)
    for path, w in params.items():
        for index in np.ndindex(w.shape):
            moved = []
            for sign in (1, -1):
                there = w.copy()
                there[index] += sign * h
                moved.append(float(penalty({**params, path: there})))
            assert (moved[0] - moved[1]) / (2 * h) == pytest.approx(gradient[path][index], rel=1e-7, abs=1e-8), (
                path,
                index,
            )


@every
def test_traced_parameters_give_the_gradient(penalty: Any, closed: Any, backend: Any) -> None:
    import nnx

    params = {path: backend.asarray(w) for path, w in parameters().items()}
    gradient, expected = nnx.grad(penalty)(params), penalty.gradient(params)
    for path in params:
        assert_agrees(gradient[path], backend.to_numpy(expected[path]), rtol=1e-14, backend=backend)


@every
def test_float32_stays_float32(penalty: Any, closed: Any, backend: Any) -> None:
    params = {path: backend.asarray(w, dtype="float32") for path, w in parameters().items()}
    for array in (penalty(params), *penalty.gradient(params).values(), *MaxNorm(1.0)(params).values()):
        assert str(array.dtype).rpartition(".")[2] == "float32"


def test_what_a_penalty_applies_to() -> None:
    params = {"a.weight": np.full((2, 2), 2.0), "a.bias": np.full(2, 2.0)}
    assert [
        float(L1(1.0, applies_to)(params)) for applies_to in ("weights", "all", ("*.bias",), lambda path, w: False)
    ] == [8.0, 12.0, 4.0, 0.0]
    assert L1(1.0).gradient(params)["a.bias"].tolist() == [0.0, 0.0]
    nothing = L1(1.0)({"a.bias": np.zeros(2, dtype=np.float32)})
    assert (nothing.shape, nothing.dtype) == ((), np.float32)


def test_elastic_net_is_the_penalty_of_scikit_learn() -> None:
    # It minimises 1/(2n) ‖y − Xw‖² + alpha (l1_ratio ‖w‖₁ + ½ (1 − l1_ratio) ‖w‖²): our gradient vanishes at its solution.
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    rng = np.random.Generator(np.random.Philox(key=[0, 10]))
    x, truth = rng.normal(size=(60, 5)), np.asarray([2.0, -1.0, 0.5, 3.0, -2.0])
    y = x @ truth + 0.1 * rng.normal(size=60)
    w = (
        linear_model.ElasticNet(alpha=0.1, l1_ratio=0.4, fit_intercept=False, tol=1e-14, max_iter=100_000)
        .fit(x, y)
        .coef_
    )
    assert np.all(w != 0)
    slope = x.T @ (x @ w - y) / 60 + ElasticNet(0.1, mix=0.4).gradient({"w": w[:, None]})["w"][:, 0]
    assert np.max(np.abs(slope)) < 1e-10


@pytest.mark.parametrize("path", ["first.weight", "kernel"])
def test_max_norm_pulls_each_unit_back(path: str, backend: Any) -> None:
    params, limit = parameters(), 1.5
    w = params[path]
    expected = np.stack([u * min(1.0, limit / np.linalg.norm(u)) for u in np.moveaxis(w, -1, 0)], axis=-1)
    kept = [np.array_equal(expected[..., k], w[..., k]) for k in range(w.shape[-1])]
    out = MaxNorm(limit)({key: backend.asarray(value) for key, value in params.items()})
    assert_agrees(out[path], expected, rtol=1e-14, backend=backend)
    for k in np.flatnonzero(kept):
        assert_agrees(backend.to_numpy(out[path])[..., k], w[..., k], exact=True)
    assert_agrees(out["first.bias"], params["first.bias"], exact=True, backend=backend)
    if path == "first.weight":
        assert any(kept)
        assert not all(kept)


def test_max_norm_of_zeros_and_of_biases() -> None:
    params = {"w": np.zeros((2, 3)), "b": np.asarray([-4.0, 0.5])}
    out = MaxNorm(1.0, applies_to="all")(params)
    assert out["w"].tolist() == [[0.0] * 3] * 2
    assert out["b"].tolist() == [-1.0, 0.5]


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: L2(-0.1), r"L2: strength is out of range, expected a number >= 0, got -0\.1"),
        (lambda: L1("much"), r"L1: strength is out of range, .* got 'much'"),
        (lambda: L1(True), r"L1: strength is out of range, .* got True"),
        (lambda: ElasticNet(0.1, mix=1.1), r"ElasticNet: mix is out of range, expected a number in \[0, 1\], got 1\.1"),
        (lambda: L2(0.1, applies_to="biases"), r"L2: applies_to is unknown, .* got 'biases'\. Pass applies_to"),
        (lambda: MaxNorm(0.0), r"MaxNorm: limit is out of range, expected a number > 0, got 0\.0"),
        (lambda: MaxNorm(1.0, applies_to=("a", 1)), r"MaxNorm: applies_to is unknown"),
    ],
)
def test_a_wrong_setting_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(errors.ConfigError, match=sentence):
        make()


def test_nothing_to_penalise() -> None:
    with pytest.raises(errors.StateError, match=r"L2: there is nothing to penalise, expected parameters, got \{\}"):
        L2(0.1)({})


def test_the_table_is_complete() -> None:
    kinds = {
        name
        for name, value in vars(regularizers).items()
        if isinstance(value, type) and issubclass(value, regularizers.Penalty)
    }
    assert kinds - {"Penalty"} == set(PENALTIES)
