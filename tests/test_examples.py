"""The examples learn what they say."""

import gzip
import math
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs" / "examples"))

import characters  # noqa: E402
import resnet  # noqa: E402

import nnx  # noqa: E402

TEXT = characters.TEXT.read_text(encoding="utf-8")
COMPILES = pytest.mark.skip_backends("jax", reason="compiles the whole step, half a minute for nothing new")


def frequencies(text):
    """What one loses who knows only how often each character comes."""
    share = np.unique(list(text), return_counts=True)[1] / len(text)
    return float(-(share * np.log(share)).sum())


@COMPILES
def test_a_gpt_learns_a_text(backend):
    letters, said = sorted(set(TEXT)), []
    model, history = characters.train(TEXT, 50, rows=8, backend=backend.spec, tell=said.append)
    assert history[0] > math.log(len(letters)) - 0.2
    assert np.mean(history[-10:]) < 2.85 < frequencies(TEXT)
    assert len(said) == 2
    written = characters.write(model, letters, TEXT[:70], 12)
    assert written.startswith(TEXT[:70])
    assert len(written) == 82
    assert written == characters.write(model, letters, TEXT[:70], 12)


def test_a_window_is_followed_by_itself_moved_on():
    x, y = characters.windows(np.arange(200), 5, 3)
    np.testing.assert_array_equal(y, x + 1)
    assert x.shape == (5, characters.WINDOW)


def test_the_command_says_what_it_does():
    run = subprocess.run(
        [sys.executable, "-P", str(ROOT / "docs" / "examples" / "characters.py"), "--steps", "1"],
        capture_output=True, text=True, timeout=100, check=True, encoding="utf-8",
    )  # fmt: skip
    assert "11,358 characters, 76 different: a loss of 4.33 knows nothing" in run.stdout
    assert "step    1  loss" in run.stdout


def as_idx(place, images):
    """The two files of MNIST's format; returns that of the images."""
    for name, magic, array in (("images", 3, images.x.reshape(-1, 8, 8)), ("labels", 1, images.y)):
        header = struct.pack(f">HBB{magic}I", 0, 8, magic, *array.shape)
        (place / f"train-{name}-idx{magic}-ubyte.gz").write_bytes(gzip.compress(header + array.astype("u1").tobytes()))
    return place / "train-images-idx3-ubyte.gz"


def as_npz(place, images):
    np.savez(place / "images.npz", x=images.x.reshape(-1, 8, 8, 1), y=images.y)
    return place / "images.npz"


@pytest.mark.parametrize("write", [as_idx, as_npz])
def test_a_residual_network_learns_images(write, tmp_path):
    images, said = nnx.data.load("digits").take(np.arange(900)), []
    _, accuracy = resnet.train(write(tmp_path, images), 4, tell=said.append, widths=(8, 16), blocks=1)
    assert accuracy > 0.85
    assert len(said) == 5


def test_a_residual_network_is_one_on_every_backend(backend):
    model = resnet.resnet(1, 3, widths=(2, 3), blocks=1).initialize(0)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 1)).astype("float32")
    model.layers[0].fit(x)
    expected = model(x)
    ours = backend.to_numpy(model.to(backend)(backend.asarray(x)))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
