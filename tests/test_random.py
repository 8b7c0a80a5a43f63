import numpy as np
import pytest
import scipy.stats
from support.compare import assert_agrees

from nnx import backends, random
from nnx.errors import ConfigError

K = random.key(0, "test", "layers.0.weight", 3)
N = 200_000
KEY_A = (2203815274897854186, 1676116226884300521)
KEY_B = (15178470182892544983, 1409398551084351898)
UNIFORM = [0.21157214803001323, 0.8275549085162994, 0.20600907993057727]
PERMUTATION = [6, 4, 2, 0, 5, 7, 1, 3]
MASK = [False, True, False, False, False, True, True, False]
NORMAL = [-0.8009781487750862, 0.9445470256827236, -0.8203472811356741, 1.7370248400106176, -1.0723479654606387]
TRUNCATED = [-0.7564300734545618, 0.8877079795112787, -0.7742694111240706]


def test_keys_are_pinned():
    """A change here changes every weight, shuffle and mask that anybody has ever drawn."""
    assert random.key(0, "weights") == KEY_A
    assert random.key(-1, "dropout", "layers.3", 10**20) == KEY_B


def test_the_stream_is_pinned():
    np.testing.assert_array_equal(random.uniform(K, (3,)), UNIFORM)
    assert random.permutation(K, 8).tolist() == PERMUTATION
    assert random.bernoulli(K, 0.5, (8,)).tolist() == MASK
    # log and sqrt of the tails may differ in the last bit between machines
    np.testing.assert_allclose(random.normal(K, (5,)), NORMAL, rtol=1e-15)
    np.testing.assert_allclose(random.truncated_normal(K, (3,)), TRUNCATED, rtol=1e-15)


def test_every_part_makes_another_key_and_none_runs_into_the_next():
    keys = [
        random.key(*parts)
        for parts in [
            (0, "a"),
            (1, "a"),
            (-1, "a"),
            (0, "b"),
            (0, "a", "x"),
            (0, "a", "", 1),
            (0, "a", "1"),
            (0, "ax"),
            (0, "", "a"),
            (0, "a", "x", 1),
            (0, "a", "x1"),
            (10, "a"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= word < 2**64 for key in keys for word in key)
    assert random.key(np.int64(0), "a", step=np.int32(2)) == random.key(0, "a", step=2)


@pytest.mark.parametrize("seed, step", [(0.5, 0), ("0", 0), (None, 0), (0, 1.0)])
def test_a_seed_is_an_integer(seed, step):
    with pytest.raises(ConfigError, match="expected an integer seed and step, got seed="):
        random.key(seed, "a", step=step)


def test_uniform_is_uniform():
    u = random.uniform(K, (N,))
    assert u.min() >= 0
    assert u.max() < 1
    assert scipy.stats.kstest(u, "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(random.uniform(K, (N,), -3, 5), scipy.stats.uniform(-3, 8).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4 / np.sqrt(N)


def test_normal_is_normal():
    x = random.normal(K, (N,))
    assert scipy.stats.kstest(x, "norm").pvalue > 1e-3
    assert scipy.stats.kstest(random.normal(K, (N,), 2.0, 0.5), scipy.stats.norm(2, 0.5).cdf).pvalue > 1e-3
    assert np.max(np.abs(x)) > 4


@pytest.mark.parametrize("low, high", [(-2, 2), (0, 1), (-1, 6), (3, 5), (-6, -5), (8, 9), (-9, 9)])
def test_truncated_normal(low, high):
    x = random.truncated_normal(K, (20_000,), low, high)
    assert low <= x.min()
    assert x.max() <= high
    assert scipy.stats.kstest(x, scipy.stats.truncnorm(low, high).cdf).pvalue > 1e-3
    with pytest.raises(ConfigError, match="truncated_normal: expected low < high"):
        random.truncated_normal(K, (1,), high, low)


def test_the_quantile_inverts_the_distribution():
    p = np.concatenate([10.0 ** -np.linspace(0.31, 300, 500), np.linspace(0.001, 0.999, 500)])
    expected = scipy.special.ndtri(p)
    np.testing.assert_allclose(random._quantile(p), expected, rtol=4e-15, atol=1e-16)


@pytest.mark.parametrize("draw", [random.uniform, random.normal, random.truncated_normal])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (5,), (2, 3)])
def test_shapes_dtypes_and_the_prefix(draw, shape):
    x = draw(K, shape)
    assert x.shape == shape
    assert x.dtype == np.float64
    np.testing.assert_array_equal(draw(K, (100,))[: x.size], x.reshape(-1))
    y = draw(K, shape, dtype="float32")
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, x.astype("float32"))


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation(n):
    order = random.permutation(K, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_permutations_of_four_are_equally_likely():
    counts = {}
    for step in range(4800):
        order = tuple(random.permutation(random.key(0, "shuffle", step=step), 4).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_masks_are_the_same_on_every_backend(backend):
    for shape in [(), (0,), (1,), (7,), (64, 33)]:
        for p in (0.0, 0.2, 0.5, 1.0):
            mask = random.bernoulli(K, p, shape, backend)
            assert_agrees(mask, random.bernoulli(K, p, shape), exact=True, backend=backend)
    assert backends.of(random.bernoulli(K, 0.5, (3,), backend.spec)) is backend


def test_masks_drawn_on_a_device_are_those_of_the_host():
    """The path of CuPy, on arrays that are not the host's: torch has no uint64 shifts, array-api-strict has."""
    from dataclasses import replace

    device = backends.get("strict:device1")
    on_device = replace(device, random_words=lambda key, count: device.asarray(device.random_words(key, count)))
    for shape in [(), (0,), (7,), (64, 33)]:
        for p in (0.0, 0.2, 1.0):
            mask = random.bernoulli(K, p, shape, on_device)
            assert_agrees(mask, random.bernoulli(K, p, shape), exact=True, backend=device)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_how_often_a_mask_is_true(p):
    mask = random.bernoulli(K, p, (N + 1,))
    assert abs(mask.mean() - p) <= 4 * np.sqrt(p * (1 - p) / N)
    np.testing.assert_array_equal(random.bernoulli(K, p, (77,)), mask[:77])


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_is_one(p):
    with pytest.raises(ConfigError, match=r"bernoulli: expected a probability in \[0, 1\], got p="):
        random.bernoulli(K, p, (1,))
