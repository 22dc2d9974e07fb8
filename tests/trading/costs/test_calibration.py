"""Recalibration: what quotes and fills say, what too few of them leave alone, and the dated files."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.market import Instrument, Kind
from fieldcast.trading import Side
from fieldcast.trading.costs import CostDistribution, CostProfile, ExecutionCosts, SessionBucket
from fieldcast.trading.costs.calibration import MeasuredFill, quote_samples, recalibrated
from fieldcast.trading.costs.files import dates, pointed_at, read_costs, restore_costs, write_costs

SPY = Instrument("ARCX:SPY", Kind.ETF)
NOW = datetime(2024, 3, 5, 0, tzinfo=UTC)
OPEN = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)


def quotes(moments: list[datetime], bid: float = 99.99, ask: float = 100.01) -> pl.DataFrame:
    return pl.DataFrame(
        {"ts": moments, "available_at": moments, "bid": [bid] * len(moments), "ask": [ask] * len(moments)},
        schema_overrides={"ts": pl.Datetime("us", "UTC"), "available_at": pl.Datetime("us", "UTC")},
    )


def every(seconds: int, count: int, start: datetime = OPEN) -> list[datetime]:
    return [start + timedelta(seconds=seconds * step) for step in range(count)]


def before(bps: float = 7.0) -> ExecutionCosts:
    known = CostDistribution.of(np.full(50, bps), NOW - timedelta(days=20))
    return ExecutionCosts(date(2024, 2, 13), {(SPY.id, SessionBucket.OPENING): CostProfile(known, known)})


def measured(earlier: ExecutionCosts | None, table: pl.DataFrame, **more: object):  # type: ignore[no-untyped-def]
    return recalibrated(earlier, as_of=NOW, instruments={SPY.id: SPY}, quotes={SPY.id: table}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "mean", "status"), [(9, 7.0, "unchanged"), (10, 2.0, "updated")])
def test_a_bucket_below_ten_samples_is_unchanged(count: int, mean: float, status: str) -> None:
    found = measured(before(), quotes(every(60, count)))
    profile = found.costs.get(SPY.id, SessionBucket.OPENING)
    assert profile.spread is not None
    assert profile.spread.mean_bps == pytest.approx(mean)
    assert found.buckets.filter(pl.col("kind") == "spread")["status"].to_list() == [status]
    if status == "unchanged":
        assert profile == before().get(SPY.id, SessionBucket.OPENING), "down to when it was measured"


def test_ten_samples_of_another_bucket_do_not_count_for_this_one() -> None:
    found = measured(before(), quotes(every(60, 9) + every(60, 10, OPEN + timedelta(hours=2))))
    assert found.costs.get(SPY.id, SessionBucket.OPENING) == before().get(SPY.id, SessionBucket.OPENING)
    midday = found.costs.get(SPY.id, SessionBucket.MIDDAY)
    assert midday.spread is not None
    assert midday.slippage is None


def test_what_is_older_than_the_look_back_or_not_known_yet_does_not_count() -> None:
    old = quotes(every(60, 50, OPEN - timedelta(days=8)))
    late = quotes(every(60, 50)).with_columns(available_at=pl.lit(NOW + timedelta(hours=1)))
    assert measured(None, old).costs.profiles == {}
    assert measured(None, late).costs.profiles == {}
    assert measured(None, old, look_back=timedelta(days=9)).costs.profiles != {}


def test_quotes_of_one_side_and_crossed_ones_are_dropped_and_counted() -> None:
    table = pl.concat([quotes(every(60, 12)), quotes(every(60, 3), 100.02, 100.0)])
    table = pl.concat([table, quotes(every(60, 2)).with_columns(ask=pl.lit(None, pl.Float64))])
    found = measured(None, table)
    assert (found.quotes, found.one_sided, found.crossed) == (17, 2, 3)
    spread = found.costs.get(SPY.id, SessionBucket.OPENING).spread
    assert spread is not None
    assert spread.sample_count == 12


def test_a_quote_bar_belongs_to_the_hours_in_which_it_lies() -> None:
    """The bar that ends at the open is the last minute before it."""
    ends = [OPEN, OPEN + timedelta(minutes=1)]
    bars = quotes(ends).rename({"bid": "bid_close", "ask": "ask_close"})
    found = measured(None, bars, least=1)
    assert {bucket for _, bucket in found.costs.profiles} == {SessionBucket.PRE_MARKET, SessionBucket.OPENING}


def fill(side: Side, price: str, at: datetime, reference: str = "100") -> MeasuredFill:
    return MeasuredFill(SPY.id, side, Decimal(price), Decimal(reference), at)


def test_slippage_is_what_was_paid_beyond_half_the_spread_of_the_moment() -> None:
    """Spread 2 bp; a purchase at 100.05 paid 5 bp, 4 beyond the half; a sale at 99.98 paid 2, 1 beyond it."""
    at = every(60, 10)
    fills = [fill(Side.BUY, "100.05", moment) for moment in at[:5]] + [fill(Side.SELL, "99.98", moment) for moment in at[5:]]
    slippage = measured(None, quotes(at), fills=fills).costs.get(SPY.id, SessionBucket.OPENING).slippage
    assert slippage is not None
    assert slippage.mean_bps == pytest.approx(2.5)
    assert slippage.p50_bps == pytest.approx(2.5)
    assert slippage.sample_count == 10


def test_a_fill_without_a_quote_in_its_last_minute_is_counted_and_left_out() -> None:
    at = every(60, 12)
    early, stale = at[0] - timedelta(seconds=1), at[-1] + timedelta(seconds=61)
    found = measured(None, quotes(at), fills=[fill(Side.BUY, "100.05", moment) for moment in (early, stale, at[3])], least=1)
    assert (found.fills, found.fills_without_spread) == (3, 2)
    slippage = found.costs.get(SPY.id, SessionBucket.OPENING).slippage
    assert slippage is not None
    assert slippage.sample_count == 1


def test_rows_that_are_no_quotes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="bid"):
        quote_samples(pl.DataFrame({"ts": [OPEN], "close": [1.0]}))


# files ----------------------------------------------------------------------------------------------------------------


def test_an_older_calibration_is_restored_and_nothing_is_lost(tmp_path: Path) -> None:
    first = measured(None, quotes(every(60, 20))).costs
    second = ExecutionCosts(date(2024, 3, 6), measured(None, quotes(every(60, 20), 99.9, 100.1)).costs.profiles)
    assert read_costs(tmp_path) is None
    write_costs(tmp_path, first)
    write_costs(tmp_path, second)
    assert (dates(tmp_path), pointed_at(tmp_path)) == ((date(2024, 3, 5), date(2024, 3, 6)), date(2024, 3, 6))
    restore_costs(tmp_path, date(2024, 3, 5))
    restored, later = read_costs(tmp_path), read_costs(tmp_path, date(2024, 3, 6))
    assert restored is not None
    assert later is not None
    assert restored.profiles == first.profiles
    assert later.profiles == second.profiles


def test_a_day_that_is_not_there_leaves_the_pointer(tmp_path: Path) -> None:
    write_costs(tmp_path, before())
    with pytest.raises(MissingData, match="2024-02-13"):
        restore_costs(tmp_path, date(2020, 1, 1))
    assert pointed_at(tmp_path) == date(2024, 2, 13)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"schema": 1}'])
def test_a_damaged_file_is_never_taken_for_costs(damage: bytes, tmp_path: Path) -> None:
    path = write_costs(tmp_path, before())
    path.write_bytes(damage)
    with pytest.raises(IntegrityError, match=r"2024-02-13\.json"):
        read_costs(tmp_path)


def test_a_file_under_another_days_name_is_refused(tmp_path: Path) -> None:
    path = write_costs(tmp_path, before())
    path.rename(tmp_path / "2024-02-14.json")
    with pytest.raises(IntegrityError, match="2024-02-13"):
        restore_costs(tmp_path, date(2024, 2, 14))


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_costs(tmp_path, before())
    later = ExecutionCosts(date(2024, 2, 14), before(9.0).profiles)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_costs(tmp_path, later)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2024-02-13.json", "latest"]
    assert pointed_at(tmp_path) == date(2024, 2, 13)


def test_files_are_plain_json_with_the_figures_by_name(tmp_path: Path) -> None:
    values = json.loads(write_costs(tmp_path, before()).read_text())
    row = values["profiles"][0]["spread"]
    assert {"mean_bps", "p50_bps", "p90_bps", "sample_count", "last_updated"} <= row.keys()
    assert row["sample_count"] == 50
