"""OIDistribution: where open interest stands, and the prices that it marks out.

- call wall, put wall: the strike with the most gamma of calls, of puts, in dollars whoever holds them. Under the naive policy
  this is the largest call GEX and the most negative put GEX. Beside them the variants by raw open interest.
- absolute gamma strike: the largest |net GEX|, which does depend on the sign policy.
- max pain: the price at which an expiry's contracts pay out least, always a strike: payouts are piecewise linear and convex.
- pin zones: neighbouring strikes near the spot that hold much of the open interest. Dealers who are long gamma there push the
  price towards them (`gex` above 0), dealers who are short push it away.
- concentration: Σ share² over strikes (Herfindahl and Hirschman), and the entropy of the shares over that of equal ones.
- EPP scalar: tanh(net GEX / scale), a figure in (−1, 1). The scale is declared; by default the gross gamma of the book, and then
  doubling all open interest leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.fields.dealer.book import Book, sums, table_of
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.priced_chain import Floats
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class OpenInterestRules:
    """What counts.

    Parameters
    ----------
    within_days : expiries up to it, calendar days; None: all
    pin_share : of all open interest that counts, from which a strike belongs to a pin zone
    pin_gap : of the spot: strikes closer than this are one zone
    pin_reach : of the spot: zones lie within it
    epp_scale : dollars of gamma per 1 % at which the EPP scalar is tanh(1); None: the gross gamma of what counts
    """

    within_days: float | None = None
    pin_share: float = 0.02
    pin_gap: float = 0.005
    pin_reach: float = 0.10
    epp_scale: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.pin_share < 1 and 0 <= self.pin_gap < 1 and 0 < self.pin_reach < 1):
            raise InvalidInput("expected pin_share, pin_gap and pin_reach as shares between 0 and 1")
        for value in (self.within_days, self.epp_scale):
            if value is not None and not 0 < value < np.inf:
                raise InvalidInput(f"expected within_days and epp_scale above zero, or None, found {value}")


@dataclass(frozen=True, kw_only=True, eq=False)
class OIDistribution(Stamped):
    """Open interest by strike, expiry and right.

    Parameters
    ----------
    by_strike : strike, call_oi, put_oi (contracts), call_gamma, put_gamma (dollars per 1 %, unsigned), call_gex, put_gex, gex
    by_expiry : expiry_ts, days, call_oi, put_oi, max_pain, payout (dollars at max pain)
    pin_zones : low, high, centre (by open interest), open_interest, share, gex
    call_wall, put_wall, call_wall_oi, put_wall_oi, absolute_gamma_strike : prices, None with a reason
    max_pain : of the nearest expiry with open interest
    put_call : open interest of puts over that of calls
    hhi, entropy : concentration over strikes; entropy is 1 where all strikes hold the same
    epp, epp_scale : the scalar and its scale
    rules : what counted
    reasons : quantity → why it is unknown
    """

    by_strike: pl.DataFrame
    by_expiry: pl.DataFrame
    pin_zones: pl.DataFrame
    call_wall: float | None
    put_wall: float | None
    call_wall_oi: float | None
    put_wall_oi: float | None
    absolute_gamma_strike: float | None
    max_pain: float | None
    put_call: float | None
    hhi: float | None
    entropy: float | None
    epp: float | None
    epp_scale: float | None
    rules: OpenInterestRules
    reasons: Mapping[str, Reason] = field(default_factory=dict)


def oi_distribution(book: Book, rules: OpenInterestRules | None = None) -> OIDistribution:
    """Open interest of a book's chain, and the prices it marks out."""
    rules = rules or OpenInterestRules()
    parts = _by_line(book, rules)
    strike, place = book.by_strike
    at = {name: sums(place, values, strike.size) for name, values in parts.items()}
    counted = sums(place, _counts(book, rules), strike.size) > 0
    table = {name: values[counted] for name, values in {"strike": strike, **at}.items()}
    contracts = table["call_oi"] + table["put_oi"]
    total = float(contracts.sum())
    share: Floats = contracts[contracts > 0] / total if total > 0 else np.empty(0)
    gross = float(np.abs(parts["gex"]).sum())
    scale = rules.epp_scale or gross
    net = float(parts["gex"].sum())
    expiries = _by_expiry(book, rules, parts)
    pains = expiries["max_pain"].drop_nulls()
    found: dict[str, float | None] = {
        "call_wall": _largest(table["strike"], table["call_gamma"]),
        "put_wall": _largest(table["strike"], table["put_gamma"]),
        "call_wall_oi": _largest(table["strike"], table["call_oi"]),
        "put_wall_oi": _largest(table["strike"], table["put_oi"]),
        "absolute_gamma_strike": _largest(table["strike"], np.abs(table["gex"])),
        "max_pain": float(pains[0]) if pains.len() else None,
        "put_call": float(table["put_oi"].sum() / table["call_oi"].sum()) if table["call_oi"].sum() > 0 else None,
        "hhi": float((share**2).sum()) if share.size else None,
        "entropy": _entropy(share) if share.size else None,
        "epp": float(np.tanh(net / scale)) if scale > 0 else None,
        "epp_scale": scale if scale > 0 else None,
    }
    return OIDistribution(
        conventions=book.conventions,
        by_strike=pl.DataFrame(table),
        by_expiry=expiries,
        pin_zones=_pin_zones(table, total, book.spot, rules),
        rules=rules,
        reasons={name: Reason.UNDEFINED for name, value in found.items() if value is None},
        **found,
    )


def _counts(book: Book, rules: OpenInterestRules) -> Floats:
    """(lines,) 1 where the expiry counts."""
    if rules.within_days is None:
        return np.ones(len(book.lines))
    return np.asarray(book.lines.years * book.days_a_year <= rules.within_days, np.float64)


def _by_line(book: Book, rules: OpenInterestRules) -> dict[str, Floats]:
    """(lines,) open interest and gamma of calls and puts; 0 where the expiry does not count."""
    chain, n = book.chain, len(book.lines)
    call = chain.is_call
    units = chain.open_interest * chain.multiplier
    here, counts = book.exposures, _counts(book, rules)

    def sum_of(values: Floats, rows: NDArray[np.bool_]) -> Floats:
        return sums(book.line[rows], values[rows], n) * counts

    call_units, put_units = sum_of(units, call), sum_of(units, ~call)
    return {
        "call_oi": sum_of(chain.open_interest, call),
        "put_oi": sum_of(chain.open_interest, ~call),
        "call_units": call_units,
        "put_units": put_units,
        "call_gamma": call_units * here.gamma_dollars,
        "put_gamma": put_units * here.gamma_dollars,
        "call_gex": here.call_gex * counts,
        "put_gex": here.put_gex * counts,
        "gex": here.gex * counts,
    }


def _largest(strike: Floats, values: Floats) -> float | None:
    """Strike of the largest value, the lowest of equal ones; None where all are 0."""
    if values.size == 0 or not values.max() > 0:
        return None
    return float(strike[int(np.argmax(values))])


def _entropy(share: Floats) -> float:
    if share.size == 1:
        return 0.0
    return float(-(share * np.log(share)).sum() / np.log(share.size))


def _by_expiry(book: Book, rules: OpenInterestRules, parts: dict[str, Floats]) -> pl.DataFrame:
    """Open interest and max pain of each expiry that counts."""
    from fieldcast.fields.dealer import _kernels as kernels

    lines = book.lines
    first = np.flatnonzero(np.diff(lines.expiry, prepend=-1))
    bounds = np.append(first, len(lines)).astype(np.int64)
    pain, best = np.empty(first.size), np.empty(first.size)
    kernels.fill_max_pain(bounds, lines.strike, parts["call_units"], parts["put_units"], pain, best)
    call_oi, put_oi = np.add.reduceat(parts["call_oi"], first), np.add.reduceat(parts["put_oi"], first)
    years = lines.years[first]
    some = call_oi + put_oi > 0
    table = table_of(
        {
            "expiry_ts": pl.Series(book.chain.expiry_ts[lines.expiry[first]]).cast(pl.Datetime("us", "UTC")),
            "days": years * book.days_a_year,
            "call_oi": call_oi,
            "put_oi": put_oi,
            "max_pain": np.where(some, best, np.nan),
            "payout": np.where(some, pain, np.nan),
        }
    )
    return table if rules.within_days is None else table.head(int((years * book.days_a_year <= rules.within_days).sum()))


def _pin_zones(table: dict[str, Floats], total: float, spot: float, rules: OpenInterestRules) -> pl.DataFrame:
    """Runs of heavy strikes near the spot."""
    schema = dict.fromkeys(("low", "high", "centre", "open_interest", "share", "gex"), pl.Float64)
    contracts = table["call_oi"] + table["put_oi"]
    near = np.abs(table["strike"] / spot - 1.0) <= rules.pin_reach
    heavy = np.flatnonzero(near & (contracts >= rules.pin_share * total) & (contracts > 0))
    if heavy.size == 0:
        return pl.DataFrame(schema=schema)
    cut = np.flatnonzero(np.diff(table["strike"][heavy]) > rules.pin_gap * spot) + 1
    rows = []
    for start, end in pairwise([0, *cut.tolist(), heavy.size]):
        zone = heavy[start:end]
        strike, held = table["strike"][zone], contracts[zone]
        rows.append(
            (float(strike[0]), float(strike[-1]), float((strike * held).sum() / held.sum()), float(held.sum()),
             float(held.sum() / total), float(table["gex"][zone].sum()))
        )  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
