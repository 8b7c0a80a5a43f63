"""Statistics of a training: the steps that are measured are those that were taken."""

import json

import numpy as np
import pytest
from support.clouds import blobs, network

import nnx
from nnx import plot
from nnx.errors import ConfigError, DataError
from nnx.train import Callback, Statistics, read_statistics


def host(array):
    return nnx.backends.of(array).to_numpy(array)


class Course(Callback):
    """The weights before the first step and after each."""

    def on_start(self, run):
        self.weights = [self.now(run)]

    def on_step(self, run):
        self.weights.append(self.now(run))

    def now(self, run):
        return {path: host(w).astype("float64") for path, w in run.model.parameters().items()}


@pytest.mark.parametrize(
    ("batch_size", "steps", "measured"), [(90, 2, [0]), (9, 1, [5]), (9, 2, [2, 7]), (9, 99, range(10))]
)
def test_sizes_are_those_of_the_steps_that_were_taken(backend, batch_size, steps, measured):
    course, statistics, train = Course(), Statistics(steps=steps), blobs(90)
    run = nnx.fit(network(), train, epochs=3, batch_size=batch_size, backend=backend, callbacks=[course, statistics])
    found = plot.ratios(statistics.records)
    assert found.epochs.tolist() == [1, 2, 3]
    for row in range(3):
        starts = [row * run.steps_per_epoch + step for step in measured]
        for column, path in enumerate(found.paths):
            sizes = [np.linalg.norm(course.weights[start][path]) for start in starts]
            moves = [np.linalg.norm(course.weights[s + 1][path] - course.weights[s][path]) for s in starts]
            known = statistics.records[row]["parameters"][path]
            assert known["weight"] == pytest.approx(np.mean(sizes), rel=1e-4, abs=1e-6)
            assert known["update"] == pytest.approx(np.mean(moves), rel=1e-3, abs=1e-7)
            if np.mean(sizes) > 0:
                assert found.values[row, column] == pytest.approx(np.mean(moves) / np.mean(sizes), rel=1e-3)


def test_a_bias_that_begins_at_nought_has_no_ratio():
    statistics = Statistics()
    nnx.fit(nnx.Sequential(nnx.Linear(4, 3)), blobs(), epochs=2, batch_size=90, callbacks=[statistics])
    found = plot.ratios(statistics.records)
    assert np.isnan(found.values[0, found.paths.index("layers.0.bias")])
    assert np.isfinite(found.values[1]).all()
    assert found.columns()["layers.0.bias"][0] == ""


def test_the_layers_are_looked_at_where_rows_are_given(backend):
    statistics, train = Statistics(blobs(90)), blobs(90)
    model = network()
    nnx.fit(model, train, epochs=2, backend=backend, callbacks=[statistics])
    layers = statistics.records[-1]["layers"]
    assert list(layers) == ["layers.0", "layers.1", "layers.2", "layers.3", "layers.5"]
    shown = {one.path: one for one in plot.activations(model, train).layers}
    for path, figures in layers.items():
        assert figures["mean"] == pytest.approx(shown[path].mean, rel=1e-4, abs=1e-5)
        assert figures["std"] == pytest.approx(shown[path].std, rel=1e-4)
        assert figures.get("dead") == shown[path].dead


def test_an_epoch_is_one_transfer(backend, monkeypatch):
    statistics, pulls = Statistics(blobs()), []
    pull, within = type(backend).to_numpy, []

    class Within(Statistics):
        def on_epoch(self, run, record):
            within.append(True)
            answer = super().on_epoch(run, record)
            within.clear()
            return answer

    statistics = Within()
    monkeypatch.setattr(type(backend), "to_numpy", lambda self, x: (within and pulls.append(x.shape)) or pull(self, x))
    nnx.fit(network(), blobs(), epochs=3, backend=backend, callbacks=[statistics])
    assert len(pulls) == 3


def test_it_changes_nothing_of_the_training(backend):
    def trained(*callbacks):
        model = network().initialize(0)
        nnx.fit(model, blobs(), epochs=2, backend=backend, callbacks=callbacks)
        return {path: host(w).tobytes() for path, w in model.state().items()}

    assert trained() == trained(Statistics(blobs()), nnx.train.Snapshots())


def test_the_file_has_the_records_and_a_line_cut_short_is_left_out(tmp_path):
    statistics = Statistics(blobs())
    nnx.fit(network(), blobs(), epochs=3, callbacks=[statistics], directory=tmp_path)
    path = tmp_path / "statistics.jsonl"
    assert read_statistics(path) == statistics.records
    text = path.read_text()
    path.write_text(text[:-40])
    assert read_statistics(path) == statistics.records[:2]
    path.write_text("{}\n" + text)
    with pytest.raises(DataError, match=r"line 1: a damaged line \(no epoch\)"):
        read_statistics(path)


def test_figures_that_are_not_finite_are_null(tmp_path):
    statistics = Statistics()
    with pytest.raises(nnx.errors.DivergedError, match="finite"), np.errstate(all="ignore"):
        nnx.fit(
            nnx.Sequential(nnx.Linear(4, 1)), blobs(task="regression"), epochs=60, optimizer=nnx.optim.SGD(10.0),
            callbacks=[statistics],
        )  # fmt: skip
    text = json.dumps(statistics.records)
    assert "NaN" not in text
    assert "null" in text


def test_one_record_of_lbfgs_is_one_step():
    statistics, course = Statistics(), Course()
    nnx.fit(network(), blobs(), epochs=3, optimizer=nnx.optim.LBFGS(), callbacks=[course, statistics])
    for row, record in enumerate(statistics.records):
        before, after = course.weights[row]["layers.1.weight"], course.weights[row + 1]["layers.1.weight"]
        assert record["parameters"]["layers.1.weight"]["update"] == pytest.approx(
            np.linalg.norm(after - before), rel=1e-3, abs=1e-6
        )


def test_no_records_and_no_steps_are_refused():
    with pytest.raises(DataError, match="no statistics of the training"):
        plot.ratios([])
    with pytest.raises(ConfigError, match="steps ≥ 1, got 0"):
        Statistics(steps=0)
