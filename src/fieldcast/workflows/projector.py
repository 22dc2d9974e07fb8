"""The warm state of one instrument: a new bar in, its packet out, in milliseconds.

A projector is made from a history as a validation is, for the nominated model alone, and keeps what it made: fitted models and
calibrators, feature inputs as arrays, level trackers, hits. A bar costs the newest row of the features and one forecast for each
horizon; a bar that opens a fold of the walk costs what the fold learns besides. Nothing is scored, no gate is asked and no trial
recorded: `validate` does that.

`Projector.open` keeps the state in the workspace, so that the next process goes on where this one stood: see `warm_states`.

The packet is that of `validate` on the same history, to the last bit, whichever way the state came about.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.evaluation import Fold
from fieldcast.features import columns, compute, warmup
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
from fieldcast.workflows.prepare import Array, Prepared, prepare_bars, used_covariate
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.study import HAR_WINDOW, compose_paths, cone_maker, configuration, require_history
from fieldcast.workflows.walks import odds_tasks, splitter
from fieldcast.workflows.warm_parts import Learned, put_together, taken_apart
from fieldcast.workflows.warm_states import LOG, KeptState, data_of, keep_state, kept_state, key_of, state_path
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
    covariate : bars of the VIX series, which an experiment with the block `vix` needs

    Raises
    ------
    ShortHistory : there is no out-of-sample row yet
    MissingData : there is no bar, or the experiment asks for a VIX series and none is given
    InvalidInput : bars that break their schema
    """

    def __init__(
        self, bars: pl.DataFrame, instrument: Instrument, experiment: Experiment, *, covariate: pl.DataFrame | None = None
    ) -> None:
        prepared = prepare_bars(bars, instrument, experiment, covariate=covariate, data_hash="")
        require_history(prepared, experiment)
        self._follow(bars, instrument, experiment, covariate)
        kept = {task.key[1:3]: walk_and_keep(task) for task in self._nominated(prepared)}
        walks = [walk for walk, _ in kept.values()]
        self._states: dict[tuple[str, int], WalkState] = {place: state for place, (_, state) in kept.items()}
        if not any(np.isfinite(walk.odds).any() for walk in walks if walk.label == "sign"):
            raise ShortHistory(f"expected an out-of-sample forecast of {instrument.id}, found none; import a longer history")
        paths = compose_paths(prepared, walks, experiment)
        self._horizons = self._states_of(prepared, paths)
        events = {walk.horizon: float(walk.odds[-1]) for walk in walks if walk.label == "event"}
        place = self._calendar.place(int(self._series["ts"].rows[-1]), instrument)
        self._packet = self._packet_of(place, [_last(path) for path in paths], events)

    def _follow(
        self, bars: pl.DataFrame, instrument: Instrument, experiment: Experiment, covariate: pl.DataFrame | None
    ) -> None:
        """What follows from the bars alone, however the rest of the state is found."""
        self.instrument, self.experiment = instrument, experiment
        self._covariate = covariate if "vix" in experiment.features.blocks else None
        self._vix: str | None = None
        self._frames = [bars]
        self._calendar = _Calendar.of(instrument.calendar)
        self._alone = all(reads_bars_alone(column.block) for column in of_blocks(experiment.features.blocks))
        self._begin = warmup(list(experiment.features.blocks)) + experiment.walk_forward.initial
        inputs = read_bars(bars)
        self._series = {name: Growing(getattr(inputs, name)) for name in _ARRAYS}
        self._known = {name: Growing(known) for name, known in inputs.known.items()}
        self._hash = hashlib.sha256()
        self._hash_rows(bars)
        self._model_id = _model_id(experiment)
        self._opened: list[int] = []
        self._cold_because: str | None = "made from its bars"

    @classmethod
    def open(
        cls,
        workspace: Workspace,
        instrument: str,
        experiment: Experiment,
        *,
        as_of: datetime | None = None,
        vix: str | None = None,
    ) -> Projector:
        """The projector of the stored history of an instrument, as known at `as_of`; of a sealed span it sees nothing.

        It goes on from the state that an earlier call kept in the workspace, where that rests on the very bars that are known
        now: those that came since are added. Else the history is walked anew, and the log (`fieldcast.warm`) says why. The state
        is then kept, unless the one that is there is of later bars.

        Parameters
        ----------
        vix : id of the VIX series, for an experiment with the block `vix`; no covariate of a simulated instrument

        Raises
        ------
        MissingData : the instrument is unknown, or has no rows, or the VIX series that the experiment asks for is not there
        ShortHistory : there is no out-of-sample row yet
        """
        described = load_instrument(workspace.ledger, instrument)
        until = known_until(workspace, (instrument, vix), experiment.hash, as_of)
        bars = workspace.store.read(instrument, as_of=until)
        series = None if described.simulated else used_covariate(experiment, vix)     # as in `validate`
        covariate = None if series is None else workspace.store.read(series, as_of=until)
        path, key = state_path(workspace, instrument, experiment), key_of(described, experiment, series)
        kept = kept_state(path, key)
        opened = kept if isinstance(kept, str) else cls._from_kept(kept, bars, described, experiment, covariate)
        if isinstance(opened, str):
            LOG.info("warm state of %s: %s; its history is walked anew", instrument, opened)
            why = opened
            opened = cls(bars, described, experiment, covariate=covariate)
            opened._cold_because = why
        opened._vix = series
        newest = -1 if isinstance(kept, str) else kept.data["last_ts"]
        last = int(opened._series["ts"].rows[-1])
        if last > newest or (opened._cold_because is not None and last == newest):
            opened._keep(path, key)
        return opened

    @property
    def cold_because(self) -> str | None:
        """Why the history was walked anew; None where a state that an earlier process kept was taken up."""
        return self._cold_because

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
        """The packet of the newest stored bar: the bars that came since are added. Bars from before its first are not its own.

        Raises
        ------
        ConflictError : a bar that this projector has seen was restated; open a new one
        """
        until = known_until(workspace, (self.instrument.id, self._vix), self.experiment.hash, as_of)
        first, last = self._frames[0]["ts"][0], self._frames[-1]["ts"][-1]
        stored = workspace.store.read(self.instrument.id, as_of=until, first=first.date())
        seen, later = stored.filter(pl.col("ts").is_between(first, last)), stored.filter(pl.col("ts") > last)
        self._require_the_same(seen)
        if not later.height:
            return self._packet
        covariate = None if self._vix is None else workspace.store.read(self._vix, as_of=until)
        return self.add(later, covariate=covariate)

    def add(self, bars: pl.DataFrame, *, covariate: pl.DataFrame | None = None) -> ProjectionPacket:
        """The packet after one or more new bars, schema `market.BARS`, ascending, later than all before.

        Parameters
        ----------
        covariate : the whole VIX series as known now, for an experiment with the block `vix`

        Raises
        ------
        InvalidInput : bars that break their schema, do not end a session of the calendar, or do not follow; a VIX series that is
            missing, or whose rows of before are others than they were
        """
        last = self._frames[-1].tail(1)
        inputs = read_bars(pl.concat([last, bars]) if bars.height else last)  # one instrument, ascending after the last one
        if not bars.height:
            raise InvalidInput("expected at least one new bar, found none")
        if self._covariate is not None:
            self._covariate = self._followed(covariate)
        for place in range(1, inputs.rows):
            self._append(bars[place - 1 : place], inputs, place)
        return self._packet

    def _require_the_same(self, seen: pl.DataFrame) -> None:
        """Refuse bars that are others than those of this state: a version that came later has a later `available_at`."""
        for name in ("ts", "available_at"):
            now, then = seen[name].dt.timestamp("us").to_numpy(), self._series[name].rows
            if len(now) != len(then):
                raise ConflictError(
                    f"expected the {len(then):,} bars of {self.instrument.id} that were read, found {len(now):,}; open anew"
                )
            if (now != then).any():
                at = _moment(self._series["ts"].rows[int(np.flatnonzero(now != then)[0])])
                raise ConflictError(
                    f"expected the bars of {self.instrument.id} as they were read, found one restated, the first at "
                    f"{at:%Y-%m-%d %H:%M} UTC; open anew"
                )

    def _followed(self, covariate: pl.DataFrame | None) -> pl.DataFrame:
        """The new VIX series, which has to say of the past what the old one said."""
        if covariate is None:
            raise InvalidInput("expected the VIX series beside new bars, as features.blocks asks, found none; pass covariate=")
        before = pl.col("available_at") <= self._decided
        if self._covariate is None or not covariate.filter(before).equals(self._covariate.filter(before)):
            raise InvalidInput("expected the VIX series as it was known at the last bar, found it restated; open anew")
        return covariate

    @property
    def _decided(self) -> datetime:
        """When the newest bar's decision was made."""
        return _moment(self._series["as_of"].rows[-1])

    # the state in a file ----------------------------------------------------------------------------------------------

    def _keep(self, path: Path, key: Mapping[str, Any]) -> None:
        """Write the state; a disk that takes none costs time and no packet."""
        data = data_of(self._bars(), self._covariate, self._decided)
        try:
            keep_state(path, taken_apart(Learned(self._horizons, self._states, self._packet), key, data))
        except OSError as error:
            LOG.warning("warm state of %s: expected to write %s, found %s; it is not kept", self.instrument.id, path, error)

    @classmethod
    def _from_kept(
        cls,
        kept: KeptState,
        bars: pl.DataFrame,
        instrument: Instrument,
        experiment: Experiment,
        covariate: pl.DataFrame | None,
    ) -> Self | str:
        """The projector of these bars, begun with a kept state; else why it does not fit."""
        rows = int(kept.data["rows"])
        if bars.height < rows:
            return f"expected at least the {rows:,} bars that the state was made with, found {bars.height:,}"
        begun = cls.__new__(cls)
        begun._follow(bars[:rows], instrument, experiment, covariate)
        learned = put_together(kept, data_of(bars[:rows], begun._covariate, begun._decided), experiment)
        if isinstance(learned, str):
            return learned
        begun._horizons, begun._states, begun._packet = learned.horizons, learned.walks, learned.packet
        begun._cold_because = None
        if bars.height > rows:
            try:
                begun.add(bars[rows:], covariate=covariate)
            except InvalidInput as error:
                return f"expected bars that follow the state, found: {error}"
        return begun

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
        table = compute(self._bars(), blocks, vix=self._covariate)[-1:]
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
        prepared = prepare_bars(self._bars(), self.instrument, self.experiment, covariate=self._covariate, data_hash="")
        folds: dict[int, Fold] = {}
        for task in self._nominated(prepared):
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
