"""Learning rates over time."""


class Schedule:
    """A callable step -> float."""

    def __call__(self, step: int) -> float:
        raise NotImplementedError
