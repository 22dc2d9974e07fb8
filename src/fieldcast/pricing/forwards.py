"""Forward and discount factor of every expiry, from the options themselves.

European calls and puts of one strike satisfy C − P = D (F − K): a line in K with slope −D that crosses zero at F. The line is
fitted to the mids of quotes on both sides, each pair weighted by its combined half spread; it starts from the median of
slopes over half the range (Theil and Sen), so that half the pairs may be wrong, and ends with Tukey's biweight. Its interval
takes the pairs' errors as independent; beside it stand the bounds that hold without any statistics, those at which somebody
could trade: for every pair (C_bid − P_ask)/D + K ≤ F ≤ (C_ask − P_bid)/D + K.

A short expiry fixes F well and D hardly at all (a cent of error over a day is a rate of several per cent), so where the implied
rate's interval is wider than `max_rate_width`, or the rate stands far from the median of the expiries around it, the discount
factor comes from the expiries that do resolve it: the mean of their rates by precision and nearness in the logarithm of time.

American pairs carry two early-exercise premiums. They are de-Americanised: each mid is lowered by the difference of American and
European model prices at the volatility of the strike's out-of-the-money side, the line is fitted again, and so on until the rate
that the premiums assume is the one that the line implies. A known dividend schedule needs no options: `forward_from_dividends`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.pricing._forward_american import Premium, deamericanised, early_exercise_premium
from fieldcast.pricing._forward_fit import fitted, near_rate, unclear
from fieldcast.pricing._forward_records import Floats, Forward, ForwardRules, Forwards, Refused
from fieldcast.pricing._parity_line import Pairs
from fieldcast.pricing.quotes import ChainQuotes

__all__ = [
    "DEAMERICANISED",
    "PARITY",
    "Forward",
    "ForwardRules",
    "Forwards",
    "Premium",
    "Refused",
    "early_exercise_premium",
    "forward_from_dividends",
    "implied_forwards",
]

PARITY, DEAMERICANISED = "put-call parity", "put-call parity, de-Americanised"


def forward_from_dividends(
    spot: float, rate: float, years: float, dividend_years: Sequence[float] = (), amounts: Sequence[float] = ()
) -> float:
    """F = (S − Σ dᵢ e^{−r tᵢ}) e^{rT} over the dividends that go ex before expiry.

    Raises
    ------
    InvalidInput : lengths differ, a time is negative, or the dividends are worth more than the spot
    """
    if len(dividend_years) != len(amounts) or years < 0 or not spot > 0 or any(t < 0 for t in dividend_years):
        raise InvalidInput("expected as many amounts as times, times at or above zero and a spot above zero")
    paid = sum(a * float(np.exp(-rate * t)) for t, a in zip(dividend_years, amounts, strict=True) if t <= years)
    if paid >= spot:
        raise InvalidInput(f"expected dividends worth less than the spot {spot}, found {paid}")
    return (spot - paid) * float(np.exp(rate * years))


def implied_forwards(
    chain: ChainQuotes, rules: ForwardRules | None = None, rates: Floats | None = None, premium: Premium | None = None
) -> Forwards:
    """Forward and discount factor of each expiry of the rows in `chain` (those that `judge` kept).

    Parameters
    ----------
    chain : quotes fit for use
    rates : (series,) known continuously compounded rates, NaN where unknown: D is then given and F alone is fitted
    premium : early-exercise premium, American less European price, for tests; by default from `american_price`

    Raises
    ------
    InvalidInput : American contracts without a spot, or European and American ones in one expiry
    """
    rules = rules or ForwardRules()
    years = chain.years(rules.day_count)
    done: list[tuple[Forward, Pairs]] = []
    refused: list[Refused] = []
    order = np.argsort(chain.series, kind="stable")
    bounds = np.searchsorted(chain.series[order], np.arange(chain.n_series + 1))
    for series in range(chain.n_series):
        rows = order[bounds[series] : bounds[series + 1]]
        if rows.size == 0:
            continue
        root = chain.roots[series] if series < len(chain.roots) else ""
        expiry, time = int(chain.expiry[rows[0]]), float(years[rows[0]])
        american = bool(chain.american[rows[0]])
        if chain.american[rows].any() != chain.american[rows].all():
            raise InvalidInput(f"expected one exercise style in an expiry of {root}, found both")
        if american and not chain.spot > 0:
            raise InvalidInput("expected the underlying's price: American options need a spot to be de-Americanised")
        if time <= 0:
            refused.append(Refused(series, root, expiry, Reason.EXPIRED, "expires within half a minute of the snapshot"))
            continue
        pairs = _pairs(chain, rows, rules, american)
        n = len(pairs.strike)
        if n < rules.fewest_pairs:
            text = f"{n} strikes with a usable call and put, {rules.fewest_pairs} are needed"
            refused.append(Refused(series, root, expiry, Reason.FEW_ROWS, text))
            continue
        given = float(rates[series]) if rates is not None and series < len(rates) and np.isfinite(rates[series]) else None
        stamp = _stamp(chain, series, root, expiry, time, rules, american)
        done.append((fitted(stamp, pairs, pairs.call - pairs.put, rules, given), pairs))
    european = _pooled([x for x in done if x[0].method == PARITY], rules)
    others = deamericanised([x for x in done if x[0].method != PARITY], rules, premium or early_exercise_premium)
    done = sorted(european + others, key=lambda x: x[0].series)
    known = []
    for one, _ in done:
        width = (one.forward_high - one.forward_low) / 2 / one.forward if one.forward > 0 else np.inf
        if not width <= rules.max_width or not 0.2 < one.discount < 1.5:
            text = f"forward {one.forward:.6g} ± {width:.2%}, discount factor {one.discount:.4f}"
            refused.append(Refused(one.series, one.root, one.expiry, Reason.UNRESOLVED, text))
        else:
            known.append(one)
    return Forwards(tuple(known), tuple(sorted(refused, key=lambda x: x.series)))


def _stamp(
    chain: ChainQuotes, series: int, root: str, expiry: int, years: float, rules: ForwardRules, american: bool
) -> Forward:
    nan = float("nan")
    return Forward(
        series, root, expiry, chain.as_of, chain.spot, years, rules.day_count, DEAMERICANISED if american else PARITY,
        nan, nan, nan, nan, nan, nan, nan, nan, "regression", nan, nan, nan, nan, rules.confidence, 0, 0, nan, 0,
    )


def _pairs(chain: ChainQuotes, rows: NDArray[np.intp], rules: ForwardRules, american: bool) -> Pairs:
    """Strikes with both sides, near the strike at which call and put are worth the same."""
    calls, puts = rows[chain.is_call[rows]], rows[~chain.is_call[rows]]
    strike, at_call, at_put = np.intersect1d(chain.strike[calls], chain.strike[puts], return_indices=True)
    calls, puts = calls[at_call], puts[at_put]
    bid, ask = chain.bid, chain.ask
    found = Pairs(
        strike, 0.5 * (bid[calls] + ask[calls]), 0.5 * (bid[puts] + ask[puts]),
        0.5 * (ask[calls] - bid[calls]), 0.5 * (ask[puts] - bid[puts]),
    )
    if strike.size == 0:
        return found
    centre = strike[np.argmin(np.abs(found.call - found.put))]
    found = found.take(np.abs(np.log(strike / centre)) <= rules.max_log_moneyness)
    if american and rules.max_pairs is not None and len(found.strike) > rules.max_pairs:
        near = np.argsort(np.abs(np.log(found.strike / centre)), kind="stable")[: 2 * rules.max_pairs]
        near = near[np.argsort((found.call_half + found.put_half)[near], kind="stable")[: rules.max_pairs]]
        found = found.take(np.sort(near))
    return found


def _pooled(done: list[tuple[Forward, Pairs]], rules: ForwardRules) -> list[tuple[Forward, Pairs]]:
    """Where an expiry does not resolve its own rate, or stands out from those near it, the rate of the others."""
    ones = [one for one, _ in done]
    unsure = unclear(ones, rules)
    sure = [one for one, doubtful in zip(ones, unsure, strict=True) if not doubtful]
    result = []
    for (one, pairs), doubtful in zip(done, unsure, strict=True):
        if not doubtful:
            result.append((one, pairs))
        elif not sure:
            result.append((replace(one, discount_source="unresolved"), pairs))
        else:
            result.append((fitted(one, pairs, pairs.call - pairs.put, rules, near_rate(one.years, sure), "pooled"), pairs))
    return result
