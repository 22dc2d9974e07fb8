"""What the text side of the engine takes for granted: sources, their weights and half-lives, and every threshold.

All of it is declared, nothing is fitted. Weights and thresholds are those of the Gnosis V3 reference system where it has
them (docs/explanation/sentiment.md says which); of its weights that for analysts stands for what is said about results, and
those for insiders and option positions, which are no texts, are left out: only ratios matter.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields
from datetime import timedelta
from math import isfinite

from fieldcast.ground import InvalidInput

SOURCES = ("news", "x", "reddit", "stocktwits", "earnings")
SOCIAL = ("x", "reddit", "stocktwits")
"""Sources in which anybody writes: their mentions are what mania is counted in."""


@dataclass(frozen=True)
class Weights:
    """How much each source counts in the score; a source with weight 0 is not declared, and its absence no loss.

    Raises
    ------
    InvalidInput : a weight is negative or not finite, or all are 0
    """

    news: float = 0.25
    x: float = 0.15
    reddit: float = 0.15
    stocktwits: float = 0.10
    earnings: float = 0.15

    def __post_init__(self) -> None:
        values = astuple(self)
        if any(not isfinite(value) or value < 0 for value in values) or sum(values) <= 0:
            raise InvalidInput(f"expected weights at or above 0, one of them above it, found {values}")

    @property
    def declared(self) -> tuple[str, ...]:
        """The sources that count."""
        return tuple(name for name in SOURCES if getattr(self, name) > 0)


@dataclass(frozen=True)
class HalfLives:
    """Hours after which a text of a source counts half. Declared by how long such texts are passed on: a post for hours, an
    article for a day, what was said about a quarter until near the next one.

    Raises
    ------
    InvalidInput : not above 0
    """

    news: float = 24.0
    x: float = 6.0
    reddit: float = 12.0
    stocktwits: float = 6.0
    earnings: float = 720.0

    def __post_init__(self) -> None:
        if any(not isfinite(value) or value <= 0 for value in astuple(self)):
            raise InvalidInput(f"expected half-lives above 0 hours, found {astuple(self)}")


@dataclass(frozen=True)
class SentimentRules:
    """Every declared number of the text side.

    Parameters
    ----------
    weights, half_lives : by source
    memory : half-lives after which a text counts no more; 5 leave 3 % of its weight
    step_hours, points : distance and number of the moments whose scores give momentum and acceleration
    extreme : |score| from which the crowd is faded; bullish, euphoric : where the words for the score change
    full_volume : mentions at which the amount of text adds its whole share of conviction
    scorers : whose score an item has where several scored it: the first of these, then any other
    mention_days, least_days : days of their own past that mentions are held against, and the fewest that say anything
    busy : z of mentions from which they are busy (quiet at or below its negative)
    meme_mentions, meme_votes : Reddit mentions in a day and mean votes from which a share is a meme
    full_mentions, full_pressure_mentions, full_votes, full_comments : where the parts of mania and pressure are whole
    trending_per_hour, trending_likes, trending_score : StockTwits messages an hour, likes and |score| above which it trends
    full_sample : tagged messages at which the share of bulls is believed wholly
    """

    weights: Weights = field(default_factory=Weights)
    half_lives: HalfLives = field(default_factory=HalfLives)
    memory: float = 5.0
    step_hours: float = 24.0
    points: int = 5
    extreme: float = 0.7
    bullish: float = 0.3
    euphoric: float = 0.8
    full_volume: float = 1000.0
    scorers: tuple[str, ...] = ("tag", "llm", "finbert", "headline", "lexicon")
    mention_days: int = 30
    least_days: int = 10
    busy: float = 2.0
    meme_mentions: float = 10.0
    meme_votes: float = 1000.0
    full_mentions: float = 100.0
    full_pressure_mentions: float = 50.0
    full_votes: float = 5000.0
    full_comments: float = 1000.0
    trending_per_hour: float = 10.0
    trending_likes: float = 5.0
    trending_score: float = 0.3
    full_sample: float = 30.0

    def __post_init__(self) -> None:
        numbers = {item.name: getattr(self, item.name) for item in fields(self)}
        wrong = [name for name, value in numbers.items() if isinstance(value, int | float) and not 0 < value < 1e12]
        if wrong:
            raise InvalidInput(f"expected rules above 0, found others in {', '.join(wrong)}")
        if self.points < 3 or self.least_days < 3 or self.least_days > self.mention_days:
            raise InvalidInput("expected at least 3 points and 3 ≤ least_days ≤ mention_days")
        if not self.bullish < self.euphoric <= 1.0 or self.extreme >= 1.0:
            raise InvalidInput("expected bullish < euphoric ≤ 1 and extreme < 1")

    def kept(self, source: str) -> timedelta:
        """How long a text of a source counts."""
        return timedelta(hours=self.memory * getattr(self.half_lives, source))

    @property
    def back(self) -> timedelta:
        """How far back texts are read: the longest of what any figure needs."""
        steps = timedelta(hours=self.step_hours) * (self.points - 1)
        return max(*(self.kept(name) + steps for name in SOURCES), timedelta(days=self.mention_days + 1))
