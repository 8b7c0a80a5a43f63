"""array-api-strict made stricter: a device whose values cannot be read, and shapes that cannot depend on data."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

HOLES = ("__bool__", "__int__", "__float__", "__complex__", "__index__", "__dlpack__", "to_device")
"""What reads an array that is not on the CPU without a complaint (array-api-strict 2.6)."""


def close_the_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each of ``HOLES`` fail on any device but the CPU, as a hidden copy from a GPU ought to."""
    from array_api_strict._array_object import CPU_DEVICE, Array

    def guard(name: str, read: Any) -> Any:
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            assert self.device == CPU_DEVICE, f"{name} moves data off {self.device}: use backend.to_numpy"
            return read(self, *args, **kwargs)

        return guarded

    for name in HOLES:
        monkeypatch.setattr(Array, name, guard(name, getattr(Array, name)))


@contextmanager
def static_shapes() -> Iterator[None]:
    """No boolean indexing and no data-dependent shapes inside; the flags are as before outside."""
    import array_api_strict

    before = array_api_strict.get_array_api_strict_flags()
    try:
        array_api_strict.set_array_api_strict_flags(boolean_indexing=False, data_dependent_shapes=False)
        yield
    finally:
        array_api_strict.set_array_api_strict_flags(**before)
