"""Where the inputs of an estimator live: on the host, like lists and data frames, or on a backend, where the answers stay."""

from typing import Any

import numpy as np

from nnx import backends
from nnx.errors import DataError, MixedArraysError, ShapeError
from nnx.typing import Array


def home_of(x: Any) -> backends.Backend:
    """The backend of an array; NumPy's for a list, a data frame and all else that NumPy can read."""
    try:
        return backends.of(x)
    except MixedArraysError:
        return backends.get("numpy")


def on_host(x: Any) -> Any:
    """An array of a backend on the host; anything else as it is."""
    home = home_of(x)
    return x if home.name == "numpy" else home.to_numpy(x)


def check_rows(x: Array, home: backends.Backend, where: str) -> None:
    """Rows (N, features) of finite numbers, looked at where they are."""
    if x.ndim != 2:
        raise ShapeError(
            expected="X of shape (N, features)",
            got=f"{tuple(x.shape)}",
            where=where,
            fix="Reshape your data: (N, 1) for one feature, (1, features) for one row.",
        )
    with home.use():
        finite = bool(home.to_numpy(home.xp.all(home.xp.isfinite(x))))
    if not finite:
        raise DataError(
            expected="finite numbers in X", got="NaN or infinity", where=where, fix="Drop those rows or fill them."
        )


def in_floats(x: Array, home: backends.Backend) -> Array:
    """Rows in 32 or 64 bits as they are; whole numbers and others in 64, or in 32 where the device has no 64."""
    xp = home.xp
    known = [getattr(xp, name) for name in ("float32", "float64") if not home.refuses(name)]
    return x if x.dtype in known else xp.astype(x, known[-1])


def sent(values: np.ndarray[Any, Any], home: backends.Backend) -> Array:
    """Host values on a backend, in 32 bits where it has no 64."""
    name = values.dtype.name
    return home.asarray(values, dtype=name.replace("64", "32") if home.refuses(name) else None)
