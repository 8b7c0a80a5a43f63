"""How long does Adam take alone, on six and a half million parameters?"""

from benchmarks.networks import LARGE
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare


def measure(field: Field, effort: Effort) -> Result:
    """One update of the parameters of the largest network, with gradients that are given."""
    return compare(field, "update", LARGE, effort, parameters=LARGE.parameters)
