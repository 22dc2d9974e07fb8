"""The store: one contract, two backends (`ParquetStore` in files, local or on S3; `MemoryStore` in memory)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import polars as pl

from fieldcast.data.lineage import Lineage
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.market import DAILY, STAMP, TABLES

DATASETS: dict[str, pl.DataType] = {
    "table": pl.String(),
    "instrument": pl.String(),
    "dataset": pl.String(),
    "provider": pl.String(),
    "rows": pl.Int64(),
    "first_ts": STAMP,
    "last_ts": STAMP,
    "simulated": pl.Boolean(),
    "adjustment": pl.String(),
}


@dataclass(frozen=True)
class AppendResult:
    """What an append did.

    Parameters
    ----------
    rows_added : bars that were not stored before
    rows_restated : further versions of stored rows; the old version stays readable as of an earlier moment
    rows_unchanged : bars that were stored with the same values
    rows_superseded : rows of an older version that a later one replaced; nothing is written for them
    files : what was written, relative to the data folder
    """

    rows_added: int
    rows_restated: int
    rows_unchanged: int
    rows_superseded: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class CompactReport:
    """How many segments went into how many year files."""

    segments: int
    files: int


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the store; `path` is relative to the data folder."""

    path: str
    message: str


@dataclass(frozen=True)
class VerifyReport:
    """How many files were re-hashed, and what was found; no problems means the store is whole."""

    files_checked: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class RebuildReport:
    """The index as rebuilt from the files: how many files it holds, and which entries differ from the one kept."""

    files: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """True where the kept index was already right."""
        return not (self.added or self.removed or self.changed)


class Store(Protocol):
    """Rows of the tables of `market.TABLES` (`table` = a name there), versioned by `available_at`."""

    def append(self, rows: pl.DataFrame, lineage: Lineage, *, table: str = DAILY) -> AppendResult:
        """Merge `rows` (the table's schema; one or more instruments) into the lineage's dataset, all or nothing.

        Raises
        ------
        InvalidInput : rows are not fit to be stored; nothing was written
        ConflictError : the dataset holds the instrument with another adjustment, simulated rows would meet real ones, or
            another process is writing
        """

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
        """Rows of one instrument, in key order, each in the last version known at `as_of` (none = the newest).

        Parameters
        ----------
        first, last : UTC dates of `ts`, both included
        known_from : leave out what had become known before; the end of a long session is read without the rest of it
        dataset : needed only where the instrument stands in more than one
        columns : which to return (none = all of the table's)

        Raises
        ------
        MissingData : the store has no rows for this instrument (in this table and dataset)
        ConflictError : several datasets hold it and none was named
        """

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
        """Rows of every instrument with `first` ≤ ts ≤ `last`, as `read` gives them; ordered by instrument and key.

        Raises
        ------
        MissingData : no dataset holds the table (or the one that was named does not)
        ConflictError : several datasets hold it and none was named
        """

    def lineage(self, instrument: str, *, table: str = DAILY, dataset: str | None = None) -> tuple[Lineage, ...]:
        """Every delivery that contributed to the rows of the instrument, oldest first."""

    def datasets(self) -> pl.DataFrame:
        """One row for each table, instrument and dataset; schema `DATASETS`. `rows` counts versions."""

    def content_hash(
        self, instrument: str, *, table: str = DAILY, as_of: datetime | None = None, dataset: str | None = None
    ) -> str:
        """SHA-256 over the canonical column values of `read(instrument, as_of=as_of)`."""

    def compact(self) -> CompactReport:
        """Merge the day segments of intraday tables into their years; what is read stays the same."""

    def verify(self) -> VerifyReport:
        """Re-hash everything that is stored and compare it with what was recorded."""

    def rebuild_index(self) -> RebuildReport:
        """Make the index again from the data itself.

        Raises
        ------
        IntegrityError : the data is damaged; it is left as it is (see `verify`)
        """


def between(rows: pl.DataFrame, first: date | None, last: date | None) -> pl.DataFrame:
    """Rows whose UTC date of `ts` lies within `first` and `last`, both included."""
    day = pl.col("ts").dt.date()
    if first is not None:
        rows = rows.filter(day >= first)
    if last is not None:
        rows = rows.filter(day <= last)
    return rows


def choose_dataset(what: str, found: list[str], wanted: str | None) -> str:
    """The one dataset to read `what` from; see `Store.read` for what is refused."""
    if wanted is not None:
        found = [name for name in found if name == wanted]
    if not found:
        place = "" if wanted is None else f" in dataset {wanted}"
        raise MissingData(f"expected rows of {what}{place} in the store, found none; import them first")
    if len(found) > 1:
        raise ConflictError(f"expected one dataset with {what}, found {', '.join(found)}; name one with dataset=")
    return found[0]


def named(instrument: str, table: str) -> str:
    """How a message speaks of an instrument's rows: its id, and the table where it is not daily bars."""
    return instrument if table == DAILY else f"{instrument} ({table})"


def refuse_unknown_columns(columns: Sequence[str] | None, table: str) -> None:
    """Refuse columns that the table does not have.

    Raises
    ------
    InvalidInput : the table has no such column
    """
    unknown = [name for name in columns or () if name not in TABLES[table].schema]
    if unknown:
        raise InvalidInput(f"expected columns of {table} out of {', '.join(TABLES[table].schema)}, found {', '.join(unknown)}")


def chosen(rows: pl.DataFrame, columns: Sequence[str] | None, table: str) -> pl.DataFrame:
    """The columns that were asked for; see `refuse_unknown_columns`."""
    refuse_unknown_columns(columns, table)
    return rows if columns is None else rows.select(columns)


def refuse_mixture(incoming: Lineage, instruments: list[str], stored: Mapping[str, list[Lineage]]) -> None:
    """Rows of one instrument never mix adjustments within a dataset, nor simulated with real prices anywhere.

    `stored` : the lineages of each instrument, over all datasets
    """
    for instrument in instruments:
        for known in stored.get(instrument, []):
            if known.simulated != incoming.simulated:
                kinds = {True: "simulated", False: "real"}
                raise ConflictError(
                    f"expected {kinds[known.simulated]} rows for {instrument}, as stored, found "
                    f"{kinds[incoming.simulated]} ones; give them another instrument id"
                )
            if known.dataset == incoming.dataset and known.adjustment != incoming.adjustment:
                raise ConflictError(
                    f"expected {known.adjustment} prices for {instrument} in dataset {known.dataset}, as stored, "
                    f"found {incoming.adjustment}; use another dataset"
                )
