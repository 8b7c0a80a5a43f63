"""Gated recurrent layers."""

import math

from nnx import init, ops
from nnx.autodiff import namespace
from nnx.backends.portable.lengths import beside
from nnx.errors import ShapeError
from nnx.layers.checks import check_features
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class Recurrent(Module):
    """The common base: weights (in, gates · H) of all gates side by side, drawn from U(−1/√H, 1/√H) as in PyTorch."""

    gates = 0

    def _settle_weights(self, in_features: int, features: int) -> None:
        for name, value in (("in_features", in_features), ("features", features)):
            positive(name, value, type(self).__name__)
        self.in_features, self.features = in_features, features
        draw = init.uniform(1 / math.sqrt(features))
        self.weight = Parameter((in_features, self.gates * features), draw)
        self.recurrent = Parameter((features, self.gates * features), draw)
        self.bias = Parameter((self.gates * features,), draw)

    def _gates(self, x: Array) -> Array:
        """x W + b for all steps at once."""
        check_features(x, self.in_features, self.weight, "N, T", 3, 3)
        if x.shape[1] == 0:
            raise ShapeError(
                expected="at least one step", got=f"x of shape {tuple(x.shape)}", fix="Leave out sequences of length 0."
            )
        return ops.linear(x, self.weight, self.bias)

    def _begin(self, state: Array | None, x: Array, name: str) -> Array:
        """The state before the first step; zeros where none is given."""
        shape = (x.shape[0], self.features)
        if state is None:
            return beside(namespace(x), x[:, 0, :], 1, self.features, 0.0)
        if tuple(state.shape) != shape:
            raise ShapeError(
                expected=f"an initial {name} of shape {shape}",
                got=f"{tuple(state.shape)}",
                fix="Give one row for each example of the batch.",
            )
        check_features(state, self.features, self.weight)
        return state


class GRU(Recurrent):
    """Gated recurrent unit: hₜ = (1 − z)∘n + z∘hₜ₋₁ with r = σ(x W_r + h R_r + b_r), z = σ(x W_z + h R_z + b_z),
    n = tanh(x W_n + b_n + r∘(h R_n + d)), h standing for hₜ₋₁.

    Shapes: x (N, T, in_features), y (N, T, features), the state of every step; ``layer(x, h0)`` begins with h0 (N,
    features) instead of zeros. ``weight`` is (W_r | W_z | W_n), (in, 3 H), ``recurrent`` (R_r | R_z | R_n), (H, 3 H),
    ``bias`` (b_r | b_z | b_n), ``candidate_bias`` d (H,).

    Equals PyTorch's ``GRU(batch_first=True)``: weight = weight_ih_l0ᵀ, recurrent = weight_hh_l0ᵀ, bias = bias_ih_l0 plus
    the first 2 H of bias_hh_l0, candidate_bias = the last H of bias_hh_l0.

    Errors: ``ShapeError`` for another rank or number of features, no step, or a state of another shape;
    ``DtypeError`` for another dtype than the model's.
    Source: Cho et al. (2014), arXiv:1406.1078.

    >>> import numpy as np
    >>> GRU(3, 4)(np.zeros((2, 5, 3), dtype="float32")).shape
    (2, 5, 4)
    """

    gates = 3

    def __init__(self, in_features: int, features: int) -> None:
        self._settle_weights(in_features, features)
        self.candidate_bias = Parameter((features,), init.uniform(1 / math.sqrt(features)))

    def forward(self, x: Array, state: Array | None = None) -> Array:
        """The states of all steps; the last one is ``y[:, -1, :]``."""
        a = self._gates(x)
        return ops.gru(a, self.recurrent, self.candidate_bias, self._begin(state, x, "state"))


class LSTM(Recurrent):
    """Long short-term memory: cₜ = f∘cₜ₋₁ + i∘g, hₜ = o∘tanh cₜ with i, f, o = σ(x W + h R + b) and g = tanh(x W + h R + b),
    each with its own part of the weights, h standing for hₜ₋₁.

    Shapes: x (N, T, in_features), y (N, T, features), the state h of every step; ``layer(x, (h0, c0))`` begins with these
    (N, features) instead of zeros, and ``layer.forward(x, state, return_state=True)`` gives (y, (h_T, c_T)) to go on with.
    ``weight`` is (W_i | W_f | W_g | W_o), (in, 4 H), ``recurrent`` (R_i | R_f | R_g | R_o), (H, 4 H), and ``bias`` (4 H,).

    Equals PyTorch's ``LSTM(batch_first=True)``: weight = weight_ih_l0ᵀ, recurrent = weight_hh_l0ᵀ, bias = bias_ih_l0 +
    bias_hh_l0.

    Errors: ``ShapeError`` for another rank or number of features, no step, or a state of another shape;
    ``DtypeError`` for another dtype than the model's.
    Source: Hochreiter and Schmidhuber (1997); the forget gate is Gers, Schmidhuber and Cummins's (2000).

    >>> import numpy as np
    >>> LSTM(3, 4)(np.zeros((2, 5, 3), dtype="float32")).shape
    (2, 5, 4)
    """

    gates = 4

    def __init__(self, in_features: int, features: int) -> None:
        self._settle_weights(in_features, features)

    def forward(
        self, x: Array, state: tuple[Array, Array] | None = None, *, return_state: bool = False
    ) -> Array | tuple[Array, tuple[Array, Array]]:
        """The states of all steps, and with ``return_state`` also the last (h, c)."""
        a = self._gates(x)
        h, c = (None, None) if state is None else state
        y, cell = ops.lstm(a, self.recurrent, self._begin(h, x, "state"), self._begin(c, x, "cell"))
        return (y, (y[:, -1, :], cell)) if return_state else y
