"""Settings as plain values, so that a run can be written to TOML or JSON and built again.

``{"type": "adam", "learning_rate": 0.001, ...}``: the type is a name from a closed table, the other keys are the
arguments of that class. Nothing is imported by a dotted name, and an unknown key is an error that names the nearest
known one.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from nnx.errors import ConfigError

ELSEWHERE = {
    "weight_decay": "AdamW and SGDW have it; chain(penalize(l2=1e-4), Adam(1e-3)) adds it to the gradient.",
    "betas": "Give beta1 and beta2.",
    "maximize": "Minimise the negative.",
    "clipnorm": "Write chain(clip_by_global_norm(1.0), Adam(1e-3)).",
}
"""Settings of other libraries' optimizers, and what stands for them here."""


class Configured:
    """The abstract base of frozen dataclasses that are described by plain values."""

    name: ClassVar[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Itself, if it takes these arguments."""
        if (args or kwargs) and not is_dataclass(cls):
            raise ConfigError(
                expected="a frozen dataclass of settings",
                got=f"the class {cls.__name__}",
                where=cls.__name__,
                fix=f"Write @dataclass(frozen=True) above class {cls.__name__}, and its settings as fields in place of __init__.",
            )
        if args or kwargs:
            takes = [field.name for field in fields(cls) if field.init]  # type: ignore[arg-type]
            for name in kwargs:
                if name not in takes:
                    raise ConfigError(
                        f"there is no setting {name!r}",
                        expected=f"one of {', '.join(takes)}",
                        got=f"{name}={kwargs[name]!r}"[:60],
                        where=cls.__name__,
                        fix=ELSEWHERE.get(name) or _nearest("learning_rate" if name == "lr" else name, takes),
                    )
        return object.__new__(cls)

    def undefined(self, method: str) -> ConfigError:
        """What a subclass must say and does not."""
        where = type(self).__name__
        return ConfigError(
            f"{where} must define {method}", where=where, fix=f"Write def {method}: docs/recipes.md has an example."
        )

    def config(self) -> dict[str, Any]:
        """The type's name and every argument that is set, as numbers, text, lists and dictionaries."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        where = type(self).__name__
        return {"type": self.name} | {
            key: _plain(value, key, where) for key, value in values.items() if value is not None
        }


def build(kinds: Mapping[str, type[Configured]], config: Any, where: str = "config") -> Any:
    """The object that ``config`` describes; dictionaries with a ``type`` inside it are built too.

    Raises ``ConfigError`` for an unknown type, an unknown key and a missing one.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
        raise ConfigError(
            expected="a dictionary with a type", got=repr(config), where=where, fix='Write {"type": "adam", ...}.'
        )
    name = config["type"]
    if name not in kinds:
        raise ConfigError(
            "unknown type",
            expected=f"one of {', '.join(kinds)}",
            got=repr(name),
            where=where,
            fix=_nearest(name, kinds),
        )
    kind = kinds[name]
    known = {field.name: field for field in fields(kind) if field.init}  # type: ignore[arg-type]
    arguments = {key: value for key, value in config.items() if key != "type"}
    for key in arguments:
        if key not in known:
            raise ConfigError(
                f"{name} has no setting {key!r}",
                expected=f"one of {', '.join(known)}",
                got=f"{key}={arguments[key]!r}"[:60],
                where=where,
                fix=_nearest(key, known),
            )
    for key, field in known.items():
        if key not in arguments and field.default is MISSING:
            raise ConfigError(
                f"{name} needs {key}", got=repr(dict(config)), where=where, fix=f"Give a value for {key}."
            )
    return kind(**{key: _rebuilt(kinds, value, f"{where}.{key}") for key, value in arguments.items()})


def _nearest(name: Any, known: Any) -> str:
    near = get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(known)}."


def _rebuilt(kinds: Mapping[str, type[Configured]], value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return build(kinds, value, where)
    if isinstance(value, (list, tuple)):
        return tuple(_rebuilt(kinds, item, where) for item in value)
    return value


def _plain(value: Any, key: str, where: str) -> Any:
    if isinstance(value, Configured):
        return value.config()
    if isinstance(value, (list, tuple)):
        return [_plain(item, key, where) for item in value]
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if hasattr(value, "__float__"):
        return float(value)
    raise ConfigError(
        f"{key} cannot be written down",
        expected="numbers, text or lists of them",
        got=repr(value),
        where=where,
        fix=f"Use a plain value for {key}.",
    )
