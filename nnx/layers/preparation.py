"""Layers that prepare the input: fitted on the training data, then saved, moved and exported with the model."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from nnx import backends, init
from nnx.autodiff import namespace
from nnx.autodiff.tensor import value_of
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError, StateError
from nnx.layers.checks import number
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Buffer
from nnx.typing import Array


class Parts:
    """Training inputs as tables (n, features) of float64, about two million values at a time, so that they may be larger than memory.

    Errors, while they are gone through: ``DataError`` for a value that is not finite.
    """

    def __init__(self, x: Any, where: str) -> None:
        self.x, self.where = x, where

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        from nnx.data.stream import in_blocks  # here and below: the readers of data are loaded by those who fit

        start = 0
        for block in in_blocks(self.x):
            part = np.asarray(block, dtype=np.float64)
            if not np.isfinite(part).all():
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(part))[0])
                raise DataError(
                    expected="finite inputs",
                    got=f"{part[at]} in row {start + at[0]}, column {at[-1]}",
                    where=self.where,
                    fix="Drop the row or fill it with the median of its column.",
                )
            start += len(part)
            yield part.reshape(-1, part.shape[-1])

    def moments(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
        """Mean, biased standard deviation and largest absolute value of each column, and the number of rows.

        Source: Chan, Golub, LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.
        """
        from nnx.data.resident import Resident

        parts = map(_moments, self)
        if isinstance(self.x, Resident) and not self.x.backend.refuses("float64"):
            parts = map(_moments_there, self.x.pieces())
        means, spreads, largest, n = next(parts)
        for mean, spread, high, m in parts:
            apart, total = mean - means, n + m
            spreads = np.sqrt((n * spreads**2 + m * spread**2 + apart**2 * (n * m / total)) / total)
            means, largest, n = means + apart * (m / total), np.maximum(largest, high), total
        return means, spreads, largest, n


def _moments(
    part: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    return part.mean(axis=0), part.std(axis=0), np.abs(part).max(axis=0), len(part)


def _moments_there(
    piece: Array,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """The same of rows on a device, computed there: a number for each column comes to the host."""
    there = backends.of(piece)
    xp = there.xp
    with there.use():
        part = xp.reshape(xp.astype(piece, xp.float64), (-1, piece.shape[-1]))
        found = xp.mean(part, axis=0), xp.std(part, axis=0), xp.max(xp.abs(part), axis=0)
    mean, spread, largest = map(there.to_numpy, found)
    return mean, spread, largest, int(part.shape[0])


class Preparation(Module):
    """The common base: ``fit(x)`` looks at the training inputs once; ``nnx.fit`` calls it if nobody has."""

    def __init__(self, features: int) -> None:
        positive("features", features, type(self).__name__)
        self.features = features
        self.fitted = Buffer((), init.zeros())

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` has been called, or a fitted state loaded. The array is looked at once, then remembered."""
        if "fitted" not in self.__dict__:
            return False
        original = self._origin or self
        if original is not self and original.is_fitted:  # this copy's arrays may be a compiler's, without values
            return True
        array = value_of(self.fitted)
        verdict: bool
        known, verdict = original.__dict__.get("_known", (None, False))
        if known is not array:
            verdict = bool(backends.of(array).to_numpy(array) > 0)
            original.__dict__["_known"] = (array, verdict)
        return verdict

    def fit(self, x: Array) -> Self:
        """Set the buffers from training inputs x (N, features); of images (N, H, W, features) every place counts alike."""
        from nnx.data.resident import Resident
        from nnx.data.stream import Streamed

        host = x if isinstance(x, (Streamed, Resident)) else np.asarray(_host(x))
        if host.ndim < 2 or host.shape[-1] != self.features or not host.size:
            raise ShapeError(
                expected=f"training inputs of shape (N, {self.features})",
                got=f"{host.shape}",
                where=self._place(),
                fix="Fit on the training split, one row for each example.",
            )
        state = {**self.measure(Parts(host, self._place())), "fitted": np.asarray(1.0)}
        dtypes = {name: getattr(self, name).dtype for name in state}
        return self.load(
            {name: np.asarray(value, dtype=backends.dtype_name(dtypes[name])) for name, value in state.items()}
        )

    def measure(self, parts: "Parts") -> dict[str, Any]:
        """The buffers for these inputs."""
        raise TypeError(f"{type(self).__name__} must define measure(parts)")

    def forward(self, x: Array) -> Array:
        """The prepared inputs."""
        if not getattr(self, "_trusted", False) and not self.is_fitted:
            raise StateError(
                expected="a fitted layer",
                got=f"{type(self).__name__} before fit",
                fix="Call .fit(train.x) on it, or train with nnx.fit, which does.",
            )
        namespace(x, self.fitted)
        if x.dtype != self.fitted.dtype:
            raise DtypeError(
                expected=f"x of dtype {self.fitted.dtype}, as the model",
                got=f"{x.dtype}",
                fix="Cast x with xp.astype, or the model with model.to(backend, dtype=...).",
            )
        if x.ndim < 2 or x.shape[-1] != self.features:
            raise ShapeError(
                expected=f"x of shape (N, {self.features})",
                got=f"{tuple(x.shape)}",
                fix="Pass the columns that the layer was fitted on.",
            )
        return self.prepare(x)

    def prepare(self, x: Array) -> Array:
        """The prepared inputs, shapes already checked."""
        raise TypeError(f"{type(self).__name__} must define prepare(x)")


class MeanAndScale(Preparation):
    """μ and the biased σ of each feature, σ = 1 where all its numbers are equal: for standardising, and for undoing it."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.mean = Buffer((features,), init.zeros())
        self.scale = Buffer((features,), init.ones())

    def measure(self, parts: Parts) -> dict[str, Any]:
        """μ and σ."""
        mean, scale, largest, _ = parts.moments()
        return {"mean": mean, "scale": np.where(scale > 1e-12 * largest, scale, 1.0)}


class Standardize(MeanAndScale):
    """x' = (x − μ)/σ per feature, with μ and the biased σ of the training inputs; where σ = 0 it divides by 1.

    Of images (N, H, W, C), C = features: per channel, over all places. ``nnx.fit`` fits it on the training inputs.
    Errors: ``StateError`` before it is fitted, ``DataError`` for training inputs that are not finite.

    >>> import numpy as np
    >>> layer = Standardize(1).fit(np.asarray([[1.0], [3.0]]))
    >>> layer(np.asarray([[5.0]], dtype="float32"))
    array([[3.]], dtype=float32)
    """

    def prepare(self, x: Array) -> Array:
        """(x − μ)/σ."""
        return (x - self.mean) / self.scale


class MinMaxScale(Preparation):
    """x' = low + (x − min)/(max − min) · (high − low) per feature, min and max being those of the training inputs.

    A constant feature becomes low. Of images (N, H, W, C), C = features: per channel.
    Errors: ``ConfigError`` for a range that does not rise; ``StateError`` before it is fitted.

    >>> import numpy as np
    >>> layer = MinMaxScale(1).fit(np.asarray([[0.0], [10.0]]))
    >>> layer(np.asarray([[5.0], [10.0]], dtype="float32")).tolist()
    [[0.0], [1.0]]
    """

    def __init__(self, features: int, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(features)
        low, high = number("low", low, "MinMaxScale"), number("high", high, "MinMaxScale")
        if not low < high:
            raise ConfigError(
                expected="low < high",
                got=f"low={low}, high={high}",
                where="MinMaxScale",
                fix="Write low=-1.0, high=1.0.",
            )
        self.low, self.high = low, high
        self.minimum = Buffer((features,), init.zeros())
        self.range = Buffer((features,), init.ones())

    def measure(self, parts: Parts) -> dict[str, Any]:
        """The smallest value of each feature, and its range."""
        ranges = [(part.min(axis=0), part.max(axis=0)) for part in parts]
        minimum = np.min([low for low, _ in ranges], axis=0)
        width = np.max([high for _, high in ranges], axis=0) - minimum
        return {"minimum": minimum, "range": np.where(width > 0, width, 1.0)}

    def prepare(self, x: Array) -> Array:
        """low + (high − low) (x − min)/range."""
        return (x - self.minimum) / self.range * (self.high - self.low) + self.low


def _host(x: Array) -> Any:
    value = value_of(x)
    return backends.of(value).to_numpy(value)
