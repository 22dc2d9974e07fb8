"""The sentiment engine: the mood of price, of texts by source, and of the crowd.

Price columns stand in the field table. Texts enter scored (table `text_scores`); no text is read here. Eight processors and
one interpreter; equations, sources and pitfalls: docs/explanation/sentiment.md.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fieldcast.fields.sentiment.conviction import Convinced, conviction, second_difference, slope, weighted_score
from fieldcast.fields.sentiment.field import SentimentField, sentiment_field
from fieldcast.fields.sentiment.flows import SourceFlow, earnings_tone, news_flow, reddit_flow, stocktwits_flow, x_flow
from fieldcast.fields.sentiment.mentions import Mentions, mention_mania
from fieldcast.fields.sentiment.price import (
    COLUMNS,
    LEAST_MOVE,
    MFI,
    RANGE_LONG,
    RANGE_SHORT,
    RSI,
    RSI_MEMORY,
    TREND,
    compute,
    money_flow,
    range_ratio,
    travelled,
)
from fieldcast.fields.sentiment.rules import SOCIAL, SOURCES, HalfLives, SentimentRules, Weights
from fieldcast.fields.sentiment.texts import TABLE, Texts, checked_scores, known_texts
from fieldcast.fields.sentiment.tone import PriceMood, price_sentiment

PROCESSORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "NewsFlow": news_flow,
        "XFlow": x_flow,
        "RedditFlow": reddit_flow,
        "StockTwitsFlow": stocktwits_flow,
        "EarningsTone": earnings_tone,
        "MentionMania": mention_mania,
        "Conviction": conviction,
        "PriceSentiment": price_sentiment,
    }
)
interpret = sentiment_field

__all__ = [
    "COLUMNS",
    "LEAST_MOVE",
    "MFI",
    "PROCESSORS",
    "RANGE_LONG",
    "RANGE_SHORT",
    "RSI",
    "RSI_MEMORY",
    "SOCIAL",
    "SOURCES",
    "TABLE",
    "TREND",
    "Convinced",
    "HalfLives",
    "Mentions",
    "PriceMood",
    "SentimentField",
    "SentimentRules",
    "SourceFlow",
    "Texts",
    "Weights",
    "checked_scores",
    "compute",
    "conviction",
    "earnings_tone",
    "interpret",
    "known_texts",
    "mention_mania",
    "money_flow",
    "news_flow",
    "price_sentiment",
    "range_ratio",
    "reddit_flow",
    "second_difference",
    "sentiment_field",
    "slope",
    "stocktwits_flow",
    "travelled",
    "weighted_score",
    "x_flow",
]
