"""Where the first number came from that is none: one step, taken once more as it is written, and looked at all along.

The order is that in which a step computes: the weights and the rows that go in, what each layer gives, the loss, the
gradients from the last layer back, the running statistics, and the weights after the update. The first that is not
finite began it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nnx import backends, tree
from nnx.autodiff import value_and_grad
from nnx.autodiff.tensor import value_of
from nnx.layers import LAYERS, Module, training
from nnx.layers.observing import observing
from nnx.layers.training import inference
from nnx.train.objective import minimised
from nnx.train.problem import Problem
from nnx.train.run import Run
from nnx.typing import Array

SHOWN = 8
"""Rows that are named in a sentence."""


@dataclass(frozen=True)
class Began:
    """What was not finite first: ``kind`` is data, weights, layer, loss, gradient, statistics, update, outside or unknown."""

    kind: str
    where: str
    what: str
    fix: str
    rows: tuple[int, ...] = ()


def diagnosed(problem: Problem, run: Run, rows: Any) -> Began:
    """What began it in the next step of ``run``, which takes these rows. Model and run are left as they are."""
    model, rate = run.model, _rate(run)
    within = partial(training, problem.seed, run.step, write_back=False)
    if found := between(model.state(), f"before step {run.step + 1}"):
        return found
    found, grads, loss = computed(problem, model, rows, within, rate)
    if found:
        return found
    params, _ = run.optimizer.update(grads, run.state, model.parameters())
    for path, value in params.items():
        if bad(value):
            return Began(
                "update", path,
                f"{bad(value)} in the weights after the update, though the gradient is finite (largest {_largest(grads[path]):.3g})",
                _slower(rate),
            )  # fmt: skip
    return Began("loss", "fit", f"a loss of {_number(loss)}, too large to be summed", _slower(rate))


def diagnosed_whole(problem: Problem, run: Run, model: Module) -> tuple[Began, Any]:
    """The same where a step takes all rows, as in inference; and the rows of the batch that began it."""
    if found := between(model.state(), "before the first step"):
        return found, None
    for start in range(0, len(problem.train), problem.batch_size):
        rows = np.arange(start, min(start + problem.batch_size, len(problem.train)))
        found, _, _ = computed(problem, model, rows, inference, None)
        if found:
            return found, rows
    return unexplained(run.step, run.step + 1), None


def computed(
    problem: Problem, model: Module, rows: Any, within: Callable[[], Any], rate: float | None
) -> tuple[Began | None, dict[str, Array], Array]:
    """What began it in data, layers, loss, gradients or statistics; the gradients and the loss."""
    x, y = problem.rows(rows)
    if found := _data(problem, rows, x, y):
        return found, {}, x
    first: list[tuple[Module, Any, Any]] = []

    def observer(module: Module, args: tuple[Any, ...], out: Any) -> None:
        if not first and bad(out):
            first.append((module, args, out))

    with within() as this, observing(observer):
        (loss, outputs), grads = value_and_grad(minimised(problem.loss), has_aux=True)(model, x, y)
    if bad(loss):
        found = _of_layer(*first[0], rate) if first else _of_loss(problem.loss, loss, outputs, rate)
        return found, grads, loss
    for path, gradient in reversed(grads.items()):
        if bad(gradient):
            return Began(
                "gradient", path, f"{bad(gradient)} in its gradient, though the loss is finite ({_number(loss)})",
                f"A derivative is infinite after it, as those of sqrt, a norm and log are at 0: add a small number there. Or {_lower(rate)}",
            ), grads, loss  # fmt: skip
    for path, value in this.buffers.items() if this else ():
        if bad(value):
            return Began("statistics", path, f"{bad(value)} in what is kept of the batch", _slower(rate)), grads, loss
    return None, grads, loss


def between(weights: Mapping[str, Array], when: str) -> Began | None:
    """The first of the model's arrays that is not finite, where no step made it so."""
    for path, value in weights.items():
        if bad(value):
            return Began(
                "weights" if "first" in when else "outside", path, f"{bad(value)} in the weights {when}",
                "Initialize the model, or load weights that are whole."
                if "first" in when
                else "It was no step that did it: look at the callbacks, and at what else has the model in hand.",
            )  # fmt: skip
    return None


def unexplained(first: int, last: int) -> Began:
    """Where it does not come again."""
    return Began(
        "unknown", "fit", f"no finite numbers between the steps {first} and {last}, and they did not come again when these were repeated",
        "The model, the loss or the data give something else at every call: draw only by nnx.training (see nnx.Dropout). Or a callback writes into arrays of the model.",
    )  # fmt: skip


def bad(value: Any) -> str:
    """What is not finite among arrays, such as "nan in 3 of 640 numbers"; empty if nothing is."""
    total = count = 0
    kinds: set[str] = set()
    for leaf in tree.leaves(value):
        array = _host(leaf)
        if array is None or array.dtype.kind not in "fc" or np.isfinite(array).all():
            continue
        total, count = total + array.size, count + int((~np.isfinite(array)).sum())
        kinds |= {name for name, is_so in (("nan", np.isnan(array)), ("inf", np.isinf(array))) if is_so.any()}
    if not count:
        return ""
    return (
        f"{' and '.join(sorted(kinds, reverse=True))} in {count:,} of {total:,} numbers"
        if total > 1
        else f"{kinds.pop()}"
    )


def _data(problem: Problem, rows: Any, x: Array, y: Array) -> Began | None:
    """The rows of the batch that are not finite on the device, by their numbers in the training data."""
    numbers = np.asarray(rows)
    for name, there in (("x", x), ("y", y)):
        array = backends.of(there).to_numpy(there)
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        places = np.argwhere(~np.isfinite(array))
        wrong = tuple(int(numbers[i]) for i in dict.fromkeys(places[:, 0].tolist()))
        column = _column(problem, name, places[0, 1:].tolist())
        value = float(array[tuple(places[0])])
        here = np.asarray(getattr(problem.train, name)[wrong[0]], dtype=np.float64)[tuple(places[0, 1:])]
        named = ", ".join(map(str, wrong[:SHOWN])) + (", …" if len(wrong) > SHOWN else "")
        plural = "s" * (len(wrong) > 1)
        if np.isfinite(here):
            return Began(
                "data", f"train.{name}", f"{value:g} in row{plural} {named}{column}: {here:.3g} does not fit into {array.dtype}",
                "Scale the column, or take its logarithm.", wrong,
            )  # fmt: skip
        return Began(
            "data", f"train.{name}", f"{value:g} in row{plural} {named}{column}",
            "They were finite when the data set was made: look at what writes into its arrays or its file.", wrong,
        )  # fmt: skip
    return None


def _column(problem: Problem, name: str, place: list[int]) -> str:
    names = problem.train.feature_names if name == "x" else None
    if names and len(place) == 1:
        return f", feature {names[place[0]]}"
    return f", at {place[0] if len(place) == 1 else tuple(place)}" if place else ""


def _of_layer(module: Module, args: Any, out: Any, rate: float | None) -> Began:
    largest = max((_largest(leaf) for leaf in tree.leaves(args) if _host(leaf) is not None), default=0.0)
    weights = max((_largest(w) for w in module.parameters().values()), default=0.0)
    what = f"{bad(out)} in its output; its input is within {largest:.3g}" + (
        f", its weights within {weights:.3g}" * bool(weights)
    )
    half = any("float16" in str(leaf.dtype) for leaf in tree.leaves(out) if hasattr(leaf, "dtype"))
    if half and "bfloat" not in str(value_of(next(iter(tree.leaves(out)))).dtype):
        fix = "float16 ends at 65504: train in float32."
    elif type(module) in LAYERS:
        fix = _slower(rate)
    else:
        fix = f"Look at what {type(module).__name__}.forward computes: a log or a division of 0, the exp of a large number."
    return Began("layer", module._place(), what, fix)


def _of_loss(function: Any, loss: Array, outputs: Any, rate: float | None) -> Began:
    largest = max((_largest(leaf) for leaf in tree.leaves(outputs)), default=0.0)
    name = getattr(function, "__name__", type(function).__name__)
    own = not getattr(function, "__module__", "").startswith("nnx.")
    fix = (
        "A log or a division of 0, or the exp of a large number: nnx.losses has forms that are safe."
        if own
        else _slower(rate)
    )
    return Began("loss", f"loss {name}", f"{bad(loss)} of finite outputs (within {largest:.3g})", fix)


def _rate(run: Run) -> float | None:
    return run.learning_rate if run.has_rate else None


def _slower(rate: float | None) -> str:
    return f"{_lower(rate)[:1].upper()}{_lower(rate)[1:]}"


def _lower(rate: float | None) -> str:
    if rate is None:
        return "begin with other weights, or scale the data."
    return f"lower the learning rate by 10 (it is {rate:.3g}), or clip the gradients."


def _host(leaf: Any) -> np.ndarray[Any, Any] | None:
    bare = value_of(leaf)
    return backends.of(bare).to_numpy(bare) if hasattr(bare, "dtype") and hasattr(bare, "shape") else None


def _largest(leaf: Any) -> float:
    array = _host(leaf)
    if array is None or not array.size or array.dtype.kind not in "fiu":
        return 0.0
    return float(np.max(np.abs(array.astype(np.float64)), initial=0.0, where=np.isfinite(array)))


def _number(loss: Array) -> str:
    return f"{float(backends.of(loss).to_numpy(loss)):.4g}"
