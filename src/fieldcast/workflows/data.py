"""Data in, looked at and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast, get_args

import polars as pl

from fieldcast.data import (
    FORMATS,
    CompactReport,
    Format,
    GapReport,
    QualityReport,
    Severity,
    VerifyReport,
    gap_report,
    load_instrument,
    quality,
)
from fieldcast.data.actions import Mode, read_adjusted
from fieldcast.data.rules import SEVERITY
from fieldcast.data.states import State, judge, record_state, reinstate, retire, state_of
from fieldcast.data.store import between
from fieldcast.data.vendor_faults import FaultReport, find_faults
from fieldcast.ground import InvalidInput, MissingData, Shown, write_whole
from fieldcast.market import DAILY, DECISION_DELAY, Instrument, table_of
from fieldcast.workflows.repairs import known_actions
from fieldcast.workflows.workspace import Workspace

PRICED = ("bars", "quote_bars", "trades", "quotes")


@dataclass(frozen=True)
class FormatList(Shown):
    """The file formats that can be imported."""

    formats: tuple[Format, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "formats": [
                {"name": item.name, "title": item.title, "tables": list(item.tables), "dataset": item.home, "proof": item.proof}
                for item in self.formats
            ]
        }


@dataclass(frozen=True)
class DataShown(Shown):
    """The newest `rows` of the `height` rows that were asked for, what their prices are, and the file of their chart."""

    instrument: str
    table: str
    prices: str
    simulated: bool
    height: int
    rows: pl.DataFrame
    plot: Path | None

    def as_dict(self) -> dict[str, Any]:
        stamps = [name for name, dtype in self.rows.schema.items() if isinstance(dtype, pl.Datetime)]
        return {
            "instrument": self.instrument,
            "table": self.table,
            "prices": self.prices,
            "simulated": self.simulated,
            "height": self.height,
            "rows": self.rows.with_columns(pl.col(stamps).dt.to_string("iso")).to_dicts(),
            "plot": None if self.plot is None else str(self.plot),
        }


@dataclass(frozen=True)
class Compacted(Shown):
    """How many segments went into how many files."""

    report: CompactReport

    def as_dict(self) -> dict[str, Any]:
        return vars(self.report)


@dataclass(frozen=True)
class DataList:
    """What is in the store."""

    datasets: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        return {"datasets": self.datasets.with_columns(pl.col("first_ts", "last_ts").cast(pl.String)).to_dicts()}

    def _repr_html_(self) -> str:
        return self.datasets._repr_html_()


@dataclass(frozen=True)
class DataCheck(Shown):
    """Quality over the last year of sessions (daily bars alone); gaps, faults and flagged rows over the whole history.

    `state` is the instrument's state of quality: the one that was written down where that was asked for, else the one that would
    be; none where the table is not daily.
    """

    instrument: Instrument
    quality: QualityReport | None
    gaps: GapReport
    flags: Mapping[str, int]
    faults: FaultReport
    state: State | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument.id,
            "score": None if self.quality is None else self.quality.score,
            "reasons": {} if self.quality is None else {str(code): n for code, n in self.quality.reasons.items()},
            "costs": {} if self.quality is None else {str(code): cost for code, cost in self.quality.costs.items()},
            "interval": self.gaps.timeframe,
            "completeness": self.gaps.completeness,
            "flags": dict(self.flags),
            "faults": {str(code): self.faults.faults.filter(reason=str(code)).height for code in self.faults.reasons},
            "state": None if self.state is None else str(self.state),
            "gaps": self.gaps.gaps.with_columns(pl.all().cast(pl.String)).to_dicts(),
        }


@dataclass(frozen=True)
class Verified(Shown):
    """Result of hashing the whole store again."""

    report: VerifyReport

    @property
    def ok(self) -> bool:
        return self.report.ok

    def as_dict(self) -> dict[str, Any]:
        return {"files": self.report.files_checked, "ok": self.ok, "problems": [vars(p) for p in self.report.problems]}


def list_formats() -> FormatList:
    """Every file format that can be imported."""
    return FormatList(tuple(FORMATS.values()))


def list_data(workspace: Workspace) -> DataList:
    """Every dataset of the store."""
    return DataList(workspace.store.datasets())


def show_data(
    workspace: Workspace,
    instrument: str,
    *,
    table: str = DAILY,
    dataset: str | None = None,
    as_of: datetime | None = None,
    first: date | None = None,
    last: date | None = None,
    adjust: str = "raw",
    rows: int = 10,
    plot: Path | None = None,
) -> DataShown:
    """Rows of an instrument as they were known at a moment, the newest of them printed, and a chart of them all.

    Parameters
    ----------
    adjust : raw, split or total: corporate actions that were known then, applied to bars at read
    plot : write the chart (bars alone) to this HTML file, self-contained

    Raises
    ------
    InvalidInput : a chart or adjusted prices of a table that holds no bars; `first` after `last`
    MissingData : no rows at all, none in the range, or none known at that moment; no corporate actions to adjust by
    """
    kind = table_of(table)
    if first is not None and last is not None and first > last:
        raise InvalidInput(f"expected first at or before last, found {first} and {last}")
    if kind.kind != "bars" and plot is not None:
        raise InvalidInput(f"expected a table of bars to plot, such as bars/1d, found {table}")
    if adjust not in get_args(Mode):
        raise InvalidInput(f"expected adjust raw, split or total, found {adjust!r}")
    if adjust == "raw":
        found = workspace.store.read(instrument, table=table, as_of=as_of, first=first, last=last, dataset=dataset)
    else:
        found = read_adjusted(workspace.store, instrument, cast("Mode", adjust), as_of=as_of, table=table, dataset=dataset)
        found = between(found, first, last)
    if found.is_empty():
        raise _nothing_there(workspace, instrument, table, dataset, as_of)
    lineage = workspace.store.lineage(instrument, table=table, dataset=dataset)
    simulated = lineage[0].simulated
    prices = "prices as the source adjusted them" if lineage[0].adjustment == "adjusted_only" else f"{adjust} prices"
    if plot is not None:
        _write_chart(workspace, found, instrument, f"{instrument}, {table}, {prices}", simulated, plot)
    return DataShown(instrument, table, prices if kind.kind in PRICED else "", simulated, found.height, found.tail(rows), plot)


def _nothing_there(
    workspace: Workspace, instrument: str, table: str, dataset: str | None, as_of: datetime | None
) -> MissingData:
    """What to say where the rows that were asked for are none: what there is."""
    known = workspace.store.read(instrument, table=table, as_of=as_of, dataset=dataset, columns=["ts"])["ts"]
    if known.is_empty():
        first: datetime = workspace.store.read(instrument, table=table, dataset=dataset)["available_at"].sort()[0]
        return MissingData(
            f"expected rows of {instrument} ({table}) known at {as_of}, found none; the first of them became known at {first}"
        )
    days: list[date] = known.sort().dt.date().to_list()
    return MissingData(
        f"expected rows of {instrument} ({table}) in that range, found none; there are rows from {days[0]} to {days[-1]}"
    )


def _write_chart(
    workspace: Workspace, bars: pl.DataFrame, instrument: str, title: str, simulated: bool, plot: Path
) -> None:
    from fieldcast.plots import bar_chart

    currency = load_instrument(workspace.ledger, instrument).currency
    notes = frozenset(str(code) for code, severity in SEVERITY.items() if severity is Severity.NOTE)
    chart = bar_chart(bars, title=title, currency=currency, simulated=simulated, quiet_reasons=notes)
    page = chart.to_html(include_plotlyjs=True, full_html=True, config={"displayModeBar": False})
    write_whole(plot, page.encode())


def check_data(
    workspace: Workspace, instrument: str, *, table: str = DAILY, dataset: str | None = None, state: str | None = None
) -> DataCheck:
    """Quality, gaps and vendor's errors of one instrument's bars.

    The score is that of the newest row's moment, so that it says the same of the same rows on any day. A state is written down
    at the workspace's clock, by which a history that has ended is retired. A look says what would be written down now where the
    instrument was judged before, and what its history was good for at its newest row where nobody follows it yet.

    Parameters
    ----------
    state : `record` writes the state of quality down, `retire` ends the instrument's trading, `reinstate` brings a retired one
        back into quarantine; none = only looks

    Raises
    ------
    InvalidInput : a table that holds no bars, or states of another table than daily bars
    ConflictError : the instrument was judged at a later moment than the clock's, or is not retired
    """
    kind = table_of(table)
    if kind.kind != "bars" or kind.interval is None:
        raise InvalidInput(f"expected a table of bars to check, such as bars/1d or bars/1m, found {table}")
    described = load_instrument(workspace.ledger, instrument)
    bars = workspace.store.read(instrument, table=table, dataset=dataset)
    flags = bars.select(pl.col("reasons").str.split(",").explode().drop_nulls()).to_series().value_counts(sort=True)
    lineage = workspace.store.lineage(instrument, table=table, dataset=dataset)[-1]
    actions = known_actions(workspace.store, instrument, lineage.dataset)
    faults = find_faults(bars, actions, split_adjusted=lineage.adjustment == "adjusted_only")
    score = quality(bars, described, bars["ts"][-1] + DECISION_DELAY) if table == DAILY else None
    return DataCheck(
        described,
        score,
        gap_report(bars, described, kind.interval),
        dict(flags.iter_rows()),
        faults,
        _state(workspace, score, bars, state),
    )


def _state(workspace: Workspace, score: QualityReport | None, bars: pl.DataFrame, wish: str | None) -> State | None:
    """The state that was asked for, or the one that would follow."""
    if score is None:
        if wish is not None:
            raise InvalidInput("expected daily bars: states of quality are judged on bars/1d")
        return None
    ledger, newest, now = workspace.ledger, bars["ts"][-1], workspace.clock.now()
    match wish:
        case None:
            before = state_of(ledger, score.instrument)
            return judge(before, score.score, bars.height, score.as_of if before is None else now, newest=newest)
        case "record":
            return record_state(ledger, score, bars.height, at=now, newest=newest).state
        case "retire":
            return retire(ledger, score.instrument, now).state
        case "reinstate":
            return reinstate(ledger, score.instrument, now).state
    raise InvalidInput(f"expected state record, retire or reinstate, found {wish!r}")


def verify_data(workspace: Workspace) -> Verified:
    """Hash every file of the store again."""
    return Verified(workspace.store.verify())


def compact_data(workspace: Workspace) -> Compacted:
    """Merge the day segments of intraday tables into their years."""
    return Compacted(workspace.store.compact())
