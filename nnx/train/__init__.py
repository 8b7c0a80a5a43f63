"""Training: the step, the loop, what watches it, and model files."""

from nnx.train.babysit import Babysit
from nnx.train.callbacks import Callback, EarlyStopping, MetricsFile
from nnx.train.checkpoint import Checkpoint, read_checkpoint
from nnx.train.checkpoints import Checkpoints
from nnx.train.evaluation import evaluate, predict
from nnx.train.fit import fit
from nnx.train.plateau import Plateau
from nnx.train.range_test import RangeTest, lr_find
from nnx.train.resume import resume
from nnx.train.run import Run
from nnx.train.saving import load, read_notes, save
from nnx.train.signals import Signal, signals
from nnx.train.snapshots import Snapshot, Snapshots, read_snapshots
from nnx.train.statistics import Statistics, read_statistics
from nnx.train.step import train_step
from nnx.train.torch_state import load_torch
from nnx.train.trackers import MLflow, TensorBoard, WandB

__all__ = [
    "Babysit", "Callback", "Checkpoint", "Checkpoints", "EarlyStopping", "MLflow", "MetricsFile", "Plateau", "RangeTest", "Run", "Signal", "Snapshot", "Snapshots", "Statistics", "TensorBoard", "WandB", "evaluate", "fit",
    "load", "load_torch", "lr_find", "predict", "read_checkpoint", "read_notes", "read_snapshots", "read_statistics", "resume", "save", "signals", "train_step",
]  # fmt: skip
