"""Whether the history of a universe is there, what is missing of it, and what has to be fetched and imported.

Each member must have a row for each of its last 1,260 sessions (five years of an exchange), on its own calendar, up to the newest
session whose figures are due. `verify_universe` counts. Without `strict` at most `LAX` of the required sessions may be without a
row (beyond what the member's source may leave out), newest ones included, where older rows make up for them: a history that
ended fails. `strict` refuses every hole and every late session.

`plan_repairs` names every range that is missing; `plan_update` the newest ones alone. A plan is a list of (instrument, first,
last): fetch those days, import the files, verify again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.store import Store
from fieldcast.data.universe import Member, Universe
from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import DAILY, STAMP, sessions

CHECKED: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "group": pl.String(),
    "dataset": pl.String(),
    "required": pl.Int64(),  # sessions that must have a row
    "rows": pl.Int64(),      # sessions that have one, at any time up to as_of
    "present": pl.Int64(),   # of the required ones
    "missing": pl.Int64(),   # holes among the required ones since the first row
    "late": pl.Int64(),      # newest sessions of which nothing is there
    "first": STAMP,
    "last": STAMP,
    "ok": pl.Boolean(),
    "reasons": pl.String(),
}
RANGES: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "table": pl.String(),
    "first": pl.Date(),      # sessions, both included
    "last": pl.Date(),
    "sessions": pl.Int64(),
    "why": pl.String(),      # before (the history begins later), hole, or newer (than what is stored)
}
LAX = 5  # sessions of the required ones that may be missing or late where the check is not strict: a week of an exchange
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class UniverseReport:
    """What is there of a universe at a moment.

    Parameters
    ----------
    checked : schema `CHECKED`, in the universe's order
    """

    universe: str
    as_of: datetime
    strict: bool
    checked: pl.DataFrame

    @property
    def passed(self) -> int:
        return int(self.checked["ok"].sum())

    @property
    def ok(self) -> bool:
        """True where every member passes; the command line exits 1 where not."""
        return self.passed == self.checked.height

    def to_json(self) -> dict[str, Any]:
        """Plain values: the verdict, the counts and one entry an instrument."""
        rows = self.checked.with_columns(
            pl.col("first", "last").dt.to_string("iso:strict"), pl.col("reasons").str.split(",").fill_null([])
        )
        return {
            "universe": self.universe,
            "as_of": self.as_of.isoformat(),
            "strict": self.strict,
            "ok": self.ok,
            "passed": self.passed,
            "instruments": self.checked.height,
            "checked": rows.to_dicts(),
        }


def verify_universe(
    store: Store, universe: Universe, as_of: datetime, *, dataset: str | None = None, strict: bool = False
) -> UniverseReport:
    """Count what is known of each member at `as_of`.

    Parameters
    ----------
    dataset : where the rows stand; needed where an instrument stands in more than one
    strict : every hole and every late session fails; otherwise up to `LAX` of them pass in a history that is long enough
    """
    held = _Held(store, universe, utc(as_of), dataset)
    rows = [_checked(member, held, strict) for member in universe]
    return UniverseReport(universe.name, utc(as_of), strict, pl.DataFrame(rows, schema=CHECKED))


def plan_repairs(store: Store, universe: Universe, as_of: datetime, *, dataset: str | None = None) -> pl.DataFrame:
    """Every range of required sessions without rows, schema `RANGES`; what a source may leave out is not asked for."""
    held = _Held(store, universe, utc(as_of), dataset)
    parts = [_ranges(member, held) for member in universe]
    return pl.concat([pl.DataFrame(schema=RANGES), *parts])


def plan_update(store: Store, universe: Universe, as_of: datetime, *, dataset: str | None = None) -> pl.DataFrame:
    """The ranges that are newer than what is stored (all of it where nothing is), schema `RANGES`."""
    held = _Held(store, universe, utc(as_of), dataset)
    parts = [_ranges(member, held) for member in universe]
    return pl.concat([pl.DataFrame(schema=RANGES), *parts]).filter(pl.col("why") == "newer")


def remaining(
    plan: pl.DataFrame, store: Store, universe: Universe, as_of: datetime, *, dataset: str | None = None
) -> pl.DataFrame:
    """The ranges of a plan that still lack a row, after files were imported.

    Raises
    ------
    InvalidInput : the plan names an instrument that the universe does not have
    """
    strangers = sorted(set(plan["instrument"]) - set(universe.by_id))
    if strangers:
        raise InvalidInput(f"expected a plan for members of {universe.name}, found {', '.join(strangers)}")
    now = plan_repairs(store, universe, as_of, dataset=dataset)
    pairs = plan.lazy().join(now.lazy(), on=["instrument", "table"], suffix="_now")
    overlapping = pairs.filter((pl.col("first_now") <= pl.col("last")) & (pl.col("last_now") >= pl.col("first")))
    return overlapping.select(
        "instrument",
        "table",
        first=pl.max_horizontal("first", "first_now"),
        last=pl.min_horizontal("last", "last_now"),
        sessions=pl.col("sessions_now"),
        why="why_now",
    ).collect().sort("instrument", "first")


# what is there ------------------------------------------------------------------------------------------------------


class _Held:
    """The sessions of which the store has a row, by member."""

    def __init__(self, store: Store, universe: Universe, as_of: datetime, dataset: str | None) -> None:
        self._store, self._universe, self._as_of, self._dataset = store, universe, as_of, dataset
        self._due: dict[str, pl.DataFrame] = {}

    def due(self, calendar: str) -> pl.DataFrame:
        """Sessions whose figures are due."""
        if calendar not in self._due:
            self._due[calendar] = sessions(calendar).filter(pl.col("as_of") <= self._as_of)
        return self._due[calendar]

    @cached_property
    def datasets(self) -> Mapping[tuple[str, str], list[str]]:
        """(table, instrument) → the datasets that hold it."""
        found: dict[tuple[str, str], list[str]] = {}
        for table, instrument, dataset in self._store.datasets().select("table", "instrument", "dataset").iter_rows():
            if self._dataset in (None, dataset):
                found.setdefault((table, instrument), []).append(dataset)
        return found

    @cached_property
    def _stamps(self) -> Mapping[tuple[str, str, str], pl.Series]:
        """(table, dataset, instrument) → ts of its rows; one read for each table and dataset."""
        wanted: dict[tuple[str, str], list[str]] = {}
        for member in self._universe:
            for dataset in self.datasets.get((member.table, member.instrument.id), []):
                wanted.setdefault((member.table, dataset), []).append(member.instrument.id)
        stamps: dict[tuple[str, str, str], pl.Series] = {}
        for (table, dataset), ids in wanted.items():
            rows = self._store.cross_section(
                _LONG_AGO, self._as_of, table=table, dataset=dataset, as_of=self._as_of, columns=["instrument", "ts"]
            ).filter(pl.col("instrument").is_in(ids))
            for (id,), own in rows.group_by("instrument"):
                stamps[table, dataset, str(id)] = own["ts"].sort()
        return stamps

    def dataset_of(self, member: Member) -> str | None:
        """The one dataset that holds the member; none where there is none.

        Raises
        ------
        InvalidInput : there are several, and none was named
        """
        found = self.datasets.get((member.table, member.instrument.id), [])
        if len(found) > 1:
            raise InvalidInput(
                f"expected {member.instrument.id} in one dataset, found {', '.join(found)}; name one with dataset="
            )
        return found[0] if found else None

    def stamps(self, member: Member) -> pl.Series:
        dataset = self.dataset_of(member)
        empty = pl.Series("ts", [], dtype=STAMP)
        return empty if dataset is None else self._stamps.get((member.table, dataset, member.instrument.id), empty)

    def present(self, member: Member) -> NDArray[np.bool_]:
        """For each session due, whether a row of it is there: a daily bar stands on its close, other rows at or before it."""
        due = self.due(member.instrument.calendar)
        closes, ts = (column.to_physical().to_numpy() for column in (due["close"], self.stamps(member)))
        at = np.searchsorted(closes, ts, side="left")
        ts, at = ts[at < due.height], at[at < due.height]
        here = np.zeros(due.height, dtype=bool)
        here[at[closes[at] == ts] if member.table == DAILY else at] = True
        return here


def _checked(member: Member, held: _Held, strict: bool) -> dict[str, Any]:
    here, stamps = held.present(member), held.stamps(member)
    required = min(member.minimum_rows, here.size)
    recent = here[here.size - required :]
    rows, present = int(here.sum()), int(recent.sum())
    known = np.flatnonzero(recent)
    late = int(required - 1 - known[-1]) if known.size else required
    missing = int((~recent[known[0] : known[-1] + 1]).sum()) if known.size else 0
    allowed = member.absent_allowed
    reasons = []
    if not rows:
        reasons.append(Reason.NO_DATA)
    elif rows < member.minimum_rows - allowed or present < member.minimum_rows - allowed - LAX:
        reasons.append(Reason.FEW_ROWS)
    if rows and missing > allowed:
        reasons.append(Reason.MISSING_SESSION)
    if rows and late > (1 if allowed else 0):
        reasons.append(Reason.STALE)
    fatal = {Reason.NO_DATA, Reason.FEW_ROWS}
    if strict:
        fatal |= {Reason.MISSING_SESSION, Reason.STALE}
    elif late > LAX:
        fatal.add(Reason.STALE)
    return {
        "instrument": member.instrument.id,
        "group": member.group,
        "dataset": held.dataset_of(member),
        "required": member.minimum_rows,
        "rows": rows,
        "present": present,
        "missing": missing,
        "late": late if rows else 0,
        "first": stamps[0] if stamps.len() else None,
        "last": stamps[-1] if stamps.len() else None,
        "ok": not fatal.intersection(reasons),
        "reasons": ",".join(reasons) or None,
    }


def _ranges(member: Member, held: _Held) -> pl.DataFrame:
    """Runs of required sessions without a row."""
    due, here = held.due(member.instrument.calendar), held.present(member)
    start = here.size - min(member.minimum_rows, here.size)
    recent, days = here[start:], due["session"].to_list()[start:]
    known = np.flatnonzero(recent)
    holes = int((~recent[known[0] : known[-1] + 1]).sum()) if known.size else 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~recent, [False]]).astype(np.int8)))
    found: list[dict[str, Any]] = []
    for first, last in zip(edges[::2], edges[1::2] - 1, strict=True):
        why = _why(int(first), int(last), known)
        if why == "hole" and holes <= member.absent_allowed:
            continue
        found.append(_range(member, days[first], days[last], int(last - first + 1), why))
    return pl.DataFrame(found, schema=RANGES)


def _why(first: int, last: int, known: NDArray[np.int64]) -> str:
    if not known.size or first > known[-1]:
        return "newer"
    return "before" if last < known[0] else "hole"


def _range(member: Member, first: date, last: date, count: int, why: str) -> dict[str, Any]:
    return {
        "instrument": member.instrument.id,
        "table": member.table,
        "first": first,
        "last": last,
        "sessions": count,
        "why": why,
    }
