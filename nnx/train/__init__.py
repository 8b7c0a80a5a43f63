"""Training: the step, the loop, what watches it, and model files."""

from nnx.train.callbacks.babysit import Babysit
from nnx.train.callbacks.base import Callback, EarlyStopping, MetricsFile
from nnx.train.callbacks.checkpoints import Checkpoints
from nnx.train.callbacks.plateau import Plateau
from nnx.train.callbacks.signals import Signal, signals
from nnx.train.callbacks.snapshots import Snapshot, Snapshots, read_snapshots
from nnx.train.callbacks.statistics import Statistics, read_statistics
from nnx.train.callbacks.trackers import MLflow, TensorBoard, WandB
from nnx.train.evaluation import evaluate, predict
from nnx.train.files.checkpoint import Checkpoint, read_checkpoint
from nnx.train.files.saving import load, read_notes, save
from nnx.train.files.torch_state import load_torch
from nnx.train.fit import fit
from nnx.train.footprint import Footprint, footprint
from nnx.train.objective import objective
from nnx.train.range_test import RangeTest, lr_find
from nnx.train.resume import resume
from nnx.train.run import Run
from nnx.train.step import train_step

__all__ = [
    "Babysit", "Callback", "Checkpoint", "Checkpoints", "EarlyStopping", "Footprint", "MLflow", "MetricsFile", "Plateau", "RangeTest", "Run", "Signal", "Snapshot", "Snapshots", "Statistics", "TensorBoard", "WandB", "evaluate", "fit", "footprint",
    "load", "load_torch", "lr_find", "objective", "predict", "read_checkpoint", "read_notes", "read_snapshots", "read_statistics", "resume", "save", "signals", "train_step",
]  # fmt: skip
