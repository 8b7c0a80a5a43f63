"""``python -P benchmarks/trust``: run the sections, print their rows, write the page."""

import argparse
import sys
import tempfile
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HOME = Path(__file__).resolve().parent
if (
    "benchmarks" not in sys.modules
):  # run by its folder: that is loaded as the package it is, and goes nowhere on the path
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != HOME]
    package = spec_from_file_location("benchmarks", HOME.parent / "__init__.py")
    assert package
    assert package.loader
    sys.modules["benchmarks"] = module_from_spec(package)
    package.loader.exec_module(sys.modules["benchmarks"])

from benchmarks import trust  # noqa: E402
from benchmarks.trust.page import PAGE, page, table  # noqa: E402

SECTIONS = ("crash", "resume", "hostile", "errors", "divergence", "distributed", "estimators", "determinism", "interop")


def main() -> int:
    """Nothing is written unless everything was tried, and held."""
    parser = argparse.ArgumentParser(description=trust.__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"{', '.join(SECTIONS)} (all)")
    parser.add_argument("--seconds", type=float, help="for each section: a short run, which writes nothing")
    options = parser.parse_args()
    if unknown := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    done = {}
    for name in options.sections or SECTIONS:
        section = import_module(f"benchmarks.trust.{name}")
        with tempfile.TemporaryDirectory() as folder:
            done[name] = section.rows(options.seconds, Path(folder)), section.NOTE
        print(table({name: done[name]}), flush=True)
    held = all(row.kept == row.tried > 0 for rows, _ in done.values() for row in rows)
    if held and options.seconds is None and not options.sections:
        PAGE.write_text(page(done), encoding="utf-8")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
