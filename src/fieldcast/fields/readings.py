"""What an engine found at one moment, in the form in which the field map keeps it.

Every engine has eight named processors and one interpreter. The interpreter returns a result of its own, with tables and
grids for people who look closer; its `reading()` is the short form: figures by name, prices that stand out, and why a
figure is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import isfinite
from types import MappingProxyType

from fieldcast.ground import InvalidInput, Reason

NAMESPACES = ("liquidity", "regime", "sentiment", "dealer", "elasticity")
STAMPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"dealer": ("sign_policy", "unit"), "elasticity": ("sign_policy", "units")}
)
"""Conventions without which the figures of an engine can be read in several ways."""


@dataclass(frozen=True, slots=True)
class Landmark:
    """A price that the field marks out, and since when it has been known."""

    price: float
    known_since: datetime


@dataclass(frozen=True)
class Reading:
    """The figures of one engine at one moment.

    Parameters
    ----------
    namespace : one of NAMESPACES
    as_of : the moment of the decision, UTC; nothing in it was known later
    values : quantity → value; what is unknown is not in them
    landmarks : name → price and since when it was known
    labels : name → a word out of `fields.vocabulary`, such as `regime` → `thin`
    reasons : quantity or label → why it is unknown; disjoint from both
    conventions : name → how the figures are to be read (sign policy, unit, day count …); empty where nothing can be doubted, and
        never where the engine is one of STAMPS and has values
    simulated : True where any row behind it came out of a simulation

    Raises
    ------
    InvalidInput : another namespace, a value that is not finite, a label that is no word of the vocabulary, a name with both a
        value and a reason, or values of an engine whose sign policy and unit are not stated
    """

    namespace: str
    as_of: datetime
    values: Mapping[str, float]
    landmarks: Mapping[str, Landmark] = field(default_factory=dict)
    labels: Mapping[str, StrEnum] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    def __post_init__(self) -> None:
        if self.namespace not in NAMESPACES:
            raise InvalidInput(f"expected a namespace out of {', '.join(NAMESPACES)}, found {self.namespace!r}")
        bad = [name for name, value in self.values.items() if not isfinite(value)]
        bad += [name for name, mark in self.landmarks.items() if not isfinite(mark.price)]
        if bad:
            raise InvalidInput(f"expected finite values, found others in {', '.join(bad[:4])}; an unknown one has a reason")
        loose = [name for name, word in self.labels.items() if not isinstance(word, StrEnum)]
        if loose:
            raise InvalidInput(f"expected words of fields.vocabulary, found plain text in {', '.join(loose[:4])}")
        both = sorted((self.values.keys() | self.labels.keys()) & self.reasons.keys())
        if both:
            raise InvalidInput(f"expected a value or a reason for each quantity, found both for {', '.join(both[:4])}")
        unstamped = [name for name in STAMPS.get(self.namespace, ()) if not self.conventions.get(name, "").strip()]
        if self.values and unstamped:
            raise InvalidInput(
                f"expected the conventions {' and '.join(STAMPS[self.namespace])} of a {self.namespace} reading, found none of "
                f"{', '.join(unstamped)}: its figures can be read in several ways; state them"
            )
        for name in ("values", "landmarks", "labels", "reasons", "conventions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
