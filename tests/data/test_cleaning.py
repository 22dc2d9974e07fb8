"""Cleaning of every table: each rule fires exactly once on a planted fault, and nothing else does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore, Severity
from fieldcast.data.cleaning import SEVERITIES, WORDS, clean_rows, outside_hours, rules_of
from fieldcast.ground import Reason
from fieldcast.market import DAILY, PRICES, STAMP, TABLES, Instrument, Kind, Table, add_reason, has_reason, segments, table_of

NOW = datetime(2024, 1, 1, tzinfo=UTC)
START = datetime(2023, 11, 20, 15, 0, tzinfo=UTC)
SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)
TABLE_NAMES = [name for name in TABLES if name != DAILY]
AT = 7


def sound(table: Table, n: int = 20) -> pl.DataFrame:
    """Rows in which no rule finds anything, whatever the table."""
    ts = pl.Series([START + timedelta(minutes=k) for k in range(n)]).cast(STAMP)
    columns: dict[str, object] = {}
    for name, dtype in table.schema.items():
        if name in ("ts", "available_at"):
            columns[name] = ts
        elif dtype == pl.Float64:
            columns[name] = pl.Series([100.0 + k / 100 for k in range(n)])
        elif dtype == pl.Int64:
            columns[name] = list(range(n))
        elif dtype == pl.Boolean:
            columns[name] = [False] * n
        elif dtype == STAMP:
            columns[name] = ts + timedelta(days=30)
        else:
            columns[name] = ["x"] * n
    columns |= {"instrument": [SPY.id] * n, "reasons": [None] * n}
    columns |= {name: [words[0]] * n for name, words in WORDS.get(table.kind, {}).items()}
    return pl.DataFrame(columns, schema=dict(table.schema))


def plant(rows: pl.DataFrame, at: int = AT, **values: object) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == at
    new = {
        name: value if isinstance(value, pl.Expr) else pl.lit(value, dtype=rows.schema[name]) for name, value in values.items()
    }
    return rows.with_columns(pl.when(here).then(value).otherwise(name).alias(name) for name, value in new.items())


def fault(table: Table, reason: Reason) -> pl.DataFrame | None:
    """Sound rows with one fault in row AT; none where the table has no such rule."""
    rows = sound(table)
    floats = [name for name, dtype in table.schema.items() if dtype == pl.Float64]
    nullable = next((name for name in table.required if name not in table.key), None) or next(
        (name for name in (*table.key, *table.required) if name != "ts"), None
    )
    match reason:
        case Reason.STAMP_MISSING:
            return plant(rows, ts=None)
        case Reason.STAMP_IMPOSSIBLE:
            return plant(rows, ts=pl.lit(-70_000_000_000_000_000).cast(STAMP))  # the year 249 before Christ
        case Reason.FUTURE_STAMP:
            return plant(rows, ts=NOW + timedelta(days=1), available_at=NOW + timedelta(days=1))
        case Reason.KNOWN_BEFORE_EVENT:
            return plant(rows, available_at=START - timedelta(days=1))
        case Reason.VALUE_MISSING:
            if nullable == "action":
                return plant(rows, ratio=None)
            return plant(rows, **{nullable: None})
        case Reason.VALUE_NOT_FINITE:
            return plant(rows, **{floats[0]: np.inf})
        case Reason.VALUE_NOT_POSITIVE:
            return plant(rows, **{table.positive[0]: 0.0})
        case Reason.VALUE_NEGATIVE:
            return plant(rows, **{table.non_negative[0]: -1.0})
        case Reason.VALUES_OUT_OF_ORDER:
            low, high = table.ordered[0]
            return plant(rows, **{low: pl.col(high) * 2})
        case Reason.VALUE_NOT_ALLOWED:
            return plant(rows, **{next(iter(WORDS[table.kind])): "neither"})
        case Reason.DUPLICATE_STAMP:
            return pl.concat([rows, rows.slice(AT, 1)])
        case Reason.OPEN_OUTSIDE_RANGE:
            return plant(rows, open=pl.col("high") * 1.01)
        case Reason.CLOSE_OUTSIDE_RANGE:
            return plant(rows, low=pl.col("close") * 1.001, high=pl.col("close") * 1.002, open=pl.col("close") * 1.001)
        case Reason.QUOTE_CROSSED:
            bid, ask = ("bid", "ask") if "bid" in table.schema else ("bid_close", "ask_close")
            return plant(rows, **{bid: pl.col(ask) * 1.01})
        case Reason.VOLUME_NOT_REPORTED:
            return plant(rows, volume=None)
        case Reason.VOLUME_ZERO:
            return plant(rows, volume=0.0)
        case Reason.OUTSIDE_HOURS:
            evening = pl.col("ts") + pl.duration(hours=9)
            return plant(rows, at=rows.height - 1, ts=evening, available_at=evening)
        case Reason.LARGE_MOVE:
            crash = {name: pl.col(name) * 0.94 for name in ("open", "high", "low", "close")}
            return plant(rows, at=rows.height - 1, **crash)
    return None


CASES = [
    (name, reason) for name in TABLE_NAMES for reason in rules_of(table_of(name)) if reason is not Reason.STUB_BAR
]


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_sound_rows_of_every_table_pass_untouched(name):
    rows = sound(table_of(name))
    kept, report = clean_rows(rows, table_of(name), NOW, [SPY])
    assert kept.equals(rows.sort(table_of(name).version_key))
    assert (report.removed, report.flagged, report.rows_in, report.rows_out) == ({}, {}, rows.height, rows.height)


@pytest.mark.parametrize(("name", "reason"), CASES)
def test_each_rule_fires_exactly_once_on_its_fault(name, reason):
    table = table_of(name)
    rows = fault(table, reason)
    assert rows is not None, f"no planted fault for {reason}: write one"
    kept, report = clean_rows(rows, table, NOW, [SPY])
    if SEVERITIES[reason] is Severity.ERROR:
        assert (report.removed, report.flagged) == ({reason: 1}, {})
        assert kept.height == rows.height - 1
        assert report.quarantine["reason"].to_list() == [str(reason)]
        assert report.quarantine["row"].to_list() == [rows.height - 1 if reason is Reason.DUPLICATE_STAMP else AT]
    else:
        assert (report.removed, report.flagged) == ({}, {reason: 1})
        assert kept.height == rows.height


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_the_report_names_every_rule_of_the_table_and_its_severity(name):
    table = table_of(name)
    rows = fault(table, Reason.FUTURE_STAMP)
    said = clean_rows(rows, table, NOW, [SPY])[1].table()
    assert said["reason"].to_list() == [str(reason) for reason in rules_of(table)]
    assert said.filter(pl.col("rows") > 0)["reason"].to_list() == ["future_stamp"]
    for row in said.iter_rows(named=True):
        assert row["severity"] == str(SEVERITIES[Reason(row["reason"])])


def test_every_rule_is_tried_on_some_table():
    assert {reason for name in TABLE_NAMES for reason in rules_of(table_of(name))} == set(SEVERITIES)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_what_is_kept_can_be_stored(name):
    table = table_of(name)
    faults = [fault(table, reason) for reason in rules_of(table) if reason is not Reason.STUB_BAR]
    shifted = [rows.with_columns(pl.col("ts", "available_at") + pl.duration(days=30 * k)) for k, rows in enumerate(faults)]
    kept, report = clean_rows(pl.concat(shifted), table, NOW + timedelta(days=900), [SPY])
    lineage = Lineage(provider="test", dataset="test", fetched_at=NOW)
    assert MemoryStore().append(kept, lineage, table=name).rows_added == kept.height
    assert report.rows_in == kept.height + sum(report.removed.values())


def test_rows_that_contradict_each_other_all_go():
    table = table_of("trades")
    rows = sound(table)
    other = rows.slice(AT, 1).with_columns(price=pl.col("price") + 1)
    _, report = clean_rows(pl.concat([rows, other]), table, NOW)
    assert report.removed == {Reason.DUPLICATE_STAMP: 2}


def test_a_restatement_is_no_duplicate():
    table = table_of("macro")
    rows = sound(table)
    later = rows.slice(AT, 1).with_columns(pl.col("available_at") + pl.duration(days=1), pl.col("value") + 1)
    kept, report = clean_rows(pl.concat([rows, later]), table, NOW)
    assert report.removed == {}
    assert kept.height == rows.height + 1


def test_a_crash_of_twelve_percent_within_a_session_is_kept_and_flagged():
    rows = sound(table_of("bars/1m"), 60)
    fell = pl.when(pl.int_range(pl.len()) >= 30).then(0.88).otherwise(1.0)
    rows = rows.with_columns(pl.col(name) * fell for name in ("open", "high", "low", "close"))
    kept, report = clean_rows(rows, table_of("bars/1m"), NOW, [SPY])
    assert report.flagged == {Reason.LARGE_MOVE: 1}
    assert kept.height == 60
    assert kept.drop("reasons").equals(rows.drop("reasons"))
    assert kept.with_row_index().filter(has_reason("large_move"))["index"].to_list() == [30]
    covariate = Instrument(id=SPY.id, kind=Kind.INDEX, tradable=False)
    assert clean_rows(rows, table_of("bars/1m"), NOW, [covariate])[1].flagged == {}
    crypto = Instrument(id=SPY.id, kind=Kind.CRYPTO, calendar="24/7")  # 12 % is below half of what is large for crypto
    assert Reason.LARGE_MOVE in clean_rows(rows, table_of("bars/1m"), NOW, [crypto])[1].flagged
    assert clean_rows(rows.with_columns(pl.col("close") / fell * (1 + (fell - 1) * 0.9)), table_of("bars/1m"), NOW, [crypto])[
        1
    ].flagged.get(Reason.LARGE_MOVE) is None


def odd(id: str, factor: float) -> pl.DataFrame:
    """Minutes with an open above the high, a bar without volume, a crash and a bar of the evening."""
    table = table_of("bars/1m")
    rows = plant(fault(table, Reason.OUTSIDE_HOURS), at=3, open=pl.col("high") * 1.01)
    rows = plant(plant(rows, at=5, volume=0.0), at=18, **{name: pl.col(name) * factor for name in PRICES})
    return rows.with_columns(instrument=pl.lit(id))


def test_several_instruments_are_judged_as_each_alone():
    """One instrument is judged by one evaluation of constants, several by looking each row's up: both say the same."""
    table, qqq = table_of("bars/1m"), Instrument(id="XNAS:QQQ", kind=Kind.ETF)
    parts = [odd(SPY.id, 0.94), odd(qqq.id, 0.99)]
    alone = [clean_rows(part, table, NOW, [SPY, qqq]) for part in parts]
    kept, report = clean_rows(pl.concat(parts), table, NOW, [SPY, qqq])
    assert kept.equals(pl.concat([own for own, _ in alone]))
    flagged = {"large_move": 2, "open_outside_range": 2, "outside_hours": 2, "volume_zero": 2}  # fallen, and risen again
    assert list(report.flagged.items()) == list(flagged.items())
    assert alone[1][1].flagged == {"open_outside_range": 1, "outside_hours": 1, "volume_zero": 1}
    mixed, said = clean_rows(pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=5), table, NOW, [SPY, qqq])
    assert mixed.equals(kept)
    assert (said.removed, said.flagged) == ({}, report.flagged)


def test_codes_join_those_that_a_row_already_has():
    table = table_of("bars/1m")
    rows = odd(SPY.id, 1.0).with_columns(reasons=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("simulated")))
    kept, report = clean_rows(plant(rows, at=19, reasons="outside_hours"), table, NOW, [SPY])
    said = {3: "open_outside_range", 5: "simulated,volume_zero", 19: "outside_hours"}
    assert kept["reasons"].to_list() == [said.get(at) for at in range(20)]
    assert report.flagged == {"open_outside_range": 1, "outside_hours": 1, "simulated": 1, "volume_zero": 1}


def test_an_unfinished_last_bar_is_flagged_and_a_quiet_market_is_not():
    rows = sound(table_of("bars/1m"))
    stub = plant(rows, at=19, volume=0.0)
    assert clean_rows(stub, table_of("bars/1m"), NOW, [SPY])[1].flagged == {Reason.VOLUME_ZERO: 1, Reason.STUB_BAR: 1}
    quiet = plant(stub, at=10, volume=0.0)
    assert clean_rows(quiet, table_of("bars/1m"), NOW, [SPY])[1].flagged == {Reason.VOLUME_ZERO: 2}
    moved = plant(stub, at=19, high=101.0)
    assert Reason.STUB_BAR not in clean_rows(moved, table_of("bars/1m"), NOW, [SPY])[1].flagged


@pytest.mark.parametrize(
    ("stamp", "outside"),
    [
        (datetime(2023, 11, 24, 14, 30, tzinfo=UTC), True),   # the bar that ends at the open
        (datetime(2023, 11, 24, 14, 31, tzinfo=UTC), False),
        (datetime(2023, 11, 24, 18, 0, tzinfo=UTC), False),   # a half-day: 13:00 New York
        (datetime(2023, 11, 24, 18, 1, tzinfo=UTC), True),
        (datetime(2023, 11, 25, 15, 0, tzinfo=UTC), True),    # Saturday
    ],
)
def test_hours_are_those_of_the_instruments_own_calendar(stamp, outside):
    rows = sound(table_of("bars/1m"), 1).with_columns(ts=pl.lit(stamp).cast(STAMP))
    assert outside_hours(rows, {SPY.id: SPY}).to_list() == [outside]
    assert outside_hours(rows, {SPY.id: Instrument(id=SPY.id, kind=Kind.CRYPTO, calendar="24/7")}).to_list() == [False]
    assert outside_hours(rows, {}).to_list() == [False]


def test_flags_are_added_to_what_the_source_said():
    rows = plant(sound(table_of("bars/1m")), volume=0.0).with_columns(add_reason("availability_assumed", pl.lit(value=True)))
    kept, _ = clean_rows(rows, table_of("bars/1m"), NOW, [SPY])
    assert kept["reasons"].unique().sort().to_list() == ["availability_assumed", "availability_assumed,volume_zero"]


def test_hours_of_a_whole_session_hold_all_of_its_minutes():
    spans = segments("XNYS").filter(pl.col("session") == date(2023, 11, 24))
    ends = pl.datetime_range(spans["start"][0] + timedelta(minutes=1), spans["end"][0], "1m", eager=True)
    rows = sound(table_of("bars/1m"), len(ends)).with_columns(ts=ends.cast(STAMP))
    assert not outside_hours(rows, {SPY.id: SPY}).any()
    assert len(ends) == 210


# real files ---------------------------------------------------------------------------------------------------------


def real_minutes(path: Path, stamp: str, **names: str) -> pl.DataFrame:
    """Bars of a file whose stamps are starts in UTC."""
    frame = pl.read_csv(path)
    start = pl.col(stamp).str.slice(0, 19).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").dt.replace_time_zone("UTC")
    end = start + pl.duration(minutes=1)
    values = [pl.col(names.get(name, name)).cast(pl.Float64).alias(name) for name in ("open", "high", "low", "close", "volume")]
    return frame.select(
        *(pl.lit(SPY.id).alias("instrument"), end.alias("ts"), end.alias("available_at"), *values),
        pl.lit(None, dtype=pl.String).alias("reasons"),
    )


def test_the_live_stub_at_the_end_of_a_real_file_is_flagged(realdata):
    names = {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}
    rows = real_minutes(realdata / "intraday" / "us_2026_1m" / "SPY_1m.csv.gz", "Datetime", **names)
    kept, report = clean_rows(rows, table_of("bars/1m"), datetime(2026, 11, 1, tzinfo=UTC), [SPY])
    assert report.removed == {}
    assert report.flagged == {Reason.VOLUME_ZERO: 4, Reason.STUB_BAR: 1}
    assert kept.filter(has_reason("stub_bar"))["ts"].to_list() == [kept["ts"].max()]


def test_extended_hours_of_a_real_file_are_flagged_across_the_end_of_summer_time(realdata):
    path = next((realdata / "intraday").glob("spy_1m_extended_hours*"))
    rows = real_minutes(path, "datetime")
    kept, report = clean_rows(rows, table_of("bars/1m"), datetime(2026, 11, 1, tzinfo=UTC), [SPY])
    local = kept.with_columns(at=pl.col("ts").dt.convert_time_zone("America/New_York"))
    minute = pl.col("at").dt.hour().cast(pl.Int32) * 60 + pl.col("at").dt.minute()
    inside = local.filter(minute.is_between(571, 960))
    assert report.rows_in == rows.height
    assert report.flagged[Reason.OUTSIDE_HOURS] == kept.height - inside.height > 3000
    assert inside.filter(has_reason("outside_hours")).is_empty()
