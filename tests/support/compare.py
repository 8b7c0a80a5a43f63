"""Equality that looks at namespace, dtype, shape and device before it looks at a single value."""

from typing import Any

import array_api_compat
import numpy as np


def assert_agrees(
    actual: Any,
    expected: Any,
    *,
    exact: bool = False,
    ulp: float | None = None,
    rtol: float | None = None,
    scale: Any = None,
    backend: Any = None,
    dtype: str | None = None,
    what: str = "",
) -> tuple[float, float]:
    """Raise unless ``actual`` is ``expected``, in one of three tiers; return (measured, tolerance) for the record::

        exact=True             every bit pattern equal but for NaN payloads; -0 and 0 differ
        ulp=u                  |a - e| <= u spacing(e), in the dtype of actual
        rtol=r                 |a - e| <= r |e|
        rtol=r, scale=s        |a - e| <= r s, with s a number or an array: the size of the terms that were summed

    NaN agrees with NaN alone, an infinity with itself alone. With ``backend`` the actual array must live there and
    ``expected`` may be a host array or nested list, also of a wider dtype: then give the dtype wanted as ``dtype``.
    Without it the two must be of the same namespace, device and dtype. Tuples and lists are compared item by item.
    """
    if [exact, ulp is not None, rtol is not None].count(True) != 1:
        raise TypeError("say one of exact=True, ulp=, rtol=")
    if isinstance(actual, tuple | list):
        assert len(actual) == len(expected), f"{what}expected {len(expected)} arrays, got {len(actual)}"
        tiers = {"exact": exact, "ulp": ulp, "rtol": rtol, "scale": scale, "backend": backend, "dtype": dtype}
        pairs = [
            assert_agrees(a, e, what=f"{what}[{i}] ", **tiers)
            for i, (a, e) in enumerate(zip(actual, expected, strict=True))
        ]
        return max(pairs, default=(0.0, ulp or rtol or 0.0))
    compare_kinds(actual, expected, backend, dtype, what)
    a = on_host(actual)
    e = on_host(expected).astype(a.dtype) if exact else on_host(expected)
    if exact:
        wrong = ~same(a, e)
        measured, tolerance = wrong.astype(np.float64), 0.0
    else:
        error = distance(a, e)
        unit = (
            spacing(e, a.dtype)
            if ulp is not None
            else np.broadcast_to(np.abs(e if scale is None else on_host(scale)), a.shape)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            measured = np.where(error == 0, 0.0, np.where(np.isinf(error), np.inf, error / unit.astype(error.dtype)))
            measured = measured.astype(np.float64)
        tolerance = float(ulp if ulp is not None else rtol or 0.0)
        wrong = ~(measured <= tolerance)
    worst = float(np.max(measured, initial=0.0)) if not np.any(np.isnan(measured)) else float("nan")
    if np.any(wrong):
        raise AssertionError(report(a, e, measured, wrong, tolerance, "ulp" if ulp is not None else "", what))
    return worst, tolerance


def compare_kinds(actual: Any, expected: Any, backend: Any, dtype: str | None, what: str) -> None:
    """Namespace, dtype, shape, device; each with a sentence of its own."""
    if backend is None:
        check(what, "namespace", name_of(actual), name_of(expected))
        check(what, "device", array_api_compat.device(actual), array_api_compat.device(expected))
    else:
        check(what, "namespace", name_of(actual), backend.xp.__name__)
        check(what, "device", array_api_compat.device(actual), backend.device)
    wanted = expected if hasattr(expected, "dtype") else np.asarray(expected)
    check(what, "dtype", dtype_of(actual), dtype or dtype_of(wanted))
    check(what, "shape", tuple(actual.shape), tuple(wanted.shape))


def check(what: str, kind: str, got: Any, expected: Any) -> None:
    assert got == expected, f"{what}{kind}: expected {expected}, got {got}"


def name_of(array: Any) -> str:
    if isinstance(array, np.generic):
        return "array_api_compat.numpy"
    return str(array_api_compat.array_namespace(array).__name__)


def dtype_of(array: Any) -> str:
    """``torch.float32``, ``array_api_strict.float32`` and ``dtype('float32')`` are all ``float32``."""
    return str(array.dtype).rpartition(".")[2]


def on_host(array: Any) -> Any:
    if isinstance(array, np.ndarray | np.generic | int | float | complex | list | tuple):
        return np.asarray(array)
    from nnx import backends

    return np.asarray(backends.of(array).to_numpy(array))


def wider(dtype: Any) -> Any:
    """A dtype in which a difference of two values of ``dtype`` does not round."""
    return np.clongdouble if np.issubdtype(dtype, np.complexfloating) else np.longdouble


def same(a: Any, e: Any) -> Any:
    if not np.issubdtype(a.dtype, np.inexact):
        return a == e
    if np.iscomplexobj(a):
        return same(a.real, e.real) & same(a.imag, e.imag)
    return (np.isnan(a) & np.isnan(e)) | ((a == e) & (np.signbit(a) == np.signbit(e)))


def distance(a: Any, e: Any) -> Any:
    """|a - e|; 0 where both are the same infinity or both NaN, infinite where only one is finite."""
    wide = wider(np.result_type(a.dtype, e.dtype))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(a.astype(wide) - e.astype(wide))
    alike = (a == e) | (np.isnan(a) & np.isnan(e))
    return np.where(alike, 0, np.where(np.isfinite(a) & np.isfinite(e), error, np.inf))


def spacing(e: Any, dtype: Any) -> Any:
    """The gap between neighbours of ``dtype`` at |e|; of the larger part of a complex number."""
    real = np.dtype(dtype).type(0).real.dtype
    if not np.issubdtype(real, np.floating):
        return np.ones(e.shape)
    size = np.maximum(np.abs(e.real), np.abs(e.imag)) if np.iscomplexobj(e) else np.abs(e)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.spacing(np.minimum(size.astype(real), np.finfo(real).max))


def report(a: Any, e: Any, measured: Any, wrong: Any, tolerance: float, unit: str, what: str) -> str:
    at = np.unravel_index(int(np.argmax(np.where(wrong, np.nan_to_num(measured, nan=np.inf), -1.0))), a.shape)
    where = f" at [{', '.join(str(int(i)) for i in at)}]" if at else ""
    return (
        f"{what}{int(np.sum(wrong))} of {a.size} elements disagree; the worst{where}: expected {e[at]!r}, got {a[at]!r}"
        f" ({float(measured[at]):.3g} {unit or 'relative'}, allowed {tolerance:.3g})"
    )
