"""A volatility surface from a chain: a smile per expiry, no butterfly, no calendar arbitrage, with what the fit cost.

`svi`: each expiry has its own raw SVI slice, fitted from the shortest on, never below the one before. Closest to the quotes.
`essvi`: all expiries in one least squares under conditions that exclude arbitrage for every k (`svi.fit_essvi`). Stiffer: three
numbers an expiry.

Between and beyond what is quoted:

- in strike, the slice itself: total variance becomes linear in |k|, with slopes at most 2 (Lee);
- between expiries total variance is linear in time at constant forward moneyness k: it cannot fall where the slices do not cross
  (a butterfly inside is not excluded by a theorem: `arbitrage.check_surface` looks between the slices too);
- before the first and after the last expiry the volatility at each k is that of the first and last: w(k, T) = w(k, T₁) T/T₁;
- the logarithms of forward and discount factor are linear in time, from the spot and from 1 today; beyond the last expiry the
  last rate and carry go on.

`Surface.is_extrapolated` says which answers rest on these rules alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground.errors import InvalidInput, MissingData
from fieldcast.ground.reasons import Reason
from fieldcast.pricing.forwards import Forward, ForwardRules, Forwards, Premium, Refused, implied_forwards
from fieldcast.pricing.otm import OtmVolatilities, otm_volatilities
from fieldcast.pricing.quotes import ChainQuotes, Judged, QuoteRules, judge
from fieldcast.pricing.svi import FEWEST, Svi, fit_essvi, fit_svi

Floats = NDArray[np.float64]
Model = Literal["svi", "essvi"]


@dataclass(frozen=True)
class SmileRules:
    """How smiles are fitted.

    Parameters
    ----------
    model : `svi` or `essvi`
    fewest_strikes : at least 5, the number of a slice's parameters
    tolerance_floor : volatility units: no quote counts as better known than this, however tight its spread
    shortest_years : expiries nearer than this are refused: half a spread there is a large part of all time value
    """

    model: Model = "svi"
    fewest_strikes: int = FEWEST
    tolerance_floor: float = 0.001
    shortest_years: float = 10 / (365 * 1440)

    def __post_init__(self) -> None:
        if self.model not in ("svi", "essvi"):
            raise InvalidInput(f"expected the model svi or essvi, found {self.model!r}")
        if self.fewest_strikes < FEWEST or not self.tolerance_floor > 0:
            raise InvalidInput(f"expected at least {FEWEST} strikes and a tolerance floor above zero")


@dataclass(frozen=True)
class Smile:
    """One fitted expiry.

    Parameters
    ----------
    forward : forward, discount factor and time, with their stamps
    slice : total variance over k
    low, high : quoted range of k
    strikes : points fitted
    k, residual : (strikes,) log-moneyness; model − mid in volatility units
    residual_spreads : (strikes,) the same in half spreads of each quote
    rmse, worst : root mean square and largest |residual|, volatility units
    weighted_rmse : root mean square in tolerances
    inside : share of strikes where the model lies between the bid's and the ask's volatility
    repaired : how far the slice was moved off its best fit to be free of arbitrage; 0: not at all
    """

    forward: Forward
    slice: Svi
    low: float
    high: float
    strikes: int
    k: Floats
    residual: Floats
    residual_spreads: Floats
    rmse: float
    worst: float
    weighted_rmse: float
    inside: float
    repaired: float


@dataclass(frozen=True)
class Surface:
    """Smiles of a snapshot, ascending in time.

    Parameters
    ----------
    as_of, spot : the snapshot
    model : how the smiles were fitted
    smiles : at least one
    refused : expiries without a smile, and why
    """

    as_of: int
    spot: float
    model: str
    smiles: tuple[Smile, ...]
    refused: tuple[Refused, ...]

    @property
    def years(self) -> Floats:
        """(smiles,) times to expiry."""
        return np.array([smile.forward.years for smile in self.smiles])

    @property
    def slices(self) -> tuple[Svi, ...]:
        """(smiles,)"""
        return tuple(smile.slice for smile in self.smiles)

    def total_variance(self, k: ArrayLike, years: ArrayLike) -> Floats:
        """w at log-moneyness to the forward of that time; shapes broadcast.

        Raises
        ------
        InvalidInput : a time not above zero, or a k that is not finite
        """
        k, years = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(years, np.float64))
        if not (np.isfinite(k).all() and (years > 0).all() and np.isfinite(years).all()):
            raise InvalidInput("expected finite log-moneyness and times above zero")
        times = self.years
        raw = np.array([smile.slice.raw for smile in self.smiles])
        later = np.clip(np.searchsorted(times, years), 0, len(times) - 1)
        earlier = np.clip(later - 1, 0, None)
        above = _variance(raw, later, k)
        inner = (years >= times[0]) & (years <= times[-1]) & (later > 0)
        below = np.where(inner, _variance(raw, earlier, k), 0.0)
        span = np.where(inner, times[later] - times[earlier], 1.0)
        share = np.where(inner, (years - times[earlier]) / span, 0.0)
        return np.asarray(np.where(inner, below + share * (above - below), above * years / times[later]))

    def volatility(self, k: ArrayLike, years: ArrayLike) -> Floats:
        """Implied volatility a year at log-moneyness to the forward."""
        return np.asarray(np.sqrt(self.total_variance(k, years) / np.asarray(years, np.float64)))

    def volatility_at_strike(self, strike: ArrayLike, years: ArrayLike) -> Floats:
        """Implied volatility a year of a strike in price units."""
        return self.volatility(np.log(np.asarray(strike, np.float64) / self.forward(years)), years)

    def forward(self, years: ArrayLike) -> Floats:
        """Forward at any time, by the rules of this module."""
        first = np.log(self.spot) if self.spot > 0 else None
        return np.exp(self._line(np.array([np.log(smile.forward.forward) for smile in self.smiles]), first, years))

    def discount(self, years: ArrayLike) -> Floats:
        """Discount factor at any time, by the rules of this module."""
        return np.exp(self._line(np.array([np.log(smile.forward.discount) for smile in self.smiles]), 0.0, years))

    def is_extrapolated(self, k: ArrayLike, years: ArrayLike) -> NDArray[np.bool_]:
        """Where no quote stands on both sides: outside the expiries, or outside the quoted k (interpolated in time)."""
        k, years = np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(years, np.float64))
        low = np.interp(years, self.years, [smile.low for smile in self.smiles])
        high = np.interp(years, self.years, [smile.high for smile in self.smiles])
        return np.asarray((k < low) | (k > high) | (years < self.years[0]) | (years > self.years[-1]))

    def at(self, expiry: int, root: str | None = None) -> Smile:
        """The smile of an expiry (µs since 1970).

        Raises
        ------
        MissingData : none was fitted; the message gives the reason
        """
        for smile in self.smiles:
            if smile.forward.expiry == expiry and root in (None, smile.forward.root):
                return smile
        why = [f"{one.reason}: {one.detail}" for one in self.refused if one.expiry == expiry]
        raise MissingData(f"expected a smile for the expiry {expiry}, found none" + (f" ({'; '.join(why)})" if why else ""))

    def _line(self, values: Floats, today: float | None, years: ArrayLike) -> Floats:
        years, times = np.asarray(years, np.float64), self.years
        if today is not None:
            times, values = np.concatenate([[0.0], times]), np.concatenate([[today], values])
        inner = np.interp(years, times, values)
        # beyond: today's rate or carry to the last expiry goes on
        slope = (values[-1] - values[0]) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        return np.asarray(np.where(years > times[-1], values[-1] + slope * (years - times[-1]), inner))


def _variance(raw: Floats, index: NDArray[np.intp], k: Floats) -> Floats:
    a, b, rho, m, sigma = (raw[index, column] for column in range(5))
    return np.asarray(a + b * (rho * (k - m) + np.hypot(k - m, sigma)))


def fit_surface(quotes: OtmVolatilities, forwards: Forwards, rules: SmileRules | None = None) -> Surface:
    """Smiles through out-of-the-money volatilities, free of arbitrage between each other.

    Parameters
    ----------
    quotes : of the expiries in `forwards`

    Raises
    ------
    MissingData : no expiry has enough strikes; the message gives the reasons
    """
    rules = rules or SmileRules()
    usable = quotes.usable
    refused = list(forwards.refused)
    wanted: list[tuple[Forward, NDArray[np.intp]]] = []
    for one in sorted(forwards.known, key=lambda f: (f.years, -np.sum(usable & (quotes.series == f.series)))):
        rows = np.flatnonzero(usable & (quotes.series == one.series))
        n = len(np.unique(quotes.k[rows]))
        if one.years < rules.shortest_years:
            text = f"{one.years * 365 * 1440:.0f} minutes to expiry"
            refused.append(Refused(one.series, one.root, one.expiry, Reason.UNRESOLVED, text))
        elif n < rules.fewest_strikes:
            text = f"{n} strikes with a volatility, {rules.fewest_strikes} are needed"
            refused.append(Refused(one.series, one.root, one.expiry, Reason.FEW_ROWS, text))
        elif wanted and one.years <= wanted[-1][0].years:
            text = f"expires with {wanted[-1][0].root}, which has more strikes"
            refused.append(Refused(one.series, one.root, one.expiry, Reason.DUPLICATE_STAMP, text))
        else:
            wanted.append((one, rows))
    tolerance = np.hypot(quotes.half_spread, rules.tolerance_floor)
    found: list[tuple[Svi | None, float]] = []
    if rules.model == "essvi" and wanted:
        k, mid, width = ([values[rows] for _, rows in wanted] for values in (quotes.k, quotes.mid, tolerance))
        found = [(curve, 0.0) for curve in fit_essvi(k, mid, width, np.array([one.years for one, _ in wanted])).slices]
    else:
        earlier: Svi | None = None
        for one, rows in wanted:
            fit = fit_svi(quotes.k[rows], quotes.mid[rows], tolerance[rows], one.years, earlier)
            found.append((fit.slice, fit.repaired))
            earlier = fit.slice or earlier
    smiles = []
    for (one, rows), (curve, repaired) in zip(wanted, found, strict=True):
        if curve is None:
            text = "no SVI slice between the quotes and the earlier expiry is free of arbitrage"
            refused.append(Refused(one.series, one.root, one.expiry, Reason.ARBITRAGE_LEFT, text))
        else:
            smiles.append(_smile(one, curve, quotes, rows, tolerance[rows], repaired))
    if not smiles:
        why = "; ".join(f"{r.root} {r.reason}: {r.detail}" for r in refused[:5]) or "no expiry at all"
        raise MissingData(f"expected an expiry with at least {rules.fewest_strikes} usable strikes, found none ({why})")
    spot = wanted[0][0].spot
    return Surface(wanted[0][0].as_of, spot, rules.model, tuple(smiles), tuple(sorted(refused, key=lambda r: r.series)))


def _smile(
    forward: Forward, curve: Svi, quotes: OtmVolatilities, rows: NDArray[np.intp], tolerance: Floats, repaired: float
) -> Smile:
    k = quotes.k[rows]
    model = curve.volatility(k, forward.years)
    residual = model - quotes.mid[rows]
    half = np.maximum(quotes.half_spread[rows], 1e-9)
    low = np.nan_to_num(quotes.bid[rows], nan=0.0)
    high = np.nan_to_num(quotes.ask[rows], nan=np.inf)
    return Smile(
        forward, curve, float(k.min()), float(k.max()), len(k), k, residual, residual / half,
        float(np.sqrt(np.mean(residual**2))), float(np.abs(residual).max()),
        float(np.sqrt(np.mean((residual / tolerance) ** 2))), float(np.mean((model >= low) & (model <= high))), repaired,
    )


@dataclass(frozen=True)
class Calibration:
    """A chain turned into a surface, with everything that was left out on the way.

    Parameters
    ----------
    judged : faults of every quote
    forwards, quotes, surface : the three steps
    """

    judged: Judged
    forwards: Forwards
    quotes: OtmVolatilities
    surface: Surface


def calibrate(
    chain: ChainQuotes,
    quote_rules: QuoteRules | None = None,
    forward_rules: ForwardRules | None = None,
    smile_rules: SmileRules | None = None,
    rates: Floats | None = None,
    premium: Premium | None = None,
) -> Calibration:
    """Filter, find forwards, filter European rows by intrinsic value too, imply volatilities, fit.

    Parameters
    ----------
    chain : one snapshot, unfiltered
    rates, premium : as in `implied_forwards`

    Raises
    ------
    MissingData : no expiry could be fitted
    """
    first = judge(chain, quote_rules)
    forwards = implied_forwards(chain.take(first.kept), forward_rules, rates, premium)
    if not forwards.known:
        why = "; ".join(f"{one.root} {one.reason}: {one.detail}" for one in forwards.refused[:5])
        raise MissingData(f"expected an expiry whose forward can be found, found none of {chain.n_series} ({why})")
    forward, discount, _ = forwards.of_rows(chain)
    judged = judge(chain, quote_rules, forward, discount)
    kept = np.flatnonzero(judged.kept)
    quotes = otm_volatilities(chain.take(kept), forwards, premium)
    quotes = replace(quotes, row=kept[quotes.row])
    return Calibration(judged, forwards, quotes, fit_surface(quotes, forwards, smile_rules))
