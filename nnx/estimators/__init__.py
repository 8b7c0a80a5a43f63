"""Networks as scikit-learn has its estimators: ``NNClassifier`` and ``NNRegressor``, for pipelines, searches and cross-validation.

scikit-learn (extra ``sklearn``) is loaded when one of the two is first asked for.

```text
classifier   labels, probabilities and decision values
regressor    real targets, one or several
network      what both share: parameters, training, outputs
arrays       where an array lives, and how it comes to the host
```
"""

from typing import TYPE_CHECKING, Any

from nnx.errors import BackendUnavailable

if TYPE_CHECKING:
    from nnx.estimators.classifier import NNClassifier
    from nnx.estimators.regressor import NNRegressor

__all__ = ["EstimatorsUnavailable", "NNClassifier", "NNRegressor"]


class EstimatorsUnavailable(BackendUnavailable):
    """scikit-learn is not installed."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"nnx.estimators has no {name!r}")
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise EstimatorsUnavailable(
            "scikit-learn is not installed", fix='Run: python -m pip install "nnx-array[sklearn]"'
        ) from None
    from nnx.estimators.classifier import NNClassifier
    from nnx.estimators.regressor import NNRegressor

    return {"NNClassifier": NNClassifier, "NNRegressor": NNRegressor}[name]
