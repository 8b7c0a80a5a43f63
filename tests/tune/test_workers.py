"""Real processes that share a search, on SQLite and on a real PostgreSQL server; one is killed in the middle of a trial."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest
from support.process import until
from support.searches import SPACE, dies, threads, train

import nnx
from nnx.errors import ConfigError, NnxError
from nnx.tune.storage import close, connect, url_of

optuna = pytest.importorskip("optuna", reason="needs optuna (extra tune)")
jobs = import_module("nnx.tune.jobs")  # which needs it
both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
KEPT = ("trial", "state", "params", "score", "epoch", "loss", "curve")


def look(url, name):
    """The search as it stands, seen by one who does not work on it."""
    from nnx.tune.begin import joined
    from nnx.tune.search import look as see

    OPEN.append(joined(url, name, 1))
    return see(OPEN[-1])


OPEN = []


@pytest.fixture(autouse=True)
def closed():
    """What was looked at is closed with the test."""
    yield
    while OPEN:
        close(OPEN.pop().storage)


def numbers(search):
    return {row.trial: tuple(getattr(row, key) for key in KEPT) for row in search.rows}


def who(search):
    """Which process did which trial."""
    return {t.user_attrs["ticket"]: int(t.user_attrs["worker"].rpartition(":")[2]) for t in search.study.trials()}


def test_two_workers_share_a_search(tmp_path, worker):
    url, name, trials = f"sqlite:///{tmp_path / 'search.db'}", "shared", 12
    pair = [worker(url, name, trials) for _ in range(2)]
    ends = [process.communicate(timeout=200) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], ends
    assert [err for _, err in ends] == ["", ""], "no database is locked, nothing is warned of"
    search = look(url, name)
    assert len(search.of("done")) == trials, "every ticket once, none too many"
    assert set(who(search).values()) == {process.pid for process in pair}, "both worked"
    alone = nnx.tune(train, SPACE, trials=trials, monitor="val_accuracy")
    assert numbers(search) == numbers(alone), "the same bits as one worker alone"


@both
def test_the_trial_of_a_killed_worker_is_put_back_and_nothing_is_lost(database, worker, tmp_path):
    name, trials = "killed", 5
    first = worker(database, name, trials, NNX_TEST_STOP=f"{tmp_path}:2")
    until((tmp_path / "reached").exists, "trial 2 is in its first epoch", first)
    second = worker(database, name, trials)
    until(lambda: len(look(database, name).of("done")) == 4, "all others are done", second)
    time.sleep(4.5)  # three heartbeats of a second, and more
    before = look(database, name)
    left = before.of("running")[0]
    assert left.trial == 2
    assert who(before)[2] == first.pid, "not taken over: it gives signs of life"
    assert len(left.curve) == 1, "between its two epochs"

    first.send_signal(signal.SIGKILL)
    first.wait()
    _, err = second.communicate(timeout=200)
    assert (second.returncode, err) == (0, "")
    after = look(database, name)
    assert {row.trial for row in after.of("done")} == set(range(trials))
    assert len(after.rows) == trials
    assert who(after)[2] == second.pid
    assert {trial: who(after)[trial] for trial in (0, 1)} == {0: first.pid, 1: first.pid}
    for trial in (0, 1, 3, 4):
        assert numbers(after)[trial] == numbers(before)[trial], "what was done stays as it was"
    assert numbers(after) == numbers(nnx.tune(train, SPACE, trials=trials, monitor="val_accuracy"))


def test_a_worker_is_dead_after_three_of_its_own_heartbeats(tmp_path):
    store = connect(url_of(None, tmp_path), 7)
    assert (store.get_heartbeat_interval(), store._backend.grace_period) == (7, 21)
    close(store)


def test_jobs_are_processes_with_one_thread_each(tmp_path):
    before = dict(os.environ)
    found = nnx.tune(threads, SPACE, trials=6, monitor="val_loss", directory=tmp_path, jobs=2)
    assert len(found.of("done")) == 6
    assert {row.score for row in found.rows} == {1.0}
    assert os.getpid() not in who(found).values()
    assert dict(os.environ) == before, "here nothing has changed"


def test_in_a_thread_sigterm_is_left_as_it_is():
    def within():
        with jobs._sigterm_as_interrupt() as came:
            return came

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(within).result() == []


def test_a_function_that_cannot_be_sent_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="the function cannot be given to another process"):
        nnx.tune(lambda trial: 1.0, SPACE, trials=2, directory=tmp_path, jobs=2)


def nnx_tune(*arguments):
    return ("-m", "nnx", "tune", *arguments)


def read_until(process, what):
    """What a process says, up to the line with ``what`` in it."""
    said = ""
    for line in process.stdout:
        said += line
        if what in line:
            return said
    raise AssertionError(f"ended before {what!r}: {said}{process.communicate()}")


def events(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.long
def test_the_command_is_killed_and_continues(tmp_path, start):
    flags = ("digits", "--trials", 4, "--epochs", 3, "--model", "mlp:16", "--heartbeat", 1, "--out", "t", "--json")
    first = start(*nnx_tune(*flags))
    lines = events(read_until(first, '"event": "trial", "done": 2,'))
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(*nnx_tune("t", "--heartbeat", 1, "--json"))
    out, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (0, "")
    told = [event for event in events(out) if event["event"] == "trial"]
    assert [event["done"] for event in told][-1] == 5
    known = {event["trial"] for event in lines if event["event"] == "trial"}
    assert not known & {event["trial"] for event in told}, "what was done is not done again"
    assert events(out)[-1]["done"] == 5
    assert (tmp_path / "t" / "best.toml").exists()


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.long), 2])
def test_an_interrupt_keeps_everything_and_says_how_to_continue(jobs, tmp_path, start):
    first = start(
        "-c",
        INTERRUPTIBLE,
        "tune",
        "digits",
        "--trials",
        40,
        "--epochs",
        10,
        "--model",
        "mlp:16",
        "--jobs",
        jobs,
        "--out",
        "t",
    )
    read_until(first, " 3/41 ")
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert (first.returncode, err) == (130, "")
    assert "Continue:\n          nnx tune t\n" in out
    search = look(f"sqlite:///{tmp_path / 't' / 'search.db'}", None)
    assert len(search.of("done")) >= 3
    assert not search.of("running"), "what was running waits again"
    assert len(search.rows) == 41


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nnx.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.long
def test_a_worker_elsewhere_needs_the_url_and_the_name_alone(postgres, start, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    first = start(
        *nnx_tune(
            "digits", "--trials", 12, "--epochs", 8, "--model", "mlp:16", "--storage", postgres, "--study", "digits"
        )
    )
    shown = read_until(first, " 1/13 ")
    assert f"nnx tune --worker --storage {postgres} --study digits" in shown
    second = start(*nnx_tune("--worker", "--storage", postgres, "--study", "digits"))
    ends = [process.communicate(timeout=120) for process in (first, second)]
    assert [err for _, err in ends] == ["", ""]
    assert "nothing is left to do for digits" in ends[1][0]
    search = look(postgres, "digits")
    assert len(search.of("done")) == 13
    assert set(who(search).values()) == {first.pid, second.pid}, "both worked"
    assert list(Path(tmp_path, "tunes").iterdir()) == [tmp_path / "tunes" / "digits-001"]


def test_a_study_that_is_not_there_is_refused(postgres):
    with pytest.raises(ConfigError, match=r"study: expected a search: .*got 'no such'"):
        look(postgres, "no such")


def test_a_search_whose_last_worker_dies_says_so(tmp_path):
    with pytest.raises(NnxError, match=r"every worker ended before the last trial .exit codes 7, 7."):
        nnx.tune(dies, SPACE, trials=2, directory=tmp_path, jobs=2)
