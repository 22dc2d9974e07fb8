"""Which rows are the newest snapshot: a whole chain, or the last row of each contract where a source gives changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from fieldcast.fields.chain_rows import newest_snapshot
from fieldcast.ground import MissingData

NOON = datetime(2024, 1, 3, 17, tzinfo=UTC)


def rows(ts: datetime, contracts: range, bid: float) -> pl.DataFrame:
    stamp = pl.Datetime("us", "UTC")
    ids = [f"C{k}" for k in contracts]
    return pl.DataFrame(
        {"instrument": "X", "ts": ts, "available_at": ts, "contract_id": ids, "bid": bid, "quote_ts": None},
        schema_overrides={"quote_ts": stamp, "ts": stamp, "available_at": stamp},
    )


def test_a_whole_chain_is_taken_as_it_is_and_what_it_no_longer_lists_stays_out() -> None:
    chain = pl.concat([rows(NOON, range(20), 1.0), rows(NOON + timedelta(minutes=1), range(1, 20), 2.0)])
    found = newest_snapshot(chain, NOON + timedelta(minutes=2))
    assert found.height == 19
    assert set(found["bid"]) == {2.0}


def test_a_dozen_late_rows_are_not_the_market() -> None:
    chain = pl.concat([rows(NOON, range(20), 1.0), rows(NOON + timedelta(minutes=1), range(3), 2.0)])
    found = newest_snapshot(chain, NOON + timedelta(minutes=2)).sort("contract_id")
    assert found.height == 20
    assert found["ts"].unique().to_list() == [NOON + timedelta(minutes=1)]
    assert found.filter(pl.col("bid") == 2.0).height == 3
    assert found.filter(pl.col("bid") == 1.0)["quote_ts"].unique().to_list() == [NOON]


def test_rows_known_later_do_not_enter() -> None:
    chain = pl.concat([rows(NOON, range(20), 1.0), rows(NOON + timedelta(minutes=1), range(20), 2.0)])
    assert set(newest_snapshot(chain, NOON)["bid"]) == {1.0}
    with pytest.raises(MissingData):
        newest_snapshot(chain, NOON - timedelta(minutes=1))
