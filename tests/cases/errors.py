"""The table of malformed uses: what people get wrong, and what the answer must say.

A row has the use, the type of the error, and four texts that its answer must have: where (a layer's path, an argument, a field,
a file's line, a flag), what was expected, what came, and what to do. ``ROWS`` are uses of the library, ``COMMANDS`` command lines.
"""

from cases.errors_command import COMMANDS
from cases.errors_data import ROWS as DATA
from cases.errors_functions import ROWS as FUNCTIONS
from cases.errors_layers import ROWS as LAYERS
from cases.errors_training import ROWS as TRAINING

ROWS = (*LAYERS, *TRAINING, *DATA, *FUNCTIONS)

__all__ = ["COMMANDS", "ROWS"]
