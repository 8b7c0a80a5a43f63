"""A network that classifies, as an estimator of scikit-learn."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from nnx import ops
from nnx.data import Dataset
from nnx.errors import DataError
from nnx.estimators.arrays import on_host, sent
from nnx.estimators.network import Network
from nnx.typing import Array


def _gives_chances(estimator: "NNClassifier") -> bool:
    return estimator.loss in (None, "cross_entropy")


class NNClassifier(ClassifierMixin, Network):  # type: ignore[misc]
    """A network for classes: ``fit``, ``predict``, ``predict_proba``, ``decision_function``, ``score``.

    ``model``: a text as of ``nnx train --model`` (linear, mlp:128,64, cnn:16,32 with ``image_shape``), whose layers
    ``activation``, ``dropout``, ``batch_norm`` and ``standardize`` shape; or a Module, or a function of (shape of a
    row, number of outputs) that gives one, which are used as they are. ``loss``: cross_entropy or hinge, or a function.
    ``optimizer``: a text such as "adam", "sgd:momentum=0.9" or "lbfgs", with ``learning_rate`` (a number or an
    ``nnx.optim`` schedule) and the penalty ``l2``; or an object of ``nnx.optim``, which has its own. ``epochs`` and
    ``batch_size`` as in ``nnx.fit``.

    All rows are trained on, unless ``validation_fraction`` holds some out; ``patience`` ends the training when the loss
    (on those, if there are any) has not improved for so many epochs, and goes back to the best. ``dtype``: that of X
    unless one is named; float32 is the faster. ``random_state``: an int is the seed of ``nnx.fit``. ``verbose``: a line
    after each epoch.

    X is on the host (lists, NumPy, pandas, polars) or an array of PyTorch, JAX, CuPy or another library of the
    standard: then the network is trained where X is, and answers come as arrays of that library on its device, but for
    the names of classes that are texts. X stays on its device: batches are gathered and columns standardised there, and
    labels are sent to it batch by batch. ``backend``: another place to train, such as "cupy".

    After ``fit``: ``classes_``, ``n_features_in_``, ``feature_names_in_`` (of a frame), ``n_iter_`` (epochs),
    ``loss_curve_``, ``history_`` (the records of ``nnx.fit``) and ``model_``, the Module. Errors are ``nnx.errors`` and
    scikit-learn's own.

    >>> import numpy as np
    >>> x = np.linspace(-1.0, 1.0, 40)[:, None]
    >>> classifier = NNClassifier("mlp:8", learning_rate=0.05, epochs=30, random_state=0)
    >>> classifier.fit(x, np.where(x[:, 0] > 0, "up", "down")).predict([[-0.9], [0.9]])
    array(['down', 'up'], dtype='<U4')
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network on rows X (N, features) and their labels y (N,)."""
        home, rows, labels = self._examined(X, y)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                expected="at least two classes",
                got=f"one class, {self.classes_.tolist()[0]!r}",
                where=type(self).__name__,
                fix="There is nothing to learn from one: is this the target you mean?",
            )
        names = tuple(str(number) for number in range(len(self.classes_)))
        return self._trained(home, Dataset(rows, numbers.astype(np.int64), "classification", names))

    def predict(self, X: Any) -> Array:
        """The class of each row, as in ``classes_``."""
        home, out = self._outputs(X, "predict")
        with home.use():
            labels = home.xp.argmax(out, axis=1)
            if home.name != "numpy" and self.classes_.dtype.kind in "biuf":
                return home.xp.take(sent(self.classes_, home), labels, axis=0)
        return self.classes_[home.to_numpy(labels)]

    def decision_function(self, X: Any) -> Array:
        """How much each class is preferred, (N, C): the network's outputs; of two classes by how much the second is, (N,)."""
        home, out = self._outputs(X, "decision_function")
        with home.use():
            return out[:, 1] - out[:, 0] if out.shape[1] == 2 else out

    @available_if(_gives_chances)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, (N, C); not for networks trained with another loss than cross-entropy."""
        home, out = self._outputs(X, "predict_proba")
        with home.use():
            return ops.softmax(out)

    @available_if(_gives_chances)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of the probabilities, exact also where these are near 0."""
        home, out = self._outputs(X, "predict_log_proba")
        with home.use():
            return ops.log_softmax(out)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose class is right."""
        return float(accuracy_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight)))
