"""Embedding: a trained row for each of a set of things."""

import numpy as np

from nnx import init, ops, random
from nnx.autodiff.tensor import value_of
from nnx.errors import ConfigError, DataError
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class Embedding(Module):
    """y[…, :] = W[index[…], :].

    Shapes: index (…,) of integers from 0 to count − 1, W (count, features), y (…, features). W is drawn from N(0, 1) as
    in PyTorch. The row ``padding`` begins as 0 and is never trained: it stands for no thing at all. ``nnx.fit``,
    ``evaluate`` and ``predict`` cast inputs to the model's dtype, but not those of a ``Sequential`` that begins with this.

    Errors: ``DtypeError`` for an index that is not of integers. A number that is no row, a negative one too, raises
    ``DataError`` where NumPy computes. Elsewhere nobody can look without waiting for the device: there, and inside a
    recorded training step, it gives a row of NaN, so the loss tells; it never takes another row's value.

    >>> import numpy as np
    >>> Embedding(10, 4)(np.asarray([[1, 2, 3], [9, 0, 0]])).shape
    (2, 3, 4)
    """

    def __init__(
        self, count: int, features: int, *, padding: int | None = None, init: init.Initializer | None = None
    ) -> None:
        positive("count", count, "Embedding")
        positive("features", features, "Embedding")
        if padding is not None and not (isinstance(padding, (int, np.integer)) and 0 <= padding < count):
            raise ConfigError(
                expected=f"padding a row from 0 to {count - 1}, or None",
                got=repr(padding),
                where="Embedding",
                fix="Keep a number for what is no thing, and count it too.",
            )
        self.count, self.features, self.padding = count, features, padding
        self.weight = Parameter((count, features), _Rows(_DEFAULT if init is None else init, padding))

    def forward(self, index: Array) -> Array:
        """The rows with these numbers."""
        bare = value_of(index)
        if isinstance(bare, np.ndarray) and bare.dtype.kind in "iu" and bare.size:
            low, high = int(bare.min()), int(bare.max())
            if low < 0 or high >= self.count:
                raise DataError(
                    expected=f"indices from 0 to {self.count - 1}",
                    got=f"{low if low < 0 else high}",
                    fix=f"Encode from 0, or build Embedding with more than {self.count} rows.",
                )
        return ops.embedding(index, self.weight, self.padding)


class _Rows(init.Initializer):
    """As another initialiser draws, with the row of the padding 0."""

    def __init__(self, draw: init.Initializer, padding: int | None) -> None:
        self.draw, self.padding = draw, padding

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> init.Draws:
        rows = np.array(self.draw(key, shape))
        if self.padding is not None:
            rows[self.padding] = 0.0
        return rows

    def __repr__(self) -> str:
        return repr(self.draw)


_DEFAULT = init.normal(1.0)
