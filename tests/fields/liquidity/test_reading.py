"""Words for the daily columns, merging of what other sources found, and the engine's eight processors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.fields import FIELD_REGISTRY, FieldMap, Landmark, Reading, build_field_table, liquidity
from fieldcast.fields.liquidity import PROCESSORS, interpret, session_liquidity
from fieldcast.fields.vocabulary import Effort, LiquidityRegime, SqueezeState, TurnSequence, WyckoffPhase
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind

AS_OF = datetime(2026, 3, 9, 21, tzinfo=UTC)
ROW = {
    "wyckoff_accumulation": 0.1, "wyckoff_markup": 0.6, "wyckoff_distribution": 0.2, "wyckoff_markdown": 0.1,
    "squeeze": 0.2, "squeeze_age": 0.0, "squeeze_since": 3.0, "structure": 1.0, "absorption": 0.0, "displacement": -0.7,
}  # fmt: skip


def test_words_follow_their_declared_rules() -> None:
    labels = interpret(ROW, AS_OF).labels
    assert labels == {
        "wyckoff_phase": WyckoffPhase.MARKUP,
        "squeeze_state": SqueezeState.RELEASED,
        "turns": TurnSequence.CLIMBING,
        "effort": Effort.DISPLACED_DOWN,
    }
    other = ROW | {"squeeze": -0.1, "structure": 0.5, "absorption": 0.6}
    assert interpret(other, AS_OF).labels["squeeze_state"] is SqueezeState.ON
    assert interpret(other, AS_OF).labels["turns"] is TurnSequence.MIXED
    assert interpret(other, AS_OF).labels["effort"] is Effort.ABSORBED
    old = {name: value for name, value in ROW.items() if name != "squeeze_since"} | {"displacement": 0.1}
    assert interpret(old, AS_OF).labels["squeeze_state"] is SqueezeState.OFF
    assert interpret(old, AS_OF).labels["effort"] is Effort.ORDINARY


def test_what_cannot_be_said_has_a_reason() -> None:
    assert interpret({}, AS_OF).reasons == {
        "wyckoff_phase": Reason.WARMING_UP,
        "squeeze_state": Reason.WARMING_UP,
        "turns": Reason.UNDEFINED,
        "effort": Reason.UNDEFINED,
    }
    torn = ROW | {"wyckoff_markup": 0.4, "wyckoff_distribution": 0.4}
    assert interpret(torn, AS_OF).reasons == {"wyckoff_phase": Reason.UNRESOLVED}


def test_the_reading_joins_session_and_book_and_leaves_the_table_alone(bars: pl.DataFrame, minute_bars_of) -> None:
    minutes = minute_bars_of("XNYS", date(2026, 3, 2), date(2026, 3, 9))
    session = session_liquidity(minutes, Instrument(id="ARCX:SPY", kind=Kind.ETF), AS_OF)
    book = Reading(
        "liquidity", AS_OF, {"spread_bps": 1.5}, landmarks={"bid": Landmark(99.0, AS_OF)},
        labels={"liquidity_regime": LiquidityRegime.DEEP}, reasons={"flow": Reason.FEW_ROWS}, simulated=True,
    )  # fmt: skip
    reading = interpret(ROW, AS_OF, session=session, book=book).reading()
    assert reading.values == {**session.values, "spread_bps": 1.5}
    assert set(reading.landmarks) == {*session.landmarks, "bid"}
    assert reading.labels["liquidity_regime"] is LiquidityRegime.DEEP
    assert reading.labels["wyckoff_phase"] is WyckoffPhase.MARKUP
    assert reading.reasons["flow"] is Reason.FEW_ROWS
    assert reading.simulated
    assert not {f"liquidity.{name}" for name in reading.values} & set(FIELD_REGISTRY)
    table = build_field_table(bars)
    field = FieldMap.at("XNAS:TEST", AS_OF, table, [reading])
    assert field.liquidity["session_poc_distance"] == session.values["session_poc_distance"]
    assert "poc" in field.liquidity


def test_parts_that_disagree_in_time_or_name_are_refused() -> None:
    later = Reading("liquidity", AS_OF + timedelta(seconds=1), {})
    with pytest.raises(InvalidInput, match="made by"):
        interpret(ROW, AS_OF, book=later)
    with pytest.raises(InvalidInput, match="of liquidity"):
        interpret(ROW, AS_OF, book=Reading("dealer", AS_OF, {}))
    twice = Reading("liquidity", AS_OF, {"turns": 1.0})
    with pytest.raises(InvalidInput, match="turns twice"):
        interpret(ROW, AS_OF, book=twice).reading()


def test_the_engine_has_its_eight_processors() -> None:
    assert list(PROCESSORS) == [
        "VolumeProfile", "Vwap", "Structure", "Absorption", "SpreadEstimators",
        "OrderBookImbalance", "DepthProfile", "SlippageField",
    ]  # fmt: skip
    assert all(callable(processor) and processor.__doc__ for processor in PROCESSORS.values())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        liquidity.nothing  # noqa: B018


def test_the_field_of_the_bundled_indices_holds_together() -> None:
    """NASDAQ composite and S&P 500, 1999 to 2018: real bars whose early opens are no prints."""
    for name in ("nasdaq", "sp500"):
        _, bars, _ = read_bundled(name)
        table = build_field_table(bars)
        phases = table.select(pl.sum_horizontal(f"liquidity.wyckoff_{phase}" for phase in ("accumulation", "markup")))
        assert phases.to_series().drop_nulls().is_between(0, 1).all()
        for column in ("squeeze_momentum", "absorption", "kyle_impact", "corwin_schultz_spread", "structure"):
            assert table[f"liquidity.{column}"][100:].null_count() < 0.4 * table.height, column
        assert table["liquidity.kyle_impact"].drop_nulls().min() > 0  # the sign is the return's own
        last = FieldMap.at("X:Y", table["available_at"][-1], table)
        found = interpret(last.liquidity, last.as_of)
        assert found.labels.keys() | found.reasons.keys() == {"wyckoff_phase", "squeeze_state", "turns", "effort"}
        assert found.reading().values == {}
