"""The mood of all sources: the hand case, outages, motion, conviction, energies, mentions, and the short form."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields import FieldMap, build_field_table
from fieldcast.fields.sentiment import (
    PROCESSORS,
    HalfLives,
    SentimentRules,
    SourceFlow,
    Weights,
    checked_scores,
    conviction,
    interpret,
    known_texts,
    mention_mania,
    price_sentiment,
    second_difference,
    sentiment_field,
    slope,
    weighted_score,
)
from fieldcast.fields.vocabulary import Activity, RangeState, SentimentRegime
from fieldcast.ground import InvalidInput, Reason

from .conftest import AS_OF, frame, text

RULES = SentimentRules()
ALL = [("news", 0.4, 0.9), ("x", -0.2, 0.5), ("reddit", 0.8, 0.6), ("stocktwits", -0.6, 0.7), ("earnings", 0.1, 0.3)]


def all_sources(hours: float = 0.0, **change: float) -> list[dict]:
    return [text(source, hours, change.get(source, score), sure) for source, score, sure in ALL]


def test_eight_processors_and_one_interpreter() -> None:
    assert len(PROCESSORS) == 8
    assert set(PROCESSORS) >= {"NewsFlow", "XFlow", "RedditFlow", "StockTwitsFlow", "EarningsTone", "MentionMania"}
    assert interpret is sentiment_field


def test_the_weighted_score_by_hand() -> None:
    """Σ s c w = .09 − .015 + .072 − .042 + .0045 = .1095, Σ c w = .225 + .075 + .09 + .07 + .045 = .505."""
    found = sentiment_field(frame(*all_sources()), AS_OF)
    assert found.score == pytest.approx(0.1095 / 0.505, abs=1e-12)
    assert found.coverage == 1.0


@pytest.mark.parametrize("silent", [source for source, _, _ in ALL])
def test_an_outage_lowers_the_coverage_and_leaves_the_others_score(silent: str) -> None:
    rows = [row for row in all_sources() if row["source"] != silent]
    found = sentiment_field(frame(*rows), AS_OF)
    undeclared = replace(RULES, weights=replace(Weights(), **{silent: 0.0}))
    assert found.coverage == pytest.approx(0.8)
    assert found.score == sentiment_field(frame(*all_sources()), AS_OF, rules=undeclared).score
    assert found.flows[silent].reasons["score"] is Reason.NO_DATA


@given(st.floats(-1, 1), st.sets(st.sampled_from([name for name, _, _ in ALL]), min_size=1))
def test_sources_that_agree_give_their_score_whoever_is_out(score: float, there: set[str]) -> None:
    rows = [text(source, 1, score, sure) for source, _, sure in ALL if source in there]
    found = sentiment_field(frame(*rows), AS_OF)
    assert found.score == pytest.approx(score, abs=1e-12)
    assert found.coverage == pytest.approx(len(there) / 5)


def test_an_outage_in_the_middle_of_the_path_moves_neither_momentum_nor_acceleration() -> None:
    """Reddit was euphoric and has been silent for three days; the news has said 0.2 every day."""
    news = [text("news", 24 * day + 1, 0.2) for day in range(6)]
    reddit = [text("reddit", 24 * day + 1, 0.9) for day in (3, 4, 5)]
    found = sentiment_field(frame(*news, *reddit), AS_OF)
    assert found.momentum == pytest.approx(0.0, abs=1e-12)
    assert found.acceleration == pytest.approx(0.0, abs=1e-12)
    assert found.score == pytest.approx(0.2)


def test_momentum_and_acceleration_of_a_path_by_hand() -> None:
    """One article a day, each forgotten by the next: the path is what they say, squared."""
    rules = replace(RULES, half_lives=replace(HalfLives(), news=4.0))
    rows = [text("news", 24 * day + 1, (5 - day) ** 2 / 40) for day in range(5)]
    found = sentiment_field(frame(*rows), AS_OF, rules=rules)
    expected = np.array([1, 4, 9, 16, 25]) / 40
    np.testing.assert_allclose(found.path, expected)
    assert found.momentum == pytest.approx(np.polyfit(range(5), expected, 1)[0])
    assert found.acceleration == pytest.approx(2 / 40)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9))
def test_slope_and_second_difference_are_numpys(values: list[float]) -> None:
    path = np.array(values)
    assert slope(path) == pytest.approx(np.polyfit(np.arange(path.size), path, 1)[0], abs=1e-9)
    assert second_difference(path) == pytest.approx(np.diff(path, 2)[-1], abs=1e-12)


def test_too_short_a_past_has_no_momentum_and_says_so() -> None:
    found = sentiment_field(frame(text("news", 1, 0.5)), AS_OF)
    assert found.momentum is None
    reading = found.reading()
    assert reading.reasons["text_momentum"] is Reason.WARMING_UP
    assert reading.reasons["trend_energy"] is Reason.WARMING_UP


def flow(source: str, score: float, sure: float, spread: float = 0.0, mentions: float = 10.0) -> SourceFlow:
    return SourceFlow(source, 1, score, sure, spread, {"mentions": mentions})


def test_conviction_by_hand() -> None:
    """News 0.9 at c = 1 and Reddit 0.7 at c = 0.5: q = .25/.325 and .075/.325."""
    flows = [flow("news", 0.9, 1.0, 0.1, 600), flow("reddit", 0.7, 0.5, 0.2, 300)]
    q = np.array([0.25, 0.075]) / 0.325
    s = q @ [0.9, 0.7]
    spread = np.sqrt(q @ ([0.01, 0.04] + (np.array([0.9, 0.7]) - s) ** 2))
    c = 0.3 * (1 - spread) + 0.3 * 0.75 + 0.2 * 0.9 + 0.2 * s
    found = conviction(flows, momentum=-0.1).figures
    assert found["dispersion"] == pytest.approx(spread)
    assert found["conviction"] == pytest.approx(c)
    assert found["contrarian"] == pytest.approx(-c * (s - 0.7))
    assert found["reversal_energy"] == pytest.approx((s * c) ** 1.5)
    assert found["trend_energy"] == pytest.approx((0.1 * s) ** 1.2)


@pytest.mark.parametrize(("score", "sign"), [(0.69, 0), (0.71, -1), (-0.69, 0), (-0.71, 1)])
def test_the_crowd_is_faded_at_extremes_alone(score: float, sign: int) -> None:
    assert np.sign(conviction([flow("news", score, 1.0)]).figures["contrarian"]) == sign


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1), st.floats(0, 1)), min_size=1, max_size=5), st.floats(-2, 2))
def test_conviction_stays_in_its_range_and_energies_are_not_negative(rows, momentum: float) -> None:
    flows = [flow(name, *row) for (name, _, _), row in zip(ALL, rows, strict=False)]
    found = conviction(flows, momentum=momentum).figures
    assert 0.0 <= found["conviction"] <= 1.0
    assert 0.0 <= found["reversal_energy"] <= 1.0
    assert found["trend_energy"] >= 0.0
    mirrored = [replace(item, score=-item.score) for item in flows]
    turned = conviction(mirrored, momentum=-momentum).figures
    assert turned["contrarian"] == pytest.approx(-found["contrarian"], abs=1e-12)
    assert turned["reversal_energy"] == pytest.approx(found["reversal_energy"], abs=1e-12)


def test_texts_that_contradict_each_other_convince_less() -> None:
    agreeing, torn = [flow("news", 0.2, 1.0), flow("x", 0.2, 1.0)], [flow("news", 0.95, 1.0), flow("x", -1.05 + 0.05, 1.0)]
    assert conviction(torn).figures["conviction"] < conviction(agreeing).figures["conviction"]
    assert weighted_score([], RULES) is None


# mentions -----------------------------------------------------------------------------------------------------------


def mentions(*counts: float, source: str = "reddit", **more: float):
    days = [(day, float(count)) for day, count in enumerate(counts) if count]
    rows = [text(source, 24 * day + 1, 0.5, mentions=count, item=str(day), **more) for day, count in days]
    return mention_mania(known_texts(checked_scores(frame(*rows)), AS_OF, RULES))


def test_mentions_are_held_against_their_own_past() -> None:
    past = [3, 5, 4, 6, 2, 5, 3, 4, 5, 4, 3]
    found = mentions(40, *past)
    logs = np.log1p(past)
    # the oldest text is 11 days and an hour old: eleven whole days before the last one
    assert found.figures["mention_z"] == pytest.approx((np.log1p(40) - logs.mean()) / logs.std(ddof=1))
    assert found.activity is Activity.BUSY
    assert mentions(4, *past).activity is Activity.USUAL


def test_a_day_without_mentions_counts_as_one_and_days_before_the_first_text_do_not() -> None:
    past = [3, 0, 4, 6, 2, 5, 0, 4, 5, 4, 3]
    logs = np.log1p(past)
    assert mentions(2, *past).figures["mention_z"] == pytest.approx((np.log1p(2) - logs.mean()) / logs.std(ddof=1))
    short = mentions(2, 3, 4)
    assert short.reasons["mention_z"] is Reason.WARMING_UP
    assert short.figures["mentions"] == 2.0


def test_the_news_is_no_mention_of_the_crowd() -> None:
    assert mentions(5, 5, source="news").reasons["mention_z"] is Reason.NO_DATA


def test_meme_and_mania_by_hand() -> None:
    """25 mentions at 2,000 votes and 500 comments, all of them bulls."""
    found = mentions(25, engagement=2000.0, comments=500.0).figures
    pressure = 0.5 * 0.5 + 0.3 * 0.4 + 0.2 * 0.5
    assert found["meme"] == 1.0
    assert found["meme_pressure"] == pytest.approx(pressure)
    assert found["mania"] == pytest.approx(0.5 + 0.3 * 0.25 + 0.2 * pressure)


def test_a_meme_needs_mentions_and_votes() -> None:
    assert mentions(9, engagement=5000.0).figures["meme"] == 0.0
    assert mentions(10, engagement=999.0).figures["meme"] == 0.0
    assert mentions(10, engagement=1000.0).figures["meme"] == 1.0
    unknown = mentions(50)
    assert "meme" not in unknown.figures
    assert unknown.reasons["meme"] is Reason.VALUE_MISSING


def test_mania_never_leaves_zero_to_one() -> None:
    found = mentions(1e6, engagement=1e9, comments=1e9).figures
    assert found["meme_pressure"] == found["mania"] == pytest.approx(1.0)


# price and the short form -------------------------------------------------------------------------------------------


def test_the_mood_of_price_by_hand() -> None:
    found = price_sentiment({"rsi": 70.0, "mfi": 60.0, "trend": 1.0, "range_ratio": np.log(0.79)})
    assert found.score == pytest.approx((0.4 + 0.2 + np.tanh(0.5)) / 3)
    assert found.range_state is RangeState.COMPRESSION
    assert price_sentiment({"rsi": 70.0, "range_ratio": np.log(1.21)}).range_state is RangeState.EXPANSION
    assert price_sentiment({"rsi": 70.0}).score == pytest.approx(0.4)
    assert price_sentiment({}).reasons["price_score"] is Reason.NO_DATA


@pytest.mark.parametrize(
    ("score", "word"),
    [
        (0.0, SentimentRegime.NEUTRAL),
        (0.3, SentimentRegime.BULLISH),
        (-0.3, SentimentRegime.BEARISH),
        (0.8, SentimentRegime.EUPHORIC),
        (-0.8, SentimentRegime.PANICKED),
    ],
)
def test_the_word_for_the_score(score: float, word: SentimentRegime) -> None:
    assert sentiment_field(frame(text("news", 0, score)), AS_OF).regime is word


def test_nothing_known_later_changes_what_was_read() -> None:
    """At each moment the field of all rows is that of the rows known then."""
    random = np.random.default_rng(3)
    rows = frame(
        *(
            text(str(random.choice([name for name, _, _ in ALL])), hours, random.uniform(-1, 1), random.uniform(), item=str(n),
                 known=hours - random.uniform(0, min(hours, 30)))
            for n, hours in enumerate(random.uniform(0, 24 * 12, 300))
        )
    )  # fmt: skip
    for back in (0, 7, 30, 100):
        moment = AS_OF - timedelta(hours=back)
        whole = sentiment_field(rows, moment).reading()
        then = sentiment_field(rows.filter(pl.col("available_at") <= moment), moment).reading()
        assert whole == then
        assert whole.values["text_score"] is not None


def test_the_reading_stands_beside_the_columns_of_the_table(make_bars) -> None:
    bars = make_bars(600, seed=2)
    table = build_field_table(bars)
    at = bars["available_at"][-1]
    plain = FieldMap.at("XNAS:TEST", at, table)
    shift = at - AS_OF
    scores = frame(*all_sources()).with_columns(pl.col("ts", "available_at") + shift)
    found = sentiment_field(scores, at, row=plain.sentiment)
    field = FieldMap.at("XNAS:TEST", at, table, [found.reading()])
    assert field.sentiment["rsi"] == plain.sentiment["rsi"]
    assert field.sentiment["text_score"] == found.score
    assert field.sentiment["divergence"] == pytest.approx(found.score - found.price.score)
    assert field.labels["sentiment.mood"] == "neutral"
    assert "news 0.25" in field.conventions["sentiment.weights"]
    assert field.conventions["sentiment.scorers"] == "lexicon@1"


def test_without_texts_only_price_speaks_and_the_coverage_is_zero() -> None:
    reading = sentiment_field(None, AS_OF, row={"rsi": 60.0}).reading()
    assert reading.values == {"coverage": 0.0, "price_score": pytest.approx(0.2)}
    assert reading.reasons["text_score"] is reading.reasons["mood"] is Reason.NO_DATA
    assert not reading.conventions


def test_simulated_texts_make_a_simulated_reading() -> None:
    assert sentiment_field(frame(text("news", 0, 0.1, reasons="simulated")), AS_OF).reading().simulated
    assert not sentiment_field(frame(text("news", 0, 0.1)), AS_OF).reading().simulated


@pytest.mark.parametrize("wrong", [{"news": -0.1}, dict.fromkeys(("news", "x", "reddit", "stocktwits", "earnings"), 0.0)])
def test_weights_that_weigh_nothing_are_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        Weights(**wrong)
    with pytest.raises(InvalidInput):
        HalfLives(news=0.0)
