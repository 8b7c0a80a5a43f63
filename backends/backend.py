"""Backend: an array library bound to a device, and the few things that the standard lacks.

A backend is a record. Its first fields say what it is, the next how arrays get in and out, the rest is the table of
*hooks*: functions that networks need and the Array API standard does not have. Every hook has a portable default,
written against the standard alone (``backends/portable/``), which is also the oracle that an override is tested against.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nnx.backends import exchange, portable
from nnx.backends.recorded.program import replay
from nnx.errors import DtypeError, MixedArraysError, NnxError, TracingError
from nnx.typing import Array, Namespace

_HOST = (np.ndarray, np.generic, bool, int, float, complex, list, tuple)


class Deviation(NamedTuple):
    """Where a library is known to leave the standard, why that matters here, and where it is recorded."""

    what: str
    reason: str
    source: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Backend:
    """An array library on one device. Get one from :func:`nnx.backends.get`; there is one object per device.

    >>> from nnx import backends
    >>> be = backends.get("numpy")
    >>> be.name, be.spec
    ('numpy', 'numpy')
    >>> be.to_numpy(be.xp.exp(be.asarray([0.0])))
    array([1.])
    """

    # what it is
    name: str
    spec: str
    xp: Namespace
    device: Any

    # how arrays get in and out
    owns: Callable[[Any], bool]
    """Whether an object is an array of this library, on any device."""
    resides: Callable[[Array], bool]
    """Whether an array of this library lies on this device."""
    send: Callable[[np.ndarray], Array]
    """Host array -> array on this device, of the same dtype; DtypeError where the library would change it."""
    move: Callable[[Array], Array]
    """Array of this library on another device -> on this one."""
    fetch: Callable[[Array], np.ndarray]
    """Array of this library -> host array."""
    wait: Callable[..., None] = lambda *arrays: None
    """Return when the device has finished what was asked of it."""
    use: Callable[[], AbstractContextManager[Any]] = nullcontext
    """``with backend.use():`` makes this the current device of the thread, where a library has such a thing (CuPy)."""
    threads: Callable[[int], AbstractContextManager[Any]] = lambda n: nullcontext()
    """``with backend.threads(n):`` lets products on the CPU take at most n threads, where the library can be told."""
    refuses: Callable[[str], str] = lambda name: ""
    """Why this device cannot hold a dtype and what would help; empty where it can."""
    describe: Callable[[], dict[str, Any]] = dict
    """Library version, devices, BLAS, threads, fused; ``tf32`` (on, off, …) where the device has it."""
    deviations: tuple[Deviation, ...] = field(default=(), repr=False)

    # the hooks
    scatter_add: Callable[..., Array] = portable.scatter_add
    put: Callable[..., Array] = portable.put
    windows: Callable[..., Array] = portable.windows
    fold: Callable[..., Array] = portable.fold
    product: Callable[[Namespace, Array, Array], Array] = portable.product
    convolve: Callable[..., Array] = portable.convolve
    convolve_to_weight: Callable[..., Array] = portable.convolve_to_weight
    convolve_to_input: Callable[..., Array] = portable.convolve_to_input
    pool: Callable[..., tuple[Array, Array]] = portable.pool
    unpool: Callable[..., Array] = portable.unpool
    relu: Callable[[Namespace, Array], Array] = portable.relu
    relu_back: Callable[[Namespace, Array, Array], Array] = portable.relu_back
    batch_norm: Callable[..., tuple[Any, ...]] = portable.batch_norm
    batch_norm_back: Callable[..., tuple[Any, ...]] = portable.batch_norm_back
    cross_entropy: Callable[[Namespace, Array, Array], tuple[Array, Any]] = portable.cross_entropy
    cross_entropy_back: Callable[[Namespace, Any, Array], Array] = portable.cross_entropy_back
    random_words: Callable[[tuple[int, int], int], Array] = portable.random_words
    erf: Callable[[Namespace, Array], Array] = portable.erf
    fuse: Callable[[Callable[..., Any]], Callable[..., Any]] = portable.fuse
    each: Callable[..., list[list[Array]]] = portable.each
    over: Callable[..., Callable[..., bool] | None] | None = None
    """``each`` written over the arrays it was given, where the library can tell that nobody would see it
    (:mod:`nnx.backends.fast.overwriting`).
    """
    own: Callable[[Array], Array] = lambda x: x
    """An array that may be written without harm to others: itself, or a copy of a view, where views share memory."""
    memory: Callable[[], AbstractContextManager[Any]] = nullcontext
    """``with memory:``, where ``memory = backend.memory()``, a training step is taken: results of ``each`` may lie where dead ones lay."""
    finite: Callable[[Namespace, Sequence[Array]], Any] = portable.finite
    """Whether every number of these floating arrays is finite, as one 0-d array on the device."""
    repeats: bool = True
    """Whether the same calls give the same bits each time: not where a GPU adds in any order."""
    eager: bool = False
    """Whether a result is there when the call returns, so that looking at one number costs next to nothing."""
    exhausted: Callable[[BaseException], bool] = portable.exhausted
    """Whether an error says that memory ran out, in the words of this library."""
    room: Callable[[], int | None] = lambda: None
    """Bytes that can still be had on the device; ``None`` where nobody can say."""
    assemble: Callable[..., Callable[..., list[Array]]] = replay
    jit: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    """A compiler of whole functions that the library brings; without one, they are recorded and assembled."""
    rehearse: Callable[..., Any] = lambda function, *arrays: function(*arrays)
    """``rehearse(function, *arrays)``: the function is called for what it does beside its result; a library may leave out the numbers."""
    link: Callable[[int, int], Callable[[Array, Array, int], None] | None] | None = None
    """``link(rank, size)``: what sends a flat array to another process and receives one, from device to device; for a GPU."""

    def __repr__(self) -> str:
        return f"<Backend {self.spec}>"

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """The values of ``x`` as an array on this device; copied, sent or cast only when needed.

        ``x`` is a host array, a Python scalar or a nested list of them, or an array of this library on any device; or
        one of any other library that knows DLPack, on the CPU (it is then a host array) or on this very device. That is
        the way out, too: ``backends.get("torch").asarray(x)``.
        Without ``dtype`` the values keep the dtype that NumPy sees, so float64 data and lists of floats are float64
        (where the device has no float64 this raises: ask for ``dtype="float32"``). ``dtype`` is a name or any library's
        dtype object. As in ``numpy.asarray``, the result may share memory with ``x``, and does wherever nothing needs a
        copy: on NumPy always, on PyTorch unless the memory is read-only, on JAX and array-api-strict never from the
        host, for their arrays do not change.

        MixedArraysError: ``x`` belongs to another array library, on another device or without DLPack. DtypeError: text
        or object arrays, or a dtype that this device cannot hold. TracingError: ``x`` is a traced array.

        >>> from nnx import backends
        >>> backends.get("numpy").asarray([1, 2], dtype="float32")
        array([1., 2.], dtype=float32)
        """
        wanted = None if dtype is None else self.dtype(dtype)
        if not isinstance(x, np.ndarray) and self.owns(x):
            x = x if self.resides(x) else self.move(x)
        elif (there := None if isinstance(x, _HOST) else exchange.device_of(x)) is None or there[0] in exchange.CPU:
            host = x if there is None else self._view(x)
            return self.send(self._host(host, None if dtype is None else dtype_name(dtype)))
        else:
            x = self._neighbour(x)
        return x if wanted is None or x.dtype == wanted else self.xp.astype(x, wanted)

    def to_numpy(self, x: Any) -> np.ndarray:
        """The values of ``x`` on the host: the one lawful exit. May share memory with ``x``, and may be read-only."""
        if self.owns(x):
            return self.fetch(x)
        return self._host(x)

    def synchronize(self, *arrays: Array) -> None:
        """Wait until the device has finished: all work, or at least what ``arrays`` need where they are given."""
        self.wait(*arrays)

    def info(self) -> dict[str, Any]:
        """What ``nnx backends`` prints: version, devices, blas, threads, fused; and whether float32 products are made in TF32."""
        return {"name": self.name, "spec": self.spec, "tf32": "none", **self.describe()}

    def dtype(self, dtype: Any) -> Any:
        """This library's dtype object for a name or for another library's dtype; DtypeError if this device has none."""
        name = dtype_name(dtype)
        found, refusal = getattr(self.xp, name, None), self.refuses(name)
        if found is None or refusal:
            raise DtypeError(
                expected=f"a dtype that {self.name} can hold here",
                got=name,
                where=f"backend {self.spec}",
                fix=refusal or "float32, float64, int64 and bool are such.",
            )
        return found

    def _view(self, x: Any) -> np.ndarray:
        """The memory of another library's array on the CPU."""
        try:
            return exchange.host_view(x)
        except BufferError as error:
            raise _foreign(x, self.spec, f", which DLPack cannot hand over ({error})") from error

    def _neighbour(self, x: Any) -> Array:
        """An array of another library on this device, in the same memory."""
        if not exchange.same_device(x, self.send(np.zeros(1, dtype=np.float32))):
            raise _foreign(x, self.spec, " on another device")
        self.dtype(dtype_name(x.dtype))
        with self.use():
            return self.xp.from_dlpack(x)

    def _host(self, x: Any, dtype: str | None = None) -> np.ndarray:
        """A host array, a scalar or a list as a host array of numbers."""
        first = x
        while isinstance(first, list | tuple) and first:
            first = first[0]
        if not isinstance(first, _HOST):
            raise _foreign(first, self.spec)
        try:
            host = np.asarray(x)
        except ValueError:
            host = np.asarray(x, dtype=object)  # rows of different lengths
        if host.dtype.kind not in "biufc" and host.dtype.type.__module__ != "ml_dtypes":
            raise DtypeError(
                expected="numbers or booleans",
                got=f"an array of dtype {host.dtype}",
                where=f"backend {self.spec}",
                fix="Encode text as numbers (nnx.data.load does), and make all rows equally long.",
            )
        if not host.dtype.isnative:
            host = host.astype(host.dtype.newbyteorder("="))
        return host if dtype is None else host.astype(dtype, copy=False)


def dtype_name(dtype: Any) -> str:
    """The standard's name of a dtype given as a name or as any library's dtype object.

    >>> dtype_name("float32"), dtype_name(np.float32), dtype_name(np.dtype("bool"))
    ('float32', 'float32', 'bool')
    """
    if isinstance(dtype, type):
        return dtype.__name__
    return str(dtype).rpartition(".")[2]


def _foreign(x: Any, spec: str, why: str = "") -> NnxError:
    """What to raise about an array that is not of this library, nor of the host."""
    where = f"backend {spec}"
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    if getattr(type(x), "__nnx_tensor__", False):
        return TracingError(
            expected="a plain array",
            got="a traced one, whose value would leave the tape",
            where=where,
            fix="Take the value outside the differentiated function, or return it with has_aux=True.",
        )
    return MixedArraysError(
        expected=f"a host array, a list, a scalar or an array of {spec.partition(':')[0]}",
        got=f"a {kind}{why}",
        where=where,
        fix="Bring it to the host first: nnx.backends.of(x).to_numpy(x).",
    )
