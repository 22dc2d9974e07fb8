"""The figures of one row of a horizon's path, as the input of a `HorizonProjection`; its times are the caller's."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldcast.ground import Reason
from fieldcast.projection.composer import HorizonPath
from fieldcast.projection.conformal import QUANTILE_LEVELS


def horizon_figures(path: HorizonPath, row: int, name: str, reference_price: float, periods_per_year: float) -> dict[str, Any]:
    """Status, figures and warnings of a row, or why there are none.

    Parameters
    ----------
    name : of the horizon, such as "1d" or "15m"
    reference_price : close of the row
    periods_per_year : horizons in a year
    """
    if not path.known[row]:
        reason = Reason.COVARIATE_MISSING if path.input_missing[row] else Reason.SHORT_HISTORY
        return {"horizon": name, "status": "missing", "reason": reason.value}
    parts, sigma = path.reliability, path.sigma[row]
    warnings = [] if path.agree[row] else [Reason.ODDS_CONE_DISAGREE.value]
    found: dict[str, Any] = {
        "horizon": name,
        "status": "ok",
        "reference_price": reference_price,
        "flat_band_bps": float(path.flat_band_bps[row]),
        "direction": dict(zip(("up", "flat", "down"), path.odds[row].tolist(), strict=True)),
        "levels": QUANTILE_LEVELS,
        "quantiles_bps": path.quantiles_bps[row].tolist(),
        "mean_bps": float(path.mean_bps[row]),
        "sigma_horizon_bps": float(1e4 * sigma),
        "sigma_annual": float(sigma * np.sqrt(periods_per_year)),
        "periods_per_year": float(periods_per_year),
        "conviction": float(path.conviction[row]),
        "reliability": {part: float(getattr(parts, part)[row]) for part in ("value", "data", "sample", "calibration")},
        "warnings": [*warnings, Reason.CONE_SATURATED.value] if path.saturated[row] else warnings,
    }
    if path.scored[row] > 0:
        shares = dict(zip(("band_50", "band_75", "band_90"), path.coverage[row].tolist(), strict=True))
        found["coverage"] = {"n": int(path.scored[row]), **shares}
    return found
