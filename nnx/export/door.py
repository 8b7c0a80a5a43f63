"""``nnx.export``: what writes the file is loaded when it is called."""

import os
from typing import TYPE_CHECKING

from nnx.layers import Module

if TYPE_CHECKING:
    from nnx.data import Dataset, Schema
    from nnx.export.onnx_file import Exported
    from nnx.train import Run


def export(
    model: "Module | Run | str | os.PathLike[str]",
    path: str | os.PathLike[str],
    *,
    data: "Dataset | Schema | None" = None,
    input_shape: tuple[int, ...] | None = None,
    input_dtype: str | None = None,
    check: bool = True,
    force: bool = False,
) -> "Exported":
    """Write a model as an ONNX file for any number of rows, preparation of the inputs included.

    ``model`` is a model, a run, or the path of a run or model file. What its inputs and classes are called is what was
    saved with a run, or what ``data`` says, e.g. the training data. Without either, ``input_shape`` (N, …) tells the
    shape of the inputs; N does not matter. ``input_dtype`` is that of the model's arrays, int64 for a model that begins
    with an embedding.

    The one input is ``input``. A classifier has the outputs ``logits`` and ``probabilities``, or the latter alone if
    its last layer is :class:`nnx.Softmax`; a regression has ``prediction``, a model of which nothing is known
    ``output`` (``output.0`` … for several). The metadata has ``task``, ``classes``, ``feature_names`` and ``target``,
    as JSON. Weights keep their paths as names.

    Where onnxruntime is installed, the file is compared with the model before it is written (``check=False``: it is not).

    Errors: ``StateError`` naming the layer that cannot be expressed, or for a file that gives other values;
    ``ConfigError`` for a file that is there already and is another (``force`` overwrites it), for a place that cannot
    be written, or an unknown shape of the inputs; ``BackendUnavailable`` without ndonnx.
    """
    from nnx.export.onnx_file import write

    return write(model, path, data, input_shape, input_dtype, check, force)
