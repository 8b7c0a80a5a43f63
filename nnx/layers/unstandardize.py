"""The last layer of a regression: from standardised outputs to the targets' own unit."""

from nnx.layers.preparation import MeanAndScale
from nnx.typing import Array


class Unstandardize(MeanAndScale):
    """y = x σ + μ per output, with μ and the biased σ of the training targets: the inverse of ``Standardize``.

    As the last layer it lets the layers before work with numbers near 1 whatever the unit of the targets. ``nnx.fit`` fits
    it on the training targets, and takes mse, l1 and huber of standardised outputs and targets (``nnx.train.objective``);
    predictions, R² and the mean absolute error are in the targets' own unit. Where σ = 0 it is 1.

    >>> import numpy as np
    >>> layer = Unstandardize(1).fit(np.asarray([[100.0], [300.0]]))
    >>> layer(np.asarray([[2.0]], dtype="float32"))
    array([[400.]], dtype=float32)
    """

    def prepare(self, x: Array) -> Array:
        """x σ + μ."""
        return x * self.scale + self.mean
