"""Continuous futures: expiries that happened, rolls that were known, and no return that no contract had."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.contracts import Contract, contract, contracts, last_trading_day
from fieldcast.data.futures import (
    Adjustment,
    CalendarRoll,
    CrossoverRoll,
    continuous,
    read_panel,
    roll_events,
    rolls,
)
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.market import BARS, STAMP, Instrument, Kind, sessions_between, table_of

# Last trading days as they happened: CL May 2020 the day after the negative close, CL January 2024 across Christmas, CL December
# 2023 across Thanksgiving, ES June 2024 and ES March 2008 (its third Friday was Good Friday).
KNOWN = {
    "XCME:ES.2024H": date(2024, 3, 15), "XCME:ES.2024M": date(2024, 6, 21), "XCME:NQ.2024U": date(2024, 9, 20),
    "XCME:ES.2024Z": date(2024, 12, 20), "XCME:ES.2008H": date(2008, 3, 20),
    "XNYM:CL.2020K": date(2020, 4, 21), "XNYM:CL.2024F": date(2023, 12, 19), "XNYM:CL.2023Z": date(2023, 11, 20),
    "XNYM:CL.2024J": date(2024, 3, 20),
    "XNYM:NG.2024F": date(2023, 12, 27), "XCEC:GC.2024J": date(2024, 4, 26), "XCEC:GC.2023Z": date(2023, 12, 27),
    "XCBT:ZN.2024H": date(2024, 3, 19), "XCME:6E.2024H": date(2024, 3, 18),
}  # fmt: skip


@pytest.mark.parametrize(("id", "expiry"), KNOWN.items())
def test_expiry_rules_give_last_trading_days_that_happened(id, expiry):
    assert contract(id).expiry == expiry
    assert contract(id).id == id
    Instrument(id=id, kind=Kind.FUTURE, calendar="CMES")        # an id that the catalogue takes


def test_contracts_come_in_order_and_what_is_unknown_is_refused():
    year = contracts("XCME:ES", date(2024, 1, 1), date(2024, 12, 31))
    assert [item.id for item in year] == ["XCME:ES.2024H", "XCME:ES.2024M", "XCME:ES.2024U", "XCME:ES.2024Z"]
    assert [item.month for item in contracts("XNYM:CL", date(2024, 1, 1), date(2024, 3, 31))] == [2, 3, 4]
    for bad in ("ESH4", "XCME:ES.2024A", "XCME:ES.24H", "XCME:ES"):
        with pytest.raises(InvalidInput, match="contract id such as"):
            contract(bad)
    with pytest.raises(InvalidInput, match="root out of"):
        contract("XICE:BRN.2024H")
    assert contract("XICE:BRN.2024H", date(2024, 1, 31)).expiry == date(2024, 1, 31)
    with pytest.raises(InvalidInput, match="delivery month"):
        last_trading_day("XCME:ES", 2024, 1)
    with pytest.raises(InvalidInput, match="within the sessions"):
        last_trading_day("XCME:ES", 2090, 3)


# panels -------------------------------------------------------------------------------------------------------------

ROOT = "XTST:FU"
DAYS = sessions_between("XNYS", date(2024, 1, 2), date(2024, 6, 28))
THREE = (
    Contract(ROOT, 2024, 2, date(2024, 2, 15)),
    Contract(ROOT, 2024, 4, date(2024, 4, 15)),
    Contract(ROOT, 2024, 6, date(2024, 6, 14)),
)


def panel_of(closes: dict[str, list[tuple[datetime, float, float]]], late: dict[str, timedelta] | None = None) -> pl.DataFrame:
    """Contract → (ts, close, volume); open interest is the volume, known a day later."""
    rows = [
        {
            "instrument": id, "ts": ts, "available_at": ts + (late or {}).get(id, timedelta()), "open": close, "high": close + 1,
            "low": close - 0.5, "close": close, "volume": volume, "reasons": None, "open_interest": volume,
            "open_interest_available_at": ts + timedelta(days=1),
        }
        for id, values in closes.items() for ts, close, volume in values
    ]  # fmt: skip
    return pl.DataFrame(rows, schema={**BARS, "open_interest": pl.Float64(), "open_interest_available_at": STAMP})


def steady() -> pl.DataFrame:
    """Three contracts 5 apart, each rising by one a day; the volume moves to the next one ten sessions before each expiry."""
    closes: dict[str, list[tuple[datetime, float, float]]] = {item.id: [] for item in THREE}
    for number, row in enumerate(DAYS.iter_rows(named=True)):
        for place, item in enumerate(THREE):
            if row["session"] <= item.expiry:
                left = DAYS.filter(pl.col("session").is_between(row["session"], item.expiry)).height - 1
                closes[item.id].append((row["close"], 100.0 + 5 * place + number, 1000.0 if left > 10 else 10.0 - place))
    for place, item in enumerate(THREE[1:], start=1):       # the back month trades little until its turn
        before = THREE[place - 1].expiry
        closes[item.id] = [
            (ts, close, volume if DAYS.filter(pl.col("session").is_between(ts.date(), before)).height <= 11 else 100.0)
            for ts, close, volume in closes[item.id]
        ]
    return panel_of(closes)


def test_a_calendar_roll_happens_so_many_business_days_before_the_last_trading_day():
    made = rolls(steady(), THREE, CalendarRoll(5))
    assert [(roll.old.id, roll.new.id, roll.ts.date()) for roll in made] == [
        ("XTST:FU.2024G", "XTST:FU.2024J", date(2024, 2, 8)), ("XTST:FU.2024J", "XTST:FU.2024M", date(2024, 4, 8)),
    ]  # fmt: skip
    assert all(roll.decided_at < roll.ts for roll in made)
    assert [roll.difference for roll in made] == [5.0, 5.0]


def test_a_crossover_rolls_at_the_first_close_after_the_figures_were_known():
    by_volume = rolls(steady(), THREE, CrossoverRoll("volume"))
    crossed = DAYS.filter(pl.col("session") == date(2024, 2, 1))["close"][0]      # ten sessions are left: the volume has moved
    assert (by_volume[0].decided_at, by_volume[0].ts.date()) == (crossed, date(2024, 2, 2))
    by_interest = rolls(steady(), THREE, CrossoverRoll("open_interest"))
    assert (by_interest[0].decided_at, by_interest[0].ts.date()) == (
        datetime(2024, 2, 3, 21, tzinfo=UTC), date(2024, 2, 5)      # Friday's figures came on Saturday
    )
    confirmed = rolls(steady(), THREE, CrossoverRoll("volume", confirm=3))
    assert confirmed[0].ts.date() == date(2024, 2, 6)
    never = steady().with_columns(volume=pl.lit(5.0))
    assert rolls(never, THREE, CrossoverRoll("volume", latest_days=2))[0].ts.date() == date(2024, 2, 13)


def test_the_four_adjustments_of_a_hand_case():
    """Old 10, 11, 12 | new 20, 22, 24, 27; the roll at the second close: g = 11, q = 2."""
    stamps = DAYS["close"][:4].to_list()
    pair = (Contract(ROOT, 2024, 1, stamps[2].date()), Contract(ROOT, 2024, 2, date(2024, 2, 15)))
    panel = panel_of({
        pair[0].id: [(ts, close, 1.0) for ts, close in zip(stamps, (10.0, 11.0, 12.0), strict=False)],
        pair[1].id: [(ts, close, 1.0) for ts, close in zip(stamps, (20.0, 22.0, 24.0, 27.0), strict=True)],
    })  # fmt: skip
    expected = {
        "none": ([10, 11, 24, 27], [None, 10, 22, 24]),
        "difference": ([21, 22, 24, 27], [None, 21, 22, 24]),
        "ratio": ([20, 22, 24, 27], [None, 20, 22, 24]),
        "forward": ([10, 11, 12, 13.5], [None, 10, 11, 12]),
    }
    for adjustment, (close, previous) in expected.items():
        series = continuous(panel, pair, CalendarRoll(1), adjustment)
        assert series["close"].to_list() == close, adjustment
        assert series["previous_close"].to_list() == previous, adjustment
        assert series["contract"].to_list() == [pair[0].id] * 2 + [pair[1].id] * 2
        assert series["instrument"].unique().to_list() == [ROOT]
    high = continuous(panel, pair, CalendarRoll(1), "ratio")["high"].to_list()
    assert high == [22, 24, 25, 28]


@st.composite
def panels(draw):
    """Random contracts, prices, holes, volumes and delays; every contract pair overlaps for at least 12 sessions."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    holes = draw(st.floats(0.0, 0.25))
    delay = draw(st.sampled_from([timedelta(), timedelta(hours=3), timedelta(hours=19)]))
    count = draw(st.integers(2, 4))
    ends = np.sort(random.choice(np.arange(25, DAYS.height), count, replace=False))
    ends = ends[np.concatenate([[True], np.diff(ends) > 12])]
    made, closes = [], {}
    for place, end in enumerate(ends):
        day = DAYS["session"][int(end)]
        item = Contract(ROOT, 2020 + place, 1, day)
        made.append(item)
        start = 0 if place == 0 else max(0, int(ends[place - 1]) - int(random.integers(12, 40)))
        price = 50.0 * np.exp(np.cumsum(random.normal(0, 0.02, int(end) + 1)))
        kept = random.random(int(end) + 1) >= holes
        kept[0] = kept[0] or place == 0
        closes[item.id] = [
            (DAYS["close"][row], round(float(price[row]), 4), float(random.integers(1, 100)))
            for row in range(start, int(end) + 1) if kept[row]
        ]  # fmt: skip
    return panel_of(closes, {item.id: delay for item in made}), tuple(made)


RULES = st.sampled_from([CalendarRoll(8), CalendarRoll(0), CrossoverRoll("volume", 1, 8), CrossoverRoll("open_interest", 2, 8)])


def rolled(panel, made, rule, adjustment, as_of=None):
    """The series; None where the random holes left no day to roll on, which is refused and not papered over."""
    try:
        return continuous(panel, made, rule, adjustment, as_of=as_of)
    except MissingData:
        with pytest.raises(MissingData, match=r"expected (a day on which to roll|a contract that trades|bars of)"):
            continuous(panel, made, rule, adjustment, as_of=as_of)
        return None


@settings(max_examples=150)
@given(panels(), RULES, st.sampled_from(list(Adjustment)))
def test_no_return_of_a_rolled_series_is_one_that_no_contract_had(drawn, rule, adjustment):
    panel, made = drawn
    series = rolled(panel, made, rule, adjustment)
    if series is None:
        return
    raw = {(row["instrument"], row["ts"]): row["close"] for row in panel.iter_rows(named=True)}
    rows = series.to_dicts()
    expected = [item.id for item in made]
    held = [row["contract"] for row in rows]
    assert held == sorted(held, key=expected.index)                       # never back
    assert rows[0]["previous_close"] is None
    for before, row in pairwise(rows):
        now, then = raw[row["contract"], row["ts"]], raw[row["contract"], before["ts"]]      # both of one contract
        if adjustment is Adjustment.DIFFERENCE:
            assert row["close"] - row["previous_close"] == pytest.approx(now - then, abs=1e-9)
            assert row["close"] - before["close"] == pytest.approx(now - then, abs=1e-9)
        else:
            assert row["close"] / row["previous_close"] == pytest.approx(now / then, rel=1e-12)
        if adjustment in (Adjustment.RATIO, Adjustment.FORWARD):
            assert row["close"] / before["close"] == pytest.approx(now / then, rel=1e-9)
    level = {Adjustment.FORWARD: rows[0], Adjustment.RATIO: rows[-1], Adjustment.DIFFERENCE: rows[-1]}.get(adjustment)
    if level is not None:
        assert level["close"] == pytest.approx(raw[level["contract"], level["ts"]], rel=1e-12)


@settings(max_examples=100)
@given(panels(), RULES, st.integers(5, DAYS.height - 1), st.sampled_from(list(Adjustment)))
def test_the_series_as_of_a_moment_is_the_one_that_was_known_then(drawn, rule, row, adjustment):
    """As of t on the whole panel = on the panel cut at t; and what is learnt later changes no contract, roll or return before."""
    panel, made = drawn
    moment = DAYS["close"][row]
    cut = panel.filter(pl.col("available_at") <= moment).with_columns(
        pl.when(pl.col("open_interest_available_at") <= moment).then(pl.col(name)).alias(name)
        for name in ("open_interest", "open_interest_available_at")
    )
    then = rolled(panel, made, rule, adjustment, as_of=moment)
    if then is None:
        return
    alone = continuous(cut, made, rule, adjustment)
    assert then.equals(alone)
    whole = rolled(panel, made, rule, adjustment)
    if whole is None:
        return
    early = rolls(panel, made, rule, as_of=moment)
    assert tuple((r.old, r.new, r.ts, r.decided_at) for r in rolls(panel, made, rule)[: len(early)]) == tuple(
        (r.old, r.new, r.ts, r.decided_at) for r in early
    )
    assert all(r.decided_at < r.ts <= moment for r in early)
    kept = whole.head(then.height)
    assert kept.select("ts", "contract").equals(then.select("ts", "contract"))
    if adjustment in (Adjustment.NONE, Adjustment.FORWARD):
        assert kept.equals(then)                                          # history never changes
    now, before = pl.col("close"), pl.col("previous_close")
    change = now - before if adjustment is Adjustment.DIFFERENCE else now / before
    returns = [frame.select(change).drop_nulls().to_series().to_numpy() for frame in (kept, then)]
    np.testing.assert_allclose(returns[0], returns[1], rtol=1e-9, atol=1e-9)


def test_a_restatement_changes_prices_from_when_it_was_known_and_no_roll():
    panel = steady()
    roll = rolls(panel, THREE, CalendarRoll(5))[0]
    late = panel.filter((pl.col("ts") == roll.ts) & (pl.col("instrument") == roll.new.id)).with_columns(
        available_at=pl.col("ts") + timedelta(days=3), close=pl.col("close") + 1.0, volume=pl.lit(1e9)
    )
    both = pl.concat([panel, late])
    for as_of, difference in ((roll.ts + timedelta(days=2), 5.0), (roll.ts + timedelta(days=3), 6.0)):
        known = rolls(both, THREE, CalendarRoll(5), as_of=as_of)[0]
        assert (known.ts, known.difference) == (roll.ts, difference)


def test_without_a_day_to_roll_on_there_is_no_series():
    panel = steady()
    gone = panel.filter(~((pl.col("instrument") == THREE[1].id) & (pl.col("ts").dt.date() <= THREE[0].expiry)))
    with pytest.raises(MissingData, match=r"expected a day on which to roll from XTST:FU\.2024G to XTST:FU\.2024J"):
        continuous(gone, THREE, CalendarRoll(5), "ratio")
    below = panel.with_columns(close=pl.col("close") - 140.0)
    assert continuous(below, THREE, CalendarRoll(5), "difference").height > 0
    with pytest.raises(InvalidInput, match="above zero at the roll"):
        continuous(below, THREE, CalendarRoll(5), "ratio")
    for change in (
        lambda: continuous(panel, THREE, CalendarRoll(5), "panama"),
        lambda: continuous(panel, THREE[:2], CalendarRoll(5), "none"),
        lambda: continuous(panel, (), CalendarRoll(5), "none"),
        lambda: continuous(panel.drop("volume"), THREE, CalendarRoll(5), "none"),
        lambda: CalendarRoll(-1), lambda: CrossoverRoll("price"), lambda: CrossoverRoll("volume", 0),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="expected"):
            change()


def test_a_panel_comes_out_of_the_store_and_rolls_go_into_its_events():
    store, panel = MemoryStore(), steady()
    lineage = Lineage(provider="test", dataset="futures", fetched_at=datetime(2024, 7, 1, tzinfo=UTC))
    store.append(panel.select(list(BARS)), lineage)
    bare = read_panel(store, THREE)
    assert bare["open_interest"].null_count() == panel.height
    interest = table_of("open_interest")
    store.append(
        panel.select(
            "ts", "open_interest", instrument=pl.lit(ROOT), available_at="open_interest_available_at", contract_id="instrument",
            reasons=pl.lit(None, dtype=pl.String),
        ).select(list(interest.schema)), lineage, table="open_interest",
    )  # fmt: skip
    rule = CrossoverRoll("open_interest")
    from_store = rolls(read_panel(store, THREE), THREE, rule)
    assert from_store == rolls(panel, THREE, rule)
    other = Lineage(provider="test", dataset="elsewhere", fetched_at=datetime(2024, 7, 1, tzinfo=UTC))
    store.append(panel.filter(pl.col("instrument") == THREE[0].id).select(list(BARS)), other)
    assert rolls(read_panel(store, THREE, dataset="futures"), THREE, rule) == from_store
    one = read_panel(store, THREE, dataset="elsewhere")  # contracts of other datasets are left out, and their open interest
    assert one["instrument"].unique().to_list() == [THREE[0].id]
    assert one["open_interest"].null_count() == one.height
    with pytest.raises(ConflictError, match="elsewhere, futures"):
        read_panel(store, THREE)
    with pytest.raises(MissingData, match="in dataset nowhere"):
        read_panel(store, THREE, dataset="nowhere")
    events = roll_events(from_store)
    store.append(events, lineage, table="events")
    assert store.read(ROOT, table="events")["item"].to_list() == ["XTST:FU.2024G>XTST:FU.2024J", "XTST:FU.2024J>XTST:FU.2024M"]
    with pytest.raises(MissingData, match="import them first"):
        read_panel(MemoryStore(), THREE)
