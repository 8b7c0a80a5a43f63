"""Recording: run a function of arrays once, and keep the list of library calls that it came to.

What runs is the function itself, on arrays that note what is done with them (:class:`Recorded`, over the real ones).
Its result is right; the notes (a :class:`~nnx.backends.recorded.program.Program`) give the same result again for other
arrays of the same shapes and dtypes, without the Python in between. So the function must be pure: what it decides or
computes in Python is fixed by the recording. Where it looks at a recorded value (``if x > 0``, ``float(x)``), recording
ends with :class:`RecordingError`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from nnx.backends import portable
from nnx.backends.backend import Backend
from nnx.backends.recorded.operators import APPLIED, ARITHMETIC, COMPARISON, UNARY
from nnx.backends.recorded.program import Call, Program, Value, nested
from nnx.errors import TracingError
from nnx.typing import Array


class RecordingError(TracingError):
    """The function cannot be repeated from a recording, and why."""


class Recording:
    """The calls noted so far.

    One that is made to be looked at while it runs (``nnx.parity``) overrides :meth:`seen`, and is ``open``: values may
    be read.
    """

    open = False

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.values = 0

    def new(self, array: Array) -> Value:
        """The next value, by number, shape and dtype."""
        self.values += 1
        ordered = not isinstance(array, np.ndarray) or array.flags.c_contiguous
        return Value(self.values - 1, tuple(array.shape), array.dtype, ordered)

    def seen(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any) -> Any:
        """Told of every call with its bare arrays before it is noted; gives what it is to have come to."""
        return out


class Recorded:
    """An array that notes what is done with it; without a recording it is a constant."""

    __slots__ = ("_array", "_recording", "_space", "_value")
    __nnx_recorded__ = True
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, array: Array, space: "Space", recording: Recording | None = None) -> None:
        self._array, self._space, self._recording = array, space, recording
        self._value: Any = recording.new(array) if recording else None

    dtype = property(lambda self: self._array.dtype)
    shape = property(lambda self: tuple(self._array.shape))
    ndim = property(lambda self: self._array.ndim)
    device = property(lambda self: array_api_compat.device(self._array))
    size = property(lambda self: math.prod(self._array.shape))
    T = property(lambda self: self._space.permute_dims(self, tuple(reversed(range(self.ndim)))))
    mT = property(lambda self: self._space.matrix_transpose(self))  # noqa: N815  the standard's name

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self._space

    def __getitem__(self, key: Any, /) -> Any:
        return self._space.getitem(self, key)

    def __repr__(self) -> str:
        return f"Recorded({self._array!r})"

    def _known(self, what: str) -> Array:
        if self._recording is not None and not self._recording.open:
            raise RecordingError(
                f"{what} needs a value that changes from step to step",
                fix="Compute with arrays, or train with compile=False.",
            )
        return self._array

    def __bool__(self) -> bool:
        return bool(self._known("bool(x) or `if x:`"))

    def __float__(self) -> float:
        return float(self._known("float(x)"))

    def __int__(self) -> int:
        return int(self._known("int(x)"))

    def __index__(self) -> int:
        return self._known("x as an index").__index__()  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._known("np.asarray(x)"), dtype=dtype)

    def __setitem__(self, key: Any, value: Any, /) -> None:
        raise RecordingError(
            "x[key] = value is no function of x", fix="Build a new array, or train with compile=False."
        )

    def __len__(self) -> int:
        return int(self.shape[0])


class Space(ModuleType):
    """The namespace of the recorded arrays of one backend: every function of the library, noted."""

    def __init__(self, backend: Backend, inner: Any, name: str = "") -> None:
        super().__init__(f"nnx.backends.recorded.recording.{backend.spec}{name and '.'}{name}")
        self._backend, self._inner, self._name = backend, inner, name
        self._top: Space = self
        for function, operate in OPERATORS.items() if not name else ():
            setattr(self, function, self._noting(function, operate))

    @property
    def __nnx_backend__(self) -> Backend:
        return backend_over(self._backend)

    def __getattr__(self, name: str) -> Any:
        if name == "__array_namespace_info__":
            return getattr(self._inner, name)
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._inner, name)
        if isinstance(found, ModuleType):
            space = Space(self._backend, found, name)
            space._top = self
            found = space
        elif callable(found) and not isinstance(found, type):
            found = self._noting(f"{self._name}.{name}" if self._name else name, found)
        setattr(self, name, found)
        return found

    def _noting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.note(name, function, args, kwargs)

        return call

    def note(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``function`` on the real arrays; note the call if one of them may be another next time."""
        recordings: list[Recording] = []

        def bare(x: Any) -> Any:
            if type(x) is not Recorded:
                return x
            if x._recording is not None:
                recordings.append(x._recording)
            return x._array

        plain, named = nested(bare, args), nested(bare, kwargs)
        out = function(*plain, **named)
        recording = recordings[0] if recordings and name not in BY_SHAPE else None
        if recording is not None:
            out = recording.seen(name, function, plain, named, out)
        results: list[Value] = []

        def wrap(x: Any) -> Any:
            if isinstance(x, np.generic):
                x = np.asarray(x)
            if not array_api_compat.is_array_api_obj(x):
                return x
            array = Recorded(x, self._top, recording)
            results.append(array._value)
            return array

        wrapped = nested(wrap, out)
        if recording is not None and results:
            recording.calls.append(
                Call(name, function, nested(_noted, args), nested(_noted, kwargs), nested(_noted, wrapped))
            )
        return wrapped


OPERATORS: dict[str, Callable[..., Any]] = {**APPLIED, "getitem": operator.getitem}
BY_SHAPE = {"zeros_like", "ones_like", "empty_like", "full_like"}
"""Their results do not depend on the values of what they are given."""


def _operators() -> None:
    def forward(function: str) -> Any:
        def operate(self: Recorded, *other: Any) -> Any:
            if other and getattr(type(other[0]), "__nnx_tensor__", False):
                return NotImplemented  # a traced array takes it from here
            return getattr(self._space, function)(self, *other)

        return operate

    def reflected(function: str) -> Any:
        return lambda self, other: getattr(self._space, function)(other, self)

    for name, function in (ARITHMETIC | COMPARISON | UNARY).items():
        setattr(Recorded, f"__{name}__", forward(function))
    for name, function in ARITHMETIC.items():
        setattr(Recorded, f"__r{name}__", reflected(function))


_operators()


def _noted(x: Any) -> Any:
    """A recorded array as the number of its value, a constant as the array."""
    if type(x) is Recorded:
        return x._value if x._recording is not None else x._array
    return x


@cache
def space_over(backend: Backend) -> Space:
    """The recording namespace over a backend's, made once."""
    return Space(backend, backend.xp)


NOTED = (
    "scatter_add", "put", "windows", "fold", "convolve", "convolve_to_weight", "convolve_to_input", "pool", "unpool", "erf",
)  # fmt: skip
"""The hooks that are functions of arrays."""

JOINED = ("product", "relu", "relu_back", "batch_norm", "batch_norm_back", "cross_entropy", "cross_entropy_back")
"""Hooks that are expressions of the standard's functions where a library has no single call for them."""


def looked_at(args: Any) -> bool:
    """Whether a recording among these arguments is looked at call by call, on all backends alike."""
    found: list[bool] = []
    nested(lambda x: found.append(type(x) is Recorded and x._recording is not None and x._recording.open), args)
    return any(found)


@cache
def backend_over(backend: Backend) -> Backend:
    """The backend that recorded arrays say they live on: the same hooks, noted."""
    space = space_over(backend)

    def noted(name: str) -> Any:
        hook = getattr(backend, name)

        def real(*args: Any, **into: Any) -> Any:
            return hook(backend.xp, *args, **into)

        def call(xp: Any, *args: Any, **kwargs: Any) -> Any:
            return space.note(name, real, args, kwargs)

        return call

    def joined(name: str) -> Any:
        parts, whole = getattr(portable, name), noted(name)
        if getattr(backend, name) is parts:
            return parts

        def call(xp: Any, *args: Any) -> Any:
            return (parts if looked_at(args) else whole)(xp, *args)

        return call

    def fuse(rule: Callable[..., Any]) -> Callable[..., Any]:
        fused = backend.fuse(rule)

        def call(xp: Any, *args: Any) -> Any:
            return space.note("fused", lambda *given: fused(backend.xp, *given), args, {})

        return call

    def fetch(x: Any) -> np.ndarray:
        return backend.fetch(x._known("moving it to the host"))

    def own(x: Any) -> Any:
        """Another step's gradient is another array anyway; but a turned view is laid in order, as its copy is in a step as written."""
        array = x._array
        if not isinstance(array, np.ndarray) or array.base is None or array.flags.c_contiguous:
            return x
        return space.note("own", backend.own, (x,), {})

    return replace(
        backend,
        name=f"{backend.name}, recorded", xp=space, owns=lambda x: type(x) is Recorded, resides=lambda x: True,
        send=lambda host: Recorded(backend.send(host), space), move=lambda x: x, fetch=fetch, fuse=fuse, own=own,
        **{name: noted(name) for name in NOTED}, **{name: joined(name) for name in JOINED},
    )  # fmt: skip


def record(function: Callable[..., Sequence[Array]], arrays: Sequence[Array], backend: Backend) -> tuple[Any, Program]:
    """``function(*arrays)``, a sequence of arrays, and the program that gives it again for others like them.

    ``RecordingError`` where the function needs the values themselves.
    """
    space, recording = space_over(backend), Recording()
    inputs = [Recorded(array, space, recording) for array in arrays]
    out = function(*inputs)
    given = [x._value for x in inputs]
    program = Program(given, tuple(recording.calls), [_noted(x) for x in out])
    return [x._array if type(x) is Recorded else x for x in out], program


def compiled(
    function: Callable[..., Sequence[Array]], arrays: Sequence[Array], backend: Backend, borrowed: Sequence[int] = ()
) -> Callable[..., Sequence[Array]]:
    """``function`` for arrays like these, without the Python in it: by the library's own compiler, or from a recording.

    It must be pure. Outputs at the positions ``borrowed`` are valid until the next call. ``RecordingError`` if it needs the
    values themselves.

    >>> import numpy as np
    >>> from nnx import backends
    >>> double = compiled(lambda x: [x + x], [np.ones(2)], backends.get("numpy"))
    >>> double(np.asarray([1.0, 3.0]))
    [array([2., 6.])]
    """
    if backend.jit is not None:
        return backend.jit(function)
    return backend.assemble(record(function, arrays, backend)[1], borrowed)
