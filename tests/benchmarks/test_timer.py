"""The timer, on a clock of its own: synchronised, in turns, as long as was asked. No test here is timed."""

import numpy as np
import pytest

from benchmarks import timer


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
