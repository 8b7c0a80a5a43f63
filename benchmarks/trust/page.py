"""docs/trust.md, written from the rows of a whole run."""

import platform
from collections.abc import Mapping
from datetime import date
from typing import Any

import nnx
from benchmarks.trust import ROOT
from benchmarks.trust.row import Row
from nnx.train.files.fingerprint import fingerprint

PAGE = ROOT / "docs" / "trust.md"

HEAD = """
# Trust: what was tried, and what held

A training that has a directory writes checkpoints into it: one a minute, one after ^C or SIGTERM, or one every so many steps
(`checkpoint_every=`, `--checkpoint-every`). `nnx resume RUN`, or `nnx.resume(directory, train, val)`, goes on from the last one and ends
with the bits of a training that was never cut. For that a checkpoint holds weights and buffers, the state of the optimizer, the place in
schedule and data, the history, what callbacks such as early stopping remember, the settings, and the machine, backend, BLAS and number
of threads that it was made with.

`nox -s trust` has tried to break that and the other promises below, and has written this page:
"""

TAIL = """
## What it does not mean

- Nobody has pulled a plug. That everything is synced before it gets its name, and in which order, is tested on the calls
  (`tests/trust/test_disk.py`); that a disk keeps what it says it has synced is up to the disk.
- The same bits need the same backend, BLAS, kernel, number of threads and batch size. Elsewhere a training goes on and agrees to roundings, and says
  so. On JAX, whose compiler rounds otherwise than a step as written, a model or a loss of one's own needs `compile=False`.
- Windows has no `flock`, no `fork` and syncs no directories: there none of this has been run.
"""


def page(sections: Mapping[str, tuple[list[Row], str]]) -> str:
    """The text: one table, a part for each section, then what the rows mean."""
    notes = "\n".join(note.strip() for _, note in sections.values())
    return "\n".join(
        [HEAD.strip(), "", table(sections), "", where(), "", "## What it means", "", notes, "", TAIL.strip(), ""]
    )


def table(sections: Mapping[str, tuple[list[Row], str]]) -> str:
    """The rows."""
    lines = ["| what was done | what must hold | times | held | seconds |", "|---|---|---:|---:|---:|"]
    for name, (rows, _) in sections.items():
        lines.append(f"| **{name}** | | | | |")
        lines += [f"| {r.what} | {r.promise} | {r.tried:,} | {r.kept:,} | {r.seconds:.0f} |" for r in rows]
    return "\n".join(lines)


def where() -> str:
    """When and on what it was measured."""
    known: dict[str, Any] = fingerprint(nnx.backends.get("numpy"))
    return (
        f"Measured on {date.today().isoformat()} with nnx {nnx.__version__}, Python {platform.python_version()}, "
        f"NumPy {known['versions']['numpy']} ({known['blas']}, {known['kernel']}), safetensors {known['versions']['safetensors']}, "
        f"{platform.system()}, one thread."
    )
