"""Bid-ask spreads read from trade prices, where there are no quotes. All are proportional: 0.01 is one per cent.

Roll (closes). A trade at the bid or the ask with equal odds makes changes of log closes covary by −S²/4:

    S = 2 sqrt( −cov(Δc_t, Δc_{t−1}) ),  no value where the covariance is positive

Corwin & Schultz (highs and lows). A day's high is bought and its low sold: the range holds variance (which grows with time) and
spread (which does not).

    β = (ln H_t/L_t)² + (ln H_{t+1}/L_{t+1})²,   γ = (ln of the two-day high over the two-day low)²
    α = (sqrt(2β) − sqrt(β)) / (3 − 2 sqrt 2) − sqrt( γ / (3 − 2 sqrt 2) ),   S = 2 (e^α − 1) / (1 + e^α)

Overnight: where the close of t stands above the high (below the low) of t + 1, both of its extremes are moved up (down) by the
difference. Negative two-day values count as zero, and the mean is taken over the window: both as in the paper.

Abdi & Ranaldo (closes, highs, lows), η = (ln H + ln L) / 2:

    monthly   S = sqrt( max(0, mean of 4 (c_t − η_t)(c_t − η_{t+1})) )
    two-day   S = mean of sqrt( max(0, 4 (c_t − η_t)(c_t − η_{t+1})) )

EDGE, Ardia, Guidotti & Kroencke (opens too), in log prices, m the mid-range, τ_t = 1 unless H_t = L_t = C_{t−1}:

    r1 = m_t − o_t   r2 = o_t − m_{t−1}   r3 = m_t − c_{t−1}   r4 = c_{t−1} − m_{t−1}   r5 = o_t − c_{t−1}
    p_o = P(o ≠ h, τ) + P(o ≠ l, τ),   p_c = P(c_{t−1} ≠ h_{t−1}, τ) + P(c_{t−1} ≠ l_{t−1}, τ),   d_i = r_i − τ mean(r_i) / P(τ)
    x1 = −4/p_o d1 r2 − 4/p_c d3 r4,   x2 = −4/p_o d1 r5 − 4/p_c d5 r4
    S² = (v2 e1 + v1 e2) / (v1 + v2),   e and v: mean and variance of x1 and x2 over the window

Two prices are unequal where they differ by more than 1e-9 of a price, so that no rounding decides.

S² can be negative, most of all in short windows of a liquid instrument. The signed root says so; its absolute value is what the
authors' package gives by default, and it never shows that there is nothing but noise.

Sources: Roll, Journal of Finance 39 (1984) 1127-1139; Corwin & Schultz, Journal of Finance 67 (2012) 719-760; Abdi & Ranaldo,
Review of Financial Studies 30 (2017) 4437-4480; Ardia, Guidotti & Kroencke, Journal of Financial Economics 161 (2024) 103916.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows, by_stretch, rows_of
from fieldcast.ground import InvalidInput

SESSIONS = 20  # pairs of consecutive bars in an estimate: about a month
BPS = 1e4


def roll(close: Floats, window: int = SESSIONS) -> Floats:
    """Roll's spread of the last `window` changes of log close.

    Parameters
    ----------
    close : (n,) known prices
    window : changes in an estimate

    Returns
    -------
    (n,) proportional; NaN in the first `window` rows and where changes do not covary negatively
    """
    _refuse(window, least=3)
    result = np.full(close.size, np.nan)
    if close.size > window:
        changes = sliding_window_view(np.diff(np.log(close)), window)
        now, before = changes[:, 1:], changes[:, :-1]
        covariance = ((now - now.mean(axis=1, keepdims=True)) * (before - before.mean(axis=1, keepdims=True))).mean(axis=1)
        bounces = covariance < 0
        result[window:][bounces] = 2 * np.sqrt(-covariance[bounces])
    return result


def corwin_schultz(high: Floats, low: Floats, close: Floats, window: int = SESSIONS) -> Floats:
    """Mean of the last `window` two-day spreads.

    Parameters
    ----------
    high, low, close : (n,) known prices

    Returns
    -------
    (n,) proportional, at least 0; NaN in the first `window` rows and where no bar had a range
    """
    return _range_spreads(high, low, close, window)[:, 0]


def abdi_ranaldo(high: Floats, low: Floats, close: Floats, window: int = SESSIONS, *, two_day: bool = False) -> Floats:
    """Spread of the last `window` pairs of bars, corrected by the month or (`two_day`) by the pair.

    Parameters
    ----------
    high, low, close : (n,) known prices
    two_day : negative pairs count as zero, instead of a negative mean

    Returns
    -------
    (n,) proportional, at least 0; NaN in the first `window` rows and where no bar had a range
    """
    return _range_spreads(high, low, close, window)[:, 2 if two_day else 1]


def edge(open: Floats, high: Floats, low: Floats, close: Floats, window: int = SESSIONS, *, sign: bool = False) -> Floats:
    """EDGE over the last `window` pairs of bars.

    Parameters
    ----------
    open, high, low, close : (n,) known prices
    sign : True for the signed root of the squared spread, False for its absolute value

    Returns
    -------
    (n,) proportional; NaN in the first `window` rows, where fewer than two bars moved, and where every open (or close) is both
    the high and the low of its bar
    """
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    _refuse(window, least=2)
    result = np.full(close.size, np.nan)
    opens, highs, lows, closes = (np.ascontiguousarray(item, np.float64) for item in (open, high, low, close))
    kernels.edge(opens, highs, lows, closes, window, result)
    return result if sign else np.abs(result)


def spread_estimates(bars: pl.DataFrame, window: int = SESSIONS) -> pl.DataFrame:
    """Every estimator at every bar.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`
    window : pairs of consecutive bars in an estimate

    Returns
    -------
    `ts`, `available_at`, `roll`, `corwin_schultz`, `abdi_ranaldo`, `abdi_ranaldo_two_day`, `edge` (signed), in basis points of
    the price; null where there is no value
    """
    rows = rows_of(bars)
    found = by_stretch(rows, ("close",), 1, lambda part: {"roll": roll(part.close, window)})
    found |= by_stretch(rows, ("high", "low", "close"), 1, lambda part: _range_columns(part, window))
    found |= by_stretch(
        rows, ("open", "high", "low", "close"), 1,
        lambda part: {"edge": edge(part.open, part.high, part.low, part.close, window, sign=True)},
    )  # fmt: skip
    unknown = np.full(len(rows), np.nan)
    names = ("roll", "corwin_schultz", "abdi_ranaldo", "abdi_ranaldo_two_day", "edge")
    columns = {name: pl.Series(name, BPS * found.get(name, unknown)).fill_nan(None) for name in names}
    return pl.DataFrame({"ts": rows.ts, "available_at": rows.available_at.cum_max(), **columns})


def _range_columns(rows: Rows, window: int) -> dict[str, Floats]:
    found = _range_spreads(rows.high, rows.low, rows.close, window)
    return dict(zip(("corwin_schultz", "abdi_ranaldo", "abdi_ranaldo_two_day"), found.T, strict=True))


def range_spread_columns(rows: Rows) -> dict[str, Floats]:
    """The registered spreads from highs, lows and closes, in basis points; one stretch."""
    found = _range_columns(rows, SESSIONS)
    return {f"{name}_spread": BPS * found[name] for name in ("corwin_schultz", "abdi_ranaldo")}


def edge_columns(rows: Rows) -> dict[str, Floats]:
    """The registered EDGE spread, signed, in basis points; one stretch."""
    return {"edge_spread": BPS * edge(rows.open, rows.high, rows.low, rows.close, sign=True)}


def _range_spreads(high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    _refuse(window, least=1)
    result = np.full((close.size, 3), np.nan)
    highs, lows, closes = (np.ascontiguousarray(item, np.float64) for item in (high, low, close))
    kernels.range_spreads(highs, lows, closes, window, result)
    return result


def _refuse(window: int, *, least: int) -> None:
    if window < least:
        raise InvalidInput(f"expected a window of at least {least} pairs of bars, found {window}")
