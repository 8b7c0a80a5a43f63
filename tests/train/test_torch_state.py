"""States of PyTorch's models in ours: the same outputs, from tensors and from files."""

import numpy as np
import pytest

import nnx

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its models are the outside definition")
tn = torch.nn

LIMITS = {"float32": 1e-5, "float64": 1e-10}


class Cnn(tn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tn.Sequential(tn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False), tn.BatchNorm2d(6), tn.ReLU())
        self.body = tn.Sequential(
            tn.Conv2d(6, 6, (3, 1), groups=3, padding=(1, 0)), tn.GroupNorm(2, 6), tn.MaxPool2d(2)
        )
        self.up = tn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.head = tn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.up(self.body(self.stem(x))).mean((2, 3)))


class OurCnn(nnx.Module):
    def __init__(self):
        self.stem = nnx.Sequential(nnx.Conv2d(2, 6, 3, stride=2, padding=1, bias=False), nnx.BatchNorm(6), nnx.ReLU())
        self.body = nnx.Sequential(
            nnx.Conv2d(6, 6, (3, 1), groups=3, padding=(1, 0)), nnx.GroupNorm(2, 6), nnx.MaxPool2d(2)
        )
        self.up = nnx.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.pool, self.head = nnx.GlobalAvgPool(), nnx.Linear(4, 3)

    def forward(self, x):
        return self.head(self.pool(self.up(self.body(self.stem(x)))))


class Words(tn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions = tn.Embedding(9, 8), tn.Embedding(5, 8)
        self.block = tn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
        self.attention = tn.MultiheadAttention(8, 4, batch_first=True)
        self.norm, self.gru, self.lstm = (
            tn.RMSNorm(8, eps=1e-6),
            tn.GRU(8, 6, batch_first=True),
            tn.LSTM(6, 4, batch_first=True),
        )
        self.conv = tn.Conv1d(4, 3, 3, padding=1)
        self.up = tn.ConvTranspose1d(3, 2, 2, stride=2)

    def forward(self, x):
        x = self.block(self.words(x) + self.positions(torch.arange(x.shape[1])))
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        x = self.lstm(self.gru(x)[0])[0]
        return self.up(self.conv(x.transpose(1, 2))).transpose(1, 2)


class OurWords(nnx.Module):
    def __init__(self):
        self.words, self.positions = nnx.Embedding(9, 8), nnx.LearnedPositions(5, 8)
        self.block, self.attention = nnx.TransformerBlock(8, 2, hidden=12), nnx.MultiHeadAttention(8, 4)
        self.norm, self.gru, self.lstm = nnx.RMSNorm(8), nnx.GRU(8, 6), nnx.LSTM(6, 4)
        self.conv, self.up = nnx.Conv1d(4, 3, 3, padding=1), nnx.ConvTranspose1d(3, 2, 2, stride=2)

    def forward(self, x):
        x = self.block(self.positions(self.words(x)))
        x = self.norm(x + self.attention(x))
        return self.up(self.conv(self.lstm(self.gru(x))))


def mlp(library):
    names = {"BatchNorm": "BatchNorm1d"} if library is tn else {}
    at = lambda name: getattr(library, names.get(name, name))  # noqa: E731
    return library.Sequential(
        at("Linear")(6, 8, bias=False), at("BatchNorm")(8), at("Tanh")(), at("Dropout")(0.5),
        library.Sequential(at("Linear")(8, 8), at("LayerNorm")(8)), at("GELU")(), at("Linear")(8, 3),
    )  # fmt: skip


PAIRS = {
    "mlp": (lambda: mlp(tn), lambda: mlp(nnx), (5, 6), None),
    "cnn": (Cnn, OurCnn, (2, 8, 8, 2), (0, 3, 1, 2)),
    "words": (Words, OurWords, (3, 5), None),
}


def drawn(module, dtype):
    """A PyTorch model whose every array has been drawn: the usual beginnings of zeros and ones would hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    module = module.to(getattr(torch, dtype)).eval()
    for name, array in module.state_dict().items():
        if array.is_floating_point():
            values = (
                torch.randn(array.shape, generator=generator, dtype=array.dtype) / max(array.shape[-1:] or (1,)) ** 0.5
            )
            array.copy_(values.abs() + 0.5 if "running_var" in name else values)
    return module


def inputs(shape, dtype):
    rng = np.random.default_rng(1)
    return rng.integers(0, 9, shape) if len(shape) == 2 and shape[1] == 5 else rng.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("way", ["tensors", "file"])
def test_a_model_gives_what_pytorchs_gives(name, dtype, way, tmp_path):
    theirs, ours, shape, order = PAIRS[name]
    theirs, model = drawn(theirs(), dtype), ours()
    state = theirs.state_dict()
    if way == "file":
        from safetensors.torch import save_file

        state = tmp_path / "model.safetensors"
        save_file(theirs.state_dict(), state)
    assert nnx.load_torch(state, into=model) is model
    x = inputs(shape, dtype)
    with torch.no_grad():
        tx = torch.tensor(x)
        expected = theirs(tx if order is None else tx.permute(order)).numpy()
    found = model(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=LIMITS[dtype] * np.abs(expected).max())


def test_parameters_that_train_are_copied(backend):
    theirs = tn.Linear(3, 2)
    model = nnx.load_torch(theirs.state_dict(keep_vars=True), into=nnx.Linear(3, 2).to(backend.spec))
    before = backend.to_numpy(model.weight).copy()
    with torch.no_grad():
        theirs.weight.fill_(7.0)
        theirs.bias.fill_(7.0)
    np.testing.assert_array_equal(backend.to_numpy(model.weight), before)
    assert (backend.to_numpy(model.bias) != 7.0).all()
    assert nnx.backends.of(model.weight) is backend


def test_bfloat16_becomes_float32(tmp_path):
    from safetensors.torch import save_file

    theirs = tn.Linear(3, 2).to(torch.bfloat16)
    save_file(theirs.state_dict(), tmp_path / "m.safetensors")
    for state in (theirs.state_dict(), tmp_path / "m.safetensors"):
        model = nnx.load_torch(state, into=nnx.Linear(3, 2))
        np.testing.assert_array_equal(model.weight, theirs.weight.detach().float().numpy().T)
        assert str(model.weight.dtype) == "float32"


def test_a_gru_without_bias():
    theirs = drawn(tn.GRU(3, 4, bias=False, batch_first=True), "float64")
    model = nnx.load_torch(theirs.state_dict(), into=nnx.GRU(3, 4))
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(model(x), theirs(torch.tensor(x))[0].detach().numpy(), atol=1e-12)
