"""Every picture: a valid file of its kind, the same bytes each time, its axes named, nothing cut off, no window."""

import errno
import html
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.clouds import blobs, network

import nnx
from nnx import plot
from nnx.errors import ConfigError
from nnx.plot import style

pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed (extra plot)")


LONG = "a name that somebody has exported from a database, with its unit and its year"


@pytest.fixture(scope="module")
def trained():
    """Models that were trained, with all that pictures are drawn from."""
    train, real, flat = blobs(), blobs(task="regression"), blobs()
    flat = nnx.data.load((flat.x[:, :2], flat.y))
    model, deep = (
        network(),
        nnx.Sequential(nnx.Linear(4, 9), nnx.Tanh(), nnx.Linear(9, 9), nnx.Sigmoid(), nnx.Linear(9, 3)),
    )
    statistics, snapshots, others = nnx.train.Statistics(train), nnx.train.Snapshots(), nnx.train.Statistics(train)
    run = nnx.fit(model, train, train, epochs=4, batch_size=16, callbacks=[statistics, snapshots])
    nnx.fit(deep, train, epochs=3, callbacks=[others])
    line, plain = nnx.Sequential(nnx.Standardize(4), nnx.Linear(4, 1)), nnx.Sequential(nnx.Linear(2, 3))
    nnx.fit(line, real, epochs=1)
    many = nnx.data.Dataset(train.x, np.arange(90) % 15, classes=tuple(f"kind {i}" for i in range(15)))
    wide = nnx.Sequential(nnx.Linear(4, 15)).initialize(0)
    named = nnx.data.Dataset(
        flat.x, np.arange(90) % 3, classes=("$5-$10", LONG, "$\\foo$"), feature_names=(f"{LONG} in $", "$\\bar$")
    )
    hundred = nnx.data.Dataset(flat.x, np.arange(90), classes=tuple(f"class_{i:03d}" for i in range(100)))
    broad = nnx.Sequential(nnx.Linear(2, 100)).initialize(0)
    return SimpleNamespace(**{name: value for name, value in locals().items() if name != "run"}, history=run.history)


DRAWN = {
    "curves": lambda t, path: plot.curves(t.history, path, title="digits"),
    "surface": lambda t, path: plot.surface(t.model, t.train, path, points=7, title="around the weights"),
    "solid": lambda t, path: plot.surface(t.model, t.train, path, points=7, solid=True),
    "lines": lambda t, path: plot.surface(t.model, t.train, path, points=7, dimensions=1),
    "trajectory": lambda t, path: plot.trajectory(t.model, t.train, t.snapshots.kept, path, points=7),
    "boundary": lambda t, path: plot.boundary(t.plain.initialize(0), t.flat, path, points=20),
    "components": lambda t, path: plot.boundary(t.model, t.train, path, points=20),
    "many classes": lambda t, path: plot.boundary(t.wide, t.many, path, points=20),
    "long names": lambda t, path: plot.boundary(t.plain.initialize(0), t.named, path, points=20, title=f"$\\foo$ {LONG}"),
    "long names, confused": lambda t, path: plot.confusion(t.plain.initialize(0), t.named, path),
    "a hundred classes": lambda t, path: plot.boundary(t.broad, t.hundred, path, points=30),
    "real": lambda t, path: plot.boundary(t.line, t.real, path, points=20),
    "activations": lambda t, path: plot.activations(t.model, t.train, path),
    "saturation": lambda t, path: plot.activations(t.deep, t.train, path, records=t.others.records, title="tanh"),
    "gradients": lambda t, path: plot.gradients(t.model, t.train, path),
    "gradients over epochs": lambda t, path: plot.gradients(t.model, t.train, path, snapshots=t.snapshots.kept),
    "ratios": lambda t, path: plot.ratios(t.statistics.records, path),
    "many ratios": lambda t, path: plot.ratios(
        [r | {"parameters": {f"{k} {i}": v for k, v in r["parameters"].items() for i in "ab"}} for r in t.statistics.records],
        path,
    ),
    "range test": lambda t, path: plot.range_test(nnx.lr_find(t.model, t.train), path, title="clouds"),
    "confusion": lambda t, path: plot.confusion(t.model, t.train, path, title="clouds"),
    "confusion of many": lambda t, path: plot.confusion(t.wide, t.many, path),
    "weights": lambda t, path: plot.weights(t.model, path),
    "images": lambda t, path: plot.weights(t.deep, path, image_shape=(2, 2, 1)),
    "contour": lambda t, path: plot.contour(lambda x, y: x**2 + 9 * y**2, path, points=21),
    "walks": lambda t, path: plot.contour(
        lambda x, y: x * y, path, points=21, solid=True, paths={"there": [[0, 0], [1, 1]], "back": [[1, 1], [-1, 0]]},
        labels=("w₁", "w₂"), name="J(w)",
    ),
}  # fmt: skip
"""Every picture, in each of its forms."""
SAYS = {
    "curves": ("epoch", "loss", "accuracy (share of rows)", "validation", "training, as it learns"),
    "surface": ("direction 1 (1 = the length of the weights)", "direction 2 (1 = the length of the weights)", "loss"),
    "lines": ("direction (1 = the length of the weights)", "loss", "direction 3"),
    "trajectory": ("of the squared way", "principal direction 2", "epoch 0", "the trained weights", "loss"),
    "boundary": ("feature 1", "feature 2", "true class"),
    "components": ("principal component 1", "of the variance)"),
    "long names": ("$5-$10", "$\\foo$ a name that", "$\\bar$", "a name that somebody has"),
    "long names, confused": ("$5-$10", "$\\foo$"),
    "real": ("target (background: the model's)", "principal component 2"),
    "activations": ("output of the layer", "layers.3 ReLU", "share (%)", "dead ReLU units", "median"),
    "saturation": ("saturated tanh or sigmoid values", "epoch", "standard deviation"),
    "gradients": ("norm of the gradient", "size of its entries", "layers.1.weight"),
    "gradients over epochs": ("epoch", "for the same rows", "all together"),
    "ratios": ("epoch", "of a step", "layers.1.weight"),
    "confusion": ("predicted class", "true class", "share of the true class's rows (%)"),
    "weights": ("value", "entries", "layers.1.weight"),
    "images": ("pixels, 2 across a unit", "pixels, 2 down a unit", "weight"),
    "walks": ("w₁", "w₂", "J(w)", "there", "back"),
}


def test_every_picture_of_the_package_is_here():
    functions = {name for name in plot.__all__ if name[0].islower()} - {"random_directions", "search"}
    assert {name for name in functions if not any(name in drawn for drawn in DRAWN)} <= OTHERS


OTHERS = {"range_test"}
"""Pictures that have a test of their own elsewhere."""


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_the_same_each_time_named_and_nothing_is_cut_off(name, trained, tmp_path, monkeypatch):
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    figures = []
    monkeypatch.setattr(style, "figure_class", lambda: lambda **kwargs: figures.append(Figure(**kwargs)) or figures[-1])
    for picture in ("one.png", "two.png", "one.svg"):
        DRAWN[name](trained, tmp_path / picture)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    text = html.unescape((tmp_path / "one.svg").read_text(encoding="utf-8"))
    assert text.startswith("<?xml")
    for words in SAYS.get(name, ()):
        assert words in text
    figure = figures[0]
    width, height = figure.get_size_inches()
    assert 3 <= width <= 16
    assert 2 <= height <= 16
    for axes in figure.axes:
        assert axes.get_ylabel() or (axes.get_label() != "<colorbar>" and axes.get_xlabel()) or not axes.axison
    pixels = imread(tmp_path / "one.png")[..., :3]
    for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (side == 1).all(), "ink on the rim: something is cut off"


@pytest.mark.parametrize(
    ("name", "suffix", "start"),
    [("trajectory", ".svg", b"<?xml"), ("boundary", ".pdf", b"%PDF-"), ("weights", ".PNG", b"\x89PNG")],
)
def test_it_is_written_in_each_form(name, suffix, start, trained, tmp_path):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    DRAWN[name](trained, one)
    DRAWN[name](trained, two)
    assert one.read_bytes().startswith(start)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1.0])
def test_what_is_not_finite_is_a_gap(value, tmp_path):
    def holed(x, y):
        return np.where(x > 0, value, x + y)

    plot.contour(holed, tmp_path / "c.png", points=11, solid=True)
    plot.contour(lambda x, y: np.full_like(x, value), tmp_path / "d.png", points=5)
    assert (tmp_path / "d.png").stat().st_size > 1000


def test_a_model_that_is_not_finite_has_its_pictures_too(trained, tmp_path):
    model = trained.deep.copy()
    model.load({path: w * np.float32("nan") for path, w in model.parameters().items()})
    path = tmp_path / "p.png"
    with np.errstate(all="ignore"):
        plot.surface(model, trained.train, path, points=3)
        plot.surface(model, trained.train, path, points=3, dimensions=1)
        plot.activations(model, trained.train, path)
        plot.gradients(model, trained.train, path)
        plot.weights(model, path)
        plot.boundary(model, trained.train, path, points=5)
        plot.ratios([{"epoch": 1, "parameters": {"w": {"update": None, "weight": None}}}], path)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(w * c**2.2 for w, c in zip((0.2126, 0.7152, 0.0722), channels))


def test_lines_are_told_apart_without_their_colours():
    looks = [style.line(number) for number in range(2 * len(style.COLOURS))]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(looks)
    assert len({look["color"] for look in looks[: len(style.COLOURS)]}) == len(style.COLOURS)
    assert all(luminance(colour) < 0.6 for colour in style.COLOURS), "none is lost on white paper"


@pytest.mark.parametrize("name", [style.MAP, style.GREYS])
def test_the_maps_grow_lighter_steadily(name):
    from matplotlib import colormaps

    light = [
        luminance(f"#{int(255 * r):02x}{int(255 * g):02x}{int(255 * b):02x}")
        for r, g, b, _ in colormaps[name](range(0, 256, 16))
    ]
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("c.gif", r"a name that ends in .png, .svg or .pdf, got 'c.gif'. Name it c.png"),
        ("c", "Name it c.png"),
        ("none/c.png", "there is no folder none"),
    ],
)
def test_a_place_that_cannot_be_is_said_before_anything_is_computed(path, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for draw in (
        lambda: plot.surface(None, None, path),
        lambda: plot.trajectory(None, None, None, path),
        lambda: plot.boundary(None, None, path),
        lambda: plot.activations(None, None, path),
        lambda: plot.gradients(None, None, path),
        lambda: plot.confusion(None, None, path),
        lambda: plot.weights(None, path),
        lambda: plot.ratios(None, path),
        lambda: plot.contour(None, path),
    ):
        with pytest.raises(ConfigError, match=match):
            draw()


def test_a_place_that_turns_out_unwritable_is_named(tmp_path):
    (tmp_path / "c.png").mkdir()
    with pytest.raises(ConfigError, match=r"cannot write .*c.png: Is a directory"):
        plot.contour(lambda x, y: x + y, tmp_path / "c.png", points=3)


def test_on_a_full_disk_the_picture_and_the_numbers_of_before_stay(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    file, table = tmp_path / "c.png", tmp_path / "c.csv"
    plot.contour(lambda x, y: x + y, file, points=3).save(table)
    before = file.read_bytes(), table.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match=r"cannot write .*c.png: No space left"):
        plot.contour(lambda x, y: x - y, file, points=3)
    with pytest.raises(ConfigError, match=r"cannot write .*c.csv: No space left"):
        plot.contour(lambda x, y: x - y, points=3).save(table)
    assert (file.read_bytes(), table.read_bytes()) == before
    assert sorted(tmp_path.iterdir()) == [table, file]


def test_without_matplotlib_the_numbers_are_there_and_a_picture_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert plot.contour(lambda x, y: x + y, points=2).values.tolist() == [[-4, 0], [0, 4]]
    with pytest.raises(plot.PlotUnavailable, match=r'python -m pip install "nnx-array\[plot\]"'):
        plot.contour(lambda x, y: x + y, tmp_path / "c.png")


def test_no_window_and_no_global_state(tmp_path):
    code = (
        "import sys, matplotlib; from nnx import plot\n"
        "def seen(): return [matplotlib.rcParams[k] for k in ('svg.hashsalt', 'svg.fonttype', 'pdf.fonttype')]\n"
        "before = seen(); plot.contour(lambda x, y: x * y, 'c.svg', solid=True, paths={'a': [[0, 0], [1, 1]]})\n"
        "assert 'matplotlib.pyplot' not in sys.modules; assert seen() == before"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=tmp_path)
