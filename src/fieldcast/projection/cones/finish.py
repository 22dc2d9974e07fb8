"""From quantiles of a panel to packet cones, and what each cone has covered.

A packet asks for seven finite, strictly ascending quantiles in bps. What lies beyond the most extreme score |r| / s known at
the row, times the row's scale s, is capped there and flagged `saturated`; then the quantiles are rearranged and set apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation import coverage
from fieldcast.ground import InvalidInput
from fieldcast.projection.cones._checks import CONE_LEVELS, Floats, check_levels, panel_values, scaled
from fieldcast.projection.conformal import BANDS, QUANTILE_LEVELS, cone_quantiles


@dataclass(frozen=True)
class PanelCones:
    """Packet cones of N instruments over one horizon.

    quantiles_bps : (T, N, 7) at `projection.QUANTILE_LEVELS`, strictly ascending, NaN where there is no cone
    saturated : (T, N) a quantile was capped, here or before
    """

    quantiles_bps: Floats
    saturated: NDArray[np.bool_]
    horizon: int

    def coverage(self, instruments: Sequence[str], outcome: ArrayLike) -> pl.DataFrame:
        """Coverage, Kupiec's and Christoffersen's tests of each instrument's 50, 75 and 90 % bands after capping.

        Parameters
        ----------
        instruments : N names
        outcome : (T, N) log return over the horizon, NaN where not known

        Returns
        -------
        instrument, level, coverage, n, kupiec_p, christoffersen_p, saturated (rows); no row for an instrument without
        outcomes
        """
        r = 1e4 * panel_values("outcome", outcome)
        if r.shape != self.saturated.shape or len(instruments) != r.shape[1]:
            raise InvalidInput(f"expected outcomes {self.saturated.shape} of {len(instruments)} names, found {r.shape}")
        rows = []
        for place, name in enumerate(instruments):
            known = np.isfinite(r[:, place]) & np.isfinite(self.quantiles_bps[:, place, 0])
            if known.sum() < 2 * self.horizon:
                continue
            for band, share in enumerate(BANDS):
                low, high = (self.quantiles_bps[known, place, edge] for edge in (2 - band, 4 + band))
                found = coverage(low, high, r[known, place], share, horizon=self.horizon)
                flagged = int(self.saturated[known, place].sum())
                rows.append((name, share, found.rate, found.n, found.kupiec_p, found.christoffersen_p, flagged))
        schema = {"instrument": pl.String, "level": pl.Float64, "coverage": pl.Float64, "n": pl.Int64, "kupiec_p": pl.Float64,
                  "christoffersen_p": pl.Float64, "saturated": pl.Int64}  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")


def packet_cones(
    quantiles: ArrayLike,
    outcome: ArrayLike,
    scale: ArrayLike,
    *,
    horizon: int,
    levels: Sequence[float] = CONE_LEVELS,
    saturated: NDArray[np.bool_] | None = None,
) -> PanelCones:
    """Cap, flag, rearrange and set apart.

    Parameters
    ----------
    quantiles : (T, N, L) log returns at `levels`, which hold the seven of a packet; infinite where a layer asks for everything
    outcome, scale : (T, N) returns over the horizon and their scale
    saturated : (T, N) rows that a layer has capped already

    Raises
    ------
    InvalidInput : shapes differ, or a packet's level is missing
    """
    q, tau = np.asarray(quantiles, dtype=np.float64), check_levels(levels)
    r, s = panel_values("outcome", outcome), panel_values("scale", scale)
    if q.shape != (*r.shape, tau.size):
        raise InvalidInput(f"expected quantiles {(*r.shape, tau.size)}, found {q.shape}")
    places = [int(np.flatnonzero(np.isclose(tau, level))[0]) for level in QUANTILE_LEVELS if np.isclose(tau, level).any()]
    if len(places) < len(QUANTILE_LEVELS):
        raise InvalidInput(f"expected the levels {QUANTILE_LEVELS} among the quantiles, found {tau.tolist()}")
    size = np.nan_to_num(np.abs(scaled(r, s)))
    extreme = np.zeros_like(size)
    if len(size) > horizon:
        extreme[horizon:] = np.maximum.accumulate(size, axis=0)[:-horizon]
    limit = (s * np.where(extreme > 0.0, extreme, np.nan))[..., None]
    chosen = np.where(np.isnan(limit), np.nan, q[..., places])
    chosen[np.isnan(chosen).any(axis=-1)] = np.nan
    with np.errstate(invalid="ignore"):
        capped = (np.abs(chosen) > limit).any(axis=-1)
    held = np.clip(chosen, -limit, limit)
    flat = cone_quantiles(held.reshape(-1, len(places)), np.ones(r.size)).reshape(*r.shape, len(places))
    flagged = capped if saturated is None else capped | saturated
    return PanelCones(flat, np.asarray(flagged & np.isfinite(flat[..., 0]), dtype=np.bool_), horizon)
