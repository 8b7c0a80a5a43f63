"""Who imports whom: the floors of nnx, read from the source and never from what happens to be loaded."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

FLOORS: dict[str, int] = {
    "nnx": 10,  # the public face: names everything below
    "nnx.__main__": 11,  # nothing imports it
    "nnx.cli": 9,
    "nnx.doctor": 8,
    "nnx.plot": 8,
    "nnx.tune": 8,
    "nnx.parity": 8,
    "nnx.estimators": 8,
    "nnx.export": 8,
    "nnx.train": 7,
    "nnx.models": 7,
    "nnx.layers": 6,
    "nnx.losses": 6,
    "nnx.ops": 5,
    "nnx.autodiff": 4,
    "nnx.data": 4,
    "nnx.init": 4,
    "nnx.optim": 3,
    "nnx.random": 3,
    "nnx.backends": 2,
    "nnx.tree": 1,
    "nnx.metrics": 1,
    "nnx.regularizers": 1,
    "nnx.late": 1,
    "nnx.errors": 0,
    "nnx.typing": 0,
}
"""The floor of a module or of all modules in a package. Within one package imports are free but for circles."""

ARRAY_LIBRARIES = {
    "cupy",
    "cupyx",
    "torch",
    "jax",
    "jaxlib",
    "array_api_strict",
    "numba",
    "ndonnx",
    "tensorflow",
    "dask",
    "sparse",
}
EXECUTES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "runpy", "joblib"}
"""Modules through which a file could run code. ``importlib`` is for ``backends/`` alone, with names of its own."""

HARMLESS = {"importlib.metadata", "importlib.resources"}
LOADS = {"nnx/late.py": "loads modules of nnx, by names that stand in a table of their package"}

CALLS = {"eval", "exec", "compile", "__import__"}
CALLS_ALLOWED = {
    ("backends/fast/compiled.py", "exec"): "writes a loop over as many arguments as a rule has, from names of its own",
    (
        "backends/fast/compiled.py",
        "compile",
    ): "gives that loop this file as its place, beside which numba keeps what it made",
    (
        "backends/recorded/loops.py",
        "exec",
    ): "writes the expressions of a group of calls one below the other, with names of its own",
    ("backends/recorded/loops.py", "compile"): "gives that loop a file, beside which the compiler keeps what it made",
    ("backends/recorded/program.py", "exec"): "writes a recording's calls one below the other, from names of its own",
}
CEILING = 400


def unit_of(module: str) -> str:
    """The entry of ``FLOORS`` that a module belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in FLOORS and (name != "nnx" or module == "nnx"):
            return name
    return ""


def module_name(path: str) -> str:
    """``nnx/layers/linear.py`` -> ``nnx.layers.linear``; ``backends/numpy.py`` -> ``nnx.backends.numpy``."""
    parts = PurePosixPath(path).with_suffix("").parts
    parts = ("nnx", *parts) if parts[0] == "backends" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str, str | None]]:
    """(line, module, name or None) of every import that runs, at whatever depth; those for the type checker are passed over."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for branch in node.orelse:
                yield from imports(ast.Module([branch], []), module, is_package)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, None
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                yield node.lineno, source, alias.name
        else:
            yield from imports(node, module, is_package)


def complaints(path: str, source: str, modules: set[str]) -> list[str]:
    """What is wrong with one file, given the names of all modules of the house."""
    module, tree = module_name(path), ast.parse(source)
    is_package, unit = path.endswith("__init__.py"), unit_of(module)
    in_backends = unit == "nnx.backends"
    found = []
    if not unit:
        found.append(f"{path}: has no floor in tests/support/house.py")
    if (lines := source.count("\n")) > CEILING:
        found.append(f"{path}: {lines} lines, the ceiling is {CEILING}: split it by idea")
    for line, name, member in imports(tree, module, is_package):
        top = name.partition(".")[0]
        if top in ARRAY_LIBRARIES and not in_backends:
            found.append(f"{path}:{line}: names the array library {top}, which is for backends/ alone")
        if name.startswith("array_api_compat.") and not in_backends:
            found.append(f"{path}:{line}: names a library through {name}, which is for backends/ alone")
        loads = top == "importlib" and not {name, f"{name}.{member}"} & HARMLESS
        if top in EXECUTES or (loads and not in_backends and path not in LOADS):
            found.append(f"{path}:{line}: imports {name}, through which a file could run code")
        if top == "nnx" and unit:
            target = target_of(name, member, modules)
            below = unit_of(target)
            if below != unit and FLOORS.get(below, 99) >= FLOORS[unit]:
                found.append(
                    f"{path}:{line}: imports {target} (floor {FLOORS.get(below, '?')}) on floor {FLOORS[unit]}"
                )
    for node in ast.walk(tree):
        called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if called in CALLS and (path, called) not in CALLS_ALLOWED:
            found.append(f"{path}:{node.lineno}: calls {called}")
    return found


def target_of(name: str, member: str | None, modules: set[str]) -> str:
    """The module that an import loads: ``from nnx import tree`` is ``nnx.tree``."""
    inner = f"{name}.{member}"
    return inner if member and inner in modules else name


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or an empty list.

    >>> circle({"a": {"b"}, "b": {"c"}, "c": set()})
    []
    >>> circle({"a": {"b"}, "b": {"a"}})
    ['a', 'b', 'a']
    """
    done: set[str] = set()
    way: list[str] = []

    def visit(node: str) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        way.append(node)
        for following in sorted(graph.get(node, ())):
            if ring := visit(following):
                return ring
        way.pop()
        done.add(node)
        return []

    for start in sorted(graph):
        if ring := visit(start):
            return ring
    return []


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """Module -> modules of the house that it imports while it is itself being imported."""
    modules = {module_name(path) for path in files}
    graph: dict[str, set[str]] = {}
    for path, source in files.items():
        module, tree = module_name(path), ast.parse(source)
        graph[module] = {
            target
            for _, name, member in imports(only_top_level(tree), module, path.endswith("__init__.py"))
            if (target := target_of(name, member, modules)) in modules and target != module
        }
    return graph


def only_top_level(tree: ast.Module) -> ast.Module:
    """The module without the bodies of its functions: what runs when it is imported."""

    class Trim(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            return ast.Pass()

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
            return ast.Pass()

    trimmed: ast.Module = Trim().visit(tree)
    return trimmed
