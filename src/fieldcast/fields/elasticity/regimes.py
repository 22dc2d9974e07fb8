"""One word for what the field is like: energy and elasticity regime, gamma regime, jump risk, potential shape.

Everything is measured in natural units, so that a threshold means the same for a stock and an index:

    e = W(one sigma) / (½ · daily volume · sigma $)

is the share of a day's volume that dealers trade in a move of one sigma: over a straight k, W = ½ k sigma² and they trade
k · sigma units. Moves are in sigmas of one day. The thresholds are declared, not fitted; `Thresholds` says why each is so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fieldcast.fields.elasticity.positions import Floats
from fieldcast.fields.vocabulary import (
    ElasticityRegime,
    EnergyRegime,
    FieldBias,
    GammaRegime,
    JumpRisk,
    PotentialShape,
    VixLevel,
)
from fieldcast.ground import InvalidInput


@dataclass(frozen=True)
class Thresholds:
    """Declared limits.

    Parameters
    ----------
    low_share : of a day's volume; a hundredth is lost in the noise of the volume itself
    high_share : a twentieth; about the participation at which execution desks begin to plan for their own impact
    near_sigmas : a usual day's move reaches it
    far_sigmas : one day in twenty, if moves were normal
    bias : of the asymmetry; re-priced gamma leans by about 0.005 for one at-the-money strike and by up to 0.02 within a week
    odd_share : of the energy's square that is not mirrored; a tenth is a third of its size
    volatility_points : implied volatility at the money, the cuts of the reference system's VIX buckets
    """

    low_share: float = 0.01
    high_share: float = 0.05
    near_sigmas: float = 1.0
    far_sigmas: float = 2.0
    bias: float = 0.05
    odd_share: float = 0.1
    volatility_points: tuple[float, float, float] = (15.0, 20.0, 30.0)

    def __post_init__(self) -> None:
        pairs = (0.0, self.low_share, self.high_share), (0.0, self.near_sigmas, self.far_sigmas), (0.0, *self.volatility_points)
        if any((np.diff(pair) <= 0.0).any() for pair in pairs) or not (0.0 < self.bias < 1.0 and 0.0 < self.odd_share < 1.0):
            raise InvalidInput(f"expected ascending positive thresholds, found {self}")


def energy_share(work: float, sigma_dollars: float, daily_volume: float) -> float:
    """e of the module: work of a one-sigma move over that of a book in which a day's volume spans one sigma."""
    if not (sigma_dollars > 0.0 and daily_volume > 0.0):
        raise InvalidInput(f"expected sigma and daily volume above 0, found {sigma_dollars} and {daily_volume}")
    return work / (0.5 * daily_volume * sigma_dollars)


def energy_regime(up: float, down: float, limits: Thresholds | None = None) -> EnergyRegime:
    """By the shares of both sides: critical where a side feeds the move by `high_share` or more, else by the larger side."""
    limits = limits or Thresholds()
    if min(up, down) <= -limits.high_share:
        return EnergyRegime.CRITICAL
    largest = max(abs(up), abs(down))
    if largest < limits.low_share:
        return EnergyRegime.LOW
    return EnergyRegime.MEDIUM if largest < limits.high_share else EnergyRegime.HIGH


def gamma_regime(up: float, down: float, limits: Thresholds | None = None) -> GammaRegime:
    """By the mean share of both sides: what dealers' gamma does to a usual move."""
    limits = limits or Thresholds()
    mean = 0.5 * (up + down)
    if mean <= -limits.high_share:
        return GammaRegime.SHORT_GAMMA_SQUEEZE
    if mean >= limits.high_share:
        return GammaRegime.LONG_GAMMA_COMPRESSION
    return GammaRegime.LOW_GAMMA_EXPANSION if abs(mean) < limits.low_share else GammaRegime.NEUTRAL


def elasticity_regime(sigmas: Floats, elasticity: Floats, limits: Thresholds | None = None) -> ElasticityRegime:
    """By the sign of k within `near_sigmas` of the spot.

    Parameters
    ----------
    sigmas : (n,) moves, ascending through 0
    elasticity : (n,) k there
    """
    limits = limits or Thresholds()
    near = np.abs(sigmas) <= limits.near_sigmas * (1.0 + 1e-9)
    resists = elasticity[near] >= 0.0
    if resists.all():
        return ElasticityRegime.ELASTIC
    if not resists.any():
        return ElasticityRegime.PLASTIC
    return ElasticityRegime.BRITTLE if np.count_nonzero(np.diff(resists)) < 3 else ElasticityRegime.CHAOTIC


def giving_way(sigmas: Floats, elasticity: Floats, direction: int) -> float | None:
    """Sigmas from the spot to the nearest price on one side at which k is negative; None where there is none in the profile."""
    side = (sigmas * direction >= 0.0) & (elasticity < 0.0)
    return float(np.abs(sigmas[side]).min()) if side.any() else None


def jump_risk(up: float | None, down: float | None, limits: Thresholds | None = None) -> JumpRisk:
    """By the nearer of both distances of `giving_way`, sigmas; None = not within the profile."""
    limits = limits or Thresholds()
    nearest = min(np.inf if up is None else up, np.inf if down is None else down)
    if nearest <= limits.near_sigmas:
        return JumpRisk.HIGH
    return JumpRisk.MODERATE if nearest <= limits.far_sigmas else JumpRisk.LOW


def potential_shape(sigmas: Floats, energy: Floats, limits: Thresholds | None = None) -> PotentialShape | None:
    """The form of the energy over moves that are mirrored about 0; None where there is no energy at all.

    The even part is resolved into a z² + b z⁴ by least squares: with a < 0 < b it is a hill between two wells at
    z² = −a / 2b, with more of z⁴ than of z² at the edge it is flat-bottomed. An odd part of `odd_share` comes before these.
    """
    limits = limits or Thresholds()
    if sigmas.size < 5 or not np.allclose(sigmas, -sigmas[::-1], atol=1e-9 * float(np.abs(sigmas).max() or 1.0)):
        raise InvalidInput("expected at least five moves that are mirrored about 0")
    size = float(np.square(energy).sum())
    if size == 0.0:
        return None
    even, odd = 0.5 * (energy + energy[::-1]), 0.5 * (energy - energy[::-1])
    edge = float(sigmas[-1])
    z = sigmas / edge
    scale = float(np.abs(even).max()) or 1.0
    (a, b), *_ = np.linalg.lstsq(np.stack([z**2, z**4], axis=1), even / scale, rcond=None)
    if a < 0.0 < b and -a / (2.0 * b) < 1.0:
        return PotentialShape.DOUBLE_WELL
    if float(np.square(odd).sum()) > limits.odd_share * size:
        return PotentialShape.CUBIC
    if a + b < 0.0:
        return PotentialShape.INVERTED
    return PotentialShape.QUARTIC if b > a else PotentialShape.QUADRATIC


def volatility_level(points: float, limits: Thresholds | None = None) -> VixLevel:
    """The bucket of an implied volatility in points."""
    cuts = (limits or Thresholds()).volatility_points
    if not points >= 0.0:
        raise InvalidInput(f"expected a volatility in points, found {points}")
    return list(VixLevel)[int(np.searchsorted(cuts, points, side="right"))]


def bias_of(asymmetry: float, limits: Thresholds | None = None) -> FieldBias:
    """Which way is easier, once the asymmetry is more than what re-pricing alone leaves."""
    limit = (limits or Thresholds()).bias
    if abs(asymmetry) < limit:
        return FieldBias.NEITHER
    return FieldBias.UP if asymmetry > 0.0 else FieldBias.DOWN


REGIMES: tuple[type[StrEnum], ...] = (EnergyRegime, ElasticityRegime, GammaRegime, JumpRisk, PotentialShape, VixLevel)
"""The vocabularies that this package's `reading()` speaks."""
