"""The differentiable namespace over an inner one: a module object with every function of the standard.

A function of this namespace unwraps its arguments, calls the inner library, and wraps the result. Where an argument is
traced and the function has rules, it adds one node to the tape. The inner library may itself be such a namespace: so
higher derivatives arise, and a rule written against the standard is traced like any other code.
"""

import inspect
import operator
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from nnx.autodiff import standard
from nnx.autodiff.blame import answer_unknown, no_array, refuse
from nnx.autodiff.composite import COMPOSITE
from nnx.autodiff.tape import Node
from nnx.autodiff.tensor import Tensor
from nnx.errors import DtypeError, MixedArraysError
from nnx.typing import Array
from nnx.typing import Namespace as Module

# An operator is the same function as its name in the standard, and quicker to call. (PyTorch's @ takes one dtype only.)
OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "pow": operator.pow, "negative": operator.neg,
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip

# These answer about types and shapes: their results are not arrays.
QUESTIONS = {"can_cast", "finfo", "iinfo", "isdtype", "result_type", "broadcast_shapes", "__array_namespace_info__"}

# These take arrays by keyword and have no derivative.
WITHOUT_DERIVATIVE = {"searchsorted"}

# What comes among the arguments and is no array.
PYTHON = {int, float, bool, complex, type(None), tuple, list}


class Namespace(ModuleType):
    """A namespace of the standard whose arrays are :class:`Tensor`. Made by :func:`namespace_over`.

    ``table`` has the derivative rules by the path of the function, as ``nnx.autodiff.rules`` describes them. ``_inner``
    is the namespace below, ``_bottom`` the array library at the end of the chain, ``_depth`` the number of
    differentiable namespaces on top of it.
    """

    def __init__(self, inner: Module, table: Mapping[str, Any]) -> None:
        nested = isinstance(inner, Namespace)
        super().__init__(f"nnx.autodiff.over.{inner.__name__}", f"The differentiable namespace over {inner.__name__}.")
        self._inner = inner
        self._bottom: Module = inner._bottom if nested else inner
        self._depth: int = inner._depth + 1 if nested else 1
        self._table = table
        self._admitted: set[type] = {*PYTHON}
        self._inexact: dict[Any, bool] = {}
        self._array_type: type | None = None
        self.__array_api_version__ = getattr(inner, "__array_api_version__", standard.VERSION)
        for name in (*standard.CONSTANTS, *standard.DTYPES):
            setattr(self, name, getattr(inner, name))
        for chapter in standard.CHAPTERS:
            self._add_chapter(chapter)
        self.getitem = self._record("getitem", operator.getitem)
        self.to_device = self._record("to_device", _to_device)
        self._clip = self._record("clip", inner.clip)
        answer_unknown(self, self._bottom.__name__)

    # functions -------------------------------------------------------------------------------------------------------
    def _add_chapter(self, chapter: str) -> None:
        extension = chapter in standard.EXTENSIONS
        source = getattr(self._inner, chapter, None) if extension else self._inner
        if source is None:
            return
        target: ModuleType = ModuleType(f"{self.__name__}.{chapter}") if extension else self
        for name, signature in standard.signatures(chapter).items():
            if hasattr(source, name):
                setattr(target, name, self._function(name, getattr(source, name), signature, extension and chapter))
        if extension:
            answer_unknown(target, f"{self._bottom.__name__}.{chapter}")
            setattr(self, chapter, target)

    def _function(self, name: str, inner: Any, signature: inspect.Signature, extension: str | bool) -> Any:
        path = name if not extension or name in standard.signatures("linear_algebra") else f"{extension}.{name}"
        if name in QUESTIONS:
            function = self._ask(inner)
        elif name in ("asarray", "from_dlpack"):
            function = self._create(name, inner)
        elif path in COMPOSITE or path in WITHOUT_DERIVATIVE:
            function = self._compose(path, COMPOSITE.get(path), inner)
        elif name in ("concat", "stack"):
            function = self._join(name, inner)
        else:
            function = self._record(path, OPERATORS.get(path, inner))
        function.__name__ = function.__qualname__ = name
        function.__doc__ = getattr(inner, "__doc__", None)
        function.__signature__ = signature
        return function

    def _create(self, name: str, inner: Any) -> Any:
        def asarray(obj: Any, /, **options: Any) -> Tensor:
            return self._asarray(obj, **options)

        def from_dlpack(x: Any, /, **options: Any) -> Any:
            return self.wrap(inner(x, **options))

        return asarray if name == "asarray" else from_dlpack

    def _record(self, path: str, inner: Callable[..., Any]) -> Any:
        """A function of arrays in its positional arguments, with one rule for each that has a derivative."""
        pullbacks_of = self._table.get(path)
        nested = isinstance(self._inner, Namespace)

        def call(*args: Any, **kwargs: Any) -> Any:
            values: list[Any] = []
            nodes: list[Node | None] = []
            traced = False
            for arg in args:
                kind = type(arg)
                if kind is Tensor and arg._space is self:
                    values.append(arg._array)
                    nodes.append(arg._node)
                    traced = traced or arg._node is not None
                    continue
                if kind is Tensor:
                    if arg._space._depth > self._depth:
                        return _resolve(arg._space, path)(*args, **kwargs)
                    self._same_library(arg)
                elif kind not in self._admitted:
                    arg = self._admit(arg)
                values.append(self._below(arg) if nested else arg)
                nodes.append(None)
            try:
                out = inner(*values, **kwargs) if kwargs else inner(*values)
                if not traced or pullbacks_of is None:
                    return self.wrap(out)
                if isinstance(out, (tuple, list)):
                    return self._record_each(pullbacks_of, out, values, nodes, kwargs)
                return self._record_one(pullbacks_of, out, values, nodes, kwargs)
            except Exception as error:
                refuse(path, values, error)

        return call

    def _record_one(self, pullbacks_of: Any, out: Any, values: list[Any], nodes: list[Any], kwargs: Any) -> Tensor:
        out = self.as_array(out)
        parents, pullbacks = [], []
        for node, rule in zip(nodes, pullbacks_of, strict=False):
            if node is not None and rule is not None:
                pullback = rule(out, *values, **kwargs)
                if pullback is not None:
                    parents.append(node)
                    pullbacks.append(pullback)
        return Tensor(out, Node(parents, pullbacks, out.shape, out.dtype) if parents else None, self)

    def _record_each(self, pullbacks_of: Any, out: Any, values: list[Any], nodes: list[Any], kwargs: Any) -> Any:
        """Several outputs of one array: a node for each, since their gradients simply add."""
        outputs = tuple(map(self.as_array, out))
        results = []
        for result, rule in zip(outputs, pullbacks_of, strict=True):
            pullback = rule and rule(outputs, *values, **kwargs)
            node = Node((nodes[0],), (pullback,), result.shape, result.dtype) if pullback else None
            results.append(Tensor(result, node, self))
        return type(out)(*results) if hasattr(out, "_fields") else tuple(results)

    def _join(self, name: str, inner: Callable[..., Any]) -> Any:
        """``concat`` and ``stack``: the arrays come in one sequence."""
        joint_rule = self._table[name][0]

        def call(arrays: Any, /, *, axis: int | None = 0) -> Any:
            arrays = tuple(arrays)
            if self._deepest(arrays) is not self:
                return getattr(self._deepest(arrays), name)(arrays, axis=axis)
            values, nodes = zip(*map(self.value_and_node, arrays)) if arrays else ((), ())
            try:
                out = self.as_array(inner(list(values), axis=axis))
            except Exception as error:
                refuse(name, values, error)
            if not any(node is not None for node in nodes):
                return Tensor(out, None, self)
            kept = [index for index, node in enumerate(nodes) if node is not None]
            pullback = joint_rule(out, values, kept, axis)
            return Tensor(out, Node([nodes[i] for i in kept], pullback, out.shape, out.dtype), self)

        return call

    def _compose(self, path: str, composition: Callable[..., Any] | None, inner: Callable[..., Any]) -> Any:
        """A function that is an expression of others: that expression when traced, the library's own otherwise."""

        def call(*args: Any, **kwargs: Any) -> Any:
            space = self._deepest((*args, *kwargs.values()))
            if space is not self:
                return _resolve(space, path)(*args, **kwargs)
            tensors = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
            try:
                if composition and any(tensor._node is not None for tensor in tensors):
                    return composition(self, *args, **kwargs)
                lowered = {name: self.lower(value) for name, value in kwargs.items()}
                return self.wrap(inner(*map(self.lower, args), **lowered))
            except Exception as error:
                refuse(path, args, error)

        return call

    def _ask(self, inner: Callable[..., Any]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return inner(*(arg._array if type(arg) is Tensor else arg for arg in args), **kwargs)

        return call

    def _asarray(self, obj: Any, /, **options: Any) -> Tensor:
        if type(obj) is not Tensor:
            return self.wrap(self._inner.asarray(obj, **options))  # type: ignore[no-any-return]
        tensor = self.lift(obj)
        dtype, copy, device = (options.get(name) for name in ("dtype", "copy", "device"))
        if tensor._node is None:
            return self.wrap(self._inner.asarray(tensor._array, **options))  # type: ignore[no-any-return]
        if device is not None and device != tensor.device:
            tensor = self.to_device(tensor, device)
        return self.astype(tensor, dtype or tensor.dtype, copy=bool(copy))  # type: ignore[no-any-return]

    # arrays ----------------------------------------------------------------------------------------------------------
    def as_array(self, out: Any) -> Array:
        """A result of the inner library as one of its arrays: NumPy gives scalars where the standard has 0-d arrays."""
        return self._inner.asarray(out) if isinstance(out, np.generic) else out

    def wrap(self, out: Any) -> Any:
        """Results of the inner library as constants of this namespace."""
        if type(out) is self._array_type:
            return Tensor(out, None, self)
        if isinstance(out, np.generic):
            return Tensor(self._inner.asarray(out), None, self)
        if isinstance(out, (tuple, list)):
            results = [self.wrap(item) for item in out]
            return type(out)(*results) if hasattr(out, "_fields") else type(out)(results)
        if isinstance(out, Tensor) or array_api_compat.is_array_api_obj(out):
            self._array_type = type(out)
            return Tensor(out, None, self)
        return out

    def value_and_node(self, x: Any) -> tuple[Any, Node | None]:
        """``x`` as an array of the inner namespace, and its node here."""
        if type(x) is Tensor:
            if x._space is self:
                return x._array, x._node
            self._same_library(x)
        elif type(x) not in self._admitted:
            x = self._admit(x)
        return x, None

    def _below(self, x: Any) -> Any:
        """A constant as an array of the inner differentiable namespace, so that a rule never meets bare arrays beside its own."""
        array = type(x) is Tensor or (type(x) not in PYTHON and array_api_compat.is_array_api_obj(x))
        return self._inner.lift(x) if array else x

    def lower(self, x: Any) -> Any:
        """``x`` without this level."""
        return x._array if type(x) is Tensor and x._space is self else x

    def lift(self, x: Any, node: Node | None = None) -> Tensor:
        """An array of this namespace: a constant, or with ``node`` a leaf."""
        if type(x) is Tensor and x._space is self:
            return x
        x, _ = self.value_and_node(x)
        if isinstance(self._inner, Namespace):
            x = self._inner.lift(x)
        return Tensor(self.as_array(x), node, self)

    def leaf(self, x: Any) -> Tensor:
        """A traced array from which gradients are wanted."""
        tensor = self.lift(x)
        dtype = tensor.dtype
        if dtype not in self._inexact:
            self._inexact[dtype] = self._inner.isdtype(dtype, ("real floating", "complex floating"))
        if not self._inexact[dtype]:
            raise DtypeError(
                expected="floating-point arrays to differentiate with respect to",
                got=f"{dtype}",
                fix="Convert it with xp.astype(x, xp.float64), or leave it out of argnums.",
            )
        return Tensor(tensor._array, Node((), (), tensor.shape, dtype), self)

    def _deepest(self, args: Any) -> "Namespace":
        spaces: list[Namespace] = [arg._space for arg in args if type(arg) is Tensor]
        return max((self, *spaces), key=lambda space: space._depth)

    def _same_library(self, x: Tensor) -> None:
        if x._space._bottom is not self._bottom:
            raise _mixed(self._bottom, x._space._bottom)

    def _admit(self, x: Any) -> Any:
        """Let a value of a type not met before through, unless it is an array of another library."""
        if isinstance(x, type):  # a dtype class: NumPy's have the attributes of arrays
            return x
        if array_api_compat.is_array_api_obj(x) or isinstance(x, np.generic):
            library = array_api_compat.array_namespace(x)
            if library.__name__ != self._bottom.__name__:
                if isinstance(x, np.generic):
                    return x.item()
                raise _mixed(self._bottom, library)
        elif getattr(type(x), "__array_namespace__", None) is not None:
            library = x.__array_namespace__()
            if library is not self._bottom:
                raise _mixed(self._bottom, library)
        self._admitted.add(type(x))
        return x


def _mixed(ours: Module, theirs: Module) -> MixedArraysError:
    return MixedArraysError(
        expected=f"arrays of {ours.__name__} only",
        got=f"one of {theirs.__name__} beside them",
        where="nnx.namespace",
        fix="Move it first: nnx.backends.of(other).asarray(x).",
    )


def _to_device(x: Array, device: Any, **options: Any) -> Array:
    stream = options.get("stream")
    if isinstance(x, Tensor):
        return x.to_device(device, stream=stream)
    return array_api_compat.to_device(x, device, stream=stream)


def _resolve(space: Namespace, path: str) -> Any:
    function: Any = space
    for name in path.split("."):
        function = getattr(function, name)
    return function


_BY_TYPE: dict[type, Module] = {}


def namespace(*arrays: Any) -> Module:
    """The namespace to compute in: that of the most deeply traced array, else the array library's own.

    ``None`` and Python and NumPy scalars are passed over. Plain arrays beside traced ones are lifted by whatever function
    of the result meets them. ``MixedArraysError`` names two array libraries that meet.

    >>> import numpy as np
    >>> namespace(np.ones(3), 2.0).__name__
    'array_api_compat.numpy'
    """
    found: Module = None
    scalar: Module = None
    for x in arrays:
        kind = type(x)
        space: Module
        if kind is Tensor:
            space = x._space
        elif kind in _BY_TYPE:
            space = _BY_TYPE[kind]
        elif x is None or kind in (int, float, bool, complex):
            continue
        elif hasattr(kind, "__nnx_recorded__"):  # one type for all libraries
            space = x.__array_namespace__()
        elif isinstance(x, np.generic):
            scalar = array_api_compat.array_namespace(x)
            continue
        else:
            space = _BY_TYPE[kind] = _of(x)
        if found is None:
            found = space
        elif space is not found:
            found = _deeper(found, space)
    if found is None:
        if scalar is None:
            raise no_array("none")
        return scalar
    return found


def _of(x: Any) -> Module:
    try:
        return array_api_compat.array_namespace(x)
    except TypeError:
        raise no_array(f"a {type(x).__name__}") from None


def _deeper(a: Module, b: Module) -> Module:
    """Of two namespaces over one library the one with more levels."""
    bottoms = [space._bottom if isinstance(space, Namespace) else space for space in (a, b)]
    if bottoms[0] is not bottoms[1]:
        raise _mixed(*bottoms)
    depths = [space._depth if isinstance(space, Namespace) else 0 for space in (a, b)]
    return a if depths[0] >= depths[1] else b
