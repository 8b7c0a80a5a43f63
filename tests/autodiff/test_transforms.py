"""The transforms: orders, nests, levels, conventions, errors."""

import threading
from typing import Any

import numpy as np
import pytest
from support.transforms import arrays, cube, same

import nnx


# orders ---------------------------------------------------------------------------------------------------------------
def test_value_and_grad(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    value, gradient = nnx.value_and_grad(cube)(x)
    same(backend, value, 9.0)
    same(backend, gradient, [3.0, 12.0])
    assert type(value) is type(x)


def test_third_order_by_nesting(backend: Any) -> None:
    (x,) = arrays(backend, 2.0)
    f = nnx.namespace(x).sin
    third = nnx.grad(nnx.grad(nnx.grad(lambda x: nnx.namespace(x).sin(x))))
    same(backend, third(x), -np.cos(2.0))
    same(backend, f(x), np.sin(2.0))


def test_no_perturbation_confusion(backend: Any) -> None:
    """d/dx (x d/dy (x + y)) = 1, and not 2 (Siskind & Pearlmutter 2005)."""
    x, one = arrays(backend, 5.0, 1.0)
    same(backend, nnx.grad(lambda x: x * nnx.grad(lambda y: x + y)(one))(x), 1.0)
    same(backend, nnx.grad(lambda x: x * nnx.grad(lambda y: x * y)(one))(x), 10.0)
    same(backend, nnx.grad(lambda x: x * nnx.grad(lambda y: x * y)(x))(x), 10.0)


def test_jvp_inside_grad_and_grad_inside_jvp(backend: Any) -> None:
    x, v = arrays(backend, 2.0, 3.0)
    same(backend, nnx.grad(lambda x: nnx.jvp(lambda y: y**3, (x,), (v,))[1])(x), 36.0)
    value, slope = nnx.jvp(nnx.grad(lambda y: y**3), (x,), (v,))
    same(backend, value, 12.0)
    same(backend, slope, 36.0)


def test_jvp_of_jvp(backend: Any) -> None:
    x, one = arrays(backend, 2.0, 1.0)

    def first(x: Any) -> Any:
        return nnx.jvp(lambda y: y**4, (x,), (one,))[1]

    same(backend, nnx.jvp(first, (x,), (one,))[1], 48.0)


def test_vjp_may_be_pulled_again_and_inside_grad(backend: Any) -> None:
    x, u = arrays(backend, [1.0, 2.0], [1.0, 10.0])
    y, pull = nnx.vjp(lambda x: x * x, x)
    same(backend, y, [1.0, 4.0])
    for _ in range(2):
        same(backend, pull(u)[0], [2.0, 40.0])
    same(backend, nnx.grad(lambda x: nnx.namespace(x).sum(nnx.vjp(lambda y: y**3, x)[1](u)[0]))(x), [6.0, 120.0])


def test_vjp_and_jvp_are_adjoint(backend: Any) -> None:
    rng = np.random.default_rng(0)
    x, v, u = arrays(backend, rng.standard_normal((3, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))

    def f(x: Any) -> Any:
        xp = nnx.namespace(x)
        return xp.tanh(x @ x) @ xp.linalg.inv(x)

    forward = backend.to_numpy(nnx.jvp(f, (x,), (v,))[1])
    back = backend.to_numpy(nnx.vjp(f, x)[1](u)[0])
    assert np.sum(forward * backend.to_numpy(u)) == pytest.approx(np.sum(back * backend.to_numpy(v)), rel=1e-12)


def test_hvp(backend: Any) -> None:
    x, v = arrays(backend, [1.0, 2.0], [1.0, -1.0])
    same(backend, nnx.hvp(cube, x, v), [6.0, -12.0])
    nested = nnx.hvp(lambda nest: cube(nest["a"]) * cube(nest["b"][0]), {"a": x, "b": (x,)}, {"a": v, "b": (v,)})
    step = 1e-6
    g = nnx.grad(lambda nest: cube(nest["a"]) * cube(nest["b"][0]))
    after, before = (g({"a": x + s * v, "b": (x + s * v,)}) for s in (step, -step))
    numeric = (backend.to_numpy(after["a"]) - backend.to_numpy(before["a"])) / (2 * step)
    np.testing.assert_allclose(backend.to_numpy(nested["a"]), numeric, rtol=1e-8)


def test_directions_and_cotangents_are_matched_by_key(backend: Any) -> None:
    """Dictionaries whose keys stand in another order are the same nest: never one key's direction for another's array."""
    one, two, v, w = arrays(backend, [1.0, 2.0], [3.0, 4.0], [0.0, 5.0], [1.0, 0.0])
    nest, turned = {"a": one, "b": two}, {"b": w, "a": v}
    f = lambda p: cube(p["a"]) + nnx.namespace(p["b"]).sum(2.0 * p["b"] ** 2)  # noqa: E731
    second = nnx.hvp(f, nest, turned)
    same(backend, second["a"], [0.0, 60.0])
    same(backend, second["b"], [4.0, 0.0])
    same(backend, nnx.jvp(f, (nest,), (turned,))[1], 60.0 + 12.0)
    (pulled,) = nnx.vjp(lambda p: {"u": 2.0 * p["a"], "w": 3.0 * p["b"]}, nest)[1]({"w": w, "u": v})
    same(backend, pulled["a"], [0.0, 10.0])
    same(backend, pulled["b"], [3.0, 0.0])
    model = nnx.Linear(2, 1).initialize(seed=0).to(backend, dtype="float64")
    fill = lambda like, value: nnx.namespace(like).full_like(like, value)  # noqa: E731
    towards = {"bias": fill(model.bias, 7.0), "weight": fill(model.weight, 0.5)}
    turned = nnx.hvp(lambda m: cube(m(one[None, :])), model, towards)
    straight = nnx.hvp(lambda m: cube(m(one[None, :])), model, dict(reversed(towards.items())))
    same(backend, turned["weight"], backend.to_numpy(straight["weight"]))


def test_labels_of_eight_bits(backend: Any) -> None:
    """take, take_along_axis and x[key, key] give the gradients that they give for labels of 64 bits."""
    if backend.name == "torch":
        pytest.skip("its indices have 64 bits")
    wide = np.random.default_rng(0).integers(0, 10, 300)
    scores = np.random.default_rng(1).standard_normal((300, 10))
    ways = [
        lambda xp, x, y: xp.take_along_axis(x, y[:, None], axis=1),
        lambda xp, x, y: xp.take(x, y, axis=0),
        lambda xp, x, y: x[y, y],
    ]
    for way in ways:
        gradients = []
        for dtype in ("int64", "uint8"):
            x, labels = backend.asarray(scores), backend.asarray(wide, dtype=dtype)
            gradients.append(nnx.grad(lambda x, y: cube(way(nnx.namespace(x), x, y)))(x, labels))  # noqa: B023
        np.testing.assert_array_equal(backend.to_numpy(gradients[1]), backend.to_numpy(gradients[0]))


def test_take_by_a_list() -> None:
    gradient = nnx.grad(lambda x: cube(nnx.namespace(x).take(x, [2, 0, 2], axis=0)))(np.asarray([1.0, 5.0, 2.0]))
    np.testing.assert_array_equal(gradient, [3.0, 0.0, 24.0])


@pytest.mark.skip_backends("jax", "strict", reason="nobody writes over their arrays")
def test_each_gradient_is_an_array_of_its_own(backend: Any) -> None:
    """Who scales a gradient in place scales that one: not a view of a number, of another gradient, or of the cotangent."""
    a, b = arrays(backend, [1.0, 1.0], [[1.0], [1.0]])

    def loss(p: Any, c: Any) -> Any:
        xp = nnx.namespace(c)
        return cube(p["a"] + xp.reshape(p["b"], (2,)) + c) + 13.0 * xp.sum(p["d"])

    of_p, of_c = nnx.grad(loss, argnums=(0, 1))({"a": a, "b": b, "d": a}, a)
    cotangent = a * 2.0
    pulled = nnx.vjp(lambda a, b: a + nnx.namespace(b).reshape(b, (2,)), a, b)[1](cotangent)
    values = [
        (of_p["a"], 27.0),
        (of_p["b"], 27.0),
        (of_p["d"], 13.0),
        (of_c, 27.0),
        *((g, 2.0) for g in (*pulled, cotangent)),
    ]
    for each, value in values:
        each *= 0.5
        same(backend, each, np.full(each.shape, value / 2))


# arguments ------------------------------------------------------------------------------------------------------------
def test_argnums(backend: Any) -> None:
    a, b, c = arrays(backend, 2.0, 3.0, 5.0)
    f = lambda a, b, c: a * b * c  # noqa: E731
    same(backend, nnx.grad(f, argnums=1)(a, b, c), 10.0)
    third, first = nnx.grad(f, argnums=(2, 0))(a, b, c)
    same(backend, third, 6.0)
    same(backend, first, 15.0)
    same(backend, nnx.grad(f, argnums=-1)(a, b, c), 6.0)


def test_has_aux(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])

    def f(x: Any) -> Any:
        return cube(x), {"twice": 2.0 * x, "name": "f", "n": 3}

    (value, aux), gradient = nnx.value_and_grad(f, has_aux=True)(x)
    same(backend, value, 9.0)
    same(backend, aux["twice"], [2.0, 4.0])
    assert type(aux["twice"]) is type(x)
    assert (aux["name"], aux["n"]) == ("f", 3)
    gradient, aux = nnx.grad(f, has_aux=True)(x)
    same(backend, gradient, [3.0, 12.0])
    assert aux["n"] == 3


def test_nests_keep_their_shape(backend: Any) -> None:
    a, b = arrays(backend, [1.0, 2.0], 3.0)
    nest = {"first": [a, None], "second": ({"deep": b},)}

    def f(nest: Any) -> Any:
        return cube(nest["first"][0]) * nest["second"][0]["deep"]

    gradient = nnx.grad(f)(nest)
    same(backend, gradient["first"][0], [9.0, 36.0])
    assert gradient["first"][1] is None
    same(backend, gradient["second"][0]["deep"], 9.0)


def test_a_traced_array_has_a_length_and_rows(backend: Any) -> None:
    (x,) = arrays(backend, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    same(backend, nnx.grad(lambda x: cube(sum(row for row in x)) * len(x))(x), [[729.0, 1296.0]] * 3)
    with pytest.raises(TypeError, match=r"len\(\) of a 0-d array"):
        nnx.grad(len)(x[0, 0])


def test_keyword_arguments_are_constants(backend: Any) -> None:
    x, w = arrays(backend, 2.0, 5.0)
    same(backend, nnx.grad(lambda x, *, w, p: w * x**p)(x, w=w, p=3), 60.0)


def test_closures_over_outer_traced_values(backend: Any) -> None:
    x, y = arrays(backend, 2.0, 3.0)

    def outer(x: Any) -> Any:
        inner = nnx.grad(lambda y: x**2 * y**3)(y)
        return inner * x

    same(backend, nnx.grad(outer)(x), 3 * 4 * 27.0)


def test_integer_arrays_are_constants(backend: Any) -> None:
    x, index = arrays(backend, [1.0, 2.0, 3.0], np.asarray([0, 2, 2]))
    f = lambda x, i: nnx.namespace(x).sum(nnx.namespace(x).take(x, i, axis=0) ** 2)  # noqa: E731
    same(backend, nnx.grad(f)(x, index), [2.0, 0.0, 12.0])
    same(backend, nnx.hvp(lambda x: f(x, index), x, x), [2.0, 0.0, 12.0])
    same(backend, nnx.grad(lambda x, i: cube(x[i]))(x, index), [3.0, 0.0, 54.0])


def test_an_argument_that_is_not_used_gets_zeros(backend: Any) -> None:
    x, y = arrays(backend, [1.0, 2.0], [[3.0]])
    gx, gy = nnx.grad(lambda x, y: cube(x), argnums=(0, 1))(x, y)
    same(backend, gx, [3.0, 12.0])
    same(backend, gy, [[0.0]])
    same(backend, nnx.grad(lambda x: nnx.namespace(x).asarray(1.0, dtype=x.dtype, device=x.device))(x), [0.0, 0.0])


def test_the_same_array_twice(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    f = lambda a, b: nnx.namespace(a).sum(a * a * b)  # noqa: E731
    ga, gb = nnx.grad(f, argnums=(0, 1))(x, x)
    same(backend, ga, [2.0, 8.0])
    same(backend, gb, [1.0, 4.0])
    same(backend, nnx.grad(f)(x, x), [2.0, 8.0])


def test_several_gradients_add_up(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    same(backend, nnx.grad(lambda x: cube(x) + cube(x) + nnx.namespace(x).sum(x[0] * x))(x), [6 + 4.0, 24 + 1.0])


def test_a_product_of_two_precisions(backend: Any) -> None:
    a, b = backend.asarray(np.ones((2, 3), "float32")), backend.asarray(np.full((3, 1), 2.0))
    for product in (lambda a, b: nnx.namespace(a).matmul(a, b), lambda a, b: a @ b):
        ga, gb = nnx.grad(lambda a, b, f=product: nnx.namespace(a).sum(f(a, b)), argnums=(0, 1))(a, b)
        assert (ga.dtype, gb.dtype) == (a.dtype, b.dtype)
        same(backend, ga, np.full((2, 3), 2.0))
        same(backend, gb, np.full((3, 1), 2.0))


def test_namespace_functions_and_operators_from_either_side(backend: Any) -> None:
    x, c = arrays(backend, [1.0, 2.0], [3.0, 4.0])
    cases = [
        (lambda x: 2.0 * x - x / 4.0 + 1.0 / x + 3.0 - x, [2 - 0.25 - 1 - 1, 2 - 0.25 - 0.25 - 1]),
        (lambda x: 2.0**x, np.log(2) * np.asarray([2.0, 4.0])),
        (lambda x: -x + +x + abs(-x), [1.0, 1.0]),
        (lambda x: x * c + x / c + x - c + x**c, [3 + 1 / 3 + 1 + 3, 4 + 0.25 + 1 + 32]),
        (lambda x: x % 3.0 + (7.0 % x), [1 - 7, 1 - 3]),
    ]
    for f, wanted in cases:
        got = nnx.grad(lambda x, f=f: nnx.namespace(x).sum(f(x)))(x)
        np.testing.assert_allclose(backend.to_numpy(got), wanted, rtol=1e-13)


@pytest.mark.skip_backends("strict", reason="its operators refuse foreign types; the namespace's functions take them")
def test_bare_arrays_left_of_traced_ones(backend: Any) -> None:
    x, c = arrays(backend, [1.0, 2.0], [3.0, 4.0])
    got = nnx.grad(lambda x: nnx.namespace(x).sum(c * x + c / x + c - x + c**x + c @ x))(x)
    first = np.asarray([3.0, 4.0])
    wanted = first - first / np.asarray([1.0, 4.0]) - 1 + first ** np.asarray([1.0, 2.0]) * np.log(first) + 2 * first
    np.testing.assert_allclose(backend.to_numpy(got), wanted, rtol=1e-13)


# complex --------------------------------------------------------------------------------------------------------------
def test_complex_gradient_is_steepest_ascent(backend: Any) -> None:
    z = backend.asarray(np.asarray([1.0 + 2.0j, -3.0j]))
    modulus = lambda z: nnx.namespace(z).sum(nnx.namespace(z).abs(z) ** 2)  # noqa: E731
    same(backend, nnx.grad(modulus)(z), [2.0 + 4.0j, -6.0j])
    same(backend, nnx.hvp(modulus, z, z), [2.0 + 4.0j, -6.0j])
    of_one = nnx.grad(modulus)(z[0])
    assert type(of_one) is type(z)  # not a number: NumPy's functions give one where no axis is left
    same(backend, of_one, 2.0 + 4.0j)


def test_complex_vjp_is_the_adjoint(backend: Any) -> None:
    rng = np.random.default_rng(0)
    a, z, u = (rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((2, 3), 3, 2))
    A = backend.asarray(a)
    y, pull = nnx.vjp(lambda z: nnx.namespace(z).matmul(A, z), backend.asarray(z))
    same(backend, y, a @ z)
    same(backend, pull(backend.asarray(u))[0], a.conj().T @ u)
    _, slope = nnx.jvp(lambda z: nnx.namespace(z).matmul(A, z), (backend.asarray(z),), (backend.asarray(z * 2),))
    same(backend, slope, 2 * a @ z)


def test_real_and_complex_mixed(backend: Any) -> None:
    (x,) = arrays(backend, 3.0)
    z = backend.asarray(np.asarray(1.0 + 2.0j))
    gx, gz = nnx.grad(lambda x, z: nnx.namespace(x).real(x * z * z), argnums=(0, 1))(x, z)
    same(backend, gx, -3.0)
    assert gx.dtype == x.dtype
    same(backend, gz, np.conj(2 * 3 * (1.0 + 2.0j)))


# devices --------------------------------------------------------------------------------------------------------------
@pytest.mark.host_reads
def test_gradients_come_back_to_the_device_of_their_argument() -> None:
    home, away = (nnx.backends.get(spec) for spec in ("strict:device1", "strict"))
    x = home.asarray(np.asarray([1.0, 2.0]))
    value, gradient = nnx.value_and_grad(lambda x: cube(x.to_device(away.device)))(x)
    assert value.device == away.device
    assert gradient.device == home.device
    same(home, gradient, [3.0, 12.0])
    moved = nnx.hvp(lambda x: cube(nnx.namespace(x).asarray(x, device=away.device)), x, x)
    assert moved.device == home.device
    same(home, moved, [6.0, 24.0])


# threads and jit ------------------------------------------------------------------------------------------------------
def test_two_threads_at_once(backend: Any) -> None:
    (x,) = arrays(backend, 2.0)
    results: dict[int, list[float]] = {0: [], 1: []}
    barrier = threading.Barrier(2)

    def work(order: int) -> None:
        f = lambda x: x**5  # noqa: E731
        for _ in range(order + 1):
            f = nnx.grad(f)
        barrier.wait()
        for _ in range(50):
            results[order].append(float(backend.to_numpy(f(x))))

    threads = [threading.Thread(target=work, args=(order,)) for order in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results[0]) == {80.0}
    assert set(results[1]) == {160.0}


@pytest.mark.skip_backends("numpy", "strict", "torch", "cupy", reason="jit is JAX's")
def test_inside_jit(backend: Any) -> None:
    import jax

    x, v = arrays(backend, [1.0, 2.0], [1.0, 1.0])

    def f(x: Any) -> Any:
        xp = nnx.namespace(x)
        return xp.sum(
            xp.exp(x) @ xp.linalg.inv(xp.eye(2, dtype=x.dtype, device=None) + xp.expand_dims(x, axis=0) * 0.1)
        )

    same(backend, jax.jit(nnx.grad(f))(x), backend.to_numpy(nnx.grad(f)(x)))
    same(backend, jax.jit(lambda x: nnx.hvp(f, x, v))(x), backend.to_numpy(jax.hessian(f)(x) @ v))
