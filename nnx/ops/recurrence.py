"""The gated recurrences GRU and LSTM over a whole sequence, each one tape node with its way back through time.

Both take a = x W + b for all steps at once, (N, T, gates · H), and walk along T. σ is the logistic function, ∘ is element by
element, and u = h₍ₜ₋₁₎ R.

LSTM, gates in the order i, f, g, o: with (i, f, o) = σ(a + u) and g = tanh(a + u): c = f∘c₍ₜ₋₁₎ + i∘g, h = o∘tanh c.
GRU, gates in the order r, z, n: (r, z) = σ(a + u), m = u_n + d, n = tanh(a_n + r∘m), h = (1 − z)∘n + z∘h₍ₜ₋₁₎.

Way back, δ = ∂L/∂h of step t and what comes from step t + 1. LSTM: κ = ∂L/∂c₍ₜ₎ + δ∘o∘(1 − tanh² c), then
∂a = (κ∘g∘i(1 − i), κ∘c₍ₜ₋₁₎∘f(1 − f), κ∘i∘(1 − g²), δ∘tanh c∘o(1 − o)), ∂c₍ₜ₋₁₎ = κ∘f, ∂h₍ₜ₋₁₎ = ∂a Rᵀ.
GRU: ν = δ∘(1 − z)∘(1 − n²), ∂a = (ν∘m∘r(1 − r), δ∘(h₍ₜ₋₁₎ − n)∘z(1 − z), ν), ∂u = ∂a with ν∘r in place of ν,
∂h₍ₜ₋₁₎ = δ∘z + ∂u Rᵀ, ∂d = Σ ν∘r. In both ∂R = Σ h₍ₜ₋₁₎ᵀ ∂u.
Sources: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000); Cho et al. (2014), arXiv:1406.1078.
"""

from typing import Any

from nnx.autodiff import Primitive
from nnx.ops.activation import sigmoid
from nnx.typing import Array, Namespace


def _product(xp: Namespace, before: list[Array], gates: Array) -> Array:
    """Σ over steps and examples of h₍ₜ₋₁₎ᵀ ∂u."""
    h = xp.stack(before, axis=1)
    rows = xp.reshape(h, (h.shape[0] * h.shape[1], h.shape[2]))
    return xp.matrix_transpose(rows) @ xp.reshape(gates, (rows.shape[0], gates.shape[2]))


# LSTM -----------------------------------------------------------------------------------------------------------------
def _lstm_forward(xp: Namespace, a: Array, r: Array, h: Array, c: Array) -> tuple[Any, Any]:
    n, steps, hs, saved = r.shape[0], a.shape[1], [], []
    for t in range(steps):
        s = a[:, t, :] + h @ r
        some = sigmoid(s[:, : 2 * n])
        i, f, g, o = some[:, :n], some[:, n:], xp.tanh(s[:, 2 * n : 3 * n]), sigmoid(s[:, 3 * n :])
        before, c = (h, c), f * c + i * g
        u = xp.tanh(c)
        saved.append((*before, i, f, g, o, u))
        h = o * u
        hs.append(h)
    return (xp.stack(hs, axis=1), c), (r, saved)


def _lstm_backward(xp: Namespace, needs: tuple[bool, ...], kept: Any, g: tuple[Array, Array]) -> Any:
    (r, saved), (gh, dc), back, dh = kept, g, [], None
    rt = xp.matrix_transpose(r)
    for t in reversed(range(len(saved))):
        _, c, i, f, n, o, u = saved[t]
        dh = gh[:, t, :] if dh is None else gh[:, t, :] + dh
        dc = dc + dh * o * (1 - u * u)
        parts = [dc * n * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - n * n), dh * u * o * (1 - o)]
        back.append(xp.concat(parts, axis=-1))
        dc, dh = dc * f, back[-1] @ rt
    ga = xp.stack(back[::-1], axis=1)
    gr = _product(xp, [step[0] for step in saved], ga) if needs[1] else None
    return ga if needs[0] else None, gr, dh if needs[2] else None, dc if needs[3] else None


_lstm = Primitive(_lstm_forward, _lstm_backward)


def lstm(a: Array, recurrent: Array, h: Array, c: Array) -> tuple[Array, Array]:
    """All states h₁ … h_T, and the last cell c_T, of the LSTM that begins with (h, c).

    Shapes: a = x W + b (N, T, 4 H) in the order i, f, g, o with T ≥ 1, recurrent (H, 4 H), h and c (N, H);
    results (N, T, H) and (N, H).

    >>> import numpy as np
    >>> y, c = lstm(np.zeros((1, 3, 4)), np.zeros((1, 4)), np.zeros((1, 1)), np.ones((1, 1)))
    >>> y.shape, c
    ((1, 3, 1), array([[0.125]]))
    """
    return _lstm(a, recurrent, h, c)  # type: ignore[no-any-return]


# GRU ------------------------------------------------------------------------------------------------------------------
def _gru_forward(xp: Namespace, a: Array, r: Array, d: Array | None, h: Array) -> tuple[Array, Any]:
    n, steps, hs, saved = r.shape[0], a.shape[1], [], []
    for t in range(steps):
        s, u = a[:, t, :], h @ r
        some = sigmoid(s[:, : 2 * n] + u[:, : 2 * n])
        reset, z = some[:, :n], some[:, n:]
        m = u[:, 2 * n :] if d is None else u[:, 2 * n :] + d
        new = xp.tanh(s[:, 2 * n :] + reset * m)
        saved.append((h, reset, z, m, new))
        h = new + z * (h - new)
        hs.append(h)
    return xp.stack(hs, axis=1), (r, saved)


def _gru_backward(xp: Namespace, needs: tuple[bool, ...], kept: Any, g: Array) -> Any:
    (r, saved), back, inner, dh = kept, [], [], None
    rt = xp.matrix_transpose(r)
    for t in reversed(range(len(saved))):
        h, reset, z, m, new = saved[t]
        dh = g[:, t, :] if dh is None else g[:, t, :] + dh
        dn = dh * (1 - z) * (1 - new * new)
        gates = [dn * m * reset * (1 - reset), dh * (h - new) * z * (1 - z)]
        back.append(xp.concat([*gates, dn], axis=-1))
        inner.append(xp.concat([*gates, dn * reset], axis=-1))
        dh = dh * z + inner[-1] @ rt
    gu = xp.stack(inner[::-1], axis=1)
    return (
        xp.stack(back[::-1], axis=1) if needs[0] else None,
        _product(xp, [step[0] for step in saved], gu) if needs[1] else None,
        xp.sum(gu[:, :, 2 * r.shape[0] :], axis=(0, 1)) if needs[2] else None,
        dh if needs[3] else None,
    )


_gru = Primitive(_gru_forward, _gru_backward)


def gru(a: Array, recurrent: Array, bias: Array | None, h: Array) -> Array:
    """All states h₁ … h_T of the GRU that begins with h.

    Shapes: a = x W + b (N, T, 3 H) in the order r, z, n with T ≥ 1, recurrent (H, 3 H), bias d (H,) or ``None``, h (N, H);
    result (N, T, H).

    >>> import numpy as np
    >>> gru(np.zeros((1, 2, 3)), np.zeros((1, 3)), None, np.ones((1, 1)))[0, :, 0]
    array([0.5 , 0.25])
    """
    return _gru(a, recurrent, bias, h)
