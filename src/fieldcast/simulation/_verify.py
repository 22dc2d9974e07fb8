"""Checks of a finished run against its market: every fill from the bar that it names, every event in balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fieldcast.simulation import _state as s

if TYPE_CHECKING:
    from fieldcast.simulation.result import SimulationResult


def verify_fills(result: SimulationResult) -> str:
    """What is wrong with the first fill that does not stem from its bar; empty where none is.

    A fill of an order: its source bar exists on the market's clock (or the finer one), ends after the order was made
    and not before the
    fill, and its print lies between that bar's low and high. Fills without an order (contracts that expired or were
    rolled) are events.
    """
    fills, market = result.fill_rows, result.market
    fills = fills[fills[:, s.F_ORDER] >= 0]
    if not len(fills):
        return ""
    orders = result.order_rows[fills[:, s.F_ORDER]]
    n, t = fills[:, s.F_INSTRUMENT], fills[:, s.F_BAR]
    source, ts = fills[:, s.F_SOURCE], fills[:, s.F_TS]
    same = fills[:, s.F_CONVENTION] == s.AT_SAME_CLOSE
    inside = (t >= 0) & (t < market.bars)
    at = np.where(inside, t, 0)
    own = source == market.ts[at]
    finer = np.zeros(len(fills), dtype=np.bool_)
    high, low = market.high[n, at], market.low[n, at]
    if market.finer is not None:
        k = np.minimum(np.searchsorted(market.finer.ts, source), market.finer.bars - 1)
        finer = ~own & (market.finer.ts[k] == source) & (source > market.open_ts[at]) & (source <= market.ts[at])
        high, low = np.where(finer, market.finer.high[n, k], high), np.where(finer, market.finer.low[n, k], low)
    scale = result.units.price_scale[n]
    reference = fills[:, s.F_REFERENCE]
    top = np.fmax(np.fmax(high, market.close[n, at]), np.where(finer, np.nan, market.open[n, at]))
    bottom = np.fmin(np.fmin(low, market.close[n, at]), np.where(finer, np.nan, market.open[n, at]))
    within = (reference <= np.rint(np.nan_to_num(top) * scale)) & (reference >= np.rint(np.nan_to_num(bottom) * scale))
    after = (orders[:, s.O_CREATED] < source) | (same & (orders[:, s.O_CREATED] == source))
    timely = (ts <= source) & (ts >= np.minimum(market.open_ts[at], source)) & (ts >= orders[:, s.O_ACTIVE])
    bad = np.flatnonzero(~(inside & (own | finer) & within & after & timely))
    if not len(bad):
        return ""
    i = int(bad[0])
    return (
        f"expected every fill to stem from the bar that it names, found fill {i} of order {int(fills[i, s.F_ORDER])} at "
        f"{int(ts[i])} from the bar ending {int(source[i])} (bar {int(t[i])} of {market.bars}) at print "
        f"{int(reference[i])} price units"
    )


def verify_journal(result: SimulationResult) -> str:
    """The first event that does not sum to zero in each currency, or the currency whose cash is not the sum of its postings."""
    rows = result.journal_rows
    order = np.lexsort((rows[:, s.J_CURRENCY], rows[:, s.J_EVENT]))
    sorted_rows = rows[order]
    if len(rows):
        begins = np.flatnonzero(
            np.concatenate(
                ([True], (np.diff(sorted_rows[:, s.J_EVENT]) != 0) | (np.diff(sorted_rows[:, s.J_CURRENCY]) != 0))
            )
        )
        sums = np.add.reduceat(sorted_rows[:, s.J_AMOUNT], begins)
        bad = np.flatnonzero(sums)
        if len(bad):
            row = sorted_rows[begins[bad[0]]]
            return f"expected postings that sum to zero, found {int(sums[bad[0]])} in event {int(row[s.J_EVENT])}"
    for c, currency in enumerate(result.units.currencies):
        cash = rows[(rows[:, s.J_ACCOUNT] == s.A_CASH) & (rows[:, s.J_CURRENCY] == c), s.J_AMOUNT].sum()
        if int(cash) != result.cash[currency]:
            return f"expected cash of {int(cash)} minimal units of {currency} from the journal, found {result.cash[currency]}"
    return ""
