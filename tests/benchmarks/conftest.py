"""One field of contestants for each file."""

import pytest
from support.contest import HERE

from benchmarks import process


@pytest.fixture(scope="module")
def field():
    with process.Field(tuple(HERE)) as field:
        yield field
