"""How closely do the backends agree? The tests' own measurements, of every operation and layer, as a page.

python -P benchmarks/agreement.py                          runs the tests, some minutes; writes docs/agreement.md
python -P benchmarks/agreement.py --backends numpy,cupy    on other backends; writes nothing
python -P benchmarks/agreement.py --from record.json       writes the page of a run of pytest --record record.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [place for place in sys.path if Path(place).resolve() not in (ROOT / "benchmarks", ROOT)]

import numpy as np  # noqa: E402

from nnx.autodiff import standard  # noqa: E402

PAGE = ROOT / "docs" / "agreement.md"
BACKENDS = "numpy,strict,torch,jax"
TESTS = ("tests/autodiff/test_ops.py", "tests/agreement")
WORST = 15
"""Lines of the first table."""

CHAPTERS = {
    "linear_algebra": "Linear algebra", "linalg": "Linear algebra", "statistical": "Sums and statistics", "elementwise": "Element by element",
    "manipulation": "Shapes", "indexing": "Indexing, searching, sorting", "searching": "Indexing, searching, sorting",
    "sorting": "Indexing, searching, sorting", "set": "Indexing, searching, sorting", "utility": "Sums and statistics",
    "creation": "Creation and types", "data_type": "Creation and types", "fft": "Fourier",
}  # fmt: skip
HOOKS, LAYERS, OPTIMIZERS, TRAINING = "What the standard lacks", "Layers", "One step of an optimizer", "Training"
ORDER = (*dict.fromkeys(CHAPTERS.values()), HOOKS, LAYERS, OPTIMIZERS, TRAINING)

HEAD = """# How closely the backends agree

To check your own model, data and backends, use `nnx parity`: it names the first operation that departs. This page has what the tests of nnx measured,
the worst case of every operation and layer on every backend, as a share of what the test allows: at 1 the test would fail. The largest
stand first. It is written by `python -P benchmarks/agreement.py`.

- **Operations** are compared with NumPy or with a reference written for the test. Derivatives are compared with the complex step, or with differences
  where that is not possible; differences have errors of their own (1e-10 and more). So values are also given in ulp, which are units in the last
  place (here of the largest element, or of 0.001 if that is larger), and derivatives only as a share.
- **Layers**, values and gradients, are compared pairwise: each backend with NumPy and with those before it. `exact` layers may not differ in
  one bit; the others by 4 √K eps of the largest term, where K is the length of the sums and eps the distance from 1 to the next number.
- **Training**: single steps, each begun from NumPy's state, and a hundred steps left to themselves, whose drift is shown but not judged.
- **0** means the same bits; an empty field means that there is no such case on this backend (complex numbers in a real function, say).
"""


def measured(backends: str) -> dict[str, Any]:
    """The record of a run of the tests. Ends the program if they fail."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-P", "-m", "pytest", "-q", *TESTS, "--backend", backends, "--record", str(record)]
        more = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NNX_LONG": "1"}
        if code := subprocess.run(command, cwd=ROOT, env=os.environ | more, check=False).returncode:
            raise SystemExit(code)
        return json.loads(record.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def chapter_of(op: str) -> tuple[str, str]:
    """The chapter of a record's line, and the name that it has there."""
    if op.startswith("agree: "):
        name = op.removeprefix("agree: ")
        if name.startswith("one step of "):
            return OPTIMIZERS, name.removeprefix("one step of ")
        if name.startswith(("network ", "a step", "drift")):
            return TRAINING, name
        return LAYERS, name.removesuffix(" gradient")
    name = op.partition(" ")[0]
    if name.startswith("hooks."):
        return HOOKS, name.removeprefix("hooks.")
    for chapter in standard.CHAPTERS:
        if name.removeprefix(f"{chapter}.") in standard.signatures(chapter):
            return CHAPTERS[chapter], name
    return CHAPTERS["indexing"], name  # what arrays do themselves: getitem, to_device


def kind_of(op: str) -> str:
    """Value, gradient or second derivative."""
    if op.endswith((" gradient", " order 1")):
        return "gradient"
    return "second" if op.endswith(" order 2") else "value"


def ulp_of(row: dict[str, Any]) -> float:
    """The error in units of the dtype's eps; tests of the tier ``ulp`` allow some whole numbers and measure in them already."""
    if row["tolerance"] >= 1.0 or row["tolerance"] == 0.0:
        return float(row["value"])
    return float(row["value"]) / float(np.finfo(row["dtype"]).eps)


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    known = {found["spec"]: found["passed"] for found in record["backends"].values() if found.get("passed")}
    backends = sorted(known, key=lambda spec: BACKENDS.find(spec.partition(":")[0]) % 99)
    rows = [
        row | dict(zip(("chapter", "name"), chapter_of(row["op"]))) | {"kind": kind_of(row["op"])}
        for row in record["worst"]
    ]
    lines = [
        HEAD.strip(),
        "",
        _where(record, {spec: known[spec] for spec in backends}),
        "",
        "## Nearest to what is allowed",
        "",
    ]
    lines += ["| what | | dtype | backend | of its tolerance | error |", "|---|---|---|---|---:|---:|"]
    for row in sorted(rows, key=lambda row: -row["used"])[:WORST]:
        unit = f"{_short(ulp_of(row))} ulp" if row["kind"] == "value" else f"{row['value']:.1e}"
        lines.append(
            f"| {row['name']} | {row['kind']} | {row['dtype']} | {row['backend']} | {row['used']:.2f} | {unit} |"
        )
    for chapter in ORDER:
        there = [row for row in rows if row["chapter"] == chapter]
        if there:
            lines += ["", f"## {chapter}", "", *_table(there, backends)]
    return "\n".join(lines) + "\n"


def _where(record: dict[str, Any], passed: dict[str, int]) -> str:
    libraries = ", ".join(f"{name} {found}" for name, found in record["versions"].items())
    cases = ", ".join(f"{count:,} on {spec}" for spec, count in passed.items())
    return (
        f"Written on {date.today().isoformat()} with nnx {record['nnx']}, Python {record['python']}, {libraries}, {record['platform'].split('-')[0]}, "
        f"one thread. Cases that passed: {cases}."
    )


def _table(rows: list[dict[str, Any]], backends: list[str]) -> list[str]:
    """A line for each name and dtype, the largest share first."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["name"], row["dtype"]), []).append(row)
    lines = [
        f"| | dtype | {' | '.join(backends)} | value, ulp | worst in |",
        f"|---|---|{'---:|' * len(backends)}---:|---|",
    ]
    for (name, dtype), group in sorted(groups.items(), key=lambda item: (-_worst(item[1])["used"], *item[0])):
        cells = [_share([row for row in group if row["backend"] == spec]) for spec in backends]
        values = [row for row in group if row["kind"] == "value"]
        exact = bool(values) and all(row["tolerance"] == 0 for row in values)
        ulp = "exact" if exact else _short(max(map(ulp_of, values))) if values else ""
        worst = _worst(group)
        kind = f"{worst['kind']}, {worst['backend']}" if worst["used"] else ""
        lines.append(f"| {name} | {dtype} | {' | '.join(cells)} | {ulp} | {kind} |")
    return lines


def _worst(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: row["used"])


def _share(rows: list[dict[str, Any]]) -> str:
    return _short(_worst(rows)["used"]) if rows else ""


def _short(x: float) -> str:
    """Two figures, and nothing behind a number that is as good as none."""
    if x == 0:
        return "0"
    if 0.01 <= x < 10:
        return f"{x:.2f}"
    return f"{x:.0f}" if 10 <= x < 1000 else f"{x:.0e}".replace("e-0", "e-").replace("e+0", "e")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", default=BACKENDS)
    parser.add_argument("--from", dest="record", type=Path, help="a record that pytest has written")
    options = parser.parse_args()
    record = json.loads(options.record.read_text(encoding="utf-8")) if options.record else measured(options.backends)
    text = page(record)
    if options.backends == BACKENDS:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}: {len(record['worst'])} measurements")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
