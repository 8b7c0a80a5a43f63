"""The number of threads is a wish for a while: obeyed inside, undone outside, and never above the user's own."""

import pytest

from nnx import backends
from nnx.backends import threads


@pytest.fixture
def unset(monkeypatch):
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)


def blas():
    controls = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    pools = [pool for pool in controls.threadpool_info() if pool["user_api"] == "blas"]
    return [pool["num_threads"] for pool in pools]


def test_blas_takes_one_inside_and_as_many_as_before_outside(unset):
    controls = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    with controls.threadpool_limits(2, user_api="blas"):
        before = blas()
        with backends.get("numpy").threads(1):
            assert set(blas()) == {1}
        assert blas() == before != []


def test_what_the_user_chose_stays(unset, monkeypatch):
    controls = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    with controls.threadpool_limits(2, user_api="blas"):
        before = blas()
        with backends.get("numpy").threads(1):
            assert blas() == before


def test_without_threadpoolctl_nothing_happens(unset, monkeypatch):
    monkeypatch.setattr(threads.importlib.util, "find_spec", lambda name: None)
    with threads.blas_threads(1) as limits:
        assert limits is None


def test_torch_has_a_pool_of_its_own(unset):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with backends.get("torch").threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
