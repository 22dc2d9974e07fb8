"""Price impact: how far a traded amount moves the price.

Amihud's illiquidity is the mean over 20 sessions of |log return| per billion units of close × volume. For an index the volume
is shares of its members and the close is an index level, so the unit is no currency: compare an index with its own past
(`amihud_ratio`), never with another instrument.

Kyle's lambda is the slope of log returns on signed traded amounts over 60 sessions:

    x_t = s_t · close_t · volume_t / 1e9,     λ = cov(r, x) / var(x)          [log return per 1e9 of net buying]
    impact = λ · mean|x| / sd(r)              standard deviations of return for a usual session's amount, all on one side

Bars do not say who bought. Tick rule: s = sign of the change of close (0 where there is none). Bulk classification:
s = 2 Φ(r / sd) − 1, the share of volume that a return of that size assigns to buyers less that of sellers, sd from the same
window. Both take the sign from the return that is explained, so λ is a scale of moves per amount, not a test that trades cause
them.

Sources: Amihud, Illiquidity and stock returns, Journal of Financial Markets 5 (2002) 31-56; Kyle, Continuous auctions and insider
trading, Econometrica 53 (1985) 1315-1335; Easley, López de Prado & O'Hara, Flow toxicity and liquidity in a high-frequency world,
Review of Financial Studies 25 (2012) 1457-1493 for bulk classification.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fieldcast.fields._rows import Floats, Rows
from fieldcast.ground import InvalidInput

AMIHUD, AMIHUD_LONG = 20, 250
KYLE = 60
SCALE = 1e9


class Signing(StrEnum):
    """How the side of a bar's volume is told."""

    TICK = "tick"
    BULK = "bulk"


def kyle_lambda(close: Floats, volume: Floats, window: int = KYLE, signing: Signing = Signing.TICK) -> dict[str, Floats]:
    """Kyle's lambda over the last `window` changes.

    Parameters
    ----------
    close, volume : (n,) known values
    window : changes in the regression
    signing : how the side of a bar's volume is told

    Returns
    -------
    (n,) `lambda` [log return per 1e9 of close × volume] and `impact` [standard deviations of return per usual session]; NaN in
    the first `window` rows and where signed volume, or the price, does not vary
    """
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    if window < 3:
        raise InvalidInput(f"expected a regression over at least 3 changes, found {window}")
    result = np.full((close.size, 2), np.nan)
    price, traded = np.ascontiguousarray(close, np.float64), np.ascontiguousarray(volume, np.float64)
    kernels.kyle(price, traded, window, signing is Signing.BULK, SCALE, result)
    return {"lambda": result[:, 0], "impact": result[:, 1]}


def kyle_columns(rows: Rows) -> dict[str, Floats]:
    """`kyle_lambda` and `kyle_impact` of one stretch."""
    found = kyle_lambda(rows.close, rows.volume)
    return {"kyle_lambda": found["lambda"], "kyle_impact": found["impact"]}


def amihud_columns(rows: Rows) -> dict[str, Floats]:
    """`amihud` and `amihud_ratio` of one stretch."""
    traded = rows.close * rows.volume / SCALE
    moved = np.abs(np.diff(np.log(rows.close), prepend=np.nan))
    known = np.isfinite(moved) & (traded > 0)  # a session without trading has no price impact to measure
    impact = np.where(known, moved / np.where(known, traded, 1.0), 0.0)
    short = _window_sum(impact, AMIHUD) / positive(_window_sum(known.astype(np.float64), AMIHUD))
    long = _window_sum(impact, AMIHUD_LONG) / positive(_window_sum(known.astype(np.float64), AMIHUD_LONG))
    return {"amihud": short, "amihud_ratio": np.log(positive(short) / positive(long))}


def _window_sum(values: Floats, window: int) -> Floats:
    """Sum of the last `window` values, each window summed by itself so that nothing older leaves a trace."""
    result = np.full(values.size, np.nan)
    if values.size >= window:
        result[window - 1 :] = sliding_window_view(values, window).sum(axis=1)
    return result


def positive(values: Floats) -> Floats:
    """The values above zero, NaN elsewhere."""
    return np.where(values > 0, values, np.nan)
