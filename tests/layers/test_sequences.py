"""Layers for sequences: masks, states, positions, embeddings out of range; and what each refuses."""

import numpy as np
import pytest
from cases import sequences
from layers.helpers import draw
from support.compare import assert_agrees

import nnx
from nnx.errors import ConfigError, DataError, DtypeError, MixedArraysError, ShapeError


def made(layer, backend):
    return layer.initialize(4, dtype="float64").to(backend)


def host(layer):
    return {path: np.asarray(nnx.backends.of(a).to_numpy(a)) for path, a in layer.state().items()}


# attention ------------------------------------------------------------------------------------------------------------
PRESENT = np.asarray([[True, True, False, True], [True, False, False, False]])
MASK = draw((3, 4), 3) > -0.3
MASKS = {
    "one for all": MASK,
    "one each": draw((2, 3, 4), 4) > -0.3,
    "one for each head": draw((2, 2, 3, 4), 5) > -0.3,
    "none": None,
}


@pytest.mark.parametrize("present", [None, PRESENT], ids=["all present", "padding"])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_to_another_sequence_under_masks(mask, present, backend):
    layer = made(nnx.MultiHeadAttention(6, 2), backend)
    x, context, mask = draw((2, 3, 6), 1), draw((2, 4, 6), 2), MASKS[mask]
    seen = np.ones((2, 2, 3, 4), dtype=bool)
    if mask is not None:
        seen = seen & (mask[:, None] if mask.ndim == 3 else mask)
    if present is not None:
        seen = seen & present[:, None, None, :]
    given = {
        name: backend.asarray(array) for name, array in (("mask", mask), ("present", present)) if array is not None
    }
    expected = sequences.attend(x, host(layer), 2, seen, context=context)
    y = layer(backend.asarray(x), backend.asarray(context), **given)
    assert_agrees(y, expected, rtol=1e-13, scale=np.abs(expected).max(), backend=backend)


def test_attention_is_pytorchs(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its layer is the outside definition")
    ours, theirs = (
        made(nnx.MultiHeadAttention(6, 3), backend),
        torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64),
    )
    p = {path: torch.tensor(array) for path, array in host(ours).items()}
    names = ("query", "key", "value")
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([p[f"{name}.weight"] for name in names], 1).T,
            "in_proj_bias": torch.cat([p["query.bias"], torch.ones(6, dtype=torch.float64), p["value.bias"]]),
            "out_proj.weight": p["output.weight"].T,
            "out_proj.bias": p["output.bias"],
        }
    )
    x = draw((2, 4, 6), 1)
    t = torch.tensor(x)
    expected = theirs(t, t, t, key_padding_mask=~torch.tensor(PRESENT), need_weights=False)[0].detach().numpy()
    y = ours(backend.asarray(x), present=backend.asarray(PRESENT))
    assert_agrees(y, expected, rtol=1e-13, scale=np.abs(expected).max(), backend=backend)


def test_a_transformer_block_is_pytorchs(backend):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its layer is the outside definition")
    layer = made(nnx.TransformerBlock(6, 2, hidden=10), backend)
    theirs = torch.nn.TransformerEncoderLayer(
        6, 2, 10, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    ).train()
    p = {path: torch.tensor(array) for path, array in host(layer).items()}
    names = ("attention.query", "attention.key", "attention.value")
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([p[f"{name}.weight"] for name in names], 1).T,
            "self_attn.in_proj_bias": torch.cat(
                [p["attention.query.bias"], torch.ones(6, dtype=torch.float64), p["attention.value.bias"]]
            ),
            "self_attn.out_proj.weight": p["attention.output.weight"].T,
            "self_attn.out_proj.bias": p["attention.output.bias"],
            "linear1.weight": p["feed_forward.layers.0.weight"].T,
            "linear1.bias": p["feed_forward.layers.0.bias"],
            "linear2.weight": p["feed_forward.layers.2.weight"].T,
            "linear2.bias": p["feed_forward.layers.2.bias"],
            "norm1.weight": p["norms.0.gamma"],
            "norm1.bias": p["norms.0.beta"],
            "norm2.weight": p["norms.1.gamma"],
            "norm2.bias": p["norms.1.beta"],
        }
    )
    x = draw((2, 4, 6), 1)
    expected = theirs(torch.tensor(x), src_key_padding_mask=~torch.tensor(PRESENT)).detach().numpy()
    y = layer(backend.asarray(x), present=backend.asarray(PRESENT))
    assert_agrees(y, expected, rtol=1e-12, scale=np.abs(expected).max(), backend=backend)


def test_how_weights_begin():
    recurrent = [layer._slots().values() for layer in (nnx.GRU(3, 4), nnx.LSTM(3, 4))]
    assert {declaration.initializer for slots in recurrent for declaration, _ in slots} == {nnx.init.uniform(0.5)}
    slots = nnx.TransformerBlock(8, 2)._slots()
    rules = {path: slots[path][0].initializer for path in slots if path.endswith("weight")}
    he = rules.pop("feed_forward.layers.0.weight")
    assert he == nnx.init.he_normal()
    assert len(rules) == 5
    assert set(rules.values()) == {nnx.init.glorot_normal()}


def test_a_place_that_sees_nothing_gets_the_bias_and_passes_no_gradient(backend):
    layer = made(nnx.MultiHeadAttention(4, 2), backend)
    x, nothing = backend.asarray(draw((2, 3, 4), 1)), backend.asarray(np.asarray([[True] * 3, [False] * 3]))
    layer.output.bias = backend.asarray(np.arange(4.0))
    y = layer(x, present=nothing)
    assert_agrees(y[1, ...], np.tile(np.arange(4.0), (3, 1)), exact=True, backend=backend)
    by_path, by_x = nnx.grad(lambda m, x: nnx.namespace(x).sum(m(x, present=nothing) ** 2), argnums=(0, 1))(layer, x)
    gradient = backend.to_numpy(by_x)
    assert gradient[0].all()
    assert not gradient[1].any()
    assert all(np.isfinite(backend.to_numpy(g)).all() for g in by_path.values())


def test_later_places_do_not_change_earlier_ones(backend):
    layer = made(nnx.TransformerBlock(6, 2, causal=True), backend)
    x = draw((2, 5, 6), 1)
    changed = np.concatenate([x[:, :3], draw((2, 2, 6), 2)], axis=1)
    a, b = (backend.to_numpy(layer(backend.asarray(v))) for v in (x, changed))
    np.testing.assert_array_equal(a[:, :3], b[:, :3])
    assert (a[:, 3:] != b[:, 3:]).all()


@pytest.mark.parametrize("size", [1e3, 1e150])
def test_scores_may_be_large(size, backend):
    q, k = backend.asarray([[size], [-size]]), backend.asarray([[1.0], [2.0], [2.0]])
    v = backend.asarray([[1.0], [2.0], [4.0]])
    seen = backend.asarray(np.asarray([[True, True, True], [False, True, True]]))
    assert_agrees(nnx.ops.attention(q, k, v), [[3.0], [1.0]], exact=True, backend=backend)
    assert_agrees(nnx.ops.attention(q, k, v, seen), [[3.0], [3.0]], exact=True, backend=backend)


def test_dropout_takes_weights_in_training_alone(backend):
    layer = made(nnx.MultiHeadAttention(4, 2, dropout=0.5), backend)
    x = backend.asarray(draw((2, 5, 4), 1))
    calm = backend.to_numpy(layer(x))
    with nnx.training(seed=0, step=0):
        first, second = backend.to_numpy(layer(x)), backend.to_numpy(layer(x))
    with nnx.training(seed=0, step=0):
        again = backend.to_numpy(layer(x))
    np.testing.assert_array_equal(first, again)
    assert (first != calm).any()
    assert (first != second).any()


# recurrences ----------------------------------------------------------------------------------------------------------
def test_an_lstm_goes_on_where_it_stopped(backend):
    layer, x = made(nnx.LSTM(3, 4), backend), backend.asarray(draw((2, 5, 3), 1))
    whole, (h, c) = layer(x, return_state=True)
    first, state = layer(x[:, :2, :], return_state=True)
    second, (h2, c2) = layer(x[:, 2:, :], state, return_state=True)
    assert_agrees([first, second, h2, c2], [whole[:, :2, :], whole[:, 2:, :], h, c], rtol=1e-14, scale=1.0)
    assert_agrees(layer(x), whole, exact=True)


def test_a_gru_goes_on_where_it_stopped(backend):
    layer, x = made(nnx.GRU(3, 4), backend), backend.asarray(draw((2, 5, 3), 1))
    whole, first = layer(x), layer(x[:, :2, :])
    assert_agrees(layer(x[:, 2:, :], first[:, -1, :]), whole[:, 2:, :], rtol=1e-14, scale=1.0)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_a_recurrence_is_pytorchs_with_a_state(kind, backend):
    """Both biases of PyTorch, an initial state, and the gradients of all by the documented map of weights."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its layer is the outside definition")
    theirs = getattr(torch.nn, kind)(3, 4, batch_first=True, dtype=torch.float64)
    t = {name.removesuffix("_l0"): value.detach().numpy() for name, value in theirs.named_parameters()}
    state = {"weight": t["weight_ih"].T, "recurrent": t["weight_hh"].T, "bias": t["bias_ih"] + t["bias_hh"]}
    if kind == "GRU":
        state["bias"] = t["bias_ih"] + np.concatenate([t["bias_hh"][:8], np.zeros(4)])
        state["candidate_bias"] = t["bias_hh"][8:]
    layer = getattr(nnx, kind)(3, 4).load({path: np.ascontiguousarray(array) for path, array in state.items()})
    layer.to(backend)
    x, *begin = draw((2, 5, 3), 1), draw((2, 4), 2), draw((2, 4), 3)
    begin = begin[:1] if kind == "GRU" else begin
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, *(b[None] for b in begin))]
    y = theirs(tensors[0], tensors[1] if kind == "GRU" else tuple(tensors[1:]))[0]
    w = draw(tuple(y.shape), 4)
    (y * torch.tensor(w)).sum().backward()

    def loss(model, x, *begin):
        y = model(x, begin[0] if kind == "GRU" else begin)
        return nnx.namespace(y).sum(y * backend.asarray(w))

    arrays = [backend.asarray(array) for array in (x, *begin)]
    ours = layer(arrays[0], arrays[1] if kind == "GRU" else tuple(arrays[1:]))
    assert_agrees(ours, y.detach().numpy(), rtol=1e-13, scale=1.0, backend=backend)
    by_path, *by_inputs = nnx.grad(loss, argnums=tuple(range(len(arrays) + 1)))(layer, *arrays)
    for g, tensor in zip(by_inputs, tensors):
        assert_agrees(g, tensor.grad.numpy().reshape(g.shape), rtol=1e-10, scale=1.0, backend=backend)
    g = {name.removesuffix("_l0"): value.grad.numpy() for name, value in theirs.named_parameters()}
    wanted = {"weight": g["weight_ih"].T, "recurrent": g["weight_hh"].T, "bias": g["bias_ih"]}
    if kind == "GRU":
        wanted["candidate_bias"] = g["bias_hh"][8:]
    assert by_path.keys() == wanted.keys()
    for path, expected in wanted.items():
        assert_agrees(by_path[path], expected, rtol=1e-10, scale=10.0, backend=backend, what=path)


# embeddings and positions ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_an_embedding_takes_any_whole_numbers_in_any_shape(dtype, backend):
    layer = made(nnx.Embedding(5, 3), backend)
    for index in (np.asarray(2), np.asarray([4, 0, 4]), np.arange(4).reshape(2, 1, 2)):
        expected = host(layer)["weight"][index]
        assert_agrees(layer(backend.asarray(index.astype(dtype))), expected, exact=True, backend=backend)


def test_a_number_that_is_no_row_is_not_a_number(backend):
    layer = made(nnx.Embedding(5, 2), backend)
    index = backend.asarray(np.asarray([5, 1, -1]))
    y = backend.to_numpy(nnx.ops.embedding(index, layer.weight))
    assert np.isnan(y[[0, 2]]).all()
    assert np.isfinite(y[1]).all()
    g = nnx.grad(lambda w: nnx.namespace(w).sum(nnx.ops.embedding(index, w)))(layer.weight)
    assert_agrees(g, [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], exact=True, backend=backend)
    if backend.name == "numpy":
        with pytest.raises(DataError, match=r"Embedding: expected indices from 0 to 4, got -1\. .*more than 5 rows"):
            layer(index)
    else:
        assert np.isnan(backend.to_numpy(layer(index))).any()


def test_the_row_of_the_padding_is_0_and_stays_0(backend):
    layer = nnx.Embedding(4, 2, padding=0).initialize(0).to(backend)
    optimizer, index = nnx.optim.Adam(0.1), backend.asarray(np.asarray([0, 1, 2]))
    g = nnx.grad(lambda m: nnx.namespace(m(index)).sum(m(index) + 1.0))(layer)
    layer.load(optimizer.update(g, optimizer.init(layer.parameters()), layer.parameters())[0])
    assert not backend.to_numpy(layer.weight)[0].any()
    assert backend.to_numpy(layer.weight)[1:].all()


def test_sinusoids_are_the_formula():
    table = nnx.SinusoidalPositions(50, 8).initialize(0, dtype="float64").table
    for t in (0, 1, 49):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            np.testing.assert_allclose(
                table[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], rtol=1e-12, atol=1e-15
            )
    assert nnx.SinusoidalPositions(50, 8).parameters() == {}


# what is refused ------------------------------------------------------------------------------------------------------
X = np.zeros((2, 3, 4), dtype="float32")
MADE = [
    (lambda: nnx.LayerNorm(0), "LayerNorm: expected features a whole number ≥ 1, got 0"),
    (lambda: nnx.LayerNorm(4, eps=0), "LayerNorm: expected eps > 0, got 0. 1e-5 is usual"),
    (lambda: nnx.RMSNorm(4, eps=-1), "RMSNorm: expected eps > 0, got -1"),
    (lambda: nnx.RMSNorm("4"), "RMSNorm: expected features a whole number ≥ 1, got '4'"),
    (lambda: nnx.GroupNorm(4, 6), r"GroupNorm: expected .* got 6 features, 4 groups\. 1, 2, 3 or 6 groups would do"),
    (lambda: nnx.GroupNorm(2, 1), r"got 1 features, 2 groups\. 1 groups would do"),
    (lambda: nnx.GroupNorm(0, 6), "GroupNorm: expected groups a whole number ≥ 1, got 0"),
    (lambda: nnx.GroupNorm(2, 6, eps=0.0), "GroupNorm: expected eps > 0"),
    (lambda: nnx.Embedding(0, 4), "Embedding: expected count a whole number ≥ 1, got 0"),
    (lambda: nnx.Embedding(4, 0), "Embedding: expected features a whole number ≥ 1, got 0"),
    (lambda: nnx.Embedding(4, 4, padding=4), "Embedding: expected padding a row from 0 to 3, or None, got 4. Keep a"),
    (lambda: nnx.LearnedPositions(0, 4), "LearnedPositions: expected length a whole number ≥ 1, got 0"),
    (lambda: nnx.SinusoidalPositions(4, 5), "SinusoidalPositions: expected an even .* got 5. .*take 6"),
    (lambda: nnx.Residual(abs), r"Residual: expected a module, got builtin_function_or_method. .*Sequential"),
    (lambda: nnx.MultiHeadAttention(6, 4), r"expected .* got 6 features, 4 heads. Take 8 features, or another"),
    (lambda: nnx.MultiHeadAttention(6, 0), "MultiHeadAttention: expected heads a whole number ≥ 1, got 0"),
    (lambda: nnx.MultiHeadAttention(6, 2, dropout=1.0), "MultiHeadAttention: expected a probability 0 ≤ p < 1"),
    (lambda: nnx.TransformerBlock(6, 4), "MultiHeadAttention: expected features that divide into the heads"),
    (lambda: nnx.TransformerBlock(6, 2, hidden=0), "Linear: expected out_features a whole number ≥ 1, got 0"),
    (lambda: nnx.GRU(0, 4), "GRU: expected in_features a whole number ≥ 1, got 0"),
    (lambda: nnx.LSTM(3, -1), "LSTM: expected features a whole number ≥ 1, got -1"),
]  # fmt: skip
CALLED = [
    (nnx.LayerNorm(3), (X,), ShapeError, r"LayerNorm: expected x of shape \(…, 3\), got \(2, 3, 4\). Features come last"),
    (nnx.LayerNorm(4), (X.astype("float64"),), DtypeError, "LayerNorm: expected x of dtype float32, .* got float64. Cast"),
    (nnx.LayerNorm(4), (np.float32(1.0).reshape(()),), ShapeError, r"expected x of shape \(…, 4\), got \(\)"),
    (nnx.RMSNorm(3), (X,), ShapeError, r"RMSNorm: expected x of shape \(…, 3\), got \(2, 3, 4\)"),
    (nnx.GroupNorm(1, 3), (X,), ShapeError, r"GroupNorm: expected x of shape \(N, …, 3\), got \(2, 3, 4\)"),
    (nnx.GroupNorm(1, 4), (X[0, 0],), ShapeError, r"expected x of shape \(N, …, 4\), got \(4,\)"),
    (nnx.GroupNorm(1, 4), (X[:, :0],), ShapeError, r"expected at least one place .* got \(2, 0, 4\). Pool less"),
    (nnx.Embedding(5, 4), (X,), DtypeError, "Embedding: expected an index of integers, got float32. Encode"),
    (nnx.Embedding(5, 4), (X > 0,), DtypeError, "Embedding: expected an index of integers, got bool"),
    (nnx.Embedding(5, 4), (np.asarray([1, 7]),), DataError, "Embedding: expected indices from 0 to 4, got 7. Encode from 0"),
    (nnx.LearnedPositions(2, 4), (X,), ShapeError, r"LearnedPositions: expected sequences of at most 2 places, got 3 in x"),
    (nnx.LearnedPositions(9, 3), (X,), ShapeError, r"expected x of shape \(…, T, 3\), got \(2, 3, 4\)"),
    (nnx.SinusoidalPositions(9, 4), (X[0, 0],), ShapeError, r"expected x of shape \(…, T, 4\), got \(4,\)"),
    (nnx.Residual(nnx.Linear(4, 3)), (X,), ShapeError, r"Residual: expected Linear to keep the shape \(2, 3, 4\), got \(2, 3, 3\)"),
    (nnx.MultiHeadAttention(4, 2), (X[0],), ShapeError, r"expected x of shape \(N, T, 4\), got \(3, 4\)"),
    (nnx.MultiHeadAttention(6, 2), (X,), ShapeError, r"expected x of shape \(N, T, 6\), got \(2, 3, 4\)"),
    (nnx.MultiHeadAttention(4, 2), (X, X[:1]), ShapeError, r"expected a context of shape \(2, S, 4\) .* got \(1, 3, 4\)"),
    (nnx.MultiHeadAttention(4, 2), (X, X[:, :0]), ShapeError, r"with S ≥ 1, got \(2, 0, 4\). Give one sequence"),
    (nnx.MultiHeadAttention(4, 2), (X.astype("float64"),), DtypeError, r"query \(Linear\): expected x of dtype float32"),
    (nnx.GRU(3, 2), (X,), ShapeError, r"GRU: expected x of shape \(N, T, 3\), got \(2, 3, 4\)"),
    (nnx.GRU(4, 2), (X[0],), ShapeError, r"GRU: expected x of shape \(N, T, 4\), got \(3, 4\)"),
    (nnx.GRU(4, 2), (X[:, :0],), ShapeError, r"GRU: expected at least one step, got x of shape \(2, 0, 4\)"),
    (nnx.GRU(4, 2), (X, X[0, :, :2]), ShapeError, r"GRU: expected an initial state of shape \(2, 2\), got \(3, 2\)"),
    (nnx.LSTM(4, 2), (X, (X[:, 0, :2], X[0, :, :2])), ShapeError, r"expected an initial cell of shape \(2, 2\), got \(3, 2\)"),
    (nnx.LSTM(4, 2), (X.astype("float64"),), DtypeError, "LSTM: expected x of dtype float32, as the model, got float64"),
]  # fmt: skip
MASKED = [
    ({"mask": np.ones((3, 3))}, DtypeError, "expected a boolean mask, .* got float64. Write for example mask > 0"),
    ({"mask": np.ones((3, 2), dtype=bool)}, ShapeError, r"a mask that broadcasts to \(2, 2, 3, 3\), got \(3, 2\)"),
    (
        {"mask": np.ones((1, 1, 1, 3, 3), dtype=bool)},
        ShapeError,
        r"a mask that broadcasts to \(2, 2, 3, 3\), got \(1, 1",
    ),
    ({"present": np.ones((2, 3))}, DtypeError, "expected present as booleans, .* got float64. Write"),
    (
        {"present": np.ones((3, 3), dtype=bool)},
        ShapeError,
        r"expected present of shape \(2, 3\), got \(3, 3\). Give one",
    ),
]


@pytest.mark.parametrize(("make", "says"), MADE, ids=[says[:24] for _, says in MADE])
def test_a_layer_that_cannot_be_is_not_made(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


@pytest.mark.parametrize(("layer", "given", "kind", "says"), CALLED, ids=[repr(says)[:40] for *_, says in CALLED])
def test_an_input_that_does_not_fit_is_refused(layer, given, kind, says):
    with pytest.raises(kind, match=says):
        layer(*given)


@pytest.mark.parametrize(("masks", "kind", "says"), MASKED)
def test_a_mask_that_does_not_fit_is_refused(masks, kind, says):
    with pytest.raises(kind, match=says):
        nnx.MultiHeadAttention(4, 2)(X, **masks)


def test_attention_refuses_what_does_not_fit():
    q, k = np.zeros((2, 3, 4)), np.zeros((2, 5, 4))
    with pytest.raises(ShapeError, match=r"expected q \(…, T, d\), .* got \(2, 3, 4\), \(2, 5, 4\) and \(2, 3, 4\)"):
        nnx.ops.attention(q, k, q)
    with pytest.raises(ShapeError, match=r"at least one key of at least one feature, got k of shape \(2, 0, 4\)"):
        nnx.ops.attention(q, k[:, :0], k[:, :0])
    with pytest.raises(ShapeError, match=r"weight of shape \(count, features\) with at least one row, got \(0, 4\)"):
        nnx.ops.embedding(np.asarray([0]), q[0, :0])


def test_arrays_of_another_library_are_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is the other library")
    x = torch.zeros((2, 3, 4))
    for layer in (nnx.LayerNorm(4), nnx.RMSNorm(4), nnx.GroupNorm(2, 4), nnx.GRU(4, 2), nnx.LSTM(4, 2),
                  nnx.LearnedPositions(5, 4), nnx.MultiHeadAttention(4, 2)):  # fmt: skip
        with pytest.raises(MixedArraysError, match=r"torch only, got one of array_api_compat\.numpy"):
            layer(x)
    with pytest.raises(MixedArraysError, match=r"torch only, got one of array_api_compat\.numpy"):
        nnx.Embedding(5, 4)(torch.zeros((2, 3), dtype=torch.int64))
