"""The store in memory: for tests, notebooks and studies; the same contract as on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from fieldcast.data._content import content_sha256
from fieldcast.data._merge import checked, known_at, merge
from fieldcast.data.lineage import Lineage, with_delivery
from fieldcast.data.store import (
    DATASETS,
    AppendResult,
    CompactReport,
    Problem,
    RebuildReport,
    VerifyReport,
    between,
    choose_dataset,
    chosen,
    named,
    refuse_mixture,
)
from fieldcast.ground import IntegrityError, utc
from fieldcast.market import DAILY, table_of


@dataclass(frozen=True)
class _Entry:
    """One instrument of one table and dataset: its versions, their hash when written, and its deliveries."""

    rows: pl.DataFrame
    sha256: str
    lineage: tuple[Lineage, ...]


class MemoryStore:
    """Rows in memory; see `Store` for the contract."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], _Entry] = {}  # (table, dataset, instrument)

    def append(self, rows: pl.DataFrame, lineage: Lineage, *, table: str = DAILY) -> AppendResult:
        kind = table_of(table)
        rows, _ = checked(rows, lineage, kind)
        instruments = rows["instrument"].unique(maintain_order=True).to_list()
        stored: dict[str, list[Lineage]] = {}
        for (_, _, instrument), entry in self._entries.items():
            stored.setdefault(instrument, []).extend(entry.lineage)
        refuse_mixture(lineage, instruments, stored)
        keys = [(table, lineage.dataset, name) for name in instruments]
        before = [self._entries[key].rows for key in keys if key in self._entries]
        merged = merge(pl.concat([kind.empty(), *before]), rows, lineage.fetched_at, kind, reported=lineage.is_reported)
        entries = dict(self._entries)
        for (instrument,), new in merged.added.group_by(["instrument"], maintain_order=True):
            key = (table, lineage.dataset, str(instrument))
            old = entries.get(key)
            versions = new if old is None else pl.concat([old.rows, new])
            deliveries = with_delivery(() if old is None else old.lineage, lineage)
            entries[key] = _Entry(versions, content_sha256(versions, kind), deliveries)
        self._entries = entries
        return AppendResult(merged.rows_added, merged.rows_restated, merged.rows_unchanged, merged.rows_superseded, files=())

    def _entry(self, instrument: str, table: str, dataset: str | None) -> _Entry:
        table_of(table)
        found = sorted(name for kind, name, id in self._entries if (kind, id) == (table, instrument))
        return self._entries[table, choose_dataset(named(instrument, table), found, dataset), instrument]

    def read(
        self,
        instrument: str,
        *,
        table: str = DAILY,
        as_of: datetime | None = None,
        first: date | None = None,
        last: date | None = None,
        known_from: datetime | None = None,
        dataset: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        rows = between(self._entry(instrument, table, dataset).rows, first, last)
        if known_from is not None:
            rows = rows.filter(pl.col("available_at") >= utc(known_from))
        return chosen(known_at(rows, as_of, table_of(table)), columns, table)

    def cross_section(
        self,
        first: datetime,
        last: datetime,
        *,
        table: str = DAILY,
        as_of: datetime | None = None,
        dataset: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        kind = table_of(table)
        found = sorted({name for held, name, _ in self._entries if held == table})
        dataset = choose_dataset(table, found, dataset)
        wanted = pl.col("ts").is_between(utc(first), utc(last))
        held = [entry.rows.filter(wanted) for (name, at, _), entry in self._entries.items() if (name, at) == (table, dataset)]
        return chosen(known_at(pl.concat(held), as_of, kind), columns, table)

    def lineage(self, instrument: str, *, table: str = DAILY, dataset: str | None = None) -> tuple[Lineage, ...]:
        return tuple(sorted(self._entry(instrument, table, dataset).lineage, key=lambda item: item.fetched_at))

    def datasets(self) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {
                    "table": table,
                    "instrument": instrument,
                    "dataset": dataset,
                    "provider": ",".join(dict.fromkeys(item.provider for item in entry.lineage)),
                    "rows": entry.rows.height,
                    "first_ts": entry.rows["ts"].min(),
                    "last_ts": entry.rows["ts"].max(),
                    "simulated": entry.lineage[0].simulated,
                    "adjustment": entry.lineage[0].adjustment,
                }
                for (table, dataset, instrument), entry in sorted(self._entries.items())
            ],
            schema=DATASETS,
        ).sort("table", "instrument", "dataset")

    def content_hash(
        self, instrument: str, *, table: str = DAILY, as_of: datetime | None = None, dataset: str | None = None
    ) -> str:
        return content_sha256(self.read(instrument, table=table, as_of=as_of, dataset=dataset), table_of(table))

    def compact(self) -> CompactReport:
        return CompactReport(0, 0)

    def verify(self) -> VerifyReport:
        problems = tuple(
            Problem("/".join(key), "expected the values that were written, found others")
            for key, entry in sorted(self._entries.items())
            if content_sha256(entry.rows, table_of(key[0])) != entry.sha256
        )
        return VerifyReport(len(self._entries), problems)

    def rebuild_index(self) -> RebuildReport:
        problems = self.verify().problems
        if problems:
            raise IntegrityError(f"expected whole data to index, found {problems[0].path}: {problems[0].message}")
        return RebuildReport(len(self._entries), (), (), ())
