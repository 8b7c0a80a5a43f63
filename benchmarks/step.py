"""How long is a training step: forward, cross-entropy, backward, Adam?"""

from benchmarks.contestants import CONVOLVING
from benchmarks.networks import CNN, MIDDLE, REGULAR, TABLE, TINY
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare, compare_all


def measure(field: Field, effort: Effort) -> Result:
    """The four networks, bare and with batch norm and dropout, and the convolutional one."""
    result = compare_all(field, "step", (*TABLE, *REGULAR) if effort.full else (TINY, MIDDLE), effort)
    if effort.full:
        result += compare(field, "step", CNN, effort, CONVOLVING)
    return result
