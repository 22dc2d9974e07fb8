"""What price says of the mood, in the unit of the texts, so that the two can be held against each other.

    price score = mean of (RSI − 50) / 50, (MFI − 50) / 50 and tanh(trend / 2), those that are known      −1 … 1
    range state: compression where the range ratio is below ln 0.8, expansion above ln 1.2

The halves weigh alike because nothing has shown which deserves more. Thresholds of the range: Phi-nance reference system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, tanh

from fieldcast.fields.vocabulary import RangeState
from fieldcast.ground import Reason

COMPRESSED, EXPANDED = log(0.8), log(1.2)


@dataclass(frozen=True)
class PriceMood:
    """The mood of price.

    Parameters
    ----------
    score : in [−1, 1]; None where none of its parts is known
    parts : how many of the three are known
    range_state : a word for the ranges; None where they are not known
    reasons : name → why it is not known
    """

    score: float | None
    parts: int
    range_state: RangeState | None
    reasons: Mapping[str, Reason]


def price_sentiment(row: Mapping[str, float]) -> PriceMood:
    """PriceSentiment.

    Parameters
    ----------
    row : the sentiment columns of the field table that are known, as `FieldMap.sentiment` has them
    """
    parts = [(row[name] - 50.0) / 50.0 for name in ("rsi", "mfi") if name in row]
    parts += [tanh(row["trend"] / 2.0)] if "trend" in row else []
    reasons: dict[str, Reason] = {}
    if not parts:
        reasons["price_score"] = Reason.WARMING_UP if row else Reason.NO_DATA
    state = None
    if "range_ratio" in row:
        ratio = row["range_ratio"]
        state = RangeState.COMPRESSION if ratio < COMPRESSED else RangeState.EXPANSION if ratio > EXPANDED else RangeState.USUAL
    else:
        reasons["range_state"] = Reason.WARMING_UP if row else Reason.NO_DATA
    return PriceMood(sum(parts) / len(parts) if parts else None, len(parts), state, reasons)
