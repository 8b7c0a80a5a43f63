"""Transforms: functions that take a function and give its derivative.

Each transform opens a level: it lifts every array among the arguments to a namespace one deeper than any that is active
or present, makes leaves of those it differentiates by, calls the function, and goes back over the tape. Levels nest, so
transforms of transforms are higher derivatives. Modules may stand wherever arrays may: the gradient of a Module is a
dictionary from the paths of its trainable parameters.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import array_api_compat

from nnx import backends, tree
from nnx.autodiff.blame import blaming
from nnx.autodiff.namespace import Namespace, namespace
from nnx.autodiff.over import namespace_over
from nnx.autodiff.tape import Node, backward
from nnx.autodiff.tensor import Tensor, constant
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.typing import Array
from nnx.typing import Namespace as Module

_active: ContextVar[int] = ContextVar("nnx_active_levels", default=0)


# levels ---------------------------------------------------------------------------------------------------------------
def is_module(x: Any) -> bool:
    """Whether ``x`` is an object with named arrays (a ``Module``), known by what it can do."""
    return hasattr(type(x), "map_arrays")


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array of any library, traced or not."""
    return type(x) is Tensor or array_api_compat.is_array_api_obj(x) or hasattr(type(x), "__array_namespace__")


def arrays_in(args: Any) -> list[Array]:
    """All arrays among nested arguments, those of Modules too."""
    found: list[Array] = []
    for leaf in tree.leaves(args):
        if is_module(leaf):
            found.extend(leaf.state().values())
        elif is_array(leaf):
            found.append(leaf)
    return found


def flatten(args: Any) -> tuple[list[Array], Callable[[Any], Any]]:
    """All arrays of nested arguments, and the function that builds the nest again around others."""

    def each(fn: Callable[[Array], Array], nest: Any) -> Any:
        def one(leaf: Any) -> Any:
            if is_module(leaf):
                return leaf.map_arrays(lambda path, array: fn(array), part=True)
            return fn(leaf) if is_array(leaf) else leaf

        return tree.map(one, nest)

    found: list[Array] = []

    def note(array: Array) -> Array:
        found.append(array)
        return array

    each(note, args)

    def rebuild(arrays: Any) -> Any:
        following = iter(arrays)
        return each(lambda array: next(following), args)

    return found, rebuild


def next_level(arrays: list[Array]) -> Namespace:
    """A namespace deeper than every active one and than every array given."""
    if not arrays:
        raise DtypeError(
            expected="at least one array (or Module) to differentiate with respect to",
            got="none",
            fix="Pass arrays, e.g. np.asarray(2.0), instead of Python numbers.",
        )
    deepest: Module = namespace(*arrays)
    bottom = deepest._bottom if isinstance(deepest, Namespace) else deepest
    depth = max(_active.get(), deepest._depth if isinstance(deepest, Namespace) else 0) + 1
    for _ in range(depth):
        bottom = namespace_over(bottom)
    return bottom  # type: ignore[no-any-return]


def outlived(x: Any) -> bool:
    """Whether ``x`` is an array of a transform that has come to its end."""
    return type(x) is Tensor and x._space._depth > _active.get()


@contextmanager
def active(space: Namespace) -> Iterator[None]:
    """Code inside may open only deeper levels."""
    token = _active.set(space._depth)
    try:
        yield
    finally:
        _active.reset(token)


def inside_level(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, to be run in another context but at the level that is active now."""
    level = _active.get()

    def run(*args: Any) -> Any:
        _active.set(level)
        return f(*args)

    return run


def lift(space: Namespace, arg: Any) -> Any:
    """A nested argument with every array lifted to a constant of the level."""

    def one(leaf: Any) -> Any:
        if is_module(leaf):
            return leaf.map_arrays(lambda path, array: space.lift(array), part=True)
        return space.lift(leaf) if is_array(leaf) else leaf

    return tree.map(one, arg)


def trace(space: Namespace, arg: Any) -> tuple[Any, Any]:
    """A nested argument with its arrays as leaves of the level, and those leaves in the nest of the gradient."""
    leaves: list[Any] = []

    def one(leaf: Any) -> Any:
        if is_module(leaf):
            trainable = leaf.parameters()
            traced = {path: space.leaf(array) for path, array in trainable.items()}
            leaves.append(traced)
            return leaf.map_arrays(
                lambda path, array: traced[path] if path in traced else space.lift(array), part=space._depth > 1
            )
        if not is_array(leaf):
            raise DtypeError(
                expected="arrays (or Modules) to differentiate with respect to",
                got=f"{type(leaf).__name__} {leaf!r}",
                fix="Pass an array, e.g. np.asarray(2.0), or leave the argument out of argnums.",
            )
        leaves.append(space.leaf(leaf))
        return leaves[-1]

    traced = tree.map(one, arg)
    in_order = iter(leaves)
    return traced, tree.map(lambda leaf: next(in_order), arg)


def lower(space: Namespace, out: Any) -> Any:
    """A nested result without this level."""
    return tree.map(lambda leaf: space.lower(leaf), out)


def conjugate(g: Array) -> Array:
    """The conjugate of a complex array, a real one as it is."""
    xp = namespace(g)
    return xp.conj(g) if xp.isdtype(g.dtype, "complex floating") else g


def collect(space: Namespace, leaves: Any, seeds: list[tuple[Node, Array]], *, release: bool = False) -> Any:
    """The gradients of the leaves in their nest, each an array of its own: zeros where the result does not depend on one."""
    xp = space._inner
    gradients = backward(seeds, xp, release=release)
    own: Callable[[Array], Array] = (lambda g: g) if isinstance(xp, Namespace) else backends.over(xp).own
    given = {id(seed) for _, seed in seeds}

    def one(leaf: Tensor) -> Array:
        g = gradients.get(leaf._node)  # type: ignore[arg-type]
        if g is None:
            return xp.zeros_like(leaf._array)
        if id(g) in given:  # as of a + b: who scales one in place must not scale the other
            g = xp.asarray(g, copy=True)
        given.add(id(g))
        return own(space.as_array(conjugate(g)))  # that of a sum is a view, which NumPy does not let be written

    return tree.map(one, leaves)


# first derivatives ----------------------------------------------------------------------------------------------------
def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The value of a scalar function and its gradient.

    ``value_and_grad(f)(x, …)`` returns ``(f(x, …), ∂f/∂x)``. ``x`` is an array, a Module, or nested lists, tuples and
    dictionaries of them; the gradient has the same nest, a Module giving a dictionary from path to array. With
    ``argnums=(0, 2)`` the gradient is a tuple. With ``has_aux`` the function returns ``(loss, extra)`` and the value is
    that pair. For complex arrays the gradient is the direction of steepest ascent, ∂f/∂a + i ∂f/∂b for x = a + ib.

    Errors: ``ShapeError`` if the loss is not 0-d, ``DtypeError`` if it is not real or an argument not floating-point.

    >>> import numpy as np
    >>> value_and_grad(lambda x: (x @ x) / 2)(np.asarray([3.0, 4.0]))
    (array(12.5), array([3., 4.]))
    """
    several = isinstance(argnums, tuple)

    @blaming("grad", f)
    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        wanted = _positions(argnums, len(args))
        space = next_level(arrays_in((args, kwargs)))
        traced = {i: trace(space, args[i]) for i in wanted}
        lifted = [traced[i][0] if i in traced else lift(space, arg) for i, arg in enumerate(args)]
        with active(space):
            out = f(*lifted, **{name: lift(space, value) for name, value in kwargs.items()})
        loss, aux = _pair(out) if has_aux else (out, None)
        node = _scalar_node(space, loss)
        seeds = [] if node is None else [(node, space._inner.ones_like(loss._array))]
        grads = collect(space, tuple(traced[i][1] for i in wanted), seeds, release=True)
        value = space.lower(loss)
        return (value, lower(space, aux)) if has_aux else value, grads if several else grads[0]

    return run


def _positions(argnums: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """The positions meant, counted from the left."""
    wanted = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(i, int) and -count <= i < count for i in wanted):
        raise ConfigError(
            expected=f"argnums below {count}, the number of positional arguments, or a tuple of such",
            got=f"{argnums!r}",
            fix="Pass what is differentiated by position, not by keyword.",
        )
    return tuple(i % count for i in wanted)


def _pair(out: Any) -> Any:
    if not isinstance(out, tuple) or len(out) != 2:
        raise ConfigError(
            expected="the function to return (loss, extra), as has_aux=True says",
            got=f"{len(out)} values" if isinstance(out, tuple) else type(out).__name__,
            fix="Return a pair, or leave has_aux out.",
        )
    return out


def _scalar_node(space: Namespace, loss: Any) -> Node | None:
    if not is_array(loss):
        raise DtypeError(
            expected="the function to return a 0-d array", got=f"{type(loss).__name__}", fix="Return the loss itself."
        )
    if tuple(loss.shape) != ():
        raise ShapeError(
            expected="the function to return a 0-d array",
            got=f"shape {tuple(loss.shape)}",
            fix="Take its mean or sum, or use nnx.vjp for the derivative of an array.",
        )
    if not space._inner.isdtype(loss.dtype, "real floating"):
        raise DtypeError(
            expected="the function to return a real floating-point number",
            got=f"{loss.dtype}",
            fix="Return a real loss, e.g. xp.real(z) or xp.abs(z).",
        )
    return loss._node if type(loss) is Tensor and loss._space is space else None


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a scalar function; see :func:`value_and_grad`. With ``has_aux``: ``(gradient, extra)``.

    >>> import numpy as np
    >>> grad(grad(lambda x: x**3))(np.asarray(2.0))
    array(12.)
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def vjp(f: Callable[..., Any], *xs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of ``f`` and its pullback: from a cotangent of the shape of the value to one for each argument.

    ``y, pull = vjp(f, x1, x2)``; ``pull(u)`` is ``(uᵀ ∂y/∂x1, uᵀ ∂y/∂x2)``, and may be called again.

    >>> import numpy as np
    >>> y, pull = vjp(lambda x: 2.0 * x, np.asarray([1.0, 2.0]))
    >>> pull(np.asarray([1.0, 10.0]))
    (array([ 2., 20.]),)
    """
    out, space, traced = blaming("vjp", f)(_forward)(f, xs)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        pairs = _paired(out, cotangent, "vjp", "a cotangent like the value: shapes", "output")
        seeds = [(y._node, conjugate(u)) for y, u in pairs if type(y) is Tensor and y._space is space and y._node]
        return collect(space, tuple(leaves for _, leaves in traced), seeds)  # type: ignore[no-any-return]

    return lower(space, out), pull


def _forward(f: Callable[..., Any], xs: tuple[Any, ...]) -> tuple[Any, Namespace, list[Any]]:
    """The value on a new level, the level, and the leaves."""
    space = next_level(arrays_in(xs))
    traced = [trace(space, x) for x in xs]
    with active(space):
        return f(*(x for x, _ in traced)), space, traced


# directional derivatives ----------------------------------------------------------------------------------------------
def _push(space: Namespace, pulled: Any, u: Any, v: Any) -> Any:
    """d⟨pulled(u), v⟩/du for a pullback that is linear in ``u``: the pushforward of ``v``."""
    pairs = _paired(pulled, v, "jvp")
    seeds = [(g._node, conjugate(space.lower(t))) for g, t in pairs if type(g) is Tensor and g._node is not None]
    return collect(space, u, seeds)


def jvp(f: Callable[..., Any], xs: tuple[Any, ...], vs: tuple[Any, ...]) -> tuple[Any, Any]:
    """The value of ``f`` and its derivative along a direction, Σᵢ ∂y/∂xᵢ vᵢ.

    A pullback is linear in its cotangent; the derivative of that linear map, pulled back along ``v``, is the
    directional derivative. So every function with a reverse rule has a forward derivative too, for one more pass.

    >>> import numpy as np
    >>> jvp(lambda x: x * x, (np.asarray(3.0),), (np.asarray(1.0),))
    (array(9.), array(6.))
    """
    if not isinstance(xs, (tuple, list)):
        raise ConfigError(
            expected="a tuple of arguments",
            got=f"{type(xs).__name__}",
            where="jvp",
            fix="Write nnx.jvp(f, (x,), (v,)).",
        )
    _paired(xs, vs, "jvp")
    space = next_level(arrays_in((xs, vs)))
    with active(space):
        y, pull = vjp(f, *lift(space, tuple(xs)))
        _, u = trace(space, tree.map(lambda leaf: space._inner.ones_like(space.lower(space.lift(leaf))), y))
        pulled = pull(u)
    return lower(space, y), _push(space, pulled, u, vs)


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of a scalar function times a direction, ∇²f(x) v, without forming the matrix.

    >>> import numpy as np
    >>> hvp(lambda x: (x**3) @ (x**0), np.asarray([1.0, 2.0]), np.asarray([1.0, 1.0]))
    array([ 6., 12.])
    """
    _paired(x, v, "hvp")
    space = next_level(arrays_in((x, v)))
    traced, leaves = trace(space, x)
    with active(space):
        gradient = grad(f)(traced)
    return _push(space, gradient, leaves, v)


def _paired(
    nest: Any, given: Any, where: str, what: str = "directions of the shapes of the arguments,", each: str = "argument"
) -> list[tuple[Array, Array]]:
    """Each array of a nest with that of ``given`` in the same place; a Module stands for its trainable parameters."""
    nest = tree.map(lambda leaf: leaf.parameters() if is_module(leaf) else leaf, nest)
    pairs = tree.pairs(nest, given)
    if pairs is not None:
        pairs = [(x, v) for x, v in pairs if is_array(x)]
    if pairs is None or any(not is_array(v) or tuple(x.shape) != tuple(v.shape) for x, v in pairs):
        shapes, got = (tree.map(lambda x: tuple(x.shape) if is_array(x) else x, side) for side in (nest, given))
        raise ShapeError(
            expected=f"{what} {shapes}", got=f"{got}", where=where, fix=f"Give one array for each {each}, of its shape."
        )
    return pairs


def stop_gradient(x: Any) -> Any:
    """``x`` as a constant: no derivative flows through it, at any level.

    >>> import numpy as np
    >>> grad(lambda x: x * stop_gradient(x))(np.asarray(3.0))
    array(3.)
    """
    return tree.map(constant, x)
