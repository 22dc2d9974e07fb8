"""What a surface says at a glance, and where today's volatility stands in its own past.

- Term structure: volatility at the money forward (k = 0) by time, forward volatility between expiries, constant maturities.
- Skew: the 25-delta strikes of each expiry in *forward* delta, N(d1) for calls and N(d1) − 1 for puts, without discounting;
  risk reversal = σ(25Δ call) − σ(25Δ put), butterfly = ½(σ(25Δ call) + σ(25Δ put)) − σ(at the money forward).
- Model-free variance: the strip of out-of-the-money options of Cboe's VIX,
  σ² = (2/T) Σ ΔKᵢ/Kᵢ² e^{RT} Q(Kᵢ) − (1/T)(F/K₀ − 1)², with its rule for zero bids and its interpolation to 30 days
  (Cboe Volatility Index, white paper).
- IV rank and percentile over a rolling window of the past, today included in the rank's range: causal by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground.errors import InvalidInput, MissingData
from fieldcast.pricing.smiles import Smile, Surface

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MINUTES_A_YEAR = 525_600.0
ZERO_BIDS = 2  # consecutive zero bids end a strip


@dataclass(frozen=True)
class TermStructure:
    """Volatility at the money forward by expiry.

    Parameters
    ----------
    years : (n,) times to expiry
    volatility : (n,) a year
    forward_volatility : (n,) between the expiry before (or now) and this one
    slope : volatility of the last less that of the first, over the difference of √years: above zero in calm markets
    """

    years: Floats
    volatility: Floats
    forward_volatility: Floats
    slope: float


def term_structure(surface: Surface) -> TermStructure:
    """At-the-money-forward volatility of every expiry; `slope` is NaN with one expiry."""
    years = surface.years
    w = np.array([float(s.total_variance(0.0)) for s in surface.slices])
    step = np.diff(w, prepend=0.0) / np.diff(years, prepend=0.0)
    volatility = np.sqrt(w / years)
    root = np.sqrt(years)
    slope = float((volatility[-1] - volatility[0]) / (root[-1] - root[0])) if len(years) > 1 else float("nan")
    return TermStructure(years, volatility, np.sqrt(np.maximum(step, 0.0)), slope)


def constant_maturity(surface: Surface, days: float) -> float:
    """Volatility at the money forward `days` calendar days ahead, total variance linear in time.

    Raises
    ------
    MissingData : outside the first and last expiry: that would be extrapolation
    """
    years = days / 365.0
    first, last = float(surface.years[0]), float(surface.years[-1])
    if not first <= years <= last:
        raise MissingData(f"expected {days} days between the expiries at {first * 365:.1f} and {last * 365:.1f} days")
    return float(surface.volatility(0.0, years))


@dataclass(frozen=True)
class Skew:
    """25-delta skew of one expiry.

    Parameters
    ----------
    years, delta : time to expiry; forward delta without discounting
    put_k, call_k : log-moneyness of the two strikes
    put, call, at_the_money : volatilities
    risk_reversal, butterfly : call − put; mean of both − at the money
    extrapolated : one of the strikes lies outside the quoted range
    """

    years: float
    delta: float
    put_k: float
    call_k: float
    put: float
    call: float
    at_the_money: float
    risk_reversal: float
    butterfly: float
    extrapolated: bool


def skew(smile: Smile, delta: float = 0.25) -> Skew:
    """Risk reversal and butterfly at a forward delta.

    Raises
    ------
    InvalidInput : delta not between 0 and ½
    MissingData : no strike within thirty standard deviations has that delta
    """
    from scipy.special import ndtri

    if not 0 < delta < 0.5:
        raise InvalidInput(f"expected a delta between 0 and 0.5, found {delta}")
    years = smile.forward.years
    target = float(-ndtri(delta))  # d1 of the put; minus that of the call

    def gap(k: float, sign: float) -> float:
        deviation = float(np.sqrt(smile.slice.total_variance(k)))
        return sign * (-k / deviation + 0.5 * deviation) - target

    scale = float(np.sqrt(smile.slice.total_variance(0.0)))
    found = []
    for sign in (1.0, -1.0):  # put: d1 = target, to the left; call: d1 = −target, to the right
        near, far = 0.0, -sign * 0.25 * scale
        while gap(far, sign) < 0 and abs(far) < 30 * scale:
            near, far = far, 1.6 * far
        if gap(far, sign) < 0:
            raise MissingData(f"expected a strike with forward delta {delta} within thirty standard deviations, found none")
        for _ in range(80):
            middle = 0.5 * (near + far)
            near, far = (middle, far) if gap(middle, sign) < 0 else (near, middle)
        found.append(0.5 * (near + far))
    put, call, middle = (float(smile.slice.volatility(k, years)) for k in (*found, 0.0))
    out = found[0] < smile.low or found[1] > smile.high
    return Skew(years, delta, found[0], found[1], put, call, middle, call - put, 0.5 * (call + put) - middle, out)


@dataclass(frozen=True)
class Strip:
    """Model-free implied variance of one expiry.

    Parameters
    ----------
    variance, volatility : a year
    at_or_below : K₀, the first strike at or below the forward
    lowest, highest : strikes that entered
    strikes : how many
    """

    variance: float
    volatility: float
    at_or_below: float
    lowest: float
    highest: float
    strikes: int


def model_free_variance(
    strike: Floats, bid: Floats, ask: Floats, is_call: Flags, forward: float, years: float, discount: float
) -> Strip:
    """The VIX strip of one expiry.

    Parameters
    ----------
    strike, bid, ask, is_call : (n,) of European quotes, zero bids included: two in a row end the strip on their side
    forward, years, discount : of the expiry

    Raises
    ------
    InvalidInput : values out of range
    MissingData : no strike at or below the forward with both sides, or fewer than three strikes in the strip
    """
    if not (forward > 0 and years > 0 and discount > 0 and np.isfinite(bid).all() and np.isfinite(ask).all()):
        raise InvalidInput("expected finite quotes, and forward, years and discount factor above zero")
    sides = []
    for call in (True, False):
        rows = np.flatnonzero(np.asarray(is_call) == call)
        sides.append(rows[np.argsort(strike[rows], kind="stable")])
    calls, puts = sides
    both = np.intersect1d(strike[calls], strike[puts])
    below = both[both <= forward]
    if below.size == 0:
        raise MissingData(f"expected a strike with call and put at or below the forward {forward}, found none")
    middle = float(below[-1])
    left = _until_zero_bids(puts[strike[puts] < middle][::-1], bid)[::-1]
    right = _until_zero_bids(calls[strike[calls] > middle], bid)
    mid = 0.5 * (bid + ask)
    centre = 0.5 * float(mid[calls[strike[calls] == middle][0]] + mid[puts[strike[puts] == middle][0]])
    k = np.concatenate([strike[left], [middle], strike[right]])
    price = np.concatenate([mid[left], [centre], mid[right]])
    if len(k) < 3:
        raise MissingData(f"expected at least three strikes with bids, found {len(k)}")
    width = np.empty_like(k)
    width[1:-1] = 0.5 * (k[2:] - k[:-2])
    width[0], width[-1] = k[1] - k[0], k[-1] - k[-2]
    variance = float(2 / years * (width / k**2 * price).sum() / discount - (forward / middle - 1) ** 2 / years)
    return Strip(variance, float(np.sqrt(max(variance, 0.0))), middle, float(k[0]), float(k[-1]), len(k))


def _until_zero_bids(rows: NDArray[np.intp], bid: Floats) -> NDArray[np.intp]:
    """Rows outward from the money, those with a bid, up to the first two zero bids in a row."""
    zero = bid[rows] <= 0
    run = np.flatnonzero(zero[1:] & zero[:-1]) if len(rows) > 1 else np.empty(0, np.intp)
    end = int(run[0]) if run.size else len(rows)
    kept = rows[:end]
    return np.asarray(kept[bid[kept] > 0])


def interpolated_variance(years: tuple[float, float], variance: tuple[float, float], days: float = 30.0) -> float:
    """Variance a year at `days` from two expiries, total variance linear in time; the VIX is 100 times its root.

    Raises
    ------
    InvalidInput : times that do not ascend
    """
    (first, second), (near, far) = years, variance
    if not 0 < first < second:
        raise InvalidInput(f"expected two times that ascend from above zero, found {years}")
    target = days * 1440 / MINUTES_A_YEAR
    share = (second - target) / (second - first)
    return (share * first * near + (1 - share) * second * far) / target


def iv_rank(history: Floats, window: int = 252, fewest: int | None = None) -> Floats:
    """(last − lowest)/(highest − lowest) of the last `window` known values up to each row, that row included; in [0, 1].

    Parameters
    ----------
    history : (n,) volatilities in time order, NaN where unknown
    window : rows looked back on
    fewest : known values that are needed, by default the whole window

    Returns
    -------
    (n,) NaN where the row is unknown, too little is known, or nothing moved

    Raises
    ------
    InvalidInput : a window below 2, or fewest outside 2 … window
    """
    windows = _windows(history, window, fewest)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.min(np.where(np.isnan(windows), np.inf, windows), axis=1)
        high = np.max(np.where(np.isnan(windows), -np.inf, windows), axis=1)
        value = (windows[:, -1] - low) / (high - low)
    return _where_known(value, windows, window if fewest is None else fewest)


def iv_percentile(history: Floats, window: int = 252, fewest: int | None = None) -> Floats:
    """Share of the known values among the `window` − 1 rows before each row that lie below it; ties count half; in [0, 1].

    Parameters, result and errors as `iv_rank`; the row itself is not among those counted.
    """
    windows = _windows(history, window, fewest)
    before, last = windows[:, :-1], windows[:, -1:]
    known = (~np.isnan(before)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = ((before < last).sum(axis=1) + 0.5 * (before == last).sum(axis=1)) / known
    return _where_known(value, windows, window if fewest is None else fewest)


def _windows(history: Floats, window: int, fewest: int | None) -> Floats:
    if window < 2 or (fewest is not None and not 2 <= fewest <= window):
        raise InvalidInput(f"expected a window of at least 2 and fewest from 2 to it, found {window} and {fewest}")
    padded = np.concatenate([np.full(window - 1, np.nan), np.asarray(history, np.float64)])
    return np.lib.stride_tricks.sliding_window_view(padded, window)


def _where_known(value: Floats, windows: Floats, fewest: int) -> Floats:
    known = (~np.isnan(windows)).sum(axis=1)
    good = (known >= fewest) & ~np.isnan(windows[:, -1]) & np.isfinite(value)
    return np.asarray(np.where(good, value, np.nan))
