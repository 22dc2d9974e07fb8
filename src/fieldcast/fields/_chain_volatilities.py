"""The one volatility of each strike of a chain, as `pricing_chain` describes it."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from fieldcast.fields.priced_chain import Flags, Floats, Integers
from fieldcast.ground import Reason
from fieldcast.pricing.forwards import Forwards
from fieldcast.pricing.otm import otm_volatilities
from fieldcast.pricing.quotes import FAULTS, ChainQuotes, Judged

Source = Literal["quotes", "vendor", "quotes, then vendor"]

OWN, GAP, WING = 0, 1, 2


def strike_volatilities(
    quotes: ChainQuotes, judged: Judged, forwards: Forwards, source: Source, fill_gaps: bool, fill_wings: bool
) -> tuple[Floats, Integers]:
    """(n,) volatility of each row's strike, NaN where there is none, and how it came about."""
    n = len(quotes)
    order = np.lexsort((quotes.strike, quotes.series))
    edge = (np.diff(quotes.series[order], prepend=-1) != 0) | (np.diff(quotes.strike[order], prepend=-1.0) != 0)
    group = np.empty(n, np.int64)
    group[order] = np.cumsum(edge) - 1
    first = order[edge]
    series, strike = quotes.series[first], quotes.strike[first]
    sigma = np.full(len(first), np.nan)
    forward, _, years = (values[first] for values in forwards.of_rows(quotes))
    kept = np.flatnonzero(judged.kept)
    if source != "vendor" and kept.size and np.isfinite(forwards.of_rows(quotes)[0][kept]).any():
        at = quotes.take(kept)
        if _has_otm(at, forwards):
            solved = otm_volatilities(at, forwards)
            use = solved.usable
            sigma[group[kept[solved.row[use]]]] = solved.mid[use]
    if source != "quotes":
        _from_vendor(sigma, group, quotes, judged, forwards)
    # a strike whose quotes contradict its neighbours stays without a volatility of its own, and is not filled
    odd = np.zeros(len(first), bool)
    odd[group[has_fault(judged, Reason.OUT_OF_LINE)]] = True
    odd[group[has_fault(judged, Reason.BELOW_INTRINSIC)]] |= np.isnan(sigma[group[has_fault(judged, Reason.BELOW_INTRINSIC)]])
    sigma[odd] = np.nan
    kind = np.full(len(first), OWN)
    bounds = np.searchsorted(series, np.arange(quotes.n_series + 1))
    for start, end in pairwise(bounds.tolist()):
        _fill(slice(start, end), strike, forward, years, sigma, kind, odd, fill_gaps, fill_wings)
    return sigma[group], kind[group]


def _has_otm(quotes: ChainQuotes, forwards: Forwards) -> bool:
    forward, _, years = forwards.of_rows(quotes)
    with np.errstate(invalid="ignore"):
        out = np.where(quotes.is_call, quotes.strike >= forward, quotes.strike < forward)
    return bool((out & np.isfinite(forward) & (years > 0)).any())


def has_fault(judged: Judged, reason: Reason) -> Flags:
    return np.asarray((judged.faults >> FAULTS.index(reason)) & 1 == 1)


def _from_vendor(sigma: Floats, group: Integers, quotes: ChainQuotes, judged: Judged, forwards: Forwards) -> None:
    """The vendor's volatility where a strike has none: of its out-of-the-money contract, else of the other."""
    forward = forwards.of_rows(quotes)[0]
    with np.errstate(invalid="ignore"):
        out = np.where(quotes.is_call, quotes.strike >= forward, quotes.strike < forward)
    for side in (out, ~out):
        rows = np.flatnonzero(side & np.isfinite(judged.vendor_iv))
        rows = rows[np.isnan(sigma[group[rows]])]
        sigma[group[rows]] = judged.vendor_iv[rows]


def _fill(
    here: slice,
    strike: Floats,
    forward: Floats,
    years: Floats,
    sigma: Floats,
    kind: Integers,
    odd: Flags,
    fill_gaps: bool,
    fill_wings: bool,
) -> None:
    """Strikes of one expiry without a quote, from those with one."""
    if here.start == here.stop or not np.isfinite(forward[here.start]):
        return
    k = np.log(strike[here] / forward[here.start])
    known = np.isfinite(sigma[here])
    wanted = ~known & ~odd[here]
    if not known.any() or not wanted.any():
        return
    at = k[known]
    inside = (k > at[0]) & (k < at[-1])
    allowed = wanted & np.where(inside, fill_gaps, fill_wings)
    place = np.flatnonzero(allowed) + here.start
    sigma[place] = np.sqrt(np.interp(k[allowed], at, sigma[here][known] ** 2))  # one time: linear in σ² is linear in σ²T
    kind[place] = np.where(inside[allowed], GAP, WING)
