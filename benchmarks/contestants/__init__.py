"""Who is timed. Each file sets one library up as its own users would, from the same weights and batches.

A file has ``make(question, network, **options)``, which gives a :class:`benchmarks.timer.Job` whose ``loss()`` trains one
more step and tells the loss: so a test can hold that all of them do the same work. And ``versions()``: what it runs on.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

QUESTIONS = ("step", "inference", "update")


@dataclass(frozen=True)
class Contestant:
    """A library in one way of using it.

    ``file`` is a module of this package, ``options`` go to its ``make``; contestants of the same file and environment
    share a process. ``needs`` must be importable, ``hides`` is made not to be.
    """

    label: str
    file: str
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    questions: tuple[str, ...] = QUESTIONS
    regular: bool = True
    """Whether it does batch norm and dropout."""
    quick: bool = True
    """Whether it takes part in quick runs."""

    def missing(self) -> str:
        """What it needs and is not installed; empty if nothing."""
        return ", ".join(name for name in self.needs if find_spec(name) is None)

    def plays(self, question: str, regular: bool = False) -> bool:
        """Whether it takes part in a question."""
        return question in self.questions and (self.regular or not regular)


OURS = "nnx"
PURE = "nnx without fast"
WRITTEN = "nnx, as written"
FUSED = "PyTorch, fused Adam"
DEFAULT = "PyTorch, default Adam"
COMPILED = "PyTorch, compiled"
JAX = "JAX, jit"
ON_TORCH = "nnx on torch"
ON_JAX = "nnx on jax"
SKLEARN = "scikit-learn"
KERAS = "Keras 3"
BY_HAND = "NumPy by hand"
FLOOR = "its matrix products"

CONTESTANTS = (
    Contestant(OURS, "ours", {"backend": "numpy"}),
    Contestant(PURE, "ours", {"backend": "numpy"}, hides=("numba", "threadpoolctl")),
    Contestant(WRITTEN, "ours", {"backend": "numpy", "written": True}, questions=("step", "inference"), quick=False),
    Contestant(FUSED, "pytorch", {"fused": True}, ("torch",)),
    Contestant(DEFAULT, "pytorch", {"fused": False}, ("torch",), quick=False),
    Contestant(
        COMPILED, "pytorch", {"fused": True, "compiled": True}, ("torch",), questions=("step", "inference"), quick=False
    ),
    Contestant(JAX, "jax_jit", {}, ("jax",)),
    Contestant(SKLEARN, "scikit_learn", {}, ("sklearn",), questions=("step", "inference"), regular=False),
    Contestant(KERAS, "keras3", {}, ("keras",), questions=("step", "inference")),
    Contestant(BY_HAND, "by_hand", {"library": "numpy"}, regular=False),
    Contestant(FLOOR, "products", {"library": "numpy"}, questions=("step", "inference"), regular=True),
    Contestant(ON_TORCH, "ours", {"backend": "torch:cpu"}, ("torch",), quick=False),
    Contestant(ON_JAX, "ours", {"backend": "jax:cpu"}, ("jax",), quick=False),
)
"""Everyone on the CPU. The first is the one that ratios are taken against unless a target says otherwise."""

CONVOLVING = (OURS, PURE, WRITTEN, FUSED, DEFAULT, COMPILED, ON_TORCH, ON_JAX)
"""Those that have the convolutional network."""
