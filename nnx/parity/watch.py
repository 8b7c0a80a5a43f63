"""One step, looked at operation by operation: what every call of the library came to, in which layer, and what it was given.

The reference's step is run first and keeps each call. Then the other backend takes the same step in lockstep: every
call is made on the reference's numbers, its result is compared, and goes on as the reference's. So each operation is
judged alone, however many came before it, and the first that departs is the first that is wrong.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from nnx import backends
from nnx.autodiff import tape
from nnx.backends.recorded.program import nested
from nnx.backends.recorded.recording import Recorded, Recording, space_over
from nnx.layers import Module
from nnx.parity.tiers import Tier, distance, measured, tier
from nnx.typing import Array

LOSS = "loss"


class Op(NamedTuple):
    """One call on the reference: its name, where, its results on the host, and what is allowed for each."""

    name: str
    phase: str
    layer: str
    outs: list[np.ndarray]
    tiers: list[Tier]
    call: tuple[Callable[..., Any], Any, Any]


class Departure(NamedTuple):
    """An operation whose result is further from the reference's than is allowed.

    ``op`` is its name in the standard or that of a hook, ``layer`` the path of the module it belongs to (``loss``
    outside of them), ``number`` its place among all calls of the step, ``magnitude`` the largest |input|.
    ``reference_error`` and ``error`` are the largest differences from the same call in float64, where that could be
    made.
    """

    op: str
    phase: str
    layer: str
    number: int
    magnitude: float
    measured: float
    tolerance: float
    tier: str
    reference_error: float | None
    error: float | None


class Watching(Recording):
    """A recording that knows in which layer it is."""

    open = True

    def __init__(self, backend: backends.Backend) -> None:
        super().__init__()
        self.backend = backend
        self._ticks: list[int] = []
        self._layers: list[str] = []

    def place(self) -> tuple[str, str]:
        """(phase, layer) of the call that is being made, read from who called: a module, or the pullback of a node that a module made."""
        frame: Any = sys._getframe(3)
        while frame is not None:
            if frame.f_code is _CALL:
                return self._forward(frame.f_locals["self"]._path)
            if frame.f_code is _BACKWARD:
                at = bisect_right(self._ticks, frame.f_locals["node"].order)
                return "backward", self._layers[at - 1] if at else LOSS
            frame = frame.f_back
        return self._forward(LOSS)

    def _forward(self, layer: str) -> tuple[str, str]:
        self._ticks.append(next(tape._order))  # between the nodes before this call and the one it becomes
        self._layers.append(layer)
        return "forward", layer

    def hosted(self, out: Any) -> list[np.ndarray]:
        """The arrays of a result, on the host."""
        found: list[np.ndarray] = []

        def keep(x: Any) -> Any:
            if array_api_compat.is_array_api_obj(x) or isinstance(x, np.generic):
                found.append(np.array(self.backend.to_numpy(x)))
            return x

        nested(keep, out)
        return found

    def changed(self, nest: Any, function: Callable[[Array], Array]) -> Any:
        """A nest of arguments with ``function`` of its floating arrays."""

        def one(x: Any) -> Any:
            if not array_api_compat.is_array_api_obj(x) or isinstance(x, type):
                return x
            return function(x) if self.backend.xp.isdtype(x.dtype, ("real floating", "complex floating")) else x

        return nested(one, nest)


_CALL, _BACKWARD = Module.__call__.__code__, tape.backward.__code__


class Reference(Watching):
    """The reference's step: keeps each call."""

    def __init__(self, backend: backends.Backend) -> None:
        super().__init__(backend)
        self.ops: list[Op] = []

    def seen(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any) -> Any:
        """Keep it."""
        outs = self.hosted(out)
        tiers = [tier(name, function, args, kwargs, one, self._absolute) for one in outs]
        self.ops.append(Op(name, *self.place(), outs, tiers, (function, args, kwargs)))
        return out

    def _absolute(self, function: Any, args: Any, kwargs: Any) -> Any:
        given = self.changed(args, self.backend.xp.abs)
        found = self.hosted(given if function is None else function(*given, **kwargs))
        return found[0] if found and found[0].dtype.kind in "fc" else None

    def magnitude(self, op: Op) -> float:
        """The largest |input|."""
        sizes = [float(np.max(np.abs(x), initial=0.0)) for x in self.hosted(op.call[1]) if x.dtype.kind in "fc"]
        return max(sizes, default=0.0)

    def exactly(self, op: Op) -> list[np.ndarray] | None:
        """The same call in float64; None where it cannot be made."""
        xp, (function, args, kwargs) = self.backend.xp, op.call

        def wide(x: Array) -> Array:
            return xp.astype(x, xp.float64) if x.dtype == xp.float32 else x

        def wide_dtype(x: Any) -> Any:
            return xp.float64 if isinstance(x, type(xp.float32)) and x == xp.float32 else x

        try:
            return self.hosted(function(*self.changed(args, wide), **nested(wide_dtype, kwargs)))
        except Exception:  # a hook or a device without float64
            return None


class Follower(Watching):
    """Another backend's step in lockstep with the reference's."""

    def __init__(self, backend: backends.Backend, reference: Reference) -> None:
        super().__init__(backend)
        self.reference, self.at = reference, 0
        self.departures: list[Departure] = []
        self.worst: dict[tuple[str, str], tuple[float, str]] = {}
        """By phase and layer: the largest share of its tolerance that an operation used, and its name."""
        self.lost = ""

    def seen(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any) -> Any:
        """Compare it, and go on with the reference's result."""
        phase, layer = self.place()
        if self.lost:
            return out
        outs, ops = self.hosted(out), self.reference.ops
        op = ops[self.at] if self.at < len(ops) else None
        if op is None or op.name != name or [x.shape for x in outs] != [x.shape for x in op.outs]:
            there = f"{op.name} in {op.layer}" if op else "nothing more"
            self.lost = (
                f"operation {self.at} is {name} in {layer} here, {there} on the reference: not compared from there on"
            )
            return out
        for ours, theirs, allowed in zip(outs, op.outs, op.tiers, strict=True):
            found = measured(ours, theirs, allowed)
            used = found / allowed.tolerance if allowed.tolerance else 0.0 if found == 0 else np.inf
            if used >= self.worst.get((phase, layer), (-1.0, ""))[0]:
                self.worst[phase, layer] = (float(used), name)
            if not used <= 1.0:
                self._depart(op, layer, phase, found, allowed, ours, theirs)
        self.at += 1
        results = iter(op.outs)
        return nested(lambda x: self._theirs(x, results), out)

    def _theirs(self, x: Any, results: Any) -> Any:
        if not (array_api_compat.is_array_api_obj(x) or isinstance(x, np.generic)):
            return x
        host = next(results)
        return self.backend.asarray(host, dtype=x.dtype)

    def _depart(self, op: Op, layer: str, phase: str, found: float, allowed: Tier, ours: Any, theirs: Any) -> None:
        errors: list[float | None] = [None, None]
        exact = self.reference.exactly(op) if len(self.departures) < 8 else None
        for wide in exact or ():
            if wide.shape == ours.shape and wide.dtype.kind in "fc":
                errors = [float(np.max(distance(one.astype(wide.dtype), wide), initial=0.0)) for one in (theirs, ours)]
        magnitude = self.reference.magnitude(op)
        self.departures.append(
            Departure(op.name, phase, layer, self.at, magnitude, found, allowed.tolerance, str(allowed), *errors)
        )


def watched(step: Callable[..., Any], arrays: Sequence[Array], backend: backends.Backend, watching: Watching) -> None:
    """``step(*arrays)`` under the eyes of ``watching``."""
    space = space_over(backend)
    step(*[Recorded(array, space, watching) for array in arrays])
