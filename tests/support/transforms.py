"""What tests of the transforms share."""

from typing import Any

import numpy as np

import nnx


def arrays(backend: Any, *values: Any) -> list[Any]:
    return [backend.asarray(np.asarray(v, dtype=np.float64) if not isinstance(v, np.ndarray) else v) for v in values]


def same(backend: Any, got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(backend.to_numpy(got), wanted, rtol=1e-13, atol=1e-14)


def cube(x: Any) -> Any:
    return nnx.namespace(x).sum(x**3)
