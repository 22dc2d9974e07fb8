"""What every scorer of texts promises, whatever is behind it: a list of words, a fitted model, a network or a service.

    score       in [−1, 1]: bad to good news for whoever owns what the text is about
    confidence  in [0, 1]: how sure the scorer is of that, on its own scale (two scorers' confidences do not compare)
    label       negative, neutral or positive; a negative text has a score at or below 0, a positive one at or above it

A text without a word in it is scored 0 with confidence 0: nothing was said. Scores do not depend on which other texts stand
beside a text, and a scorer says by its `version` (a hash over everything that its scores follow from) when two scores compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]
LABELS = ("negative", "neutral", "positive")
NEGATIVE, NEUTRAL, POSITIVE = range(3)
VERSION_DIGITS = 16


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of n texts, in their order.

    Parameters
    ----------
    score : (n,) in [−1, 1]
    confidence : (n,) in [0, 1]
    label : (n,) places in LABELS

    Raises
    ------
    InvalidInput : shapes differ, a value is not finite or out of its range, or a label contradicts its score
    """

    score: Floats
    confidence: Floats
    label: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.score.shape == self.confidence.shape == self.label.shape == (self.score.size,):
            raise InvalidInput(f"expected three arrays of one length, found {self.score.shape} and others")
        if not ((np.abs(self.score) <= 1) & (self.confidence >= 0) & (self.confidence <= 1)).all():
            raise InvalidInput("expected scores in [-1, 1] and confidences in [0, 1], found others")
        if (self.score[self.label == POSITIVE] < 0).any() or (self.score[self.label == NEGATIVE] > 0).any():
            raise InvalidInput("expected labels that agree with the signs of their scores, found others")

    def __len__(self) -> int:
        return self.score.size


@runtime_checkable
class TextScorer(Protocol):
    """Anything that scores texts."""

    @property
    def name(self) -> str:
        """Its kind, such as `lexicon`."""

    @property
    def version(self) -> str:
        """SHA-256 (hex) over everything that its scores follow from."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it reads, such as `en`; empty = any."""

    def score(self, texts: Sequence[str]) -> Scored:
        """Scores of the texts, in their order.

        Raises
        ------
        InvalidInput : something among them is no text
        """


def scorer_id(scorer: TextScorer) -> str:
    """Name and version as rows carry them, such as `lexicon@0123456789abcdef`."""
    return f"{scorer.name}@{scorer.version[:VERSION_DIGITS]}"


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list.

    Raises
    ------
    InvalidInput : one string in place of a list of them, or something that is no string
    """
    if isinstance(texts, str):
        raise InvalidInput("expected a list of texts, found one text; put it into a list")
    wrong = next((type(text).__name__ for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise InvalidInput(f"expected texts, found {wrong} among them; leave out what has no text")
    return list(texts)


def is_blank(text: str) -> bool:
    """Whether there is nothing in it to read."""
    return not any(letter.isalnum() for letter in text)


def from_odds(odds: Floats, blank: Sequence[bool]) -> Scored:
    """Scores from probabilities of the three labels.

    score = P(positive) − P(negative); confidence = (max P − 1/3) / (2/3); the label is the likeliest one.

    Parameters
    ----------
    odds : (n, 3) in the order of LABELS, rows summing to 1
    blank : (n,) texts in which there is nothing to read
    """
    nothing = np.asarray(blank, dtype=bool)
    label = odds.argmax(axis=1).astype(np.int64) if odds.size else np.zeros(0, np.int64)
    score = np.clip(odds[:, POSITIVE] - odds[:, NEGATIVE], -1.0, 1.0)
    confidence = np.clip((odds.max(axis=1) - 1 / 3) * 1.5, 0.0, 1.0) if odds.size else np.zeros(0)
    score, confidence = np.where(nothing, 0.0, score), np.where(nothing, 0.0, confidence)
    return Scored(score, confidence, np.where(nothing, NEUTRAL, label))
