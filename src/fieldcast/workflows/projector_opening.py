"""Projectors of stored histories, from the states that earlier calls kept: what is the same for all instruments is read once.

Catalogue, seals and bars are one question each, however many instruments there are. The bars come out of the store in one scan
where a good part of a dataset is asked for, else instrument by instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from fieldcast.data import list_instruments, load_instrument
from fieldcast.ground import InvalidInput
from fieldcast.market import DAILY, Instrument
from fieldcast.validation.sealed import seals
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.prepare import used_covariate
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.warm_parts import taken_apart
from fieldcast.workflows.warm_states import LOG, keep_state, kept_state, key_of, state_path
from fieldcast.workflows.workspace import Workspace

if TYPE_CHECKING:
    from fieldcast.workflows.projector import Projector

Opened = TypeVar("Opened", bound="Projector")
ONE_SCAN = 4  # of a dataset with at most so many instruments for each that is asked for, everything is read at once
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)


def open_each(
    kind: type[Opened],
    workspace: Workspace,
    instruments: Sequence[str],
    experiment: Experiment,
    *,
    as_of: datetime | None,
    vix: str | None,
) -> tuple[Opened, ...]:
    """See `Projector.open_each`."""
    described = _described(workspace, instruments)
    untils = _known_until(workspace, dict.fromkeys(instruments, (vix, experiment)), as_of)
    series = used_covariate(experiment, vix)
    histories = _histories(workspace, untils)
    covariates: dict[datetime | None, pl.DataFrame] = {}
    opened: dict[str, Opened] = {}
    for name in instruments:
        if name in opened:
            continue
        own = None if described[name].simulated else series  # as in `validate`
        if own is not None and untils[name] not in covariates:
            covariates[untils[name]] = workspace.store.read(own, as_of=untils[name])
        bars = histories[name] if name in histories else workspace.store.read(name, as_of=untils[name])
        covariate = None if own is None else covariates[untils[name]]
        opened[name] = _opened(kind, workspace, bars, described[name], experiment, own, covariate)
    return tuple(opened[name] for name in instruments)


def stored_each(
    workspace: Workspace, projectors: Sequence[Projector], as_of: datetime | None
) -> dict[str, tuple[pl.DataFrame, datetime | None]]:
    """The bars of each projector's instrument as known now, and until when it may know them.

    Raises
    ------
    InvalidInput : two projectors of one instrument
    """
    asked: dict[str, tuple[str | None, Experiment]] = {}
    for one in projectors:
        name = one.instrument.id
        if name in asked:
            raise InvalidInput(f"expected one projector of each instrument, found two of {name}: refresh them one by one")
        asked[name] = one._vix, one.experiment
    untils = _known_until(workspace, asked, as_of)
    histories = _histories(workspace, untils)
    return {
        name: (histories[name] if name in histories else workspace.store.read(name, as_of=until), until)
        for name, until in untils.items()
    }


def _described(workspace: Workspace, names: Sequence[str]) -> Mapping[str, Instrument]:
    """The instruments by id."""
    if len(names) > 1:
        known = {one.id: one for one in list_instruments(workspace.ledger)}
        if all(name in known for name in names):
            return known
    return {name: load_instrument(workspace.ledger, name) for name in names}


def _known_until(
    workspace: Workspace, asked: Mapping[str, tuple[str | None, Experiment]], as_of: datetime | None
) -> dict[str, datetime | None]:
    """`sealing.known_until` of each instrument, by id its VIX series and experiment; where nothing is sealed one question."""
    with workspace.ledger.read() as session:
        any_sealed = bool(seals(session))
    if not any_sealed:
        return dict.fromkeys(asked, as_of)
    return {name: known_until(workspace, (name, vix), one.hash, as_of) for name, (vix, one) in asked.items()}


def _histories(workspace: Workspace, untils: Mapping[str, datetime | None]) -> dict[str, pl.DataFrame]:
    """The bars of those instruments that share a dataset and a moment with many others, each as `Store.read` gives them."""
    if len(untils) < 2:
        return {}
    held = workspace.store.datasets().filter(table=DAILY)
    alone = held.group_by("instrument").agg(pl.col("dataset").first(), several=pl.len() > 1).filter(~pl.col("several"))
    dataset_of = dict(alone.select("instrument", "dataset").iter_rows())
    stored = dict(held.group_by("dataset").len().iter_rows())
    together: dict[tuple[str, datetime | None], list[str]] = {}
    for name, until in untils.items():
        if name in dataset_of:
            together.setdefault((dataset_of[name], until), []).append(name)
    found: dict[str, pl.DataFrame] = {}
    for (dataset, until), names in together.items():
        if stored[dataset] <= ONE_SCAN * len(names):
            rows = workspace.store.cross_section(_FIRST, _LAST, as_of=until, dataset=dataset)
            wanted = rows if stored[dataset] == len(names) else rows.filter(pl.col("instrument").is_in(names))
            found |= {str(name): part for (name,), part in wanted.partition_by("instrument", as_dict=True).items()}
    return found


def _opened(
    kind: type[Opened],
    workspace: Workspace,
    bars: pl.DataFrame,
    instrument: Instrument,
    experiment: Experiment,
    series: str | None,
    covariate: pl.DataFrame | None,
) -> Opened:
    """The projector of these bars, and its state kept; see `Projector.open`."""
    path, key = state_path(workspace, instrument.id, experiment), key_of(instrument, experiment, series)
    kept = kept_state(path, key)
    begun = kept if isinstance(kept, str) else kind.from_kept(kept, bars, instrument, experiment, covariate)
    if isinstance(begun, str):
        LOG.info("warm state of %s: %s; its history is walked anew", instrument.id, begun)
        why, begun = begun, kind(bars, instrument, experiment, covariate=covariate)
        begun._cold_because = why
    begun._vix = series
    newest = -1 if isinstance(kept, str) else int(kept.data["last_ts"])
    if begun.newest_ts > newest or (begun.cold_because is not None and begun.newest_ts == newest):
        _keep(begun, path, key)
    return begun


def _keep(projector: Projector, path: Path, key: Mapping[str, Any]) -> None:
    """Write the state; a disk that takes none costs time and no packet."""
    try:
        keep_state(path, taken_apart(projector.learned, key, projector.rests_on))
    except OSError as error:
        LOG.warning("warm state of %s: expected to write %s, found %s; it is not kept", projector.instrument.id, path, error)
