"""Fourier transforms. The matrix of a transform is symmetric, so its transpose is the transform itself; what stands
around it (padding, cutting, the half of a real signal's spectrum) is transposed by hand.

``rfftn``, ``irfftn``, ``hfft`` and ``ihfft`` are expressions of these; see ``nnx.autodiff.composite``.
"""

from typing import Any

from array_api_compat import device

from nnx.autodiff.composite import INVERSE
from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    fft: Any = getattr(xp, "fft", None)
    return {
        "fft.fft": (_line(xp, fft and fft.fft),),
        "fft.ifft": (_line(xp, fft and fft.ifft),),
        "fft.fftn": (_grid(xp, fft and fft.fftn),),
        "fft.ifftn": (_grid(xp, fft and fft.ifftn),),
        "fft.rfft": (lambda y, x, n=None, axis=-1, norm="backward": _rfft(xp, x, n, axis, norm),),
        "fft.irfft": (lambda y, x, n=None, axis=-1, norm="backward": _irfft(xp, y, x, axis, norm),),
        "fft.fftshift": (lambda y, x, axes=None: lambda g: fft.ifftshift(g, axes=axes),),
        "fft.ifftshift": (lambda y, x, axes=None: lambda g: fft.fftshift(g, axes=axes),),
    }


def resize(xp: Namespace, x: Array, n: int, axis: int) -> Array:
    """``x`` cut or padded with zeros to length ``n`` along an axis."""
    axis = axis % x.ndim
    before = (slice(None),) * axis
    if x.shape[axis] >= n:
        return x if x.shape[axis] == n else x[(*before, slice(0, n), ...)]
    shape = (*x.shape[:axis], n - x.shape[axis], *x.shape[axis + 1 :])
    return xp.concat([x, xp.broadcast_to(xp.zeros_like(x[(*before, slice(0, 1), ...)]), shape)], axis=axis)


def _line(xp: Namespace, transform: Any) -> Any:
    def rule(y: Array, x: Array, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
        return lambda g: resize(xp, transform(g, axis=axis, norm=norm), x.shape[axis], axis)

    return rule


def _grid(xp: Namespace, transform: Any) -> Any:
    def rule(y: Array, x: Array, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        over = tuple(range(-len(s), 0)) if axes is None and s is not None else axes

        def pullback(g: Array) -> Array:
            x_bar = transform(g, axes=over, norm=norm)
            for axis, n in enumerate(x.shape):
                x_bar = resize(xp, x_bar, n, axis)
            return x_bar

        return pullback

    return rule


def _rfft(xp: Namespace, x: Array, n: int | None, axis: int, norm: str) -> Any:
    """The other half of the spectrum gets no gradient: ``fft`` pads with zeros there, and the tape keeps the real part."""
    length = x.shape[axis] if n is None else n
    return lambda g: resize(xp, xp.fft.fft(g, n=length, axis=axis, norm=norm), x.shape[axis], axis)


def _irfft(xp: Namespace, y: Array, x: Array, axis: int, norm: str) -> Any:
    """Frequencies that stand for themselves and their mirror image count twice; 0 and, if even, n/2 once."""

    def pullback(g: Array) -> Array:
        n = g.shape[axis]
        x_bar = xp.conj(xp.fft.rfft(g, axis=axis, norm=INVERSE[norm]))
        k = xp.arange(n // 2 + 1, dtype=g.dtype, device=device(g))
        once = (k == 0) | (2 * k == n)
        times = xp.where(once, xp.ones_like(k), 2 * xp.ones_like(k))
        times = xp.reshape(times, tuple(-1 if i == axis % g.ndim else 1 for i in range(g.ndim)))
        return resize(xp, x_bar * times, x.shape[axis], axis)

    return pullback
