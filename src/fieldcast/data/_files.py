"""Parquet files of the store: their names, bytes and footers, and how they reach the disk.

    <data>/bars/1d/<dataset>/<year>-g<generation>-<first 16 digits of the file's SHA-256>.parquet

A file is never changed: a new generation of the same dataset and year replaces it. Years are those of `ts` in UTC. A
write is temporary → fsync → rename → fsync of the folder; the names of the new files stand in `pending.json` from
before the first rename until the index knows them, so that a write cut short is told from an index that was lost.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.data._content import content_sha256
from fieldcast.data.lineage import Lineage
from fieldcast.ground import IntegrityError, canonical_json
from fieldcast.market import BARS

TIMEFRAME = "1d"
_NAME = re.compile(r"(?P<year>\d{4})-g(?P<generation>\d+)-(?P<prefix>[0-9a-f]{16})\.parquet")
_FOOTER = b"fieldcast"
_PENDING = "pending.json"


@dataclass(frozen=True)
class StoredFile:
    """One file of the store as the index and the footer describe it; `path` is relative to the data folder."""

    path: str
    dataset: str
    year: int
    generation: int
    sha256: str  # of the file's bytes
    content_sha256: str  # of its column values
    rows: int
    first_ts: datetime
    last_ts: datetime
    instruments: dict[str, dict[str, Any]]  # id → rows, first_ts, last_ts
    lineage: dict[str, tuple[Lineage, ...]]
    simulated: bool
    written_at: datetime


def parse_name(name: str) -> tuple[int, int, str] | None:
    """(year, generation, hash prefix) of a file name of the store; None for any other name."""
    match = _NAME.fullmatch(name)
    return None if match is None else (int(match["year"]), int(match["generation"]), match["prefix"])


def encode(
    rows: pl.DataFrame,
    *,
    dataset: str,
    year: int,
    generation: int,
    lineage: dict[str, tuple[Lineage, ...]],
    written_at: datetime,
) -> tuple[bytes, StoredFile]:
    """The file's bytes (zstd, one row group for each instrument) and its description.

    `rows` : schema `BARS`, sorted by key, all of one UTC year
    """
    import pyarrow.parquet as pq

    instruments = {
        row["instrument"]: {"rows": row["rows"], "first_ts": row["first"], "last_ts": row["last"]}
        for row in rows.group_by("instrument", maintain_order=True)
        .agg(rows=pl.len(), first=pl.col("ts").min(), last=pl.col("ts").max())
        .iter_rows(named=True)
    }
    footer = {
        "format": 1,
        "timeframe": TIMEFRAME,
        "dataset": dataset,
        "year": year,
        "generation": generation,
        "content_sha256": content_sha256(rows),
        "rows": rows.height,
        "first_ts": rows["ts"].min(),
        "last_ts": rows["ts"].max(),
        "instruments": instruments,
        "lineage": {id: [item.to_json() for item in lineage[id]] for id in instruments},
        "simulated": any(item.simulated for id in instruments for item in lineage[id]),
        "written_at": written_at,
    }
    text = canonical_json(footer)
    schema = _arrow_schema().with_metadata({_FOOTER: text.encode()})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for group in rows.partition_by("instrument", maintain_order=True):
            writer.write_table(group.to_arrow().cast(schema))
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    path = f"bars/{TIMEFRAME}/{dataset}/{year}-g{generation}-{sha256[:16]}.parquet"
    return data, describe(json.loads(text), path, sha256)


def _arrow_schema() -> Any:
    """`market.BARS` in Arrow's types."""
    import pyarrow as pa

    types = {"Float64": pa.float64(), "String": pa.string(), "Datetime": pa.timestamp("us", tz="UTC")}
    return pa.schema([pa.field(name, types[str(dtype.base_type())]) for name, dtype in BARS.items()])


def describe(footer: dict[str, Any], path: str, sha256: str) -> StoredFile:
    """A footer, read as JSON, as the description of its file."""
    return StoredFile(
        path=path,
        dataset=footer["dataset"],
        year=footer["year"],
        generation=footer["generation"],
        sha256=sha256,
        content_sha256=footer["content_sha256"],
        rows=footer["rows"],
        first_ts=datetime.fromisoformat(footer["first_ts"]),
        last_ts=datetime.fromisoformat(footer["last_ts"]),
        instruments=footer["instruments"],
        lineage={id: tuple(Lineage.from_json(item) for item in items) for id, items in footer["lineage"].items()},
        simulated=footer["simulated"],
        written_at=datetime.fromisoformat(footer["written_at"]),
    )


def inspect(root: Path, path: str) -> tuple[StoredFile, bytes]:
    """Description of a file as its own bytes and footer give it.

    Raises
    ------
    IntegrityError : the file is gone, is no Parquet file, has no footer of ours, or is not what its name says
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = parse_name(Path(path).name)
    try:
        data = (root / path).read_bytes()
    except FileNotFoundError:
        raise IntegrityError(f"expected the file {path}, found none") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if name is None or sha256[:16] != name[2]:
        raise IntegrityError(f"expected {path} to have the SHA-256 in its name, found {sha256[:16]}…")
    try:
        metadata = pq.read_metadata(pa.BufferReader(data)).metadata or {}
        described = describe(json.loads(metadata[_FOOTER]), path, sha256)
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        raise IntegrityError(f"expected {path} to be a Parquet file with Fieldcast's footer, found {error}") from None
    return described, data


def read_rows(root: Path, paths: Sequence[str], instruments: Sequence[str] | None) -> pl.DataFrame:
    """Rows of the files, of the instruments named (none = all).

    Raises
    ------
    FileNotFoundError : a file was replaced by a newer generation meanwhile
    IntegrityError : a file cannot be read
    """
    frame = pl.scan_parquet([root / path for path in paths], glob=False)
    if instruments is not None:
        frame = frame.filter(pl.col("instrument").is_in(list(instruments)))
    try:
        return frame.select(list(BARS)).collect()
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, OSError) as error:
        raise IntegrityError(f"expected readable files, found {error}; `verify` names the damaged one") from None


# writing ------------------------------------------------------------------------------------------------------------


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Only one process writes to a store at a time; others wait."""
    (root / "bars").mkdir(parents=True, exist_ok=True)
    with (root / "bars" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_durably(path: Path, data: bytes) -> None:
    """`data` under a temporary name beside `path`, on the disk; `publish` gives it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary(path).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def temporary(path: Path) -> Path:
    """Where `write_durably` puts the bytes of `path` first."""
    return path.with_name(path.name + ".tmp")


def publish(paths: Sequence[Path]) -> None:
    """Rename what `write_durably` wrote, and put the names on the disk."""
    for path in paths:
        temporary(path).rename(path)
    for folder in dict.fromkeys(folder for path in paths for folder in (path.parent, path.parent.parent)):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def announce(root: Path, names: Sequence[str]) -> None:
    """Say, durably, which files are about to be published."""
    target = root / "bars" / _PENDING
    write_durably(target, json.dumps(list(names)).encode())
    publish([target])


def announced(root: Path) -> list[str]:
    """What a write that did not finish had announced."""
    target = root / "bars" / _PENDING
    return [str(name) for name in json.loads(target.read_bytes())] if target.exists() else []


def withdraw(root: Path) -> None:
    """The announced files are in the index now, or gone."""
    (root / "bars" / _PENDING).unlink(missing_ok=True)
