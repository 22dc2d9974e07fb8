"""The energy along the move, from three sigmas down to three up, and what it says in one word each.

`regimes` has the definitions; here they are read off one book. The barrier of a side is the highest energy on the way: a price
beyond it is reached for less than the barrier itself, because dealers feed the move from there on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fieldcast.fields.elasticity.positions import Floats, HedgedBook
from fieldcast.fields.elasticity.regimes import (
    Thresholds,
    elasticity_regime,
    energy_regime,
    energy_share,
    gamma_regime,
    giving_way,
    jump_risk,
    potential_shape,
)
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True, eq=False)
class EnergyProfile:
    """Dealers' energy and elasticity at (n,) prices whose moves are mirrored about the spot."""

    prices: Floats
    sigmas: Floats
    """Moves in sigmas, ascending through 0."""
    energy: Floats
    """Dollars; 0 at the spot."""
    elasticity: Floats
    """Units of the underlying per 1.00 of price."""

    def barrier(self, direction: int) -> tuple[float, float | None]:
        """The highest energy on one side in dollars, at least 0, and its price where the energy falls again beyond it."""
        side = self.energy[self.sigmas * direction >= 0.0][::direction]
        price = self.prices[self.sigmas * direction >= 0.0][::direction]
        top = int(np.argmax(side))
        return float(side[top]), float(price[top]) if 0 < top < side.size - 1 else None


@dataclass(frozen=True)
class RegimeReading:
    """Words, the figures behind them, and why any is missing."""

    labels: Mapping[str, StrEnum]
    values: Mapping[str, float]
    reasons: Mapping[str, Reason]


def energy_profile(book: HedgedBook, sigma: float, *, sigmas: float = 3.0, prices: int = 61) -> EnergyProfile:
    """The profile of a book.

    Parameters
    ----------
    sigma : one sigma of a day in dollars, above 0
    sigmas : how far on either side; shortened where the price would leave a hundredth of the spot
    prices : how many, an odd number of at least 5
    """
    if not 0.0 < sigma < book.spot or prices < 5 or prices % 2 == 0 or not sigmas > 0.0:
        raise InvalidInput(f"expected a sigma below the spot and an odd number of prices, found {sigma}, {prices}, {sigmas}")
    reach = min(sigmas, 0.9 * book.spot / sigma)
    half = prices // 2
    moves = np.arange(-half, half + 1) / half * reach
    grid = book.spot + moves * sigma
    grid[half] = book.spot
    found = book.on_grid(grid)
    value, delta = found.value[0, 0], found.delta[0, 0, half]
    return EnergyProfile(grid, moves, (value - value[half]) - delta * (grid - book.spot), found.gamma[0, 0])


def read_regimes(
    profile: EnergyProfile, *, daily_volume: float | None = None, thresholds: Thresholds | None = None
) -> RegimeReading:
    """Every regime of `regimes` that the profile can tell.

    Parameters
    ----------
    daily_volume : units of the underlying traded on a usual day; None = the shares and what rests on them are unknown
    """
    limits = thresholds or Thresholds()
    labels: dict[str, StrEnum] = {}
    values: dict[str, float] = {}
    reasons: dict[str, Reason] = {}
    step = profile.sigmas.size // 2
    sigma = float(profile.prices[-1] - profile.prices[step]) / float(profile.sigmas[-1])
    if daily_volume is None:
        for name in ("energy_share_up", "energy_share_down", "energy_regime", "gamma_regime"):
            reasons[name] = Reason.VOLUME_NOT_REPORTED
    else:
        work = np.interp([1.0, -1.0], profile.sigmas, profile.energy)
        up, down = (energy_share(float(one), sigma, daily_volume) for one in work)
        values |= {"energy_share_up": up, "energy_share_down": down}
        labels |= {"energy_regime": energy_regime(up, down, limits), "gamma_regime": gamma_regime(up, down, limits)}
    distance = {name: giving_way(profile.sigmas, profile.elasticity, side) for name, side in (("up", 1), ("down", -1))}
    for name, one in distance.items():
        if one is None:
            reasons[f"giving_way_{name}"] = Reason.UNDEFINED
        else:
            values[f"giving_way_{name}"] = one
    labels["jump_risk"] = jump_risk(distance["up"], distance["down"], limits)
    labels["elasticity_regime"] = elasticity_regime(profile.sigmas, profile.elasticity, limits)
    shape = potential_shape(profile.sigmas, profile.energy, limits)
    if shape is None:
        reasons["potential_shape"] = Reason.UNDEFINED
    else:
        labels["potential_shape"] = shape
    return RegimeReading(labels, values, reasons)
