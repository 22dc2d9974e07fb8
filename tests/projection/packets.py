"""Sound packets for tests, built from a volatility and a sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from fieldcast.ground import Reason
from fieldcast.projection import QUANTILE_LEVELS, cone_mean, cone_odds, normal_quantiles

AS_OF = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


def horizon_fields(days: int = 1, *, sigma: float = 0.012, drift: float = 0.0004, band: float = 40.0) -> dict[str, Any]:
    """Every field of a sound horizon of `days` sessions."""
    quantiles = normal_quantiles(np.array([sigma]), drift)
    up, flat, down = (float(p) for p in cone_odds(quantiles, band)[0])
    periods = 252.0 / days
    return {
        "horizon": f"{days}d",
        "status": "ok",
        "reference_price": 6635.28,
        "entry_ts": AS_OF + timedelta(hours=41),
        "target_ts": AS_OF + timedelta(hours=23.5 + 24 * days),
        "valid_until": AS_OF + timedelta(hours=24),
        "flat_band_bps": band,
        "direction": {"up": up, "flat": flat, "down": down},
        "levels": QUANTILE_LEVELS,
        "quantiles_bps": tuple(quantiles[0].tolist()),
        "mean_bps": float(cone_mean(quantiles)[0]),
        "sigma_horizon_bps": 1e4 * sigma,
        "sigma_annual": sigma * periods**0.5,
        "periods_per_year": periods,
        "events": {"high_reaches_1pct": 0.41},
        "conviction": max(up, down) / (up + down),
        "reliability": {"value": 0.5, "data": 1.0, "sample": 0.9, "calibration": 0.5},
        "coverage": {"n": 2250, "band_50": 0.501, "band_75": 0.748, "band_90": 0.899},
    }


def packet_fields(**changes: Any) -> dict[str, Any]:
    """A sound packet with a 1d and a 5d horizon and a missing 1m one."""
    return {
        "instrument": "XNAS:COMP",
        "as_of": AS_OF,
        "provenance": {
            "data_hashes": {"bars": "a" * 64},
            "model_id": "logistic:0123456789ab",
            "evidence_id": None,
            "code_version": "0.1.0",
            "simulated": False,
        },
        "warnings": (),
        "horizons": (
            horizon_fields(1),
            horizon_fields(5, sigma=0.027, drift=0.002, band=90.0),
            {"horizon": "1m", "status": "missing", "reason": Reason.NO_DATA},
        ),
    } | changes
