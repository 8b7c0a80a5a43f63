"""Where an error of a differentiated function belongs, and what an array library's own refusal says in our words."""

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from types import ModuleType
from typing import Any, NoReturn

from nnx.autodiff import standard
from nnx.errors import (
    ConfigError,
    DataError,
    DtypeError,
    MixedArraysError,
    NnxError,
    OutOfRangeError,
    ShapeError,
    TracingError,
    UnknownAttributeError,
)

_MEMORY = re.compile("memory|alloc|exhausted", re.IGNORECASE)
_FOREIGN = re.compile(
    r"'(Tensor|Recorded)' does not support ufuncs|Tensor\b.* (not|got) (Tensor|Recorded)|nnx\.\S+\.(Tensor|Recorded)\b"
)
_CALLED = re.compile(
    "positional argument|multiple values for|keyword argument|interpreted as an integer|has no len|a NumPy dtype"
)
_ARGUMENTS = re.compile("shape|size|dim|broadcast|type|axis|axes|index|numel|element", re.IGNORECASE)


def check_function(f: Any, where: str) -> None:
    """``ConfigError`` unless f can be called."""
    if not callable(f):
        raise ConfigError(
            expected="a function",
            got=f"{type(f).__name__}",
            where=where,
            fix=f"Write for example nnx.{where}(lambda x: …).",
        )


def blaming(what: str, f: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: errors that name no place name ``f``, as in ``grad of loss``."""
    check_function(f, what)

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(f)
        def blamed(*args: Any, **kwargs: Any) -> Any:
            try:
                return run(*args, **kwargs)
            except NnxError as error:
                error.at(f"{what} of {getattr(f, '__name__', type(f).__name__)}")
                raise
            except (TypeError, ValueError) as error:
                where = f"{what} of {getattr(f, '__name__', type(f).__name__)}"
                if isinstance(
                    error.__cause__, TracingError
                ):  # NumPy asked an element for its value, and says otherwise
                    error.__cause__.at(where)
                    raise error.__cause__ from None
                told = untraceable(error, where)
                if told is None:
                    raise
                raise told from error

        return blamed

    return decorate


def untraceable(error: Exception, where: str) -> TracingError | None:
    """What to say of ``np.sin(x)`` with a traced x, where libraries say that they do not know the type; ``None`` for other errors."""
    if isinstance(error, NnxError) or not isinstance(error, TypeError) or not _FOREIGN.search(str(error)):
        return None
    return TracingError(
        "a function of the array library itself was given a traced array",
        where=where,
        fix="Take the function from xp = nnx.namespace(x): xp.sin(x) in place of np.sin(x), and a = a + x in place of a += x.",
    )


def refuse(function: str, values: Sequence[Any], error: Exception) -> NoReturn:
    """Raise what an array library says against the arguments of a function as one of our errors; others as they are."""
    if isinstance(error, NnxError) or not isinstance(error, (ValueError, TypeError, IndexError, RuntimeError)):
        raise error
    said = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")[:160]
    if "LinAlgError" in type(error).__name__:
        raise DataError(
            f"{function} has no answer for these numbers ({said})",
            expected="a matrix of finite numbers with an inverse, or whatever else it needs",
            got=" and ".join(f"shape {tuple(x.shape)}" for x in values if hasattr(x, "shape")),
            fix="Add a little to the diagonal, x + 1e-6 * xp.eye(n, ...), or look where the matrix comes from.",
        ) from error
    if isinstance(error, RuntimeError) and (_MEMORY.search(str(error)) or not _ARGUMENTS.search(str(error))):
        raise error  # what the machine lacks is no fault of the arguments
    arrays = [x for x in values if hasattr(x, "shape") and hasattr(x, "dtype")]
    shapes = ", ".join(str(tuple(x.shape)) for x in arrays) or "no array"
    dtypes = ", ".join(str(x.dtype) for x in arrays)
    name = "x[…]" if function == "getitem" else function
    if isinstance(error, TypeError) and _CALLED.search(said):
        raise ConfigError(
            f"{name} cannot be called so ({said})",
            expected=f"{name}{standard.signature(function)}",
            got="other arguments",
            fix="Options stand behind *: give them by name, such as axis=0.",
        ) from error
    typed = (isinstance(error, TypeError) or "dtype" in said) and not re.search("shape|dimension|broadcast", said)
    if typed:
        raise DtypeError(
            f"{name} cannot take these arguments ({said})",
            expected="arrays of dtypes that go together",
            got=dtypes or "no array",
            fix="Cast with xp.astype, and make arrays of lists.",
        ) from error
    lacking = isinstance(error, IndexError) or re.search("out of (bounds|range)", said)
    raise (OutOfRangeError if lacking else ShapeError)(
        f"{name} cannot take these shapes ({said})",
        expected="arrays that fit together",
        got=shapes,
        fix="Look at x.shape before it; xp.reshape and xp.expand_dims change it.",
    ) from error


ELSEWHERE = {
    "absolute": "xp.abs", "amax": "xp.max", "amin": "xp.min", "power": "xp.pow", "cumsum": "xp.cumulative_sum", "cumprod": "xp.cumulative_prod",
    "dot": "xp.matmul, or xp.vecdot", "inner": "xp.vecdot", "outer": "xp.linalg.outer", "einsum": "xp.matmul or xp.tensordot",
    "trace": "xp.linalg.trace", "diagonal": "xp.linalg.diagonal", "transpose": "xp.permute_dims, or x.T", "swapaxes": "xp.moveaxis",
    "ravel": "xp.reshape(x, (-1,))", "vstack": "xp.concat", "hstack": "xp.concat with axis=1", "copy": "xp.asarray with copy=True",
    "pad": "xp.concat with zeros", "softmax": "nnx.ops.softmax", "log_softmax": "nnx.ops.log_softmax", "logsumexp": "xp.max, xp.exp, xp.sum and xp.log",
    "relu": "nnx.ops.relu", "sigmoid": "nnx.ops.sigmoid", "softplus": "nnx.ops.softplus", "erf": "nnx.ops.erf", "one_hot": "nnx.ops.one_hot",
}  # fmt: skip
"""Functions that array libraries have and the standard has not, or under another name, and what stands for them."""


def answer_unknown(module: ModuleType, library: str) -> None:
    """Let a namespace answer for functions that the standard does not have, or this library."""

    def unknown(name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise unknown_function(library, name, vars(module))

    module.__dict__["__getattr__"] = unknown  # as in any module; in the class it would slow every access


def unknown_function(library: str, name: str, known: Iterable[str]) -> UnknownAttributeError:
    """A function that the standard does not have, or this library."""
    known = [one for one in known if not one.startswith("_")]
    near = get_close_matches(name, known, n=1) or [one for one in known if one.endswith(f"_{name}")]
    fix = f"Did you mean {' or '.join(near)}?" if near else "See https://data-apis.org/array-api for what there is."
    return UnknownAttributeError(
        expected="a function of the Python Array API standard",
        got=f"{library}.{name}",
        where="nnx.namespace(x)",
        fix=f"Take {ELSEWHERE[name]}." if name in ELSEWHERE else fix,
    )


def no_array(got: str) -> MixedArraysError:
    """Something that no array library made."""
    return MixedArraysError(
        expected="an array",
        got=got,
        where="nnx.namespace",
        fix='Make one of it: nnx.backends.get("numpy").asarray(x).',
    )
