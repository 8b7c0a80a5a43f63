"""How long is a training step: forward, cross-entropy, backward, Adam?"""

from benchmarks.networks import MIDDLE, REGULAR, TABLE, TINY
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare_all


def measure(field: Field, effort: Effort) -> Result:
    """The four networks, bare and with batch norm and dropout."""
    return compare_all(field, "step", (*TABLE, *REGULAR) if effort.full else (TINY, MIDDLE), effort)
