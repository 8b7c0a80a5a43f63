"""What other tools read of a training is what run.history holds: each is read back by its own library."""

import json
import os
import sys

import numpy as np
import pytest
from support.process import run_python

import nnx
from nnx.train import MLflow, TensorBoard, WandB
from nnx.train.callbacks.trackers import Tracker, TrackerUnavailable

DIGITS = nnx.data.load("digits").take(np.arange(200))
TRAIN, VAL = DIGITS.take(np.arange(150)), DIGITS.take(np.arange(150, 200))
NAMES = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "examples_per_second", "seconds"}


def trained(*callbacks, epochs=3, **settings):
    model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10))
    return nnx.fit(model, TRAIN, VAL, epochs=epochs, batch_size=50, callbacks=callbacks, **settings)


def steps(run):
    return [record["step"] for record in run.history]


def test_tensorboard_reads_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained(TensorBoard(tmp_path))
    found = EventAccumulator(str(tmp_path)).Reload()
    assert set(found.Tags()["scalars"]) == NAMES
    for name in ("loss", "val_accuracy"):
        assert [event.step for event in found.Scalars(name)] == steps(run) == [3, 6, 9]
        np.testing.assert_allclose([event.value for event in found.Scalars(name)], run.curve(name), rtol=1e-6)


def test_a_writer_of_ones_own():
    class Writer:
        def __init__(self):
            self.seen, self.flushed = [], 0

        def add_scalar(self, name, value, step):
            self.seen.append((name, value, step))

        def flush(self):
            self.flushed += 1

    writer = Writer()
    run = trained(TensorBoard(writer=writer))
    assert [(value, step) for name, value, step in writer.seen if name == "loss"] == [
        (record["loss"], record["step"]) for record in run.history
    ]
    assert writer.flushed == 1


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    library = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes seconds to make
    before = library.get_tracking_uri()
    library.set_tracking_uri(os.environ.get("NNX_TEST_MLFLOW") or (tmp_path / "mlruns").as_uri())
    library.set_experiment("digits")
    yield library
    library.set_tracking_uri(before)


def test_mlflow_has_runs_with_their_metrics(mlflow):
    client = mlflow.MlflowClient()
    tracker = MLflow({"model": "linear"}, run_name="first")
    run = trained(tracker)
    assert mlflow.active_run() is None
    kept = client.get_run(tracker.run_id)
    assert (kept.info.status, kept.info.run_name, kept.data.params) == ("FINISHED", "first", {"model": "linear"})
    assert set(kept.data.metrics) == NAMES
    history = client.get_metric_history(tracker.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == list(zip(steps(run), run.curve("val_loss")))

    with mlflow.start_run() as mine:
        trained(tracker, epochs=1)
        assert mlflow.active_run() is not None
    assert client.get_run(mine.info.run_id).data.metrics["loss"] > 0

    with pytest.raises(nnx.errors.DivergedError, match="loss"), np.errstate(all="ignore"):
        trained(tracker, optimizer=nnx.optim.SGD(3e38))
    assert client.get_run(tracker.run_id).info.status == "FAILED"


def test_mlflow_goes_on_with_the_run_of_a_checkpoint(mlflow, tmp_path):
    def cut(run, record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt  # between two epochs, after the checkpoint

    first = MLflow()
    stopped = trained(first, cut, epochs=4, directory=tmp_path / "run", checkpoint_every=3)
    client = mlflow.MlflowClient()
    assert (stopped.stopped, client.get_run(first.run_id).info.status) == ("interrupted", "KILLED")
    again = MLflow()
    run = nnx.resume(tmp_path / "run", TRAIN, VAL, callbacks=[again])
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "FINISHED"
    seen = {point.step: point.value for point in client.get_metric_history(again.run_id, "loss")}
    assert seen == dict(zip(steps(run), run.curve("loss")))


def records(log):
    """What a .wandb file holds: a log as of LevelDB, blocks of 32 KiB of parts with a header of 7 bytes, as is the file's."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, whole = 7, b""
    while at < len(log):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        whole += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole record, or its last part
            record = Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


ALONE = """
import json, nnx
data = nnx.data.load("digits").take(range(150))
model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10))
tracker = nnx.train.WandB(project="digits", mode="offline")
print(json.dumps(nnx.fit(model, data, epochs=3, batch_size=50, callbacks=[tracker]).history))
"""


def test_wandb_keeps_a_run_offline(tmp_path):
    pytest.importorskip("wandb")
    history = json.loads(
        run_python(ALONE, tmp_path, WANDB_SILENT="true")
    )  # alone: beside MLflow its file may stay empty
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    rows = [
        {item.key or item.nested_key[0]: float(item.value_json) for item in record.history.item}
        for record in records(file.read_bytes())
        if record.WhichOneof("record_type") == "history"
    ]
    assert [row["loss"] for row in rows] == [record["loss"] for record in history]
    assert [row["_step"] for row in rows] == [record["step"] for record in history] == [3, 6, 9]


@pytest.mark.parametrize(
    ("kind", "library", "fix"),
    [
        (TensorBoard, "tensorboardX", "pip install tensorboardX, or pass writer="),
        (MLflow, "mlflow", "pip install mlflow"),
        (WandB, "wandb", "pip install wandb"),
    ],
)
def test_what_is_not_installed_is_named_when_the_tracker_is_made(kind, library, fix, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(TrackerUnavailable, match=f"{kind.__name__}: {library} is not installed. Run: .*{fix}"):
        kind()


def test_a_tracker_of_ones_own_is_told_of_the_end_however_it_comes():
    class Seen(Tracker):
        def open(self, run):
            self.seen = ["open"]

        def log(self, values, step):
            self.seen.append(step)

        def close(self, run):
            self.seen.append(run.stopped)

    seen = Seen()
    trained(seen, lambda run, record: record["epoch"] == 2)
    assert seen.seen == ["open", 3, 6, "a callback ended it"]
