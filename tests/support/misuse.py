"""What the table of malformed uses is made of: a row, what its use is given, and whether an answer says all it should."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nnx


class Misuse(NamedTuple):
    """A use that must be refused, and what the answer must say: where it went wrong, what was expected, what came, what to do.

    Each text is found in its part of the answer as it stands here; "…" stands for anything.
    """

    name: str
    use: Callable[["Given"], Any]
    error: type[Exception]
    where: str
    expected: str
    got: str
    fix: str
    everywhere: bool = False
    """Whether the array library matters: then it runs on every backend."""


class Given:
    """What a use has at hand: arrays of a backend, data, a model, and a directory of its own."""

    def __init__(self, backend: Any, place: Path) -> None:
        self.backend, self.xp, self.place = backend, backend.xp, place

    def x(self, *shape: int, dtype: str = "float32") -> Any:
        """An array of small numbers."""
        return self.backend.asarray(np.linspace(-1, 1, int(np.prod(shape))).reshape(shape).astype(dtype))

    def labels(self, *values: int) -> Any:
        """Labels of 64 bits."""
        return self.backend.asarray(np.asarray(values, dtype=np.int64))

    def other(self, *shape: int) -> Any:
        """An array of another library."""
        name = "strict" if self.backend.name != "strict" else "numpy"
        return nnx.backends.get(name).asarray(np.ones(shape, dtype=np.float32))

    def data(self, rows: int = 24, features: int = 3) -> nnx.data.Dataset:
        """Rows of two classes."""
        x = np.linspace(-1, 1, rows * features, dtype=np.float32).reshape(rows, features)
        return nnx.data.load((x, np.arange(rows) % 2), task="classification")

    def real(self, rows: int = 24, features: int = 3) -> nnx.data.Dataset:
        """Rows with a real target."""
        x = np.linspace(-1, 1, rows * features, dtype=np.float32).reshape(rows, features)
        return nnx.data.load((x, x[:, 0] ** 2), task="regression")

    def model(self) -> nnx.Module:
        """One layer for the data, on the backend."""
        return self.on(nnx.Linear(3, 2))

    def on(self, model: nnx.Module) -> nnx.Module:
        """A model with its arrays on the backend."""
        return model.initialize(seed=0).to(self.backend)

    def fit(self, **options: Any) -> Any:
        """A training that would be over at once."""
        model, train = options.pop("model", None), options.pop("train", None)
        return nnx.fit(model or nnx.Linear(3, 2), train or self.data(), **{"epochs": 1, **options})

    def file(self, name: str, content: bytes | str) -> Path:
        """A file in the directory."""
        path = self.place / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def npz(self, **arrays: Any) -> Path:
        """An NPZ file of these arrays."""
        np.savez(self.place / "d.npz", **arrays)
        return self.place / "d.npz"

    def pets(self) -> Path:
        """A table whose last column says what is to be told."""
        rows = (f"{i * 0.5},{('red', 'blue')[i % 2]},{('cat', 'dog')[i % 2]}\n" for i in range(50))
        return self.file("pets.csv", "size,colour,species\n" + "".join(rows))

    def cut(self) -> Path:
        """The directory of a training that was cut short."""

        def stop(run: nnx.train.Run, record: Any) -> None:
            raise InterruptedError

        with contextlib.suppress(InterruptedError):
            self.fit(epochs=4, batch_size=8, directory=self.place / "cut", checkpoint_every=2, callbacks=[stop])
        return self.place / "cut"

    def updated(self, grads: dict[str, Any]) -> Any:
        """One step of Adam with these gradients."""
        parameters, adam = self.model().parameters(), nnx.optim.Adam()
        return adam.update(grads, adam.init(parameters), parameters)

    def run(self) -> Path:
        """The directory of a training that is over."""
        if not (self.place / "run").exists():
            self.fit(directory=self.place / "run")
        return self.place / "run"


def says(text: str, answer: str) -> bool:
    """Whether an answer has this text in it.

    >>> says("got … rows", "expected 3 rows, got 2 rows"), says("got 3", "got 2")
    (True, False)
    """
    return re.search(".*".join(map(re.escape, text.split("…"))), answer, re.DOTALL) is not None


def silent(row: Misuse, error: Exception) -> list[str]:
    """The parts of an answer that do not say what the row wants: none, if all is well."""
    if type(error) is not row.error:
        return [f"{type(error).__name__}: {error}, not {row.error.__name__}"]
    assert isinstance(error, nnx.errors.NnxError)
    told = {
        "where": error.where,
        "expected": f"{error.what} {error.expected}",
        "got": f"{error.what} {error.got}",
        "fix": error.fix,
    }
    wanted = {name: getattr(row, name) for name in told}
    return [
        f"{name}: {wanted[name]!r} not in {said!r}"
        for name, said in told.items()
        if not wanted[name] or not said.strip() or not says(wanted[name], said)
    ] + (["it has more than one line"] if "\n" in str(error) else [])
