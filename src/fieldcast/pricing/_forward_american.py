"""American expiries: the right to exercise early is taken off the quotes before the line is fitted.

Each mid is lowered by the difference of American and European model prices at the volatility of the strike's out-of-the-money
side, the line is fitted again, and so on until the rate that the premiums assume is the one that the line implies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldcast.pricing._forward_fit import fitted, near_rate, unclear
from fieldcast.pricing._forward_records import Floats, Forward, ForwardRules
from fieldcast.pricing._parity_line import Pairs, fitted_line

# american_price(spot, strike, years, rate, dividend_yield, sigma, is_call) and the other way round for Black's
Premium = Callable[[float, Floats, float, float, float, Floats, bool], Floats]

START = 0.04  # rate at which the search for the first American expiry's own rate starts; the answer does not depend on it
LOWEST_START = 0.01  # the false solution lies below zero
SAME_FORWARD = 3e-7  # a forward that moves by less has settled
INNER = 16  # evaluations of premiums at one rate
HOPELESS = 2.0  # a rate whose raw interval is this much wider than allowed cannot become clear: the widening is at least a half
APART = 1e-3  # least distance of the first two rates that are tried: their slope says how much the premiums feed back
NODES = 14  # strikes an expiry and side at which American prices are computed


def early_exercise_premium(
    spot: float, strike: Floats, years: float, rate: float, dividend_yield: float, sigma: Floats, is_call: bool
) -> Floats:
    """American less European price, at or above zero.

    A put is worth exercising early for the interest on its strike, a call for the dividends: without either the premium is 0.
    (With both rates below zero there can be a band of exercise; its worth is left out.)
    """
    strike, sigma = np.ascontiguousarray(strike, np.float64), np.ascontiguousarray(sigma, np.float64)
    if (dividend_yield if is_call else rate) <= 0 or strike.size == 0:
        return np.zeros(strike.shape)
    from fieldcast.pricing.american import premium_over_strikes

    return premium_over_strikes(spot, strike, years, rate, dividend_yield, sigma, is_call, NODES)


def deamericanised(
    done: list[tuple[Forward, Pairs]], rules: ForwardRules, premium: Premium
) -> list[tuple[Forward, Pairs]]:
    """Take the right to exercise early off the quotes: each expiry at its own rate, else at that of its neighbours."""
    works = [_American(one, pairs, rules, premium) for one, pairs in done]
    fits = [one for one, _ in done]
    start = START
    for place in sorted(range(len(done)), key=lambda k: -fits[k].years):  # long ones fix the rate best: others start from theirs
        if fits[place].discount_source == "given":
            fits[place] = works[place].at_rate(fits[place].rate)
            continue
        fits[place] = works[place].settle(start)
        if fits[place].rate_high - fits[place].rate_low < 2 * rules.max_rate_width:
            start = max(fits[place].rate, LOWEST_START)
    if all(unclear(fits, rules)):  # nobody to take a rate from
        fits = [work.settle(START, hopeless=True) for work in works]
    unsure = unclear(fits, rules)
    sure = [one for one, doubtful in zip(fits, unsure, strict=True) if not doubtful]
    # where others lie wholly above it, an interval that reaches zero is that of the false solution
    false = [one.rate_low <= 0 and sum(other.rate_low > one.rate_high for other in sure) >= 2 for one in fits]
    unsure = [doubtful or wrong for doubtful, wrong in zip(unsure, false, strict=True)]
    sure = [one for one, doubtful in zip(fits, unsure, strict=True) if not doubtful]
    result = []
    for work, one, doubtful in zip(works, fits, unsure, strict=True):
        if not doubtful:
            result.append((one, work.pairs))
        elif not sure:
            result.append((replace(one, discount_source="unresolved"), work.pairs))
        else:
            result.append((work.at_rate(near_rate(one.years, sure), "pooled"), work.pairs))
    return result


class _American:
    """One expiry: the premiums depend on the rate, and the rate that the quotes imply on the premiums.

    The rate r is the solution of r = ρ(r), with ρ(r) the slope of the line after premiums at r are gone. American pairs have a
    false solution at r < 0, where no put is exercised early, so the search starts above. It goes by secants, as plain repetition
    closes an eighth of the gap a step. An error of ρ moves the solution by 1/(1 − ρ′) of it, and so the interval is widened.
    """

    def __init__(self, one: Forward, pairs: Pairs, rules: ForwardRules, premium: Premium) -> None:
        self.one, self.pairs, self.rules, self.premium = one, pairs, rules, premium
        self.forward = fitted_line(pairs, pairs.call - pairs.put, float(np.exp(-START * one.years))).forward
        self.call, self.put = np.zeros(len(pairs.strike)), np.zeros(len(pairs.strike))
        self.evaluations = 0

    def value(self, rate: float) -> Floats:
        """C − P without premiums at this rate."""
        from fieldcast.pricing.implied import implied_volatility

        one, strike = self.one, self.pairs.strike
        self.evaluations += 1
        upper = strike >= self.forward
        discount = float(np.exp(-rate * one.years))
        price = np.maximum(np.where(upper, self.pairs.call - self.call, self.pairs.put - self.put), 1e-9 * strike)
        sigma = np.asarray(implied_volatility(price, self.forward, strike, one.years, discount, upper)[0])
        usable = np.isfinite(sigma) & (sigma > 0)
        if usable.any():
            sigma = np.where(usable, sigma, float(np.median(sigma[usable])))
            dividend_yield = rate - float(np.log(self.forward / one.spot)) / one.years
            of = (one.spot, strike, one.years, rate, dividend_yield, sigma)
            self.call, self.put = self.premium(*of, True), self.premium(*of, False)
        value = self.pairs.call - self.call - self.pairs.put + self.put
        self.forward = fitted_line(self.pairs, value, discount).forward
        return value

    def settled_value(self, rate: float) -> Floats:
        """`value` once forward and premiums agree: repeated, and every second time run ahead as a geometric series would."""
        last = 0.0
        for _ in range(INNER):
            before = self.forward
            value = self.value(rate)
            moved = self.forward - before
            if abs(moved) < SAME_FORWARD * before:
                break
            if last:
                ratio = min(0.9, max(-0.5, moved / last))
                self.forward += moved * ratio / (1 - ratio)
                last = 0.0
            else:
                last = moved
        return value

    def at_rate(self, rate: float, source: str = "given") -> Forward:
        """The fit with a rate that is known from elsewhere."""
        value = self.settled_value(rate)
        return replace(fitted(self.one, self.pairs, value, self.rules, rate, source), iterations=self.evaluations)

    def settle(self, start: float, hopeless: bool = False) -> Forward:
        """The fit at the rate that agrees with itself; an unbounded interval where there is none.

        Parameters
        ----------
        start : rate to start with, above zero; the first step is plain repetition, which cannot jump to the false solution
        hopeless : go on even where the quotes cannot resolve the rate
        """
        points: list[tuple[float, float]] = []
        rate, slope = start, 0.0
        for _ in range(self.rules.iterations):
            fit = fitted(self.one, self.pairs, self.settled_value(rate), self.rules, None)
            points.append((rate, fit.rate))
            half = (fit.rate_high - fit.rate_low) / 2
            if not np.isfinite(fit.rate) or (half > HOPELESS * self.rules.max_rate_width and not hopeless):
                break
            if len(points) > 1 and points[-1][0] != points[-2][0]:
                slope = (points[-1][1] - points[-2][1]) / (points[-1][0] - points[-2][0])
                slope = min(0.95, max(-1.0, slope))
            if len(points) > 1 and abs(fit.rate - rate) < self.rules.tolerance + 0.04 * half * (1 - slope):
                wider = 1 / max(0.05, 1 - slope)
                low, high = fit.rate - wider * (fit.rate - fit.rate_low), fit.rate + wider * (fit.rate_high - fit.rate)
                return replace(fit, rate_low=low, rate_high=high, iterations=self.evaluations)
            step = (fit.rate - rate) / (1 - slope)
            if len(points) == 1 and abs(step) < APART:
                step = APART if step >= 0 else -APART
            rate = min(0.3, max(0.2 * rate, rate + step))
        return replace(fit, rate_low=-np.inf, rate_high=np.inf, iterations=self.evaluations)
