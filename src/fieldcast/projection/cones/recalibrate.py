"""A slow, shrunken correction of each band's width, instrument by instrument, so that its misses come as often as promised.

    band b       [m + e^{c_b} (l - m), m + e^{c_b} (u - m)]                m: the median, l and u: the edges as forecast
    update       c_b <- (1 - d) c_b + g_b (1[r outside] - (1 - b))        when the outcome of row s has ended, at row s + h

Without shrinkage (d = 0) the sum telescopes: over T updates |miss rate - (1 - b)| <= |c_T - c_1| / (g T), as in conformal PID's
quantile tracking, here on the logarithm of the width; with d > 0 the correction forgets over 1 / d outcomes and the bound gains
d mean|c| / g. Levels between the bands move with their neighbours. A width is kept within [1/4, 4] of the forecast one, and a row
where that binds is flagged; the bound speaks of rows where neither this nor the rearrangement of crossing bands does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged
from fieldcast.projection.cones.layers import Layered

WIDEST = float(np.log(4.0))


class BandScale:
    """Online recalibration of central bands.

    Parameters
    ----------
    step : g of the band that misses half of the time; a band with miss rate a uses g sqrt(a / 0.5), its misses being rarer
    shrink : d, in [0, 1)
    """

    def __init__(self, step: float = 0.01, shrink: float = 0.0) -> None:
        if not 0.0 < step < 1.0 or not 0.0 <= shrink < 1.0:
            raise InvalidInput(f"expected a step in (0, 1) and shrink in [0, 1), found {step} and {shrink}")
        self.step, self.shrink = float(step), float(shrink)

    def run(self, quantiles: ArrayLike, outcome: ArrayLike, *, horizon: int, levels: Sequence[float] = CONE_LEVELS) -> Layered:
        """Recalibrated quantiles (T, N, L).

        Parameters
        ----------
        quantiles : (T, N, L) at levels that are symmetric about 1/2 and hold it
        outcome : (T, N) return over the horizon, NaN where not known

        Raises
        ------
        InvalidInput : shapes differ, or the levels are not symmetric about a median
        """
        q, tau, r = np.asarray(quantiles, dtype=np.float64), check_levels(levels), panel_values("outcome", outcome)
        centre = tau.size // 2
        if tau.size % 2 == 0 or not np.allclose(tau + tau[::-1], 1.0):
            raise InvalidInput(f"expected levels symmetric about 0.5 and with it, found {tau.tolist()}")
        if q.shape != (*r.shape, tau.size):
            raise InvalidInput(f"expected quantiles {(*r.shape, tau.size)}, found {q.shape}")
        bands = np.arange(centre)  # band j: levels j and L - 1 - j
        promised = 2.0 * tau[bands]
        steps = self.step * np.sqrt(promised / 0.5)
        wide = np.zeros((r.shape[1], centre))
        out = np.full(q.shape, np.nan)
        capped = np.zeros(r.shape, dtype=np.bool_)
        for t in range(len(r)):
            past = t - horizon
            if past >= 0:
                y = r[past][:, None]
                seen = np.isfinite(y) & np.isfinite(out[past, :, :1])
                with np.errstate(invalid="ignore"):
                    missed = (y < out[past, :, bands].T) | (y > out[past, :, tau.size - 1 - bands].T)
                moved = (1.0 - self.shrink) * wide + steps * (missed - promised)
                wide = np.where(seen, moved, wide)
            limited = np.clip(wide, -WIDEST, WIDEST)
            capped[t] = (limited != wide).any(axis=1)
            factor = np.ones(q.shape[1:])
            factor[:, bands] = factor[:, tau.size - 1 - bands] = np.exp(limited)
            middle = q[t, :, centre : centre + 1]
            out[t] = np.sort(middle + factor * (q[t] - middle), axis=1)
        return Layered(rearranged(out), capped)


def band_edges(tau: Floats, share: float) -> tuple[int, int]:
    """Places of the lower and the upper edge of a central band among the levels.

    Raises
    ------
    InvalidInput : the levels do not hold it
    """
    low = np.flatnonzero(np.isclose(tau, (1.0 - share) / 2.0))
    high = np.flatnonzero(np.isclose(tau, (1.0 + share) / 2.0))
    if not low.size or not high.size:
        raise InvalidInput(f"expected the edges of the {share:.0%} band among the levels, found {tau.tolist()}")
    return int(low[0]), int(high[0])
