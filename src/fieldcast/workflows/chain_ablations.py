"""The ablations of what is read from option chains: the chain of a session in progress, and signed prints.

Both walk the experiment's nominated model twice over the same rows, those where both readings of the chain are known: once beside
columns of the dealer and elasticity fields as they are without the upgrade, once as they are with it. Number, names and order of
the columns are the same, so that the walks differ in nothing but the reading.

    intraday_dealer   decided an hour before the close, inside the session: without it the last chain from before the open, with
                      it the newest one. Other columns are those of the day before; what the underlying has done since its last
                      close stands in both walks (`session_return`, by the newest chain's price): the price alone earns nothing
    print_stream      decided where the experiment decides, after the close: without it the naive sign policy, with it the last
                      day's signed prints

A chain that states no price of its underlying (LEAN's) takes it from the store, or from parity: `workflows.chain_spot`.

What is asked is the sign of the return from this session's close to the next. Rows without a chain, or without prints, are no
rows: with too few of them there is nothing to record, and the answer is that it cannot be judged.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.features._engine_matrix import engine_matrix
from fieldcast.fields import FieldMap
from fieldcast.fields.dealer import NAIVE, SignPolicy, dealer_field
from fieldcast.fields.elasticity import elasticity_field
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import sessions
from fieldcast.projection.walk_forward import OddsTask
from fieldcast.validation import INTRADAY_DEALER, PRINT_STREAM, Upgrade
from fieldcast.workflows.ablations import Ablation, nominated_task, recorded
from fieldcast.workflows.chain_spot import PRICES
from fieldcast.workflows.experiment import Experiment, load_experiment
from fieldcast.workflows.fields import Known, chain_rules
from fieldcast.workflows.prepare import Array, Prepared, prepare
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until, may_start
from fieldcast.workflows.upgrades import newest_of, print_flow, session_in_progress
from fieldcast.workflows.walks import run_walks
from fieldcast.workflows.workspace import Workspace

COLUMNS = (
    "hedge.net_gamma_share", "hedge.call_gamma_share", "hedge.dealer_long_share", "hedge.absolute_gamma_strike", "hedge.max_pain",
    "hedge.expected_move_sd", "hedge.energy_share_up", "hedge.asymmetry",
)  # fmt: skip
SESSION_RETURN = "session_return"
BEFORE_CLOSE = timedelta(hours=1)
_TABLES = (*PRICES, "chains", "open_interest", "option_trades")
_STAGE = "Readings of the option chain"


class _Reader(Protocol):
    """Reads the chain of one row without and with the upgrade."""

    def moment(self, row: int) -> datetime | None:
        """When the row's decision is made; None where it has none."""

    def read(self, row: int, at: datetime) -> tuple[list[float], list[float]] | None:
        """The columns without and with the upgrade; None where one of the two is not known."""

    @property
    def lost(self) -> _Lost:
        """Why rows are not known."""


class _Lost:
    """Why rows have no reading: how many, and the engine's own words for the first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, why: str, words: str = "") -> None:
        count, first = self._found.get(why, (0, words))
        self._found[why] = count + 1, first

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(f"{count:,} rows: {why}{f' ({words})' if words else ''}" for why, (count, words) in self._found.items())


def ablate_intraday_dealer(
    workspace: Workspace, instrument: str, experiment: Experiment | None = None, *, progress: Progress = silent
) -> Ablation:
    """Walk with the chain from before each session, and with the newest one inside it; record what that shows.

    Parameters
    ----------
    experiment : None = the demo's

    Returns
    -------
    an ablation whose outcome is `cannot_judge` where stored chains give too few rows

    Raises
    ------
    MissingData : too few bars, or no chain is stored
    InvalidInput : what is nominated is not the sign of the next session's return, or has no features
    Halted : the experiment is a pre-registered one without its effect size on record
    """
    return _ablate(workspace, instrument, experiment, INTRADAY_DEALER, progress)


def ablate_print_stream(
    workspace: Workspace, instrument: str, experiment: Experiment | None = None, *, progress: Progress = silent
) -> Ablation:
    """Walk with the naive sign policy, and with that of signed prints; record what that shows. As `ablate_intraday_dealer`."""
    return _ablate(workspace, instrument, experiment, PRINT_STREAM, progress)


def _ablate(
    workspace: Workspace, instrument: str, experiment: Experiment | None, upgrade: Upgrade, progress: Progress
) -> Ablation:
    experiment = experiment or load_experiment()
    may_start(workspace, [instrument], experiment)
    until = known_until(workspace, (instrument,), experiment.hash)
    described = load_instrument(workspace.ledger, instrument)
    held = workspace.store.datasets().filter(pl.col("instrument") == instrument)
    chains = held.filter(pl.col("table") == "chains")
    if chains.is_empty():
        raise MissingData(f"expected option chains of {instrument} in the store, found none; import or simulate some")
    prepared = prepare(workspace.store, described, experiment, as_of=until)
    base = nominated_task(prepared, experiment)
    simulated = described.simulated or bool(held.filter(pl.col("table").is_in(_TABLES))["simulated"].any())
    source = Known(workspace, described, {})
    reader: _Reader = _Intraday(source, prepared) if upgrade is INTRADAY_DEALER else _Prints(source, prepared)
    first, last = chains["first_ts"].min(), chains["last_ts"].max()
    places, off, on = [], [], []
    wanted = [row for row in range(base.first_usable, prepared.rows) if _within(prepared.decision[row], first, last)]
    for done, row in enumerate(wanted):
        progress(_STAGE, done, len(wanted))
        at = reader.moment(row)
        found = None if at is None or (until is not None and at >= until) else reader.read(row, at)
        if found is not None:
            places.append(row)
            off.append(found[0])
            on.append(found[1])
    progress(_STAGE, len(wanted), len(wanted))
    data = f"experiment {experiment.hash[:16]}, data {prepared.data_hash[:16]}"
    lag, extra = (1, (SESSION_RETURN,)) if upgrade is INTRADAY_DEALER else (0, ())
    names = (*base.columns, *extra, *COLUMNS)
    width = len(names) - len(base.columns)
    walks = [_task(base, np.array(places, dtype=np.int64), lag, names, np.reshape(side, (-1, width))) for side in (off, on)]
    stage = f"Ablation of {upgrade.name}"
    walked = run_walks(walks, workers=workspace.settings.workers, progress=progress, stage=stage) if places else []
    without, using = (walk.odds for walk in walked) if walked else (np.empty(0), np.empty(0))
    return recorded(
        workspace, upgrade, instrument, experiment,
        with_odds=using, without_odds=without, returns=prepared.returns[1][places], dates=prepared.decision[places],
        simulated=simulated, rows=len(places), notes=reader.lost.notes,
        command=f"workflows.ablate_{upgrade.name}({instrument!r}), {data}",
    )  # fmt: skip


def _within(decision: np.datetime64, first: object, last: object) -> bool:
    day = decision.astype("datetime64[D]").item()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return bool(first.date() <= day <= last.date() + timedelta(days=1))


def _task(base: OddsTask, rows: np.ndarray, lag: int, names: tuple[str, ...], readings: Array) -> OddsTask:
    """The walk over some of the rows, with the columns of `lag` rows before and the readings beside them."""
    return replace(
        base, columns=names, features=np.column_stack([base.features[rows - lag], readings]), y=base.y[rows],
        decision=base.decision[rows], label_end=base.label_end[rows], first_usable=0,
        optional=base.optional | set(COLUMNS),      # a quantity that a chain seldom gives costs no rows
    )  # fmt: skip


class _Prints:
    """The newest chain after the close, under the naive policy and under that of the prints."""

    def __init__(self, source: Known, prepared: Prepared) -> None:
        self._source, self._decision, self.lost = source, prepared.decision, _Lost()

    def moment(self, row: int) -> datetime | None:
        return _utc(self._decision[row])

    def read(self, row: int, at: datetime) -> tuple[list[float], list[float]] | None:
        chain = _priced(self._source, newest_of(self._source.chains(at), at), at, self.lost, "the newest chain")
        if chain is None:
            return None
        flow = print_flow(self._source.workspace, self._source.instrument.id, chain)
        if flow is None:
            self.lost.add("no print of the chain's contracts in the day before")
            return None
        return _pair(*(_columns(self._source, chain, sign, self.lost) for sign in (NAIVE, flow)))


class _Intraday:
    """The last chain from before the open, and the newest one an hour before the close."""

    def __init__(self, source: Known, prepared: Prepared) -> None:
        self._source, self.lost = source, _Lost()
        self._ends, self._closes = prepared.table["ts"], prepared.bars["close"]
        days = sessions(source.instrument.calendar)
        self._opens = dict(zip(days["close"].to_list(), days["open"].to_list(), strict=True))

    def moment(self, row: int) -> datetime | None:
        end = self._ends[row]
        opened = self._opens.get(end)      # a bar that ends with no session has no hour before it
        at = end - BEFORE_CLOSE
        return at if row > 0 and opened is not None and opened < at else None

    def read(self, row: int, at: datetime) -> tuple[list[float], list[float]] | None:
        rows = self._source.chains(at)
        opened = session_in_progress(self._source.instrument.calendar, at)
        if rows is None or opened is None or rows["ts"].max() < opened:  # type: ignore[operator]
            self.lost.add("no chain of the session an hour before its close")
            return None
        before = _priced(
            self._source, newest_of(rows.filter(pl.col("ts") < opened), at), at, self.lost, "the last chain from before the open"
        )
        newest = _priced(self._source, newest_of(rows, at), at, self.lost, "the newest chain")
        if before is None or newest is None:
            return None
        pair = _pair(*(_columns(self._source, chain, NAIVE, self.lost) for chain in (before, newest)))
        moved = float(np.log(newest.spot / self._closes[row - 1]))
        return None if pair is None else ([moved, *pair[0]], [moved, *pair[1]])


def _priced(source: Known, rows: pl.DataFrame | None, at: datetime, lost: _Lost, which: str) -> PricedChain | None:
    """A snapshot, priced; None where there is none, or where none of it can be priced."""
    if rows is None:
        lost.add(f"{which} is not there")
        return None
    try:
        spot = source.spot(rows, at, chain_rules(source.instrument))
        return price_chain(rows, at, spot=spot.price, rules=spot.rules)
    except (MissingData, InvalidInput) as error:
        lost.add(f"{which} cannot be priced", str(error))
        return None


def _columns(source: Known, chain: PricedChain, sign: SignPolicy, lost: _Lost) -> list[float | None] | None:
    """COLUMNS of a chain under a sign policy."""
    try:
        readings = (
            dealer_field(chain, sign=sign, calendar=source.instrument.calendar).reading(), elasticity_field(chain, sign).reading()
        )
    except (MissingData, InvalidInput) as error:
        lost.add("a chain gives no field", str(error))
        return None
    found = FieldMap.without_bars(source.instrument.id, chain.as_of, chain.ts, chain.spot, readings, absent={})
    return list(engine_matrix([found], None).select(COLUMNS).row(0))


def _pair(off: list[float | None] | None, on: list[float | None] | None) -> tuple[list[float], list[float]] | None:
    """Both sides, NaN in both where one of them does not know a column: a walk must not see which."""
    if off is None or on is None:
        return None
    unknown = [left is None or right is None for left, right in zip(off, on, strict=True)]

    def known(side: list[float | None]) -> list[float]:
        return [np.nan if gone or value is None else value for value, gone in zip(side, unknown, strict=True)]

    return known(off), known(on)


def _utc(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
