"""Mistaken command lines: a row of their table, the files that they name, and whether an answer says all it should."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.misuse import says

TABLE = "size,colour,species\n" + "".join(
    f"{i * 0.5},{('red', 'blue')[i % 2]},{('cat', 'dog')[i % 2]}\n" for i in range(50)
)
FILES = {
    "picture.png": "",
    "words.txt": "just words\n",
    "pets.csv": TABLE,
    "strange.csv": "size,colour\n1.0,green\n",
    "bare.csv": "1,2\n3,4\n",
    "hole.csv": "size,species\n1,cat\n,dog\n3,cat\n",
    "short.csv": "size,species\n1,cat\n2\n",
    "empty.csv": "",
    "broken.npz": "just words\n",
    "wrong.toml": 'source = "digits"\nepohcs = 3\n',
    "kind.toml": 'source = "digits"\nepochs = "three"\n',
    "range.toml": 'source = "digits"\nepochs = 0\n',
    "twice.toml": 'source = "digits"\nbatch-size = 3\nbatch_size = 4\n',
    "space.toml": 'source = "digits"\n\n[space]\nlr = { low = 1.0, high = 0.1 }\n',
    "broken.safetensors": "just words\n",
}


class Command(NamedTuple):
    """A command line that must be refused, and what the answer must say."""

    line: str
    where: str
    expected: str
    got: str
    fix: str


def prepare(folder: Path) -> None:
    """Files of several kinds in the working directory, and a run on one of them: no mistake may change any."""
    from nnx.cli import main

    for name, text in FILES.items():
        (folder / name).write_text(text)
    np.savez(folder / "unlabelled.npz", x=np.zeros((9, 2)))
    assert main(["train", "pets.csv", "--epochs", "1", "--out", "run", "--model", "linear", "--check", "off"]) == 0


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that is in it."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def silent(row: Command, err: str) -> list[str]:
    """What the line on standard error lacks: nothing, if all is well."""
    lacks = [
        name
        for name, text in (("expected", row.expected), ("got", row.got))
        if not says(f"{name} {text}" if f"{name} " in err else text, err)
    ]
    if not says(row.fix, err):
        lacks.append("fix")
    if not row.where or not err.startswith(f"nnx: {row.where}: "):
        lacks.append("where")
    if err.count("\n") != 1:
        lacks.append("one line")
    if "Traceback" in err or "a mistake in nnx" in err or "Error:" in err:
        lacks.append("an answer of its own")
    return [f"{name} in {err!r}" for name in lacks]
