"""Every check that scikit-learn has for a classifier and a regressor, with none expected to fail."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import estimator_checks_generator

from nnx.estimators import NNClassifier, NNRegressor

SMALL = {"model": "mlp:16", "epochs": 10, "learning_rate": 0.02, "batch_size": 32}
ESTIMATORS = {"classifier": NNClassifier(**SMALL), "regressor": NNRegressor(**SMALL)}


def name_of(check):
    return check.func.__name__


def checks():
    """(estimator, check); those with arrays of other libraries stand in test_arrays.py, and run where these are installed."""
    for kind, estimator in ESTIMATORS.items():
        for number, (_, check) in enumerate(estimator_checks_generator(estimator)):
            if not name_of(check).startswith("check_array_api"):
                yield pytest.param(estimator, check, id=f"{kind}-{number}-{name_of(check)}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_all_checks_are_there(kind):
    names = [name_of(check) for _, check in estimator_checks_generator(ESTIMATORS[kind])]
    assert len([name for name in names if not name.startswith("check_array_api")]) >= 50
    assert {"check_estimators_pickle", "check_methods_subset_invariance", "check_fit_idempotent"} <= set(names)


class Forgetful(NNClassifier):
    """It writes down that it was fitted where a parameter stands."""

    def fit(self, X, y):
        super().fit(X, y)
        self.epochs = 5
        return self


def test_a_planted_fault_is_seen():
    found = []
    for _, check in estimator_checks_generator(Forgetful(**SMALL)):
        if name_of(check) in ("check_dont_overwrite_parameters", "check_estimators_overwrite_params"):
            with pytest.raises(AssertionError, match="epochs"):
                check(Forgetful(**SMALL))
            found.append(name_of(check))
    assert len(found) == 2
