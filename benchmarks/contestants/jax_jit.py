"""JAX as its users have it: pure functions of a list of arrays, ``jax.value_and_grad``, one ``jax.jit`` for the step."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.networks import Network

RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def versions() -> dict[str, Any]:
    """What it runs on."""
    return {
        "jax": jax.__version__,
        "devices": [str(device) for device in jax.local_devices()],
        "matmul": jax.config.jax_default_matmul_precision,
    }


def make(question: str, network: Network, *, device: str = "cpu") -> Any:
    """The job of a question."""
    place = jax.local_devices(backend=device)[0]
    return {"step": Step, "inference": Inference, "update": Update}[question](network, place)


def parameters(network: Network) -> list[dict[str, Any]]:
    """The common weights, with batch norm's scale and shift in the place of a hidden layer's bias."""
    values = [{"w": jnp.array(w), "b": jnp.array(b)} for w, b in network.weights()]
    if network.regular:
        for layer in values[:-1]:
            layer["gamma"], layer["beta"] = jnp.ones_like(layer["b"]), layer.pop("b")
    return values


def forward(params: Any, running: Any, x: Any, key: Any = None) -> tuple[Any, Any]:
    """Logits, and the new running statistics; with ``key`` in training."""
    moved = []
    for index, layer in enumerate(params[:-1]):
        x = x @ layer["w"]
        if "gamma" in layer:
            mean, variance = running[index]
            if key is not None:
                n = x.shape[0]
                mean, variance = x.mean(0), x.var(0)
                moved.append(
                    (0.9 * running[index][0] + 0.1 * mean, 0.9 * running[index][1] + 0.1 * variance * n / (n - 1))
                )
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-5) * layer["gamma"] + layer["beta"]
        else:
            x = x + layer["b"]
        x = jax.nn.relu(x)
        if "gamma" in layer and key is not None:
            key, drawn = jax.random.split(key)
            x = jnp.where(jax.random.bernoulli(drawn, 0.8, x.shape), x / 0.8, 0)
    return x @ params[-1]["w"] + params[-1]["b"], moved


def update(params: Any, m: Any, v: Any, grads: Any, t: Any) -> tuple[Any, Any, Any]:
    """Adam."""
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    rate, c2 = RATE / (1 - BETA1**t), 1 - BETA2**t
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v / c2) + EPS), params, m, v), m, v


def loss_of(params: Any, running: Any, x: Any, y: Any, key: Any) -> tuple[Any, Any]:
    """Cross-entropy, and the new running statistics."""
    logits, moved = forward(params, running, x, key)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)), moved


def train(params: Any, m: Any, v: Any, running: Any, t: Any, x: Any, y: Any, key: Any) -> Any:
    """One step."""
    t = t + 1
    (loss, running), grads = jax.value_and_grad(loss_of, has_aux=True)(
        params, running, x, y, jax.random.fold_in(key, t)
    )
    params, m, v = update(params, m, v, grads, t)
    return params, m, v, running, t, loss


class Step:
    """One compiled function, its old state given up to it."""

    def __init__(self, network: Network, place: Any) -> None:
        self.network, self.place, self.key = network, place, jax.device_put(jax.random.key(0), place)
        self.batches = [jax.device_put((x, y.astype("int32")), place) for x, y in network.batches()]
        self.compiled = jax.jit(train, donate_argnums=(0, 1, 2, 3, 4))
        self.reset()

    def reset(self) -> None:
        """The first step again."""
        params = parameters(self.network)
        hidden = params[:-1] if self.network.regular else []
        running = [(jnp.zeros_like(layer["gamma"]), jnp.ones_like(layer["gamma"])) for layer in hidden]
        zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        self.state = jax.device_put((params, *zeros, running, jnp.asarray(0)), self.place)
        self.number, self.last = 0, None

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        *state, self.last = self.compiled(*self.state, x, y, self.key)
        self.state, self.number = tuple(state), self.number + 1

    def synchronize(self) -> None:
        """Wait for the parameters."""
        jax.block_until_ready(self.state)

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.run()
        return float(self.last)


class Inference:
    """The compiled forward function on one batch, the answer waited for each time."""

    def __init__(self, network: Network, place: Any) -> None:
        self.x = jax.device_put(network.batches(1)[0][0], place)
        params = parameters(network)
        hidden = params[:-1] if network.regular else []
        running = [(jnp.zeros_like(layer["gamma"]), jnp.ones_like(layer["gamma"])) for layer in hidden]
        self.state = jax.device_put((params, running), place)
        self.compiled = jax.jit(lambda params, running, x: forward(params, running, x)[0])

    def reset(self) -> None:
        """Nothing changes."""

    def run(self) -> None:
        """One answer."""
        self.out = self.compiled(*self.state, self.x).block_until_ready()

    def synchronize(self) -> None:
        """Each answer was waited for."""

    def outputs(self) -> Any:
        """The answer, on the host."""
        self.run()
        return self.out.__array__()


class Update:
    """Adam alone, compiled, with gradients that are given."""

    def __init__(self, network: Network, place: Any) -> None:
        self.network, self.place = network, place
        self.grads = jax.device_put(jax.tree.map(lambda p: p * 0.01 + 0.001, parameters(network)), place)
        self.compiled = jax.jit(update, donate_argnums=(0, 1, 2))
        self.reset()

    def reset(self) -> None:
        """The first step again."""
        params = parameters(self.network)
        self.state = jax.device_put((params, *(jax.tree.map(jnp.zeros_like, params) for _ in range(2))), self.place)
        self.number = 0

    def run(self) -> None:
        """One update."""
        self.number += 1
        self.state = self.compiled(*self.state, self.grads, self.number)

    def synchronize(self) -> None:
        """Wait for the new parameters."""
        jax.block_until_ready(self.state)
