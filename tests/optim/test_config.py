"""Settings written as plain values and read again; flags; the table of cases is complete."""

import json
from pathlib import Path
from typing import Any

import pytest
from cases.optimizers import OPTIMIZERS, SCHEDULES, TESTED_APART
from hypothesis import given
from hypothesis import strategies as st

from nnx import errors, optim
from nnx.optim import registry

positive = st.floats(1e-8, 10.0)
share = st.floats(0.0, 0.999)
per = {"per": st.sampled_from(["step", "epoch"]), "steps_per_epoch": st.none() | st.integers(1, 1000)}
times = st.lists(st.integers(0, 500), min_size=1, max_size=5, unique=True).map(sorted)
selection = st.sampled_from(["weights", "all", ("*.weight",), ("a.*", "b")])

decays = st.one_of(
    st.builds(optim.Constant, positive, **per),
    st.builds(optim.StepDecay, positive, every=st.integers(1, 50), factor=positive, **per),
    st.builds(optim.ExponentialDecay, positive, rate=positive, **per),
    st.builds(optim.ExponentialDecay, positive, factor=positive, **per),
    st.builds(optim.InverseDecay, positive, rate=positive, **per),
    st.builds(optim.InverseRootDecay, positive, scale=positive, **per),
    times.flatmap(
        lambda ts: st.builds(
            optim.Table, positive, rates=st.tuples(*(st.tuples(st.just(t), positive) for t in ts)), **per
        )
    ),
    st.builds(optim.Linear, share, end=share, length=positive, **per),
    st.builds(optim.CosineDecay, positive, length=positive, floor=share, **per),
    st.builds(optim.OneCycle, positive, length=positive, rise=share, start=share, end=share, **per),
)
schedules = decays | decays.flatmap(
    lambda then: st.builds(optim.Warmup, st.just(then), length=positive, start=share, per=st.just(then.per))
)
rate = positive | schedules
optimizers = st.one_of(
    st.builds(optim.SGD, rate, momentum=share | schedules),
    st.builds(optim.SGD, rate, momentum=st.floats(0.1, 0.9), nesterov=st.booleans()),
    st.builds(optim.SGDW, rate, momentum=share, weight_decay=share, applies_to=selection),
    st.builds(optim.Adagrad, rate, eps=positive),
    st.builds(optim.RMSprop, rate, rho=share, eps=positive, centered=st.booleans(), momentum=share),
    st.builds(optim.Adam, rate, beta1=share, beta2=share, eps=positive, amsgrad=st.booleans()),
    st.builds(optim.AdamW, rate, beta1=share, beta2=share, weight_decay=share, applies_to=selection),
)
transforms = st.one_of(
    st.builds(kind, positive) for kind in (optim.clip_by_value, optim.clip_by_norm, optim.clip_by_global_norm)
)
wholes = st.one_of(
    optimizers,
    st.builds(lambda links, last: optim.chain(*links, last), st.lists(transforms, max_size=3), optimizers),
    st.builds(optim.Constrained, optimizers, max_norm=positive, applies_to=selection),
    schedules,
    transforms,
    st.builds(
        optim.ReduceOnPlateau,
        factor=st.floats(0.01, 0.9),
        patience=st.integers(0, 20),
        mode=st.sampled_from(["min", "max"]),
    ),
    st.builds(
        lambda history, strength: optim.chain(optim.penalize(l2=strength), optim.LBFGS(history=history)),
        st.integers(1, 30),
        positive,
    ),
)


@given(wholes)
def test_settings_survive_json(made: Any) -> None:
    config = made.config()
    again = optim.from_config(json.loads(json.dumps(config, allow_nan=False)))
    assert again == made
    assert type(again) is type(made)
    assert again.config() == config


@given(wholes)
def test_settings_are_values_that_toml_has(made: Any) -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return all(map(plain, value)) if isinstance(value, list) else type(value) in (int, float, str, bool)

    assert plain(made.config())


@pytest.mark.parametrize(
    "config, sentence",
    [
        ({"type": "adamm"}, r"config: unknown type, expected one of sgd, .* got 'adamm'\. Did you mean adam\?"),
        ({"type": "adam", "learning_rte": 0.1}, r"config: adam has no setting 'learning_rte', .*Did you mean learning_rate\?"),
        ({"type": "sgd"}, r"config: sgd needs learning_rate"),
        ({"learning_rate": 0.1}, r"config: expected a dictionary with a type"),
        ("adam", r"config: expected a dictionary with a type, got 'adam'"),
        ({"type": "adam", "learning_rate": {"type": "step", "learning_rate": 0.1, "evry": 3}}, r"config\.learning_rate: step has no setting 'evry'.*Did you mean every\?"),
        ({"type": "adam", "learning_rate": {"type": "sgd", "learning_rate": 0.1}}, r"Adam: learning_rate is not a number"),
        ({"type": "adam", "learning_rate": -1.0}, r"Adam: learning_rate is out of range"),
        ({"type": "chain", "transforms": [{"type": "clip_by_nrm", "limit": 1.0}], "optimizer": {"type": "adam"}}, r"config\.transforms: unknown type.*Did you mean clip_by_norm\?"),
        ({"type": "zzz"}, r"Choose one of sgd"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_refused_with_a_suggestion(config: Any, sentence: str) -> None:
    with pytest.raises(errors.ConfigError, match=sentence):
        optim.from_config(config)


def test_a_function_cannot_be_written_down() -> None:
    with pytest.raises(errors.ConfigError, match="AdamW: applies_to cannot be written down"):
        optim.AdamW(applies_to=lambda path, p: True).config()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("constant", optim.Constant(0.1)),
        ("step", optim.StepDecay(0.1)),
        ("step:every=20,factor=0.1", optim.StepDecay(0.1, every=20, factor=0.1)),
        (" step: every = 3 , per = step ", optim.StepDecay(0.1, every=3, per="step")),
        ("exponential:factor=0.97", optim.ExponentialDecay(0.1, factor=0.97)),
        ("exponential:rate=5e-2", optim.ExponentialDecay(0.1, rate=0.05)),
        ("inverse:rate=0.5", optim.InverseDecay(0.1, rate=0.5)),
        ("inverse_root:scale=2", optim.InverseRootDecay(0.1, scale=2)),
        ("table:20=0.001,10=0.01", optim.Table(0.1, rates=((10, 0.01), (20, 0.001)))),
        ("table:10=0.01,per=step", optim.Table(0.1, rates=((10, 0.01),), per="step")),
        ("linear:end=0.01,length=10", optim.Linear(0.1, end=0.01, length=10)),
        ("cosine:length=95", optim.CosineDecay(0.1, length=95)),
        ("cosine:length=95,warmup=5", optim.Warmup(optim.CosineDecay(0.1, length=95), length=5)),
        ("step:per=step,warmup=5", optim.Warmup(optim.StepDecay(0.1, per="step"), length=5, per="step")),
        ("one_cycle:length=30", optim.OneCycle(0.1, length=30)),
    ],
)  # fmt: skip
def test_schedules_from_flags(text: str, expected: Any) -> None:
    assert optim.parse_schedule(text, 0.1) == expected


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("stp", r"schedule 'stp': unknown type, expected one of constant, .* got 'stp'\. Did you mean step\?"),
        ("", r"schedule '': unknown type"),
        ("warmup:length=5", r"unknown type, expected one of constant, .* got 'warmup'"),
        ("step:evry=3", r"schedule 'step:evry=3': step has no setting 'evry'.* Did you mean every\?"),
        ("step:every", r"expected name:key=value,key=value, got 'every'"),
        ("step:every=", r"expected name:key=value,key=value, got 'every='"),
        ("step:every=3,every=4", r"every is given twice"),
        ("step:every=often", r"every is out of range, expected a whole number >= 1, got 'often'"),
        ("step:learning_rate=0.3", r"learning_rate is given twice"),
        ("linear:start=0.3,end=0.1,length=3", r"start is given twice"),
        ("inverse", r"schedule 'inverse': inverse needs rate"),
        ("exponential", r"expected rate or factor"),
        ("table", r"expected pairs of time and rate"),
        ("step:3=0.1", r"step has no setting 3"),
        ("cosine:length=9,warmup=0", r"schedule 'cosine:length=9,warmup=0': warmup is out of range, .* got 0\. Pass for example warmup=5"),
    ],
)  # fmt: skip
def test_a_wrong_schedule_flag_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(errors.ConfigError, match=sentence):
        optim.parse_schedule(text, 0.1)


def test_optimizers_from_flags() -> None:
    assert optim.parse_optimizer("adam", 0.1) == optim.Adam(0.1)
    assert optim.parse_optimizer("sgd:momentum=0.9,nesterov=true", 0.1) == optim.SGD(0.1, momentum=0.9, nesterov=True)
    assert optim.parse_optimizer("adamw:weight_decay=0.1,applies_to=all", 0.1) == optim.AdamW(
        0.1, weight_decay=0.1, applies_to="all"
    )
    schedule = optim.parse_schedule("step", 0.1)
    assert optim.parse_optimizer("adam", schedule) == optim.Adam(schedule)
    with pytest.raises(errors.ConfigError, match=r"optimizer 'admw': unknown type, .* Did you mean adamw\?"):
        optim.parse_optimizer("admw", 0.1)
    with pytest.raises(errors.ConfigError, match=r"adam has no setting 'beta'.* Did you mean beta"):
        optim.parse_optimizer("adam:beta=0.9", 0.1)
    with pytest.raises(errors.ConfigError, match="learning_rate is given twice"):
        optim.parse_optimizer("adam:learning_rate=0.9", 0.1)


def test_lbfgs_from_flags() -> None:
    assert optim.parse_lbfgs("lbfgs") == optim.LBFGS()
    assert optim.parse_lbfgs("lbfgs:history=20,tolerance=0") == optim.LBFGS(history=20, tolerance=0)
    for text, sentence in {
        "adam": r"optimizer 'adam': unknown type, expected one of lbfgs",
        "lbfgs:histry=2": r"lbfgs has no setting 'histry'.* Did you mean history\?",
        "lbfgs:tolerance=-1": r"tolerance is out of range, expected a number >= 0",
        "lbfgs:penalties=2": r"penalties are settings of their own",
    }.items():
        with pytest.raises(errors.ConfigError, match=sentence):
            optim.parse_lbfgs(text)
    with pytest.raises(errors.ConfigError, match=r"expected an optimizer with a learning rate, got lbfgs"):
        optim.parse_optimizer("lbfgs", 0.1)
    with pytest.raises(errors.ConfigError, match=r"Did you mean lbfgs\?"):
        optim.parse_optimizer("lbfg", 0.1)


def test_plateau_from_flags() -> None:
    text = "plateau:factor=0.5,patience=5"
    assert optim.parse_plateau(text) == optim.ReduceOnPlateau(factor=0.5, patience=5)
    assert optim.parse_schedule(text, 0.1) == optim.Constant(0.1)
    assert optim.parse_plateau("plateau:warmup=3") == optim.ReduceOnPlateau()
    assert optim.parse_schedule("plateau:warmup=3", 0.1) == optim.Warmup(optim.Constant(0.1), length=3)
    assert optim.parse_plateau("step:every=3") is None
    for text, sentence in {
        "plateau:factr=2": r"schedule 'plateau:factr=2': plateau has no setting 'factr'.* Did you mean factor\?",
        "plateau:factor=2": r"factor is out of range",
        "plateau:mode=max": r"the mode follows from what is watched",
    }.items():
        for parse in (optim.parse_plateau, lambda text: optim.parse_schedule(text, 0.1)):
            with pytest.raises(errors.ConfigError, match=sentence):
                parse(text)
    with pytest.raises(errors.ConfigError, match=r"Did you mean plateau\?"):
        optim.parse_schedule("platau", 0.1)


def test_the_registry_holds_every_optimizer_and_schedule() -> None:
    public = {name: getattr(optim, name) for name in optim.__all__}
    kinds = {value for value in public.values() if isinstance(value, type) and hasattr(value, "name")}
    assert kinds == set(registry.KINDS.values())
    assert set(optim.OPTIMIZERS.values()) < kinds
    assert set(optim.SCHEDULES.values()) < kinds
    assert all(kind.name == name for name, kind in registry.KINDS.items())
    assert all(kind.__dataclass_params__.frozen for kind in kinds)


def test_the_table_of_cases_is_complete() -> None:
    covered = {name for table in (OPTIMIZERS, SCHEDULES) for row in table.values() for name in row.covers}
    assert covered | set(TESTED_APART) == set(optim.__all__)
    here = Path(__file__).parent
    for test in TESTED_APART.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (here / file).read_text(), test
