"""What both estimators share: parameters that are only stored, a training by ``nnx.fit``, and the network's outputs."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Self

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data

from nnx import backends, models, optim
from nnx.data import Dataset, split
from nnx.data.resident import Resident
from nnx.errors import ConfigError
from nnx.estimators.arrays import check_rows, home_of, in_floats, on_host
from nnx.layers import Module, Sequential, Unstandardize
from nnx.optim.penalty import penalize
from nnx.train import EarlyStopping, fit, predict
from nnx.typing import Array

FLOATS = (np.float64, np.float32)


class Network(BaseEstimator):  # type: ignore[misc]
    """The common base of ``NNClassifier``, which explains the parameters, and ``NNRegressor``."""

    def __init__(
        self,
        model: Any = "mlp:64",
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        standardize: bool = True,
        image_shape: tuple[int, ...] | None = None,
        loss: Any = None,
        optimizer: Any = "adam",
        learning_rate: Any = 0.003,
        l2: float = 0.0,
        epochs: int = 100,
        batch_size: int = 64,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        dtype: str | None = None,
        backend: Any = None,
        random_state: Any = None,
        callbacks: Iterable[Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.standardize = standardize
        self.image_shape = image_shape
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.dtype = dtype
        self.backend = backend
        self.random_state = random_state
        self.callbacks = callbacks
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags

    # training ---------------------------------------------------------------------------------------------------------
    def _examined(self, X: Any, y: Any, **checks: Any) -> tuple[backends.Backend, Any, Any]:
        """Where X is; X (on its device, if the network is trained there) and y on the host, as scikit-learn examines them."""
        home = home_of(X)
        if home.name == "numpy" or (self.backend is not None and backends.get(self.backend).spec != home.spec):
            return home, *validate_data(self, on_host(X), on_host(y), dtype=FLOATS, order="C", **checks)
        X = in_floats(X, home)
        check_rows(X, home, f"{type(self).__name__}.fit()")
        validate_data(self, X, skip_check_array=True)
        alike = np.zeros(
            (X.shape[0], min(1, X.shape[1])), dtype=np.float32
        )  # as many rows, for what concerns them and y
        return home, Resident(X), check_X_y(alike, on_host(y), estimator=self, **checks)[1]

    def _trained(self, home: backends.Backend, data: Dataset) -> Self:
        """Build a network for the data, and train it."""
        there = home if self.backend is None else backends.get(self.backend)
        given = self.random_state
        seed = int(given) if isinstance(given, (int, np.integer)) else check_random_state(given).randint(2**31 - 1)
        name = self.dtype or data.x.dtype.name
        dtype = "float32" if self.dtype is None and there.refuses(name) else name
        model = self._built(data)
        if not model.initialized:
            model.initialize(seed, dtype=dtype)
        model.to(there, dtype=dtype)
        train, val = self._parts(data, seed)
        run = fit(
            model, train, val, loss=self.loss, optimizer=self._optimizer(), epochs=self.epochs, batch_size=self.batch_size,
            seed=seed, callbacks=self._watching(val is not None),
        )  # fmt: skip
        self._home = home.spec
        self.model_, self.history_ = model, [dict(record) for record in run.history]
        self.loss_curve_, self.n_iter_ = run.curve("loss"), len(run.history)
        if run.stopped == "interrupted":  # what was learnt is kept, but no search should go on to its next candidate
            raise KeyboardInterrupt
        if run.stopped == "terminated":
            raise SystemExit(143)
        return self

    def _built(self, data: Dataset) -> Module:
        """The network for rows and targets like these."""
        inputs, outputs = data.x.shape[1:], data.outputs or 1
        if isinstance(self.model, Module):
            return deepcopy(self.model)  # which draws nothing, as .copy() would
        if callable(self.model):
            made: Module = self.model(inputs, outputs)
            return made
        built = models.build(
            self.model, inputs, outputs, activation=self.activation, dropout=self.dropout, batch_norm=self.batch_norm,
            standardize=self.standardize, image_shape=self.image_shape,
        )  # fmt: skip
        if data.task == "regression" and self.standardize:
            return Sequential(*built.layers, Unstandardize(outputs))
        return built

    def _optimizer(self) -> Any:
        if not isinstance(self.optimizer, str):
            return self.optimizer
        penalties = [penalize(l2=self.l2)] if self.l2 else []
        if self.optimizer.partition(":")[0].strip() == "lbfgs":
            return optim.parse_lbfgs(self.optimizer).behind(tuple(penalties))
        last = optim.parse_optimizer(self.optimizer, self.learning_rate)
        return optim.chain(*penalties, last) if penalties else last

    def _parts(self, data: Dataset, seed: int) -> tuple[Dataset, Dataset | None]:
        """What to train on, and what to watch, if that was asked for."""
        share = self.validation_fraction
        if not 0 <= share < 1:
            raise ConfigError(
                expected="0 ≤ validation_fraction < 1", got=repr(share), where=type(self).__name__, fix="Use 0.1, or 0."
            )
        if not share:
            return data, None
        train, val = split(data, (1 - share, share), seed=seed)
        return train, val

    def _watching(self, validated: bool) -> list[Any]:
        watching = list(self.callbacks or ())
        if self.patience is not None:
            watching.append(EarlyStopping(self.patience, monitor="val_loss" if validated else "loss"))
        if self.verbose:
            watching.append(self._tell)
        return watching

    def _tell(self, run: Any, record: Any) -> None:
        shown = [
            f"{name} {record[name]:.4g}"
            for name in ("loss", run.metric, "val_loss", f"val_{run.metric}")
            if name in record
        ]
        print(f"{type(self).__name__} epoch {record['epoch']}/{run.epochs} {' '.join(shown)}")

    # using ------------------------------------------------------------------------------------------------------------
    def _outputs(self, X: Any, method: str) -> tuple[backends.Backend, Array]:
        """The network's outputs for X, on X's backend."""
        check_is_fitted(self, "model_")
        home, where = home_of(X), f"{type(self).__name__}.{method}()"
        if get_config()["array_api_dispatch"] and home.spec != self._home:  # scikit-learn's own contract
            raise ValueError(
                f"Inputs passed to {where} must use the same namespace and the same device as those passed to fit(). "
                f"Expected {self._home}, got {home.spec}."
            )
        if home.name == "numpy":
            X = validate_data(self, X, dtype=FLOATS, order="C", reset=False)
        else:
            check_rows(X, home, where)
            validate_data(self, X, reset=False, skip_check_array=True)
        return home, home.asarray(predict(self.model_, X))
