"""Assignment: the bars that an engine may see at one moment, and how complete they are.

The router between store and engines. It filters (one instrument, known at `as_of`, the last restatement of each bar,
the window of sessions asked for), resamples where longer bars are asked for, and says what is there:

    full      every session of the window has its bar
    partial   the newest session is there, others are not (a hole, or history that starts later)
    stale     bars are there, the newest session that should be known by now is not among them
    missing   no bar at all

Missing data lowers the coverage and adds a warning; it never raises. Only wrong use does: a naive time, a broken
schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import polars as pl

from fieldcast.ground import InvalidInput, Reason, reason_codes, utc
from fieldcast.market import BARS, Instrument, add_reason, conform, empty_bars, sessions


class Coverage(StrEnum):
    """How much of what was asked for is there."""

    FULL = "full"
    PARTIAL = "partial"
    MISSING = "missing"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class AssignmentWarning:
    """One thing that is not as asked for."""

    reason: Reason
    text: str

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.text}"


@dataclass(frozen=True, eq=False)
class AssignedPacket:
    """What an engine gets.

    Parameters
    ----------
    instrument : id
    as_of : the moment of the decision, UTC
    bars : schema `market.BARS`, ascending, one row a bar, every row known at `as_of`; may be empty
    coverage : see the module's docstring
    expected : sessions in the window
    found : sessions of the window that have a bar
    newest : session of the newest bar, None where there is none
    every : sessions in one bar
    warnings : what is not as asked for; empty exactly when the coverage is full and no bar carries a reason
    """

    instrument: str
    as_of: datetime
    bars: pl.DataFrame
    coverage: Coverage
    expected: int
    found: int
    newest: date | None
    every: int
    warnings: tuple[AssignmentWarning, ...]

    def sufficient(self, least: int = 5) -> bool:
        """Whether the coverage is full and at least `least` bars are there."""
        return self.coverage is Coverage.FULL and self.bars.height >= least


def assign(
    bars: pl.DataFrame | None,
    instrument: Instrument,
    as_of: datetime,
    *,
    window: int = 250,
    every: int = 1,
) -> AssignedPacket:
    """The last `window` sessions of `instrument` as they were known at `as_of`, and how complete they are.

    Parameters
    ----------
    bars : daily bars, schema `market.BARS`, any number of instruments, any order, restatements included; None = no data
    instrument : whose bars; its calendar says which sessions there should be
    as_of : time with its zone; a session is expected from its close + 30 minutes on
    window : sessions asked for
    every : sessions in one bar. Bars are cut at fixed places of the calendar (session number divisible by `every`), so
        that a bar never changes as time goes on; the last bar stands only once all its sessions are over, and a first
        bar that the window cuts is left out

    Raises
    ------
    InvalidInput : `as_of` has no zone, the table lacks columns, `window` or `every` is below 1, or `window` < `every`
    """
    as_of = utc(as_of)
    if every < 1 or window < every:
        raise InvalidInput(f"expected window ≥ every ≥ 1, found window {window} and every {every}")
    calendar = (
        sessions(instrument.calendar)
        .with_row_index("number")
        .with_columns(pl.col("number").cast(pl.Int64))
        .filter(pl.col("as_of") <= as_of)
        .tail(window)
    )
    warnings: list[AssignmentWarning] = []

    def note(reason: Reason, text: str) -> None:
        warnings.append(AssignmentWarning(reason, text))

    known = _known(empty_bars() if bars is None else bars, instrument, as_of)
    outside = known.filter(pl.col("session").is_null()).height
    if outside:
        note(Reason.NOT_A_SESSION, f"{outside} bars lie on no session and were left out")
    known = known.unique("session", keep="last", maintain_order=True).drop("open_at")
    table = calendar.select("number", "session").join(known, on="session", how="left", maintain_order="left")
    there = table.filter(pl.col("ts").is_not_null())
    expected, found = table.height, there.height
    last = str(calendar["session"][-1]) if expected else "none before this time"
    newest: date | None = there["session"][-1] if found else None
    if newest is None:
        coverage = Coverage.MISSING
        note(Reason.NO_DATA, f"no bar of {instrument.id} in {expected} sessions to {last}")
    elif str(newest) != last:
        coverage = Coverage.STALE
        note(Reason.STALE, f"the newest bar is of {newest}, the session asked for is {last}")
    else:
        coverage = Coverage.FULL if found == expected else Coverage.PARTIAL
    if newest is not None and found < expected:
        first: date = there["session"][0]
        early = table.filter(pl.col("session") < first).height
        holes = table.filter(pl.col("session").is_between(first, newest)).height - found
        if early:
            note(Reason.SHORT_HISTORY, f"history starts at {first}, {early} sessions into the window")
        if holes:
            note(Reason.MISSING_SESSION, f"{holes} sessions between {first} and {newest} have no bar")
    packed = there.select(*BARS) if every == 1 else _joined(table, every)
    carried = packed["reasons"].drop_nulls().str.split(",").explode().value_counts().sort("reasons")
    for code, count in carried.iter_rows():
        note(reason_codes([code])[0], f"{count} of {packed.height} bars carry it")
    return AssignedPacket(
        instrument=instrument.id,
        as_of=as_of,
        bars=conform(packed, BARS),
        coverage=coverage,
        expected=expected,
        found=found,
        newest=newest,
        every=every,
        warnings=tuple(warnings),
    )


def _known(bars: pl.DataFrame, instrument: Instrument, as_of: datetime) -> pl.DataFrame:
    """Bars of the instrument that were known at `as_of`, the last restatement of each, with the session they end in."""
    calendar = sessions(instrument.calendar).select("session", "close", open_at="open")
    return (
        conform(bars, BARS)
        .filter((pl.col("instrument") == instrument.id) & (pl.col("available_at") <= as_of) & (pl.col("ts") <= as_of))
        .sort("ts", "available_at")
        .unique("ts", keep="last", maintain_order=True)
        .join_asof(calendar.rename({"close": "close_at"}), left_on="ts", right_on="close_at", strategy="forward")
        .with_columns(session=pl.when(pl.col("ts") > pl.col("open_at")).then(pl.col("session")))
        .drop("close_at")
    )


def _joined(table: pl.DataFrame, every: int) -> pl.DataFrame:
    """Bars of `every` sessions each: whole groups only, unknown where one of their sessions is unknown."""
    there = pl.col("ts").is_not_null()
    groups = table.with_columns(group=pl.col("number") // every).group_by("group", maintain_order=True)
    joined = groups.agg(
        sessions=pl.len(),
        found=there.sum(),
        instrument=pl.col("instrument").drop_nulls().first(),
        ts=pl.col("ts").max(),
        available_at=pl.col("available_at").max(),
        open=pl.col("open").first(),
        high=pl.when(pl.col("high").filter(there).null_count() == 0).then(pl.col("high").max()),
        low=pl.when(pl.col("low").filter(there).null_count() == 0).then(pl.col("low").min()),
        close=pl.col("close").drop_nulls().last(),
        volume=pl.when(pl.col("volume").filter(there).null_count() == 0).then(pl.col("volume").sum()),
        reasons=pl.col("reasons").drop_nulls().str.split(",").explode().unique().sort().str.join(","),
    ).filter((pl.col("sessions") == every) & (pl.col("found") > 0))
    joined = joined.with_columns(pl.when(pl.col("reasons") != "").then(pl.col("reasons")))
    return joined.with_columns(add_reason("missing_session", pl.col("found") < every)).select(*BARS)
