"""Probability of backtest overfitting against the definition in plain loops; refusals."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import linregress, rankdata

from fieldcast.evaluation import backtest_overfitting
from fieldcast.ground import InvalidInput, MissingData


def _by_hand(returns: np.ndarray, blocks: int, metric: str) -> tuple[list[float], list[float], list[float]]:
    edges = np.linspace(0, len(returns), blocks + 1).astype(int)
    parts = [returns[a:b] for a, b in pairwise(edges)]
    logits, looked, did = [], [], []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.vstack([parts[i] for i in chosen])
        outside = np.vstack([parts[i] for i in range(blocks) if i not in chosen])

        def figure(rows: np.ndarray) -> np.ndarray:
            return rows.mean(axis=0) / rows.std(axis=0, ddof=1) if metric == "sharpe" else rows.mean(axis=0)

        best = int(np.argmax(figure(inside)))
        w = rankdata(figure(outside))[best] / (returns.shape[1] + 1)
        logits.append(float(np.log(w / (1 - w))))
        looked.append(float(figure(inside)[best]))
        did.append(float(figure(outside)[best]))
    return logits, looked, did


@pytest.mark.parametrize("metric", ["sharpe", "mean"])
@pytest.mark.parametrize(("rows", "columns", "blocks"), [(64, 5, 4), (103, 7, 8), (250, 20, 10)])
def test_the_definition_in_loops(metric: str, rows: int, columns: int, blocks: int) -> None:
    returns = np.random.default_rng(rows).normal(0.02, 1.0, size=(rows, columns))
    returns[:, 0] += 0.2
    logits, looked, did = _by_hand(returns, blocks, metric)
    found = backtest_overfitting(returns, blocks=blocks, metric=metric)
    np.testing.assert_allclose(found.logits, logits, atol=1e-12)
    assert found.probability == np.mean(np.array(logits) <= 0.0)
    assert found.slope == pytest.approx(linregress(looked, did).slope, abs=1e-9)
    assert found.loss == np.mean(np.array(did) < 0.0)
    assert (found.rows, found.columns, found.splits) == (rows, columns, len(logits))
    assert f"{rows} x {columns}" in str(found)


def test_twins_share_their_rank() -> None:
    returns = np.repeat(np.random.default_rng(1).normal(size=(80, 1)), 4, axis=1)
    found = backtest_overfitting(returns, blocks=4)
    assert (found.logits == 0.0).all()
    assert found.probability == 1.0


def test_wrong_use_is_refused() -> None:
    returns = np.random.default_rng(2).normal(size=(100, 3))
    for blocks in (3, 2, 22):
        with pytest.raises(InvalidInput, match="even number of blocks"):
            backtest_overfitting(returns, blocks=blocks)
    with pytest.raises(InvalidInput, match="two configurations"):
        backtest_overfitting(returns[:, :1])
    with pytest.raises(InvalidInput, match="metric"):
        backtest_overfitting(returns, metric="median")
    with pytest.raises(MissingData, match="32 rows"):
        backtest_overfitting(returns[:30])
    returns[:60, 1] = 0.01
    with pytest.raises(MissingData, match="does not"):
        backtest_overfitting(returns, blocks=4)
    assert backtest_overfitting(returns, blocks=4, metric="mean").columns == 3
