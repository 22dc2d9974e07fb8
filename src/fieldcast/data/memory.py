"""The store in memory: for tests, notebooks and studies; the same contract as on disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from fieldcast.data._content import content_sha256
from fieldcast.data._merge import checked, known_at, merge
from fieldcast.data.lineage import Lineage, with_delivery
from fieldcast.data.store import (
    DATASETS,
    AppendResult,
    Problem,
    RebuildReport,
    VerifyReport,
    between,
    choose_dataset,
    refuse_mixture,
)
from fieldcast.ground import IntegrityError
from fieldcast.market import empty_bars


@dataclass(frozen=True)
class _Entry:
    """One instrument of one dataset: its versions, their hash when written, and its deliveries."""

    rows: pl.DataFrame
    sha256: str
    lineage: tuple[Lineage, ...]


class MemoryStore:
    """Bars in memory; see `BarStore` for the contract."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}  # (dataset, instrument)

    def append(self, bars: pl.DataFrame, lineage: Lineage) -> AppendResult:
        rows = checked(bars, lineage)
        instruments = rows["instrument"].unique(maintain_order=True).to_list()
        stored: dict[str, list[Lineage]] = {}
        for (_, instrument), entry in self._entries.items():
            stored.setdefault(instrument, []).extend(entry.lineage)
        refuse_mixture(lineage, instruments, stored)
        before = [self._entries[key].rows for name in instruments if (key := (lineage.dataset, name)) in self._entries]
        merged = merge(pl.concat([empty_bars(), *before]), rows, lineage.fetched_at)
        entries = dict(self._entries)
        for (instrument,), new in merged.added.group_by(["instrument"], maintain_order=True):
            key = (lineage.dataset, str(instrument))
            old = entries.get(key)
            versions = new if old is None else pl.concat([old.rows, new])
            deliveries = with_delivery(() if old is None else old.lineage, lineage)
            entries[key] = _Entry(versions, content_sha256(versions), deliveries)
        self._entries = entries
        return AppendResult(
            merged.rows_added, merged.rows_restated, merged.rows_unchanged, merged.rows_superseded, files=()
        )

    def _entry(self, instrument: str, dataset: str | None) -> _Entry:
        found = sorted(name for name, id in self._entries if id == instrument)
        return self._entries[choose_dataset(instrument, found, dataset), instrument]

    def read(
        self,
        instrument: str,
        *,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        dataset: str | None = None,
    ) -> pl.DataFrame:
        return between(known_at(self._entry(instrument, dataset).rows, as_of), first, last)

    def lineage(self, instrument: str, *, dataset: str | None = None) -> tuple[Lineage, ...]:
        return tuple(sorted(self._entry(instrument, dataset).lineage, key=lambda item: item.fetched_at))

    def datasets(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "instrument": instrument,
                    "dataset": dataset,
                    "provider": ",".join(dict.fromkeys(item.provider for item in entry.lineage)),
                    "rows": entry.rows.height,
                    "first_ts": entry.rows["ts"].min(),
                    "last_ts": entry.rows["ts"].max(),
                    "simulated": entry.lineage[0].simulated,
                    "adjustment": entry.lineage[0].adjustment,
                }
                for (dataset, instrument), entry in sorted(self._entries.items())
            ],
            schema=DATASETS,
        ).sort("instrument", "dataset")

    def content_hash(self, instrument: str, *, as_of: datetime | None = None, dataset: str | None = None) -> str:
        return content_sha256(self.read(instrument, as_of=as_of, dataset=dataset))

    def verify(self) -> VerifyReport:
        problems = tuple(
            Problem(f"{dataset}/{instrument}", "expected the values that were written, found others")
            for (dataset, instrument), entry in sorted(self._entries.items())
            if content_sha256(entry.rows) != entry.sha256
        )
        return VerifyReport(len(self._entries), problems)

    def rebuild_index(self) -> RebuildReport:
        problems = self.verify().problems
        if problems:
            raise IntegrityError(f"expected whole data to index, found {problems[0].path}: {problems[0].message}")
        return RebuildReport(len(self._entries), (), (), ())
