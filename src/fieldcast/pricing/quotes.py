"""Which quotes of an option chain can be believed, and why the others cannot.

A chain is a snapshot of rows of the table `chains`. `ChainQuotes` holds the columns that pricing reads as arrays; `judge` marks
each row with every fault that it has. A row with a fault is left out of what follows, and the count of each fault goes with the
result: nothing is dropped silently. The faults, in the order in which a row with several is booked:

    expired          the expiry is not after the snapshot
    value_missing    bid or ask is not there
    quote_crossed    bid above ask, or a price below zero
    zero_bid         nobody bids (the ask alone says nothing about value)
    stale            the quote is older than `max_age_minutes`
    placeholder      the vendor's own volatility is missing or at its floor (only where `require_vendor_iv`)
    spread_too_wide  ask − bid above max(`tolerated_spread`, `max_relative_spread` × mid)
    below_intrinsic  the ask is below what exercise brings: the quote offers an arbitrage, so one side of it is not real
    out_of_line      out of the money, the bid is above the asks of two strikes nearer to the money (strikes of before a split
                     that a vendor still lists, quotes of another hour); judged once the forward is known

Intrinsic value is that of exercise now for American contracts, of exercise at the forward for European ones; a European row whose
forward is not known yet is not judged by it. A vendor's floor (Yahoo 1e-05, CBOE 0) makes its volatility unknown, not its quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

UNKNOWN_TIME = np.iinfo(np.int64).min  # µs: no time was given
MICROSECONDS_A_MINUTE = 60_000_000
DAY_COUNTS = {"ACT/365": 365.0, "ACT/365.25": 365.25, "ACT/360": 360.0}  # calendar days a year
_DAY = 86_400_000_000.0

# bit → reason, in booking order
FAULTS: tuple[Reason, ...] = (
    Reason.EXPIRED, Reason.VALUE_MISSING, Reason.QUOTE_CROSSED, Reason.ZERO_BID, Reason.STALE, Reason.PLACEHOLDER,
    Reason.SPREAD_TOO_WIDE, Reason.BELOW_INTRINSIC, Reason.OUT_OF_LINE,
)


@dataclass(frozen=True)
class ChainQuotes:
    """One snapshot of one underlying's options; n rows.

    Parameters
    ----------
    as_of : µs since 1970 (UTC), the moment of the snapshot
    spot : price of the underlying; NaN where unknown
    strike, bid, ask : (n,) prices; NaN where there is none
    is_call, american : (n,)
    expiry : (n,) µs since 1970, each contract's true last moment
    quote_time : (n,) µs since 1970, UNKNOWN_TIME where the source does not say
    vendor_iv : (n,) a year; NaN where there is none
    series : (n,) number of the expiry, ascending in time; contracts of two roots are two series even if they expire together
    roots : name of the root of each series

    Raises
    ------
    InvalidInput : lengths differ, or a strike is not a positive number
    """

    as_of: int
    spot: float
    strike: Floats
    bid: Floats
    ask: Floats
    is_call: Flags
    american: Flags
    expiry: Integers
    quote_time: Integers
    vendor_iv: Floats
    series: Integers
    roots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.strike)
        for name in ("bid", "ask", "is_call", "american", "expiry", "quote_time", "vendor_iv", "series"):
            if len(getattr(self, name)) != n:
                raise InvalidInput(f"expected {n} values of {name} as of strike, found {len(getattr(self, name))}")
        if not np.all(np.isfinite(self.strike) & (self.strike > 0)):
            raise InvalidInput("expected strikes above zero, found one that is not; remove the row before pricing")

    def __len__(self) -> int:
        return len(self.strike)

    @property
    def mid(self) -> Floats:
        """(n,) half of bid plus ask."""
        return 0.5 * (self.bid + self.ask)

    @property
    def n_series(self) -> int:
        """How many expiries there are."""
        return int(self.series.max()) + 1 if len(self) else 0

    def years(self, day_count: str = "ACT/365") -> Floats:
        """(n,) time to expiry in years, to the minute (see `years_between`)."""
        return years_between(self.as_of, self.expiry, day_count)

    def take(self, rows: Flags | Integers) -> ChainQuotes:
        """The snapshot of these rows alone; series keep their numbers."""
        names = ("strike", "bid", "ask", "is_call", "american", "expiry", "quote_time", "vendor_iv", "series")
        return ChainQuotes(self.as_of, self.spot, **{name: getattr(self, name)[rows] for name in names}, roots=self.roots)


def years_between(start: int, end: Integers, day_count: str = "ACT/365") -> Floats:
    """Years from `start` to each `end` (µs since 1970), rounded to the minute; negative where `end` is before `start`.

    Raises
    ------
    InvalidInput : the day count is not one of `DAY_COUNTS`
    """
    if day_count not in DAY_COUNTS:
        raise InvalidInput(f"expected a day count of {', '.join(DAY_COUNTS)}, found {day_count!r}")
    minutes = np.rint((np.asarray(end, np.int64) - start) / MICROSECONDS_A_MINUTE)
    return np.asarray(minutes / (1440.0 * DAY_COUNTS[day_count]), np.float64)


def chain_quotes(chain: pl.DataFrame, as_of: int | None = None) -> ChainQuotes:
    """Rows of the table `chains` as arrays.

    Parameters
    ----------
    chain : one snapshot of one underlying: `ts, root, expiry_ts, strike, right, exercise_style, bid, ask`, and `quote_ts`, `iv`,
        `underlying_price` where known
    as_of : µs since 1970; by default the rows' own `ts`

    Raises
    ------
    InvalidInput : a column is missing, or the rows are of several underlyings or moments
    """
    import polars as pl

    needed = ("ts", "root", "expiry_ts", "strike", "right", "exercise_style", "bid", "ask")
    if absent := [name for name in needed if name not in chain.columns]:
        raise InvalidInput(f"expected the columns of the table chains, missing {', '.join(absent)}")
    if chain.is_empty():
        raise InvalidInput("expected a snapshot with rows, found none")
    if "instrument" in chain.columns and chain["instrument"].n_unique() != 1:
        raise InvalidInput(f"expected options of one underlying, found {chain['instrument'].n_unique()}")
    if chain["ts"].n_unique() != 1:
        raise InvalidInput(f"expected one snapshot, found rows of {chain['ts'].n_unique()} moments; filter by ts first")
    odd = set(chain["right"].unique()) - {"call", "put"}
    if odd:
        raise InvalidInput(f"expected right call or put, found {sorted(map(str, odd))}")

    def times(name: str) -> Integers:
        column = chain[name].dt.epoch("us")
        return column.fill_null(UNKNOWN_TIME).to_numpy().astype(np.int64)

    def numbers(name: str) -> Floats:
        if name not in chain.columns:
            return np.full(chain.height, np.nan)
        return chain[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)

    moment = int(times("ts")[0])
    expiries = chain.select(key=pl.struct("expiry_ts", "root").rank("dense") - 1)["key"].to_numpy().astype(np.int64)
    first = np.unique(expiries, return_index=True)[1]
    roots = chain["root"].gather(first).to_list()
    prices = numbers("underlying_price")
    known = prices[np.isfinite(prices)]
    return ChainQuotes(
        as_of=moment if as_of is None else as_of,
        spot=float(np.median(known)) if known.size else float("nan"),
        strike=numbers("strike"),
        bid=numbers("bid"),
        ask=numbers("ask"),
        is_call=(chain["right"] == "call").to_numpy(),
        american=(chain["exercise_style"] == "american").fill_null(value=False).to_numpy(),
        expiry=times("expiry_ts"),
        quote_time=times("quote_ts") if "quote_ts" in chain.columns else np.full(chain.height, UNKNOWN_TIME),
        vendor_iv=numbers("iv"),
        series=expiries,
        roots=tuple(roots),
    )


@dataclass(frozen=True)
class QuoteRules:
    """What makes a quote unfit. None switches a rule off.

    Parameters
    ----------
    max_age_minutes : oldest quote; rows without a time are kept and counted in `Judged.age_unknown`
    max_relative_spread : of the mid
    tolerated_spread : in price units: a spread up to it is never too wide (a penny option quoted 0.05 at 0.10)
    vendor_iv_floor : a vendor's volatility at or below it is unknown
    require_vendor_iv : also drop the row then
    """

    max_age_minutes: float | None = 15.0
    max_relative_spread: float | None = 0.5
    tolerated_spread: float = 0.10
    vendor_iv_floor: float | None = 1.0001e-5
    require_vendor_iv: bool = False

    def __post_init__(self) -> None:
        for name in ("max_age_minutes", "max_relative_spread", "tolerated_spread", "vendor_iv_floor"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InvalidInput(f"expected {name} at or above zero, found {value}")


@dataclass(frozen=True)
class Judged:
    """What `judge` found.

    Parameters
    ----------
    faults : (n,) bits: bit i is `FAULTS[i]`
    vendor_iv : (n,) the vendor's volatility, NaN where it is missing or at its floor
    age_unknown, vendor_iv_unknown : rows without a quote time, without a usable volatility
    rules : what was asked for
    """

    faults: NDArray[np.uint16]
    vendor_iv: Floats
    age_unknown: int
    vendor_iv_unknown: int
    rules: QuoteRules = field(default_factory=QuoteRules)

    @property
    def kept(self) -> Flags:
        """(n,) rows without a fault."""
        return np.asarray(self.faults == 0)

    @property
    def counts(self) -> dict[Reason, int]:
        """Rows dropped, each under its first fault: they add up to what is missing."""
        left = self.faults.copy()
        found: dict[Reason, int] = {}
        for bit, reason in enumerate(FAULTS):
            hit = (left >> bit) & 1 == 1
            if n := int(hit.sum()):
                found[reason] = n
            left[hit] = 0
        return found

    @property
    def all_counts(self) -> dict[Reason, int]:
        """Rows with each fault; a row with two is counted twice."""
        found = {reason: int(((self.faults >> bit) & 1).sum()) for bit, reason in enumerate(FAULTS)}
        return {reason: n for reason, n in found.items() if n}


def judge(
    chain: ChainQuotes, rules: QuoteRules | None = None, forward: Floats | None = None, discount: Floats | None = None
) -> Judged:
    """Every fault of every row.

    Parameters
    ----------
    chain : n rows
    forward, discount : (n,) of each row's expiry, NaN where unknown; without them European rows are not judged by intrinsic value

    Raises
    ------
    InvalidInput : forward without discount, or lengths that differ
    """
    rules = rules or QuoteRules()
    if (forward is None) != (discount is None):
        raise InvalidInput("expected forward and discount together, found one of them")
    bid, ask, strike = chain.bid, chain.ask, chain.strike
    missing = ~(np.isfinite(bid) & np.isfinite(ask))
    dated = chain.quote_time != UNKNOWN_TIME
    faults = np.zeros(len(chain), np.uint16)

    def mark(reason: Reason, rows: Flags) -> None:
        faults[rows] |= np.uint16(1 << FAULTS.index(reason))

    mark(Reason.EXPIRED, chain.expiry <= chain.as_of)
    mark(Reason.VALUE_MISSING, missing)
    mark(Reason.QUOTE_CROSSED, ~missing & ((bid > ask) | (bid < 0)))
    mark(Reason.ZERO_BID, ~missing & (bid == 0))
    if rules.max_age_minutes is not None:
        oldest = chain.as_of - int(rules.max_age_minutes * MICROSECONDS_A_MINUTE)
        mark(Reason.STALE, dated & (chain.quote_time < oldest))
    no_iv = ~np.isfinite(chain.vendor_iv)
    if rules.vendor_iv_floor is not None:
        no_iv |= chain.vendor_iv <= rules.vendor_iv_floor
    if rules.require_vendor_iv:
        mark(Reason.PLACEHOLDER, no_iv)
    if rules.max_relative_spread is not None:
        limit = np.maximum(rules.tolerated_spread, rules.max_relative_spread * 0.5 * (bid + ask)) * (1 + 1e-9)
        mark(Reason.SPREAD_TOO_WIDE, ~missing & (ask - bid > limit))
    sign = np.where(chain.is_call, 1.0, -1.0)
    intrinsic = np.where(chain.american, sign * (chain.spot - strike), np.nan)
    if forward is not None and discount is not None:
        if len(forward) != len(chain) or len(discount) != len(chain):
            raise InvalidInput(f"expected {len(chain)} forwards and discounts, found {len(forward)} and {len(discount)}")
        intrinsic = np.fmax(intrinsic, discount * sign * (forward - strike))
    with np.errstate(invalid="ignore"):  # NaN compares false: not judged
        mark(Reason.BELOW_INTRINSIC, ~missing & (ask < intrinsic - 1e-9 * strike))
    if forward is not None:
        mark(Reason.OUT_OF_LINE, _out_of_line(chain, forward, faults == 0))
    return Judged(faults, np.where(no_iv, np.nan, chain.vendor_iv), int((~dated).sum()), int(no_iv.sum()), rules)


def _out_of_line(chain: ChainQuotes, forward: Floats, sound: Flags) -> Flags:
    """Out-of-the-money rows that bid more than two nearer strikes of the same expiry and right ask."""
    found = np.zeros(len(chain), bool)
    with np.errstate(invalid="ignore"):
        distance = np.where(chain.is_call, chain.strike - forward, forward - chain.strike)
        rows = np.flatnonzero(sound & (distance >= 0))
    rows = rows[np.lexsort((distance[rows], chain.is_call[rows], chain.series[rows]))]
    group = 2 * chain.series[rows] + chain.is_call[rows]
    edges = np.flatnonzero(np.diff(group, prepend=-1, append=-1))
    for first, last in pairwise(edges.tolist()):
        here = rows[first:last]
        lowest = second = np.inf
        for row in here.tolist():
            ask = float(chain.ask[row])
            found[row] = chain.bid[row] > second
            if ask < lowest:
                lowest, second = ask, lowest
            elif ask < second:
                second = ask
    return found
