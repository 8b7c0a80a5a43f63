"""The handwritten digits that come with nnx: 1,797 images of 8×8, no network needed. DIGITS.md has their licence."""

import zipfile
from importlib import resources

import numpy as np

from nnx.data.dataset import Dataset
from nnx.data.npz import read_array


def digits() -> Dataset:
    """The UCI handwritten digits (test set): x (1797, 64) float32 with values 0…16, y (1797,) labels 0…9.

    Rows are images of 8×8, flat: ``digits().as_images().x`` is (1797, 8, 8, 1). CC BY 4.0.

    >>> digits()
    Dataset(digits: 1797 rows of (64,) float32, 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    doi 10.24432/C50P49.
    """
    with (
        resources.files("nnx.data").joinpath("digits.npz").open("rb") as file,
        zipfile.ZipFile(file) as archive,
    ):
        x, y = (read_array(archive, archive.getinfo(f"{name}.npy"), "digits") for name in "xy")
    return Dataset(
        x.astype(np.float32),
        y.astype(np.int64),
        task="classification",
        classes=tuple(str(digit) for digit in range(10)),
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
        target_name="digit",
        name="digits",
        image_shape=(8, 8, 1),
    )
