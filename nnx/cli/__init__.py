"""The command line: ``nnx train``, ``evaluate``, ``predict``, ``summary``, ``backends``. Each verb calls one public function.

==============  ==================================================================
app.py          the verbs and their flags, and how every mistake ends in one line
config.py       Settings: what can be set, by flag or in a TOML file
build.py        from settings to data, model and optimizer
runs.py         the directory of a run
display.py      a training as live lines, plain lines or lines of JSON
train.py …      one file for each verb
==============  ==================================================================
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing is imported for it before it is called."""
    from nnx.cli.app import run

    return run(argv)
