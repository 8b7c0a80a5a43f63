"""What the scripts of the gallery share: the numbers of a picture, its style, the command line, and the index.

A script of the gallery has three functions::

    measure(backend) -> Numbers      the run: everything that the picture shows, as named lines of points
    lesson(numbers) -> [sentence]    what is to be seen, in numbers; an assertion fails where the run does not show it
    draw(figure, numbers)            the picture, drawn from the numbers

``lesson`` sees the numbers alone, so the committed CSV is enough to check what the index says.

    python docs/gallery/standardise.py                     draw one again (PNG and CSV are written beside it)
    python docs/gallery/standardise.py --backend torch     on another backend; --out FOLDER writes elsewhere
    python docs/gallery/_gallery.py                        write README.md, the index, from scripts and CSVs
    python docs/gallery/_gallery.py --all                  run every script, then write the index
"""

import argparse
import csv
import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import nnx
from nnx.plot.style import COLOURS, LINES, MARKERS, label

HERE = Path(__file__).parent
__all__ = ["COLOURS", "LINES", "MARKERS", "Numbers", "dress", "plot_lines", "show", "trained"]

CHAPTERS = {
    "Input preparation": ("standardise",),
    "Initialisation": ("symmetry", "initialisers", "signals"),
    "Activations": ("activations", "dead_units"),
    "Regularisation": ("decision_boundary", "sparsity", "dropout", "early_stopping"),
    "Batch normalisation": ("batchnorm_speed", "batchnorm_start", "batchnorm_shift", "batchnorm_noise"),
    "Gradients": ("gradient_checking",),
    "Optimizers": ("batch_size", "optimizers_bowl", "optimizers_rosenbrock", "optimizers_digits"),
    "Learning-rate decay": ("schedules", "learning_rate", "range_test"),
    "Hyper-parameter search": ("search",),
    "Watching training": ("learning_curves", "loss_surface", "universal_approximation"),
}
"""The lessons in the order of the curriculum."""
LESSONS = tuple(lesson for lessons in CHAPTERS.values() for lesson in lessons)
LARGEST = 150 * 1024
"""Bytes of a picture, at most."""


class Numbers:
    """Named lines of points: ``numbers.add(panel, line, x, y)``, then ``x, y = numbers[panel, line]``."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

    def add(self, panel: str, line: str, x: Any, y: Any) -> None:
        """One line of a panel, or one point of it."""
        both = [np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (x, y)]
        assert both[0].shape == both[1].shape == (both[0].size,), (panel, line, both[0].shape, both[1].shape)
        assert (panel, line) not in self.lines, (panel, line)
        self.lines[panel, line] = (both[0], both[1])

    def __getitem__(self, key: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
        return self.lines[key]

    def names(self, panel: str) -> list[str]:
        """The lines of a panel."""
        return [line for place, line in self.lines if place == panel]

    def value(self, panel: str, line: str) -> float:
        """The y of a line's last point."""
        return float(self.lines[panel, line][1][-1])

    def write(self, path: Path) -> None:
        """As CSV, six digits."""
        with open(path, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("panel", "line", "x", "y"))
            for (panel, line), (x, y) in self.lines.items():
                rows.writerows((panel, line, f"{a:.6g}", f"{b:.6g}") for a, b in zip(x, y, strict=True))

    @classmethod
    def read(cls, path: Path) -> "Numbers":
        """From CSV."""
        columns: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                x, y = columns.setdefault((row["panel"], row["line"]), ([], []))
                x.append(float(row["x"]))
                y.append(float(row["y"]))
        numbers = cls()
        for (panel, line), (xs, ys) in columns.items():
            numbers.add(panel, line, xs, ys)
        return numbers


def show(
    measure: Callable[[Any], Numbers],
    lesson: Callable[[Numbers], list[str]],
    draw: Callable[[Any, Numbers], None],
    *,
    size: tuple[float, float] = (9.0, 3.6),
) -> None:
    """The command line of a lesson: measure, check, draw, write."""
    path = Path(sys.argv[0])
    options = argparse.ArgumentParser(description=f"Draw {path.stem}.png and write {path.stem}.csv.")
    options.add_argument("--backend", default="numpy", help="where to compute (numpy, cupy, torch, jax, strict)")
    options.add_argument("--out", type=Path, default=HERE, help="where to write (default: beside the script)")
    given = options.parse_args()
    numbers = measure(backend(given.backend))
    sentences = lesson(numbers)
    given.out.mkdir(parents=True, exist_ok=True)
    picture(draw, numbers, given.out / f"{path.stem}.png", size)
    numbers.write(given.out / f"{path.stem}.csv")
    print("\n".join(sentences))


def backend(spec: str) -> Any:
    """A backend that has float64: the lessons are computed in it, so that their numbers are the same everywhere."""
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    return nnx.backends.get(spec)


def picture(draw: Callable[[Any, Numbers], None], numbers: Numbers, path: Path, size: tuple[float, float]) -> None:
    """Draw it into a figure of its own and save it, 100 dots per inch; with 256 colours where it is large."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from PIL import Image

    with rc_context({"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 8, "lines.linewidth": 1.5}):
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        draw(figure, numbers)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
    image = Image.open(drawn).convert("RGB")
    image.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def dress(axes: Any, title: str = "", x: str = "", y: str = "", *, log: str = "", legend: bool = False) -> None:
    """Title, labelled axes, a quiet grid; ``log`` names the logarithmic axes."""
    label(axes, x, y, title)
    for name in log:
        getattr(axes, f"set_{name}scale")("log")
    if legend:
        axes.legend(frameon=False)


def plot_lines(axes: Any, numbers: Numbers, panel: str, lines: Iterable[str] = (), **style: Any) -> None:
    """The lines of a panel, each with a colour and dashes of its own."""
    for index, line in enumerate(lines or numbers.names(panel)):
        look = {"color": COLOURS[index % 7], "linestyle": LINES[index % 7], "label": line, **style}
        axes.plot(*numbers[panel, line], **look)


def trained(model: Any, *data: Any, backend: Any, seed: int = 0, **settings: Any) -> Any:
    """``nnx.fit`` on a model with fresh float64 values; gives the run."""
    return nnx.fit(model.initialize(seed, dtype="float64"), *data, backend=backend, seed=seed, **settings)


# the index ------------------------------------------------------------------------------------------------------------
def load(lesson: str) -> ModuleType:
    """The script of a lesson as a module."""
    if str(HERE) not in sys.path:
        sys.path.append(str(HERE))
    spec = importlib.util.spec_from_file_location(lesson, HERE / f"{lesson}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HEAD = """# Gallery: the curriculum in pictures

One script for each lesson, each run on the bundled digits or on a function that it states. A script measures, checks
that its run shows what is said below, draws its picture, and writes the numbers beside it as CSV. This page is made
from scripts and numbers by `python docs/gallery/_gallery.py`; `nox -s gallery` runs every script again and
fails when a number has moved. All of it is computed in float64 and with fixed seeds, so `--backend torch` (or `jax`, `strict`,
`cupy`) draws the same picture. The [curriculum](../curriculum.md) says which row each lesson belongs to.
"""


def index() -> str:
    """README.md: for each lesson its picture, what it shows, its numbers, and the command."""
    parts = [HEAD]
    for chapter, lessons in CHAPTERS.items():
        parts.append(f"## {chapter}\n")
        for lesson in lessons:
            module = load(lesson)
            title, _, text = (module.__doc__ or "").strip().partition("\n")
            said = "\n".join(f"- {sentence}" for sentence in module.lesson(Numbers.read(HERE / f"{lesson}.csv")))
            title = title.rstrip(".")
            parts += [f"### {title}\n", f"![{title}]({lesson}.png)\n", f"{text.strip()}\n", f"{said}\n"]
            parts.append(f"`python docs/gallery/{lesson}.py` · [script]({lesson}.py) · [numbers]({lesson}.csv)\n")
    return "\n".join(parts)


if __name__ == "__main__":
    for name in LESSONS if sys.argv[1:] == ["--all"] else ():
        subprocess.run([sys.executable, HERE / f"{name}.py"], check=True)
    (HERE / "README.md").write_text(index(), encoding="utf-8")
