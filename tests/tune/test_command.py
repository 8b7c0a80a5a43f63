"""``nnx tune``: what it shows, what it keeps, and what it says of mistakes in a space."""

import csv
import json
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec

import pytest

pytest.importorskip("optuna", reason="needs optuna (extra tune)")

QUICK = ("--epochs", 2, "--model", "mlp:8", "--val", 0.5)


@pytest.fixture
def nnx(tmp_path, monkeypatch, capsys):
    """``nnx("tune", "digits", …)``: exit code, output, errors; in an empty directory."""
    from nnx.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNX_DEBUG", raising=False)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_search_ends_with_a_table_and_a_configuration_that_gives_its_score_again(nnx, tmp_path):
    code, out, err = nnx("tune", "digits", "--trials", 10, *QUICK)
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 80
    head = next(line for line in out.splitlines() if line.startswith("rank"))
    assert head.split() == ["rank", "trial", "val", "accuracy", "epoch", "lr", "hidden", "batch-size"]
    place = tmp_path / "tunes" / "digits-001"
    for name in ("search.json", "search.db", "config.toml", "best.toml", "trials.csv", "curves.csv", "importances.csv"):
        assert (place / name).stat().st_size > 0
    if find_spec("matplotlib"):
        assert all((place / name).read_bytes().startswith(b"\x89PNG") for name in ("curves.png", "importances.png"))
    table = rows(place / "trials.csv")
    assert len(table) == 11
    best = table[0]
    assert float(best["val_accuracy"]) == max(float(row["val_accuracy"]) for row in table)
    assert "the settings as given" in out or best["trial"] == "first"

    code, _, err = nnx("train", "--config", "tunes/digits-001/best.toml", "--out", "again", "--check", "off")
    assert (code, err) == (0, "")
    again = [json.loads(line) for line in (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()]
    assert again[-1]["val_accuracy"] == float(best["val_accuracy"]), "bit for bit"
    kept = tomllib.loads((place / "best.toml").read_text())
    assert kept["lr"] == float(best["lr"]) if best["lr"] else kept["lr"] == 0.003


def test_without_matplotlib_a_line_says_so(nnx, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = nnx("tune", "digits", "--trials", 1, *QUICK)
    assert code == 0
    assert 'no pictures. Run: python -m pip install "nnx-array[plot]"' in out


def test_without_optuna_the_extra_is_named(nnx, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = nnx("tune", "digits")
    assert (code, err) == (2, 'nnx: optuna is not installed. Run: python -m pip install "nnx-array[tune]"\n')


SPACE = """
source = "digits"
optimizer = "sgd"
model = "mlp:8"
epochs = 1
val = 0.5

[space]
lr = { low = 1e-3, high = 1.0, log = true }
momentum = { one_minus_log = [-2, -0.3] }
batch-size = { choices = [32, 64] }
activation = { choices = ["relu", "tanh"] }
dropout = { low = 0, high = 0.5 }

[space.hidden]
layers = [1, 2]
low = 4
high = 8
"""


def test_a_space_in_the_file_is_searched_and_other_verbs_pass_it_over(nnx, tmp_path):
    (tmp_path / "s.toml").write_text(SPACE)
    code, out, err = nnx("tune", "--config", "s.toml", "--trials", 4, "--json")
    assert (code, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["trial"] * 5, "end"]
    drawn = [event["params"] for event in events if event["event"] == "trial" and event["trial"] != "first"]
    for params in drawn:
        assert list(params) == ["lr", "momentum", "batch_size", "activation", "dropout", "hidden"]
        assert 1e-3 <= params["lr"] <= 1
        assert 0.49 <= params["momentum"] <= 0.99
        assert params["activation"] in ("relu", "tanh")
        assert 1 <= len(params["hidden"]) <= 2
    best = events[-1]["best"]
    kept = tomllib.loads((tmp_path / "tunes" / "digits-001" / "best.toml").read_text())
    if best["trial"] != "first":
        assert kept["optimizer"] == f"sgd:momentum={best['params']['momentum']}"
        assert kept["model"] == "mlp:" + ",".join(map(str, best["params"]["hidden"]))
    assert nnx("train", "--config", "s.toml", "--check", "off")[0] == 0

    code, out, _ = nnx("tune", "tunes/digits-001", "--trials", 5, "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert [event["trial"] for event in told if event["event"] == "trial"] == [4]
    code, again, _ = nnx("tune", "--config", "tunes/digits-001/config.toml", "--trials", 4, "--json")
    same = [event["params"] for event in map(json.loads, again.splitlines()) if event["event"] == "trial"]
    assert same[1:] == drawn, "config.toml begins the same search anew"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lr = 0.1", "s.toml (line 4), lr: expected a range: "),
        ("lr = { low = 0, high = 1 }", "s.toml (line 4), lr: expected a number > 0, got 0. Correct the range."),
        ("learning-rate = { low = 0.1, high = 1 }", "s.toml (line 4), learning_rate: unknown name 'learning_rate', expected a setting, hidden, or what"),
        ("momentum = { one_minus_log = [-2, -1] }", "s.toml (line 4), momentum: unknown name 'momentum', expected a setting, hidden, or what the optimizer 'adam' takes: beta1"),
        ("activation = { low = 0, high = 1 }", "s.toml (line 4), activation: expected choices, for it is no number"),
        ('activation = { choices = ["relu", "rleu"] }', "s.toml (line 4), activation: expected relu, "),
        ("batch-size = { low = 1.5, high = 8.0 }", "s.toml (line 4), batch_size: expected two whole numbers, the smaller first, got 1.5, 8.0"),
        ("l2 = { low = 0, high = 1 }\nbatch-size = { choices = [8] }\nbatch_size = { choices = [9] }", "s.toml (line 5), batch_size: 'batch_size' is given twice. Write it once."),
        ("seed = { low = 0, high = 9 }", "s.toml (line 4), seed: seed draws the split, too: all trials share it. Leave it out of the space."),
        ("batch-size = { low = 16, high = 16 }", "s.toml (line 4), batch_size: expected two whole numbers, the smaller first, got 16, 16. Write for example low = 16, high = 256."),
        ("val = { low = 0.1, high = 0.5 }", "s.toml (line 4), val: val says what is trained on or where it is kept"),
        ('model = { choices = ["linear", "mpl:8"] }', "s.toml (line 4), model: expected a model: "),
        ("dropout = { low = 0.0, high = 1.0 }", "s.toml (line 4), dropout: expected a probability, 0 ≤ p < 1, got 1"),
        ('model = { choices = ["linear", "mlp:8"] }\nhidden = { layers = 1, low = 4, high = 8 }', "s.toml (line 5), hidden: hidden sets the widths of an mlp"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_space_is_said_with_its_line(line, said, nnx, tmp_path):
    (tmp_path / "s.toml").write_text(f'source = "digits"\n\n[space]\n{line}\n')
    code, out, err = nnx("tune", "--config", "s.toml", "--trials", 2)
    assert (code, out) == (2, ""), err
    assert err.startswith(f"nnx: {said}"), err
    assert not (tmp_path / "tunes").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("digits", "--val", 0), "--val: nothing is held out to judge by"),
        (("digits", "--sampler", "grid"), "--sampler: expected random or tpe, got 'grid'"),
        (("digits", "--stages", "x"), "--stages: expected coarse-to-fine, or a number of stages, got 'x'"),
        (("digits", "--heartbeat", 0), "--heartbeat: expected a whole number of seconds ≥ 1, got 0"),
        (("digits", "--monitor", "val_los"), "--monitor: expected val_loss or val_accuracy, got 'val_los'"),
        (("digits", "--storage", "sqlite:////no/such.db"), "sqlite:////no/such.db: the database cannot be used"),
        (("digits", "--storage", "sqlite:////no/such.db", "--study", "s"), "sqlite:////no/such.db: the database cannot be used"),
        (("--worker",), "--storage: a worker must know which search to help with"),
        (("--worker", "--storage", "sqlite:///none.db"), "sqlite:///none.db: expected the file of a search, got none there"),
        (("--worker", "--lr", 0.1), "--lr: --lr is for a new search"),
        (("nowhere", "--worker"), "SOURCE: expected the directory of a search, got 'nowhere'"),
    ],
)  # fmt: skip
def test_flags_that_make_no_sense_are_refused(arguments, said, nnx, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("nnx.tune.storage"), "TRIES", 1)
    code, out, err = nnx("tune", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"nnx: {said}"), err
    assert not (tmp_path / "tunes").exists(), "nothing is left behind"


def test_what_is_shown_fits_its_lines_and_keeps_the_order():
    from nnx.cli import trials
    from nnx.tune.search import Row, Search

    names = [f"a_setting_with_a_long_name_{i}" for i in range(12)]
    done = [
        Row(at, 0, "done", dict.fromkeys(names, 0.5) if at != "first" else {}, 0.5, 1, 1.0, 1.0, "", {})
        for at in ("first", 10, 9, 2)
    ]
    search = Search("s", "memory", "val_loss", False, 12, tuple(done))
    lines = trials.table(search)
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert " ".join(lines).count("a-setting-with-a-long-name") == 12, "each is shown or named"
    told = trials.Lines(as_json=False)
    told.say = lambda facts, lines: seen.append(facts["trial"])
    seen = []
    told.tell(search)
    assert seen == ["first", 2, 9, 10]


@pytest.mark.parametrize("verb", [("evaluate", "s"), ("plot", "s", "curves")])
def test_a_search_is_no_run(verb, nnx, tmp_path):
    (tmp_path / "s").mkdir()
    for name in ("search.json", "config.toml"):
        (tmp_path / "s" / name).touch()
    code, _, err = nnx(*verb)
    assert code == 2
    assert err.endswith("got a search of settings. Train what it found: nnx train --config s/best.toml.\n"), err


def test_a_search_that_did_not_begin_leaves_its_place_free(nnx, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    once = ("tune", "digits", "--trials", 1, *QUICK, "--out", "mine")
    with monkeypatch.context() as patched:
        patched.setattr(import_module("nnx.tune.study"), "_lay_out", stop)
        assert nnx(*once)[0] == 130
    assert not (tmp_path / "mine").exists()
    assert nnx(*once)[0] == 0
    code, _, err = nnx(*once)
    assert code == 2
    assert err.endswith("Continue its search with nnx tune mine, or choose another directory.\n"), err
    code, _, err = nnx(*once[:-1], "mine/config.toml")
    assert code == 2
    assert err.startswith("nnx: --out: expected a directory without a run in it, got mine/config.toml."), err


def test_a_search_that_a_script_has_kept_there_stays(nnx, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "search.db").write_bytes(b"trials")
    code, _, err = nnx("tune", "digits", "--trials", 1, *QUICK, "--out", "mine")
    assert code == 2
    assert err.startswith("nnx: --out: expected a directory without a run in it, got mine/search.db. Choose another"), (
        err
    )
    assert (tmp_path / "mine" / "search.db").read_bytes() == b"trials"


@pytest.mark.parametrize(
    "flag", [("--sampler", "tpe"), ("--stages", 2), ("--pruner", "asha"), ("--monitor", "val_loss")]
)
def test_a_search_that_is_continued_takes_no_other_manner(flag, nnx, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "search.json").write_text('{"storage": null, "study": "s"}')
    code, _, err = nnx("tune", "s", *flag)
    assert code == 2
    assert err.startswith(f"nnx: {flag[0]}: {flag[0]} is for a new search"), err


def test_the_default_space_follows_the_order_of_importance():
    from nnx.cli.config import Settings
    from nnx.cli.hyper import default

    assert list(default(Settings(), 9)) == ["lr"]
    assert list(default(Settings(optimizer="sgd:momentum=0.9"), 19)) == ["lr", "momentum", "hidden", "batch_size"]
    assert list(default(Settings(optimizer="sgdw"), 30)) == ["lr", "momentum", "hidden", "batch_size", "weight_decay"]
    assert list(default(Settings(), 30)) == ["lr", "hidden", "batch_size", "l2"]
    for optimizer in ("adam", "adamw", "sgd", "rmsprop", "adagrad", "lbfgs"):
        assert not {"beta1", "beta2", "eps"} & set(default(Settings(optimizer=optimizer), 1000))


def test_other_data_are_not_searched_with(nnx, tmp_path):
    (tmp_path / "my t.csv").write_text("a,b\n" + "".join(f"{i},{'yn'[i % 2]}\n" for i in range(40)))
    assert nnx("tune", "my t.csv", "--trials", 2, *QUICK)[0] == 0
    (tmp_path / "my t.csv").write_text("a,b\n" + "".join(f"{i + 1},{'yn'[i % 2]}\n" for i in range(40)))
    code, _, err = nnx("tune", "tunes/my-t-001", "--trials", 3)
    assert code == 2
    assert "expected the data that the search was begun with, got others" in err
