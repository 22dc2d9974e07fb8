"""Tiers of conviction that do not flicker: high, medium, low, one state an instrument.

A scan *names* a tier by two thresholds. The first scan of an instrument sets its tier. After that a tier changes when

    `scans` scans in a row have named the same other tier, and
    the last of them lies beyond the threshold by a margin     (a jump over a whole tier needs no margin)

The preset has thresholds 0.75 and 0.65 with a margin of 0.02. Convictions of daily odds live between 0.50 and 0.60, where no such
figure is ever reached: `fitted` takes the thresholds from quantiles of out-of-sample convictions known by then, and the margin in
shares of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import InvalidInput

LEAST = 100         # convictions before a quantile of them is a threshold


class Tier(StrEnum):
    """In ascending order."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0, 1 or 2."""
        return list(Tier).index(self)


@dataclass(frozen=True)
class TierThresholds:
    """From where on a tier is named, and how far beyond a change has to go (`…_up` to rise into it, `…_down` to fall out)."""

    medium: float
    high: float
    medium_up: float
    medium_down: float
    high_up: float
    high_down: float
    source: str

    def __post_init__(self) -> None:
        ladders = ((self.medium_down, self.medium, self.medium_up), (self.high_down, self.high, self.high_up))
        finite = all(math.isfinite(value) for ladder in ladders for value in ladder)
        ascending = all(a <= b for ladder in ladders for a, b in pairwise(ladder)) and self.medium <= self.high
        if not (finite and ascending):
            raise InvalidInput(f"expected finite thresholds, medium at or below high, each inside its margins, found {self}")

    @classmethod
    def preset(cls, *, medium: float = 0.65, high: float = 0.75, margin: float = 0.02) -> Self:
        """Stated figures; nothing is fitted."""
        if margin < 0.0:
            raise InvalidInput(f"expected a margin from 0 on, found {margin}")
        return cls(medium, high, medium + margin, medium - margin, high + margin, high - margin, "preset")

    @classmethod
    def fitted(cls, convictions: ArrayLike, *, medium: float = 0.5, high: float = 0.8, margin: float = 0.02) -> Self:
        """Quantiles of out-of-sample convictions, all known before the first scan that they judge.

        Parameters
        ----------
        convictions : (n,) NaN where there was none; at least `LEAST` known
        medium, high : which quantiles
        margin : in shares of the convictions

        Raises
        ------
        InvalidInput : too few, or quantiles and margin that do not fit into (0, 1)
        """
        known = np.asarray(convictions, dtype=np.float64)
        known = known[np.isfinite(known)]
        if known.size < LEAST:
            raise InvalidInput(f"expected at least {LEAST} convictions for thresholds, found {known.size}; wait for more")
        if not (0.0 <= margin < medium <= high < 1.0 - margin):
            raise InvalidInput(f"expected margin < medium <= high < 1 - margin, found {margin}, {medium}, {high}")
        at = {
            name: float(np.quantile(known, share))
            for name, share in {
                "medium": medium, "medium_up": medium + margin, "medium_down": medium - margin,
                "high": high, "high_up": high + margin, "high_down": high - margin,
            }.items()
        }  # fmt: skip
        return cls(**at, source=f"quantiles {medium:g} and {high:g} of {known.size}")

    def name(self, conviction: float) -> Tier:
        """The tier that one conviction names."""
        return Tier.HIGH if conviction >= self.high else Tier.MEDIUM if conviction >= self.medium else Tier.LOW

    def is_beyond(self, conviction: float, old: Tier, new: Tier) -> bool:
        """Whether a conviction that names `new` is far enough from `old`."""
        if abs(new.rank - old.rank) == 2:
            return True
        if new.rank > old.rank:
            return conviction >= (self.high_up if new is Tier.HIGH else self.medium_up)
        return conviction < (self.high_down if old is Tier.HIGH else self.medium_down)


@dataclass(frozen=True)
class TierStep:
    """One scan: the tier that holds now, the one it named (None: no conviction), and how many in a row named it."""

    tier: Tier | None
    named: Tier | None
    in_a_row: int
    changed: bool


class TierTracker:
    """The tiers of any number of instruments; no instrument's scans touch another's tier."""

    def __init__(self, thresholds: TierThresholds, *, scans: int = 2) -> None:
        if scans < 1:
            raise InvalidInput(f"expected at least one scan before a change, found {scans}")
        self.thresholds = thresholds
        self.scans = scans
        self._held: dict[str, _Held] = {}

    def update(self, instrument: str, conviction: float | None) -> TierStep:
        """Take in one scan; None or NaN = there was no conviction: the tier stays, and a run of scans is broken.

        Raises
        ------
        InvalidInput : a conviction outside [0, 1]
        """
        held = self._held.get(instrument)
        if conviction is None or math.isnan(conviction):
            if held is not None:
                self._held[instrument] = _Held(held.tier, None, 0)
            return TierStep(None if held is None else held.tier, None, 0, changed=False)
        if not 0.0 <= conviction <= 1.0:
            raise InvalidInput(f"expected a conviction in [0, 1], found {conviction}")
        named = self.thresholds.name(conviction)
        if held is None:
            self._held[instrument] = _Held(named, None, 0)
            return TierStep(named, named, 1, changed=True)
        if named is held.tier:
            self._held[instrument] = _Held(held.tier, None, 0)
            return TierStep(held.tier, named, 0, changed=False)
        in_a_row = held.in_a_row + 1 if named is held.pending else 1
        change = in_a_row >= self.scans and self.thresholds.is_beyond(conviction, held.tier, named)
        self._held[instrument] = _Held(named, None, 0) if change else _Held(held.tier, named, in_a_row)
        return TierStep(named if change else held.tier, named, in_a_row, changed=change)

    def tier(self, instrument: str) -> Tier | None:
        """What holds now; none before the first scan with a conviction."""
        held = self._held.get(instrument)
        return None if held is None else held.tier

    def state(self) -> dict[str, Any]:
        """Everything that the next scans depend on, as JSON types."""
        return {
            "thresholds": asdict(self.thresholds),
            "scans": self.scans,
            "instruments": {name: asdict(held) for name, held in sorted(self._held.items())},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The tracker that `state` describes.

        Raises
        ------
        InvalidInput : it describes none
        """
        try:
            tracker = cls(TierThresholds(**state["thresholds"]), scans=int(state["scans"]))
            for name, held in state["instruments"].items():
                pending = None if held["pending"] is None else Tier(held["pending"])
                tracker._held[str(name)] = _Held(Tier(held["tier"]), pending, int(held["in_a_row"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"expected the state of a tier tracker, found something else: {error}") from None
        return tracker


@dataclass(frozen=True)
class _Held:
    tier: Tier
    pending: Tier | None
    in_a_row: int


def walk_tiers(
    convictions: ArrayLike, *, medium: float = 0.5, high: float = 0.8, margin: float = 0.02, scans: int = 2, refit: int = 21
) -> list[Tier | None]:
    """The tier at each row of one instrument's out-of-sample convictions, thresholds renewed every `refit` rows from rows before.

    Parameters
    ----------
    convictions : (n,) in time order, NaN where there is none

    Returns
    -------
    (n,) None until `LEAST` convictions were known
    """
    values = np.asarray(convictions, dtype=np.float64)
    found: list[Tier | None] = []
    tracker: TierTracker | None = None
    for row, conviction in enumerate(values):
        if row % refit == 0 and np.isfinite(values[:row]).sum() >= LEAST:
            thresholds = TierThresholds.fitted(values[:row], medium=medium, high=high, margin=margin)
            if tracker is None:
                tracker = TierTracker(thresholds, scans=scans)
            tracker.thresholds = thresholds
        found.append(None if tracker is None else tracker.update("", float(conviction)).tier)
    return found
