"""Words for figures: every bound, on both sides."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from fieldcast.fields.regime import (
    activity,
    correlation_level,
    market_hours,
    structure,
    trading_desk,
    vix_level,
    volatility_level,
)
from fieldcast.fields.vocabulary import (
    Activity,
    CorrelationLevel,
    MarketHours,
    Structure,
    TradingDesk,
    VixLevel,
    VolatilityLevel,
)
from fieldcast.ground import InvalidInput

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("vix", "word"),
    [
        (9.14, VixLevel.LOW), (14.99, VixLevel.LOW), (15.0, VixLevel.NORMAL), (19.99, VixLevel.NORMAL),
        (20.0, VixLevel.ELEVATED), (29.99, VixLevel.ELEVATED), (30.0, VixLevel.CRISIS), (82.69, VixLevel.CRISIS),
    ],
)  # fmt: skip
def test_vix(vix: float, word: VixLevel) -> None:
    assert vix_level(vix) is word


@pytest.mark.parametrize("vix", [0.0, -1.0, float("nan")])
def test_a_vix_that_is_no_price_is_refused(vix: float) -> None:
    with pytest.raises(InvalidInput, match="above zero"):
        vix_level(vix)


def test_thirds_of_the_own_past() -> None:
    found = [volatility_level(rank) for rank in (0.0, 0.333, 1 / 3, 0.5, 0.666, 2 / 3, 1.0)]
    low, medium, high = VolatilityLevel
    assert found == [low, low, medium, medium, medium, high, high]
    with pytest.raises(InvalidInput):
        volatility_level(1.01)


def test_structure_is_the_largest_membership() -> None:
    names = ("trend_up", "trend_down", "mean_revert", "expansion")
    words = (Structure.TREND_UP, Structure.TREND_DOWN, Structure.ROTATION, Structure.CHOP)
    for largest, word in zip(names, words, strict=True):
        assert structure(dict.fromkeys(names, 0.2) | {largest: 0.4}) is word
    with pytest.raises(InvalidInput, match="found none for expansion"):
        structure({"trend_up": 0.4, "trend_down": 0.3, "mean_revert": 0.3})


def test_activity() -> None:
    assert [activity(ratio) for ratio in (1.2, 1.19, 0.81, 0.8, 0.0)] == [
        Activity.BUSY, Activity.USUAL, Activity.USUAL, Activity.QUIET, Activity.QUIET,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1.0, "strong"), (0.7, "strong"), (0.69, "mild"), (0.3, "mild"), (0.29, "none"), (-0.29, "none"),
        (-0.3, "inverse"), (-0.69, "inverse"), (-0.7, "strongly_inverse"), (-1.0, "strongly_inverse"),
    ],
)  # fmt: skip
def test_correlation(value: float, word: str) -> None:
    assert correlation_level(value) is CorrelationLevel(word)


@pytest.mark.parametrize(
    ("local", "word"),
    [
        ((2023, 7, 5, 3, 59), MarketHours.OVERNIGHT), ((2023, 7, 5, 4, 0), MarketHours.PRE_MARKET),
        ((2023, 7, 5, 9, 29), MarketHours.PRE_MARKET), ((2023, 7, 5, 9, 30), MarketHours.REGULAR),
        ((2023, 7, 5, 15, 59), MarketHours.REGULAR), ((2023, 7, 5, 16, 0), MarketHours.AFTER_HOURS),
        ((2023, 7, 5, 20, 0), MarketHours.OVERNIGHT),
        ((2023, 7, 3, 12, 59), MarketHours.REGULAR), ((2023, 7, 3, 13, 0), MarketHours.AFTER_HOURS),  # half-day
        ((2023, 7, 4, 11, 0), MarketHours.CLOSED), ((2023, 7, 8, 11, 0), MarketHours.CLOSED),
        ((2023, 3, 10, 9, 30), MarketHours.REGULAR), ((2023, 3, 13, 9, 30), MarketHours.REGULAR),  # both sides of DST
    ],
)  # fmt: skip
def test_market_hours_of_us_equities(local: tuple[int, ...], word: MarketHours) -> None:
    year, month, day, hour, minute = local
    assert market_hours("XNYS", datetime(year, month, day, hour, minute, tzinfo=NEW_YORK)) is word


def test_markets_that_never_close_have_desks() -> None:
    at = [datetime(2023, 7, 8, hour, tzinfo=UTC) for hour in (0, 7, 8, 15, 16, 23)]
    assert [trading_desk(one) for one in at] == [desk for desk in TradingDesk for _ in range(2)]
    assert market_hours("24/7", at[0]) is MarketHours.REGULAR


def test_hours_that_nobody_declared_are_not_guessed() -> None:
    with pytest.raises(InvalidInput, match="found 'XTKS'"):
        market_hours("XTKS", datetime(2023, 7, 5, tzinfo=UTC))
