"""ONNX graphs: arrays of ndonnx, which hold no values. A function of them is computed once, and that computation is the graph.

Only inference goes through here, so this backend stands in no list of names. An axis whose length is not known has
length ``None``, as the standard says. ndonnx gives guards for arrays without values, behind which an axis loses its
known length too; the arrays here keep it, for layers check it. Where ONNX has an operator for a whole hook, the hook is
that operator.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it advises to install onnxruntime, which is not needed to write a graph
    import ndonnx

import onnx
import spox.opset.ai.onnx.v21 as op
from spox import Tensor, Var
from spox._internal_op import unsafe_cast

from nnx.backends import portable
from nnx.backends.backend import Backend, Deviation, dtype_name
from nnx.backends.portable.convolution import Pads
from nnx.backends.portable.windows import Axes
from nnx.typing import Namespace

Shape = tuple[int | str | None, ...]


# arrays ---------------------------------------------------------------------------------------------------------------
class Array(ndonnx.Array):  # type: ignore[misc]
    """An array of ndonnx whose namespace is the one below."""

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Namespace:
        return xp

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other) if isinstance(other, ndonnx.Array) else NotImplemented

    __hash__ = object.__hash__


def ours(out: Any) -> Any:
    """Results of ndonnx as arrays of this file."""
    if isinstance(out, ndonnx.Array) and type(out) is not Array:
        twin = object.__new__(Array)
        twin._tyarray = out._tyarray
        return twin
    if isinstance(out, (tuple, list)):
        results = [ours(item) for item in out]
        return type(out)(*results) if hasattr(out, "_fields") else type(out)(results)
    return out


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of ndonnx that gives arrays of this file."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return ours(function(*args, **kwargs))

    return call


def made(node: Var, shape: Shape | None = None) -> Any:
    """The result of an operator of ONNX; with the shape, where it could not tell."""
    if shape is not None:
        node = unsafe_cast(node, Tensor(node.unwrap_tensor().dtype, shape))
    return ours(ndonnx.asarray(node))


OPERATORS = (
    "abs", "add", "and", "eq", "floordiv", "ge", "getitem", "gt", "invert", "le", "lshift", "lt", "mod", "mul", "ne", "neg",
    "or", "pos", "pow", "radd", "rand", "rfloordiv", "rmod", "rmul", "ror", "rpow", "rsub", "rtruediv", "rxor", "rshift",
    "sub", "truediv", "xor",
)  # fmt: skip
for _name in OPERATORS:
    if f"__{_name}__" in ndonnx.Array.__dict__:
        setattr(Array, f"__{_name}__", wrapped(getattr(ndonnx.Array, f"__{_name}__")))
Array.T = property(lambda self: ours(ndonnx.Array.T.fget(self)))
Array.mT = property(lambda self: ours(ndonnx.Array.mT.fget(self)))


# namespace ------------------------------------------------------------------------------------------------------------
def matmul(x1: Any, x2: Any, /) -> Any:
    """Without ndonnx's guard, which forgets all lengths: an axis that is summed over is never empty here."""
    return made(op.matmul(x1.unwrap_spox(), x2.unwrap_spox()))


def _largest(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """NaN where there is one, as in NumPy; the axes are never empty here."""
    axes = _axes(x, axis)

    def largest(values: Any) -> Any:
        return made(op.reduce_max(values.unwrap_spox(), axes, keepdims=int(keepdims)))

    return _with_nan(largest, x) if ndonnx.isdtype(x.dtype, "real floating") else largest(x)


def _with_nan(largest: Callable[[Any], Any], x: Any) -> Any:
    """The largest values of groups; NaN for a group that has one, of which ONNX says nothing."""
    unknown = largest(ours(ndonnx.astype(ndonnx.isnan(x), x.dtype))) > 0
    return ours(ndonnx.where(unknown, ndonnx.asarray(float("nan"), dtype=x.dtype), largest(x)))


def _mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    return made(op.reduce_mean(x.unwrap_spox(), _axes(x, axis), keepdims=int(keepdims)))


def _axes(x: Any, axis: Any) -> Var:
    chosen = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return op.const(np.asarray([a % x.ndim for a in chosen], np.int64))


def _reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """The name of the axis of any length stays, where it is still the first."""
    first, *rest = x.unwrap_spox().unwrap_tensor().shape
    kept = isinstance(first, str) and shape[0] == -1 and None not in rest and prod(rest) == prod(shape[1:])
    y = op.reshape(x.unwrap_spox(), op.const(np.asarray(shape, np.int64)))
    return made(y, (first, *shape[1:]) if kept else None)


def _full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    value = ndonnx.asarray(fill_value, dtype=x.dtype if dtype is None else dtype)
    node = x.unwrap_spox()
    return made(op.expand(value.unwrap_spox(), op.shape(node)), node.unwrap_tensor().shape)


def _namespace() -> ModuleType:
    made = ModuleType("nnx.backends.ndonnx.namespace", "The functions of ndonnx, on the arrays of nnx.backends.ndonnx.")
    for name in dir(ndonnx):
        value = getattr(ndonnx, name)
        if not name.startswith("_") and not isinstance(value, ModuleType):
            plain = isinstance(value, type) or not callable(value)
            setattr(made, name, value if plain or name in ("isdtype", "finfo", "iinfo", "can_cast") else wrapped(value))
    vars(made).update(
        matmul=matmul, max=_largest, mean=_mean, reshape=_reshape, full_like=_full_like,
        zeros_like=lambda x, /, *, dtype=None, device=None: _full_like(x, 0, dtype=dtype),
        ones_like=lambda x, /, *, dtype=None, device=None: _full_like(x, 1, dtype=dtype),
        __array_namespace_info__=ndonnx.__array_namespace_info__, __array_api_version__=ndonnx.__array_api_version__,
    )  # fmt: skip
    return made


xp = _namespace()


# hooks ----------------------------------------------------------------------------------------------------------------
def _has_kernels(x: Any) -> bool:
    """Whether runtimes compute convolutions of this dtype: of float64 they commonly do not."""
    return dtype_name(x.dtype) in ("float16", "float32")


def _second(x: Any) -> Var:
    return op.transpose(x.unwrap_spox(), perm=(0, x.ndim - 1, *range(1, x.ndim - 1)))


def _last(node: Var) -> Any:
    n = len(node.unwrap_tensor().shape or ())
    return made(op.transpose(node, perm=(0, *range(2, n), 1)))


def _ends(pads: Pads) -> list[int]:
    return [before for before, _ in pads] + [after for _, after in pads]


def _convolve(
    xp: Namespace, x: Any, weight: Any, bias: Any, stride: Axes, pads: Pads, dilation: Axes, groups: int
) -> Any:
    if not _has_kernels(x):
        return portable.convolve(xp, x, weight, bias, stride, pads, dilation, groups)
    n = len(stride)
    kernel = op.transpose(weight.unwrap_spox(), perm=(n + 1, n, *range(n)))
    offset = None if bias is None else bias.unwrap_spox()
    return _last(
        op.conv(
            _second(x), kernel, offset,
            dilations=dilation, group=groups, kernel_shape=weight.shape[:n], pads=_ends(pads), strides=stride,
        )
    )  # fmt: skip


def _convolve_to_input(
    xp: Namespace, g: Any, weight: Any, spatial: Axes, stride: Axes, pads: Pads, dilation: Axes, groups: int
) -> Any:
    """The transposed convolution; what the stride leaves over at the end comes as output padding."""
    if not _has_kernels(g):
        return portable.convolve_to_input(xp, g, weight, spatial, stride, pads, dilation, groups)
    n = len(stride)
    reach = [
        (m - 1) * s + d * (k - 1) + 1 - sum(ends)
        for m, s, d, k, ends in zip(g.shape[1:-1], stride, dilation, weight.shape, pads)
    ]
    kernel = op.transpose(weight.unwrap_spox(), perm=(n + 1, n, *range(n)))
    y = op.conv_transpose(
        _second(g), kernel, dilations=dilation, group=groups, kernel_shape=weight.shape[:n], pads=_ends(pads),
        strides=stride, output_padding=[length - r for length, r in zip(spatial, reach)],
    )  # fmt: skip
    return _last(y)


def _pool(xp: Namespace, x: Any, kernel: Axes, stride: Axes, dilation: Axes) -> tuple[Any, Any]:
    """The largest values; their places are for derivatives alone. A window with NaN gives NaN."""

    def largest(values: Any) -> Any:
        return _last(op.max_pool(_second(values), kernel_shape=kernel, strides=stride, dilations=dilation)[0])

    return _with_nan(largest, x), None


def _put(xp: Namespace, shape: tuple[int | None, ...], key: Any, values: Any) -> Any:
    """Zeros around the values: all that inference asks for."""
    ends = [
        (0, 0) if n is None or part == slice(None) else (part.start or 0, n - (n if part.stop is None else part.stop))
        for n, part in zip(shape, key, strict=True)
    ]
    zero = ndonnx.asarray(0, dtype=values.dtype).unwrap_spox()
    return made(op.pad(values.unwrap_spox(), op.const(np.asarray(_ends(tuple(ends)), np.int64)), zero))


def _erf(xp: Namespace, x: Any) -> Any:
    return made(op.erf(x.unwrap_spox())) if _has_kernels(x) else portable.erf(xp, x)


def _no_values(x: Any) -> Any:
    raise TypeError("an array of an ONNX graph has no values")


BACKEND = Backend(
    name="ndonnx",
    spec="ndonnx",
    xp=xp,
    device=None,
    owns=lambda x: isinstance(x, ndonnx.Array),
    resides=lambda x: True,
    send=lambda host: ours(ndonnx.asarray(host)),
    move=lambda x: x,
    fetch=_no_values,
    describe=lambda: {"version": ndonnx.__version__, "devices": [], "blas": None, "threads": None, "fused": "off"},
    deviations=(
        Deviation(
            "an array may have an axis of unknown length",
            "reshape takes −1 for it: nnx.backends.portable.lengths",
            "https://data-apis.org/array-api/latest/API_specification/generated/array_api.array.shape.html",
        ),
    ),
    convolve=_convolve,
    convolve_to_input=_convolve_to_input,
    pool=_pool,
    put=_put,
    erf=_erf,
)
xp.__nnx_backend__ = BACKEND  # type: ignore[attr-defined]


# graphs ---------------------------------------------------------------------------------------------------------------
def graph(
    function: Callable[..., Mapping[str, Any]],
    inputs: Mapping[str, tuple[str, tuple[int | str, ...]]],
    weights: Mapping[str, np.ndarray],
    about: Mapping[str, str],
) -> bytes:
    """``function(inputs, weights)`` as an ONNX file: of arrays by name, to outputs by name.

    ``inputs`` are a dtype and a shape by name, an axis of any length by its name. ``weights`` are kept in the file under
    their names. ``about`` are texts for its metadata.
    """
    arrays = {name: _argument(dtype, shape) for name, (dtype, shape) in inputs.items()}
    kept = {name: _argument(host.dtype.name, host.shape) for name, host in weights.items()}
    outputs = function(arrays, kept)
    model = ndonnx.build({**arrays, **kept}, dict(outputs), drop_unused=True)
    used = {value.name for value in model.graph.input}
    given = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(given)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(weights[name], name) for name in kept if name in used)
    model.producer_name = "nnx"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def _argument(dtype: str, shape: tuple[int | str, ...]) -> Any:
    return ours(ndonnx.argument(shape=shape, dtype=getattr(ndonnx, dtype)))
