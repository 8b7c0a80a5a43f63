"""Models from a short text: ``mlp:128,64`` is what the command line and its configuration files say."""

import math
from collections.abc import Callable

from nnx import init
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError
from nnx.layers import (
    ELU,
    GELU,
    BatchNorm,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    Maxout,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Standardize,
    Tanh,
)  # fmt: skip

ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "relu": ReLU, "leaky_relu": LeakyReLU, "elu": ELU, "gelu": GELU, "silu": SiLU, "softplus": Softplus, "tanh": Tanh,
    "sigmoid": Sigmoid, "maxout": Maxout,
}  # fmt: skip
"""The activations between the layers, by the names that flags use. Maxout takes the larger of two pieces."""

FORMS = "linear, or mlp with the widths of its hidden layers such as mlp:128,64"
_GLOROT = ("tanh", "sigmoid", "maxout")


def build(
    spec: str,
    inputs: tuple[int, ...],
    outputs: int,
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    standardize: bool = True,
) -> Sequential:
    """A model for rows of shape ``inputs`` with ``outputs`` outputs, not yet initialised.

    ``linear`` is one dense layer: logistic or linear regression. ``mlp:128,64`` has two hidden layers, each
    Linear → BatchNorm → activation → Dropout, and a dense layer at the end. Weights before a ReLU and its kin are drawn by
    He's rule, before tanh, sigmoid, maxout and the outputs by Glorot's. Rows that are not flat are flattened.

    Errors: ``ConfigError`` for another spec, activation or probability.

    >>> [type(layer).__name__ for layer in build("mlp:8", (4,), 3, dropout=0.2).layers]
    ['Standardize', 'Linear', 'ReLU', 'Dropout', 'Linear']
    """
    widths = hidden(spec)
    if activation not in ACTIVATIONS:
        raise ConfigError(
            expected=f"activation {', '.join(ACTIVATIONS)}",
            got=repr(activation),
            where="activation",
            fix=did_you_mean(activation, ACTIVATIONS),
        )
    features = math.prod(inputs)
    layers: list[Module] = [Flatten()] if len(inputs) > 1 else []
    if standardize:
        layers.append(Standardize(features))
    rule = init.glorot_normal() if activation in _GLOROT else init.he_normal()
    for width in widths:
        pieces = 2 if activation == "maxout" else 1
        layers.append(Linear(features, pieces * width, init=rule, **({"bias": False} if batch_norm else {})))
        layers += [BatchNorm(pieces * width)] if batch_norm else []
        layers.append(ACTIVATIONS[activation]())
        layers += [Dropout(dropout)] if dropout else []
        features = width
    return Sequential(*layers, Linear(features, outputs, init=init.glorot_normal()))


def hidden(spec: str) -> tuple[int, ...]:
    """The widths of the hidden layers that a spec asks for.

    >>> hidden("mlp:128,64"), hidden("linear")
    ((128, 64), ())
    """
    name, _, rest = spec.strip().partition(":")
    if name not in ("linear", "mlp"):
        raise ConfigError(expected=f"a model: {FORMS}", got=repr(spec), where="model", fix=_nearest(name, spec))
    if name == "linear":
        if rest:
            raise ConfigError("linear has no hidden layers", got=repr(spec), where="model", fix="Write linear.")
        return ()
    widths = [part.strip() for part in rest.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < int(part) <= 1_000_000 for part in widths):
        raise ConfigError(
            expected="widths of hidden layers, whole numbers from 1 to 1,000,000",
            got=repr(spec),
            where="model",
            fix="Write for example mlp:128,64.",
        )
    return tuple(int(part) for part in widths)


def _nearest(name: str, spec: str) -> str:
    if all(part.strip().isdecimal() for part in spec.split(",")):
        return f"Did you mean 'mlp:{spec}'?"
    return did_you_mean(name, ("linear", "mlp"))
