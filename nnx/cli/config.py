"""Settings of a training: what can be set, by a flag or by the same name in a TOML file. One table says it all."""

import math
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError
from nnx.losses import LOSSES
from nnx.models import ACTIVATIONS

_SIZE = 1 << 20  # bytes of a TOML file
_DEPTH = 32  # dots of one key: the parser takes the square of their number
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DOTTED = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")
_TOML = 'Write lines such as epochs = 30 or model = "mlp:128,64".'


class Check(NamedTuple):
    """What a value must be."""

    holds: Callable[[Any], bool]
    expected: str


def _one_of(*words: str) -> Check:
    return Check(lambda value: value in words, ", ".join(words[:-1]) + " or " + words[-1])


def _setting(default: Any, group: str, text: str, check: Check | None = None) -> Any:
    return field(default=default, metadata={"group": group, "help": text, "check": check})


_COUNT = Check(lambda n: n >= 1, "a whole number ≥ 1")
_SHARE = Check(lambda p: 0 <= p < 1, "a share of the rows, 0 ≤ share < 1")
_CHANCE = Check(lambda p: 0 <= p < 1, "a probability, 0 ≤ p < 1")
_ABOVE = Check(lambda x: 0 < x < math.inf, "a number > 0")
_NOT_BELOW = Check(lambda x: 0 <= x < math.inf, "a number ≥ 0")
_SEED = Check(lambda n: 0 <= n < 2**63, "a whole number 0 ≤ seed < 2^63")
DATA, MODEL, TRAINING, OUTPUT = "Data", "Model", "Training", "Output"


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults."""

    source: str | None = _setting(
        None,
        DATA,
        "digits, a .csv, .tsv, .parquet, .npz or .npy file, an IDX images file, or a folder with MNIST's files.",
    )
    target: str | None = _setting(
        None, DATA, "Column (or key of an NPZ file) to predict; in a table by default the last."
    )
    task: str = _setting(
        "auto", DATA, "auto, classification or regression.", _one_of("auto", "classification", "regression")
    )
    drop: list[str] | None = _setting(None, DATA, "Column to leave out, such as an identifier; may be repeated.")  # noqa: RUF009
    categorical: list[str] | None = _setting(None, DATA, "Column of numbers that are names; may be repeated.")  # noqa: RUF009
    header: bool | None = _setting(
        None, DATA, "Whether the first row of a table has the names; by default it is judged."
    )
    inputs: str | None = _setting(None, DATA, "Key of the inputs in an NPZ file, if it is not x or X.")
    val: float = _setting(0.2, DATA, "Share of the rows held out to validate; 0 for none.", _SHARE)
    test: float = _setting(0.0, DATA, "Share of the rows looked at only once, at the end.", _SHARE)
    model: str = _setting(
        "mlp:128,64",
        MODEL,
        "linear, mlp with the widths of its hidden layers, cnn with its channels (cnn:16,32), or transformer with its width and blocks (transformer:32,2).",
    )
    activation: str = _setting("relu", MODEL, f"{', '.join(ACTIVATIONS)}.", _one_of(*ACTIVATIONS))
    dropout: float = _setting(0.2, MODEL, "Probability of dropping a hidden value in training.", _CHANCE)
    batch_norm: bool = _setting(
        True, MODEL, "Batch normalisation before each activation; not for a transformer, which normalises by layer."
    )
    standardize: bool = _setting(True, MODEL, "Standardise inputs (and real targets) as fitted on the training rows.")
    backend: str = _setting("numpy", TRAINING, "numpy, cupy, torch, jax or strict, perhaps with a device: cupy:0.")
    epochs: int = _setting(30, TRAINING, "Passes over the training rows; for lbfgs, iterations.", _COUNT)
    batch_size: int = _setting(64, TRAINING, "Rows in one step.", _COUNT)
    optimizer: str = _setting(
        "adam", TRAINING, "adam, adamw, sgd, lbfgs, …; with settings: sgd:momentum=0.9,nesterov=true."
    )
    lr: float = _setting(3e-3, TRAINING, "Learning rate, or where its schedule begins.", _ABOVE)
    schedule: str = _setting(
        "cosine", TRAINING, "constant, cosine, step:every=20,factor=0.1, plateau:patience=5, …; lengths in epochs."
    )
    finish: str | None = _setting(
        None, TRAINING, "lbfgs, perhaps with settings, to take over when the epochs are over."
    )
    finish_epochs: int = _setting(20, TRAINING, "Iterations that it may take.", _COUNT)
    loss: str | None = _setting(
        None,
        TRAINING,
        "cross_entropy or hinge; for real targets, standardised, mse, l1 or huber. By default the first.",
        _one_of(*LOSSES),
    )
    l2: float = _setting(0.0, TRAINING, "Strength λ of the penalty ½ λ Σ w².", _NOT_BELOW)
    l1: float = _setting(0.0, TRAINING, "Strength λ of the penalty λ Σ |w|.", _NOT_BELOW)
    clip_norm: float | None = _setting(None, TRAINING, "Largest norm of all gradients together.", _ABOVE)
    early_stopping: int | None = _setting(
        None, TRAINING, "End after so many epochs without a lower validation loss, and take the best.", _COUNT
    )
    seed: int = _setting(0, TRAINING, "Seed of split, weights, order and dropout.", _SEED)
    deterministic: bool = _setting(
        False,
        TRAINING,
        "The same bits whatever the machine's settings: one thread and fixed kernels, chosen before NumPy loads.",
    )
    out: str | None = _setting(None, OUTPUT, "Directory of the run; by default runs/NAME-NNN, the next free number.")
    check: str = _setting(
        "quick",
        OUTPUT,
        "What the doctor looks at first: quick, full (with short trainings, seconds) or off.",
        _one_of("quick", "full", "off"),
    )
    record: bool = _setting(
        True, OUTPUT, "Keep statistics and up to 20 copies of the weights (64 MiB at most) for nnx plot."
    )
    checkpoint_every: int | None = _setting(
        None, OUTPUT, "Steps from one checkpoint to the next; by default one a minute and one after ^C.", _COUNT
    )
    babysit: bool = _setting(
        False, OUTPUT, "Keep a file with the learning rate in the run, to be edited while it trains."
    )
    distributed: bool = _setting(
        False,
        OUTPUT,
        "Share each step with the processes that mpiexec has started; their number does not change the bits.",
    )
    shards: int = _setting(
        8, OUTPUT, "Parts of a batch that they share and sum in a fixed order: as many processes at most.", _COUNT
    )
    json: bool = _setting(False, OUTPUT, "One JSON object a line on standard output, and nothing else.")


KINDS: dict[str, Any] = get_type_hints(Settings)
FIELDS = {f.name: f for f in fields(Settings)}
NOT_KEPT = ("out", "json")
"""What belongs to one call and not to the run."""
APART = ("space",)
"""Tables of a file that are not settings: ``nnx tune`` reads them, the other verbs pass them over."""


def flag(name: str) -> str:
    """A setting as a flag.

    >>> flag("batch_size")
    '--batch-size'
    """
    return "--" + name.replace("_", "-")


def word(text: Any) -> str:
    """A path or a name as one word of a command line.

    >>> print(word("runs/动物-001"), word("my runs/digits-001"))
    runs/动物-001 'my runs/digits-001'
    """
    return str(text) if _PLAIN.fullmatch(str(text)) else shlex.quote(str(text))


_PLAIN = re.compile(rf"[\w@%+=:,./{re.escape(os.sep)}-]+")

_EXAMPLES = {
    "source": "digits", "target": "price", "drop": "id", "categorical": "zip", "inputs": "x", "test": "0.1", "finish": "lbfgs",
    "loss": "cross_entropy", "l2": "1e-4", "l1": "1e-4", "clip_norm": "1.0", "early_stopping": "10", "out": "runs/mine",
    "checkpoint_every": "100",
}  # fmt: skip
"""What may be written where the default says nothing."""


def example(name: str) -> str:
    """A value that a setting may have.

    >>> example("epochs"), example("clip_norm")
    ('30', '1.0')
    """
    return _EXAMPLES.get(name) or str(FIELDS[name].default).lower()


def _line_of(name: str, as_flag: bool) -> str:
    """The setting as it is written: as a flag, or in a file."""
    key, value = name.replace("_", "-"), example(name)
    if as_flag:
        return f"--{key} {value}"
    return f'{key} = "{value}"' if str in (KINDS[name], *get_args(KINDS[name])) else f"{key} = {value}"


def merged(flags: Mapping[str, Any], file: str | None) -> Settings:
    """The settings of a file, where there is one, and the flags, which win. ``ConfigError`` says which flag or line is wrong."""
    values = {} if file is None else read(Path(file))
    places = {name: f"{file} (line {line}), {name.replace('_', '-')}" for name, (_, line) in values.items()}
    chosen = {name: value for name, (value, _) in values.items()} | dict(flags)
    places |= {name: "SOURCE" if name == "source" else flag(name) for name in flags}
    for name, value in chosen.items():
        check: Check | None = FIELDS[name].metadata["check"]
        if check is not None and not check.holds(value):
            near = (
                did_you_mean(value, check.expected.replace(" or ", ", ").split(", ")) if isinstance(value, str) else ""
            )
            raise ConfigError(
                expected=check.expected,
                got=repr(value),
                where=places[name],
                fix=near if near[:3] == "Did" else f"Write for example {_line_of(name, name in flags)}.",
            )
    settings = Settings(**chosen)
    if flags.get("batch_norm") and settings.model.partition(":")[0].strip() == "transformer":
        raise ConfigError(
            expected="no batch norm for a transformer, which normalises by layer",
            got=repr(settings.model),
            where="--batch-norm",
            fix="Leave it away, or take another --model, such as cnn:16,32.",
        )
    return settings


def read(path: Path) -> dict[str, tuple[Any, int]]:
    """The value and the line of every key of a TOML file; keys are the flags' names, with dashes or underscores."""
    try:
        if path.stat().st_size > _SIZE:
            raise ConfigError(
                expected="a configuration file", got=f"more than {_SIZE} bytes", where=str(path), fix=_TOML
            )
        text = path.read_text(encoding="utf-8-sig")
        if any(dotted.group().count(".") > _DEPTH for dotted in _DOTTED.finditer(text)):
            raise RecursionError
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read ({error.strerror or error})", where=str(path), fix="Give a TOML file."
        ) from None
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # also a number of more than 4300 digits
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(f"not a TOML file: {what}", where=str(path), fix=_TOML) from None
    found: dict[str, tuple[Any, int]] = {}
    for key, value in table.items():
        if key in APART and isinstance(value, dict):
            continue
        name, line = key.replace("-", "_"), _line(text, key)
        where = f"{path} (line {line})"
        if name not in FIELDS:
            known = [known.replace("_", "-") for known in FIELDS]
            raise ConfigError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, known))
        if name in found:
            raise ConfigError(f"{key!r} is given twice", where=where, fix="Write it once.")
        found[name] = (_typed(value, KINDS[name], f"{where}, {key}"), line)
    return found


def _line(text: str, key: str) -> int:
    """Where a key stands; TOML itself does not tell."""
    at = re.search(rf"^[ \t]*\[*[\"']?{re.escape(key)}[\"']?[ \t]*[=.\]]", text, re.MULTILINE)
    return text.count("\n", 0, at.end()) + 1 if at else 1


def _typed(value: Any, kind: Any, where: str) -> Any:
    """The value, if it is of the kind; whole numbers are real ones too, truth values are no numbers."""
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ConfigError(expected="a number below 2^63", got="a larger one", where=where, fix="Correct the line.")
    for option in options:
        if get_origin(option) is list:
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return value
        elif option is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        elif type(value) is option:
            return value
    names = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
    expected = next((names[option] for option in options if option in names), 'a list of texts such as ["id"]')
    raise ConfigError(expected=expected, got=_shown(value), where=where, fix="Correct the line.")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {value!r}" if isinstance(value, str) else f"{value!r}"[:60]


def written(settings: Settings, head: str) -> str:
    """The settings as a TOML file that ``--config`` reads, but for those of one call (``out``, ``json``).

    >>> print(written(Settings(source="digits", lr=0.1), "a run").splitlines()[2])
    source = "digits"
    """
    lines = [f"# {line}" for line in head.splitlines()]
    group = ""
    for name, f in FIELDS.items():
        value = getattr(settings, name)
        if value is None or name in NOT_KEPT:
            continue
        if f.metadata["group"] != group:
            group = f.metadata["group"]
            lines.append("")
        lines.append(f"{name.replace('_', '-')} = {toml(value)}")
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """A value as TOML writes it, in one line.

    >>> toml({"low": 0.001, "high": 1, "log": True})
    '{ low = 0.001, high = 1, log = true }'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(c):04x}" if c < " " or c == "\x7f" else "\\" + c if c in '"\\' else c for c in value
        )
        return f'"{escaped}"'
    return repr(value)
