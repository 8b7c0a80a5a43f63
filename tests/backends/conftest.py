"""Every backend that is usable here, whatever ``--backend`` says: a hook's override is held against its default."""

from typing import Any

import pytest
from support.strict import close_the_holes

from nnx import backends

SPECS = [spec for name in backends.available() for spec in ((name, "strict:device1") if name == "strict" else (name,))]


@pytest.fixture(params=SPECS)
def be(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "strict:device1":
        close_the_holes(monkeypatch)
    return backends.get(request.param)


@pytest.fixture
def host() -> Any:
    """NumPy with every hook at its portable default: the oracle."""
    from nnx.backends import portable

    return portable


@pytest.fixture
def tables(be: Any, host: Any) -> Any:
    """The backend's hooks and the portable ones on its arrays; on JAX, where each shape compiles anew, the former alone."""
    return (be,) if be.name == "jax" else (be, host)
