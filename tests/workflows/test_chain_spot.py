"""The spot of a chain that states none: the store's own price as known then, else parity, else a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcast.data import Lineage, Options, import_source, load_instrument, save_instrument
from fieldcast.fields.chain_rows import newest_snapshot
from fieldcast.fields.pricing_chain import ChainRules, price_chain
from fieldcast.ground import ManualClock, MissingData, Settings
from fieldcast.market import default_instrument, table_of
from fieldcast.workflows import Workspace, open_workspace
from fieldcast.workflows.chain_ablations import _Lost, _priced
from fieldcast.workflows.chain_spot import OLDEST, chain_spot, stored_price
from fieldcast.workflows.fields import Known, chain_rules

NOW = datetime(2024, 3, 1, tzinfo=UTC)
SHARE = default_instrument("XNAS:PLT", "equity")
AT = datetime(2024, 1, 3, 20, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LINEAGE = Lineage("planted", "planted", NOW)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(settings=Settings(home=tmp_path / "home", workers=1), clock=ManualClock(NOW)) as opened:
        save_instrument(opened.ledger, SHARE)
        yield opened


def rows_of(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    schema = pl.Schema(table_of(table).schema)
    full = [{"instrument": SHARE.id, "available_at": row["ts"], **row} for row in rows]
    return pl.DataFrame(full, schema_overrides={name: schema[name] for name in full[0]}).match_to_schema(
        schema, missing_columns="insert"
    )


def bar(ts: datetime, close: float, **other: Any) -> dict[str, Any]:
    return {"ts": ts, "open": close, "high": close, "low": close, "close": close, "volume": 1.0, **other}


def quote(ts: datetime, bid: float | None, ask: float | None) -> dict[str, Any]:
    return {"ts": ts, "sequence": 0, "bid": bid, "ask": ask, "bid_size": 1.0, "ask_size": 1.0}


def chain(style: str, stated: float | None = None) -> pl.DataFrame:
    contract = {"ts": AT, "contract_id": "PLT   240119C00100000", "root": "PLT", "expiry_ts": AT + 16 * timedelta(days=1),
                "strike": 100.0, "right": "call", "multiplier": 100.0, "bid": 1.0, "ask": 1.1, "exercise_style": style,
                "underlying_price": stated}  # fmt: skip
    return rows_of("chains", contract)


def put(workspace: Workspace, table: str, *rows: dict[str, Any], **lineage: Any) -> None:
    workspace.store.append(rows_of(table, *rows), replace(LINEAGE, **lineage), table=table)


def test_the_newest_price_up_to_the_moment_is_taken(workspace: Workspace) -> None:
    put(workspace, "bars/1m", bar(AT - 2 * MINUTE, 98.0), bar(AT - MINUTE, 99.0), bar(AT + MINUTE, 101.0))
    assert stored_price(workspace, SHARE.id, AT, AT + MINUTE) == (AT - MINUTE, 99.0, "bars/1m")
    assert stored_price(workspace, SHARE.id, AT - MINUTE, NOW) == (AT - MINUTE, 99.0, "bars/1m")
    assert stored_price(workspace, SHARE.id, AT - 3 * MINUTE, NOW) is None, "a later price is never taken"


def test_a_price_older_than_five_minutes_is_none(workspace: Workspace) -> None:
    put(workspace, "bars/1m", bar(AT - OLDEST, 99.0))
    assert stored_price(workspace, SHARE.id, AT, AT) == (AT - OLDEST, 99.0, "bars/1m")
    assert stored_price(workspace, SHARE.id, AT + timedelta(seconds=1), NOW) is None


def test_a_row_counts_as_it_was_known_at_the_decision(workspace: Workspace) -> None:
    """A bar that came an hour late, and one that was restated an hour later."""
    put(workspace, "bars/1m", bar(AT - MINUTE, 99.0), bar(AT, 100.0, available_at=AT + timedelta(hours=1)))
    put(workspace, "bars/1m", bar(AT - MINUTE, 77.0, available_at=AT + timedelta(hours=1)))
    assert stored_price(workspace, SHARE.id, AT, AT) == (AT - MINUTE, 99.0, "bars/1m")
    assert stored_price(workspace, SHARE.id, AT, AT + timedelta(hours=1)) == (AT, 100.0, "bars/1m")
    assert stored_price(workspace, SHARE.id, AT - MINUTE, AT + timedelta(hours=1)) == (AT - MINUTE, 77.0, "bars/1m")


def test_of_the_same_time_a_quote_goes_before_a_bar_and_an_unsound_one_is_none(workspace: Workspace) -> None:
    put(workspace, "bars/1m", bar(AT, 99.0))
    put(workspace, "quotes", quote(AT - MINUTE, 97.0, 98.0), quote(AT, 102.0, 104.0))
    assert stored_price(workspace, SHARE.id, AT, AT) == (AT, 103.0, "quotes")
    put(workspace, "quotes", quote(AT + MINUTE, 105.0, 104.0), quote(AT + 2 * MINUTE, None, 104.0))
    assert stored_price(workspace, SHARE.id, AT + 2 * MINUTE, NOW) == (AT, 103.0, "quotes")


def test_adjusted_prices_are_no_spot(workspace: Workspace) -> None:
    put(workspace, "bars/1m", bar(AT, 50.0), dataset="adjusted", adjustment="adjusted_only")
    assert stored_price(workspace, SHARE.id, AT, AT) is None
    put(workspace, "bars/1m", bar(AT - MINUTE, 100.0))
    assert stored_price(workspace, SHARE.id, AT, AT) == (AT - MINUTE, 100.0, "bars/1m")


def test_what_the_chain_states_stands_before_the_store_and_parity_behind_it(workspace: Workspace) -> None:
    rules = ChainRules()
    with pytest.raises(MissingData, match=r"expected a price of XNAS:PLT .* found none, and parity gives none of American"):
        chain_spot(workspace, SHARE, chain("american"), AT, rules)
    by_parity = chain_spot(workspace, SHARE, chain("european"), AT, rules)
    assert (by_parity.price, by_parity.source, by_parity.rules) == (None, "parity", replace(rules, spot="parity"))
    put(workspace, "bars/1m", bar(AT, 99.0))
    for style in ("american", "european"):
        found = chain_spot(workspace, SHARE, chain(style), AT, rules)
        assert (found.price, found.source, found.ts, found.rules) == (99.0, "bars/1m", AT, rules)
        assert chain_spot(workspace, SHARE, chain(style, stated=101.0), AT, rules).source == "stated"


# the real minute files of GOOG and SPX ---------------------------------------------------------------------------------


def imported(workspace: Workspace, folder: Path, pattern: str) -> str:
    ids = set()
    for file in sorted(folder.glob(pattern)):
        report = import_source(file, Options(now=NOW), store=workspace.store)
        for one in report.instruments:
            save_instrument(workspace.ledger, one)
            ids.add(one.id)
    (found,) = ids
    return found


@pytest.mark.slow
def test_the_real_goog_chain_is_priced_by_the_shares_own_minutes(workspace: Workspace, realdata: Path) -> None:
    name = imported(workspace, realdata / "options" / "lean_minute" / "goog", "*_[qo]*_american.zip")
    day = date(2015, 12, 24)
    at = datetime(2015, 12, 24, 17, 0, tzinfo=UTC)      # an hour before the early close
    source = Known(workspace, load_instrument(workspace.ledger, name), {})
    rows = source.chains(at)
    assert rows is not None
    snapshot, lost = newest_snapshot(rows, at), _Lost()
    assert snapshot["underlying_price"].null_count() == snapshot.height, "LEAN states none"
    assert _priced(source, snapshot, at, lost, "the newest chain") is None
    assert "expected a price of USA:GOOG" in lost.notes[0]
    assert imported(workspace, realdata / "intraday" / "lean_equity_minute" / "goog", "*.zip") == name
    spot = chain_spot(workspace, source.instrument, snapshot, at, chain_rules(source.instrument))
    assert spot.source == "quote_bars/1m"
    assert spot.ts is not None
    assert timedelta(0) <= snapshot["ts"].max() - spot.ts <= OLDEST
    minutes = workspace.store.read(name, table="bars/1m", first=day, last=day).filter(pl.col("ts") <= at)
    assert spot.price == pytest.approx(minutes["close"][-1], rel=1e-3)
    priced = _priced(source, snapshot, at, _Lost(), "the newest chain")
    assert priced is not None
    assert priced.spot == spot.price
    assert len(priced) > 500
    earlier = chain_spot(workspace, source.instrument, newest_snapshot(rows, at - timedelta(hours=1)), at, ChainRules())
    assert earlier.ts is not None
    assert earlier.ts <= at - timedelta(hours=1)
    assert earlier.price != spot.price
    with pytest.raises(MissingData, match="found none in the chain"):
        price_chain(snapshot, at)
