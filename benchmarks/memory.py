"""How much memory does training take? Each contestant in a fresh process, on the system's own account of it."""

from typing import Any

from benchmarks import timer
from benchmarks.contestants import DEFAULT, FUSED, JAX, ON_JAX, OURS, PURE, Contestant
from benchmarks.networks import LARGE, MIDDLE, REGULAR, TINY, Network
from benchmarks.process import FailedError, Field, Process, order
from benchmarks.question import Effort, Result
from benchmarks.targets import MEMORY

COMPARED = (OURS, PURE, FUSED, DEFAULT, JAX, ON_JAX)
STEPS = 30


def measure(field: Field, effort: Effort) -> Result:
    """The most that the process held while it trained for some steps: with the library, and beyond the bare interpreter."""
    result = Result()
    for network in (TINY, MIDDLE, LARGE, REGULAR[3]) if effort.full else (MIDDLE,):
        found: dict[str, dict[str, Any]] = {}
        for contestant in field.contestants:
            if contestant.label not in (COMPARED if effort.full else (OURS, FUSED)) or not contestant.plays(
                "step", network.regular
            ):
                continue
            try:
                found[contestant.label] = _held(contestant, network)
            except FailedError as error:
                field.failed[f"{contestant.label}: memory, {network.title}"] = str(error)
        for label, held in found.items():
            row = {"question": "memory", "work": network.title, "contestant": label, **held}
            ratio = held["peak_mib"] / found[OURS]["peak_mib"] if OURS in found else None
            result.rows.append(row | {"against": OURS, "ratio": ratio and round(ratio, 3)})
            if label == FUSED and ratio:
                target = {"question": "memory", "work": network.title, "ours": OURS, "theirs": label, "least": MEMORY}
                result.targets.append(
                    target | {"ratio": round(ratio, 3), "quartiles": [round(ratio, 3)] * 2, "met": ratio >= MEMORY}
                )
    return result


def _held(contestant: Contestant, network: Network) -> dict[str, Any]:
    process = Process(contestant)
    try:
        job = process.ask("make", **order("step", network, contestant))
        held = process.ask("peak", job=job, calls=STEPS)
    finally:
        process.end()
    return {
        "empty_mib": _mib(held["empty"]),
        "before_mib": _mib(held["before"]),
        "peak_mib": _mib(held["peak"]),
        "training_mib": _mib(held["peak"] - held["before"]),
        "arrays_mib": _mib(4 * 4 * network.parameters),  # parameters, gradients and two moments
        "exact": held["exact"],
        "load": timer.load_average(),
    }


def _mib(count: int) -> float:
    return round(count / 2**20, 1)
