"""What a model shows of itself: its expression and its table of layers."""

from layers.models import Tied, mlp

import nnx


def test_repr_and_indexing():
    model = nnx.Sequential(nnx.Linear(4, 6, bias=False), nnx.LeakyReLU(0.2), nnx.Dropout(p=0.5))
    assert repr(model) == "Sequential(Linear(4, 6, bias=False), LeakyReLU(0.2), Dropout(p=0.5))"
    assert len(model) == 3
    assert model[1] is model.layers[1]
    assert repr(model[:2]) == "Sequential(Linear(4, 6, bias=False), LeakyReLU(0.2))"
    assert model[:1][0].weight is model[0].weight


def test_summary(backend):
    model = mlp(0.5).to(backend)
    model.layers[4].freeze("bias")
    text = str(model.summary((64, 4)))
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines() == [
        "layer                output shape  parameters  bytes",
        "────────────────────────────────────────────────────",
        "layers.0  Linear     (64, 6)               24     96",
        "layers.1  BatchNorm  (64, 6)               12     96",
        "layers.2  ReLU       (64, 6)                0      0",
        "layers.3  Dropout    (64, 6)                0      0",
        "layers.4  Linear     (64, 3)               21     84",
        "────────────────────────────────────────────────────",
        "54 trainable parameters, 3 frozen, 12 in buffers, 276 bytes",
    ]


def test_summary_is_inference_also_inside_a_training_pass(backend):
    model = nnx.Sequential(nnx.Standardize(4), nnx.BatchNorm(4), nnx.Dropout(0.5)).to(backend)
    with nnx.training(seed=0, step=0) as this:
        summary = model.summary((1, 4))
    assert [row.output_shape for row in summary.rows] == [(1, 4)] * 3
    assert this.buffers == {}
    assert not model.layers[0].is_fitted


def test_a_layer_of_two_outputs_has_two_shapes():
    class Two(nnx.Module):
        def __init__(self):
            self.weight = nnx.Parameter((3, 2), nnx.init.zeros())

        def forward(self, x):
            return x @ self.weight, x

    assert Two().summary((5, 3)).rows[0].output_shape == ((5, 2), (5, 3))


def test_summary_of_a_model_of_ones_own():
    rows = Tied().summary((2, 4)).rows
    assert [(row.path, row.layer, row.parameters) for row in rows] == [
        ("encode", "Linear", 12), ("encode", "Linear", 12), ("", "Tied", 3),
    ]  # fmt: skip
    assert str(mlp().initialize(0, dtype="float64").summary((2, 4))).endswith(
        "57 trainable parameters, 12 in buffers, 552 bytes"
    )
