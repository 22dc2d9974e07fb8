"""What holding costs and brings in a run: borrow of shares, interest on cash, funding of perpetual futures.

A rate that neither the plan states nor the store holds is none, and the run says so.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcast.ground import ConfigError, MissingData
from fieldcast.market import STAMP, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import FUNDING
from fieldcast.simulation.financing import BORROW_RATES, CASH_RATES, InterestTerms
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_currencies import Purse
from fieldcast.workflows.backtest_money import InstrumentPart
from fieldcast.workflows.backtest_series import moment_of, yearly
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.workspace import Workspace

SHARES = (Kind.EQUITY, Kind.ETF)
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
            free.append(one.id)
            continue
        rows = yearly(workspace, rate, market, until, f"borrow of {one.id}")
        frames.append(rows.select(instrument=pl.lit(one.id), ts="ts", available_at="available_at", rate="rate"))
    if free and shorts_allowed(plan):
        said.append(f"shares sold short are lent for nothing ({', '.join(free[:3])}{' …' if len(free) > 3 else ''}): no "
                    "financing.borrow is stated")  # fmt: skip
    return pl.concat(frames).cast(dict(BORROW_RATES)) if frames else None  # type: ignore[arg-type]


def shorts_allowed(plan: BacktestPlan) -> bool:
    """Whether the account may hold less than nothing."""
    account = plan.account
    if account.shorts is not None:
        return account.shorts
    return account.margin != "none" or any(part.margin is not None for part in plan.instruments.values())


def interest_of(
    workspace: Workspace, plan: BacktestPlan, purse: Purse, market: Market, until: datetime | None
) -> tuple[pl.DataFrame | None, InterestTerms | dict[str, InterestTerms] | None]:
    """Benchmark rates by currency, and what the broker makes of them; None where none are stated."""
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
    terms = {
        currency: InterestTerms(part.debit_spread, part.credit_spread, part.free_of_credit, _days(currency), part.short_proceeds)
        for currency in part.interest
    }
    return pl.concat(frames).cast(dict(CASH_RATES)), terms  # type: ignore[arg-type]


def _days(currency: str) -> int:
    """Days that the year of a money market has."""
    return 365 if currency in ("GBP", "CAD", "AUD", "NZD", "HKD", "SGD", "ZAR") else 360


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
            said.append(f"{one.id}: {float(rate):.4%} is paid every {part.funding_hours} hours, as the plan states")
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
