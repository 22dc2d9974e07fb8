"""What every odds model promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.models import BaseRate, BoostedTrees, Logistic, OddsModel, VolatilityAnchor, load_model

MAKERS: dict[str, Callable[[], OddsModel]] = {
    "base_rate": BaseRate,
    "logistic": Logistic,
    "volatility_anchor": lambda: VolatilityAnchor(("a", "b", "c")),
    "boosted_trees": lambda: BoostedTrees(rounds=20, seed=3),
}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(800, 3)) * [1.0, 100.0, 0.01] + [0.0, -40.0, 7.0]
    y = (rng.random(800) < 1.0 / (1.0 + np.exp(-(X[:, 0] + 0.3)))).astype(np.float64)
    return X, y


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Callable[[], OddsModel]:
    return MAKERS[request.param]


def test_predictions_are_odds_of_each_row(make: Callable[[], OddsModel], rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    p = make().fit(X, y).predict(X[:17])
    assert p.shape == (17,)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()
    assert abs(make().fit(X, y).predict(X).mean() - y.mean()) < 0.03


def test_equal_fits_have_equal_hashes_and_other_rows_another(
    make: Callable[[], OddsModel], rows: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = rows
    first, second, other = make().fit(X, y), make().fit(X, y), make().fit(X[:600], y[:600])
    assert first.hash == second.hash
    assert np.array_equal(first.predict(X), second.predict(X))
    assert first.hash != other.hash


def test_a_saved_model_comes_back_to_the_last_bit(
    make: Callable[[], OddsModel], rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = rows
    model = make().fit(X, y)
    assert model.save(tmp_path / "m") == model.hash
    loaded = load_model(tmp_path / "m", expected=model.hash)
    assert type(loaded) is type(model)
    assert loaded.hash == model.hash
    assert loaded.name == model.name
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert {path.suffix for path in (tmp_path / "m").iterdir()} <= {".json", ".txt"}


def test_every_changed_byte_is_found(
    make: Callable[[], OddsModel], rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = rows
    folder = tmp_path / "m"
    make().fit(X, y).save(folder)
    for path in folder.iterdir():
        if path.name == "manifest.json":
            continue
        sound = path.read_bytes()
        for at in np.linspace(0, len(sound) - 1, 9).astype(int):
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
            with pytest.raises(IntegrityError, match="SHA-256"):
                load_model(folder)
        path.write_bytes(sound)
    assert load_model(folder).hash == make().fit(X, y).hash


def test_files_and_manifest_changed_together_still_differ_from_the_registered_hash(
    rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = rows
    registered = Logistic().fit(X, y).save(tmp_path / "m")
    Logistic(l2=2.0).fit(X, y).save(tmp_path / "m")
    with pytest.raises(IntegrityError, match="registry"):
        load_model(tmp_path / "m", expected=registered)


def test_a_manifest_whose_hash_is_not_the_models_is_refused(
    rows: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    Logistic().fit(*rows).save(tmp_path / "m")
    path = tmp_path / "m" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"hash": "0" * 64}))
    with pytest.raises(IntegrityError, match="manifest"):
        load_model(tmp_path / "m")


def test_what_is_absent_or_unknown_is_named(rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"manifest\.json"):
        load_model(tmp_path / "none")
    Logistic().fit(*rows).save(tmp_path / "m")
    (tmp_path / "m" / "model.json").unlink()
    with pytest.raises(MissingData, match=r"model\.json"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "manifest.json").write_text("{")
    with pytest.raises(IntegrityError, match="JSON"):
        load_model(tmp_path / "m")


def test_an_unfitted_model_says_so(make: Callable[[], OddsModel]) -> None:
    with pytest.raises(InvalidInput, match="call fit first"):
        make().predict(np.zeros((1, 3)))
    with pytest.raises(InvalidInput, match="call fit first"):
        make().parameters()


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.zeros((3, 2)), [0.0, 1.0], "labels"),
        (np.zeros((3, 2)), [0.0, 1.0, 2.0], "labels 0 and 1"),
        (np.zeros((3, 2)), [0.0, 1.0, np.nan], "labels 0 and 1"),
        (np.zeros((0, 2)), [], "at least one row"),
    ],
)
def test_bad_labels_are_refused(make: Callable[[], OddsModel], X: np.ndarray, y: list[float], said: str) -> None:
    if X.shape[1] == 2 and isinstance(make(), VolatilityAnchor):
        X = np.zeros((len(X), 3))
    with pytest.raises(InvalidInput, match=said):
        make().fit(X, y)


@pytest.mark.parametrize("name", ["logistic", "volatility_anchor", "boosted_trees"])
def test_bad_features_are_refused(name: str, rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    model = MAKERS[name]().fit(X, y)
    for bad in (np.inf, -np.inf):
        broken = X.copy()
        broken[5, 1] = bad
        with pytest.raises(InvalidInput, match="infinity"):
            MAKERS[name]().fit(broken, y)
        with pytest.raises(InvalidInput, match="infinity"):
            model.predict(broken)
    with pytest.raises(InvalidInput, match="3"):
        model.predict(X[:, :2])
    with pytest.raises(InvalidInput, match="shape"):
        model.predict(X[:, 0])
    with pytest.raises(InvalidInput, match="both classes"):
        MAKERS[name]().fit(X, np.ones(len(X)))


@pytest.mark.parametrize("name", ["logistic", "volatility_anchor"])
def test_nan_is_refused_where_a_model_has_no_use_for_it(name: str, rows: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = rows
    broken = X.copy()
    broken[3, 2] = np.nan
    with pytest.raises(InvalidInput, match=r"columns \[2\]"):
        MAKERS[name]().fit(broken, y)
    with pytest.raises(InvalidInput, match=r"columns \[2\]"):
        MAKERS[name]().fit(X, y).predict(broken)


def test_base_rate_is_the_smoothed_share_and_stays_inside_the_unit_interval() -> None:
    model = BaseRate().fit(np.zeros((4, 1)), [1, 0, 1, 1])
    assert model.predict(np.zeros((2, 9))).tolist() == [3.5 / 5.0] * 2
    assert 0.0 < BaseRate().fit(np.zeros((9, 1)), np.zeros(9)).predict(np.zeros((1, 1)))[0] < 0.1
