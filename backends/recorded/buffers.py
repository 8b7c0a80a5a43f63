"""A program of NumPy calls that writes into arrays of its own: nothing is allocated while it runs, and views are made once.

The calls are those of the plain replay with an ``out`` argument, so the bits are the same. What a result needs for as
long as it is needed is a buffer; a buffer whose array is not needed any more is given to the next that fits. Results
that leave the program are made anew at each run, except the ``borrowed`` ones: those are valid until the next run.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from nnx.backends.fast import products, together
from nnx.backends.recorded.program import VIEWS, Call, Program, Source, Value, needed, values_in
from nnx.typing import Array

UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.true_divide, "negative": np.negative,
    "maximum": np.maximum, "minimum": np.minimum, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "sqrt": np.sqrt, "square": np.square, "tanh": np.tanh, "matmul": np.matmul, "equal": np.equal,
    "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_not": np.logical_not, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "isfinite": np.isfinite,
    "sign": np.sign, "bitwise_invert": np.invert,
}  # fmt: skip
"""By the standard's name, what NumPy's namespace calls for it; each takes its output as its last positional argument."""

REDUCTIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}

HOOKS = {"convolve", "convolve_to_weight", "convolve_to_input", "pool", "unpool", "cross_entropy", "cross_entropy_back"}
"""NumPy's overrides of these take ``out``."""

WASTE = 2
"""So many times as large as a result is the largest buffer that is taken for it."""

LOOP = "loop"
"""The name of a call of a compiled loop, which writes into its outputs: its arguments are numbers, arrays, their shapes, limits."""


def assemble(program: Program, borrowed: Sequence[int] = ()) -> Callable[..., list[Array]]:
    """The program as a function of the input arrays. ``borrowed``: positions of outputs that stay in the program's buffers."""
    return _Assembly(program, borrowed).run()


def _ordered(call: Call) -> bool:
    """Whether results lie row after row, as in a buffer. NumPy's lie as what they are made of does, and sums go over them in that order."""
    return all(value.ordered for value in values_in(call.out))


class _Buffer:
    """Memory of the program, of which a result takes the first ``size`` elements, and the last call that looks at it."""

    def __init__(self, array: np.ndarray, size: int, last: int) -> None:
        self.array, self.size, self.last = array, size, last


class _Assembly:
    """Written call by call: each value is a static array (in a buffer, or a view of one) or a variable of the run."""

    def __init__(self, program: Program, borrowed: Sequence[int]) -> None:
        self.program, self.calls = program, needed(program)
        self.source = Source()
        self.names = {value.number: f"v{value.number}" for value in program.inputs}
        self.static: dict[int, np.ndarray] = {}
        self.root: dict[int, _Buffer] = {}
        self.free: dict[Any, list[np.ndarray]] = {}
        outputs = program.outputs
        lent = {outputs[i].number: outputs[i] for i in borrowed if type(outputs[i]) is Value}
        self.borrowed = set(lent)
        self.lent = self._lent(list(lent.values()))
        self.leaving = {v.number for v in values_in(outputs)} - self.borrowed
        self.last = self._lifetimes()

    def _lent(self, values: list[Value]) -> dict[int, np.ndarray]:
        """Places for lent results, those of one dtype in one array: what takes them all has nothing to join."""
        found: dict[int, np.ndarray] = {}
        for dtype in {np.dtype(value.dtype) for value in values}:
            alike = [value for value in values if value.dtype == dtype]
            made = together.Set(tuple(value.shape for value in alike), dtype)
            self.source.name(made)  # it must live as long as the program
            found |= {value.number: piece for value, piece in zip(alike, made.pieces)}
        return found

    def _lifetimes(self) -> dict[int, int]:
        """The last call that needs each value, or a view of it: found backwards."""
        last: dict[int, int] = {value.number: len(self.calls) for value in values_in(self.program.outputs)}
        for index in range(len(self.calls) - 1, -1, -1):
            call = self.calls[index]
            outs = [value.number for value in values_in(call.out)]
            until = max([index, *(last.setdefault(number, index) for number in outs)])
            for value in values_in((call.args, call.kwargs)):
                at = until if call.name in VIEWS else index
                last[value.number] = max(last.get(value.number, 0), at)
        return last

    def run(self) -> Callable[..., list[Array]]:
        """The whole as one function."""
        for index, call in enumerate(self.calls):
            ways = (self._ufunc, self._reduction, self._copy, self._hook) if _ordered(call) else ()
            if not any(way(call, index) for way in (self._loop, self._view, *ways)):
                self._plain(call)
            self._release(index)
        results = [self._result(value) for value in self.program.outputs]
        arguments = [f"v{value.number}" for value in self.program.inputs]
        return self.source.function(arguments, f"[{', '.join(results)}]")

    # the ways to make a value ----------------------------------------------------------------------------------------
    def _loop(self, call: Call, index: int) -> bool:
        """A compiled loop reads arrays and writes others; each has the shape that it was compiled for."""
        if call.name != LOOP:
            return False
        numbers, reads, shapes, limits = call.args
        for value in call.out:
            self._memory(value)
        arrays = map(self._shaped, (*reads, *call.out), shapes)
        given = [self.source.name(numbers), *arrays, *map(str, limits)]
        self.source.lines.append(f"{self.source.name(call.function)}({', '.join(given)})")
        return True

    def _shaped(self, x: Any, shape: tuple[int, ...]) -> str:
        """An array in another shape, made now if it can be."""
        array = self.static.get(x.number) if type(x) is Value else x
        if array is None:
            return (
                self.names[x.number]
                if x.shape == shape
                else f"{self.names[x.number]}.reshape({self.source.name(shape)})"
            )
        if not array.flags.c_contiguous:
            raise ValueError("an array in a program's buffers does not lie in order")
        return self.source.name(array.reshape(shape))

    def _view(self, call: Call, index: int) -> bool:
        """A view of a buffer is made now, once; of anything else, at each run."""
        if call.name not in VIEWS or type(call.args[0]) is not Value or len(values_in((call.args, call.kwargs))) != 1:
            return False
        number = call.args[0].number
        source = self.static.get(number)
        if source is None:
            return self._method(call)
        made = call.function(source, *call.args[1:], **call.kwargs)
        if not np.may_share_memory(made, source) or not isinstance(made, np.ndarray):
            return False
        self._is(call.out, made, self.root[number])
        return True

    def _method(self, call: Call) -> bool:
        """A view of a variable: an attribute of the array is found faster than a function is called."""
        name = self.names[call.args[0].number]
        turned = call.name == "matrix_transpose" or (call.name == "permute_dims" and call.args[1:] == ((1, 0),))
        if turned and len(call.out.shape) == 2:
            self._line(call.out, f"{name}.T")
        elif call.name in ("expand_dims", "reshape", "squeeze") and "copy" not in call.kwargs:
            self._line(call.out, f"{name}.reshape({self.source.name(call.out.shape)})")
        else:
            return False
        return True

    def _ufunc(self, call: Call, index: int) -> bool:
        if call.name == "product":
            return self._product(call, index)
        if call.name not in UFUNCS or call.kwargs or type(call.out) is not Value:
            return False
        arguments = [self._operand(arg, call) for arg in call.args]
        if call.out.number in self.leaving:
            self._line(call.out, f"{self.source.name(UFUNCS[call.name])}({', '.join(arguments)})")
        else:
            place = self._place(call, index, in_place=call.name != "matmul")
            named = (
                "out=" if call.name in ("maximum", "minimum") else ""
            )  # their third positional argument is deprecated
            self.source.lines.append(f"{self.source.name(UFUNCS[call.name])}({', '.join(arguments)}, {named}{place})")
        return True

    def _product(self, call: Call, index: int) -> bool:
        """A large one may be shared among threads."""
        if call.out.number in self.leaving:
            return False
        a, b = call.args
        function = products.into if products.fits(a, b) else np.matmul
        operands = [self._operand(arg, call) for arg in (a, b)]
        place = self._place(call, index, in_place=False)
        self.source.lines.append(f"{self.source.name(function)}({', '.join(operands)}, {place})")
        return True

    def _reduction(self, call: Call, index: int) -> bool:
        """Σ, max, min, Π; the mean as NumPy's own: the sum, divided by the count."""
        options = dict(call.kwargs)
        if len(call.args) != 1 or type(call.out) is not Value:
            return False
        if call.name not in REDUCTIONS and call.name != "mean":
            return False
        axis, keepdims = options.pop("axis", None), options.pop("keepdims", False)
        options.pop("dtype", None)
        x = call.args[0]
        if options or type(x) is not Value or x.dtype != call.out.dtype or np.dtype(x.dtype).char not in "fd":
            return False
        operand = self._operand(x, call)
        reduce = self.source.name(REDUCTIONS.get(call.name, np.add).reduce)
        self._memory(call.out)
        place = self.names[call.out.number]
        self.source.lines.append(f"{reduce}({operand}, {self.source.name(axis)}, None, {place}, {bool(keepdims)})")
        if call.name == "mean":
            count = prod(x.shape) // max(prod(call.out.shape), 1)
            divisor = self.source.name(np.asarray(count, dtype=x.dtype))
            self.source.lines.append(f"{self.source.name(np.true_divide)}({place}, {divisor}, {place})")
        return True

    def _copy(self, call: Call, index: int) -> bool:
        """``astype``, ``where`` and ``own`` are copies into a buffer."""
        if type(call.out) is not Value or call.out.number in self.leaving:
            return False
        copyto = self.source.name(np.copyto)
        if call.name == "own":
            operand = self._operand(call.args[0], call)
            self.source.lines.append(f"{copyto}({self._place(call, index, in_place=False)}, {operand})")
            return True
        if call.name == "astype" and type(call.args[0]) is Value and call.args[0].dtype != call.out.dtype:
            operand = self._operand(call.args[0], call)
            place = self._place(call, index, in_place=False)
            self.source.lines.append(f"{copyto}({place}, {operand}, 'unsafe')")
            return True
        if call.name == "where" and len(call.args) == 3 and type(call.args[0]) is Value:
            condition, x, y = (self._operand(arg, call) for arg in call.args)
            place = self._place(call, index, in_place=False)
            self.source.lines.append(f"{copyto}({place}, {y})")
            self.source.lines.append(f"{copyto}({place}, {x}, 'same_kind', {condition})")
            return True
        return False

    def _hook(self, call: Call, index: int) -> bool:
        """A hook that can be told where its results go."""
        values = values_in(call.out)
        if call.name not in HOOKS or call.kwargs or any(value.number in self.leaving for value in values):
            return False
        arguments = [self.source.expression(arg, self.names) for arg in call.args]
        for value in values:
            self._buffer(value)
        out = self.source.expression(call.out, self.names)
        self.source.lines.append(f"{self.source.name(call.function)}({', '.join([*arguments, f'out={out}'])})")
        return True

    def _plain(self, call: Call) -> None:
        """As it was recorded; the results are variables."""
        for value in values_in(call.out):
            self.names[value.number] = f"v{value.number}"
        expression = self.source.call(call, self.names)
        self._line(call.out, expression)

    # names and places ------------------------------------------------------------------------------------------------
    def _line(self, out: Any, expression: str) -> None:
        if type(out) is Value:
            self.names[out.number] = f"v{out.number}"
            self.source.lines.append(f"v{out.number} = {expression}")
        else:
            self.source.lines.append(f"{', '.join(f'v{v.number}' for v in values_in(out))}, = {expression}")

    def _operand(self, arg: Any, call: Call) -> str:
        """A value by its name; a Python number as a 0-d array of the dtype it would take anyway: that is read faster."""
        if type(arg) is Value:
            return self.names[arg.number]
        if type(arg) in (int, float):
            dtypes = {np.dtype(value.dtype) for value in values_in(call.args)}
            if len(dtypes) == 1 and next(iter(dtypes)).char in "fd":
                return self.source.name(np.asarray(arg, dtype=next(iter(dtypes))))
        return self.source.name(arg)

    def _place(self, call: Call, index: int, *, in_place: bool) -> str:
        """A buffer for the result: that of an operand which ends here, where element by element it may be overwritten."""
        if not in_place or call.out.number in self.lent or self._overwritten(call, index) is None:
            self._buffer(call.out)
        return self.names[call.out.number]

    def _memory(self, out: Value) -> None:
        """What a call writes all of: a buffer, or an array made at each run if it leaves the program."""
        if out.number in self.leaving:
            kind = f"{self.source.name(out.shape)}, {self.source.name(np.dtype(out.dtype))}"
            self._line(out, f"{self.source.name(np.empty)}({kind})")
        else:
            self._buffer(out)

    def _buffer(self, out: Value) -> None:
        """A buffer that nothing else is in."""
        size, dtype = prod(out.shape), np.dtype(out.dtype)
        if out.number in self.lent:
            made = flat = self.lent[out.number]
        else:
            flat = self._spare(dtype, size)
            made = flat[:size].reshape(out.shape)
        self._is(out, made, _Buffer(flat, size, self.last[out.number]))

    def _spare(self, dtype: Any, size: int) -> np.ndarray:
        """The smallest free array that is large enough, and not much too large; else a new one."""
        free = self.free.get(dtype, [])
        fitting = [i for i, array in enumerate(free) if size <= array.size <= WASTE * size]
        return free.pop(min(fitting, key=lambda i: free[i].size)) if fitting else np.empty(size, dtype)

    def _overwritten(self, call: Call, index: int) -> np.ndarray | None:
        values = values_in(call.args)
        for value in values:
            held = self.root.get(value.number)
            array = self.static.get(value.number)
            if held is None or array is None or held.last != index or array.shape != call.out.shape:
                continue
            others = [v for v in values if v.number != value.number and self.root.get(v.number) is held]
            if (
                array.dtype == call.out.dtype
                and array.flags.c_contiguous
                and array.flags.writeable  # a slice of what was broadcast is not
                and array.size == held.size
                and not others
            ):
                held.last = self.last[call.out.number]
                self._is(call.out, array, held)
                return array
        return None

    def _is(self, value: Value, array: np.ndarray, buffer: _Buffer) -> None:
        buffer.last = max(buffer.last, self.last[value.number])
        self.static[value.number], self.root[value.number] = array, buffer
        self.names[value.number] = self.source.name(array)

    def _release(self, index: int) -> None:
        """Buffers that nothing needs after this call may be taken."""
        for buffer in {id(b): b for b in self.root.values() if b.last == index}.values():
            self.free.setdefault(buffer.array.dtype, []).append(buffer.array)
            buffer.last = -1

    def _result(self, value: Any) -> str:
        """What the run returns: a variable, a buffer that is lent, or a copy of one."""
        if type(value) is not Value:
            return self.source.name(value)
        name = self.names[value.number]
        if value.number in self.static and value.number not in self.borrowed:
            return f"{name}.copy('K')"
        return name
