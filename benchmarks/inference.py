"""How long does an answer take, for one example and for a batch of 256?"""

from benchmarks.networks import TABLE, TINY
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare_all


def measure(field: Field, effort: Effort) -> Result:
    """Each network at batch 1 and 256; each answer is waited for."""
    networks = TABLE if effort.full else (TINY,)
    return compare_all(field, "inference", [n.at(batch) for n in networks for batch in (1, 256)], effort.times(0.7))
