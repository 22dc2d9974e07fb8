"""The feature store: computed columns on disk, dated, with where they came from, and a pointer to the newest of them.

    <data>/features/<set>/<instrument>/<interval>/<as_of>-<first 16 digits of the file's SHA-256>.parquet
                                                 /latest.json

A version is never changed. It is written to a temporary name, synced and renamed; only then does `latest.json` move to it, in one
rename. A reader that comes in between sees the version before, whole, and never a mixture; a writer that is killed leaves at most
a file that nothing points to, which no reader is given and the next write removes. One process writes to a place at a time, the
second is refused. Where the pointer is lost or damaged, the next write takes the newest whole file for the latest version.

Lineage stands in the footer of each file: the set with its version and the hash of its columns' declarations, the hash of the
code that computed them, the content hash of the bars (and of VIX) they were computed from, and `as_of`.

Features are *fresh* while they lag the market by at most 24 hours of the clock. The lag begins where the market went on without
them (at the newest row, or at the next opening where that row ended a session) and ends with the last row that there could be:
the last close for daily features; now, or the last close where the market is shut, for others. So Friday's daily features are
fresh until Monday's close, 6.5 hours behind after it, and stale after Tuesday's.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from fieldcast.data import content_sha256
from fieldcast.data.store import Store
from fieldcast.features._compute import compute
from fieldcast.features._place import LATEST, Pointer, adopted, files_of, pointer_of, replace_file, sweep, writing
from fieldcast.features._registry import registry_hash
from fieldcast.features._stored import (
    STAMP,
    FeatureLineage,
    FeatureSet,
    StoredFeatures,
    check,
    code_sha256,
    decode,
    encode,
)
from fieldcast.ground import (
    Clock,
    ConflictError,
    IntegrityError,
    InvalidInput,
    MissingData,
    Reason,
    SystemClock,
    utc,
)
from fieldcast.ledger.faults import fail_point
from fieldcast.market import DAILY, Instrument, file_name, sessions, table_of

FRESH_FOR = timedelta(hours=24)
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
        InvalidInput : `as_of` is later than now; see `fieldcast.features.compute`
        ConflictError : the version would be older than the latest, or another process is writing here
        """
        interval = table_of(table).interval
        if interval is None or table_of(table).kind != "bars":
            raise InvalidInput(f"expected a table of bars, found {table!r}")
        now = self._clock.now()
        as_of = now if as_of is None else utc(as_of)
        if as_of > now:
            raise InvalidInput(f"expected features as of now ({now.isoformat()}) or before, found {as_of.isoformat()}")
        bars = store.read(instrument.id, table=table, as_of=as_of, dataset=dataset)
        if bars.is_empty():
            raise MissingData(f"expected bars of {instrument.id} known at {as_of.isoformat()}, found none")
        inputs = {instrument.id: content_sha256(bars, table_of(table))}
        simulated = any(item.simulated for item in store.lineage(instrument.id, table=table, dataset=dataset))
        of_vix = None
        if vix is not None:
            of_vix = store.read(vix.id, table=table, as_of=as_of)
            inputs[vix.id] = content_sha256(of_vix, table_of(table))
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
        with writing(folder):
            latest = adopted(folder)
            sweep(folder, latest)
            if latest is not None and latest.as_of > lineage.as_of:
                raise ConflictError(
                    f"expected features of {lineage.instrument} as of {latest.as_of.isoformat()} or later, as the latest are; "
                    f"found {lineage.as_of.isoformat()}"
                )
            replace_file(folder / name, data)
            fail_point("features:after:file")
            pointer = Pointer(name, utc(lineage.as_of), hashlib.sha256(data).hexdigest())
            replace_file(folder / LATEST, pointer.to_bytes())
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
        for _ in range(_ATTEMPTS):
            pointer = pointer_of(folder)
            if pointer is None:
                raise MissingData(
                    f"expected features {feature_set.name} of {instrument.id} at {interval}, found none; compute them first"
                )
            found = _pointed(folder, pointer, feature_set)
            if found is not None:
                return found
        raise ConflictError(f"expected the latest file of {folder} to stay while it is read, found it removed; read it again")

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
        """`as_of` of every version on disk that was published, ascending.

        Raises
        ------
        IntegrityError : the pointer that says which was the last is damaged
        """
        folder = self._folder(feature_set.name, instrument.id, interval)
        pointer = pointer_of(folder)
        return tuple(sorted({as_of for as_of, _ in files_of(folder) if pointer is not None and as_of <= pointer.as_of}))

    def at(
        self, instrument: Instrument, feature_set: FeatureSet, as_of: datetime, interval: str = "1d"
    ) -> StoredFeatures:
        """The newest published version whose `as_of` is not after the one asked for.

        Raises
        ------
        MissingData : there is none
        IntegrityError : it (or the pointer) is damaged, or it is not of this version of the set
        ConflictError : writers removed it again and again while it was read
        """
        folder = self._folder(feature_set.name, instrument.id, interval)
        for _ in range(_ATTEMPTS):
            pointer = pointer_of(folder)
            if pointer is not None and pointer.as_of <= utc(as_of):
                found = _pointed(folder, pointer, feature_set)
                if found is not None:
                    return found
                continue
            # what is older than the pointer's version was published, and nothing is written there any more
            older = [path for stamp, path in files_of(folder) if stamp <= utc(as_of)] if pointer is not None else []
            if not older:
                raise MissingData(
                    f"expected features {feature_set.name} of {instrument.id} as of {as_of.isoformat()}, found none published"
                )
            try:
                return decode(older[-1], None, feature_set)
            except FileNotFoundError:       # a writer that is `keep` versions ahead removed it meanwhile
                continue
        raise ConflictError(f"expected files of {folder} to stay while they are read, found them removed; read them again")

    def _folder(self, name: str, instrument: str, interval: str) -> Path:
        return self.root / name / file_name(instrument) / interval


def _pointed(folder: Path, pointer: Pointer, feature_set: FeatureSet) -> StoredFeatures | None:
    """The version that the pointer names; none where writers that were `keep` versions ahead removed it meanwhile."""
    try:
        return decode(folder / pointer.file, pointer.sha256, feature_set)
    except FileNotFoundError:
        if pointer_of(folder) == pointer:
            raise IntegrityError(
                f"expected the file {pointer.file} that {LATEST} points to in {folder}, found none; compute them again"
            ) from None
        return None


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
