"""States of PyTorch's models in ours: the same outputs, from tensors and from files."""

import numpy as np
import pytest

import nnx

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its models are the outside definition")
tn = torch.nn

from support.torch_models import LIMITS, PAIRS, apart, drawn  # noqa: E402


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("way", ["tensors", "file"])
def test_a_model_gives_what_pytorchs_gives(name, dtype, way, tmp_path):
    def through_a_file(state):
        from safetensors.torch import save_file

        save_file(state, tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    through = {"tensors": lambda state: state, "file": through_a_file}[way]
    assert apart(name, dtype, through=through) <= LIMITS[dtype]


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


def test_a_block_that_is_the_whole_model():
    theirs = tn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
    model = nnx.load_torch(drawn(theirs, "float64").state_dict(), into=nnx.TransformerBlock(8, 2, hidden=12))
    x = np.random.default_rng(0).normal(size=(2, 5, 8))
    np.testing.assert_allclose(model(x), theirs(torch.tensor(x)).detach().numpy(), atol=1e-10)


def test_a_dense_layer_behind_flattened_images_as_the_document_says():
    theirs = drawn(tn.Sequential(tn.Conv2d(2, 3, 3), tn.Flatten(), tn.Linear(3 * 4 * 2, 5)), "float64")
    ours = nnx.Sequential(nnx.Conv2d(2, 3, 3), nnx.Flatten(), nnx.Linear(3 * 4 * 2, 5))
    state = theirs.state_dict()
    state["2.weight"] = state["2.weight"].reshape(5, 3, 4, 2).permute(0, 2, 3, 1).reshape(5, -1)
    nnx.load_torch(state, into=ours)
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 2))
    expected = theirs(torch.tensor(x).permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(ours(x), expected, atol=1e-12)
