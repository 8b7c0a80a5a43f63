"""One door to data: by name, by path, or from arrays."""

from typing import Any

from nnx.data.dataset import Dataset
from nnx.data.digits import digits
from nnx.errors import ConfigError


def load(source: Any) -> Dataset:
    """The data set that ``source`` names: ``"digits"``."""
    if source == "digits":
        return digits()
    raise ConfigError(expected="a data source", got=repr(source), fix="Use 'digits'.")
