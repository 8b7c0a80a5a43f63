"""What nnx promises of crashes, strange files, other machines and neighbours, tried in large numbers: one file per section.

    python -P benchmarks/trust                    all of it, some minutes; writes docs/trust.md
    python -P benchmarks/trust --seconds 2        less of everything; writes nothing
    python -P benchmarks/trust crash resume       these sections; writes nothing

A section has ``rows(seconds, place)``, which tries and counts, and ``NOTE``, which says what its rows mean.
"""

import os
import sys
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # read when NumPy is loaded
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(
    str(ROOT / "tests")
)  # what the tests do a few times is done here in large numbers: ``from support import trust``
