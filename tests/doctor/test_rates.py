"""T8 at its bounds: the losses of its three trainings written by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

import nnx
from nnx.doctor import rates

CHECK = nnx.doctor.checks["T8"]
SGD = nnx.optim.SGD(0.1)


@pytest.fixture
def judged(monkeypatch):
    """``judged(rate, steepest, after)``: a verdict where the loss goes from 2 to ``after`` at the rate."""

    def verdict(rate, steepest, after, tenth=1.0, optimizer=SGD):
        made = []

        class Trial:
            def __init__(self, subject, purpose, *, optimizer, **options):
                made.append(options)

            def run(self, steps, *, rates):
                self.losses = np.full(steps, 2.0 if rates[-1] == 1e-30 else after)
                self.losses[:-10] = 7.0
                return self

            def pulled_losses(self):
                return self.losses

        monkeypatch.setattr(rates, "Trial", Trial)
        monkeypatch.setattr(rates, "judge", lambda *arguments: SimpleNamespace(steepest=steepest, tenth=tenth))
        subject = SimpleNamespace(
            rate=rate, optimizer=optimizer, core=optimizer, train=np.arange(9) + 5, draw=lambda purpose, n: [2, 3][:n]
        )
        found = CHECK.run(subject, CHECK)
        assert [str(options) for options in made][:1] in (
            [],
            ["{'dropout': False, 'rows': array([7, 8]), 'whole': True}"],
        )
        return found

    return verdict


@pytest.mark.parametrize(
    ("rate", "after", "severity"),
    [
        (1.0, 1.5, "pass"), (10.0, 1.5, "pass"), (10.1, 1.5, "warn"), (10.1, 0.99, "pass"), (10.1, 1.01, "warn"), (0.01, 1.5, "pass"),
        (0.0099, 1.5, "warn"), (0.0099, 0.5, "warn"), (1.0, 2.09, "pass"), (1.0, 2.11, "fail"), (1.0, np.nan, "fail"), (99.0, 2.11, "fail"),
    ],
)  # fmt: skip
def test_a_rate_beside_the_suggested_one(judged, rate, after, severity):
    found = judged(rate, 1.0, after)
    assert found.severity == severity
    assert found.values["rises"] == (severity == "fail")
    assert (found.values["ratio"], found.values["suggested"], found.bound) == (rate, 1.0, "0.01–10")
    assert found.remedy == ("" if severity == "pass" else "Use the suggested rate 1.")


@pytest.mark.parametrize(("tenth", "suggested"), [(1.0, 1.0), (0.25, 0.5), (36.0, 6.0), (400.0, 10.0)])
def test_between_where_the_loss_falls_fastest_and_where_it_is_lowest_lies_the_suggested_rate(judged, tenth, suggested):
    found = judged(99.0, 1.0, 1.5, tenth)
    assert (found.values["suggested"], found.values["ratio"], found.bound) == (suggested, 99.0, "0.01–10")
    assert judged(99.0, 1.0, 1.5, tenth, nnx.optim.AdamW(0.1)).values["suggested"] == 0.01, "as I10 has it"


@pytest.mark.parametrize(("after", "severity"), [(1.9, "warn"), (3.0, "fail")])
def test_where_no_rate_helps(judged, after, severity):
    found = judged(1.0, None, after)
    assert (found.severity, found.values) == (severity, {"rises": severity == "fail"})
    assert found.remedy.endswith("(I7): no rate will do.")
    assert f"the loss {'rises' if severity == 'fail' else 'goes'} from 2 to" in found.measured


def test_an_optimizer_without_a_rate_is_not_judged(judged):
    assert judged(np.nan, 1.0, 1.0).severity == "skipped"
