"""Every differentiable function: value, first and second derivative, on every backend."""

import functools
import os
from typing import Any

import array_api_compat.numpy as host
import numpy as np
import pytest
from cases.op_rows import Case, Row
from cases.ops import CASES, NO_DERIVATIVE, ROWS
from support.derivatives import Problem

import nnx
from nnx import tree
from nnx.autodiff import Namespace, hooks, namespace_over, standard, transforms
from nnx.autodiff.composite import COMPOSITE
from nnx.autodiff.rules import table

every_case = pytest.mark.parametrize("row, case", CASES, ids=[f"{row.name}: {case.label}" for row, case in CASES])


@functools.cache
def problem(row_name: str, case: Case, **options: Any) -> Problem:
    row = next(row for row in ROWS if row.name == row_name)
    return Problem(row, case, **options)


@functools.cache
def expected(row_name: str, case: Case, order: int, **options: Any) -> float:
    made = problem(row_name, case, **options)
    return made.first() if order == 1 else made.second()


def leave_out(row: Row, case: Case, backend: Any) -> None:
    for known in (backend.spec, backend.name, f"{backend.name}/{case.label}"):
        if known in row.exempt:
            pytest.skip(f"{row.name} on {backend.spec}: {row.exempt[known]}")


LONG = os.environ.get("NNX_LONG") == "1"
compiles_every_shape = pytest.mark.skip_backends(
    *([] if LONG else ["jax"]),
    reason="compiles every shape and dtype anew: float64 and first orders run, the rest where NNX_LONG is 1",
)


def only_first_case(row: Row, case: Case, backend: Any) -> None:
    if backend.name == "jax" and case is not row.cases[0] and not LONG:
        pytest.skip("JAX compiles every shape anew: further variants of this run on the other backends")


@every_case
def test_value(row: Row, case: Case, backend: Any, record_disagreement: Any) -> None:
    leave_out(row, case, backend)
    made = problem(row.name, case)
    space = namespace_over(backend.xp)
    arrays = [space.leaf(a) if i in made.wrt else space.lift(a) for i, a in enumerate(made.arrays(backend))]
    reference = row.value(*made.args) if row.value else made.call(host, *made.args)
    for got, wanted in zip(tree.leaves(made.call(space, *arrays)), tree.leaves(reference), strict=True):
        got, wanted = backend.to_numpy(space.lower(got)), np.asarray(wanted)
        assert got.shape == wanted.shape
        assert got.dtype == wanted.dtype or got.dtype.kind in "iu"
        error = float(np.max(np.abs(got - wanted), initial=0.0)) / max(float(np.max(np.abs(wanted), initial=0.0)), 1e-3)
        record_disagreement(f"{row.name} value", backend, "float64", error, row.rounding)
        assert error <= row.rounding


@every_case
@pytest.mark.parametrize(
    "order", [pytest.param(1, id="first"), pytest.param(2, id="second", marks=compiles_every_shape)]
)
def test_derivative(row: Row, case: Case, order: int, backend: Any, record_disagreement: Any) -> None:
    leave_out(row, case, backend)
    only_first_case(row, case, backend)
    made = problem(row.name, case)
    gradients = made.gradients(backend) if order == 1 else made.hessian_times_u(backend)
    for g, i in zip(gradients, made.wrt, strict=True):
        assert g.shape == made.args[i].shape
        assert g.dtype == made.args[i].dtype
    error = made.error(gradients, expected(row.name, case, order))
    tolerance = made.tolerance(order)
    record_disagreement(f"{row.name} order {order}", backend, "float64", error, tolerance)
    assert error <= tolerance


COMPLEX = [
    (row, case)
    for row, case in CASES
    if row.complex and not any(np.iscomplexobj(make(np.random.default_rng(0))) for make in case.args)
]


@pytest.mark.parametrize("row, case", COMPLEX, ids=[f"{row.name}: {case.label}" for row, case in COMPLEX])
@pytest.mark.parametrize(
    "order", [pytest.param(1, id="first"), pytest.param(2, id="second", marks=compiles_every_shape)]
)
def test_complex(row: Row, case: Case, order: int, backend: Any, record_disagreement: Any) -> None:
    """The same with complex arguments: directions have real and imaginary parts."""
    leave_out(row, case, backend)
    only_first_case(row, case, backend)
    made = problem(row.name, case, complex_arguments=True)
    gradients = made.gradients(backend) if order == 1 else made.hessian_times_u(backend)
    error = made.error(gradients, expected(row.name, case, order, complex_arguments=True))
    record_disagreement(f"{row.name} order {order}", backend, "complex128", error, 1e-6)
    assert error <= 1e-6


FLOATING = [(row, row.cases[0]) for row in ROWS]
every_row = pytest.mark.parametrize("row, case", FLOATING, ids=[row.name for row, _ in FLOATING])


@compiles_every_shape
@every_row
def test_single_precision(row: Row, case: Case, backend: Any, record_disagreement: Any) -> None:
    """float32 arguments have float32 gradients, those of float64 but for rounding."""
    leave_out(row, case, backend)
    made = problem(row.name, case, dtype="float32")
    if any(made.args[i].dtype != np.float64 for i in made.wrt):
        arrays = [backend.asarray(a.astype(np.complex64) if i in made.wrt else a) for i, a in enumerate(made.args)]
    else:
        arrays = [backend.asarray(a.astype(np.float32) if i in made.wrt else a) for i, a in enumerate(made.args)]
    gradients = nnx.grad(made.loss(backend), argnums=made.wrt)(*arrays)
    for g, reference, i in zip(gradients, made.gradients(backend), made.wrt, strict=True):
        assert g.dtype == arrays[i].dtype
        scale = max(float(np.max(np.abs(reference), initial=0.0)), made.mass * 1e-3, 1e-3)
        error = float(np.max(np.abs(backend.to_numpy(g) - reference), initial=0.0)) / scale
        record_disagreement(f"{row.name} order 1", backend, "float32", error, 1e-4)
        assert error <= 1e-4


SEVERAL = [(row, case) for row, case in CASES if len(problem(row.name, case).wrt) > 1]


@pytest.mark.parametrize("row, case", SEVERAL, ids=[f"{row.name}: {case.label}" for row, case in SEVERAL])
def test_mixed_operands(row: Row, case: Case, backend: Any) -> None:
    """Each operand traced alone, beside bare arrays of the backend: the same gradient as all together, twice over."""
    leave_out(row, case, backend)
    only_first_case(row, case, backend)
    made = problem(row.name, case)
    together, arrays = made.gradients(backend), made.arrays(backend)
    curved = made.hessian_times_u(backend)
    for place, i in enumerate(made.wrt):

        def loss(x: Any, i: int = i) -> Any:
            return made.loss(backend)(*arrays[:i], x, *arrays[i + 1 :])

        alone = backend.to_numpy(nnx.grad(loss)(arrays[i]))
        np.testing.assert_allclose(alone, together[place], rtol=1e-12, atol=1e-12 * (1 + made.mass))
        assert backend.to_numpy(nnx.hvp(loss, arrays[i], backend.asarray(made.u[place]))).shape == curved[place].shape


@compiles_every_shape
@every_row
def test_views(row: Row, case: Case, backend: Any) -> None:
    """Arguments that are not contiguous in memory: the same gradient."""
    leave_out(row, case, backend)
    made = problem(row.name, case)
    arrays = made.arrays(backend)
    for i in made.wrt:
        if made.args[i].ndim:
            arrays[i] = backend.asarray(np.repeat(made.args[i], 2, axis=-1))[..., ::2]
    gradients = nnx.grad(made.loss(backend), argnums=made.wrt)(*arrays)
    for got, wanted in zip(gradients, made.gradients(backend), strict=True):
        np.testing.assert_allclose(backend.to_numpy(got), wanted, rtol=1e-12, atol=1e-13 * (1 + made.mass))


def names() -> set[str]:
    """Every function of the standard by its path, what the array object adds, and the hooks."""
    found = {"getitem", "to_device", *(f"hooks.{name}" for name in ("scatter_add", "put", "windows", "fold", "erf"))}
    plain = set(standard.signatures("linear_algebra"))
    for chapter in standard.CHAPTERS:
        for name in standard.signatures(chapter):
            found.add(name if chapter not in standard.EXTENSIONS or name in plain else f"{chapter}.{name}")
    return found - {"__array_namespace_info__"}


def test_the_table_is_complete() -> None:
    rows = {row.name for row in ROWS}
    assert names() - rows - set(NO_DERIVATIVE) == set()
    assert (rows | set(NO_DERIVATIVE)) - names() == set()
    assert rows & set(NO_DERIVATIVE) == set()
    assert len(rows) == len(ROWS)


def test_rules_and_rows_agree() -> None:
    """What has a rule or is composed has a row; what has a row has one, or is an array's own doing."""
    known = {*table(host), *COMPOSITE, "asarray"} - {"arange"}
    rows = {row.name for row in ROWS if not row.name.startswith("hooks.")}
    assert known == rows


def off(pullback: Any) -> Any:
    """A pullback that is wrong by 0.1 %."""

    def wrong(g: Any) -> Any:
        out = pullback(g)
        return [part * 1.001 for part in out] if isinstance(out, list) else out * 1.001

    return wrong


def planted(rules: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    """The rules of a function with one of them wrong."""

    def wrong(*args: Any, **kwargs: Any) -> Any:
        pullback = rules[at](*args, **kwargs)
        return pullback and off(pullback)

    return tuple(wrong if i == at else rule for i, rule in enumerate(rules))


def faults() -> list[tuple[str, int]]:
    rules = table(host)
    return [(row.name, at) for row in ROWS for at, rule in enumerate(rules.get(row.name, (True,))) if rule is not None]


@pytest.mark.parametrize("name, at", faults(), ids=[f"{name} {at}" for name, at in faults()])
def test_a_rule_off_by_a_thousandth_is_caught(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule of each function made wrong in turn; some case of the row must be out of tolerance."""
    backend = nnx.backends.get("numpy")
    rules = table(backend.xp)
    if name.startswith("hooks."):
        primitive = getattr(hooks, name.removeprefix("hooks."))
        right = primitive.backward
        monkeypatch.setattr(primitive, "backward", lambda *args: [g if g is None else g * 1.001 for g in right(*args)])
    elif name in rules:
        rules = {**rules, name: planted(rules[name], at)}
    else:  # an expression of others: all of them
        rules = {other: planted(each, 0) if each[0] else planted(each, 1) for other, each in rules.items()}
    space = Namespace(backend.xp, rules)
    monkeypatch.setattr(transforms, "namespace_over", lambda xp: space)
    row = next(row for row in ROWS if row.name == name)
    errors = []
    for case in row.cases:
        for options in ({}, {"complex_arguments": True}) if row.complex else ({},):
            made = problem(name, case, **options)
            error = made.error(made.gradients(backend), expected(name, case, 1, **options))
            errors.append(error / made.tolerance(1))
    assert max(errors) > 2
