"""Derivatives by nnx, and the same numbers by complex step or by differences of the function on NumPy.

A result is reduced to L = Re Σ w* y with fixed random weights w, and L is differentiated along random directions.
An error is relative to the size of the terms that were summed, where these are small, to a thousandth of those of L.
"""

from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as host
import numpy as np
from cases.op_rows import Case, Make, Row

import nnx
from nnx import tree

STEP = 2e-3


class Problem:
    """One case with its arguments, weights and directions, all fixed by the label."""

    def __init__(self, row: Row, case: Case, *, complex_arguments: bool = False, dtype: str = "float64") -> None:
        self.row, self.call = row, case.call
        rng = np.random.default_rng([ord(letter) for letter in f"{row.name} {case.label}"])
        self.args = [self._argument(make, rng, complex_arguments) for make in case.args]
        if dtype == "float32":
            self.args = [a.astype(np.float32).astype(np.float64) if a.dtype == np.float64 else a for a in self.args]
        self.wrt = tuple(i for i, a in enumerate(self.args) if np.issubdtype(a.dtype, np.inexact))
        with np.errstate(all="ignore"):
            outputs = [np.asarray(y) for y in tree.leaves(self.call(host, *self.args))]
        self.weights = [like(y, rng) if np.issubdtype(y.dtype, np.inexact) else None for y in outputs]
        self.mass = float(sum(np.sum(np.abs(w * y)) for w, y in zip(self.weights, outputs) if w is not None))
        self.v, self.u = ([like(self.args[i], rng) for i in self.wrt] for _ in range(2))

    @staticmethod
    def _argument(make: Make, rng: np.random.Generator, complex_arguments: bool) -> np.ndarray:
        a = np.asarray(make(rng))
        return a + 0.5j * make(rng) if complex_arguments and a.dtype == np.float64 else a

    # nnx
    def loss(self, backend: Any) -> Callable[..., Any]:
        """L as a function of the arrays of a backend."""
        weights = [None if w is None else backend.asarray(w) for w in self.weights]

        def loss(*arrays: Any) -> Any:
            xp = nnx.namespace(*arrays)
            total: Any = None
            for y, w in zip(tree.leaves(self.call(xp, *arrays)), weights, strict=True):
                if w is None:
                    continue
                is_complex = xp.isdtype(y.dtype, "complex floating")
                term = xp.real(y * xp.conj(w)) if is_complex else y * xp.astype(w, y.dtype)
                total = xp.sum(term) if total is None else total + xp.sum(term)
            return total

        return loss

    def arrays(self, backend: Any) -> list[Any]:
        return [backend.asarray(a) for a in self.args]

    def gradients(self, backend: Any) -> list[np.ndarray]:
        """∇L, on the host."""
        return [backend.to_numpy(g) for g in nnx.grad(self.loss(backend), argnums=self.wrt)(*self.arrays(backend))]

    def hessian_times_u(self, backend: Any) -> list[np.ndarray]:
        """∇⟨∇L, u⟩, on the host: the rules of the rules."""
        directions = [backend.asarray(u) for u in self.u]
        inner = nnx.grad(self.loss(backend), argnums=self.wrt)

        def slope(*arrays: Any) -> Any:
            xp = nnx.namespace(*arrays)
            pairs = list(zip(inner(*arrays), directions))
            terms = [
                xp.sum(xp.real(g * xp.conj(u)) if xp.isdtype(g.dtype, "complex floating") else g * u) for g, u in pairs
            ]
            return sum(terms[1:], terms[0])

        return [backend.to_numpy(g) for g in nnx.grad(slope, argnums=self.wrt)(*self.arrays(backend))]

    # NumPy
    def value(self, *steps: tuple[complex, list[np.ndarray]]) -> Any:
        """L on NumPy at x + Σ h d, without taking the real part where h is imaginary."""
        args = list(self.args)
        for h, directions in steps:
            for i, d in zip(self.wrt, directions, strict=True):
                args[i] = args[i] + h * d
        with np.errstate(all="ignore"):
            outputs = tree.leaves(self.call(host, *args))
        total: Any = 0.0
        for y, w in zip(outputs, self.weights, strict=True):
            if w is not None:
                total = total + np.sum(np.real(np.conj(w) * y) if np.iscomplexobj(w) else w * y)
        return total

    def first(self) -> float:
        """L along v: complex step where the function is analytic, else differences."""
        if self._analytic:
            return float(np.imag(self.value((1e-30j, self.v))) / 1e-30)
        return extrapolated(lambda h: np.real(self.value((h, self.v)) - self.value((-h, self.v))) / (2 * h), 1e-3)

    def second(self) -> float:
        """L along u and v."""
        if self._analytic:
            along_u = lambda h: np.imag(self.value((1e-30j, self.u), (h, self.v))) / 1e-30  # noqa: E731
            return extrapolated(lambda h: (along_u(h) - along_u(-h)) / (2 * h), 1e-3)

        def mixed(h: float) -> float:
            corners = (self.value((a * h, self.u), (b * h, self.v)) * a * b for a in (1, -1) for b in (1, -1))
            return float(np.real(sum(corners)) / (4 * h * h))

        return extrapolated(mixed, STEP)

    @property
    def _analytic(self) -> bool:
        return (
            self.row.analytic
            and all(self.args[i].dtype == np.float64 for i in self.wrt)
            and not any(map(np.iscomplexobj, self.weights))
        )

    def tolerance(self, order: int) -> float:
        if not self._analytic:
            return 1e-6
        return 1e-12 if order == 1 else 1e-8

    def error(self, gradients: list[np.ndarray], expected: float) -> float:
        """How far Re Σ g* v is from what it should be."""
        terms = [np.real(np.conj(g) * v) for g, v in zip(gradients, self.v, strict=True)]
        got = float(sum(np.sum(t) for t in terms))
        scale = max(float(sum(np.sum(np.abs(t)) for t in terms)), abs(expected), 1e-3 * (self.mass + 1.0))
        return abs(got - expected) / scale if got != expected else 0.0


def like(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers, complex where ``a`` is."""
    real = rng.standard_normal(a.shape)
    return real + 1j * rng.standard_normal(a.shape) if np.iscomplexobj(a) else real


def extrapolated(difference: Callable[[float], float], h: float) -> float:
    """A difference whose error goes with h², h⁴, h⁶: the first two cancelled (Richardson)."""
    near, middle, far = (difference(h * k) for k in (1, 2, 4))
    first, second = (4 * near - middle) / 3, (4 * middle - far) / 3
    return float((16 * first - second) / 15)
