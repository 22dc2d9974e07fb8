"""F05 Sentiment engine: price based (Wilder RSI, trend, compression and expansion, money flow) and v3 text based (NewsFlow,
X, Reddit, StockTwits, EarningsTone): score, momentum, acceleration, conviction, contrarian signal, energy as second-order
gamma field; mention, meme and mania metrics.

Done when: "RSI equals a published worked example to 0.01, the weighted text score equals a hand case, and a source outage
lowers coverage and not the score".

Published example: StockCharts ChartSchool, "Relative Strength Index (RSI)", worksheet cs-rsi.xls: 33 daily closes of QQQQ
and the 14-day RSI column (chartschool.stockcharts.com, technical indicators, RSI).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import talib

from fieldcast.fields import FIELD_REGISTRY, FieldMap, build_field_table, sentiment
from fieldcast.fields.sentiment import PROCESSORS, sentiment_field
from fieldcast.fields.vocabulary import SentimentRegime
from fieldcast.indicators import rsi
from fieldcast.market import BARS, table_of

pytestmark = pytest.mark.feature("F05")

OPEN_PARTS: tuple[str, ...] = ()

AS_OF = datetime(2026, 3, 20, 21, tzinfo=UTC)

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


# texts --------------------------------------------------------------------------------------------------------------

SCORES = table_of("text_scores")
SAID = {"news": (0.6, 0.8), "x": (-0.2, 0.5), "reddit": (0.4, 0.9), "stocktwits": (0.1, 0.4), "earnings": (-0.5, 0.6)}


def texts(said: dict[str, tuple[float, float]], days: int = 1, **more: float) -> pl.DataFrame:
    """One text of each source at each of the last `days` moments, already scored."""
    rows = [
        {"instrument": "XNAS:TEST", "ts": AS_OF - timedelta(days=day), "available_at": AS_OF - timedelta(days=day),
         "item": f"{day}", "source": source, "scorer": "lexicon@1", "score": score, "confidence": sure, "mentions": 1.0, **more}
        for day in range(days) for source, (score, sure) in said.items()
    ]  # fmt: skip
    return pl.DataFrame([dict.fromkeys(SCORES.schema) | row for row in rows], schema=dict(SCORES.schema))


def test_the_weighted_text_score_equals_a_hand_case() -> None:
    """Weights .25 .15 .15 .10 .15. Σ s c w = .6·.8·.25 − .2·.5·.15 + .4·.9·.15 + .1·.4·.10 − .5·.6·.15 = .118;
    Σ c w = .2 + .075 + .135 + .04 + .09 = .54; .118 / .54 = .2185185…"""
    found = sentiment_field(texts(SAID), AS_OF)
    assert found.score == pytest.approx(0.118 / 0.54, abs=1e-12)
    assert found.coverage == 1.0
    assert found.regime is SentimentRegime.NEUTRAL


@pytest.mark.parametrize("out", list(SAID))
def test_a_source_outage_lowers_coverage_and_not_the_score(out: str) -> None:
    """The score is that of the sources that speak, not pulled towards 0 by the one that does not; where they agree, it stays."""
    left = {source: said for source, said in SAID.items() if source != out}
    weight = {"news": 0.25, "x": 0.15, "reddit": 0.15, "stocktwits": 0.10, "earnings": 0.15}
    total = sum(sure * weight[source] for source, (_, sure) in left.items())
    expected = sum(score * sure * weight[source] for source, (score, sure) in left.items()) / total
    found = sentiment_field(texts(left), AS_OF)
    assert found.coverage == pytest.approx(0.8)
    assert found.score == pytest.approx(expected, abs=1e-12)
    agreeing = {source: (0.45, sure) for source, (_, sure) in SAID.items()}
    whole = sentiment_field(texts(agreeing), AS_OF)
    part = sentiment_field(texts({source: said for source, said in agreeing.items() if source != out}), AS_OF)
    assert part.coverage < whole.coverage
    assert part.score == pytest.approx(whole.score, abs=1e-12)


def test_every_quantity_of_the_row_is_in_the_field_map() -> None:
    """Forty days of texts beside 600 bars: score and motion, conviction and energies, mentions, price."""
    random = np.random.default_rng(4)
    n = 600
    close = 100 * np.exp(np.cumsum(0.01 * random.standard_normal(n)))
    reach = np.exp(0.004 * np.abs(random.standard_normal((2, n))))
    ts = pl.select(pl.lit(AS_OF).dt.cast_time_unit("us") - pl.duration(days=n - 1 - pl.int_range(n))).to_series()
    bars = pl.DataFrame(
        {"instrument": ["XNAS:TEST"] * n, "ts": ts, "available_at": ts, "open": close, "high": close * reach[0],
         "low": close / reach[1], "close": close, "volume": random.lognormal(13, 0.4, n), "reasons": [None] * n},
        schema=BARS,
    )  # fmt: skip
    table = build_field_table(bars)
    money = talib.MFI(*(bars[name].to_numpy() for name in ("high", "low", "close", "volume")), 14)
    np.testing.assert_allclose(table["sentiment.mfi"][20:], money[20:], atol=1e-9)
    rows = texts(SAID, days=30, engagement=1500.0, comments=40.0).with_columns(
        score=pl.col("score") * (1 - pl.int_range(pl.len()) / 400), mentions=(pl.int_range(pl.len()) % 7 + 1).cast(pl.Float64)
    )
    found = sentiment_field(rows, AS_OF, row=FieldMap.at("XNAS:TEST", AS_OF, table).sentiment)
    shown = FieldMap.at("XNAS:TEST", AS_OF, table, [found.reading()]).sentiment
    text = {"text_score", "text_momentum", "text_acceleration", "conviction", "contrarian", "reversal_energy", "trend_energy"}
    crowd = {"mentions", "mention_z", "meme", "meme_pressure", "mania"}
    sources = {f"{name}_score" for name in SAID} | {"x_reach", "reddit_reach", "stocktwits_bull_bear", "earnings_velocity"}
    price = {"rsi", "mfi", "trend", "range_ratio", "price_score", "divergence"}
    assert text | crowd | sources | price | {"coverage"} <= set(shown)
    assert {f"sentiment.{name}" for name in ("rsi", "mfi", "trend", "range_ratio")} <= set(FIELD_REGISTRY)
    assert {"NewsFlow", "XFlow", "RedditFlow", "StockTwitsFlow", "EarningsTone", "MentionMania"} <= set(PROCESSORS)
    assert len(PROCESSORS) == 8


def test_an_extreme_stores_energy_and_is_faded() -> None:
    """The second-order field: at s = −0.9 from all sources the contrarian signal is up, and U = (|s| C)^1.5."""
    found = sentiment_field(texts(dict.fromkeys(SAID, (-0.9, 1.0))), AS_OF)
    figures = found.convinced.figures
    conviction = 0.3 * 1 + 0.3 * 1 + 0.2 * 5 / 1000 + 0.2 * 0.9
    assert figures["conviction"] == pytest.approx(conviction)
    assert figures["contrarian"] == pytest.approx(conviction * 0.2)
    assert figures["reversal_energy"] == pytest.approx((0.9 * conviction) ** 1.5)
    assert found.regime is SentimentRegime.PANICKED
