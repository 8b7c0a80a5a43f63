"""Run Python in a process of its own: what happens on import, or under another environment, is seen nowhere else."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def run_python(code: str, cwd: Path, timeout: float = 120, **environment: str) -> str:
    """What ``code`` prints, run as ``python -P -c`` in the folder ``cwd``; fails with its error output."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(holds: Callable[[], Any], what: str, process: Any = None, seconds: float = 60) -> Any:
    """What ``holds`` gives as soon as it is true; fails when the process has ended or the time is up."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended before {what}: {process.communicate()}")
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return found
