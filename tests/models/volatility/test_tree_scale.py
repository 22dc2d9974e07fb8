"""Trees over a scale of the next minutes: a planted state is found, from the past alone, and the same every time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.market import BARS
from fieldcast.models.volatility import RangeScale, TreeDesign, TreeScale, minute_design, tree_design
from fieldcast.models.volatility.tree_scale import LEAST_ROWS, ROUNDS

DAY = 1440
START = datetime(2022, 1, 3, tzinfo=UTC)


def coin(days: int, seed: int, start: datetime = START) -> pl.DataFrame:
    """Minute bars around the clock whose level wanders, with volumes of their own."""
    rng = np.random.default_rng(seed)
    n = days * DAY
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.998 * level[t - 1] + 0.03 * rng.standard_normal()
    steps = (2e-4 * np.exp(level))[:, None] * rng.standard_normal((n, 4))
    path = np.log(100.0) + np.cumsum(steps.ravel()).reshape(n, 4)
    opened = np.concatenate([[np.log(100.0)], path[:-1, -1]])
    inside = np.column_stack([opened, path])
    ends = np.datetime64(start.replace(tzinfo=None), "us") + (np.arange(n) + 1) * np.timedelta64(1, "m")
    ts = pl.Series(ends).dt.replace_time_zone("UTC")
    made = {
        "instrument": ["SIM:COIN"] * n,
        "ts": ts,
        "available_at": ts,
        "open": np.exp(opened),
        "high": np.exp(inside.max(axis=1)),
        "low": np.exp(inside.min(axis=1)),
        "close": np.exp(path[:, -1]),
        "volume": np.exp(rng.standard_normal(n)),
        "reasons": [None] * n,
    }
    return pl.DataFrame(made, schema_overrides=dict(BARS)).select(list(BARS))


def designed(bars: pl.DataFrame) -> TreeDesign:
    own = minute_design(bars, 15)
    return tree_design(bars, own, RangeScale().fitted(own, 15))


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return coin(14, 1)


@pytest.fixture(scope="module")
def design(bars: pl.DataFrame) -> TreeDesign:
    return designed(bars)


@pytest.fixture(scope="module")
def sigma(design: TreeDesign) -> np.ndarray:
    return TreeScale().fitted(design, 15)


def planted(days: int, seed: int, *, first_day: int = 19_000) -> tuple[TreeDesign, np.ndarray]:
    """Laplace returns three times as wide where a column is far from 0 on either side, over a base that knows nothing of it."""
    rng = np.random.default_rng(seed)
    n = days * DAY
    columns = rng.standard_normal((n, 3))
    wide = np.where(np.abs(columns[:, 0]) > 0.7, 3.0, 1.0)
    base = rng.uniform(1e-4, 1e-3, n)
    return TreeDesign(columns, base, base * wide * rng.laplace(size=n), first_day * DAY + 1 + np.arange(n)), wide


def test_trees_find_a_state_that_no_straight_line_can_tell() -> None:
    design, wide = planted(12, 2)
    state = wide[10 * DAY :] == 3.0
    for rounds, share, room in ((ROUNDS, 0.7, 0.2), (400, 1.0, 0.1)):  # few trees go part of the way
        found = np.log(TreeScale(rounds).fitted(design, 15) / design.base)[10 * DAY :]
        gap = found[state].mean() - found[~state].mean()
        assert gap == pytest.approx(share * np.log(3.0), abs=room * np.log(3.0))
        assert np.corrcoef(found, state)[0, 1] > 0.95


def test_where_the_base_is_right_almost_nothing_is_corrected() -> None:
    design, wide = planted(12, 3)
    right = TreeDesign(design.columns, design.base * wide, design.outcome, design.stamp)
    found = np.log(TreeScale().fitted(right, 15) / right.base)[10 * DAY :]
    assert np.std(found) < 0.1


def test_before_enough_rows_are_known_the_scale_is_the_base(design: TreeDesign, sigma: np.ndarray) -> None:
    days = np.flatnonzero(np.isfinite(design.base))[0] // DAY + LEAST_ROWS / (DAY / 5)
    early, late = slice(0, int(days) * DAY), slice((int(days) + 2) * DAY, None)
    np.testing.assert_array_equal(sigma[early], design.base[early])
    assert np.isfinite(sigma[late]).all()
    assert (sigma[late] != design.base[late]).mean() > 0.99


@pytest.mark.parametrize("rows", [10 * DAY + 1, 12 * DAY + 733, 13 * DAY])
def test_the_scale_of_a_row_is_that_of_the_bars_cut_there(bars: pl.DataFrame, sigma: np.ndarray, rows: int) -> None:
    cut = designed(bars[:rows])
    np.testing.assert_array_equal(TreeScale().fitted(cut, 15), sigma[:rows])
    assert cut.base[-1] != sigma[rows - 1]


def test_equal_bars_give_equal_scales_and_more_trees_others(design: TreeDesign, sigma: np.ndarray) -> None:
    np.testing.assert_array_equal(TreeScale().fitted(design, 15), sigma)
    assert not np.array_equal(TreeScale(ROUNDS + 5).fitted(design, 15), sigma)


def test_columns_are_what_the_bars_say(bars: pl.DataFrame, design: TreeDesign) -> None:
    own = minute_design(bars, 15)
    row = 9 * DAY + 17
    part = bars[: row + 1]
    price, high, low = (np.log(part[name].to_numpy()) for name in ("close", "high", "low"))
    volume, terms = part["volume"].to_numpy(), own.terms[row]
    unit = np.exp(terms[4] + terms[9])  # the mean range of 240 bars under the profile, and the season ahead
    wanted = [*terms[1:], (row + 1) % 60, abs(price[-1] - price[-2]) / unit]
    wanted += [(price[-1] - price[-1 - k]) / unit / k**0.5 for k in (5, 15, 60, 240, 720, 1440, 2880)]
    for k in (240, 1440):
        wanted += [(high[-k:].max() - price[-1]) / unit / k**0.5, (price[-1] - low[-k:].min()) / unit / k**0.5]
    wanted += [np.log(high[-1] - low[-1]) - terms[4]]
    for k in (15, 60):
        wanted += [np.log(np.abs(np.diff(price[-1 - k :])).mean()) - terms[4], np.log((high - low)[-k:].max()) - terms[4]]
    wanted += [np.log(volume[-k:].mean() / volume[-DAY:].mean()) for k in (1, 5, 15, 60, 240)]
    np.testing.assert_allclose(design.columns[row], wanted, rtol=1e-9, atol=1e-12)
    assert np.isnan(design.columns[0]).any()


def test_units_of_price_and_volume_leave_the_scale_as_it_is(bars: pl.DataFrame, design: TreeDesign) -> None:
    prices = [pl.col(name) * 8.0 for name in ("open", "high", "low", "close")]
    made = designed(bars.with_columns(*prices, volume=pl.col("volume") / 8.0))
    np.testing.assert_allclose(made.columns, design.columns, rtol=1e-6, atol=1e-6)


def test_a_volume_that_is_not_known_is_missing_and_not_zero(bars: pl.DataFrame) -> None:
    silent = bars.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    made = designed(silent)
    assert np.isnan(made.columns[:, -5:]).all()
    assert np.isfinite(made.columns[3 * DAY :, :-5]).all()
    found = TreeScale().fitted(made, 15)
    assert np.isfinite(found[10 * DAY :]).all()
    nothing = designed(bars.with_columns(volume=pl.lit(0.0)))
    assert np.isnan(nothing.columns[:, -5:]).all()


def test_earlier_spans_teach_the_first_days_and_have_to_be_earlier() -> None:
    past, _ = planted(10, 5, first_day=18_000)
    now, wide = planted(3, 6)
    alone, taught = TreeScale().fitted(now, 15), TreeScale().fitted(now, 15, [past])
    np.testing.assert_array_equal(alone, now.base)
    found = np.log(taught / now.base)
    assert found[wide == 3.0].mean() - found[wide == 1.0].mean() > 0.5 * np.log(3.0)
    with pytest.raises(InvalidInput, match="expected earlier spans to end before"):
        TreeScale().fitted(now, 15, [now])


def test_what_cannot_be_fitted_is_refused(bars: pl.DataFrame, design: TreeDesign) -> None:
    own = minute_design(bars, 15)
    with pytest.raises(InvalidInput, match="one round or more"):
        TreeScale(0)
    for horizon in (0, 1441):
        with pytest.raises(InvalidInput, match="horizon of 1 to 1440"):
            TreeScale().fitted(design, horizon)
    with pytest.raises(InvalidInput, match="of one length"):
        tree_design(bars, own, np.ones(10))
    for wrong in (0.0, -1.0, np.inf):
        with pytest.raises(InvalidInput, match="base above 0"):
            tree_design(bars, own, np.full(bars.height, wrong))
    still = TreeDesign(design.columns, design.base, np.zeros(bars.height), design.stamp)
    with pytest.raises(InvalidInput, match="never moved"):
        TreeScale().fitted(still, 15)
