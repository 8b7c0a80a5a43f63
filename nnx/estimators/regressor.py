"""A network for real targets, as an estimator of scikit-learn."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from nnx.data import Dataset
from nnx.estimators.arrays import on_host
from nnx.estimators.network import Network
from nnx.typing import Array


class NNRegressor(RegressorMixin, Network):  # type: ignore[misc]
    """A network for real targets (N,) or (N, k): ``fit``, ``predict``, ``score``.

    The parameters are those of :class:`NNClassifier`; ``loss`` is mse, l1 or huber, or a function. With ``standardize`` the
    network works on standardised targets, of which the loss is taken, and gives them in their own unit.

    >>> import numpy as np
    >>> x = np.linspace(-1.0, 1.0, 40)[:, None]
    >>> regressor = NNRegressor("linear", optimizer="lbfgs", epochs=20, random_state=0)
    >>> regressor.fit(x, 300 * x[:, 0] + 7).predict([[2.0]]).round(3)
    array([607.])
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network on rows X (N, features) and their targets y (N,) or (N, k)."""
        home, rows, targets = self._examined(X, y, multi_output=True, y_numeric=True)
        self._flat = targets.ndim == 1
        columns = targets[:, None] if self._flat else targets
        return self._trained(home, Dataset(rows, columns.astype(np.float64), "regression"))

    def predict(self, X: Any) -> Array:
        """The targets of each row, in the shape of those it was trained on."""
        _, out = self._outputs(X, "predict")
        return out[:, 0] if self._flat else out

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R², the share of the targets' variance that is explained; of several targets the mean."""
        return float(r2_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight)))
