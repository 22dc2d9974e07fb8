"""A model with what it cannot be used without: the columns it reads, and the normaliser of its training rows.

    bundle.json        columns, those that curation kept, context, what is added to the log odds, hash of the model, hash of the
                       normaliser (null: it reads raw values), its own hash
    scaler.json        the frozen normaliser, where there is one
    model/             the model as `models.store` keeps it

Loading checks every hash. A bundle whose model was trained on normalised inputs does not load without exactly that normaliser:
raw values through such a model are figures without meaning, and nothing about them looks wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.features import normalise
from fieldcast.features.normalise import WINDOWED, Normaliser
from fieldcast.ground import IntegrityError, InvalidInput, MissingData, digest, write_whole
from fieldcast.models.contract import Floats, OddsModel
from fieldcast.models.quantile_boosted import QuantileModel
from fieldcast.models.store import load_any_model, save_model

FORMAT = 1
MANIFEST, SCALER, MODEL = "bundle.json", "scaler.json", "model"
_NAMES = {"format", "columns", "context", "model", "scaler", "hash"}
_OPTIONAL = {"kept", "log_odds_shift"}  # written where they say something
_EDGE = 1e-12


@dataclass(frozen=True)
class Bundle:
    """A fitted model and what stands before it.

    Parameters
    ----------
    model : fitted on what `inputs` gives
    columns : names of the raw columns, in order
    normaliser : of the training rows' kept columns; None where the model reads raw values, as trees may
    context : rows of a window; 0 where the model reads single rows
    kept : those of the columns that the model is given, in their order; None = all of them
    log_odds_shift : added to the model's log odds; of a model of odds alone

    Raises
    ------
    InvalidInput : no columns, kept ones that are not among them, a normaliser of other columns, or a windowed one without windows
    """

    model: OddsModel | QuantileModel
    columns: tuple[str, ...]
    normaliser: Normaliser | None = None
    context: int = 0
    kept: tuple[str, ...] | None = None
    log_odds_shift: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns or len(set(self.columns)) != len(self.columns) or self.context < 0 or self.context == 1:
            raise InvalidInput(
                f"expected distinct columns and a context of 0, or 2 or more rows, found {list(self.columns)} and "
                f"{self.context}; a model of single rows has context 0"
            )
        if self.kept is not None:
            object.__setattr__(self, "kept", tuple(self.kept))
            if list(self.kept) != [name for name in self.columns if name in self.kept]:
                raise InvalidInput(f"expected kept columns out of {list(self.columns)} in their order, found {list(self.kept)}")
        if not np.isfinite(self.log_odds_shift) or (self.log_odds_shift and not isinstance(self.model, OddsModel)):
            raise InvalidInput(f"expected a finite shift, and one of a model of odds alone, found {self.log_odds_shift}")
        if self.normaliser is None:
            return
        if self.normaliser.columns != self.seen:
            raise InvalidInput("expected the normaliser of this model's columns, found others or another order; fit it on them")
        if self.normaliser.kind in WINDOWED and not self.context:
            raise InvalidInput(f"expected windows for a {self.normaliser.kind} normaliser, found a model of single rows")

    @property
    def seen(self) -> tuple[str, ...]:
        """The columns that the model is given."""
        return self.columns if self.kept is None else self.kept

    def inputs(self, X: ArrayLike) -> Floats:
        """What the model sees of raw values: normalised, a window as one row.

        Parameters
        ----------
        X : (n, columns), or with a context (n, context, columns)

        Returns
        -------
        (n, width)

        Raises
        ------
        InvalidInput : another shape, or values that the normaliser refuses
        """
        table = np.asarray(X, dtype=np.float64)
        shape = (self.context, len(self.columns)) if self.context else (len(self.columns),)
        if table.ndim != len(shape) + 1 or table.shape[1:] != shape:
            raise InvalidInput(f"expected raw values of shape {('n', *shape)}, found {table.shape}")
        if self.kept is not None:
            table = table[..., [self.columns.index(name) for name in self.kept]]
        made = table if self.normaliser is None else self.normaliser.apply(table)
        return made.reshape(len(made), int(np.prod(made.shape[1:])))

    def predict(self, X: ArrayLike) -> Floats:
        """P(y = 1) of raw values, (n,); of a model of quantiles (n, levels) in the unit of its target."""
        found = self.model.predict(self.inputs(X))
        if self.log_odds_shift == 0.0:
            return found
        odds = found / (1.0 - found) * np.exp(self.log_odds_shift)
        shifted: Floats = np.clip(odds / (1.0 + odds), _EDGE, 1.0 - _EDGE)
        return shifted

    @property
    def hash(self) -> str:
        """SHA-256 over the model, its columns and its normaliser."""
        return digest(self._described(self.model.hash))

    def _described(self, model: str) -> dict[str, object]:
        return _described(self.columns, self.context, model, self._scaler_hash, self.kept, self.log_odds_shift)

    @property
    def _scaler_hash(self) -> str | None:
        return None if self.normaliser is None else self.normaliser.hash

    def save(self, directory: Path) -> str:
        """Write the bundle (the manifest last); returns its hash."""
        directory.mkdir(parents=True, exist_ok=True)
        model = save_model(self.model, directory / MODEL)
        if self.normaliser is not None:
            self.normaliser.save(directory / SCALER)
        else:
            (directory / SCALER).unlink(missing_ok=True)
        body = self._described(model)
        whole = {"format": FORMAT, **body, "hash": digest(body)}
        write_whole(directory / MANIFEST, json.dumps(whole, sort_keys=True, indent=1).encode())
        return str(whole["hash"])


def load_bundle(directory: Path, *, expected: str | None = None) -> Bundle:
    """The bundle in `directory`; `expected` is the hash that a registry holds for it, where there is one.

    Raises
    ------
    MissingData : there is no bundle, or its normaliser or model is absent
    IntegrityError : a file is damaged, or is not the one that the bundle was saved with
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise MissingData(f"expected a bundle with {MANIFEST} in {directory}, found none; save one there first")
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise IntegrityError(f"expected JSON in {path}, found {error}") from None
    if not isinstance(found, dict) or set(found) - _OPTIONAL != _NAMES or found["format"] != FORMAT:
        raise IntegrityError(f"expected a bundle of format {FORMAT} in {path}, found something else")
    kept, shift = found.get("kept"), found.get("log_odds_shift", 0.0)
    body = _described(found["columns"], found["context"], found["model"], found["scaler"], kept, shift)
    for label, wanted in (("its own", found["hash"]), ("registry", expected)):
        if wanted is not None and digest(body) != wanted:
            raise IntegrityError(f"expected bundle hash {wanted} ({label}) in {directory}, found {digest(body)}; train again")
    model = load_any_model(directory / MODEL, expected=found["model"])
    normaliser = None
    if found["scaler"] is not None:
        normaliser = normalise.load(directory / SCALER, expected=found["scaler"])
    return Bundle(model, tuple(found["columns"]), normaliser, found["context"], None if kept is None else tuple(kept), shift)


def _described(
    columns: Sequence[str], context: int, model: str, scaler: str | None, kept: Sequence[str] | None, shift: float
) -> dict[str, object]:
    body: dict[str, object] = {"columns": list(columns), "context": context, "model": model, "scaler": scaler}
    return body | ({} if kept is None else {"kept": list(kept)}) | ({} if shift == 0.0 else {"log_odds_shift": shift})
