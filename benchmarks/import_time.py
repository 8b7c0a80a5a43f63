"""How long does ``import nnx`` take, against importing what it is compared with?"""

import os
import subprocess
import sys
import time
from importlib.util import find_spec

from benchmarks import timer
from benchmarks.process import Field
from benchmarks.question import Effort, Result
from benchmarks.targets import IMPORT

MODULES = ("nnx", "numpy", "torch", "jax", "sklearn.neural_network", "keras")


def measure(field: Field, effort: Effort) -> Result:
    """A fresh interpreter for each sample, less what one takes that imports nothing."""
    chosen = MODULES if effort.full else MODULES[:3]
    modules = [module for module in chosen if find_spec(module.partition(".")[0])]
    load, rounds = timer.load_average(), min(effort.rounds, 7) if effort.full else 1
    start = {}
    empty = _starter("pass")
    for module in modules:
        run = _starter(f"import {module}")
        try:
            run()  # compiled files are written, and read from the disk
            start[module] = run
        except subprocess.CalledProcessError as error:
            field.left_out[f"import {module}"] = error.stderr.decode(errors="replace").strip().splitlines()[-1]
    taken: dict[str, list[float]] = {module: [] for module in start}
    for _ in range(rounds):
        nothing = empty()
        for module, run in start.items():
            taken[module].append(max(run() - nothing, 1e-4))
    samples = {module: timer.Samples(tuple(timer.Sample(v, v, v) for v in values)) for module, values in taken.items()}
    result = Result()
    for module, sample in samples.items():
        middle, low, high = timer.ratio(sample, samples["nnx"])
        row = {"question": "import", "work": "import", "contestant": module, **sample.row(), "against": "nnx"}
        row |= {"ratio": round(middle, 3), "ratio_quartiles": [round(low, 3), round(high, 3)], "load": load}
        result.rows.append(row)
        if module == "torch":
            target = {"question": "import", "work": "import", "ours": "nnx", "theirs": "torch", "least": IMPORT}
            target |= {"ratio": row["ratio"], "quartiles": row["ratio_quartiles"], "met": middle >= IMPORT}
            result.targets.append(target)
    return result


def _starter(code: str):  # type: ignore[no-untyped-def]
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, env=keeping)
        return time.perf_counter() - started

    return run
