"""The panel: rectangular, as known at each decision, cut without a trace of the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.features.panel import STALE, Panel, panel
from fieldcast.ground import InvalidInput

FIELDS = ("open", "high", "low", "close", "volume")


@pytest.fixture
def two(bars_of, vix_of) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    first, second = bars_of(60, 1), bars_of(60, 2)
    return {"XTST:A": first, "XTST:B": second[20:]}, {"vix": vix_of(first)}


def same(one: Panel, other: Panel) -> None:
    np.testing.assert_array_equal(one.session, other.session)
    np.testing.assert_array_equal(one.decision, other.decision)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name, column in one.covariates.items():
        np.testing.assert_array_equal(column, other.covariates[name], err_msg=name)


def test_every_value_is_the_bar_of_its_session(two) -> None:
    bars, covariates = two
    made = panel(bars, covariates)
    assert made.instruments == ("XTST:A", "XTST:B")
    assert made.close.shape == (60, 2)
    assert np.isnan(made.close[:20, 1]).all()
    assert not np.isnan(made.close[20:]).any()
    for name in FIELDS:
        for i, table in enumerate(bars.values()):
            np.testing.assert_array_equal(getattr(made, name)[60 - table.height :, i], table[name].to_numpy())
    wanted = [ts.date() for ts in bars["XTST:A"]["ts"]]
    assert made.session.tolist() == wanted
    assert made.decision.tolist() == [(ts + timedelta(minutes=30)).replace(tzinfo=None) for ts in bars["XTST:A"]["ts"]]
    np.testing.assert_array_equal(made.covariates["vix"], covariates["vix"]["close"].to_numpy())


def test_returns_are_those_of_the_closes_and_unknown_across_a_gap(two) -> None:
    bars, _ = two
    gap = bars["XTST:B"].filter(pl.int_range(pl.len()) != 5)  # row 25 of the panel
    made = panel({**bars, "XTST:B": gap})
    close = bars["XTST:A"]["close"].to_numpy()
    found = made.log_return(5)
    for t in range(60):
        expected = np.log(close[t + 5] / close[t]) if t + 5 < 60 else np.nan
        np.testing.assert_allclose(found[t, 0], expected, rtol=1e-10, atol=1e-14)
    assert np.flatnonzero(np.isfinite(found[:, 1])).tolist() == [*range(26, 55)]  # 20..25 look across the gap, or start in it
    opened = bars["XTST:A"]["open"].to_numpy()
    np.testing.assert_allclose(made.overnight()[1:, 0], np.log(opened[1:] / close[:-1]), rtol=1e-10, atol=1e-14)
    assert np.isnan(made.overnight()[0]).all()
    assert np.isnan(made.overnight()[25:27, 1]).all()
    assert np.isnan(made.log_return(60)).all()
    with pytest.raises(InvalidInput, match="at least 1"):
        made.log_return(0)


@pytest.mark.parametrize("row", [0, 19, 20, 41, 58])
def test_a_cut_panel_is_the_panel_of_cut_bars(two, row: int) -> None:
    bars, covariates = two
    made = panel(bars, covariates)
    as_of = made.decision[row].item().replace(tzinfo=UTC)
    seen = {name: table.filter(pl.col("available_at") <= as_of) for name, table in bars.items()}
    seen = {name: table for name, table in seen.items() if table.height}
    known = {name: table.filter(pl.col("available_at") <= as_of) for name, table in covariates.items()}
    cut, fresh = made.cut(as_of), panel(seen, known)
    assert cut.rows == row + 1
    same(Panel(**{**vars(cut), "instruments": fresh.instruments, **{f: getattr(cut, f)[:, : len(seen)] for f in FIELDS}}), fresh)
    assert made.cut(as_of - timedelta(microseconds=1)).rows == row
    with pytest.raises(InvalidInput, match="zone"):
        made.cut(datetime(2001, 1, 1))  # noqa: DTZ001


def test_a_bar_known_only_after_its_decision_is_not_in_the_panel(two) -> None:
    bars, _ = two
    late = bars["XTST:A"].with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 30).then(pl.col("ts") + timedelta(days=2)).otherwise("available_at")
    )
    made = panel({**bars, "XTST:A": late})
    assert made.late == 1
    assert np.isnan([getattr(made, name)[30, 0] for name in FIELDS]).all()
    assert np.isfinite(made.close[[29, 31], 0]).all()


def test_the_covariate_is_the_newest_known_one_and_grows_stale(two) -> None:
    bars, covariates = two
    vix = covariates["vix"].with_columns(
        available_at=pl.when(pl.int_range(pl.len()) == 10).then(pl.col("ts") + timedelta(hours=20)).otherwise("available_at")
    )[:40]
    joined = panel({"XTST:A": bars["XTST:A"]}, {"vix": vix}).covariates["vix"]
    close = vix["close"].to_numpy()
    assert joined[10] == close[9]  # its own row was not out yet
    assert joined[11] == close[11]
    last = bars["XTST:A"]["ts"][39]
    for t in range(40, 60):
        fresh = bars["XTST:A"]["ts"][t] + timedelta(minutes=30) - last <= STALE
        assert (joined[t] == close[39]) if fresh else np.isnan(joined[t])


def test_a_day_that_ends_at_midnight_is_its_own_session(bars_of) -> None:
    round_the_clock = bars_of(10).with_columns(pl.col("ts").dt.truncate("1d") + timedelta(days=1)).with_columns(available_at="ts")
    made = panel({"CRYP:X": round_the_clock})
    assert made.session.tolist() == [(ts - timedelta(days=1)).date() for ts in round_the_clock["ts"]]


def test_one_side_of_the_range_alone_is_no_range(bars_of) -> None:
    bars = bars_of(10).with_columns(low=pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise("low"))
    made = panel({"XTST:A": bars})
    assert np.isnan([made.high[4, 0], made.low[4, 0]]).all()
    assert np.isfinite([made.open[4, 0], made.close[4, 0]]).all()


def test_what_is_no_daily_panel_is_refused(bars_of, vix_of) -> None:
    bars = bars_of(10)
    with pytest.raises(InvalidInput, match="at least one instrument"):
        panel({})
    hourly = pl.concat([bars, bars.with_columns(pl.col("ts") - timedelta(hours=1), available_at="ts")]).sort("ts")
    with pytest.raises(InvalidInput, match="one daily bar"):
        panel({"XTST:A": hourly})
    vix = vix_of(bars)
    with pytest.raises(InvalidInput, match="missing close"):
        panel({"XTST:A": bars}, {"vix": vix.drop("close")})
    with pytest.raises(InvalidInput, match="ascending"):
        panel({"XTST:A": bars}, {"vix": vix.reverse()})
    with pytest.raises(InvalidInput, match="positive close"):
        panel({"XTST:A": bars}, {"vix": vix.with_columns(close=-pl.col("close"))})
    with pytest.raises(InvalidInput, match="instrument out of"):
        panel({"XTST:A": bars}).column("XTST:B")
