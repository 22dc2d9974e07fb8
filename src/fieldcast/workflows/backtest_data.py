"""The bars of a backtest: as they were known and not sealed, on one clock, with what strategies may see of them.

Orders fill at raw prices, and splits and dividends are booked as events. Strategies see closes that run on through a split: from
the ex-date on, prices are multiplied by the shares that one share has become (sizes divided), so that nothing that happens later
changes an earlier number. A source that gives back-adjusted prices alone is run on those, and the result says so.

A decision about a daily bar is made 30 minutes after its session's close, where the next session opens later than that, else at
the bar's end: by that moment a projection is known or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.data.actions import effective
from fieldcast.ground import ConfigError, InvalidInput, MissingData, digest
from fieldcast.market import DAILY, DECISION_DELAY, PRICES, Instrument, sessions, table_of
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation.currencies import DatedRates
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.events import canonical
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_chain import ChainRun, chain_run
from fieldcast.workflows.backtest_currencies import Purse, purse_of
from fieldcast.workflows.backtest_events import happenings
from fieldcast.workflows.backtest_financing import SHARES
from fieldcast.workflows.backtest_futures import Rolled, contracts_of, rolled
from fieldcast.workflows.backtest_money import InstrumentPart
from fieldcast.workflows.backtest_series import KnownSeries, series_of
from fieldcast.workflows.backtest_settings import BacktestPlan, DataPart
from fieldcast.workflows.progress import Progress
from fieldcast.workflows.workspace import Workspace

Array = npt.NDArray[np.float64]
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
    heads : what strategies have targets for: the plan's instruments, of which a root of futures is none of the market's
    signals : for each head what strategies see: (T_n,) arrays of its own bars
    places : for each head the numbers of its bars on the market's clock
    holding : for each head (T,) the row of the market that is held after each close
    roots : contract -> the root that it belongs to
    purse : the currencies that it is reckoned in
    events : everything that happens to the account by itself; None where nothing does
    fx : rates of the currencies, where there are several
    series : values that sizes are reckoned from, by id
    chain : contracts of options and when they are held; None in a plan without
    warnings : what a reader has to know
    """

    market: Market
    actions: pl.DataFrame
    heads: tuple[Instrument, ...]
    signals: tuple[Mapping[str, npt.NDArray[Any]], ...]
    places: tuple[npt.NDArray[np.intp], ...]
    holding: tuple[npt.NDArray[np.intp], ...]
    purse: Purse
    roots: Mapping[str, str] = field(default_factory=dict)
    events: EventTable | None = None
    fx: DatedRates | None = None
    series: Mapping[str, KnownSeries] = field(default_factory=dict)
    chain: ChainRun | None = None
    warnings: tuple[str, ...] = field(default=())

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self.market.instruments

    @property
    def data_hash(self) -> str:
        """SHA-256 of everything that the run reads."""
        read = [canonical(self.events)] if self.events is not None else []
        read += [] if self.chain is None else [repr(self.chain.schedule)]
        read += [[name, one.plain] for name, one in sorted(self.series.items())]
        return digest([self.market.data_hash, *read]) if read else self.market.data_hash

    def spread(self, targets: list[Array]) -> Array:
        """(heads, T) targets on the market's clock out of each head's own; between its bars the last one stands."""
        out = np.zeros((len(targets), self.market.bars))
        for row, (values, places) in enumerate(zip(targets, self.places, strict=True)):
            newest = np.searchsorted(places, np.arange(self.market.bars), side="right") - 1
            known = newest >= 0
            out[row, known] = values[newest[known]]
        return out

    def held(self, targets: Array) -> Array:
        """(N, T) targets of what the market holds, out of (heads, T): a root's stands at the contract of the moment."""
        out = np.zeros((len(self.instruments), self.market.bars))
        for values, rows in zip(targets, self.holding, strict=True):
            out[rows, np.arange(self.market.bars)] = values
        return out

    def wide(self) -> dict[str, Any]:
        """(N, T) arrays of all instruments for a strategy that looks at them together; NaN where one has no bar."""
        shape = (len(self.signals), self.market.bars)
        out: dict[str, Any] = {"ts": self.market.ts, "open_ts": self.market.open_ts}
        for name in ("open", "high", "low", "close", "volume"):
            out[name] = np.full(shape, np.nan)
            for row, (arrays, places) in enumerate(zip(self.signals, self.places, strict=True)):
                out[name][row, places] = arrays[name]
        return out | {"instruments": [one.id for one in self.heads]}


def backtest_data(
    workspace: Workspace, plan: BacktestPlan, *, until: datetime | None, progress: Progress, asked_by: str | None = None
) -> BacktestData:
    """Read the plan's bars.

    Parameters
    ----------
    until : nothing that became known later is read
    asked_by : hash of the plan that this one is read for, where seals have to be open for that (a benchmark); None = its own

    Raises
    ------
    MissingData : an instrument is unknown, or has fewer than two bars in the span
    InvalidInput : an instrument that is never held
    ConfigError : [futures] without a root, or an expiry of no stored contract
    """
    part, warnings = plan.data, []
    frames, instruments, actions = {}, {}, []
    series: dict[str, Rolled] = {}
    stored: list[str] = []      # contracts of the plan's roots
    for done, name in enumerate(part.instruments):
        progress(_STAGE, done, len(part.instruments))
        contracts = () if plan.futures is None else contracts_of(workspace, name, part.table, plan.futures)
        stored += [one.id for one in contracts]
        if plan.futures is not None and contracts:
            series[name] = found = rolled(workspace, name, contracts, plan.futures, plan.instruments.get(name), table=part.table,
                                          dataset=part.dataset, first=part.first, last=part.last, until=until)  # fmt: skip
            for one, frame in zip(found.instruments, found.frames, strict=True):
                frames[one.id], instruments[one.id] = frame.with_columns(pl.col(PRICES).round(PRICE_PLACES)), one
            warnings.append(found.words)
            continue
        described = _as_planned(load_instrument(workspace.ledger, name), plan.instruments.get(name))
        if not (described.tradable or described.notional or _under_options_alone(plan, name)):
            raise InvalidInput(
                f"expected instruments that can be held, found {name}, which is only watched; options on it need [options] with "
                "shares = false"
            )
        frames[name] = _bars(workspace, described, part, until)
        instruments[name] = described
        if described.notional:
            warnings.append(f"{name} is held in notional units: an index has no contract of its own")
        booked, said = _actions(workspace, described, part, frames[name], until)
        actions.append(booked)
        warnings += said
    progress(_STAGE, len(part.instruments), len(part.instruments))
    _refuse_no_root(plan, stored)
    chain = None
    if plan.options is not None:
        under = plan.options.underlying or part.instruments[0]
        chain = chain_run(workspace, instruments[under], frames[under], plan.options, until=until)
        for one, frame in zip(chain.instruments, chain.frames, strict=True):
            frames[one.id], instruments[one.id] = frame.with_columns(pl.col(PRICES).round(PRICE_PLACES)), one
        warnings += chain.words
        if plan.costs.regulatory == "by_date":
            warnings.append("costs.regulatory by_date charges sales of shares; options pay the fees of their own preset")
    market = _market(frames, instruments, part)
    booked = pl.concat([ACTIONS.empty(), *actions])
    rows = {one.id: row for row, one in enumerate(market.instruments)}
    heads, signals, places, holding = [], [], [], []
    for name in part.instruments:
        root = series.get(name)
        if root is None:
            own, place = _signals(market, rows[name], booked, part)
            held = np.full(market.bars, rows[name], dtype=np.intp)
        else:
            own, place = _rolled_signals(market, root.series, part)
            held = root.holding(rows, market.ts)
        heads.append(market.instruments[rows[name]] if root is None else root.head)
        signals.append(own)
        places.append(place)
        holding.append(held)
    if plan.fills.finer is not None:
        market = replace(market, finer=_finer(workspace, plan, market, until), _cache={})
    happens = happenings(
        workspace, plan, market, booked, tuple(series.values()), () if chain is None else chain.terms, until=until,
        asked_by=asked_by,
    )  # fmt: skip
    names = () if plan.sizing is None else plan.sizing.series
    return BacktestData(
        market=market,
        actions=booked,
        heads=tuple(heads),
        signals=tuple(signals),
        places=tuple(places),
        holding=tuple(holding),
        roots={one.id: name for name, root in series.items() for one in root.instruments},
        purse=purse_of(plan, market.instruments),
        events=happens.events,
        fx=happens.fx,
        series={name: KnownSeries(series_of(workspace, name, until=until)) for name in names},
        chain=chain,
        warnings=(*warnings, *happens.warnings),
    )


def _under_options_alone(plan: BacktestPlan, name: str) -> bool:
    """True of what options stand on in a plan that does not hold it."""
    part = plan.options
    return part is not None and not part.shares and name == (part.underlying or plan.data.instruments[0])


def _refuse_no_root(plan: BacktestPlan, stored: list[str]) -> None:
    """Refuse rolls that nothing has: no root among the instruments, or expiries of contracts that are none of theirs."""
    if plan.futures is None:
        return
    if not stored:
        raise ConfigError(
            f"futures: expected a root such as XCME:ES, whose contracts (XCME:ES.2024H) stand in {plan.data.table}, among the "
            f"instruments, found {', '.join(plan.data.instruments[:5])}; import the contracts, or leave out [futures]"
        )
    strange = sorted(set(plan.futures.expiries) - set(stored))
    if strange:
        raise ConfigError(f"futures.expiries: expected contracts out of {', '.join(stored)}, found {', '.join(strange)}")


def _as_planned(instrument: Instrument, part: InstrumentPart | None) -> Instrument:
    """The instrument with the tick, lot and multiplier that the plan gives it."""
    return instrument if part is None else replace(instrument, **part.terms)


def _finer(workspace: Workspace, plan: BacktestPlan, market: Market, until: datetime | None) -> Market:
    """The bars inside those of the run, as far as they lie in one each.

    Raises
    ------
    MissingData : an instrument has none inside the run
    """
    table = plan.fills.finer
    assert table is not None
    interval = table_of(table).interval
    assert interval is not None
    length = int(interval[:-1]) * _MICROS[interval[-1]]
    first, last = int(market.open_ts[0]), int(market.ts[-1])
    days = [np.datetime64(moment, "us").astype("datetime64[D]").item() for moment in (first, last)]
    frames = {}
    for one in market.instruments:
        rows = workspace.store.read(one.id, table=table, dataset=plan.data.dataset, as_of=until, first=days[0], last=days[1])
        ends = rows["ts"].dt.epoch("us").to_numpy()
        bar = np.minimum(np.searchsorted(market.ts, ends, side="left"), market.bars - 1)
        inside = (ends <= market.ts[bar]) & (ends - length >= market.open_ts[bar])
        if not inside.any():
            raise MissingData(f"expected bars of {one.id} ({table}) inside those of the run, found none; import them, or leave "
                              "fills.intrabar at worst")  # fmt: skip
        frames[one.id] = rows.filter(pl.Series(inside)).with_columns(pl.col(PRICES).round(PRICE_PLACES))
    return Market.of(frames, list(market.instruments), bar_length_us=length, calendar=plan.data.calendar)


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


def _market(frames: Mapping[str, pl.DataFrame], instruments: Mapping[str, Instrument], part: DataPart) -> Market:
    interval = table_of(part.table).interval or "1d"
    if part.table != DAILY:
        length = int(interval[:-1]) * _MICROS[interval[-1]]
        return Market.of(frames, instruments, bar_length_us=length, calendar=part.calendar)
    market = Market.of(frames, instruments, calendar=part.calendar)
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
        close=market.close, volume=market.volume, trusted_open=market.trusted_open, session=market.session,
        simulated=market.simulated,
    )  # fmt: skip


def _signals(
    market: Market, row: int, actions: pl.DataFrame, part: DataPart
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.intp]]:
    """The arrays that strategies see of one instrument, and the numbers of its bars on the clock."""
    places = np.flatnonzero(np.isfinite(market.close[row]))
    ts = market.ts[places]
    decided = _decided(market, places, part)
    shares = _shares(market.instruments[row].id, actions, ts) if part.signals == "split" else np.ones(ts.size)
    opened = np.where(market.trusted_open[row], market.open[row], np.nan)[places]
    prices = {name: getattr(market, name)[row, places] * shares for name in ("high", "low", "close")}
    volume = market.volume[row, places] / shares
    return {"ts": ts, "open_ts": market.open_ts[places], "decided_ts": decided, "open": opened * shares, **prices,
            "volume": volume}, places  # fmt: skip


def _decided(market: Market, places: npt.NDArray[np.intp], part: DataPart) -> npt.NDArray[np.int64]:
    """When decisions about these bars are made; see the module."""
    ts = market.ts[places]
    ahead = np.append(market.open_ts[places[1:]], np.iinfo(np.int64).max)
    delay = int(DECISION_DELAY.total_seconds() * 1e6) if part.table == DAILY else 0
    return np.where(ts + delay < ahead, ts + delay, ts)


def _rolled_signals(
    market: Market, series: pl.DataFrame, part: DataPart
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.intp]]:
    """The arrays that strategies see of a root of futures."""
    ts = series["ts"].dt.epoch("us").to_numpy()
    places = np.searchsorted(market.ts, ts)
    seen = {name: series[name].to_numpy().astype(np.float64) for name in (*PRICES, "volume")}
    return {"ts": ts, "open_ts": market.open_ts[places], "decided_ts": _decided(market, places, part)} | seen, places


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
