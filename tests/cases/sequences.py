"""Attention and recurrences as NumPy and PyTorch have them: the outside definitions of the layers for sequences."""

import math
from typing import Any

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])


def under(p: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The arrays below a path."""
    return {path.removeprefix(f"{prefix}."): array for path, array in p.items() if path.startswith(f"{prefix}.")}


def logistic(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def layer_norm(x: Any, gamma: Any = 1.0, beta: Any = 0.0) -> Any:
    return (x - x.mean(-1)[..., None]) / np.sqrt(x.var(-1)[..., None] + 1e-5) * gamma + beta


def rms_norm(x: Any, gamma: Any = 1.0) -> Any:
    return x / np.sqrt((x**2).mean(-1)[..., None] + 1e-6) * gamma


def group_norm(x: Any, groups: int, gamma: Any = 1.0, beta: Any = 0.0) -> Any:
    """One example and one group after another."""
    out, size = np.empty_like(x), x.shape[-1] // groups
    for n in range(len(x)):
        for k in range(groups):
            part = x[n, ..., k * size : (k + 1) * size]
            out[n, ..., k * size : (k + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return out * gamma + beta


def torch_group_norm(torch: Any, x: Any, groups: int, gamma: Any = None, beta: Any = None) -> Any:
    """PyTorch has channels second."""
    order, back = (0, x.ndim - 1, *range(1, x.ndim - 1)), (0, *range(2, x.ndim), 1)
    return torch.nn.functional.group_norm(x.permute(order), groups, gamma, beta, 1e-5).permute(back)


def attend(x: Any, p: dict[str, Any], heads: int, seen: Any = None, factor: Any = None, context: Any = None) -> Any:
    """One example, one head, one query after another; ``seen`` and ``factor`` are (N, heads, T, S)."""
    context = x if context is None else context
    q, k, v = (
        a @ p[f"{name}.weight"] + p.get(f"{name}.bias", 0.0)
        for a, name in ((x, "query"), (context, "key"), (context, "value"))
    )
    y, d = np.zeros_like(q), x.shape[-1] // heads
    for n in range(x.shape[0]):
        for h in range(heads):
            part = slice(h * d, (h + 1) * d)
            for t in range(x.shape[1]):
                which = np.ones(k.shape[1], dtype=bool) if seen is None else seen[n, h, t]
                if not which.any():
                    continue
                scores = k[n, which, part] @ q[n, t, part] / math.sqrt(d)
                weights = np.exp(scores - np.logaddexp.reduce(scores))
                weights = weights if factor is None else weights * factor[n, h, t][which]
                y[n, t, part] = weights @ v[n, which, part]
    return y @ p["output.weight"] + p.get("output.bias", 0.0)


def causal(x: Any, heads: int) -> Any:
    return np.broadcast_to(np.tri(x.shape[1], dtype=bool), (x.shape[0], heads, x.shape[1], x.shape[1]))


def torch_attend(torch: Any, x: Any, p: dict[str, Any], heads: int, causal: bool = False, context: Any = None) -> Any:
    """PyTorch's own function, which has the sequence first and the three projections in one."""
    context = x if context is None else context
    names = ("query", "key", "value")
    weight = torch.cat([p[f"{name}.weight"].T for name in names])
    biases = [p.get(f"{name}.bias", torch.zeros(x.shape[-1], dtype=x.dtype)) for name in names]
    bias = torch.cat(biases) if "query.bias" in p else None
    x, context = x.transpose(0, 1), context.transpose(0, 1)
    mask = torch.ones(len(x), len(context), dtype=torch.bool).triu(1) if causal else None
    y, _ = torch.nn.functional.multi_head_attention_forward(
        x, context, context, x.shape[-1], heads, weight, bias, None, None, False, 0.0, p["output.weight"].T,
        p.get("output.bias"), need_weights=False, attn_mask=mask,
    )  # fmt: skip
    return y.transpose(0, 1)


def torch_attend_dropping(torch: Any, x: Any, p: dict[str, Any], heads: int, factor: Any) -> Any:
    """The same written out, for PyTorch draws masks of its own."""
    q, k, v = (
        (x @ p[f"{name}.weight"] + p.get(f"{name}.bias", 0.0)).unflatten(-1, (heads, -1)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1) * torch.tensor(factor)
    return (weights @ v).transpose(1, 2).flatten(2) @ p["output.weight"] + p["output.bias"]


def block(x: Any, p: dict[str, Any], heads: int) -> Any:
    """A causal block with GELU."""
    h = layer_norm(x, p["norms.0.gamma"], p["norms.0.beta"])
    x = x + attend(h, under(p, "attention"), heads, causal(x, heads))
    h = layer_norm(x, p["norms.1.gamma"], p["norms.1.beta"])
    h = h @ p["feed_forward.layers.0.weight"] + p["feed_forward.layers.0.bias"]
    h = h * (1 + (erf(h / math.sqrt(2)) if h.size else h)) / 2
    return x + h @ p["feed_forward.layers.2.weight"] + p["feed_forward.layers.2.bias"]


def torch_block(torch: Any, x: Any, p: dict[str, Any], heads: int) -> Any:
    f = torch.nn.functional
    h = f.layer_norm(x, x.shape[-1:], p["norms.0.gamma"], p["norms.0.beta"])
    x = x + torch_attend(torch, h, under(p, "attention"), heads, causal=True)
    h = f.layer_norm(x, x.shape[-1:], p["norms.1.gamma"], p["norms.1.beta"])
    h = f.gelu(f.linear(h, p["feed_forward.layers.0.weight"].T, p["feed_forward.layers.0.bias"]))
    return x + f.linear(h, p["feed_forward.layers.2.weight"].T, p["feed_forward.layers.2.bias"])


def lstm(x: Any, p: dict[str, Any]) -> Any:
    """As PyTorch's documentation writes it, gate by gate."""
    n = p["recurrent"].shape[0]
    w, r, b = (np.split(p[name], 4, axis=-1) for name in ("weight", "recurrent", "bias"))
    h, c, out = np.zeros((len(x), n)), np.zeros((len(x), n)), []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ w[k] + h @ r[k] + b[k] for k in range(4))
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


def torch_lstm(torch: Any, x: Any, p: dict[str, Any]) -> Any:
    zeros = torch.zeros(1, len(x), p["recurrent"].shape[0], dtype=x.dtype)
    weights = [p["weight"].T, p["recurrent"].T, p["bias"], torch.zeros_like(p["bias"])]
    return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, True, False, True)[0]


def gru(x: Any, p: dict[str, Any]) -> Any:
    w, r, b = (np.split(p[name], 3, axis=-1) for name in ("weight", "recurrent", "bias"))
    h, out = np.zeros((len(x), p["recurrent"].shape[0])), []
    for t in range(x.shape[1]):
        reset, z = (logistic(x[:, t] @ w[k] + h @ r[k] + b[k]) for k in range(2))
        n = np.tanh(x[:, t] @ w[2] + b[2] + reset * (h @ r[2] + p["candidate_bias"]))
        h = (1 - z) * n + z * h
        out.append(h)
    return np.stack(out, 1)


def torch_gru(torch: Any, x: Any, p: dict[str, Any]) -> Any:
    features = p["recurrent"].shape[0]
    hidden_bias = torch.cat([torch.zeros(2 * features, dtype=x.dtype), p["candidate_bias"]])
    weights = [p["weight"].T, p["recurrent"].T, p["bias"], hidden_bias]
    zeros = torch.zeros(1, len(x), features, dtype=x.dtype)
    return torch.gru(x, zeros, weights, True, 1, 0.0, True, False, True)[0]
