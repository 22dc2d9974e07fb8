"""Normalisers: against scikit-learn and plain formulas, there and back, bounded and constant columns, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.features import normalise
from fieldcast.features.normalise import TINY, WINDOWED, Kind, Normaliser
from fieldcast.ground import IntegrityError, InvalidInput, MissingData

NAMES = ("a", "b", "c")


def table(rows: int = 120, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_t(4, (rows, 3)) * (1.0, 30.0, 0.01) + (0.0, -7.0, 100.0)


def windows(values: np.ndarray, context: int = 10) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(values, context, axis=0).transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("kind", "name"), [("standard", "StandardScaler"), ("min_max", "MinMaxScaler"), ("robust", "RobustScaler")]
)
def test_row_kinds_equal_scikit_learn_fitted_on_the_training_rows(kind: str, name: str) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    values = table()
    training = np.arange(0, 120, 2)
    expected = getattr(preprocessing, name)().fit(values[training]).transform(values)
    np.testing.assert_allclose(normalise.fit(kind, values, NAMES, training).apply(values), expected, rtol=1e-10, atol=1e-12)


def test_revin_is_the_papers_formula_window_by_window() -> None:
    values = table()
    gain, shift = (2.0, 0.5, 1.5), (0.1, 0.0, -3.0)
    fitted = normalise.fit("revin", values, NAMES, np.arange(60), gain=gain, shift=shift)
    made = fitted.apply(windows(values))
    for place in (0, 17, 110):
        for column in range(3):
            x = values[place : place + 10, column]
            z = (x - np.mean(x)) / (np.std(x) + TINY * np.std(values[:60, column]))
            np.testing.assert_allclose(made[place, :, column], gain[column] * z + shift[column], rtol=1e-10)
    with pytest.raises(InvalidInput, match="forgets"):
        fitted.invert(made)


def test_level_preserving_keeps_what_revin_takes_away() -> None:
    values = table(seed=4)
    plain, keeping = (normalise.fit(kind, values, NAMES, np.arange(80)) for kind in WINDOWED)
    x = windows(values)
    shifted = x + np.array([0.0, 500.0, 0.0])
    np.testing.assert_allclose(plain.apply(x), plain.apply(shifted), atol=1e-6)  # the level is gone
    assert np.abs(keeping.apply(x) - keeping.apply(shifted)).max() > 10
    made = keeping.apply(x)
    assert keeping.outputs == (*NAMES, "a.level", "b.level", "c.level", "a.spread", "b.spread", "c.spread")
    np.testing.assert_array_equal(made[..., :3], plain.apply(x))
    np.testing.assert_allclose(
        made[..., 3],
        np.broadcast_to(((x.mean(axis=1) - values[:80].mean(axis=0)) / values[:80].std(axis=0))[:, :1], made.shape[:2]),
    )


@given(
    seed=st.integers(0, 10_000), kind=st.sampled_from([kind for kind in Kind if kind is not Kind.REVIN]), bounded=st.booleans()
)
@settings(max_examples=40, deadline=None)
def test_there_and_back_gives_the_same_values(seed: int, kind: Kind, bounded: bool) -> None:
    values = table(60, seed)
    fitted = normalise.fit(kind, values, NAMES, np.arange(40), bounded=("b",) if bounded else ())
    x = windows(values, 6) if kind in WINDOWED else values
    np.testing.assert_allclose(fitted.invert(fitted.apply(x)), x, rtol=1e-9, atol=1e-9)
    if bounded:
        np.testing.assert_array_equal(fitted.apply(x)[..., 1], x[..., 1])


def test_a_constant_column_is_centred_and_named() -> None:
    values = table()
    values[:, 1] = 4.5
    for kind in ("standard", "min_max", "robust"):
        fitted = normalise.fit(kind, values, NAMES, np.arange(100))
        assert fitted.constant == ("b",)
        assert (fitted.apply(values)[:, 1] == 0).all()
    level = normalise.fit("level_preserving", values, NAMES, np.arange(100))
    assert np.isfinite(level.apply(windows(values))).all()


@pytest.mark.parametrize("unit", [1e-13, 1e13])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_column_varies_whatever_its_unit(kind: Kind, unit: float) -> None:
    values = table()
    plain, other = (normalise.fit(kind, values * scale, NAMES, np.arange(100)) for scale in (1.0, unit))
    assert other.constant == ()
    x = windows(values) if kind in WINDOWED else values
    np.testing.assert_allclose(other.apply(x * unit), plain.apply(x), rtol=1e-6, atol=1e-9)


def test_flags_and_numbers_of_training_rows_are_the_same() -> None:
    values = table()
    flags = np.zeros(120, dtype=bool)
    flags[5:70] = True
    assert normalise.fit("standard", values, NAMES, flags) == normalise.fit("standard", values, NAMES, np.arange(69, 4, -1))


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    values = table()
    hole = values.copy()
    hole[3, 2] = np.nan
    with pytest.raises(InvalidInput, match=r"finite values, found 50 \(c\)"):
        normalise.fit("standard", hole, NAMES, np.arange(50))
    with pytest.raises(InvalidInput, match="out of 0 to 119"):
        normalise.fit("standard", values, NAMES, [1, 120])
    with pytest.raises(InvalidInput, match="flag for each"):
        normalise.fit("standard", values, NAMES, np.ones(7, dtype=bool))
    with pytest.raises(InvalidInput, match="out of standard, min_max"):
        normalise.fit("zscore", values, NAMES, np.arange(50))
    with pytest.raises(InvalidInput, match="revin alone"):
        normalise.fit("robust", values, NAMES, np.arange(50), gain=(1, 1, 1))
    fitted = normalise.fit("revin", values, NAMES, np.arange(50))
    with pytest.raises(InvalidInput, match="windows"):
        fitted.apply(values[0])
    with pytest.raises(InvalidInput, match="finite values to normalise"):
        fitted.apply(hole)
    with pytest.raises(InvalidInput, match="scales above 0"):
        Normaliser(Kind.STANDARD, ("a",), (0.0,), (0.0,))
    with pytest.raises(MissingData, match="normaliser"):
        normalise.load(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(IntegrityError, match="JSON"):
        normalise.load(tmp_path / "torn.json")
    (tmp_path / "old.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(IntegrityError, match="format 1"):
        normalise.load(tmp_path / "old.json")


@pytest.mark.parametrize("kind", list(Kind))
def test_a_saved_normaliser_is_the_same_to_the_last_bit(kind: Kind, tmp_path: Path) -> None:
    values = table(seed=9)
    fitted = normalise.fit(kind, values, NAMES, np.arange(77), bounded=("a",))
    saved = fitted.save(tmp_path / "scaler.json")
    loaded = normalise.load(tmp_path / "scaler.json", expected=saved)
    assert loaded == fitted
    x = windows(values)
    np.testing.assert_array_equal(loaded.apply(x), fitted.apply(x))
    with pytest.raises(IntegrityError, match="its model's"):
        normalise.load(tmp_path / "scaler.json", expected="0" * 64)
