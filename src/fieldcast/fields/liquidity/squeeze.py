"""Squeeze: Bollinger bands inside Keltner channels, a market wound up; and the way it leans.

    middle     mean of 20 closes
    Bollinger  middle ± 2 · standard deviation of the 20 closes (divided by 20)
    Keltner    middle ± 1.5 · mean of the 20 true ranges
    ratio      log( 2 · deviation / (1.5 · mean true range) )        below 0: the squeeze is on
    momentum   end of the least-squares line through the last 20 of
               close − ((highest high + lowest low) / 2 + middle) / 2,   in mean true ranges
    age        bars for which it has been on, 0 … 60;   since: bars since it was last on (0 while it is), to 59

It is released at the first bar with `age` 0 after one above 0. Neither says which way price will go.

Sources: Carter, Mastering the Trade (2005), whose indicator is the squeeze; the momentum is the published one of LazyBear
(TradingView, Squeeze Momentum Indicator, 2014); Bollinger, Bollinger on Bollinger Bands (2001).
"""

from __future__ import annotations

import numpy as np

from fieldcast.fields._rows import Floats, Rows
from fieldcast.fields.liquidity.profile import WINDOW

BANDS, CHANNELS, SPAN = 2.0, 1.5, 20
MOMENTUM_MEMORY = 2 * SPAN - 2
AGE_MEMORY = SPAN + WINDOW - 1

_NAMES = ("squeeze", "squeeze_age", "squeeze_since", "squeeze_momentum")


def squeeze_columns(rows: Rows) -> dict[str, Floats]:
    """`squeeze` (the ratio), `squeeze_age`, `squeeze_since` and `squeeze_momentum` of one stretch of known rows."""
    from fieldcast.fields.liquidity import _kernels_bars as kernels

    result = np.full((len(rows), 4), np.nan)
    kernels.squeeze(rows.high, rows.low, rows.close, SPAN, BANDS, CHANNELS, WINDOW, result)
    return {name: result[:, column] for column, name in enumerate(_NAMES)}
