"""The gate, asked at a moment: only outcomes that were known by then count."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from fieldcast.ground import utc
from fieldcast.market import Instrument
from fieldcast.validation import GateResult, SignForecast, gate_v04
from fieldcast.workflows.experiment import Experiment


def judge(
    instrument: Instrument,
    projections: pl.DataFrame,
    outcomes: pl.DataFrame,
    experiment: Experiment,
    *,
    as_of: datetime | None,
) -> GateResult:
    """Row V04 on the nominated configuration's projections of one instrument.

    Parameters
    ----------
    projections : schema `projection.PROJECTIONS`
    outcomes : as_of, horizon, label_end_ts, ret
    as_of : outcomes that ended later are not used; none = all

    Raises
    ------
    MissingData : fewer than 252 sessions have an outcome
    """
    horizon = f"{experiment.nominated.horizon}d"
    rows = (
        projections.filter((pl.col("horizon") == horizon) & (pl.col("status") == "ok"))
        .join(outcomes.filter(pl.col("horizon") == horizon), on=["as_of", "horizon"], how="inner")
        .filter(pl.col("ret").is_not_null())
        .sort("as_of")
    )
    if as_of is not None:
        rows = rows.filter(pl.col("label_end_ts") <= utc(as_of))
    forecast = SignForecast(
        instrument=instrument.id,
        dates=rows["as_of"].dt.date().to_numpy(),
        p_up=rows["p_up"].to_numpy(),
        p_down=rows["p_down"].to_numpy(),
        ret=rows["ret"].to_numpy(),
    )
    settings = experiment.intervals
    return gate_v04([forecast], label=experiment.nominated.label, horizon=experiment.nominated.horizon,
                    seed=settings.seed, block=settings.block, draws=settings.draws)
