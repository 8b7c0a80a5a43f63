"""Element-wise rules on NumPy arrays, compiled by numba into one pass, shared among threads if it is long. numba is imported at first use.

The rule is compiled as it is written, with ``xp`` a small namespace of scalar functions, and called per element inside
one loop. There is no fast-math: ``+ - * /``, sqrt, comparisons and selections round as NumPy rounds them, so a rule
made of these gives the portable default's bits. Other functions may differ by an ulp or two.
"""

import importlib.util
import math
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from nnx.backends.fast import crew
from nnx.typing import Array, Namespace

COMPILE_FROM = 30_000
"""Elements from which a rule is compiled at once."""

SHARED_FROM = 60_000
"""Elements from which a loop is shared among threads."""

CALLS = 2_000
"""Calls after which it is compiled for fewer elements too: each saves some twenty microseconds, so a few calls would
not earn back the half second that numba takes to load."""

EXACT = {"sqrt", "abs", "maximum", "minimum", "where", "sign", "square"}
"""What rounds alike compiled and not, with + - * /: a rule of these may change from one to the other as a program runs."""


@cache
def installed() -> bool:
    """Whether numba can be imported; it is not imported to find out."""
    return importlib.util.find_spec("numba") is not None


def fuse(rule: Callable[..., Any]) -> "Fused":
    """The ``fuse`` hook of NumPy where numba is installed."""
    return Fused(rule)


def erf(default: Callable[[Namespace, Array], Array]) -> "Fused":
    """The ``erf`` hook of NumPy where numba is installed: for large arrays the C library's, within 1 ulp."""
    return Fused(default, lambda xp, x: xp.erf(x))


class Fused:
    """A rule that runs compiled on large arrays, and as written elsewhere.

    Compiled: float32 or float64 arrays of one shape and dtype and Python scalars, which are cast to that dtype.
    ``declined`` says why the compiler was given up on, if it was: the rule is then always run as written.
    """

    def __init__(self, rule: Callable[..., Any], scalar_rule: Callable[..., Any] | None = None) -> None:
        self.rule = rule
        self.declined = ""
        self._scalar_rule = scalar_rule or rule
        self._loops: dict[tuple[Any, ...], _Loop | None] = {}
        code = getattr(rule, "__code__", None)
        self._exact = scalar_rule is None and code is not None and set(code.co_names) <= EXACT
        self._calls = 0

    def __call__(self, xp: Namespace, *args: Any) -> Any:
        loop = self.loop_for(args)
        if loop is None:
            return self.rule(xp, *args)
        first = args[0]
        new = [np.empty(first.size, first.dtype) for _ in range(loop.outputs)]
        loop.into(new, args)
        shaped = [array.reshape(first.shape) for array in new] if len(first.shape) != 1 else new
        return tuple(shaped) if loop.several else shaped[0]

    def loop_for(self, args: Sequence[Any]) -> "_Loop | None":
        """The compiled loop for such arguments; None where they are better served, or only served, by the rule itself."""
        first = args[0]
        if type(first) is not np.ndarray or self.declined:
            return None
        long = first.size >= COMPILE_FROM
        if not long and (not self._exact or self._calls < CALLS):
            self._calls += 1
            return None
        shape, dtype = first.shape, first.dtype
        for arg in args:
            if type(arg) is np.ndarray and (arg.shape != shape or arg.dtype != dtype):
                return None
        kinds = (dtype.char, *map(type, args))
        if kinds not in self._loops:
            self._loops[kinds] = self._compile(args, dtype)
        return self._loops[kinds]

    def _compile(self, args: Sequence[Any], dtype: np.dtype) -> "_Loop | None":
        if dtype.char not in "fd" or not all(isinstance(arg, np.ndarray | int | float | np.floating) for arg in args):
            return None
        import numba

        samples = [arg if isinstance(arg, bool) else dtype.type(0) for arg in args]
        try:
            element = numba.njit(self._scalar_rule, error_model="numpy")
            element.compile((numba.types.Module(_functions()), *map(numba.typeof, samples)))
        except Exception as error:  # whatever stops the compiler, the rule still runs as written
            self.declined = str(error).strip().partition("\n")[0]
            return None
        result = next(iter(element.overloads.values())).signature.return_type
        several = isinstance(result, numba.types.BaseTuple)
        outputs = list(result) if several else [result]
        if any(output != numba.typeof(dtype.type(0)) for output in outputs):
            self.declined = f"it makes {result} of {dtype}: a number in the rule takes part in another precision"
            return None
        return _Loop(element, [type(arg) is np.ndarray for arg in args], len(outputs), several, dtype)


def loop_of(rule: Callable[..., Any], args: Sequence[Any]) -> "_Loop | None":
    """The compiled loop of any rule for such arguments, if there is one."""
    return rule.loop_for(args) if type(rule) is Fused else None


class _Loop:
    """A compiled loop over the elements of vectors."""

    def __init__(self, element: Any, arrays: list[bool], outputs: int, several: bool, dtype: np.dtype) -> None:
        self.outputs, self.several = outputs, several
        self._element, self._is_array, self._number = element, arrays, dtype.type
        self._kernel = _kernel(element, arrays, outputs, several)
        self._over: Callable[..., Any] | None = None

    def into(self, outs: Sequence[Array], args: Sequence[Any]) -> None:
        """Write the results into vectors; an argument may be of any shape, and a number becomes one of their dtype."""
        number = self._number
        given = [
            (arg if arg.ndim == 1 else arg.reshape(-1))
            if array
            else arg
            if arg is True or arg is False
            else number(arg)
            for arg, array in zip(args, self._is_array)
        ]
        if outs[0].size < SHARED_FROM:
            self._kernel(*given, *outs)
            return
        parts = crew.cut(outs[0].size, SHARED_FROM // 2, 64)
        every = [*zip(given, self._is_array), *((out, True) for out in outs)]
        crew.share(self._kernel, [tuple(x[part] if array else x for x, array in every) for part in parts])

    def over(self, vectors: Sequence[Array], numbers: Sequence[float]) -> None:
        """Write the results over the vectors but the second. The arguments of the rule must be vectors first, then numbers."""
        given = np.array(numbers, self._number)
        if self._over is None:
            self._over = _kernel_over(self._element, len(vectors), len(numbers))
        if vectors[0].size < SHARED_FROM:
            self._over(*vectors, given)
            return
        parts = crew.cut(vectors[0].size, SHARED_FROM // 2, 64)
        crew.share(self._over, [(*(x[part] for x in vectors), given) for part in parts])


def _name(kind: str, element: Any, *more: Any) -> str:
    """numba keeps what it compiled beside this file (or in the user's cache) under the kernel's name, which therefore tells
    one rule from another.
    """
    code = element.py_func.__code__
    text = repr((code.co_code, code.co_names, [c for c in code.co_consts if not isinstance(c, CodeType)], *more))
    return f"{kind}_{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _kernel(element: Any, is_array: list[bool], outputs: int, several: bool) -> Callable[..., Any]:
    """The loop over elements. Its source is written for the number of arguments, as numba has no loop over mixed ones."""
    name = _name("kernel", element, is_array, outputs)
    ins, outs = [f"a{i}" for i in range(len(is_array))], [f"out{i}" for i in range(outputs)]
    values = ", ".join(f"{name}[i]" if array else name for name, array in zip(ins, is_array, strict=True))
    source = (
        f"def {name}({', '.join(ins + outs)}):\n"
        f"    for i in range(out0.size):\n"
        f"        {''.join(f'{name}[i], ' for name in outs) if several else 'out0[i]'} = element(xp, {values})\n"
    )
    return _compiled(name, source, element)


def _kernel_over(element: Any, vectors: int, numbers: int) -> Callable[..., Any]:
    """The loop over the elements of vectors whose results go where all but the second came from. The numbers are a
    vector, too: numba takes one in less time than seven scalars."""
    name = _name("over", element, vectors, numbers)
    ins, given = [f"a{i}" for i in range(vectors)], [f"n{i}" for i in range(numbers)]
    results, values = [ins[0], *ins[2:]], [*(f"{name}[i]" for name in ins), *given]
    source = (
        f"def {name}({', '.join(ins)}, numbers):\n"
        f"    {''.join(f'{name}, ' for name in given)} = {''.join(f'numbers[{i}], ' for i in range(numbers))}\n"
        f"    for i in range(a0.size):\n"
        f"        {''.join(f'{name}[i], ' for name in results)} = element(xp, {', '.join(values)})\n"
    )
    return _compiled(name, source, element)


def _compiled(name: str, source: str, element: Any) -> Callable[..., Any]:
    scope = {"__name__": __name__, "element": element, "xp": _functions()}
    exec(compile(source, __file__, "exec"), scope)
    return njit(scope[name], cache=element.py_func.__closure__ is None)


class Worth:
    """Whether numba is there and a loop of its own is compiled for an array: at once where it is large, after
    :data:`CALLS` calls where it is small.
    """

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, size: int) -> bool:
        if self._calls < CALLS:
            self._calls = CALLS if size >= COMPILE_FROM else self._calls + 1
        return self._calls >= CALLS and installed()


def njit(function: Callable[..., Any], *, cache: bool = True) -> Callable[..., Any]:
    """``function`` compiled at its first call, to run without Python's lock; with ``cache`` kept on the disk, where
    there is a place that may be written.
    """
    import numba

    options = {"nogil": True, "error_model": "numpy"}
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(function, cache=cache, **options)
    except RuntimeError:  # no such place, neither beside the source nor in the user's cache
        compiled = numba.njit(function, **options)
    return compiled


@cache
def _functions() -> ModuleType:
    """The standard's element-wise functions as functions of scalars, under the standard's names."""
    import numba

    xp: Any = ModuleType("nnx.backends.fast.compiled.xp")
    same = "sqrt exp expm1 log log1p tanh sin cos abs sign square maximum minimum isnan isfinite add subtract multiply divide"
    for name in same.split():
        setattr(xp, name, getattr(np, name))
    xp.pow = np.power
    xp.erf = numba.njit(lambda x: math.erf(x))
    xp.where = numba.njit(lambda condition, x, y: x if condition else y)
    return xp  # type: ignore[no-any-return]
