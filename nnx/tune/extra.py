"""Optuna, which is loaded when a search begins and not before."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nnx.errors import BackendUnavailable


class TuneUnavailable(BackendUnavailable):
    """Optuna, or the driver of a database, is not installed."""


def optuna() -> Any:
    """The library, or ``TuneUnavailable`` with the command that installs it."""
    try:
        import optuna
    except ImportError:
        raise TuneUnavailable("optuna is not installed", fix='Run: python -m pip install "nnx-array[tune]"') from None
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Within, Optuna says nothing on standard error: neither what it does nor what it calls experimental."""
    library = optuna()
    level = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            yield
    finally:
        library.logging.set_verbosity(level)
