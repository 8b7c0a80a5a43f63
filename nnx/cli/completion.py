"""``nnx completion``: what a shell needs to complete verbs, flags, their words and the names of files."""

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from nnx import backends
from nnx.cli.plot import PICTURES
from nnx.losses import LOSSES
from nnx.models import ACTIVATIONS
from nnx.optim.registry import OPTIMIZERS, SCHEDULES

FILES = ("source", "run", "data", "out", "config_file", "directory")
"""Parameters that name a file or a directory."""

WORDS: dict[str, tuple[str, ...]] = {
    "task": ("auto", "classification", "regression"),
    "activation": tuple(ACTIVATIONS),
    "backend": backends.names(),
    "optimizer": (*OPTIMIZERS, "lbfgs"),
    "schedule": (*(name for name in SCHEDULES if name != "warmup"), "plateau"),
    "finish": ("lbfgs",),
    "loss": tuple(LOSSES),
    "check": ("quick", "full", "off"),
    "method": ("centred", "one-sided", "richardson"),
    "sampler": ("random", "tpe"),
    "pruner": ("none", "asha"),
    "picture": tuple(PICTURES),
}
"""The words that parameters take; some take more, such as cupy:0 or sgd:momentum=0.9."""


def completion(shell: Literal["bash", "zsh", "fish"], /, *, install: bool = False) -> int:
    """Completion of verbs, flags and files with the Tab key.

    Prints the script of a shell: bash, zsh or fish. With --install it is put where the shell looks for it, and a line
    that loads it is added to ~/.bashrc or ~/.zshrc; after that, begin a new shell.

    Examples:

    nnx completion bash --install

    nnx completion zsh > ~/.zsh/completions/_cyclopts_nnx

    nnx completion fish > ~/.config/fish/completions/nnx.fish
    """
    app = described()
    if install:
        print(f"{app.install_completion(shell=shell)} is written. Begin a new {shell}, and press Tab after nnx.")
    else:
        print(app.generate_completion(prog_name="nnx", shell=shell), end="")
    return 0


def described() -> Any:
    """The verbs with parameters that say what may stand there, for the scripts alone: when a verb runs, nnx judges that itself."""
    from nnx.cli.app import VERBS, _app

    app = _app()
    for verb in VERBS:
        function = app[verb].default_command
        signature = inspect.signature(function)
        parameters = [p.replace(annotation=_hinted(p.name, p.annotation)) for p in signature.parameters.values()]
        function.__signature__ = signature.replace(parameters=parameters)
    return app


def _hinted(name: str, annotation: Any) -> Any:
    """The annotation of a parameter, with what it takes in place of plain text."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *about = get_args(annotation)
    words = WORDS.get(name)
    if name in FILES:
        kind = Path
    elif words:
        kind = Literal[words]
    return Annotated[kind, *about]
