"""The warm state of one instrument: a new bar in, its packet out, in milliseconds.

A projector is made from a history as a validation is, for the nominated model alone, and keeps what it made: fitted models and
calibrators, feature inputs as arrays, level trackers, hits. A bar costs the newest row of the features and one forecast for each
horizon; a bar that opens a fold of the walk costs what the fold learns besides. Nothing is scored, no gate is asked and no trial
recorded: `validate` does that.

The packet is that of `validate` on the same history, to the last bit.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.evaluation import Fold
from fieldcast.features import columns, compute
from fieldcast.features._compute import newest, reads_bars_alone
from fieldcast.features._inputs import Inputs, read_bars
from fieldcast.features._registry import of_blocks
from fieldcast.ground import ConflictError, InvalidInput, Reason, ShortHistory, digest
from fieldcast.market import Instrument, sessions, sessions_per_year
from fieldcast.models import daily_variance
from fieldcast.models.log_har import bar_variance
from fieldcast.projection import ProjectionPacket
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.figures import horizon_figures
from fieldcast.projection.growing import Growing
from fieldcast.projection.packet import PACKET_SCHEMA_VERSION
from fieldcast.projection.walk_forward import OddsTask, WalkState, walk_and_keep
from fieldcast.projection.warm import HorizonState, Row, VolatilityState
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import Array, Prepared, prepare_bars
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.study import HAR_WINDOW, compose_paths, cone_maker, configuration, require_history
from fieldcast.workflows.walks import odds_tasks, splitter
from fieldcast.workflows.workspace import Workspace

_HASHED = ("open", "high", "low", "close", "volume")
_ARRAYS = ("ts", "as_of", "available_at", "open", "high", "low", "close", "volume")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Projector:
    """One instrument under one experiment, after its newest bar.

    Parameters
    ----------
    bars : the history, schema `market.BARS`, one instrument, ascending
    instrument, experiment : what the bars are of, and what is nominated

    Raises
    ------
    ShortHistory : there is no out-of-sample row yet
    InvalidInput : the experiment reads the block `vix`, whose bars come later than these; or bars that break their schema
    """

    def __init__(self, bars: pl.DataFrame, instrument: Instrument, experiment: Experiment) -> None:
        if "vix" in experiment.features.blocks:
            raise InvalidInput("expected an experiment without the block vix for a warm state, found it; use project")
        self.instrument, self.experiment = instrument, experiment
        self._frames = [bars]
        self._calendar = _Calendar.of(instrument.calendar)
        self._alone = all(reads_bars_alone(column.block) for column in of_blocks(experiment.features.blocks))
        prepared = prepare_bars(bars, instrument, experiment, data_hash="")
        require_history(prepared, experiment)
        self._begin = prepared.first_usable + experiment.walk_forward.initial
        self._tasks = self._nominated(prepared)
        kept = {task.key[1:3]: walk_and_keep(task) for task in self._tasks}
        walks = [walk for walk, _ in kept.values()]
        self._states: dict[tuple[str, int], WalkState] = {place: state for place, (_, state) in kept.items()}
        if not any(np.isfinite(walk.odds).any() for walk in walks if walk.label == "sign"):
            raise ShortHistory(f"expected an out-of-sample forecast of {instrument.id}, found none; import a longer history")
        inputs = read_bars(bars)
        self._series = {name: Growing(getattr(inputs, name)) for name in _ARRAYS}
        self._known = {name: Growing(known) for name, known in inputs.known.items()}
        self._hash = hashlib.sha256()
        self._hash_rows(bars)
        paths = compose_paths(prepared, walks, experiment)
        self._horizons = self._states_of(prepared, paths)
        self._model_id = _model_id(experiment)
        self._opened: list[int] = []
        events = {walk.horizon: float(walk.odds[-1]) for walk in walks if walk.label == "event"}
        place = self._calendar.place(int(inputs.ts[-1]), instrument)
        self._packet = self._packet_of(place, [_last(path) for path in paths], events)

    @classmethod
    def open(
        cls, workspace: Workspace, instrument: str, experiment: Experiment, *, as_of: datetime | None = None
    ) -> Projector:
        """The projector of the stored history of an instrument, as known at `as_of`; of a sealed span it sees nothing.

        Raises
        ------
        MissingData : the instrument is unknown, or has no rows
        ShortHistory : there is no out-of-sample row yet
        """
        described = load_instrument(workspace.ledger, instrument)
        until = known_until(workspace, (instrument,), experiment.hash, as_of)
        return cls(workspace.store.read(instrument, as_of=until), described, experiment)

    @property
    def packet(self) -> ProjectionPacket:
        """The packet of the newest bar."""
        return self._packet

    @property
    def fits(self) -> tuple[int, ...]:
        """Rows at which a fold of the walk was opened since this projector was made."""
        return tuple(self._opened)

    @property
    def data_hash(self) -> str:
        """SHA-256 of the history up to the newest bar, as it stands in the packet."""
        return self._hash.hexdigest()

    def refresh(self, workspace: Workspace, *, as_of: datetime | None = None) -> ProjectionPacket:
        """The packet of the newest stored bar: the bars that came since are added.

        Raises
        ------
        ConflictError : a bar that this projector has seen was restated; open a new one
        """
        until = known_until(workspace, (self.instrument.id,), self.experiment.hash, as_of)
        last = self._frames[-1].tail(1)
        stored = workspace.store.read(self.instrument.id, as_of=until, first=last["ts"][0].date())
        seen = stored.filter(pl.col("ts") <= last["ts"][0])
        if not seen.tail(1).equals(last):
            raise ConflictError(f"expected the newest bar of {self.instrument.id} as it was read, found it restated; open anew")
        later = stored.filter(pl.col("ts") > last["ts"][0])
        return self.add(later) if later.height else self._packet

    def add(self, bars: pl.DataFrame) -> ProjectionPacket:
        """The packet after one or more new bars, schema `market.BARS`, ascending, later than all before.

        Raises
        ------
        InvalidInput : bars that break their schema, do not end a session of the calendar, or do not follow
        """
        last = self._frames[-1].tail(1)
        inputs = read_bars(pl.concat([last, bars]) if bars.height else last)  # one instrument, ascending after the last one
        if not bars.height:
            raise InvalidInput("expected at least one new bar, found none")
        for place in range(1, inputs.rows):
            self._append(bars[place - 1 : place], inputs, place)
        return self._packet

    # one bar ----------------------------------------------------------------------------------------------------------

    def _append(self, bar: pl.DataFrame, inputs: Inputs, place: int) -> None:
        """Take one bar in and make its packet."""
        session = self._calendar.place(int(inputs.ts[place]), self.instrument)
        for name in _ARRAYS:
            self._series[name].add(getattr(inputs, name)[place])
        for name, known in inputs.known.items():
            self._known[name].add(known[place])
        self._frames.append(bar)
        stored = [np.nan if (value := bar[name][0]) is None else float(value) for name in _HASHED]
        self._hash.update(struct.pack("<q5d", int(inputs.ts[place]), *stored))
        row = len(self._series["ts"]) - 1
        offset = (row - self._begin) % self.experiment.walk_forward.step
        tested = offset < self.experiment.walk_forward.test
        folds: dict[int, Fold] = {}
        if offset == 0:
            folds = self._open_folds()
            self._opened.append(row)
        features = self._features()
        odds = {key: self._score(key, features, tested=tested) for key in self._states}
        in_time = self._in_time(HAR_WINDOW)
        daily, variance = self._ended(row, 1), self._variance(stored)
        paths = []
        for horizon, state in self._horizons.items():
            fitted = self._states["sign", horizon].fitted
            places = slice(None) if fitted is None else fitted.positions
            known = np.isfinite(features[places])
            value, missing = odds["sign", horizon]
            new = Row(self._ended(row, horizon), value, missing, float(known.mean()) if known.size else 1.0, in_time)
            sigma = state.volatility.add(variance, daily, self._regressors(features))
            paths.append(state.add(new, sigma, folds.get(horizon), tested=tested))
        events = {horizon: value for (label, horizon), (value, _) in odds.items() if label == "event"}
        self._packet = self._packet_of(session, paths, events)

    def _features(self) -> Array:
        """(p,) the newest row of the experiment's columns."""
        blocks = list(self.experiment.features.blocks)
        if self._alone:
            found: Array = newest(self._inputs(), blocks)
            return found
        table = compute(self._bars(), blocks)[-1:]
        return np.array([np.nan if (value := table[name][0]) is None else value for name in columns(blocks)])

    def _inputs(self) -> Inputs:
        return Inputs(
            **{name: series.rows for name, series in self._series.items()},
            known={name: series.rows for name, series in self._known.items()},
        )

    def _bars(self) -> pl.DataFrame:
        """The whole history as one table; kept, so that the next call has less to put together."""
        if len(self._frames) > 1:
            self._frames = [pl.concat(self._frames)]
        return self._frames[0]

    def _score(self, key: tuple[str, int], features: Array, *, tested: bool) -> tuple[float, bool]:
        """Calibrated odds of the newest row, and whether an input of the model was not known."""
        if not tested:
            return np.nan, False
        _, odds, known = self._states[key].score(features[None, :])
        return float(odds[0]), not known[0]

    def _regressors(self, features: Array) -> Array | None:
        names = self.experiment.cones.regressors
        if not names:
            return None
        order = columns(self.experiment.features.blocks)
        return features[[order.index(name) for name in names]]

    def _ended(self, row: int, horizon: int) -> float:
        """Log return over the horizon that ends at `row`, NaN where a session is missing or a bar came late."""
        first = row - horizon
        if first < 0:
            return np.nan
        ts = self._series["ts"].rows
        places = np.searchsorted(self._calendar.close, ts[[first, row]])
        late = (self._series["available_at"].rows[first : row + 1] > self._series["as_of"].rows[first : row + 1]).any()
        if places[1] - places[0] != horizon or late:
            return np.nan
        close = self._series["close"].rows
        return float(np.log(close[row : row + 1] / close[first : first + 1])[0])

    def _variance(self, stored: Sequence[float]) -> float:
        """Daily variance of the newest row, whose open, high, low and close are given."""
        opened = stored[0] if self._known["open"].rows[-1] else np.nan  # an open that is no real print says nothing
        return bar_variance(opened, stored[1], stored[2], stored[3], float(self._series["close"].rows[-2]))

    def _in_time(self, rows: int) -> bool:
        """True where each of the last bars was known by the newest decision."""
        return bool(self._series["available_at"].rows[-rows:].max() <= self._series["as_of"].rows[-1])

    def _open_folds(self) -> dict[int, Fold]:
        """Models of the fold that begins with the newest row, where they are due; the fold by horizon."""
        prepared = prepare_bars(self._bars(), self.instrument, self.experiment, data_hash="")
        self._tasks = self._nominated(prepared)
        folds: dict[int, Fold] = {}
        for task in self._tasks:
            *_, fold = task.walk.split(task.decision, task.label_end, task.first_usable)
            self._states[task.label, task.horizon], _ = self._states[task.label, task.horizon].at_fold(task, fold)
            if task.label == "sign":
                folds[task.horizon] = fold
        return folds

    # the start --------------------------------------------------------------------------------------------------------

    def _nominated(self, prepared: Prepared) -> list[OddsTask]:
        model = self.experiment.nominated.model
        return [task for task in odds_tasks(prepared, self.experiment) if task.model == model]

    def _states_of(self, prepared: Prepared, paths: Sequence[HorizonPath]) -> dict[int, HorizonState]:
        variance = daily_variance(prepared.bars)["variance"].to_numpy().astype(np.float64)
        daily = np.concatenate([[np.nan], prepared.returns[1][:-1]])
        cones = self.experiment.cones
        regressors = prepared.features(cones.regressors) if cones.regressors else None
        found = {}
        for path in paths:
            _, label_end = prepared.outcomes["sign", path.horizon]
            *_, fold = splitter(self.experiment).split(prepared.decision, label_end, prepared.first_usable)
            sigma = VolatilityState(variance, daily, regressors, horizon=path.horizon, refit=cones.refit)
            found[path.horizon] = HorizonState(
                path,
                prepared.returns[path.horizon],
                fold,
                sigma,
                flat_share=self.experiment.labels.flat_share,
                maker=cone_maker(self.experiment),
                drift=cones.drift,
            )
        return found

    def _hash_rows(self, bars: pl.DataFrame) -> None:
        for ts, *prices in bars.select(pl.col("ts").dt.timestamp("us"), *_HASHED).iter_rows():
            self._hash.update(struct.pack("<q5d", ts, *(float("nan") if price is None else price for price in prices)))

    # the packet -------------------------------------------------------------------------------------------------------

    def _packet_of(self, place: int, paths: Sequence[HorizonPath], events: dict[int, float]) -> ProjectionPacket:
        """The packet of one row: `place` is its session's in the calendar, `paths` hold that row alone."""
        calendar, simulated = self._calendar, self.instrument.simulated
        horizons = []
        for path in paths:
            target = calendar.close[place + path.horizon]
            times = {
                "entry_ts": _moment(calendar.opened[place + 1]),
                "target_ts": _moment(target),
                "valid_until": _moment(min(target, calendar.as_of[place + 1])),
            }
            horizons.append(self._horizon(path, events.get(path.horizon)) | times)
        return ProjectionPacket.model_validate(
            {
                "schema_version": PACKET_SCHEMA_VERSION,
                "instrument": self.instrument.id,
                "as_of": _moment(calendar.as_of[place]),
                "provenance": {
                    "data_hashes": {self.instrument.id: self._hash.hexdigest()},
                    "model_id": self._model_id,
                    "code_version": __version__,
                    "simulated": simulated,
                },
                "warnings": [Reason.SIMULATED.value] if simulated else [],
                "horizons": horizons,
            }
        )

    def _horizon(self, path: HorizonPath, event: float | None) -> dict[str, Any]:
        """The figures of a horizon, or why there are none."""
        periods = sessions_per_year(self.instrument.calendar) / path.horizon
        found = horizon_figures(path, 0, f"{path.horizon}d", float(self._series["close"].rows[-1]), periods)
        if found["status"] == "ok" and event is not None and np.isfinite(event):
            found["events"] = {f"high >= +{100 * self.experiment.labels.event_threshold:g} %": event}
        return found


class _Calendar:
    """A calendar's sessions as microseconds since 1970, UTC, ascending."""

    def __init__(self, calendar: str) -> None:
        table = sessions(calendar)
        self.opened, self.close, self.as_of = (table[name].dt.timestamp("us").to_numpy() for name in ("open", "close", "as_of"))

    @classmethod
    def of(cls, calendar: str) -> _Calendar:
        return _calendar(calendar)

    def place(self, ts: int, instrument: Instrument) -> int:
        """Which session ends at `ts`."""
        found = int(np.searchsorted(self.close, ts))
        if found == len(self.close) or self.close[found] != ts:
            raise InvalidInput(
                f"expected every row of {instrument.id} to end at a close of {instrument.calendar}, found {_moment(ts)}, which "
                "does not; import it with its own calendar"
            )
        return found


@lru_cache(maxsize=16)
def _calendar(calendar: str) -> _Calendar:
    return _Calendar(calendar)


def _moment(microseconds: int | np.integer[Any]) -> datetime:
    return _EPOCH + int(microseconds) * _MICROSECOND


def _last(path: HorizonPath) -> HorizonPath:
    """The path's last row alone."""
    parts = replace(path.reliability, **{name: getattr(path.reliability, name)[-1:] for name in vars(path.reliability)})
    rows: dict[str, Any] = {name: value[-1:] for name, value in vars(path).items() if isinstance(value, np.ndarray)}
    return replace(path, reliability=parts, **rows)


def _model_id(experiment: Experiment) -> str:
    chosen = experiment.nominated
    found = configuration(experiment, chosen.label, chosen.horizon, chosen.model)
    return f"{chosen.model}-{digest(found)[:16]}"
