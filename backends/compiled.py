"""Element-wise rules on NumPy arrays, compiled by numba into one pass over memory. numba is imported at first use.

The rule is compiled as it is written, with ``xp`` a small namespace of scalar functions, and called per element inside
one loop. Without fast-math, ``+ - * /``, sqrt, comparisons and selections round as NumPy rounds them: such rules give
the portable default's bits, and it does not matter when the compiled form takes over. Other functions differ by an ulp
or two, so for them the size of the arrays alone decides.
"""

import ctypes
import dis
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

PARALLEL_FROM = 20_000
"""Elements from which a rule is compiled at once and its loop shared by all cores (benchmarks/: below, threads cost more)."""
PATIENCE = 10_000
"""Calls on smaller arrays after which an exact rule is compiled: about when they have cost what compiling costs."""

_EXACT = frozenset(
    ("sqrt", "abs", "square", "sign", "where", "maximum", "minimum", "multiply", "add", "subtract", "divide")
)
_one_at_a_time = threading.Lock()  # numba's workqueue layer must not be entered by two threads


def installed() -> bool:
    """Whether numba can be imported; it is not imported to find out."""
    return importlib.util.find_spec("numba") is not None


def fuse(rule: Callable[..., Any]) -> "Fused":
    """The ``fuse`` hook of NumPy where numba is installed."""
    return Fused(rule)


def erf(default: Callable[..., Any]) -> "Fused":
    """The ``erf`` hook of NumPy where numba is installed: the C library's, within 1 ulp, for large arrays."""
    return Fused(default, lambda xp, x: xp.erf(x))


class Fused:
    """A rule that runs compiled where that pays, and as written elsewhere.

    Compiled: float32 or float64 arrays of one shape and dtype and Python scalars, which are cast to that dtype.
    ``declined`` says why the compiler was given up on, if it was: the rule is then run as written.
    """

    def __init__(self, rule: Callable[..., Any], scalar_rule: Callable[..., Any] | None = None) -> None:
        self.rule = rule
        self.declined = ""
        self._scalar_rule = scalar_rule or rule
        self._patience = PATIENCE if _is_exact(rule) else -1
        self._loops: dict[tuple[Any, ...], Callable[..., Any] | None] = {}

    def __call__(self, xp: Any, *args: Any) -> Any:
        loop = None if self.declined else self._loop(args)
        return self.rule(xp, *args) if loop is None else loop(args)

    def _loop(self, args: tuple[Any, ...]) -> Callable[..., Any] | None:
        arrays = [arg for arg in args if type(arg) is np.ndarray]
        if not arrays or not arrays[0].ndim or not self._pays(arrays[0].size):
            return None
        shape, dtype = arrays[0].shape, arrays[0].dtype
        if any(array.shape != shape or array.dtype != dtype for array in arrays) or dtype.char not in "fd":
            return None
        parallel = arrays[0].size >= PARALLEL_FROM
        key = (parallel, dtype, *map(type, args))
        if key not in self._loops:
            self._loops[key] = self._compile(args, dtype, parallel)
        return self._loops[key]

    def _pays(self, size: int) -> bool:
        if size >= PARALLEL_FROM:
            return True
        self._patience -= self._patience > 0
        return self._patience == 0

    def _compile(self, args: tuple[Any, ...], dtype: np.dtype, parallel: bool) -> Callable[..., Any] | None:
        import numba

        if not all(type(arg) is np.ndarray or isinstance(arg, int | float | np.floating) for arg in args):
            return None
        samples = [arg if isinstance(arg, bool) else dtype.type(0) for arg in args]
        try:
            element = numba.njit(self._scalar_rule, error_model="numpy")
            element.compile(tuple(numba.typeof(value) for value in (_functions(), *samples)))
        except numba.core.errors.NumbaError as error:
            self.declined = str(error).strip().splitlines()[0]
            return None
        result = next(iter(element.overloads.values())).signature.return_type
        outputs = list(result) if isinstance(result, numba.types.BaseTuple) else [result]
        if any(output != numba.typeof(dtype.type(0)) for output in outputs):
            self.declined = f"it gives {result} from {dtype}: a literal in the rule takes part in another precision"
            return None
        kernel = _kernel(element, [type(arg) is np.ndarray for arg in args], len(outputs), parallel)
        single = not isinstance(result, numba.types.BaseTuple)
        guard = _guard() if parallel else nullcontext()

        def loop(args: tuple[Any, ...]) -> Any:
            flat: list[Any] = []
            for arg in args:
                if type(arg) is np.ndarray:
                    shape = arg.shape
                    flat.append(arg.reshape(-1))
                else:
                    flat.append(arg if isinstance(arg, bool) else dtype.type(arg))
            new = [np.empty(shape, dtype) for _ in outputs]
            flat += [array.reshape(-1) for array in new]
            with guard:
                kernel(*flat)
            return new[0] if single else tuple(new)

        return loop


def _is_exact(rule: Callable[..., Any]) -> bool:
    """Whether a rule is made of correctly rounded operations alone, as far as can be seen from its code."""
    code = getattr(rule, "__code__", None)
    if code is None or any(isinstance(constant, CodeType) for constant in code.co_consts):
        return False
    powers = any(step.opname == "BINARY_OP" and step.argrepr in ("**", "**=") for step in dis.get_instructions(code))
    return not powers and _EXACT.issuperset(code.co_names)


def _kernel(element: Any, is_array: list[bool], outputs: int, parallel: bool) -> Callable[..., Any]:
    """The loop over elements. Its source is written for the number of arguments, as numba has no loop over mixed ones."""
    import numba

    ins = [f"a{i}" for i in range(len(is_array))]
    outs = [f"out{i}" for i in range(outputs)]
    values = ", ".join(f"{name}[i]" if array else name for name, array in zip(ins, is_array, strict=True))
    source = (
        f"def kernel({', '.join(ins + outs)}):\n"
        f"    for i in indices(out0.size):\n"
        f"        {', '.join(f'{name}[i]' for name in outs)} = element(xp, {values})\n"
    )
    scope = {"element": element, "xp": _functions(), "indices": numba.prange if parallel else range}
    exec(source, scope)
    kernel: Callable[..., Any] = numba.njit(scope["kernel"], parallel=parallel, error_model="numpy")
    return kernel


@cache
def _functions() -> ModuleType:
    """The standard's element-wise functions as functions of scalars, under the standard's names."""
    import math

    import numba

    xp = ModuleType("nnx.backends.compiled.xp")
    same = "sqrt exp log log1p expm1 tanh sin cos abs sign square maximum minimum isnan isfinite add subtract multiply divide"
    for name in same.split():
        setattr(xp, name, getattr(np, name))
    xp.pow = np.power  # type: ignore[attr-defined]
    xp.erf = numba.njit(lambda x: math.erf(x))  # type: ignore[attr-defined]
    xp.where = numba.njit(lambda condition, x, y: x if condition else y)  # type: ignore[attr-defined]
    return xp


@cache
def _guard() -> AbstractContextManager[Any]:
    """Choose the thread pool for parallel loops, unless the user or an earlier loop has; what to hold around them.

    OpenMP's pool would spin against that of BLAS, and slow a training step by 4 to 10 times. TBB's does not, and may
    be entered by several threads; workqueue does not either, but may not. A virtual environment's TBB is not on the
    loader's path, so it is loaded by its file.
    """
    import numba

    try:
        layer = numba.threading_layer()
    except ValueError:  # none runs yet
        if numba.config.THREADING_LAYER == "default" and "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
            numba.config.THREADING_LAYER = "tbb" if _load_tbb() else "workqueue"
        layer = numba.config.THREADING_LAYER
    return _one_at_a_time if layer == "workqueue" else nullcontext()


def _load_tbb() -> bool:
    for name in (str(Path(sys.prefix) / "lib" / "libtbb.so.12"), "libtbb.so.12"):
        try:
            library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        if library.TBB_runtime_interface_version() >= 12060 and importlib.util.find_spec("numba.np.ufunc.tbbpool"):
            return True
    return False
