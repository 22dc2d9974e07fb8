"""One smile: raw SVI fitted to an expiry's implied volatilities, without butterfly arbitrage.

    w(k) = σ_BS² T = a + b (ρ (k − m) + √((k − m)² + σ²)),    k = ln(K / F)

The density that a smile implies has the sign of Durrleman's function

    g(k) = (1 − k w′/2w)² − (w′²/4)(1/w + 1/4) + w″/2

so a slice is free of butterflies where g ≥ 0 everywhere and w grows at most like 2|k| (Lee 2004). `fit_svi` starts from the
quasi-explicit problem (for fixed m and σ, w is linear in the rest), improves by Levenberg-Marquardt with penalties on g < 0, on
too steep wings and on w below the earlier expiry's, raises the penalties until a finer grid shows no violation, and as a last
resort moves the slice towards an SSVI slice, for which Gatheral and Jacquier prove g ≥ 0, or towards the earlier one.
What cannot be made free is refused, never returned.

Sources: Gatheral (2004); De Marco and Martini, "Quasi-explicit calibration of Gatheral's SVI model" (Zeliade 2009); Gatheral and
Jacquier, "Arbitrage-free SVI volatility surfaces" (2014); Lee, "The moment formula for implied volatility" (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput
from fieldcast.pricing import _smile_kernels as kernels

Floats = NDArray[np.float64]

SAFE = 1e-7  # g and w/w(earlier) − 1 must be at least this: rounding elsewhere must not find what is not there
FARTHEST = 20.0  # log-moneyness
FEWEST = 5  # strikes: as many as the slice has parameters
PENALTIES = (30.0, 1e3, 1e4, 1e4, 1e4, 1e4, 1e4)
THINNED, JOINT_STEPS = 40, 12
ACCEPTED, GOOD = 1.5, 3.0  # a constrained fit dearer than 1.5 × the unconstrained one + 3 is tried from other starts too
_STARTS = ((0.5, -0.5, 1.0), (1.0, -0.3, 3.0), (0.3, 0.0, 0.3))  # (wing, ρ, width) in standard deviations
_NONE = np.array([0.0, -1.0, 0.0, 0.0, 1.0])  # no earlier slice


@dataclass(frozen=True)
class Svi:
    """A raw SVI slice; methods take log-moneyness of any shape.

    Parameters
    ----------
    a, b, rho, m, sigma : as in the module's formula; b > 0, |rho| < 1, sigma > 0, lowest variance a + bσ√(1 − ρ²) above zero
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        lowest = self.a + self.b * self.sigma * np.sqrt(max(0.0, 1 - self.rho**2))
        if not (self.b >= 0 and abs(self.rho) < 1 and self.sigma > 0 and lowest > 0 and np.isfinite(self.m)):
            raise InvalidInput(f"expected b ≥ 0, |ρ| < 1, σ > 0 and a lowest variance above zero, found {self}")

    @property
    def raw(self) -> Floats:
        """(5,) a, b, ρ, m, σ."""
        return np.array([self.a, self.b, self.rho, self.m, self.sigma])

    @property
    def slopes(self) -> tuple[float, float]:
        """Growth of total variance per unit of |k| far to the left, far to the right."""
        return self.b * (1 - self.rho), self.b * (1 + self.rho)

    def total_variance(self, k: Floats | float) -> Floats:
        """w(k)."""
        y = np.asarray(k, np.float64) - self.m
        return np.asarray(self.a + self.b * (self.rho * y + np.hypot(y, self.sigma)))

    def derivatives(self, k: Floats | float) -> tuple[Floats, Floats, Floats]:
        """w, w′ and w″."""
        y = np.asarray(k, np.float64) - self.m
        root = np.hypot(y, self.sigma)
        w = self.a + self.b * (self.rho * y + root)
        return w, self.b * (self.rho + y / root), self.b * self.sigma**2 / root**3

    def durrleman(self, k: Floats | float) -> Floats:
        """g(k): negative where the slice offers a butterfly."""
        w, first, second = self.derivatives(k)
        return durrleman(np.asarray(k, np.float64), w, first, second)

    def volatility(self, k: Floats | float, years: float) -> Floats:
        """Implied volatility a year."""
        return np.asarray(np.sqrt(self.total_variance(k) / years))


def durrleman(k: Floats, w: Floats, first: Floats, second: Floats) -> Floats:
    """g of any smile, from its total variance and two derivatives by k."""
    return np.asarray((1 - 0.5 * k * first / w) ** 2 - 0.25 * first**2 * (1 / w + 0.25) + 0.5 * second)


def check_grid(slices: tuple[Svi, ...], reach: float, points: int = 601) -> Floats:
    """Log-moneyness at which slices are checked: sinh-spaced out to ±`reach`, dense around zero and around each vertex."""
    scale = max(1e-4, float(np.sqrt(slices[0].total_variance(0.0))))
    base = scale * np.sinh(np.linspace(-1, 1, points) * np.arcsinh(reach / scale))
    near = [s.m + s.sigma * np.linspace(-10, 10, 201) for s in slices]
    return np.sort(np.concatenate([base, *near]))


def _lowest(of: Callable[[Floats], Floats], k: Floats) -> float:
    """Smallest value over a grid, with the grid made 40 times finer around its lowest dips: a narrow dip must not hide."""
    values = of(k)
    dips = np.flatnonzero((values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])) + 1
    dips = dips[np.argsort(values[dips])[:6]]
    fine = (k[dips - 1, None] + np.linspace(0, 1, 81) * (k[dips + 1] - k[dips - 1])[:, None]).ravel()
    return float(min(values.min(), of(fine).min(initial=np.inf)))


def worst_butterfly(slice_: Svi, reach: float) -> float:
    """Smallest g on the check grid and in the limits (¼ − slope²/16); at or above zero: free of butterflies."""
    limits = [0.25 - slope * slope / 16 for slope in slice_.slopes]
    return min(_lowest(slice_.durrleman, check_grid((slice_,), reach)), *limits)


def worst_calendar(earlier: Svi, later: Svi, reach: float) -> float:
    """Smallest of w(later)/w(earlier) − 1 on the check grid and in the limits; at or above zero: free of calendar arbitrage."""
    limits = [x / y for x, y in zip(later.slopes, earlier.slopes, strict=True) if y > 0]
    grid = check_grid((earlier, later), reach)
    return min(_lowest(lambda k: later.total_variance(k) / earlier.total_variance(k), grid), *limits, np.inf) - 1.0


@dataclass(frozen=True)
class SviFit:
    """A fitted slice.

    Parameters
    ----------
    slice : None where no slice free of arbitrage was found
    cost : mean squared residual in tolerances, after Huber's loss
    penalty : the weight of the penalties that was needed
    repaired : 0, or the share of the way that the slice was moved off its best fit to one that is surely free
    worst_g : smallest g on the check grid
    worst_calendar : smallest w/w(earlier) − 1, +inf without an earlier slice
    """

    slice: Svi | None
    cost: float
    penalty: float
    repaired: float
    worst_g: float
    worst_calendar: float


def reach_of(k: Floats, scale: float) -> float:
    """How far out arbitrage is looked for: |k| up to 20, a price ratio of 5e8, the same for every slice, or further."""
    return max(FARTHEST, 3.0 * float(np.abs(k).max(initial=0.0)), 30.0 * scale)


def fit_svi(k: Floats, volatility: Floats, tolerance: Floats, years: float, earlier: Svi | None = None) -> SviFit:
    """The slice of least squares that is free of butterflies and, against `earlier`, of calendar arbitrage.

    Parameters
    ----------
    k, volatility : (n,) log-moneyness and implied volatility a year, n ≥ 5
    tolerance : (n,) volatility units: a residual of one tolerance costs 1 (half a spread, say)
    years : to expiry
    earlier : slice of the expiry before this one

    Raises
    ------
    InvalidInput : fewer than five strikes, or values that are not finite and positive
    """
    k, volatility, tolerance = (np.ascontiguousarray(x, np.float64) for x in (k, volatility, tolerance))
    if len(np.unique(k)) < FEWEST:
        raise InvalidInput(f"expected at least {FEWEST} strikes for a smile, found {len(np.unique(k))}")
    if not (np.isfinite(k).all() and (volatility > 0).all() and (tolerance > 0).all() and years > 0):
        raise InvalidInput("expected finite log-moneyness and volatilities, tolerances and years above zero")
    near = np.argsort(np.abs(k))[:3]
    scale = max(1e-4, float(np.median(volatility[near])) * np.sqrt(years))
    reach = reach_of(k, scale)
    problem = _Problem(k, volatility, tolerance, years, scale, reach, earlier)
    raw, x = np.zeros(5), np.empty(5)
    kernels.svi_start(k, volatility, tolerance, years, problem.smallest, max(scale, float(np.abs(k).max()) / 2), raw)
    kernels.svi_pack(raw, problem.smallest, x)
    free = problem.improve(x, 0.0, np.zeros(2))[1]
    best = problem.constrained(x)
    if best.slice is not None and best.cost <= ACCEPTED * free + GOOD and best.repaired == 0:
        return best
    twin = ssvi_twin(Svi(max(raw[0], 1e-9 - raw[1] * raw[4] * np.sqrt(1 - raw[2] ** 2)), *(float(v) for v in raw[1:])))
    starts = [twin.raw, *(np.array([0.2 * scale**2, wing * scale, rho, 0.0, width * scale]) for wing, rho, width in _STARTS)]
    if earlier is not None:
        starts.append(earlier.raw * np.array([1.02, 1.02, 1, 1, 1]))
    for start in starts:
        kernels.svi_pack(start, problem.smallest, x)
        other = problem.constrained(x)
        if (other.slice is not None) > (best.slice is not None) or (other.slice is not None and _rank(other) < _rank(best)):
            best = other
    return best


def _rank(fit: SviFit) -> tuple[bool, float]:
    """Unrepaired fits first: the cost of a repaired one is that before the repair."""
    return fit.repaired > 0, fit.cost


class _Problem:
    """One slice's least squares, with all that stays the same from start to start."""

    def __init__(
        self, k: Floats, volatility: Floats, tolerance: Floats, years: float, scale: float, reach: float, earlier: Svi | None
    ) -> None:
        self.quotes = k, volatility, tolerance, np.array([0, len(k)]), np.array([years])
        self.grid = scale * np.sinh(np.linspace(-1, 1, 121) * np.arcsinh(reach / scale))
        self.smallest = 0.02 * scale
        self.reach = reach
        self.earlier = earlier
        self.before = _NONE if earlier is None else earlier.raw

    def improve(self, x: Floats, penalty: float, margins: Floats) -> tuple[Svi, float]:
        """Move `x` to the least squares under a penalty; the slice and its mean cost."""
        raw = np.zeros((1, 5))
        cost = kernels.levenberg(
            kernels.SVI, x, *self.quotes, self.grid, self.before, self.smallest, penalty, margins, kernels.STEPS, raw
        )
        return Svi(*(float(v) for v in raw[0])), cost / len(self.quotes[0])

    def constrained(self, x: Floats) -> SviFit:
        """Raise the penalties, then the margins, until no arbitrage is left."""
        margins = np.array([2e-4, 1e-5])
        result = SviFit(None, np.inf, 0.0, 0.0, -np.inf, -np.inf)
        for penalty in PENALTIES:
            found, cost = self.improve(x, penalty, margins)
            g, calendar = _judge(found, self.earlier, self.reach)
            result = SviFit(found, cost, penalty, 0.0, g, calendar)
            if g >= SAFE and calendar >= SAFE:
                return result
            if penalty == PENALTIES[-1]:  # steeper still would drown in rounding: aim further inside instead
                margins += np.array([1.5 * max(0.0, SAFE - g), 1.5 * max(0.0, SAFE - calendar)])
        return _repair(result, self.earlier, self.reach)


def _judge(found: Svi, earlier: Svi | None, reach: float) -> tuple[float, float]:
    return worst_butterfly(found, reach), np.inf if earlier is None else worst_calendar(earlier, found, reach)


def _repair(fit: SviFit, earlier: Svi | None, reach: float) -> SviFit:
    """Move towards a slice that is surely free: the SSVI twin, or the earlier slice a little higher, until nothing is left."""
    assert fit.slice is not None
    raw = fit.slice.raw
    safe = [ssvi_twin(fit.slice).raw]
    if earlier is not None:
        safe.append(earlier.raw * np.array([1 + 1e-5, 1 + 1e-5, 1, 1, 1]))
    for share in (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0):
        for target in safe:
            a, b, rho, m, sigma = (float(v) for v in (1 - share) * raw + share * target)
            mixed = Svi(max(a, 1e-9 - b * sigma * float(np.sqrt(1 - rho * rho))), b, rho, m, sigma)
            g, calendar = _judge(mixed, earlier, reach)
            if g >= SAFE and calendar >= SAFE:
                return SviFit(mixed, fit.cost, fit.penalty, share, g, calendar)
    return SviFit(None, fit.cost, fit.penalty, 1.0, fit.worst_g, fit.worst_calendar)


def ssvi_twin(found: Svi) -> Svi:
    """The SSVI slice with this one's variance at the money, skew and steepness, cut to Gatheral and Jacquier's bounds."""
    theta = float(found.total_variance(0.0))
    rho = min(0.99, max(-0.99, found.rho))
    psi = 0.9999 * min(2 * found.b, 4 / (1 + abs(rho)), 2 * np.sqrt(theta / (1 + abs(rho))))
    psi = max(psi, 1e-9)
    rest = 1 - rho * rho
    return Svi(0.5 * theta * rest, 0.5 * psi, rho, -rho * theta / psi, float(np.sqrt(rest)) * theta / psi)


@dataclass(frozen=True)
class EssviFit:
    """Slices of one extended SSVI surface, fitted together; free of butterflies and calendar arbitrage by construction.

    Parameters
    ----------
    slices : ascending in time, as raw SVI
    cost : mean squared residual in tolerances, after Huber's loss
    """

    slices: tuple[Svi, ...]
    cost: float


def fit_essvi(k: list[Floats], volatility: list[Floats], tolerance: list[Floats], years: Floats) -> EssviFit:
    """All expiries at once: three parameters each, under conditions that hold for every value of the free numbers.

    Parameters
    ----------
    k, volatility, tolerance : an array for each expiry, as in `fit_svi`
    years : (slices,) ascending

    Raises
    ------
    InvalidInput : no slice, an empty one, or times that do not ascend
    """
    if not k or any(len(part) == 0 for part in k) or not (np.diff(years) > 0).all() or not years[0] > 0:
        raise InvalidInput("expected at least one expiry, strikes for each, and times that ascend from above zero")
    n = len(k)
    parts = [_thin(*(np.ascontiguousarray(x[i], np.float64) for x in (k, volatility, tolerance))) for i in range(n)]
    raw = np.zeros((n, 5))
    before = _NONE
    for i, (at, level, width) in enumerate(parts):  # one after the other, from three starts each
        near = float(np.median(level[np.argsort(np.abs(at))[:3]])) ** 2 * years[i]
        floor = 0.0 if i == 0 else 2 * before[0] / (1 - before[2] ** 2)
        best = np.inf
        for rho in (-0.6, 0.0) if i == 0 else (float(before[2]),):
            for place in (-2.0, 0.0, 2.0):
                x, found = np.array([np.arctanh(rho), np.log(max(near - floor, 1e-3 * near)), place]), np.zeros((1, 5))
                cost = kernels.levenberg(
                    kernels.ESSVI_NEXT, x, at, level, width, np.array([0, len(at)]), years[i : i + 1], np.empty(0), before, 0.0,
                    1e3, np.zeros(2), kernels.STEPS, found,
                )
                if cost < best:
                    best, raw[i] = cost, found[0]
        before = raw[i]
    x = np.empty(3 * n)
    kernels.essvi_pack(raw, x)
    at, level, width = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    start = np.concatenate([[0], np.cumsum([len(at) for at, _, _ in parts])])
    times = np.ascontiguousarray(years, np.float64)
    cost = kernels.levenberg(
        kernels.ESSVI, x, at, level, width, start, times, np.empty(0), _NONE, 0.0, 0.0, np.zeros(2), JOINT_STEPS, raw
    )
    return EssviFit(tuple(Svi(*(float(v) for v in row)) for row in raw), cost / len(at))


def _thin(k: Floats, volatility: Floats, tolerance: Floats) -> tuple[Floats, Floats, Floats]:
    """At most THINNED quotes of an expiry, evenly by rank: enough for three parameters; the joint step is cubic in expiries."""
    if len(k) <= THINNED:
        return k, volatility, tolerance
    rows = np.argsort(k, kind="stable")[np.linspace(0, len(k) - 1, THINNED).round().astype(np.int64)]
    return k[rows], volatility[rows], tolerance[rows]
