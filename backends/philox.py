"""The random words of :mod:`nnx.backends.portable.philox` by NumPy's own generator: for libraries whose draws are made on the host."""

import threading

import numpy as np


def random_words(key: tuple[int, int], count: int) -> np.ndarray:
    """The ``random_words`` hook. Each thread keeps a generator and sets its state: making one asks the system for entropy every time."""
    if not hasattr(_kept, "generator"):
        _kept.generator = np.random.Philox(key=0)
    nothing = np.zeros(4, dtype=np.uint64)
    _kept.generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": nothing, "key": np.array(key, dtype=np.uint64)},
        "buffer": nothing,
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    words: np.ndarray = _kept.generator.random_raw(count)
    return words


_kept = threading.local()
