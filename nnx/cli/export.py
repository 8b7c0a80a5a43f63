"""``nnx export``: a trained model as an ONNX file."""

import os

from nnx.cli import runs
from nnx.export import export as export_model


def export(run: str, file: str, /, *, check: bool = True, force: bool = False) -> int:
    """Write a trained model as an ONNX file, which other runtimes compute without Python.

    RUN is a run directory or a model file. Preparation of the inputs is part of the file; it takes any number of rows.
    Where onnxruntime is installed, the file is compared with the model before it is written.

    Examples:

    nnx export runs/digits-001 digits.onnx

    nnx export runs/iris-001 iris.onnx --force
    """
    done = export_model(runs.find(run).model, file, check=check, force=force)
    for name, (dtype, shape) in done.inputs.items():
        print(f"input     {name}: {dtype} ({', '.join(map(str, shape))})")
    print(f"outputs   {', '.join(done.outputs)}")
    if done.difference is not None:
        print(f"checked   within {done.difference:.1e} of the largest output under onnxruntime")
    elif check:
        print("checked   not, for onnxruntime is not installed")
    print(f"wrote     {os.fspath(done.path)}, {done.size:,} bytes")
    return 0
