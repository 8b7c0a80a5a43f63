"""Models from a short text: ``mlp:128,64``, ``cnn:16,32`` or ``transformer:32,2`` is what the command line and its
configuration files say.
"""

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
    LayerNorm,
    LeakyReLU,
    LearnedPositions,
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
    TransformerBlock,
)  # fmt: skip

ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "relu": ReLU, "leaky_relu": LeakyReLU, "elu": ELU, "gelu": GELU, "silu": SiLU, "softplus": Softplus, "tanh": Tanh,
    "sigmoid": Sigmoid, "maxout": Maxout,
}  # fmt: skip
"""The activations between the layers, by the names that flags use. Maxout takes the larger of two pieces."""

FORMS = (
    "linear, mlp with the widths of its hidden layers such as mlp:128,64, cnn with channels such as cnn:16,32, "
    "or transformer with its width and number of blocks such as transformer:32,2"
)
DEFAULTS = {"cnn": (16, 32), "transformer": (32, 2)}
"""The numbers of a model whose spec names none: channels of a cnn, width and blocks of a transformer."""
NUMBERS = {"mlp": "widths of hidden layers", "cnn": "channels", "transformer": "a width and a number of blocks"}
EXAMPLES = {"mlp": "mlp:128,64", "cnn": "cnn:16,32", "transformer": "transformer:32,2"}
TOKENS = 8
"""A transformer sees an image as about so many patches along its shorter side, of at least 2×2."""
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

    ``linear`` is one dense layer: logistic or linear regression. ``mlp:128,64`` has two hidden layers, each Linear →
    BatchNorm → activation → Dropout, and a dense layer at the end. ``cnn:16,32`` has two blocks, each Conv2d 3×3 →
    BatchNorm → activation → MaxPool2d 2 → Dropout, and a dense layer; images that became smaller than 2×2 are pooled no
    more. ``transformer:32,2`` is a small vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929): patches (2×2
    of an 8×8 image) → dense to 32 features → learned positions → 2 blocks → LayerNorm → a dense layer of all of them,
    with 4 heads where they divide the width; it normalises by layer, and takes neither ``batch_norm`` nor maxout.
    Weights before a ReLU and its kin are drawn by He's rule, before tanh, sigmoid, maxout and the outputs by Glorot's.
    Rows that are not flat are flattened; flat rows of ``image_shape`` (height, width, channels) become images for a cnn
    or a transformer. Inputs are standardised per feature, images for those two per channel.

    Errors: ``ConfigError`` for another spec, activation or probability, or a cnn or transformer for rows that are no
    images.

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
    features, images = math.prod(inputs), name in ("cnn", "transformer")
    shape = _image(inputs, image_shape, spec) if images else (features,)
    layers: list[Module] = [] if shape == inputs else [Reshape(shape)] if images else [Flatten()]
    if standardize:
        layers.append(Standardize(shape[-1]))
    if name == "transformer":
        if batch_norm:
            raise ConfigError(
                expected="no batch norm for a transformer, which normalises by layer",
                got="batch_norm=True",
                where="batch_norm",
                fix="Leave it away, or take a cnn.",
            )
        if activation == "maxout":
            raise ConfigError(
                expected="an activation that keeps the width",
                got="maxout for a transformer",
                where="activation",
                fix="Take gelu or relu.",
            )
        return Sequential(*layers, *_transformer(shape, (widths[0], widths[1]), outputs, activation, dropout))
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


def _transformer(
    image: tuple[int, ...], sizes: tuple[int, int], outputs: int, activation: str, dropout: float
) -> list[Module]:
    """Patches as a sequence, the blocks, and a dense layer that sees all places.

    The places have vectors as large as the patches: where a patch lies matters from the first step on.
    """
    width, blocks = sizes
    side = max(2, -(-min(image[:2]) // TOKENS))
    tokens = math.prod(-(-n // side) for n in image[:2])
    heads = next(n for n in (4, 2, 1) if width % n == 0)
    return [
        Conv2d(image[2], width, side, stride=side, padding="same", init=init.lecun_normal()),
        Reshape((tokens, width)),
        LearnedPositions(tokens, width, init=init.normal(1.0)),
        *(TransformerBlock(width, heads, dropout=dropout, activation=ACTIVATIONS[activation]()) for _ in range(blocks)),
        LayerNorm(width),
        Flatten(),
        Linear(tokens * width, outputs, init=init.glorot_normal()),
    ]


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
    if name not in ("linear", *NUMBERS):
        raise ConfigError(expected=f"a model: {FORMS}", got=repr(spec), where="model", fix=_nearest(name, spec))
    if name == "linear":
        if rest:
            raise ConfigError("linear has no hidden layers", got=repr(spec), where="model", fix="Write linear.")
        return name, ()
    if name in DEFAULTS and not colon:
        return name, DEFAULTS[name]
    parts = [part.strip() for part in rest.split(",")]
    whole = all(part.isascii() and part.isdecimal() and 0 < int(part) <= 1_000_000 for part in parts)
    if not whole or (name == "transformer" and len(parts) != 2):
        raise ConfigError(
            expected=f"{NUMBERS[name]}, whole numbers from 1 to 1,000,000",
            got=repr(spec),
            where="model",
            fix=f"Write for example {EXAMPLES[name]}.",
        )
    return name, tuple(int(part) for part in parts)


def _nearest(name: str, spec: str) -> str:
    if all(part.strip().isdecimal() for part in spec.split(",")):
        return f"Did you mean 'mlp:{spec}'?"
    return did_you_mean(name, ("linear", *NUMBERS))
