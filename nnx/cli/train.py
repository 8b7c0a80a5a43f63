"""``nnx train``: train a model on data and keep everything in a run directory."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from textwrap import wrap
from typing import Any

from nnx import backends
from nnx.cli import build, config, deterministic, display, runs, threads
from nnx.cli.config import FIELDS, Settings
from nnx.cli.doctor import CHECK, checked
from nnx.cli.misuse import as_flags
from nnx.data import Dataset, batch_count
from nnx.doctor.report import WIDTH
from nnx.errors import ConfigError, NnxError
from nnx.layers import Module
from nnx.train import Babysit, Callback, EarlyStopping, Plateau, Run, Snapshots, Statistics, evaluate, fit
from nnx.train.callbacks.babysit import RATE
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.run import MODEL
from nnx.train.sharing.group import ALONE, Group
from nnx.train.sharing.joining import join, launched

CODES = {"interrupted": 130, "terminated": 143}
ENOUGH = 150
"""Steps below which most small tables have learnt less than a linear model could tell; twice as many are suggested."""


def train(source: str | None = None, /, *, config_file: str | None = None, **flags: Any) -> int:
    """Train a model on data, and keep it in a run directory.

    Some rows are held out (--val), never trained on, and judge the model. Every setting may also stand in a TOML file,
    under the name of its flag; flags win over the file.

    Examples:

    nnx train digits

    nnx train iris.csv --target species --model mlp:32 --epochs 100

    nnx train houses.csv --target price --drop id --test 0.1 --early-stopping 10

    nnx train digits --optimizer sgd:momentum=0.9 --lr 0.1 --schedule step

    nnx train digits --epochs 20 --finish lbfgs

    nnx train digits --schedule plateau:factor=0.5,patience=3 --babysit

    nnx train --config runs/digits-001/config.toml --backend cupy

    mpiexec -n 4 nnx train digits --distributed
    """
    given = flags if source is None else {"source": source, **flags}
    settings = config.merged(given, config_file)
    deterministic.fixed(settings)
    group, backend = sharing(settings), backends.get(settings.backend)
    parts = build.data(settings)
    loss = build.loss(settings, parts.whole)
    course = build.course(settings, len(parts.train))
    model = build.model(settings, parts.whole).initialize(settings.seed)
    early = stopping(settings)
    copies = Snapshots()
    recording = [Statistics(parts.train), copies] if settings.record else []
    how = {"loss": loss, **course, "backend": backend, "seed": settings.seed}
    if settings.distributed:
        how["shards"] = settings.shards
    if not group.first:
        return follow(group, how, model, parts, settings)
    name = parts.whole.name.split(".")[0] or "run"
    head = f"A run of nnx {version('nnx-array')}. Again: nnx train --config THIS_FILE"
    with group.together():
        found = checked(settings, parts)
        directory = runs.create(name, settings.out, config.written(build.located(settings), head))
    shown = display.choose(settings.json)
    shown.begin(*_beginning(settings, parts, model, directory, *found))
    try:
        with threads.suited(backend, model, settings.batch_size):
            run = fit(
                model, parts.train, parts.val, **how, callbacks=[shown, *recording, *early, *rates(settings, shown)],
                directory=directory, checkpoint_every=settings.checkpoint_every,
            )  # fmt: skip
    except NnxError as error:
        shown.close()
        if (directory / MODEL).exists() or (directory / CHECKPOINTS).exists():
            error.fix = f"{error.fix} The run is in {directory}."
        else:
            runs.discard(directory)
        raise
    kept = outcome(run, parts, loss, early)
    seconds = shown.seconds()
    note = ", ".join(said for said in (copies.note, curves(run, directory, name)) if said)
    shown.finish(*ending(settings, parts, run, kept, seconds, directory, note))
    return CODES.get(run.stopped, 0)


def sharing(settings: Settings) -> Group:
    """The processes that train together, or this one alone."""
    if settings.distributed:
        return join()
    if started := launched():
        with suppress(NnxError):
            join()  # so that one speaks for all
        raise ConfigError(
            expected="one process, or --distributed",
            got=f"{started[1]} processes, of which each would train the whole",
            where="mpiexec",
            fix="Add --distributed, or leave mpiexec away.",
        )
    return ALONE


def follow(group: Group, how: dict[str, Any], model: Module, parts: build.Parts, settings: Settings) -> int:
    """What all processes but the first do: their part of each step."""
    with group.together():
        pass  # the first makes the directory
    with threads.suited(how["backend"], model, settings.batch_size):
        run = fit(model, parts.train, parts.val, **how)
    return CODES.get(run.stopped, 0)


@dataclass(frozen=True)
class Outcome:
    """What the weights that were kept are, and how good they are on rows that they were not trained on."""

    epoch: int
    what: str
    val: dict[str, float]
    test: dict[str, float]


def outcome(run: Run, parts: build.Parts, loss: str, early: list[EarlyStopping]) -> Outcome:
    """The weights that were kept, judged."""
    epoch, over = len(run.history), run.steps_into_epoch
    if early and early[0].best_epoch:
        epoch, over, what = early[0].best_epoch, 0, "the lowest validation loss"
    else:
        what = f"and {over} steps" if over else "the last"
    if over and parts.val:  # ended within an epoch: these weights have not been judged yet
        val = evaluate(run.model, parts.val, loss=loss)
    else:
        val = (
            {name[4:]: value for name, value in run.history[epoch - 1].items() if name.startswith("val_")}
            if epoch
            else {}
        )
    return Outcome(epoch, what, val, evaluate(run.model, parts.test, loss=loss) if parts.test else {})


def stopping(settings: Settings) -> list[EarlyStopping]:
    """What ``--early-stopping`` asks for."""
    if settings.early_stopping is None:
        return []
    if settings.val == 0:
        raise ConfigError(
            "nothing is held out to judge by", where="--early-stopping", fix="Hold rows out, for example --val 0.2."
        )
    return [EarlyStopping(settings.early_stopping, monitor="val_loss")]


def rates(settings: Settings, shown: display.Display) -> list[Callback]:
    """What changes the learning rate while it trains, and says so."""
    found: list[Callback] = [Plateau(reduce, tell=shown.say) for reduce in build.plateau(settings)]
    return [*found, Babysit(tell=shown.say)] if settings.babysit else found


def curves(run: Run, directory: Path, name: str) -> str:
    """Draw the learning curves; what to say if that cannot be done."""
    from nnx import plot

    if not run.history:
        return ""
    try:
        plot.curves(run.history, directory / runs.CURVES, title=name)
    except plot.PlotUnavailable as error:
        return f"no {runs.CURVES}. {error.fix}"
    except OSError as error:
        return f"no {runs.CURVES} ({error.strerror or error})"
    return ""


def _beginning(
    settings: Settings, parts: build.Parts, model: Module, directory: Path, said: list[Any], remarks: list[str]
) -> tuple[dict[str, Any], list[str]]:
    whole = parts.whole
    weights = sum(array.size for array in model.parameters().values())
    rows = {"train": len(parts.train), "val": len(parts.val or ()), "test": len(parts.test or ())}
    facts = {
        "data": whole.name, "task": whole.task, "rows": rows, "classes": whole.classes, "seed": settings.seed,
        "model": settings.model, "parameters": weights, "backend": settings.backend, "epochs": settings.epochs,
        "directory": str(directory), "notes": list(whole.notes), "settings": asdict(settings),
        "check": said,
    }  # fmt: skip
    split = [f"{display.counted(rows['train'], 'row')} to train"]
    split += [f"{rows['val']:,} to validate"] if rows["val"] else ["none to validate"]
    split += [f"{rows['test']:,} to test"] if rows["test"] else []
    manner = (
        f"stratified, seed {settings.seed}" if whole.task == "classification" else f"shuffled, seed {settings.seed}"
    )
    notes = (*whole.notes, *deterministic.notes(settings), *_manner(settings), *_short(settings, rows["train"]))
    lines = [
        f"data   {described(whole)}",
        f"split  {', '.join(split)}" + (f" ({manner})" if len(split) > 1 and (rows["val"] or rows["test"]) else ""),
        f"model  {settings.model}, {weights:,} parameters, on {settings.backend}",
        *([f"shared {shared(settings)}"] if settings.distributed else []),
        f"run    {directory}",
        *([f"rate   edit {directory / RATE} to change the learning rate"] if settings.babysit else []),
        *(
            line
            for note in notes
            for line in wrap(f"note   {as_flags(note)}", WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
        ),
        *(f"{CHECK}{remark}" for remark in remarks),
    ]
    return facts, lines


def shared(settings: Settings) -> str:
    """Who does what of a step."""
    (_, count), rows = launched() or (0, 1), settings.batch_size // settings.shards
    norm = ", over which batch norm takes its statistics" if build.batch_norm(settings) else ""
    return f"{settings.shards} shards of about {rows} rows{norm}; {count} process{'es' * (count != 1)}"


def _manner(settings: Settings) -> list[str]:
    """What is otherwise with L-BFGS."""
    if settings.finish is None and not settings.optimizer.strip().startswith("lbfgs"):
        return []
    still = ["no dropout"] if settings.dropout else []
    still += ["fixed batch-norm statistics"] if build.batch_norm(settings) else []
    return ["; ".join(["lbfgs: a step takes all rows", ", ".join(still)]) if still else "lbfgs: a step takes all rows"]


def _short(settings: Settings, rows: int) -> list[str]:
    """What to do where the usual number of epochs is few steps, as it is with few rows."""
    each = batch_count(rows, settings.batch_size)
    steps = settings.epochs * each
    usual = settings.epochs == FIELDS["epochs"].default and not settings.optimizer.strip().startswith("lbfgs")
    if not usual or steps >= ENOUGH:
        return []
    return [f"{steps} steps of training are few: --epochs {-(-2 * ENOUGH // each)} learns more from so few rows"]


def described(data: Dataset) -> str:
    """A data set in a few words."""
    kind = display.counted(data.outputs or 1, "real target") if data.task == "regression" else f"{data.outputs} classes"
    return f"{data.name}: {display.counted(len(data), 'row')}, {features(data.x.shape[1:])}, {kind}"


def features(shape: tuple[int, ...]) -> str:
    """The shape of a row.

    >>> features((1,)), features((28, 28))
    ('1 feature', '28 × 28 features')
    """
    return display.counted(shape[0], "feature") if len(shape) == 1 else f"{' × '.join(map(str, shape))} features"


def ending(
    settings: Settings, parts: build.Parts, run: Run, kept: Outcome, seconds: float, directory: Path, note: str
) -> tuple[dict[str, Any], list[str]]:
    """What came of it: for JSON, and as lines."""
    best = run.best if run.history else None
    facts: dict[str, Any] = {
        "stopped": run.stopped or None, "epochs": len(run.history), "steps": run.step, "kept_epoch": kept.epoch,
        "best_epoch": best and best["epoch"], **{f"val_{name}": value for name, value in kept.val.items()},
        **{f"test_{name}": value for name, value in kept.test.items()},
        "seconds": seconds, "directory": str(directory),
    }  # fmt: skip
    metric = display.spoken(run.metric)
    epochs = f"{len(run.history)} epoch{'s' * (len(run.history) != 1)}"
    why = {"interrupted": ", ended by ^C", "terminated": ", ended by SIGTERM", "a callback ended it": ", stopped early"}
    lines = [
        "",
        f"trained   {settings.model} on {parts.whole.name} for {epochs} in {seconds:.1f} s{why.get(run.stopped, '')}",
        *([f"ended     {run.stopped}"] if run.stopped and run.stopped not in why else []),
        f"kept      the weights of epoch {kept.epoch}, {kept.what}",
    ]
    if best is not None:
        lines.append(
            f"best      epoch {best['epoch']}: {display.spoken(run.monitor)} {display.number(best[run.monitor])}"
        )
    if parts.val and kept.val:
        used = "which chose the epoch, none trained on" if settings.early_stopping else "none of them trained on"
        rows = f"{display.counted(len(parts.val), 'row')}, {used} (seed {settings.seed})"
        lines.append(f"held out  {metric} {display.number(kept.val[run.metric])} on {rows}")
    if parts.test and kept.test:
        value = display.number(kept.test[run.metric])
        lines.append(f"test      {metric} {value} on {display.counted(len(parts.test), 'row')}, looked at only now")
    there = [name for name in runs.FILES if (directory / name).exists()]
    files = [", ".join(part) for part in (there[:4], there[4:]) if part]
    lines += [f"run       {directory}", *(f"          {line}" for line in (*files, note) if line)]
    lines += [
        f"{label:<9} nnx {verb}"
        for label, verb in zip(
            ("next", "", "", "", ""), _next(directory, bool(parts.val or parts.test), run.stopped in CODES)
        )
    ]
    return facts, lines


def _next(directory: Path, held_out: bool, cut: bool) -> list[str]:
    run = config.word(directory)
    return [
        *([f"resume {run}"] if cut and (directory / CHECKPOINTS).is_dir() else []),
        f"evaluate {run}" + ("" if held_out else " DATA"),
        f"predict {run} NEW_DATA -o predictions.csv",
        f"plot {run} surface",
        f"train --config {config.word(directory / runs.CONFIG)}",
    ]
