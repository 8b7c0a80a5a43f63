"""Module: a tree of plain objects whose arrays have names.

A layer declares its arrays and says what it does with an input::

    class Scale(nnx.Module):
        def __init__(self, n):
            self.factor = nnx.Parameter((n,), nnx.init.ones())

        def forward(self, x):
            return x * self.factor

Everything else follows from the tree: paths such as ``layers.0.weight``, initial values, moving, saving, gradients.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from nnx import backends, random
from nnx.autodiff.transforms import is_array
from nnx.errors import ConfigError, NnxError, StateError
from nnx.layers import loading, misuse, nest
from nnx.layers.nest import Slots
from nnx.layers.observing import current_observer
from nnx.layers.parameter import Parameter, floating
from nnx.layers.summary import Summary, summarize
from nnx.layers.training import current_pass
from nnx.typing import Array

# Raised whenever a module gets a new attribute that is not the value of an array: what was known of trees is then old.
_structure = [0]


class Module:
    """The base of layers and models. A bare call is always inference; training is a place, ``nnx.training(...)``.

    Subclasses assign :class:`Parameter` and :class:`Buffer` declarations and other modules (also in lists, tuples and
    dictionaries) as attributes, and define ``forward``. A module that is used before ``initialize`` draws its values
    with seed 0.

    >>> import numpy as np, nnx
    >>> class Scale(nnx.Module):
    ...     def __init__(self, n):
    ...         self.factor = nnx.Parameter((n,), nnx.init.ones())
    ...
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> model = nnx.Sequential(Scale(3), nnx.ReLU()).initialize(seed=0)
    >>> {path: array.shape for path, array in model.parameters().items()}
    {'layers.0.factor': (3,)}
    >>> model(np.asarray([[-1.0, 0.0, 2.0]], dtype="float32"))
    array([[0., 0., 2.]], dtype=float32)
    """

    _path: str = ""
    _ready: bool = False
    _origin: "Module | None" = None

    def __init_subclass__(cls) -> None:
        """``forward`` may also be spelled ``__call__``: both say what the module does with its input.

        Errors: ``ConfigError`` for arrays and modules of the class, which all its objects would share, and nothing
        would train.
        """
        for name, value in cls.__dict__.items():
            if isinstance(value, Parameter) or (isinstance(value, Module) and value._slots()):
                raise ConfigError(
                    expected="arrays and modules of each object",
                    got=f"{name} = {type(value).__name__}(…) in the class",
                    where=cls.__name__,
                    fix=f"Write self.{name} = … in __init__.",
                )
        if "__call__" in cls.__dict__:
            cls.forward = cls.__dict__["__call__"]  # type: ignore[method-assign]
            del cls.__call__

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        if args or kwargs:
            misuse.check_arguments(cls, args, kwargs)
        self.__dict__["_arguments"] = (args, kwargs)
        self.__dict__["_declared"] = {}
        self.__dict__["_frozen"] = frozenset()
        return self

    def __init__(self) -> None:
        """Nothing to set: a layer without an ``__init__`` of its own takes no arguments."""

    __new__.__signature__ = inspect.signature(__init__)  # type: ignore[attr-defined]  # what help() says of such a layer

    # computing -------------------------------------------------------------------------------------------------------
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Written against the standard: ``xp = nnx.namespace(x)``."""
        raise ConfigError(
            f"{type(self).__name__} must define forward(self, x)",
            where=self._place(),
            fix="Write def forward(self, x) in its class, and return what it computes.",
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._ready:
            self._fill(0)
        try:
            out = self.forward(*args, **kwargs)
        except NnxError as error:
            error.at(self._place())
            raise
        except Exception as error:
            told = misuse.explained(self, args, kwargs, error)
            if told is error:
                raise
            raise told from told.__cause__
        observer = current_observer()
        if observer is not None:
            observer(self, args, out)
        return out

    def _place(self) -> str:
        name = type(self).__name__
        return f"{self._path} ({name})" if self._path else name

    # attributes ------------------------------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        declared = self.__dict__["_declared"]
        if isinstance(value, np.generic) and name not in declared:
            value = value.item()  # such as 1/np.sqrt(d): a number, and beside float32 arrays no float64
        if isinstance(value, Parameter):
            _structure[0] += 1
            declared[name] = value
            self.__dict__.pop(name, None)
            self.__dict__["_ready"] = False
        elif name in declared and is_array(value):
            self._assign(name, declared[name].checked(value, f"{self._place()}.{name}"))
        elif is_array(value):
            raise StateError(
                expected="a declared array",
                got=f"a bare array for {type(self).__name__}.{name}",
                where=self._place(),
                fix=f"Write self.{name} = nnx.Parameter(array) to train it, or nnx.Buffer(array) to keep it.",
            )
        elif name in declared and value is not None and not isinstance(value, Module):
            raise StateError(
                expected=f"an array for {type(self).__name__}.{name}",
                got=f"{type(value).__name__} {value!r}"[:80],
                where=self._place(),
                fix="Make an array of it: backend.asarray(value); or None to do without.",
            )
        elif nest.holds_parameters(value):
            raise StateError(
                expected="parameters as attributes",
                got=f"{type(self).__name__}.{name}, a {type(value).__name__} with parameters in it",
                where=self._place(),
                fix="Give each a name of its own, or put modules that hold them into the list.",
            )
        else:
            _structure[0] += 1
            declared.pop(name, None)
            self.__dict__[name] = value

    def _assign(self, name: str, value: Array) -> None:
        """A new value; one for a buffer in a training pass is kept by the pass and written when it ends."""
        this = current_pass()
        if this is None or self._declared[name].trained:
            self.__dict__[name] = value
        else:
            this.update(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Reached only for what is not there yet: a declared array without values."""
        if name in self.__dict__.get("_declared", {}):
            self._fill(0)
            return self.__dict__[name]
        own = getattr(type(self), name, None)
        if isinstance(own, property):  # it has raised an AttributeError of its own, for which Python came here
            return own.fget(self)  # type: ignore[misc]
        if name.startswith("_"):  # Python asks for these by itself, and our own code for some at each call
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        raise misuse.unknown_attribute(self, name)

    def _children(self) -> Iterator[tuple[str, "Module"]]:
        for name, value in self.__dict__.items():
            if name not in nest.OWN:
                yield from nest.modules_in(value, name)

    def modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Every module of the tree once with its path, this one first (its path is empty)."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self._children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def _slots(self) -> Slots:
        """What :func:`nest.slots` finds.

        Remembered until an attribute of any module is set to something else than an array, or a list changes.
        """
        version, containers, slots = self.__dict__.get("_known_slots", (-1, (), {}))
        if version == _structure[0] and all(map(nest.unchanged, containers)):
            return slots  # type: ignore[no-any-return]
        slots = nest.slots(self)
        containers = [(c, nest.items(c)) for _, module in self.modules() for c in nest.containers(module.__dict__)]
        self.__dict__["_known_slots"] = (_structure[0], containers, slots)
        return slots

    # values ----------------------------------------------------------------------------------------------------------
    def initialize(self, seed: int = 0, *, dtype: Any = None) -> Self:
        """Draw every parameter anew as a function of (seed, path), and reset every buffer.

        The draws are the same on every backend. ``dtype`` ("float32" unless the declaration says otherwise) makes all
        floating arrays of another type, e.g. "float64".
        """
        for path, (declaration, holders) in self._slots().items():
            self._draw(seed, path, declaration, holders, dtype)
        self._settle()
        return self

    def _draw(self, seed: int, path: str, declaration: Parameter, holders: Any, dtype: Any = None) -> None:
        current = next((module.__dict__[name] for module, name in holders if name in module.__dict__), None)
        backend = backends.get("numpy") if current is None else backends.of(current)
        value = backend.asarray(declaration.draw(random.key(seed, "initialize", path), dtype))
        declaration.checked(value, path)
        for module, name in holders:
            module.__dict__[name] = value

    def _fill(self, seed: int) -> None:
        """Give values to what has none."""
        for path, (declaration, holders) in self._slots().items():
            given = [module.__dict__[name] for module, name in holders if name in module.__dict__]
            for module, name in holders if given else ():
                module.__dict__[name] = given[0]
            if not given:
                self._draw(seed, path, declaration, holders)
        self._settle()

    def _settle(self) -> None:
        for path, module in self.modules():
            module.__dict__["_path"] = path
            module.__dict__["_ready"] = True

    @property
    def initialized(self) -> bool:
        """Whether every array has values."""
        return all(name in module.__dict__ for _, holders in self._slots().values() for module, name in holders)

    def _filled(self) -> Slots:
        """The slots, all with values: parts may have been added since the last time."""
        slots = self._slots()
        if not self._ready or any(name not in m.__dict__ for _, holders in slots.values() for m, name in holders):
            self._fill(0)
        return slots

    def _arrays(self, keep: Callable[[Parameter, bool], bool]) -> dict[str, Array]:
        return {
            path: holders[0][0].__dict__[holders[0][1]]
            for path, (declaration, holders) in self._filled().items()
            if keep(declaration, any(name in module._frozen for module, name in holders))
        }

    def parameters(self, *, frozen: bool = False) -> dict[str, Array]:
        """The trainable parameters by path; with ``frozen`` the frozen ones instead.

        >>> import nnx
        >>> list(nnx.Linear(2, 3).parameters())
        ['weight', 'bias']
        """
        return self._arrays(lambda declaration, is_frozen: declaration.trained and is_frozen is frozen)

    def buffers(self) -> dict[str, Array]:
        """The arrays that are kept but not trained, by path."""
        return self._arrays(lambda declaration, is_frozen: not declaration.trained)

    def state(self) -> dict[str, Array]:
        """All arrays by path: what a model file holds."""
        return self._arrays(lambda declaration, is_frozen: True)

    def load(self, state: dict[str, Array]) -> Self:
        """Take values by path: either all arrays, or exactly the trainable parameters, or exactly the buffers.

        Arrays go to where the model's arrays are. A whole state may bring another dtype; a part must have the model's.
        ``StateError`` names every path that is missing or unknown; that, ``ShapeError`` and ``DtypeError`` leave the
        model as it was.
        """
        slots = self._slots()
        loading.check_paths(state, {path: declaration for path, (declaration, _) in slots.items()}, self)
        if len(state) < len(slots):
            self._filled()
        whole = len(state) == len(slots)
        values = {path: loading.placed(value, path, slots[path], whole) for path, value in state.items()}
        for path, value in values.items():
            for module, name in slots[path][1]:
                module.__dict__[name] = value
        if not self._ready:
            self._settle()
        return self

    def to(self, backend: Any, dtype: Any = None) -> Self:
        """Move all arrays to a backend such as "cupy:0"; ``dtype`` changes the floating ones, e.g. "float64"."""
        target, dtype = backends.get(backend), dtype and floating(dtype, self._place())
        slots, moved = self._filled(), {}
        for path, value in self.state().items():
            source = backends.of(value)
            real = source.xp.isdtype(value.dtype, "real floating")
            there = value if source.name == target.name else source.to_numpy(value)
            moved[path] = target.asarray(there, dtype=dtype if real else None)
        for path, value in moved.items():
            for module, name in slots[path][1]:
                module.__dict__[name] = value
        return self

    def freeze(self, *names: str) -> Self:
        """Keep these parameters of this module (all parameters below it, without names) out of training.

        Buffers are not parameters: the running statistics of a frozen batch norm still move in training.
        """
        return self._set_frozen(names, True)

    def unfreeze(self, *names: str) -> Self:
        """Undo :meth:`freeze`."""
        return self._set_frozen(names, False)

    def _set_frozen(self, names: tuple[str, ...], frozen: bool) -> Self:
        known = [name for name, declaration in self._declared.items() if declaration.trained]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise StateError(
                expected=f"parameters of {self._place()}: {', '.join(known) or 'none'}",
                got=", ".join(unknown),
                where=self._place(),
                fix="Freeze a part by model.layers[0].freeze('weight'), or the whole by model.freeze().",
            )
        _structure[0] += 1
        for _, module in [("", self)] if names else self.modules():
            chosen = frozenset(names or module._declared)
            module.__dict__["_frozen"] = module._frozen | chosen if frozen else module._frozen - chosen
        return self

    # copies ----------------------------------------------------------------------------------------------------------
    def map_arrays(self, fn: Callable[[str, Array], Array], *, part: bool = False) -> Self:
        """A copy of the tree with every array replaced by ``fn(path, array)``; this module is left as it was.

        The paths begin here. The copy of a ``part`` keeps its place in the whole, by which a training pass knows it.
        """
        self._filled()
        twin = self._copy("", fn, {}, {})
        if part and self._path:
            for (_, own), (_, copied) in zip(self.modules(), twin.modules(), strict=True):
                copied.__dict__["_path"] = own._path
        return twin  # type: ignore[return-value]

    def _copy(self, path: str, fn: Any, modules: dict[int, "Module"], arrays: dict[int, Array]) -> "Module":
        if id(self) in modules:
            return modules[id(self)]
        twin = object.__new__(type(self))
        modules[id(self)] = twin
        contents = twin.__dict__
        contents.update(self.__dict__)
        contents.pop("_known_slots", None)
        contents["_path"] = path
        contents["_ready"] = (
            True  # a layer that came to the tree later would else begin a tree of its own, and draw as such
        )
        contents["_origin"] = self._origin or self
        prefix = f"{path}." if path else ""
        for name, declaration in self._declared.items():
            if id(declaration) not in arrays:
                arrays[id(declaration)] = fn(prefix + name, contents[name])
            contents[name] = arrays[id(declaration)]
        for name, value in self.__dict__.items():
            if name not in nest.OWN and isinstance(value, (Module, list, tuple, dict)):
                contents[name] = nest.copied(value, prefix + name, fn, modules, arrays)
        return twin

    def copy(self) -> Self:
        """An independent copy; arrays are shared until one of the two is given new ones (they are never changed in place)."""
        return copy.deepcopy(self, {id(array): array for array in self.state().values()})

    # looking ---------------------------------------------------------------------------------------------------------
    def summary(self, input_shape: tuple[int, ...], dtype: Any = None) -> Summary:
        """A table of the layers: output shape, parameters and bytes, for an input of this shape (with the batch axis)."""
        return summarize(self, input_shape, dtype)

    def __repr__(self) -> str:
        args, kwargs = self._arguments
        shown = [repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"
