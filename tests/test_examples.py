"""The examples learn what they say."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs" / "examples"))

import characters  # noqa: E402

TEXT = characters.TEXT.read_text(encoding="utf-8")
COMPILES = pytest.mark.skip_backends("jax", reason="compiles the whole step, half a minute for nothing new")


def frequencies(text):
    """What one loses who knows only how often each character comes."""
    share = np.unique(list(text), return_counts=True)[1] / len(text)
    return float(-(share * np.log(share)).sum())


@COMPILES
def test_a_gpt_learns_a_text(backend):
    letters, said = sorted(set(TEXT)), []
    model, history = characters.train(TEXT, 50, rows=8, backend=backend.spec, tell=said.append)
    assert history[0] > math.log(len(letters)) - 0.2
    assert np.mean(history[-10:]) < 2.85 < frequencies(TEXT)
    assert len(said) == 2
    written = characters.write(model, letters, TEXT[:70], 12)
    assert written.startswith(TEXT[:70])
    assert len(written) == 82
    assert written == characters.write(model, letters, TEXT[:70], 12)


def test_a_window_is_followed_by_itself_moved_on():
    x, y = characters.windows(np.arange(200), 5, 3)
    np.testing.assert_array_equal(y, x + 1)
    assert x.shape == (5, characters.WINDOW)


def test_the_command_says_what_it_does():
    run = subprocess.run(
        [sys.executable, "-P", str(ROOT / "docs" / "examples" / "characters.py"), "--steps", "1"],
        capture_output=True, text=True, timeout=100, check=True, encoding="utf-8",
    )  # fmt: skip
    assert "11,358 characters, 76 different: a loss of 4.33 knows nothing" in run.stdout
    assert "step    1  loss" in run.stdout
