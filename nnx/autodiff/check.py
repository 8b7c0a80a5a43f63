"""gradcheck: gradients against differences of the function itself, in float64, on any backend.

For each parameter the derivative is compared along some random directions and at some single entries. With L(x) the
function reduced to a number, h a small step and d a direction, the difference is one of::

    one-sided    (L(x + hd) − L(x)) / h                                  error ~ h
    centred      (L(x + hd) − L(x − hd)) / 2h = D(h)                     error ~ h²
    richardson   (4 D(h) − D(2h)) / 3                                    error ~ h⁴

and the relative error is |a − n| / max(|a|, |n|) for the analytic derivative a and the numeric one n.
"""

import math
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import numpy as np

from nnx import backends, random, tree
from nnx.autodiff.blame import check_function
from nnx.autodiff.namespace import namespace
from nnx.autodiff.report import Checked, GradcheckReport
from nnx.autodiff.tensor import value_of
from nnx.autodiff.transforms import grad, is_array, is_module
from nnx.errors import ConfigError, DtypeError, GradientError
from nnx.typing import Array

EPS = float(np.finfo(np.float64).eps)
STEPS = {"one-sided": 1e-7, "centred": 1e-5, "richardson": 1e-3}
TOLERANCES = {"one-sided": 1e-4, "centred": 1e-6, "richardson": 1e-8}

Params = dict[str, Array]


def gradcheck(
    f: Callable[..., Any],
    *xs: Any,
    order: int = 1,
    method: str = "centred",
    directions: int = 3,
    entries: int = 20,
    eps: float | None = None,
    rtol: float | None = None,
    seed: int = 0,
    raises: bool = True,
) -> GradcheckReport:
    """Check the derivative of ``f`` at ``xs`` against differences; raise ``GradientError`` where they disagree.

    ``f`` returns an array or a nest of arrays; other than a single number they are reduced with fixed random weights.
    ``xs`` are arrays, nested lists, tuples or dictionaries of them, or Modules (whose trainable parameters are checked);
    ``f`` may itself be a Module. Integer arrays and other values are constants. Everything floating is cast to float64.

    ``method`` is "centred", "one-sided" or "richardson"; ``eps`` the step (1e-5, 1e-7, 1e-3) and ``rtol`` what is allowed
    (1e-6, 1e-4, 1e-8). Each parameter is checked along ``directions`` random directions and at up to ``entries`` random
    entries. Where the differences to the two sides keep disagreeing as the step shrinks there is a kink; such an entry
    is skipped and counted. Random draws of ``nnx.training`` are held fixed, and the report says so. ``order=2`` checks
    the gradient too: the derivative of its product with a fixed random direction. Inside a training pass, write
    ``nnx.training(seed=0, step=0, write_back=False)`` if batch norm's statistics shall stay as they were.

    Errors: ``GradientError`` names parameter, entry, analytic and numeric value, or says that ``f`` gives two values
    for the same arguments; ``DtypeError`` where float64 is not to be had. With ``raises=False`` a disagreement is only
    reported.

    >>> import numpy as np
    >>> report = gradcheck(lambda x: x**3, np.asarray([1.0, 2.0]))
    >>> report.passed, report.worst.path, report.worst.checked
    (True, 'x', 5)
    """
    _check_options(order, method, directions, entries)
    steps, allowed = eps or STEPS[method], rtol or TOLERANCES[method]
    if is_module(f):
        f, xs = lambda module, *rest: module(*rest), (f, *xs)
    point, function = _as_function_of_paths(f, xs)
    checked: list[Checked] = []
    fixed = False
    for level in range(1, order + 1):
        subject = _Subject(function, point, seed, level)
        fixed = subject.draws or fixed
        probing = _Probing(subject, method, steps, allowed)
        checked += [probing.parameter(path, directions, entries) for path in point]
        function = grad(subject.loss)
    report = GradcheckReport(tuple(checked), method, allowed, fixed)
    if raises and not report.passed:
        raise _disagreement(report)
    return report


def _disagreement(report: GradcheckReport) -> GradientError:
    worst = report.worst
    return GradientError(
        expected=f"the numerical derivative {worst.numeric:.10g}",
        got=f"the analytic one {worst.analytic:.10g} (relative error {worst.error:.1e}, allowed {report.rtol:.0e})",
        where=f"{worst.path} {worst.at}" + (f" (order {worst.order})" if worst.order > 1 else ""),
        fix="Mend the derivative there; nnx.gradcheck(…, raises=False) reports on every parameter.",
    )


def _check_options(order: int, method: str, directions: int, entries: int) -> None:
    if method not in STEPS:
        raise ConfigError(
            expected=f"method to be one of {', '.join(STEPS)}",
            got=repr(method),
            where="gradcheck",
            fix="Choose one of these.",
        )
    if order < 1 or directions < 0 or entries < 0 or not directions + entries:
        raise ConfigError(
            expected="order ≥ 1, and at least one direction or entry to check",
            got=f"order={order}, directions={directions}, entries={entries}",
            where="gradcheck",
            fix="Use the defaults, order=1, directions=3, entries=20.",
        )


# the function ---------------------------------------------------------------------------------------------------------
def _as_function_of_paths(f: Callable[..., Any], xs: tuple[Any, ...]) -> tuple[dict[str, Array], Callable[..., Any]]:
    """``f`` as a function of one dictionary, from the path of each parameter to its float64 array."""
    check_function(f, "gradcheck")
    point: dict[str, Array] = {}
    alone = sum(any(is_array(leaf) or is_module(leaf) for leaf in tree.leaves(x)) for x in xs) == 1
    modules_alone = sum(is_module(x) for x in xs) == 1

    def prepared(path: str, leaf: Any) -> Callable[[dict[str, Array]], Any]:
        if is_module(leaf):
            model = (leaf.copy() if hasattr(leaf, "copy") else leaf).map_arrays(lambda _, x: _float64(x))
            prefix = f"{path}." if path and not modules_alone else ""
            names = {name: prefix + name for name in model.parameters()}
            point.update({full: model.parameters()[name] for name, full in names.items()})
            return lambda params: model.map_arrays(lambda name, x: params[names[name]] if name in names else x)
        if is_array(leaf):
            value = _float64(leaf)
            if namespace(value).isdtype(value.dtype, ("real floating", "complex floating")):
                point[path] = value
                return lambda params: params[path]
            return lambda params: value
        return lambda params: leaf

    arguments = []
    for number, x in enumerate(xs):
        name = "x" if alone or (modules_alone and len(xs) == 2) else f"x{number}"
        paths = iter([f"{name}.{path}" if path else name for path, _ in tree.paths(x)])
        arguments.append(tree.map(lambda leaf: prepared(next(paths), leaf), x))  # noqa: B023 (called at once)
    if not point:
        raise DtypeError(
            expected="at least one floating-point array (or Module) to check",
            got=f"{', '.join(str(getattr(x, 'dtype', type(x).__name__)) for x in xs) or 'no arguments'}",
            where="gradcheck",
            fix="Pass the arrays themselves, e.g. nnx.gradcheck(f, np.asarray([1.0, 2.0])).",
        )
    return point, lambda params: f(*(tree.map(lambda make: make(params), argument) for argument in arguments))


def _float64(x: Array) -> Array:
    """A floating array in double precision; other arrays as they are."""
    xp = namespace(x)
    if not xp.isdtype(x.dtype, ("real floating", "complex floating")):
        return x
    wanted = "complex128" if xp.isdtype(x.dtype, "complex floating") else "float64"
    double = getattr(xp, wanted, None)
    if x.dtype == double:
        return x
    backend = backends.of(x)
    try:
        return backend.asarray(backend.to_numpy(x), dtype=wanted)
    except DtypeError as error:
        raise DtypeError(
            expected=f"a backend with {wanted}: differences in float32 could not tell a wrong derivative from rounding",
            got=f"{backend.spec}",
            fix="For JAX set JAX_ENABLE_X64=1; or check on the CPU, with arguments of nnx.backends.get('numpy').",
        ) from error


class _Subject:
    """A function to check, reduced to L = Re Σ w* y with fixed random weights w (1 for a single real number)."""

    def __init__(self, function: Callable[[Params], Any], point: Params, seed: int, level: int) -> None:
        self.function, self.point, self.seed, self.level = function, point, seed, level
        self.context = copy_context()
        self.weights: dict[str, np.ndarray] = {}
        self.here = self.terms(point)
        if not np.all(np.isfinite(self.here)):
            raise GradientError(
                expected="finite values of f at the point to check",
                got=f"{int(np.sum(~np.isfinite(self.here)))} that are not",
                fix="Choose a point inside the domain of f.",
            )
        self.noise = 16 * EPS * float(np.sum(np.abs(self.here)))
        if not np.allclose(self.terms(point), self.here, rtol=1e-12, atol=self.noise):
            raise GradientError(
                "f gives two values for the same arguments, so its derivative cannot be checked",
                fix="Fix its randomness: call gradcheck inside `with nnx.training(seed=0, step=0):`.",
            )
        self.draws = self._draws()

    def _draws(self) -> bool:
        """Whether two calls differ when the second goes on drawing where the first stopped."""
        shared = self.context.copy()
        first, second = (shared.run(self._host, self.point) for _ in range(2))
        return not np.allclose(first, second, rtol=1e-12, atol=self.noise)

    def terms(self, params: Params) -> np.ndarray:
        """The terms of L at a point. Every call sees the same random draws."""
        return self.context.copy().run(self._host, params)

    def _host(self, params: Params) -> np.ndarray:
        outputs = [(path, backends.of(y).to_numpy(y)) for path, y in self._outputs(params)]
        terms = [np.real(np.conj(self._weight(path, y, len(outputs))) * y) for path, y in outputs]
        return np.concatenate([term.ravel() for term in terms])

    def loss(self, params: Params) -> Array:
        """L itself, for the analytic derivative."""
        total: Array = None
        outputs = list(self._outputs(params))
        for path, y in outputs:
            xp = namespace(y)
            weight = backends.of(value_of(y)).asarray(self._weight(path, y, len(outputs)))
            part = xp.sum(xp.real(y * xp.conj(weight)) if xp.isdtype(y.dtype, "complex floating") else y * weight)
            total = part if total is None else total + part
        return total

    def gradient(self) -> dict[str, np.ndarray]:
        """The analytic gradient of L, on the host."""
        gradients = self.context.copy().run(grad(self.loss), self.point)
        return {path: backends.of(g).to_numpy(g) for path, g in gradients.items()}

    def _outputs(self, params: Params) -> Iterator[tuple[str, Array]]:
        for path, y in tree.paths(self.function(params)):
            if not is_array(y):
                raise DtypeError(
                    expected="f to return arrays", got=type(y).__name__, fix="Return arrays computed from x."
                )
            xp = namespace(y)
            if not xp.isdtype(y.dtype, (xp.float64, xp.complex128)):
                raise DtypeError(
                    expected="f to return float64 for float64 arguments",
                    got=f"{y.dtype}",
                    fix="Pass all of its floating arrays as arguments (they are cast), and let f keep their data type.",
                )
            yield path, y

    def _weight(self, path: str, y: Array, outputs: int) -> np.ndarray:
        if path not in self.weights:
            is_complex = namespace(y).isdtype(y.dtype, "complex floating")
            alone = outputs == 1 and not y.shape and not is_complex
            self.weights[path] = np.ones(()) if alone else self.draw("weight", path, y.shape, is_complex)
        return self.weights[path]

    def draw(self, purpose: str, path: str, shape: Any, is_complex: bool) -> np.ndarray:
        """Normal numbers for a purpose."""
        parts = [
            random.normal(random.key(self.seed, f"gradcheck {purpose} {part}", path, self.level), tuple(shape))
            for part in ("re", "im")
        ]
        return parts[0] + 1j * parts[1] if is_complex else parts[0]


# differences ----------------------------------------------------------------------------------------------------------
class _Probing:
    """Compares the analytic derivative of one subject with differences, parameter by parameter."""

    def __init__(self, subject: _Subject, method: str, eps: float, rtol: float) -> None:
        self.subject, self.method, self.eps, self.rtol = subject, method, eps, rtol
        self.gradient = subject.gradient()

    def parameter(self, path: str, directions: int, entries: int) -> Checked:
        """Probe one parameter along directions and at entries."""
        worst = Checked(path, self.subject.level, "", 0.0, 0.0, 0.0, 0, 0)
        checked = skipped = 0
        for at, direction, size in self._probes(path, directions, entries):
            analytic = float(np.sum(np.real(np.conj(self.gradient[path]) * direction)))
            numeric, error = self._compare(path, direction, self.eps * size, analytic, single=at.startswith(("[", "(")))
            if numeric is None:
                skipped += 1
                continue
            checked += 1
            named = at.startswith("[") or worst.error <= self.rtol  # rather a wrong entry than a wrong direction
            if not worst.at or (error > worst.error and named):
                worst = replace(worst, at=at, analytic=analytic, numeric=numeric, error=error)
        return replace(worst, checked=checked, skipped=skipped)

    def _probes(self, path: str, directions: int, entries: int) -> Iterator[tuple[str, np.ndarray, float]]:
        """Where to look: what to call it, the direction (of length 1), and the size that a step is relative to."""
        x = backends.of(self.subject.point[path]).to_numpy(self.subject.point[path])
        if not x.size:
            return
        is_complex = np.iscomplexobj(x)
        chosen = random.permutation(random.key(self.subject.seed, "gradcheck entries", path), x.size)[:entries]
        for flat in sorted(int(i) for i in chosen):
            index = np.unravel_index(flat, x.shape)
            name = f"[{', '.join(str(int(i)) for i in index)}]" if index else "()"
            for unit in (1.0, 1.0j) if is_complex else (1.0,):
                direction = np.zeros(x.shape, dtype=x.dtype)
                direction[index] = unit
                yield name + (" (imaginary)" if unit == 1.0j else ""), direction, max(1.0, float(np.abs(x[index])))
        for number in range(directions if x.size > 1 else 0):
            direction = self.subject.draw(f"direction {number}", path, x.shape, is_complex)
            yield f"direction {number}", direction / np.linalg.norm(direction), max(1.0, float(np.max(np.abs(x))))

    def _compare(
        self, path: str, direction: np.ndarray, h: float, analytic: float, single: bool
    ) -> tuple[float | None, float]:
        """The numeric derivative and the relative error of the analytic one; None at a kink.

        At a kink in a single entry the derivative lies between its two sides. Along a direction through kinks in several
        entries it need not: Σ relu at 0 has 0 for derivative, and in the direction (1, −1/2) the slopes 1 and 1/2.
        """
        numeric, bend, slope = self._difference(path, direction, h)
        error = self._error(analytic, numeric, h)
        noise = self.subject.noise / h
        if error <= self.rtol and bend <= 1e-3 * slope + noise:
            return numeric, error
        closer, closer_bend, _ = self._difference(path, direction, h / 10)
        kinked = closer_bend > 0.5 * bend and closer_bend > 40 * noise
        if kinked and not (single and abs(analytic - closer) > closer_bend):  # outside both sides it is wrong there too
            return None, 0.0
        closer_error = self._error(analytic, closer, h / 10)
        return (closer, closer_error) if closer_error < error else (numeric, error)

    def _difference(self, path: str, direction: np.ndarray, h: float) -> tuple[float, float, float]:
        """The derivative along a direction, by how much its two sides disagree, and the larger of the two."""
        here = self.subject.here
        after, before = self._at(path, direction, h), self._at(path, direction, -h)
        forward, backward = float(np.sum(after - here)) / h, float(np.sum(here - before)) / h
        bend, slope = abs(forward - backward), max(abs(forward), abs(backward))
        if self.method == "one-sided":
            return forward, bend, slope
        centred = float(np.sum(after - before)) / (2 * h)
        if self.method == "centred":
            return centred, bend, slope
        wide = self._at(path, direction, 2 * h) - self._at(path, direction, -2 * h)
        return (4 * centred - float(np.sum(wide)) / (4 * h)) / 3, bend, slope

    def _at(self, path: str, direction: np.ndarray, h: float) -> np.ndarray:
        x = self.subject.point[path]
        moved = x + backends.of(x).asarray(h * direction)
        return self.subject.terms({**self.subject.point, path: moved})

    def _error(self, analytic: float, numeric: float, h: float) -> float:
        """|a − n| / max(|a|, |n|), where both are large enough for their difference not to be rounding."""
        difference = abs(analytic - numeric)
        scale = max(abs(analytic), abs(numeric), self.subject.noise / h / self.rtol)
        return math.inf if math.isnan(difference) else difference / scale if difference else 0.0
