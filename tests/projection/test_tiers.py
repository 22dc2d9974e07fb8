"""Tiers against a slow twin, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.projection.tiers import Tier, TierThresholds, TierTracker

PRESET = TierThresholds.preset()


def twin(path: list[float | None]) -> list[str | None]:
    """The rule read literally: look back for two scans in a row that named the same other tier."""
    name = lambda c: "high" if c >= 0.75 else "medium" if c >= 0.65 else "low"  # noqa: E731
    order, tier, run, found = ["low", "medium", "high"], None, [], []
    for c in path:
        if c is None:
            run = []
        elif tier is None:
            tier = name(c)
        else:
            run = [*run, name(c)]
            new = run[-1]
            if len(run) >= 2 and run[-2] == new != tier:
                steps = order.index(new) - order.index(tier)
                far = {1: c >= (0.75 if new == "high" else 0.65) + 0.02, -1: c < (0.75 if tier == "high" else 0.65) - 0.02}
                if far.get(steps, True):
                    tier, run = new, []
        found.append(tier)
    return found


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.55, 0.63, 0.64, 0.66, 0.68, 0.72, 0.74, 0.76, 0.78])), max_size=30))
def test_the_tracker_is_the_rule(path: list[float | None]) -> None:
    tracker = TierTracker(PRESET)
    assert [tracker.update("X", conviction).tier for conviction in path] == twin(path)


@pytest.mark.parametrize("conviction", [-0.1, 1.1, math.inf])
def test_a_conviction_outside_its_range_is_refused(conviction: float) -> None:
    with pytest.raises(InvalidInput, match="conviction"):
        TierTracker(PRESET).update("X", conviction)


def test_thresholds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidInput, match="medium at or below high"):
        TierThresholds.preset(medium=0.8, high=0.7)
    with pytest.raises(InvalidInput, match="at least 100"):
        TierThresholds.fitted([0.5] * 99)
    with pytest.raises(InvalidInput, match="margin"):
        TierThresholds.fitted([0.5] * 200, high=0.99)
    for state in ({}, {"thresholds": {}, "scans": 1, "instruments": {}}, {"thresholds": TierTracker(PRESET).state()["thresholds"],
                  "scans": 1, "instruments": {"X": {"tier": "gold", "pending": None, "in_a_row": 0}}}):  # fmt: skip
        with pytest.raises(InvalidInput, match="tier tracker"):
            TierTracker.from_state(state)


def test_tiers_are_in_order() -> None:
    assert [tier.rank for tier in (Tier.LOW, Tier.MEDIUM, Tier.HIGH)] == [0, 1, 2]
