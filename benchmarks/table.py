"""Tables from a record: ``python benchmarks/table.py FILE`` prints markdown; a run prints them plain."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[dict[str, Any]]


# plain, for a terminal of 80 columns ----------------------------------------------------------------------------------
def plain(rows: Rows, targets: Rows = ()) -> str:
    """A block of lines for each piece of work, then the targets."""
    lines: list[str] = []
    for work in _unique(row["work"] for row in rows):
        lines.append(work)
        lines += [_line(row) for row in rows if row["work"] == work]
    lines += ["targets"] if targets else []
    for pair in _unique((target["ours"], target["theirs"]) for target in targets):
        lines.append("  {} against {}".format(*pair))
        chosen = [target for target in targets if (target["ours"], target["theirs"]) == pair]
        lines += [f"    {target['work']:48} {_outcome(target):>20}" for target in chosen]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    if "us" in row:
        return f"  {row['contestant']:24} {row['us']:10.2f} µs"
    if "peak_mib" in row:
        times = f"×{row['ratio']:.2f}" if row["ratio"] else ""
        return f"  {row['contestant']:24} {row['peak_mib']:8.1f} MiB, {row['training_mib']:7.1f} by training {times:>7}"
    low, high = row["ratio_quartiles"]
    best = f"best {row['best_ms']:.4g}"
    return (
        f"  {row['contestant']:22} {row['median_ms']:9.4g} ms  {best:14} ×{row['ratio']:<6.2f} ({low:.2f}–{high:.2f})"
    )


def _outcome(target: dict[str, Any]) -> str:
    if "most" in target:
        return f"{target['us']:.1f} {'≤' if target['met'] else '> !'} {target['most']:.0f}"
    return f"×{target['ratio']:.2f} {'≥' if target['met'] else '< !'} {target['least']:.2f}"


# markdown -------------------------------------------------------------------------------------------------------------
TITLES = {
    "step": "Training step",
    "inference": "Inference",
    "update": "Adam alone, 6.5 million parameters",
    "import": "Import",
    "memory": "Peak memory of a training process",
    "scaling": "",
    "layer": "One more hidden layer of 64, batch 32",
}


def markdown(record: dict[str, Any]) -> str:
    """All tables of a record, with the machine and the date above them."""
    load = "/".join(f"{record[name][0]:g}" for name in ("load_at_start", "load_at_end") if record.get(name))
    parts = [
        f"{record['date'][:10]}, {record['cpu']}, {record['threads']} threads, Python {record['python']}, "
        f"load average {load} at start/end. Ratios are the other's time over nnx's, medians of rounds in one run.",
        _versions(record["versions"]),
    ]
    for question in _unique(row["question"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["question"] == question]
        if question == "scaling":
            parts += [_scaling(rows, axis) for axis in _unique(row["axis"] for row in rows)]
        elif question in ("import", "layer", "update"):
            parts.append(_list(rows, TITLES[question]))
        else:
            parts.append(_matrix(rows, TITLES.get(question, question)))
            if busy(record) and "cpu_ms" in rows[0]:
                parts.append(_processor(rows, TITLES.get(question, question)))
    if record["targets"]:
        head = ["work", "nnx as", "against", "target", "measured (quartiles)", ""]
        parts.append(_table("Targets", head, map(_target, record["targets"])))
    return "\n\n".join(parts)


def _versions(versions: dict[str, dict[str, Any]]) -> str:
    found: dict[str, Any] = {}
    for library in versions.values():
        if "nnx" in library:
            found |= {"NumPy": library.get("version"), "BLAS": library.get("blas")}
        found |= {name: library[name] for name in ("torch", "jax", "sklearn", "keras") if name in library}
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _matrix(rows: Rows, title: str) -> str:
    """A line for each piece of work: our figure, and the ratio of each other's to it."""
    labels = _unique(row["contestant"] for row in rows)
    ours, unit, key = rows[0]["against"], *(("MiB", "peak_mib") if "peak_mib" in rows[0] else ("ms", "median_ms"))
    body = []
    for work in _unique(row["work"] for row in rows):
        found = {row["contestant"]: row for row in rows if row["work"] == work}
        if ours in found:
            ratios = [f"{found[label]['ratio']:.2f}" if label in found else "–" for label in labels if label != ours]
            body.append([work, f"{found[ours][key]:.3g}", *ratios])
    return _table(title, ["work", f"{ours}, {unit}", *(label for label in labels if label != ours)], body)


def busy(record: dict[str, Any]) -> bool:
    """Whether something else ran on the machine: more processes wanted to run at the start than half its cores."""
    return bool(record.get("load_at_start")) and record["load_at_start"][0] > record["cores"] / 2


def _processor(rows: Rows, title: str) -> str:
    """The same in processor time of all threads, which does not count the time that a contestant had to wait for others."""
    ours = {row["work"]: row["cpu_ms"] for row in rows if row["contestant"] == row["against"]}
    counted = [
        {**row, "median_ms": row["cpu_ms"], "ratio": row["cpu_ms"] / ours[row["work"]]}
        for row in rows
        if ours.get(row["work"])
    ]
    return _matrix(counted, f"{title}, in processor time, for the machine was busy") if counted else ""


def _list(rows: Rows, title: str) -> str:
    """A line for each contestant."""
    if "us" in rows[0]:
        return _table(title, ["", "µs a step"], ([row["contestant"], f"{row['us']:.1f}"] for row in rows))
    body = ([row["contestant"], f"{row['median_ms']:.3g}", f"{row['ratio']:.2f}"] for row in rows)
    return _table(title, ["", "ms", f"ratio to {rows[0]['against']}"], body)


def _scaling(rows: Rows, axis: str) -> str:
    """Milliseconds against one axis."""
    rows = [row for row in rows if row["axis"] == axis]
    labels, values = _unique(row["contestant"] for row in rows), _unique(row["value"] for row in rows)
    found = {(row["value"], row["contestant"]): f"{row['median_ms']:.3g}" for row in rows}
    body = ([str(value), *(found.get((value, label), "–") for label in labels)] for value in values)
    return _table(f"A step against {axis}, ms", [axis, *labels], body)


def _target(target: dict[str, Any]) -> list[str]:
    who = [target["work"] + f" ({target['question']})", target["ours"], target["theirs"]]
    outcome = "met" if target["met"] else "missed"
    if "most" in target:
        return [*who, f"≤ {target['most']:g} µs", f"{target['us']:.1f} µs", outcome]
    low, high = target["quartiles"]
    return [*who, f"≥ {target['least']:.2f}", f"{target['ratio']:.2f} ({low:.2f}–{high:.2f})", outcome]


def _table(title: str, head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [f"**{title}**", "", _cells(head), _cells(["---"] + ["---:"] * (len(head) - 1)), *map(_cells, body)]
    return "\n".join(lines)


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/table.py FILE, a record from benchmarks/results/")
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
