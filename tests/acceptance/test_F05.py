"""F05 Sentiment engine: price based (Wilder RSI, trend, compression and expansion, money flow) and v3 text based (NewsFlow,
X, Reddit, StockTwits, EarningsTone): score, momentum, acceleration, conviction, contrarian signal, energy as second-order
gamma field; mention, meme and mania metrics.

Done when: "RSI equals a published worked example to 0.01, the weighted text score equals a hand case, and a source outage
lowers coverage and not the score".

Published example: StockCharts ChartSchool, "Relative Strength Index (RSI)", worksheet cs-rsi.xls: 33 daily closes of QQQQ
and the 14-day RSI column (chartschool.stockcharts.com, technical indicators, RSI).
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import build_field_table, sentiment
from fieldcast.indicators import rsi
from fieldcast.market import BARS

pytestmark = pytest.mark.feature("F05", part="price based: Wilder RSI, trend, compression and expansion")

OPEN_PARTS: tuple[str, ...] = (
    "money flow",
    "NewsFlow",
    "X",
    "Reddit",
    "StockTwits",
    "EarningsTone",
    "score",
    "momentum",
    "acceleration",
    "conviction",
    "contrarian signal",
    "energy as second-order gamma field",
    "mention, meme and mania metrics",
)

# fmt: off
CLOSES = np.array([
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
    46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521,
    45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
])
PUBLISHED = np.array([
    70.5328, 66.3186, 66.5498, 69.4063, 66.3552, 57.9749, 62.9296, 63.2571, 56.0593, 62.3771, 54.7076,
    50.4228, 39.9898, 41.4605, 41.8689, 45.4632, 37.3040, 33.0795, 37.7730,
])
# fmt: on


def test_rsi_equals_the_published_worked_example() -> None:
    values = rsi(CLOSES, sentiment.RSI)
    assert np.isnan(values[:14]).all()
    assert np.abs(values[14:] - PUBLISHED).max() < 0.01


def test_the_engine_reproduces_it_behind_a_long_history() -> None:
    """The field table holds no RSI before its warm-up is over, so the worksheet is given a past.

    That past is calm (steps of a cent, up and down) but for its last two steps, a loss and a gain chosen so that Wilder's
    averages, carried through the worksheet's first 14 changes, equal the plain means with which the worksheet starts.
    """
    keep, calm, rows = 13 / 14, 0.01, 900
    change = np.diff(CLOSES[:15])
    last = []
    for moves in (np.clip(change, 0, None), np.clip(-change, 0, None)):
        carried = (moves / 14 * keep ** np.arange(13, -1, -1)).sum()
        last.append((moves.mean() - carried) / keep**14)  # what the average must be at the worksheet's first close
    steps = calm * np.where(np.arange(rows) % 2 == 0, 1.0, -1.0)
    before = [0.0, 0.0]
    for step in steps:
        before = [keep * before[0] + max(step, 0) / 14, keep * before[1] + max(-step, 0) / 14]
    fall = 14 * (last[1] / keep - keep * before[1])
    rise = 14 * (last[0] - keep**2 * before[0])
    assert fall > 0
    assert rise > 0
    moves = np.concatenate([steps, [-fall, rise]])
    past = CLOSES[0] - moves.sum() + np.concatenate([[0.0], np.cumsum(moves)])
    close = np.concatenate([past, CLOSES[1:]])
    assert past[-1] == pytest.approx(CLOSES[0])
    n = close.size
    ts = pl.select(pl.lit(datetime(2000, 1, 3, 21, tzinfo=UTC)).cast(BARS["ts"]) + pl.duration(days=pl.int_range(n)))
    bars = pl.DataFrame(
        {
            "instrument": ["XNAS:QQQQ"] * n,
            "ts": ts.to_series(),
            "available_at": ts.to_series(),
            "open": close,
            "high": close,
            "low": close,
            "close": close,
            "volume": [1e6] * n,
            "reasons": [None] * n,
        },
        schema=BARS,
    )
    column = build_field_table(bars)["sentiment.rsi"].to_numpy()
    assert np.abs(column[-PUBLISHED.size :] - PUBLISHED).max() < 0.01
