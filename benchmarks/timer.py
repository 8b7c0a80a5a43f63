"""The one timer: blocks that begin and end with the device idle, contestants in turns, medians and spreads.

A *block* is ``calls`` calls of a job, in pieces of some milliseconds. The clock is started after the job has been
synchronised and stopped after it has been synchronised again, so work that a library only queued is neither missed nor
charged to the next piece. A block's figure is the median of its pieces: one that was interrupted does not count.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

MOST_CALLS = 5000
PIECES = 20


class Job(Protocol):
    """Something to time. ``run`` may return before the work is done; ``synchronize`` returns when all of it is."""

    def reset(self) -> None:
        """Back to the start: a network trained for too long has gradients so small that arithmetic slows down."""

    def run(self) -> None:
        """Once."""

    def synchronize(self) -> None:
        """Wait for the device."""


class Sample(NamedTuple):
    """Seconds per call in one block: the median and the best of its pieces, and the processor time of all threads."""

    median: float
    best: float
    cpu: float


def block(
    job: Job,
    calls: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    cpu: Callable[[], float] = time.process_time,
) -> Sample:
    """Time one block, after a reset and a warm-up of a tenth as many calls."""
    pieces = min(calls, PIECES)
    in_each = [calls // pieces + (i < calls % pieces) for i in range(pieces)]
    job.reset()
    for _ in range(min(max(calls // 10, 1), 50)):
        job.run()
    job.synchronize()
    taken, worked = [], cpu()
    for count in in_each:
        started = clock()
        for _ in range(count):
            job.run()
        job.synchronize()
        taken.append((clock() - started) / count)
    return Sample(statistics.median(taken), min(taken), (cpu() - worked) / calls)


Block = Callable[[int], Sample]
"""``block(calls)`` of some contestant, wherever it runs."""


def calls_for(run: Block, seconds: float) -> int:
    """How many calls fill a block of about so many seconds. What compiles has done so before."""
    once = max(run(1).median, 1e-7)
    calls = max(1, min(round(0.2 * seconds / once), MOST_CALLS))
    once = run(calls).median if calls > 1 else once
    return max(1, min(round(seconds / max(once, 1e-7)), MOST_CALLS))


def interleave(
    contestants: Mapping[str, Block],
    *,
    rounds: int,
    seconds: float,
    pause: float = 0.05,
    limit: float = math.inf,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, "Samples"]:
    """Blocks of all contestants in turns, ``rounds`` times. Sample i of each was taken close to sample i of all others.

    Before each block there is a pause: threads of the contestant before may still be spinning, waiting for work.
    The order is turned round from round to round, so nobody always follows the same one. After ``limit`` seconds the
    round at hand is the last.
    """
    started = clock()
    calls = {label: calls_for(run, seconds) for label, run in contestants.items()}
    taken: dict[str, list[Sample]] = {label: [] for label in contestants}
    order = list(contestants)
    for number in range(rounds):
        for label in order if number % 2 == 0 else reversed(order):
            sleep(pause)
            taken[label].append(contestants[label](calls[label]))
        if clock() - started > limit:
            break
    return {label: Samples(tuple(values), calls[label]) for label, values in taken.items()}


@dataclass(frozen=True)
class Samples:
    """One sample for each round."""

    blocks: tuple[Sample, ...]
    calls: int = 1

    @property
    def seconds(self) -> list[float]:
        """The medians of the blocks."""
        return [sample.median for sample in self.blocks]

    @property
    def best(self) -> float:
        """The fastest piece of all."""
        return min(sample.best for sample in self.blocks)

    @property
    def cpu(self) -> float:
        """Processor seconds per call, all threads together."""
        return statistics.median(sample.cpu for sample in self.blocks)

    def row(self) -> dict[str, Any]:
        """For the record, in milliseconds: the median, the quartiles, the best, processor time, and every sample."""
        median, low, high = spread(self.seconds)
        return {
            "median_ms": _ms(median),
            "quartiles_ms": [_ms(low), _ms(high)],
            "best_ms": _ms(self.best),
            "cpu_ms": _ms(self.cpu),
            "calls": self.calls,
            "samples_ms": [_ms(value) for value in self.seconds],
        }


def ratio(theirs: Samples, ours: Samples) -> tuple[float, float, float]:
    """Their time over ours, round by round: (median, lower quartile, upper quartile). Above 1 we are faster."""
    return spread([a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True)])


def spread(values: Any) -> tuple[float, float, float]:
    """(median, lower quartile, upper quartile).

    >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
    (3.0, 2.0, 4.0)
    """
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def best_ratio(theirs: Samples, ours: Samples) -> float:
    """The ratio of the best pieces: on a busy machine these are the ones that were disturbed least."""
    return theirs.best / ours.best


def _ms(seconds: float) -> float:
    return float(f"{seconds * 1e3:.4g}")


# the machine ----------------------------------------------------------------------------------------------------------
def threads() -> int:
    """The threads that everybody gets: what the environment says, else the cores of this process."""
    for name in ("NNX_BENCH_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_settings(count: int) -> dict[str, str]:
    """The environment that gives ``count`` threads to each library; read when a library is loaded."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")
    settings = {name: str(count) for name in names}  # NPROC is what XLA reads
    return settings | ({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if count == 1 else {})


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "memory_gib": round(_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def load_average() -> list[float]:
    """Processes that wanted to run in the last 1, 5 and 15 minutes: much above 0 at the start, something else ran too."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else []


def _cpu() -> str:
    """The processor's name, and its family and model where the name tells little."""
    found = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    widest = next((isa for isa in ("avx512f", "avx2", "avx") if isa in found.get("flags", "").split()), "")
    name = found.get("model name") or platform.processor() or platform.machine()
    return f"{name} (family {found['cpu family']}, model {found['model']}, {widest})" if "cpu family" in found else name


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def resident() -> int:
    """Bytes that this process holds now."""
    return _status("VmRSS") or peak()


def peak() -> int:
    """The most bytes that this process ever held at once, since ``forget_peak`` where the system has that.

    Not ``ru_maxrss`` where it can be helped: on Linux that begins with what the *parent* held when it started us.
    """
    found = _status("VmHWM")
    if found:
        return found
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if platform.system() == "Darwin" else held * 1024


def forget_peak() -> bool:
    """Begin a new peak; false where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(name: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
