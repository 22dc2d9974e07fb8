"""Corrections of each band's width, so that its misses come as often as promised: one of the instrument, slow, and one of all.

    band b       [m + e^{c_b + k_b} (l - m), m + e^{c_b + k_b} (u - m)]   m: the median, l and u: the edges as forecast
    own          c_b <- (1 - d) c_b + g_b (1[r outside] - (1 - b))        when the outcome of row s has ended, at row s + h
    common       k_b <- (1 - f) k_b + v_b (share of the instruments outside - (1 - b))                    one for all of them

Instruments miss on the same days. Their mean is the steadier sign that widths have become wrong: a common correction may step
further than an instrument's own, and has to forget (f > 0) what a wild month has taught it. v = 0 is no common correction.

Without shrinkage (d = 0) the sum telescopes: over T updates |miss rate - (1 - b)| <= |c_T - c_1| / (g T), as in conformal PID's
quantile tracking, here on the logarithm of the width, and with a common correction as without: both see the misses of the band as
given out. With d > 0 the own correction forgets over 1 / d outcomes and the bound gains d mean|c| / g. Levels between the bands
move with their neighbours. A width is kept within [1/4, 4] of the forecast one, and a row where that binds is flagged; the bound
speaks of rows where neither this nor the rearrangement of crossing bands does.
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
    common : v of the band that misses half of the time, scaled over the bands like g; 0 = every instrument by itself
    forget : f, in [0, 1)
    """

    def __init__(self, step: float = 0.01, shrink: float = 0.0, *, common: float = 0.0, forget: float = 0.0) -> None:
        if not 0.0 < step < 1.0 or not 0.0 <= shrink < 1.0:
            raise InvalidInput(f"expected a step in (0, 1) and shrink in [0, 1), found {step} and {shrink}")
        if not 0.0 <= common < 1.0 or not 0.0 <= forget < 1.0:
            raise InvalidInput(f"expected common and forget in [0, 1), found {common} and {forget}")
        self.step, self.shrink, self.common, self.forget = float(step), float(shrink), float(common), float(forget)

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
        rarer = np.sqrt(promised / 0.5)
        wide, shared = np.zeros((r.shape[1], centre)), np.zeros(centre)
        out = np.full(q.shape, np.nan)
        capped = np.zeros(r.shape, dtype=np.bool_)
        for t in range(len(r)):
            past = t - horizon
            if past >= 0:
                y = r[past][:, None]
                seen = np.isfinite(y) & np.isfinite(out[past, :, :1])
                with np.errstate(invalid="ignore"):
                    missed = (y < out[past, :, bands].T) | (y > out[past, :, tau.size - 1 - bands].T)
                moved = (1.0 - self.shrink) * wide + self.step * rarer * (missed - promised)
                wide = np.where(seen, moved, wide)
                if self.common > 0.0 and seen.any():
                    excess = missed[seen[:, 0]].mean(axis=0) - promised
                    shared = (1.0 - self.forget) * shared + self.common * rarer * excess
            total = wide + shared
            limited = np.clip(total, -WIDEST, WIDEST)
            capped[t] = (limited != total).any(axis=1)
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
