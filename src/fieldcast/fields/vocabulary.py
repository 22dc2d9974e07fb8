"""The words for regimes and shapes, one list for those who find them and those who act on them.

A producer that says `thin` and a consumer that looks for `illiquid` agree on nothing and notice nothing; so both import
these names, and a word that is not here cannot be said. Words of the Gnosis reference system are kept where they mean
something; LEGACY gives the member for each of its other spellings.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class LiquidityRegime(StrEnum):
    """What it costs to trade at once, and whether one side has left. The thresholds are parameters of the producer."""

    DEEP = "deep"
    LIQUID = "liquid"
    THIN = "thin"
    FROZEN = "frozen"
    TOXIC = "toxic"  # nearly all the size stands on one side: who trades against it trades against those who know


class EnergyRegime(StrEnum):
    """How much of a day's volume the dealers' hedging of a usual move is."""

    LOW = "low_energy"
    MEDIUM = "medium_energy"
    HIGH = "high_energy"
    CRITICAL = "critical_energy"  # large, and it feeds the move


class ElasticityRegime(StrEnum):
    """What the market does once a move is over."""

    ELASTIC = "elastic"  # resists and springs back, on both sides
    PLASTIC = "plastic"  # gives way on both sides: moves feed themselves
    BRITTLE = "brittle"  # resists on one side, or up to a point, and gives way beyond
    CHAOTIC = "chaotic"  # resisting and giving way alternate within the usual move


class GammaRegime(StrEnum):
    """What the dealers' gamma does to moves."""

    SHORT_GAMMA_SQUEEZE = "short_gamma_squeeze"
    LONG_GAMMA_COMPRESSION = "long_gamma_compression"
    LOW_GAMMA_EXPANSION = "low_gamma_expansion"
    NEUTRAL = "neutral"


class VannaRegime(StrEnum):
    """What a change of volatility makes the dealers do."""

    VANNA_FLOW = "vanna_flow"
    HIGH_VANNA_HIGH_VOL = "high_vanna_high_vol"
    HIGH_VANNA_LOW_VOL = "high_vanna_low_vol"
    NEUTRAL = "neutral"


class CharmRegime(StrEnum):
    """What the passing of time makes the dealers do."""

    CHARM_DECAY_DOMINANT = "charm_decay_dominant"
    HIGH_CHARM_DECAY_ACCELERATION = "high_charm_decay_acceleration"
    NEUTRAL = "neutral"


class JumpRisk(StrEnum):
    """How near the price is at which dealers begin to feed a move."""

    LOW = "low_jump_risk"
    MODERATE = "moderate_jump_risk"
    HIGH = "high_jump_risk"


class PotentialShape(StrEnum):
    """The form of the energy against the move, in one word."""

    QUADRATIC = "quadratic"  # one well, as of a spring
    CUBIC = "cubic"  # one side is steeper than the other
    QUARTIC = "quartic"  # flat in the middle, with walls
    DOUBLE_WELL = "double_well"  # a hill in the middle and a well on each side
    INVERTED = "inverted"  # a hill: no move is resisted


class FieldBias(StrEnum):
    """Which way the field gives way more easily."""

    UP = "up"
    DOWN = "down"
    NEITHER = "neither"


LEGACY: Mapping[str, StrEnum] = MappingProxyType(
    {
        "high_liquidity": LiquidityRegime.DEEP,
        "medium_liquidity": LiquidityRegime.LIQUID,
        "low_liquidity": LiquidityRegime.THIN,
        "illiquid": LiquidityRegime.FROZEN,
    }
)
"""Spellings of the reference system that are no member's value, and the member that each of them means."""


class VixLevel(StrEnum):
    """Bucket of the VIX close, or of another implied volatility in points."""

    LOW = "low"
    NORMAL = "normal"
    ELEVATED = "elevated"
    CRISIS = "crisis"


class VolatilityLevel(StrEnum):
    """Third of an instrument's own past in which its volatility lies."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class HiddenState(StrEnum):
    """State of a fitted hidden Markov model, by the variance of its returns."""

    CALM = "calm"
    NORMAL = "normal"  # of three or four
    TENSE = "tense"  # of four
    TURBULENT = "turbulent"


class Structure(StrEnum):
    """How price moves."""

    TREND_UP = "trend_up"
    TREND_DOWN = "trend_down"
    ROTATION = "rotation"  # back and forth inside a range
    CHOP = "chop"  # wide moves without a direction


class MarketHours(StrEnum):
    """Part of the trading day."""

    PRE_MARKET = "pre_market"
    REGULAR = "regular"
    AFTER_HOURS = "after_hours"
    OVERNIGHT = "overnight"
    CLOSED = "closed"


class TradingDesk(StrEnum):
    """Whose day it is in a market that never closes."""

    TOKYO = "tokyo"
    LONDON = "london"
    NEW_YORK = "new_york"


class Activity(StrEnum):
    """Volume against what is usual."""

    BUSY = "busy"
    USUAL = "usual"
    QUIET = "quiet"


class CorrelationLevel(StrEnum):
    """How closely an instrument follows the market."""

    STRONG = "strong"
    MILD = "mild"
    NONE = "none"
    INVERSE = "inverse"
    STRONGLY_INVERSE = "strongly_inverse"


class Alarm(StrEnum):
    """A rule by which the market is in alarm (risk-off)."""

    VIX_LEVEL = "vix_level"
    VIX_JUMP = "vix_jump"
    DRAWDOWN = "drawdown"
    CORRELATION = "correlation"
    DEALERS = "dealers"


class Stance(StrEnum):
    """Whether any alarm is on."""

    RISK_OFF = "risk_off"
    CALM = "calm"


class WyckoffPhase(StrEnum):
    """What large traders seem to be doing, by place, trend and money flow."""

    ACCUMULATION = "accumulation"
    MARKUP = "markup"
    DISTRIBUTION = "distribution"
    MARKDOWN = "markdown"


class SqueezeState(StrEnum):
    """Whether the market is wound up."""

    ON = "squeeze_on"
    RELEASED = "squeeze_released"  # a few bars ago
    OFF = "squeeze_off"


class TurnSequence(StrEnum):
    """Which way the last two swing highs and the last two swing lows go."""

    CLIMBING = "climbing"  # higher highs and higher lows
    FALLING = "falling"  # lower highs and lower lows
    MIXED = "mixed"


class Effort(StrEnum):
    """What volume did to the price in the last bar."""

    ABSORBED = "absorbed"  # more volume than usual, less range than usual
    DISPLACED_UP = "displaced_up"
    DISPLACED_DOWN = "displaced_down"
    ORDINARY = "ordinary"


class SentimentRegime(StrEnum):
    """What texts say, taken together."""

    PANICKED = "panicked"
    BEARISH = "bearish"
    NEUTRAL = "neutral"
    BULLISH = "bullish"
    EUPHORIC = "euphoric"


class RangeState(StrEnum):
    """Recent ranges against those before them."""

    COMPRESSION = "compression"
    EXPANSION = "expansion"
    USUAL = "usual"
