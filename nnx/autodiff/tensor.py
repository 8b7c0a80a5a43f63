"""The traced array, itself a standard array: an array of the inner namespace and the node that made it.

Where it has no node it is a constant of the computation, and its value may be read. Where it has one, reading the value
would cut the derivative without a word, so the conversions raise and say what to write instead.
"""

from typing import Any

import array_api_compat
import numpy as np

from nnx.autodiff.tape import Node
from nnx.backends.recorded.operators import ARITHMETIC, COMPARISON, UNARY
from nnx.errors import TracingError, UnknownAttributeError
from nnx.typing import Array


class Tensor:
    """An array that records what is done with it. Made by the transforms, never by hand.

    It has every attribute and operator of the standard's array object, and its namespace offers every function.
    """

    __slots__ = ("__weakref__", "_array", "_node", "_space")

    __nnx_tensor__ = True
    __array_ufunc__ = None  # a NumPy array on the left defers to our reflected operators
    __hash__ = object.__hash__

    def __init__(self, array: Array, node: Node | None, space: Any) -> None:
        self._array = array
        self._node = node
        self._space = space

    # attributes ------------------------------------------------------------------------------------------------------
    dtype = property(lambda self: self._array.dtype)
    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    device = property(lambda self: array_api_compat.device(self._array))
    size = property(lambda self: array_api_compat.size(self._array))
    T = property(lambda self: self._space.permute_dims(self, tuple(reversed(range(self.ndim)))))
    mT = property(lambda self: self._space.matrix_transpose(self))  # noqa: N815  the standard's name

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self._space

    def to_device(self, device: Any, /, *, stream: Any = None) -> "Tensor":
        """The same array on another device; gradients come back to this one."""
        return self._space.to_device(self, device, stream=stream)  # type: ignore[no-any-return]

    def __getitem__(self, key: Any, /) -> "Tensor":
        return self._space.getitem(self, bare_key(key))  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{'Traced' if self._node else 'Tensor'}({self._array!r})"

    # the value itself ------------------------------------------------------------------------------------------------
    def _value(self, what: str) -> Array:
        if self._node is not None:
            raise TracingError(
                f"{what} needs the value of a traced array of shape {tuple(self.shape)}, which would cut its derivative",
                fix="Compute with functions of nnx.namespace(x), such as xp.stack for a list of arrays, or write nnx.stop_gradient(x) if no derivative is wanted.",
            )
        return self._array

    def __bool__(self) -> bool:
        return bool(self._value("bool(x) or `if x:`"))

    def __float__(self) -> float:
        return float(self._value("float(x)"))

    def __int__(self) -> int:
        return int(self._value("int(x)"))

    def __complex__(self) -> complex:
        return complex(self._value("complex(x)"))

    def __index__(self) -> int:
        return self._value("x as an index").__index__()  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._value("np.asarray(x)")
        return np.asarray(array, dtype=dtype) if copy is None else np.array(array, dtype=dtype, copy=copy)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        options = {name: value for name, value in given.items() if value is not None}
        return self._value("from_dlpack(x)").__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __setitem__(self, key: Any, value: Any, /) -> None:
        if self._node is not None or (isinstance(value, Tensor) and value._node is not None):
            raise TracingError(
                "x[key] = value on a traced array would lose the derivative",
                fix="Build a new array instead: xp.where(mask, value, x), xp.concat or xp.stack.",
            )
        self._array[bare_key(key)] = self._space.lower(value)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return int(self.shape[0])

    def __iter__(self) -> Any:
        return iter(self._space.unstack(self))


def value_of(x: Any) -> Any:
    """The plain array at the bottom of a traced one."""
    while type(x) is Tensor:
        x = x._array
    return x


def constant(x: Any) -> Any:
    """``x`` without its nodes, at every level."""
    return Tensor(constant(x._array), None, x._space) if type(x) is Tensor else x


def bare_key(key: Any) -> Any:
    """An index has no derivative: only its value counts."""
    return tuple(map(value_of, key)) if isinstance(key, tuple) else value_of(key)


def _operator(function: str) -> Any:
    def operate(self: Tensor, other: Any, /) -> Any:
        return getattr(self._space, function)(self, other)

    return operate


def _reflected(function: str) -> Any:
    def operate(self: Tensor, other: Any, /) -> Any:
        return getattr(self._space, function)(other, self)

    return operate


def _unary(function: str) -> Any:
    def operate(self: Tensor, /) -> Any:
        return getattr(self._space, function)(self)

    return operate


for _name, _function in ARITHMETIC.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
    setattr(Tensor, f"__r{_name}__", _reflected(_function))
for _name, _function in COMPARISON.items():
    setattr(Tensor, f"__{_name}__", _operator(_function))
for _name, _function in UNARY.items():
    setattr(Tensor, f"__{_name}__", _unary(_function))


# What arrays of some libraries have and the standard's do not: said in our words. (A ``__getattr__`` would slow every access.)
ELSEWHERE = {
    "item": "stop_gradient", "tolist": "stop_gradient", "numpy": "stop_gradient", "detach": "stop_gradient", "cpu": "stop_gradient",
    "sum": "sum", "mean": "mean", "max": "max", "min": "min", "std": "std", "var": "var", "exp": "exp", "abs": "abs",
    "reshape": "reshape", "view": "reshape", "flatten": "reshape", "ravel": "reshape", "squeeze": "squeeze",
    "transpose": "permute_dims", "astype": "astype", "clip": "clip", "argmax": "argmax", "dot": "matmul", "copy": "asarray",
}  # fmt: skip


def _elsewhere(name: str, instead: str) -> property:
    own = instead == "stop_gradient"
    fix = "nnx.stop_gradient(x) where no derivative is wanted" if own else f"nnx.namespace(x).{instead}(x)"

    def missing(self: Tensor) -> Any:
        raise UnknownAttributeError(
            expected="an attribute that the standard's arrays have",
            got=f"x.{name}",
            where="a traced array",
            fix=f"Write {fix}.",
        )

    return property(missing)


for _name, _instead in ELSEWHERE.items():
    setattr(Tensor, _name, _elsewhere(_name, _instead))
