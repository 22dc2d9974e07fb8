"""What a preset of fees is for, and of what the SEC and FINRA take their part.

    shares           shares and funds in US dollars: the presets are plans for US listed ones, their amounts are dollars; and an
                     index that is held in notional units, which stands for shares of a fund on it
    options          options in US dollars on anything
    index options    options in US dollars on an index
    coins            coins, and futures that trade around the clock; shares of the value alone, so in any currency
    regulators       sales of shares, funds and options in US dollars on the US exchanges' calendars

An amount of a preset means nothing in another currency, and a fee for each share nothing of a coin: who asks for it is told.
"""

from __future__ import annotations

from fieldcast.ground import ConfigError
from fieldcast.market import Instrument, Kind
from fieldcast.trading.costs.fees import FeeSchedule, Traded

US_CALENDARS = ("XNYS", "XNAS")
SHARES = (Kind.EQUITY, Kind.ETF)
_WORDS = {
    Traded.SHARES: "shares and funds in USD",
    Traded.OPTIONS: "options in USD",
    Traded.INDEX_OPTIONS: "options on indices in USD",
    Traded.COINS: "coins and their futures",
}


def is_us_share(instrument: Instrument) -> bool:
    """True of a share or fund in dollars on the calendar of the US exchanges."""
    return instrument.kind in SHARES and instrument.currency == "USD" and instrument.calendar in US_CALENDARS


def is_us_listed(instrument: Instrument) -> bool:
    """True of what the SEC and FINRA take their part of a sale of: US shares, funds and options."""
    option = instrument.kind is Kind.OPTION and instrument.currency == "USD" and instrument.calendar in US_CALENDARS
    return option or is_us_share(instrument)


def suits(fees: FeeSchedule, instrument: Instrument, underlying: Instrument | None = None) -> bool:
    """Whether a preset is for an instrument.

    Parameters
    ----------
    underlying : of an option; none = not known, and taken to suit
    """
    kind = instrument.kind
    if fees.traded is Traded.COINS:
        return kind is Kind.CRYPTO or (kind is Kind.FUTURE and instrument.calendar == "24/7")
    if instrument.currency != "USD":
        return False
    if fees.traded is Traded.SHARES:
        return kind in SHARES or instrument.notional
    on_index = underlying is None or underlying.kind is Kind.INDEX
    return kind is Kind.OPTION and (fees.traded is Traded.OPTIONS or on_index)


def refuse_unsuited(fees: FeeSchedule, instrument: Instrument, *, key: str, underlying: Instrument | None = None) -> None:
    """Refuse a preset that is for something else.

    Parameters
    ----------
    key : where the preset was asked for, such as `costs.preset`
    underlying : as in `suits`

    Raises
    ------
    ConfigError : it is of another kind of instrument, or its amounts are of another currency
    """
    if suits(fees, instrument, underlying):
        return
    of = "" if underlying is None else f" on {underlying.id} (kind {underlying.kind})"
    raise ConfigError(
        f'{key} = "{fees.name}": expected {_WORDS[fees.traded]}, which this plan of fees is for, found {instrument.id} of kind '
        f"{instrument.kind} in {instrument.currency}{of}; choose a preset for it (of options: options.preset), or state "
        "commission_bps and minimum_commission under [costs]"
    )
