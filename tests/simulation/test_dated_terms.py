"""Terms that change within a run: regulatory fees by the date of the fill, tax withheld of dividends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import Instrument, Kind, sessions_between
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation.event_table import EventKind, Term
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import TargetUnit, VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel
from fieldcast.trading.costs import FeeSchedule, fee_schedule
from fieldcast.trading.orders import Side

SHARE = Instrument("XNAS:AAA", Kind.EQUITY)


def market_of(first: date, last: date, price: float = 100.0, instrument: Instrument = SHARE) -> Market:
    days = sessions_between("XNYS", first, last)
    row = np.full(days.height, price)
    return Market.of_arrays(
        instrument, days["close"].dt.epoch("us").to_numpy(), row, row, row, row, open_ts=days["open"].dt.epoch("us").to_numpy()
    )


def in_and_out(market: Market, fees: FeeSchedule, **events: object) -> SimulationResult:
    """1,000 shares bought at every other bar and sold at the next."""
    settings = VenueSettings(
        cash={"USD": Decimal(1_000_000)}, size=TargetUnit.UNITS,
        costs=CostModel(Decimal(0), Decimal(0), Decimal(0), fees=fees),
    )  # fmt: skip
    targets = np.where(np.arange(market.bars) % 2 == 0, 1000.0, 0.0)
    return run_targets(targets, market, settings, events=events_of(market, **events))  # type: ignore[arg-type]


def test_each_sale_pays_the_section_31_fee_of_its_own_day() -> None:
    """27.80 a million until 13 May 2025, nothing from the 14th on (FINRA, 2025-04-24); the activity fee stays: 0.17 of 1,000."""
    market = market_of(date(2025, 5, 5), date(2025, 5, 23))
    run = in_and_out(market, fee_schedule("schwab"), regulatory=True)
    days = [ts.date() for ts in run.fills["ts"]]
    assert min(days) < date(2025, 5, 14) < max(days)
    for day, side, fee in zip(days, run.fills["side"], run.fills["fee"], strict=True):
        wanted = fee_schedule("schwab").with_regulatory_on(day).total(
            Decimal(100), Decimal(1000), Decimal(1), side=Side(side)
        )
        assert Decimal(repr(fee)) == wanted, day
    assert sorted(set(run.fills["fee"])) == [0.0, 0.17, 2.95]


def test_a_term_is_an_event_and_its_change_is_one_too() -> None:
    market = market_of(date(2025, 5, 5), date(2025, 5, 23))
    table = events_of(market, regulatory=True)
    changes = table.ts[(table.kind == EventKind.TERMS) & (table.a == Term.SECTION_31)]
    assert changes.tolist() == [int(market.open_ts[0]), int(datetime(2025, 5, 14, 4, tzinfo=UTC).timestamp()) * 10**6]


def test_a_day_without_a_rate_on_record_is_refused() -> None:
    with pytest.raises(MissingData, match="trading activity fee"):
        events_of(market_of(date(2016, 3, 1), date(2016, 3, 9)), regulatory=True)


def dividends(*rows: tuple[date, float]) -> pl.DataFrame:
    made = [
        {"instrument": SHARE.id, "action": "dividend", "amount": amount, "ratio": None,
         "effective_at": datetime(day.year, day.month, day.day, 4, tzinfo=UTC), "ts": datetime(2024, 1, 1, tzinfo=UTC),
         "available_at": datetime(2024, 1, 1, tzinfo=UTC)}
        for day, amount in rows
    ]  # fmt: skip
    frame = pl.DataFrame(made)
    for name, dtype in ACTIONS.schema.items():
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in ACTIONS.schema.items())


@pytest.mark.parametrize(("held", "paid", "tax"), [(333.0, "81.91", "12.29"), (-333.0, "-81.92", None)])
def test_a_share_of_a_dividend_is_withheld_of_a_long_and_a_short_pays_it_whole(
    held: float, paid: str, tax: str | None
) -> None:
    """333 * 0.246 = 81.918: 81.91 received, 15 % of it is 12.2865, up to 12.29; a short pays 81.92 and nothing is withheld."""
    market = market_of(date(2025, 5, 5), date(2025, 5, 16))
    settings = VenueSettings(size=TargetUnit.UNITS, costs=CostModel(Decimal(0), Decimal(0), Decimal(0)))
    events = events_of(market, actions=dividends((date(2025, 5, 9), 0.246)), withholding={SHARE.id: Decimal("0.15")})
    run = run_targets(np.full(market.bars, held), market, settings, events=events)
    run.verify()
    unit = Decimal(10) ** -run.units.cash_decimals
    sums = run.journal.group_by("account").agg(pl.col("amount_minor").sum())
    posted = {account: -amount * unit for account, amount in sums.iter_rows()}
    assert posted["dividends"] == Decimal(paid)
    assert posted.get("tax") == (None if tax is None else -Decimal(tax))


def test_a_share_withheld_that_cannot_be_is_refused() -> None:
    market = market_of(date(2025, 5, 5), date(2025, 5, 16))
    for share in (Decimal("-0.1"), Decimal("1.01")):
        with pytest.raises(InvalidInput, match="from 0 to 1 to be withheld"):
            events_of(market, withholding={SHARE.id: share})
    with pytest.raises(InvalidInput, match="expected withholding of the run's instruments"):
        events_of(market, withholding={"XNAS:BBB": Decimal("0.15")})


def test_a_margin_a_contract_changes_on_its_day() -> None:
    """Two contracts at 12,000 each of 30,000; from the 14th 16,000 each is needed, and a margin call closes the position."""
    from fieldcast.simulation.event_table import make, merged
    from fieldcast.simulation.settings import Margin

    future = Instrument("XCME:ES", Kind.FUTURE, multiplier=Decimal(50), tick=Decimal("0.25"))
    market = market_of(date(2025, 5, 5), date(2025, 5, 23), 5000.0, future)
    raised = int(datetime(2025, 5, 14, 4, tzinfo=UTC).timestamp()) * 10**6
    terms = [make((future.id,), ("USD",), EventKind.TERMS, np.array([raised]), instrument=0, a=int(term), b=16_000 * 10**12)
             for term in (Term.INITIAL, Term.MAINTENANCE)]  # fmt: skip
    settings = VenueSettings(
        cash={"USD": Decimal(30_000)}, size=TargetUnit.UNITS, costs=CostModel(Decimal(0), Decimal(0), Decimal(0)),
        margins={future.id: Margin.per_contract(Decimal(12_000), Decimal(11_000))},
    )  # fmt: skip
    run = run_targets(np.full(market.bars, 2.0), market, settings, events=merged(terms))
    assert run.fills["side"].to_list() == ["BUY", "SELL"]
    assert run.fills["ts"][1].date() == date(2025, 5, 15)
    calm = run_targets(np.full(market.bars, 2.0), market, settings)
    assert calm.fills.height == 1
    assert timedelta(0) < run.fills["ts"][1] - run.fills["ts"][0]
