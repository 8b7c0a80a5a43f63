"""How long does an answer take, for one example and for a batch of 256?"""

from benchmarks.contestants import CONVOLVING
from benchmarks.networks import CNN, TABLE, TINY
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare, compare_all


def measure(field: Field, effort: Effort) -> Result:
    """Each network at batch 1 and 256; each answer is waited for."""
    networks, fewer = TABLE if effort.full else (TINY,), effort.times(0.7)
    result = compare_all(field, "inference", [n.at(batch) for n in networks for batch in (1, 256)], fewer)
    for batch in (1, 256) if effort.full else ():
        result += compare(field, "inference", CNN.at(batch), fewer, CONVOLVING)
    return result
