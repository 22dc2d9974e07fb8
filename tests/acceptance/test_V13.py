"""V13: Combinatorial purged CV by label end and probability of backtest overfitting.

Done when: "(6,2) gives 15 splits and 5 paths, PBO averages 0.45 to 0.57 over 100 noise matrices and stays below 0.05 on average
for a planted Sharpe 3.2 strategy"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import CombinatorialPurged, backtest_overfitting

pytestmark = pytest.mark.feature("V13")
OPEN_PARTS: tuple[str, ...] = ()


def _rows(rng: np.random.Generator, n: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Decisions at irregular times and labels of varying length; the last ones are still open."""
    made = np.datetime64("2020-01-01T21:30", "us") + np.cumsum(rng.integers(1, 60, n)) * np.timedelta64(1, "h")
    ahead = np.arange(n) + rng.integers(1, longest + 1, n)
    ended = made[np.minimum(ahead, n - 1)] - np.timedelta64(30, "m")
    ended[ahead >= n] = np.datetime64("NaT")
    return made, ended


@pytest.mark.parametrize(
    ("groups", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (8, 4, 70, 35), (10, 8, 45, 36)]
)
def test_so_many_splits_and_paths(groups: int, tested: int, splits: int, paths: int) -> None:
    made, ended = _rows(np.random.default_rng(groups), 240, 5)
    walk = CombinatorialPurged(groups, tested)
    found = list(walk.split(made, ended))
    assert (walk.n_splits, walk.n_paths) == (len(found), paths) == (splits, paths)
    tested_rows = np.bincount(np.concatenate([split.test for split in found]), minlength=240)
    assert (tested_rows == paths).all()  # each row is in so many test sets
    whole = walk.paths([split.test.astype(float) for split in found])
    assert whole.shape == (paths, 240)
    assert (whole == np.arange(240)).all()  # and every path holds every row once, in its place
    numbers = walk.paths([np.full(split.test.size, split.number, dtype=float) for split in found])
    assert len({tuple(path) for path in numbers}) == paths  # no path is another one over again


def test_no_training_label_touches_a_test_span_and_nothing_else_is_purged() -> None:
    """Against every pair of rows, one by one."""
    rng = np.random.default_rng(13)
    for _ in range(25):
        n, embargo = int(rng.integers(24, 90)), int(rng.integers(0, 4))
        made, ended = _rows(rng, n, int(rng.integers(1, 9)))
        for split in CombinatorialPurged(6, 2, embargo).split(made, ended):
            parts = np.array_split(np.arange(n), 6)
            allowed = []
            for i in sorted(set(range(n)) - set(split.test.tolist())):
                keep = not np.isnat(ended[i])
                for group in split.groups:
                    rows = parts[group]
                    span_end = made[-1] + np.timedelta64(9999, "h") if np.isnat(ended[rows]).any() else ended[rows].max()
                    if i < rows[0]:
                        keep = keep and bool(ended[i] <= made[rows[0]])
                    else:
                        free = [j for j in range(rows[-1] + 1, n) if made[j] >= span_end]
                        keep = keep and i in free[embargo:]
                if keep:
                    allowed.append(i)
            assert split.train.tolist() == allowed
            assert sorted([*split.train, *split.test, *split.purged]) == list(range(n))


def test_purge_follows_label_ends_and_not_row_counts() -> None:
    made = np.datetime64("2020-01-01T21:30", "us") + np.arange(60) * np.timedelta64(1, "D")
    ended = made + np.timedelta64(23, "h")
    ended[5] = made[40]  # one label that lasts 35 rows
    first = next(s for s in CombinatorialPurged(6, 1).split(made, ended) if s.groups == (3,))
    assert 5 in first.purged
    assert 4 in first.train


def test_pbo_tells_a_planted_strategy_from_noise_on_each_of_five_matrices() -> None:
    rng = np.random.default_rng(2016)
    for _ in range(5):
        returns = rng.normal(size=(1000, 100))
        noise = backtest_overfitting(returns, blocks=10).probability
        returns[:, 17] += 4.8 / np.sqrt(252)
        assert backtest_overfitting(returns, blocks=10).probability < 0.01 < noise


@pytest.mark.slow
def test_pbo_of_noise_and_of_a_planted_strategy() -> None:
    """1,000 days of 100 configurations, 16 blocks: 12,870 splits a matrix."""
    rng = np.random.default_rng(2017)
    noise, planted = [], []
    for _ in range(100):
        returns = rng.normal(size=(1000, 100))
        noise.append(backtest_overfitting(returns).probability)
        returns[:, 17] += 3.2 / np.sqrt(252)  # annual Sharpe 3.2
        planted.append(backtest_overfitting(returns).probability)
    assert 0.45 <= np.mean(noise) <= 0.57
    assert np.mean(planted) < 0.05
    assert np.std(noise) > 0.10  # why one matrix alone is no gate
