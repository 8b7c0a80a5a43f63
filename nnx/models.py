"""Models from a short text: ``mlp:128,64`` or ``cnn:16,32`` is what the command line and its configuration files say."""

import math
from collections.abc import Callable

from nnx import init
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError
from nnx.layers import (
    ELU,
    GELU,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    Maxout,
    MaxPool2d,
    Module,
    ReLU,
    Reshape,
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

FORMS = "linear, mlp with the widths of its hidden layers such as mlp:128,64, or cnn with channels such as cnn:16,32"
CHANNELS = (16, 32)
"""The channels of ``cnn`` where the spec names none."""
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
    image_shape: tuple[int, ...] | None = None,
) -> Sequential:
    """A model for rows of shape ``inputs`` with ``outputs`` outputs, not yet initialised.

    ``linear`` is one dense layer: logistic or linear regression. ``mlp:128,64`` has two hidden layers, each
    Linear → BatchNorm → activation → Dropout, and a dense layer at the end. ``cnn:16,32`` has two blocks, each
    Conv2d 3×3 → BatchNorm → activation → MaxPool2d 2 → Dropout, and a dense layer; images that became smaller than 2×2 are
    pooled no more. Weights before a ReLU and its kin are drawn by He's rule, before tanh, sigmoid, maxout and the outputs by
    Glorot's. Rows that are not flat are flattened; flat rows of ``image_shape`` (height, width, channels) become images for a
    cnn. Inputs are standardised per feature, images for a cnn per channel.

    Errors: ``ConfigError`` for another spec, activation or probability, or a cnn for rows that are no images.

    >>> [type(layer).__name__ for layer in build("mlp:8", (4,), 3, dropout=0.2).layers]
    ['Standardize', 'Linear', 'ReLU', 'Dropout', 'Linear']
    """
    name, widths = _parsed(spec)
    if activation not in ACTIVATIONS:
        raise ConfigError(
            expected=f"activation {', '.join(ACTIVATIONS)}",
            got=repr(activation),
            where="activation",
            fix=did_you_mean(activation, ACTIVATIONS),
        )
    features = math.prod(inputs)
    shape = _image(inputs, image_shape, spec) if name == "cnn" else (features,)
    layers: list[Module] = [] if shape == inputs else [Reshape(shape)] if name == "cnn" else [Flatten()]
    if standardize:
        layers.append(Standardize(shape[-1]))
    rule = init.glorot_normal() if activation in _GLOROT else init.he_normal()
    for width in widths:
        pieces = 2 if activation == "maxout" else 1
        plain = {"bias": False} if batch_norm else {}
        if name == "cnn":
            layers.append(Conv2d(shape[-1], pieces * width, 3, padding="same", init=rule, **plain))
        else:
            layers.append(Linear(features, pieces * width, init=rule, **plain))
        layers += [BatchNorm(pieces * width)] if batch_norm else []
        layers.append(ACTIVATIONS[activation]())
        features = width
        if name == "cnn":
            small = min(shape[:2]) < 2
            layers += [] if small else [MaxPool2d(2)]
            shape = (*(n if small else n // 2 for n in shape[:2]), width)
            features = math.prod(shape)
        layers += [Dropout(dropout)] if dropout else []
    layers += [Flatten()] if name == "cnn" else []
    gain = (
        0.5 if name == "cnn" else 1.0
    )  # a maximum of four values is a large one: pooled signals are about twice as large
    return Sequential(*layers, Linear(features, outputs, init=init.glorot_normal(gain)))


def _image(inputs: tuple[int, ...], image_shape: tuple[int, ...] | None, spec: str) -> tuple[int, ...]:
    """(height, width, channels) of the rows."""
    shape = image_shape or (inputs if len(inputs) == 3 else (*inputs, 1))
    if len(shape) != 3 or math.prod(shape) != math.prod(inputs):
        raise ConfigError(
            expected="rows that are images (height, width, channels)",
            got=f"rows of shape {inputs}",
            where="model",
            fix=f"Give x of shape (N, H, W, C), or take mlp instead of {spec}.",
        )
    return shape


def hidden(spec: str) -> tuple[int, ...]:
    """The widths of the dense hidden layers that a spec asks for.

    >>> hidden("mlp:128,64"), hidden("linear"), hidden("cnn:16,32")
    ((128, 64), (), ())
    """
    name, widths = _parsed(spec)
    return widths if name == "mlp" else ()


def _parsed(spec: str) -> tuple[str, tuple[int, ...]]:
    """The kind of model, and its widths."""
    name, colon, rest = spec.strip().partition(":")
    if name not in ("linear", "mlp", "cnn"):
        raise ConfigError(expected=f"a model: {FORMS}", got=repr(spec), where="model", fix=_nearest(name, spec))
    if name == "linear":
        if rest:
            raise ConfigError("linear has no hidden layers", got=repr(spec), where="model", fix="Write linear.")
        return name, ()
    if name == "cnn" and not colon:
        return name, CHANNELS
    widths = [part.strip() for part in rest.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < int(part) <= 1_000_000 for part in widths):
        raise ConfigError(
            expected=f"{'channels' if name == 'cnn' else 'widths of hidden layers'}, whole numbers from 1 to 1,000,000",
            got=repr(spec),
            where="model",
            fix=f"Write for example {'cnn:16,32' if name == 'cnn' else 'mlp:128,64'}.",
        )
    return name, tuple(int(part) for part in widths)


def _nearest(name: str, spec: str) -> str:
    if all(part.strip().isdecimal() for part in spec.split(",")):
        return f"Did you mean 'mlp:{spec}'?"
    return did_you_mean(name, ("linear", "mlp", "cnn"))
