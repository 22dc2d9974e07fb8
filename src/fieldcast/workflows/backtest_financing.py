"""What holding costs and brings in a run: borrow of shares, interest on cash, funding of perpetual futures.

A rate that neither the plan states nor the store holds is none, and the run says so.

A rate a year is shared out over 360 days, or over 365 in the currencies whose money markets count so: those of `YEAR_OF_365`, on
which at least two of these agree: the ACT wiki of the Association of Corporate Treasurers (ACT/360, ACT/365), OpenGamma Strata's
tables of overnight and interbank indices, Open Source Risk Engine's indices. Where they differ by the index (yen: 365 of TONA and
TIBOR, 360 of deposits abroad; shekels, forints, kroner of Norway) 360 counts.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcast.ground import ConfigError, MissingData
from fieldcast.market import STAMP, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import FUNDING
from fieldcast.simulation.financing import BORROW_RATES, CASH_RATES, US_BORROW, BorrowTerms, InterestTerms
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_currencies import Purse
from fieldcast.workflows.backtest_money import InstrumentPart
from fieldcast.workflows.backtest_series import moment_of, yearly
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.workspace import Workspace

SHARES = (Kind.EQUITY, Kind.ETF)
YEAR_OF_365 = frozenset(("AUD", "CAD", "GBP", "HKD", "INR", "KRW", "NZD", "PLN", "SGD", "THB", "TWD", "ZAR"))
# a contract's month or day: ES.2024H, ESH24, BTCUSDT_230630, BTC-26DEC25, BTC-PERIOD-20251226
_WITH_A_LAST_DAY = re.compile(r"(\.\d{4}[A-Z]|[FGHJKMNQUVXZ]\d{1,4}|[-_.]\d{6,8}|\d{1,2}[A-Z]{3}\d{2,4})$")


def borrow_of(
    workspace: Workspace, plan: BacktestPlan, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame | None:
    """Borrow rates of the run's shares; None where none are stated, which is said where there may be shorts."""
    frames, free = [], []
    for one in market.instruments:
        if one.kind not in SHARES:
            continue
        own = plan.instruments.get(one.id)
        rate = plan.financing.borrow if own is None or own.borrow is None else own.borrow
        if rate is None:
            free += [] if under_options_alone(plan, one.id) else [one.id]
            continue
        rows = yearly(workspace, rate, market, until, f"borrow of {one.id}")
        frames.append(rows.select(instrument=pl.lit(one.id), ts="ts", available_at="available_at", rate="rate"))
    if free and shorts_allowed(plan):
        said.append(lent_for_nothing(*free))
    return pl.concat(frames).cast(dict(BORROW_RATES)) if frames else None  # type: ignore[arg-type]


def lent_for_nothing(*names: str) -> str:
    """What is said of shares that may be sold short and for which no borrow rate is stated."""
    several = " …" if len(names) > 3 else ""
    return f"shares sold short are lent for nothing ({', '.join(names[:3])}{several}): no financing.borrow is stated"


def under_options_alone(plan: BacktestPlan, name: str) -> bool:
    """True of what options stand on in a plan that does not hold it; shares come of an exercise or an assignment alone."""
    part = plan.options
    return part is not None and not part.shares and name == (part.underlying or plan.data.instruments[0])


def borrow_terms_of(market: Market) -> dict[str, BorrowTerms]:
    """How the lender of each share of a market reckons, by its id.

    Shares in dollars are lent by the US convention: on 102 % of the price, up to the whole dollar, a year of 360 days. Others on
    102 % of the price as it is, with the days of their currency: a whole unit is a convention of dollar prices.
    """
    return {
        one.id: US_BORROW if one.currency == "USD" else BorrowTerms(days_a_year(one.currency), US_BORROW.collateral_share)
        for one in market.instruments if one.kind in SHARES
    }  # fmt: skip


def shorts_allowed(plan: BacktestPlan) -> bool:
    """Whether the account may hold less than nothing."""
    account = plan.account
    if account.shorts is not None:
        return account.shorts
    return account.margin != "none" or any(part.margin is not None for part in plan.instruments.values())


def interest_of(
    workspace: Workspace, plan: BacktestPlan, purse: Purse, market: Market, until: datetime | None, said: list[str]
) -> tuple[pl.DataFrame | None, dict[str, InterestTerms] | None]:
    """Benchmark rates by currency, and what the broker makes of them; None where none are stated.

    Raises
    ------
    ConfigError : interest of a currency that is none of the run's
    """
    part = plan.financing
    if not part.interest:
        return None, None
    strange = sorted(set(part.interest) - set(purse.currencies))
    if strange:
        raise ConfigError(
            f"financing.interest: expected currencies of the run ({', '.join(purse.currencies)}), found {', '.join(strange)}"
        )
    frames = [
        yearly(workspace, rate, market, until, f"interest of {currency}").select(
            currency=pl.lit(currency), ts="ts", available_at="available_at", rate="rate"
        )
        for currency, rate in part.interest.items()
    ]
    if len(part.interest) > 1 and isinstance(part.free_of_credit, Decimal) and part.free_of_credit:
        said.append(
            f"financing.free_of_credit: {part.free_of_credit:,} of each of {', '.join(part.interest)} bear no credit; a table "
            "states it by currency"
        )
    terms = {
        currency: InterestTerms(
            part.debit_spread, part.credit_spread, part.free_of(currency), days_a_year(currency), part.short_proceeds
        )
        for currency in part.interest
    }
    return pl.concat(frames).cast(dict(CASH_RATES)), terms  # type: ignore[arg-type]


def days_a_year(currency: str) -> int:
    """Days that the year of a currency's money market has, 360 or 365; see the module."""
    return 365 if currency in YEAR_OF_365 else 360


def funding_of(
    workspace: Workspace, plan: BacktestPlan, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame | None:
    """Funding of the run's perpetual futures, stored or stated; what is missing is said."""
    frames = []
    part = plan.financing
    for one in market.instruments:
        own = plan.instruments.get(one.id)
        if not is_perpetual(one, own):
            continue
        rate = part.funding if own is None or own.funding is None else own.funding
        if rate == "none":
            said.append(f"{one.id}: no funding is paid, as the plan states")
        elif rate == "stored":
            frames.append(_stored_funding(workspace, one, market, until, said))
        else:
            frames.append(_stated_funding(one, float(rate), part.funding_hours, market))
            every = "hour" if part.funding_hours == 1 else f"{part.funding_hours} hours"
            said.append(f"{one.id}: {_percent(float(rate))} is paid every {every}, as the plan states")
    kept = [frame for frame in frames if frame.height]
    return pl.concat(kept) if kept else None


def is_perpetual(instrument: Instrument, part: InstrumentPart | None = None) -> bool:
    """True of a future without a last day: the plan says so, or its symbol ends in PERP or SWAP.

    Raises
    ------
    ConfigError : it trades around the clock, and neither the plan nor its symbol (which has no date) says which it is; or the
        plan says it of what is no future
    """
    told = None if part is None else part.perpetual
    if instrument.kind is not Kind.FUTURE:
        if told is not None:
            raise ConfigError(
                f"instruments.{instrument.id}.perpetual: expected a future, found kind {instrument.kind}; leave it out"
            )
        return False
    if told is not None:
        return told
    symbol = instrument.symbol.upper()
    if symbol.endswith(("PERP", "SWAP")):
        return True
    if instrument.calendar == "24/7" and _WITH_A_LAST_DAY.search(symbol) is None:
        raise ConfigError(
            f"expected to know whether {instrument.id}, a future that trades around the clock, has a last day or pays funding "
            "for ever, found a symbol with neither a date nor PERP or SWAP at its end; write perpetual = true (or false) under "
            f'[instruments."{instrument.id}"] of the plan'
        )
    return False


def _percent(rate: float) -> str:
    """0.0001 as 0.0100%, with more than four decimals where the rate has them."""
    exact = Decimal(repr(rate)) * 100
    exponent = exact.normalize().as_tuple().exponent
    return f"{exact:.{max(4, -exponent if isinstance(exponent, int) else 4)}f}%"


def _stored_funding(
    workspace: Workspace, one: Instrument, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame:
    try:
        rows = workspace.store.read(one.id, table=FUNDING.name, as_of=until)
    except MissingData:
        rows = FUNDING.empty()
    begin, end = moment_of(int(market.open_ts[0])), moment_of(int(market.ts[-1]))
    within = rows.filter(pl.col("ts").is_between(begin, end))
    if within.is_empty():
        said.append(f"{one.id}: no funding of this span is stored, so that none is paid; import it, or state financing.funding")
        return within
    steps = within["ts"].diff().drop_nulls()
    usual = steps.median() if steps.len() else timedelta(hours=8)
    assert isinstance(usual, timedelta)
    stamps = [begin, *within["ts"], end]
    longest = max(later - earlier for earlier, later in pairwise(stamps))
    if longest > 2 * usual + timedelta(minutes=1):
        hours = longest.total_seconds() / 3600
        said.append(f"{one.id}: the stored funding has a gap of {hours:,.0f} hours, in which none is paid")
    return within


def _stated_funding(one: Instrument, rate: float, hours: int, market: Market) -> pl.DataFrame:
    step = hours * 3_600_000_000
    begin, end = int(market.open_ts[0]), int(market.ts[-1])
    ts = pl.Series(np.arange(-(-begin // step) * step, end + 1, step, dtype=np.int64)).cast(STAMP)
    columns = {"instrument": [one.id] * len(ts), "ts": ts, "available_at": ts, "rate": [rate] * len(ts)}
    return pl.DataFrame(columns).with_columns(mark=pl.lit(None, dtype=pl.Float64), reasons=pl.lit(None, dtype=pl.String)).select(
        pl.col(name).cast(dtype) for name, dtype in FUNDING.schema.items()
    )
