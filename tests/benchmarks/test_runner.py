"""A run of the benchmarks: what it records, prints and names when something is missing."""

import doctest
import json
import subprocess
import sys
from argparse import Namespace
from importlib import import_module

import numpy as np
import pytest
from support.contest import ROOT

from benchmarks import gpu, import_time, run, scaling, table, targets, timer
from benchmarks.contestants import BY_HAND, CONTESTANTS, FLOOR, FUSED, OURS, Contestant
from benchmarks.networks import CNN, MIDDLE, REGULAR, TABLE, TINY
from benchmarks.question import QUICK, Effort

FEW = (
    *(one for one in CONTESTANTS if one.label in (OURS, BY_HAND, FLOOR)),
    Contestant("Nobody", "nobody", needs=("no_such_library",)),
    Contestant("Broken", "ours", {"backend": "no_such_backend"}),
)
BRIEFLY = Namespace(rounds=2, seconds=0.001, limit=None, total=None, without=["Nobody else"])


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """(exit status, record) of a run with three contestants, one absent and one broken."""
    out = tmp_path_factory.mktemp("results") / "record.json"
    questions = {**gpu.questions(dry=True), "scaling": scaling}
    status = run.run(questions, FEW, Namespace(out=out, **vars(BRIEFLY)), "quick")
    return status, out


def test_a_run_records_what_was_measured_and_on_what(outcome):
    status, out = outcome
    record = json.loads(out.read_text(encoding="utf-8"))
    assert status == 1  # one is broken
    assert record["left_out"]["Nobody else"] == "not asked for"
    assert record["left_out"]["Nobody"] == "no_such_library is not installed"
    assert any("no_such_backend" in reason for reason in record["left_out"].values())
    assert record["thread_settings"]["OPENBLAS_NUM_THREADS"] == str(record["threads"])
    assert {"cpu", "threads", "python", "date", "load_at_start", "load_at_end", "versions"} <= record.keys()
    assert record["versions"][OURS]["version"] == np.__version__
    steps = [row for row in record["rows"] if row["question"] == "step" and row["work"] == gpu.DRY[0].title]
    assert [row["contestant"] for row in steps] == [OURS, BY_HAND, FLOOR]
    for row in steps:
        assert row["best_ms"] <= row["median_ms"]
        assert len(row["samples_ms"]) == 2
        assert row["against"] == OURS
    assert steps[0]["ratio"] == 1
    assert {row["question"] for row in record["rows"]} == {"step", "inference", "update", "scaling", "layer"}
    assert [target["work"] for target in record["targets"]] == ["one more layer, µs"]


def test_the_markdown_has_every_contestant_and_needs_no_package(outcome):
    _, out = outcome
    command = [sys.executable, "-I", str(ROOT / "benchmarks" / "table.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, cwd=out.parent)
    assert f"| work | {OURS}, ms | {BY_HAND} | {FLOOR} |" in done.stdout
    assert "**A step against depth, ms**" in done.stdout
    assert "| one more layer, µs (layer) | nnx | NumPy by hand | ≤ 12 µs |" in done.stdout
    widths = {line.count("|") for line in done.stdout.split("**Training step**")[1].split("**")[0].strip().splitlines()}
    assert len(widths) == 1


def test_on_a_busy_machine_the_table_gives_processor_time_too(outcome):
    record = json.loads(outcome[1].read_text(encoding="utf-8"))
    record["load_at_start"] = [0.0, 9.0, 9.0]
    assert "processor time" not in table.markdown(record)
    record["load_at_start"] = [9.0 * record["cores"], 0.0, 0.0]
    assert "**Training step, in processor time, for the machine was busy**" in table.markdown(record)


def test_plain_tables_fit_80_columns():
    work = REGULAR[3].title
    samples = timer.Samples((timer.Sample(12.3456789, 12.3456789, 12.3456789),) * 3)
    row = {"work": work, "ratio": 12.3456, "ratio_quartiles": [11.111, 13.333], **samples.row()}
    rows = [{**row, "contestant": contestant.label} for contestant in CONTESTANTS]
    rows.append({"work": work, "contestant": FUSED, "ratio": 1.0, "peak_mib": 12345.6, "training_mib": 12345.6})
    outcomes = [{"ratio": 123.456, "met": False, "work": t.network.title, **t._asdict()} for t in targets.TARGETS]
    lines = table.plain(rows, outcomes).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("< !" in line for line in lines) == len(targets.TARGETS)


@pytest.mark.parametrize(("least", "met"), [(1.9, True), (2.0, True), (2.1, False)])
def test_a_target_is_met_from_its_number_on(least, met):
    def samples(seconds):
        return timer.Samples((timer.Sample(seconds, seconds, seconds),))

    target = targets.Target("step", TINY, FUSED, least)
    assert target.row({OURS: samples(1.0), FUSED: samples(2.0)})["met"] is met
    assert target.row({OURS: samples(1.0)}) is None


def test_every_target_is_about_work_and_contestants_that_there_are():
    labels = {contestant.label for contestant in CONTESTANTS}
    works = {*TABLE, *REGULAR, *(network.at(batch) for network in (*TABLE, CNN) for batch in (1, 256)), CNN}
    for target in targets.TARGETS:
        assert {target.ours, target.theirs} <= labels
        assert target.network in works
    assert MIDDLE.parameters == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10


def test_the_overhead_of_a_layer_is_what_the_slopes_differ_by():
    def row(label, n, ms):
        return {"axis": "depth", "contestant": label, "value": n, "best_ms": ms, "median_ms": 99.0}

    rows = [row(OURS, n, 1 + 0.05 * n) for n in (1, 2, 4)] + [row(BY_HAND, n, 7 + 0.03 * n) for n in (1, 2, 4)]
    result = scaling.overhead(rows)
    assert [(row["contestant"], row["us"]) for row in result.rows] == [(OURS, 50.0), (BY_HAND, 30.0)]
    assert (result.targets[0]["us"], result.targets[0]["met"]) == (20.0, False)


def test_what_was_measured_before_an_error_is_kept(tmp_path):
    class Stops:
        def measure(self, field, effort):
            raise KeyboardInterrupt("enough")

    out = tmp_path / "r.json"
    questions = {"step": gpu.questions(dry=True)["step"], "stops": Stops()}
    with pytest.raises(KeyboardInterrupt, match="enough"):
        run.run(questions, FEW[:2], Namespace(out=out, **vars(BRIEFLY)), "quick")
    assert len(json.loads(out.read_text(encoding="utf-8"))["rows"]) == 3


def test_a_module_that_cannot_be_imported_is_named(field, monkeypatch):
    monkeypatch.setattr(import_time, "MODULES", ("nnx", "numpy", "benchmarks.no_such_module"))
    result = import_time.measure(field, QUICK)
    assert [row["contestant"] for row in result.rows] == ["nnx", "numpy"]
    assert "No module named" in field.left_out.pop("import benchmarks.no_such_module")


def test_questions_after_the_time_is_over_are_named(tmp_path, capsys):
    settings = Namespace(out=tmp_path / "r.json", **{**vars(BRIEFLY), "total": 1e-9})
    assert run.run({"scaling": scaling}, FEW[:1], settings, "quick") == 0
    assert "left out: scaling (0 s are over)" in capsys.readouterr().out


def test_the_gpu_runner_runs_on_the_cpu(tmp_path, monkeypatch):
    few = [one for one in gpu.contestants(dry=True) if one.needs == ("numpy",)]
    assert [one.label for one in few] == ["nnx on cupy", "CuPy by hand", "its matrix products"]
    monkeypatch.setattr(gpu, "contestants", lambda dry: tuple(few))
    assert gpu.main(["--dry-run", "--rounds", "1", "--out", str(tmp_path / "gpu.json")]) == 0
    record = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert {row["contestant"] for row in record["rows"]} == {one.label for one in few}


def test_on_a_gpu_the_same_contestants_are_asked_for_other_devices():
    for there, here in zip(gpu.contestants(dry=False), gpu.contestants(dry=True), strict=True):
        assert (there.label, there.file, there.questions) == (here.label, here.file, here.questions)
        assert there.options.keys() == here.options.keys()
        assert there.needs in (("cupy",), ("torch",), ("jax",))


@pytest.mark.parametrize("command", [["-m", "benchmarks"], ["-P", "benchmarks/run.py"], ["benchmarks/run.py"]])
def test_every_way_to_start_it_leaves_the_checkout_off_the_path(command):
    done = subprocess.run([sys.executable, *command, "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "unknown question nonsense; there are step, inference" in done.stderr
    code = f"import sys; sys.path[:0] = [r'{ROOT}', r'{ROOT}/benchmarks']; import benchmarks; print(*sys.path)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert str(ROOT) not in done.stdout.split()
    assert str(ROOT / "benchmarks") not in done.stdout.split()


def test_the_questions_are_measured_by_someone():
    effort = Effort(full=True, rounds=1, seconds=0.001, limit=1.0, total=1.0)
    assert effort.times(0.5).rounds == 1
    assert Effort(full=True, rounds=15, seconds=0.2, limit=1.0, total=1.0).times(0.1).rounds == 3
    assert all(callable(question.measure) for question in run.QUESTIONS.values())


@pytest.mark.parametrize("name", ["networks", "scaling", "timer"])
def test_the_examples_are_right(name):
    result = doctest.testmod(import_module(f"benchmarks.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
