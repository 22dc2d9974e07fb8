"""Quantiles by boosting: LightGBM's own, in order, with the coverage they claim; saved with hashes."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fieldcast.evaluation import pinball
from fieldcast.ground import IntegrityError, InvalidInput
from fieldcast.models import QuantileBoosted, QuantileModel, load_quantile_model, rearranged
from fieldcast.models.boosted import SETTINGS


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n, 3))
    return X, np.exp(X[:, 0]) * rng.normal(size=n)


@pytest.fixture(scope="module")
def fitted() -> QuantileBoosted:
    return QuantileBoosted(seed=1).fit(*sample(4000, 1))


def test_coverage_and_order_on_new_rows(fitted: QuantileBoosted) -> None:
    assert isinstance(fitted, QuantileModel)
    X, y = sample(4000, 2)
    q = fitted.predict(X)
    assert q.shape == (4000, 7)
    assert (np.diff(q, axis=1) > 0).all()
    for place, level in enumerate(fitted.levels):
        assert np.mean(y <= q[:, place]) == pytest.approx(level, abs=0.03)
    plain = np.tile(np.quantile(sample(4000, 1)[1], fitted.levels), (4000, 1))
    ours, theirs = (np.mean([pinball(t[:, i], y, a) for i, a in enumerate(fitted.levels)]) for t in (q, plain))
    assert ours < 0.97 * theirs  # the scale moves with the first column


def test_before_sorting_it_is_lightgbm() -> None:
    X, y = sample(800, 3)
    settings = SETTINGS | {"objective": "quantile", "alpha": 0.5, "num_leaves": 7, "learning_rate": 0.05,
                           "min_data_in_leaf": 100, "seed": 5}  # fmt: skip
    theirs = lightgbm.train(settings, lightgbm.Dataset(X, y / y.std(), params=settings), 30).predict(X) * y.std()
    np.testing.assert_allclose(QuantileBoosted((0.5,), 30, seed=5).fit(X, y).predict(X)[:, 0], theirs, rtol=0, atol=1e-12)


def test_saved_with_hashes_and_equal_to_the_bit(fitted: QuantileBoosted, tmp_path: Path) -> None:
    digest = fitted.save(tmp_path / "q")
    loaded = load_quantile_model(tmp_path / "q", expected=digest)
    X = sample(50, 4)[0]
    assert np.array_equal(loaded.predict(X), fitted.predict(X))
    assert QuantileBoosted(seed=1).fit(*sample(4000, 1)).hash == digest
    with pytest.raises(IntegrityError):
        load_quantile_model(tmp_path / "q", expected="f" * 64)
    path = tmp_path / "q" / "model.json"
    path.write_text(path.read_text().replace("quantile_boosted", "quantile_boasted"))
    with pytest.raises(IntegrityError, match=r"model\.json"):
        load_quantile_model(tmp_path / "q")


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.floats(-50, 50)))
def test_rearranged_rows_are_strictly_ascending_and_hardly_moved(q: np.ndarray) -> None:
    found = rearranged(q, apart=1e-9)
    assert (np.diff(found, axis=1) > 0).all()
    np.testing.assert_allclose(found, np.sort(q, axis=1), rtol=0, atol=1e-8)


def test_refusals() -> None:
    X, y = sample(300, 1)
    for levels in ((), (0.5, 0.4), (0.5, 0.5), (0.0, 0.5)):
        with pytest.raises(InvalidInput, match="levels"):
            QuantileBoosted(levels)
    with pytest.raises(InvalidInput, match="differ"):
        QuantileBoosted().fit(X, np.ones(300))
    with pytest.raises(InvalidInput, match="finite targets"):
        QuantileBoosted().fit(X, np.where(np.arange(300) == 5, np.nan, y))
    with pytest.raises(InvalidInput, match="without parameters"):
        QuantileBoosted().predict(X)
