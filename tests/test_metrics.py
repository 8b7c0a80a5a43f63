"""Metrics against scikit-learn, on every backend."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnx import metrics
from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError

RNG = np.random.default_rng(0)
N, C = 200, 7
SCORES = RNG.normal(size=(N, C))
LABELS = RNG.integers(0, C, size=N)
Y = RNG.normal(size=(N, 3))
P = Y + 0.5 * RNG.normal(size=(N, 3))


def check(backend, got, expected, rtol=1e-12):
    assert got.shape == np.shape(expected)
    assert backend.xp.isdtype(got.dtype, ("real floating", "integral"))
    np.testing.assert_allclose(backend.to_numpy(got), expected, rtol=rtol)


def test_classification_metrics_are_scikit_learns(backend):
    theirs = pytest.importorskip("sklearn.metrics")
    scores, labels, guess = backend.asarray(SCORES), backend.asarray(LABELS), SCORES.argmax(axis=1)
    check(backend, metrics.accuracy(scores, labels), theirs.accuracy_score(LABELS, guess))
    check(backend, metrics.accuracy(backend.asarray(guess), labels), theirs.accuracy_score(LABELS, guess), 1e-6)
    for k in range(1, C):
        expected = theirs.top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(C))
        check(backend, metrics.top_k_accuracy(scores, labels, k), expected)
    check(backend, metrics.top_k_accuracy(scores, labels, C), 1.0)
    check(backend, metrics.confusion_matrix(scores, labels), theirs.confusion_matrix(LABELS, guess))
    check(backend, metrics.confusion_matrix(backend.asarray(guess), labels, C), theirs.confusion_matrix(LABELS, guess))


def test_regression_metrics_are_scikit_learns(backend):
    theirs = pytest.importorskip("sklearn.metrics")
    for p, y in ((P, Y), (P[:, 0], Y[:, 0]), (P[:, :1], Y[:, :1])):
        ours = backend.asarray(p), backend.asarray(y)
        check(backend, metrics.mae(*ours), theirs.mean_absolute_error(y, p))
        check(backend, metrics.mse(*ours), theirs.mean_squared_error(y, p))
        check(backend, metrics.r2(*ours), theirs.r2_score(y, p))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_r2_of_a_constant_target(backend, shift):
    theirs = pytest.importorskip("sklearn.metrics")
    y = np.stack([np.full(5, 3.0), np.arange(5.0)], axis=1)
    check(backend, metrics.r2(backend.asarray(y + shift), backend.asarray(y)), theirs.r2_score(y, y + shift))
    tiny = backend.asarray(np.asarray([0.0, 1e-30], dtype="float32"))  # whose squares are 0
    assert float(backend.to_numpy(metrics.r2(tiny, tiny))) == 1
    tenths = np.full(7, 0.1, dtype="float32")  # whose mean is not 0.1
    assert float(backend.to_numpy(metrics.r2(backend.asarray(tenths + shift), backend.asarray(tenths)))) == 1 - shift


def test_results_stay_where_the_predictions_are_and_keep_their_type(backend):
    scores, labels = backend.asarray(SCORES.astype(np.float32)), backend.asarray(LABELS)
    for got in (
        metrics.accuracy(scores, labels),
        metrics.top_k_accuracy(scores, labels, 2),
        metrics.mae(scores, scores),
        metrics.r2(scores, scores),
    ):
        assert got.dtype == backend.xp.float32
        assert got.shape == ()
    assert backend.xp.isdtype(metrics.confusion_matrix(scores, labels).dtype, "signed integer")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_small_label_types_do_not_overflow(backend, dtype):
    labels = backend.asarray(np.arange(100).astype(dtype))
    scores = backend.asarray(np.eye(300)[:100])
    assert float(backend.to_numpy(metrics.top_k_accuracy(scores, labels, 1))) == 1.0
    assert int(backend.to_numpy(metrics.confusion_matrix(scores, labels)).trace()) == 100
    assert float(backend.to_numpy(metrics.accuracy(scores, labels))) == 1.0


def test_many_rows_are_counted_exactly(backend, monkeypatch):
    monkeypatch.setattr(metrics, "_ROWS", 64)
    got = backend.to_numpy(metrics.confusion_matrix(backend.asarray(SCORES), backend.asarray(LABELS)))
    expected = np.zeros((C, C), int)
    np.add.at(expected, (LABELS, SCORES.argmax(axis=1)), 1)
    np.testing.assert_array_equal(got, expected)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=8), st.integers(0, 3))
def test_top_one_is_accuracy_with_ties_and_k_grows(rows, label):
    scores, labels = np.asarray(rows, np.float64), np.full(len(rows), label)
    values = [float(metrics.top_k_accuracy(scores, labels, k)) for k in (1, 2, 3, 4)]
    assert values[0] == float(metrics.accuracy(scores, labels))
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_infinite_scores_and_labels_beyond_the_classes():
    scores = np.asarray([[-np.inf, -np.inf, 0.0], [np.inf, 0.0, np.inf]])
    assert float(metrics.top_k_accuracy(scores, np.asarray([1, 2]), 2)) == 0.5
    assert float(metrics.top_k_accuracy(scores, np.asarray([5, 5]), 3)) == 0.0


S, L = np.zeros((3, 4)), np.zeros(3, int)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: metrics.accuracy(S, L[:, None]),
            ShapeError,
            r"labels of shape \(3,\), got \(3, 1\). Drop the last axis",
        ),
        (lambda: metrics.accuracy(S, L[:2]), ShapeError, r"labels of shape \(3,\), got \(2,\)"),
        (lambda: metrics.accuracy(S[:, :1], L), ShapeError, r"C ≥ 2.*got \(3, 1\).*one logit"),
        (lambda: metrics.accuracy(S[:, 0], L), ShapeError, r"got \(3,\) of float64"),
        (lambda: metrics.accuracy(S.astype(int), L), DtypeError, "real scores, got int64"),
        (
            lambda: metrics.accuracy(S, L.astype(float)),
            DtypeError,
            "whole-number labels, got float64.*Number the classes",
        ),
        (lambda: metrics.accuracy(S[:0], L[:0]), ShapeError, "at least one row"),
        (lambda: metrics.top_k_accuracy(S, L, 5), ConfigError, "k from 1 to the 4 classes, got 5"),
        (lambda: metrics.top_k_accuracy(S, L, 0), ConfigError, "got 0"),
        (lambda: metrics.top_k_accuracy(S, L, True), ConfigError, "got True"),
        (lambda: metrics.top_k_accuracy(L, L, 1), ShapeError, r"got \(3,\) of int64"),
        (lambda: metrics.confusion_matrix(L, L), ConfigError, "classes is missing.*classes=C"),
        (
            lambda: metrics.mse(S[:, 0], S[:, :1]),
            ShapeError,
            r"targets' shape \(3, 1\), got \(3,\).*broadcast to \(N, N\)",
        ),
        (lambda: metrics.mae(S[:, :1], S[:, 0]), ShapeError, r"targets' shape \(3,\), got \(3, 1\)"),
        (lambda: metrics.mae(S[:0], S[:0]), ShapeError, "at least one row"),
        (lambda: metrics.mae(S[None], S[None]), ShapeError, r"\(N,\) or \(N, k\).*got \(1, 3, 4\)"),
        (lambda: metrics.r2(S[:1], S[:1]), ShapeError, "two rows or more, got 1"),
        (lambda: metrics.mse(L, L), DtypeError, "real numbers, got int64"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_two_libraries_do_not_mix():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(MixedArraysError, match=r"one library, got numpy.ndarray, array_api_strict"):
        metrics.mse(S, strict.asarray(S))
