"""A tile of a sum of products, kept in registers, and convolution and its weight gradient made of such tiles. Needs numba.

A tile is ``out[r, o] = base[r, o] + Σ over j of x[rows[r] + sums[j]] · b[j, o]`` for :data:`ROWS` rows r and a few
vectors of columns o. With the pixels of the output as rows and the places of the kernel as sums, and b the weight, that
is a convolution; the other way round, and b the gradient of y, it is the gradient of the weight: no window is ever
gathered. numba's own loops would keep the tile in memory, so its inner loop is written for LLVM as it shall be: vectors
as wide as this processor has. Each sum is taken in the order of j, multiplied and added at one rounding where the
processor can, whatever tile it falls into.
"""

from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from nnx.backends.convolution import vectors
from nnx.backends.convolution.vectors import BYTES, INDEX
from nnx.backends.fast import compiled

ROWS = 9 if vectors.MANY else 4
"""Rows of a tile: with two vectors of columns its sums and what they are made of fill 32 registers, or 16."""


def kernel(dtype: np.dtype) -> Any:
    """The compiled :func:`_convolution` for such arrays."""
    return _kernel(dtype.char)


@cache
def _kernel(char: str) -> Any:
    real, place = numba.from_dtype(np.dtype(char)), numba.int64
    images, room, table, numbers, out = (
        numba.types.Array(kind, axes, "C", readonly=not written)
        for kind, axes, written in [
            (real, 3, False),
            (real, 1, True),
            (place, 1, False),
            (real, 1, False),
            (real, 1, True),
        ]
    )
    made: Any = compiled.njit(_convolution)
    made.compile((images, room, table, table, numbers, numbers, out, *[numba.int64] * 13))
    made.disable_compile()
    return made


def _convolution(  # type: ignore[no-untyped-def]
    x, room, pixels, taps, b, base, out,
    to_weight, top, bottom, band, rows, line, stride, above, left, width, groups, share, columns,
):  # fmt: skip
    """Rows ``top`` to ``bottom`` of the output of every image, or what they add to the weight.

    x (images, height, width·channels); ``room``: for ``band`` rows of the output, the rows of x that they are made of
    with zeros around, ``width`` numbers each. ``rows`` of ``line`` pixels has a whole image of b or out. ``stride``:
    between rows; ``above``, ``left``: zeros there, in rows and in numbers. Each of ``groups`` has ``share`` channels of
    x and ``columns`` of b and out.
    """
    size = groups * columns
    for image in range(len(x)):
        for at in range(top, bottom, band):
            count = min(band, bottom - at)
            _fill(x[image], room, at * stride - above, left, width)
            first = (image * rows + at) * line * size
            here = pixels[: count * line]
            for group in range(groups):
                column = group * columns
                if to_weight:
                    whole, terms, b_at, out_at, base_step = taps, here, first + column, column, size
                else:
                    whole, terms, b_at, out_at, base_step = here, taps, column, first + column, 0
                _tiles(room, group * share, whole, terms, b, b_at, base, column, base_step, out, out_at, size, columns)


@numba.njit(nogil=True, error_model="numpy")
def _fill(x, room, first, left, width):  # type: ignore[no-untyped-def]
    """Rows of an image from ``first`` on, zeros where there are none."""
    height, length = x.shape
    for i in range(room.size // width):
        line, y = room[i * width : (i + 1) * width], first + i
        if 0 <= y < height:
            inside = line[left : left + length]
            line[:left] = 0
            for j in range(inside.size):
                inside[j] = x[y, j]
            line[left + length :] = 0
        else:
            line[:] = 0


@numba.njit(nogil=True, error_model="numpy")
def _tiles(x, x_at, rows, sums, b, b_at, base, base_at, base_step, out, out_at, step, columns):  # type: ignore[no-untyped-def]
    """All rows and columns, one panel of columns after the other, in the widest vectors that fit."""
    column = 0
    while column < columns:
        lanes = 2 * (BYTES // x.itemsize)
        while lanes > columns - column:
            lanes //= 2
        if base_step == 0 and lanes < columns - column and 2 * lanes <= min(columns, 2 * (BYTES // x.itemsize)):
            lanes *= 2  # one panel more that begins among the columns before, rather than two narrow ones
            column = columns - lanes
        for row in range(0, rows.size, ROWS):
            _tile(
                x, x_at, rows, row, sums, b, b_at + column, step, base, base_at + row * base_step + column, base_step,
                out, out_at + row * step + column, step, min(ROWS, rows.size - row), lanes,
            )  # fmt: skip
        column += lanes


@intrinsic
def _tile(  # type: ignore[no-untyped-def]
    context, x, x_at, rows, row, sums, b, b_at, b_step, base, base_at, base_step, out, out_at, out_step, count, lanes
):  # fmt: skip
    """One tile of ``count`` rows, at most :data:`ROWS`, and ``lanes`` columns: a power of two."""
    at = numba.int64
    signature = numba.void(x, at, rows, at, sums, b, at, at, base, at, at, out, at, at, at, at)

    def write(target, build, signature, given):  # type: ignore[no-untyped-def]
        arrays = {i: target.make_array(signature.args[i])(target, build, given[i]) for i in (0, 2, 4, 5, 8, 11)}
        starts = {i: build.gep(arrays[i].data, [given[j]]) for i, j in {0: 1, 2: 3, 5: 6, 8: 9, 11: 12}.items()}
        terms = build.extract_value(arrays[4].shape, 0)
        passed = [
            starts[0], starts[2], arrays[4].data, terms, starts[5], given[7], starts[8], given[10], starts[11], given[13], given[14],
        ]  # fmt: skip
        real = target.get_data_type(x.dtype)
        vectors.choose(
            build,
            given[15],
            real,
            True,
            lambda width, count: build.call(_inner(build.module, real, width, count), passed),
        )
        return target.get_dummy_value()

    return signature, write


def _inner(module: Any, real: Any, width: int, count: int) -> Any:
    """The tile of ``count`` vectors of columns as a function in LLVM's language: no memory in its inner loop but what is read."""
    bits, pointer, places = vectors.bits(real), ir.PointerType(real), ir.PointerType(INDEX)
    kinds = [pointer, places, places, INDEX, pointer, INDEX, pointer, INDEX, pointer, INDEX, INDEX]
    name = f"nnx_tile_{bits}_{count}x{width}"
    function = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    if function.blocks:
        return function
    function.linkage = "internal"
    x, rows, sums, terms, b, b_step, base, base_step, out, out_step, wanted = function.args
    build, vector = ir.IRBuilder(function.append_basic_block("entry")), vectors.of(real, width)
    name = f"llvm.fmuladd.{f'v{width}' if width > 1 else ''}f{bits}"
    multiply_add = cgutils.get_or_insert_function(module, ir.FunctionType(vector, [vector] * 3), name)

    def place(start: Any, index: Any, step: Any, v: int) -> Any:
        """Where vector v of a row stands."""
        return build.gep(start, [build.add(build.mul(index, step), INDEX(width * v))])

    total = [[build.alloca(vector) for _ in range(count)] for _ in range(ROWS)]
    last, starts = build.sub(wanted, INDEX(1)), []
    for r, of_row in enumerate(total):
        for sum_ in of_row:
            build.store(vectors.constant(real, 0.0, width), sum_)
        known = build.select(
            build.icmp_signed("<", INDEX(r), wanted), INDEX(r), last
        )  # a row too many is the last again
        starts.append(build.load(build.gep(rows, [known])))
    with cgutils.for_range(build, terms, intp=INDEX) as loop:
        there = build.gep(x, [build.load(build.gep(sums, [loop.index]))])
        factors = [vectors.load(build, place(b, loop.index, b_step, v), width, bits // 8) for v in range(count)]
        for start, of_row in zip(starts, total, strict=True):
            number = vectors.everywhere(build, build.load(build.gep(there, [start])), width)
            for factor, sum_ in zip(factors, of_row, strict=True):
                build.store(build.call(multiply_add, [number, factor, build.load(sum_)]), sum_)
    for r, of_row in enumerate(total):
        with build.if_then(build.icmp_signed("<", INDEX(r), wanted)):
            for v, sum_ in enumerate(of_row):
                before = vectors.load(build, place(base, INDEX(r), base_step, v), width, bits // 8)
                whole = build.fadd(before, build.load(sum_))
                vectors.store(build, whole, place(out, INDEX(r), out_step, v), width, bits // 8)
    build.ret_void()
    return function
