"""The bars of a backtest: as they were known and not sealed, on one clock, with what strategies may see of them.

Orders fill at raw prices, and splits and dividends are booked as events. Strategies see closes that run on through a split: from
the ex-date on, prices are multiplied by the shares that one share has become (sizes divided), so that nothing that happens later
changes an earlier number. A source that gives back-adjusted prices alone is run on those, and the result says so.

A decision about a daily bar is made 30 minutes after its session's close, where the next session opens later than that, else at
the bar's end: by that moment a projection is known or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.data.actions import effective
from fieldcast.ground import InvalidInput, MissingData, digest
from fieldcast.market import DAILY, DECISION_DELAY, PRICES, Instrument, sessions, table_of
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_settings import BacktestPlan, DataPart
from fieldcast.workflows.progress import Progress
from fieldcast.workflows.workspace import Workspace

Array = npt.NDArray[np.float64]
SHARES = (Kind.EQUITY, Kind.ETF)
_STAGE = "Bars"
PRICE_PLACES = 8         # what the venue carries of a price
_MICROS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}


@dataclass(frozen=True, eq=False)
class BacktestData:
    """What a run is played on.

    Parameters
    ----------
    market : raw prices (or those that the source adjusted) of all instruments on one clock
    actions : rows of table `actions` that are booked; none = nothing to book
    signals : for each instrument what strategies see: (T_n,) arrays of its own bars
    places : for each instrument the numbers of its bars on the market's clock
    warnings : what a reader has to know
    """

    market: Market
    actions: pl.DataFrame
    signals: tuple[Mapping[str, npt.NDArray[Any]], ...]
    places: tuple[npt.NDArray[np.intp], ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self.market.instruments

    @property
    def data_hash(self) -> str:
        """SHA-256 of everything that the run reads."""
        if self.actions.is_empty():
            return self.market.data_hash
        plain = self.actions.select(pl.all().cast(pl.String)).to_dicts()
        return digest([self.market.data_hash, plain])

    def spread(self, targets: list[Array]) -> Array:
        """(N, T) targets on the market's clock out of each instrument's own; between its bars the last one stands."""
        out = np.zeros((len(targets), self.market.bars))
        for row, (values, places) in enumerate(zip(targets, self.places, strict=True)):
            newest = np.searchsorted(places, np.arange(self.market.bars), side="right") - 1
            known = newest >= 0
            out[row, known] = values[newest[known]]
        return out

    def wide(self) -> dict[str, Any]:
        """(N, T) arrays of all instruments for a strategy that looks at them together; NaN where one has no bar."""
        shape = (len(self.signals), self.market.bars)
        out: dict[str, Any] = {"ts": self.market.ts, "open_ts": self.market.open_ts}
        for name in ("open", "high", "low", "close", "volume"):
            out[name] = np.full(shape, np.nan)
            for row, (arrays, places) in enumerate(zip(self.signals, self.places, strict=True)):
                out[name][row, places] = arrays[name]
        return out | {"instruments": [one.id for one in self.instruments]}


def backtest_data(workspace: Workspace, plan: BacktestPlan, *, until: datetime | None, progress: Progress) -> BacktestData:
    """Read the plan's bars.

    Parameters
    ----------
    until : nothing that became known later is read

    Raises
    ------
    MissingData : an instrument is unknown, or has fewer than two bars in the span
    InvalidInput : an instrument that is never held
    """
    part, warnings = plan.data, []
    frames, instruments, actions = {}, {}, []
    for done, name in enumerate(part.instruments):
        progress(_STAGE, done, len(part.instruments))
        described = load_instrument(workspace.ledger, name)
        if not (described.tradable or described.notional):
            raise InvalidInput(f"expected instruments that can be held, found {name}, which is only watched")
        frames[name] = _bars(workspace, described, part, until)
        instruments[name] = described
        if described.notional:
            warnings.append(f"{name} is held in notional units: an index has no contract of its own")
        booked, said = _actions(workspace, described, part, frames[name], until)
        actions.append(booked)
        warnings += said
    progress(_STAGE, len(part.instruments), len(part.instruments))
    market = _market(frames, instruments, part.table)
    booked = pl.concat(actions)
    signals, places = zip(*(_signals(market, row, booked, part) for row in range(len(instruments))), strict=True)
    return BacktestData(market, booked, tuple(signals), tuple(places), tuple(warnings))


def _bars(workspace: Workspace, instrument: Instrument, part: DataPart, until: datetime | None) -> pl.DataFrame:
    store, where = workspace.store, {"table": part.table, "dataset": part.dataset}
    found = store.read(instrument.id, as_of=until, first=part.first, last=part.last, **where)  # type: ignore[arg-type]
    if found.height < 2:
        every = store.read(instrument.id, columns=["ts"], **where)["ts"]  # type: ignore[arg-type]
        sealed = "" if until is None else f", sealed or unknown from {until:%Y-%m-%d} on"
        raise MissingData(
            f"expected at least two bars of {instrument.id} ({part.table}) from {part.first or 'the beginning'} to "
            f"{part.last or 'the end'}, found {found.height}; the store has {every[0]:%Y-%m-%d} to {every[-1]:%Y-%m-%d}{sealed}"
        )
    return found.with_columns(pl.col(PRICES).round(PRICE_PLACES))      # adjusted prices miss each other by a last binary digit


def _actions(
    workspace: Workspace, instrument: Instrument, part: DataPart, bars: pl.DataFrame, until: datetime | None
) -> tuple[pl.DataFrame, list[str]]:
    """The corporate actions to book, and what has to be said of them."""
    lineage = workspace.store.lineage(instrument.id, table=part.table, dataset=part.dataset)
    if any(delivery.adjustment == "adjusted_only" for delivery in lineage):
        return ACTIONS.empty(), [
            f"{instrument.id}: the source gives back-adjusted prices alone: splits and dividends are in them, and levels are not "
            "those that were traded"
        ]
    if instrument.kind not in SHARES or part.actions == "none":
        return ACTIONS.empty(), []
    try:
        known = workspace.store.read(instrument.id, table=ACTIONS.name, as_of=until)
    except MissingData:
        return ACTIONS.empty(), [f"{instrument.id}: no splits or dividends are stored, so that none are booked"]
    during = (pl.col("effective_at") > bars["ts"][0]) & (pl.col("effective_at") <= bars["ts"][-1])
    return known.filter(during), []


def _market(frames: Mapping[str, pl.DataFrame], instruments: Mapping[str, Instrument], table: str) -> Market:
    interval = table_of(table).interval or "1d"
    if table != DAILY:
        return Market.of(frames, instruments, bar_length_us=int(interval[:-1]) * _MICROS[interval[-1]])
    market = Market.of(frames, instruments)
    opens = np.full(market.bars, np.iinfo(np.int64).max)
    for row, instrument in enumerate(market.instruments):
        there = np.flatnonzero(np.isfinite(market.close[row]))
        hours = sessions(instrument.calendar).select("open", ts="close").with_columns(pl.col("ts").dt.epoch("us"))
        known = pl.DataFrame({"ts": market.ts[there]}).join(hours, on="ts", how="left", maintain_order="left")
        begin = known["open"].dt.epoch("us").fill_null(0).to_numpy()
        opens[there] = np.minimum(opens[there], begin)
    opens = np.where(opens <= 0, market.open_ts, np.maximum(opens, market.open_ts))
    return Market(
        instruments=market.instruments, ts=market.ts, open_ts=opens, open=market.open, high=market.high, low=market.low,
        close=market.close, volume=market.volume, trusted_open=market.trusted_open, simulated=market.simulated,
    )  # fmt: skip


def _signals(
    market: Market, row: int, actions: pl.DataFrame, part: DataPart
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.intp]]:
    """The arrays that strategies see of one instrument, and the numbers of its bars on the clock."""
    places = np.flatnonzero(np.isfinite(market.close[row]))
    ts = market.ts[places]
    ahead = np.append(market.open_ts[places[1:]], np.iinfo(np.int64).max)
    delay = int(DECISION_DELAY.total_seconds() * 1e6) if part.table == DAILY else 0
    decided = np.where(ts + delay < ahead, ts + delay, ts)
    shares = _shares(market.instruments[row].id, actions, ts) if part.signals == "split" else np.ones(ts.size)
    opened = np.where(market.trusted_open[row], market.open[row], np.nan)[places]
    prices = {name: getattr(market, name)[row, places] * shares for name in ("high", "low", "close")}
    volume = market.volume[row, places] / shares
    return {"ts": ts, "open_ts": market.open_ts[places], "decided_ts": decided, "open": opened * shares, **prices,
            "volume": volume}, places  # fmt: skip


def _shares(instrument: str, actions: pl.DataFrame, ts: npt.NDArray[np.int64]) -> Array:
    """(T,) what one share of the first bar has become by each bar's end."""
    own = actions.filter(pl.col("instrument") == instrument)
    if own.is_empty():
        return np.ones(ts.size)
    newest: datetime = own.select(pl.max_horizontal("effective_at", "available_at").max()).item()
    splits = effective(own, newest, "split")
    moments = splits["effective_at"].dt.epoch("us").to_numpy()
    grown = np.concatenate([[1.0], np.cumprod(splits["ratio"].fill_null(1.0).to_numpy())])
    found: Array = grown[np.searchsorted(moments, ts, side="left")]
    return found
