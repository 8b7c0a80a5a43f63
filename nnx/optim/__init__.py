"""Optimizers, schedules and gradient clipping: pure functions over dictionaries from path to array.

``optimizer.init(params) -> state``, ``optimizer.update(grads, state, params) -> (params, state)``.
"""

from nnx.optim.adagrad import Adagrad
from nnx.optim.adam import Adam, AdamW
from nnx.optim.base import Optimizer
from nnx.optim.clip import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from nnx.optim.constraint import Constrained
from nnx.optim.cycles import CosineDecay, Linear, OneCycle, Warmup
from nnx.optim.lbfgs import LBFGS
from nnx.optim.penalty import penalize
from nnx.optim.plateau import ReduceOnPlateau
from nnx.optim.rate import with_learning_rate
from nnx.optim.registry import (
    OPTIMIZERS,
    SCHEDULES,
    from_config,
    parse_lbfgs,
    parse_optimizer,
    parse_plateau,
    parse_schedule,
)
from nnx.optim.rmsprop import RMSprop
from nnx.optim.schedules import Constant, ExponentialDecay, InverseDecay, InverseRootDecay, Schedule, StepDecay, Table
from nnx.optim.sgd import SGD, SGDW
from nnx.optim.transform import Chain, GradientTransform, chain

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "SGDW",
    "Adagrad",
    "Adam",
    "AdamW",
    "Chain",
    "Constant",
    "Constrained",
    "CosineDecay",
    "ExponentialDecay",
    "GradientTransform",
    "InverseDecay",
    "InverseRootDecay",
    "Linear",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "StepDecay",
    "Table",
    "Warmup",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "from_config",
    "global_norm",
    "parse_lbfgs",
    "parse_optimizer",
    "parse_plateau",
    "parse_schedule",
    "penalize",
    "with_learning_rate",
]
