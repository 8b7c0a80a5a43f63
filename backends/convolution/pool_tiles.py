"""Pool and unpool of NumPy arrays, a vector of channels at a time. Needs numba.

numba's own loops look anew at every pixel whether arrays overlap, which takes longer than its few channels do.
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

PLACE = ir.IntType(8)
"""Where in a window the largest value stood."""


@cache
def loops(char: str) -> tuple[Any, Any]:
    """The compiled :func:`_pool` and :func:`_unpool` for such arrays."""
    real, index = numba.from_dtype(np.dtype(char)), numba.int64

    def flat(kind: Any, written: bool = False) -> Any:
        return numba.types.Array(kind, 1, "C", readonly=not written)

    pool: Any = compiled.njit(_pool)
    unpool: Any = compiled.njit(_unpool)
    tables, sizes = [flat(index)] * 2, [index] * 3
    pool.compile((flat(real), *tables, flat(real, True), flat(numba.uint8, True), *sizes))
    unpool.compile((flat(real), flat(numba.uint8), *tables, flat(real, True), *sizes, index))
    for made in (pool, unpool):
        made.disable_compile()
    return pool, unpool


def _pool(x, pixels, taps, y, place, images, size, channels):  # type: ignore[no-untyped-def]
    """Of ``size`` numbers is an image of x, in which windows begin at ``pixels`` and have their values at ``taps``."""
    for image in range(images):
        for p in range(pixels.size):
            at, start = image * size + pixels[p], (image * pixels.size + p) * channels
            c = 0
            while c < channels:
                lanes = BYTES // x.itemsize
                while lanes > channels - c:
                    lanes //= 2
                _largest(x, at + c, taps, y, start + c, place, lanes)
                c += lanes


def _unpool(g, place, pixels, taps, out, images, size, channels, apart):  # type: ignore[no-untyped-def]
    """``apart``: no place is met twice, so values are written rather than added; else the last window comes first: then
    what meets at one place is added from its first tap to its last, as slices are, and the bits are theirs.
    """
    for image in range(images):
        for p in range(pixels.size - 1, -1, -1):
            at, start = image * size + pixels[p], (image * pixels.size + p) * channels
            c = 0
            while c < channels:
                lanes = BYTES // g.itemsize
                while lanes > channels - c:
                    lanes //= 2
                _put_back(g, start + c, place, taps, out, at + c, apart, lanes)
                c += lanes


@intrinsic
def _largest(context, x, x_at, taps, y, y_at, place, lanes):  # type: ignore[no-untyped-def]
    """The largest value of one window, of equal ones the first; NaN is larger than any number."""
    at = numba.int64

    def write(target, build, signature, given):  # type: ignore[no-untyped-def]
        from_, offsets, to, mark = (target.make_array(signature.args[i])(target, build, given[i]) for i in (0, 2, 3, 5))
        real, count = target.get_data_type(x.dtype), build.extract_value(offsets.shape, 0)
        start, target_y, target_place = build.gep(from_.data, [given[1]]), to.data, mark.data

        def of_width(width: int, _: int) -> None:
            size = vectors.bits(real) // 8

            def value(k: Any) -> Any:
                return vectors.load(build, build.gep(start, [build.load(build.gep(offsets.data, [k]))]), width, size)

            best = cgutils.alloca_once_value(build, value(INDEX(0)))
            where = cgutils.alloca_once_value(build, vectors.constant(PLACE, 0, width))
            with cgutils.for_range(build, count, start=INDEX(1), intp=INDEX) as loop:
                part, so_far = value(loop.index), build.load(best)
                new = build.and_(build.fcmp_unordered("uno", part, part), build.fcmp_ordered("ord", so_far, so_far))
                better = build.or_(build.fcmp_ordered(">", part, so_far), new)
                build.store(build.select(better, part, so_far), best)
                here = vectors.everywhere(build, build.trunc(loop.index, PLACE), width)
                build.store(build.select(better, here, build.load(where)), where)
            vectors.store(build, build.load(best), build.gep(target_y, [given[4]]), width, size)
            vectors.store(build, build.load(where), build.gep(target_place, [given[4]]), width, 1)

        vectors.choose(build, given[6], real, False, of_width)
        return target.get_dummy_value()

    return numba.void(x, at, taps, y, at, place, at), write


@intrinsic
def _put_back(context, g, g_at, place, taps, out, out_at, apart, lanes):  # type: ignore[no-untyped-def]
    """One value for each channel where its window had the largest, and zeros at the window's other places."""
    at = numba.int64

    def write(target, build, signature, given):  # type: ignore[no-untyped-def]
        from_, mark, offsets, to = (target.make_array(signature.args[i])(target, build, given[i]) for i in (0, 2, 3, 4))
        real, count = target.get_data_type(g.dtype), build.extract_value(offsets.shape, 0)
        start = build.gep(to.data, [given[5]])

        def of_width(width: int, _: int) -> None:
            size = vectors.bits(real) // 8
            value = vectors.load(build, build.gep(from_.data, [given[1]]), width, size)
            where = vectors.load(build, build.gep(mark.data, [given[1]]), width, 1)
            with cgutils.for_range(build, count, intp=INDEX) as loop:
                here = build.icmp_signed("==", where, vectors.everywhere(build, build.trunc(loop.index, PLACE), width))
                part = build.select(here, value, vectors.constant(real, 0.0, width))
                there = build.gep(start, [build.load(build.gep(offsets.data, [loop.index]))])
                with build.if_else(build.icmp_signed("!=", given[6], INDEX(0))) as (alone, added):
                    with alone:
                        vectors.store(build, part, there, width, size)
                    with added:
                        whole = build.fadd(vectors.load(build, there, width, size), part)
                        vectors.store(build, whole, there, width, size)

        vectors.choose(build, given[7], real, False, of_width)
        return target.get_dummy_value()

    return numba.void(g, at, place, taps, out, at, at, at), write
