"""Settings in TOML files: every key is a flag's name, every wrong line is named."""

import tomllib
from dataclasses import replace

import pytest

from nnx.cli import config
from nnx.cli.config import FIELDS, Settings, merged, read, written
from nnx.errors import ConfigError

WRONG = [
    ("epochs = \nlr = 1", r"not a TOML file: .*line 1"),
    ("epochs = 3\nepochs = 4\n", r"not a TOML file: .*line 2"),
    ("epoch = 3", r"\(line 1\): unknown key 'epoch'. Did you mean 'epochs'\?"),
    ('source = "digits"\n\n# more\nbatchsize = 3', r"\(line 4\): unknown key 'batchsize'. Did you mean 'batch-size'\?"),
    ("[training]\nepochs = 3", r"\(line 1\): unknown key 'training'"),
    ("config = 'a'", "unknown key 'config'"),
    ("epochs = 2.5", r"\(line 1\), epochs: expected a whole number, got 2.5"),
    ('epochs = "3"', "epochs: expected a whole number, got the text '3'"),
    ("epochs = true", "epochs: expected a whole number, got true"),
    ("lr = true", "lr: expected a number, got true"),
    ('lr = "fast"', "lr: expected a number, got the text 'fast'"),
    ("model = 3", "model: expected a text in quotes, got 3"),
    ("batch-norm = 1", "batch-norm: expected true or false, got 1"),
    ('drop = "id"', r'drop: expected a list of texts such as \["id"\]'),
    ("drop = [1]", r'drop: expected a list of texts such as \["id"\]'),
    ("seed = 1979-05-27", "seed: expected a whole number"),
    ("batch-size = 1\nbatch_size = 2", r"\(line 2\): 'batch_size' is given twice"),
    ("lr = 1e-3\nepochs = 0", r"\(line 2\), epochs: expected a whole number ≥ 1, got 0"),
    ("lr = inf", "lr: expected a number > 0, got inf"),
    ('task = "regresion"', "Did you mean 'regression'"),
    ("source = " + "[" * 10_000, "not a TOML file"),
    ("source.a = 3", "source: expected a text in quotes"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=[text[:30] for text, _ in WRONG])
def test_a_wrong_line_is_named(text, says, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        merged({}, str(file))


def test_text_that_is_not_utf8_and_files_that_are_too_large(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"model = '\xff'")
    with pytest.raises(ConfigError, match="not a TOML file"):
        merged({}, str(tmp_path / "a.toml"))
    (tmp_path / "b.toml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        merged({}, str(tmp_path / "b.toml"))


def test_flags_win_also_when_they_say_the_default(tmp_path):
    (tmp_path / "a.toml").write_text("epochs = 7\nseed = 3\n")
    settings = merged({"epochs": Settings().epochs}, str(tmp_path / "a.toml"))
    assert (settings.epochs, settings.seed) == (Settings().epochs, 3)


OTHER = {
    str: 'a "quoted" \\ path\nwith é, 字 and \x01\x7f', int: 2, float: 0.125, bool: True, list: ["id", 'na"me'],
}  # fmt: skip


def test_what_is_written_is_read_back_whole(tmp_path):
    values = {}
    for name, kind in config.KINDS.items():
        check = FIELDS[name].metadata["check"]
        plain = next(
            k for k in OTHER if k in (kind, *getattr(kind, "__args__", ())) or ("list[str]" in str(kind) and k is list)
        )
        value = OTHER[plain]
        values[name] = (
            {"task": "regression", "activation": "tanh", "loss": "l1", "check": "full"}.get(name, value)
            if check
            else value
        )
    settings = Settings(**values)
    (tmp_path / "a.toml").write_text(written(settings, "two\nlines"), encoding="utf-8")
    assert merged({}, str(tmp_path / "a.toml")) == replace(settings, out=None, json=False)


def test_keys_are_written_as_flags_are(tmp_path):
    keys = tomllib.loads(written(Settings(source="digits"), ""))
    assert "batch-size" in keys
    assert all(config.flag(key)[2:] == key for key in keys)
    assert read.__doc__


def test_every_setting_says_what_it_is():
    for name, field in FIELDS.items():
        assert len(field.metadata["help"]) > 10, name
