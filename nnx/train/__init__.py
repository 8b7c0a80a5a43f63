"""Training: the step, the loop, what watches it, and model files."""

from nnx.train.callbacks import Callback, EarlyStopping, MetricsFile
from nnx.train.evaluation import evaluate, predict
from nnx.train.fit import fit
from nnx.train.run import Run
from nnx.train.saving import load, read_notes, save
from nnx.train.snapshots import Snapshot, Snapshots, read_snapshots
from nnx.train.step import train_step

__all__ = [
    "Callback", "EarlyStopping", "MetricsFile", "Run", "Snapshot", "Snapshots", "evaluate", "fit", "load", "predict",
    "read_notes", "read_snapshots", "save", "train_step",
]  # fmt: skip
