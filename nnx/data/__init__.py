"""Data on the host: readers, the bundled digits, splits, mini-batches, bins.

==============  =====================================================================
dataset.py      Dataset: rows, targets and their names, checked when made
schema.py       Schema: what a model remembers of its data, as JSON
load.py         load: one door to everything below
digits.py       1,797 handwritten digits, no network
arrays.py       from arrays; targets.py numbers labels and judges the task
table.py        CSV; survey.py looks at the columns, csv.py reads the rows
npz.py idx.py   NPZ archives; MNIST's format
limits.py       sizes judged before memory is taken
split.py        seeded, stratified parts
batches.py      row numbers of each mini-batch
bins.py         regression as classification
==============  =====================================================================
"""

from nnx.data.batches import batch_count, batches
from nnx.data.bins import Bins, assign_bins, bin_target
from nnx.data.dataset import Dataset
from nnx.data.digits import digits
from nnx.data.load import load
from nnx.data.schema import Column, Encoding, Schema
from nnx.data.split import split

__all__ = [
    "Bins", "Column", "Dataset", "Encoding", "Schema", "assign_bins", "batch_count", "batches", "bin_target", "digits",
    "load", "split",
]  # fmt: skip
