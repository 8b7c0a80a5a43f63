"""``nnx.doctor``: one object to call, which loads the checks when they are first needed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nnx.layers import Module
from nnx.typing import Array

if TYPE_CHECKING:
    from nnx.doctor.report import Report
    from nnx.doctor.verdict import Check
    from nnx.doctor.watch import Watch


class Doctor:
    """``nnx.doctor(model, train, val)``: say why a network does not learn, and what to do. See :meth:`__call__`."""

    @property
    def Watch(self) -> "type[Watch]":  # noqa: N802 (a class)
        """The callback that looks on while ``nnx.fit`` runs."""
        from nnx.doctor.watch import Watch

        return Watch

    @property
    def checks(self) -> "dict[str, Check]":
        """Every check by its id, with title, limits, remedy and source."""
        from nnx.doctor.examine import CHECKS

        return CHECKS

    def __call__(
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
        check: str = "full",
        only: tuple[str, ...] = (),
    ) -> "Report":
        """Examine a model, as it would begin its training, with its data and settings.

        ``train``, ``val`` and ``test`` are data sets or pairs (x, y) of arrays, which may be as broken as they like;
        ``loss``, ``optimizer``, ``epochs``, ``batch_size``, ``backend`` and ``seed`` mean what they mean to
        ``nnx.fit``; without ``epochs`` it is not asked whether a schedule lasts. ``penalty`` is a regulariser
        that is added to the loss (one in the optimizer's chain is found by itself), ``augment`` a function of a batch
        of inputs on the device. ``check="quick"`` looks at the data and the start, under a second; ``"full"`` trains
        copies, too. ``only`` names the checks to run, such as ("D3", "I1"); what they build on is not judged then.

        The model is left as it was, bit for bit, and no random stream of it is touched. Errors: ``ConfigError``,
        ``DataError``, ``DtypeError`` or ``ShapeError`` for arguments that cannot be examined at all.

        >>> import numpy as np, nnx
        >>> x = np.zeros((64, 3), dtype="float32")
        >>> x[5, 1] = np.nan
        >>> report = doctor(nnx.Linear(3, 2), (x, np.arange(64) % 2), check="quick")
        >>> report["D1"].severity, report["D1"].where, report.failed
        ('fail', 'train.x, row 5, column 1', True)
        """
        from nnx.doctor.examine import examine
        from nnx.doctor.subject import Subject

        subject = Subject(
            model, train, val, test=test, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size, penalty=penalty, augment=augment,
            backend=backend, seed=seed,
        )  # fmt: skip
        return examine(subject, check, only)

    def __repr__(self) -> str:
        return "nnx.doctor"


doctor = Doctor()
