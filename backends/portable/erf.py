"""erf, from two polynomials that were fitted for nnx: within 2 ulp in float64."""

import array_api_compat

from nnx.typing import Array, Namespace

# |x| <= 1: erf(x) / x - 1 as a polynomial in x^2. |x| >= 1: exp(x^2) erfc(x) as a polynomial in (x - 3) / (x + 3). Both are
# Chebyshev interpolants on [0, 1] and on the image of [1, 6], taken in 50 digits (tests/backends/test_erf.py repeats it).
_NEAR = (
    0.12837916709551257,
    -0.3761263890318375,
    0.11283791670954879,
    -0.026866170645076792,
    0.0052239776248180145,
    -0.000854832698083379,
    0.0001205533111164271,
    -1.4925595266831182e-05,
    1.6461000484121368e-06,
    -1.6350312701054695e-07,
    1.4659775274047436e-08,
    -1.1372848856791674e-09,
    5.957176147748911e-11,
)
_FAR = (
    0.17900115118138996,
    -0.32623356004303716,
    0.24560380171233195,
    -0.15011593650078744,
    0.07166583719774874,
    -0.024392499318273194,
    0.004269136347508256,
    0.0007077464443901538,
    -0.0005970623517093284,
    4.525472635483354e-05,
    6.406182073530546e-05,
    -1.284889451252353e-05,
    -8.008021319412685e-06,
    2.023603179641757e-06,
    1.2801900862962662e-06,
)
_ONE_FROM = 6.0  # erfc(6) is 2e-17


def erf(xp: Namespace, x: Array) -> Array:
    """The error function of real floats.

    ``erf(x) = 2 / sqrt(pi) * integral of exp(-t^2) dt from 0 to x``

    Any shape; the dtype is kept. erf(-0.0) is -0.0, erf(+-inf) is +-1, NaN stays NaN. Within 2 ulp.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> erf(xp, np.asarray([-1.0, 0.0, 0.5]))
    array([-0.84270079,  0.        ,  0.52049988])
    """
    one = xp.asarray(1.0, dtype=x.dtype, device=array_api_compat.device(x))
    size = xp.abs(x)
    small = xp.minimum(size, one)
    large = xp.minimum(xp.maximum(size, one), _ONE_FROM * one)
    near = small + small * _polynomial(_NEAR, small * small)
    far = 1.0 - xp.exp(-large * large) * _polynomial(_FAR, (large - 3.0) / (large + 3.0))
    value = xp.where(size > one, far, near)
    return xp.where(x < 0, -value, xp.where(x == 0, x, value))


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    total = coefficients[-1] * x
    for coefficient in reversed(coefficients[1:-1]):
        total = (total + coefficient) * x
    return total + coefficients[0]
