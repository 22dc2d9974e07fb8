"""Shapes that every cone shares: scores (T, N) or (T,), sigma beside them, cumulative levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]

CONE_LEVELS = (0.05, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.95)  # the CRPS grid; holds the edges of the three bands


def panel_values(name: str, values: ArrayLike) -> Floats:
    """(T, N) float64 without infinities; a vector is one instrument.

    Raises
    ------
    InvalidInput : not one or two axes, or an infinity
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or np.isinf(found).any():
        raise InvalidInput(f"expected {name} (T, N) without infinities (NaN where unknown), found shape {found.shape}")
    return found


def same_panel(**panels: Floats) -> None:
    """Refuse panels of different rows or instruments."""
    shapes = {name: values.shape[:2] for name, values in panels.items()}
    if len(set(shapes.values())) > 1:
        raise InvalidInput(f"expected panels of one shape, found {shapes}")


def scaled(outcome: Floats, sigma: Floats) -> Floats:
    """Scores z = r / sigma (T, N); sigma is positive or NaN."""
    same_panel(outcome=outcome, sigma=sigma)
    if (sigma <= 0.0).any():
        raise InvalidInput("expected positive sigma (NaN where unknown)")
    z: Floats = outcome / sigma
    return z


def check_levels(levels: Sequence[float]) -> Floats:
    """(L,) ascending, inside (0, 1)."""
    tau = np.asarray(levels, dtype=np.float64)
    if tau.ndim != 1 or not tau.size or not ((tau > 0.0) & (tau < 1.0)).all() or (np.diff(tau) <= 0.0).any():
        raise InvalidInput(f"expected ascending levels inside (0, 1), found {tau.tolist()}")
    return tau


def check_window(window: int, minimum: int, horizon: int) -> None:
    if horizon < 1 or minimum < 20 or window < minimum:
        raise InvalidInput(f"expected horizon >= 1 and window >= minimum >= 20, found {horizon}, {window}, {minimum}")


def rearranged(quantiles: Floats) -> Floats:
    """Quantiles (…, L) in ascending order (Chernozhukov, Fernandez-Val and Galichon 2010); NaN in a whole row or not at all."""
    q: Floats = np.sort(quantiles, axis=-1)
    q[np.isnan(q).any(axis=-1)] = np.nan
    return q
