"""Short and off-exchange pressure: known only when the file is, added up once, and never a share above one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.fields.liquidity import short_pressure
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import table_of

SCHEMA = dict(table_of("short_volume").schema)
POSTED = timedelta(hours=2)  # after the close: 18:00 New York


def reported(bars: pl.DataFrame, seed: int = 0, market: str = "B,Q,N") -> pl.DataFrame:
    random = np.random.default_rng(seed)
    total = (bars["volume"] * random.uniform(0.3, 0.6, bars.height)).round(0)
    short = (total * random.uniform(0.3, 0.7, bars.height)).round(0)
    return pl.DataFrame(
        {
            "instrument": bars["instrument"],
            "ts": bars["ts"],
            "available_at": bars["ts"] + POSTED,
            "short_volume": short,
            "short_exempt_volume": short * 0.01,
            "total_volume": total,
            "market": [market] * bars.height,
            "reasons": [None] * bars.height,
        },
        schema=SCHEMA,
    )


@pytest.fixture(scope="module")
def some(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.head(120)


def test_the_file_of_a_day_is_not_there_at_five_and_is_at_six(some: pl.DataFrame) -> None:
    table, close = reported(some), some["ts"][-1]
    five = short_pressure(table, some, close + timedelta(hours=1))
    six = short_pressure(table, some, close + timedelta(hours=2))
    assert five.table["ts"][-1] == some["ts"][-2]
    assert six.table["ts"][-1] == some["ts"][-1]
    assert (six.table["available_at"] <= six.as_of).all()


def test_ratio_standing_and_share_are_their_formulas(some: pl.DataFrame) -> None:
    table = reported(some)
    found = short_pressure(table, some, some["ts"][-1] + POSTED)
    ratio = (table["short_volume"] / table["total_volume"]).to_numpy()
    np.testing.assert_allclose(found.table["short_ratio"], ratio)
    for row in (20, 77, 119):
        before = ratio[row - 20 : row]
        assert found.table["short_ratio_z"][row] == pytest.approx((ratio[row] - before.mean()) / before.std())
    np.testing.assert_allclose(found.table["off_exchange_share"], table["total_volume"] / some["volume"])
    assert found.reading().values == {name: found.table[name][-1] for name in found.values}
    assert set(found.values) == {"short_ratio", "short_ratio_z", "off_exchange_share"}


def test_a_restated_row_and_a_late_bar_count_from_when_they_were_known(some: pl.DataFrame) -> None:
    table = reported(some)
    later = table[60].with_columns(short_volume=pl.lit(0.0), available_at=pl.col("available_at") + timedelta(days=30))
    both = pl.concat([table, later])
    at = table["available_at"][60] + timedelta(days=30)
    assert short_pressure(both, some, at - timedelta(seconds=1)).table["short_ratio"][60] > 0
    assert short_pressure(both, some, at).table["short_ratio"][60] == 0
    slow = some.with_columns(available_at=pl.col("ts") + timedelta(days=3))
    found = short_pressure(table, slow, some["ts"][-1] + POSTED)
    assert found.table["off_exchange_share"][-1] is None
    assert found.reasons["off_exchange_share"] is Reason.VOLUME_NOT_REPORTED
    assert "short_ratio" in found.values


def test_venues_are_added_up_once(some: pl.DataFrame) -> None:
    parts = [reported(some, seed, market) for seed, market in enumerate(("N", "Q"))]
    whole = (
        pl.concat(parts)
        .group_by("instrument", "ts", "available_at", maintain_order=True)
        .agg(pl.col("short_volume", "short_exempt_volume", "total_volume").sum())
        .with_columns(market=pl.lit("N,Q"), reasons=pl.lit(None, dtype=pl.String))
        .select(list(SCHEMA))
    )
    as_of = some["ts"][-1] + POSTED
    split, joined = (short_pressure(table, None, as_of).table for table in (pl.concat(parts), pl.concat([*parts, whole])))
    assert split.equals(joined)


def test_a_share_above_one_is_refused_and_says_why(some: pl.DataFrame) -> None:
    thin = some.with_columns(volume=pl.col("volume") / 10)
    found = short_pressure(reported(some), thin, some["ts"][-1] + POSTED)
    assert found.table["off_exchange_share"].null_count() == some.height
    assert found.reasons == {"off_exchange_share": Reason.VALUES_OUT_OF_ORDER}


def test_what_is_missing_has_a_reason(some: pl.DataFrame) -> None:
    nothing = short_pressure(reported(some).clear(), some, some["ts"][-1])
    assert set(nothing.reasons.values()) == {Reason.NO_DATA}
    early = short_pressure(reported(some), some, some["ts"][10] + POSTED)
    assert early.reasons == {"short_ratio_z": Reason.WARMING_UP}
    idle = reported(some).with_columns(short_volume=pl.lit(0.0), short_exempt_volume=pl.lit(0.0), total_volume=pl.lit(0.0))
    found = short_pressure(idle, some, some["ts"][-1] + POSTED)
    assert found.reasons["short_ratio"] is Reason.UNDEFINED
    with pytest.raises(InvalidInput, match="one instrument"):
        short_pressure(pl.concat([idle, idle.with_columns(instrument=pl.lit("XNAS:ELSE"))]), None, some["ts"][-1] + POSTED)


@pytest.mark.realdata
def test_real_short_volume_of_an_etf(realdata: Path) -> None:
    (path,) = (realdata / "short_volume").glob("finra_FNYX*")
    store = MemoryStore()
    import_source(path, Options(now=datetime(2026, 11, 1, tzinfo=UTC)), store=store)
    for symbol in ("XRT", "IWM", "VTI"):
        rows = store.read(f"USA:{symbol}", table="short_volume")
        assert rows.height > 2_000
        found = short_pressure(rows, None, rows["available_at"].max())
        assert found.table["short_ratio"].drop_nulls().is_between(0, 1).all()
        assert found.reasons["off_exchange_share"] is Reason.VOLUME_NOT_REPORTED
        cut = short_pressure(rows, None, rows["available_at"][50])
        assert cut.table.equals(found.table.head(cut.table.height))
