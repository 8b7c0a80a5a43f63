"""The command in this process, and tables on the disk as other programs write them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """What a command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNX_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def nnx(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """``nnx("train", "digits", …)``: the command in this process, in an empty directory."""
    from nnx.cli import main

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def tables(here: Path) -> Path:
    """iris.csv and wine.csv (class names as text), diabetes.csv (a real target)."""
    from sklearn.datasets import load_diabetes, load_iris, load_wine

    for name, load in {"iris": load_iris, "wine": load_wine, "diabetes": load_diabetes}.items():
        data = load()
        named = getattr(data, "target_names", None)
        with open(here / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*data.feature_names, "answer"])
            writer.writerows([*x, y if named is None else named[y]] for x, y in zip(data.data, data.target))
    return here
