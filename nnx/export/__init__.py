"""ONNX files: a model computed once on arrays of ONNX, so that other runtimes can compute it without Python (extra ``onnx``).

============  ==================================================================
door.py       the function ``nnx.export``, which loads the rest when called
onnx_file.py  the file: its graph, its metadata, its check under onnxruntime
============  ==================================================================

``nnx.export`` is the function and hides the package of the same name; the rest is imported from these files.
"""

from nnx.export.door import export

__all__ = ["export"]
