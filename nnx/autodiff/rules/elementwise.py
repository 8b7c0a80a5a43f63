"""Element-wise functions.

Ties and kinks, where the derivative is a choice: ``abs``, ``sign``, ``copysign``, ``hypot`` and ``atan2`` have 0 at 0;
``maximum`` and ``minimum`` share the gradient equally between equal operands, ``logaddexp`` between equal infinities, and
a NaN among them gets none; ``clip`` passes it on at its bounds; ``round``, ``floor``, ``ceil``,
``trunc``, ``floor_divide`` and ``nextafter`` have none. ``pow`` has 0 with respect to the base where the exponent is 0,
and 0 with respect to the exponent where the base is not positive. At a pole (``sqrt`` and ``log`` at 0, ``1/0``) the
derivative is infinite where a gradient arrives, and 0 where none does, so that ``where`` leaks no NaN from the branch
it did not take; neither does it where ``exp``, ``expm1``, ``sinh`` or ``cosh`` overflowed there. A product with an
infinite factor is not looked after: write ``xp.where(x > 0, x, 1.0)`` inside the logarithm of x log x.
"""

import cmath
import math
from typing import Any

from nnx.autodiff.rules._helpers import conj, divisor, factor, is_complex
from nnx.typing import Array, Namespace

SCALAR = (bool, int, float, complex)


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""

    def over(g: Array, d: Array) -> Array:
        return g / divisor(xp, d, g)

    def over_twice(g: Array, d: Array) -> Array:  # d * d may be 0 or infinite where d is not
        return over(over(g, d), d)

    def times(g: Array, d: Array) -> Array:
        return g * factor(xp, d, g)

    def over_root(g: Array, square: Array) -> Array:
        return g / xp.sqrt(divisor(xp, square, g))

    return {
        # one argument
        "abs": (lambda y, x: lambda g: g * conj(xp, xp.sign(x)),),
        "acos": (lambda y, x: lambda g: -over_root(g, (1 - x) * (1 + x)),),
        "acosh": (lambda y, x: lambda g: over(over_root(g, x + 1) * xp.sqrt(x + 1), xp.sinh(y)),),
        "asin": (lambda y, x: lambda g: over_root(g, (1 - x) * (1 + x)),),
        "asinh": (lambda y, x: lambda g: g / xp.cosh(y),),
        "atan": (lambda y, x: lambda g: over(g, 1 + x * x),),
        "atanh": (lambda y, x: lambda g: over(g, (1 - x) * (1 + x)),),
        "conj": (lambda y, x: lambda g: conj(xp, g),),
        "cos": (lambda y, x: lambda g: -g * xp.sin(x),),
        "cosh": (lambda y, x: lambda g: times(g, xp.sinh(x)),),
        "exp": (lambda y, x: lambda g: times(g, y),),
        "expm1": (lambda y, x: lambda g: times(g, y + 1),),
        "imag": (lambda y, x: (lambda g: g * (-1j)) if is_complex(xp, x) else None,),
        "log": (lambda y, x: lambda g: over(g, x),),
        "log10": (lambda y, x: lambda g: over(g, x) * (1 / math.log(10)),),
        "log1p": (lambda y, x: lambda g: over(g, 1 + x),),
        "log2": (lambda y, x: lambda g: over(g, x) * (1 / math.log(2)),),
        "negative": (lambda y, x: lambda g: -g,),
        "positive": (lambda y, x: lambda g: g,),
        "real": (lambda y, x: lambda g: g,),
        "reciprocal": (lambda y, x: lambda g: -over_twice(g, x),),
        "sign": (lambda y, x: _complex_sign(xp, y, x) if is_complex(xp, x) else None,),
        "sin": (lambda y, x: lambda g: g * xp.cos(x),),
        "sinh": (lambda y, x: lambda g: times(g, xp.cosh(x)),),
        "sqrt": (lambda y, x: lambda g: over(0.5 * g, y),),
        "square": (lambda y, x: lambda g: 2 * g * x,),
        "tan": (lambda y, x: lambda g: g * (1 + y * y),),
        "tanh": (lambda y, x: lambda g: g * (1 - y * y),),
        # two arguments
        "add": (lambda y, a, b: lambda g: g, lambda y, a, b: lambda g: g),
        "atan2": (
            lambda y, a, b: lambda g: over_twice(g * b, xp.hypot(a, b)),
            lambda y, a, b: lambda g: over_twice(-g * a, xp.hypot(a, b)),
        ),
        "copysign": (lambda y, a, b: lambda g: g * xp.sign(a) * xp.copysign(xp.ones_like(y), b), None),
        "divide": (
            lambda y, a, b: (lambda g: g / b) if isinstance(b, SCALAR) else lambda g: over(g, b),
            lambda y, a, b: lambda g: over_twice(-g * a, b),
        ),
        "hypot": (
            lambda y, a, b: lambda g: over(g * a, y),
            lambda y, a, b: lambda g: over(g * b, y),
        ),
        "logaddexp": (
            lambda y, a, b: lambda g: _part(xp, g, a, b, y),
            lambda y, a, b: lambda g: _part(xp, g, b, a, y),
        ),
        "maximum": (
            lambda y, a, b: lambda g: _share(xp, g, a, b, a > b),
            lambda y, a, b: lambda g: _share(xp, g, a, b, b > a),
        ),
        "minimum": (
            lambda y, a, b: lambda g: _share(xp, g, a, b, a < b),
            lambda y, a, b: lambda g: _share(xp, g, a, b, b < a),
        ),
        "multiply": (lambda y, a, b: lambda g: g * b, lambda y, a, b: lambda g: g * a),
        "pow": (
            lambda y, a, b: _pow_base(xp, a, b),
            lambda y, a, b: lambda g: times(g, _value_of_positive(xp, a, y)) * _log_of_positive(xp, a),
        ),
        "remainder": (
            lambda y, a, b: lambda g: g,
            lambda y, a, b: lambda g: -times(g, xp.floor((a - y) / b + 0.5)),
        ),
        "subtract": (lambda y, a, b: lambda g: g, lambda y, a, b: lambda g: -g),
        # three arguments
        "clip": (
            lambda y, x, low=None, high=None: lambda g: xp.where(_inside(x, low, high), g, xp.zeros_like(g)),
            lambda y, x, low=None, high=None: lambda g: xp.where(_below(x, low, high), g, xp.zeros_like(g)),
            lambda y, x, low=None, high=None: lambda g: xp.where(_above(x, low, high), g, xp.zeros_like(g)),
        ),
    }


def _complex_sign(xp: Namespace, y: Array, x: Array) -> Any:
    def pullback(g: Array) -> Array:
        r = xp.abs(x)
        r = xp.where(r == 0, xp.ones_like(r), r)
        return (g - xp.real(g * y) * xp.conj(y)) / r

    return pullback


def _share(xp: Namespace, g: Array, a: Any, b: Any, wins: Array) -> Array:
    zero = xp.zeros_like(g)
    return xp.where(wins, g, xp.where(a == b, g * 0.5, zero))


def _part(xp: Namespace, g: Array, a: Any, b: Any, y: Array) -> Array:
    """eᵃ/(eᵃ + eᵇ); of infinite operands the larger one has it all."""
    infinite = xp.isinf(y)
    finite = xp.where(infinite, xp.zeros_like(y), y)
    return xp.where(infinite, _share(xp, g, a, b, a > b), g * xp.exp(xp.where(infinite, finite, a) - finite))


def _pow_base(xp: Namespace, a: Array, b: Any) -> Any:
    """d(a^b)/da = b a^(b − 1)."""
    if isinstance(b, SCALAR):
        if b == 0:
            return lambda g: xp.zeros_like(g)
        if b == 1:
            return lambda g: g
        if b == 2:
            return lambda g: g * (2 * a)
        if complex(b).real >= 1:
            return lambda g: g * (b * a ** (b - 1))
        return lambda g: g * (b * divisor(xp, a, g) ** (b - 1))

    def pullback(g: Array) -> Array:
        pole = _pow_pole(xp, a, b)
        base = xp.where(pole, xp.ones_like(a * b), a * xp.ones_like(b))
        slope = g * (b * base ** (b - 1))
        return slope / divisor(xp, xp.where(pole & (b != 0), xp.zeros_like(slope), xp.ones_like(slope)), slope)

    return pullback


def _pow_pole(xp: Namespace, a: Any, b: Array) -> Array:
    """Where b a^(b − 1) is infinite or not a number, but for b = 0."""
    if is_complex(xp, a) or is_complex(xp, b):
        return (a == 0) & ((xp.real(b) if is_complex(xp, b) else b) < 1)
    return ((a == 0) & (b < 1)) | ((a < 0) & (b != xp.floor(b)))


def _value_of_positive(xp: Namespace, a: Any, y: Array) -> Array:
    """a^b where a > 0, else 0."""
    if isinstance(a, SCALAR):
        return y if isinstance(a, complex) or a > 0 else xp.zeros_like(y)
    return xp.where(a != 0 if is_complex(xp, a) else a > 0, y, xp.zeros_like(y))


def _log_of_positive(xp: Namespace, a: Any) -> Any:
    """log a where a > 0, else 0: what d(a^b)/db = a^b log a needs."""
    if isinstance(a, SCALAR):
        return cmath.log(a) if isinstance(a, complex) else math.log(a) if a > 0 else 0.0
    if is_complex(xp, a):
        return xp.log(xp.where(a == 0, xp.ones_like(a), a))
    return xp.log(xp.where(a > 0, a, xp.ones_like(a)))


def _inside(x: Array, low: Any, high: Any) -> Array:
    if low is None:
        return x == x if high is None else x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


def _below(x: Array, low: Any, high: Any) -> Array:
    """Where the lower bound is what ``clip`` gives: below it, unless the upper bound is lower still."""
    return x < low if high is None else (x < low) & (low <= high)


def _above(x: Array, low: Any, high: Any) -> Array:
    """Where the upper bound is what ``clip`` gives: above it, and wherever it lies below the lower one."""
    return x > high if low is None else (x > high) | (low > high)
