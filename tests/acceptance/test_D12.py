"""D12, cleaning and quality checks.

Done when: "Each rule fires exactly once on a planted-fault frame, and a genuine 12 % crash bar is kept and flagged".
"""

from __future__ import annotations

import importlib.util
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore, Options, Severity, clean, import_source, quality
from fieldcast.data.cleaning import clean_rows, rules_of
from fieldcast.data.rules import SEVERITY
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import (
    BARS,
    DAILY,
    DECISION_DELAY,
    TABLES,
    Instrument,
    Kind,
    conform,
    has_reason,
    segments,
    sessions_between,
    table_of,
)

pytestmark = pytest.mark.feature("D12")
OPEN_PARTS: tuple[str, ...] = ()

SPY = Instrument(id="ARCX:SPY", kind=Kind.ETF)
NOW = datetime(2023, 3, 1, tzinfo=UTC)
CRASH = 60
# row → the fault planted in it; the last two are planted as extra rows
FAULTS = {
    20: Reason.PRICE_MISSING,
    22: Reason.PRICE_NOT_FINITE,
    24: Reason.PRICE_NOT_POSITIVE,
    26: Reason.HIGH_BELOW_LOW,
    28: Reason.VOLUME_NEGATIVE,
    30: Reason.STAMP_MISSING,
    32: Reason.NOT_A_SESSION,
    34: Reason.FUTURE_STAMP,
    36: Reason.OPEN_OUTSIDE_RANGE,
    38: Reason.CLOSE_OUTSIDE_RANGE,
    40: Reason.VOLUME_NOT_REPORTED,
}


def planted_rows() -> ModuleType:
    """tests/data/test_cleaning.py, whose `sound` makes rows of any table."""
    path = Path(__file__).parents[1] / "data" / "test_cleaning.py"
    spec = importlib.util.spec_from_file_location("fieldcast_planted_rows", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLANTED_ROWS = planted_rows()
NOTES = {
    Reason.CLOSE_ONLY,
    Reason.OPEN_SYNTHETIC,
    Reason.SIMULATED,
    Reason.LAST_BAR_UNPROVEN,
}  # said by the source or the import, no fault of a row


def sound() -> list[dict[str, object]]:
    """81 bars, 1 % a day, with a crash of 12 % (close to close) at row CRASH."""
    random = np.random.default_rng(7)
    ts = sessions_between("XNYS", date(2022, 11, 1), date(2023, 2, 28))["close"].to_list()
    returns = random.normal(0, 0.01, len(ts))
    returns[CRASH] = np.log(0.88)
    close = 100 * np.exp(np.cumsum(returns))
    rows = []
    for k, stamp in enumerate(ts):
        opened = close[max(k - 1, 0)] * (1 + 0.002 * (-1) ** k)
        high, low = max(opened, close[k]) * 1.002, min(opened, close[k]) * 0.998
        values = (SPY.id, stamp, stamp, opened, high, low, close[k], 1e6, None)
        rows.append(dict(zip(BARS, values, strict=True)))
    return rows


def planted() -> pl.DataFrame:
    rows = sound()
    rows[20]["close"] = float("nan")
    rows[22]["high"] = float("inf")
    rows[24]["low"] = -1.0
    rows[26]["high"] = rows[26]["low"] * 0.9  # type: ignore[operator]
    rows[28]["volume"] = -5.0
    rows[30]["ts"] = None
    rows[32]["ts"] = datetime(2022, 12, 25, 21, tzinfo=UTC)
    rows[34]["ts"] = datetime(2023, 3, 1, 21, tzinfo=UTC)
    rows[36]["open"] = rows[36]["high"] * 1.01  # type: ignore[operator]
    rows[38]["high"] = rows[38]["open"] = rows[38]["close"] * 0.9999  # type: ignore[operator]
    rows[40]["volume"] = float("nan")
    rows.append(dict(rows[50]))  # the same row twice
    return pl.DataFrame(rows, schema=BARS)


def test_each_rule_fires_exactly_once_on_a_planted_fault_frame():
    frame = planted()
    kept, report = clean(frame, SPY, NOW)
    expected = set(FAULTS.values()) | {Reason.DUPLICATE_STAMP, Reason.LARGE_MOVE}
    assert {**report.removed, **report.flagged} == dict.fromkeys(expected, 1)
    assert expected | NOTES == set(SEVERITY)  # every rule there is was planted
    found = dict(report.quarantine.select("row", "reason").iter_rows())
    errors = {row: str(reason) for row, reason in FAULTS.items() if SEVERITY[reason] is Severity.ERROR}
    assert found == errors | {len(frame) - 1: "duplicate_stamp"}
    assert kept.height == frame.height - len(found)


def test_the_report_says_severity_action_and_count_of_every_rule():
    table = clean(planted(), SPY, NOW)[1].table()
    by_reason = {row["reason"]: row for row in table.iter_rows(named=True)}
    for reason, severity in SEVERITY.items():
        row = by_reason[str(reason)]
        assert row["rows"] == (0 if reason in NOTES else 1)
        assert row["severity"] == str(severity)
        assert row["action"] == ("removed" if severity is Severity.ERROR else "kept")


def test_a_genuine_crash_bar_of_twelve_percent_is_kept_and_flagged():
    frame = pl.DataFrame(sound(), schema=BARS)
    kept, report = clean(frame, SPY, NOW)
    assert kept.height == frame.height
    flagged = kept.filter(has_reason("large_move"))
    assert flagged["ts"].to_list() == [frame["ts"][CRASH]]
    assert flagged["close"][0] / frame["close"][CRASH - 1] == pytest.approx(0.88)
    assert flagged.drop("reasons").equals(frame.slice(CRASH, 1).drop("reasons"))
    assert report.flagged == {Reason.LARGE_MOVE: 1}
    assert quality(kept, SPY, kept["ts"][-1] + DECISION_DELAY).score > 0.95


def test_nulls_and_types_are_checked_when_a_file_comes_in(tmp_path):
    frame = pl.DataFrame(sound(), schema=BARS)
    text = frame.select(pl.col("ts").dt.date().alias("Date"), "open", "high", "low", "close", "volume").write_csv()
    lines = text.splitlines()
    lines[5] = lines[5].split(",")[0] + ",,,,,"
    lines[9] = lines[9].split(",")[0] + ",one,two,three,four,five"
    (tmp_path / "spy.csv").write_text("\n".join(lines))
    options = Options(now=NOW, instrument=SPY)
    report = import_source(tmp_path / "spy.csv", options, store=MemoryStore())
    assert (report.rows_read, report.rows_kept, sum(report.removed.values())) == (81, 79, 2)  # each bad row is counted once
    assert sorted(report.quarantine["row"]) == [4, 8]
    assert set(report.removed) <= {Reason.PRICE_MISSING, Reason.ROW_UNREADABLE}  # nothing there, or what is no number
    (tmp_path / "types.csv").write_text("Date,Close\n2023-01-03,high\n2023-01-04,low\n")
    with pytest.raises(InvalidInput, match="price_missing 2"):
        import_source(tmp_path / "types.csv", options, store=MemoryStore())


@pytest.mark.parametrize("name", [name for name in TABLES if name != DAILY])
def test_each_rule_of_every_other_table_has_a_severity_and_a_count(name):
    """That each of them fires exactly once on its fault is asserted in tests/data/test_cleaning.py."""
    rules = rules_of(table_of(name))
    kept, report = clean_rows(table_of(name).empty(), table_of(name), NOW, [SPY])
    said = report.table()
    assert said["reason"].to_list() == [str(reason) for reason in rules]
    assert set(said["severity"]) <= {"error", "warning", "note"}
    assert said["rows"].sum() == kept.height == 0
    assert {Reason.STAMP_MISSING, Reason.FUTURE_STAMP, Reason.DUPLICATE_STAMP} <= set(rules)


@pytest.mark.parametrize("name", [name for name in TABLES if name != DAILY])
def test_a_sound_frame_of_every_other_table_keeps_all_its_rows(name):
    table = table_of(name)
    rows = PLANTED_ROWS.sound(table)
    kept, report = clean_rows(rows, table, PLANTED_ROWS.NOW, [SPY])
    assert (rows.height, kept.height) == (20, 20)
    assert kept.equals(rows.sort(table.version_key))
    assert (report.removed, report.flagged) == ({}, {})


def test_sound_daily_bars_keep_all_their_rows():
    frame = pl.DataFrame(sound(), schema=BARS)
    kept, report = clean(frame, SPY, NOW)
    assert kept["ts"].to_list() == frame["ts"].to_list()
    assert (report.removed, set(report.flagged)) == ({}, {Reason.LARGE_MOVE})


def test_a_crash_of_twelve_percent_in_one_minute_is_kept_and_flagged():
    spans = segments("XNYS").filter(pl.col("session") == date(2023, 2, 27))
    ends = pl.datetime_range(spans["start"][0] + timedelta(minutes=1), spans["end"][0], "1m", eager=True)
    fell = np.where(np.arange(ends.len()) >= 200, 88.0, 100.0)
    bars = pl.DataFrame(
        {"instrument": SPY.id, "ts": ends, "available_at": ends, "open": fell, "high": fell, "low": fell, "close": fell}
    ).with_columns(volume=pl.lit(100.0), reasons=pl.lit(None, dtype=pl.String))
    kept, report = clean_rows(bars, table_of("bars/1m"), NOW, [SPY])
    assert report.flagged == {Reason.LARGE_MOVE: 1}
    assert kept.filter(has_reason("large_move"))["ts"].to_list() == [ends[200]]
    assert kept.drop("reasons").equals(conform(bars, BARS).drop("reasons"))
