"""What becomes of an idea: stop, target or the end of its time, over many simulated paths.

Three kinds of paths, each from the price at which the idea enters, over `steps` steps:

    gaussian     the log return over all steps is normal, variance steps * sigma², mean steps * (drift - sigma² / 2)
    projected    the log return over all steps follows a projection's quantiles, linear in normal scores between them and beyond
    bootstrap    steps are drawn from given returns, with their mean moved so that the price is expected to grow by `drift`

In the first two a path between its ends is a Brownian bridge, whose first passage of the two barriers is exact in law however
long a step is (`_kernels_barriers`). In the third nobody knows what a return did on its way: barriers are looked at where a
step ends (`monitoring = "closes"`), and a stop is filled at that end, beyond its level; a target at its level.

Direction: a long wins at the upper barrier, a short at the lower one, and profit is s * (exit / entry - 1) less costs.

Closed form. A price without drift (drift = 0: a martingale, log drift -sigma² / 2) between target and stop at the distances a
and b in price is a fair game, so it ends at the target with probability b / (a + b), a long and its mirrored short alike: the
gambler's ruin in price. (For log distances the same rule holds where the logarithm is without drift: drift = sigma² / 2.) With
a drift, in logs nu = drift - sigma² / 2 and S(x) = exp(-2 nu x / sigma²):  P(upper) = (1 - S(lower)) / (S(upper) - S(lower)).

Standard errors: binomial for rates; sd / sqrt(n) for means; profit factor by the delta method; VaR from the order statistics
one binomial standard error to each side; CVaR sqrt((var of the tail + level * (CVaR - VaR)²) / (n (1 - level))).
Sources: Anderson (1960) for the barriers; Karlin and Taylor, *A First Course in Stochastic Processes* (1975), 7.5; Trindade,
Uryasev, Shapiro and Zrazhevsky, "Financial prediction with constrained tail risk", Journal of Banking & Finance 31 (2007)
3524-3538 for CVaR's error.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, Shown
from fieldcast.strategy.idea import TradeIdea
from fieldcast.trading import Side

Floats = NDArray[np.float64]
CHUNK = 4096
TAIL = 0.95


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Normal log returns. `sigma` and `drift` of one step, fractions; drift is that of the price."""

    sigma: float
    drift: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0 and math.isfinite(self.drift)):
            raise InvalidInput(f"expected a sigma above 0 and a finite drift, found {self.sigma} and {self.drift}")


@dataclass(frozen=True, slots=True)
class Projected:
    """A projection's own distribution of the log return over all steps.

    Parameters
    ----------
    levels : in (0, 1), ascending, at least three; quantiles : log returns at them, ascending
    sigma : of one step, between the ends: the projection's `sigma_horizon` over the root of the steps
    """

    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    sigma: float

    def __post_init__(self) -> None:
        levels, quantiles = np.array(self.levels), np.array(self.quantiles)
        whole = levels.size == quantiles.size >= 3 and bool(np.isfinite(quantiles).all())
        if not (whole and levels[0] > 0 and levels[-1] < 1 and (np.diff(levels) > 0).all() and (np.diff(quantiles) > 0).all()):
            raise InvalidInput(f"expected at least three ascending levels in (0, 1) and quantiles, found {self}")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InvalidInput(f"expected a sigma above 0, found {self.sigma}")


@dataclass(frozen=True)
class Bootstrap:
    """Log returns of steps to draw from, with replacement; their mean is moved so that E[exp(r)] = exp(drift)."""

    returns: Floats
    drift: float = 0.0

    def __post_init__(self) -> None:
        returns = np.asarray(self.returns, np.float64)
        if returns.ndim != 1 or returns.size < 2 or not np.isfinite(returns).all() or not math.isfinite(self.drift):
            raise InvalidInput(f"expected at least two finite returns and a finite drift, found {returns.shape} and {self.drift}")
        object.__setattr__(self, "returns", returns)


Innovations = Gaussian | Projected | Bootstrap


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error; both None where the paths do not give one."""

    value: float | None
    standard_error: float | None


@dataclass(frozen=True)
class MonteCarlo(Shown):
    """Outcome of the paths. Returns are of the entry price, after costs; VaR and CVaR are losses, positive where money is lost.

    Parameters
    ----------
    paths, steps, seed : how many, how long, from which seed
    monitoring : `continuous` or `closes`
    target_rate, stop_rate, time_rate : how the paths ended
    win_rate : share with a return above 0
    profit_factor : sum of gains over sum of losses; None where nothing was lost
    mean_return, median_return : of a path
    var_95, cvar_95 : of a path
    steps_held : mean number of steps, the last one counted whole
    closed_form_target_rate : of the same price without an end in time; None for other innovations than Gaussian
    returns : (paths,) each path's return
    """

    paths: int
    steps: int
    seed: int
    monitoring: str
    target_rate: Estimate
    stop_rate: Estimate
    time_rate: Estimate
    win_rate: Estimate
    profit_factor: Estimate
    mean_return: Estimate
    median_return: float
    var_95: Estimate
    cvar_95: Estimate
    steps_held: Estimate
    closed_form_target_rate: float | None
    returns: Floats

    def as_dict(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in ("paths", "steps", "seed", "monitoring")}
        for name in ESTIMATES:
            found[name] = asdict(getattr(self, name))
        return found | {"median_return": self.median_return, "closed_form_target_rate": self.closed_form_target_rate}


ESTIMATES = (
    "target_rate", "stop_rate", "time_rate", "win_rate", "profit_factor", "mean_return", "var_95", "cvar_95", "steps_held",
)  # fmt: skip


def target_probability(*, target: float, stop: float, sigma: float, drift: float = 0.0) -> float:
    """Chance that a Gaussian price ends at its target and not at its stop, without an end in time.

    Parameters
    ----------
    target, stop : as multiples of the entry price, one above and one below 1
    sigma, drift : of one step

    Raises
    ------
    InvalidInput : the levels do not enclose 1, or sigma is not above 0
    """
    lower, upper = min(target, stop), max(target, stop)
    if not (0 < lower < 1 < upper and math.isfinite(upper) and sigma > 0):
        raise InvalidInput(f"expected a target and a stop on two sides of 1 and a sigma above 0, found {target}, {stop}, {sigma}")
    slope = -2.0 * (drift - 0.5 * sigma * sigma) / (sigma * sigma)
    low, high = math.log(lower), math.log(upper)
    if slope * (high - low) == 0.0:
        above = -low / (high - low)
    else:  # expm1 keeps the digits that cancel; a large slope is taken from the side that does not overflow
        above = (
            -math.expm1(slope * low) / (math.expm1(slope * high) - math.expm1(slope * low))
            if slope < 0
            else (1.0 - math.exp(slope * low)) * math.exp(-slope * high) / (1.0 - math.exp(slope * (low - high)))
        )
    return above if target > 1 else 1.0 - above


def simulate_levels(
    side: Side,
    *,
    target: float,
    stop: float,
    steps: int,
    innovations: Innovations,
    seed: int,
    paths: int = 10_000,
    cost: float = 0.0,
) -> MonteCarlo:
    """Paths of one position between its levels.

    Parameters
    ----------
    side : BUY wins above, SELL below
    target, stop : as multiples of the entry price
    steps : until it is left at the price there is
    seed : the same seed gives the same paths, whatever their chunks
    paths : at least 100
    cost : of the round trip, as a fraction of the entry price, >= 0

    Raises
    ------
    InvalidInput : levels on the wrong sides, too few paths or steps, a negative cost
    """
    won_above = side is Side.BUY
    lower, upper = (stop, target) if won_above else (target, stop)
    if not (0 < lower < 1 < upper and math.isfinite(upper)):
        raise InvalidInput(f"expected a target on the winning and a stop on the losing side of 1, found {target} and {stop}")
    if steps < 1 or paths < 100 or not (math.isfinite(cost) and cost >= 0):
        raise InvalidInput(f"expected steps >= 1, paths >= 100 and a cost >= 0, found {steps}, {paths}, {cost}")
    bounds = (math.log(lower), math.log(upper))
    continuous = not isinstance(innovations, Bootstrap)
    if isinstance(innovations, Bootstrap):
        outcome, step, ends = _closes(innovations, steps, paths, seed, bounds)
    else:
        outcome, step, ends = _bridged(innovations, steps, paths, seed, bounds)
    at_target = outcome == (1 if won_above else -1)
    at_stop = outcome == (-1 if won_above else 1)
    exits = np.exp(ends)
    exits[at_target] = target
    if continuous:
        exits[at_stop] = stop
    returns = side.sign * (exits - 1.0) - cost
    closed = None
    if isinstance(innovations, Gaussian):
        closed = target_probability(target=target, stop=stop, sigma=innovations.sigma, drift=innovations.drift)
    gains, losses = np.maximum(returns, 0.0), np.maximum(-returns, 0.0)
    value_at_risk, shortfall = _tail(-returns)
    return MonteCarlo(
        paths=paths,
        steps=steps,
        seed=seed,
        monitoring="continuous" if continuous else "closes",
        target_rate=_rate(at_target),
        stop_rate=_rate(at_stop),
        time_rate=_rate(outcome == 0),
        win_rate=_rate(returns > 0),
        profit_factor=_quotient(gains, losses),
        mean_return=_mean(returns),
        median_return=float(np.median(returns)),
        var_95=value_at_risk,
        cvar_95=shortfall,
        steps_held=_mean(step.astype(np.float64)),
        closed_form_target_rate=closed,
        returns=returns,
    )


def simulate_idea(
    idea: TradeIdea, *, steps: int, innovations: Innovations, seed: int, paths: int = 10_000
) -> MonteCarlo:
    """Paths of an idea from its reference price, with its own costs; the trailing stop has no part in it.

    Raises
    ------
    InvalidInput : the idea has an error that leaves it without levels or costs, or a trailing stop, which barriers cannot follow
    """
    if idea.costs is None or idea.stop == idea.reference or min(idea.stop, idea.target) <= 0:
        raise InvalidInput(f"expected an idea with levels and costs to simulate, found {', '.join(idea.errors)}")
    if idea.trailing is not None:
        raise InvalidInput("expected an idea without a trailing stop: its barriers would move; leave it out to simulate the rest")
    reference = float(idea.reference)
    return simulate_levels(
        idea.side,
        target=float(idea.target) / reference,
        stop=float(idea.stop) / reference,
        steps=steps,
        innovations=innovations,
        seed=seed,
        paths=paths,
        cost=float(idea.costs.per_unit) / reference,
    )


def _bridged(
    innovations: Gaussian | Projected, steps: int, paths: int, seed: int, bounds: tuple[float, float]
) -> tuple[NDArray[np.int8], NDArray[np.int64], Floats]:
    from fieldcast.strategy._kernels_barriers import first_passages

    variance = innovations.sigma**2
    outcome, step, ends = np.empty(paths, np.int8), np.empty(paths, np.int64), np.empty(paths)
    for chunk, first in enumerate(range(0, paths, CHUNK)):
        size = min(CHUNK, paths - first)
        random = np.random.default_rng([seed, chunk])
        scores = random.standard_normal(CHUNK)
        normals = random.standard_normal((CHUNK, max(steps - 1, 1)))
        uniforms = random.random((CHUNK, steps))
        part = slice(first, first + size)
        ends[part] = _ends(innovations, steps, scores[:size])
        first_passages(ends[part], normals[:size], uniforms[:size], *bounds, variance, outcome[part], step[part])
    return outcome, step, ends


def _ends(innovations: Gaussian | Projected, steps: int, scores: Floats) -> Floats:
    """Log returns over all steps at standard normal scores."""
    if isinstance(innovations, Gaussian):
        mean = steps * (innovations.drift - 0.5 * innovations.sigma**2)
        normal: Floats = mean + math.sqrt(steps) * innovations.sigma * scores
        return normal
    from statistics import NormalDist

    knots = np.array([NormalDist().inv_cdf(level) for level in innovations.levels])
    quantiles = np.array(innovations.quantiles)
    found: Floats = np.interp(scores, knots, quantiles)
    for place, outside in ((0, scores < knots[0]), (-1, scores > knots[-1])):
        near = (0, 1) if place == 0 else (-2, -1)
        slope = (quantiles[near[1]] - quantiles[near[0]]) / (knots[near[1]] - knots[near[0]])
        found[outside] = quantiles[place] + slope * (scores[outside] - knots[place])
    return found


def _closes(
    innovations: Bootstrap, steps: int, paths: int, seed: int, bounds: tuple[float, float]
) -> tuple[NDArray[np.int8], NDArray[np.int64], Floats]:
    from fieldcast.strategy._kernels_barriers import first_closes

    moved = innovations.returns - math.log(float(np.mean(np.exp(innovations.returns)))) + innovations.drift
    outcome, step, ends = np.empty(paths, np.int8), np.empty(paths, np.int64), np.empty(paths)
    for chunk, first in enumerate(range(0, paths, CHUNK)):
        size = min(CHUNK, paths - first)
        drawn = np.random.default_rng([seed, chunk]).integers(0, moved.size, (CHUNK, steps))[:size]
        part = slice(first, first + size)
        first_closes(moved[drawn], *bounds, outcome[part], step[part], ends[part])
    return outcome, step, ends


def _rate(where: NDArray[np.bool_]) -> Estimate:
    share = float(where.mean())
    return Estimate(share, math.sqrt(share * (1.0 - share) / where.size))


def _mean(values: Floats) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size))


def _quotient(gains: Floats, losses: Floats) -> Estimate:
    """Sum of gains over sum of losses."""
    top, bottom = float(gains.mean()), float(losses.mean())
    if bottom == 0.0:
        return Estimate(None, None)
    ratio = top / bottom
    spread = float((gains - ratio * losses).std(ddof=1))
    return Estimate(ratio, spread / bottom / math.sqrt(gains.size))


def _tail(losses: Floats, level: float = TAIL) -> tuple[Estimate, Estimate]:
    """Value at risk and conditional value at risk of losses."""
    ordered = np.sort(losses)
    count = ordered.size
    place = math.ceil(level * count) - 1
    spread = math.sqrt(count * level * (1.0 - level))
    low, high = (int(min(max(place + side * spread, 0), count - 1)) for side in (-1.0, 1.0))
    value = float(ordered[place])
    beyond = ordered[place + 1 :]
    # the tail holds exactly (1 - level) of the mass: what is missing of it stands at the value itself
    mass = (1.0 - level) * count
    missing = mass - beyond.size
    shortfall = (float(beyond.sum()) + missing * value) / mass
    inside = np.append(beyond, value)
    error = math.sqrt((float(inside.var()) + level * (shortfall - value) ** 2) / mass)
    return (
        Estimate(value, 0.5 * float(ordered[high] - ordered[low])),
        Estimate(shortfall, error),
    )
