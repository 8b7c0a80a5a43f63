"""Reduce on plateau inside ``fit``: a callback, for it depends on what training measures."""

from collections.abc import Callable

from nnx.errors import ConfigError
from nnx.optim import ReduceOnPlateau
from nnx.train.callbacks.base import Callback
from nnx.train.record import Record
from nnx.train.run import Run

GROWING = ("accuracy", "r2")
"""Metrics that grow with quality."""


class Plateau(Callback):
    """After each epoch ``reduce`` sees the value of ``monitor``; where that has stopped improving the learning rate falls.

    ``nnx.fit(..., callbacks=[nnx.optim.ReduceOnPlateau(factor=0.5, patience=5)])`` is short for ``Plateau`` of it.
    ``monitor`` is "val_loss", without validation data "loss". The reduction multiplies whatever the schedule of the
    optimizer says, from the next epoch on; ``plateau.reductions`` lists them as (epoch, old rate, new rate), and
    ``tell`` is called with a line for each.

    >>> import nnx
    >>> plateau = Plateau(ReduceOnPlateau(factor=0.5, patience=0, threshold=0.9))
    >>> model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10))
    >>> run = nnx.fit(model, nnx.data.load("digits"), optimizer=nnx.optim.SGD(0.1), epochs=3, callbacks=[plateau])
    >>> plateau.reductions
    [(2, 0.1, 0.05), (3, 0.05, 0.025)]

    Errors: ``ConfigError`` for a monitor that is not measured, for one that grows with quality without
    ``ReduceOnPlateau(mode="max")`` or the reverse, and for L-BFGS, which has no rate.
    """

    remembers = ("watched", "reductions")

    def __init__(
        self,
        reduce: ReduceOnPlateau | None = None,
        *,
        monitor: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.reduce = reduce or ReduceOnPlateau()
        self.monitor, self.tell = monitor, tell
        if monitor is not None and (monitor.rpartition("val_")[2] in GROWING) != (self.reduce.mode == "max"):
            other = "min" if self.reduce.mode == "max" else "max"
            raise ConfigError(
                expected=f'mode="{other}" for {monitor}',
                got=f'mode="{self.reduce.mode}"',
                where="Plateau",
                fix=f'Write Plateau(ReduceOnPlateau(mode="{other}"), monitor="{monitor}").',
            )

    def on_start(self, run: Run) -> None:
        """Forget an earlier training."""
        if not run.step:  # a training that is resumed may be with L-BFGS by now
            need_rate(run, "reduce on plateau")
        self.watched = self.reduce.init()
        self.reductions: list[tuple[int, float, float]] = []

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Look at the epoch's value."""
        monitor = self.monitor or ("val_loss" if run.validated else "loss")
        if monitor not in record:
            raise ConfigError(
                expected=f"monitor one of {', '.join(record)}",
                got=repr(monitor),
                where="Plateau",
                fix="Give fit validation data for the val_ values.",
            )
        before, self.watched = self.watched, self.reduce.observe(float(record[monitor]), self.watched)
        if run.has_rate and self.watched["factor"] < before["factor"]:
            old = run.learning_rate
            run.scale_rate(self.watched["factor"] / before["factor"])
            self.reductions.append((int(record["epoch"]), old, run.learning_rate))
            if self.tell is not None:
                self.tell(
                    f"epoch {record['epoch']}: {monitor.replace('_', ' ')} has stopped improving; "
                    f"learning rate {old:.4g} → {run.learning_rate:.4g}"
                )
        return None


def need_rate(run: Run, what: str) -> None:
    """``ConfigError`` where the optimizer has no learning rate."""
    if not run.has_rate:
        raise ConfigError(
            expected=f"an optimizer with a learning rate, for {what}",
            got=type(run.optimizer).__name__,
            where="fit",
            fix="Leave it away: a line search finds the length of each step itself.",
        )
