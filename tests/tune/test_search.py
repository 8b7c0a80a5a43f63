"""A search in this process: reproducible, continued, coarse to fine, pruned, with failures kept."""

import json
import math
import re
from importlib import import_module
from pathlib import Path

import pytest
from support.searches import SPACE, diverges, train

import nnx
from nnx.errors import ConfigError, NnxError, StateError

pytest.importorskip("optuna", reason="needs optuna (extra tune)")
LR = {"lr": {"low": 1e-3, "high": 1.0, "log": True}}


def facts(search):
    return [
        (row.trial, row.stage, row.state, dict(row.params), row.score, row.epoch, row.loss, dict(row.curve))
        for row in search.rows
    ]


def tune(function=train, space=SPACE, **options):
    return nnx.tune(function, space, **{"monitor": "val_accuracy", "trials": 6} | options)


def test_a_search_is_the_same_bits_again_wherever_it_is_kept(tmp_path):
    once, again = tune(), tune(directory=tmp_path / "kept")
    assert facts(once) == facts(again)
    assert len(once.rows) == 6
    assert len({row.params["lr"] for row in once.rows}) == 6
    assert facts(tune(seed=1)) != facts(once)
    assert [row.score for row in once.rows] == sorted((row.score for row in once.rows), reverse=True)
    for row in once.rows:
        assert (row.epoch, row.score) == (2, row.curve[2]), "the weights of the last epoch are those that there are"


@pytest.mark.parametrize(("stopping", "kept"), [([], 3), ([nnx.train.EarlyStopping(9)], 2)])
def test_a_score_is_that_of_the_weights_that_are_kept(stopping, kept):
    scores = {1: 0.9, 2: 0.8, 3: 0.7}

    def peaks(trial):
        run = nnx.train.Run(nnx.Linear(1, 1).initialize(0), "classification", 3, 1, "accuracy", validated=True)
        for callback in (every := [*trial.callbacks, *stopping]):
            callback.on_start(run)
        for epoch, accuracy in scores.items():
            run.history.append({"epoch": epoch, "loss": 1.0, "val_loss": abs(epoch - 2.0), "val_accuracy": accuracy})
            for callback in every:
                callback.on_epoch(run, run.history[-1])
        for callback in every:
            callback.on_end(run)
        return run

    best = tune(peaks, trials=1).best
    assert (best.epoch, best.score, best.loss) == (kept, scores[kept], abs(kept - 2.0))


def test_who_joins_waits_until_a_search_is_laid_out(monkeypatch):
    import optuna

    studies, store = import_module("nnx.tune.study"), optuna.storages.InMemoryStorage()
    plan = studies.Plan(LR, {}, "val_loss", 2)
    with pytest.raises(ConfigError, match="expected a search: there is none, got 's'"):
        studies.join(None, store, "s")
    begun = optuna.create_study(storage=store, study_name="s")
    begun.set_user_attr("plan", studies.asdict(plan))
    monkeypatch.setattr(studies.time, "sleep", lambda seconds: begun.set_user_attr("ready", True))
    assert studies.join(None, store, "s").plan == plan
    begun.set_user_attr("plan", studies.asdict(plan) | {"of_a_later_version": 1})
    with pytest.raises(NnxError, match="begun by a newer nnx"):
        studies.join(None, store, "s")


def test_a_training_that_was_ended_is_no_trial_that_was_done():
    def ended(trial):
        run = train(trial)
        run.stopped = "interrupted"
        return run

    found = tune(ended, trials=2)
    assert (found.stopped, [row.state for row in found.rows]) == ("interrupted", ["waiting", "waiting"])


def test_tpe_is_the_same_bits_again_and_learns():
    def valley(trial):
        return (trial["x"] - 0.3) ** 2

    def found(sampler):
        return tune(valley, {"x": {"low": -1.0, "high": 1.0}}, sampler=sampler, monitor="val_loss", trials=40)

    once = found("tpe")
    assert facts(once) == facts(found("tpe"))
    later = [row.score for row in once.rows if row.trial >= 20]
    chance = [row.score for row in found("random").rows if row.trial >= 20]
    assert sum(later) < sum(chance)


def test_the_default_configuration_comes_first_and_is_not_drawn():
    found = tune(first={"lr": 0.05})
    assert found.first.params == {"lr": 0.05}
    assert len(found.rows) == 7
    assert {row.trial for row in found.rows} == {"first", *range(6)}


def test_the_stages_shrink_around_the_best():
    def valley(trial):
        return abs(trial["lr"] - 0.03)

    found = tune(valley, LR, monitor="val_loss", trials=24, stages="coarse-to-fine")
    ranges = [[row.params["lr"] for row in found.rows if row.stage == stage] for stage in range(3)]
    assert [len(rates) for rates in ranges] == [8, 8, 8]
    spans = [max(rates) / min(rates) for rates in ranges]
    assert spans[0] > 3 * spans[1] > 3 * spans[2]
    boxes = found.study.boxes(2)["lr"]
    assert all(boxes[0] <= math.log(rate) <= boxes[1] for rate in ranges[2])
    with pytest.raises(ConfigError, match="tpe narrows the search by itself"):
        tune(stages=2, sampler="tpe")


def test_a_failed_trial_is_kept_with_its_reason_and_the_search_goes_on():
    found = tune(diverges, LR, monitor="val_loss", trials=8)
    reasons = {row.trial: row.reason for row in found.of("failed")}
    assert reasons.pop(1) == "KeyError: 'planted'"
    assert reasons
    assert set(reasons.values()) == {"fit: expected a finite loss, got nan in epoch 2"}
    assert len(found.of("done")) + len(found.of("failed")) == 8
    assert found.best.params["lr"] <= 0.1


def test_a_search_without_any_trial_done_says_why():
    def broken(trial):
        raise ValueError("planted")

    with pytest.raises(StateError, match="no trial was completed, got ValueError: planted"):
        tune(broken).best  # noqa: B018
    with pytest.raises(StateError, match=r"expected the Run of nnx.fit, or a number, got NoneType"):
        tune(lambda trial: None).best  # noqa: B018
    with pytest.raises(StateError, match=r"monitor: expected one of .*val_accuracy.*got 'val_r2'"):
        tune(monitor="val_r2").best  # noqa: B018


def asha(trial):
    """Eight epochs whose score is the trial's x all along: the best third of each rung is known beforehand."""
    run = nnx.train.Run(nnx.Linear(1, 1), "classification", 9, 1, "accuracy", validated=True)
    trial.report.on_start(run)
    for epoch in range(1, 10):
        run.history.append({"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "val_accuracy": trial.params.get("x", 0.0)})
        if trial.report.on_epoch(run, run.history[-1]):
            break
    return run


def test_asha_ends_the_hopeless_and_never_the_given():
    found = tune(asha, {"x": {"low": 0.1, "high": 1.0}}, trials=40, pruner="asha", first={}, seed=1)
    whole = tune(asha, {"x": {"low": 0.1, "high": 1.0}}, trials=40, first={}, seed=1)
    assert found.first.state == "done"
    assert len(found.first.curve) == 9
    assert found.best.params == whole.best.params
    pruned = found.of("pruned")
    assert len(pruned) >= 9
    assert {len(row.curve) for row in pruned} == {1, 3}, "one that has come to its end is done"
    seen = []
    for row in sorted((row for row in found.rows if row.trial != "first"), key=lambda row: row.trial):
        score = row.params["x"]
        seen.append(score)
        goes_on = sum(other > score for other in seen) < max(len(seen) // 3, 1)
        assert (len(row.curve) > 1) == goes_on, "of those at the first rung so far, the best third"


def test_a_search_continues_and_never_repeats(tmp_path):
    place = tmp_path / "kept"
    some, counted = tune(trials=3, directory=place), []

    def counting(trial):
        counted.append(trial.ticket)
        return train(trial)

    more = tune(counting, trials=6, directory=place)
    assert counted == [3, 4, 5]
    assert facts(more) == facts(tune())
    assert {row.trial: row.params for row in some.rows}.items() <= {row.trial: row.params for row in more.rows}.items()
    with pytest.raises(ConfigError, match="expected the seed of the search that is there: 0, got 1"):
        tune(directory=place, seed=1)
    with pytest.raises(ConfigError, match=r"expected the space lr of the search that is there: \{'low': 0.001"):
        tune(directory=place, space={**SPACE, "lr": {"low": 0.01, "high": 1.0, "log": True}})


@pytest.mark.parametrize("name", ["a?b=1", "a%20b", "{a}", "a#b c", "ü:p@h"])
def test_a_directory_may_have_any_name(name, tmp_path):
    def square(trial):
        return trial["x"] ** 2

    space = {"x": {"low": -1.0, "high": 1.0}}
    some = tune(square, space, monitor="val_loss", trials=1, directory=tmp_path / name)
    assert (tmp_path / name / "search.db").stat().st_size > 0, "not in another place"
    assert len(tune(square, space, monitor="val_loss", trials=2, directory=tmp_path / name).rows) == len(some.rows) + 1


def test_the_numbers_are_kept_as_csv(tmp_path):
    found = tune(trials=10, directory=tmp_path)
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert lines[0] == "trial,stage,state,val_accuracy,epoch,val_loss,seconds,lr,momentum,hidden,batch,reason"
    assert len(lines) == 11
    assert float(lines[1].split(",")[3]) == found.best.score
    curves = (tmp_path / "curves.csv").read_text().splitlines()
    assert len(curves) == 1 + 10 * 2
    shares = [line.split(",") for line in (tmp_path / "importances.csv").read_text().splitlines()[1:]]
    assert {name for name, _ in shares} <= {"lr", "momentum", "hidden.layers", "hidden.1", "batch"}
    assert abs(sum(float(share) for _, share in shares) - 1) < 1e-9


def test_importance_finds_what_matters():
    def valley(trial):
        return (trial["a"] - 0.2) ** 2 + 1e-3 * trial["b"]

    space = {"a": {"low": -1.0, "high": 1.0}, "b": {"low": -1.0, "high": 1.0}}
    shares = tune(valley, space, monitor="val_loss", trials=40).importances
    assert next(iter(shares)) == "a"
    assert shares["a"] > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "expected trials a whole number ≥ 1, got 0"),
        ({"sampler": "grid"}, "sampler: expected random or tpe, got 'grid'"),
        ({"stages": "fine"}, "expected a number of stages, or coarse-to-fine, got 'fine'"),
        ({"stages": 9}, "a trial or more for each stage, got 6 trials in 9 stages"),
        (
            {"pruner": "asha:min=3"},
            "expected asha, perhaps with settings: asha:min_epochs=3,factor=3, got 'asha:min=3'",
        ),
        ({"pruner": 3}, "expected asha, perhaps with settings: asha:min_epochs=3,factor=3, got 3"),
        ({"monitor": 3}, "monitor: expected the name of a value of an epoch, got 3"),
        ({"seed": "x"}, "expected an integer seed and step, got seed='x'"),
        ({"first": [0.1]}, r"first: expected values by name, got \[0.1\]"),
        ({"heartbeat": 0}, "heartbeat: expected a whole number of seconds ≥ 1, got 0"),
        ({"space": {1: {"low": 0, "high": 1}}}, "space.1: expected a name, got 1"),
        ({"space": {"x": {"low": 0, "high": 10**400}}}, "space.x: expected two whole numbers, the smaller first"),
        ({"jobs": 2}, "a directory or a storage, which the processes share"),
        ({"storage": "here.db"}, "expected a database's URL, got 'here.db'"),
        ({"storage": "sqlite:////no/such/folder/x.db"}, "the database cannot be used .unable to open database file."),
        ({"function": 3}, "expected a function of a trial, got int"),
    ],
)
def test_what_cannot_be_searched_is_said_at_once(options, said, monkeypatch):
    monkeypatch.setattr(import_module("nnx.tune.storage"), "TRIES", 1)
    with pytest.raises(ConfigError, match=said):
        tune(**options)


def test_a_password_is_shown_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("nnx.tune.storage"), "TRIES", 1)
    with pytest.raises(ConfigError, match=r"postgresql://me@127.0.0.1:9/x: the database cannot be used") as caught:
        tune(storage="postgresql://me:secret@127.0.0.1:9/x")
    assert "secret" not in str(caught.value)


def test_a_plan_is_json_that_can_be_read_back(tmp_path):
    found = tune(directory=tmp_path)
    plan = json.loads(json.dumps(found.study.plan.__dict__))
    assert plan["space"] == json.loads(json.dumps(SPACE))


def test_the_example_of_the_document_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "docs" / "tune.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text\n(import nnx\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.replace("trials=12", "trials=2"), "docs/tune.md", "exec"), {})
    assert "'lr'" in capsys.readouterr().out
    assert (tmp_path / "tunes" / "mine" / "trials.csv").exists()
