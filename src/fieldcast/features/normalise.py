"""Normalisers: numbers taken from training rows once, frozen, and kept with whatever was trained on them.

With m, s the centre and scale of a column over the training rows, and mu, sigma those of one window of it:

    standard           z = (x - m) / s                  m the mean, s the standard deviation (population)
    min_max            z = (x - m) / s                  m the smallest value, s the largest less it
    robust             z = (x - m) / s                  m the median, s the interquartile range
    revin              z = g (x - mu) / (sigma + e) + b     e a hundred-thousandth of s; g = 1 and b = 0 unless they are given
    level_preserving   the z of revin (g = 1, b = 0), and beside it for every row of the window what it takes away:
                       (mu - m) / s  and  log((sigma + e) / (s + e))

revin forgets where a series stands and how rough it is; a volatility forecast needs both, hence the last kind, whose three
channels give the window back. Columns named `bounded` (a share, a flag) are handed through untouched. A column whose
scale is zero in training (it does not vary; of robust, its middle half does not) is centred and keeps its unit (s = 1), and is
named in `constant`.

Nothing is fitted here but what is written above, by whoever holds the training rows; `models.bundle` keeps the result with
the model. Source: ts-scaling study, 2.5; Kim et al. (2022), Reversible instance normalization, ICLR.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcast.features._inputs import Array
from fieldcast.ground import IntegrityError, InvalidInput, MissingData, digest, write_whole

FORMAT = 1
TINY = 1e-5  # of the training scale: the least movement of a window that is divided by
FEWEST = 2
ROUNDING = 1e-12  # of a column's largest size: a scale up to it is what summing equal numbers leaves
_FIELDS = ("kind", "columns", "centre", "scale", "bounded", "constant", "gain", "shift", "rows")


class Kind(StrEnum):
    """How values are brought to one scale."""

    STANDARD = "standard"
    MIN_MAX = "min_max"
    ROBUST = "robust"
    REVIN = "revin"
    LEVEL_PRESERVING = "level_preserving"


WINDOWED = (Kind.REVIN, Kind.LEVEL_PRESERVING)


@dataclass(frozen=True)
class Normaliser:
    """Frozen parameters; made by `fit`, or read by `load`.

    Parameters
    ----------
    kind : see the module
    columns : names, in the order of the last axis; p of them
    centre, scale : m and s of each column over the training rows
    bounded : columns that are handed through
    constant : columns whose scale was zero in training
    gain, shift : g and b of `revin`
    rows : training rows that were read
    """

    kind: Kind
    columns: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    bounded: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    gain: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    rows: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _kind(self.kind))
        for name in _FIELDS[1:-1]:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        width = len(self.columns)
        affine = (width, width) if self.kind is Kind.REVIN else (0, 0)
        if not width or len(set(self.columns)) != width or {len(self.centre), len(self.scale)} != {width}:
            raise InvalidInput(f"expected a centre and a scale for each of {width} distinct columns, found others")
        if (len(self.gain), len(self.shift)) != affine or not set(self.bounded) | set(self.constant) <= set(self.columns):
            raise InvalidInput("expected gain and shift for each column of revin alone, and bounded columns among the columns")
        numbers = np.array([*self.centre, *self.scale, *self.gain, *self.shift])
        if not np.isfinite(numbers).all() or min(self.scale) <= 0 or 0.0 in self.gain:
            raise InvalidInput("expected finite parameters, scales above 0 and gains other than 0")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns that `apply` gives."""
        if self.kind is not Kind.LEVEL_PRESERVING:
            return self.columns
        free = [name for name in self.columns if name not in self.bounded]
        return (*self.columns, *(f"{name}.level" for name in free), *(f"{name}.spread" for name in free))

    def apply(self, x: npt.ArrayLike) -> Array:
        """Normalised values.

        Parameters
        ----------
        x : (..., columns), finite; of `revin` and `level_preserving` (..., rows of a window, columns), rows at least 2

        Returns
        -------
        (..., outputs), a new array

        Raises
        ------
        InvalidInput : another number of columns, NaN or infinity, or no window where one is needed
        """
        values = self._checked(x, len(self.columns))
        m, s = np.array(self.centre), np.array(self.scale)
        free = self._free
        out = values.copy()
        if self.kind not in WINDOWED:
            out[..., free] = ((values - m) / s)[..., free]
            return out
        mean, spread = values.mean(axis=-2, keepdims=True), values.std(axis=-2, keepdims=True)
        z = (values - mean) / (spread + TINY * s)
        if self.kind is Kind.REVIN:
            out[..., free] = (np.array(self.gain) * z + np.array(self.shift))[..., free]
            return out
        out[..., free] = z[..., free]
        level, rough = (mean - m) / s, np.log((spread + TINY * s) / (s + TINY * s))
        beside = [np.broadcast_to(part, values.shape)[..., free] for part in (level, rough)]
        return np.concatenate([out, *beside], axis=-1)

    def invert(self, z: npt.ArrayLike) -> Array:
        """The values behind `apply`'s output; of `revin` there is no way back without the window.

        Raises
        ------
        InvalidInput : `revin`, or another number of columns
        """
        if self.kind is Kind.REVIN:
            raise InvalidInput("expected a kind that keeps the level, found revin; it forgets each window's mean and spread")
        given = self._checked(z, len(self.outputs))
        m, s, free = np.array(self.centre), np.array(self.scale), self._free
        out = given[..., : len(self.columns)].copy()
        if self.kind is not Kind.LEVEL_PRESERVING:
            out[..., free] = (given * s + m)[..., free]
            return out
        level, rough = np.split(given[..., len(self.columns) :], 2, axis=-1)
        tiny = TINY * s[free]
        out[..., free] = out[..., free] * (np.exp(rough) * (s[free] + tiny)) + level * s[free] + m[free]
        return out

    @property
    def _free(self) -> npt.NDArray[np.bool_]:
        return np.array([name not in self.bounded for name in self.columns])

    def _checked(self, x: npt.ArrayLike, width: int) -> Array:
        values = np.asarray(x, dtype=np.float64)
        least = 2 if self.kind in WINDOWED else 1
        if values.ndim < least or values.shape[-1] != width or (least == 2 and values.shape[-2] < FEWEST):
            raise InvalidInput(f"expected {width} columns{' of windows of rows' if least == 2 else ''}, found {values.shape}")
        if not np.isfinite(values).all():
            raise InvalidInput("expected finite values to normalise, found NaN or infinity; drop those rows")
        return values

    def parameters(self) -> dict[str, Any]:
        """Everything that `apply` needs, as JSON types."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()} | {
            "kind": str(self.kind)
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Normaliser:
        """The normaliser that `parameters` describes.

        Raises
        ------
        InvalidInput : other names, or values that do not fit each other
        """
        if set(parameters) != set(_FIELDS):
            raise InvalidInput(f"expected the parameters {', '.join(_FIELDS)}, found {', '.join(sorted(parameters))}")
        return cls(**parameters)

    @property
    def hash(self) -> str:
        """SHA-256 of the parameters: equal exactly when the normalisers are."""
        return digest({"kind": "normaliser", "parameters": self.parameters()})

    def save(self, path: Path) -> str:
        """Write the parameters as JSON with their hash; returns the hash."""
        body = {"format": FORMAT, "hash": self.hash, "parameters": self.parameters()}
        write_whole(path, json.dumps(body, sort_keys=True, allow_nan=False, indent=1).encode())
        return self.hash


def load(path: Path, *, expected: str | None = None) -> Normaliser:
    """The normaliser that was saved at `path`; `expected` is the hash that its model was trained with.

    Raises
    ------
    MissingData : there is no such file
    IntegrityError : it is damaged, or its hash is another
    """
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingData(f"expected the parameters of a normaliser at {path}, found none; save it with its model") from None
    except ValueError as error:
        raise IntegrityError(f"expected JSON in {path}, found {error}") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT or not isinstance(body.get("parameters"), dict):
        raise IntegrityError(f"expected a normaliser of format {FORMAT} in {path}, found something else")
    found = Normaliser.from_parameters(body["parameters"])
    for label, wanted in (("its own", body.get("hash")), ("its model's", expected)):
        if wanted is not None and found.hash != wanted:
            raise IntegrityError(f"expected normaliser hash {wanted} ({label}) in {path}, found {found.hash}; fit again")
    return found


def fit(
    kind: Kind | str,
    values: npt.ArrayLike,
    columns: Sequence[str],
    training: npt.ArrayLike,
    *,
    bounded: Sequence[str] = (),
    gain: Sequence[float] | None = None,
    shift: Sequence[float] | None = None,
) -> Normaliser:
    """Parameters from the training rows, and from no other row.

    Parameters
    ----------
    values : (n, columns) one row a moment, not windows
    training : the training rows: numbers of rows, or (n,) flags. There is no default: whoever fits says on what
    bounded : columns to hand through
    gain, shift : of `revin`, such as a network has learned them on the same rows

    Raises
    ------
    InvalidInput : shapes, fewer than 2 training rows, NaN or infinity in one of them, or gain and shift of another kind
    """
    chosen = _kind(kind)
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(columns):
        raise InvalidInput(f"expected rows of {len(columns)} columns, found shape {table.shape}")
    rows = table[training_rows(training, len(table))]
    if len(rows) < FEWEST or not np.isfinite(rows).all():
        bad = [columns[place] for place in np.flatnonzero(~np.isfinite(rows).all(axis=0)).tolist()]
        raise InvalidInput(f"expected at least {FEWEST} training rows of finite values, found {len(rows)} ({', '.join(bad[:4])})")
    if chosen is Kind.MIN_MAX:
        centre, scale = rows.min(axis=0), np.ptp(rows, axis=0)
    elif chosen is Kind.ROBUST:
        lower, centre, upper = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
        scale = upper - lower
    else:
        centre, scale = rows.mean(axis=0), rows.std(axis=0)
    flat = scale <= ROUNDING * np.abs(rows).max(axis=0)  # whatever the unit: an illiquidity per dollar varies by 1e-13
    revin = chosen is Kind.REVIN
    if not revin and (gain is not None or shift is not None):
        raise InvalidInput(f"expected gain and shift for revin alone, found them for {chosen}")
    return Normaliser(
        kind=chosen,
        columns=tuple(columns),
        centre=tuple(centre.tolist()),
        scale=tuple(np.where(flat, 1.0, scale).tolist()),
        bounded=tuple(bounded),
        constant=tuple(name for name, one in zip(columns, flat, strict=True) if one),
        gain=tuple(float(g) for g in (np.ones(len(columns)) if gain is None else gain)) if revin else (),
        shift=tuple(float(b) for b in (np.zeros(len(columns)) if shift is None else shift)) if revin else (),
        rows=len(rows),
    )


def training_rows(training: npt.ArrayLike, rows: int) -> npt.NDArray[np.int64]:
    """Training rows as ascending numbers without repeats.

    Raises
    ------
    InvalidInput : flags of another length, numbers outside the table, or a row twice
    """
    given = np.asarray(training)
    if given.dtype == bool:
        if given.shape != (rows,):
            raise InvalidInput(f"expected a flag for each of {rows} rows, found shape {given.shape}")
        return np.flatnonzero(given)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInput(f"expected row numbers or flags, found {given.dtype} of shape {given.shape}")
    found = np.sort(given.astype(np.int64))
    if found.size and (found[0] < 0 or found[-1] >= rows or (np.diff(found) == 0).any()):
        raise InvalidInput(f"expected each training row once, out of 0 to {rows - 1}; found others")
    return found


def _kind(kind: Kind | str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidInput(f"expected a normaliser out of {', '.join(Kind)}, found {kind!r}") from None
