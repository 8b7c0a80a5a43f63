"""What the pictures have in common: the figure, its axes and colours, and how it is saved."""

import io
import logging
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnx.errors import BackendUnavailable, ConfigError
from nnx.plot import letters
from nnx.train.files.weights import write_whole

TRAIN, VAL = "#0072B2", "#D55E00"  # blue and vermilion: told apart by colour-blind readers, and in grey
COLOURS = (TRAIN, VAL, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito (2008), without its yellow, which is no line on white paper."""
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)))
"""One kind of line for each colour: a picture in grey is read by these."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MAP, GREYS = "viridis", "cividis"  # both grow lighter steadily: their order survives a black-and-white printer
SUFFIXES = (".png", ".svg", ".pdf")


class PlotUnavailable(BackendUnavailable):
    """matplotlib is not installed."""


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 4.4,
    height: float = 3.4,
    title: str = "",
    solid: Sequence[int] = (),
) -> tuple[Any, list[Any]]:
    """A figure and its axes, row by row: ``figure, axes = style.figure(1, 2)``. No window, no global state.

    Units: ``width`` and ``height`` of one panel, in inches. The panels numbered in ``solid`` have three dimensions.

    Errors: ``PlotUnavailable`` without matplotlib.
    """
    made = figure_class()(figsize=(width * columns, height * rows), layout="constrained")
    if title:
        made.suptitle(shortened([title], int(11 * width * columns))[0], fontsize="medium")
    kinds = [{"projection": "3d"} if number in solid else {} for number in range(rows * columns)]
    return made, [made.add_subplot(rows, columns, number + 1, **kind) for number, kind in enumerate(kinds)]


def label(axes: Any, x: str, y: str, title: str = "", *, grid: bool = True) -> None:
    """Names both axes, with their units, and takes away what carries no ink of its own."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, fontsize="medium")
    if grid:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)


def rows(axes: Any, names: Sequence[str], *, labels: bool = True) -> None:
    """Names along the upright axis, the first at the top."""
    axes.set_yticks(range(len(names)), shortened(names) if labels else [""] * len(names), fontsize="small")
    axes.set_ylim(len(names) - 0.4, -0.6)


def epochs(axes: Any) -> None:
    """Whole numbers along the lower axis, one if there is one."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def legend_below(figure: Any, *axes: Any) -> None:
    """One legend for what these axes show, below all of them."""
    found: dict[str, Any] = {}
    for one in axes:
        for handle, name in zip(*one.get_legend_handles_labels()):
            found.setdefault(name, handle)
    figure.legend(found.values(), found, loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def decades(axis: Any) -> None:
    """A logarithmic axis with names at powers of ten alone, of which it shows two at least."""
    from matplotlib.ticker import NullFormatter

    axes, name = axis.axes, axis.axis_name
    getattr(axes, f"set_{name}scale")("log")
    low, high = (math.log10(max(end, 1e-300)) for end in sorted(getattr(axes, f"get_{name}lim")()))
    getattr(axes, f"set_{name}lim")(*(10.0**end for end in widened(low, high)))
    axis.set_minor_formatter(NullFormatter())


def widened(low: float, high: float) -> tuple[float, float]:
    """An interval that holds two whole numbers, made longer where that costs least.

    >>> widened(0.3, 1.9), widened(-0.5, 1.5)
    ((0.3, 2.0), (-0.5, 1.5))
    """
    while math.floor(high) - math.ceil(low) < 1:
        below, above = math.ceil(low) - 1, math.floor(high) + 1
        low, high = (below, high) if low - below < above - high else (low, float(above))
    return low, high


def line(number: int) -> dict[str, Any]:
    """Colour, line and marker number ``number``, as keywords of ``axes.plot``; after seven the pairs change.

    >>> line(1)["color"], line(1)["linestyle"], line(1)["marker"]
    ('#D55E00', '--', 's')
    """
    place, again = number % len(COLOURS), number // len(COLOURS)
    mark, kind = MARKERS[(place + 3 * again) % len(MARKERS)], LINES[(place + again) % len(LINES)]
    return {"color": COLOURS[place], "linestyle": kind, "marker": mark, "linewidth": 1.5}


def save(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Writes the figure as PNG, SVG or PDF by the name of ``path``; the same figure gives the same bytes.

    Letters that matplotlib's font lacks are drawn with another that is installed; where none has them a warning says so.

    Errors: ``ConfigError`` for another suffix, or a place that cannot be written.
    """
    file = checked(path)
    from matplotlib import rc_context

    stamps = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}}
    style = {"svg.hashsalt": "nnx", "svg.fonttype": "none", "pdf.fonttype": 42}
    with rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # each letter twice; it is told below
        figure.draw_without_rendering()  # once for the layout to learn how large the names are
        changed, missing = letters.complete(figure)
        if changed:
            figure.draw_without_rendering()
        try:
            picture, kind = io.BytesIO(), file.suffix.lower()
            figure.savefig(picture, dpi=150, format=kind[1:], metadata=stamps[kind])
            write_whole(file, picture.getvalue())
        except OSError as error:
            raise unwritable(file, error) from None
    if missing and file.suffix.lower() != ".svg":  # which has them as text
        shown = f"{missing[:10]} …" if len(missing) > 10 else missing
        warnings.warn(
            f"{file} shows boxes for {shown}: no installed font has them. Install one, such as Noto Sans CJK for Chinese, "
            f"or draw {file.stem}.svg.",
            letters.LettersMissing,
            stacklevel=2,
        )
    return file


def ready(path: str | os.PathLike[str] | None) -> None:
    """Sees to it, before anything is computed, that a picture can be drawn and written there; ``None`` asks for none.

    Errors: ``PlotUnavailable`` without matplotlib, ``ConfigError`` for another suffix or a folder that is not there.
    """
    if path is None:
        return
    folder = checked(path).parent
    figure_class()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", where=str(path), fix="Make it first, or name another.")


def checked(path: str | os.PathLike[str]) -> Path:
    """The path, when it ends as a picture does.

    Errors: ``ConfigError`` for another suffix.
    """
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            "unknown kind of picture",
            expected="a name that ends in .png, .svg or .pdf",
            got=repr(str(path)),
            where="picture",
            fix=f"Name it {file.stem or 'picture'}.png.",
        )
    return file


def unwritable(file: Path, error: OSError) -> ConfigError:
    """The error for a place that cannot be written."""
    return ConfigError(f"cannot write {file}: {error.strerror or error}", fix="Name a folder that can be written.")


def shortened(names: Sequence[str], longest: int = 28) -> list[str]:
    """Names that fit beside an axis: the middle of a long one is left out. Their dollars begin no formula.

    >>> shortened(["layers.0.weight", "5-10 $"], 9)
    ['laye…ight', '5-10 \\\\$']
    """
    half = (longest - 1) // 2
    fit = [name if len(name) <= longest else f"{name[: longest - 1 - half]}…{name[-half:]}" for name in names]
    return [name.replace("$", r"\$") for name in fit]


def figure_class() -> Any:
    """The Figure class of matplotlib: figures of their own, no window, no global state."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it reports at length that it makes a cache
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotUnavailable(
            "matplotlib is not installed", fix='Run: python -m pip install "nnx-array[plot]"'
        ) from None
    return Figure
