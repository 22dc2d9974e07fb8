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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.pricing._parity_line import Pairs, fitted_line
from fieldcast.pricing.quotes import DAY_COUNTS, ChainQuotes

Floats = NDArray[np.float64]
# american_price(spot, strike, years, rate, dividend_yield, sigma, is_call) and the other way round for Black's
Premium = Callable[[float, Floats, float, float, float, Floats, bool], Floats]

START = 0.04  # rate at which the search for the first American expiry's own rate starts; the answer does not depend on it
LOWEST_START = 0.01  # the false solution lies below zero
SAME_FORWARD = 3e-7  # a forward that moves by less has settled
INNER = 16  # evaluations of premiums at one rate
HOPELESS = 2.0  # a rate whose raw interval is this much wider than allowed cannot become clear: the widening is at least a half
APART = 1e-3  # least distance of the first two rates that are tried: their slope says how much the premiums feed back
NODES = 14  # strikes an expiry and side at which American prices are computed
PARITY, DEAMERICANISED, DIVIDENDS = "put-call parity", "put-call parity, de-Americanised", "dividend schedule"


@dataclass(frozen=True)
class ForwardRules:
    """How forwards are found.

    Parameters
    ----------
    day_count : one of `DAY_COUNTS`, calendar days to the minute
    fewest_pairs : strikes with a usable call and put
    max_log_moneyness : of pairs that enter, about a first guess of the forward
    max_pairs : the tightest of them, for American chains (each pair costs a few American prices an iteration); None: all
    max_rate_width : half width of the rate's interval up to which an expiry's own discount factor is used
    confidence : of the intervals
    max_width : half width of the forward's interval over the forward, above which the expiry is refused
    iterations, tolerance : of de-Americanising; it stops when the rate that goes in and the one that comes out differ by less
        than `tolerance` and a fiftieth of the interval
    """

    day_count: str = "ACT/365"
    fewest_pairs: int = 5
    max_log_moneyness: float = 0.25
    max_pairs: int | None = 30
    max_rate_width: float = 0.003
    confidence: float = 0.95
    max_width: float = 0.01
    iterations: int = 10
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.day_count not in DAY_COUNTS:
            raise InvalidInput(f"expected a day count of {', '.join(DAY_COUNTS)}, found {self.day_count!r}")
        if self.fewest_pairs < 3 or (self.max_pairs is not None and self.max_pairs < self.fewest_pairs):
            raise InvalidInput("expected at least three pairs, and max_pairs not below fewest_pairs")
        if not 0 < self.confidence < 1:
            raise InvalidInput(f"expected a confidence between 0 and 1, found {self.confidence}")


@dataclass(frozen=True)
class Forward:
    """Forward and discount factor of one expiry, with everything that says how good they are.

    Parameters
    ----------
    series, root, expiry : which one; `expiry` in µs since 1970
    as_of, spot : the snapshot
    years, day_count : time to expiry
    method : put-call parity, de-Americanised or not, or a dividend schedule
    forward, forward_low, forward_high : price units; interval at `confidence`
    tradable_low, tradable_high : outside these a pair of quotes would be an arbitrage; low above high: the quotes contradict each
        other at this discount factor
    discount, discount_low, discount_high : price of 1 at expiry
    discount_source : `regression`, `pooled` (from expiries that resolve it), `given`, or `unresolved` (the regression's own
        figure for want of a better one: use the forward, not the rate)
    rate, rate_low, rate_high : −ln D / years, continuously compounded
    carry : ln(F / spot) / years: rate less dividend and borrow yield; NaN without a spot
    pairs, outliers : strikes used; of them without weight in the end
    residual : weighted root mean square of C − P about the line, in price units
    iterations : evaluations of premiums for de-Americanising; 0 for European
    """

    series: int
    root: str
    expiry: int
    as_of: int
    spot: float
    years: float
    day_count: str
    method: str
    forward: float
    forward_low: float
    forward_high: float
    tradable_low: float
    tradable_high: float
    discount: float
    discount_low: float
    discount_high: float
    discount_source: str
    rate: float
    rate_low: float
    rate_high: float
    carry: float
    confidence: float
    pairs: int
    outliers: int
    residual: float
    iterations: int

    @property
    def dividend_yield(self) -> float:
        """Rate less carry: what holding the underlying pays, borrow fee included."""
        return self.rate - self.carry


@dataclass(frozen=True)
class Refused:
    """An expiry without a usable answer, and why."""

    series: int
    root: str
    expiry: int
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Forwards:
    """Every expiry of a snapshot, ascending."""

    known: tuple[Forward, ...]
    refused: tuple[Refused, ...]

    def of_rows(self, chain: ChainQuotes) -> tuple[Floats, Floats, Floats]:
        """Forward, discount factor and years of each row; NaN where the expiry was refused."""
        table = np.full((3, max(chain.n_series, 1)), np.nan)
        for one in self.known:
            if one.series < table.shape[1]:
                table[:, one.series] = one.forward, one.discount, one.years
        return table[0][chain.series], table[1][chain.series], table[2][chain.series]


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
        done.append((_fitted(stamp, pairs, pairs.call - pairs.put, rules, given), pairs))
    european = _pooled([x for x in done if x[0].method == PARITY], rules)
    others = _deamericanised([x for x in done if x[0].method != PARITY], rules, premium or early_exercise_premium)
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


def _fitted(
    stamp: Forward, pairs: Pairs, value: Floats, rules: ForwardRules, given: float | None, source: str = "given"
) -> Forward:
    """`stamp` with the line of `value` over the strikes in it; `given` is a rate."""
    from scipy.special import stdtrit

    years = stamp.years
    line = fitted_line(pairs, value, None if given is None else float(np.exp(-given * years)))
    wide = float(stdtrit(line.freedom, 0.5 + rules.confidence / 2))
    low, high = line.discount - wide * line.discount_error, line.discount + wide * line.discount_error
    half = pairs.call_half + pairs.put_half
    return replace(
        stamp,
        forward=line.forward,
        forward_low=line.forward - wide * line.forward_error,
        forward_high=line.forward + wide * line.forward_error,
        tradable_low=float(((value - half) / line.discount + pairs.strike).max()),
        tradable_high=float(((value + half) / line.discount + pairs.strike).min()),
        discount=line.discount,
        discount_low=low,
        discount_high=high,
        discount_source="regression" if given is None else source,
        rate=_rate(line.discount, years),
        rate_low=_rate(high, years),
        rate_high=_rate(low, years),
        carry=float(np.log(line.forward / stamp.spot) / years) if line.forward > 0 and stamp.spot > 0 else float("nan"),
        pairs=len(pairs.strike),
        outliers=line.outliers,
        residual=line.residual,
    )


def _rate(discount: float, years: float) -> float:
    return float(-np.log(discount) / years) if discount > 0 else float("inf")


def _pooled(done: list[tuple[Forward, Pairs]], rules: ForwardRules) -> list[tuple[Forward, Pairs]]:
    """Where an expiry does not resolve its own rate, or stands out from those near it, the rate of the others."""
    ones = [one for one, _ in done]
    unclear = _unclear(ones, rules)
    sure = [one for one, doubtful in zip(ones, unclear, strict=True) if not doubtful]
    result = []
    for (one, pairs), doubtful in zip(done, unclear, strict=True):
        if not doubtful:
            result.append((one, pairs))
        elif not sure:
            result.append((replace(one, discount_source="unresolved"), pairs))
        else:
            result.append((_fitted(one, pairs, pairs.call - pairs.put, rules, _near_rate(one.years, sure), "pooled"), pairs))
    return result


def _unclear(ones: list[Forward], rules: ForwardRules) -> list[bool]:
    """Expiries whose own rate is not to be used: too wide an interval, or far from the median of four or more others near it."""
    half = [(one.rate_high - one.rate_low) / 2 for one in ones]
    unclear = [one.discount_source != "given" and not w <= rules.max_rate_width for one, w in zip(ones, half, strict=True)]
    sure = [i for i, doubtful in enumerate(unclear) if not doubtful]
    for i in sure:
        near = sorted((j for j in sure if j != i), key=lambda j: abs(float(np.log(ones[j].years / ones[i].years))))[:8]
        if len(near) >= 4 and ones[i].discount_source != "given":
            middle = float(np.median([ones[j].rate for j in near]))
            unclear[i] = abs(ones[i].rate - middle) > 2 * rules.max_rate_width + half[i]
    return unclear


def _near_rate(years: float, sure: list[Forward]) -> float:
    """Mean of the resolved rates, by precision (a tenth of a per cent at best) and nearness in the logarithm of time."""
    apart = np.log(np.array([one.years for one in sure]) / years)
    error = np.array([(one.rate_high - one.rate_low) / 2 for one in sure])
    exponent = -0.5 * (apart / 0.7) ** 2 - np.log(error**2 + 1e-6)
    return float(np.average([one.rate for one in sure], weights=np.exp(exponent - exponent.max())))


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


def _deamericanised(
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
    if all(_unclear(fits, rules)):  # nobody to take a rate from
        fits = [work.settle(START, hopeless=True) for work in works]
    unclear = _unclear(fits, rules)
    sure = [one for one, doubtful in zip(fits, unclear, strict=True) if not doubtful]
    # where others lie wholly above it, an interval that reaches zero is that of the false solution
    false = [one.rate_low <= 0 and sum(other.rate_low > one.rate_high for other in sure) >= 2 for one in fits]
    unclear = [doubtful or wrong for doubtful, wrong in zip(unclear, false, strict=True)]
    sure = [one for one, doubtful in zip(fits, unclear, strict=True) if not doubtful]
    result = []
    for work, one, doubtful in zip(works, fits, unclear, strict=True):
        if not doubtful:
            result.append((one, work.pairs))
        elif not sure:
            result.append((replace(one, discount_source="unresolved"), work.pairs))
        else:
            result.append((work.at_rate(_near_rate(one.years, sure), "pooled"), work.pairs))
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
        return replace(_fitted(self.one, self.pairs, value, self.rules, rate, source), iterations=self.evaluations)

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
            fit = _fitted(self.one, self.pairs, self.settled_value(rate), self.rules, None)
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
