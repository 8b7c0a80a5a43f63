"""One line of history: what it holds, which is better, and how it is written."""

import json
import math
from collections.abc import Mapping
from typing import Any

from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError

Record = Mapping[str, Any]
"""One line of history: epoch, step, loss, val_loss, metrics, learning_rate, examples_per_second, seconds."""


def as_json(record: Record) -> str:
    """One line of JSON, which has no word for NaN or infinity: they become null.

    >>> as_json({"epoch": 1, "loss": math.inf})
    '{"epoch": 1, "loss": null}'
    """
    return json.dumps(
        {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in record.items()}
    )


def score(record: Record, monitor: str) -> float:
    """The monitored value with its sign turned so that smaller is better."""
    if monitor not in record:
        near = did_you_mean(monitor, record)
        raise ConfigError(
            expected=f"one of {', '.join(record)}",
            got=repr(monitor),
            where="monitor",
            fix=near
            if near[:3] == "Did" and monitor[4:] not in record
            else "Give fit validation data for the val_ values.",
        )
    value = float(record[monitor])
    if math.isnan(value):
        return math.inf
    return -value if monitor.rpartition("val_")[2] in ("accuracy", "r2") else value
