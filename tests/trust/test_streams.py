"""Data larger than memory: trained on within a limit that the file exceeds three times."""

import sys

import pytest
from support.larger import trained_within

ROWS = 75_000  # 300 MB of float32
ROOM = 95 << 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and figures of memory are Linux's")
def test_a_file_of_three_times_the_memory_is_trained_on(tmp_path):
    found = trained_within(ROOM, ROWS, tmp_path)
    assert (found["kind"], found["rows"]) == ("Streamed", ROWS // 10)
    assert found["grew"] < ROOM < found["bytes"] / 3
    assert found["mean"] == pytest.approx(1.0, abs=0.15)
    assert "half of the free memory" in found["refused"]
