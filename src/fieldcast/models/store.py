"""Models on disk: `model.json`, for trees `booster.txt`, and `manifest.json` with the SHA-256 of both. No pickle.

Floats are written with 17 significant digits, so that a loaded model predicts to the last bit what the saved one did.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.models.contract import OddsModel

FORMAT = 1
MANIFEST = "manifest.json"
_TEXT = {"booster": "booster.txt"}  # long parameters that have a text format of their own


def _kinds() -> dict[str, type[OddsModel]]:
    from fieldcast.models.base_rate import BaseRate
    from fieldcast.models.boosted import BoostedTrees
    from fieldcast.models.logistic import Logistic, VolatilityAnchor

    return {model.kind: model for model in (BaseRate, Logistic, VolatilityAnchor, BoostedTrees)}


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


def save_model(model: OddsModel, directory: Path) -> str:
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
    kinds = _kinds()
    if body["kind"] not in kinds:
        raise InvalidInput(f"expected a model kind out of {', '.join(sorted(kinds))}, found {body['kind']!r}")
    model = kinds[body["kind"]].from_parameters(parameters)
    for label, wanted in (("manifest", manifest["hash"]), ("registry", expected)):
        if wanted is not None and model.hash != wanted:
            raise IntegrityError(f"expected model hash {wanted} ({label}) in {directory}, found {model.hash}")
    return model


def _parse(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise IntegrityError(f"expected JSON in {path}, found {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise IntegrityError(f"expected a manifest with its files in {path}, found something else")
    return found
