"""All optimizers on the digits: training loss against passes through the data.

A network 64 → 64 (ReLU) → 10 on 1,438 images. Each optimizer has the best of five rates a factor of about three apart, judged by the validation
loss after ten passes (the rate stands in the legend). Once their rates are right, plain descent and the forms of
momentum are equal on this easy problem; the adaptive methods are ahead in training loss, and none in validation accuracy. L-BFGS sees all images in each evaluation, so a pass gives it one evaluation
where the others make 23 steps; at equal work it is behind on this data.

Source: Wilson et al. (2017) and Choi et al. (2019) for how far the comparison depends on tuning.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show, trained

import nnx

PASSES = 10
FAMILIES = {
    "gradient descent and momentum": {
        "gradient descent": lambda rate: nnx.optim.SGD(100 * rate),
        "momentum": lambda rate: nnx.optim.SGD(10 * rate, momentum=0.9),
        "momentum, averaged": lambda rate: nnx.optim.SGD(100 * rate, momentum=0.9, averaged=True),
        "Nesterov": lambda rate: nnx.optim.SGD(10 * rate, momentum=0.9, nesterov=True),
    },
    "adaptive rates; L-BFGS": {
        "Adagrad": lambda rate: nnx.optim.Adagrad(10 * rate),
        "RMSprop": lambda rate: nnx.optim.RMSprop(0.3 * rate),
        "Adam": lambda rate: nnx.optim.Adam(rate),
        "AdamW": lambda rate: nnx.optim.AdamW(rate),
        "AMSGrad": lambda rate: nnx.optim.Adam(rate, amsgrad=True),
    },
}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


def network():
    """64 → 64 → 10."""
    return nnx.Sequential(
        nnx.Standardize(64), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 10, init=nnx.init.glorot_normal())
    )


def lbfgs(backend, train, val, numbers):
    """The loss against evaluations of all images; each gives loss and gradient."""
    model = network().initialize(0, dtype="float64")
    model[0].fit(train.x)
    model.to(backend)
    x, y = backend.asarray(train.x, dtype="float64"), backend.asarray(train.y)
    cost = nnx.value_and_grad(lambda model: nnx.losses.cross_entropy(model(x), y))
    optimizer, params, at, losses = nnx.optim.LBFGS(), model.parameters(), [], []
    state = optimizer.init(params)
    while state.get("evaluations", 0) < PASSES:
        params, state = optimizer.step(lambda p: cost(model.load(p)), state, params)
        if state["evaluations"] <= PASSES:
            at.append(state["evaluations"])
            losses.append(state["loss"])
    numbers.add("rate", "L-BFGS", 1, nnx.evaluate(model.load(params), val)["accuracy"])
    return at, losses


def measure(backend):
    """The loss on all training images after each pass, for the best rate of each optimizer."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for family, makers in FAMILIES.items():
        for name, make in makers.items():
            best = (np.inf, 0.0, 0.0, [])
            for rate in RATES:
                losses = []
                try:
                    with np.errstate(over="ignore", invalid="ignore"):
                        run = trained(network(), train, val, backend=backend, optimizer=make(rate), epochs=PASSES,
                                      callbacks=[lambda run, record: losses.append(nnx.evaluate(run.model, train)["loss"])])  # fmt: skip # noqa: B023
                except nnx.errors.DivergedError:
                    continue
                last = run.history[-1]
                best = min(best, (last["val_loss"], make(rate).learning_rate, last["val_accuracy"], losses))
            numbers.add(family, name, np.arange(1, PASSES + 1), best[3])
            numbers.add("rate", name, best[1], best[2])
    numbers.add("adaptive rates; L-BFGS", "L-BFGS", *lbfgs(backend, train, val, numbers))
    return numbers


def lesson(numbers):
    """The family of Adam gets farthest in the same number of passes; the validation accuracies are alike."""
    ends = {name: float(numbers[family, name][1][-1]) for family in FAMILIES for name in numbers.names(family)}
    accuracies = [numbers.value("rate", name) for name in ends]
    assert max(accuracies) - min(accuracies) < 0.02
    assert max(ends["Adam"], ends["AdamW"], ends["AMSGrad"]) < 0.3 * ends["gradient descent"]
    assert abs(ends["momentum"] / ends["gradient descent"] - 1) < 0.1
    assert ends["gradient descent"] < ends["L-BFGS"]
    said = [
        f"{name} {loss:.4f} ({numbers['rate', name][0][0]:g}, {numbers.value('rate', name):.3f})"
        for name, loss in ends.items()
    ]
    return [
        f"training loss after {PASSES} passes (best rate, validation accuracy): " + "; ".join(said),
        f"validation accuracies lie between {min(accuracies):.3f} and {max(accuracies):.3f}",
    ]


def draw(figure, numbers):
    """A panel for each family."""
    for axes, family in zip(figure.subplots(1, 2, sharey=True), FAMILIES):
        plot_lines(axes, numbers, family)
        for line, name in zip(axes.get_lines(), numbers.names(family)):
            line.set_label(f"{name}, {numbers['rate', name][0][0]:g}" if name != "L-BFGS" else name)
        dress(axes, family, "passes through the data", "cross-entropy on all training images", log="y", legend=True)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4.2))
