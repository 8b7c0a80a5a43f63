"""Vanishing and exploding signals: what twenty layers do to activations and gradients, by initialiser and activation.

Standardised digits go through 20 layers of 64 units without biases. Above: the standard deviation of each layer's outputs. Below:
the root mean square of the derivative of a random projection of the last layer with respect to each layer's outputs. Only where both
lines stay level can every layer learn: He's rule with ReLU, Xavier's with tanh (slowly sinking) and with linear layers. Small normal
weights and 0.9·I let the signal die, 1.3·I lets it grow; tanh hides that growth in the activations by saturating, and not in the gradients. The axes end at 10⁻¹² and 10⁻¹⁴.

Source: Glorot and Bengio (2010); He et al. (2015), section 2.2.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show

import nnx

WIDTH, DEPTH, ROWS = 64, 20, 256
RULES = {
    "0.9·I": nnx.init.identity(0.9),
    "1.3·I": nnx.init.identity(1.3),
    "normal 0.01": nnx.init.normal(0.01),
    "Xavier": nnx.init.glorot_normal(),
    "He": nnx.init.he_normal(),
}
ACTIVATIONS = {"linear": None, "tanh": nnx.Tanh, "ReLU": nnx.ReLU}


def measure(backend):
    """Scales layer by layer, from one pass forward and one backward."""
    numbers = Numbers()
    x = nnx.data.digits().x[:ROWS].astype(np.float64)
    x = backend.asarray(nnx.Standardize(WIDTH).initialize(0, dtype="float64").fit(x)(x))
    g = backend.asarray(nnx.random.normal(nnx.random.key(0, "direction"), (ROWS, WIDTH)) / ROWS)
    for name, activation in ACTIVATIONS.items():
        for rule, draw in RULES.items():
            layers = [nnx.Sequential(nnx.Linear(WIDTH, WIDTH, bias=False, init=draw), *([activation()] if activation else []))
                      for _ in range(DEPTH)]  # fmt: skip
            model = nnx.Sequential(*layers).initialize(0, dtype="float64").to(backend)
            stds, scales, backs, h, slope = [], [], [], x, g
            for layer in model.layers:
                h, back = nnx.vjp(layer, h)
                stds.append(float(np.std(backend.to_numpy(h))))
                backs.append(back)
            for back in reversed(backs):
                scales.insert(0, float(np.sqrt(np.mean(backend.to_numpy(slope) ** 2))))
                (slope,) = back(slope)
            numbers.add(f"{name}, activations", rule, np.arange(1, DEPTH + 1), stds)
            numbers.add(f"{name}, gradients", rule, np.arange(1, DEPTH + 1), scales)
    return numbers


def change(numbers, kind, quantity, rule):
    """How many times larger the quantity is at the end of its way than at the beginning."""
    _, y = numbers[f"{kind}, {quantity}", rule]
    return float(y[-1] / y[0] if quantity == "activations" else y[0] / y[-1])


def lesson(numbers):
    """Which combinations keep their scale."""
    linear = [change(numbers, "linear", "activations", rule) for rule in RULES]
    assert abs(linear[0] / 0.9**19 - 1) < 1e-3
    assert abs(linear[1] / 1.3**19 - 1) < 1e-3
    assert linear[2] < 1e-18
    relu = {rule: change(numbers, "ReLU", "activations", rule) for rule in RULES}
    assert 0.2 < relu["He"] < 5
    assert relu["Xavier"] < 0.01
    tanh = {
        rule: (change(numbers, "tanh", "activations", rule), change(numbers, "tanh", "gradients", rule))
        for rule in RULES
    }
    assert 0.2 < tanh["Xavier"][0] < 1
    assert tanh["1.3·I"][0] > 0.5
    return [
        f"linear, first to last layer: 0.9·I × {linear[0]:.2f} (0.9¹⁹), 1.3·I × {linear[1]:.0f} (1.3¹⁹), normal 0.01 × {linear[2]:.0e}",
        f"ReLU activations: He × {relu['He']:.2f}, Xavier × {relu['Xavier']:.4f} (a half of the variance is lost in each layer), normal 0.01 × {relu['normal 0.01']:.0e}",
        f"tanh activations and gradients (last to first layer): Xavier × {tanh['Xavier'][0]:.2f} and × {tanh['Xavier'][1]:.2f}, "
        f"1.3·I × {tanh['1.3·I'][0]:.2f} and × {tanh['1.3·I'][1]:.2f}",
    ]


def draw(figure, numbers):
    """A column for each activation."""
    axes = figure.subplots(2, len(ACTIVATIONS), sharex=True, sharey="row")
    for column, name in enumerate(ACTIVATIONS):
        for row, quantity in enumerate(("activations", "gradients")):
            panel = axes[row, column]
            plot_lines(panel, numbers, f"{name}, {quantity}")
            of = "outputs: standard deviation" if quantity == "activations" else "∂/∂outputs: root mean square"
            dress(panel, f"{name}: {quantity}", "layer" if row else "", of if not column else "", log="y")
            panel.set_ylim((1e-12, 1e4) if not row else (1e-14, 1e2))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(RULES), frameon=False)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 6))
