import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nnx.backends import portable

KEYS = [(0, 0), (1, 0), (0, 1), (2**64 - 1, 2**64 - 1), (0x243F6A8885A308D3, 0x13198A2E03707344)]


def numpy_words(key, count):
    return np.random.Philox(key=np.array(key, dtype=np.uint64), counter=0).random_raw(count)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1001])
def test_words_are_those_of_numpys_philox(be, key, count):
    for hook in (be.random_words, portable.random_words):
        words = hook(key, count)
        assert words.dtype == np.uint64
        assert words.shape == (count,)
        np.testing.assert_array_equal(be.to_numpy(words) if hook is be.random_words else words, numpy_words(key, count))


def test_known_answers():
    """Random123's own vector (counter 0, key 0); then NumPy's streams, which begin at counter 1, written down."""
    block = portable.philox.cipher(np.zeros(1, np.uint64), (0, 0))
    assert as_hex(block[0]) == "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"
    assert (
        as_hex(portable.random_words((0, 0), 4))
        == "02f4ba6408e4d89b 3dd62b0b9ca8c5b2 1c8667a55d902e79 907d7a052fd5b4dc"
    )
    full = portable.random_words((2**64 - 1, 2**64 - 1), 4)
    assert as_hex(full) == "6d46cc0e71f0be7e 924ea1693f9a8bc0 fdc35f0198c91181 b4a311f17aa6568d"
    pi = portable.random_words((0x243F6A8885A308D3, 0x13198A2E03707344), 4)
    assert as_hex(pi) == "d96148ed4eef3177 3756c9977974e2e4 aca97084472822a9 f84393111bc816fc"


def as_hex(words):
    return " ".join(f"{int(word):016x}" for word in words)


def test_a_longer_draw_begins_with_the_shorter(be):
    long, short = be.to_numpy(be.random_words((7, 9), 11)), be.to_numpy(be.random_words((7, 9), 6))
    np.testing.assert_array_equal(long[:6], short)


def test_the_cuda_kernel_gives_the_same_words(tmp_path):
    """Its text is C: compiled here for the CPU, as this test has no GPU to ask."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler")
    text = (Path(portable.__file__).parents[1] / "cupy.py").read_text()
    body = text.partition('PHILOX = """')[2].partition('"""')[0]
    source, library = tmp_path / "philox.c", tmp_path / "philox.so"
    source.write_text(
        "static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)"
        "{ return (unsigned long long)(((unsigned __int128)a * b) >> 64); }\n"
        "void run(unsigned long long key0, unsigned long long key1, unsigned long long *words, long size)"
        "{ for (long i = 0; i < size; ++i) {" + body + "} }"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    for key in KEYS:
        words = np.zeros(40, np.uint64)
        ctypes.CDLL(str(library)).run(
            *map(ctypes.c_ulonglong, key), ctypes.c_void_p(words.ctypes.data), ctypes.c_long(10)
        )
        np.testing.assert_array_equal(words, numpy_words(key, 40))
