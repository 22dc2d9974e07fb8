"""What an append would do, found out without writing."""

from __future__ import annotations

import polars as pl

from fieldcast.data._merge import checked, merge
from fieldcast.data.lineage import Lineage
from fieldcast.data.store import AppendResult, Store
from fieldcast.ground import ConflictError, MissingData
from fieldcast.market import DAILY, table_of


def preview(store: Store, rows: pl.DataFrame, lineage: Lineage, *, table: str = DAILY) -> AppendResult:
    """The counts that `store.append` would give; the versions known now stand for all that are stored.

    Raises
    ------
    InvalidInput, ConflictError : what `Store.append` would raise
    """
    kind = table_of(table)
    rows, _ = checked(rows, lineage, kind)
    _refuse_mixture(store, rows, lineage)
    try:
        held = store.cross_section(rows["ts"].min(), rows["ts"].max(), table=table, dataset=lineage.dataset)  # type: ignore[arg-type]
    except MissingData:
        held = kind.empty()
    stored = held.filter(pl.col("instrument").is_in(rows["instrument"].unique().implode()))
    merged = merge(stored, rows, lineage.fetched_at, kind, reported=lineage.is_reported)
    return AppendResult(merged.rows_added, merged.rows_restated, merged.rows_unchanged, merged.rows_superseded, ())


def _refuse_mixture(store: Store, rows: pl.DataFrame, lineage: Lineage) -> None:
    """As `store.refuse_mixture`, from the list of datasets."""
    names = rows["instrument"].unique()
    for row in store.datasets().filter(pl.col("instrument").is_in(names.implode())).iter_rows(named=True):
        if row["simulated"] != lineage.simulated:
            raise ConflictError(
                f"expected rows of {row['instrument']} that are {'' if row['simulated'] else 'not '}simulated, as stored; "
                "give them another instrument id"
            )
        if row["dataset"] == lineage.dataset and row["adjustment"] != lineage.adjustment:
            raise ConflictError(
                f"expected {row['adjustment']} prices for {row['instrument']} in dataset {lineage.dataset}, as stored, found "
                f"{lineage.adjustment}; use another dataset"
            )
