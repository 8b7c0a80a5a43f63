"""How fast nnx is, how much memory it takes, and against what: one file per question, one timer for all.

    python -P benchmarks/run.py --quick            every question once and small, within a minute
    python -P benchmarks/run.py --full             the whole table, about a quarter of an hour
    python -P benchmarks/run.py --quick step       one question
    python -P benchmarks/gpu.py --full             the same on CUDA; --dry-run runs that code on the CPU
    python benchmarks/table.py FILE                the tables of a record, as markdown

NNX_BENCH_THREADS=1 before any of these gives everyone one thread; the default is every core. On a busy machine that is also the
way to figures that mean something: two threads that wait for each other wait for everybody else too.

Each contestant runs in a process of its own, set up as its users would and with the same number of threads; they take
turns in short blocks, so that whatever else the machine does meets all of them. A figure is a ratio of times within one run.
"""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
RESULTS = HOME / "results"

# nnx is what is installed: with the checkout on the path, its folder `nnx` would be found instead, which has no backends.
sys.path[:] = [place for place in sys.path if Path(place).resolve() not in (HOME, HOME.parent)]
