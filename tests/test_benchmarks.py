"""The benchmarks measure what they say: synchronised, in turns, everyone doing the same work. No test here is timed."""

import doctest
import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def load_package():
    """The folder as the package it is, as ``run.py`` loads it: the checkout goes nowhere on the path."""
    spec = spec_from_file_location("benchmarks", ROOT / "benchmarks" / "__init__.py")
    module = sys.modules["benchmarks"] = module_from_spec(spec)
    spec.loader.exec_module(module)


load_package()
from benchmarks import gpu, import_time, process, run, scaling, table, targets, timer  # noqa: E402
from benchmarks.contestants import BY_HAND, CONTESTANTS, FLOOR, FUSED, OURS, Contestant  # noqa: E402
from benchmarks.networks import CNN, MIDDLE, REGULAR, TABLE, TINY, Convolutional, Network  # noqa: E402
from benchmarks.question import QUICK, Effort  # noqa: E402

SMALL = Network((8, 16, 5), 12)
HERE = [contestant for contestant in CONTESTANTS if not contestant.missing()]


# the timer, on a clock of our own -------------------------------------------------------------------------------------
class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Queued:
    """A device that queues work: only waiting for it takes time."""

    def __init__(self, clock, cost=1.0):
        self.clock, self.cost, self.pending, self.ran, self.resets = clock, cost, 0.0, 0, 0

    def reset(self):
        self.resets += 1
        self.pending += 1000.0  # work of its own, not to be charged to anyone

    def run(self):
        self.ran += 1
        self.pending += self.cost

    def synchronize(self):
        self.clock.now += self.pending
        self.pending = 0.0


@pytest.mark.parametrize("calls", [1, 2, 7, 20, 33, 100])
def test_a_block_waits_for_the_work_it_asked_for_and_for_no_other(calls):
    clock = Clock()
    job = Queued(clock, cost=3.0)
    sample = timer.block(job, calls, clock=clock, cpu=clock)
    assert sample == (3.0, 3.0, 3.0)
    assert job.resets == 1
    assert job.ran == calls + max(calls // 10, 1)  # with the warm-up
    assert job.pending == 0


def test_a_piece_that_was_interrupted_does_not_count():
    clock = Clock()
    job = Queued(clock)
    waits = iter(range(1000))
    synchronize = job.synchronize

    def interrupted():
        synchronize()
        if next(waits) % 4 == 2:
            clock.now += 500

    job.synchronize = interrupted
    sample = timer.block(job, 40, clock=clock)
    assert (sample.median, sample.best) == (1.0, 1.0)


def test_contestants_take_turns_from_both_ends_after_a_pause():
    told = []

    def contestant(label):
        return lambda calls: told.append((label, calls)) or timer.Sample(0.1, 0.1, 0.1)

    taken = timer.interleave(
        {"a": contestant("a"), "b": contestant("b")},
        rounds=3,
        seconds=0.5,
        sleep=lambda seconds: told.append("pause"),
        clock=lambda: 0.0,
    )
    turns = told[told.index("pause") :]
    assert turns == [turn for label in "abbaab" for turn in ("pause", (label, 5))]
    assert {label: (len(samples.seconds), samples.calls) for label, samples in taken.items()} == {
        "a": (3, 5),
        "b": (3, 5),
    }


def test_no_round_begins_after_the_limit_and_all_have_equally_many():
    clock = Clock()

    def slow(calls):
        clock.now += 10
        return timer.Sample(10.0, 10.0, 10.0)

    taken = timer.interleave({"a": slow, "b": slow}, rounds=9, seconds=1, limit=50, sleep=lambda s: None, clock=clock)
    assert [len(samples.seconds) for samples in taken.values()] == [2, 2]


@pytest.mark.parametrize(("cost", "calls"), [(0.001, 200), (0.15, 1), (10.0, 1), (1e-9, timer.MOST_CALLS)])
def test_a_block_is_as_long_as_was_asked(cost, calls):
    assert timer.calls_for(lambda calls: timer.Sample(cost, cost, cost), 0.2) == calls


def test_a_ratio_compares_what_was_taken_in_the_same_round():
    load = (1.0, 5.0, 2.0, 9.0)  # of the machine: it meets both
    ours = timer.Samples(tuple(timer.Sample(x, x, x) for x in load))
    theirs = timer.Samples(tuple(timer.Sample(3 * x, 3 * x, 3 * x) for x in load))
    assert timer.ratio(theirs, ours) == (3.0, 3.0, 3.0)
    assert timer.best_ratio(theirs, ours) == 3.0


def test_the_peak_of_memory_sees_what_is_held_and_forgets_it():
    if not timer.forget_peak():
        pytest.fail("this system cannot forget a peak")
    before = timer.peak()
    block = np.ones(2**23)
    during = timer.peak()
    del block
    assert timer.forget_peak()
    assert during - before > 2**25
    assert timer.peak() < during - 2**25


def test_everybody_gets_the_threads_that_were_set(monkeypatch):
    monkeypatch.setenv("NNX_BENCH_THREADS", "3")
    settings = timer.thread_settings(timer.threads())
    assert {settings[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")} == {
        "3"
    }


# everyone does the same work ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def field():
    with process.Field(tuple(HERE)) as field:
        yield field


def ask(field, contestant, question, network, do, **order):
    worker = field.process(contestant)
    job = worker.ask("make", **process.order(question, network, contestant))
    return worker.ask(do, job=job, **order)


def by_hand(question, network, do, field, **order):
    return ask(field, next(one for one in CONTESTANTS if one.label == BY_HAND), question, network, do, **order)


@pytest.mark.parametrize(
    "contestant", [one for one in HERE if one.label not in (BY_HAND, FLOOR)], ids=lambda one: one.label
)
def test_a_step_has_the_losses_of_the_step_written_by_hand(field, contestant):
    if contestant.options.get("compiled"):
        contestant = replace(contestant, options={**contestant.options, "compiled": False})  # it would take a minute
    found = ask(field, contestant, "step", SMALL, "losses", steps=10)
    expected = by_hand("step", SMALL, "losses", field, steps=10)
    assert found == pytest.approx(expected, rel=2e-4)
    assert found[9] < found[1]  # the same batch of eight, once it was trained on


@pytest.mark.parametrize(
    "contestant",
    [one for one in HERE if one.plays("inference") and one.label not in (BY_HAND, FLOOR)],
    ids=lambda one: one.label,
)
@pytest.mark.parametrize("regular", [False, True])
def test_an_answer_is_the_one_written_by_hand(field, contestant, regular):
    if contestant.options.get("compiled"):
        contestant = replace(contestant, options={**contestant.options, "compiled": False})
    network = replace(SMALL, regular=regular)  # fresh batch norm only scales by 1/√(1 + ε)
    if contestant.plays("inference", regular):
        found = np.asarray(ask(field, contestant, "inference", network, "outputs"))
        expected = np.asarray(by_hand("inference", SMALL, "outputs", field))
        for answer in (found, expected):
            answer -= answer.mean(axis=1, keepdims=True)  # scikit-learn gives probabilities
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("contestant", [one for one in HERE if one.plays("step", True)], ids=lambda one: one.label)
def test_batch_norm_and_dropout_are_timed_too(field, contestant):
    if not contestant.options.get("compiled"):
        median, best, cpu = ask(field, contestant, "step", replace(SMALL, regular=True), "block", calls=2)
        assert median >= best > 0
        assert cpu >= 0


def test_what_a_process_cannot_do_is_told_and_it_goes_on(field):
    worker = field.process(HERE[0])
    with pytest.raises(process.FailedError, match=f"{worker.label}: KeyError: 'nonsense'"):  # whoever began it
        ask(field, HERE[0], "nonsense", SMALL, "block", calls=1)
    assert worker.ask("versions")["nnx"]


def test_a_process_that_dies_says_its_last_words():
    worker = process.Process(Contestant("broken", "no_such_file"))
    try:
        with pytest.raises(process.FailedError, match="no_such_file"):
            worker.ask("versions")
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(process.FailedError, match="its process is gone"):
            worker.ask("versions")
    finally:
        worker.end()


def test_numba_is_hidden_where_it_is_to_be_absent(field):
    pure = next(one for one in HERE if one.hides)
    assert field.process(pure).ask("versions")["fused"] == "off"


# the runner -----------------------------------------------------------------------------------------------------------
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


def test_the_convolutional_network_is_the_same_for_all():
    pytest.importorskip("torch", reason="PyTorch is not installed: it is what nnx is timed against")
    from benchmarks.contestants import ours, pytorch

    network = Convolutional((4, 6), 5, side=8, classes=3)
    first, second = ours.make("step", network, backend="numpy"), pytorch.make("step", network)
    losses = [first.loss() for _ in range(4)]
    assert losses == pytest.approx([second.loss() for _ in range(4)], rel=1e-4)
    assert len(set(losses)) == 4
    answers = ours.make("inference", network, backend="numpy").outputs(), pytorch.make("inference", network).outputs()
    assert answers[0] == pytest.approx(answers[1], rel=1e-4, abs=1e-5)
