"""Numbers that are none, disks that fill up, memory that runs out, and many trainings at once."""

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support import divergence, trust

from benchmarks.trust.row import Row
from nnx import backends
from nnx.train.files.log import Log

SPECS = ("numpy", "strict", "strict:device1", "torch", "jax")
LIMITED = Path(divergence.__file__).with_name("limited.py")

NOTE = """
- **Injections**: weights that a callback spoils, a layer, a derivative and a loss of one's own that fail in one step, data that are written into after they
  were checked, a learning rate of 1e6 and one of 1e300. Each must be named with its layer, parameter or row and with step, batch and epoch, and the
  checkpoint must hold the arrays of a run that was stopped before that step, bit for bit. What looking costs on NumPy is the second line: kept if it is under 1 %
  of a step of a 64-64-64-10 network on batches of 32.
- **Full disk**: the log takes every number of bytes and then no more, by ENOSPC, EDQUOT, EIO or EFBIG; it must hold whole lines at any time, and all
  once there is space again. A real training whose files may not grow beyond a limit (RLIMIT_FSIZE) must leave whole lines and no half file.
- **Memory**: a process whose address space is limited (RLIMIT_AS) must say what the step needs, what is free and how many rows fit; and those must fit. Limits
  of a GPU's pool are handled by the same code and were not tried. JAX reserves memory of its own and may end the process: it is not tried.
- **At once**: eight `nnx train digits` in one folder, each with its run directory; then two `nnx resume` of one run, of which one must be refused.
"""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """Every step on every backend that is here; or a few."""
    full = seconds is None
    return [
        *injected(full, place),
        watched(),
        *full_disk(full, place),
        *memory(full, place),
        *together(8 if full else 3, place),
    ]


def counted(what: str, promise: str, tries: Iterator[str]) -> Row:
    """A line of so many tries; what went wrong is printed."""
    started, said = time.perf_counter(), list(tries)
    for wrong in filter(None, said):
        print(f"{what}: {wrong}", file=sys.stderr)
    return Row(what, promise, len(said), sum(not wrong for wrong in said), time.perf_counter() - started)


def injected(full: bool, place: Path) -> Iterator[Row]:
    """Each way to diverge, in each step."""
    here = [spec for spec in SPECS if spec.partition(":")[0] in backends.available()]
    for spec in here if full else here[:1]:
        steps = range(2, 20) if full and spec == "numpy" else (8, 9, 13) if full and spec != "jax" else (9,)

        def tries(spec: str = spec, steps: Any = steps) -> Iterator[str]:
            cases = [(name, case) for step in steps for name, case in divergence.at(step).items()]
            cases += [(name, divergence.CASES[name]) for name in ("learning rate", "update")]
            for name, case in cases:
                with tempfile.TemporaryDirectory(dir=place) as folder:
                    if wrong := divergence.wrong(case, backends.get(spec), Path(folder)):
                        yield f"{name}: {wrong}"
                    else:
                        yield ""

        yield counted(
            f"injections of NaN and infinity, {spec}", "cause, step and batch named, state before saved", tries()
        )


def watched() -> Row:
    """What looking adds to a step that is recorded."""
    started = time.perf_counter()
    added, step = divergence.cost(rounds=5)
    return Row(
        f"steps of {step * 1e6:.0f} µs, looked at in {added * 1e6:.2f} µs", "less than 1 % of a step", 1, int(added < 0.01 * step),
        time.perf_counter() - started,
    )  # fmt: skip


def full_disk(full: bool, place: Path) -> Iterator[Row]:
    """A log at every byte; a real training under a limit on the size of its files."""
    lines = [json.dumps({"epoch": epoch, "loss": 1.0 / (epoch + 1)}) for epoch in range(6)]
    whole = "".join(f"{line}\n" for line in lines)

    def bytes_taken() -> Iterator[str]:
        for error in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            for room in range(0, len(whole) + 1, 1 if full else 17):
                yield _logged(place / f"{error}-{room}", lines, room, error)

    yield counted(
        "bytes of a log after which the disk refuses", "whole lines at any time, all in the end", bytes_taken()
    )

    def sizes() -> Iterator[str]:
        for limit in (1, 2, 4, 8, 16) if full else (4,):
            yield _limited(place, limit)

    yield counted("trainings whose files may not grow", "a line of what to do, no half file or line", sizes())


def _logged(path: Path, lines: list[str], room: int, error: int) -> str:
    whole, real = "".join(f"{line}\n" for line in lines), os.write
    log = Log(path, lambda line: None)

    def write(descriptor: int, data: Any) -> int:
        nonlocal room
        part = bytes(data)[:room]
        if not part:
            raise OSError(error, os.strerror(error))
        room -= len(part)
        return real(descriptor, part)

    os.write = write  # type: ignore[assignment]
    try:
        for line in lines:
            log.append(line)
            if not whole.startswith(text := path.read_text()) or text[-1:] not in ("", "\n"):
                return f"half a line: {text[-40:]!r}"
        room = 1 << 20
        log.close()
    finally:
        os.write = real
    return "" if path.read_text() == whole else "lines are missing"


def _nnx(place: Path, *arguments: str, before: str = "") -> Any:
    start = f"import sys; {before or 'pass'}; from nnx.cli.app import run; sys.exit(run(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", start, *arguments], cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


TRAIN = ["train", "digits", "--model", "mlp:24", "--epochs", "12", "--check", "off", "--checkpoint-every", "20"]


def _limited(place: Path, kilobytes: int) -> str:
    """A training none of whose files may have more bytes."""

    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes << 10}, resource.RLIM_INFINITY))"
    name = f"limited-{kilobytes}"
    process = _nnx(place, *TRAIN, "--out", name, before=limit)
    _, err = process.communicate()
    run = place / name
    if "Traceback" in err or process.returncode not in (0, 1, 2):
        return f"code {process.returncode}: {err[-300:]}"
    if process.returncode and "File too large" not in err:
        return f"says nothing of the disk: {err[-300:]}"
    for log in run.glob("*.jsonl"):
        for line in log.read_text().splitlines():
            json.loads(line)
    for path in (run / "checkpoints").glob("step-*") if run.exists() else ():
        trust.read_checkpoint(path)
    left = [path.name for path in run.rglob("*") if ".tmp" in path.name] if run.exists() else []
    return f"left behind: {left}" if left else ""


def memory(full: bool, place: Path) -> Iterator[Row]:
    """Address spaces of several sizes, by two libraries, replayed and as written."""
    cases = [("numpy", 160, 16384, "no")]
    if full:
        here = [spec for spec in ("numpy", "torch") if spec in backends.available()]
        cases += [(spec, *how) for spec in here for how in ((160, 16384, "yes"), (60, 8192, "no"), (60, 16384, "no"))]

    def trained(number: int, spec: str, megabytes: int, batch: int, how: str) -> dict[str, Any]:
        place_of_it = str(place / f"memory-{number}-{batch}")
        command = [sys.executable, "-P", str(LIMITED), str(megabytes), spec, str(batch), place_of_it, how, "once"]
        settings = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"message": done.stderr[-300:]}

    def tries() -> Iterator[str]:
        for number, (spec, megabytes, batch, how) in enumerate(cases):
            said = trained(number, spec, megabytes, batch, how)
            parts = ("out of memory in step", "MiB, which are free", "got about", "is saved in")
            fits = re.search(r"Use batch_size=(\d+), which needs", said.get("message", ""))
            right = all(part in said.get("message", "") for part in parts) and fits is not None
            again = trained(number, spec, megabytes, int(fits[1]), how) if fits else {}
            yield "" if right and again.get("done") else f"{spec}, {megabytes} MiB, {batch} rows: {said} {again}"

    yield counted(
        "steps that do not fit into a limited address space", "need, room and rows told; these rows fit", tries()
    )


def together(count: int, place: Path) -> Iterator[Row]:
    """So many trainings in one folder; two that take up one run."""
    started = time.perf_counter()
    folder = place / "together"
    folder.mkdir()
    quick = ["train", "digits", "--model", "mlp:8", "--epochs", "2", "--check", "off"]
    processes = [_nnx(folder, *quick, "--seed", str(seed)) for seed in range(count)]
    codes = [(process.communicate(), process.returncode)[1] for process in processes]
    runs = sorted((folder / "runs").iterdir())
    whole = sum(
        (run / "model.safetensors").exists() and len((run / "metrics.jsonl").read_text().splitlines()) == 2
        for run in runs
    )
    seeds = {line for run in runs for line in (run / "config.toml").read_text().splitlines() if line.startswith("seed")}
    held = min(
        whole,
        codes.count(0),
        len(seeds) + (count - len(seeds)) * any("seed" not in (run / "config.toml").read_text() for run in runs),
    )
    yield Row("trainings at once in one folder", "a directory each, whole", count, held, time.perf_counter() - started)

    def resumes() -> Iterator[str]:
        for turn in range(max(count // 3, 1)):
            name = f"shared-{turn}"
            process = _nnx(place, *TRAIN[:-1], "5", "--out", name)
            while process.poll() is None and not list(place.glob(f"{name}/checkpoints/step-*")):
                time.sleep(0.01)
            process.kill()
            process.communicate()
            two = [_nnx(place, "resume", name) for _ in range(2)]
            said = [(process.communicate()[1], process.returncode) for process in two]
            refused = sum(code == 2 and "in use by process" in err for err, code in said)
            done = sum(code == 0 for _, code in said)
            # one may have ended before the other has asked for the lock: then it ends again, with the same weights
            yield "" if (done, refused) in ((1, 1), (2, 0)) else f"{said}"

    yield counted("two resumes of one run at once", "one goes on, one is refused", resumes())
