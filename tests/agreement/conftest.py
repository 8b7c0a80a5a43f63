"""Pairs of backends: each one chosen is compared with NumPy and with those chosen before it."""

from typing import Any

import pytest


@pytest.fixture
def others(backend: Any, request: pytest.FixtureRequest) -> list[Any]:
    """The backends to compare this one with; NumPy with itself, which must be bit for bit the same."""
    from nnx import backends

    chosen = [backends.get(spec.strip()) for spec in request.config.getoption("--backend").split(",") if spec.strip()]
    before = chosen[: chosen.index(backend)] if backend in chosen else []
    return list(dict.fromkeys([backends.get("numpy"), *before]))
