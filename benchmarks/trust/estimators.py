"""The checks that scikit-learn has for estimators, all of them."""

import os
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.trust.row import Row

NOTE = """
- **Passes**: `sklearn.utils.estimator_checks.check_estimator` on `NNClassifier` and `NNRegressor` with their default parameters, none expected to fail. Checks
  that need a library or device that is absent here (CuPy, dpnp, other accelerators) are not counted; those with arrays of array-api-strict, and of PyTorch where
  it is installed, are. A short run trains small networks.
"""

SMALL = {"model": "mlp:16", "epochs": 10, "learning_rate": 0.02, "batch_size": 32}


def rows(seconds: float | None, place: Path) -> list[Row]:
    """A row for each of the two."""
    from nnx.estimators import NNClassifier, NNRegressor

    before = os.environ.get("SCIPY_ARRAY_API")
    os.environ["SCIPY_ARRAY_API"] = "1"  # else scikit-learn leaves the checks of arrays out
    try:
        return [checked(kind(**({} if seconds is None else SMALL))) for kind in (NNClassifier, NNRegressor)]
    finally:
        os.environ.pop("SCIPY_ARRAY_API") if before is None else os.environ.update(SCIPY_ARRAY_API=before)


def checked(estimator: Any) -> Row:
    """Every check of one estimator."""
    import sklearn
    from sklearn.utils.estimator_checks import check_estimator

    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(estimator, on_skip=None, on_fail=None)
    tried = [check["status"] for check in found if check["status"] != "skipped"]
    what = f"checks of scikit-learn {sklearn.__version__} for {type(estimator).__name__}"
    return Row(what, "passes", len(tried), tried.count("passed"), time.perf_counter() - started)
