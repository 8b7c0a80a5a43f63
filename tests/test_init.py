"""Initialisers: moments and limits with fixed seeds, formulas, fans, orthogonality, errors."""

import math

import numpy as np
import pytest

from nnx import init, random
from nnx.errors import ConfigError, ShapeError

KEY = random.key(0, "initialize", "layers.0.weight")
SHAPE = (300, 200)
N = 300 * 200

VARIANCES = {
    "normal": (init.normal(0.05), 0.05**2),
    "truncated_normal": (init.truncated_normal(0.05), 0.05**2),
    "uniform": (init.uniform(0.3), 0.3**2 / 3),
    "lecun_normal": (init.lecun_normal(), 1 / 300),
    "lecun_uniform": (init.lecun_uniform(), 1 / 300),
    "glorot_normal": (init.glorot_normal(), 2 / 500),
    "glorot_uniform": (init.glorot_uniform(), 2 / 500),
    "xavier_normal": (init.xavier_normal(), 2 / 500),
    "xavier_uniform": (init.xavier_uniform(), 2 / 500),
    "he_normal": (init.he_normal(), 2 / 300),
    "he_uniform": (init.he_uniform(), 2 / 300),
    "he_normal for tanh": (init.he_normal(gain=init.gain("tanh")), 25 / 9 * 2 / 300),
    "fan_out": (init.VarianceScaling(2.0, "fan_out"), 2 / 200),
    "truncated he": (init.VarianceScaling(2.0, "fan_in", "truncated_normal"), 2 / 300),
}


def moments(w):
    w = w / w.std()
    return (w**4).mean()


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_variance_and_shape_of_the_distribution(name):
    initializer, variance = VARIANCES[name]
    w = initializer(KEY, SHAPE)
    assert w.dtype == np.float64
    assert w.shape == SHAPE
    assert abs(w.mean()) < 4 * math.sqrt(variance / N)
    assert abs(w.var() / variance - 1) < 4 * math.sqrt(2 / N)  # of a normal; the others vary less
    std = math.sqrt(variance)
    if "uniform" in name:
        limit = math.sqrt(3) * std
        assert limit * (1 - 1e-3) < np.abs(w).max() <= limit
        assert abs(moments(w) - 9 / 5) < 0.03
    elif "truncated" in name:
        assert 2 * std / 0.8796256610342398 * (1 - 1e-3) < np.abs(w).max() <= 2 * std / 0.8796256610342398
        assert 2.0 < moments(w) < 2.5
    else:
        assert 4 * std < np.abs(w).max() < 6 * std
        assert abs(moments(w) - 3) < 0.1


def test_draws_are_a_function_of_the_key():
    first = init.he_normal()(KEY, SHAPE)
    assert np.array_equal(first, init.he_normal()(KEY, SHAPE))
    other = init.he_normal()(random.key(0, "initialize", "layers.1.weight"), SHAPE)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 4 / math.sqrt(N)


def test_formula_from_the_normal_draws():
    assert np.array_equal(init.he_normal()(KEY, (4, 3)), math.sqrt(2 / 4) * random.normal(KEY, (4, 3)))
    limit = math.sqrt(3) * math.sqrt(1 / 3.5)
    assert np.array_equal(init.glorot_uniform()(KEY, (4, 3)), random.uniform(KEY, (4, 3), -limit, limit))


@pytest.mark.parametrize("shape, expected", [((64, 10), (64, 10)), ((3, 3, 16, 32), (144, 288)), ((5, 2, 7), (10, 35))])
def test_fans(shape, expected):
    assert init.fans(shape) == expected


def test_the_variance_of_a_convolution_counts_its_window():
    w = init.he_normal()(KEY, (5, 5, 8, 300))
    assert abs(w.var() * (5 * 5 * 8) / 2 - 1) < 4 * math.sqrt(2 / w.size)


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (3, 3, 2, 5)], ids=str)
def test_orthogonal(shape):
    w = init.orthogonal(gain=2.0)(KEY, shape).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    assert np.abs(gram - 4 * np.eye(len(gram))).max() < 1e-14
    assert w.reshape(shape).shape == shape


def test_orthogonal_matrices_are_not_biased_by_the_signs_of_qr():
    """Without the sign rule the diagonal of Q leans to one side; with it Q is as likely as −Q."""
    traces = [np.trace(init.orthogonal()(random.key(seed, "t"), (4, 4))) for seed in range(400)]
    assert abs(np.mean(traces)) < 4 / math.sqrt(400)  # the trace of a random orthogonal matrix has variance 1
    assert abs(np.var(traces) - 1) < 0.3


def test_constants_and_identity():
    assert init.zeros()(KEY, (2,)).tolist() == [0.0, 0.0]
    assert init.ones()(KEY, (2,)).tolist() == [1.0, 1.0]
    assert init.constant(0.5)(KEY, ()).tolist() == 0.5
    assert init.identity(1.3)(KEY, (2, 3)).tolist() == [[1.3, 0, 0], [0, 1.3, 0]]


def test_gains_keep_the_variance():
    """With the gain over 1/fan_in: E f(gain·z)² is 1 for the rectifiers, whose scale does not matter."""
    z = random.normal(KEY, (200_000,))
    for name, f in {
        "linear": lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "leaky_relu": lambda z: np.where(z > 0, z, 0.3 * z),
    }.items():
        gain = init.gain(name, 0.3) if name == "leaky_relu" else init.gain(name)
        assert abs((f(gain * z) ** 2).mean() - 1) < 0.02, name
    assert init.gain("tanh") == 5 / 3
    assert init.gain("sigmoid") == 1
    assert init.gain("selu") == 0.75


def test_he_keeps_the_scale_through_fifty_relu_layers_and_small_normal_loses_it():
    def scale(initializer):
        x = random.normal(random.key(1, "x"), (100, 200))
        for i in range(50):
            x = np.maximum(x @ initializer(random.key(0, "w", str(i)), (200, 200)), 0)
        return math.sqrt((x**2).mean())

    assert 0.2 < scale(init.he_normal()) < 5
    assert scale(init.normal(0.01)) < 1e-40
    assert scale(init.lecun_normal()) < 1e-6  # halved in variance by each layer


def test_registry_is_complete():
    kinds = {cls for cls in vars(init).values() if isinstance(cls, type) and issubclass(cls, init.Initializer)}
    assert set(init.REGISTRY.values()) == kinds - {init.Initializer}


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (lambda: init.normal(-1.0), ConfigError, r"expected std ≥ 0 and finite, got -1\.0"),
        (lambda: init.normal(math.nan), ConfigError, r"expected std ≥ 0 and finite, got nan"),
        (lambda: init.normal("0.1"), ConfigError, r"expected std ≥ 0 and finite, got '0\.1'"),
        (lambda: init.uniform(math.inf), ConfigError, r"expected limit ≥ 0 and finite, got inf"),
        (lambda: init.VarianceScaling(-2.0), ConfigError, r"expected scale ≥ 0 and finite, got -2\.0"),
        (lambda: init.he_normal(gain=math.nan), ConfigError, r"expected gain ≥ 0 and finite, got nan"),
        (lambda: init.orthogonal(gain=-1.0), ConfigError, r"expected gain ≥ 0 and finite, got -1\.0"),
        (
            lambda: init.VarianceScaling(1.0, "fan"),
            ConfigError,
            r"expected fan one of fan_in, fan_out, average, got 'fan'",
        ),
        (
            lambda: init.VarianceScaling(1.0, "fan_in", "gauss"),
            ConfigError,
            r"expected distribution one of normal, uniform",
        ),
        (lambda: init.gain("swish"), ConfigError, r"expected activation one of linear, .*leaky_relu, got 'swish'"),
        (
            lambda: init.he_normal()(KEY, (3,)),
            ShapeError,
            r"at least two axes \(…, in, out\), got shape \(3,\)\. Use nnx\.init",
        ),
        (lambda: init.orthogonal()(KEY, ()), ShapeError, r"at least two axes"),
        (lambda: init.identity()(KEY, (2, 2, 2)), ShapeError, r"expected a matrix shape \(in, out\), got \(2, 2, 2\)"),
        (lambda: init.Initializer()(KEY, (2,)), TypeError, r"Initializer must define __call__\(key, shape\)"),
    ],
)
def test_errors(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
