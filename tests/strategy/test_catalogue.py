"""The catalogue's rules against slow oracles in exact fractions and against the indicators, causal, flat in their warm-up."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldcast import indicators
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.projection import HORIZONS
from fieldcast.strategy import CATALOGUE, Projection, close_units, strategy
from fieldcast.strategy.catalogue import projection
from fieldcast.strategy.catalogue.rules import bands_fit

CENTS = st.lists(st.integers(1, 400), min_size=1, max_size=60)       # a narrow range: ties are frequent
SMALL: dict[str, dict[str, Any]] = {
    "buy_and_hold": {},
    "sma_cross": {"fast": 2, "slow": 5},
    "rsi": {"period": 3},
    "bollinger": {"period": 4, "width": 1.0},
    "macd": {"fast": 2, "slow": 5, "signal": 3},
    "momentum": {"period": 3},
    "mean_reversion": {"period": 4},
}
WARM = {"sma_cross": 4, "rsi": 3, "bollinger": 3, "macd": 6, "momentum": 3, "mean_reversion": 3}


def run(name: str, close: Any, **changes: Any) -> list[float]:
    arrays = {"close": np.asarray(close, dtype=np.float64)}
    found: list[float] = strategy(name, **(SMALL[name] | changes)).targets(arrays).tolist()
    return found


def mean(values: list[int]) -> Fraction:
    return Fraction(sum(values), len(values))


# exact oracles --------------------------------------------------------------------------------------------------------


def sma_oracle(x: list[int], fast: int, slow: int) -> list[float]:
    out = []
    for t in range(len(x)):
        known = t >= slow - 1
        gap = mean(x[t - fast + 1 : t + 1]) - mean(x[t - slow + 1 : t + 1]) if known else Fraction(0)
        out.append(float((gap > 0) - (gap < 0)))
    return out


def reversion_oracle(x: list[int], n: int) -> list[float]:
    out = []
    for t in range(len(x)):
        gap = mean(x[t - n + 1 : t + 1]) - x[t] if t >= n - 1 else Fraction(0)
        out.append(float((gap > 0) - (gap < 0)))
    return out


def bollinger_oracle(x: list[int], n: int, width: int) -> list[float]:
    out, held = [], 0.0
    for t in range(len(x)):
        if t >= n - 1:
            part = x[t - n + 1 : t + 1]
            middle = mean(part)
            variance = sum((Fraction(v) - middle) ** 2 for v in part) / n
            away = x[t] - middle
            if variance > 0 and away**2 >= width**2 * variance:
                held = 1.0 if away < 0 else 0.0
        out.append(held)
    return out


def rsi_oracle(x: list[int], n: int, lower: int, upper: int) -> list[float]:
    out, held = [], 0.0
    changes = [Fraction(b - a) for a, b in pairwise(x)]
    gain = loss = Fraction(0)
    for t in range(len(x)):
        if t >= n:
            if t == n:
                gain = sum((max(c, Fraction(0)) for c in changes[:n]), Fraction(0)) / n
                loss = sum((max(-c, Fraction(0)) for c in changes[:n]), Fraction(0)) / n
            else:
                gain = (gain * (n - 1) + max(changes[t - 1], Fraction(0))) / n
                loss = (loss * (n - 1) + max(-changes[t - 1], Fraction(0))) / n
            if gain + loss > 0:
                strength = 100 * gain / (gain + loss)
                near = min(abs(strength - lower), abs(strength - upper)) < Fraction(1, 10**9)
                assume(not near)      # a draw within rounding of a limit proves nothing
                held = 1.0 if strength < lower else 0.0 if strength > upper else held
        out.append(held)
    return out


@settings(max_examples=60, deadline=None)
@given(CENTS, st.integers(1, 6), st.integers(1, 6))
def test_sma_cross_is_that_of_rational_arithmetic(cents: list[int], fast: int, more: int) -> None:
    found = run("sma_cross", np.array(cents) / 100.0, fast=fast, slow=fast + more, short=True)
    assert found == sma_oracle(cents, fast, fast + more)
    assert run("sma_cross", np.array(cents) / 100.0, fast=fast, slow=fast + more) == [max(one, 0.0) for one in found]


@settings(max_examples=60, deadline=None)
@given(CENTS, st.integers(2, 7))
def test_mean_reversion_and_momentum_are_exact(cents: list[int], period: int) -> None:
    close = np.array(cents) / 100.0
    assert run("mean_reversion", close, period=period, short=True) == reversion_oracle(cents, period)
    expected = [0.0 if t < period else float((cents[t] > cents[t - period]) - (cents[t] < cents[t - period]))
                for t in range(len(cents))]  # fmt: skip
    assert run("momentum", close, period=period, short=True) == expected


@settings(max_examples=60, deadline=None)
@given(CENTS, st.integers(2, 7), st.sampled_from([1, 2]))
def test_bollinger_is_exact(cents: list[int], period: int, width: int) -> None:
    assert run("bollinger", np.array(cents) / 100.0, period=period, width=float(width)) == bollinger_oracle(cents, period, width)


@settings(max_examples=60, deadline=None)
@given(CENTS, st.integers(2, 7))
def test_rsi_is_that_of_rational_arithmetic_away_from_its_limits(cents: list[int], period: int) -> None:
    expected = rsi_oracle(cents, period, 30, 70)
    assert run("rsi", np.array(cents) / 100.0, period=period) == expected


def test_a_tie_of_decimal_prices_is_flat_where_floats_would_see_a_cross() -> None:
    """0.1, 0.2, 0.3: in binary the mean of the three is above 0.2."""
    close = np.array([0.1, 0.2, 0.3, 0.2, 0.2, 0.2])
    assert np.mean(close[:3]) != 0.2
    assert run("mean_reversion", [0.1, 0.3, 0.2], period=3) == [0.0, 0.0, 0.0]
    assert run("sma_cross", [0.3, 0.1, 0.2], fast=1, slow=3, short=True) == [0.0, 0.0, 0.0]


# the indicators, which equal TA-Lib's -----------------------------------------------------------------------------------


def walk(rows: int = 3000, seed: int = 1) -> Any:
    steps = np.random.default_rng(seed).normal(0, 0.01, rows)
    return np.round(100 * np.exp(np.cumsum(steps)), 2)


def latch(on: Any, off: Any) -> list[float]:
    held, out = 0.0, []
    for one, other in zip(on, off, strict=True):
        held = 1.0 if one else 0.0 if other else held
        out.append(held)
    return out


def test_the_defaults_follow_the_indicators() -> None:
    close = walk()
    default = lambda name: strategy(name).targets({"close": close})  # noqa: E731
    strength = np.nan_to_num(indicators.rsi(close, 14), nan=50.0)
    assert default("rsi").tolist() == latch(strength < 30, strength > 70)
    place = np.nan_to_num(indicators.bollinger_percent_b(close, 20, 2.0), nan=0.5)
    assert default("bollinger").tolist() == latch(place <= 0, place >= 1)
    lines = indicators.macd(close)
    away = np.abs(lines.histogram) > 1e-9
    assert (default("macd")[away] == (lines.histogram > 0)[away]).all()
    assert (~away[33:]).sum() == 0, "the comparison leaves no row out"
    gap = indicators.sma(close, 10) - indicators.sma(close, 20)
    clear = np.abs(gap) > 1e-9
    assert (default("sma_cross")[clear] == (gap > 0)[clear]).all()


def test_wide_prices_take_the_float_path_and_say_the_same() -> None:
    """Closes with eight decimals do not fit as squares; the rule is the same within rounding."""
    close = walk() * 1000 + np.random.default_rng(3).uniform(0, 1e-6, 3000).round(8)
    assert not bands_fit(close_units(close), 20)
    place = np.nan_to_num(indicators.bollinger_percent_b(close, 20, 2.0), nan=0.5)
    assert strategy("bollinger").targets({"close": close}).tolist() == latch(place <= 0, place >= 1)


# what holds for all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SMALL))
def test_a_target_rests_on_nothing_later(name: str) -> None:
    close = walk(200, seed=5)
    full = run(name, close)
    for rows in range(1, 200, 7):
        assert run(name, close[:rows]) == full[:rows]
        assert run(name, np.concatenate([close[:rows], close[rows:] * 3]))[:rows] == full[:rows]


@pytest.mark.parametrize("name", list(WARM))
@pytest.mark.parametrize("seed", range(6))
def test_the_warm_up_is_flat(name: str, seed: int) -> None:
    assert not any(run(name, walk(40, seed))[: WARM[name]])


@pytest.mark.parametrize("name", list(WARM))
def test_what_does_not_move_is_not_bought(name: str) -> None:
    changes = {"short": True} if name in ("sma_cross", "macd", "momentum", "mean_reversion") else {}
    assert not any(run(name, np.full(50, 1234.57), **changes))


@pytest.mark.parametrize("name", list(SMALL))
def test_the_unit_of_the_price_changes_nothing(name: str) -> None:
    close = walk(400, seed=9)
    assert run(name, close) == run(name, close * 1000)


@pytest.mark.parametrize("close", [[1.0, np.nan], [1.0, 0.0], [1.0, -2.0], [1.0, np.inf], [[1.0]], [1e17, 1.00000001]])
def test_closes_that_are_none_are_refused(close: list[float]) -> None:
    with pytest.raises(InvalidInput):
        strategy("momentum").targets({"close": np.array(close)})


def test_units_are_the_coarsest_that_carry_every_close() -> None:
    assert close_units([1.0, 20.0]).tolist() == [1, 20]
    assert close_units([1.05, 20.0]).tolist() == [105, 2000]
    assert close_units([0.12345678]).tolist() == [12_345_678]
    assert close_units([1 / 3]).tolist() == [33_333_333]
    assert strategy("sma_cross").targets({"close": np.empty(0)}).size == 0


def test_a_table_is_no_mapping_of_arrays() -> None:
    with pytest.raises(InvalidInput, match="closes"):
        strategy("momentum").targets([1.0, 2.0])


# projection -------------------------------------------------------------------------------------------------------------


def test_its_horizons_are_those_of_the_packets() -> None:
    assert projection.HORIZONS == HORIZONS


def test_a_projection_without_packets_is_refused() -> None:
    rule = CATALOGUE["projection"]()
    assert isinstance(rule, Projection)
    with pytest.raises(MissingData, match="packets"):
        rule.targets({"close": np.ones(3), "ts": np.arange(3)})
