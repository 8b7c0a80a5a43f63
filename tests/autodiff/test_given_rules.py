"""stop_gradient, checkpoint and custom_vjp: where the user says how a part is differentiated."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from support.compare import assert_agrees
from support.transforms import arrays, cube, same

import nnx
from nnx.autodiff.tensor import value_of


def test_stop_gradient_at_every_level(backend: Any) -> None:
    (x,) = arrays(backend, 3.0)
    f = lambda x: x * x * nnx.stop_gradient(x)  # noqa: E731
    same(backend, nnx.grad(f)(x), 18.0)
    same(backend, nnx.grad(nnx.grad(f))(x), 6.0)
    same(backend, nnx.grad(lambda x: nnx.grad(lambda y: x * y * nnx.stop_gradient(x))(x))(x), 3.0)
    same(backend, nnx.stop_gradient(x), 3.0)
    nest = nnx.stop_gradient({"a": x, "b": [1, "text"]})
    assert nest["b"] == [1, "text"]


def test_checkpoint_forgets_and_computes_again(backend: Any) -> None:
    x, a = arrays(backend, [1.0, 2.0], [3.0, 4.0])
    kept: list[Any] = []

    def part(x: Any, nest: Any) -> Any:
        xp = nnx.namespace(x)
        wave = xp.sin(x)
        kept.append(weakref.ref(value_of(wave)))
        return {"y": wave * nest["a"][0] * wave, "z": (xp.sum(x * x),)}

    def pulled(f: Any) -> Any:
        def loss(x: Any, nest: Any) -> Any:
            out = f(x, nest)
            return nnx.namespace(out["y"]).sum(out["y"]) * out["z"][0]

        kept.clear()
        value, pull = nnx.vjp(loss, x, {"a": (a,)})
        gc.collect()
        held = kept[0]() is not None
        gx, nest = pull(nnx.namespace(value).ones_like(value))
        return held, len(kept), (value, gx, nest["a"][0])

    held, runs, wanted = pulled(part)
    assert (held, runs) == (True, 1)
    held, runs, found = pulled(nnx.checkpoint(part))
    assert (held, runs) == (False, 2)
    assert_agrees(found, wanted, exact=True)


def test_checkpoint_at_every_order_and_of_complex_numbers(backend: Any) -> None:
    x, v, z = arrays(backend, [1.0, 2.0], [1.0, 10.0], np.asarray([1 + 2j, 3 - 1j]))
    f = nnx.checkpoint(cube)
    same(backend, nnx.hvp(f, x, v), [6.0, 120.0])
    same(backend, nnx.grad(lambda x: nnx.namespace(x).sum(nnx.grad(f)(x)))(x), [6.0, 12.0])
    same(backend, nnx.jvp(f, (x,), (v,))[1], 123.0)
    square = nnx.checkpoint(lambda z: z * z * (1 + 2j))
    wanted = np.conj(2 * backend.to_numpy(z) * (1 + 2j))
    same(backend, nnx.grad(lambda z: nnx.namespace(z).sum(nnx.namespace(z).real(square(z))))(z), wanted)


def test_checkpoint_of_what_is_not_an_argument(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])

    def loss(w: Any) -> Any:
        def scaled(x: Any) -> Any:
            return nnx.namespace(x, w).sum(x * w)

        return nnx.checkpoint(scaled)(x)

    with pytest.raises(nnx.errors.TracingError, match="scaled: expected a function that uses only its arguments"):
        nnx.grad(loss)(x)


def test_custom_vjp(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    double = nnx.custom_vjp(lambda x: (x * x, x), lambda x, g: (100.0 * g * x,))
    same(backend, double(x), [1.0, 4.0])
    same(backend, nnx.grad(lambda x: nnx.namespace(x).sum(double(x)))(x), [100.0, 200.0])
    same(backend, nnx.hvp(lambda x: nnx.namespace(x).sum(double(x)), x, x), [100.0, 200.0])


@pytest.mark.parametrize("kind", ["checkpoint", "custom_vjp"])
def test_the_namespace_may_come_from_outside(backend: Any, kind: str) -> None:
    (x,) = arrays(backend, [1.0, 2.0])

    def loss(x: Any) -> Any:
        xp = nnx.namespace(x)
        if kind == "checkpoint":
            wave = nnx.checkpoint(lambda t: xp.sin(t) * t)
        else:
            wave = nnx.custom_vjp(lambda t: (xp.sin(t) * t, t), lambda t, g: (g * (xp.sin(t) + t * xp.cos(t)),))
        return xp.sum(wave(x) ** 2)

    def plain(x: Any) -> Any:
        xp = nnx.namespace(x)
        return xp.sum((xp.sin(x) * x) ** 2)

    same(backend, nnx.grad(loss)(x), backend.to_numpy(nnx.grad(plain)(x)))
    same(backend, nnx.hvp(loss, x, x), backend.to_numpy(nnx.hvp(plain, x, x)))
    same(backend, nnx.jvp(loss, (x,), (x,))[1], backend.to_numpy(nnx.jvp(plain, (x,), (x,))[1]))


def test_custom_vjp_of_what_is_not_an_argument(backend: Any) -> None:
    (x,) = arrays(backend, [1.0, 2.0])
    within = [
        lambda x: nnx.custom_vjp(lambda t: (t * x, None), lambda _, g: (g,))(x),
        lambda x: nnx.custom_vjp(lambda t: (t * 1.0, None), lambda _, g: (g * x,))(x),
    ]
    for f in within:
        with pytest.raises(nnx.errors.TracingError, match="expected a function that uses only its arguments"):
            nnx.grad(lambda x, f=f: nnx.namespace(x).sum(f(x)))(x)


def test_custom_vjp_with_several_arguments_and_outputs(backend: Any) -> None:
    x, y = arrays(backend, 2.0, 3.0)

    def backward(saved: Any, g: Any) -> Any:
        x, y = saved
        return g[0] * y + g[1], g[0] * x - g[1]

    product_and_difference = nnx.custom_vjp(lambda x, y: ((x * y, x - y), (x, y)), backward)

    def f(x: Any, y: Any) -> Any:
        product, difference = product_and_difference(x, y)
        return product * difference

    gx, gy = nnx.grad(f, argnums=(0, 1))(x, y)
    same(backend, gx, 3 * -1 + 6)
    same(backend, gy, 2 * -1 - 6)
    same(backend, nnx.grad(lambda x: product_and_difference(x, y)[1])(x), 1.0)
    same(backend, nnx.grad(lambda x: product_and_difference(x, y)[0])(x), 3.0)


def test_custom_vjp_may_leave_an_argument_without_gradient(backend: Any) -> None:
    x, y = arrays(backend, 2.0, 3.0)
    f = nnx.custom_vjp(lambda x, y: (x * y, (x, y)), lambda saved, g: (g * saved[1], None))
    gx, gy = nnx.grad(f, argnums=(0, 1))(x, y)
    same(backend, gx, 3.0)
    same(backend, gy, 0.0)
    same(backend, nnx.grad(lambda y: f(x, y * y))(y), 0.0)
