"""Vectors of this processor in LLVM's language, for inner loops that numba would not write so. Needs numba."""

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir

_FEATURES = binding.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f"))

BYTES = 64 if _WIDE else 32 if _FEATURES.get("avx2") else 16
"""A vector."""

MANY = _WIDE or binding.get_process_triple().startswith(("aarch64", "arm64"))
"""Whether there are 32 registers for vectors; 16 else."""

INDEX = ir.IntType(64)


def bits(real: Any) -> int:
    """Of a floating number."""
    return 32 if isinstance(real, ir.FloatType) else 64


def of(kind: Any, width: int) -> Any:
    """The type of a vector; of one number, the number's own."""
    return ir.VectorType(kind, width) if width > 1 else kind


def constant(kind: Any, number: float, width: int) -> Any:
    """A vector of a number that is known."""
    return ir.Constant(of(kind, width), [number] * width if width > 1 else number)


def everywhere(build: Any, number: Any, width: int) -> Any:
    """A vector of one number."""
    if width == 1:
        return number
    nothing, lane = ir.Constant(of(number.type, width), ir.Undefined), ir.IntType(32)
    one = build.insert_element(nothing, number, lane(0))
    return build.shuffle_vector(one, nothing, constant(lane, 0, width))


def load(build: Any, start: Any, width: int, size: int) -> Any:
    """The vector that begins there; numbers of ``size`` bytes lie in order."""
    return build.load(_there(build, start, width), align=size)


def store(build: Any, vector: Any, start: Any, width: int, size: int) -> None:
    """Write a vector there."""
    build.store(vector, _there(build, start, width), align=size)


def _there(build: Any, start: Any, width: int) -> Any:
    return build.bitcast(start, ir.PointerType(of(start.type.pointee, width)))


def choose(build: Any, lanes: Any, real: Any, two: bool, write: Callable[[int, int], None]) -> None:
    """``write(width, vectors)`` for as many lanes as are asked for when it runs: a power of two, up to two vectors or one."""
    most = BYTES // (bits(real) // 8)
    end = build.append_basic_block("end")
    choice = build.switch(lanes, end)
    kinds = [(most, 2)] * two + [(2**power, 1) for power in reversed(range(most.bit_length()))]
    for width, vectors in kinds:
        block = build.append_basic_block(f"lanes_{width * vectors}")
        choice.add_case(INDEX(width * vectors), block)
        build.position_at_end(block)
        write(width, vectors)
        build.branch(end)
    build.position_at_end(end)
