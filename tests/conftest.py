"""What every test may ask for: a backend, its namespace, a guard against hidden transfers, a place to record errors.

    python -P -m pytest tests                                    on NumPy
    python -P -m pytest tests --backend torch,strict:device1     on each of these
    python -P -m pytest tests --backend cupy --record out.json   on a GPU, with a record of it
    JAX_PLATFORMS=cuda,cpu python -P -m pytest tests --backend jax:gpu    JAX stays on the CPU unless it is told
    python -P -m pytest tests --hypothesis-profile search        with examples that no run had before

A test that takes ``backend`` or ``xp`` runs once for each backend chosen. A backend that was named and cannot be used
ends the run at once: it is never skipped.
"""

import gc
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_ENABLE_X64", "1")  # before anything imports JAX: without it float64 does not exist there
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # on a GPU it would take most of the memory from CuPy
sys.path.append(
    str(Path(__file__).parent)
)  # tables and helpers: `from cases.ops import …`, `from support.compare import …`

import pytest
from support.missing import SkipWhatIsMissing
from support.record import Record
from support.strict import close_the_holes, static_shapes

pytest.register_assert_rewrite("support.compare")

if find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("search", deadline=None)  # new examples in each run: --hypothesis-profile search
    settings.register_profile("steady", deadline=None, derandomize=True, database=None)
    settings.load_profile("steady")

sys.meta_path.append(SkipWhatIsMissing(Path(__file__).parent))

MARKS = (
    "skip_backends(*specs, reason): not run on these backends (a library name or a whole spec)",
    "xfail_backends(*specs, reason): fails on these backends, and must fail",
    "long: seconds of processes for what a shorter test shows too; run where NNX_LONG is 1, as in `nox -s trust`",
    "host_reads: reads values off the device by float(), bool() and the like; only for tests of that itself",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nnx")
    group.addoption(
        "--backend",
        default=os.environ.get("NNX_BACKENDS", "numpy"),
        metavar="SPEC[,SPEC]",
        help="backends to run on, such as numpy,strict:device1 (default: $NNX_BACKENDS, else numpy)",
    )
    group.addoption(
        "--require-backends",
        default=os.environ.get("NNX_REQUIRED_BACKENDS", ""),
        metavar="SPEC[,SPEC]",
        help="fail unless each of these backends ran at least one test (default: $NNX_REQUIRED_BACKENDS)",
    )
    group.addoption(
        "--no-skips-but",
        default=os.environ.get("NNX_ALLOWED_SKIPS"),
        metavar="REGEX",
        help="fail if a test is skipped for a reason in which this is not found (default: $NNX_ALLOWED_SKIPS)",
    )
    group.addoption(
        "--concerning",
        metavar="LIBRARY",
        help="only tests that take a backend or need this library, for the others are the same on every backend",
    )
    group.addoption("--record", metavar="FILE", help="write versions, device, counts and worst disagreements as JSON")


def specs_of(config: pytest.Config, option: str = "--backend") -> list[str]:
    return [spec.strip() for spec in str(config.getoption(option) or "").split(",") if spec.strip()]


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    if getattr(config.option, "numprocesses", None):
        end_if_unusable(config)  # here, for a worker of pytest-xdist that ends has nobody to tell why
    record = Record(config, chosen=specs_of(config), required=specs_of(config, "--require-backends"))
    config.pluginmanager.register(record, "nnx-record")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend_spec" in metafunc.fixturenames:
        metafunc.parametrize("backend_spec", specs_of(metafunc.config), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    library = config.getoption("--concerning")
    if library:
        left_out = [item for item in items if not concerns(item, library)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if concerns(item, library)]
    if os.environ.get("NNX_LONG") != "1":
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: nox -s trust runs it (NNX_LONG=1)"))
    used = [item for item in items if spec_of(item)]
    if used:
        end_if_unusable(config)
    for item in used:
        spec = spec_of(item)
        item.user_properties.append(("backend", spec))
        for name, make in (("skip_backends", pytest.mark.skip), ("xfail_backends", pytest.mark.xfail)):
            for mark in item.iter_markers(name):
                if spec in mark.args or spec.partition(":")[0] in mark.args:
                    item.add_marker(make(reason=f"{spec}: {mark.kwargs['reason']}"))


def pytest_sessionstart() -> None:
    gc.disable()  # what is collected stays to the end: a million objects that the search for garbage would go through again and again


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def end_if_unusable(config: pytest.Config) -> None:
    from nnx import backends, errors

    for spec in specs_of(config):
        try:
            backends.get(spec)
        except errors.NnxError as error:
            raise pytest.UsageError(f"--backend {spec}: {error}") from error


def concerns(item: pytest.Item, library: str) -> bool:
    """Whether a test can come out otherwise with another array library."""
    file, callspec = item.path, getattr(item, "callspec", None)
    if callspec and "be" in callspec.params:  # the folder ``backends`` runs on all that are installed
        return bool(str(callspec.params["be"]).partition(":")[0] == library)
    names = rf"\b{library}\b" if file.parent.name == "backends" else rf'importorskip\("{library}'
    return bool(spec_of(item) or re.search(names, text_of(file), re.IGNORECASE))


@cache
def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def spec_of(item: pytest.Item) -> str:
    """The backend a collected test runs on, or an empty string."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("backend_spec", "")) if callspec else ""


@pytest.fixture(scope="session")
def backend(backend_spec: str) -> Any:
    """An ``nnx.backends.Backend``, once for each backend chosen."""
    from nnx import backends

    return backends.get(backend_spec)


@pytest.fixture(scope="session")
def xp(backend: Any) -> Any:
    """The standard namespace of each backend chosen."""
    return backend.xp


@pytest.fixture(autouse=True)
def no_hidden_transfer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On ``strict:device1``, the stand-in for a GPU, only ``backend.to_numpy`` may read values."""
    spec = spec_of(request.node)
    if (
        spec.startswith("strict:")
        and not spec.endswith("CPU_DEVICE")
        and not request.node.get_closest_marker("host_reads")
    ):
        close_the_holes(monkeypatch)


@pytest.fixture
def strict_flags() -> Iterator[None]:
    """array-api-strict as a compiler would have it: no boolean indexing, no shape that depends on data."""
    with static_shapes():
        yield


@pytest.fixture
def record_disagreement(request: pytest.FixtureRequest) -> Any:
    """``record_disagreement(op, backend, dtype, value, tolerance)``: keep the worst for the summary and ``--record``."""

    def keep(op: str, backend: Any, dtype: Any, value: float, tolerance: float) -> None:
        spec, kind = str(getattr(backend, "spec", backend)), str(dtype).rpartition(".")[2]
        request.node.user_properties.append(("disagreement", [op, spec, kind, float(value), float(tolerance)]))

    return keep
