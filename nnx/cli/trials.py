"""What ``nnx tune`` shows: a line for each trial as it ends, and the table of the best; all within 80 columns."""

import textwrap
import time
from collections.abc import Mapping
from typing import Any

from nnx.cli.config import flag
from nnx.cli.display import Output, clock, number, spoken
from nnx.train.record import as_json
from nnx.tune.search import Row, Search

WIDTH, ROWS = 80, 10


class Lines:
    """Tells each trial once: as a line, or with ``as_json`` as an object."""

    def __init__(self, as_json: bool) -> None:
        self.output, self.json = Output(), as_json
        self.told: set[int | str] = set()
        self.started = time.monotonic()
        self.before: int | None = None

    def begin(self, facts: Mapping[str, Any], lines: list[str], known: Search | None = None) -> None:
        """What will be searched; trials that were ended before are not told again."""
        self.started = time.monotonic()
        if known is not None:
            self.told = {row.trial for row in known.of("done", "pruned", "failed")}
        self.say({"event": "start", **facts}, lines)

    def say(self, facts: Mapping[str, Any], lines: list[str]) -> None:
        """One object, or some lines."""
        for line in [as_json(facts)] if self.json else lines:
            self.output.line(line)

    def tell(self, search: Search) -> None:
        """The trials that have ended since the last time."""
        ended = search.of("done", "pruned", "failed")
        new = sorted(
            (row for row in ended if row.trial not in self.told),
            key=lambda row: -1 if row.trial == "first" else int(row.trial),
        )
        if self.before is None:
            self.before = len(ended) - len(new)
        for row in new:
            self.told.add(row.trial)
            done = len(self.told)
            left = (time.monotonic() - self.started) / max(done - self.before, 1) * (len(search.rows) - done)
            self.say(
                {"event": "trial", "done": done, "of": len(search.rows), **plain(row)},
                [line(search, row, done, left)],
            )


def plain(row: Row) -> dict[str, Any]:
    """A trial for JSON."""
    return {
        "trial": row.trial, "stage": row.stage, "state": row.state, "score": row.score, "epoch": row.epoch,
        "val_loss": row.loss, "seconds": row.seconds, "params": dict(row.params), "reason": row.reason or None,
    }  # fmt: skip


WIDTHS = (9, 11, 15, 8, 9, 18, 9)  # done, trial, score, epoch, pruned, best, left: 79 in all


def heads(monitor: str) -> str:
    """The line above the trials."""
    return row_of(["done", "trial", spoken(monitor), "epoch", "", "best (trial)", "left"])


def row_of(cells: list[str]) -> str:
    """Cells in their columns."""
    return "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS)).rstrip()


def line(search: Search, row: Row, done: int, left: float) -> str:
    """One trial that has ended, in 80 columns."""
    count, name = f"{done}/{len(search.rows)}", "as given" if row.trial == "first" else str(row.trial)
    if row.state == "failed":
        return cropped(f"{row_of([count, name])}  failed: {row.reason}")
    best = search.of("done")[:1]
    best_text = f"{number(best[0].score)} ({'given' if best[0].trial == 'first' else best[0].trial})" if best else ""
    word = "pruned" if row.state == "pruned" else ""
    return row_of([count, name, number(row.score), str(row.epoch or ""), word, best_text, clock(left)])


def cropped(text: str) -> str:
    """In one line of the terminal."""
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def value(given: Any) -> str:
    """A value in a table.

    >>> value(0.001234), value([128, 64]), value(True), value(3e-05)
    ('0.001234', '128,64', 'true', '3e-05')
    """
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, float):
        return f"{given:.4g}"
    return ",".join(map(str, given)) if isinstance(given, list) else str(given)


def table(search: Search, rows: int = ROWS) -> list[str]:
    """Rank, trial, score, epoch and what was tried, the most important first; what does not fit is said."""
    shown = search.of("done")[:rows]
    first = search.first
    if first is not None and first.state == "done" and first not in shown:
        shown.append(first)
    names = list(dict.fromkeys(name for row in search.rows for name in row.params))
    rank = {row.trial: str(at + 1) for at, row in enumerate(search.of("done"))}
    columns = [
        ["rank", *(rank[row.trial] for row in shown)],
        ["trial", *("given" if row.trial == "first" else str(row.trial) for row in shown)],
        [spoken(search.monitor), *(number(row.score) for row in shown)],
        ["epoch", *(str(row.epoch or "") for row in shown)],
    ]
    left_out = []
    for name in names:
        column = [flag(name)[2:], *(value(row.params[name]) if name in row.params else "" for row in shown)]
        if sum(width(c) + 2 for c in [*columns, column]) - 2 <= WIDTH:
            columns.append(column)
        else:
            left_out.append(flag(name)[2:])
    lines = [
        "  ".join(cell.rjust(width(column)) for cell, column in zip(line, columns)).rstrip() for line in zip(*columns)
    ]
    if left_out:
        lines += textwrap.wrap(
            f"not shown for want of room, but in trials.csv: {', '.join(left_out)}", WIDTH, break_on_hyphens=False
        )
    return lines


def width(column: list[str]) -> int:
    """Of the longest cell."""
    return max(map(len, column))


def facts(search: Search, edges: list[str]) -> dict[str, Any]:
    """The end, for JSON."""
    done = search.of("done")
    return {
        "stopped": search.stopped or None, "trials": len(search.rows), "done": len(done), "pruned": len(search.of("pruned")),
        "failed": len(search.of("failed")), "monitor": search.monitor, "best": plain(done[0]) if done else None,
        "first": plain(search.first) if search.first else None, "edges": edges, "importances": dict(search.importances),
    }  # fmt: skip


def described(name: str, row: Mapping[str, Any]) -> str:
    """A range in words.

    >>> described("lr", {"low": 0.0001, "high": 0.1, "log": True})
    'lr             0.0001 to 0.1, log'
    """
    if "choices" in row:
        text = ", ".join(value(x) for x in row["choices"])
    elif "one_minus_log" in row:
        low, high = (1 - 10.0**s for s in reversed(row["one_minus_log"]))
        text = f"{low:.4g} to {high:.4g}, 1 - 10^s"
    else:
        text = f"{row['low']:g} to {row['high']:g}" + (", log" if row.get("log") else "")
        if "layers" in row:
            layers = row["layers"]
            text = f"{layers if isinstance(layers, int) else f'{layers[0]} to {layers[1]}'} layers of {text}"
    return f"{flag(name)[2:]:<14} {text}"


def wrapped(label: str, texts: list[str]) -> list[str]:
    """Texts beside a label, each broken at words to fit 80 columns."""
    lines = []
    for text in texts:
        lines += textwrap.wrap(text, WIDTH - 10, break_on_hyphens=False) or [""]
    return [f"{label if at == 0 else '':<9} {line}" for at, line in enumerate(lines)]
