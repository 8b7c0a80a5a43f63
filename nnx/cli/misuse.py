"""What a command line has wrong, said as its writer sees it: by flags, and in one line."""

import re
from ast import literal_eval
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from nnx.cli.config import FIELDS, example, flag, word
from nnx.errors import ConfigError, NnxError

OWN = (
    "trials", "jobs", "sampler", "pruner", "stages", "monitor", "heartbeat", "storage", "study", "rows", "points", "extent",
    "dimensions", "entries", "method", "steps",
)  # fmt: skip
"""Flags of single verbs."""


def one_line(text: str) -> str:
    """A text on one line, without characters that would command a terminal.

    >>> one_line("a\\n  b \\x1b[31m")
    'a b \\\\x1b[31m'
    """
    flat = re.sub(r"\s*\n\s*", " ", text.strip())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in flat)


def shown(error: NnxError, verb: str = "") -> str:
    """An error of the library as the command tells it: its place as a flag, too.

    >>> shown(ConfigError(expected="batch_size a whole number ≥ 1", got="0", where="model", fix="Pass batch_size=64."))
    '--model: expected --batch-size a whole number ≥ 1, got 0. Pass --batch-size 64.'
    """
    where = error.where
    if where == "source":
        error.where = "DATA" if verb in ("evaluate", "predict", "plot") else "SOURCE"
    elif where == "picture":
        error.where = "--out"
    elif where in FIELDS or where in OWN:
        error.where = flag(where)
    elif found := re.fullmatch(r"(optimizer|schedule) '(.*)'", where):
        error.where = f"--{found[1]} {found[2]}"
    text = re.sub(
        r"\bexpected ([a-z_]+)(?= a whole number)",
        lambda m: f"expected {flag(m[1]) if _known(m[1]) else m[1]}",
        str(error),
    )
    return as_flags(text)


def _known(name: str) -> bool:
    return name in FIELDS or name in OWN


def as_flags(text: str) -> str:
    """Advice for Python, as a flag: the same names with dashes.

    >>> print(as_flags("Pass header=False, or drop=['my id'], batch_size=63 or target=\\"y.npy\\". It takes no task=."))
    Pass --no-header, or --drop 'my id', --batch-size 63 or --target y.npy. It takes no --task.
    >>> print(as_flags("Leave it out with drop=['size.cm.'], or drop=['-x']."))
    Leave it out with --drop 'size.cm.', or --drop=-x.
    """

    def flagged(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if not _known(name):
            return found[0]
        if value in ("True", "False"):
            return flag(name) if value == "True" else flag(name).replace("--", "--no-", 1)
        if found[3]:
            with suppress(SyntaxError, ValueError):  # where a long name was cut within an escape
                value = word(literal_eval(found[3]))
                value = f"'{value}'" if value.endswith((".", ",")) else value  # those of the sentence come after it
        between = "=" if value.lstrip("'").startswith("-") else " "
        return f"{flag(name)}{between}{value}".strip()

    return _GIVEN.sub(flagged, text)


_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_GIVEN = re.compile(rf"\b([a-z_0-9]+)=(\[?({_TEXT})\]?|True\b|False\b|\d[\d.e+-]*(?<!\.)|(?=[ ,.]))")
"""An argument of Python: its name, its value, and that as a text if it is one."""


def misused(error: Any, tokens: Sequence[str], verbs: Sequence[str]) -> ConfigError:
    """What the parser says, as one of our errors."""
    verb = next((token for token in tokens if token in verbs), "")
    see = f"See nnx {verb} --help." if verb else "See nnx --help."
    where = verb or "VERB"
    kind, argument = type(error).__name__, error.argument
    token: Any = getattr(error, "token", None)
    name: Any = getattr(token, "keyword", None) or getattr(error, "keyword", None) or getattr(argument, "name", "")
    if kind == "UnknownCommandError" or (kind == "UnknownOptionError" and not verb):
        word = error.unused_tokens[0] if kind == "UnknownCommandError" else name or token.value
        return ConfigError(
            expected=f"a verb: {', '.join(verbs)}", got=repr(word), where="VERB", fix=_near(word, verbs, see)
        )
    if kind == "UnknownOptionError":
        word = (name or token.value).partition("=")[0]
        flags = [one for known in error.argument_collection for one in known.names if one.startswith("--")]
        return ConfigError(expected="one of its flags", got=word, where=where, fix=_near(word, flags, see))
    if kind == "UnusedCliTokensError":
        words = ", ".join(map(repr, error.unused_tokens))
        return ConfigError(expected="no more words", got=words, where=where, fix=f"Quote names with spaces. {see}")
    if kind == "RepeatArgumentError":
        return ConfigError(expected="it once", got="it several times", where=name, fix=f"Write {name} once.")
    if kind == "MissingArgumentError":
        return ConfigError(expected="a value", got="none", where=name, fix=_example(name, see))
    if kind == "CoercionError" and token is not None:
        wanted = {float: "a number", int: "a whole number"}.get(
            _plain(error.target_type) or _plain(getattr(argument, "hint", None))
        )
        choices = getattr(error.target_type, "__args__", ())
        if choices and all(isinstance(one, str) for one in choices):
            wanted, name = ", ".join(choices), name or argument.name
            return ConfigError(expected=wanted, got=repr(token.value), where=name, fix=_near(token.value, choices, see))
        if wanted:
            return ConfigError(expected=wanted, got=repr(token.value), where=name, fix=_example(name, see))
    what, _, advice = one_line(str(error)).rstrip(".").partition(". ")
    advice = f"{advice}{'' if advice.endswith('?') or not advice else '.'} {see}".strip()
    return ConfigError(what, fix=advice.replace("  ", " "))


def _plain(kind: Any) -> Any:
    """float of ``float | None``, and the like."""
    return next((one for one in (int, float) if kind is one or one in getattr(kind, "__args__", ())), None)


def _near(word: str, known: Sequence[str], see: str) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]}? {see}" if near else see


def _example(name: str, see: str) -> str:
    """How the flag is written."""
    setting = name.removeprefix("--").replace("-", "_")
    given = example(setting) if setting in FIELDS else ""
    return f"Write for example {name} {given}." if given else see
