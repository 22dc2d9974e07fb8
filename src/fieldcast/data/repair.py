"""Repairs of a vendor's errors: proposed with counts, applied by a person, kept beside what they replace.

A proposal changes nothing. Applying it appends restatements: rows with the new values, the reason `repaired` and the fault's own,
and an `available_at` of that moment, so that a read as of any earlier one still gives the vendor's values. Only faults whose
right values follow from the data alone are repaired; of the others the count is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fieldcast.data.lineage import Adjustment, Lineage
from fieldcast.data.store import AppendResult, Store
from fieldcast.data.vendor_faults import FaultReport, find_faults
from fieldcast.ground import ConflictError, InvalidInput, MissingData, Reason, utc
from fieldcast.market import BARS, DAILY, PRICES, STAMP, add_reason

CHANGES: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "ts": STAMP,
    "column": pl.String(),
    "old": pl.Float64(),
    "new": pl.Float64(),
    "reason": pl.String(),
}


@dataclass(frozen=True)
class Proposal:
    """What would change.

    Parameters
    ----------
    changes : schema `CHANGES`, one line for each value
    bars : the rows that would be restated, schema `market.BARS`, with their new values and reasons
    replaced : those rows as they stand now
    counts : reason → values that would change
    left : reason → faults that are not repaired: their right values do not follow from the data alone
    """

    instrument: str
    changes: pl.DataFrame
    bars: pl.DataFrame
    replaced: pl.DataFrame
    counts: Mapping[Reason, int]
    left: Mapping[Reason, int]

    @property
    def rows(self) -> int:
        return self.bars.height


def propose(
    bars: pl.DataFrame, actions: pl.DataFrame | None = None, *, split_adjusted: bool = False, report: FaultReport | None = None
) -> Proposal:
    """The repaired values of one instrument's bars, as far as they are certain.

    Parameters
    ----------
    bars, actions, split_adjusted : as in `find_faults`
    report : what it found; none = it is asked
    """
    bars = bars.sort("ts").select(list(BARS))
    report = find_faults(bars, actions, split_adjusted=split_adjusted) if report is None else report
    fixed, left = bars, dict.fromkeys(report.reasons, 0)
    parts = [pl.DataFrame(schema=CHANGES)]
    for fault in report.faults.iter_rows(named=True):
        code = Reason(fault["reason"])  # type: ignore[call-arg]
        columns = [name for name in fault["columns"].split(",") if name in PRICES]
        if not fault["certain"] or not columns:
            left[code] += 1
            continue
        before, fixed = fixed, _multiplied(fixed, fault["first"], fault["last"], columns, fault["factor"], code)
        parts.append(_changes(before, fixed, code))
    changes = pl.concat(parts)
    touched = bars["ts"].is_in(changes["ts"].unique().implode())
    counts = {Reason(code): n for code, n in changes.group_by("reason", maintain_order=True).len().iter_rows()}  # type: ignore[call-arg]
    return Proposal(
        report.instrument,
        changes,
        fixed.filter(touched).with_columns(add_reason(Reason.REPAIRED, pl.lit(value=True))),
        bars.filter(touched),
        counts,
        {code: n for code, n in left.items() if n},
    )


def _multiplied(
    bars: pl.DataFrame, first: datetime, last: datetime, columns: list[str], factor: float, code: Reason
) -> pl.DataFrame:
    """The columns times the factor over a span; where only some of a bar's prices change, high and low take the others in."""
    here = pl.col("ts").is_between(first, last)
    fixed = bars.with_columns(pl.when(here).then(pl.col(name) * factor).otherwise(name).alias(name) for name in columns)
    if set(columns) != set(PRICES):
        every = [pl.col(name) for name in PRICES]
        fixed = fixed.with_columns(
            high=pl.when(here).then(pl.max_horizontal(every)).otherwise("high"),
            low=pl.when(here).then(pl.min_horizontal(every)).otherwise("low"),
        )
    elif code in (Reason.SPLIT_MISPLACED, Reason.SPLIT_NOT_APPLIED):
        fixed = fixed.with_columns(volume=pl.when(here).then(pl.col("volume") / factor).otherwise("volume"))
    return fixed.with_columns(add_reason(code, here))


def _changes(before: pl.DataFrame, after: pl.DataFrame, code: Reason) -> pl.DataFrame:
    parts = []
    for name in (*PRICES, "volume"):
        both = before.select("instrument", "ts", column=pl.lit(name), old=pl.col(name)).with_columns(new=after[name])
        parts.append(both.filter(pl.col("old") != pl.col("new")).with_columns(reason=pl.lit(str(code))))
    return pl.concat(parts).sort("ts", maintain_order=True)


def apply_repair(
    store: Store,
    proposal: Proposal,
    *,
    dataset: str,
    by: str,
    now: datetime,
    table: str = DAILY,
    adjustment: Adjustment = "raw",
) -> AppendResult:
    """Restate the rows of a proposal, because a person said so.

    Parameters
    ----------
    by : who said so; stands in the lineage
    now : from when the new values are known

    Raises
    ------
    InvalidInput : there is nothing to apply, or nobody who answers for it
    ConflictError : the stored rows are no longer those that the proposal was made from
    """
    if not by.strip():
        raise InvalidInput("expected the name of the person who applies the repair, found none")
    if proposal.bars.is_empty():
        raise InvalidInput(f"expected values to repair for {proposal.instrument}, found none; see Proposal.left")
    now = utc(now)
    try:
        stored = store.read(proposal.instrument, table=table, dataset=dataset)
    except MissingData as error:
        raise ConflictError(f"expected the rows of the proposal in {dataset}, found none: {error}") from None
    values = ["ts", *PRICES, "volume"]
    held = stored.filter(pl.col("ts").is_in(proposal.replaced["ts"].implode()))
    if not held.select(values).equals(proposal.replaced.select(values)):
        raise ConflictError(f"expected the stored rows of {proposal.instrument} as the proposal found them; propose again")
    lineage = Lineage(
        provider="repair",
        dataset=dataset,
        fetched_at=now,
        adjustment=adjustment,
        source=f"repair of {sum(proposal.counts.values())} values by {by.strip()}: {', '.join(proposal.counts)}",
    )
    rows = proposal.bars.with_columns(available_at=pl.lit(now).cast(STAMP))
    return store.append(rows, lineage, table=table)
