"""``nnx backends``: which array libraries can compute here."""

import json as json_module
import textwrap
from typing import Any

from nnx import backends as libraries

COLUMNS = ("backend", "version", "devices", "BLAS", "threads", "fused kernels")


def backends(*, json: bool = False) -> int:
    """The array libraries that nnx knows: version, devices, BLAS, threads, fused kernels; or why one cannot be used.

    Examples:

    nnx backends

    nnx backends --json
    """
    rows = libraries.status()
    if json:
        for row in rows:
            print(json_module.dumps(row, default=str))
        return 0
    for line in table(rows):
        print(line)
    return 0


def table(rows: list[dict[str, Any]], width: int = 80) -> list[str]:
    """The rows as lines of at most ``width`` columns; a cell that is too long goes on below."""
    usable = [row for row in rows if row["usable"]]
    body = [_cells(row) for row in usable]
    widths = [max(len(cells[i]) for cells in (COLUMNS, *body)) for i in range(len(COLUMNS))]
    while sum(widths) + 2 * (len(widths) - 1) > width:
        widths[widths.index(max(widths))] -= 1
    lines = _row(COLUMNS, widths)
    for cells in body:
        lines += _row(cells, widths)
    idle = [row for row in rows if not row["usable"]]
    if idle:
        lines += ["", "not usable here"]
    for row in idle:
        lines += _wrapped(f"{row['name']:<{widths[0]}}  {_reason(row)}", width, widths[0] + 2)
    return lines


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    threads = row.get("threads")
    return (
        row["name"], str(row.get("version", "")), ", ".join(map(str, row.get("devices") or ())),
        str(row.get("blas") or "none"), "" if threads is None else str(threads), str(row.get("fused") or "off"),
    )  # fmt: skip


def _reason(row: dict[str, Any]) -> str:
    return str(row["reason"]).removeprefix(f"backend {row['name']}: ")


def _row(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    parts = [_wrapped(cell, width, 0) or [""] for cell, width in zip(cells, widths)]
    height = max(len(part) for part in parts)
    return [
        "  ".join((part[i] if i < len(part) else "").ljust(width) for part, width in zip(parts, widths)).rstrip()
        for i in range(height)
    ]


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)
