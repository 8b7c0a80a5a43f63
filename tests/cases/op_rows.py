"""What a row of the op table is, and the makers of rows that look alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Make = Callable[[np.random.Generator], np.ndarray]


class Case(NamedTuple):
    """One way to call a function: ``call(xp, *arrays)``, with one maker for each host array."""

    label: str
    call: Callable[..., Any]
    args: tuple[Make, ...]


@dataclass(frozen=True)
class Row:
    """A differentiable function of the namespace, by its path.

    ``value``      the value from NumPy or SciPy, a function of host arrays; None: the same call on NumPy itself
    ``analytic``   whether complex step applies; ``why`` says why not
    ``complex``    whether complex arguments are tested too; ``why_real`` says why not
    ``rounding``   what a value may be off, relative to the largest value of the result
    ``exempt``     backends on which the row (or with ``backend/label`` one case) does not run, each with its reason
    """

    name: str
    cases: tuple[Case, ...]
    value: Callable[..., Any] | None = None
    analytic: bool = True
    why: str = ""
    complex: bool = True
    why_real: str = ""
    rounding: float = 1e-13
    exempt: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.analytic or self.why, f"{self.name}: say why complex step does not apply"
        assert self.complex or self.why_real, f"{self.name}: say why complex arguments are not tested"


def function(xp: Any, path: str) -> Callable[..., Any]:
    """``xp.linalg.det`` for ``linalg.det``."""
    for name in path.split("."):
        xp = getattr(xp, name)
    return xp


# host arrays ----------------------------------------------------------------------------------------------------------
def normal(*shape: int) -> Make:
    return lambda rng: rng.standard_normal(shape)


def between(low: float, high: float) -> Callable[..., Make]:
    """A maker of makers: uniform numbers of a shape."""
    return lambda *shape: lambda rng: rng.uniform(low, high, shape)


positive, unit, above_one = between(0.5, 2.0), between(-0.8, 0.8), between(1.2, 3.0)


def away(*shape: int) -> Make:
    """Numbers of both signs, none near 0."""
    return lambda rng: rng.uniform(0.4, 1.6, shape) * rng.choice([-1.0, 1.0], shape)


def distinct(*shape: int) -> Make:
    """Numbers of both signs, each far from all others and from 0: …, -0.6, -0.2, 0.2, 0.6, …"""
    size = int(np.prod(shape))
    return lambda rng: (rng.permutation(size).reshape(shape) - size // 2 + 0.5) * 0.4


def spread(*shape: int) -> Make:
    """Numbers of both signs whose sizes are far from each other and from 0."""
    size = int(np.prod(shape))
    return lambda rng: (rng.permutation(size).reshape(shape) + 1.0) ** 1.1 * 0.2 * rng.choice([-1.0, 1.0], shape)


def square(*shape: int) -> Make:
    """Well-conditioned matrices, also tall and wide ones, whose eigenvalues and singular values are apart."""
    return lambda rng: rng.standard_normal(shape) * 0.2 + np.eye(*shape[-2:]) * (1.0 + np.arange(shape[-1]))


def of_rank(rank: int, *shape: int) -> Make:
    """Singular matrices."""
    left, right = (*shape[:-1], rank), (*shape[:-2], rank, shape[-1])
    return lambda rng: rng.standard_normal(left) @ rng.standard_normal(right) / shape[-1]


def spectrum(*shape: int) -> Make:
    """Complex numbers."""
    return lambda rng: rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def integers(high: int, *shape: int) -> Make:
    return lambda rng: rng.integers(0, high, shape)


def fixed(values: Any) -> Make:
    return lambda rng: np.asarray(values)


# rows that look alike -------------------------------------------------------------------------------------------------
def row(name: str, *cases: tuple[str, Callable[..., Any], tuple[Make, ...]], **columns: Any) -> Row:
    """A row with cases of its own."""
    return Row(name, tuple(Case(*case) for case in cases), **columns)


def with_options(name: str, args: tuple[Make, ...], *options: dict[str, Any], **columns: Any) -> Row:
    """A row with one case for each set of keyword arguments; a case may bring ``args`` of its own."""
    cases = []
    for option in options:
        keywords = {key: value for key, value in option.items() if key != "args"}
        label = ", ".join(f"{key}={value}" for key, value in keywords.items()) or "defaults"
        made = option.get("args", args)
        shapes = " ".join(str(make(np.random.default_rng(0)).shape) for make in made) if "args" in option else ""
        cases.append(Case(f"{label} {shapes}".strip(), _calling(name, keywords), made))
    return Row(name, tuple(cases), **columns)


def _calling(name: str, keywords: dict[str, Any]) -> Callable[..., Any]:
    return lambda xp, *arrays: function(xp, name)(*arrays, **keywords)


def unary(name: str, domain: Callable[..., Make] = normal, **columns: Any) -> Row:
    """An element-wise function of one array."""
    call = _calling(name, {})
    shapes = (("matrix", (2, 3)), ("0-d", ()), ("empty", (0, 3)))
    return Row(name, tuple(Case(label, call, (domain(*shape),)) for label, shape in shapes), **columns)


def binary(
    name: str,
    left: Callable[..., Make] = normal,
    right: Callable[..., Make] = normal,
    scalars: tuple[Any, ...] = (1.25,),
    more: tuple[Case, ...] = (),
    **columns: Any,
) -> Row:
    """An element-wise function of two arrays: broadcasting both ways, 0-d, empty, Python scalars on both sides."""
    call = _calling(name, {})
    shapes = (
        ("same shape", (2, 3), (2, 3)), ("right broadcast", (2, 3), (3,)), ("left broadcast", (3,), (2, 3)),
        ("both broadcast", (2, 1), (1, 3)), ("0-d left", (), (2, 3)), ("0-d both", (), ()), ("empty", (0, 3), (1, 3)),
    )  # fmt: skip
    cases = [Case(label, call, (left(*a), right(*b))) for label, a, b in shapes]
    for scalar in scalars:
        cases.append(Case(f"scalar {scalar} right", lambda xp, x, s=scalar: call(xp, x, s), (left(2, 3),)))
        cases.append(Case(f"scalar {scalar} left", lambda xp, x, s=scalar: call(xp, s, x), (right(2, 3),)))
    return Row(name, (*cases, *more), **columns)


REDUCTIONS: tuple[dict[str, Any], ...] = (
    {}, {"axis": 0}, {"axis": -1}, {"axis": (0, -1)}, {"axis": (-2,), "keepdims": True}, {"keepdims": True},
)  # fmt: skip


def reduction(name: str, domain: Callable[..., Make] = normal, *more: dict[str, Any], **columns: Any) -> Row:
    """A reduction of one array: all axes, some, negative ones, kept or not; 0-d and empty."""
    shapes = ({"args": (domain(),)}, {"args": (domain(0, 3),), "axis": 1}, {"args": (domain(1, 4, 1),), "axis": 1})
    return with_options(name, (domain(2, 3, 2),), *REDUCTIONS, *shapes, *more, **columns)
