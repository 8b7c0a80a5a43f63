"""What ``nnx.parity`` found: rows for layers, gradients and steps, the first operation that departs, and who is further from the truth."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from nnx.parity.watch import Departure

WIDTH = 80
KINDS = {
    "forward": "forward: what each layer gives",
    "loss": "the loss",
    "statistics": "new statistics",
    "gradient": "gradient of each parameter",
    "step": "a step, from the reference's state",
}


@dataclass(frozen=True)
class Row:
    """One comparison with the reference.

    ``measured`` is the largest difference over the largest magnitude of the array (of a step: the norms, of the array
    that is furthest apart, named in ``at``). ``tolerance`` is 4 √K eps and sixteen times the reference's own distance
    from float64; None for what is only told. ``error`` and ``reference_error`` are the distances from float64 where
    that could be had.
    """

    kind: str
    path: str
    measured: float
    tolerance: float | None
    error: float | None = None
    reference_error: float | None = None
    at: str = ""

    @property
    def departs(self) -> bool:
        """Whether it is further than allowed."""
        return self.tolerance is not None and not self.measured <= self.tolerance


@dataclass(frozen=True)
class Comparison:
    """One backend against the reference. ``departures`` are all operations that depart, in order; ``operations`` counts those compared."""

    backend: str
    rows: tuple[Row, ...]
    departures: tuple[Departure, ...]
    operations: int
    nearest: tuple[float, str, str] = (0.0, "", "")
    """The operation that used most of its tolerance: the share, its name, its layer."""
    lost: str = ""

    @property
    def first(self) -> Departure | None:
        """The first operation that departs, None where none does."""
        return self.departures[0] if self.departures else None

    @property
    def agrees(self) -> bool:
        """Whether every operation and every row is within its tolerance."""
        return not self.departures and not any(row.departs for row in self.rows)


@dataclass(frozen=True)
class ParityReport:
    """All backends against the first. ``print(report)`` shows tables of at most 80 columns."""

    subject: str
    dtype: str
    backends: tuple[dict[str, Any], ...]
    comparisons: tuple[Comparison, ...]

    @property
    def agrees(self) -> bool:
        """Whether no backend departs."""
        return all(one.agrees for one in self.comparisons)

    def __getitem__(self, backend: str) -> Comparison:
        return next(one for one in self.comparisons if backend in (one.backend, one.backend.partition(":")[0]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; numbers that JSON lacks are text."""
        found: dict[str, Any] = asdict(self) | {"agrees": self.agrees}
        for made, one in zip(found["comparisons"], self.comparisons, strict=True):
            made["agrees"] = one.agrees
            made["first"] = None if one.first is None else one.first._asdict()
            for row, known in zip(made["rows"], one.rows, strict=True):
                row["departs"] = known.departs
        return _plain(found)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        lines = [_cut(f"{self.subject}, {self.dtype}", WIDTH), ""]
        lines += _about(self.backends)
        for one in self.comparisons:
            lines += ["", *_table(one, self.backends[0]["spec"])]
        return "\n".join(lines)


def _about(backends: tuple[dict[str, Any], ...]) -> list[str]:
    lines = [f"{'backend':<16}  {'version':<14}  {'TF32':<12}  BLAS, threads"]
    for info in backends:
        threads = "" if info.get("threads") is None else f", {info['threads']}"
        row = f"{info['spec']:<16}  {info.get('version', '')!s:<14}  {info.get('tf32', 'unknown'):<12}  "
        lines.append(_cut(f"{row}{info.get('blas', '')}{threads}", WIDTH))
    return lines


def _table(one: Comparison, reference: str) -> list[str]:
    lines = [f"{one.backend} against {reference}: {'agrees' if one.agrees else 'DEPARTS'}"]
    if one.first is None:
        share, op, layer = one.nearest
        said = f"; nearest to its tolerance: {op} in {layer or 'the model'}, {share:.0%}" if share else ""
        lines.append(_cut(f"operations  {one.operations} on the same inputs, none departs{said}", WIDTH))
    else:
        lines += _first(one.first, one, reference)
    if one.lost:
        lines += textwrap.wrap(f"note  {one.lost}", WIDTH, subsequent_indent="      ")
    lines.append("")
    for kind, title in KINDS.items():
        rows = [row for row in one.rows if row.kind == kind]
        if rows:
            lines.append(f"{_cut(title, 36):<36}  {'apart':>8}  {'allowed':>8}  further from float64")
            lines += [_line(row, one.backend, reference) for row in rows]
    free = [row.measured for row in one.rows if row.kind == "free"]
    if free:
        lines.append(f"  left to itself, for information: {free[-1]:.1e} apart after {len(free)} steps")
    return lines


def _line(row: Row, backend: str, reference: str) -> str:
    allowed = "" if row.tolerance is None else "exact" if row.tolerance == 0 else f"{row.tolerance:.1e}"
    mark = " *" if row.departs else ""
    name = f"{row.path or 'the model'}{f' ({row.at})' if row.at else ''}"
    further = ""
    if row.error is not None and row.reference_error is not None and row.measured > 0:
        who, by = max((row.error, backend), (row.reference_error, reference))[::-1]
        further = f"{_cut(who, 11)} {by:.1e}"
    return f"  {_cut(name, 34):<34}  {row.measured:>8.1e}  {allowed:>8}  {further}{mark}".rstrip()


def _first(first: Departure, one: Comparison, reference: str) -> list[str]:
    unit = "ulp" if first.tier == "exact" or first.tier.endswith("ulp") else "of its terms"
    count = len(one.departures)
    lines = [
        f"first to depart  {first.op}, in {first.layer or 'the model'} ({first.phase}), operation {first.number} of {one.operations}",
        f"                 {first.measured:.2g} {unit}, allowed {first.tier}"
        + ("" if first.tolerance == 0 or unit == "ulp" else f" = {first.tolerance:.1e}"),
        f"                 largest |input| {first.magnitude:.3g}",
    ]
    if first.error is not None and first.reference_error is not None:
        lines.append(
            f"                 off float64 by {first.error:.1e} here, {first.reference_error:.1e} on {reference}"
        )
    if count > 1:
        others = sorted({one.op for one in one.departures[1:]})
        lines.append(f"                 {count - 1} more depart: {', '.join(others)}")
    return [_cut(line, WIDTH) for line in lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(item) for item in x]
    if isinstance(x, float) and not abs(x) < float("inf"):
        return repr(x)
    return x if x is None or isinstance(x, (bool, int, float, str)) else str(x)
