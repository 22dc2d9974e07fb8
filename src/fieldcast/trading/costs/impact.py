"""Square-root impact.

    impact(Q) = Y * sigma * sqrt(Q / V)

sigma is the standard deviation of the return over the time in which the volume V trades: a day's with a day's volume, a
bar's with a bar's. Both give the same impact where variance and volume run together. Y is a pure number of order one; 1 is
what most markets and studies find within a factor of two, and it is an assumption until fills of one's own say otherwise.

Sources: Grinold and Kahn, *Active Portfolio Management*, 2nd ed. (1999), chapter 16; Tóth et al., "Anomalous price impact and
the critical nature of liquidity in financial markets", Physical Review X 1 (2011) 021006; Bouchaud, Bonart, Donier and Gould,
*Trades, Quotes and Prices* (2018), chapter 12.
"""

from __future__ import annotations

import numpy as np

from fieldcast.ground import InvalidInput

USUAL_COEFFICIENT = 1.0
BPS = 10_000.0


def impact_coefficient_bps(sigma: float | np.ndarray, coefficient: float = USUAL_COEFFICIENT) -> float | np.ndarray:
    """The shift of an order as large as the volume, which `total_shift_bps` takes as `impact_bps`.

    Parameters
    ----------
    sigma : standard deviation of the log return over the time in which the volume trades; one, or an array of any shape
    coefficient : Y

    Raises
    ------
    InvalidInput : a figure is negative or not finite
    """
    if not (np.all(np.isfinite(sigma)) and np.all(np.asarray(sigma) >= 0) and np.isfinite(coefficient) and coefficient >= 0):
        raise InvalidInput(f"expected a finite sigma and coefficient of at least 0, found {sigma} and {coefficient}")
    return BPS * coefficient * sigma
