"""Models on disk: `model.json`, for trees `booster.txt`, and `manifest.json` with the SHA-256 of both. No pickle.

Floats are written with 17 significant digits, so that a loaded model predicts to the last bit what the saved one did.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.models.contract import OddsModel

if TYPE_CHECKING:
    from fieldcast.models.quantile_boosted import QuantileModel

FORMAT = 1
MANIFEST = "manifest.json"
Model = TypeVar("Model")
_TEXT = {"booster": "booster.txt"}  # long parameters that have a text format of their own


def model_kinds() -> dict[str, type[OddsModel]]:
    """Every odds model by its kind."""
    from fieldcast.models.base_rate import BaseRate
    from fieldcast.models.boosted import BoostedTrees
    from fieldcast.models.forest import RandomForest
    from fieldcast.models.logistic import Logistic, VolatilityAnchor
    from fieldcast.models.mlp import MultilayerPerceptron
    from fieldcast.models.per_regime import PerRegime
    from fieldcast.models.xgboost_trees import XGBoostTrees

    every: tuple[type[OddsModel], ...] = (
        *(BaseRate, Logistic, VolatilityAnchor, BoostedTrees),
        *(RandomForest, MultilayerPerceptron, XGBoostTrees, PerRegime),
    )
    return {model.kind: model for model in every}


def quantile_kinds() -> dict[str, type[QuantileModel]]:
    """Every quantile model by its kind."""
    from fieldcast.models.quantile_boosted import QuantileBoosted

    return {QuantileBoosted.kind: QuantileBoosted}


def _write(path: Path, text: str) -> str:
    """Write durably under a temporary name, then rename; returns the SHA-256 of the bytes."""
    content = text.encode()
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    return hashlib.sha256(content).hexdigest()


def save_model(model: OddsModel | QuantileModel, directory: Path) -> str:
    """Write `model` into `directory` (made if needed); returns its hash.

    The manifest is written last: a folder without one, or with another's, is refused by `load_model`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parameters = model.parameters()
    files: dict[str, str] = {}
    for key, name in _TEXT.items():
        if key in parameters:
            files[name] = _write(directory / name, parameters.pop(key))
    body = {"format": FORMAT, "kind": model.kind, "parameters": parameters}
    files["model.json"] = _write(directory / "model.json", json.dumps(body, sort_keys=True, allow_nan=False, indent=1))
    manifest = {"format": FORMAT, "hash": model.hash, "files": files}
    _write(directory / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1))
    return model.hash


def load_model(directory: Path, *, expected: str | None = None) -> OddsModel:
    """The model saved in `directory`; `expected` is the hash that a registry holds for it, where there is one.

    Raises
    ------
    MissingData : there is no manifest, or a file that it names is absent
    IntegrityError : bytes or parameters do not have the recorded SHA-256
    InvalidInput : format or kind of model is not known to this version
    """
    kind, parameters, recorded = _read(directory)
    model = _of_kind(model_kinds(), kind).from_parameters(parameters)
    _same(model.hash, recorded, expected, directory)
    return model


def load_quantile_model(directory: Path, *, expected: str | None = None) -> QuantileModel:
    """As `load_model`, for a model of quantiles."""
    kind, parameters, recorded = _read(directory)
    model = _of_kind(quantile_kinds(), kind).from_parameters(parameters)
    _same(model.hash, recorded, expected, directory)
    return model


def load_any_model(directory: Path, *, expected: str | None = None) -> OddsModel | QuantileModel:
    """As `load_model`, for a model of odds or of quantiles."""
    kind, parameters, recorded = _read(directory)
    every: dict[str, type[OddsModel] | type[QuantileModel]] = {**model_kinds(), **quantile_kinds()}
    if kind not in every:
        raise InvalidInput(f"expected a model kind out of {', '.join(sorted(every))}, found {kind!r}")
    model = every[kind].from_parameters(parameters)
    _same(model.hash, recorded, expected, directory)
    return model


def _of_kind(kinds: dict[str, type[Model]], kind: str) -> type[Model]:
    if kind not in kinds:
        raise InvalidInput(f"expected a model kind out of {', '.join(sorted(kinds))}, found {kind!r}")
    return kinds[kind]


def _same(found: str, recorded: str, expected: str | None, directory: Path) -> None:
    for label, wanted in (("manifest", recorded), ("registry", expected)):
        if wanted is not None and found != wanted:
            raise IntegrityError(f"expected model hash {wanted} ({label}) in {directory}, found {found}")


def _read(directory: Path) -> tuple[str, dict[str, Any], str]:
    """Kind, parameters and recorded hash of the model in a folder, its files checked against their SHA-256."""
    manifest_path = directory / MANIFEST
    if not manifest_path.is_file():
        raise MissingData(f"expected a saved model with {MANIFEST} in {directory}, found none")
    manifest = _parse(manifest_path)
    if manifest.get("format") != FORMAT:
        raise InvalidInput(f"expected model format {FORMAT}, found {manifest.get('format')!r} in {manifest_path}")
    texts = {}
    for name, recorded in manifest["files"].items():
        path = directory / name
        if path.parent != directory or not path.is_file():
            raise MissingData(f"expected {name} beside its manifest in {directory}, found none")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != recorded:
            raise IntegrityError(f"expected SHA-256 {recorded} for {path}, found {found}; restore or fit again")
        texts[name] = content.decode()
    body = json.loads(texts["model.json"])
    parameters = body["parameters"] | {key: texts[name] for key, name in _TEXT.items() if name in texts}
    return str(body["kind"]), parameters, str(manifest["hash"])


def _parse(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise IntegrityError(f"expected JSON in {path}, found {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise IntegrityError(f"expected a manifest with its files in {path}, found something else")
    return found
