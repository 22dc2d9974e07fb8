"""M05: Baselines on identical rows: base rate, VIX/ATR logistic, HAR/GARCH exceedance, random forest, MLP.

Done when: "Each model report has all baselines with equal n, and a model without them cannot be promoted"
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.evaluation import WalkForward
from fieldcast.features import compute, labels
from fieldcast.ground import Halted, InvalidInput
from fieldcast.models import (
    REQUIRED_BASELINES,
    BoostedTrees,
    Logistic,
    Question,
    baseline_odds,
    compare_with_baselines,
    daily_variance,
    model_report,
)
from fieldcast.models.report import walk

pytestmark = pytest.mark.feature("M05")
OPEN_PARTS: tuple[str, ...] = ()

FIRST, INITIAL, TEST = 3700, 750, 250  # the VIX that ships with the package begins in January 2014


class Market:
    """S&P 500 and VIX 2013-2018: features of the volatility block, folds of 250 sessions, both questions."""

    def __init__(self) -> None:
        bars = read_bundled("sp500")[1]
        vix = read_bundled("vix")[1].select(day=pl.col("ts").dt.date(), implied="close")
        joined = bars.with_columns(day=pl.col("ts").dt.date()).join(vix, on="day", how="left", maintain_order="left")
        table = compute(bars, ["volatility"])
        self.columns = [name for name in table.columns if name not in ("ts", "as_of")]
        sign, event = labels.sign(bars, 1), labels.high_reaches(bars, 1, 0.01)
        self.decision = bars["ts"].dt.replace_time_zone(None).to_numpy()[FIRST:]
        self.label_end = sign["label_end_ts"].dt.replace_time_zone(None).to_numpy()[FIRST:]
        question = Question(
            label="event",
            horizon=1,
            threshold=0.01,
            features=table.select(self.columns).to_numpy().astype(np.float64)[FIRST:],
            y=event["y"].cast(float).to_numpy()[FIRST:],
            variance=daily_variance(bars)["variance"].to_numpy()[FIRST:],
            ret=np.r_[np.nan, np.diff(np.log(bars["close"].to_numpy()))][FIRST:],
            implied_percent=joined["implied"].to_numpy()[FIRST:],
        )
        self.questions = {
            "event": question,
            "sign": replace(question, label="sign", threshold=None, y=sign["y"].cast(float).to_numpy()[FIRST:]),
        }
        walking = WalkForward(initial=INITIAL, test=TEST, step=TEST, embargo=2)
        self.folds = list(walking.split(self.decision, self.label_end))
        self.models = {"logistic": lambda: Logistic(10.0), "boosted_trees": lambda: BoostedTrees(seed=1)}
        self.baselines = {label: baseline_odds(question, self.folds, seed=1) for label, question in self.questions.items()}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.mark.parametrize("label", ["event", "sign"])
@pytest.mark.parametrize("model", ["logistic", "boosted_trees"])
def test_a_report_has_every_baseline_with_equal_n(model: str, label: str, market: Market) -> None:
    question = market.questions[label]
    odds = walk(market.models[model], question.features, question.y, market.folds)
    odds[-30:] = np.nan  # a model that is silent cannot look better for it
    report = compare_with_baselines(model, question.y, {model: odds, **market.baselines[label]}, label=question.text)
    assert report.scores[0].name == model
    assert {score.name.split("[")[0] for score in report.scores} == {model, *REQUIRED_BASELINES}
    assert len({score.n for score in report.scores}) == 1
    known = np.isfinite(np.column_stack([odds, question.y, *market.baselines[label].values()])).all(axis=1)
    assert report.n == report.scores[0].n == int(known.sum()) > 400
    assert report.promotable
    report.require_promotable()
    assert report.as_dict()["promotable"] is True


def test_the_report_says_what_volatility_alone_is_worth(market: Market) -> None:
    question = market.questions["event"]
    odds = walk(market.models["logistic"], question.features, question.y, market.folds)
    report = compare_with_baselines("logistic", question.y, {"logistic": odds, **market.baselines["event"]}, label="x")
    loss = {score.name.split("[")[0]: score.log_loss for score in report.scores}
    assert loss["strong_anchor"] < loss["base_rate"]
    assert loss["strong_anchor"] < loss["implied_exceedance"]  # VIX alone holds a premium, the anchor has it out
    assert loss["random_forest"] < loss["base_rate"]
    assert report.skill("base_rate") > 0.0


def test_the_whole_report_is_one_call(market: Market) -> None:
    question, folds = market.questions["event"], market.folds[:1]
    odds = walk(market.models["logistic"], question.features, question.y, folds)
    report = model_report("logistic", odds, question, folds, seed=1)
    first = {"logistic": odds, **{n: np.where(np.isfinite(odds), p, np.nan) for n, p in market.baselines["event"].items()}}
    assert report == compare_with_baselines("logistic", question.y, first, label="high reaches +1 % in 1 session")
    assert report.promotable
    with pytest.raises(InvalidInput, match="no baseline"):
        model_report("mlp", odds, question, folds)


@pytest.mark.parametrize("absent", REQUIRED_BASELINES)
def test_a_model_without_a_baseline_cannot_be_promoted(absent: str, market: Market) -> None:
    question, table = market.questions["event"], market.baselines["event"]
    odds = walk(market.models["logistic"], question.features, question.y, market.folds)
    without = {name: p for name, p in table.items() if name.split("[")[0] != absent}
    report = compare_with_baselines("logistic", question.y, {"logistic": odds, **without}, label=question.text)
    assert report.missing == (absent,)
    assert not report.promotable
    with pytest.raises(Halted, match=absent):
        report.require_promotable()
    silent = {**table, next(name for name in table if name.split("[")[0] == absent): np.full(len(odds), np.nan)}
    empty = compare_with_baselines("logistic", question.y, {"logistic": odds, **silent}, label=question.text)
    assert empty.n == 0
    assert not empty.promotable  # a baseline that is there and never speaks is none


def test_without_implied_volatility_the_report_says_which_baselines_are_missing(market: Market) -> None:
    question, folds = replace(market.questions["event"], implied_percent=None), market.folds[:1]
    odds = walk(market.models["logistic"], question.features, question.y, folds)
    report = model_report("logistic", odds, question, folds, seed=1)
    assert report.missing == ("implied_exceedance", "strong_anchor")
    with pytest.raises(Halted, match="implied_exceedance, strong_anchor"):
        report.require_promotable()


def test_no_baseline_looks_ahead(market: Market) -> None:
    """The history cut at the end of the first test block and computed anew: equal odds up to there."""
    question, end = market.questions["event"], INITIAL + TEST
    cut = replace(
        question,
        **{name: getattr(question, name)[:end] for name in ("features", "y", "variance", "ret", "implied_percent")},
    )
    folds = list(WalkForward(initial=INITIAL, test=TEST, step=TEST, embargo=2).split(
        market.decision[:end], np.where(market.label_end[:end] <= market.decision[end - 1], market.label_end[:end],
                                        np.datetime64("NaT"))))  # fmt: skip
    past = baseline_odds(cut, folds, seed=1)
    for name, odds in market.baselines["event"].items():
        np.testing.assert_array_equal(past[name], odds[:end], err_msg=name)
