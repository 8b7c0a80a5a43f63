"""How the time of a step grows: ``python -P -m benchmarks.picture RECORD docs/scaling.png`` draws a full record's scaling rows."""

import json
import sys
from pathlib import Path
from typing import Any

from nnx.plot import style

AXES = {
    "width": "width of both hidden layers (64–n–n–10, batch 64)",
    "batch": "rows of a batch (64–128–64–10)",
    "depth": "hidden layers of 64 (batch 32)",
}


def draw(record: dict[str, Any], path: str | Path) -> Path:
    """A panel for each axis, and the time that one more layer takes."""
    rows = [row for row in record["rows"] if row["question"] == "scaling"]
    figure, panels = style.figure(2, 2, title=f"A training step on {record['threads']} threads, {record['date'][:10]}")
    labels = list(dict.fromkeys(row["contestant"] for row in rows))
    for (axis, name), panel in zip(AXES.items(), panels, strict=False):
        for number, label in enumerate(labels):
            found = [row for row in rows if (row["axis"], row["contestant"]) == (axis, label)]
            panel.plot(*zip(*((row["value"], row["median_ms"]) for row in found)), label=label, **style.line(number))
        panel.set_xscale("log", base=2)
        ticks = sorted({row["value"] for row in rows if row["axis"] == axis})
        panel.set_xticks(ticks, map(str, ticks))
        panel.minorticks_off()
        style.decades(panel.yaxis)
        style.label(panel, name, "ms")
    layers = {row["contestant"]: row["us"] for row in record["rows"] if row["question"] == "layer"}
    bars = panels[3].barh(range(len(labels)), [layers[label] for label in labels], height=0.6)
    for number, bar in enumerate(bars):
        bar.set_color(style.line(number)["color"])
    panels[3].bar_label(bars, fmt="%.1f", padding=3, fontsize="small")
    panels[3].margins(x=0.15)
    style.label(panels[3], "µs for one more hidden layer of 64 (batch 32)", "")
    style.rows(panels[3], labels)
    style.legend_below(figure, panels[0])
    return style.save(figure, path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -P -m benchmarks.picture RECORD PICTURE")
    print(draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2]))
