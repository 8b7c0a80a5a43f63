"""What the transforms refuse, and the sentence they refuse it with."""

from typing import Any

import numpy as np
import pytest

import nnx


def cube(x: Any) -> Any:
    return nnx.namespace(x).sum(x**3)


def arrays(backend: Any, *values: Any) -> list[Any]:
    return [backend.asarray(np.asarray(v, dtype=np.float64)) for v in values]


TRACING = [
    (lambda x: float(x[0]), r"float\(x\) needs the value of a traced array of shape \(\)"),
    (lambda x: int(x[0]), r"int\(x\)"),
    (lambda x: complex(x[0]), r"complex\(x\)"),
    (lambda x: 1.0 if x[0] > 0 else x[0] if x[0] else 2.0, r"bool\(x\)"),
    (lambda x: bool(x[0]), r"bool\(x\) or `if x:`.*nnx\.stop_gradient"),
    (lambda x: np.asarray(x), r"np\.asarray\(x\)"),
    (lambda x: [1, 2, 3][x[0]], "x as an index"),
    (lambda x: x.__dlpack__(), "from_dlpack"),
    (lambda x: nnx.namespace(x).arange(x[0]), "arange with a traced array"),
    (lambda x: x.__setitem__(0, 1.0), r"x\[key\] = value.*xp\.where"),
]


@pytest.mark.parametrize("f, message", TRACING, ids=[message for _, message in TRACING])
@pytest.mark.host_reads
def test_reading_a_traced_value(f: Any, message: str, backend: Any) -> None:
    x = backend.asarray(np.asarray([1.0, 0.0]))
    with pytest.raises(nnx.errors.TracingError, match=message):
        nnx.grad(lambda x: f(x) if message != r"bool\(x\)" else bool(x[1]) or x[0])(x)


ABSENT = {"index": lambda xp, x: x[7], "axis": lambda xp, x: xp.expand_dims(x, axis=3)}


@pytest.mark.parametrize("what", ABSENT)
def test_what_is_not_there_is_an_index_error(what: str, backend: Any) -> None:
    """As the standard has it, and a ShapeError all the same."""
    (x,) = arrays(backend, [1.0, 2.0])
    if (backend.name, what) == ("jax", "index"):
        pytest.skip("JAX takes the last element for one that is not there")
    with pytest.raises(IndexError, match="cannot take these shapes") as found:
        nnx.grad(lambda x: nnx.namespace(x).sum(ABSENT[what](nnx.namespace(x), x)))(x)
    assert isinstance(found.value, nnx.errors.ShapeError)


def test_assigning_a_traced_value(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])

    def f(x: Any) -> Any:
        y = nnx.namespace(x).zeros_like(x)
        y[0] = x[0]
        return y[0]

    with pytest.raises(nnx.errors.TracingError, match="would lose the derivative"):
        nnx.grad(f)(x)


def test_constants_may_be_read_and_written(backend: Any) -> None:
    if backend.name == "jax":
        pytest.skip("JAX arrays are never written to")
    (x,) = arrays(backend, [1.0, 2.0])

    def f(x: Any) -> Any:
        weights = nnx.namespace(x).zeros_like(x)
        weights[1] = 3.0
        return nnx.namespace(x).sum(x * weights)

    np.testing.assert_array_equal(backend.to_numpy(nnx.grad(f)(x)), [0.0, 3.0])


ERRORS = [
    (lambda x: nnx.grad(lambda x: x)(x), nnx.errors.ShapeError, r"0-d array, got shape \(2,\)\. Take its mean or sum"),
    (lambda x: nnx.grad(lambda x: 1.0)(x), nnx.errors.DtypeError, "0-d array, got float"),
    (lambda x: nnx.grad(lambda x: x[0] > 0)(x), nnx.errors.DtypeError, "real floating-point number, got"),
    (lambda x: nnx.grad(lambda x: (x[0], 1))(x), nnx.errors.DtypeError, "got tuple"),
    (lambda x: nnx.grad(cube)(2.0), nnx.errors.DtypeError, r"Pass arrays, e\.g\. np\.asarray\(2\.0\)"),
    (lambda x: nnx.grad(cube, argnums=1)(x, 2.0), nnx.errors.DtypeError, r"got float 2\.0"),
    (lambda x: nnx.grad(cube)(nnx.namespace(x).astype(x, nnx.namespace(x).int64)), nnx.errors.DtypeError, "xp.astype"),
    (lambda x: nnx.vjp(lambda x: x, x)[1](x[:1]), nnx.errors.ShapeError, r"a cotangent like the value: shapes \(2,\), got \(1,\)"),
    (lambda x: nnx.jvp(lambda x: x, (x,), (x[:1],)), nnx.errors.ShapeError, "directions of the shapes of the arguments"),
    (lambda x: nnx.vjp(lambda x: {"a": x}, x)[1]({"b": x}), nnx.errors.ShapeError, r"shapes {'a': \(2,\)}, got {'b': \(2,\)}"),
    (lambda x: nnx.vjp(cube, x)[1](1.0), nnx.errors.ShapeError, r"shapes \(\), got 1.0"),
    (lambda x: nnx.hvp(cube, x, [1.0, 0.0]), nnx.errors.ShapeError, r"of the arguments, \(2,\), got \[1.0, 0.0\]"),
    (lambda x: nnx.jvp(cube, x, x), nnx.errors.ConfigError, r"a tuple of arguments, got .*nnx.jvp\(f, \(x,\), \(v,\)\)"),
    (lambda x: nnx.grad(cube, argnums="x")(x), nnx.errors.ConfigError, "or a tuple of such, got 'x'"),
    (lambda x: nnx.hvp(cube, x, x[:1]), nnx.errors.ShapeError, "directions of the shapes of the arguments"),
    (lambda x: nnx.grad(cube, argnums=3)(x), nnx.errors.ConfigError, r"argnums below 1, the number of positional arguments, or a tuple of such, got 3"),
    (lambda x: nnx.grad(lambda x: cube(x), has_aux=True)(x), nnx.errors.ConfigError, r"the function to return \(loss, extra\)"),
    (lambda x: nnx.grad(lambda x: cube(WRONG_COUNT(x, x)))(x), nnx.errors.ConfigError, "2 gradients, one for each array, got 1"),
    (lambda x: nnx.grad(lambda x: cube(WRONG_SHAPE(x)))(x), nnx.errors.ShapeError, r"a gradient of shape \(2,\), got \(3, 5\)"),
]  # fmt: skip
WRONG_COUNT = nnx.custom_vjp(lambda x, y: (x + y, ()), lambda saved, g: (g,))
WRONG_SHAPE = nnx.custom_vjp(
    lambda x: (x * 1.0, ()), lambda saved, g: (nnx.namespace(g).ones((3, 5), dtype=g.dtype, device=g.device),)
)


@pytest.mark.parametrize("f, error, message", ERRORS, ids=[message[:30] for _, _, message in ERRORS])
def test_errors(f: Any, error: type[Exception], message: str, backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    with pytest.raises(error, match=message):
        f(x)


def test_a_function_of_the_library_itself(backend: Any) -> None:
    """``torch.sin`` of a traced array says "must be Tensor, not Tensor": that is put in our words."""
    if backend.name == "strict":
        pytest.skip("its functions take whatever has their dtype")
    (x,) = arrays(backend, [1.0, 2.0])
    with pytest.raises(
        nnx.errors.TracingError, match=r"a function of the array library itself .* xp = nnx.namespace\(x\)"
    ):
        nnx.grad(lambda x: cube(backend.xp.sin(x)))(x)


def test_a_traced_value_in_an_array_of_numpy() -> None:
    """NumPy says of the first that a sequence was set, of the second that Tensor knows no ufuncs."""

    def put(x: Any) -> Any:
        y = np.zeros(2)
        y[0] = x[0]
        return cube(x * y)

    def summed(x: Any) -> Any:
        y = np.zeros(2)
        y += x
        return cube(y)

    x = np.asarray([1.0, 2.0])
    with pytest.raises(nnx.errors.TracingError, match=r"grad of put: float\(x\) needs the value of a traced array"):
        nnx.grad(put)(x)
    with pytest.raises(nnx.errors.TracingError, match=r"grad of summed: .* a = a \+ x in place of a \+= x"):
        nnx.grad(summed)(x)


def test_two_libraries_do_not_mix(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    other = nnx.backends.get("strict" if backend.name != "strict" else "numpy").asarray(np.asarray([1.0, 2.0]))
    with pytest.raises(nnx.errors.MixedArraysError, match="only, got one of"):
        nnx.grad(lambda x: nnx.namespace(x).sum(x * other))(x)
    with pytest.raises(nnx.errors.MixedArraysError, match="only, got one of"):
        nnx.grad(lambda x, y: nnx.namespace(x).sum(x * y))(x, other)


UNSUPPORTED = [
    *(
        (lambda xp, x, i=i: xp.linalg.svd(x)[i], nnx.errors.ShapeError, r"full_matrices=False, or a square matrix")
        for i in range(3)
    ),
    *(
        (lambda xp, x, i=i: xp.linalg.qr(x, mode="complete")[i], nnx.errors.ShapeError, "Use mode='reduced'")
        for i in range(2)
    ),
    (lambda xp, x: xp.linalg.matrix_norm(x, ord=3), nnx.errors.ConfigError, "ord to be one of 'fro', 'nuc'"),
]


@pytest.mark.parametrize("f, error, message", UNSUPPORTED, ids=["u", "s", "vh", "q", "r", "matrix_norm"])
def test_what_has_no_derivative_says_so(f: Any, error: type[Exception], message: str, backend: Any) -> None:
    x = backend.asarray(np.arange(12.0).reshape(4, 3) ** 2)
    with pytest.raises(error, match=message):
        nnx.grad(lambda x: nnx.namespace(x).sum(f(nnx.namespace(x), x)))(x)
