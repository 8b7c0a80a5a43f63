"""``nnx plot``: a picture of a run, and its numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnx import backends, plot
from nnx.cli import runs, threads
from nnx.cli.config import word
from nnx.cli.display import number
from nnx.cli.saved import Saved, open_run
from nnx.data import Dataset
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError, DataError, NnxError, ShapeError
from nnx.plot import style
from nnx.plot.table import Numbers
from nnx.train import read_snapshots, read_statistics
from nnx.train.run import METRICS, SNAPSHOTS, STATISTICS


class Picture(NamedTuple):
    """What a picture is drawn from: "train" or "held out" rows or none, a file of the run, its own options, how many rows."""

    rows: str
    file: str
    options: tuple[str, ...]
    taken: int | None = None


PICTURES = {
    "curves": Picture("", METRICS, ()),
    "activations": Picture("train", "", ("rows",), 256),
    "gradients": Picture("train", "", ("rows", "seed"), 256),
    "ratios": Picture("", STATISTICS, ()),
    "surface": Picture("train", "", ("rows", "points", "extent", "dimensions", "solid", "seed"), 1000),
    "trajectory": Picture("train", SNAPSHOTS, ("rows", "points"), 1000),
    "boundary": Picture("held out", "", ("rows", "points"), 500),
    "confusion": Picture("held out", "", ()),
    "weights": Picture("", "", ()),
}


def plot_run(
    run: str,
    picture: str,
    data: str | None = None,
    /,
    *,
    out: str | None = None,
    csv: bool = False,
    rows: int | None = None,
    points: int | None = None,
    extent: float | None = None,
    dimensions: int | None = None,
    solid: bool | None = None,
    seed: int | None = None,
    backend: str = "numpy",
    force: bool = False,
) -> int:
    """Draw a picture of a run, as PNG, SVG or PDF, and write its numbers as CSV.

    PICTURE is curves (loss and metric), activations (of each layer, with dead and saturated units), gradients (of each
    parameter), ratios (of steps to weights), surface (the loss around the weights), trajectory (the way of the weights),
    boundary (decision regions), confusion (which class was taken for which) or weights (histograms).

    Surface, trajectory, activations and gradients take rows that it was trained on, boundary and confusion rows that
    were held out; or DATA.

    Examples:

    nnx plot runs/digits-001 curves

    nnx plot runs/digits-001 surface --dimensions 1 -o slices.svg --csv

    nnx plot runs/digits-001 confusion more.csv
    """
    about = _picture(picture)
    given = {"rows": rows, "points": points, "extent": extent, "dimensions": dimensions, "solid": solid, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    _check(picture, about, options, data)
    directory = (
        Path(run) if Path(run).is_dir() else Path(run).parent if (Path(run).parent / runs.CONFIG).exists() else None
    )
    file, table = _places(picture, directory, out, csv, force)
    source = _source(run, directory, about.file) if about.file else None
    if about.file and not about.rows:
        kept, title = None, Path(run).name
    else:
        kept = open_run(run, backend)
        title = (directory or Path(run)).name
    taken, what = (None, "") if kept is None or not about.rows else _rows(kept, about, data, f"{word(run)} {picture}")
    if taken is not None:
        if about.taken is not None:
            options.setdefault("rows", about.taken)
        count = min(len(taken), options.get("rows", len(taken)))
        what = f"{count:,} of {len(taken):,} {what}" if count < len(taken) else f"{count:,} {what}"
        title = f"{title}: {what}"
    numbers, said = _drawn(picture, kept, taken, source, file, options, title)
    print(f"picture   {file}")
    if table is not None:
        print(f"numbers   {numbers.save(table)}")
    for line in [*([f"rows      {what}"] if what else []), *said]:
        print(line)
    return 0


def _picture(name: str) -> Picture:
    if name not in PICTURES:
        known = ", ".join(list(PICTURES)[:-1]) + " or weights"
        near = did_you_mean(name, PICTURES)
        raise ConfigError(
            expected=known, got=repr(name), where="PICTURE", fix=near if near[:3] == "Did" else "See nnx plot --help."
        )
    return PICTURES[name]


def _check(picture: str, about: Picture, options: dict[str, Any], data: str | None) -> None:
    for name, value in options.items():
        if name not in about.options:
            takes = ", ".join(f"--{option}" for option in about.options) or "none of these"
            raise ConfigError(f"{picture} takes no --{name}", where=f"--{name}", fix=f"It takes {takes}.")
        least = {"rows": 1, "points": 2, "dimensions": 1, "seed": 0}.get(name)
        if least is not None and value < least:
            raise ConfigError(
                expected=f"a whole number ≥ {least}",
                got=repr(value),
                where=f"--{name}",
                fix=f"Write for example --{name} {max(1, 20 * least)}.",
            )
    if data is not None and not about.rows:
        raise ConfigError(f"{picture} is drawn from the run alone", where="DATA", fix="Leave DATA away.")
    if not 0 < options.get("extent", 1.0) < float("inf"):
        raise ConfigError(
            expected="a number > 0", got=repr(options["extent"]), where="--extent", fix="Write for example --extent 1."
        )
    if options.get("dimensions", 1) > 2:
        raise ConfigError(
            expected="1 or 2", got=repr(options["dimensions"]), where="--dimensions", fix="2 is a plane, 1 are lines."
        )
    if options.get("solid") and options.get("dimensions") == 1:
        raise ConfigError("a line is not solid", where="--solid", fix="Leave --dimensions 1 away.")


def _places(picture: str, directory: Path | None, out: str | None, csv: bool, force: bool) -> tuple[Path, Path | None]:
    """Where the picture and its numbers go; in the run's own directory they may be drawn again, elsewhere nothing is overwritten."""
    file = Path(out) if out is not None else (directory or Path()) / f"{picture}.png"
    style.ready(file)
    table = file.with_suffix(".csv") if csv else None
    for place in (file, table):
        own = out is None and directory is not None
        if place is not None and place.exists() and not own and not force:
            raise ConfigError(f"{place} is there already", where="--out", fix="Choose another name, or pass --force.")
    return file, table


def _source(run: str, directory: Path | None, name: str) -> Path:
    """A file of the run."""
    if directory is None:
        runs.find(run)
        raise ConfigError("a model file alone has no course", where="RUN", fix=f"Name a run directory with {name}.")
    if not (directory / name).exists():
        if name == METRICS or not (directory / METRICS).exists():
            runs.find(run)
        known = (directory / runs.CONFIG).exists()
        again = (
            f"nnx train --config {word(directory / runs.CONFIG)} --record" if known else "nnx.fit(..., directory=...)"
        )
        maker = {SNAPSHOTS: "nnx.train.Snapshots()", STATISTICS: "nnx.train.Statistics(train)"}.get(name)
        python = f" In Python: callbacks=[{maker}]." if maker else ""
        raise DataError(f"the run has no {name}", where=run, fix=f"Train again: {again}.{python}")
    return directory / name


def _rows(saved: Saved, about: Picture, data: str | None, asked: str) -> tuple[Dataset, str]:
    if data is not None:
        found = saved.data(data)
        return found, f"rows of {found.name}"
    parts = saved.parts()
    if about.rows == "train":
        return parts.train, "training rows"
    part, name = (parts.test, "test") if parts.test else (parts.val, "validation")
    if part is None:
        raise ConfigError("the run held no rows out", where="DATA", fix=f"Name the data: nnx plot {asked} DATA.")
    return part, f"{name} row{'s' * (len(part) != 1)}"


def _drawn(
    picture: str,
    saved: Saved | None,
    rows: Dataset | None,
    source: Path | None,
    file: Path,
    options: dict[str, Any],
    title: str,
) -> tuple[Numbers, list[str]]:
    """The numbers of the picture, drawn to ``file``, and a line or two of what they say."""
    if saved is None:
        assert source is not None
        return _COURSE[picture](source, file, title)
    with threads.suited(backends.of(next(iter(saved.model.state().values()))), saved.model, 1024):
        if picture == "weights":
            return _weights(saved, file, title)
        assert rows is not None
        if picture == "trajectory":
            assert source is not None
            options["snapshots"] = read_snapshots(source)
        return _ROWS[picture](saved, rows, file, title, options)


def _curves(source: Path, file: Path, title: str) -> tuple[Numbers, list[str]]:
    records = runs.history(source.parent)
    found = plot.curves(records, file, title=title)
    return found, [f"epochs    {len(records)}"]


def _ratios(source: Path, file: Path, title: str) -> tuple[Numbers, list[str]]:
    found = plot.ratios(read_statistics(source), file, title=title)
    weights = [i for i, path in enumerate(found.paths) if path.endswith("weight")] or list(range(len(found.paths)))
    last = {found.paths[i]: float(found.values[-1, i]) for i in weights}
    return found, [f"last      {path}: {number(value)} of its weight in a step" for path, value in last.items()]


def _activations(
    saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]
) -> tuple[Numbers, list[str]]:
    statistics = None if saved.directory is None else saved.directory / STATISTICS
    records = read_statistics(statistics) if statistics is not None and statistics.exists() else []
    found = plot.activations(saved.model, rows, file, records=records, title=title, **options)
    said = [
        f"{word:<9} {share:.1%} at {one.path} ({one.kind})".replace("%", " %")
        for one in found.layers
        for word, share in (("dead", one.dead), ("saturated", one.saturated))
        if share is not None
    ]
    return found, said


def _gradients(
    saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]
) -> tuple[Numbers, list[str]]:
    kept = None if saved.directory is None else saved.directory / SNAPSHOTS
    snapshots = read_snapshots(kept) if kept is not None and kept.exists() else []
    found = plot.gradients(saved.model, rows, file, loss=saved.loss, snapshots=snapshots, title=title, **options)
    largest, least = int(np.argmax(found.norm)), int(np.argmin(found.norm))
    return found, [
        f"largest   {found.paths[largest]}: {number(float(found.norm[largest]))}",
        f"least     {found.paths[least]}: {number(float(found.norm[least]))}",
    ]


def _surface(saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]) -> tuple[Numbers, list[str]]:
    found = plot.surface(saved.model, rows, file, loss=saved.loss, title=title, **options)
    return found, [f"loss      {_range(found.values)}"]


def _trajectory(
    saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]
) -> tuple[Numbers, list[str]]:
    snapshots = options.pop("snapshots")
    found = plot.trajectory(saved.model, rows, snapshots, file, loss=saved.loss, title=title, **options)
    first, second = (f"{100 * share:.0f} %" for share in found.shares)
    return found, [f"plane     holds {first} + {second} of the squared way of {len(snapshots)} snapshots"]


def _boundary(
    saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]
) -> tuple[Numbers, list[str]]:
    found = plot.boundary(saved.model, rows, file, title=title, **options)
    return found, [f"plane     {found.axes[0]}", f"          {found.axes[1]}"]


def _confusion(
    saved: Saved, rows: Dataset, file: Path, title: str, options: dict[str, Any]
) -> tuple[Numbers, list[str]]:
    found = plot.confusion(saved.model, rows, file, title=title)
    return found, [f"accuracy  {number(found.accuracy)}"]


def _weights(saved: Saved, file: Path, title: str) -> tuple[Numbers, list[str]]:
    shape = None
    if saved.settings is not None:
        try:
            shape = saved.parts().whole.image_shape
        except NnxError:  # the data are gone: histograms need none
            shape = None
    try:
        return plot.weights(saved.model, file, image_shape=shape, title=title), []
    except ShapeError:  # the first layer does not look at the pixels themselves
        return plot.weights(saved.model, file, title=title), []


def _range(values: Any) -> str:
    finite = values[np.isfinite(values)]
    return f"{number(float(finite.min()))} to {number(float(finite.max()))}" if finite.size else "nowhere finite"


_COURSE: dict[str, Callable[..., tuple[Numbers, list[str]]]] = {"curves": _curves, "ratios": _ratios}
_ROWS: dict[str, Callable[..., tuple[Numbers, list[str]]]] = {
    "activations": _activations, "gradients": _gradients, "surface": _surface, "trajectory": _trajectory,
    "boundary": _boundary, "confusion": _confusion,
}  # fmt: skip
