"""What the doctor refuses, and how it says so."""

import numpy as np
import pytest

import nnx
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError

X, Y = np.zeros((8, 3), dtype=np.float32), np.arange(8) % 2
MODEL = nnx.Linear(3, 2)
NORMED = nnx.Sequential(nnx.Linear(3, 2), nnx.BatchNorm(2))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        (("no model", (X, Y)), {}, ConfigError, "doctor: expected a Module, got str"),
        ((MODEL, X), {}, ConfigError, r"expected train as a Dataset or a pair of arrays \(x, y\), got ndarray"),
        ((MODEL, (X, Y), 3), {}, ConfigError, "expected val as a Dataset or a pair"),
        ((MODEL, (X, Y[:5])), {}, ShapeError, r"expected x of shape \(N, …\) and y with as many rows in train"),
        ((MODEL, (X[:, 0], Y)), {}, ShapeError, "expected x of shape"),
        ((MODEL, (X[:0], Y[:0])), {}, DataError, "expected rows and features in train"),
        ((MODEL, (np.asarray([["a"]] * 8), Y)), {}, DtypeError, "expected real numbers in x of train"),
        ((MODEL, (X, Y), (X[:, :2], Y)), {}, ShapeError, r"expected rows of val like those of train, \(3,\)"),
        ((MODEL, (X, Y)), {"check": "slow"}, ConfigError, "expected check quick or full, got 'slow'"),
        ((MODEL, (X, Y)), {"only": ("D99",)}, ConfigError, "expected ids of checks in only: D1"),
        ((MODEL, (X, Y)), {"only": "D1"}, ConfigError, 'Write only=\\("D3", "I1"\\)'),
        ((MODEL, (X, Y)), {"optimizer": "adam"}, ConfigError, "expected an optimizer, got 'adam'"),
        ((MODEL, (X, Y)), {"batch_size": 0}, ConfigError, "expected batch_size a whole number ≥ 1"),
        ((NORMED, (X, Y)), {"batch_size": 1}, ConfigError, r"\(BatchNorm\): expected at least 2 .*got a batch of one row\. Use batch_size=32"),
        ((NORMED, (X, Y)), {"batch_size": 1, "only": ("I7",)}, ConfigError, "got a batch of one row"),
        ((MODEL, (X, Y)), {"penalty": 0.1}, ConfigError, "expected penalty as a function"),
        ((MODEL, (X, Y)), {"loss": "crossentropy"}, ConfigError, "expected a loss: "),
        ((nnx.Linear(4, 2), (X, Y)), {}, ShapeError, r"expected x of shape"),
        ((nnx.Softmax(), (X, Y)), {}, DataError, "the model has no trainable parameters"),
        ((MODEL, nnx.data.Dataset(X, None, task=None)), {}, DataError, "train has no targets"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_a_sentence(arguments, options, error, sentence):
    with pytest.raises(error, match=sentence):
        nnx.doctor(*arguments, **options)


def test_the_object_has_the_name_of_the_package():
    from nnx.doctor.verdict import Verdict

    assert callable(nnx.doctor)
    assert Verdict.__module__ == "nnx.doctor.verdict"
    assert repr(nnx.doctor) == "nnx.doctor"
