"""Run the official suite over nnx's namespaces.

    python -P tests/conformance/run.py CHECKOUT                          both libraries, plain and traced
    python -P tests/conformance/run.py CHECKOUT --inner numpy --mode traced -- -k sort
    python -P tests/conformance/run.py CHECKOUT --mode bare              the library itself, without nnx

CHECKOUT is a clone of data-apis/array-api-tests with its submodule. What the inner library itself fails stands, with
reasons, in ``backends/<inner>.xfails.txt``; a line there that no longer fails, fails the run.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LISTS = HERE.parent.parent / "backends"
LIBRARIES = {"numpy": "array_api_compat.numpy", "strict": "array_api_strict"}
MODES = ("plain", "traced")
VERSION = "2025.12"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests/conformance/run.py", epilog="Arguments after -- are pytest's.")
    parser.add_argument("checkout", type=Path, help="a clone of data-apis/array-api-tests with its submodule")
    parser.add_argument(
        "--inner", choices=[*LIBRARIES], action="append", help="the array library below (default: each)"
    )
    parser.add_argument("--mode", choices=[*MODES, "bare"], action="append", help="default: plain and traced")
    parser.add_argument("--max-examples", default="20", help="Hypothesis examples for each test (default 20)")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    asked, rest = parser.parse_args(arguments[:cut]), arguments[cut + 1 :]
    if not (asked.checkout / "array_api_tests").is_dir() or not (asked.checkout / "array-api" / "src").is_dir():
        parser.error(f"{asked.checkout} is no checkout of array-api-tests with its submodule array-api")
    failed = []
    for inner in asked.inner or LIBRARIES:
        for mode in asked.mode or MODES:
            print(f"conformance: {mode} over {inner}", flush=True)
            if suite(asked.checkout, inner, mode, asked.max_examples, rest):
                failed.append(f"{mode} over {inner}")
    print(f"conformance: {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


def suite(checkout: Path, inner: str, mode: str, examples: str, rest: list[str]) -> int:
    """One run of the suite, in a process of its own; its exit status."""
    make = f'import harness; xp = harness.namespace("{LIBRARIES[inner]}", "{mode}")'
    environment = os.environ | {
        "ARRAY_API_TESTS_MODULE": LIBRARIES[inner] if mode == "bare" else f"exec('{make}')",
        "ARRAY_API_TESTS_VERSION": VERSION,
        "ARRAY_API_STRICT_API_VERSION": VERSION,
        "PYTHONPATH": str(HERE),
        "PYTHONHASHSEED": "0",  # or --derandomize draws other examples in each process
    }
    options = ["-q", "-rXfE", "--tb=short", "-p", "no:cacheprovider", "-p", "expected", "-W", "ignore::UserWarning"]
    hypothesis = ["--max-examples", examples, "--disable-deadline", "--derandomize"]
    xfails = ["--expected-failures", str(LISTS / f"{inner}.xfails.txt")]
    command = [sys.executable, "-m", "pytest", "array_api_tests", *options, *hypothesis, *xfails, *rest]
    return subprocess.run(command, cwd=checkout, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
