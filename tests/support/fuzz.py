"""Loaders under atheris, a fuzzer that looks for inputs which reach new code: ``python -P fuzz.py SECONDS SEED BYTES LOADER …``.

It prints JSON: how many inputs, what went wrong, how much code was reached in the beginning and at the end, and how much memory one input took.
"""

import contextlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
READERS = [
    "nnx.data",
    "nnx.train.files.weights",
    "nnx.train.files.checkpoint",
    "nnx.train.files.saving",
    "nnx.train.files.plain",
    "nnx.train.resume",
    "nnx.cli.config",
]


def fuzzed(names: list[str], seconds: float, seed: int, more: int) -> list[dict[str, Any]]:
    """Each for some seconds, in a process that has ``more`` bytes of address space to spare."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", __file__, "--within", folder, str(seconds), str(seed), str(more), *names]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=len(names) * (3 * seconds + 20) + 120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the fuzzer ended with {done.returncode}: {done.stderr[-2000:]}")
        return [_told(name, Path(folder, str(number))) for number, name in enumerate(names)]


def _told(name: str, place: Path) -> dict[str, Any]:
    """What the fuzzer of one loader said."""
    log = place.joinpath("log").read_text(errors="replace")
    covered = [int(found) for found in re.findall(r"\bcov: (\d+)", log)]
    units = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    if not covered or not units:
        return {
            "loader": name,
            "tried": 1,
            "reached": (0, 0),
            "grew": 0,
            "wrong": [f"the process ended: {log[-1000:]}"],
        }
    said = place / "said.json"
    found = json.loads(said.read_text()) if said.exists() else {"grew": 0, "wrong": []}
    return {"loader": name, "tried": int(units[1]), "reached": (covered[0], covered[-1]), **found}


def within(folder: str, seconds: str, seed: str, more: str, *names: str) -> None:
    """One process for each loader, forked when all is imported; libFuzzer ends it."""
    import atheris

    sys.path.append(str(HERE.parent))
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=READERS):
        from support.loaders import LOADERS

    for number, name in enumerate(names):
        place = Path(folder, str(number))
        place.mkdir()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        with open(place / "log", "wb") as log:
            os.dup2(log.fileno(), 2)
        _fuzz(LOADERS[name], float(seconds), seed, int(more), place)


def _fuzz(loader: Any, seconds: float, seed: str, more: int, folder: Path) -> None:
    import atheris

    from support.hostile import judged
    from support.mutations import mutated
    from support.trials import limited, peak

    place, corpus = folder / "place", folder / "corpus"
    place.mkdir()
    corpus.mkdir()
    for number, core in enumerate((*loader.seeds(), *loader.corpus().values())):
        if len(core) < 1 << 16:
            (corpus / str(number)).write_bytes(core)
    found: dict[str, Any] = {"grew": 0, "wrong": []}
    known: set[str] = set()
    limited(more)

    def one(core: bytes) -> None:
        path = loader.write(core, place)
        before = peak(anew=True)
        said = judged(loader, path)
        grew, fine = peak() - before, said in ("read", "refused")
        if grew > found["grew"] or not (fine or said[:60] in known):
            found["grew"] = max(grew, found["grew"])
            if not fine:
                known.add(said[:60])
                found["wrong"].append(f"{said} for {core[:200]!r}")
            Path(folder, "said.json").write_text(json.dumps(found))

    def change(core: bytes, most: int, number: int) -> bytes:
        return mutated(core, random.Random(number))[:most] if number % 2 else atheris.Mutate(core, most)

    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-seed={seed}",
        "-max_len=65536",
        "-print_final_stats=1",
        "-timeout=0",
        "-rss_limit_mb=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--within":
        within(*sys.argv[2:])
    else:
        for found in fuzzed(sys.argv[4:], float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
            print(json.dumps(found))
