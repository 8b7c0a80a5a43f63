"""Files from strangers, and data larger than memory."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support import fuzz, hostile, loaders
from support.larger import trained_within

from benchmarks.trust.row import Row

NOTE = """
- **Strangers' files**: each loader is fed its corpus (`tests/support/loaders.py`: sizes of 2^63, archives that grow a thousand times, names that
  stand twice, numbers of 5000 digits, 10^4 levels, objects, links) and mutations of whole files (cuts, flips, lying sizes, values of JSON
  exchanged; sizes and hashes around them are made to fit, so that what lies behind the first check is reached too), chosen by atheris, a fuzzer led
  by coverage (edges in nnx's readers, at first and at the end), or at random where it is not installed. Each input must give an object, or an
  error of nnx's own that says where and what to do, within 5 s. A foreign exception, a warning, a crash or a hang does not count as held.
- **Memory**: each loader works in a process that may take 1 GiB of address space; the figure is what the most greedy input made resident.
- **Larger than memory**: rows of NPY, uncompressed NPZ and IDX files are read when they are needed, not mapped. CSV, Parquet and compressed files do not
  stream. What the checksum of an NPZ member says is not looked at when its rows are read one by one.
"""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """Every loader for some seconds; in a short run, three of them."""
    names = list(loaders.LOADERS) if seconds is None else ["array of an NPZ file", "CSV file", "configuration"]
    each = 2.0 if seconds is None else seconds / 5
    if find_spec("atheris"):
        found = fuzz.fuzzed(names, each, 1, hostile.BYTES)
    else:
        found = [mutations(name, each) for name in names]
    return [*(told(one, each) for one in found), larger(300_000 if seconds is None else 75_000, place)]


def told(found: dict[str, Any], seconds: float) -> Row:
    """What was found of one loader."""
    name = found["loader"]
    if "reached" in found:
        first, last = found["reached"]
        how, count = f"{first} edges reached, {last} in the end", found["tried"]
    else:
        how, count = "random mutations", found["read"] + found["refused"] + len(found["wrong"])
    for wrong in found["wrong"]:
        print(f"{name}: {wrong}", file=sys.stderr)
    what = f"{name}: {how}, at most {found['grew'] / 2**20:.0f} MiB taken by one"
    return Row(what, "an object, or an error of nnx's own", count, count - len(found["wrong"]), seconds)


def mutations(name: str, seconds: float) -> dict[str, Any]:
    """The corpus and random mutations."""
    script = Path(hostile.__file__).with_name("trials.py")
    command = [sys.executable, "-P", str(script), name, str(seconds), "1", str(hostile.BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * seconds + 120, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def larger(count: int, place: Path) -> Row:
    """A training on a file of which a small part fits into the memory it may take."""
    started, room = time.perf_counter(), 95 << 20
    found = trained_within(room, count, place)
    kept = found["kind"] == "Streamed" and found["grew"] < room
    what = f"a training on {found['bytes'] / 1e9:.1f} GB in a process that may take {room / 1e6:.0f} MB more: {found['grew'] / 1e6:.0f} MB taken"
    return Row(what, "an epoch, a validation and predictions", 1, int(kept), time.perf_counter() - started)
