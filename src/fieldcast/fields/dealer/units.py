"""The four exposures as formulas: from Greeks of one option to dollars of delta (`conventions` states the units)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.priced_chain import Floats

PERCENT = 0.01
POINT = 0.01
SMALLEST_SIGMA = 0.005  # a year: a shift takes no volatility below half a point, where prices have no meaning


def gamma_exposure(gamma: ArrayLike, units: ArrayLike, spot: ArrayLike) -> Floats:
    """Dollars of delta per 1 % move: γ × signed units (contracts × multiplier) × S² × 0.01."""
    return np.asarray(np.asarray(gamma) * np.asarray(units) * np.asarray(spot) ** 2 * PERCENT, np.float64)


def delta_exposure(delta: ArrayLike, units: ArrayLike, spot: ArrayLike) -> Floats:
    """Dollars of delta held: δ × signed units × S."""
    return np.asarray(np.asarray(delta) * np.asarray(units) * np.asarray(spot), np.float64)


def vanna_exposure(vanna: ArrayLike, units: ArrayLike, spot: ArrayLike) -> Floats:
    """Dollars of delta per volatility point: ∂δ/∂σ (per 1.00) × signed units × S × 0.01."""
    return np.asarray(np.asarray(vanna) * np.asarray(units) * np.asarray(spot) * POINT, np.float64)


def charm_exposure(charm: ArrayLike, units: ArrayLike, spot: ArrayLike, days_a_year: float = 365.0) -> Floats:
    """Dollars of delta per calendar day: ∂δ/∂t (per year) × signed units × S / days a year."""
    return np.asarray(np.asarray(charm) * np.asarray(units) * np.asarray(spot) / days_a_year, np.float64)
