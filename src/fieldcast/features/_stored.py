"""One version of stored features: the set, its lineage, and the bytes of its file."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast.features._registry import columns, registry_hash
from fieldcast.ground import IntegrityError, InvalidInput, Reason, canonical_json, utc

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
FILE = re.compile(r"(?P<as_of>\d{8}T\d{12}Z)-(?P<prefix>[0-9a-f]{16})\.parquet")
STAMP = "%Y%m%dT%H%M%S%fZ"
_FOOTER = b"fieldcast"
_STORING = ("_place.py", "_stored.py", "store.py")


@dataclass(frozen=True)
class FeatureSet:
    """Named blocks of the registry.

    Parameters
    ----------
    name : lower case letters, digits, `_ . -`
    version : of the set; raised by whoever changes its blocks
    blocks : of `fieldcast.features`
    """

    name: str
    version: int
    blocks: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"expected a name of lower case letters, digits and _ . -, found {self.name!r}")
        if self.version < 1:
            raise InvalidInput(f"expected a version of at least 1, found {self.version}")
        columns(self.blocks)        # refuses unknown blocks

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.blocks)


@dataclass(frozen=True)
class FeatureLineage:
    """Where stored features came from.

    Parameters
    ----------
    feature_set, version, blocks, columns_sha256 : the set, and the hash of its columns' declarations
    code_sha256 : of the source that computes (features, fields and indicators)
    inputs : input → content hash of the bars it was computed from
    instrument, interval : of the bars
    as_of : only what was known then went in
    computed_at : by the clock
    rows, first_ts, last_ts : of the table
    simulated : computed from simulated bars
    """

    feature_set: str
    version: int
    blocks: tuple[str, ...]
    columns_sha256: str
    code_sha256: str
    inputs: Mapping[str, str]
    instrument: str
    interval: str
    as_of: datetime
    computed_at: datetime
    rows: int
    first_ts: datetime
    last_ts: datetime
    simulated: bool

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What anything derived from these features must say about itself."""
        return (Reason.SIMULATED,) if self.simulated else ()

    def current(self) -> bool:
        """True where the code and the declarations that stand here now are those that computed the features."""
        return self.code_sha256 == code_sha256() and self.columns_sha256 == registry_hash(columns(self.blocks))


@dataclass(frozen=True)
class StoredFeatures:
    """One version: `ts` and the set's columns (Float64, null where a value is not known), and its lineage."""

    table: pl.DataFrame
    lineage: FeatureLineage
    path: Path


@cache
def code_sha256() -> str:
    """SHA-256 over the names and bytes of the modules that compute columns."""
    import fieldcast.fields
    import fieldcast.indicators

    total = hashlib.sha256()
    places = {"features": Path(__file__).parent} | {
        part.__name__.rpartition(".")[2]: Path(part.__path__[0]) for part in (fieldcast.fields, fieldcast.indicators)
    }
    for package, folder in places.items():
        for path in sorted(folder.rglob("*.py")):
            if not (package == "features" and path.name in _STORING):
                name = f"{package}/{path.relative_to(folder).as_posix()}\0"
                total.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def stamp_of(text: str) -> datetime:
    """The moment in a file's name."""
    return datetime.strptime(f"{text[:-1]}+0000", "%Y%m%dT%H%M%S%f%z")


def check(table: pl.DataFrame, lineage: FeatureLineage) -> None:
    expected = ["ts", *columns(lineage.blocks)]
    if table.columns != expected:
        raise InvalidInput(f"expected the columns {', '.join(expected)}, found {', '.join(table.columns)}")
    if table.is_empty() or table.height != lineage.rows:
        raise InvalidInput(f"expected {lineage.rows} rows, at least one, found {table.height}")
    ts = table["ts"]
    ascending = not ts.null_count() and ts.is_sorted() and ts.n_unique() == ts.len()
    if not ascending or (ts[0], ts[-1]) != (lineage.first_ts, lineage.last_ts):
        raise InvalidInput(f"expected ascending times from {lineage.first_ts} to {lineage.last_ts}, found {ts[0]} to {ts[-1]}")
    if utc(lineage.last_ts) > utc(lineage.as_of):
        raise InvalidInput(f"expected rows up to {lineage.as_of.isoformat()}, found one at {lineage.last_ts.isoformat()}")
    for name in expected[1:]:
        values = table[name].drop_nulls()
        if values.dtype != pl.Float64 or not values.is_finite().all():
            raise InvalidInput(f"expected finite numbers or null in {name}, found others")


def _values_sha256(table: pl.DataFrame) -> str:
    """SHA-256 over column names, null masks and values."""
    state = hashlib.sha256(f"features/1 {table.height}".encode())
    for name in table.columns:
        column = table[name]
        state.update(f"|{name}|".encode() + np.packbits(column.is_null().to_numpy()).tobytes())
        numbers = column.dt.timestamp("us") if name == "ts" else column.fill_null(0.0)
        state.update(np.ascontiguousarray(numbers.to_numpy(), dtype="<i8" if name == "ts" else "<f8").tobytes())
    return state.hexdigest()


def encode(table: pl.DataFrame, lineage: FeatureLineage) -> bytes:
    import pyarrow.parquet as pq

    footer = {**asdict(lineage), "inputs": dict(lineage.inputs), "format": 1, "values_sha256": _values_sha256(table)}
    arrow = table.to_arrow()
    arrow = arrow.replace_schema_metadata({_FOOTER: canonical_json(footer).encode()})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, compression="zstd")
    return buffer.getvalue()


def decode(path: Path, sha256: str | None, feature_set: FeatureSet) -> StoredFeatures:
    """A file as features; its bytes, values and set are held to what they should be."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    name = FILE.fullmatch(path.name)
    if name is None or found[:16] != name["prefix"] or (sha256 is not None and found != sha256):
        raise IntegrityError(f"expected {path} to have the SHA-256 in its name, found {found}; compute the features again")
    try:
        footer = json.loads((pq.read_metadata(pa.BufferReader(data)).metadata or {})[_FOOTER])
        table = pl.read_parquet(data)
        lineage = _lineage(footer)
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise IntegrityError(f"expected {path} to be features with their lineage, found {error}") from None
    if _values_sha256(table) != footer["values_sha256"]:
        raise IntegrityError(f"expected the values of {path} to have the hash in its footer, found another")
    if (lineage.feature_set, lineage.version, lineage.blocks) != (feature_set.name, feature_set.version, feature_set.blocks):
        raise IntegrityError(
            f"expected {path} to be version {feature_set.version} of {feature_set.name} with "
            f"{', '.join(feature_set.blocks)}, found version {lineage.version} with {', '.join(lineage.blocks)}; "
            "compute the features again"
        )
    return StoredFeatures(table, lineage, path)


def _lineage(footer: Mapping[str, Any]) -> FeatureLineage:
    values: dict[str, Any] = {item.name: footer[item.name] for item in fields(FeatureLineage)}
    for name in ("as_of", "computed_at", "first_ts", "last_ts"):
        values[name] = datetime.fromisoformat(values[name])
    return FeatureLineage(**values | {"blocks": tuple(values["blocks"])})
