"""What every section gives: a line of the table."""

from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table: what was done, how often, and how often it went as promised."""

    what: str
    promise: str
    tried: int
    kept: int
    seconds: float
