"""Data on the host: readers, the bundled digits, splits, mini-batches, bins.

==============  =====================================================================
dataset.py      Dataset: rows, targets and their names, checked when made
schema.py       Schema: what a model remembers of its data, as JSON
load.py         load: one door to everything below
digits.py       1,797 handwritten digits, no network
arrays.py       from arrays; targets.py numbers labels and judges the task
table.py        CSV; survey.py looks at the columns, csv.py reads the rows
typed.py        Parquet files and DataFrames, by the rules of CSV: frame.py reads columns, parquet.py files
npz.py npy.py   NPZ archives and NPY files; idx.py MNIST's format
stream.py       rows that stay in their file until they are asked for: data larger than memory
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
from nnx.data.stream import Streamed
from nnx.data.typed import from_frame

__all__ = [
    "Bins", "Column", "Dataset", "Encoding", "Schema", "Streamed", "assign_bins", "batch_count", "batches", "bin_target",
    "digits", "from_frame", "load", "split",
]  # fmt: skip
