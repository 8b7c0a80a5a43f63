"""``nnx.parity``: the same step on several backends, and where they part. What compares them is loaded when it is called."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nnx import backends
from nnx.errors import ConfigError, DataError
from nnx.layers import Module
from nnx.typing import Array

if TYPE_CHECKING:
    from nnx.data import Dataset
    from nnx.parity.report import ParityReport


def parity(
    model: Module,
    data: Any,
    *,
    backends: Sequence[Any],
    loss: str | Callable[..., Array] | None = None,
    optimizer: Any = None,
    batch_size: int = 64,
    steps: int = 5,
    seed: int = 0,
) -> "ParityReport":
    """Compare what backends compute: layer by layer, gradient by gradient, step by step; and name the first operation that departs.

    The first backend is the reference. It computes in float64, too, which tells which of two is further from the truth.
    Every operation is compared on the same inputs, within what its arithmetic allows: exact, a few ulp, or 4 √K eps of the
    terms. ``data`` is a data set or a pair (x, y); ``steps`` batches of ``batch_size`` rows are taken, each step from the
    reference's state; a run left to itself is told of, not judged. The model is left as it was.

    Errors: ``ConfigError`` for less than two backends and for numbers that make no sense, ``BackendUnavailable``.

    >>> import nnx
    >>> digits = nnx.data.load("digits")
    >>> model = nnx.Sequential(nnx.Linear(64, 8), nnx.Tanh(), nnx.Linear(8, 10)).initialize(seed=0)
    >>> parity(model, digits, backends=["numpy", "numpy"], steps=1).agrees
    True
    """
    from nnx import losses, optim
    from nnx.data import batch_count
    from nnx.parity.compare import batches, comparison
    from nnx.parity.report import ParityReport
    from nnx.parity.runs import Contestant
    from nnx.train.checks import prepare
    from nnx.train.evaluation import dtype_of
    from nnx.train.objective import default_loss

    chosen = _backends(backends)
    whole = _data(data)
    if not isinstance(model, Module):
        raise ConfigError(
            expected="a Module", got=type(model).__name__, where="parity", fix="Pass a model, e.g. nnx.Sequential(...)."
        )
    for name, value in (("batch_size", batch_size), ("steps", steps)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(
                expected=f"{name} a whole number ≥ 1", got=repr(value), where="parity", fix=f"Write {name}=10."
            )
    optimizer = optim.Adam(1e-3) if optimizer is None else optimizer
    if not isinstance(optimizer, optim.Optimizer):
        raise ConfigError(
            expected="an optimizer of batches",
            got=repr(optimizer),
            where="parity",
            fix="Write optimizer=nnx.optim.Adam(1e-3).",
        )
    model = model.copy()
    prepare(model, whole, seed)
    size = min(batch_size, len(whole))
    optimizer = optimizer.with_steps_per_epoch(batch_count(len(whole), size))
    dtype = dtype_of(model) or "float32"
    loss_of = losses.get(loss or default_loss(whole.task))

    def contestant(backend: Any, dtype: str = dtype) -> Contestant:
        return Contestant(model, whole, loss_of, optimizer, backend, dtype, seed)

    first = contestant(chosen[0])
    truth = contestant(chosen[0], "float64") if dtype != "float64" and not chosen[0].refuses("float64") else None
    rows = batches(whole, size, steps, seed)
    seen = first.watched(rows[0], None)
    found = [comparison(first, contestant(one), contestant(one), truth, rows, seen) for one in chosen[1:]]
    subject = f"{whole.name}: {_described(model)}, {len(rows[0])} rows"
    return ParityReport(subject, dtype, tuple(one.info() for one in chosen), tuple(found))


def _backends(given: Sequence[Any]) -> list[backends.Backend]:
    names = [given] if isinstance(given, (str, backends.Backend)) else list(given)
    if len(names) < 2:
        raise ConfigError(
            expected="two backends or more, the reference first",
            got=", ".join(map(str, names)) or "none",
            where="parity",
            fix="Write backends=['numpy', 'torch'].",
        )
    return [backends.get(name) for name in names]


def _data(given: Any) -> "Dataset":
    from nnx.data import Dataset, load

    whole = given if isinstance(given, Dataset) else load(given)
    if whole.y is None or len(whole) == 0:
        raise DataError(
            expected="rows with targets", got=repr(whole), where="parity", fix="Pass data that can be trained on."
        )
    return whole


def _described(model: Module) -> str:
    weights = sum(array.size for array in model.parameters().values())
    return f"{type(model).__name__} of {weights:,} parameters"
