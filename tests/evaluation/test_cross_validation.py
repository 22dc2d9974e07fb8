"""Purged cross-validation: invariants under random labels; the acceptance test counts splits, paths and purged rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.evaluation import CombinatorialPurged, purged_k_fold
from fieldcast.ground import InvalidInput, MissingData


def _rows(n: int, longest: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 50, n)) * np.timedelta64(1, "h")
    ended = made + rng.integers(1, 50 * longest, n) * np.timedelta64(1, "h")
    ended[rng.random(n) < 0.05] = np.datetime64("NaT")
    return made, ended


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 7), st.integers(1, 6), st.integers(0, 5), st.integers(1, 9), st.integers(0, 10_000))
def test_spans_never_touch_and_every_row_has_one_place(groups: int, tested: int, embargo: int, longest: int, seed: int) -> None:
    tested = min(tested, groups - 1)
    made, ended = _rows(60, longest, seed)
    for split in CombinatorialPurged(groups, tested, embargo).split(made, ended):
        assert sorted([*split.train, *split.test, *split.purged]) == list(range(60))
        assert not np.isnat(ended[split.train]).any()
        for i in split.train:
            for j in split.test:
                if np.isnat(ended[j]):
                    assert i < j  # an open span reaches over everything after it
                else:
                    assert ended[i] <= made[j] or ended[j] <= made[i]


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 9), st.integers(0, 5), st.integers(0, 10_000))
def test_a_longer_embargo_only_takes_away(groups: int, embargo: int, seed: int) -> None:
    made, ended = _rows(80, 3, seed)
    for less, more in zip(
        purged_k_fold(groups, embargo=embargo).split(made, ended),
        purged_k_fold(groups, embargo=embargo + 1).split(made, ended),
        strict=True,
    ):
        assert set(more.train) <= set(less.train)
        assert more.test.tolist() == less.test.tolist()


def test_wrong_use_is_refused() -> None:
    made, ended = _rows(10, 2, 0)
    for groups, tested in ((2, 2), (5, 0), (1, 1)):
        with pytest.raises(InvalidInput, match="tested groups"):
            CombinatorialPurged(groups, tested)
    with pytest.raises(InvalidInput, match="embargo"):
        CombinatorialPurged(embargo=-1)
    with pytest.raises(MissingData, match="12 rows"):
        CombinatorialPurged(12, 2).split(made, ended)
    walk = CombinatorialPurged(4, 2)
    with pytest.raises(InvalidInput, match="6 splits"):
        walk.paths([np.zeros(5)] * 5)
    forecasts = [split.test.astype(float) for split in walk.split(made, ended)]
    with pytest.raises(InvalidInput, match="each test row"):
        walk.paths([*forecasts[:-1], np.zeros(forecasts[-1].size + 1)])
