"""``nnx gradcheck``: a model's gradients against differences of its loss, parameter by parameter."""

import json as json_format
from dataclasses import asdict
from typing import Any

from nnx import backends, losses, random
from nnx.autodiff.check import STEPS
from nnx.autodiff.check import gradcheck as check
from nnx.cli import build, config, threads
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError
from nnx.layers import training
from nnx.train.checks import check_outputs, prepare
from nnx.train.evaluation import targets
from nnx.train.objective import minimised
from nnx.typing import Array

ROWS = 4


def gradcheck(
    source: str | None = None,
    /,
    *,
    config_file: str | None = None,
    rows: int = ROWS,
    entries: int = 20,
    method: str = "centred",
    **flags: Any,
) -> int:
    """Check the gradients of a model's loss on data, in float64, with dropout's masks held fixed.

    Takes the flags of nnx train. A line for each parameter says the worst relative error |a - n| / max(|a|, |n|) over
    random directions and entries, and how many lay at a kink and were skipped. The exit code is 3 if one is too large.

    Examples:

    nnx gradcheck digits

    nnx gradcheck digits --model cnn:4,8 --rows 2

    nnx gradcheck houses.csv --target price --activation tanh --method richardson
    """
    settings = config.merged(flags if source is None else {"source": source, **flags}, config_file)
    if method not in STEPS:
        raise ConfigError(
            expected=f"one of {', '.join(STEPS)}", got=repr(method), where="--method", fix=did_you_mean(method, STEPS)
        )
    for name, value, least in (("--rows", rows, 2), ("--entries", entries, 1)):
        if value < least:
            raise ConfigError(
                expected=f"a whole number ≥ {least}",
                got=str(value),
                where=name,
                fix=f"Write for example {name} {max(2, least * 2)}.",
            )
    backend = backends.get(settings.backend)
    parts = build.data(settings)
    model = build.model(settings, parts.whole).initialize(settings.seed)
    prepare(model, parts.train, settings.seed)
    model.to(backend)
    check_outputs(model, parts.train)
    judged = minimised(losses.get(build.loss(settings, parts.whole)))
    chosen = random.permutation(random.key(settings.seed, "gradcheck"), len(parts.train))[:rows]
    x = backend.asarray(parts.train.x[chosen], dtype="float64")
    y = targets(parts.train, chosen, backend, "float64")

    def loss_of(model: Any, x: Array, y: Array) -> Array:
        return judged(model, x, y)[0]

    with threads.suited(backend, model, rows), training(seed=settings.seed, step=0, write_back=False):
        report = check(loss_of, model, x, y, entries=entries, method=method, seed=settings.seed, raises=False)
    trained = model.parameters()
    report = type(report)(
        tuple(row for row in report.parameters if row.path in trained), report.method, report.rtol, report.fixed
    )
    if settings.json:
        found = {**asdict(report), "passed": report.passed, "rows": len(chosen)}
        print(json_format.dumps(found))
    else:
        print(f"{parts.whole.name}: {settings.model}, {len(chosen)} training rows, on {backend.spec}")
        print(report)
    return 0 if report.passed else 3
