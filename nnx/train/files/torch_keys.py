"""Where PyTorch keeps the arrays of each layer, and in what order their axes are: the table of docs/neighbours.md as code."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnx import layers
from nnx.errors import ShapeError, StateError

Host = np.ndarray[Any, Any]


class Keys:
    """The keys of a state below a path, which remember what was taken."""

    def __init__(self, state: Mapping[str, Host], taken: set[str], path: str) -> None:
        self.state, self.taken, self.path = state, taken, path

    def key(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path and name else self.path or name

    def __contains__(self, name: str) -> bool:
        return self.key(name) in self.state

    def take(self, name: str, ndim: int, missing: str = "") -> Host:
        """The array under this key, which has so many axes."""
        key = self.key(name)
        if key not in self.state:
            near = difflib.get_close_matches(key, [k for k in self.state if k not in self.taken], n=1)
            raise StateError(
                expected=f"an array {key} in the state",
                got="none" + (f" (there is {near[0]})" if near else ""),
                where=missing,
                fix="Name the layers alike, or say what is called otherwise: names={'path here': 'path there'}.",
            )
        self.taken.add(key)
        array = self.state[key]
        if array.ndim != ndim:
            raise ShapeError(expected=f"{key} of {ndim} axes", got=f"shape {array.shape}", where=missing)
        return array

    def optional(self, *names: str) -> None:
        """Keys that say nothing here."""
        self.taken.update(self.key(name) for name in names if name in self)


# a rule for each layer: from the keys at its path to its arrays -------------------------------------------------------
Rule = Callable[[Any, Keys, str], dict[str, Host]]


def _linear(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    return {"weight": keys.take("weight", 2, at).T, **_bias(layer, keys, at)}


def _bias(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    return {} if layer.bias is None else {"bias": keys.take("bias", 1, at)}


def _convolution(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    """(out, in/groups, *kernel) → (*kernel, in/groups, out)."""
    n = layer.axes
    weight = keys.take("weight", n + 2, at)
    return {"weight": weight.transpose(*range(2, n + 2), 1, 0), **_bias(layer, keys, at)}


def _transposed(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    """(in, out/groups, *kernel) → (*kernel, in/groups, out)."""
    n, groups = layer.axes, layer.groups
    weight = keys.take("weight", n + 2, at)
    inputs, share, *kernel = weight.shape
    if inputs % groups:
        raise ShapeError(expected=f"{keys.key('weight')} of {groups} groups", got=f"shape {weight.shape}", where=at)
    cut = weight.reshape(groups, inputs // groups, share, *kernel).transpose(*range(3, n + 3), 1, 0, 2)
    return {"weight": cut.reshape(*kernel, inputs // groups, groups * share), **_bias(layer, keys, at)}


def _scaled(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    found = {}
    for ours, theirs in (("gamma", "weight"), ("beta", "bias")):
        if getattr(layer, ours, None) is not None:
            found[ours] = keys.take(theirs, 1, at)
    return found


def _batch_norm(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    keys.optional("num_batches_tracked")
    moved = {"running_mean": keys.take("running_mean", 1, at), "running_variance": keys.take("running_var", 1, at)}
    return {**_scaled(layer, keys, at), **moved}


def _embedding(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    return {"weight": keys.take("weight", 2, at)}


def _positions(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    return {"table": keys.take("weight", 2, at)}


def _attention(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    """The three projections of one matrix; the bias of the keys adds the same to all scores of a query and is left out."""
    if "query.weight" in keys:
        return {}  # named as here: its parts are layers of their own
    e = layer.features
    weight = _of_shape(keys.take("in_proj_weight", 2, at), (3 * e, e), keys.key("in_proj_weight"), at)
    parts = dict(zip(("query", "key", "value"), weight.reshape(3, e, e)))
    found = {f"{name}.weight": part.T for name, part in parts.items()}
    found["output.weight"] = keys.take("out_proj.weight", 2, at).T
    if layer.query.bias is not None:
        bias = _of_shape(keys.take("in_proj_bias", 1, at), (3 * e,), keys.key("in_proj_bias"), at)
        found |= {"query.bias": bias[:e], "value.bias": bias[2 * e :], "output.bias": keys.take("out_proj.bias", 1, at)}
    return found


def _gated(layer: Any, keys: Keys, at: str) -> dict[str, Host]:
    """One layer of GRU or LSTM: the gates stand in the same order."""
    h, n = layer.features, layer.gates * layer.features
    found = {"weight": keys.take("weight_ih_l0", 2, at).T, "recurrent": keys.take("weight_hh_l0", 2, at).T}
    zeros = np.zeros(n, dtype=found["weight"].dtype)
    inner, outer = (
        _of_shape(keys.take(name, 1, at), (n,), keys.key(name), at) if name in keys else zeros
        for name in ("bias_ih_l0", "bias_hh_l0")
    )
    if isinstance(layer, layers.LSTM):
        return {**found, "bias": inner + outer}
    kept = np.concatenate([outer[: 2 * h], zeros[:h]])
    return {**found, "bias": inner + kept, "candidate_bias": outer[2 * h :]}


def _of_shape(array: Host, shape: tuple[int, ...], key: str, at: str) -> Host:
    if array.shape != shape:
        raise ShapeError(expected=f"{key} of shape {shape}", got=f"{array.shape}", where=at)
    return array


RULES: dict[type, Rule] = {
    layers.Linear: _linear, layers.Conv1d: _convolution, layers.Conv2d: _convolution,
    layers.ConvTranspose1d: _transposed, layers.ConvTranspose2d: _transposed, layers.BatchNorm: _batch_norm,
    layers.LayerNorm: _scaled, layers.RMSNorm: _scaled, layers.GroupNorm: _scaled, layers.Embedding: _embedding,
    layers.LearnedPositions: _positions, layers.MultiHeadAttention: _attention, layers.GRU: _gated, layers.LSTM: _gated,
}  # fmt: skip
"""The layers whose arrays are kept otherwise; those of any other module are taken by their own names."""

PARTS = {
    "attention": "self_attn", "norms.0": "norm1", "norms.1": "norm2", "feed_forward.layers.0": "linear1",
    "feed_forward.layers.2": "linear2",
}  # fmt: skip
"""The parts of a :class:`nnx.TransformerBlock` as those of a ``TransformerEncoderLayer``."""
