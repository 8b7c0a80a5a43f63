"""A training that is cut anywhere and resumed ends with the bits of one that never was."""

import random
import zlib

import numpy as np
import pytest
from support.trust import (
    BATCH,
    Case,
    Cut,
    CutAt,
    chosen_cases,
    cut_and_resumed,
    data,
    history,
    network,
    sha,
    trained,
)

import nnx
from nnx.backends.fast import crew, products
from nnx.errors import ConfigError, DataError, DivergedError
from nnx.train import Callback, Checkpoints, EarlyStopping, Snapshots, Statistics

CASES = chosen_cases()
COMPILES = pytest.mark.skip_backends("jax", reason="compiles each training anew, two seconds a case: the others run")
NAMES = [pytest.param(name, marks=[COMPILES] if 0 < place < len(CASES) - 1 else []) for place, name in enumerate(CASES)]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits(backend, name, tmp_path):
    case = CASES[name]
    whole = trained(case, backend)
    draw = random.Random(zlib.crc32(name.encode()))
    assert whole.step >= 4
    for number, step in enumerate({draw.randint(4, whole.step), draw.randint(4, whole.step)}):
        every = draw.randint(1, 3)
        resumed = cut_and_resumed(case, step, every, tmp_path / str(number), backend)
        assert (sha(resumed.model), resumed.step) == (sha(whole.model), whole.step), f"cut at {step}, every {every}"
        assert history(resumed) == history(whole)
        assert resumed.stopped == whole.stopped


def test_the_same_bits_where_threads_share_the_work(monkeypatch, tmp_path):
    shared, share = [], crew.share
    monkeypatch.setattr(crew, "size", lambda: 1 if getattr(crew._here, "busy", False) else 2)
    monkeypatch.setattr(crew, "share", lambda function, parts: shared.append(len(parts)) or share(function, parts))
    for name, value in {"QUIET_FROM": 1, "SHARED_FROM": 1, "STEP": 2}.items():
        monkeypatch.setattr(products, name, value)
    case = Case(nnx.optim.Adam(0.02), "both")
    whole = trained(case, "numpy")
    resumed = cut_and_resumed(case, 5, 2, tmp_path, "numpy")
    assert max(shared) == 2
    assert sha(resumed.model) == sha(whole.model)


def test_what_watches_goes_on_where_it_was(backend, tmp_path):
    case = Case(nnx.optim.Adam(0.02), "both")

    def watching():
        return [Statistics(data()[0]), Snapshots(), EarlyStopping(9)]

    trained(case, backend, watching(), directory=tmp_path / "whole")
    with pytest.raises(Cut):
        trained(case, backend, [*watching(), CutAt(8)], directory=tmp_path / "cut", checkpoint_every=2)
    nnx.resume(tmp_path / "cut", *data(), callbacks=watching())
    for name in ("statistics.jsonl", "snapshots.safetensors", "model.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    lines = (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 5  # none of the epochs that came again stands there twice


def test_cut_again_and_again(tmp_path):
    case = CASES["adam, then lbfgs"]
    whole = trained(case, "numpy")
    with pytest.raises(Cut):
        trained(case, "numpy", [CutAt(2)], directory=tmp_path, checkpoint_every=1)
    for step in range(3, whole.step + 1, 2):
        with pytest.raises(Cut):
            nnx.resume(tmp_path, *data(), callbacks=[*case.callbacks(), CutAt(step)])
        newest = max(entry.name for entry in (tmp_path / "checkpoints").iterdir())
        assert newest.startswith(f"step-{step - 1:08}")  # one each step, as it was begun
    resumed = nnx.resume(tmp_path, *data(), callbacks=case.callbacks())
    assert sha(resumed.model) == sha(whole.model)
    assert sha(nnx.resume(tmp_path, *data(), callbacks=case.callbacks()).model) == sha(whole.model)  # it ends again


def test_a_training_that_diverges_diverges_again_and_keeps_the_epoch_before(tmp_path):
    class Spoil(Callback):
        def on_step(self, run):
            if run.step == 8:
                run.model.load({path: w * np.float32("nan") for path, w in run.model.parameters().items()})

    case = Case(nnx.optim.SGD(0.1), "batch norm", lambda: [Spoil()])
    models = []
    for name, cut in (("whole", []), ("cut", [CutAt(8)])):
        with pytest.raises(Cut if cut else DivergedError, match="^$" if cut else "finite weights"):
            trained(case, "numpy", cut, directory=tmp_path / name, checkpoint_every=7)
        if cut:
            with pytest.raises(DivergedError, match="weights of epoch 2 are kept"):
                nnx.resume(tmp_path / name, *data(), callbacks=[Spoil()])
        models.append(nnx.load(tmp_path / name / "model.safetensors"))
    assert sha(models[0]) == sha(models[1])


def test_elsewhere_it_agrees_to_roundings_and_says_so(tmp_path):
    case = Case(nnx.optim.SGD(0.05, momentum=0.9), "both")
    whole = trained(case, "numpy")
    with pytest.raises(Cut):
        trained(case, "numpy", [CutAt(7)], directory=tmp_path, checkpoint_every=2)
    lines = []
    resumed = nnx.resume(tmp_path, *data(), backend="strict:device1", tell=lines.append)
    assert "backend numpy → strict:device1" in lines[0]
    assert nnx.backends.of(resumed.model.layers[1].weight).spec == "strict:device1"
    for path, array in resumed.model.state().items():
        np.testing.assert_allclose(
            nnx.backends.of(array).to_numpy(array), whole.model.state()[path], rtol=2e-5, atol=2e-6, err_msg=path
        )


def test_a_model_a_loss_and_frozen_parts_of_ones_own(tmp_path):
    class Mine(nnx.Module):
        def __init__(self):
            self.a, self.b = nnx.Linear(5, 4), nnx.Linear(4, 3)

        def forward(self, x):
            return self.b(self.a(x))

    def loss(outputs, y):
        return nnx.losses.cross_entropy(outputs, y) * 2.0

    def run(**more):
        model = Mine()
        model.a.freeze()
        return nnx.fit(model, *data(), loss=loss, epochs=3, batch_size=BATCH, **more)

    whole = run()
    with pytest.raises(Cut):
        run(callbacks=[CutAt(4)], directory=tmp_path, checkpoint_every=2)
    with pytest.raises(ConfigError, match=r"Pass loss= as to nnx\.fit"):
        nnx.resume(tmp_path, *data(), model=Mine())
    resumed = nnx.resume(tmp_path, *data(), model=Mine(), loss=loss)
    assert sha(resumed.model) == sha(whole.model)
    assert resumed.model.a.parameters(frozen=True).keys() == {"weight", "bias"}


@pytest.fixture
def cut(tmp_path):
    """A run that was cut in its third epoch, with early stopping."""
    with pytest.raises(Cut):
        trained(
            Case(nnx.optim.Adam(0.02)), "numpy", [EarlyStopping(3), CutAt(7)], directory=tmp_path, checkpoint_every=2
        )
    return tmp_path


def test_what_cannot_be_resumed_says_why(cut, tmp_path):
    train, val = data()
    with pytest.raises(ConfigError, match=r"callbacks that it was trained with: EarlyStopping, got none. Pass"):
        nnx.resume(cut, train, val)
    with pytest.raises(DataError, match=r"expected val as it was: .*, got no data. Give the data"):
        nnx.resume(cut, train)
    other = nnx.data.load((train.x[::-1].copy(), train.y[::-1].copy()))
    with pytest.raises(DataError, match="got other values in the same shape"):
        nnx.resume(cut, other, val)
    with pytest.raises(DataError, match=r"expected a run with checkpoints, got none\. Train with"):
        nnx.resume(tmp_path / "nowhere", train, val)
    with pytest.raises(ConfigError, match=r"without a run in it, got .*metrics\.jsonl\. Go on with nnx.resume"):
        nnx.fit(network("plain"), train, val, directory=cut)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every a whole number of steps ≥ 1"),
        ({"every": "step"}, "got 'step'"),
        ({"keep": 1}, "the last may be damaged"),
    ],
)
def test_checkpoints_refuse(settings, message):
    with pytest.raises(ConfigError, match=message):
        Checkpoints(**settings)


def test_fit_refuses_checkpoints_without_a_place_or_asked_for_twice(tmp_path):
    train, val = data()
    with pytest.raises(ConfigError, match="a place for checkpoints, got no directory"):
        nnx.fit(network("plain"), train, val, checkpoint_every=5)
    with pytest.raises(ConfigError, match="asked for once, got 2 times"):
        nnx.fit(network("plain"), train, val, checkpoint_every=5, callbacks=[Checkpoints()], directory=tmp_path)


def test_the_last_two_and_the_best_stay(tmp_path):
    values = iter([0.9, 0.2, 0.7, 0.6, 0.5])

    class Say(Callback):
        def on_epoch(self, run, record):
            record["val_accuracy"] = next(values)

    trained(Case(nnx.optim.SGD(0.01)), "numpy", [Say()], directory=tmp_path, checkpoint_every="epoch")
    names = sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir())
    assert names == [
        "step-00000003-epoch-00001.nnx", "step-00000012-epoch-00004.nnx", "step-00000015-epoch-00005.nnx"
    ]  # fmt: skip
