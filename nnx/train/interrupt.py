"""^C and SIGTERM while training: the first is a wish, met at the next step boundary; the second is obeyed at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Wish:
    """The signals that came; ``meet`` ends the training between two steps, so that no array is half written."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def meet(self) -> None:
        """Raise ``KeyboardInterrupt`` if there was one."""
        if self.signals:
            raise KeyboardInterrupt

    @property
    def insisted(self) -> bool:
        """Whether another came before the first was met."""
        return len(self.signals) > 1

    @property
    def word(self) -> str:
        """What the first asked for."""
        return WORDS[signal.Signals(self.signals[0])] if self.signals else "interrupted"


@contextmanager
def interruptible() -> Iterator[Wish]:
    """Within, the two signals are noted instead of obeyed. A thread, or a program with handlers of its own, is left as it is."""
    wish = Wish()
    usual: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

    def note(number: int, frame: FrameType | None) -> None:
        wish.signals.append(number)
        if wish.insisted and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        elif wish.insisted:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    mine: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        mine = [number for number, handler in usual.items() if signal.getsignal(number) is handler]
    for number in mine:
        signal.signal(number, note)
    try:
        yield wish
    finally:
        for number in mine:
            signal.signal(number, usual[number])
