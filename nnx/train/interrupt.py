"""^C while training: the first is a wish, met at the next step boundary; the second is obeyed at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Wish:
    """How often ^C was pressed; ``meet`` ends the training between two steps, so that no array is half written."""

    count = 0

    def meet(self) -> None:
        """Raise ``KeyboardInterrupt`` if it was pressed."""
        if self.count:
            raise KeyboardInterrupt

    @property
    def insisted(self) -> bool:
        """Whether it was pressed again before the first was met."""
        return self.count > 1


@contextmanager
def interruptible() -> Iterator[Wish]:
    """Within, ^C is noted instead of raised. A thread, or a program with its own handler, is left as it is."""
    wish = Wish()

    def note(number: int, frame: FrameType | None) -> None:
        wish.count += 1
        if wish.insisted:
            signal.default_int_handler(number, frame)

    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield wish
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
