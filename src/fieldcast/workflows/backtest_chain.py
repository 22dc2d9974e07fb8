"""The contracts that a plan's [options] holds, found on the stored chain as each moment knew it, and made instruments of the run.

At the end of a bar of the underlying the newest quote of each contract counts that was known by then and is no older than the
plan allows. A rule sees those quotes and the underlying's close, nothing later. The structure that it finds is held until it is
rolled or has expired; then the next one is looked for.

A quote counts at the end of the first bar that ends after it was known, there alone. A contract's bar is its quote: bid and offer
are its low and high, the middle is its price. An order that was decided on one bar fills at the next quote of the contract, half
the spread away from its middle, at the end of that quote's bar. A crossed quote is none, and neither is one without a bid or an
offer: half an offer that nobody bids against says nothing of what a contract is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isfinite

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import ConfigError, MissingData
from fieldcast.market import BARS, STAMP, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.workflows.backtest_chain_settings import LegPart, OptionsPart
from fieldcast.workflows.workspace import Workspace

TICK = Decimal("0.0001")
DAY_US = 86_400_000_000
YEAR = 365.0
CHAIN = "chains"


@dataclass(frozen=True)
class Held:
    """A structure of the schedule.

    Parameters
    ----------
    opened, closed : numbers of the underlying's bars at whose ends it is opened and closed; closed None = at its expiry
    legs : (contract's id, contracts for one of the structure, below zero where short)
    strike : mean of its strikes; multiplier : units of the underlying of a contract
    """

    opened: int
    closed: int | None
    expires_at: datetime
    legs: tuple[tuple[str, int], ...]
    strike: float
    multiplier: float


@dataclass(frozen=True, eq=False)
class ChainRun:
    """A plan's options with what is needed to play them.

    Parameters
    ----------
    underlying : its id
    instruments, frames, terms : of the contracts; their bars, schema `market.BARS`
    schedule : what is held when, in order
    ts : (T_u,) ends of the underlying's bars, microseconds
    """

    part: OptionsPart
    underlying: str
    instruments: tuple[Instrument, ...]
    frames: tuple[pl.DataFrame, ...]
    terms: tuple[OptionTerms, ...]
    schedule: tuple[Held, ...]
    ts: npt.NDArray[np.int64]
    words: tuple[str, ...]


def chain_run(
    workspace: Workspace, underlying: Instrument, bars: pl.DataFrame, part: OptionsPart, *, until: datetime | None
) -> ChainRun:
    """The options of a plan over the bars of their underlying.

    Raises
    ------
    MissingData : no chain is stored, none was known in time, or no structure could be found
    ConfigError : contracts of other multipliers or currencies than one plan can hold
    """
    quotes, said = _quotes(workspace, underlying, bars, part, until)
    ts = bars["ts"].dt.epoch("us").to_numpy()
    schedule = _schedule(quotes, ts, bars["close"].to_numpy(), part)
    if not schedule:
        raise MissingData(
            f"expected contracts of {underlying.id} that suit [options] ({part.days[0]} to {part.days[1]} days to expiry, every "
            f"leg quoted on both sides), found none among {quotes['contract_id'].n_unique()} contracts; widen days, or import "
            "more chains"
        )
    names = {name for held in schedule for name, _ in held.legs}
    chosen = quotes.filter(pl.col("id").is_in(list(names)))
    instruments, frames, terms = [], [], []
    for name in sorted(names):
        rows = chosen.filter(pl.col("id") == name)
        begin = min(held.opened for held in schedule if any(name == leg for leg, _ in held.legs))
        instruments.append(_instrument(underlying, rows))
        frames.append(_bars(rows.filter(pl.col("bar") >= begin), bars, name))
        terms.append(_terms(underlying, rows, part))
    words = (
        f"{underlying.id}: {_counted(len(schedule), 'option position')} in {_counted(len(names), 'contract')}, chosen from the "
        "stored chain as each moment knew it",
        "an option's bar is one quote: orders fill at the next quote after the decision, half its spread from its middle, at the "
        "end of that quote's bar",
        *said,
    )
    return ChainRun(part, underlying.id, tuple(instruments), tuple(frames), tuple(terms), tuple(schedule), ts, words)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


# the chain ---------------------------------------------------------------------------------------------------------------


def _quotes(
    workspace: Workspace, underlying: Instrument, bars: pl.DataFrame, part: OptionsPart, until: datetime | None
) -> tuple[pl.DataFrame, list[str]]:
    """The newest sound quote of each contract at each bar's end, with `bar`, `id`, `mid`; and what a reader has to know."""
    first, last = bars["ts"][0], bars["ts"][-1]
    rows = workspace.store.read(
        underlying.id, table=CHAIN, dataset=part.dataset, as_of=until, first=first.date(), last=last.date()
    )
    rights = sorted({leg.right for leg in part.legs})
    rows = rows.filter(pl.col("right").is_in(rights))
    known = pl.max_horizontal("ts", "available_at")
    ends = bars.select(end="ts").with_row_index("bar").sort("end")
    rows = rows.with_columns(known=known).sort("known")
    rows = rows.join_asof(ends, left_on="known", right_on="end", strategy="forward").drop_nulls("bar")
    fresh = pl.col("end") - pl.col("ts") <= timedelta(minutes=part.quote_minutes)
    rows = rows.filter(fresh & (pl.col("end") < pl.col("expiry_ts")))
    if rows.is_empty():
        raise MissingData(
            f"expected quotes of options on {underlying.id} at most {part.quote_minutes} minutes old at the ends of bars from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, found none; import its chain, or widen quote_minutes"
        )
    said = []
    early = rows.filter(pl.col("settlement") == "AM")["contract_id"].n_unique()
    if early:
        settle, are = ("settles", "is") if early == 1 else ("settle", "are")
        said.append(
            f"{_counted(early, 'contract')} that {settle} on an opening value (AM) {are} left out: the chain does not hold that "
            "value"
        )
    rows = rows.filter(pl.col("settlement") == "PM").sort("ts", "available_at")
    rows = rows.unique(["contract_id", "bar"], keep="last", maintain_order=True)
    rows = rows.filter((pl.col("bid") > 0) & (pl.col("bid") <= pl.col("ask")))
    rows = rows.with_columns(
        id=pl.format("OPRA:{}", pl.col("contract_id").str.replace_all(" ", "")),
        bar=pl.col("bar").cast(pl.Int64),
        mid=(pl.col("bid") + pl.col("ask")) / 2,
    )
    return rows.sort("bar", "expiry_ts", "strike", "contract_id"), said


def _schedule(
    quotes: pl.DataFrame, ts: npt.NDArray[np.int64], close: npt.NDArray[np.float64], part: OptionsPart
) -> list[Held]:
    """What is opened and closed when, bar by bar."""
    found: list[Held] = []
    open_: Held | None = None
    for (bar,), rows in quotes.group_by(["bar"], maintain_order=True):
        t = int(bar)
        moment = datetime.fromtimestamp(ts[t] / 1e6, tz=rows["end"][0].tzinfo)
        if open_ is not None and moment >= open_.expires_at:
            open_ = None
        if open_ is not None and part.roll_days and days_between(moment, open_.expires_at) <= part.roll_days:
            found[-1] = replace(open_, closed=t)
            open_ = None
        if open_ is None and isfinite(close[t]):
            open_ = structure(rows, part, float(close[t]), moment, t)
            if open_ is not None:
                found.append(open_)
    return found


def days_between(moment: datetime, expiry: datetime) -> int:
    """Calendar days from a moment to the day of the expiry, in UTC (a US session lies in one day there)."""
    one: date = moment.date()
    return (expiry.date() - one).days


# the rule ----------------------------------------------------------------------------------------------------------------


def structure(rows: pl.DataFrame, part: OptionsPart, spot: float, moment: datetime, bar: int) -> Held | None:
    """The structure of the first expiry in the window in which every leg is quoted on both sides; None where there is none.

    Parameters
    ----------
    rows : newest quotes at the moment
    spot : close of the underlying's bar
    """
    live = rows.filter(pl.col("expiry_ts") > moment)
    for (expiry, _), chain in live.group_by(["expiry_ts", "root"], maintain_order=True):
        assert isinstance(expiry, datetime)
        if not part.days[0] <= days_between(moment, expiry) <= part.days[1]:
            continue
        chosen: list[tuple[str, int]] = []
        strikes: list[float] = []
        for leg in part.legs:
            row = pick(chain.filter(pl.col("right") == leg.right), leg, spot, moment, strikes, part.rate or 0.0)
            if row is None or any(row[0] == name for name, _ in chosen):
                break
            chosen.append((row[0], leg.sign * leg.ratio))
            strikes.append(row[1])
        else:
            return Held(bar, None, expiry, tuple(chosen), float(np.mean(strikes)), float(chain["multiplier"][0]))
    return None


def pick(
    chain: pl.DataFrame, leg: LegPart, spot: float, moment: datetime, before: Sequence[float], rate: float
) -> tuple[str, float] | None:
    """(id, strike) of the contract of one expiry and right that a leg means; ties go to the lower strike. None without any."""
    if leg.width is not None:
        chain = chain.filter((pl.col("strike") - before[0]) * leg.width > 0)
    if chain.is_empty():
        return None
    strikes = chain["strike"].to_numpy()
    if leg.delta is not None:
        deltas = _deltas(chain, spot, moment, rate)
        if not np.isfinite(deltas).any():
            return None
        away = np.where(np.isfinite(deltas), np.abs(np.abs(deltas) - leg.delta), np.inf)
    elif leg.moneyness is not None:
        away = np.abs(strikes - leg.moneyness * spot)
    elif leg.offset is not None:
        away = np.abs(strikes - spot - leg.offset)
    else:
        away = np.abs(strikes - before[0] - (leg.width or 0.0))
    place = int(np.argmin(away))
    return str(chain["id"][place]), float(strikes[place])


def _deltas(chain: pl.DataFrame, spot: float, moment: datetime, rate: float) -> npt.NDArray[np.float64]:
    """(n,) the chain's deltas, else those of Black and Scholes at the volatility of the middle price; NaN where there is none."""
    from scipy.stats import norm

    from fieldcast.pricing.implied import implied_volatility

    stated = chain["delta"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    years = np.array([(one - moment).total_seconds() / (YEAR * 86_400) for one in chain["expiry_ts"]])
    strikes, is_call = chain["strike"].to_numpy(), (chain["right"] == "call").to_numpy()
    forward, discount = spot * np.exp(rate * years), np.exp(-rate * years)
    sigma, _ = implied_volatility(chain["mid"].to_numpy(), forward, strikes, years, discount, is_call)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1 = np.log(forward / strikes) / (sigma * np.sqrt(years)) + 0.5 * sigma * np.sqrt(years)
    own = norm.cdf(d1) - np.where(is_call, 0.0, 1.0)
    found: npt.NDArray[np.float64] = np.where(np.isfinite(stated), stated, own)
    return found


# instruments -------------------------------------------------------------------------------------------------------------


def _instrument(underlying: Instrument, rows: pl.DataFrame) -> Instrument:
    multipliers = rows["multiplier"].unique().to_list()
    if len(multipliers) != 1:
        raise ConfigError(f"expected one multiplier of {rows['id'][0]}, found {multipliers}")
    return Instrument(
        id=str(rows["id"][0]), kind=Kind.OPTION, currency=underlying.currency, calendar=underlying.calendar, tick=TICK,
        multiplier=Decimal(str(multipliers[0])), simulated=underlying.simulated,
    )  # fmt: skip


def _bars(rows: pl.DataFrame, bars: pl.DataFrame, name: str) -> pl.DataFrame:
    """The quotes as bars."""
    ends = bars["ts"].to_numpy()[rows["bar"].to_numpy()]
    size = pl.min_horizontal("bid_size", "ask_size").cast(pl.Float64)
    made = rows.with_columns(
        instrument=pl.lit(name), ts=pl.Series(ends).cast(STAMP), open=pl.col("mid"), high=pl.col("ask"), low=pl.col("bid"),
        close=pl.col("mid"), volume=size,
    )  # fmt: skip
    made = made.with_columns(available_at=pl.col("ts"), reasons=pl.lit(None, dtype=pl.String))
    return made.select(pl.col(column).cast(dtype) for column, dtype in BARS.items())


def _terms(underlying: Instrument, rows: pl.DataFrame, part: OptionsPart) -> OptionTerms:
    row = rows.row(0, named=True)
    american = row["exercise_style"] == "american"
    cash = underlying.kind is Kind.INDEX
    return OptionTerms(
        row["id"], underlying.id, row["right"], Decimal(str(row["strike"])), row["expiry_ts"],
        style="american" if american else "european", delivery="cash" if cash else "physical",
        rate=None if part.rate is None else Decimal(str(part.rate)), exercise=part.exercise if american else "expiry",
    )  # fmt: skip
