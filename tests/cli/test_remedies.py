"""On the command line the doctor's remedies are flags: flags that exist, and that help."""

import re
from dataclasses import replace

import pytest

import nnx
from nnx.cli.app import _app
from nnx.cli.config import Settings
from nnx.cli.remedies import INSIDE, REMEDIES, USUAL, _words, remedy
from nnx.doctor.verdict import Verdict
from nnx.optim import SGD, Adam, chain, clip_by_global_norm, penalize

FIGURES = ("adam", "best", "clip", "cut", "factor", "suggested", "value", *USUAL)


def test_every_flag_of_a_remedy_exists():
    known = {name for argument in _app()["train"].assemble_argument_collection() for name in argument.names}
    words = _words(Verdict("", "data", "", "warn", "", values=dict.fromkeys(FIGURES, 2.0)), Settings(l1=1.0, l2=1.0))
    said = [flag for row in REMEDIES for flag in re.findall("--[a-z0-9-]+", row.sentence.format_map(words))]
    assert len(said) > len(REMEDIES)
    assert set(said) <= known
    assert not [check.id for check in nnx.doctor.checks.values() if "--" in check.remedy]


def test_every_remedy_is_for_a_check_that_exists():
    assert {id for row in REMEDIES for id in row.ids.split()} <= set(nnx.doctor.checks)
    assert set(USUAL) <= set(nnx.doctor.checks["I10"].limits)
    assert all(hasattr(optimizer, name) for name, optimizer in zip(INSIDE, (Adam(), SGD(0.1), nnx.optim.AdamW())))


@pytest.mark.parametrize(
    ("broken", "advice"),
    [
        ("--lr 1", "--lr 3e-3"),
        ("--dropout 0.9", "--dropout 0.2"),
        ("--batch-size 2", "--batch-size 32"),
        ("--schedule step:every=1,factor=0.1", "--schedule cosine"),
        ("--optimizer adamw:weight_decay=10,beta1=0.8,eps=1e-15", "--optimizer adamw:weight_decay=0.01,beta1=0.8,eps=1e-8"),
        ("--l2 10", "--l2 0.01"),
        ("--no-standardize", "--standardize"),
    ],
)  # fmt: skip
def test_a_remedy_that_is_followed_helps(nnx, broken, advice):
    quick = ("doctor", "digits", "--check", "quick", "--model", "mlp:64")
    said = nnx(*quick, *broken.split()).out
    assert f"{advice}." in said
    assert "0 fail, 0 warn" in nnx(*quick, *advice.split()).out.replace("\n", " ")


def said(settings, *ids, **options):
    x = nnx.random.normal(nnx.random.key(0, "remedies"), (96, 6), dtype="float32")
    y = (x[:, :1] + x[:, 1:2] > 0).astype("int64")[:, 0]
    model = nnx.Sequential(nnx.Linear(6, 16), nnx.ReLU(), nnx.Linear(16, 2)).initialize(0)
    report = nnx.doctor(model, (x, y), only=ids, batch_size=32, **options)
    return [remedy(report[id], settings) for id in ids]


def test_the_figures_of_a_remedy_are_those_of_the_check():
    suggested, rate = said(Settings(lr=1e-6), "T8", "T3", optimizer=SGD(1e-6))
    assert 0.01 < float(re.fullmatch(r"Take --lr (\S+)\.", suggested)[1]) < 10
    assert 1e-3 < float(re.fullmatch(r"Take --lr (\S+)\.", rate)[1]) < 1
    (clip,) = said(Settings(clip_norm=1e-4), "T9", optimizer=chain(clip_by_global_norm(1e-4), Adam(1e-3)))
    assert 0.1 < float(re.fullmatch(r"Take --clip-norm (\S+), the 90th percentile of the norms\.", clip)[1]) < 10
    assert said(Settings(l1=90.0), "T13", optimizer=chain(penalize(l1=90.0), Adam())) == ["Take --l1 9."]
    (explodes,) = said(Settings(), "T7", optimizer=SGD(1e30))
    assert re.fullmatch(r"Take --clip-norm \d\S*, the 90th percentile, and --schedule cosine:warmup=3\.", explodes)


@pytest.mark.parametrize(
    ("id", "where", "source", "advice"),
    [
        ("D7", "train.x, column 2 (asked)", "prices.csv", "If not, --drop asked."),
        ("D4", "train.x, column 1 (old town=a = (b))", "prices.tsv.gz", "repeats another: --drop 'old town'."),
        ("D4", "train.x, column 1", "prices.npz", "as it was"),
        ("D7", "train.x, column 2 (pixel_0_2)", "digits", "as it was"),
        ("D12", "train.x", "prices.csv", "as it was"),
    ],
)
def test_a_column_of_a_table_is_left_out_by_its_name(id, where, source, advice):
    verdict = Verdict(id, "data", "", "warn", "", "", where, "as it was")
    assert remedy(verdict, Settings(source=source)).endswith(advice)
    assert remedy(replace(verdict, severity="pass", remedy=""), Settings(source=source)) == ""


@pytest.mark.parametrize(
    ("id", "values", "settings", "advice"),
    [
        ("R3", {"best": 30.0}, {"epochs": 30}, "Train longer, as it still improves: --epochs 60."),
        ("R3", {"best": 2.0}, {"epochs": 30, "lr": 1e-2}, "Stop there with --early-stopping 5, or take a lower rate"),
        ("R3", {"best": 2.0}, {"optimizer": "lbfgs:memory=5"}, "Stop there with --early-stopping 5."),
        ("T3", {"factor": 1.0}, {}, "as it was"),
        ("T3", {"factor": 0.02}, {"lr": 3e-3}, "Take --lr 6e-05."),
        ("T10", {"cut": 1.0}, {}, "as it was"),
        ("T10", {"cut": 0.0}, {"lr": 1e-8}, "Take a higher rate, such as --lr 1e-07."),
        ("T1", {"adam": 1.0}, {}, "Take --optimizer adam --lr 1e-3, which learns them."),
        ("T1", {"adam": 0.0}, {}, "Not even Adam 1e-3 learns them: take a larger --model"),
        ("T8", {"rises": 1.0}, {}, "as it was"),
        ("T4", {}, {}, "Take --activation leaky_relu."),
        ("T5", {}, {"batch_norm": False}, "Take --batch-norm, --activation relu, or"),
        ("T5", {}, {}, "Take --activation relu, or a lower rate"),
        ("T6", {}, {"batch_norm": False}, "Take --batch-norm, --activation relu, or a --model of"),
        ("T6", {}, {"standardize": False}, "Take --standardize."),
        ("T6", {}, {}, "Take --activation relu, or a --model of fewer layers."),
        ("T11", {}, {}, "Take a larger --batch-size, or --no-batch-norm."),
        ("T11", {}, {"batch_norm": False}, "as it was"),
        ("T12", {}, {}, "Try other rates (nnx lr-find)"),
        ("I6", {}, {}, "as it was"),
        ("I6", {}, {"batch_norm": False}, "Take --batch-norm."),
        ("D11", {}, {}, "as it was"),
        ("I3", {}, {"standardize": False}, "as it was"),
        ("I2", {"factor": 100.0}, {"l1": 3.0, "l2": 2.0}, "Take --l2 0.02 --l1 0.03."),
    ],
)
def test_a_remedy_suits_the_settings(id, values, settings, advice):
    verdict = Verdict(id, "run", "", "warn", "", "", "", "as it was", values=values)
    assert remedy(verdict, Settings(**settings)).startswith(advice)


def test_what_stands_for_a_missing_value_is_named_with_its_column():
    verdict = Verdict("D1", "data", "", "warn", "", "", "train.x, column 0 (age)", "as it was", values={"value": -1.0})
    advice = "If -1 means missing, drop these rows, fill it with the column's median, or --drop age."
    assert remedy(verdict, Settings(source="people.csv")) == advice
    assert remedy(replace(verdict, values={}), Settings(source="people.csv")) == "as it was"


def test_a_consequence_is_treated_at_its_cause():
    verdict = Verdict("I3", "start", "", "warn", "", "", "", "as it was", caused_by="D11")
    assert remedy(verdict, Settings(standardize=False)) == "Take --standardize."
    assert remedy(verdict, Settings()) == "as it was"
    falls = Verdict("T12", "short training", "", "fail", "")
    assert remedy(falls, Settings(lr=0.5)) == "Take a lower rate, such as --lr 0.05."
