"""One instrument of a validation: composed, scored and put to the gate, in whatever process there is room for."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fieldcast import __version__
from fieldcast.evaluation import MemoryTrialLog, Trial, TrialEvaluator
from fieldcast.features import columns, registry_hash
from fieldcast.ground import MissingData, ShortHistory, digest
from fieldcast.market import Instrument
from fieldcast.models import daily_variance
from fieldcast.models.boosted import SETTINGS
from fieldcast.projection import packet_from_row
from fieldcast.projection.composer import ConeMaker, HorizonPath, compose, walk_volatility
from fieldcast.projection.tabulate import Source, tabulate
from fieldcast.projection.walk_forward import OddsWalk
from fieldcast.validation import GateResult
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.judge import judge
from fieldcast.workflows.prepare import Array, Prepared, known_in_time
from fieldcast.workflows.results import InstrumentValidation
from fieldcast.workflows.score import compare_vix, score_cones, score_odds
from fieldcast.workflows.walks import ANCHOR_L2, VIX, splitter

HAR_WINDOW = 22          # sessions that a volatility forecast looks back on


@dataclass(frozen=True)
class Study:
    """What a process needs in order to judge one instrument."""

    prepared: Prepared
    walks: tuple[OddsWalk, ...]
    vix_walks: tuple[OddsWalk, ...]
    experiment: Experiment
    bayes_auc: float | None


def judge_study(study: Study) -> tuple[InstrumentValidation, tuple[Trial, ...]]:
    """Compose, score and gate one instrument; its trials are returned, to be recorded by the one writer."""
    prepared, walks, experiment = study.prepared, study.walks, study.experiment
    instrument = prepared.instrument
    nominated = next(walk for walk in walks if walk.key[1:] == _nominated(experiment))
    forecast = np.flatnonzero(np.isfinite(nominated.odds))
    if not forecast.size:
        raise _too_short(prepared, experiment)
    first = int(forecast[0])
    log = MemoryTrialLog()
    family = family_of(instrument, experiment)
    evaluator = TrialEvaluator(log, family=family)
    paths = compose_paths(prepared, walks, experiment)
    table = tabulate(_source(prepared, experiment), paths, _events(walks, experiment), first)
    happened = outcomes(prepared, [path.horizon for path in paths])
    configurations = {w.key[1:]: configuration(experiment, *w.key[1:]) for w in (*walks, *study.vix_walks)}
    scores, bins = score_odds(prepared, walks, evaluator, configurations, experiment.intervals)
    cones, difference = score_cones(prepared, paths, first, experiment.cones.benchmark_refit, experiment.intervals,
                                    beside_plain=experiment.cones.forecaster != "conformal")  # fmt: skip
    gate, gate_text = _verdict(instrument, table, happened, experiment)
    days = prepared.table["ts"].dt.date()
    part = InstrumentValidation(
        instrument=instrument,
        quality=prepared.quality,
        projections=table,
        outcomes=happened,
        scores=scores,
        vix_anchor=compare_vix(prepared, study.vix_walks, evaluator, configurations, experiment.intervals),
        cones=cones,
        cone_difference=difference,
        reliability=bins,
        sharpe=pl.DataFrame(),
        gate=gate,
        gate_text=gate_text,
        packet=packet_from_row(table, instrument.id, table["as_of"][-1]),
        fit_table=fit_table(prepared, walks),
        fits={f"{walk.label} {walk.horizon}d {walk.model}": len(walk.fits) for walk in walks},
        first_session=str(days[0]),
        last_session=str(days[-1]),
        out_of_sample_from=str(days[first]),
        data_hash=prepared.data_hash,
        bayes_auc=study.bayes_auc,
    )
    return part, log.trials(family)


def require_history(prepared: Prepared, experiment: Experiment) -> None:
    """Refuse, before anything is fitted, what the walk could not even begin on."""
    if prepared.rows <= prepared.first_usable + experiment.walk_forward.initial:
        raise _too_short(prepared, experiment)


def _too_short(prepared: Prepared, experiment: Experiment) -> ShortHistory:
    needed = prepared.first_usable + experiment.walk_forward.initial + 1
    return ShortHistory(
        f"expected at least {needed} sessions of {prepared.instrument.id} for a first out-of-sample row, found "
        f"{prepared.rows}; import a longer history or use an experiment with a shorter walk"
    )


def _verdict(
    instrument: Instrument, table: pl.DataFrame, happened: pl.DataFrame, experiment: Experiment
) -> tuple[GateResult | None, str]:
    """The gate's answer and its words; no answer where the span is too short for it to be asked."""
    try:
        gate = judge(instrument, table, happened, experiment, as_of=None)
    except MissingData as error:
        return None, f"NOT ASKED: {error}"
    return gate, gate.text


def compose_paths(prepared: Prepared, walks: Sequence[OddsWalk], experiment: Experiment) -> list[HorizonPath]:
    """Projections over every sign horizon, from the nominated model's odds."""
    variance = daily_variance(prepared.bars)["variance"].to_numpy().astype(np.float64)
    daily = np.concatenate([[np.nan], prepared.returns[1][:-1]])
    in_time = known_in_time(prepared.bars, HAR_WINDOW)
    regressors = prepared.features(experiment.cones.regressors) if experiment.cones.regressors else None
    paths = []
    for horizon in experiment.labels.sign:
        walk = next(w for w in walks if w.key[1:] == ("sign", horizon, experiment.nominated.model))
        _, label_end = prepared.outcomes["sign", horizon]
        sigma = walk_volatility(variance, daily, horizon=horizon, refit=experiment.cones.refit, regressors=regressors)
        folds = splitter(experiment).split(prepared.decision, label_end, prepared.first_usable)
        paths.append(
            compose(
                horizon=horizon,
                folds=folds,
                returns=prepared.returns[horizon],
                sigma=np.where(in_time, sigma, np.nan),
                sign_odds=walk.odds,
                input_missing=walk.input_missing,
                data_coverage=data_coverage(prepared, walk),
                flat_share=experiment.labels.flat_share,
                conformal=cone_maker(experiment),
                drift=experiment.cones.drift,
            )
        )
    return paths


def cone_maker(experiment: Experiment) -> ConeMaker | None:
    """What finds the cones' quantiles; None = the composer's own."""
    if experiment.cones.forecaster == "conformal":
        return None
    from fieldcast.projection.cones import cone_forecaster

    return cone_forecaster(experiment.cones.forecaster)


def data_coverage(prepared: Prepared, walk: OddsWalk) -> Array:
    """(n,) share of the columns of the model in force at each row that were known; before the first fit, of all columns.

    A column that a fold left out is no input of its model, known or not.
    """
    known = np.isfinite(prepared.features())
    share: Array = known.mean(axis=1)
    for fit in walk.fits:                       # in time order: each stands until the next one
        places = [prepared.names.index(name) for name in fit.columns]
        share[fit.first_test_row :] = known[fit.first_test_row :, places].mean(axis=1) if places else 1.0
    return share


def outcomes(prepared: Prepared, horizons: Sequence[int]) -> pl.DataFrame:
    """What happened after each decision: as_of, horizon, label_end_ts, log returns close-to-close and open-to-close."""
    frames = []
    for horizon in horizons:
        ends = prepared.outcomes["sign", horizon][1]
        frames.append(
            pl.DataFrame(
                {
                    "as_of": prepared.table["as_of"],
                    "horizon": [f"{horizon}d"] * prepared.rows,
                    "label_end_ts": pl.Series(ends).dt.replace_time_zone("UTC"),
                    "ret": pl.Series(prepared.returns[horizon], nan_to_null=True),
                    "ret_open_to_close": pl.Series(prepared.tradable_returns[horizon], nan_to_null=True),
                }
            )
        )
    return pl.concat(frames)


def configuration(experiment: Experiment, label: str, horizon: int, model: str) -> dict[str, Any]:
    """What identifies a trial: all that decides its forecasts, and nothing else."""
    parameters = getattr(experiment.models, model, None)
    learner = {"boosted_trees": SETTINGS, "anchor": {"l2": ANCHOR_L2}, "anchor_vix": {"l2": ANCHOR_L2}}.get(model, {})
    return {
        "model": model,
        "parameters": parameters.model_dump() if parameters is not None else {},
        "learner": dict(learner),
        "blocks": list(experiment.features.blocks),
        "registry": registry_hash(_seen(experiment, model)),
        "walk_forward": experiment.walk_forward.model_dump(),
        "label": label,
        "horizon": horizon,
        "event_threshold": experiment.labels.event_threshold if label == "event" else None,
    }


def _seen(experiment: Experiment, model: str) -> tuple[str, ...]:
    """Columns that a model may see: a column that is new to another block makes no new trial of it."""
    wider = (VIX,) if model == "anchor_vix" and "vix" not in experiment.features.blocks else ()
    return (*columns(experiment.features.blocks), *wider)


def family_of(instrument: Instrument, experiment: Experiment) -> str:
    """Trials on simulated markets are a family of their own: they never count for or against a real one."""
    return f"{experiment.family}/simulated" if instrument.simulated else experiment.family


def fit_table(prepared: Prepared, walks: Sequence[OddsWalk]) -> pl.DataFrame:
    """One row a fitted model: what it was fitted for, on how many rows and columns, its calibrator and its hash."""
    days = prepared.table["ts"].dt.date()
    rows = [
        (walk.label, walk.horizon, walk.model, days[fit.first_test_row], fit.n_fit, fit.n_calibration, len(fit.columns),
         ",".join(fit.columns), fit.calibrator, fit.digest)
        for walk in walks
        for fit in walk.fits
    ]
    schema = {"label": pl.String, "horizon": pl.Int64, "model": pl.String, "first_test_session": pl.Date, "n_fit": pl.Int64,
              "n_calibration": pl.Int64, "n_columns": pl.Int64, "columns": pl.String, "calibrator": pl.String,
              "digest": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _nominated(experiment: Experiment) -> tuple[str, int, str]:
    return experiment.nominated.label, experiment.nominated.horizon, experiment.nominated.model


def _events(walks: Sequence[OddsWalk], experiment: Experiment) -> dict[int, dict[str, Array]]:
    """By horizon: the nominated model's calibrated odds that the high reaches the threshold."""
    name = f"high >= +{100 * experiment.labels.event_threshold:g} %"
    return {
        walk.horizon: {name: walk.odds}
        for walk in walks
        if walk.label == "event" and walk.model == experiment.nominated.model
    }


def _source(prepared: Prepared, experiment: Experiment) -> Source:
    return Source(
        instrument=prepared.instrument.id,
        calendar=prepared.instrument.calendar,
        simulated=prepared.instrument.simulated,
        closes=prepared.bars.select("ts", "close"),
        hashes=running_hashes(prepared.bars),
        model_id=f"{experiment.nominated.model}-{digest(configuration(experiment, *_nominated(experiment)))[:16]}",
        code_version=__version__,
    )


def running_hashes(bars: pl.DataFrame) -> list[str]:
    """SHA-256 of the rows up to and including each row: a later row never changes an earlier hash."""
    running = hashlib.sha256()
    found = []
    columns = bars.select(pl.col("ts").dt.timestamp("us"), *("open", "high", "low", "close", "volume"))
    for ts, *prices in columns.iter_rows():
        running.update(struct.pack("<q5d", ts, *(float("nan") if price is None else price for price in prices)))
        found.append(running.hexdigest())
    return found
