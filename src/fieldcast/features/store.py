"""The feature store: computed columns on disk, dated, with where they came from, and a pointer to the newest of them.

    <data>/features/<set>/<instrument>/<interval>/<as_of>-<first 16 digits of the file's SHA-256>.parquet
                                                 /latest.json

A version is never changed. It is written to a temporary name, synced and renamed; only then does `latest.json` move to it, in one
rename. A reader that comes in between sees the version before, whole, and never a mixture; a writer that is killed leaves at most
a file that nothing points to, which the next write removes. One process writes to a place at a time, the second is refused.

Lineage stands in the footer of each file: the set with its version and the hash of its columns' declarations, the hash of the
code that computed them, the content hash of the bars (and of VIX) they were computed from, and `as_of`.

Features are *fresh* while they lag the market by at most 24 hours of the clock. The lag begins where the market went on without
them (at the newest row, or at the next opening where that row ended a session) and ends with the last row that there could be:
the last close for daily features; now, or the last close where the market is shut, for others. So Friday's daily features are
fresh until Monday's close, 6.5 hours behind after it, and stale after Tuesday's.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from fieldcast.data.store import Store
from fieldcast.features._compute import compute
from fieldcast.features._registry import registry_hash
from fieldcast.features._stored import (
    FILE,
    STAMP,
    FeatureLineage,
    FeatureSet,
    StoredFeatures,
    check,
    code_sha256,
    decode,
    encode,
    stamp_of,
)
from fieldcast.ground import (
    Clock,
    ConflictError,
    IntegrityError,
    InvalidInput,
    MissingData,
    Reason,
    SystemClock,
    canonical_json,
    utc,
)
from fieldcast.ledger.faults import fail_point
from fieldcast.market import DAILY, Instrument, file_name, sessions, table_of

FRESH_FOR = timedelta(hours=24)
LATEST = "latest.json"
_ATTEMPTS = 5


class StaleFeatures(MissingData):
    """The newest features are too old to be used; `reason` is the code that decisions and packets carry."""

    reason = Reason.STALE_FEATURES


class FeatureStore:
    """Features under `<data_dir>/features`; see the module.

    Parameters
    ----------
    data_dir : the data folder; made when first written
    clock : tells freshness and stamps `computed_at`
    keep : versions of a place that stay on disk; older ones are removed after a write
    """

    def __init__(self, data_dir: Path, clock: Clock | None = None, *, keep: int = 30) -> None:
        if keep < 1:
            raise InvalidInput(f"expected to keep at least one version, found {keep}")
        self.root = Path(data_dir) / "features"
        self._clock = clock or SystemClock()
        self._keep = keep

    # writing --------------------------------------------------------------------------------------------------------

    def refresh(
        self,
        store: Store,
        instrument: Instrument,
        feature_set: FeatureSet,
        *,
        table: str = DAILY,
        as_of: datetime | None = None,
        vix: Instrument | None = None,
        dataset: str | None = None,
    ) -> StoredFeatures:
        """Compute the set from the bars known at `as_of` (none = now) and make it the latest version.

        Parameters
        ----------
        table : of the bars, such as `bars/1d`
        vix : needed where the set has the block vix

        Raises
        ------
        MissingData : the store has no bars of the instrument (or of VIX), or none was known at `as_of`
        InvalidInput : see `fieldcast.features.compute`
        ConflictError : the version would be older than the latest, or another process is writing here
        """
        interval = table_of(table).interval
        if interval is None or table_of(table).kind != "bars":
            raise InvalidInput(f"expected a table of bars, found {table!r}")
        as_of = self._clock.now() if as_of is None else utc(as_of)
        bars = store.read(instrument.id, table=table, as_of=as_of, dataset=dataset)
        if bars.is_empty():
            raise MissingData(f"expected bars of {instrument.id} known at {as_of.isoformat()}, found none")
        inputs = {instrument.id: store.content_hash(instrument.id, table=table, as_of=as_of, dataset=dataset)}
        simulated = any(item.simulated for item in store.lineage(instrument.id, table=table, dataset=dataset))
        of_vix = None
        if vix is not None:
            of_vix = store.read(vix.id, table=table, as_of=as_of)
            inputs[vix.id] = store.content_hash(vix.id, table=table, as_of=as_of)
            simulated = simulated or any(item.simulated for item in store.lineage(vix.id, table=table))
        found = compute(bars, feature_set.blocks, of_vix)
        lineage = FeatureLineage(
            feature_set=feature_set.name, version=feature_set.version, blocks=feature_set.blocks,
            columns_sha256=registry_hash(feature_set.columns), code_sha256=code_sha256(), inputs=inputs,
            instrument=instrument.id, interval=interval, as_of=as_of, computed_at=self._clock.now(),
            rows=found.height, first_ts=found["ts"][0], last_ts=found["ts"][-1], simulated=simulated,
        )  # fmt: skip
        return self.write(found, lineage)

    def write(self, table: pl.DataFrame, lineage: FeatureLineage) -> StoredFeatures:
        """Store a computed table as a version of its own and point to it.

        Raises
        ------
        InvalidInput : the table is not what its lineage says (columns, rows, order, NaN)
        ConflictError : the version would be older than the latest, or another process is writing here
        """
        check(table, lineage)
        folder = self._folder(lineage.feature_set, lineage.instrument, lineage.interval)
        data = encode(table, lineage)
        name = f"{utc(lineage.as_of).strftime(STAMP)}-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
        with _writing(folder):
            _sweep(folder)
            latest = _pointer(folder)
            if latest is not None and datetime.fromisoformat(latest["as_of"]) > lineage.as_of:
                raise ConflictError(
                    f"expected features of {lineage.instrument} as of {latest['as_of']} or later, as the latest are; found "
                    f"{lineage.as_of.isoformat()}"
                )
            _replace(folder / name, data)
            fail_point("features:after:file")
            pointer = {"file": name, "as_of": utc(lineage.as_of).isoformat(), "sha256": hashlib.sha256(data).hexdigest()}
            _replace(folder / LATEST, canonical_json(pointer).encode())
            fail_point("features:after:pointer")
            self._prune(folder, name)
        return StoredFeatures(table, lineage, folder / name)

    def _prune(self, folder: Path, latest: str) -> None:
        old = [path for path in sorted(folder.glob("*.parquet")) if path.name != latest]
        for path in old[: max(0, len(old) + 1 - self._keep)]:
            path.unlink()

    # reading --------------------------------------------------------------------------------------------------------

    def latest(self, instrument: Instrument, feature_set: FeatureSet, interval: str = "1d") -> StoredFeatures:
        """The latest version, however old it is.

        Raises
        ------
        MissingData : there is none
        IntegrityError : it is damaged, or is not of this version of the set
        """
        folder = self._folder(feature_set.name, instrument.id, interval)
        for attempt in range(_ATTEMPTS):
            pointer = _pointer(folder)
            if pointer is None:
                raise MissingData(
                    f"expected features {feature_set.name} of {instrument.id} at {interval}, found none; compute them first"
                )
            try:
                return decode(folder / pointer["file"], pointer["sha256"], feature_set)
            except FileNotFoundError:       # removed by writers that were `keep` versions ahead meanwhile
                if attempt == _ATTEMPTS - 1 or _pointer(folder) == pointer:
                    raise IntegrityError(
                        f"expected the file {pointer['file']} that {LATEST} points to in {folder}, found none; compute them again"
                    ) from None
        raise AssertionError("unreachable")

    def fresh(
        self, instrument: Instrument, feature_set: FeatureSet, interval: str = "1d", *, max_age: timedelta = FRESH_FOR
    ) -> StoredFeatures:
        """The latest version, where it is not older than `max_age`; see the module for how age is counted.

        Raises
        ------
        StaleFeatures : it is older (reason code stale_features)
        MissingData, IntegrityError : see `latest`
        """
        found = self.latest(instrument, feature_set, interval)
        now = self._clock.now()
        age = age_of(found.lineage.last_ts, instrument.calendar, now, interval)
        if age > max_age:
            raise StaleFeatures(
                f"expected features {feature_set.name} of {instrument.id} of at most {_hours(max_age)} hours, found a newest row "
                f"of {found.lineage.last_ts.isoformat()}, {_hours(age)} hours behind the market at {now.isoformat()} "
                f"({Reason.STALE_FEATURES}); import newer bars and refresh"
            )
        return found

    def versions(self, instrument: Instrument, feature_set: FeatureSet, interval: str = "1d") -> tuple[datetime, ...]:
        """`as_of` of every version on disk, ascending."""
        folder = self._folder(feature_set.name, instrument.id, interval)
        found = [FILE.fullmatch(path.name) for path in folder.glob("*.parquet")]
        return tuple(sorted({stamp_of(match["as_of"]) for match in found if match is not None}))

    def at(
        self, instrument: Instrument, feature_set: FeatureSet, as_of: datetime, interval: str = "1d"
    ) -> StoredFeatures:
        """The newest version whose `as_of` is not after the one asked for.

        Raises
        ------
        MissingData : there is none
        IntegrityError : it is damaged, or is not of this version of the set
        """
        folder = self._folder(feature_set.name, instrument.id, interval)
        wanted = [
            path for path in sorted(folder.glob("*.parquet"))
            if (match := FILE.fullmatch(path.name)) and stamp_of(match["as_of"]) <= utc(as_of)
        ]  # fmt: skip
        if not wanted:
            raise MissingData(f"expected features {feature_set.name} of {instrument.id} as of {as_of.isoformat()}, found none")
        return decode(wanted[-1], None, feature_set)

    def _folder(self, name: str, instrument: str, interval: str) -> Path:
        return self.root / name / file_name(instrument) / interval


def age_of(last_ts: datetime, calendar: str, now: datetime, interval: str = "1d") -> timedelta:
    """How far features whose newest row is at `last_ts` lag the market at `now`; see the module for how it is counted."""
    table = sessions(calendar)
    ended = table.filter(pl.col("close") <= utc(now))["close"]
    begun = table.filter(pl.col("open") <= utc(now))["close"]
    missed = table.filter(pl.col("close") > utc(last_ts))["open"]
    if begun.is_empty() or missed.is_empty() or (interval == "1d" and ended.is_empty()):
        return timedelta(0)
    due: datetime = ended[-1] if interval == "1d" else min(utc(now), begun[-1])
    since: datetime = max(utc(last_ts), missed[0])
    return max(timedelta(0), due - since)


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f}"


# files --------------------------------------------------------------------------------------------------------------


def _pointer(folder: Path) -> dict[str, str] | None:
    try:
        text = (folder / LATEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        return {name: str(found[name]) for name in ("file", "as_of", "sha256")}
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"expected {folder / LATEST} to name a file, found {error}; compute the features again") from None


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """One writer at a time; the second is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"expected to be the only writer of {folder}, found another at work; try again later") from None
        yield


def _replace(path: Path, data: bytes) -> None:
    """`data` under its name in one step, durably."""
    scratch = path.with_name(path.name + ".tmp")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        fail_point("features:written")
        os.fsync(file.fileno())
    scratch.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what a killed write left behind: temporary files, and a file as new as the pointer that it does not name."""
    for leftover in folder.glob("*.tmp"):
        leftover.unlink()
    pointer = _pointer(folder)
    for path in folder.glob("*.parquet"):
        match = FILE.fullmatch(path.name)
        if match is None:
            continue
        newer = pointer is None or stamp_of(match["as_of"]) >= datetime.fromisoformat(pointer["as_of"])
        if newer and (pointer is None or path.name != pointer["file"]):
            path.unlink()


__all__ = [
    "FRESH_FOR",
    "FeatureLineage",
    "FeatureSet",
    "FeatureStore",
    "StaleFeatures",
    "StoredFeatures",
    "age_of",
    "code_sha256",
]
