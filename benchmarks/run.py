"""The runner: ``python -P benchmarks/run.py --quick | --full [question …]``. It prints tables and writes the record as JSON."""

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run by its file: the folder is loaded as the package it is, and goes nowhere on the path
    from importlib.util import module_from_spec, spec_from_file_location

    package = spec_from_file_location("benchmarks", Path(__file__).with_name("__init__.py"))
    assert package
    assert package.loader
    sys.modules["benchmarks"] = module_from_spec(package)
    package.loader.exec_module(sys.modules["benchmarks"])

from benchmarks import RESULTS, import_time, inference, memory, optimizer, scaling, step, table, timer
from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.process import Field
from benchmarks.question import FULL, QUICK, Effort, Result

QUESTIONS: dict[str, Any] = {
    "step": step,
    "inference": inference,
    "optimizer": optimizer,
    "import": import_time,
    "memory": memory,
    "scaling": scaling,
}


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Time nnx against what it is compared with.")
    parser.add_argument("questions", nargs="*", metavar="question", help=f"{', '.join(QUESTIONS)} (all)")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--quick", action="store_true", help="within a minute; the default")
    chosen.add_argument("--full", action="store_true", help="everything, about a quarter of an hour")
    add_effort(parser)
    settings = parser.parse_args(arguments)
    unknown = [name for name in settings.questions if name not in QUESTIONS]
    if unknown:
        parser.error(f"unknown question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    asked = {name: QUESTIONS[name] for name in settings.questions or QUESTIONS}
    return run(asked, CONTESTANTS, settings, mode="full" if settings.full else "quick")


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Options that every runner has."""
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where the record goes (benchmarks/results/DATE-MODE.json)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="blocks of each contestant")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a block")
    parser.add_argument("--limit", type=float, metavar="S", help="seconds after which the same work gets no new round")
    parser.add_argument("--total", type=float, metavar="S", help="seconds after which no new question is asked")
    parser.add_argument("--without", action="append", default=[], metavar="WHO", help='leave out, e.g. "Keras 3"')


def effort_of(settings: argparse.Namespace, mode: str) -> Effort:
    """Rounds and seconds: those of the mode, unless given."""
    usual = FULL if mode.endswith("full") else QUICK
    rounds, seconds = settings.rounds or usual.rounds, settings.seconds or usual.seconds
    return Effort(usual.full, rounds, seconds, settings.limit or usual.limit, settings.total or usual.total)


def run(questions: dict[str, Any], contestants: tuple[Contestant, ...], settings: argparse.Namespace, mode: str) -> int:
    """Ask every question of everyone who is here; print, and write the record."""
    effort, started = effort_of(settings, mode), time.monotonic()
    today = datetime.datetime.now(datetime.UTC)
    record: dict[str, Any] = {"date": today.isoformat(timespec="seconds"), "mode": mode, **timer.machine()}
    record["thread_settings"] = timer.thread_settings(timer.threads())
    record |= {"rounds": effort.rounds, "block_seconds": effort.seconds, "load_at_start": timer.load_average()}
    absent = {one.label: f"{one.missing()} is not installed" for one in contestants if one.missing()}
    absent |= dict.fromkeys(settings.without, "not asked for")
    here = [one for one in contestants if one.label not in absent and (effort.full or one.quick)]
    for label, reason in absent.items():
        print(f"left out: {label} ({reason})")
    print(f"{record['cpu']}, {record['threads']} threads, load {record['load_at_start'][:1]}", flush=True)
    result = Result()
    out = settings.out or RESULTS / f"{today:%Y-%m-%d}-{mode}.json"
    with Field(tuple(here)) as field:
        try:
            record["versions"] = field.versions()
            for name, question in questions.items():
                if time.monotonic() - started > effort.total:
                    field.left_out[name] = f"{effort.total:.0f} s are over"
                    continue
                found = question.measure(field, effort)
                result += found
                print(f"\n{name}\n{table.plain(found.rows, found.targets)}", flush=True)
        finally:  # what was measured until an error or ^C is not lost
            for what, reason in {**field.left_out, **field.failed}.items():
                print(f"left out: {what} ({reason})")
            record["left_out"] = {**absent, **field.left_out, **field.failed}
            record |= {"load_at_end": timer.load_average(), "seconds": round(time.monotonic() - started, 1)}
            write(out, record, result)
    print(f"\n{record['seconds']} s; {out}")
    return 1 if field.failed else 0


def write(out: Path, record: dict[str, Any], result: Result) -> None:
    """One JSON object with a line for each row, so that two records can be compared line by line."""
    lines = {
        name: ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) for name, rows in vars(result).items()
    }
    head = json.dumps(record, ensure_ascii=False, indent=1).removesuffix("\n}")
    body = "".join(f',\n "{name}": [\n{rows}\n]' for name, rows in lines.items())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"{head}{body}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        from benchmarks.worker import serve

        serve(*sys.argv[2:])
    else:
        sys.exit(main())
