"""What a training shows while it runs: live lines on a terminal, plain lines elsewhere, or one JSON object a line."""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

from nnx.train.callbacks.base import Callback
from nnx.train.record import Record, as_json
from nnx.train.run import Run

WIDTHS = (8, 10, 10, 14, 15, 11, 8)  # epoch, loss, val loss, metric, best, examples/s, left: 76 in all
BETWEEN = 10.0  # seconds between plain lines
REFRESH = 0.1  # seconds between two pictures of the live line
LINES = 50  # epochs whose line stays on the terminal: of more, only every k-th


class Output:
    """Lines to standard output. When the reader has gone (``| head``) or the disk is full, the training goes on without it."""

    def __init__(self) -> None:
        self.gone = False

    def line(self, text: str) -> None:
        """Write one line at once."""
        if self.gone:
            return
        try:
            print(text, flush=True)
        except OSError as error:
            self.gone = True
            silence(sys.stdout)
            why = "nobody reads the output any more"
            if not isinstance(error, BrokenPipeError):
                why = f"the output cannot be written ({error.strerror or error})"
            print(f"nnx: {why}; the training goes on", file=sys.stderr)


def silence(stream: TextIO) -> None:
    """Send what is still in a closed pipe's buffer nowhere, so that leaving raises nothing."""
    with suppress(OSError, ValueError, AttributeError):  # where it is not a real file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def choose(as_lines: bool) -> "Display":
    """The display for this standard output."""
    if as_lines:
        return JsonDisplay()
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return LiveDisplay()
    return PlainDisplay()


class Display(Callback):
    """The abstract base. ``begin`` and ``finish`` are called around ``fit``, with facts for JSON and as lines of text."""

    def __init__(self) -> None:
        self.output = Output()
        self.started = time.monotonic()
        self.before = 0.0
        self.facts: Mapping[str, Any] = {}
        self.lines: list[str] = []

    def begin(self, facts: Mapping[str, Any], lines: list[str]) -> None:
        """What will be trained on what: shown when the first step is about to be taken, after all checks."""
        self.facts, self.lines = facts, lines

    def on_start(self, run: Run) -> None:
        """Show it."""
        for line in self.lines:
            self.output.line(line)
        self.started = time.monotonic()

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """The same; a part of the training lies behind already."""
        self.on_start(run)
        self.before = run.done

    def say(self, text: str) -> None:
        """Something that came up while it trains."""
        self.output.line(f"rate   {text}")

    def finish(self, facts: Mapping[str, Any], lines: list[str]) -> None:
        """What came of it."""
        for line in lines:
            self.output.line(line)

    def close(self) -> None:
        """Leave the terminal as it was, after an error."""

    def seconds(self) -> float:
        """Since the training began."""
        return time.monotonic() - self.started

    def left(self, run: Run) -> float:
        """Seconds until the last epoch ends, if all goes on as it went so far."""
        done = run.done - self.before
        return self.seconds() * (1 - run.done) / done if done > 0 else 0.0

    def cells(self, run: Run, record: Record) -> list[str]:
        """One epoch as texts, in the order of ``WIDTHS``."""
        best = run.best
        return [
            f"{record['epoch']}/{run.epochs}",
            number(record["loss"]),
            number(record.get("val_loss")),
            number(record.get(run.monitor) if run.monitor != "loss" else None),
            f"{number(best[run.monitor])} ({best['epoch']})",
            f"{record['examples_per_second']:,.0f}",
            clock(self.left(run)),
        ]


class JsonDisplay(Display):
    """One JSON object a line: start, one for each epoch, end."""

    def on_start(self, run: Run) -> None:
        """The event "start"."""
        self.output.line(json.dumps({"event": "start", **self.facts}))
        self.started = time.monotonic()

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """The event "epoch"."""
        self.output.line(as_json({"event": "epoch", **record}))
        return None

    def say(self, text: str) -> None:
        """The event "rate"."""
        self.output.line(json.dumps({"event": "rate", "says": text}))

    def finish(self, facts: Mapping[str, Any], lines: list[str]) -> None:
        """The event "end"."""
        self.output.line(as_json({"event": "end", **facts}))


class PlainDisplay(Display):
    """The first epoch, the last, and between them one line every ten seconds at most."""

    last = -BETWEEN
    shown = 0

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """A line, if it is time for one."""
        if record["epoch"] in (1, run.epochs) or time.monotonic() - self.last >= BETWEEN:
            self._show(run, record)
        return None

    def on_end(self, run: Run) -> None:
        """The last epoch of a training that ended early."""
        if run.history and run.history[-1]["epoch"] != self.shown:
            self._show(run, run.history[-1])

    def _show(self, run: Run, record: Record) -> None:
        self.last, self.shown = time.monotonic(), record["epoch"]
        epoch, loss, val_loss, metric, best, speed, left = self.cells(run, record)
        parts = [f"epoch {epoch}", f"loss {loss}"]
        parts += [f"val loss {val_loss}"] if val_loss else []
        parts += [f"{spoken(run.monitor)} {metric}"] if metric else []
        self.output.line("  ".join([*parts, f"best {best}", f"{speed} ex/s", f"{left} left"]))


class LiveDisplay(Display):
    """A table that grows by a line an epoch; the line of the epoch at hand moves."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self.console = Console(highlight=False, markup=False, emoji=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.drawn = 0.0

    def on_start(self, run: Run) -> None:
        """The head of the table."""
        super().on_start(run)
        validated = "val " if run.validated else ""
        heads = [
            "epoch",
            "loss",
            "val loss" if run.validated else "",
            f"{validated}{spoken(run.metric)}",
            "best (epoch)",
            "examples/s",
            "left",
        ]
        self._print("".join(head.rjust(width) for head, width in zip(heads, WIDTHS)), "dim")
        self.live.start()

    def on_step(self, run: Run) -> None:
        """Move the line, ten times a second at most."""
        now = time.monotonic()
        if now - self.drawn < REFRESH:
            return
        self.drawn = now
        epoch, done = len(run.history), run.steps_into_epoch / run.steps_per_epoch
        bar = "━" * round(24 * done)
        best = f"{number(run.best[run.monitor])} ({run.best['epoch']})" if run.history else ""
        speed = f"{run.history[-1]['examples_per_second']:,.0f}" if run.history else ""
        text = f"{epoch + 1}/{run.epochs}".rjust(WIDTHS[0]) + f"   {bar:<24}{f'{done:.0%}':>7}"
        text += best.rjust(WIDTHS[4]) + speed.rjust(WIDTHS[5]) + clock(self.left(run)).rjust(WIDTHS[6])
        self.live.update(self._text(text, "cyan"), refresh=True)

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """The line of a finished epoch, which stays."""
        self.live.update(self._text("", ""), refresh=True)  # the line that moved was this epoch's
        every = -(-run.epochs // LINES)
        better = run.best["epoch"] == record["epoch"]
        if record["epoch"] % every == 0 or record["epoch"] in (1, run.epochs):
            cells = [cell.rjust(width) for cell, width in zip(self.cells(run, record), WIDTHS)]
            self._print("".join(cells), "green" if better else "")
        return None

    def say(self, text: str) -> None:
        """A line that stays, above the one that moves."""
        self.console.print(self._text(f"rate   {text}", "yellow", wrap=True))

    def on_end(self, run: Run) -> None:
        """Take the moving line away."""
        self.live.stop()

    def close(self) -> None:
        """The same, after an error."""
        self.live.stop()

    def _text(self, text: str, style: str, wrap: bool = False) -> Any:
        from rich.text import Text

        return Text(text, style=style, no_wrap=not wrap, overflow="fold" if wrap else "crop")

    def _print(self, text: str, style: str) -> None:
        self.console.print(self._text(text, style), no_wrap=True, overflow="crop", crop=True)


def number(value: float | None) -> str:
    """Four significant digits; nothing for nothing.

    >>> number(0.98765), number(2912.3), number(None)
    ('0.9877', '2912', '')
    """
    if value is None:
        return ""
    return f"{value:#.4g}".rstrip(".") if 1e-4 <= abs(value) < 1e5 else f"{value:.3g}"


def counted(n: int, thing: str) -> str:
    """So many of a thing.

    >>> counted(1, "row"), counted(1797, "row")
    ('1 row', '1,797 rows')
    """
    return f"{n:,} {thing}{'s' * (n != 1)}"


def spoken(name: str) -> str:
    """The name of a value as people say it.

    >>> spoken("val_accuracy"), spoken("val_r2")
    ('val accuracy', 'val R²')
    """
    return name.replace("_", " ").replace("r2", "R²")


def clock(seconds: float) -> str:
    """A duration.

    >>> clock(3.4), clock(75), clock(4000)
    ('0:03', '1:15', '1:06:40')
    """
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
