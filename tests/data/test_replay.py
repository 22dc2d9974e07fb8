"""Replay: stored rows come as they became known, restatements twice, and nothing before its time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.replay import replay
from fieldcast.data.simulated import BarMarket, crypto, equity, simulate_bars
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, sessions_between, table_of

FETCHED = datetime(2024, 6, 1, tzinfo=UTC)


def lineage(fetched_at: datetime = FETCHED) -> Lineage:
    return Lineage(provider="test", dataset="test", fetched_at=fetched_at)


def daily(id: str, closes: list[float], late: timedelta = timedelta()) -> pl.DataFrame:
    ts = sessions_between("XNYS", date(2024, 1, 2), date(2024, 3, 1))["close"].head(len(closes))
    values = dict.fromkeys(("open", "high", "low", "close"), closes)
    return pl.DataFrame(
        {"instrument": [id] * len(closes), "ts": ts, "available_at": ts + late, **values, "volume": [1.0] * len(closes),
         "reasons": [None] * len(closes)}, schema=BARS,
    )  # fmt: skip


def test_a_simulated_market_replays_in_the_order_of_its_bars_and_keeps_its_label():
    store, made = MemoryStore(), []
    for item in simulate_bars(BarMarket(1, (equity("A"), crypto("B")), date(2023, 6, 1), date(2023, 6, 5))):
        store.append(item.bars, item.lineage, table="bars/1m")
        made.append(item.bars)
    events = list(replay(store, ["SIM:A", "SIM:B"], "bars/1m", date(2023, 6, 1), date(2023, 6, 6)))
    expected = pl.concat(made).sort("available_at", "instrument")
    assert [(event.at, event.instrument) for event in events] == list(expected.select("available_at", "instrument").rows())
    assert pl.DataFrame([dict(event.row) for event in events], schema=BARS).equals(expected)
    assert all(event.simulated and not event.restated and event.table == "bars/1m" for event in events)


def test_rows_come_when_they_were_known_and_not_when_they_happened():
    store = MemoryStore()
    store.append(daily("XTST:LATE", [1.0, 2.0, 3.0], late=timedelta(days=2)), lineage())
    store.append(daily("XTST:SOON", [1.0, 2.0, 3.0]), lineage())
    events = list(replay(store, ["XTST:LATE", "XTST:SOON"], "bars/1d", date(2024, 1, 1), date(2024, 1, 31)))
    assert [(event.instrument[5:], event.row["close"]) for event in events] == [
        ("SOON", 1.0), ("SOON", 2.0), ("LATE", 1.0), ("SOON", 3.0), ("LATE", 2.0), ("LATE", 3.0),
    ]  # fmt: skip
    assert [event.at for event in events] == sorted(event.at for event in events)
    for moment in {event.at for event in events}:       # a consumer never knows more than the store knew
        got = {(event.instrument, event.row["ts"]) for event in events if event.at <= moment}
        for name in ("XTST:LATE", "XTST:SOON"):
            assert {ts for id, ts in got if id == name} == set(store.read(name, as_of=moment)["ts"])


def test_a_restated_row_comes_twice_each_time_when_it_was_known():
    store = MemoryStore()
    first = daily("XTST:A", [1.0, 2.0, 3.0])
    store.append(first, lineage())
    for days, value in ((5, 2.5), (40, 2.75)):
        again = first[1:2].with_columns(
            pl.lit(value).alias(name) for name in ("open", "high", "low", "close")
        ).with_columns(available_at=pl.col("ts") + timedelta(days=days))
        store.append(again, lineage(FETCHED + timedelta(days=days)))
    events = list(replay(store, ["XTST:A"], "bars/1d", date(2024, 1, 1), date(2024, 1, 31)))
    assert [(event.row["close"], event.restated) for event in events] == [
        (1.0, False), (2.0, False), (3.0, False), (2.5, True), (2.75, True),
    ]  # fmt: skip
    known: dict[datetime, float] = {}
    for event in events:
        known[event.row["ts"]] = event.row["close"]
        assert list(known.values()) == store.read("XTST:A", as_of=event.at)["close"].to_list()


def test_other_tables_replay_too_and_what_cannot_be_is_refused_at_once():
    store = MemoryStore()
    macro = pl.DataFrame(
        {"instrument": ["FRED:CPI"] * 2, "ts": [datetime(2024, 1, 31, tzinfo=UTC)] * 2, "value": [3.1, 3.2], "unit": ["%"] * 2,
         "available_at": [datetime(2024, 2, 13, 13, 30, tzinfo=UTC), datetime(2024, 3, 12, 12, 30, tzinfo=UTC)], "reasons": [None]
         * 2},
        schema_overrides=dict(table_of("macro").schema),
    ).select(list(table_of("macro").schema))  # fmt: skip
    store.append(macro, lineage(), table="macro")
    events = list(replay(store, ["FRED:CPI"], "macro", date(2024, 1, 1), date(2024, 2, 1)))
    assert [(event.at.month, event.row["value"], event.restated) for event in events] == [(2, 3.1, False), (3, 3.2, True)]
    for names, table, first, error in (
        (["XTST:NONE"], "bars/1d", date(2024, 1, 1), MissingData), ([], "macro", date(2024, 1, 1), InvalidInput),
        (["FRED:CPI"] * 2, "macro", date(2024, 1, 1), InvalidInput), (["FRED:CPI"], "macros", date(2024, 1, 1), InvalidInput),
        (["FRED:CPI"], "macro", date(2025, 1, 1), InvalidInput),
    ):  # fmt: skip
        with pytest.raises(error, match="expected"):
            replay(store, names, table, first, date(2024, 2, 1))
