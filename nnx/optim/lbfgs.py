"""L-BFGS: quasi-Newton steps from the last m changes of parameters and gradients, for the whole batch at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

from nnx import backends
from nnx.errors import ConfigError, DivergedError
from nnx.optim import check
from nnx.optim.base import check_arrays
from nnx.optim.config import Configured
from nnx.optim.line_search import Point, strong_wolfe
from nnx.typing import Array

Arrays = Mapping[str, Array]
Objective = Callable[[dict[str, Array]], tuple[Any, Arrays]]
"""``params -> (loss, gradients)``, the same function every time it is called."""

STUCK = "no step downhill: at the limit of the precision"
"""Why it ends when the line search finds nothing lower."""


class Minimum(NamedTuple):
    """Where :meth:`LBFGS.minimize` ended: loss, largest gradient entry, iterations, evaluations, and why it ended."""

    params: dict[str, Array]
    loss: float
    gradient: float
    iterations: int
    evaluations: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class LBFGS(Configured):
    """x ← x + t d with d = −H g and t from a strong-Wolfe line search.

    H is the two-loop recursion over the last ``history`` pairs s = Δx, y = Δg, started from γI with γ = sᵀy/yᵀy; a pair
    is kept if sᵀy > 10⁻¹⁰ ‖s‖‖y‖ and is a normal number. The objective must be the same function at every call: the
    whole data set, and no draws that change. Arrays of any backend; a handful of numbers goes to the host in each
    evaluation. A search that finds nothing downhill is tried once more without the pairs, along −g. It has converged
    when every entry of the gradient is within ``tolerance``.

    ``penalties`` are added to the objective, value and gradient; ``chain(penalize(l2=1e-4), LBFGS())`` says the same.
    ``nnx.fit`` takes it as an optimizer for the whole training set at once.

    Errors: ``ConfigError`` for a setting out of range, and for a penalty without a value or with a kink (L1).
    Source: Nocedal (1980); Nocedal and Wright, Numerical Optimization (2nd ed.), Algorithms 7.4 and 7.5.

    >>> import numpy as np, nnx
    >>> objective = nnx.value_and_grad(lambda p: nnx.namespace(p["x"]).sum((p["x"] - 1.0) ** 4))
    >>> found = LBFGS().minimize(objective, {"x": np.zeros(3)}, tolerance=1e-9)
    >>> bool(abs(found.params["x"] - 1.0).max() < 1e-2)
    True
    """

    name: ClassVar[str] = "lbfgs"
    history: int = 10
    c1: float = 1e-4
    c2: float = 0.9
    evaluations: int = 25
    tolerance: float = 1e-5
    penalties: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        check.count(self.history, name="history", where="LBFGS", example="10")
        check.fraction(self.c1, name="c1", where="LBFGS", example="1e-4")
        check.fraction(self.c2, name="c2", where="LBFGS", example="0.9")
        check.count(self.evaluations, name="evaluations", where="LBFGS", example="25")
        check.not_negative(self.tolerance, name="tolerance", where="LBFGS", example="1e-5")
        for penalty in self.penalties:
            _check_smooth(penalty)

    def behind(self, transforms: tuple[Any, ...]) -> Self:
        """The same with these penalties in its objective: what ``chain(*transforms, LBFGS())`` makes."""
        return replace(self, penalties=(*transforms, *self.penalties))

    def init(self, params: Arrays) -> dict[str, Any]:
        """The state before the first step: no pairs, and nothing known of the objective."""
        return {"step": 0, "s": {}, "y": {}}

    def evaluated(self, objective: Objective, state: dict[str, Any], params: Arrays) -> dict[str, Any]:
        """The state with ``loss``, penalties included, and ``grads`` at ``params``, as :meth:`step` leaves them."""
        loss, grads = self._evaluate(objective, dict(params))
        return {**state, "loss": loss, "grads": dict(grads), "evaluations": state.get("evaluations", 0) + 1}

    def converged(self, state: dict[str, Any]) -> bool:
        """Whether every entry of the gradient is within the tolerance."""
        return _largest(state["grads"]) <= self.tolerance

    def step(
        self, objective: Objective, state: dict[str, Any], params: Arrays
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """One iteration: direction, line search, and the new pair.

        The new state has ``loss`` (a float) and ``grads`` at the new point, the ``length`` t of the step,
        ``evaluations`` so far, and ``stuck``: whether no step downhill could be found. ``DivergedError`` if the loss at
        the start is not finite.
        """
        params = dict(params)
        if "grads" not in state:
            state = self.evaluated(objective, state, params)
        loss, grads = state["loss"], state["grads"]
        if not loss - loss == 0:
            raise DivergedError(
                expected="a finite loss to start from", got=f"{loss}", where="LBFGS", fix="Start from other weights."
            )
        direction, slope = self._descent(state, grads)
        first = 1.0 if state["s"] else min(1.0, 1.0 / max(_host(_dot(grads, grads)) ** 0.5, 1e-300))
        count = [0]

        def phi(t: float) -> Point:
            count[0] += 1
            there = {path: p + t * direction[path] for path, p in params.items()}
            value, g = self._evaluate(objective, there)
            return Point(t, value, _host(_dot(g, direction)), (there, g))

        start = Point(0.0, loss, slope, (params, grads))
        found = strong_wolfe(phi, start, first, c1=self.c1, c2=self.c2, evaluations=self.evaluations)
        evaluations = state["evaluations"] + count[0]
        if found.t == 0.0 and state["s"]:
            return self.step(objective, {**state, "s": {}, "y": {}, "evaluations": evaluations}, params)
        new, new_grads = found.extra
        s, y = self._remember(state, _minus(new, params), _minus(new_grads, grads))
        new_state = {
            "step": state["step"] + 1, "s": s, "y": y, "loss": found.value, "grads": dict(new_grads),
            "evaluations": evaluations, "length": found.t, "stuck": found.t == 0.0,
        }  # fmt: skip
        return new, new_state

    def minimize(
        self,
        objective: Objective,
        params: Arrays,
        *,
        iterations: int = 200,
        tolerance: float | None = None,
        callback: Callable[[int, float], bool | None] | None = None,
    ) -> Minimum:
        """Step until every entry of the gradient is within ``tolerance``, or no step helps, or the iterations are over.

        ``tolerance`` is the optimizer's own unless it is given. ``callback(iteration, loss)`` may end it by returning true.
        """
        if tolerance is not None:
            return replace(self, tolerance=tolerance).minimize(
                objective, params, iterations=iterations, callback=callback
            )
        check_arrays(params, "LBFGS.minimize")
        params = dict(params)
        state = self.evaluated(objective, self.init(params), params)
        reason = "out of iterations"
        for _ in range(iterations):
            if self.converged(state):
                break
            params, state = self.step(objective, state, params)
            if state["stuck"]:
                reason = STUCK
                break
            if callback is not None and callback(state["step"], state["loss"]):
                reason = "the callback ended it"
                break
        if self.converged(state):
            reason = "converged"
        return Minimum(params, state["loss"], _largest(state["grads"]), state["step"], state["evaluations"], reason)

    def _evaluate(self, objective: Objective, params: dict[str, Array]) -> tuple[float, Arrays]:
        """The loss as a float and the gradients, with the penalties."""
        found = objective(params)
        if not isinstance(found, tuple) or len(found) != 2:
            raise ConfigError(
                expected="an objective that returns the loss and its gradients",
                got=type(found).__name__,
                where="LBFGS",
                fix="Write nnx.value_and_grad(f).",
            )
        loss, grads = _host(found[0]), found[1]
        for penalty in self.penalties if params else ():
            loss += _host(penalty.value(params))
            grads, _ = penalty.transform(grads, {}, params)
        return loss, grads

    def _descent(self, state: dict[str, Any], grads: Arrays) -> tuple[dict[str, Array], float]:
        """d = −H g and its slope gᵀd; steepest descent where H g does not lead down."""
        pairs = [(state["s"][key], state["y"][key]) for key in sorted(state["s"], key=int)]
        q, alphas = grads, []
        for s, y in reversed(pairs):
            rho = 1.0 / _host(_dot(s, y))
            alpha = rho * _host(_dot(s, q))
            alphas.append((alpha, rho))
            q = {path: q[path] - alpha * y[path] for path in q}
        if pairs:
            s, y = pairs[-1]
            gamma = _host(_dot(s, y)) / _host(_dot(y, y))
            q = {path: gamma * value for path, value in q.items()}
        for (s, y), (alpha, rho) in zip(pairs, reversed(alphas), strict=True):
            beta = rho * _host(_dot(y, q))
            q = {path: q[path] + (alpha - beta) * s[path] for path in q}
        direction = {path: -value for path, value in q.items()}
        slope = _host(_dot(grads, direction))
        if slope < 0:
            return direction, slope
        return {path: -g for path, g in grads.items()}, -_host(_dot(grads, grads))

    def _remember(self, state: dict[str, Any], s: Arrays, y: Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
        """The pairs with the new one, without the oldest if there are too many. Keys are numbers as text."""
        old_s, old_y = dict(state["s"]), dict(state["y"])
        curvature = _host(_dot(s, y))
        if curvature > max(1e-10 * _host(_dot(s, s)) ** 0.5 * _host(_dot(y, y)) ** 0.5, _smallest(s)):
            key = str(state["step"])
            old_s[key], old_y[key] = s, y
        for key in sorted(old_s, key=int)[: -self.history]:
            del old_s[key], old_y[key]
        return old_s, old_y


def _check_smooth(penalty: Any) -> None:
    """``ConfigError`` unless this is a term of the objective that has a gradient everywhere."""
    name = getattr(penalty, "name", type(penalty).__name__)
    if not hasattr(penalty, "value"):
        raise ConfigError(
            expected="penalties alone before L-BFGS: its line search needs the gradient of the loss as it is",
            got=name,
            where="LBFGS",
            fix="Leave it away, or use Adam.",
        )
    if getattr(penalty, "l1", 0.0):
        raise ConfigError(
            expected="a smooth penalty: abs(w) has a kink at 0, where L-BFGS gets stuck",
            got=f"l1={penalty.l1:g}",
            where="LBFGS",
            fix="Use l2, or Adam for l1.",
        )


def _dot(a: Arrays, b: Arrays) -> Array:
    """Σ over all arrays of Σ a·b, a 0-d array on the device."""
    total: Any = 0.0
    for path, x in a.items():
        total = total + backends.of(x).xp.sum(x * b[path])
    return total


def _smallest(arrays: Arrays) -> float:
    """The smallest number of these arrays' dtype that can be divided by: below, the curvature is rounding."""
    return max(float(backends.of(x).xp.finfo(x.dtype).smallest_normal) for x in arrays.values())


def _largest(arrays: Arrays) -> float:
    """The largest absolute entry."""
    parts = [_host(backends.of(x).xp.max(backends.of(x).xp.abs(x))) for x in arrays.values() if 0 not in x.shape]
    return max(parts, default=0.0)


def _minus(a: Arrays, b: Arrays) -> dict[str, Array]:
    return {path: x - b[path] for path, x in a.items()}


def _host(x: Any) -> float:
    return x if isinstance(x, float) else float(backends.of(x).to_numpy(x))
