"""The warm state of one instrument: a new bar in, its packet out, in milliseconds.

A projector is made from a history as a validation is, for the nominated model alone, and keeps what it made: fitted models and
calibrators, feature inputs as arrays, level trackers, hits. A bar costs the newest row of the features and one forecast for each
horizon; a bar that opens a fold of the walk costs what the fold learns besides. Nothing is scored, no gate is asked and no trial
recorded: `validate` does that.

`Projector.open` keeps the state in the workspace, so that the next process goes on where this one stood: see `warm_states`;
`Projector.open_each` does so for many instruments, with their bars in one read.

The packet is that of `validate` on the same history, to the last bit, whichever way the state came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self

import numpy as np
import polars as pl

from fieldcast.evaluation import Fold
from fieldcast.features import Inputs, columns, read_bars, warmup
from fieldcast.ground import InvalidInput, ShortHistory
from fieldcast.market import Instrument
from fieldcast.models import daily_variance
from fieldcast.projection import ProjectionPacket
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.walk_forward import OddsTask, WalkState, walk_and_keep
from fieldcast.projection.warm import HorizonState, Row, VolatilityState
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import Array, Prepared, prepare_bars
from fieldcast.workflows.projector_history import History
from fieldcast.workflows.projector_opening import open_each, stored_each
from fieldcast.workflows.projector_packets import last_row, model_id, packet_of
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.study import HAR_WINDOW, compose_paths, cone_maker, require_history
from fieldcast.workflows.walks import odds_tasks, splitter
from fieldcast.workflows.warm_parts import Learned, put_together
from fieldcast.workflows.warm_states import KeptState, data_of
from fieldcast.workflows.workspace import Workspace


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
        place = self._history.calendar.place(self._history.newest_ts, instrument)
        self._packet = self._packet_of(place, [last_row(path) for path in paths], events)

    def _follow(self, bars: pl.DataFrame, instrument: Instrument, experiment: Experiment, covariate: pl.DataFrame | None) -> None:
        """What follows from the bars alone, however the rest of the state is found."""
        self.instrument, self.experiment = instrument, experiment
        self._covariate = covariate if "vix" in experiment.features.blocks else None
        self._vix: str | None = None
        self._history = History(bars, instrument, tuple(experiment.features.blocks))
        self._begin = warmup(list(experiment.features.blocks)) + experiment.walk_forward.initial
        self._model_id = model_id(experiment)
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
    ) -> Self:
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
        return cls.open_each(workspace, [instrument], experiment, as_of=as_of, vix=vix)[0]

    @classmethod
    def open_each(
        cls,
        workspace: Workspace,
        instruments: Sequence[str],
        experiment: Experiment,
        *,
        as_of: datetime | None = None,
        vix: str | None = None,
    ) -> tuple[Self, ...]:
        """`open` for many instruments, in their order: catalogue, seals and bars are read once for all of them.

        Raises
        ------
        MissingData, ShortHistory : as `open`, of the first instrument of which it is so; the states of those before it are kept
        """
        return open_each(cls, workspace, instruments, experiment, as_of=as_of, vix=vix)

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
        return self._history.hash

    def refresh(self, workspace: Workspace, *, as_of: datetime | None = None) -> ProjectionPacket:
        """The packet of the newest stored bar: the bars that came since are added. Bars from before its first are not its own.

        Raises
        ------
        ConflictError : a bar that this projector has seen was restated; open a new one
        """
        until = known_until(workspace, (self.instrument.id, self._vix), self.experiment.hash, as_of)
        stored = workspace.store.read(self.instrument.id, as_of=until, first=self._history.span[0].date())
        return self._take(workspace, stored, until)

    @classmethod
    def refresh_each(
        cls, workspace: Workspace, projectors: Sequence[Self], *, as_of: datetime | None = None
    ) -> tuple[ProjectionPacket, ...]:
        """`refresh` of many projectors, in their order: seals and bars are read once for all of them.

        Raises
        ------
        InvalidInput : two of one instrument
        ConflictError : as `refresh`, of the first instrument of which it is so; those before it have their new packets
        """
        stored = stored_each(workspace, projectors, as_of)
        return tuple(one._take(workspace, *stored[one.instrument.id]) for one in projectors)

    def _take(self, workspace: Workspace, stored: pl.DataFrame, until: datetime | None) -> ProjectionPacket:
        """The packet after what the stored bars have beyond those that were read."""
        first, last = self._history.span
        seen, later = stored.filter(pl.col("ts").is_between(first, last)), stored.filter(pl.col("ts") > last)
        self._history.require_the_same(seen)
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
        last = self._history.newest_bar
        inputs = read_bars(pl.concat([last, bars]) if bars.height else last)  # one instrument, ascending after the last one
        if not bars.height:
            raise InvalidInput("expected at least one new bar, found none")
        if self._covariate is not None:
            self._covariate = self._followed(covariate)
        for place in range(1, inputs.rows):
            self._append(bars[place - 1 : place], inputs, place)
        return self._packet

    def _followed(self, covariate: pl.DataFrame | None) -> pl.DataFrame:
        """The new VIX series, which has to say of the past what the old one said."""
        if covariate is None:
            raise InvalidInput("expected the VIX series beside new bars, as features.blocks asks, found none; pass covariate=")
        before = pl.col("available_at") <= self._history.decided
        if self._covariate is None or not covariate.filter(before).equals(self._covariate.filter(before)):
            raise InvalidInput("expected the VIX series as it was known at the last bar, found it restated; open anew")
        return covariate

    # the state in a file ----------------------------------------------------------------------------------------------

    @property
    def learned(self) -> Learned:
        """What stands beside the bars, for a file."""
        return Learned(self._horizons, self._states, self._packet)

    @property
    def rests_on(self) -> dict[str, object]:
        """The bars and the VIX rows of the state, as `warm_states.data_of` names them."""
        history = self._history
        return data_of(history.newest_row + 1, history.newest_ts, history.content, self._covariate, history.decided)

    @property
    def newest_ts(self) -> int:
        """When the newest bar ended, microseconds since 1970."""
        return self._history.newest_ts

    @classmethod
    def from_kept(
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
        learned = put_together(kept, begun.rests_on, experiment)
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
        history = self._history
        session = history.calendar.place(int(inputs.ts[place]), self.instrument)
        history.add(bar, inputs, place)
        row = history.newest_row
        offset = (row - self._begin) % self.experiment.walk_forward.step
        tested = offset < self.experiment.walk_forward.test
        folds: dict[int, Fold] = {}
        if offset == 0:
            folds = self._open_folds()
            self._opened.append(row)
        features = history.features(self._covariate)
        odds = {key: self._score(key, features, tested=tested) for key in self._states}
        in_time = history.in_time(HAR_WINDOW)
        daily, variance = history.ended(1), history.variance()
        paths = []
        for horizon, state in self._horizons.items():
            fitted = self._states["sign", horizon].fitted
            places = slice(None) if fitted is None else fitted.positions
            known = np.isfinite(features[places])
            value, missing = odds["sign", horizon]
            new = Row(history.ended(horizon), value, missing, float(known.mean()) if known.size else 1.0, in_time)
            sigma = state.volatility.add(variance, daily, self._regressors(features))
            paths.append(state.add(new, sigma, folds.get(horizon), tested=tested))
        events = {horizon: value for (label, horizon), (value, _) in odds.items() if label == "event"}
        self._packet = self._packet_of(session, paths, events)

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

    def _open_folds(self) -> dict[int, Fold]:
        """Models of the fold that begins with the newest row, where they are due; the fold by horizon."""
        prepared = prepare_bars(self._history.bars(), self.instrument, self.experiment, covariate=self._covariate, data_hash="")
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

    def _packet_of(self, place: int, paths: Sequence[HorizonPath], events: Mapping[int, float]) -> ProjectionPacket:
        return packet_of(self._history, self.experiment, self._model_id, place, paths, events)
