"""Scores of a walk: every contender on identical rows, with intervals; cones beside the benchmark's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import (
    CENTRAL_LEVELS,
    TrialEvaluator,
    auc_interval,
    brier_rows,
    central_band,
    coverage,
    ece,
    interval_score,
    log_loss_rows,
    mean_interval,
    mean_interval_score,
    reliability_table,
    skill_interval,
)
from fieldcast.evaluation import Interval as Figure
from fieldcast.models import GarchNormal
from fieldcast.projection import AdaptiveConformal, normal_quantiles
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.walk_forward import OddsWalk
from fieldcast.workflows.experiment import Intervals
from fieldcast.workflows.prepare import Array, Prepared

SCORES: dict[str, pl.DataType] = {
    "label": pl.String(),
    "horizon": pl.Int64(),
    "model": pl.String(),
    # auc, brier, log_loss, each also with _open_to_close; skill_vs_ and brier_skill_vs_ base_rate and anchor; ece, ece_debiased
    "metric": pl.String(),
    "estimate": pl.Float64(),
    "low": pl.Float64(),         # 95 % interval, stationary bootstrap; of ece: the range that chance alone gives (5 to 95 %)
    "high": pl.Float64(),
    "n": pl.Int64(),
}
CONES: dict[str, pl.DataType] = {
    "horizon": pl.Int64(),
    "model": pl.String(),        # fieldcast | garch_normal | conformal, the composer's own where another was asked for
    "level": pl.Float64(),
    "coverage": pl.Float64(),
    "n": pl.Int64(),
    "kupiec_p": pl.Float64(),
    "christoffersen_p": pl.Float64(),
    "interval_score_bps": pl.Float64(),
}
CONE_DIFFERENCE: dict[str, pl.DataType] = {
    "horizon": pl.Int64(),
    "ours_bps": pl.Float64(),
    "benchmark_bps": pl.Float64(),
    "relative": pl.Float64(),    # below 0: ours is better, as a share of the benchmark's score
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
}
RELIABILITY_MODELS = ("logistic", "boosted_trees")
Key = tuple[str, int, str]          # label, horizon, model


class Options(TypedDict):
    """Of every bootstrap of one label."""

    block: float
    draws: int
    seed: int


def score_odds(
    prepared: Prepared,
    walks: Sequence[OddsWalk],
    evaluator: TrialEvaluator,
    configurations: Mapping[Key, Mapping[str, Any]],
    settings: Intervals,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score table and reliability table of one instrument; each configuration is recorded as a trial.

    All contenders of a label are scored on the rows that every one of them forecast. A label with fewer outcomes than two
    bootstrap blocks, or with one outcome only, has no score: no trial is recorded for it.
    """
    rows: list[tuple[object, ...]] = []
    bins: list[pl.DataFrame] = []
    dates = prepared.decision.astype("datetime64[D]")
    for (label, horizon), (y, _) in prepared.outcomes.items():
        contenders = {walk.model: walk for walk in walks if (walk.label, walk.horizon) == (label, horizon)}
        odds = {model: walk.odds for model, walk in contenders.items()}
        known = np.isfinite(y) & np.isfinite(np.column_stack(list(odds.values()))).all(axis=1)
        options: Options = {"block": max(settings.block, horizon), "draws": settings.draws, "seed": settings.seed}
        if not _can_score(y[known], options):
            continue
        for model, walk in contenders.items():
            trial = evaluator.score(
                configurations[label, horizon, model],
                instrument=prepared.instrument.id,
                label=label,
                horizon=horizon,
                dates=dates,
                forecast=np.where(known, walk.odds, np.nan),
                outcome=np.where(known, y, np.nan),
                returns=prepared.returns[1],
                threshold=0.5 if label == "sign" else odds["base_rate"],
                children=len(walk.fits),
                **options,
            )
            figures = [("auc", trial.auc), *_losses(model, odds, known, y[known], options)]
            if label == "sign":
                figures += _open_to_close(walk.odds, prepared.tradable_returns[horizon], options)
            rows += [(label, horizon, model, name, f.estimate, f.low, f.high, f.n) for name, f in figures]
            if model in RELIABILITY_MODELS:
                error = ece(walk.odds[known], y[known], seed=settings.seed, overlap=horizon)
                rows += [(label, horizon, model, "ece", error.ece, error.null_low, error.null_high, error.n),
                         (label, horizon, model, "ece_debiased", error.debiased, None, None, error.n)]
                table = reliability_table(walk.odds[known], y[known], seed=settings.seed, overlap=horizon)
                keys = (pl.lit(value).alias(name) for name, value in
                        (("label", label), ("horizon", horizon), ("model", model)))
                bins.append(table.select(*keys, pl.all()))
    return pl.DataFrame(rows, schema=SCORES, orient="row"), pl.concat(bins) if bins else pl.DataFrame()


def _can_score(outcome: Array, options: Options) -> bool:
    """Two bootstrap blocks at least, and both outcomes."""
    return outcome.size >= 2 * options["block"] and float(np.ptp(outcome)) > 0.0


def _losses(
    model: str, odds: Mapping[str, Array], known: NDArray[np.bool_], outcome: Array, options: Options
) -> list[tuple[str, Figure]]:
    p = odds[model][known]
    loss, squares = log_loss_rows(p, outcome), brier_rows(p, outcome)
    found = [("brier", mean_interval(squares, **options)), ("log_loss", mean_interval(loss, **options))]
    for reference in ("base_rate", "anchor"):
        if reference in odds and model not in ("base_rate", reference):
            q = odds[reference][known]
            found.append((f"skill_vs_{reference}", skill_interval(loss, log_loss_rows(q, outcome), **options)))
            found.append((f"brier_skill_vs_{reference}", skill_interval(squares, brier_rows(q, outcome), **options)))
    return found


def _open_to_close(odds: Array, ret: Array, options: Options) -> list[tuple[str, Figure]]:
    """Scores against the sign of open(t+1) → close(t+h), which a trade could earn; empty where opens are no real prints."""
    known = np.isfinite(odds) & np.isfinite(ret) & (ret != 0.0)
    rose = (ret[known] > 0).astype(np.float64)
    if not _can_score(rose, options):
        return []
    p = odds[known]
    return [
        ("auc_open_to_close", auc_interval(p, rose, **options)),
        ("brier_open_to_close", mean_interval(brier_rows(p, rose), **options)),
        ("log_loss_open_to_close", mean_interval(log_loss_rows(p, rose), **options)),
    ]


def compare_vix(
    prepared: Prepared,
    walks: Sequence[OddsWalk],
    evaluator: TrialEvaluator,
    configurations: Mapping[Key, Mapping[str, Any]],
    settings: Intervals,
) -> pl.DataFrame:
    """The volatility anchor with and without log VIX on identical rows; empty where VIX is not known.

    Shown as volatility skill, which opens no gate; both are trials on their own, shorter span.
    """
    dates = prepared.decision.astype("datetime64[D]")
    rows: list[tuple[object, ...]] = []
    for (label, horizon), (y, _) in prepared.outcomes.items():
        odds = {walk.model: walk.odds for walk in walks if (walk.label, walk.horizon) == (label, horizon)}
        if set(odds) != {"anchor", "anchor_vix"}:
            continue
        known = np.isfinite(y) & np.isfinite(odds["anchor"]) & np.isfinite(odds["anchor_vix"])
        options: Options = {"block": max(settings.block, horizon), "draws": settings.draws, "seed": settings.seed}
        if not _can_score(y[known], options):
            continue
        for model, p in odds.items():
            trial = evaluator.score(
                {**configurations[label, horizon, model], "rows": "where VIX is known"},
                instrument=prepared.instrument.id,
                label=label,
                horizon=horizon,
                dates=dates,
                forecast=np.where(known, p, np.nan),
                outcome=np.where(known, y, np.nan),
                returns=prepared.returns[1],
                threshold=float(np.nanmean(y[: int(np.flatnonzero(known)[0])])),
                **options,
            )
            figures = [("auc", trial.auc), *_losses(model, odds, known, y[known], options)]
            rows += [(label, horizon, model, name, f.estimate, f.low, f.high, f.n) for name, f in figures]
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def score_cones(
    prepared: Prepared, paths: Sequence[HorizonPath], first: int, refit: int, settings: Intervals, *, beside_plain: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Coverage tests and interval scores beside GARCH(1,1)-normal on the same rows, and the paired difference.

    Parameters
    ----------
    first : first out-of-sample row
    refit : rows between fits of the benchmark
    beside_plain : whether the plain conformal cone stands beside them, on the same rows
    """
    closes = np.log(prepared.bars["close"].to_numpy())
    daily = np.diff(closes, prepend=np.nan)      # the benchmark sees every close as it is stored now
    garch = GarchNormal(refit=refit).path(daily, first=first, horizons=[path.horizon for path in paths])
    rows: list[tuple[object, ...]] = []
    differences: list[dict[str, object]] = []
    for place, path in enumerate(paths):
        benchmark = normal_quantiles(garch.sigma[:, place], garch.mean[:, place])
        outcome = 1e4 * prepared.returns[path.horizon]
        contenders = {"fieldcast": path.quantiles_bps, "garch_normal": benchmark}
        if beside_plain:
            contenders["conformal"] = _plain_cone(prepared, path)
        known = path.known & np.isfinite(outcome)
        for quantiles in contenders.values():
            known &= np.isfinite(quantiles).all(axis=1)
        if known.sum() < 2 * path.horizon:
            continue
        block = max(settings.block, path.horizon)
        y = outcome[known]
        scores = {}
        for model, quantiles in contenders.items():
            q = quantiles[known]
            scores[model] = mean_interval_score(q, y)
            for level in CENTRAL_LEVELS:
                low, high = central_band(q, level)
                found = coverage(low, high, y, level, horizon=path.horizon)
                rows.append((path.horizon, model, level, found.rate, found.n, found.kupiec_p, found.christoffersen_p,
                             float(interval_score(low, high, y, level).mean())))
        if known.sum() < 2 * block:
            continue          # covered so far is told, but no interval of the difference can be
        saved = skill_interval(scores["fieldcast"], scores["garch_normal"], block=block, draws=settings.draws,
                               seed=settings.seed)
        differences.append({
            "horizon": path.horizon,
            "ours_bps": float(scores["fieldcast"].mean()),
            "benchmark_bps": float(scores["garch_normal"].mean()),
            "relative": -saved.estimate,
            "low": -saved.high,
            "high": -saved.low,
            "n": saved.n,
        })
    return pl.DataFrame(rows, schema=CONES, orient="row"), pl.DataFrame(differences, schema=CONE_DIFFERENCE)


def _plain_cone(prepared: Prepared, path: HorizonPath) -> Array:
    """(n, 7) the composer's own cone on the same sigma and drift, bps."""
    moved = path.drift_bps / 1e4
    cone = AdaptiveConformal().run(prepared.returns[path.horizon] - moved, path.sigma, horizon=path.horizon)
    plain: Array = cone.quantiles_bps + path.drift_bps[:, None]
    return plain
