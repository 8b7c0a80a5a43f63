import subprocess
import sys
import threading

import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import backends

LARGE = 40_000


def adam(xp, p, g, m, v, rate, b1, c1, b2, c2, eps):
    m = b1 * m + c1 * g
    v = b2 * v + c2 * (g * g)
    return p - rate * m / (xp.sqrt(v) + eps), m, v


def clipped(xp, x, g, rate, bound):
    return x - rate * xp.where(xp.abs(g) > bound, bound * xp.sign(g), g)


def powers(xp, x, rate, power):
    return x * rate + xp.exp(-x) ** power


def relu_like(xp, x, slope):
    return xp.maximum(x, slope * x)


RULES = {
    "adam": (adam, 4, (1e-3, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-8), 0.0),
    "clipped": (clipped, 2, (0.1, 0.5), 0.0),
    "relu": (relu_like, 1, (0.01,), 0.0),
    "powers": (powers, 1, (0.3, 1.7), 4.0),
}


@pytest.fixture(params=RULES)
def case(request):
    return RULES[request.param]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5), (LARGE,), (LARGE // 8, 8)])
def test_a_fused_rule_equals_the_rule(be, case, shape, dtype):
    """Exact where the rule is + - * / sqrt and selections, but for JAX and CuPy, which contract a * b + c: NumPy's rule is theirs."""
    rule, count, numbers, allowed = case
    random = np.random.default_rng(0)
    on_host = [np.abs(random.normal(size=shape)).astype(dtype) for _ in range(count)]
    arrays = [be.asarray(array) for array in on_host]
    contracts = be.name in ("jax", "cupy")
    out = be.fuse(rule)(be.xp, *arrays, *numbers)
    expected = rule(np, *on_host, *numbers) if contracts else rule(be.xp, *arrays, *numbers)
    if contracts:
        assert_agrees(out, expected, rtol=8 * float(np.finfo(dtype).eps), scale=1.0 if count > 1 else 3.0, backend=be)
    elif allowed:
        assert_agrees(out, expected, ulp=allowed)
    else:
        assert_agrees(out, expected, exact=True)


needs_numba = pytest.mark.skipif(
    not backends.get("numpy").info()["fused"].startswith("on"), reason="numba is not installed"
)


@pytest.fixture
def fused_adam():
    be = backends.get("numpy")
    return be, be.fuse(adam), RULES["adam"][2]


@needs_numba
def test_large_arrays_run_compiled(fused_adam, monkeypatch):
    be, fused, numbers = fused_adam
    arrays = [np.ones(LARGE, "float32")] * 4
    before = fused(be.xp, *arrays, *numbers)
    monkeypatch.setattr(fused, "rule", None)  # the Python form is not needed any more
    assert_agrees(fused(be.xp, *arrays, *numbers), before, exact=True)
    assert not fused.declined
    with pytest.raises(TypeError, match="not callable"):
        fused(be.xp, *(array[:10] for array in arrays), *numbers)


@needs_numba
@pytest.mark.parametrize("other", ["float64 beside float32", "another shape", "integers", "a 0-d array"])
def test_what_is_not_compiled_runs_as_written(fused_adam, other):
    be, fused, numbers = fused_adam
    p = np.linspace(1, 2, LARGE, dtype="float32")
    g = {
        "float64 beside float32": p.astype("float64"),
        "another shape": p[:1],
        "integers": p,
        "a 0-d array": np.asarray(2, "f4"),
    }[other]
    p = p.astype("int32") if other == "integers" else p
    arrays = (p, g, p, p)
    assert_agrees(fused(be.xp, *arrays, *numbers), adam(be.xp, *arrays, *numbers), exact=True)


@needs_numba
def test_layouts_and_flags(fused_adam):
    be, fused, numbers = fused_adam
    x = np.linspace(1, 2, 2 * LARGE, dtype="float32").reshape(200, -1)
    arrays = (x.T, x.T[::-1], np.asfortranarray(x.T), x.T.copy())
    assert_agrees(fused(be.xp, *arrays, *numbers), adam(be.xp, *arrays, *numbers), exact=True)

    def either(xp, x, nesterov, rate):
        if nesterov:
            return x * rate
        return x / rate

    fused = be.fuse(either)
    for flag in (True, False):
        assert_agrees(fused(be.xp, x, flag, 3), either(be.xp, x, flag, 3), exact=True)
    assert not fused.declined


@needs_numba
def test_a_number_in_the_rule_that_would_widen_it_is_declined():
    be = backends.get("numpy")
    fused = be.fuse(lambda xp, x: 0.1 * x + 1.5)
    x = np.linspace(0, 1, LARGE, dtype="float32")
    assert_agrees(fused(be.xp, x), 0.1 * x + 1.5, exact=True)
    assert "a number in the rule takes part in another precision" in fused.declined


@needs_numba
def test_a_rule_the_compiler_cannot_take_is_declined():
    be = backends.get("numpy")
    fused = be.fuse(lambda xp, x: xp.cumulative_sum(x))
    x = np.ones(LARGE, "float32")
    assert_agrees(fused(be.xp, x), be.xp.cumulative_sum(x), exact=True)
    assert fused.declined


@needs_numba
def test_threads_may_call_at_once(fused_adam):
    be, fused, numbers = fused_adam
    arrays = [np.linspace(1, 2, LARGE, dtype="float32") for _ in range(4)]
    expected, wrong = adam(be.xp, *arrays, *numbers), []

    def work():
        for _ in range(50):
            if not all(map(np.array_equal, fused(be.xp, *arrays, *numbers), expected)):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_numba
def test_the_portable_default_where_numba_is_absent():
    program = (
        "import sys; sys.modules['numba'] = None; import importlib.util as u; u.find_spec = lambda n, f=u.find_spec: None if n == 'numba' else f(n);"
        "import numpy as np, nnx.backends as b; be = b.get(); f = lambda xp, x: x; print(be.fuse(f) is f, be.info()['fused'])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True off"


@needs_numba
def test_without_a_place_for_its_cache_a_rule_is_compiled_all_the_same():
    """A read-only installation, and a home that cannot be written either."""
    program = """
import numba, numpy as np
from numba.core import caching
from nnx.backends.fast import compiled

class Nowhere:
    @classmethod
    def from_function(cls, function, file):
        return None

caching.CacheImpl._locator_classes = [Nowhere]

def rule(xp, p, g, rate):
    return p - rate * g, g

fused = compiled.Fused(rule)
x = np.ones(50_000, dtype="float32")
p, g = fused(np, x, x, 0.5)
assert (p == 0.5).all() and not fused.declined and fused.loop_for([x, x, 0.5]) is not None
print("compiled")
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "compiled\n", done.stderr


@needs_numba
@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (lambda xp, x, rate: x - rate * xp.sqrt(x * x), True),
        (lambda xp, x, rate: x - rate * xp.exp(x), False),
        (lambda xp, x, rate: x - rate * helper(x), False),
    ],
    ids=["exact", "exp", "a function of its own"],
)
def test_short_arrays_are_compiled_in_time_only_where_the_bits_stay(rule, changes, monkeypatch):
    from nnx.backends.fast import compiled

    monkeypatch.setattr(compiled, "CALLS", 5)
    fused, x = compiled.Fused(rule), np.linspace(0.1, 3.0, 500, dtype="float32")
    results = [np.asarray(fused(np, x, 0.5)) for _ in range(8)]
    assert (fused.loop_for([x, 0.5]) is not None) is changes
    for result in results:
        np.testing.assert_array_equal(result, results[0])


@needs_numba
def test_erf_gives_the_same_bits_however_often_it_is_called(monkeypatch):
    from nnx.backends import portable
    from nnx.backends.fast import compiled

    monkeypatch.setattr(compiled, "CALLS", 5)
    erf, x = compiled.erf(portable.erf), np.linspace(-3.0, 3.0, 999, dtype="float32")
    first = erf(np, x)
    for _ in range(8):
        np.testing.assert_array_equal(erf(np, x), first)


def helper(x):
    return x * x
