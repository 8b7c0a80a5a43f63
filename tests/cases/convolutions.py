"""Convolutions of every kind, small, for the hooks that compute them."""

import numpy as np

# spatial, kernel, stride, pads, dilation, groups, channels (in, out), batch
CASES = {
    "plain": ((6, 7), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, (4, 3), 2),
    "one channel": ((6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, (1, 5), 3),
    "few channels, one axis": ((9,), (2,), (2,), ((1, 0),), (3,), 1, (2, 3), 3),
    "stride": ((8, 5), (3, 2), (2, 3), ((1, 1), (0, 1)), (1, 1), 1, (5, 4), 2),
    "dilation": ((9, 9), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 1, (4, 4), 2),
    "groups": ((5, 5), (2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1), 2, (4, 6), 2),
    "more padding than kernel": ((4, 4), (2, 2), (1, 1), ((3, 2), (0, 2)), (1, 1), 1, (8, 2), 2),
    "many outputs": ((5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, (2, 12), 2),
    "empty batch": ((5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, (2, 3), 0),
    "three axes": ((4, 3, 5), (2, 2, 2), (1, 1, 2), ((0, 1), (0, 0), (1, 0)), (1, 1, 2), 1, (3, 2), 2),
    "rows apart": ((9, 8), (3, 2), (1, 2), ((1, 0), (0, 1)), (2, 1), 1, (5, 4), 2),
    "columns apart": ((6, 7), (2, 2), (1, 1), ((0, 0), (1, 1)), (1, 2), 1, (9, 2), 2),
    "a rest at the end": ((8, 8), (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1), 1, (3, 3), 1),
}


def arrays(name):
    """x, weight, bias and (stride, pads, dilation, groups) of a case."""
    spatial_axes, kernel, stride, pads, dilation, groups, (inputs, outputs), batch = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, *spatial_axes, inputs))
    w = rng.normal(size=(*kernel, inputs // groups, outputs))
    return x, w, rng.normal(size=outputs), (stride, pads, dilation, groups)
