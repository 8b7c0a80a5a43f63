"""Every mistake ends in one line that says what to do, exit code 2, and nothing lost or left behind."""

import shlex
from pathlib import Path

import numpy as np
import pytest

# (command line, what its answer must say). {run} is a trained run, {file} a text file, {csv} a table.
MISTAKES = [
    ("trian digits", 'Did you mean "train"'),
    ("--nothing", "Available commands: train"),
    ("train", "Write for example nnx train digits"),
    ("train digist", "Did you mean 'digits'"),
    ("train nofile.csv", "does not exist. Check the path"),
    ("train {file}", "Rename or convert the file"),
    ("train .", "Name the images file itself"),
    ("train digits extra", "unexpected 'extra'. See nnx train --help"),
    ("train digits --epoch 3", "Did you mean --epochs"),
    ("train digits --epochs", "requires an argument"),
    ("train digits --epochs three", '"three" is no whole number'),
    ("train digits --epochs 2.5", '"2.5" is no whole number'),
    ("train digits --epochs 0", "--epochs: expected a whole number ≥ 1, got 0"),
    ("train digits --epochs -3", "--epochs: expected a whole number ≥ 1, got -3"),
    ("train digits --epochs 3 --epochs 4", "multiple times"),
    ("train digits --no-epochs", "Unknown option: --no-epochs"),
    ("train digits --batch-size 0", "--batch-size: expected a whole number ≥ 1, got 0"),
    ("train digits --lr 0", "--lr: expected a number > 0"),
    ("train digits --lr nan", "--lr: expected a number > 0, got nan"),
    ("train digits --lr inf", "--lr: expected a number > 0, got inf"),
    ("train digits --lr abc", 'unable to convert "abc" into float'),
    ("train digits --dropout 1", "--dropout: expected a probability, 0 ≤ p < 1"),
    ("train digits --val 1", "--val: expected a share of the rows"),
    ("train digits --val -0.1", "--val: expected a share of the rows"),
    ("train digits --val 0.6 --test 0.5", "Hold out less"),
    ("train digits --seed -1", "0 ≤ seed < 2^63"),
    ("train digits --seed 1.5", '"1.5" is no whole number'),
    ("train digits --task regresion", "Did you mean 'regression'"),
    ("train digits --task regression", "digits is a classification"),
    ("train digits --target species", "digits takes no --target"),
    ("train digits --drop id", "digits takes no --drop"),
    ("train {csv} --target speceis", "Did you mean 'species'"),
    ("train {csv} --drop speceis", "Did you mean 'species'"),
    ("train {csv} --task regression", "Correct the cell, or pass --categorical species"),
    ("train {csv} --no-header", "expected"),
    ("train {csv} --inputs x", "a table takes no --inputs"),
    ("train {csv} --loss mse", "a loss for classification: cross_entropy, hinge"),
    ("train {bare}", "Pass --no-header if the first row is data"),
    ("train {unlabelled}", "Say which array they are: --target NAME"),
    ("train {csv} --batch-size 7 --val 0 --model mlp:4", "Use --batch-size 8"),
    ("train digits --model rnn:3", "mlp with the widths of its hidden layers"),
    ("train digits --model mlp", "Write for example mlp:128,64"),
    ("train digits --model mlp:12,a", "whole numbers from 1"),
    ("train digits --model mlp:0", "whole numbers from 1"),
    ("train digits --model 128,64", "Did you mean 'mlp:128,64'"),
    ("train digits --model linear:3", "Write linear"),
    ("train digits --activation rleu", "Did you mean 'relu'"),
    ("train digits --optimizer adm", "Did you mean adam"),
    ("train digits --optimizer adam:beta=0.9", "Did you mean beta"),
    ("train digits --optimizer sgd:momentum=2", "momentum is out of range"),
    ("train digits --optimizer sgd:momentum", "expected name:key=value"),
    ("train digits --schedule stepp", "Did you mean step"),
    ("train digits --schedule step:evry=2", "Did you mean every"),
    ("train digits --schedule cosine:length=x", "length is not a number"),
    ("train digits --schedule platau", "Did you mean plateau"),
    ("train digits --schedule plateau:patiens=2", "Did you mean patience"),
    ("train digits --schedule plateau:factor=2", "factor is out of range"),
    ("train digits --schedule plateau:mode=max", "Leave mode away"),
    ("train digits --optimizer lbfg", "Did you mean lbfgs"),
    ("train digits --optimizer lbfgs:histry=3", "Did you mean history"),
    ("train digits --optimizer lbfgs --lr 0.1", "--lr: expected no such setting for lbfgs"),
    ("train digits --optimizer lbfgs --schedule step", "--schedule: expected no such setting for lbfgs"),
    ("train digits --optimizer lbfgs --clip-norm 1", "--clip-norm: expected no such setting for lbfgs"),
    ("train digits --optimizer lbfgs --babysit", "--babysit: expected no such setting for lbfgs"),
    ("train digits --optimizer lbfgs --finish lbfgs", "--finish: expected no such setting for lbfgs"),
    ("train digits --optimizer lbfgs --l1 0.1", "--l1: expected a smooth penalty for L-BFGS"),
    ("train digits --finish lbfgs --l1 0.1", "Use --l2, or another optimizer"),
    ("train digits --finish adam", "unknown type, expected one of lbfgs, got 'adam'"),
    ("train digits --finish lbfgs --finish-epochs 0", "--finish-epochs: expected a whole number ≥ 1"),
    ("train digits --finish-epochs 5", "Say what takes over: --finish lbfgs"),
    ("train digits --loss cross_entrop", "Did you mean 'cross_entropy'"),
    ("train digits --l2 -1", "--l2: expected a number ≥ 0"),
    ("train digits --clip-norm 0", "--clip-norm: expected a number > 0"),
    ("train digits --early-stopping 3 --val 0", "--val 0.2"),
    ("train digits --backend nunpy", "Did you mean 'numpy'"),
    ("train digits --backend numpy:gpu", "For a GPU: --backend cupy"),
    ("train digits --out {file}", "expected a directory without a run in it"),
    ("train digits --out {run}", "Choose another directory"),
    ("train digits --out {file}/deeper", "the run cannot be written there"),
    ("train digits --config nofile.toml", "the file cannot be read"),
    ("train digits --config {file}", "not a TOML file"),
    ("train --config .", "the file cannot be read"),
    ("evaluate", "RUN requires an argument"),
    ("evaluate nowhere", "which does not exist"),
    ("evaluate .", "expected a run with its model.safetensors"),
    ("evaluate {file}", "expected a whole safetensors file"),
    ("evaluate {run} nofile.csv", "does not exist"),
    ("evaluate {run} digits", "a class that the model knows"),
    ("evaluate {run} {csv} --batch-size 0", "batch_size a whole number"),
    ("evaluate {run} {csv} --backend nunpy", "Did you mean 'numpy'"),
    ("predict {run}", "DATA requires an argument"),
    ("predict {run} {csv} -o {file}", "overwrite it with --force"),
    ("predict {run} {csv} -o {run}", "expected the name of a file"),
    ("predict {run} {csv} -o nodir/p.csv", "the file cannot be written"),
    ("predict {run} {strange} -o p.csv", "a category that the model knows"),
    ("summary", "RUN requires an argument"),
    ("summary {file}", "expected a whole safetensors file"),
    ("lr-find", "Write for example nnx train digits"),
    ("lr-find digits --optimizer lbfgs", "lbfgs has no learning rate to find"),
    ("lr-find digits --babysit", "Unknown option"),
    ("lr-find digits -o rates.bmp", "expected a name that ends in .png, .svg or .pdf"),
    ("lr-find digits -o nodir/rates.png", "there is no folder nodir"),
    ("lr-find digits -o {picture}", "is there already. Choose another name, or pass --force"),
    ("lr-find digits --epochs 0", "--epochs: expected a whole number ≥ 1"),
    ("backends numpy", "unexpected 'numpy'"),
]  # fmt: skip

TABLE = "size,colour,species\n" + "".join(
    f"{i * 0.5},{('red', 'blue')[i % 2]},{('cat', 'dog')[i % 2]}\n" for i in range(50)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file that is nothing, tables of several kinds, and a run on one of them: no mistake may change any."""
    from nnx.cli import main

    folder = tmp_path_factory.mktemp("mistakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("picture.png").write_bytes(b"")
        Path("words.txt").write_text("just words\n")
        Path("pets.csv").write_text(TABLE)
        Path("strange.csv").write_text("size,colour\n1.0,green\n")
        Path("bare.csv").write_text("1,2\n3,4\n")
        np.savez("unlabelled.npz", x=np.zeros((9, 2)))
        assert main(["train", "pets.csv", "--epochs", "1", "--out", "run", "--model", "linear"]) == 0
    return folder


@pytest.fixture
def things(here, folder, monkeypatch):
    """The names of those files, from where they are."""
    monkeypatch.chdir(folder)
    names = {
        "file": "words.txt",
        "csv": "pets.csv",
        "strange": "strange.csv",
        "bare": "bare.csv",
        "picture": "picture.png",
    }
    return {**names, "run": "run", "unlabelled": "unlabelled.npz"}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_with_a_remedy(line, says, nnx, things, folder):
    before = contents(folder)
    done = nnx(*shlex.split(line.format(**things)))
    assert done.code == 2, done
    assert done.err.startswith("nnx: ")
    assert done.err.count("\n") == 1
    assert says in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert contents(folder) == before, "a mistake leaves everything as it was"


def test_what_no_gpu_means(nnx):
    from nnx import backends, errors

    try:
        backends.get("cupy")
    except errors.BackendUnavailable:
        pass
    else:
        pytest.skip("cupy is usable: there is a GPU")
    done = nnx("train", "digits", "--backend", "cupy")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "backend cupy: " in done.err
    assert "pip install" in done.err or "nvidia-smi" in done.err


def test_a_mistake_of_ours_is_one_line_too(nnx, monkeypatch):
    from nnx.cli import build

    monkeypatch.setattr(build, "data", lambda settings: 1 / 0)
    done = nnx("train", "digits")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "a mistake in nnx: ZeroDivisionError" in done.err


def test_the_debug_variable_shows_where(nnx, monkeypatch):
    from nnx.errors import ConfigError

    monkeypatch.setenv("NNX_DEBUG", "1")
    with pytest.raises(ConfigError, match="Did you mean"):
        nnx("train", "digist")


def test_out_of_memory_is_told(nnx, monkeypatch):
    from nnx.cli import build

    def exhausted(settings):
        raise MemoryError

    monkeypatch.setattr(build, "data", exhausted)
    assert nnx("train", "digits")[::2] == (
        1,
        "nnx: out of memory. Use a smaller --batch-size or --model, or free memory.\n",
    )


def test_terminal_commands_in_names_are_shown_not_sent(nnx):
    done = nnx("train", "a\x1b[31mb\nc.csv")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1


def test_diverging_is_told_and_keeps_the_run(nnx, here):
    done = nnx("train", "digits", "--lr", "1e30", "--optimizer", "sgd", "--epochs", "3", "--out", "run")
    assert done.code == 4
    assert done.err.count("\n") == 1
    assert "Lower the learning rate by 10" in done.err
    assert "The run is in run." in done.err
    assert (here / "run" / "metrics.jsonl").read_text().count("null") >= 1
