"""Pre-registration and sealed spans of a workspace: what may be read, what has to be written down first, what was seen.

Every workflow that fits or scores asks two things before it reads a row: `may_start` (is the effect size on record, where the
experiment is a pre-registered one?) and `known_until` (up to when may this configuration read these instruments?).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.features import labels
from fieldcast.ground import InvalidInput, MissingData, Shown, utc
from fieldcast.market import sessions
from fieldcast.validation.preregistration import Effect, Registered, planned_effect, register, registrations, require_effect
from fieldcast.validation.sealed import LookedSpan, Seal, add_seal, look, looked_at, open_seal, sealed_from, seals
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.workspace import Workspace


@dataclass(frozen=True)
class SpanSealed(Shown):
    """A sealed span, with what had been seen of it before it was sealed or opened."""

    seal: Seal
    looked: tuple[LookedSpan, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**self.seal.as_dict(), "looked_at": [asdict(one) for one in self.looked]}


@dataclass(frozen=True)
class ExperimentRegistered(Shown):
    """A frozen experiment with the smallest effect that its run could find."""

    registered: Registered
    effect: Effect
    looked: tuple[LookedSpan, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.registered),
            "alpha": self.effect.alpha,
            "power": self.effect.power,
            "block": self.effect.block,
            "measured_sessions": self.effect.measured_sessions,
            "measured_rows": self.effect.measured_rows,
            "looked_at": [asdict(one) for one in self.looked],
        }


@dataclass(frozen=True)
class SealsListed(Shown):
    """Everything that is sealed, registered and seen."""

    seals: tuple[Seal, ...]
    registrations: tuple[Registered, ...]
    looked: tuple[LookedSpan, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "seals": [one.as_dict() for one in self.seals],
            "registrations": [asdict(one) for one in self.registrations],
            "looked_at": [asdict(one) for one in self.looked],
        }


def seal_span(workspace: Workspace, name: str, instruments: Sequence[str], *, first: date, last: date) -> SpanSealed:
    """Seal sessions of instruments (`*` = all) until they are opened, once, for one frozen configuration.

    Raises
    ------
    ConflictError : the name stands for another span
    InvalidInput : the span ends before it begins, or no instrument is named
    """
    with workspace.ledger.begin("seal-add") as session:
        sealed = add_seal(session, name, instruments, first, last, at=workspace.clock.now())
        return SpanSealed(sealed, _seen(looked_at(session, instruments), instruments, first, last))


def register_experiment(
    workspace: Workspace, instruments: Sequence[str], experiment: Experiment, *, first: date, last: date
) -> ExperimentRegistered:
    """Freeze an experiment for a span, and write down the smallest effect that its run could find there.

    The standard error is measured on outcomes that had ended before the span, and before anything sealed.

    Raises
    ------
    MissingData : an instrument is unknown, or there are fewer than two bootstrap blocks of sessions before or in the span
    InvalidInput : the calendar does not reach to the end of the span
    """
    described = [load_instrument(workspace.ledger, name) for name in instruments]
    planned = min(_sessions(instrument.calendar, first, last) for instrument in described)
    until = known_until(workspace, instruments, experiment.hash, datetime.combine(first, time(), tzinfo=UTC))
    frames = []
    for instrument in described:
        known = labels.sign(workspace.store.read(instrument.id, as_of=until), 1).drop_nulls("y")
        frames.append(known.filter(pl.col("label_end_ts") < until).select("ts", "y", instrument=pl.lit(instrument.id)))
    rows = pl.concat(frames)
    if rows.is_empty():
        raise MissingData(f"expected outcomes of {', '.join(instruments)} before {first}, found none; import a history first")
    days = rows["ts"].dt.date()
    settings = experiment.intervals
    effect = planned_effect(
        rows["y"].cast(pl.Float64).to_numpy(),
        days.to_numpy(),
        rows["instrument"].to_numpy(),
        sessions=planned,
        block=settings.block,
        draws=settings.draws,
        seed=settings.seed,
    )
    measured_on = f"{','.join(sorted(instruments))} {days.sort()[0]}/{days.sort()[-1]}"
    with workspace.ledger.begin("register") as session:
        made = register(
            session,
            family=experiment.family,
            configuration_hash=experiment.hash,
            configuration=experiment.model_dump(mode="json"),
            instruments=instruments,
            first=first,
            last=last,
            effect=effect,
            measured_on=measured_on,
            compute=compute_axis(experiment, rows.height // len(described), planned, len(described)),
            at=workspace.clock.now(),
        )
        return ExperimentRegistered(made, effect, _seen(looked_at(session, instruments), instruments, first, last))


def open_span(workspace: Workspace, name: str, experiment: Experiment) -> SpanSealed:
    """Open a sealed span for an experiment that was registered before; once.

    Raises
    ------
    MissingData : there is no such seal
    Halted : the experiment was not frozen before
    ConflictError : the span was opened before; the refusal stands in the audit trail
    """
    opened = open_seal(workspace.ledger, name, experiment.hash, at=workspace.clock.now())
    with workspace.ledger.read() as session:
        seen = looked_at(session, opened.instruments)
    return SpanSealed(opened, _seen(seen, opened.instruments, opened.first, opened.last))


def declare_looked_at(workspace: Workspace, instruments: Sequence[str], *, first: date, last: date, label: str) -> SealsListed:
    """Write down that the outcomes of a span have been seen, so that every report on it says so."""
    if not label.strip():
        raise InvalidInput("expected words that say who looked at the span and how, found none")
    with workspace.ledger.begin("looked-at") as session:
        look(session, instruments, first, last, label, at=workspace.clock.now())
    return list_seals(workspace)


def list_seals(workspace: Workspace) -> SealsListed:
    """Sealed spans, registrations and everything that has been looked at."""
    with workspace.ledger.read() as session:
        return SealsListed(tuple(seals(session)), tuple(registrations(session)), tuple(looked_at(session)))


def known_until(
    workspace: Workspace, instruments: Iterable[str | None], configuration_hash: str, as_of: datetime | None = None
) -> datetime | None:
    """The last moment whose knowledge this configuration may read; `as_of` where nothing is sealed before it.

    Parameters
    ----------
    instruments : ids, the covariates among them; None is passed over
    """
    with workspace.ledger.read() as session:
        sealed = sealed_from(session, [name for name in instruments if name is not None], configuration_hash)
    if sealed is None:
        return as_of
    return sealed if as_of is None else min(sealed, utc(as_of))


def may_start(workspace: Workspace, instruments: Sequence[str], experiment: Experiment) -> Registered | None:
    """The experiment's registration; None where it is no pre-registered one.

    Raises
    ------
    Halted : it is, and its effect size is not on record
    """
    return may_run(workspace, instruments, experiment.family, experiment.hash, preregistered=experiment.preregistered)


def may_run(
    workspace: Workspace, instruments: Sequence[str], family: str, configuration_hash: str, *, preregistered: bool = False
) -> Registered | None:
    """As `may_start`, for a run that is no experiment of this module's kind, such as a search.

    Raises
    ------
    Halted : the family is pre-registered, and this configuration's effect size is not on record
    """
    with workspace.ledger.read() as session:
        return require_effect(
            session,
            family=family,
            configuration_hash=configuration_hash,
            instruments=instruments,
            preregistered=preregistered,
        )


def spans_looked_at(workspace: Workspace, instruments: Sequence[str], first: date, last: date) -> tuple[LookedSpan, ...]:
    """What had been declared or opened of a span, for the reports on it, which list its trials by themselves."""
    with workspace.ledger.read() as session:
        return _seen(looked_at(session, instruments, trials=False), instruments, first, last) if instruments else ()


def compute_axis(experiment: Experiment, rows_before: int, sessions_planned: int, instruments: int) -> dict[str, Any]:
    """What the run will cost, in the unit in which runs of this experiment are compared: training rows summed over all fits."""
    walk = experiment.walk_forward
    refits = {"base_rate": walk.step, "anchor": walk.step, "logistic": experiment.models.logistic.refit}
    if experiment.models.boosted_trees is not None:
        refits["boosted_trees"] = experiment.models.boosted_trees.refit
    fits = rows = 0
    for refit in refits.values():
        times = math.ceil(sessions_planned / refit)
        fits += times
        rows += sum(rows_before + k * refit for k in range(times))
    factor = len(experiment.labels.pairs) * instruments
    return {"axis": "training rows summed over all fits", "fits": fits * factor, "training_rows": rows * factor}


def _sessions(calendar: str, first: date, last: date) -> int:
    days = sessions(calendar)["session"]
    if last > days[-1]:
        raise InvalidInput(f"expected a span that ends by {days[-1]}, where the calendar {calendar} ends, found {last}")
    return int(np.count_nonzero(days.is_between(first, last).to_numpy()))


def _seen(spans: Iterable[LookedSpan], instruments: Iterable[str], first: date, last: date) -> tuple[LookedSpan, ...]:
    names = tuple(instruments)
    return tuple(one for one in spans if one.touches(names, first, last))
