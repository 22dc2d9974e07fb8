"""D13, quality agent.

Done when: "All eight reasons are produced by planted faults, and each state transition has a test in both directions".

The eight reasons are those of the reference (mini-quant-fund 2.7): no data or column, few rows, prices missing, prices not
positive, zero volume, flash spike, missing sessions, open gap.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.cli import main
from fieldcast.data import Lineage, save_instrument
from fieldcast.data.freshness import freshness
from fieldcast.data.quality import THRESHOLD, quality, quality_of
from fieldcast.data.rules import LARGE_MOVE
from fieldcast.data.states import DWELL, State, record_state, reinstate, size_multiplier, state_history, state_of
from fieldcast.ground import ManualClock, Reason
from fieldcast.ledger import open_database
from fieldcast.market import BARS, DECISION_DELAY, Instrument, Kind, default_instrument, segments, sessions_between
from fieldcast.workflows import open_workspace

pytestmark = pytest.mark.feature("D13")
OPEN_PARTS: tuple[str, ...] = ()

AAPL = Instrument(id="XNAS:AAPL", kind=Kind.EQUITY)
BTC = default_instrument("CRYP:BTC", Kind.CRYPTO)
PRICES = ("open", "high", "low", "close")


def walk(instrument: Instrument, ts: pl.Series, sd: float) -> pl.DataFrame:
    random, n = np.random.default_rng(13), len(ts)
    close = 100 * np.exp(np.cumsum(random.normal(0, sd, n)))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(random.normal(0, sd / 10, n))
    high, low = np.maximum(opened, close) * (1 + sd / 10), np.minimum(opened, close) * (1 - sd / 10)
    columns = [[instrument.id] * n, ts, ts, opened, high, low, close, np.rint(random.lognormal(12, 0.4, n)), [None] * n]
    return pl.DataFrame(dict(zip(BARS, columns, strict=True)), schema=BARS)


def daily(instrument: Instrument = AAPL, first: date = date(2018, 1, 2)) -> pl.DataFrame:
    closes = sessions_between(instrument.calendar, first, date(2023, 12, 29))["close"]
    return walk(instrument, closes, LARGE_MOVE[instrument.kind] / 15)


def minute(instrument: Instrument = AAPL) -> pl.DataFrame:
    spans = segments(instrument.calendar).filter(pl.col("session").is_between(date(2023, 11, 20), date(2023, 12, 1)))
    start, end = (spans[name].dt.epoch("s").to_numpy() for name in ("start", "end"))
    ends = np.concatenate([np.arange(a + 60, b + 1, 60) for a, b in zip(start, end, strict=True)])
    return walk(instrument, pl.from_epoch(pl.Series(ends), "s").dt.replace_time_zone("UTC").cast(BARS["ts"]), 0.0005)


def last(bars: pl.DataFrame) -> datetime:
    return bars["ts"][-1] + DECISION_DELAY


def times(bars: pl.DataFrame, where: pl.Expr, factor: float, columns: tuple[str, ...] = PRICES) -> pl.DataFrame:
    return bars.with_columns(pl.when(where).then(pl.col(name) * factor).otherwise(name).alias(name) for name in columns)


def at_end(bars: pl.DataFrame, k: int) -> pl.Expr:
    return pl.int_range(pl.len()) == bars.height - k


def planted() -> dict[Reason, pl.DataFrame]:
    """Each of the eight reasons, and bars in which nothing else is wrong."""
    bars = daily()
    share = pl.int_range(pl.len()) % 12 == 0
    return {
        Reason.NO_DATA: bars.clear(),
        Reason.COLUMN_MISSING: bars.drop("volume"),
        Reason.FEW_ROWS: bars.tail(49),
        Reason.PRICE_MISSING: bars.with_columns(close=pl.when(share).then(None).otherwise("close")),
        Reason.PRICE_NOT_POSITIVE: times(bars, at_end(bars, 30), -1.0, ("low",)),
        Reason.VOLUME_ZERO: bars.with_columns(volume=pl.when(share).then(0.0).otherwise("volume")),
        Reason.FLASH_SPIKE: times(bars, at_end(bars, 30), 1.5),
        Reason.MISSING_SESSION: bars.filter(~(share & (pl.int_range(pl.len()) < bars.height - 1))),
        Reason.OPEN_GAP: times(bars, pl.int_range(pl.len()) >= bars.height - 30, 1.25),
    }


@pytest.mark.parametrize("reason", planted())
def test_each_of_the_eight_reasons_is_produced_by_its_fault_and_costs(reason):
    bars = daily()
    report = quality(planted()[reason], AAPL, last(bars))
    assert report.reasons[reason] > 0
    assert report.costs[reason] > 0
    assert report.score < 1.0
    assert report.score == pytest.approx(max(0.0, 1 - sum(report.costs.values())))
    also = {Reason.LARGE_MOVE} if reason in (Reason.FLASH_SPIKE, Reason.OPEN_GAP) else set()  # of which they are kinds
    also |= {Reason.MISSING_SESSION} if reason in (Reason.PRICE_MISSING, Reason.PRICE_NOT_POSITIVE) else set()  # the row goes
    also |= {Reason.OPEN_GAP} if reason is Reason.FLASH_SPIKE else set()
    assert set(report.reasons) - also == {reason}


STOPS = (Reason.NO_DATA, Reason.COLUMN_MISSING, Reason.FEW_ROWS, Reason.PRICE_MISSING, Reason.FLASH_SPIKE)


def test_the_threshold_of_six_tenths_stops_what_cannot_be_decided_on():
    bars = daily()
    assert THRESHOLD == 0.6
    assert quality(bars, AAPL, last(bars)).usable
    frames = planted()
    usable = {reason: quality(frame, AAPL, last(bars)).usable for reason, frame in frames.items()}
    assert {reason for reason, good in usable.items() if not good} >= set(STOPS)
    assert usable[Reason.OPEN_GAP]  # a stock that opens a quarter higher is news, no fault


def test_a_crash_that_is_not_taken_back_does_not_bar_the_instrument():
    """The reference lets one day of 30 % in five years stop an instrument for ever (its weakness 16)."""
    bars = daily()
    fell = times(bars, pl.int_range(pl.len()) >= bars.height - 30, 0.6)
    report = quality(fell, AAPL, last(bars))
    assert report.usable
    assert Reason.FLASH_SPIKE not in report.reasons
    assert Reason.LARGE_MOVE in report.reasons


@pytest.mark.parametrize("kind", [Kind.EQUITY, Kind.ETF, Kind.FX, Kind.CRYPTO, Kind.FUTURE])
def test_each_asset_class_has_its_own_limit_and_calendar(kind):
    instrument = default_instrument("TEST:ONE", kind)
    bars = daily(instrument, date(2022, 1, 3))
    assert quality(bars, instrument, last(bars)).score == 1.0
    limit = 2 * LARGE_MOVE[kind]
    below = times(bars, at_end(bars, 30), 1 + 0.8 * limit)
    above = times(bars, at_end(bars, 30), 1 + 1.2 * limit)
    assert Reason.FLASH_SPIKE not in quality(below, instrument, last(bars)).reasons
    assert quality(above, instrument, last(bars)).reasons[Reason.FLASH_SPIKE] == 1


def test_what_is_only_watched_has_no_limit_and_what_reports_no_volume_owes_none():
    vix = Instrument(id="XCBO:VIX", kind=Kind.INDEX, tradable=False)
    bars = daily(vix)
    wild = times(bars, at_end(bars, 30), 1.8)
    assert set(quality(wild, vix, last(bars)).reasons) <= {Reason.LARGE_MOVE}
    none = bars.with_columns(volume=pl.lit(0.0))
    assert quality(none, vix, last(bars)).score == 1.0
    assert quality(none, AAPL, last(bars)).costs[Reason.VOLUME_ZERO] == 0.3


# intraday -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", [AAPL, BTC], ids=["equity", "crypto"])
def test_minute_bars_are_judged_on_their_own_calendar(instrument):
    bars = minute(instrument)
    whole = quality_of(bars, "bars/1m", instrument, last(bars))
    assert (whole.score, whole.reasons, whole.completeness) == (1.0, {}, 100.0)
    hole = bars.filter(~pl.int_range(pl.len()).is_between(1000, 1120))
    report = quality_of(hole, "bars/1m", instrument, last(bars))
    assert report.reasons == {Reason.MISSING_BARS: 121}
    assert report.score == pytest.approx(1 - 5 * 121 / bars.height)
    spike = times(bars, at_end(bars, 500), 1 + 1.3 * LARGE_MOVE[instrument.kind])
    assert quality_of(spike, "bars/1m", instrument, last(bars)).reasons[Reason.FLASH_SPIKE] == 1
    broken = bars.with_columns(close=pl.when(pl.int_range(pl.len()) % 10 == 0).then(-1.0).otherwise("close"))
    assert not quality_of(broken, "bars/1m", instrument, last(bars)).usable
    assert quality_of(bars.clear(), "bars/1m", instrument, last(bars)).score == 0.0
    assert quality_of(bars.drop("close"), "bars/1m", instrument, last(bars)).reasons == {Reason.COLUMN_MISSING: 1}
    stale = quality_of(bars, "bars/1m", instrument, last(bars) + timedelta(days=5))
    assert stale.costs[Reason.STALE] >= 0.5
    assert not stale.usable


# states -------------------------------------------------------------------------------------------------------------

SCORES = {State.ACTIVE: 1.0, State.DEGRADED: 0.8, State.QUARANTINED: 0.4}


def bars_of(state: State) -> pl.DataFrame:
    """Bars whose score leads to the state."""
    bars = daily()
    missing = {State.ACTIVE: 0, State.DEGRADED: 10, State.QUARANTINED: 40}[state]
    return bars.filter(~pl.int_range(pl.len()).is_between(bars.height - 2 * missing, bars.height - missing - 1))


@pytest.mark.parametrize("old", SCORES)
@pytest.mark.parametrize("new", SCORES)
def test_each_transition_happens_in_both_directions(tmp_path, old, new):
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as db:
        bars = daily()
        first = quality(bars_of(old), AAPL, last(bars))
        assert record_state(db, first, bars.height).state is old
        second = quality(bars_of(new), AAPL, last(bars))
        later = moved(second, last(bars) + DWELL)
        assert record_state(db, later, bars.height).state is new
        assert state_of(db, AAPL.id).state is new
        assert state_history(db).height == (1 if old is new else 2)


def moved(report, at):
    """The same report at a later moment."""
    return replace(report, as_of=at)


@pytest.mark.parametrize("state", SCORES)
def test_retirement_and_return(tmp_path, state):
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as db:
        bars = daily()
        report = quality(bars_of(state), AAPL, last(bars))
        record_state(db, report, bars.height)
        gone = moved(report, last(bars) + timedelta(days=40))
        assert record_state(db, gone, bars.height, newest=bars["ts"][-1]).state is State.RETIRED
        back = last(bars) + timedelta(days=50)
        assert record_state(db, moved(report, back), bars.height, newest=back).state is State.RETIRED
        assert reinstate(db, AAPL.id, back + timedelta(days=1)).state is State.QUARANTINED
        again = moved(report, back + timedelta(days=1) + DWELL)
        assert record_state(db, again, bars.height, newest=again.as_of).state is state


# rows of the series, by number, that arrive; the state that `data check --state` gives then
ARRIVALS: tuple[tuple[int, int, str], ...] = (
    (0, 1300, "active"),
    (1310, 1320, "degraded"),  # 10 of the last 252 sessions are missing
    (1360, 1370, "quarantined"),  # 50 are
    (1380, 1610, "degraded"),  # the 40 have left the window, 10 more are missing within it
    (1610, 1650, "active"),
    (1690, 1700, "quarantined"),
    (1700, 1960, "active"),
)


def test_each_transition_in_both_directions_on_the_command_line(tmp_path, monkeypatch, capsys):
    clock, bars = ManualClock(datetime(2010, 1, 1, tzinfo=UTC)), daily(first=date(2014, 1, 2))
    monkeypatch.setattr("fieldcast.workflows.workspace.SystemClock", lambda: clock)

    def arrive(first: int, stop: int) -> None:
        rows = bars.slice(first, stop - first)
        clock.advance_to(rows["ts"][-1] + timedelta(hours=2))
        with open_workspace(tmp_path) as workspace:
            save_instrument(workspace.ledger, AAPL)
            workspace.store.append(rows, Lineage(provider="test", dataset="test", fetched_at=clock.now()))

    def said(wish: str) -> str:
        line = ["fieldcast", "data", "check", AAPL.id, "--state", wish, "--home", str(tmp_path), "--json"]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        state: str = json.loads(capsys.readouterr().out)["state"]
        return state

    for first, stop, expected in ARRIVALS:
        arrive(first, stop)
        assert said("record") == expected, (first, stop)
    clock.advance_to(bars["ts"][1959] + timedelta(days=31))
    assert said("record") == "retired"
    assert said("reinstate") == "quarantined"
    arrive(1960, 2010)
    assert said("record") == "active"
    assert [said(wish) for wish in ("retire", "record", "reinstate")] == ["retired", "retired", "quarantined"]
    with open_workspace(tmp_path) as workspace:
        history = state_history(workspace.ledger)
    expected = [state for *_, state in ARRIVALS] + ["retired", "quarantined", "active", "retired", "quarantined"]
    assert history["state"].to_list() == expected
    assert history["at"].is_sorted()
    assert history["at"].n_unique() == history.height


def test_size_follows_from_state_and_freshness():
    now = datetime(2024, 1, 2, 21, 30, tzinfo=UTC)
    closes = sessions_between("XNYS", date(2023, 12, 27), date(2024, 1, 2))["close"].to_list()
    multipliers = [[size_multiplier(state, freshness(newest, AAPL, now)) for newest in closes[:1:-1]] for state in State]
    assert multipliers == [[1.0, 0.25], [0.5, 0.25], [0.0, 0.0], [0.0, 0.0]]
