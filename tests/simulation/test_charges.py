"""What an account is charged in the units of its run: fees of the regulators, and an amount that only a rule needs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from fieldcast.market import Instrument, Kind, default_instrument, sessions_between
from fieldcast.simulation import _state as s
from fieldcast.simulation._account import Run
from fieldcast.simulation._kernels_fill import FEE_ACTIVITY_MOST, FEE_ACTIVITY_RATE, FEE_MINIMUM, FEE_SECTION_31
from fieldcast.simulation.events import events_of
from fieldcast.simulation.fast.tape import Tape
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.trading import CostModel
from fieldcast.trading.costs import fee_schedule
from fieldcast.trading.costs.scope import is_us_listed, is_us_share

FEES = CostModel(fees=fee_schedule("ibkr_fixed"))


def market_of(instrument: Instrument, price: float = 100.0) -> Market:
    days = sessions_between("XNYS", date(2025, 2, 3), date(2025, 2, 14))
    row = np.full(days.height, price)
    return Market.of_arrays(instrument, days["close"].dt.epoch("us").to_numpy(), row, row, row, row)


def fees_of(instrument: Instrument) -> np.ndarray:
    settings = VenueSettings(cash={instrument.currency: Decimal(10_000)}, costs=FEES)
    return Run(market_of(instrument), settings).state.instrument[0, s.I_FEES :]


REGULATED = (
    Instrument("XNYS:A", Kind.EQUITY), Instrument("ARCX:B", Kind.ETF), Instrument("XNAS:C", Kind.EQUITY, calendar="XNAS"),
)  # fmt: skip
OTHERS = (
    default_instrument("XTKS:JP", "equity", currency="JPY", calendar="XTKS"),
    default_instrument("XPAR:EU", "equity", currency="EUR"),
    default_instrument("XLON:US", "equity", calendar="XLON"),
    default_instrument("KRAKEN:BTCUSD", "crypto"),
    default_instrument("XCME:ES.2025H", "future"),
)


@pytest.mark.parametrize("instrument", REGULATED, ids=lambda one: one.id)
def test_sales_of_us_shares_pay_the_regulators(instrument: Instrument) -> None:
    row = fees_of(instrument)
    assert (row[FEE_SECTION_31], row[FEE_ACTIVITY_MOST]) == (2780, 830)
    assert row[FEE_ACTIVITY_RATE] > 0


@pytest.mark.parametrize("instrument", OTHERS, ids=lambda one: one.id)
def test_sales_of_anything_else_do_not_and_the_commission_stays(instrument: Instrument) -> None:
    """100 shares of Tokyo at 2,800 yen paid 7.79 yen to the SEC."""
    row = fees_of(instrument)
    assert (row[FEE_SECTION_31], row[FEE_ACTIVITY_RATE], row[FEE_ACTIVITY_MOST]) == (0, 0, -1)
    assert row[FEE_MINIMUM] > 0


@pytest.mark.parametrize("instrument", [REGULATED[0], OTHERS[0]], ids=lambda one: one.id)
def test_the_fast_engine_charges_what_the_venue_charges(instrument: Instrument) -> None:
    from fieldcast.simulation.fast import _layout as layout
    from fieldcast.simulation.fast.settings import FastSettings
    from fieldcast.simulation.fast.tape import terms_table

    tape = Tape.of(market_of(instrument))
    venue = VenueSettings(cash={instrument.currency: Decimal(10_000)}, costs=FEES)
    fast = terms_table(tape.market, tape.units, FastSettings(venue=venue))[0, layout.T_FEES :]
    assert fast.tolist() == fees_of(instrument).tolist()


def test_the_terms_of_a_day_are_of_the_same_shares() -> None:
    for one in (*REGULATED, *OTHERS):
        table = events_of(market_of(one), one.currency, regulatory=True)
        assert bool(len(table)) == is_us_share(one), one.id
    option = Instrument("OPRA:A250321C00100000", Kind.OPTION)
    assert is_us_listed(option)
    assert not is_us_share(option)


def test_the_equity_of_a_rule_that_is_off_needs_no_room() -> None:
    """Yahoo's 32-bit prices have six decimals and a coin's lot eight: 23,058 is the most that fits. It was refused for 25,000."""
    market = market_of(default_instrument("KRAKEN:BTCUSD", "crypto"), 42280.234375)
    settings = VenueSettings(cash={"USD": Decimal(10_000)})
    assert Run(market, settings).state.rules[s.R_PDT_EQUITY] == 0
    on = VenueSettings(cash={"USD": Decimal(10_000)}, pattern_day_trader=True, pattern_equity=Decimal(20_000))
    run = Run(market, on)
    assert run.state.rules[s.R_PDT_EQUITY] == run.units.minor(Decimal(20_000))
