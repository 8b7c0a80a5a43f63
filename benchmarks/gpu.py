"""The same table on a CUDA GPU, and larger networks: ``python -P benchmarks/gpu.py --full`` (``--dry-run`` on the CPU).

It needs numpy, torch, jax, cupy and nnx, and leaves out what is not there. All multiply in full float32: PyTorch and
CuPy do by default, JAX is told to. JAX is kept from taking most of the memory for itself when it starts. ``--dry-run`` runs
the very same code on the CPU, with NumPy in CuPy's place: the numbers mean nothing, but the code has run.
"""

import argparse
import datetime
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by its file: see run.py
    from importlib.util import module_from_spec, spec_from_file_location

    package = spec_from_file_location("benchmarks", Path(__file__).with_name("__init__.py"))
    assert package
    assert package.loader
    sys.modules["benchmarks"] = module_from_spec(package)
    package.loader.exec_module(sys.modules["benchmarks"])

from benchmarks import RESULTS, run
from benchmarks.contestants import Contestant
from benchmarks.networks import LARGE, REGULAR, TABLE, TINY, Network
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare_all

BIG = (
    Network((1024, 4096, 4096, 100), 512),
    Network((1024, 8192, 8192, 100), 512),
    Network((1024, 8192, 8192, 100), 4096),
)
DRY = (Network((16, 8, 4), 8), Network((16, 8, 4), 8, regular=True))

PRECISE = {"JAX_DEFAULT_MATMUL_PRECISION": "highest", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def contestants(dry: bool) -> tuple[Contestant, ...]:
    """Everyone, on CUDA or on the CPU."""
    cupy, cuda, gpu = ("numpy", "cpu", "cpu") if dry else ("cupy", "cuda", "gpu")
    on_jax: dict[str, Any] = {"needs": ("jax",), "environment": PRECISE}
    both = ("step", "inference")
    return (
        Contestant("nnx on cupy", "ours", {"backend": cupy}, (cupy,)),
        Contestant("nnx on torch", "ours", {"backend": f"torch:{cuda}"}, ("torch",)),
        Contestant("nnx on jax", "ours", {"backend": f"jax:{gpu}"}, **on_jax),
        Contestant("PyTorch, fused Adam", "pytorch", {"fused": True, "device": cuda}, ("torch",)),
        Contestant("PyTorch, default Adam", "pytorch", {"fused": False, "device": cuda}, ("torch",)),
        Contestant(
            "PyTorch, compiled",
            "pytorch",
            {"fused": True, "compiled": True, "device": cuda},
            ("torch",),
            questions=both,
            quick=False,
        ),
        Contestant("JAX, jit", "jax_jit", {"device": gpu}, **on_jax),
        Contestant("CuPy by hand", "by_hand", {"library": cupy}, (cupy,), regular=False),
        Contestant("its matrix products", "products", {"library": cupy}, (cupy,), questions=both),
    )


class Question:
    """One of the three questions on a list of networks; like the modules that ask them on the CPU."""

    def __init__(self, question: str, full: tuple[Network, ...], quick: tuple[Network, ...]) -> None:
        self.question, self.full, self.quick = question, full, quick

    def measure(self, field: Field, effort: Effort) -> Result:
        """Time everyone on every network."""
        return compare_all(field, self.question, self.full if effort.full else self.quick, effort)


def questions(dry: bool) -> dict[str, Question]:
    """What is asked. A dry run takes networks of a few numbers."""
    if dry:
        return {name: Question(name, DRY, DRY) for name in ("step", "inference", "update")}
    answers = tuple(network.at(batch) for network in (*TABLE, *BIG[:2]) for batch in (1, 256))
    return {
        "step": Question("step", (*TABLE, *REGULAR, *BIG), (TINY, LARGE)),
        "inference": Question("inference", answers, (TINY.at(1), LARGE.at(256))),
        "update": Question("update", (LARGE, BIG[1]), (LARGE,)),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="gpu.py", description="Time nnx on a CUDA GPU against what it is compared with."
    )
    parser.add_argument("--full", action="store_true", help="all networks (quick: the smallest and one large)")
    parser.add_argument("--dry-run", action="store_true", help="run the code on the CPU; the numbers mean nothing")
    run.add_effort(parser)
    parser.set_defaults(total=3600.0)
    settings = parser.parse_args(arguments)
    if not settings.dry_run and not (find_spec("cupy") or find_spec("torch") or find_spec("jax")):
        parser.error("neither cupy, torch nor jax is installed; --dry-run needs no GPU")
    mode = "gpu-dry-run" if settings.dry_run else "gpu-full" if settings.full else "gpu-quick"
    settings.out = settings.out or RESULTS / f"{datetime.date.today():%Y-%m-%d}-{mode}.json"
    if settings.dry_run:
        settings.rounds, settings.seconds = settings.rounds or 2, settings.seconds or 0.001
    return run.run(questions(settings.dry_run), contestants(settings.dry_run), settings, mode)


if __name__ == "__main__":
    sys.exit(main())
