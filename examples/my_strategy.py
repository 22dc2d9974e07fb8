"""A strategy of your own: fieldcast backtest ARCX:MINE --strategy examples/my_strategy.py:window=50

Invested while the close is above its highest close of the last `window` bars but the newest, until it falls below the lowest one:
Donchian's channel, in plain NumPy. The target of a bar rests on closes up to it: the backtest tests that, and refuses a
strategy that looks ahead.
"""

import numpy as np


def targets(bars: dict[str, np.ndarray], window: int = 50) -> np.ndarray:
    close = bars["close"]
    held, out = 0.0, np.zeros(close.size)
    for t in range(window, close.size):
        before = close[t - window : t]
        if close[t] > before.max():
            held = 1.0
        elif close[t] < before.min():
            held = 0.0
        out[t] = held
    return out
