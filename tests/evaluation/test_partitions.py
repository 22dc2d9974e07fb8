"""One division of the rows into three: causal, isolated where asked, never too small. See also tests/acceptance/test_V02.py."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.evaluation import ChunkSplit, DatedSplit, ShareSplit
from fieldcast.ground import InvalidInput, ShortHistory


@settings(max_examples=60, deadline=None)
@given(st.integers(400, 900), st.integers(1, 10), st.one_of(st.none(), st.integers(1, 20)), st.integers(0, 1000))
def test_labels_and_contexts_stay_in_their_part(n: int, longest: int, context: int | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 50, n)) * np.timedelta64(1, "h")
    ended = made + rng.integers(1, 50 * longest, n) * np.timedelta64(1, "h")
    found = ShareSplit(0.5, 0.25, context=context, least_rows=30).split(made, ended)
    edges = [0, int(0.5 * n), int(0.75 * n), n]
    for rows, first, stop in zip((found.train, found.validation, found.test), edges[:-1], edges[1:], strict=True):
        assert rows[0] - ((context or 1) - 1) >= first
        assert rows[-1] < stop
        assert (ended[rows] <= made[stop - 1]).all()
        left = np.setdiff1d(np.arange(first + (context or 1) - 1, stop), rows)
        assert (ended[left] > made[stop - 1]).all()  # and nothing else was held back


def test_a_date_belongs_to_the_part_that_it_ends() -> None:
    made = np.datetime64("2020-01-01T21:30", "us") + np.arange(120) * np.timedelta64(1, "D")
    found = DatedSplit(date(2020, 2, 9), date(2020, 3, 20), least_rows=30).split(made, made + np.timedelta64(1, "h"))
    assert found.train.tolist() == list(range(39))  # the label of the last row ends after the part's last decision
    assert (found.validation[0], found.test[0]) == (40, 80)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sum below 1"):
        ShareSplit(0.8, 0.2)
    with pytest.raises(InvalidInput, match="end before"):
        DatedSplit(date(2020, 1, 1), date(2020, 1, 1))
    with pytest.raises(InvalidInput, match="context"):
        ShareSplit(context=0)
    with pytest.raises(InvalidInput, match="mode"):
        ChunkSplit(60, 1, mode="other")
    with pytest.raises(InvalidInput, match="horizon"):
        ChunkSplit(60, 0)
    with pytest.raises(ShortHistory, match="train set, found 0"):
        ChunkSplit(60, 1).split(10)
