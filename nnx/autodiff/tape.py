"""Nodes and the backward pass. Broadcasting, data types and accumulation are undone here, once.

A node remembers its parents and one pullback for each: a function from the gradient of its output to that of the
parent. Nodes point at parents only, so the tape has no cycle and goes away with the last array that was computed on it.

The pairing between a gradient ``g`` and a change ``dx`` is ``dL = Re Σ g·dx``, without a conjugate: a pullback is then
the plain transpose, for real and complex arrays alike. The transforms conjugate once at the end.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from nnx.errors import ShapeError
from nnx.typing import Array, Namespace

Pullback = Callable[[Array], Array]
_order = count()


class Node:
    """One step of a computation: who it came from and how a gradient goes back.

    ``pullbacks`` is a tuple aligned with ``parents``, or one function that gives the gradients of all of them together.
    ``shape`` and ``dtype`` are those of the output, ``order`` numbers the nodes as they were made.
    """

    __slots__ = ("dtype", "order", "parents", "pullbacks", "shape")

    def __init__(self, parents: Sequence["Node"], pullbacks: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.parents = parents
        self.pullbacks = pullbacks
        self.shape = shape
        self.dtype = dtype
        self.order = next(_order)


class Bundle(Node):
    """A step with several outputs; each output is a child node made by ``output``. Its gradient is
    a dictionary from the output's index, for the outputs that were used."""

    __slots__ = ()

    def output(self, index: int, shape: tuple[int, ...], dtype: Any) -> Node:
        """The node of one output."""
        return Node((self,), (lambda g: (index, g),), shape, dtype)


def backward(seeds: Iterable[tuple[Node, Array]], xp: Namespace, *, release: bool = False) -> dict[Node, Array]:
    """Carry the gradients of the seeds back to every node they depend on; the result holds those of the leaves.

    ``xp`` is the namespace that the gradients are arrays of. With ``release`` the nodes forget what they kept as soon
    as it was used: memory falls while the pass runs, and it can run only once.
    """
    gradients: dict[Node, Any] = {}
    for node, seed in seeds:
        _accumulate(gradients, node, seed, xp)
    leaves: dict[Node, Array] = {}
    for node in _reachable(gradients):
        g = gradients.pop(node, None)
        if g is None:
            continue
        pullbacks = node.pullbacks
        if not node.parents:
            leaves[node] = g
        elif callable(pullbacks):
            for parent, contribution in zip(node.parents, pullbacks(g), strict=True):
                _accumulate(gradients, parent, contribution, xp)
        else:
            for parent, pullback in zip(node.parents, pullbacks, strict=True):
                _accumulate(gradients, parent, pullback(g), xp)
        if release and node.parents:
            node.pullbacks = _spent
    return leaves


def _spent(_: Array) -> Array:
    raise RuntimeError("this tape was released by its backward pass; use nnx.vjp to go back more than once")


def _reachable(roots: Iterable[Node]) -> list[Node]:
    """All ancestors of the roots, children before parents."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: node.order, reverse=True)


def _accumulate(gradients: dict[Node, Any], node: Node, g: Any, xp: Namespace) -> None:
    if type(node) is Bundle:
        index, g = g
        outputs = gradients.setdefault(node, {})
        outputs[index] = outputs[index] + g if index in outputs else g
        return
    if g is None:
        return
    if g.shape != node.shape or g.dtype != node.dtype:
        g = fit(g, node.shape, node.dtype, xp)
    gradients[node] = gradients[node] + g if node in gradients else g


def fit(g: Array, shape: tuple[int, ...], dtype: Any, xp: Namespace) -> Array:
    """The gradient of an operand from that of what it was broadcast and promoted to."""
    if g.shape != shape:
        extra = g.ndim - len(shape)
        if extra < 0 or any(want not in (have, 1) for have, want in zip(g.shape[extra:], shape, strict=True)):
            raise ShapeError(
                expected=f"a gradient of shape {tuple(shape)}",
                got=f"{tuple(g.shape)}",
                fix="A backward function returns a gradient for each array, of its shape.",
            )
        if extra > 0:
            g = xp.sum(g, axis=tuple(range(extra)), dtype=g.dtype)
        stretched = tuple(i for i, (have, want) in enumerate(zip(g.shape, shape, strict=True)) if have != want)
        if stretched:
            g = xp.sum(g, axis=stretched, keepdims=True, dtype=g.dtype)
    if g.dtype != dtype:
        if xp.isdtype(g.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
            g = xp.real(g)
        g = xp.astype(g, dtype, copy=False)
    return g
