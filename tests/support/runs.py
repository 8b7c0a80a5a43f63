"""What a run left on the disk."""

import json
from pathlib import Path
from typing import Any


def records(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
