"""The zoo of faults: each breaks a healthy program in one way, and some check of the doctor must say so.

Most classes and their programs are TheDeepChecker's (arXiv 2204.00694), written anew; the rest are our own. A dose is chosen
so that training truly suffers: ``benchmarks/doctor.py`` measures it and says where it does not. ``harm`` is "" or the reason
why a fault is a risk that this program happens to survive.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from cases.programs import GLOROT, PROGRAMS, Program, convolutions, deep, deeper, digits, friedman, mlp

import nnx
from nnx.optim.transform import GradientTransform


@dataclass(frozen=True)
class Fault:
    """A class of fault: for each program it fits, how to break it, and the checks of which one must catch it."""

    name: str
    ids: tuple[str, ...]
    broken: dict[str, Callable[[Program], Program]]
    harm: str = ""
    where: str = ""
    """What the place of the verdict must contain, where a place can be told."""
    setting: Callable[[Program], Program] = lambda p: p
    """What is changed in the healthy program first, for the dose to tell: it is healthy still."""

    def programs(self, seed: int = 0) -> list[tuple[Program, Program]]:
        """The broken programs, each after the healthy one that it was."""
        pairs = []
        for kind, f in self.broken.items():
            whole = self.setting(PROGRAMS[kind](seed))
            pairs.append((whole, replace(f(whole), name=kind)))
        return pairs


def every(function: Callable[[Program], Program], kinds: str = "BDR") -> dict[str, Callable[[Program], Program]]:
    """The same fault in several programs."""
    return dict.fromkeys(kinds, function)


# data -----------------------------------------------------------------------------------------------------------------
def mapped(p: Program, x: Callable[[Any], Any] = lambda x: x, y: Callable[[Any], Any] = lambda y: y) -> Program:
    """All three parts with inputs or targets changed."""
    return replace(
        p, **{name: (x(part[0]), y(part[1])) for name, part in (("train", p.train), ("val", p.val), ("test", p.test))}
    )


def without_preparation(p: Program) -> Program:
    """The model without its first layer, Standardize."""
    return replace(p, model=nnx.Sequential(*p.model.layers[1:]).initialize(p.seed))


def another_unit(p: Program) -> Program:
    """One column in a unit of its own, thousands of times larger, and nothing that standardises."""
    factors = np.ones(p.train[0].shape[1], dtype=np.float32)
    factors[7 if p.name == "R" else 2] = 1e4
    return without_preparation(mapped(p, lambda x: x * factors))


def scaled_twice(p: Program) -> Program:
    """Divided by 255 twice, as where the loader does it already; batch norm survives that, but not four times."""
    return without_preparation(mapped(p, lambda x: (x / 255.0 ** (4 if p.name == "D" else 2)).astype(np.float32)))


def targets_in_thousands(p: Program) -> Program:
    return mapped(p, y=lambda y: (4000 + 2000 * y).astype(np.float32))


def unbalanced(p: Program) -> Program:
    """Of five classes all but three rows are gone from the training rows."""
    x, y = p.train
    kept = np.concatenate([np.flatnonzero(y == c)[: 3 if c >= 5 else None] for c in range(10)])
    return replace(p, train=(x[np.sort(kept)], y[np.sort(kept)]))


def shuffled(p: Program) -> Program:
    """The rows of x in another order than those of y."""
    x, y = p.train
    return replace(p, train=(x[nnx.random.permutation(nnx.random.key(1, "fault"), len(x))], y))


def wild_augmentation(p: Program) -> Program:
    """Noise of five times the spread of the inputs."""
    size = 5 * p.train[0].std()

    def noise(x: Any) -> Any:
        draw = nnx.random.normal(nnx.random.key(2, "fault"), tuple(x.shape), dtype="float32")
        backend = nnx.backends.of(x)
        return x + float(size) * backend.asarray(draw, dtype="float32")

    return replace(p, augment=noise)


def nan_row(p: Program) -> Program:
    x = p.train[0].copy()
    x[17, 3] = np.nan
    return replace(p, train=(x, p.train[1]))


def labels_from_one(p: Program) -> Program:
    """1…10 instead of 0…9."""
    return replace(p, train=(p.train[0], p.train[1] + 1), val=(p.val[0], p.val[1] + 1))


def leaked_column(p: Program) -> Program:
    """A column that holds the target; it is not known for the rows that judge."""
    column = nnx.random.permutation(nnx.random.key(3, "fault"), len(p.test[0])) % 10

    def leak(part: Any) -> Any:
        x = part[0].copy()
        x[:, 1] = np.asarray(part[1], dtype=np.float32).reshape(-1)
        return x, part[1]

    honest = p.test[0].copy()
    honest[:, 1] = column if p.name != "R" else p.test[1][column.argsort(), 0]
    few = p.train[0][:200], p.train[1][:200]
    return replace(p, train=leak(few), val=leak(p.val), test=(honest, p.test[1]), epochs=40)


def tail_split(p: Program) -> Program:
    """The data come sorted by target, and the last rows are held out."""
    x, y = (np.concatenate(parts) for parts in zip(p.train, p.val, p.test))
    order = np.argsort(y.reshape(-1), kind="stable")
    x, y = x[order], y[order]
    a, b = int(0.7 * len(x)), int(0.85 * len(x))
    return replace(p, train=(x[:a], y[:a]), val=(x[a:b], y[a:b]), test=(x[b:], y[b:]))


def rows_shared(p: Program) -> Program:
    """Half of the validation rows are training rows, and the training rows are few."""
    x, y = p.train[0][:150], p.train[1][:150]
    return replace(
        p,
        train=(x, y),
        val=(np.concatenate([x[:100], p.val[0][:50]]), np.concatenate([y[:100], p.val[1][:50]])),
        epochs=60,
    )


def fitted_on_all(p: Program) -> Program:
    """The normaliser has seen the validation rows."""
    model = p.model.copy()
    model.layers[0].fit(np.concatenate([p.train[0], p.val[0]]))
    return replace(p, model=model)


def dead_columns(p: Program) -> Program:
    """A mask that was never taken off: five of six columns are 0."""
    keep = (np.arange(p.train[0].shape[1]) % 6 == 0).astype(np.float32)
    return mapped(p, lambda x: x * keep)


# the model --------------------------------------------------------------------------------------------------------------
def with_model(make: Callable[[int], nnx.Module], **changes: Any) -> Callable[[Program], Program]:
    """Another model, drawn with the program's seed."""
    return lambda p: replace(p, model=make(p.seed).initialize(p.seed), **changes)


def inserted(layer: Callable[[], nnx.Module], at: int = -1) -> Callable[[Program], Program]:
    """One more layer before the one at an index (the last), or at the end (0)."""

    def insert(p: Program) -> Program:
        layers = list(p.model.layers)
        layers.insert(at or len(layers), layer())
        return replace(p, model=nnx.Sequential(*layers).initialize(p.seed))

    return insert


def replaced(kind: type, by: Callable[[nnx.Module], nnx.Module]) -> Callable[[Program], Program]:
    """Every layer of a kind replaced."""
    return lambda p: replace(
        p,
        model=nnx.Sequential(*(by(layer) if type(layer) is kind else layer for layer in p.model.layers)).initialize(
            p.seed
        ),
    )


def last_softmax(p: Program) -> Program:
    """The last hidden activation is a softmax: batch norm would mend any before it."""
    layers = list(p.model.layers)
    layers[max(i for i, layer in enumerate(layers) if isinstance(layer, nnx.ReLU))] = nnx.Softmax()
    return replace(p, model=nnx.Sequential(*layers).initialize(p.seed))


def drawn(init: Any, first: bool = False) -> Callable[[Program], Program]:
    """Every layer's weight drawn by an initialiser (only the first one's)."""

    def draw(p: Program) -> Program:
        layers, done = [], False
        for layer in p.model.layers:
            if isinstance(layer, nnx.Linear) and not (first and done):
                layer, done = nnx.Linear(*layer.weight.shape, bias=layer.bias is not None, init=init), True
            elif isinstance(layer, nnx.Conv2d) and not (first and done):
                layer, done = nnx.Conv2d(*layer.weight.shape[2:], 3, padding="same", init=init), True
            layers.append(layer)
        return replace(p, model=nnx.Sequential(*layers).initialize(p.seed))

    return draw


class BatchSoftmax(nnx.Module):
    """Softmax over the wrong axis: the rows."""

    def forward(self, x: Any) -> Any:
        xp = nnx.namespace(x)
        e = xp.exp(x - xp.max(x, axis=0, keepdims=True))
        return 8 * e / xp.sum(e, axis=0, keepdims=True)


class RowMean(nnx.Module):
    """Each row less the mean of whatever rows came with it."""

    def forward(self, x: Any) -> Any:
        return x - nnx.namespace(x).mean(x, axis=0, keepdims=True)


class MixingReshape(nnx.Module):
    """Images turned to channels first by a reshape where it takes a permutation: (N, H, W, C) → (C, H, W, N) → (N, H, W, C)."""

    def forward(self, x: Any) -> Any:
        xp = nnx.namespace(x)
        return xp.reshape(xp.permute_dims(x, (3, 1, 2, 0)), x.shape)


class Forgotten(nnx.Module):
    """A dense layer whose result is computed and not used."""

    def __init__(self, n: int) -> None:
        self.weight = nnx.Parameter((n, n), nnx.init.he_normal())

    def forward(self, x: Any) -> Any:
        nnx.namespace(x).matmul(x, self.weight)
        return x * 0.001


class Cut(nnx.Module):
    """Everything before it is a constant to the gradient."""

    def forward(self, x: Any) -> Any:
        return nnx.stop_gradient(x)


def _tanh(x: Any) -> Any:
    y = nnx.namespace(x).tanh(x)
    return y, y


WRONG_TANH = nnx.custom_vjp(_tanh, lambda y, g: (-g * (1 - y * y),))


class WrongTanh(nnx.Module):
    """tanh with a derivative of the wrong sign."""

    def forward(self, x: Any) -> Any:
        return WRONG_TANH(x)


def low_bias(p: Program) -> Program:
    """Biases so low that the units before a ReLU never fire."""
    state = p.model.state()
    for path, value in state.items():
        if path.endswith(("bias", "beta")) and value.shape[0] > 10:
            state[path] = np.full_like(value, -12.0)
    return replace(p, model=p.model.copy().load(state))


# the loss -------------------------------------------------------------------------------------------------------------
def summed(name: str) -> Callable[..., Any]:
    return lambda out, y: nnx.losses.get(name)(out, y, reduction="sum")


def probabilities_loss(out: Any, y: Any) -> Any:
    """−log of the output of the label: right for probabilities, wrong for logits."""
    xp = nnx.namespace(out, y)
    labels = xp.astype(y[:, None] == xp.arange(out.shape[1], dtype=y.dtype, device=y.device), out.dtype)
    return -xp.mean(xp.log(xp.sum(out * labels, axis=1)))


def batch_axis_loss(out: Any, y: Any) -> Any:
    """Cross-entropy with the softmax over the rows."""
    xp = nnx.namespace(out, y)
    shifted = out - xp.max(out, axis=0, keepdims=True)
    logs = shifted - xp.log(xp.sum(xp.exp(shifted), axis=0, keepdims=True))
    labels = nnx.ops.one_hot(xp, y, out.shape[1], out.dtype)
    return -xp.mean(xp.sum(logs * labels, axis=1))


def broadcasting_mse(out: Any, y: Any) -> Any:
    """(N, 1) against (N,): every output against every target."""
    xp = nnx.namespace(out, y)
    return xp.mean(xp.square(out - y))


# the optimizer ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Negate(GradientTransform):
    """Up the hill."""

    name: ClassVar[str] = "negate"

    def transform(self, grads: Any, state: Any, params: Any) -> Any:
        return {path: -g for path, g in grads.items()}, state


def optimizer(made: Any, **changes: Any) -> Callable[[Program], Program]:
    return lambda p: replace(p, optimizer=made, **changes)


def by_sgd(p: Program) -> Program:
    """Classes trained by plain gradient descent, which feels a gradient that has become small; Adam would scale it up."""
    return replace(p, optimizer=SGD(0.05)) if p.classes else p


def chained(link: Any) -> Callable[[Program], Program]:
    return lambda p: replace(p, optimizer=nnx.optim.chain(link, p.optimizer))


def few_rows(p: Program) -> Program:
    """Few rows with noisy targets, a wide net, nothing that holds it back, long."""
    rows, every = {"B": (120, 4), "D": (120, 2), "R": (80, 2)}[p.name]
    x, y = p.train[0][:rows], p.train[1][:rows].copy()
    noisy = np.arange(0, rows, every)
    y[noisy] = y[nnx.random.permutation(nnx.random.key(4, "fault"), rows)[: len(noisy)]]
    if p.name == "R":
        model: nnx.Module = mlp(10, 64, 64, 1, between=nnx.Tanh, init=GLOROT)
    else:
        model = deep(64, 256, 256, 10, dropout=0.0) if p.name == "D" else mlp(64, 256, 256, 128, 10)
    settings = {"epochs": 60 if p.name == "B" else 150, "optimizer": nnx.optim.Adam(1e-2 if p.name == "R" else 3e-3)}
    return replace(p, train=(x, y), model=model.initialize(p.seed), batch_size=32, **settings)


SGD, ADAM = nnx.optim.SGD, nnx.optim.Adam

FAULTS: tuple[Fault, ...] = (
    # TheDeepChecker's classes
    Fault("inputs not normalised", ("D3",), every(another_unit), where="layers.0"),
    Fault("inputs normalised twice", ("D3",), every(scaled_twice), where="layers.0"),
    Fault("targets not scaled", ("D11",), every(targets_in_thousands, "R"), where="train.y"),
    Fault("classes unbalanced", ("D8",), every(unbalanced, "BD"), where="class"),
    Fault("only features shuffled", ("T2",), every(shuffled)),
    Fault("augmentation too strong", ("D12",), every(wild_augmentation)),
    Fault("init constant", ("I4",), every(drawn(nnx.init.constant(0.01)), "BDRC"), where="layers.1.weight"),
    Fault("init too large", ("I5", "I6"), {"B": drawn(nnx.init.normal(3.0)), "D": drawn(nnx.init.normal(30.0)), "R": drawn(nnx.init.normal(5.0)), "C": drawn(nnx.init.normal(5.0))}, where="layers."),
    Fault("init too small", ("I5", "I6"), {"B": drawn(nnx.init.normal(1e-4)), "R": drawn(nnx.init.normal(1e-4))}, where="layers."),
    Fault("hidden softmax", ("I9",), {"B": replaced(nnx.ReLU, lambda _: nnx.Softmax()), "D": last_softmax, "R": replaced(nnx.Tanh, lambda _: nnx.Softmax())}, where="Softmax", setting=by_sgd),
    Fault("softmax twice, or over one output", ("I9",), every(inserted(nnx.Softmax, 0)), where="Softmax", setting=by_sgd),
    Fault("last activation cannot reach the targets", ("I9",), {"B": inserted(nnx.Sigmoid, 0), "D": inserted(nnx.Sigmoid, 0), "R": inserted(nnx.Sigmoid, 0)}, where="Sigmoid", setting=by_sgd),
    Fault("softmax missing before the log", ("I1", "T7"), every(lambda p: replace(p, loss=probabilities_loss), "BD")),
    Fault("softmax over the batch axis", ("I8",), every(inserted(BatchSoftmax)), where="outputs"),
    Fault("loss sums instead of averages", ("I11",), {"B": lambda p: replace(p, loss=summed("cross_entropy"), optimizer=SGD(0.1)), "D": lambda p: replace(p, loss=summed("cross_entropy"), optimizer=SGD(0.5, momentum=0.9)), "R": lambda p: replace(p, loss=summed("mse"))}),
    Fault("loss over the wrong axis, or broadcasting", ("I11", "D9"), {"B": lambda p: replace(p, loss=batch_axis_loss), "D": lambda p: replace(p, loss=batch_axis_loss), "R": lambda p: replace(p, loss=broadcasting_mse, train=(p.train[0], p.train[1][:, 0]), val=(p.val[0], p.val[1][:, 0]))}, setting=by_sgd),
    Fault("loss of another task", ("D9",), {"B": lambda p: replace(p, loss="mse"), "D": lambda p: replace(p, loss="l1"), "R": lambda p: replace(p, loss="cross_entropy")}),
    Fault("gradient sign flipped", ("I7", "T12", "T8"), every(chained(Negate()))),
    Fault("Adam eps far too small", ("I10",), every(optimizer(ADAM(1e-3, eps=1e-16))), harm="float32 gradients of these programs stay far above it"),
    Fault("learning rate too high", ("T8", "I10"), {"B": optimizer(ADAM(3.0)), "D": optimizer(SGD(300.0, momentum=0.9)), "R": optimizer(SGD(20.0, momentum=0.9)), "C": optimizer(ADAM(3.0))}, where="optimizer"),
    Fault("learning rate too low", ("T3", "T8"), {"B": optimizer(ADAM(1e-6)), "D": optimizer(ADAM(1e-6)), "R": optimizer(SGD(1e-7))}),
    Fault("regularisation missing", ("R1",), every(few_rows)),
    Fault("regularisation too strong", ("I2", "T13"), every(chained(nnx.optim.penalize(l2=3.0)))),
    Fault("batch norm missing, or its statistics never updated", ("I6", "I5", "T11"), {"B": with_model(lambda s: mlp(64, *[32] * 12, 10, init=nnx.init.normal(0.05))), "D": with_model(lambda s: deep(64, 64, 64, 64, 32, 10, momentum=1.0)), "R": with_model(lambda s: mlp(10, *[32] * 12, 1, between=nnx.Tanh, init=nnx.init.normal(0.02)))}, where="layers."),
    # our own
    Fault("NaN row", ("D1",), every(nan_row), where="row 17, column 3"),
    Fault("label out of range", ("D2",), every(labels_from_one, "BD"), where="train.y, row"),
    Fault("leaked column", ("D7",), every(leaked_column), where="column 1"),
    Fault("split by file order", ("D10",), every(tail_split)),
    Fault("training rows in val", ("D6",), every(rows_shared), where="val"),
    Fault("normaliser fitted on all rows", ("D5",), every(fitted_on_all), harm="with rows drawn at random it flatters the validation score too little to see", where="layers.0"),
    Fault("most columns constant", ("D4",), every(dead_columns)),
    Fault("dead ReLU units", ("T4",), {"B": low_bias, "D": low_bias, "C": low_bias}, where="ReLU"),
    Fault("forgotten parameter", ("T10",), {"B": inserted(lambda: Forgotten(32)), "D": inserted(lambda: Forgotten(32)), "R": inserted(lambda: Forgotten(32))}, where="weight"),
    Fault("gradient cut", ("T10", "I7"), {"B": inserted(Cut, 5), "D": inserted(Cut, 13), "R": inserted(Cut, 5), "C": inserted(Cut, 6)}, where="layers.1"),
    Fault("rows mixed", ("I8",), {**every(inserted(RowMean)), "C": inserted(MixingReshape, 4)}, where="outputs"),
    Fault("wrong custom derivative", ("I7",), {"B": replaced(nnx.ReLU, lambda _: WrongTanh()), "D": replaced(nnx.ReLU, lambda _: WrongTanh()), "R": replaced(nnx.Tanh, lambda _: WrongTanh())}, where="layers."),
    Fault("saturated units", ("T5", "I6", "I5"), {"R": drawn(nnx.init.normal(20.0), first=True), "B": lambda p: replace(replaced(nnx.ReLU, lambda _: nnx.Tanh())(drawn(nnx.init.normal(20.0), first=True)(p)), seed=p.seed)}, where="layers."),
    Fault("vanishing gradients", ("T6", "I6"), {"B": with_model(lambda s: mlp(64, *[24] * 10, 10, between=nnx.Sigmoid)), "R": with_model(lambda s: mlp(10, *[24] * 10, 1, between=nnx.Sigmoid))}),
    Fault("every step clipped", ("T9",), {"B": lambda p: replace(p, optimizer=nnx.optim.chain(nnx.optim.clip_by_global_norm(1e-3), SGD(0.1))), "D": lambda p: replace(p, optimizer=nnx.optim.chain(nnx.optim.clip_by_global_norm(1e-3), SGD(0.1))), "R": chained(nnx.optim.clip_by_global_norm(1e-4))}),
    Fault("linear after linear", ("I9",), {"R": replaced(nnx.Tanh, lambda _: nnx.Flatten()), "C": with_model(lambda s: convolutions(lambda: nnx.Dropout(0.0), lambda: nnx.AvgPool2d(2)))}, where="layers."),
)  # fmt: skip
"""One row for each class. The first id is the likeliest."""

__all__ = ["FAULTS", "Fault", "GLOROT", "deeper", "digits", "every", "friedman"]
