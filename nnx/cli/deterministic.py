"""``--deterministic``: a command that starts itself again with one thread and fixed kernels, before NumPy loads."""

from nnx.backends import deterministic
from nnx.cli.config import Settings

_process: list[bool] = [False]


def whole_process() -> None:
    """This process is the command and nothing else: it may start itself again."""
    _process[0] = True


def fixed(settings: Settings) -> None:
    """See to it, if the settings ask for it. In a process that is not the command's own it can only warn."""
    if settings.deterministic and _process[0]:
        deterministic.restart()
    elif settings.deterministic:
        deterministic.check()


def notes(settings: Settings) -> list[str]:
    """What to say about it."""
    return [deterministic.said()] if settings.deterministic and not deterministic.missing() else []
