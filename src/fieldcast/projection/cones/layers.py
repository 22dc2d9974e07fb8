"""Conformal layers on quantiles that another model has forecast.

    conformity   lower tau: e = (q - r) / s,   upper tau: e = (r - q) / s        s: a scale, sigma or 1
    CQR          q'(tau) = q(tau) -/+ s E,   E: number ceil((n + 1)(1 - a)) of the newest n that had ended, a = min(tau, 1 - tau)

that is conformalised quantile regression (Romano, Patterson, Candes 2019) with each side held by itself; the tail mass a may be
fixed (CQR), adapted by ACI or DtACI, or the correction found by PID. The median stays as forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, rearranged
from fieldcast.projection.cones.trackers import Tracker, split


@dataclass(frozen=True)
class Layered:
    """Quantiles (T, N, L) ascending, NaN where the base or the layer has none; `saturated` (T, N): a correction was capped."""

    quantiles: Floats
    saturated: NDArray[np.bool_]


def conformalise(
    quantiles: ArrayLike,
    outcome: ArrayLike,
    scale: ArrayLike,
    *,
    horizon: int,
    levels: Sequence[float] = CONE_LEVELS,
    tracker: Tracker | None = None,
) -> Layered:
    """Correct forecast quantiles by how they did on outcomes that had ended.

    Parameters
    ----------
    quantiles : (T, N, L) forecast at each row
    outcome : (T, N) return over the horizon from each row, NaN where not known
    scale : (T, N) positive, in the unit of the return: misses are compared on this scale
    tracker : what finds the corrections from past conformity scores; None = `split()`, which makes it CQR

    Raises
    ------
    InvalidInput : shapes differ
    """
    q, tau = np.asarray(quantiles, dtype=np.float64), check_levels(levels)
    r, s = panel_values("outcome", outcome), panel_values("scale", scale)
    if q.shape != (*r.shape, tau.size) or s.shape != r.shape:
        raise InvalidInput(f"expected quantiles {(*r.shape, tau.size)} and a scale {r.shape}, found {q.shape} and {s.shape}")
    if (s <= 0.0).any():
        raise InvalidInput("expected a positive scale (NaN where unknown)")
    chosen = split() if tracker is None else tracker
    out, saturated = q.copy(), np.zeros(r.shape, dtype=np.bool_)
    for place, level in enumerate(tau):
        if level == 0.5:
            continue
        side = 1.0 if level > 0.5 else -1.0
        score = side * (r - q[..., place]) / s
        found = chosen.run(score, horizon=horizon, levels=[max(level, 1.0 - level)])
        out[..., place] = q[..., place] + side * s * found.quantiles[..., 0]
        saturated |= found.saturated
    return Layered(rearranged(out), saturated)
