"""One source: decay, confidence, what counts, what is known when, and the figures of each kind of source."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.fields.sentiment import (
    SentimentRules,
    checked_scores,
    earnings_tone,
    known_texts,
    news_flow,
    reddit_flow,
    stocktwits_flow,
    x_flow,
)
from fieldcast.ground import InvalidInput, Reason

from .conftest import AS_OF, frame, text

RULES = SentimentRules()


def known(*rows, as_of=AS_OF, rules=RULES):
    return known_texts(checked_scores(frame(*rows)), as_of, rules)


def test_a_text_of_one_half_life_counts_half() -> None:
    flow = news_flow(known(text("news", 0, 0.9), text("news", 24, 0.3)))
    assert flow.score == pytest.approx((0.9 + 0.5 * 0.3) / 1.5)
    assert flow.confidence == pytest.approx(1.0)


def test_confidence_weighs_and_ages() -> None:
    """c = 0.8 and 0.2, ages 12 h and 24 h: d = 2^-½ and ½."""
    flow = news_flow(known(text("news", 12, 0.5, 0.8), text("news", 24, -0.5, 0.2)))
    near, far = 2**-0.5, 0.5
    assert flow.score == pytest.approx(0.5 * (0.8 * near - 0.2 * far) / (0.8 * near + 0.2 * far))
    assert flow.confidence == pytest.approx(near * (0.8 * near + 0.2 * far) / (near + far))


def test_dispersion_is_the_weighted_standard_deviation() -> None:
    flow = news_flow(known(text("news", 0, 0.6), text("news", 0, -0.2, item="b")))
    assert flow.dispersion == pytest.approx(0.4)
    assert news_flow(known(text("news", 0, 0.6))).dispersion == 0.0


def test_a_row_that_stands_for_many_texts_counts_as_many() -> None:
    many = known(text("x", 1, 0.5, mentions=3.0), text("x", 1, -0.5, item="b"))
    assert x_flow(many).score == pytest.approx(0.25)
    assert x_flow(many).figures["mentions"] == 4.0


def test_a_text_beyond_the_memory_counts_no_more_and_its_source_is_not_there() -> None:
    flow = x_flow(known(text("x", 5 * 6 + 0.1, 0.5)))
    assert not flow.is_there
    assert flow.score is None
    assert flow.reasons["score"] is Reason.NO_DATA


def test_a_source_without_an_opinion_is_there_and_has_no_score() -> None:
    flow = news_flow(known(text("news", 1, 0.0, 0.0)))
    assert flow.is_there
    assert flow.score is None
    assert flow.reasons["score"] is Reason.UNDEFINED
    assert flow.confidence == 0.0


def test_a_score_counts_from_the_moment_at_which_it_was_made() -> None:
    """Published five hours ago, scored one hour ago."""
    row = text("news", 5, 0.5, known=1)
    assert not news_flow(known(row, as_of=AS_OF - timedelta(hours=2))).is_there
    assert news_flow(known(row)).score == 0.5


def test_a_text_that_was_scored_again_counts_once_with_the_newest_score_known() -> None:
    rows = [text("news", 9, 0.5, item="a", scorer="lexicon@1"), text("news", 9, -0.5, item="a", scorer="lexicon@2", known=2)]
    assert news_flow(known(*rows)).score == -0.5
    assert news_flow(known(*rows)).texts == 1
    assert news_flow(known(*rows, as_of=AS_OF - timedelta(hours=3))).score == 0.5


def test_a_text_that_two_scorers_scored_counts_once_by_the_declared_order() -> None:
    rows = [text("news", 9, 0.5, item="a", scorer="llm@1"), text("news", 9, -0.5, item="a", scorer="lexicon@1", known=1)]
    assert news_flow(known(*rows)).score == 0.5
    first = replace(RULES, scorers=("lexicon", "llm"))
    assert news_flow(known(*rows, rules=first), first).score == -0.5
    unknown = text("news", 9, 0.1, item="a", scorer="other@1", known=0.5)
    assert news_flow(known(*rows, unknown)).score == 0.5


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_score_lies_between_the_scores_that_made_it(rows: list[tuple[float, float, float]]) -> None:
    flow = news_flow(known(*(text("news", hours, score, sure, item=str(n)) for n, (hours, score, sure) in enumerate(rows))))
    if flow.score is not None:
        heard = [score for hours, score, sure in rows if hours < 120 and sure > 0]
        assert min(heard) - 1e-12 <= flow.score <= max(heard) + 1e-12
        assert 0.0 <= flow.confidence <= 1.0
        assert 0.0 <= flow.dispersion <= 1.0


def test_velocity_and_burst_compare_the_last_day_with_the_time_before() -> None:
    rows = [text("news", hours, 0.1) for hours in (1, 2, 3, 30, 60, 96)]
    flow = news_flow(known(*rows))
    assert flow.figures["velocity"] == pytest.approx(3 / 24)
    assert flow.figures["burst"] == pytest.approx((3 / 24) / (6 / 96))
    assert news_flow(known(rows[0])).reasons["burst"] is Reason.WARMING_UP


def test_reach_counts_what_was_seen() -> None:
    rows = [text("reddit", 0, 0.5, engagement=math.e - 1), text("reddit", 0, -0.5, engagement=0.0, item="b")]
    assert reddit_flow(known(*rows)).figures["reach"] == pytest.approx((2 * 0.5 - 0.5) / 3)
    assert reddit_flow(known(text("reddit", 0, 0.5))).reasons["reach"] is Reason.VALUE_MISSING


def test_stocktwits_counts_bulls_against_bears_of_the_day() -> None:
    rows = [text("stocktwits", 1, 1.0, item=str(n)) for n in range(9)]
    rows += [text("stocktwits", 1, -1.0, item=f"b{n}") for n in range(3)]
    rows += [text("stocktwits", 26, -1.0, item=f"old{n}") for n in range(5)]
    flow = stocktwits_flow(known(*rows))
    assert flow.figures["bull_bear"] == pytest.approx(0.5)
    assert flow.figures["sample"] == pytest.approx(12 / 30)
    assert flow.reasons["trending"] is Reason.VALUE_MISSING


@pytest.mark.parametrize(("count", "likes", "trending"), [(250.0, 6.0, 1.0), (230.0, 6.0, 0.0), (250.0, 5.0, 0.0)])
def test_stocktwits_trends_above_ten_messages_an_hour_and_five_likes(count: float, likes: float, trending: float) -> None:
    flow = stocktwits_flow(known(text("stocktwits", 1, 0.8, mentions=count, engagement=likes)))
    assert flow.figures["trending"] == trending


def test_earnings_tone_changes_from_one_event_to_the_next() -> None:
    rows = [text("earnings", 24, 0.4), text("earnings", 30, 0.2), text("earnings", 24 * 91, -0.1)]
    flow = earnings_tone(known(*rows))
    assert flow.figures["change"] == pytest.approx(0.3 + 0.1)
    assert earnings_tone(known(*rows[:2])).reasons["change"] is Reason.WARMING_UP


def test_the_share_of_assumed_moments_is_told() -> None:
    rows = [text("news", 1, 0.1, reasons="availability_assumed"), text("news", 1, 0.1, item="b")]
    assert news_flow(known(*rows)).figures["assumed_share"] == 0.5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (text("radio", 1, 0.1), "radio"),
        (text("news", 1, 1.1), r"\[-1, 1\]"),
        (text("news", 1, 0.1, -0.1), r"\[0, 1\]"),
        (text("news", 1, float("nan")), r"\[-1, 1\]"),
    ],
)
def test_rows_that_are_no_scores_are_refused(row, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        checked_scores(frame(row))


def test_scores_about_two_instruments_are_refused() -> None:
    rows = frame(text("news", 1, 0.1), text("news", 2, 0.1) | {"instrument": "XNAS:OTHER"})
    with pytest.raises(InvalidInput, match="one instrument"):
        checked_scores(rows)
    with pytest.raises(InvalidInput, match="missing confidence"):
        checked_scores(rows.drop("confidence"))
    assert isinstance(checked_scores(rows.head(1)), pl.DataFrame)


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": 0.0},
        {"points": 2},
        {"least_days": 40},
        {"bullish": 0.9},
        {"extreme": 1.0},
    ],
)
def test_rules_that_contradict_themselves_are_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        replace(RULES, **wrong)
