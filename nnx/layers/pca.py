"""Principal components, with whitening."""

from typing import Any

import numpy as np

from nnx import init
from nnx.autodiff import namespace
from nnx.errors import ConfigError
from nnx.init import is_real
from nnx.layers.linear import positive
from nnx.layers.parameter import Buffer
from nnx.layers.preparation import Parts, Preparation
from nnx.typing import Array


class PCA(Preparation):
    """y = (x − μ) V, the coordinates along the K directions of largest variance of the training inputs.

    V (features, K) holds the unit eigenvectors of the covariance Σ (x − μ)(x − μ)ᵀ/(n − 1), by falling eigenvalue λ; each
    has the sign that makes its largest entry positive. With ``whiten`` every coordinate is divided by √(λ + ε), so that
    on the training inputs they have variance near 1 and no correlation.

    Errors: ``ConfigError`` for more components than features. Source: Pearson (1901).

    >>> import numpy as np
    >>> layer = PCA(2, 1).fit(np.asarray([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    >>> np.round(layer(np.asarray([[2.0, 2.0]], dtype="float32")), 3)
    array([[1.414]], dtype=float32)
    """

    def __init__(
        self, features: int, components: int | None = None, *, whiten: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__(features)
        k = features if components is None else components
        positive("components", k, "PCA")
        if k > features:
            raise ConfigError(
                expected=f"at most {features} components of {features} features",
                got=f"{k}",
                where="PCA",
                fix="Ask for fewer.",
            )
        if not is_real(eps) or not 0 <= eps < np.inf:
            raise ConfigError(expected="eps ≥ 0", got=repr(eps), where="PCA", fix="1e-5 is usual.")
        self.components, self.whiten, self.eps = k, bool(whiten), float(eps)
        self.mean = Buffer((features,), init.zeros())
        self.directions = Buffer((features, k), init.identity())
        self.variances = Buffer((k,), init.ones())

    def measure(self, parts: Parts) -> dict[str, Any]:
        """μ, V and λ, from the singular values of the centred inputs; those of more than one part from their triangular factor."""
        mean, _, _, n = parts.moments()
        factor: Array = np.zeros((0, self.features))
        for part in parts:
            factor = part - mean if len(part) == n else np.linalg.qr(np.concatenate([factor, part - mean]), mode="r")
        _, s, vt = np.linalg.svd(_at_least_square(factor), full_matrices=False)
        v = vt.T * np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
        variances = s**2 / max(n - 1, 1)
        return {"mean": mean, "directions": v[:, : self.components], "variances": variances[: self.components]}

    def prepare(self, x: Array) -> Array:
        """(x − μ) V, perhaps divided by √(λ + ε)."""
        y = (x - self.mean) @ self.directions
        variances: Array = self.variances
        return y / namespace(y).sqrt(variances + self.eps) if self.whiten else y


def _at_least_square(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``x`` with rows of zeros below, if it has fewer rows than columns, so that every direction comes out."""
    return np.concatenate([x, np.zeros((max(0, x.shape[1] - x.shape[0]), x.shape[1]))])
