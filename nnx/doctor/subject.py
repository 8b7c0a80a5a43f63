"""What is examined: a copy of the model, the data, the loss and the settings; and what several checks look at, measured once."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from nnx import backends, losses, optim, random
from nnx.data import batch_count
from nnx.doctor.rows import Rows, rows_of
from nnx.doctor.verdict import Verdict
from nnx.doctor.walk import Call, walk
from nnx.errors import ConfigError, DataError, ShapeError
from nnx.layers import Dropout, Module
from nnx.train.checks import check_batches, prepare
from nnx.train.evaluation import backend_of, dtype_of, looks_up
from nnx.train.given import check_output
from nnx.train.objective import default_loss, minimised, objective
from nnx.typing import Array

SAMPLE = 1024
"""Rows that activations are looked at with."""


class Subject:
    """The patient. Checks read it and change nothing of it; trainings work on further copies, ``subject.fresh()``."""

    def __init__(
        self,
        model: Module,
        train: Any,
        val: Any = None,
        *,
        test: Any = None,
        loss: str | Callable[..., Array] | None = None,
        optimizer: Any = None,
        epochs: int | None = None,
        batch_size: int = 64,
        penalty: Callable[[Mapping[str, Array]], Array] | None = None,
        augment: Callable[[Array], Array] | None = None,
        backend: Any = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, Module):
            raise ConfigError(
                expected="a Module",
                got=type(model).__name__,
                where="doctor",
                fix="Write nnx.doctor(model, train, val).",
            )
        if optimizer is not None and not isinstance(optimizer, optim.Optimizer):
            raise ConfigError(
                expected="an optimizer",
                got=repr(optimizer),
                where="doctor",
                fix="Write optimizer=nnx.optim.Adam(1e-3).",
            )
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ConfigError(expected="batch_size a whole number ≥ 1", got=repr(batch_size), where="doctor")
        if epochs is not None and (not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1):
            raise ConfigError(expected="epochs a whole number ≥ 1", got=repr(epochs), where="doctor")
        for name, function in (("penalty", penalty), ("augment", augment)):
            if function is not None and not callable(function):
                raise ConfigError(expected=f"{name} as a function", got=repr(function), where="doctor")
        self.original = model
        self.train = rows_of(train, "train")
        self.val = None if val is None else rows_of(val, "val")
        self.test = None if test is None else rows_of(test, "test")
        for other in (self.val, self.test):
            if other is not None and other.x.shape[1:] != self.train.x.shape[1:]:
                raise ShapeError(
                    expected=f"rows of {other.name} like those of train, {self.train.x.shape[1:]}",
                    got=str(other.x.shape[1:]),
                    where="doctor",
                    fix="Split one data set with nnx.data.split.",
                )
        self.task = self.train.task
        self.loss_name = loss if isinstance(loss, str) else "" if loss else default_loss(self.task)
        self._loss = losses.get(loss or self.loss_name)
        self.loss_name = self.loss_name or next((name for name, f in losses.LOSSES.items() if f is self._loss), "")
        self.batch_size = min(batch_size, len(self.train))
        steps = batch_count(len(self.train), self.batch_size)
        self.steps = None if epochs is None else epochs * steps
        self.optimizer: optim.Optimizer = (optimizer or optim.Adam(1e-3)).with_steps_per_epoch(steps)
        self.augment, self.seed, self._place = augment, seed, backend
        self._penalty = penalty
        self.so_far: dict[str, Verdict] = {}

    # the model ------------------------------------------------------------------------------------------------------
    @cached_property
    def preparations_fitted(self) -> dict[str, bool]:
        """For each preparation layer of the user's model by path, whether it came fitted."""
        return {path: m.is_fitted for path, m in self.original.modules() if hasattr(m, "is_fitted")}

    @cached_property
    def model(self) -> Module:
        """The copy: drawn and fitted as ``nnx.fit`` would, on the backend asked for.

        Errors: ``DataError`` where there is nothing to train, ``ConfigError`` where batch norm would see one value.
        """
        twin = self.original.copy() if self.original.initialized else copy.deepcopy(self.original)
        if not twin.initialized:
            twin.initialize(self.seed)
        y = self.train.y[:, None] if self.task == "regression" and self.train.y.ndim == 1 else self.train.y
        prepare(twin, replace(self.train, y=y), self.seed)  # type: ignore[arg-type]
        if self._place is not None:
            twin.to(self._place)
        if not twin.parameters():
            fix = "Give it a layer such as nnx.Linear, or unfreeze it."
            raise DataError("the model has no trainable parameters", where="doctor", fix=fix)
        check_batches(twin, self.train, self.batch_size)  # type: ignore[arg-type]
        return twin

    def fresh(self, *, dropout: bool = True) -> Module:
        """A further copy to train on; without ``dropout`` its dropout layers let everything through."""
        twin = self.model.copy()
        twin.load(self.model.state())
        if not dropout:
            for _, module in twin.modules():
                if isinstance(module, Dropout):
                    module.p = 0.0
        return twin

    @cached_property
    def backend(self) -> backends.Backend:
        """Where the copy is."""
        return backend_of(self.model)

    @cached_property
    def dtype(self) -> str:
        """The floating dtype of its arrays."""
        return dtype_of(self.model) or "float32"

    @cached_property
    def loss(self) -> Callable[..., Array]:
        """f(outputs, targets), as ``nnx.fit`` minimises it."""
        return objective(self.model, self._loss)

    def loss_of(self, model: Module, x: Array, y: Array) -> Array:
        """The same as a function of a copy and of a batch: what is differentiated."""
        return minimised(self._loss)(model, x, y)[0]

    # rows on the device ---------------------------------------------------------------------------------------------
    def inputs(self, rows: Rows, index: Any = slice(None), dtype: str = "") -> Array:
        """Some inputs on the device, in the model's dtype; whole numbers that are looked up stay what they are."""
        return self.backend.asarray(rows.x[index], dtype=None if looks_up(self.model) else dtype or self.dtype)

    def targets(self, rows: Rows, index: Any = slice(None), dtype: str = "") -> Array:
        """Some targets on the device: labels as they are, real targets in the model's dtype."""
        y = rows.y[index]
        return self.backend.asarray(y, dtype=None if y.dtype.kind in "iu" else dtype or self.dtype)

    def draw(self, purpose: str, n: int, among: int | None = None) -> np.ndarray[Any, Any]:
        """``n`` different row numbers of the training rows, at random; keyed by a purpose of the doctor's own."""
        among = len(self.train) if among is None else among
        return np.sort(random.permutation(random.key(self.seed, f"doctor {purpose}"), among)[:n])

    @cached_property
    def sample(self) -> tuple[Array, Array]:
        """Up to 1024 training rows on the device."""
        rows = self.draw("sample", SAMPLE)
        return self.inputs(self.train, rows), self.targets(self.train, rows)

    # what it does at the start --------------------------------------------------------------------------------------
    @cached_property
    def few(self) -> Array:
        """The outputs of the first rows: the first time that the model runs."""
        out = walk(self.model, self.inputs(self.train, slice(0, 8)))[1]
        check_output(out, self.model)
        return out

    @cached_property
    def inference(self) -> tuple[list[Call], Array]:
        """The layers and outputs on the sample, in inference."""
        return walk(self.model, self.sample[0])

    @cached_property
    def in_training(self) -> list[Call]:
        """The layers on the sample, in training without dropout."""
        return walk(self.fresh(dropout=False), self.sample[0], train_seed=self.seed)[0]

    @cached_property
    def constant_loss(self) -> float:
        """The loss of the best constant guess: the log prior as logits (probabilities where the loss wants those), the mean target."""
        y = self.sample[1]
        return self.loss_of_constant(self._prior if self.labels_known else self._mean_target, y)

    @cached_property
    def uniform_loss(self) -> float:
        """The loss of equal scores for all classes, log C for cross-entropy; for real targets that of their mean."""
        if not self.labels_known:
            return self.constant_loss
        c = int(self.few.shape[-1])
        return self.loss_of_constant(
            np.full((c,), 1.0 / c) if self.gives_probabilities else np.zeros((c,)), self.sample[1]
        )

    @cached_property
    def loss_unit(self) -> float:
        """What gradients are judged in: 1 for labels; for real targets, which come in any unit, the loss of their mean."""
        if self.labels_known:
            return 1.0
        unit = self.constant_loss
        return unit if math.isfinite(unit) and unit > 0 else 1.0

    def loss_of_constant(self, output: np.ndarray[Any, Any], y: Array) -> float:
        """The loss when every row gives this output."""
        shape = (int(y.shape[0]), *self.few.shape[1:])
        out = self.backend.asarray(np.ascontiguousarray(np.broadcast_to(output, shape)), dtype=self.dtype)
        return float(self.backend.to_numpy(self.loss(out, y)))

    @property
    def labels_known(self) -> bool:
        """Whether the targets are labels and the model has a score for each class."""
        return self.train.labels is not None and self.few.ndim == 2 and int(self.few.shape[-1]) > 1

    @property
    def _prior(self) -> np.ndarray[Any, Any]:
        counts = np.bincount(np.maximum(self.train.y, 0), minlength=int(self.few.shape[-1])).astype(np.float64)
        p = np.maximum(counts, 1e-3) / counts.sum()
        return np.asarray(p if self.gives_probabilities else np.log(p))

    @property
    def _mean_target(self) -> np.ndarray[Any, Any]:
        return np.asarray(np.mean(self.train.y, axis=0, dtype=np.float64))

    @cached_property
    def gives_probabilities(self) -> bool:
        """Whether rows of outputs are nowhere negative and sum to 1."""
        xp = self.backend.xp
        if self.few.ndim != 2 or int(self.few.shape[-1]) < 2:
            return False
        off = xp.max(xp.abs(xp.sum(self.few, axis=-1) - 1.0)) + xp.max(xp.maximum(-self.few, xp.zeros_like(self.few)))
        return float(self.backend.to_numpy(off)) < 1e-3

    # settings -------------------------------------------------------------------------------------------------------
    @property
    def links(self) -> tuple[Any, ...]:
        """The gradient transforms around the optimizer."""
        return tuple(link for layer in self._wrapped for link in getattr(layer, "transforms", ()))

    @property
    def core(self) -> optim.Optimizer:
        """The optimizer itself, without gradient transforms and constraints."""
        return self._wrapped[-1]

    @property
    def _wrapped(self) -> list[optim.Optimizer]:
        layers = [self.optimizer]
        while isinstance(layers[-1], (optim.Chain, optim.Constrained)):
            layers.append(layers[-1].optimizer)
        return layers

    @property
    def penalty(self) -> Callable[[Mapping[str, Array]], Array] | None:
        """The regulariser: the one given, else that of ``optim.penalize`` in the optimizer's chain."""
        if self._penalty is not None:
            return self._penalty
        from nnx.regularizers import L1, L2

        links = [link for link in self.links if isinstance(link, optim.penalize)]
        terms = [
            kind(strength, link.applies_to)
            for link in links
            for kind, strength in ((L2, link.l2), (L1, link.l1))
            if strength
        ]
        if not terms:
            return None
        return lambda params: sum((term(params) for term in terms[1:]), start=terms[0](params))

    @cached_property
    def rate(self) -> float:
        """The largest learning rate of the first thousand steps: warm-ups begin near nothing."""
        rate = getattr(self.core, "learning_rate", None)
        if rate is None:
            return math.nan
        return max(float(rate(step)) for step in range(0, 1000, 5)) if callable(rate) else float(rate)

    @property
    def late_share(self) -> float:
        """The share of all steps whose learning rate is below 1 % of the largest; 0 where the number of steps is not known."""
        rate = getattr(self.core, "learning_rate", None)
        if self.steps is None or not callable(rate):
            return 0.0
        rates = np.asarray([float(rate(int(step))) for step in np.linspace(0, self.steps - 1, 200)])
        return float(np.mean(rates < 0.01 * rates.max()))
