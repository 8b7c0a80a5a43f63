"""The crew: every part is done once, errors come back, BLAS has its threads again; and products in parts are the products."""

import importlib.util
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import backends
from nnx.backends.fast import crew, products

LARGE = 256  # 256³ multiplications are shared


@pytest.fixture
def three(monkeypatch):
    """Work is cut into three, whatever this machine has."""
    monkeypatch.setattr(crew, "size", lambda: 1 if getattr(crew._here, "busy", False) else 3)


@pytest.mark.parametrize(
    ("n", "least", "step"), [(10, 1, 1), (100, 7, 8), (64, 32, 32), (5, 3, 1), (0, 1, 1), (97, 1, 32)]
)
def test_a_cut_covers_everything_once_in_order(three, n, least, step):
    parts = crew.cut(n, least, step)
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert len(parts) == 1 or all(part.start % step == 0 and part.stop > part.start for part in parts)


def test_parts_are_done_side_by_side(three):
    met = threading.Barrier(3, timeout=10)  # breaks unless all three wait at once
    crew.share(lambda: met.wait(), [(), (), ()])


def test_threads_are_used_again(three):
    crew.share(lambda: None, [(), (), ()])
    before = threading.active_count()
    for _ in range(3):
        crew.share(lambda: None, [(), (), ()])
    assert threading.active_count() == before


def test_the_last_thread_may_be_taken_by_another_meanwhile(three, monkeypatch):
    class Taken(list):
        def __bool__(self):
            return True  # as it looked a moment ago

    monkeypatch.setattr(crew, "_idle", Taken())
    done = []
    crew.share(done.append, [(0,), (1,), (2,)])
    assert sorted(done) == [0, 1, 2]


def test_an_error_in_a_thread_is_raised_here_when_all_are_done(three):
    done = []

    def work(i):
        if i == 1:
            raise ValueError("part one")
        time.sleep(0.02)
        done.append(i)

    with pytest.raises(ValueError, match="part one"):
        crew.share(work, [(0,), (1,), (2,)])
    assert sorted(done) == [0, 2]
    crew.share(done.append, [(3,), (4,), (5,)])  # and the threads work on
    assert sorted(done) == [0, 2, 3, 4, 5]


def test_what_numpy_is_told_about_errors_holds_in_all_threads(three):
    zeros = np.zeros(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(divide="ignore"):
            crew.share(lambda i: zeros[i : i + 1].__rtruediv__(1.0), [(0,), (1,), (2,)])
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        crew.share(lambda i: zeros[i : i + 1].__rtruediv__(float(i > 0) or np.nan), [(0,), (1,), (2,)])


def test_within_a_part_nobody_shares_again(three):
    sizes = []
    crew.share(lambda: sizes.append(crew.size()), [(), (), ()])
    assert sizes == [1, 1, 1]
    assert crew.size() == 3


@pytest.fixture(params=["threadpoolctl", "the system's loader"])
def blas(request, monkeypatch):
    """NumPy's OpenBLAS, however it is found."""
    if request.param == "threadpoolctl":
        pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
        monkeypatch.setattr(crew, "CORE", "no such module")
    else:
        find = importlib.util.find_spec
        monkeypatch.setattr(
            crew.importlib.util, "find_spec", lambda name: None if name == "threadpoolctl" else find(name)
        )
    found = crew.openblas.__wrapped__()
    if found is None and "openblas" not in np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]:
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    return found


def test_blas_takes_one_thread_meanwhile_and_its_own_number_afterwards(blas, monkeypatch):
    monkeypatch.setattr(crew, "openblas", lambda: blas)
    before = blas.threads()
    try:
        blas.take(2)
        seen = []
        with crew.one_blas_thread:
            crew.share(lambda: seen.append(blas.threads()), [(), ()])
            assert crew.size() == 2
        assert seen == [1, 1]
        assert blas.threads() == crew.size() == 2
    finally:
        blas.take(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    program = """
import os, signal
from nnx.backends.fast import crew
crew.share(lambda: None, [(), (), ()])
child = os.fork()
if child == 0:
    signal.alarm(20)  # ends it if it waits for a thread that it does not have
    crew.share(lambda: None, [(), (), ()])
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((LARGE, LARGE), (LARGE, LARGE)),
        ((4 * LARGE, LARGE), (LARGE, 70)),  # cut by rows
        ((70, LARGE), (LARGE, 4 * LARGE)),  # cut by columns
        ((37, 2000), (2000, 67)),
        ((6, 64, 200), (200, 64)),
        ((8, 100, 80), (8, 80, 100)),
        ((2, 4, 100, 80), (2, 4, 80, 100)),
        ((1, 300, 300), (1, 300, 300)),
        ((LARGE, LARGE), (3, LARGE, LARGE)),  # broadcast: NumPy's alone
    ],
)
def test_a_product_in_parts_is_the_product(three, a, b, dtype):
    be, draw = backends.get("numpy"), np.random.default_rng(0)
    x, y = (draw.normal(size=shape).astype(dtype) for shape in (a, b))
    rtol, scale = 4 * np.sqrt(a[-1]) * float(np.finfo(dtype).eps), np.abs(x) @ np.abs(y)
    assert_agrees(be.product(be.xp, x, y), x @ y, rtol=rtol, scale=scale)
    turned = np.swapaxes(np.ascontiguousarray(np.swapaxes(x, -1, -2)), -1, -2)
    assert_agrees(be.product(be.xp, turned, y), x @ y, rtol=rtol, scale=scale)


def test_large_products_are_indeed_shared(three, monkeypatch):
    monkeypatch.setattr(crew, "openblas", lambda: crew.OpenBlas(lambda: 3, lambda n: None))
    parts, share = [], crew.share
    monkeypatch.setattr(crew, "share", lambda function, given: parts.append(len(given)) or share(function, given))
    x = np.ones((LARGE, LARGE), "float32")
    assert_agrees(products.product(np, x, x), np.full((LARGE, LARGE), float(LARGE), "float32"), exact=True)
    assert parts == [3]


def test_few_rows_are_left_to_blas_but_within_a_training_step(three, monkeypatch):
    shared, share = [], crew.share
    monkeypatch.setattr(crew, "share", lambda function, parts: shared.append(len(parts)) or share(function, parts))
    row, matrix = np.ones((1, 2048), "float32"), np.ones((2048, 2048), "float32")
    expected = np.full((1, 2048), 2048.0, "float32")
    assert_agrees(products.product(np, row, matrix), expected, exact=True)
    assert shared == []
    if crew.openblas() is not None:
        with crew.one_blas_thread:
            assert_agrees(products.product(np, row, matrix), expected, exact=True)
        assert shared == [3]
