"""Files of every kind as bytes: whole ones, and headers that declare what one likes."""

import io
import struct
import zipfile

import numpy as np

IMAGES = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype("u1")
LABELS = np.asarray([2, 0, 1], "u1")
TRAIN, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
HUGE = 1 << 50
GOOD = "a,b,y\n1,2,0\n3,4,1\n5,6,0\n"
SMALL = {"x": np.eye(2), "y": np.asarray([0, 1])}


def npy(array_or_header):
    """The bytes of an NPY file: of an array, or only a header that declares (shape, dtype)."""
    file = io.BytesIO()
    if isinstance(array_or_header, tuple):
        shape, dtype = array_or_header
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    else:
        np.lib.format.write_array(file, np.asarray(array_or_header))
    return file.getvalue()


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(code, *sizes):
    return struct.pack(f">BBBB{len(sizes)}i", 0, 0, code, len(sizes), *sizes)
