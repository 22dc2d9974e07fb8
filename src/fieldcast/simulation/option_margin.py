"""What a US broker asks for short options: the exchanges' minimum by strategy.

    naked        premium + max(rate * S - out of the money, 10 % of S for a call or of the strike for a put), a unit
                 rate = 20 %, of an index 15 %; S the underlying's price
    spread       a short with a long one of the same kind that does not end before it: call max(long strike - short strike, 0),
                 put max(short strike - long strike, 0), a unit; the long one is paid in full
    covered      a short call over long shares, a short put over short shares: what it is in the money, beside the shares' own
                 margin, since the shares count for no more (no less) than the strike
    straddle     a naked call and a naked put: the larger of what the two ask for, and the premium of the other
    secured      in an account that may not sell short: a short put asks for its strike in cash, and a call without shares is
                 refused; a long option covers neither (the rule's exception, European spreads on an index, is not made)

Shorts are covered by shares first, then paired with long options, the ones that ask for most first, each with the long one that
leaves least, and what is left of calls and puts with each other in that order: what is asked for is never below the least that a
broker's search over all pairings would find. An iron condor is asked for as two spreads. A long option has no loan value; its
price counts neither for nor against the account:

    excess = cash + shares and futures - their maintenance margin - what is asked for the shorts

Initial and maintenance requirement are the same. A venue that knows the terms (`VenueSettings.options`) holds an account to it by
a compiled twin of `requirement` (`_kernels_option_margin`); `option_margins` puts it beside a run that does not.
Sources: Cboe rule 10.3 and "Margin Requirement Examples for Sample Options-based Positions" (Cboe); FINRA rule 4210(f)(2);
Regulation T, 12 CFR 220.8 and 220.12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.market import STAMP, Kind
from fieldcast.simulation import _state as s
from fieldcast.simulation.derivatives import OptionTerms
from fieldcast.simulation.event_table import micros
from fieldcast.simulation.result import SimulationResult

EQUITY_RATE, INDEX_RATE, LEAST = 0.20, 0.15, Fraction(1, 10)
SCHEMA: dict[str, pl.DataType] = {
    "ts": STAMP,  # end of the bar
    "required": pl.Float64(),  # for all short options
    "naked": pl.Float64(),  # of it, for those without cover
    "excess": pl.Float64(),  # below zero: a broker would have called
}
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Leg:
    """A position in one option.

    Parameters
    ----------
    right, strike : of the contract
    ends : its last moment, microseconds
    units : of the underlying that the position stands for, below zero where short
    premium : price of one unit
    """

    right: Literal["call", "put"]
    strike: float
    ends: int
    units: float
    premium: float


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is asked for short options on one underlying: in all, and for those that nothing covers; units covered by shares."""

    total: float
    naked: float
    covered: float


def naked_requirement(leg: Leg, spot: float, *, rate: float = EQUITY_RATE) -> float:
    """For one unit of a short option without cover."""
    outside = max(leg.strike - spot if leg.right == "call" else spot - leg.strike, 0)
    least = (spot if leg.right == "call" else leg.strike) * LEAST
    return leg.premium + max(rate * spot - outside, least)


def requirement(
    spot: float,
    shares: float,
    legs: Sequence[Leg],
    *,
    rate: float = EQUITY_RATE,
    secured: bool = False,
    rounded: Callable[[float], float] = lambda part: part,
) -> Requirement:
    """What is asked for the short options on one underlying; exact where the numbers are fractions.

    Parameters
    ----------
    spot : price of the underlying
    shares : units of it that are held, below zero where short
    legs : all options on it
    rate : share of the underlying's price for a naked short; 15 % for a broad index
    secured : short puts are covered by their strikes in cash, and no option by another
    rounded : what becomes of each part that is asked for
    """
    total: float = 0
    naked: float = 0
    covered: float = 0
    alone: dict[str, list[tuple[float, float, Leg]]] = {"call": [], "put": []}  # asked for a unit, units, leg
    for right, rest in alone.items():
        cover = max(shares if right == "call" else -shares, 0)
        longs = [leg for leg in legs if leg.right == right and leg.units > 0]
        free = [leg.units for leg in longs]
        asks = [(_by_itself(leg, spot, rate, secured), leg) for leg in legs if leg.right == right and leg.units < 0]
        for each_alone, short in sorted(asks, key=lambda one: (-one[0], one[1].strike, one[1].ends)):
            left = -short.units
            by_shares = min(left, cover)
            inside = max(spot - short.strike if right == "call" else short.strike - spot, 0)
            cover, left, covered = cover - by_shares, left - by_shares, covered + by_shares
            total += rounded(by_shares * inside)
            for each, place in sorted((_apart(short, leg), n) for n, leg in enumerate(longs) if leg.ends >= short.ends):
                if secured or left <= 0 or each >= each_alone:
                    break
                taken = min(left, free[place])
                free[place] -= taken
                left, total = left - taken, total + rounded(taken * each)
            if left > 0:
                rest.append((each_alone, left, short))
    calls, puts = alone["call"], alone["put"]
    while calls or puts:
        if calls and puts and not secured:
            (more, units, first), (_, others, second) = (calls[0], puts[0]) if calls[0][0] >= puts[0][0] else (puts[0], calls[0])
            taken = min(units, others)
            naked += rounded(taken * (more + second.premium))
            for side, leg, held in ((alone[first.right], first, units), (alone[second.right], second, others)):
                each, _, _ = side.pop(0)
                if held > taken:
                    side.insert(0, (each, held - taken, leg))
        else:
            each, taken, _ = (calls or puts).pop(0)
            naked += rounded(taken * each)
    return Requirement(total + naked, naked, covered)


def _by_itself(leg: Leg, spot: float, rate: float, secured: bool) -> float:
    """What is asked for one unit of a short option that nothing else covers."""
    return leg.strike if secured and leg.right == "put" else naked_requirement(leg, spot, rate=rate)


def option_margins(result: SimulationResult, contracts: Iterable[OptionTerms]) -> pl.DataFrame:
    """The exchanges' minimum beside a run, at each close at which an option is short; schema `SCHEMA`, in the base currency.

    Parameters
    ----------
    contracts : the terms of every option of the run's market

    Raises
    ------
    InvalidInput : the run holds several currencies, or an option or underlying is none of its instruments
    MissingData : an underlying has no price yet
    """
    market, terms = result.market, {term.instrument: term for term in contracts}
    rows = {name: market.row(name) for name in terms}
    if not rows:
        return pl.DataFrame(schema=SCHEMA)
    if len(result.units.currencies) > 1:
        raise InvalidInput(f"expected a run in one currency, found {', '.join(result.units.currencies)}")
    lots = _lots(result)
    unit = np.array([float(one.lot * one.multiplier) for one in market.instruments])
    price = np.column_stack([_last(market.close[n]) for n in range(len(market.instruments))])
    options = sorted(rows.values())
    bars = np.flatnonzero((lots[:, options] < 0).any(axis=1))
    underlying = {name: market.row(term.underlying) for name, term in terms.items()}
    found = []
    for t in bars.tolist():
        required = naked = 0.0
        for under in sorted(set(underlying.values())):
            legs = [
                Leg(term.right, float(term.strike), micros(utc(term.expires_at)), float(lots[t, rows[name]] * unit[rows[name]]),
                    float(price[t, rows[name]]))
                for name, term in terms.items() if underlying[name] == under and lots[t, rows[name]]
            ]  # fmt: skip
            if legs and not price[t, under] > 0.0:
                raise MissingData(
                    f"expected a price of {market.instruments[under].id}, which short options stand on, by "
                    f"{pl.Series([int(market.ts[t])]).cast(STAMP)[0]:%Y-%m-%d}, found none"
                )
            rate = INDEX_RATE if market.instruments[under].kind is Kind.INDEX else EQUITY_RATE
            one = requirement(float(price[t, under]), float(lots[t, under] * unit[under]), legs, rate=rate)
            required, naked = required + one.total, naked + one.naked
        found.append((required, naked, _own(result, t, lots[t], price[t], unit, options) - required))
    columns = np.array(found).reshape(-1, 3)
    return pl.DataFrame({
        "ts": pl.Series(market.ts[bars]).cast(STAMP), "required": columns[:, 0], "naked": columns[:, 1], "excess": columns[:, 2],
    }, schema=SCHEMA)  # fmt: skip


def margin_warning(result: SimulationResult, contracts: Iterable[OptionTerms]) -> tuple[str, ...]:
    """What a report has to say where a broker would have called for more than the run needed; none where it would not."""
    table = option_margins(result, contracts)
    short = table.filter(pl.col("excess") < 0.0)
    if short.is_empty():
        return ()
    worst = short.sort("excess").row(0, named=True)
    return (
        f"at {short.height} of {table.height} closes with short options the account is below the exchanges' minimum (Cboe rule "
        f"10.3), by up to {-worst['excess']:,.2f} {result.currency} on {worst['ts']:%Y-%m-%d}: a broker would have called",
    )


def _apart(short: Leg, long: Leg) -> float:
    """What is asked for one unit of a spread."""
    return max(long.strike - short.strike if short.right == "call" else short.strike - long.strike, 0)


def _lots(result: SimulationResult) -> NDArray[np.int64]:
    """(T, N) lots held at each close, by fills and by events that moved a position; no underlying of an option splits."""
    held = np.zeros((result.market.bars, len(result.market.instruments)), dtype=np.int64)
    rows = result.fill_rows
    np.add.at(held, (rows[:, s.F_BAR], rows[:, s.F_INSTRUMENT]), rows[:, s.F_SIDE] * rows[:, s.F_LOTS])
    return np.cumsum(held, axis=0)


def _last(close: Floats) -> Floats:
    """(T,) the last known close; 0 before the first."""
    place = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.size), -1))
    return np.where(place >= 0, close[np.maximum(place, 0)], 0.0)


def _own(
    result: SimulationResult, t: int, lots: NDArray[np.int64], price: Floats, unit: Floats, options: Sequence[int]
) -> float:
    """Cash, and what is no option less its maintenance margin, at a close."""
    scale = 10.0**result.units.cash_decimals
    cash, value = float(result.curve[0, t]) / scale, float(result.curve[1, t]) / scale
    own = cash + value - float((lots[options] * price[options] * unit[options]).sum())
    for n in set(np.flatnonzero(lots).tolist()) - set(options):
        share, each = _maintenance(result, n)
        own -= share * abs(float(lots[n] * price[n] * unit[n])) + each * abs(float(lots[n])) * float(result.units.lot[n])
    return own


def _maintenance(result: SimulationResult, n: int) -> tuple[float, float]:
    """(share of the value, amount a unit) of the run's maintenance margin of an instrument."""
    name = result.market.instruments[n].id
    _, share, _, each = result.settings["margins"].get(name, result.settings["margin"])
    return float(Decimal(share)), float(Decimal(each))
