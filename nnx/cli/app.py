"""The verbs, their flags, and how every mistake ends in one line and a code.

Exit codes: 0 done, 1 error, 2 wrong usage, configuration or data, 3 a check of the doctor failed, 4 diverged, 130 ended
by ^C, 141 nobody reads the output, 143 ended by SIGTERM.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from inspect import Parameter, Signature
from typing import Annotated, Any, get_args

from nnx.cli import deterministic, display
from nnx.cli.config import FIELDS, KINDS
from nnx.cli.misuse import misused, one_line, shown
from nnx.errors import (
    BackendUnavailable,
    ConfigError,
    DataError,
    DivergedError,
    DtypeError,
    NnxError,
    OutOfMemoryError,
    ShapeError,
    StateError,
)
from nnx.train.sharing.group import Elsewhere
from nnx.train.sharing.joining import group_of

USAGE = (ConfigError, DataError, ShapeError, DtypeError, StateError, BackendUnavailable)

VERBS = (
    "train",
    "resume",
    "evaluate",
    "predict",
    "summary",
    "doctor",
    "lr-find",
    "gradcheck",
    "parity",
    "plot",
    "tune",
    "export",
    "backends",
    "completion",
)


def run(argv: Sequence[str] | None = None) -> int:
    """Parse and run a command line; the exit code."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        deterministic.whole_process()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NNX_DEBUG") == "1":
        return _called(tokens)
    try:
        return _called(tokens)
    except Elsewhere:
        return _fail(0, "", own=False)
    except DivergedError as error:
        return _fail(4, str(error))
    except USAGE as error:
        return _fail(2, shown(error, tokens[0] if tokens else ""))
    except BrokenPipeError:
        display.silence(sys.stdout)
        return 141
    except KeyboardInterrupt:
        return _fail(130, "interrupted")
    except OutOfMemoryError as error:
        return _fail(1, shown(error))
    except MemoryError:
        return _fail(1, "out of memory. Use a smaller --batch-size or --model, or free memory.")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"{place}{error.strerror or error}")
    except NnxError as error:
        return _fail(1, str(error))
    except Exception as error:
        return _fail(
            1, f"a mistake in nnx: {type(error).__name__}: {error}. NNX_DEBUG=1 shows where; please report it."
        )


def _called(tokens: list[str]) -> int:
    import cyclopts

    try:
        command, bound, *_ = _app().parse_args(tokens, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        raise misused(error, tokens, VERBS) from error
    with warnings.catch_warnings():
        warnings.showwarning = _told(warnings.showwarning)
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # overflow and the like: a loss that is no number is told as such
        answer = command(*bound.args, **bound.kwargs)
    sys.stdout.flush()  # here, where a full disk or a closed pipe is still an error to tell
    return answer if isinstance(answer, int) else 0


def _told(others: Callable[..., None]) -> Callable[..., None]:
    """Warnings of nnx as a line; those of other libraries as Python shows them."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if category.__module__.startswith("nnx."):
            print(f"nnx: {one_line(str(message))}", file=sys.stderr)
        else:
            others(message, category, *rest, **more)

    return show


def _fail(code: int, message: str, own: bool = True) -> int:
    group = group_of(sys.argv)
    if group.fail(own):
        print(f"nnx: {'' if group.first else f'process {group.rank}: '}{one_line(message)}", file=sys.stderr)
    group.end(code)
    return code


# The app --------------------------------------------------------------------------------------------------------------
def _app() -> Any:
    from cyclopts import App

    from nnx.cli.backends import backends
    from nnx.cli.completion import completion
    from nnx.cli.doctor import doctor
    from nnx.cli.evaluate import evaluate
    from nnx.cli.export import export
    from nnx.cli.gradcheck import gradcheck
    from nnx.cli.lr_find import lr_find
    from nnx.cli.parity import parity
    from nnx.cli.plot import plot_run
    from nnx.cli.predict import predict
    from nnx.cli.resume import resume
    from nnx.cli.summary import summary
    from nnx.cli.train import train
    from nnx.cli.tune import FLAGS, tune

    app = App(
        name="nnx",
        help="Train neural networks on any array library. Begin with: nnx train digits\n\nnnx COMMAND --help has examples.",
        version=version("nnx-array"),
        help_format="plaintext",
    )
    verbs = {
        "train": _with_settings(train),
        "resume": _documented(resume, run=RESUMED, backend=BACKEND | {"help": OTHER}, lr=OTHER_RATE, json=JSON),
        "evaluate": _documented(evaluate, run=RUN, data=DATA, backend=BACKEND, batch_size=BATCH, json=JSON),
        "predict": _documented(predict, run=RUN, data=DATA, out=OUT, backend=BACKEND, batch_size=BATCH, force=FORCE),
        "summary": _documented(summary, run=RUN, backend=BACKEND, batch_size=STEP_ROWS, optimizer=STEP_OPTIMIZER),
        "doctor": _with_settings(doctor, leave=("out", "check", "record", "babysit", "checkpoint_every"), check=CHECK),
        "lr-find": _with_settings(
            lr_find,
            leave=("out", "check", "record", "babysit", "checkpoint_every"),
            out=PICTURE_FILE | {"help": LR_PICTURE},
            force=FORCE,
        ),
        "gradcheck": _with_settings(
            gradcheck, leave=("out", "check", "record", "babysit", "checkpoint_every"), **GRADCHECK
        ),
        "parity": _with_settings(
            parity, leave=("backend", "out", "check", "record", "babysit", "checkpoint_every"), **PARITY
        ),
        "plot": _documented(
            plot_run, run=RUN, picture=PICTURE, data=DATA, out=PICTURE_FILE, backend=BACKEND, force=FORCE, **PLOT
        ),
        "tune": _with_settings(
            tune, leave=("check", "record", "babysit", "checkpoint_every"), out={"help": SEARCH}, **FLAGS
        ),
        "export": _documented(export, run=RUN, file=ONNX_FILE, check=CHECKED, force=FORCE),
        "backends": _documented(backends, json=JSON),
        "completion": _documented(completion, shell={"help": "Whose."}, install=INSTALL),
    }
    for place, (name, verb) in enumerate(verbs.items()):
        app.command(verb, name=name, sort_key=place)
    return app


RUN = {"help": "A run directory, such as runs/digits-001, or a model file."}
RESUMED = {"help": "The directory of a run that was interrupted."}
OTHER = "Where it goes on, if not where it was."
OTHER_RATE = {"help": "Another learning rate, or where its schedule begins; by default as it was."}
DATA = {"help": "digits, or a file or folder like the one it was trained on."}
BACKEND = {"help": "numpy, cupy, torch, jax or strict, perhaps with a device: cupy:0."}
BATCH = {"help": "Rows computed together.", "converter": lambda kind, given: _whole(kind, given)}
STEP_ROWS = BATCH | {"help": "Rows in one step; by default those of the run."}
STEP_OPTIMIZER = {"help": "adam, sgd, lbfgs, …; by default that of the run."}
JSON = {"help": "JSON instead of text.", "negative": ()}
SEARCH = "Directory of the search; by default tunes/NAME-NNN, the next free number."
OUT = {"name": ("--out", "-o"), "help": "The CSV file to write; - is standard output.", "allow_leading_hyphen": True}
LR_PICTURE = "A name that ends in .png, .svg or .pdf; by default lr-find/NAME-NNN.png, the next free number."
FORCE = {"help": "Overwrite the file.", "negative": ()}
ONNX_FILE = {"help": "The file to write, such as model.onnx."}
CHECKED = {"help": "Compare the file with the model, where onnxruntime is installed."}
PICTURE = {"help": "Which picture."}
PICTURE_FILE = {
    "name": ("--out", "-o"),
    "help": "A name that ends in .png, .svg or .pdf; by default PICTURE.png in the run.",
}
PLOT: dict[str, dict[str, Any]] = {
    "csv": {"help": "Write the numbers beside it, too.", "negative": ()},
    "rows": {"help": "Rows to take, at most.", "converter": lambda kind, given: _whole(kind, given)},
    "points": {"help": "Points along each side.", "converter": lambda kind, given: _whole(kind, given)},
    "extent": {"help": "How far to go from the weights; 1 is their own length."},
    "dimensions": {"help": "1 for lines, 2 for a plane.", "converter": lambda kind, given: _whole(kind, given)},
    "solid": {"help": "The plane as a hill, too.", "negative": ()},
    "seed": {"help": "Seed of the directions, or of dropout.", "converter": lambda kind, given: _whole(kind, given)},
}


def _documented(function: Callable[..., int], **about: dict[str, Any]) -> Callable[..., int]:
    """The function, with what each of its parameters says in the help."""
    from cyclopts import Parameter as Option

    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=Annotated[p.annotation, Option(**about[name])]) for name, p in signature.parameters.items()
    ]
    return _with(function, signature.replace(parameters=parameters))


GRADCHECK: dict[str, dict[str, Any]] = {
    "rows": {
        "help": "Training rows that the loss is taken over.",
        "converter": lambda kind, given: _whole(kind, given),
    },
    "entries": {"help": "Entries of each parameter.", "converter": lambda kind, given: _whole(kind, given)},
    "method": {"help": "centred, one-sided or richardson differences."},
}
PARITY: dict[str, dict[str, Any]] = {
    "backends": {"help": "Two or more, the reference first, with commas: numpy,cupy."},
    "steps": {"help": "Steps of training to compare.", "converter": lambda kind, given: _whole(kind, given)},
}
INSTALL = {"help": "Put the script where the shell finds it.", "negative": ()}
CHECK = {"help": "quick or full: without or with short trainings."}


def _with_settings(
    function: Callable[..., int], leave: tuple[str, ...] = (), **more: dict[str, Any]
) -> Callable[..., int]:
    """The verb with a flag for every setting but some; only those that were given reach it. ``more`` are flags of its
    own, or what a setting is for this verb.
    """
    from cyclopts import Group
    from cyclopts import Parameter as Option

    leave = leave if function.__name__ == "train" else (*leave, "distributed", "shards")
    leave = leave if function.__name__ in ("train", "tune") else (*leave, "deterministic")
    order = Group.create_ordered
    groups = {name: order(name) for name in dict.fromkeys(f.metadata["group"] for f in FIELDS.values())}
    parameters = []
    for name, f in FIELDS.items():
        if name in leave:
            continue
        group = groups[f.metadata["group"]]
        options: dict[str, Any] = {"help": f.metadata["help"], "group": group, **more.pop(name, {})}
        if name in ("json", "drop", "categorical"):
            options["negative"] = ()
        if int in (KINDS[name], *get_args(KINDS[name])):
            options["converter"] = _whole
        kind: Any = Parameter.POSITIONAL_ONLY if name == "source" else Parameter.KEYWORD_ONLY
        parameters.append(
            Parameter(name, kind, default=f.default, annotation=Annotated[KINDS[name], Option(**options)])
        )
    option = Option(
        name="--config", help="TOML file with settings under the names of these flags.", group=groups["Output"]
    )
    parameters.append(
        Parameter("config_file", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
    )
    for name, about in more.items():
        given = inspect.signature(function).parameters[name]
        own = Option(**{"group": groups["Output"], **about})
        kind = Annotated[given.annotation, own]
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=given.default, annotation=kind))
    return _with(function, Signature(parameters))


def _with(function: Callable[..., int], signature: Signature) -> Callable[..., int]:
    def verb(*args: Any, **kwargs: Any) -> int:
        return function(*args, **kwargs)

    verb.__name__, verb.__doc__ = function.__name__, _help(function.__doc__ or "")
    verb.__signature__ = signature  # type: ignore[attr-defined]
    return verb


def _help(text: str) -> str:
    """A docstring as help: prose that the terminal may wrap, then the examples, a line each under a title that is left as it is."""
    prose, _, examples = inspect.cleandoc(text).partition("Examples:")
    paragraphs = [" ".join(paragraph.split()) for paragraph in prose.strip().split("\n\n")]
    lines = [f"  {line.strip()}" for line in examples.splitlines() if line.strip()]
    return "\n\n".join([*paragraphs, "\n".join(["For example", *lines])])


def _whole(kind: Any, given: Sequence[Any]) -> int:
    """A whole number; the parser alone would round 2.5."""
    text = given[0].value if hasattr(given[0], "value") else str(given[0])
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'"{text}" is no whole number') from None
