"""The run itself is judged: a backend or a test that silently did not run fails it."""

import importlib.util
import json

import pytest

from nnx import backends

backends.get("numpy")  # loaded here, once: what an inner run imports is forgotten after it
if importlib.util.find_spec("array_api_strict"):
    backends.get("strict:device1")


@pytest.fixture
def run_tests(pytester, monkeypatch):
    """pytest on a source, with our conftest as a plugin: its exit status and its output."""
    for name in ("NNX_BACKENDS", "NNX_REQUIRED_BACKENDS", "NNX_ALLOWED_SKIPS"):
        monkeypatch.delenv(name, raising=False)

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading those of others takes most of the time

    def run(source, *options):
        pytester.makeini("[pytest]\naddopts = -ra --strict-markers")
        pytester.makepyfile("import pytest\n" + source)
        result = pytester.runpytest_inprocess("-p", "conftest", "-p", "no:cacheprovider", *options)
        return result.ret, result.stdout.str() + result.stderr.str()

    return run


ONE = "def test_it(xp):\n    assert xp.__name__.endswith('numpy')\n"
SKIPPED = "def test_it(xp):\n    pytest.skip('mpmath is not installed')\n"
PLAIN = "def test_it():\n    pass\n"


@pytest.mark.parametrize(
    ("source", "options", "status", "said"),
    [
        (ONE, [], 0, "numpy            1 passed"),
        (ONE, ["--require-backends", "numpy"], 0, "1 passed"),
        (ONE, ["--require-backends", "numpy,strict"], 1, "backend strict is required and ran nothing"),
        (PLAIN, ["--require-backends", "numpy"], 1, "backend numpy is required and ran nothing"),
        (SKIPPED, ["--require-backends", "numpy"], 1, "backend numpy is required and ran nothing"),
        (SKIPPED, [], 0, "1  mpmath is not installed"),
        (SKIPPED, ["--no-skips-but", "torch|mpmath"], 0, "1 skipped"),
        (SKIPPED, ["--no-skips-but", "torch"], 1, "1 skipped without leave: mpmath is not installed"),
        (SKIPPED, ["--no-skips-but", ""], 1, "1 skipped without leave"),
        (
            "pytest.importorskip('no_such', reason='no_such is needed')",
            ["--no-skips-but", "torch"],
            1,
            "without leave: no_such is",
        ),
        (PLAIN, ["--concerning", "torch"], 5, "1 deselected"),
        (ONE, ["--concerning", "torch"], 0, "1 passed"),
        ('def test_it():\n    pytest.importorskip("math")', ["--concerning", "math"], 0, "1 passed"),
        (ONE, ["--backend", "cuppy"], 4, "--backend cuppy: "),
        (ONE, ["--backend", "numpy:7"], 4, "--backend numpy:7: "),
        ("@pytest.mark.skip_backends('numpy', reason='slow')\n" + ONE, [], 0, "numpy: slow"),
        (
            "@pytest.mark.xfail_backends('numpy', reason='wrong')\ndef test_it(xp):\n    assert not xp",
            [],
            0,
            "1 xfailed",
        ),
    ],
)
def test_the_run_is_judged(source, options, status, said, run_tests):
    code, output = run_tests(source, *options)
    assert said in output
    assert code == status


def test_a_record_is_written(run_tests, pytester):
    source = (
        "def test_it(backend, record_disagreement):\n"
        "    record_disagreement('exp', backend, 'float64', 1.0, 4.0)\n"
        "    record_disagreement('exp', backend, 'float64', 3.0, 4.0)\n"
        "    record_disagreement('exp', backend, 'float64', 2.0, 4.0)\n"
        "    record_disagreement('add', backend, 'float64', 0.0, 0.0)\n"
    )
    code, output = run_tests(source, "--record", "out/record.json")
    assert code == 0, output
    assert output.index("exp  ") < output.index("add  ")
    assert " 75.0%" in output
    record = json.loads((pytester.path / "out" / "record.json").read_text(encoding="utf-8"))
    assert record["tests"]["passed"] == 1
    assert record["backends"]["numpy"]["passed"] == 1
    assert [(row["op"], row["value"]) for row in record["worst"]] == [("add", 0.0), ("exp", 3.0)]
    assert "numpy" in record["versions"]


HIDDEN = "def test_it(xp, backend):\n    x = xp.ones(1, dtype=xp.float64, device=backend.device)\n    "


@pytest.mark.parametrize("read", ["float(x)", "bool(x)", "int(x)", "complex(x)", "if x[0]: pass", "x.to_device('cpu')"])
def test_a_hidden_transfer_fails_on_the_stand_in_for_a_gpu(read, run_tests):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    code, output = run_tests(HIDDEN + read, "--backend", "strict:device1")
    assert code == 1
    assert "moves data off" in output


def test_the_lawful_exit_and_the_cpu_pass(run_tests):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    code, output = run_tests(HIDDEN + "assert backend.to_numpy(x)[0] == 1", "--backend", "strict,strict:device1")
    assert code == 0, output


def test_shapes_that_depend_on_data_are_refused_under_the_strict_flags(run_tests):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    source = "def test_it(xp, strict_flags):\n    x = xp.ones(2, dtype=xp.float64)\n    x[x > 0]\n"
    code, output = run_tests(source, "--backend", "strict")
    assert code == 1
    assert "boolean_indexing" in output


def test_a_module_that_needs_what_is_missing_is_skipped_and_named(run_tests, monkeypatch):
    from support import missing

    monkeypatch.setattr(missing, "OPTIONAL", ("no_such",))
    monkeypatch.setattr(missing.SkipWhatIsMissing, "importer", lambda self: self.tests)
    code, output = run_tests("import no_such\n" + PLAIN, "--no-skips-but", "torch")
    assert "1 skipped without leave: no_such is not installed" in output
    assert code == 1
