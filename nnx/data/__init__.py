"""Data: readers, the bundled digits, splits and mini-batches."""

from nnx.data.batches import batch_count, batches
from nnx.data.dataset import Dataset
from nnx.data.digits import digits
from nnx.data.load import load
from nnx.data.schema import Column, Encoding, Schema
from nnx.data.split import split

__all__ = ["Column", "Dataset", "Encoding", "Schema", "batch_count", "batches", "digits", "load", "split"]
