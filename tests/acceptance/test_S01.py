"""S01, strategy catalogue with typed parameters; combining by majority, unanimous, weighted, at-least-N.

Done when: "Each strategy has a hand-checked 20-bar case, out-of-range parameters are refused, and a combination truth table over
three signals matches"
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.projection import PROJECTIONS
from fieldcast.strategy import CATALOGUE, Combination, Projection, parameters_of, strategy

pytestmark = pytest.mark.feature("S01")
OPEN_PARTS: tuple[str, ...] = ()

CLOSES = np.array([10, 11, 12, 13, 12, 11, 10, 9, 8, 9, 10, 11, 12, 13, 14, 13, 12, 11, 10, 9], dtype=np.float64)
DAY = 86_400_000_000
TS = np.arange(20, dtype=np.int64) * DAY + 20 * 3_600_000_000


def _packets() -> pl.DataFrame:
    """Packets known half an hour after bars 2 (up), 5 (down), 8 (neither), 11 (missing), 14 (up), 17 (down, outdated at once).

    Each is valid for two days and a half.
    """
    start = datetime(1970, 1, 1, 20, tzinfo=UTC)
    said = [(2, "ok", 0.6, 0.3), (5, "ok", 0.3, 0.6), (8, "ok", 0.4, 0.4), (11, "missing", None, None), (14, "ok", 0.5, 0.4),
            (17, "ok", 0.2, 0.7)]  # fmt: skip
    rows = []
    for bar, status, up, down in said:
        as_of = start + timedelta(days=bar, minutes=30)
        until = as_of + (timedelta(minutes=1) if bar == 17 else timedelta(days=2, hours=12))
        empty: dict[str, Any] = dict.fromkeys(PROJECTIONS)
        rows.append(empty | {"instrument": "T:T", "as_of": as_of, "horizon": "1d", "status": status, "valid_until": until,
                             "p_up": up, "p_down": down, "conviction": None if up is None else 0.6})  # fmt: skip
    return pl.DataFrame(rows, schema=PROJECTIONS)


# Worked by hand. The closes go 10 to 13 to 8 to 14 to 9 in steps of 1.
BY_HAND: dict[str, tuple[dict[str, Any], list[int]]] = {
    # one position from the first bar on
    "buy_and_hold": ({}, [1] * 20),
    # 2 sums of 2 closes against the sum of 4: 50 46 | 50 48 | 46 48 | 42 46 | 38 42 | 34 38 | 34 36 | 38 36 | 42 38 | 46 42 |
    # 50 46 | 54 50 | 54 52 | 50 52 | 46 50 | 42 46 | 38 42, from bar 3 on
    "sma_cross": ({"fast": 2, "slow": 4}, [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]),
    # Wilder's averages over 2 changes; gain share 100 100 50 25 12.5 … 3.1 | 51.6 75.8 87.9 94 97 98.5 | 49.2 24.6 12.3 …:
    # below 30 first at bar 5, above 70 at bar 10, below 30 again at bar 16
    "rsi": ({"period": 2}, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
    # D = 4 close - sum, V = 4 sum of squares - sum squared, from bar 3: D 6 0 -4 -6 -6 -6 0 4 6 6 6 6 0 -4 -6 -6 -6 with V 20 on
    # a run of four and 8 around a turn; D^2 >= V at a band of one deviation: bought at bar 5, sold at 10, bought at 16
    "bollinger": ({"period": 4, "width": 1.0}, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
    # weights 2/3, 2/5, 2/3, seeds 12.5 and 11.5 at bar 3; line / signal from bar 4: .47 .73 | -.03 .22 | -.39 -.18 | -.62 -.48
    # | -.77 -.67 | -.33 -.44 | .11 -.07 | .44 .27 | .65 .53 | .79 .70 | .87 .82 | .39 .53 | -.08 .13 | -.42 -.24 | …
    "macd": ({"fast": 2, "slow": 4, "signal": 2}, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]),
    # close against that of 4 bars before, from bar 4: 12 10 | 11 11 | 10 12 | 9 13 | 8 12 | 9 11 | 10 10 | 11 9 | 12 8 | 13 9 |
    # 14 10 | 13 11 | 12 12 | 11 13 | 10 14 | 9 13; equal is not above
    "momentum": ({"period": 4}, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]),
    # 4 closes against the sum of 4, from bar 3: 52 46 | 48 48 | 44 48 | 40 46 | 36 42 | 32 38 | 36 36 | 40 36 | … | 52 52 …
    "mean_reversion": ({"period": 4}, [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
    # a packet of bar t comes half an hour after it, so bar t + 1 is the first that knows it, and bar t + 3 finds it outdated by
    # 12 h: up known at 3, 4; down at 6, 7; neither; missing; up at 15, 16; the last one is outdated when it is first seen
    "projection": ({}, [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]),
}  # fmt: skip


def test_the_catalogue_has_the_eight() -> None:
    eight = "buy_and_hold sma_cross rsi bollinger macd momentum mean_reversion projection"
    assert list(CATALOGUE) == eight.split()
    assert set(BY_HAND) == set(CATALOGUE)
    defaults = {name: {item.name: item.default for item in parameters_of(rule)} for name, rule in CATALOGUE.items()}
    assert defaults["sma_cross"] == {"fast": 10, "slow": 20, "short": False}
    assert defaults["rsi"] == {"period": 14, "lower": 30.0, "upper": 70.0}
    assert defaults["bollinger"] == {"period": 20, "width": 2.0}
    assert defaults["macd"] == {"fast": 12, "slow": 26, "signal": 9, "short": False}
    assert defaults["momentum"]["period"] == defaults["mean_reversion"]["period"] == 20
    assert defaults["projection"]["horizon"] == "1d"


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_twenty_bars_by_hand(name: str) -> None:
    settings, expected = BY_HAND[name]
    rule = strategy(name, **settings)
    if isinstance(rule, Projection):
        rule = rule.on(_packets())
    found = rule.targets({"close": CLOSES, "ts": TS})
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("sma_cross", {"fast": 0}, "fast"),
        ("sma_cross", {"slow": 2001}, "slow"),
        ("sma_cross", {"fast": 20, "slow": 20}, "fast below slow"),
        ("sma_cross", {"fast": 2.5}, "fast"),
        ("sma_cross", {"fast": True}, "fast"),
        ("sma_cross", {"short": 1}, "short"),
        ("rsi", {"period": 1}, "period"),
        ("rsi", {"lower": -0.1}, "lower"),
        ("rsi", {"upper": 100.1}, "upper"),
        ("rsi", {"lower": 70.0, "upper": 70.0}, "lower below upper"),
        ("bollinger", {"width": 0.0}, "width"),
        ("bollinger", {"width": float("nan")}, "width"),
        ("bollinger", {"period": 1}, "period"),
        ("macd", {"fast": 26}, "fast below slow"),
        ("macd", {"signal": 0}, "signal"),
        ("momentum", {"period": 0}, "period"),
        ("mean_reversion", {"period": "20"}, "period"),
        ("projection", {"horizon": "9d"}, "horizon"),
        ("projection", {"conviction": 1.01}, "conviction"),
        ("buy_and_hold", {"period": 3}, "period"),
        ("sma", {}, "'sma'"),
    ],
)
def test_a_parameter_out_of_its_bounds_is_refused_by_name(name: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        strategy(name, **settings)


def test_both_ends_of_every_bound_are_allowed() -> None:
    for name, rule in CATALOGUE.items():
        for item in parameters_of(rule):
            for end in (item.low, item.high):
                if end is None:
                    continue
                value = int(end) if item.kind == "whole" else float(end)
                others = {"fast": {"slow": 2000}, "slow": {"fast": 1 if name == "sma_cross" else 2}, "lower": {"upper": 100.0},
                          "upper": {"lower": 0.0}}.get(item.name, {})  # fmt: skip
                if (name, item.name, value) in {("rsi", "lower", 100.0), ("rsi", "upper", 0.0), ("macd", "slow", 3)}:
                    others = {"slow": {"fast": 2}}.get(item.name)  # type: ignore[assignment]
                    if others is None:      # nothing is left between lower and upper
                        continue
                assert getattr(strategy(name, **{item.name: value, **others}), item.name) == value


# the truth table over three signals, each -1, 0 or 1 ----------------------------------------------------------------


def _majority(a: int, b: int, c: int) -> int:
    votes = [a, b, c]
    return 1 if votes.count(1) >= 2 else -1 if votes.count(-1) >= 2 else 0


def _unanimous(a: int, b: int, c: int) -> int:
    return a if a == b == c else 0


def _weighted(a: int, b: int, c: int) -> int:
    """Mean of three votes: a third is above 0.3."""
    return 1 if a + b + c >= 1 else -1 if a + b + c <= -1 else 0


def _two(a: int, b: int, c: int) -> int:
    return _majority(a, b, c)      # of three, two and two cannot both be


def _one(a: int, b: int, c: int) -> int:
    votes = {a, b, c}
    return 0 if {1, -1} <= votes or votes == {0} else 1 if 1 in votes else -1


TABLE = list(product((-1, 0, 1), repeat=3))


@pytest.mark.parametrize(
    ("combination", "expected"),
    [
        (Combination(), _majority),
        (Combination("unanimous"), _unanimous),
        (Combination("weighted"), _weighted),
        (Combination("at_least"), _two),
        (Combination("at_least", least=1), _one),
        (Combination("at_least", least=3), _unanimous),
    ],
    ids=["majority", "unanimous", "weighted", "at least 2", "at least 1", "at least 3"],
)
def test_the_truth_table_over_three_signals(combination: Combination, expected: Any) -> None:
    signals = np.array(TABLE, dtype=np.float64).T
    assert signals.shape == (3, 27)
    assert combination.combine(list(signals)).tolist() == [expected(*row) for row in TABLE]


def test_weights_and_the_threshold_itself() -> None:
    votes = [[1, 1, -1, 0], [0, -1, -1, 1], [0, 0, 1, 0]]
    assert Combination("weighted", weights=(3.0, 2.0, 5.0)).combine(votes).tolist() == [1, 0, 0, 0]      # .3 .1 0 .2
    assert Combination("weighted", threshold=0.2, weights=(3.0, 2.0, 5.0)).combine(votes).tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rule": "loudest"}, "rule"),
        ({"rule": "weighted", "threshold": 0.0}, "threshold"),
        ({"rule": "weighted", "threshold": 1.1}, "threshold"),
        ({"rule": "at_least", "least": 0}, "least"),
        ({"rule": "weighted", "weights": (1.0, -1.0)}, "weights"),
        ({"rule": "weighted", "weights": (0.0, 0.0)}, "weights"),
        ({"rule": "majority", "weights": (1.0, 1.0)}, "weights"),
    ],
)
def test_a_bad_combination_is_refused_by_name(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Combination(**settings)


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 2"):
        Combination("at_least", least=3).combine([[1.0], [1.0]])
    with pytest.raises(InvalidInput, match="one weight for each of 2"):
        Combination("weighted", weights=(1.0,)).combine([[1.0], [1.0]])
    with pytest.raises(InvalidInput, match="one shape"):
        Combination().combine([[1.0], [1.0, 0.0]])
    with pytest.raises(InvalidInput, match="NaN"):
        Combination().combine([[1.0], [float("nan")]])
    with pytest.raises(InvalidInput, match="found none"):
        Combination().combine([])
