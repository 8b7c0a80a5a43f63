"""Many inputs for one loader, in a process of its own with limits: ``python -P trials.py LOADER SECONDS SEED BYTES``; prints JSON.

With ``atheris`` (a fuzzer that is led by coverage) as a fifth word, it chooses the inputs; else they are random mutations.
"""

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def trials(loader: Any, seconds: float, seed: int, place: Path, most: int = 10**9) -> dict[str, Any]:
    """The corpus once, then mutations of it and of whole files until the time is up (or ``most`` were tried)."""
    from support.hostile import judged
    from support.mutations import mutated

    draw, end = random.Random(seed), time.perf_counter() + seconds
    counts = {"read": 0, "refused": 0}
    wrong: dict[str, str] = {}

    grew = 0

    def tried(core: bytes) -> None:
        nonlocal grew
        path = loader.write(core, place)
        before = peak(anew=True)
        said = judged(loader, path)
        grew = max(grew, peak() - before)
        if said in counts:
            counts[said] += 1
        else:
            wrong.setdefault(said[:60], f"{said} for {core[:200]!r}")

    seeds, corpus = loader.seeds(), loader.corpus()
    for core in (*seeds, *corpus.values()):
        tried(core)
    grown = [core for core in (*seeds, *seeds, *corpus.values()) if len(core) < 1 << 16]
    while time.perf_counter() < end and sum(counts.values()) + len(wrong) < most:
        tried(mutated(draw.choice(grown), draw))
    return {"loader": loader.name, **counts, "grew": grew, "wrong": list(wrong.values())}


def limited(more: int) -> int:
    """Let this process take ``more`` bytes of address space beside what it has; gives what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    have = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + more, have + more))
    return have


def peak(anew: bool = False) -> int:
    """The most memory that was resident, in bytes; ``anew``: from now on."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    name, seconds, seed, more = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    sys.path[:] = [str(Path(__file__).parent.parent), *sys.path]
    from support.loaders import LOADERS

    loader = LOADERS[name]
    loader.seeds()
    limited(more)
    with tempfile.TemporaryDirectory() as folder:
        found = trials(loader, seconds, seed, Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
