"""Layers that prepare the input: fitted on the training data, then saved, moved and exported with the model."""

from typing import Any, Self

import numpy as np

from nnx import backends, init
from nnx.autodiff import namespace
from nnx.autodiff.tensor import value_of
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError, StateError
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Buffer
from nnx.typing import Array


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
        host = np.asarray(_host(x), dtype=np.float64)
        if host.ndim < 2 or host.shape[-1] != self.features or not host.size:
            raise ShapeError(
                expected=f"training inputs of shape (N, {self.features})",
                got=f"{host.shape}",
                where=self._place(),
                fix="Fit on the training split, one row for each example.",
            )
        if not np.isfinite(host).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(host))[0])
            raise DataError(
                expected="finite inputs",
                got=f"{host[at]} in row {at[0]}, column {at[-1]}",
                where=self._place(),
                fix="Drop the row or fill it with the median of its column.",
            )
        state = {**self.measure(host.reshape(-1, self.features)), "fitted": np.asarray(1.0)}
        dtypes = {name: getattr(self, name).dtype for name in state}
        return self.load(
            {name: np.asarray(value, dtype=backends.dtype_name(dtypes[name])) for name, value in state.items()}
        )

    def measure(self, x: np.ndarray[Any, Any]) -> dict[str, Any]:
        """The buffers for these inputs."""
        raise TypeError(f"{type(self).__name__} must define measure(x)")

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


class Standardize(Preparation):
    """x' = (x − μ)/σ per feature, with μ and the biased σ of the training inputs; where σ = 0 it divides by 1.

    Of images (N, H, W, C), C = features: per channel, over all places.

    >>> import numpy as np
    >>> layer = Standardize(1).fit(np.asarray([[1.0], [3.0]]))
    >>> layer(np.asarray([[5.0]], dtype="float32"))
    array([[3.]], dtype=float32)
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.mean = Buffer((features,), init.zeros())
        self.scale = Buffer((features,), init.ones())

    def measure(self, x: np.ndarray[Any, Any]) -> dict[str, Any]:
        """μ and σ."""
        scale = x.std(axis=0)
        return {"mean": x.mean(axis=0), "scale": np.where(scale > 1e-12 * np.abs(x).max(axis=0), scale, 1.0)}

    def prepare(self, x: Array) -> Array:
        """(x − μ)/σ."""
        return (x - self.mean) / self.scale


class MinMaxScale(Preparation):
    """Each feature moved linearly from its range in the training inputs to [low, high]; a constant one to low."""

    def __init__(self, features: int, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(features)
        if not low < high:
            raise ConfigError(
                expected="low < high",
                got=f"low={low}, high={high}",
                where="MinMaxScale",
                fix="Write low=-1.0, high=1.0.",
            )
        self.low, self.high = float(low), float(high)
        self.minimum = Buffer((features,), init.zeros())
        self.range = Buffer((features,), init.ones())

    def measure(self, x: np.ndarray[Any, Any]) -> dict[str, Any]:
        """The smallest value of each feature, and its range."""
        minimum, width = x.min(axis=0), np.ptp(x, axis=0)
        return {"minimum": minimum, "range": np.where(width > 0, width, 1.0)}

    def prepare(self, x: Array) -> Array:
        """low + (high − low) (x − min)/range."""
        return (x - self.minimum) / self.range * (self.high - self.low) + self.low


def _host(x: Array) -> Any:
    value = value_of(x)
    return backends.of(value).to_numpy(value)
