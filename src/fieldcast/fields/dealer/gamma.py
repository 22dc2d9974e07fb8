"""GammaField: the dealers' gamma along the spot axis, and where it changes sign.

Net gamma at a hypothetical spot x, every contract re-priced there with its volatility held (sticky strike) and open interest
fixed:

    G(x) = Σ_i w_i γ_i(x, σ_i, T_i) x² · 0.01          [dollars of delta per 1 % move]

The flips are the roots of G: there may be none, one or several. They are not the strikes at which a running sum over strikes
changes sign. Roots are bracketed by the grid of spots and by its turning points towards zero (so that two roots between two grid
points are found), and refined by Brent's method. Where all lines are too far away for the sum to be anything but 0 (hours before
an expiry, between two strikes) the root is that of the logarithms, which have no reach:

    log Σ⁺ |w_i| e^(−d1²/2) / s_i  =  log Σ⁻ |w_i| e^(−d1²/2) / s_i      (Σ⁺, Σ⁻: lines with w_i above and below 0)

Above a flip with G rising through zero dealers damp moves; below they feed
them. Source: docs/explanation/dealer-positioning.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.dealer.book import Book
from fieldcast.fields.dealer.conventions import Stamped
from fieldcast.fields.dealer.units import PERCENT, POINT
from fieldcast.fields.priced_chain import Floats
from fieldcast.ground import InvalidInput
from fieldcast.pricing._arrays import spread

REACH, HALF = 0.2, 100  # of the default grid: ±20 % of the spot, and spots on each side
CROWDING = 4.0  # of the default grid at the spot: its step there is 0.03 % of it, fine enough for the last hour of an expiry
TOLERANCE = 1e-10  # of a flip, relative to it
WORTH_THREADS = 8_000_000  # lines × spots: below, starting threads costs more than it saves


@dataclass(frozen=True, kw_only=True, eq=False)
class GammaField(Stamped):
    """Gamma at the spot and along the spot axis.

    Parameters
    ----------
    net, gross : dollars per 1 % at the spot: signed sum, and sum of absolute values over lines
    calls, puts : their signed parts of `net`
    spots, gex, vex : (k,) profile: net gamma and vanna exposure at each hypothetical spot
    flips : roots of gex within the spots, ascending; empty where it keeps its sign
    rising : of each flip, whether gamma turns positive above it
    """

    net: float
    gross: float
    calls: float
    puts: float
    spots: Floats
    gex: Floats
    vex: Floats
    flips: tuple[float, ...]
    rising: tuple[bool, ...]

    def nearest_flip(self, spot: float) -> float | None:
        """The flip nearest to a price; None where there is none within the spots."""
        return min(self.flips, key=lambda flip: abs(flip - spot), default=None)


def default_spots(spot: float) -> Floats:
    """(201,) from 80 % to 120 % of the spot, which stands in the middle; steps widen outwards (hyperbolic sine)."""
    u = np.arange(-HALF, HALF + 1) / HALF
    return np.asarray(spot * (1.0 + REACH * np.sinh(CROWDING * u) / np.sinh(CROWDING)))


def gamma_field(book: Book, spots: ArrayLike | None = None) -> GammaField:
    """Gamma of a book along the spot axis.

    Parameters
    ----------
    book : of `dealer_sign`
    spots : (k,) prices, ascending, at least two; by default `default_spots`

    Raises
    ------
    InvalidInput : spots that are not ascending and above zero
    """
    at = as_spots(book, spots)
    here = book.exposures
    sums = _Sums.of(book)
    gex, slope, vex = sums.profile(at)
    flips = _flips(sums, at, gex, slope)
    return GammaField(
        conventions=book.conventions,
        net=float(here.gex.sum()),
        gross=float(np.abs(here.gex).sum()),
        calls=float(here.call_gex.sum()),
        puts=float(here.put_gex.sum()),
        spots=at,
        gex=gex,
        vex=vex,
        flips=tuple(root for root, _ in flips),
        rising=tuple(up for _, up in flips),
    )


def as_spots(book: Book, spots: ArrayLike | None) -> Floats:
    """Spots as asked for, or the default ones.

    Raises
    ------
    InvalidInput : not ascending, not finite or not above zero
    """
    at = default_spots(book.spot) if spots is None else np.ascontiguousarray(spots, np.float64)
    if at.ndim != 1 or at.size < 2 or not (np.isfinite(at).all() and at[0] > 0 and (np.diff(at) > 0).all()):
        raise InvalidInput(f"expected at least two ascending spots above zero, found {at.size} that are not")
    return at


@dataclass(frozen=True, eq=False)
class _Sums:
    """A book as sums of Gaussians in ln S (`_kernels.fill_gamma`); lines without gamma are left out."""

    a: Floats
    b: Floats
    gamma: Floats
    vanna: Floats
    total: Floats

    @classmethod
    def of(cls, book: Book) -> _Sums:
        weight = book.weight
        rows = np.flatnonzero(weight)
        lines, weight = book.lines, weight[rows]
        years, sigma, carry = lines.years[rows], lines.sigma[rows], lines.carry[rows]
        s = sigma * np.sqrt(years)
        b = 1.0 / s
        scale = weight * np.exp((carry - lines.rate[rows]) * years) / np.sqrt(2 * np.pi)
        return cls((carry * years - np.log(lines.strike[rows])) * b + 0.5 * s, b, scale * b * PERCENT, -scale / sigma * POINT, s)

    def profile(self, spots: Floats) -> tuple[Floats, Floats, Floats]:
        """(k,) gamma exposure, its slope in ln S, and vanna exposure, in dollars. Threads share spots, not sums."""
        from fieldcast.fields.dealer import _kernels as kernels

        x, (gamma, slope, vanna) = np.log(spots), np.zeros((3, spots.size))
        given = self.a, self.b, self.gamma, self.vanna, self.total, x
        share = spots.size // 8 if self.a.size * spots.size >= WORTH_THREADS else spots.size + 1
        spread(lambda first, last: int(kernels.fill_gamma(*given, first, last, gamma, slope, vanna)), spots.size, max(1, share))
        return gamma * spots, (gamma + slope) * spots, vanna * spots

    def gex(self, spot: float) -> float:
        """Gamma exposure at one spot."""
        from fieldcast.fields.dealer import _kernels as kernels

        return float(kernels.gamma_at(self.a, self.b, self.gamma, np.log(spot))) * spot

    def balance(self, spot: float) -> float:
        """Logarithm of positive over negative gamma at one spot, of all lines however far away: 0 at a root."""
        size = np.log(np.abs(self.gamma)) - 0.5 * (self.a + self.b * np.log(spot)) ** 2
        return float(np.logaddexp.reduce(size[self.gamma > 0]) - np.logaddexp.reduce(size[self.gamma < 0]))


def _flips(sums: _Sums, spots: Floats, gex: Floats, slope: Floats) -> list[tuple[float, bool]]:
    """Roots within the grid and whether gamma rises there."""
    points, values = _with_turning_points(sums, spots, gex, slope)
    found: list[tuple[float, bool]] = []
    live = np.flatnonzero(values != 0)  # where no line reaches, gamma is 0 without a change of sign
    for i, j in zip(live[:-1].tolist(), live[1:].tolist(), strict=True):
        if values[i] * values[j] < 0:
            root = _root(sums, float(points[i]), float(points[j]), dead=j > i + 1)
            if root is not None:
                found.append((root, bool(values[j] > 0)))
    return found


def _root(sums: _Sums, low: float, high: float, dead: bool) -> float | None:
    """The root between two spots; None where the sign changes only because the sum leaves out what is far away.

    dead : gamma is 0 somewhere between them, so that Brent's method would end wherever it first looks
    """
    from scipy.optimize import brentq

    limits = {"xtol": TOLERANCE * low, "rtol": 1e-14}
    if not dead:
        root = float(brentq(sums.gex, low, high, **limits))
        if sums.gex(root) != 0.0:
            return root
    if sums.balance(low) * sums.balance(high) >= 0.0:
        return None
    return float(brentq(sums.balance, low, high, **limits))


def _with_turning_points(sums: _Sums, spots: Floats, gex: Floats, slope: Floats) -> tuple[Floats, Floats]:
    """The grid, and between its points those at which gamma dips through zero and comes back.

    Such a dip shows at its ends: the same sign, and gamma heading for zero at the one and away from it at the other.
    """
    from scipy.optimize import minimize_scalar

    sign = np.sign(gex)
    away = sign * slope
    added = []
    for i in np.flatnonzero((sign[:-1] == sign[1:]) & (sign[:-1] != 0) & (away[:-1] < 0) & (away[1:] > 0)).tolist():
        side = float(sign[i])
        found = minimize_scalar(
            lambda x, side=side: side * sums.gex(x),
            bounds=(spots[i], spots[i + 1]),
            method="bounded",
            options={"xatol": 1e-7 * spots[i]},
        )
        if found.fun < 0:
            added.append(float(found.x))
    points = np.concatenate([spots, added])
    order = np.argsort(points, kind="stable")
    values = np.concatenate([gex, [sums.gex(x) for x in added]])
    return points[order], values[order]
