"""The lexicon: words of finance with a sign, turned round by negation and weighed by what stands before them. Always there.

    hits     every word (or pair of words) of the list in the text, with its sign g = ±1
    turned   g → −0.7 g where one of the three words before it denies it ("not profitable", "no longer falling")
    weighed  g · 1.5 after a strong adverb ("sharply"), g · 0.6 after a weak one ("slightly")
    verbs    of change ("rose", "fell", "cut") take their sign from what changed within four words: "profit rose" is good,
             "costs rose", "loss widened" are not; without such a thing, up is good
    score    (P − N) / (P + N + 1),  P and N the sums of the hits above and below 0
    confidence  (P + N) / (P + N + 2) · |P − N| / (P + N)      many hits that agree
    label    positive above 0.15, negative below −0.15

No hit gives score 0 with confidence 0: the lexicon has no opinion. It is a fallback and its measured accuracy is modest
(docs/explanation/sentiment.md); its worth is that anybody can see why a text has its score. The words are our own list
(`_words.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from fieldcast.ground import digest
from fieldcast.models.text import _words as words
from fieldcast.models.text.contract import NEGATIVE, NEUTRAL, POSITIVE, Floats, Scored, checked_texts

FORMULA = 1  # raised with every change of the rules, so that the version changes with it
REACH_OF_NEGATION, REACH_OF_CHANGE, LONGEST = 3, 4, 20_000
TURNED, STRONG, WEAK = -0.7, 1.5, 0.6
LEAST = 0.15
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[.;:!?]")
_STOP = frozenset(".;:!?")


class Lexicon:
    """Scores by a list of words; see the module for the rules."""

    name = "lexicon"
    languages = ("en",)

    @cached_property
    def version(self) -> str:
        return digest({"formula": FORMULA, "words": words.everything()})

    def score(self, texts: Sequence[str]) -> Scored:
        """Scores of the texts; the first 20,000 letters of each are read."""
        good, bad = self.amounts(texts).T
        total = good + bad
        score = (good - bad) / (total + 1.0)
        sure = np.divide(np.abs(good - bad), total + 2.0)
        label = np.where(score > LEAST, POSITIVE, np.where(score < -LEAST, NEGATIVE, NEUTRAL)).astype(np.int64)
        return Scored(score, sure, label)

    def amounts(self, texts: Sequence[str]) -> Floats:
        """(n, 2) P and N of each text: what its hits above and below 0 are worth."""
        return np.array([_sums(text) for text in checked_texts(texts)], dtype=np.float64).reshape(-1, 2)

    def explain(self, text: str) -> list[tuple[str, float]]:
        """The hits of a text and what each is worth, in their order."""
        return _hits(_tokens(text))


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text[:LONGEST].lower().replace("\u2019", "'").replace("n't", " not"))


def _sums(text: str) -> tuple[float, float]:
    worth = [value for _, value in _hits(_tokens(text))]
    return sum(value for value in worth if value > 0), -sum(value for value in worth if value < 0)


def _hits(tokens: list[str]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    place = 0
    while place < len(tokens):
        pair = " ".join(tokens[place : place + 2])
        width = 2 if pair in words.PAIRS else 1
        sign = words.PAIRS[pair] if width == 2 else _sign(tokens, place)
        if sign:
            found.append((pair if width == 2 else tokens[place], sign * _weight(tokens, place)))
        place += width
    return found


def _sign(tokens: list[str], place: int) -> float:
    """Sign of the word at `place`; of a verb of change, by what changed."""
    token = tokens[place]
    if token in words.CHANGES:
        return words.CHANGES[token] * _liked(tokens, place)
    return words.WORDS.get(token, 0.0)


def _liked(tokens: list[str], place: int) -> float:
    """−1 where what goes up or down is better low (costs, losses, debt), else 1."""
    before = _within(tokens, range(place - 1, place - 1 - REACH_OF_CHANGE, -1))
    after = _within(tokens, range(place + 1, place + 1 + REACH_OF_CHANGE))
    for nearest in (before, after):
        for token in nearest:
            if token in words.BETTER_HIGH:
                return 1.0
            if token in words.BETTER_LOW:
                return -1.0
    return 1.0


def _within(tokens: list[str], places: range) -> list[str]:
    """Tokens at `places` up to the end of the sentence."""
    found: list[str] = []
    for place in places:
        if not 0 <= place < len(tokens) or tokens[place] in _STOP:
            break
        found.append(tokens[place])
    return found


def _weight(tokens: list[str], place: int) -> float:
    """What the words before (and, of a verb of change, right after) make of a hit."""
    before = _within(tokens, range(place - 1, place - 1 - REACH_OF_NEGATION, -1))
    beside = before[:1] + (_within(tokens, range(place + 1, place + 2)) if tokens[place] in words.CHANGES else [])
    weight = STRONG if words.STRONG.intersection(beside) else WEAK if words.WEAK.intersection(beside) else 1.0
    return weight * TURNED if words.NEGATIONS.intersection(before) else weight
