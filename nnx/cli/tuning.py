"""A search from the command line, from its settings to its report. ``tune.py`` has the verb, ``program.py`` what one trial is."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from nnx.cli import build, config, hyper, runs, trials
from nnx.cli.config import Settings
from nnx.cli.display import counted, number, spoken
from nnx.cli.program import Program, of_kept
from nnx.cli.train import CODES, described
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError
from nnx.plot import PlotUnavailable
from nnx.plot import search as pictures
from nnx.train.evaluation import METRIC
from nnx.tune import begin
from nnx.tune.extra import quiet
from nnx.tune.search import Search, look
from nnx.tune.storage import FILE, check_heartbeat, close, connect, lite_file, names, redacted, url_of
from nnx.tune.study import Plan, Study


class How(NamedTuple):
    """The flags of the search itself."""

    trials: int | None
    sampler: str
    stages: str
    pruner: str
    monitor: str | None
    jobs: int
    storage: str | None
    study: str | None
    heartbeat: int


def new(settings: Settings, file: str | None, how: How, count: int) -> int:
    """Begin a search."""
    given, where = hyper.read(file) if file else (None, "space.{}".format)
    if settings.val == 0:
        raise ConfigError("nothing is held out to judge by", where="--val", fix="Hold rows out, for example --val 0.2.")
    program = Program(settings)
    parts = build.parts(program.whole, settings)
    space = given or hyper.default(settings, count)
    whole = parts.whole
    begin_space(space, settings, where)
    hyper.check(space, settings, whole, where)
    hyper._settable(settings, "", None, whole)
    monitor = monitored(how.monitor, whole.task or "regression")
    pruner = None if how.pruner == "none" else how.pruner
    plan = Plan(
        space, hyper.kinds(settings, space), monitor, count, how.sampler, begin.stages_of(stages(how.stages)), pruner,
        settings.seed, how.jobs, first={}, program=program.kept(),
    ).check()  # fmt: skip
    check_heartbeat(how.heartbeat)
    taken = [] if how.storage is None else searches(how)
    head = "A search of nnx. Again: nnx tune --config THIS_FILE"
    text = f"{config.written(build.located(settings), head)}\n{hyper.written(space)}"
    directory = runs.create(whole.name.split(".")[0] or "search", settings.out, text, runs.SEARCHES)
    named = how.study or (directory.name if how.storage is None else free(taken, directory.name))
    try:
        kept = {"storage": how.storage and redacted(how.storage), "study": named}
        (directory / runs.SEARCH).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        study = begin.opened(plan, url_of(how.storage, directory), named, how.heartbeat)
    except BaseException:
        runs.discard(directory)
        raise
    shown = trials.Lines(settings.json)
    try:
        shown.begin(*beginning(settings, parts, space, count, how, monitor, directory, named))
        found = begin.go(study, program, how.jobs, how.heartbeat, directory, shown.tell)
    finally:
        close(study.storage)
    return report(found, settings, directory, shown, how)


def monitored(given: str | None, task: str) -> str:
    """What is judged: the metric of the task on the validation rows, if it is not said."""
    known = ["val_loss", "val_accuracy"] if task == "classification" else ["val_loss", "val_r2", "val_mae"]
    if given is None:
        return f"val_{METRIC[task]}"
    if given not in known:
        raise ConfigError(
            expected=f"{', '.join(known[:-1])} or {known[-1]}",
            got=repr(given),
            where="--monitor",
            fix=did_you_mean(given, known),
        )
    return given


def begin_space(space: Any, settings: Settings, where: Any) -> None:
    """Read it once for its errors, with the places in the file."""
    from nnx.tune.space import Space

    known = {"int": int, "float": float}
    kinds = {name: known[kind] for name, kind in hyper.kinds(settings, space).items() if kind in known}
    Space(space, kinds, where)


def join(directory: Path | None, source: str | None, how: How, worker: bool, as_json: bool) -> int:
    """Continue a search, or with ``worker`` only help with it."""
    url, name = how.storage, how.study
    if directory is not None:
        kept = json.loads((directory / runs.SEARCH).read_text(encoding="utf-8"))
        url = url or kept["storage"] or url_of(None, directory)
        name = name or kept["study"]
    elif source is not None:
        raise ConfigError(
            expected="the directory of a search", got=repr(source), where="SOURCE", fix="Or give --storage."
        )
    if url is None:
        raise ConfigError(
            "a worker must know which search to help with",
            where="--storage",
            fix="Give its directory, or --storage URL --study NAME.",
        )
    if (file := lite_file(url)) is not None and not file.exists():
        raise ConfigError(
            expected="the file of a search", got="none there", where=redacted(url), fix="Begin one: nnx tune digits."
        )
    study = begin.joined(url, name, how.heartbeat)
    try:
        return help_with(study, directory, how, worker, as_json)
    finally:
        close(study.storage)


def help_with(study: Study, directory: Path | None, how: How, worker: bool, as_json: bool) -> int:
    """Work on a search that is there."""
    program = of_kept(study.plan.program)
    if how.trials is not None:
        more(study, how.trials)
    shown = trials.Lines(as_json)
    known = look(study, judge=False)
    done = len(known.of("done", "pruned", "failed"))
    facts = {"study": study.name, "storage": known.storage, "trials": len(known.rows), "done": done, "worker": worker}
    shown.begin(
        facts, [f"search {study.name} in {known.storage}", f"       {done} of {len(known.rows)} trials done"], known
    )
    place = None if worker else directory
    found = begin.go(study, program, how.jobs, how.heartbeat, place, shown.tell)
    if worker or place is None:
        lines = ["", f"nothing is left to do for {study.name}" if not found.stopped else "ended; its trial is put back"]
        shown.say({"event": "end", **trials.facts(found, [])}, lines)
        return CODES.get(found.stopped, 0)
    return report(found, program.settings, place, shown, how)


def more(study: Study, count: int) -> None:
    """More trials than were planned; never fewer."""
    if count < study.plan.trials:
        raise ConfigError(
            expected=f"{study.plan.trials} trials or more, as were begun with",
            got=str(count),
            where="--trials",
            fix="Give more, or leave it away.",
        )
    with quiet():
        study.extend(count)


def stages(text: str) -> int | str:
    """A number, or the word."""
    if text == "coarse-to-fine":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(
            expected="coarse-to-fine, or a number of stages",
            got=repr(text),
            where="--stages",
            fix="Write for example --stages 2.",
        )
    return int(text)


def searches(how: How) -> list[str]:
    """The names of the searches in a shared database."""
    store = connect(url_of(how.storage, None), how.heartbeat)
    try:
        return names(store)
    finally:
        close(store)


def free(taken: list[str], wanted: str) -> str:
    """A name that no search in a shared database has."""
    stem = wanted.rpartition("-")[0] or wanted
    number = 1
    while (name := f"{stem}-{number:03d}") in taken:
        number += 1
    return name


def beginning(
    settings: Settings, parts: build.Parts, space: Any, count: int, how: How, monitor: str, directory: Path, study: str
) -> tuple[dict[str, Any], list[str]]:
    """What will be searched."""
    whole = parts.whole
    facts = {
        "data": whole.name, "task": whole.task, "rows": {"train": len(parts.train), "val": len(parts.val or ())},
        "trials": count, "sampler": how.sampler, "stages": how.stages, "pruner": how.pruner, "jobs": how.jobs,
        "monitor": monitor, "space": space, "directory": str(directory), "study": study, "seed": settings.seed,
    }  # fmt: skip
    rows = f"{counted(len(parts.train), 'row')} to train, {len(parts.val or ()):,} to validate"
    manner = [f"{count} trials", how.sampler]
    manner += [how.stages if how.stages == "coarse-to-fine" else f"{how.stages} stages"] if how.stages != "1" else []
    manner += [how.pruner] if how.pruner != "none" else []
    manner += [f"{how.jobs} processes"] if how.jobs > 1 else []
    lines = [
        f"data   {described(whole)}",
        f"split  {rows} (seed {settings.seed})",
        f"search {', '.join(manner)}; {settings.epochs} epochs each, in {directory}",
        *(
            f"{'space' if at == 0 else '':<6} {trials.described(name, row)}"
            for at, (name, row) in enumerate(space.items())
        ),
    ]
    if how.storage is not None:
        lines += [
            f"help   nnx tune --worker --storage {config.word(redacted(how.storage))} --study {config.word(study)}"
        ]
    return facts, [*lines, "", trials.heads(monitor)]


def report(found: Search, settings: Settings, directory: Path, shown: trials.Lines, how: How) -> int:
    """The table, the best configuration, the pictures and what to do next."""
    if not found.of("done") and found.stopped:
        shown.say(
            {"event": "end", **trials.facts(found, [])},
            ["", f"ended before a trial was done. Continue: nnx tune {config.word(directory)}"],
        )
        return CODES.get(found.stopped, 0)
    best = found.best
    edges = [as_written(text) for text in found.edges(hyper.allowed(settings))]
    head = f"Trial {best.trial} of a search of nnx: {found.monitor} {best.score} in epoch {best.epoch}. Again: nnx train --config THIS_FILE"
    text = config.written(build.located(hyper.applied(settings, best.params)), head)
    (directory / runs.BEST).write_text(text, encoding="utf-8")
    note = draw(found, directory)
    facts = {
        "event": "end",
        **trials.facts(found, edges),
        "directory": str(directory),
        "config": str(directory / runs.BEST),
    }
    shown.say(facts, ending(found, edges, directory, note))
    return CODES.get(found.stopped, 0)


def as_written(text: str) -> str:
    """A sentence that begins with a name, with the name as flags and files have it.

    >>> as_written("batch_size = 16 is the least choice.")
    'batch-size = 16 is the least choice.'
    """
    name, space, rest = text.partition(" ")
    return config.flag(name)[2:] + space + rest


def ending(found: Search, edges: list[str], directory: Path, note: str) -> list[str]:
    """The report as text."""
    best, first = found.best, found.first
    metric = spoken(found.monitor)
    counts = [f"{len(found.of('done'))} done"]
    counts += [
        f"{len(found.of(state))} {state}" for state in ("pruned", "failed", "running", "waiting") if found.of(state)
    ]
    which = "the settings as given" if best.trial == "first" else f"trial {best.trial}"
    lines = ["", *trials.table(found), ""]
    lines += trials.wrapped("best", [f"{which}: {metric} {number(best.score)} in epoch {best.epoch}"])
    if first is not None and first.score is not None and best.trial != "first":
        lines += trials.wrapped("given", [f"{metric} {number(first.score)} with the settings as given"])
    if found.importances:
        shares = ", ".join(f"{config.flag(name)[2:]} {share:.0%}" for name, share in found.importances.items())
        lines += trials.wrapped("matters", [f"for being in the best quarter: {shares}"])
    lines += trials.wrapped("edge", edges) if edges else []
    reasons = [row.reason for row in found.of("failed")]
    lines += trials.wrapped("failed", [f"{len(reasons)} trials, the first: {reasons[0]}"]) if reasons else []
    files = [name for name in ALL if (directory / name).exists()]
    lines += trials.wrapped("search", [f"{directory}: {', '.join(counts)}", ", ".join(files)])
    lines += trials.wrapped("", [note]) if note else []
    more_trials = 2 * found.trials
    again = f"nnx tune {config.word(directory)}" + ("" if found.stopped else f" --trials {more_trials}")
    if found.stopped:
        lines += [f"ended     before its last trial ({found.stopped}). Continue:", f"          {again}"]
        again = ""
    lines += [f"next      nnx train --config {config.word(directory / runs.BEST)}"] + (
        [f"          {again}"] if again else []
    )
    return lines


ALL = (
    runs.SEARCH,
    FILE,
    runs.CONFIG,
    runs.BEST,
    "trials.csv",
    "curves.csv",
    "importances.csv",
    "curves.png",
    "importances.png",
)


def draw(found: Search, directory: Path) -> str:
    """Both pictures; what to say where they cannot be drawn."""
    try:
        curves = {str(row.trial): row.curve for row in found.rows if row.curve}
        best = str(found.best.trial)
        pictures.trials(curves, directory / "curves.png", name=found.monitor, best=best, maximise=found.maximise)
        if found.importances:
            pictures.importances(found.importances, directory / "importances.png")
        else:
            with suppress(FileNotFoundError):
                (directory / "importances.png").unlink()
            return "no importances: they take ten trials that were done, and two ranges"
    except PlotUnavailable as error:
        return f"no pictures. {error.fix}"
    return ""
