"""Mistakes beside those of the table (``tests/test_errors.py``): no GPU, no memory, ours, and what comes in strange names."""

import pytest


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
