"""L1 makes weights zero, L2 makes them small.

A softmax classifier of the digits (64 pixels → 10 classes, standardised) is trained on half of them by full-batch gradient
descent with each penalty at six strengths. Left: the share of weights that end within 0.01 of zero, and the validation
accuracy. Right: the sizes of the 640 weights, in order, for the strength marked in the left picture. Under L1 most weights go to zero while a few
stay large; under L2 they all shrink together. Plain gradient steps on L1 jump about zero by α λ, so "zero" here is a neighbourhood.

Source: Tibshirani (1996); Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.1.
"""

import numpy as np
from _gallery import COLOURS, LINES, MARKERS, Numbers, dress, show, trained

import nnx

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
SHOWN = 1e-2


def measure(backend):
    """The sizes of the weights at the end, and what they are worth."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.5, 0.5), seed=0)
    for kind in ("l1", "l2"):
        zeros, accuracies = [], []
        for strength in STRENGTHS:
            model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10, init=nnx.init.glorot_normal()))
            optimizer = nnx.optim.chain(nnx.optim.penalize(**{kind: strength}), nnx.optim.SGD(0.3))
            trained(model, train, backend=backend, optimizer=optimizer, epochs=200, batch_size=len(train))
            sizes = np.sort(np.abs(backend.to_numpy(model[1].weight)).ravel())[::-1]
            zeros.append(np.mean(sizes < 0.01))
            accuracies.append(nnx.evaluate(model, val)["accuracy"])
            if strength == SHOWN:
                numbers.add("sizes", kind.upper(), np.arange(1, sizes.size + 1), sizes)
        numbers.add("zero", kind.upper(), STRENGTHS, zeros)
        numbers.add("accuracy", kind.upper(), STRENGTHS, accuracies)
    return numbers


def lesson(numbers):
    """At the same strength L1 leaves many more zeros."""
    zero, accuracy = ({kind: numbers[panel, kind][1] for kind in ("L1", "L2")} for panel in ("zero", "accuracy"))
    at = STRENGTHS.index(SHOWN)
    largest = {kind: numbers["sizes", kind][1][0] for kind in zero}
    assert zero["L1"][at] > 0.6 > 0.1 > zero["L2"][at]
    assert largest["L1"] > largest["L2"]
    assert accuracy["L1"][at] > 0.9
    return [
        f"λ = {SHOWN}: within 0.01 of zero {zero['L1'][at]:.0%} of the weights under L1, {zero['L2'][at]:.0%} under L2; "
        f"largest weight {largest['L1']:.2f} and {largest['L2']:.2f}; validation accuracy {accuracy['L1'][at]:.3f} and {accuracy['L2'][at]:.3f}",
    ]


def draw(figure, numbers):
    """Zeros and accuracy over the strength; sizes in order."""
    left, middle, right = figure.subplots(1, 3)
    for index, kind in enumerate(("L1", "L2")):
        look = {"color": COLOURS[index], "linestyle": LINES[index], "label": kind}
        left.plot(*numbers["zero", kind], marker=MARKERS[index], markersize=4, **look)
        middle.plot(*numbers["accuracy", kind], marker=MARKERS[index], markersize=4, **look)
        right.plot(*numbers["sizes", kind], **look)
    dress(left, "weights within 0.01 of zero", "strength λ", "share of the weights", log="x", legend=True)
    dress(middle, "validation accuracy", "strength λ", "share of images", log="x", legend=True)
    dress(right, f"weights in order of size, λ = {SHOWN}", "rank", "|w|", legend=True)
    for axes in (left, middle):
        axes.axvline(SHOWN, color="0.6", linewidth=0.8)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.4))
