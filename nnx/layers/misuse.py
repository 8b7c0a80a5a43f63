"""What a module says when it is called, made or looked at in a way that it has not."""

import inspect
from difflib import get_close_matches
from typing import Any

from nnx.autodiff.blame import untraceable
from nnx.autodiff.transforms import is_array
from nnx.errors import ConfigError, DtypeError, UnknownAttributeError

Module = Any
"""A module: this file stands below the class."""


def explained(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Exception:
    """An error from inside ``forward`` as an answer, if the call was at fault; else itself, with a note of the layer."""
    signature = inspect.signature(module.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as wrong:
        return ConfigError(
            expected=f"a call with {signature}".replace("(self, ", "("),
            got=str(wrong),
            where=module._place(),
            fix="Pass those; what stays the same from call to call is given when the layer is made.",
        )
    told = untraceable(error, module._place())
    if told is not None:
        told.__cause__ = error
        return told
    if args and not is_array(args[0]) and isinstance(args[0], (list, tuple, str, bytes, int, float, dict, type(None))):
        return DtypeError(
            expected="an array",
            got=f"a {type(args[0]).__name__}",
            where=module._place(),
            fix='Make one of it: nnx.backends.get("numpy").asarray(x, dtype="float32").',
        )
    if not any(note.startswith("nnx: ") for note in getattr(error, "__notes__", ())):
        shapes = ", ".join(str(tuple(x.shape)) for x in args if is_array(x))
        error.add_note(
            f"nnx: in {module._place()}, called with {f'an array of shape {shapes}' if shapes else 'no array'}"
        )
    return error


def check_arguments(kind: type, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """``ConfigError`` for an argument that the class does not take."""
    known = [p for p in inspect.signature(kind.__init__).parameters.values() if p.name != "self"]  # type: ignore[misc]
    if not any(p.kind is p.VAR_POSITIONAL for p in known):
        places = [p.name for p in known if p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD]
        named = [f"{p.name}=…" for p in known if p.kind is p.KEYWORD_ONLY]
        if len(args) > len(places):
            most = f"at most {len(places)} without a name: {', '.join(places)}" if places else "no arguments"
            raise ConfigError(
                expected=most,
                got=f"{len(args)}: {', '.join(map(repr, args))}"[:60],
                where=kind.__name__,
                fix=f"Name the others: {', '.join(named)}." if named else f"See help(nnx.{kind.__name__}).",
            )
    if any(p.kind is p.VAR_KEYWORD for p in known):
        return
    takes = [p.name for p in known if p.kind is not p.VAR_POSITIONAL]
    for name in given:
        if name not in takes:
            near = get_close_matches(name, takes, n=1)
            raise ConfigError(
                f"there is no argument {name!r}",
                expected=", ".join(takes) or "none",
                got=f"{name}={given[name]!r}"[:60],
                where=kind.__name__,
                fix=f"Did you mean {near[0]}?" if near else f"See help(nnx.{kind.__name__}).",
            )


INSTEAD = {
    "train": "Nothing is switched: calls inside `with nnx.training(seed=0, step=step):` are training, all others inference.",
    "fit": "Write nnx.fit(model, train, val).",
    "predict": "Write nnx.predict(model, x).",
    "evaluate": "Write nnx.evaluate(model, data).",
    "save": "Write nnx.save(model, path).",
    "backward": "Write loss, grads = nnx.value_and_grad(loss_fn)(model, x, y).",
    "zero_grad": "Gradients are returned by nnx.grad(loss_fn)(model, x, y); none are kept.",
    "state_dict": "Write model.state(): a dictionary from path to array.",
    "load_state_dict": "Write model.load(state), or nnx.load_torch(state, into=model) for a state of PyTorch.",
    "named_parameters": "Write model.parameters().items().",
    "requires_grad_": "Write model.freeze() or model.unfreeze(); both take names of parameters.",
    "cuda": 'Write model.to("cupy"), or model.to("numpy"): the backend that is to hold its arrays.',
    "double": 'Write model.to(backend, dtype="float64").',
    "children": "Write model.modules(): pairs of path and module.",
    "append": "Write model.layers.append(layer).",
}
"""Methods that models of other libraries have, and what stands for them here."""
INSTEAD |= {
    "eval": INSTEAD["train"],
    "float": INSTEAD["double"],
    "cpu": INSTEAD["cuda"],
    "weights": INSTEAD["named_parameters"],
}


def unknown_attribute(module: Module, name: str) -> UnknownAttributeError:
    """What to say of a name that is not there."""
    if name in INSTEAD:
        return UnknownAttributeError(f"no attribute {name!r}", where=module._place(), fix=INSTEAD[name])
    known = [one for one in dir(module) if not one.startswith("_")]
    near = get_close_matches(name, [*module._declared, *known], n=1)
    return UnknownAttributeError(
        f"{type(module).__name__} has no attribute {name!r}",
        expected=f"one of {', '.join([*module._declared, *_own(module)])}" if module._declared or _own(module) else "",
        where=module._place(),
        fix=f"Did you mean {near[0]}?" if near else "Assign it in __init__ first.",
    )


def _own(module: Module) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_") and name not in module._declared]
