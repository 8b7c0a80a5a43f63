"""The same step on the reference, on another backend, and on the reference in float64: rows with what is allowed for each."""

import math
from typing import Any

import numpy as np

from nnx import data
from nnx.parity.report import Comparison, Row
from nnx.parity.runs import Contestant, Outcome
from nnx.parity.tiers import C, distance
from nnx.parity.watch import Follower, Reference

TIMES = 16.0
"""How much further than the reference itself is from float64 another backend may be: the condition of the problem is in that distance."""


def comparison(
    reference: Contestant,
    other: Contestant,
    free: Contestant,
    truth: Contestant | None,
    rows: list[Any],
    seen: Reference,
) -> Comparison:
    """One backend, against the reference. ``seen`` is the reference's step, operation by operation; ``rows`` the batches."""
    found: Follower = other.watched(rows[0], seen)
    exact = truth.outcome(rows[0]) if truth is not None else None
    made = outcomes(reference.outcome(rows[0]), other.outcome(rows[0]), exact, seen)
    made += steps(reference, other, free, truth, rows)
    share, op, layer = max(((used, op, layer) for (_, layer), (used, op) in found.worst.items()), default=(0.0, "", ""))
    return Comparison(
        other.backend.spec, tuple(made), tuple(found.departures), found.at, (share, op, layer), found.lost
    )


def outcomes(ours: Outcome, theirs: Outcome, exact: Outcome | None, seen: Reference) -> list[Row]:
    """What one step computes. Exact where nothing but exact operations came before, as in a flatten or an embedding."""
    terms = max((allowed.terms for op in seen.ops for allowed in op.tiers), default=1)
    only_exact = _only_exact(seen)
    made = []
    for kind, path in ours:
        a, b = ours[kind, path], theirs.get((kind, path))
        if b is None or a.dtype.kind not in "fc":
            same = b is not None and np.array_equal(a, b)
            made.append(Row(kind, path, 0.0 if same else math.inf, 0.0))
            continue
        e = None if exact is None else exact[kind, path]
        made.append(_row(kind, path, a, b, e, terms, exact=kind == "forward" and path in only_exact))
    return made


def _only_exact(seen: Reference) -> set[str]:
    """The layers up to the first operation that may round differently."""
    found: set[str] = set()
    for op in seen.ops:
        if op.phase == "backward" or any(allowed.kind != "exact" for allowed in op.tiers):
            found.discard(op.layer)
            break
        found.add(op.layer)
    return found


def _row(kind: str, path: str, a: Any, b: Any, e: Any, terms: int, exact: bool = False, at: str = "") -> Row:
    scale = float(np.max(np.abs(a), initial=0.0)) or 1.0
    eps = float(np.finfo(a.dtype).eps)
    apart = float(np.max(distance(b, a), initial=0.0)) / scale if a.shape == b.shape else math.inf
    error = reference = None
    tolerance = C * math.sqrt(terms) * eps
    if e is not None:
        wide = e.astype(np.result_type(e, a))
        reference = float(np.max(distance(a.astype(wide.dtype), wide), initial=0.0)) / scale
        error = float(np.max(distance(b.astype(wide.dtype), wide), initial=0.0)) / scale
        tolerance += TIMES * reference
    else:
        tolerance *= TIMES
    return Row(kind, path, apart, 0.0 if exact else tolerance, error, reference, at)


def steps(
    reference: Contestant, other: Contestant, free: Contestant, truth: Contestant | None, rows: list[Any]
) -> list[Row]:
    """Steps of training: each from the reference's state, and a run left to itself."""
    start = reference.where()
    free.take(*start)
    made, told = [], []
    for number, batch in enumerate(rows):
        before = reference.where()
        reference.step(batch, number)
        other.take(*before)
        other.step(batch, number)
        free.step(batch, number)
        if truth is not None:
            truth.take(*before)
            truth.step(batch, number)
        after = reference.where()[0]
        exact = None if truth is None else truth.where()[0]
        made.append(_step("step", number, after, other.where()[0], exact))
        told.append(_step("free", number, after, free.where()[0], None, bounded=False))
    reference.take(*start)
    other.take(*start)
    if truth is not None:
        truth.take(*start)
    return [*made, *told]


def _step(kind: str, number: int, ours: Any, theirs: Any, exact: Any, bounded: bool = True) -> Row:
    """The array that used the largest share of its tolerance; by norm, since a single weight with no gradient but
    rounding may differ by more.
    """
    rows = []
    for path, a in ours.items():
        if a.dtype.kind not in "fc":
            continue
        size, eps = _norm(a) or 1.0, float(np.finfo(a.dtype).eps)
        apart = _norm(theirs[path], a) / size
        reference = error = None
        tolerance = C * math.sqrt(max(1, a.size)) * eps * TIMES
        if exact is not None:
            reference, error = _norm(a, exact[path]) / size, _norm(theirs[path], exact[path]) / size
            tolerance = C * 8 * eps + TIMES * reference
        rows.append(Row(kind, str(number), apart, tolerance if bounded else None, error, reference, path))
    return max(rows, key=lambda row: row.measured / (row.tolerance or 1.0))


def _norm(a: Any, b: Any = 0.0) -> float:
    found = float(np.linalg.norm(np.ravel(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))))
    return found if math.isfinite(found) else math.inf


def batches(whole: data.Dataset, size: int, steps: int, seed: int) -> list[Any]:
    """The rows of the first steps, as ``nnx.fit`` would take them."""
    found: list[Any] = []
    epoch = 0
    while len(found) < steps:
        found += data.batches(len(whole), size, seed=seed, epoch=epoch)
        epoch += 1
    return found[:steps]
