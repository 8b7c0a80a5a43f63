"""The backend's hooks as differentiable functions: what the standard lacks, one node each.

On plain arrays each calls the hook of the arrays' backend; on traced arrays it calls itself one level down and records
its derivative, which is again made of these hooks and the standard.
"""

import inspect
import math
from typing import Any

from array_api_compat import device

from nnx import backends
from nnx.autodiff.namespace import Namespace
from nnx.autodiff.primitive import Primitive
from nnx.autodiff.tensor import bare_key
from nnx.backends import portable
from nnx.backends.portable.windows import places
from nnx.typing import Array
from nnx.typing import Namespace as Module


def joined(xp: Module, name: str) -> Any:
    """A hook that is an expression of the standard's functions: that expression where it is to be differentiated again."""
    return getattr(portable if isinstance(xp, Namespace) else backends.over(xp), name)


# scatter_add: y[i] = Σ_{k: index[k] = i} values[k]
def _scatter_add(xp: Module, index: Array, values: Array, *, n: int) -> tuple[Array, Any]:
    if isinstance(xp, Namespace):
        return scatter_add(index, values, n=n), index
    return backends.over(xp).scatter_add(xp, index, values, n), index


scatter_add = Primitive(_scatter_add, lambda xp, needs, index, g: (None, xp.take(g, index, axis=0)))
scatter_add.__doc__ = (
    """``scatter_add(index, values, n=)``: rows summed by number, index (K,) and values (K, …) → (n, …)."""
)


# put: zeros of a shape, with values added at a key; the adjoint of indexing
def _put(xp: Module, values: Array, *, shape: tuple[int, ...], key: Any) -> tuple[Array, Any]:
    key = bare_key(key)
    if isinstance(xp, Namespace):
        return put(values, shape=shape, key=key), key
    return backends.over(xp).put(xp, shape, key, values), key


put = Primitive(_put, lambda xp, needs, key, g: (g[key],))


# windows and fold: adjoint to each other
def _windows(xp: Module, x: Array, *, kernel: Any, stride: Any, dilation: Any) -> tuple[Array, Any]:
    saved = (tuple(x.shape[1:-1]), kernel, stride, dilation)
    if isinstance(xp, Namespace):
        return windows(x, kernel=kernel, stride=stride, dilation=dilation), saved
    return backends.over(xp).windows(xp, x, kernel, stride, dilation), saved


def _fold(xp: Module, columns: Array, *, spatial: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[Array, Any]:
    saved = (kernel, stride, dilation)
    if isinstance(xp, Namespace):
        return fold(columns, spatial=spatial, kernel=kernel, stride=stride, dilation=dilation), saved
    return backends.over(xp).fold(xp, columns, spatial, kernel, stride, dilation), saved


def _windows_back(xp: Module, needs: Any, saved: Any, g: Array) -> Any:
    spatial, kernel, stride, dilation = saved
    return (fold(g, spatial=spatial, kernel=kernel, stride=stride, dilation=dilation),)


def _fold_back(xp: Module, needs: Any, saved: Any, g: Array) -> Any:
    kernel, stride, dilation = saved
    return (windows(g, kernel=kernel, stride=stride, dilation=dilation),)


windows = Primitive(_windows, _windows_back)
fold = Primitive(_fold, _fold_back)
windows.__doc__ = (
    """``windows(x, kernel=, stride=, dilation=)``: x (N, *spatial, C) → (N, *places, Π kernel · C), without padding."""
)
fold.__doc__ = (
    """``fold(columns, spatial=, kernel=, stride=, dilation=)``: the windows added back, the adjoint of ``windows``."""
)


# unpool and pick: g put to where the largest values had stood, and the values read there; adjoint to each other
def _unpool(xp: Module, g: Array, *, place: Array, spatial: Any, **options: Any) -> tuple[Array, Any]:
    saved = (spatial, {"place": place, **options})
    if isinstance(xp, Namespace):
        return unpool(g, place=place, spatial=spatial, **options), saved
    sizes = (options[name] for name in ("kernel", "stride", "dilation"))
    return backends.over(xp).unpool(xp, g, place, spatial, *sizes), saved


def _pick(xp: Module, x: Array, *, place: Array, spatial: Any, kernel: Any, **options: Any) -> tuple[Array, Any]:
    saved = (spatial, {"place": place, "kernel": kernel, **options})
    if isinstance(xp, Namespace):
        return pick(x, place=place, spatial=spatial, kernel=kernel, **options), saved
    slots = places(tuple(place.shape[1:-1]), kernel, **options)
    total = xp.zeros(place.shape, dtype=x.dtype, device=device(x))
    for k, slot in enumerate(slots):
        total = xp.where(place == k, x[slot], total)
    return total, saved


def _unpool_back(xp: Module, needs: Any, saved: Any, g: Array) -> Any:
    spatial, options = saved
    return (pick(g, spatial=spatial, **options),)


def _pick_back(xp: Module, needs: Any, saved: Any, g: Array) -> Any:
    spatial, options = saved
    return (unpool(g, spatial=spatial, **options),)


unpool = Primitive(_unpool, _unpool_back)
pick = Primitive(_pick, _pick_back)


# erf(x) = 2/√π ∫₀ˣ exp(−t²) dt
def _erf(xp: Module, x: Array) -> tuple[Array, Any]:
    if isinstance(xp, Namespace):
        return erf(x), x
    return backends.over(xp).erf(xp, x), x


erf = Primitive(_erf, lambda xp, needs, x, g: (g * (2 / math.sqrt(math.pi)) * xp.exp(-x * x),))
erf.__doc__ = """``erf(x)``: the error function 2/√π ∫₀ˣ exp(−t²) dt, element by element."""


def _described(**hooks: Primitive) -> None:
    """What help() says of them: their own names, and no namespace, which they find themselves."""
    for name, hook in hooks.items():
        parameters = list(inspect.signature(hook.forward).parameters.values())[1:]
        vars(hook).update(__name__=name, __signature__=inspect.Signature(parameters))


_described(scatter_add=scatter_add, windows=windows, fold=fold, erf=erf)
