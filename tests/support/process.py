"""Run Python in a process of its own: what happens on import, or under another environment, is seen nowhere else."""

import os
import subprocess
import sys
from pathlib import Path


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
