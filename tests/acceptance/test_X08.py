"""X08: Normalisers fitted on training rows and stored with the model: standard, min-max, robust, RevIN, level-preserving.

Done when: "Changing any test row leaves the fitted parameters unchanged, and a bundle without its scaler fails to load"
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fieldcast.features import normalise
from fieldcast.features.normalise import Kind
from fieldcast.ground import IntegrityError, MissingData
from fieldcast.models import BaseRate, Logistic
from fieldcast.models.bundle import MODEL, SCALER, Bundle, load_bundle

pytestmark = pytest.mark.feature("X08")
OPEN_PARTS: tuple[str, ...] = ()
COLUMNS = ("trend", "range", "volume")
CONTEXT = 8


def history(seed: int = 8, rows: int = 240) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.cumsum(random.standard_normal((rows, len(COLUMNS))), axis=0) * (1.0, 5.0, 0.1) + (3.0, -40.0, 900.0)


def test_the_five_kinds_are_there() -> None:
    assert {str(kind) for kind in Kind} == {"standard", "min_max", "robust", "revin", "level_preserving"}


@pytest.mark.parametrize("kind", list(Kind))
def test_changing_any_test_row_leaves_the_fitted_parameters_unchanged(kind: Kind) -> None:
    values = history()
    training = np.arange(160)
    fitted = normalise.fit(kind, values, COLUMNS, training)
    random = np.random.default_rng(1)
    for row in range(160, len(values)):
        other = values.copy()
        other[row] = random.choice([np.nan, np.inf, 1e12, 0.0], size=3)
        again = normalise.fit(kind, other, COLUMNS, training)
        assert again == fitted
        assert again.hash == fitted.hash
    # and a training row does count, or the test would mean nothing
    assert all(
        normalise.fit(kind, values + 1e6 * (np.arange(len(values)) == row)[:, None], COLUMNS, training) != fitted
        for row in (0, 159)
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_a_bundle_without_its_scaler_fails_to_load(kind: Kind, tmp_path: Path) -> None:
    values = history()
    training = np.arange(150)
    fitted = normalise.fit(kind, values, COLUMNS, training)
    windowed = kind in normalise.WINDOWED
    raw = np.lib.stride_tricks.sliding_window_view(values, CONTEXT, axis=0).transpose(0, 2, 1) if windowed else values
    y = (np.random.default_rng(2).random(len(raw)) < 0.5).astype(float)
    empty = Bundle(BaseRate(), COLUMNS, fitted, CONTEXT if windowed else 0)
    model = Logistic(10.0).fit(empty.inputs(raw[:140]), y[:140])
    bundle = Bundle(model, COLUMNS, fitted, CONTEXT if windowed else 0)
    saved = bundle.save(tmp_path)
    loaded = load_bundle(tmp_path, expected=saved)
    assert loaded.hash == bundle.hash == saved
    assert loaded.normaliser == fitted
    np.testing.assert_array_equal(loaded.predict(raw[150:]), bundle.predict(raw[150:]))

    kept = (tmp_path / SCALER).read_bytes()
    (tmp_path / SCALER).unlink()
    with pytest.raises(MissingData, match="normaliser"):
        load_bundle(tmp_path)
    # another one, however whole, is not the one that the model was trained with
    normalise.fit(kind, values, COLUMNS, np.arange(100)).save(tmp_path / SCALER)
    with pytest.raises(IntegrityError, match="its model's"):
        load_bundle(tmp_path)
    (tmp_path / SCALER).write_bytes(kept.replace(b'"rows": 150', b'"rows": 151'))
    with pytest.raises(IntegrityError, match="its own"):
        load_bundle(tmp_path)
    (tmp_path / SCALER).write_bytes(kept)
    assert load_bundle(tmp_path).hash == saved
    # nor can the need be struck out of the manifest
    manifest = json.loads((tmp_path / "bundle.json").read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(manifest | {"scaler": None}))
    with pytest.raises(IntegrityError, match="bundle hash"):
        load_bundle(tmp_path)
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    for file in (tmp_path / MODEL).iterdir():
        file.unlink()
    with pytest.raises(MissingData, match="saved model"):
        load_bundle(tmp_path)
