"""Bundles: shapes, raw models, and what does not belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fieldcast.features import normalise
from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.models import Logistic
from fieldcast.models.bundle import MANIFEST, SCALER, Bundle, load_bundle

COLUMNS = ("a", "b")


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    X = random.standard_normal((200, 2)) * (1.0, 50.0) + (0.0, 300.0)
    return X, (random.random(200) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)


def test_predictions_of_a_bundle_are_those_of_the_model_on_normalised_rows(rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    fitted = normalise.fit("robust", X, COLUMNS, np.arange(150))
    model = Logistic().fit(fitted.apply(X[:150]), y[:150])
    np.testing.assert_array_equal(Bundle(model, COLUMNS, fitted).predict(X), model.predict(fitted.apply(X)))


def test_a_bundle_that_reads_raw_values_needs_no_scaler_and_leaves_none(
    rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = rows
    scaled = Bundle(Logistic().fit(X, y), COLUMNS, normalise.fit("standard", X, COLUMNS, np.arange(150)))
    scaled.save(tmp_path)
    raw = Bundle(scaled.model, COLUMNS)
    assert raw.save(tmp_path) != scaled.hash
    assert not (tmp_path / SCALER).exists()
    np.testing.assert_array_equal(load_bundle(tmp_path).predict(X), scaled.model.predict(X))


def test_what_does_not_belong_together_is_refused(rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = rows
    model = Logistic().fit(X, y)
    fitted = normalise.fit("revin", X, COLUMNS, np.arange(150))
    with pytest.raises(InvalidInput, match="another order"):
        Bundle(model, COLUMNS[::-1], fitted, 4)
    with pytest.raises(InvalidInput, match="windows for a revin"):
        Bundle(model, COLUMNS, fitted)
    with pytest.raises(InvalidInput, match=r"\('n', 4, 2\)"):
        Bundle(model, COLUMNS, fitted, 4).inputs(X)
    with pytest.raises(MissingData, match=MANIFEST):
        load_bundle(tmp_path)
    bundle = Bundle(model, COLUMNS)
    bundle.save(tmp_path)
    with pytest.raises(IntegrityError, match="registry"):
        load_bundle(tmp_path, expected="0" * 64)
    (tmp_path / MANIFEST).write_text("[]")
    with pytest.raises(IntegrityError, match="format 1"):
        load_bundle(tmp_path)
