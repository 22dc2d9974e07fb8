"""A walk's projections as the flat table of `projection.table`: every out-of-sample row, column by column.

entry_ts is the next session's open, target_ts the close of session t + h, valid_until the moment the next projection is due
(or the target, where that comes first).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import sessions, sessions_per_year
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.packet import PACKET_SCHEMA_VERSION
from fieldcast.projection.table import PROJECTIONS, QUANTILE_COLUMNS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """What all rows of one instrument share, and what each row was made from.

    Parameters
    ----------
    closes : n sessions as `ts` (close, UTC) and `close` (price)
    hashes : (n,) SHA-256 of the history up to and including each row
    """

    instrument: str
    calendar: str
    simulated: bool
    closes: pl.DataFrame
    hashes: Sequence[str]
    model_id: str
    code_version: str


def tabulate(
    source: Source, paths: Sequence[HorizonPath], events: Mapping[int, Mapping[str, Floats]], first: int
) -> pl.DataFrame:
    """Rows first..n-1 of every horizon, ordered by time and then horizon; schema `PROJECTIONS`.

    Parameters
    ----------
    events : by horizon, named probabilities (n,), NaN where unknown
    """
    clock = _clock(source, max(path.horizon for path in paths))
    frames = [_horizon(source, path, events.get(path.horizon, {}), clock, first) for path in paths]
    order = {f"{path.horizon}d": place for place, path in enumerate(paths)}
    table = pl.concat(frames).with_columns(place=pl.col("horizon").replace_strict(order, return_dtype=pl.Int64))
    return table.sort("as_of", "place").select(pl.col(name).cast(dtype) for name, dtype in PROJECTIONS.items())


def _clock(source: Source, furthest: int) -> pl.DataFrame:
    """Each row's as_of, next open, next as_of and the closes of the sessions ahead."""
    calendar = sessions(source.calendar).with_columns(
        pl.col("open").shift(-1).alias("entry_ts"),
        pl.col("as_of").shift(-1).alias("next_as_of"),
        *(pl.col("close").shift(-h).alias(f"target_{h}") for h in range(1, furthest + 1)),
    )
    found = source.closes.select("ts").join(calendar, left_on="ts", right_on="close", how="left", maintain_order="left")
    if found["as_of"].null_count():
        raise InvalidInput(
            f"expected every row of {source.instrument} to end at a close of {source.calendar}, found "
            f"{found['as_of'].null_count()} that do not; import them with their own calendar"
        )
    return found


def _horizon(
    source: Source, path: HorizonPath, events: Mapping[str, Floats], clock: pl.DataFrame, first: int
) -> pl.DataFrame:
    known = path.known
    reasons = np.where(path.input_missing, Reason.COVARIATE_MISSING.value, Reason.SHORT_HISTORY.value)
    periods = sessions_per_year(source.calendar) / path.horizon
    target = pl.Series("target_ts", clock[f"target_{path.horizon}"])

    def figure(values: Floats) -> pl.Series:
        return pl.Series(np.where(known, values, np.nan), dtype=pl.Float64, nan_to_null=True)

    scored = path.scored > 0
    columns: dict[str, pl.Series | list[object] | str | float | bool | None] = {
        "as_of": clock["as_of"],
        "status": pl.Series(np.where(known, "ok", "missing")),
        "reason": pl.Series([None if k else code for k, code in zip(known, reasons, strict=True)], dtype=pl.String),
        "reference_price": figure(source.closes["close"].to_numpy()),
        "entry_ts": clock["entry_ts"],
        "target_ts": target,
        "valid_until": clock.select(pl.min_horizontal("next_as_of", f"target_{path.horizon}")).to_series(),
        "flat_band_bps": figure(path.flat_band_bps),
        **{f"p_{side}": figure(path.odds[:, i]) for i, side in enumerate(("up", "flat", "down"))},
        **{name: figure(path.quantiles_bps[:, i]) for i, name in enumerate(QUANTILE_COLUMNS)},
        "mean_bps": figure(path.mean_bps),
        "sigma_horizon_bps": figure(1e4 * path.sigma),
        "sigma_annual": figure(path.sigma * np.sqrt(periods)),
        "periods_per_year": figure(np.full(len(known), periods)),
        "conviction": figure(path.conviction),
        "reliability": figure(path.reliability.value),
        "reliability_data": figure(path.reliability.data),
        "reliability_sample": figure(path.reliability.sample),
        "reliability_calibration": figure(path.reliability.calibration),
        "coverage_n": pl.Series([int(n) if k and s else None for n, k, s in zip(path.scored, known, scored, strict=True)],
                                dtype=pl.Int64),
        **{f"coverage_{share}": figure(np.where(scored, path.coverage[:, i], np.nan))
           for i, share in enumerate((50, 75, 90))},
        "events": [_events(events, row) if known[row] else [] for row in range(len(known))],
        "horizon_warnings": [_warnings(path, row) if known[row] else [] for row in range(len(known))],
        "data_hashes": [[{"name": source.instrument, "sha256": value}] for value in source.hashes],
    }
    frame = pl.DataFrame(columns, strict=False).with_columns(
        instrument=pl.lit(source.instrument),
        horizon=pl.lit(f"{path.horizon}d"),
        schema_version=pl.lit(PACKET_SCHEMA_VERSION),
        return_kind=pl.lit("log"),
        warnings=pl.lit([Reason.SIMULATED.value] if source.simulated else [], dtype=pl.List(pl.String)),
        model_id=pl.lit(source.model_id),
        evidence_id=pl.lit(None, dtype=pl.String),
        code_version=pl.lit(source.code_version),
        simulated=pl.lit(source.simulated),
    )
    return frame[first:].select(pl.col(name).cast(dtype) for name, dtype in PROJECTIONS.items())


def _events(events: Mapping[str, Floats], row: int) -> list[dict[str, object]]:
    return [{"name": name, "value": float(p[row])} for name, p in events.items() if np.isfinite(p[row])]


def _warnings(path: HorizonPath, row: int) -> list[str]:
    found = [] if path.agree[row] else [Reason.ODDS_CONE_DISAGREE.value]
    return [*found, Reason.CONE_SATURATED.value] if path.saturated[row] else found
