"""Tiers: what a formula declares, what is refused, pinned values, and tiers on top of tiers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.features import tiers
from fieldcast.features._inputs import read_bars
from fieldcast.features.tiers import Group, read
from fieldcast.ground import InvalidInput

sys.path.insert(0, str(Path(__file__).parent))
from tier_bars import tier_bars

REFERENCES = json.loads((Path(__file__).parent / "data" / "references.json").read_text(encoding="utf-8"))
BY_NAME = {column.name: column for column in tiers.COLUMNS}


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return tier_bars()


@pytest.fixture(scope="module")
def table(bars: pl.DataFrame) -> pl.DataFrame:
    return features.compute(bars, ["a500"])


def test_every_column_is_null_in_its_warm_up_known_right_after_bounded_and_not_constant(table: pl.DataFrame) -> None:
    for name, column in BY_NAME.items():
        assert table[name].null_count() == column.warmup, name
        known = table[name].drop_nulls()
        assert known.is_finite().all(), name
        assert column.low is None or known.min() >= column.low, name
        assert column.high is None or known.max() <= column.high, name
        assert known.n_unique() > 1, name


def test_no_two_columns_are_the_same_but_for_a_straight_line() -> None:
    values = features.compute(tier_bars(4000, seed=5), ["a500"]).drop("ts").drop_nulls()
    matrix = values.to_numpy()
    alike = np.abs(np.corrcoef(matrix.T))
    np.fill_diagonal(alike, 0.0)
    assert alike.max() < 0.99999, [values.columns[place] for place in np.unravel_index(alike.argmax(), alike.shape)]


def test_every_value_equals_the_one_worked_out_from_its_formula(table: pl.DataFrame) -> None:
    for name in BY_NAME:
        assert table[name][-1] == pytest.approx(REFERENCES["values"][name], rel=1e-6, abs=1e-9), name


@pytest.mark.slow
def test_every_row_of_every_column_equals_its_formula_by_definition(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    inputs = read_bars(bars)
    leaves = {"O": inputs.open, "H": inputs.high, "L": inputs.low, "C": inputs.close, "V": inputs.volume} | tiers.calendar(inputs)
    memo: dict[int, np.ndarray] = {}
    for name, column in BY_NAME.items():
        expected = tiers.rederive(column.formula, leaves, memo).copy()
        expected[: column.warmup] = np.nan
        np.testing.assert_allclose(table[name].to_numpy(), expected, rtol=1e-8, atol=1e-9, equal_nan=True, err_msg=name)


def test_yang_and_zhang_by_their_paper(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    """Sample variances (n - 1) of the night and of open to close, k = 0.34 / (1.34 + (n + 1) / (n - 1)), Yang and Zhang 2000."""
    o, h, l, c = (np.log(bars[name].to_numpy()) for name in ("open", "high", "low", "close"))  # noqa: E741
    for row in (25, 400, 1299):
        at = slice(row - 19, row + 1)
        night, day = o[at] - c[row - 20 : row], c[at] - o[at]
        k = 0.34 / (1.34 + 21 / 19)
        ranges = ((h - o) * (h - c) + (l - o) * (l - c))[at].mean()
        wanted = np.sqrt(252 * (night.var(ddof=1) + k * day.var(ddof=1) + (1 - k) * ranges))
        assert table["yang_zhang_20"][row] == pytest.approx(wanted, rel=1e-9)


def test_the_calendar_is_that_of_the_bars_last_instant(bars: pl.DataFrame, table: pl.DataFrame) -> None:
    days = bars["ts"].dt.date()
    for row in (0, 17, 400, 1299):
        day = days[row]
        assert table["weekday"][row] == pytest.approx(day.weekday() / 6)
        assert table["monday"][row] == float(day.weekday() == 0)
        assert table["friday"][row] == float(day.weekday() == 4)
        assert table["month"][row] == pytest.approx((day.month - 1) / 11)
        assert table["quarter_end_month"][row] == float(day.month in (3, 6, 9, 12))
        left = days[row : row + 1].dt.month_end()[0] - day
        assert table["month_left"][row] == pytest.approx(left.days / 31)


def test_look_back_unit_and_bounds_follow_from_the_formula() -> None:
    node = read("log(C / mean(C, 50))")
    assert (node.warmup, node.price, node.volume, node.inputs) == (49, 0.0, 0.0, ("close",))
    assert read("mean(C * V, 20)").price == read("mean(C * V, 20)").volume == 1.0
    assert read("std(R, 20)").warmup == 20
    assert (read("rank(R, 60)").low, read("rank(R, 60)").high) == (0.0, 1.0)
    assert (read("rsi(C, 14) - lag(rsi(C, 14), 5)").low, read("2 * rsi(C, 14) - 1").low) == (-1.0, -1.0)
    # a rank jumps: a recursion below it has to be forgotten twice over
    assert read("rank(atr(14) / C, 60)").warmup == read("atr(14) / C").warmup + 187 + 59
    assert read("C") is read("C")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("log(C)", "logarithm of a plain number"),
        ("C + V", "like units"),
        ("C > V", "like units"),
        ("where(R > 0, C, V)", "like units"),
        ("mean(C)", "1 series and 1 numbers"),
        ("mean(C, V)", "1 series and 1 numbers"),
        ("mean(C, 2.5)", "whole number of rows"),
        ("lag(C, -1)", "whole number of rows"),
        ("future(C, 1)", "known words"),
        ("X / C", "an abbreviation"),
        ("C /", "expected a formula"),
        ("C if R > 0 else O", "known words"),
        ("().__class__", "known words"),
    ],
)  # fmt: skip
def test_what_is_not_a_formula_is_refused(formula: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(formula)


def test_a_column_that_moves_with_the_level_is_refused() -> None:
    for formula in ("mean(C, 20)", "V / mean(C, 20)", "sqrt(C)", "slope(C, 20)"):
        with pytest.raises(InvalidInput, match="free of the level"):
            tiers.column_of("x", "b", "u", formula, "s")


@pytest.mark.parametrize("count", [1000, 2000])
def test_a_tier_of_lags_and_rolling_statistics_is_made_from_the_largest_one(bars: pl.DataFrame, count: int) -> None:
    below = tiers.tiers()["a500"]
    made = tiers.derive(f"a{count}", below, count)
    assert len(made.columns) == len(set(made.names)) == count
    assert made.names[:500] == below.names
    assert set(made.names) > set(below.names)
    more = [column for column in made.columns if column.name not in set(below.names)]
    assert {column.block for column in more} == {f"a{count}.added"}
    assert max(column.warmup for column in more) <= 1000
    table = features.compute_tier(bars, made)
    assert table.columns == ["ts", *made.names]
    lagged = next(column for column in more if column.name.endswith("_lag_1"))
    base = lagged.name.removesuffix("_lag_1")
    known = table[lagged.name].is_not_null()
    assert known.sum() == bars.height - lagged.warmup
    assert (table[lagged.name].filter(known) == table[base].shift(1).filter(known)).all()
    cut = features.compute_tier(bars.head(1200), made)
    for name in made.names[500:]:
        np.testing.assert_allclose(cut[name].to_numpy(), table[name].head(1200).to_numpy(), rtol=1e-9, atol=1e-9, equal_nan=True)


def test_a_tie_of_prices_on_ticks_is_a_tie_whatever_the_scale() -> None:
    """24.85 - 24.80 and 24.80 - 24.75 are not equal in binary; as prices they are, times any constant."""
    o, c, h, low = (np.array([value]) for value in (24.75, 24.80, 24.85, 24.70))
    for scale in (1.0, 7.3, 1 / 3, 1e-4):
        leaves = {"O": o * scale, "H": h * scale, "L": low * scale, "C": c * scale}
        for sign, expected in ((">=", 1.0), (">", 0.0), ("<", 0.0), ("<=", 1.0)):
            formula = f"H - C {sign} C - O"
            assert tiers.run({"x": formula}, leaves)["x"][0] == tiers.rederive(formula, leaves)[0] == expected, (formula, scale)


def test_a_tier_adds_something_new_or_is_refused() -> None:
    below = tiers.tiers()["a50"]
    for groups, message in (
        ((), "to add columns"),
        ((Group("u", "s", {"return_1": "log(C / lag(C, 9))"}),), "twice"),
        ((Group("u", "s", {"again": below.formulas["return_5"]}),), "twice"),
        ((Group("u", "s", {"price": "mean(C, 3)"}),), "free of the level"),
    ):
        with pytest.raises(InvalidInput, match=message):
            tiers.extend("mine", below, groups)
    made = tiers.extend("mine", below, (Group("log return", "own", {"return_9": "log(C / lag(C, 9))"}),))
    assert made.names == (*below.names, "return_9")
    with pytest.raises(InvalidInput, match="more lags or windows"):
        tiers.derive("a100000", below, 100_000)


def test_a_tier_can_stand_beside_other_blocks_but_not_beside_its_own_parts(bars: pl.DataFrame) -> None:
    assert features.compute(bars, ["a50", "volatility"]).width == 1 + 50 + 11
    with pytest.raises(InvalidInput, match="at most once"):
        features.columns(["a20", "a50"])


def test_a_bar_without_volume_costs_the_columns_that_read_it_and_no_others(bars: pl.DataFrame) -> None:
    hole = bars.with_columns(volume=pl.when(pl.int_range(pl.len()) == 1250).then(None).otherwise(pl.col("volume")))
    table = features.compute(hole, ["a200"])
    assert table["volume_ratio_20"][1250:1270].null_count() == 20
    assert table["volume_ratio_20"][1270:].null_count() == 0
    assert table["return_1"][1250:].null_count() == 0


def test_no_bars_make_no_rows(bars: pl.DataFrame) -> None:
    assert features.compute(bars.clear(), ["a500"]).shape == (0, 501)
    assert features.compute(bars.head(3), ["a500"]).height == 3
