"""The reference system's energy products under their own names, for those who compare; nothing else reads them.

Sources: its hedge engine v3 (E = g·v·c·d·l, ME = P / E) and its universal energy interpreter. Kept although it is wrong, so
that names and formulas match:

- exposures are Greek × open interest, without the contract's multiplier and without S² · 0.01, so the thresholds (1e6, 5e6,
  1e7) mean something else for every underlying; `regimes.Thresholds` is the replacement;
- the distance weight exp(−0.05 |K − S| / S) hardly decays, and the interpreter's force keeps today's Greeks at every price;
- E multiplies five factors without unit, is divided by g when dealers are short, and ME = P / E makes a stiffer market cheaper
  to move; `work.movement_energy` is the replacement;
- the interpreter's asymmetry is up − down in its own unit: positive means that up costs MORE, the opposite of
  `work.asymmetry`, whatever its documents say; the hedge engine's is the ratio up / down.

Corrected, because the original could not run or always said the same:

- who holds what is a parameter (the original took dealers as short calls and puts: pass the policy `ALL_SHORT`), and calls are
  told from puts by a flag (it looked for letters that no adapter wrote, so that all its exposures were 0);
- Greeks are those of `pricing` (the original divided per-point and per-day values again, and added a term to charm);
- integrals run outwards on both sides (the original's energy downwards was negative, so it was bullish for ever) and Simpson's
  rule has an odd number of points (10 gave 0.963 for the integral of 1);
- its cross-asset correlation was a constant; the name is kept and the value is unknown: `friction` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, sqrt, tanh
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.fields.elasticity.positions import YEAR, Floats, Policy, _positions
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.vocabulary import (
    CharmRegime,
    EnergyRegime,
    GammaRegime,
    JumpRisk,
    PotentialShape,
    VannaRegime,
    VixLevel,
)
from fieldcast.ground import InvalidInput, MissingData, Reason

HEDGE_VALUES = (
    "dealer_gamma_sign", "net_gamma", "net_vanna", "net_charm", "oi_weighted_strike", "sign_confidence",
    "gamma_pressure", "gamma_pressure_up", "gamma_pressure_down", "pin_zones",
    "vanna_pressure", "vanna_pressure_up", "vanna_pressure_down", "vol_sensitivity", "shock_absorber",
    "charm_pressure", "decay_acceleration", "pressure_up", "pressure_down", "pressure_net", "pressure_asymmetry",
    "gamma_factor", "vanna_factor", "charm_factor", "density_factor", "liquidity_factor",
    "elasticity", "elasticity_up", "elasticity_down",
    "movement_energy", "movement_energy_up", "movement_energy_down", "energy_net", "energy_asymmetry",
    "barrier_strength", "acceleration_likelihood", "jump_score", "confidence", "stability", "cross_asset_correlation",
)  # fmt: skip
HEDGE_LABELS = (
    "gamma_regime", "vanna_regime", "charm_regime", "jump_risk_regime", "volatility_regime", "potential_shape", "primary_regime",
)  # fmt: skip
INTERPRETER_VALUES = (
    "gamma_force", "vanna_force", "charm_force", "movement_energy", "movement_energy_up", "movement_energy_down",
    "energy_asymmetry", "elasticity", "elasticity_up", "elasticity_down", "elasticity_asymmetry", "stability", "confidence",
)  # fmt: skip
INTERPRETER_LABELS = ("energy_regime",)


@dataclass(frozen=True, eq=False)
class LegacyChain:
    """(n,) contracts in the reference system's terms: Greeks at today's spot, per 1.00 of price or volatility, charm per day."""

    spot: float
    strike: Floats
    is_call: NDArray[np.bool_]
    days: Floats
    open_interest: Floats
    position: Floats
    """Contracts that dealers hold, positive for long."""
    gamma: Floats
    vanna: Floats
    charm: Floats

    def __post_init__(self) -> None:
        if self.strike.size == 0:
            raise MissingData("expected contracts, found none")
        if not all(np.isfinite(getattr(self, name)).all() for name in ("strike", "days", "position", "gamma", "vanna", "charm")):
            raise InvalidInput("expected finite strikes, days, positions and Greeks, found others")


@dataclass(frozen=True)
class LegacyProducts:
    """Every name of the product is in exactly one of the three: a value, a word, or why it is unknown."""

    values: Mapping[str, float]
    labels: Mapping[str, StrEnum]
    reasons: Mapping[str, Reason]


def legacy_chain(priced: PricedChain, signs: ArrayLike | Policy) -> LegacyChain:
    """A priced chain in the reference system's terms; contracts whose holder nobody knows are left out."""
    from fieldcast.pricing import bsm_greeks

    position, _ = _positions(priced, signs)
    known = np.isfinite(position)
    greeks = bsm_greeks(
        priced.spot, priced.strike, priced.years, priced.rate, priced.rate - priced.carry, priced.sigma, priced.is_call
    )
    columns = (priced.strike, priced.is_call, priced.years * YEAR, priced.open_interest, position)
    sensitivities = (greeks.gamma, greeks.vanna, greeks.charm / YEAR)
    return LegacyChain(priced.spot, *(column[known] for column in (*columns, *sensitivities)))  # type: ignore[arg-type]


def hedge_engine(
    chain: LegacyChain, *, vix: float | None = None, vol_of_vol: float | None = None, amihud: float | None = None
) -> LegacyProducts:
    """Hedge engine v3, its eight processors in their order.

    Parameters
    ----------
    vix : volatility index in points
    vol_of_vol : a fraction, in the reference system's own scale
    amihud : its liquidity friction lambda; what rests on an unknown one is unknown
    """
    index, vov, friction = (np.nan if one is None else float(one) for one in (vix, vol_of_vol, amihud))
    spot, held = chain.spot, chain.open_interest
    above = chain.strike > spot
    weight = np.exp(-0.05 * np.abs(chain.strike - spot) / spot)

    # 1 dealer sign
    net = {name: float((chain.position * getattr(chain, name)).sum()) for name in ("gamma", "vanna", "charm")}
    sign = float(np.sign(net["gamma"])) if abs(net["gamma"]) > 1e6 else 0.0
    whole = float(held.sum())
    strikes = np.unique(chain.strike).size
    sure = min(1.0, strikes / 50.0 * (1.2 if whole > 1000.0 else 1.0))
    side = -1.0 if sign < 0.0 else 1.0

    # 2 gamma, 3 vanna and 4 charm fields
    gamma_at, vanna_at = chain.gamma * held * weight * spot * side, chain.vanna * held * weight * side
    absorber = 1.0 / (1.0 + 2.0 * (vov - 0.5)) if vov > 0.5 else 1.0 if vov == vov else np.nan
    gamma_up, gamma_down = float(gamma_at[above].sum()), float(gamma_at[~above].sum())
    vanna_up, vanna_down = float(vanna_at[above].sum()) * absorber, float(vanna_at[~above].sum()) * absorber
    sensitivity = net["vanna"] * vov
    mean_days = float(chain.days.mean())
    decay = 1.0 / sqrt(mean_days) if mean_days > 0.01 else 10.0
    gamma_word = legacy_gamma_regime(sign, net["gamma"])

    # 5 elasticity
    g = 1.0 + abs(net["gamma"]) * 1e-7
    factors = {
        "gamma_factor": 1.0 / g if sign < 0.0 else g,
        "vanna_factor": 1.0 + abs(net["vanna"]) * 1e-7 * abs(sensitivity),
        "charm_factor": 1.0 + abs(net["charm"]) * 1e-7 * decay,
        "density_factor": 1.0 + 2.0 * float(np.square(held / whole).sum()) if whole > 0.0 else np.nan,
        "liquidity_factor": 1.0 + friction,
    }
    elastic = float(np.prod(list(factors.values())))
    elastic = max(0.01, elastic) if elastic == elastic else np.nan
    up, down = abs(gamma_up) + abs(vanna_up), abs(gamma_down) + abs(vanna_down)
    elastic_up, elastic_down = elastic * (1.0 + up * 1e-8), elastic * (1.0 + down * 1e-8)

    # 6 movement energy
    drift = net["charm"]
    energy_up = (up + max(0.0, drift)) / elastic_up
    energy_down = (down + max(0.0, -drift)) / elastic_down
    mean = 0.5 * (energy_up + energy_down)
    lean = abs(up - down) / (up + down) if up + down > 0.0 else np.nan
    boost = 1.5 if gamma_word in (GammaRegime.SHORT_GAMMA_SQUEEZE, GammaRegime.LOW_GAMMA_EXPANSION) else 1.0
    speed = float(np.minimum(1.0, 2.0 * lean / (1.0 + 0.5 * (elastic_up + elastic_down)) * boost))  # NaN stays NaN

    # 7 regime
    jump = 2.0 * max(0.0, vov - 0.4) + max(0.0, index - 30.0) / 20.0 if vov == vov and index == index else np.nan
    jump = (jump + (0.0 if speed <= 0.7 else speed)) * (1.5 if gamma_word is GammaRegime.SHORT_GAMMA_SQUEEZE else 1.0)
    words = _words(net, sign, decay, gamma_word, jump, index, factors["vanna_factor"])
    settled = sum(str(words[name]) != "neutral" for name in ("gamma_regime", "vanna_regime", "charm_regime") if name in words)
    settled += words.get("jump_risk_regime") not in (None, JumpRisk.LOW)
    values = {
        "dealer_gamma_sign": sign, "net_gamma": net["gamma"], "net_vanna": net["vanna"], "net_charm": net["charm"],
        "oi_weighted_strike": float((chain.strike * held).sum()) / whole if whole > 0.0 else np.nan, "sign_confidence": sure,
        "gamma_pressure": gamma_up - gamma_down, "gamma_pressure_up": gamma_up, "gamma_pressure_down": gamma_down,
        "pin_zones": float(_pin_zones(chain)), "vanna_pressure": vanna_up - vanna_down, "vanna_pressure_up": vanna_up,
        "vanna_pressure_down": vanna_down, "vol_sensitivity": sensitivity, "shock_absorber": absorber, "charm_pressure": drift,
        "decay_acceleration": decay, "pressure_up": up, "pressure_down": down, "pressure_net": up - down,
        "pressure_asymmetry": lean, **factors, "elasticity": elastic, "elasticity_up": elastic_up,
        "elasticity_down": elastic_down, "movement_energy": mean, "movement_energy_up": energy_up,
        "movement_energy_down": energy_down, "energy_net": energy_up - energy_down,
        "energy_asymmetry": energy_up / energy_down if energy_down > 0.0 else np.nan, "barrier_strength": mean,
        "acceleration_likelihood": speed, "jump_score": jump, "confidence": 0.25 * settled if jump == jump else np.nan,
        "stability": float(np.minimum(1.0, elastic / (mean + 1.0))), "cross_asset_correlation": np.nan,
    }  # fmt: skip
    return _products(values, words, HEDGE_LABELS, unknown=None in (vix, vol_of_vol, amihud))


def energy_interpreter(chain: LegacyChain, *, vix: float | None = None, dealer_sign: float = -1.0) -> LegacyProducts:
    """Universal energy interpreter: a force with fixed Greeks, integrated over 1 % each way.

    Parameters
    ----------
    vix : volatility index in points; the vanna force and what rests on it are unknown without it
    dealer_sign : the reference system's default takes dealers as short everything
    """
    index = np.nan if vix is None else float(vix)
    spot = chain.spot
    held = np.where(chain.is_call, chain.open_interest, -chain.open_interest)

    def force(price: float) -> tuple[float, float, float]:
        away = np.abs(chain.strike - price) / price
        scale = 1e-6 * dealer_sign
        near = np.exp(-3.0 * away)
        gamma = scale * float((chain.gamma * held * np.exp(-5.0 * away)).sum())
        vanna = scale * float((chain.vanna * held * near).sum()) * index / 20.0
        return gamma, vanna, scale * float((chain.charm * held * near * np.exp(-chain.days / 30.0)).sum())

    here = force(spot)
    step = 0.01 * spot
    simpson = np.array([1, 4, 2, 4, 2, 4, 2, 4, 2, 4, 1]) * step / 30.0
    energy = [float((simpson * [abs(sum(force(spot + side * x))) for x in np.linspace(0.0, step, 11)]).sum()) for side in (1, -1)]
    stiff = [abs(sum(force(spot + side * step)) - sum(here)) / step * 1e-3 for side in (1, -1)]
    total, k = 0.5 * sum(energy), 0.5 * sum(stiff)
    size = sum(abs(one) for one in here)
    word, steady = (None, np.nan) if not isfinite(total + k) else _legacy_energy(tanh(1000.0 * total), tanh(100.0 * k))
    balance = max(0.0, 1.0 - 3.0 * abs(abs(here[0]) / size - 0.33)) if size > 0.0 else np.nan
    window = float(((chain.days >= 7.0) & (chain.days <= 90.0)).mean())
    sure = 0.3 * min(1.0, np.unique(chain.strike).size / 20.0) + 0.3 * min(1.0, float(chain.open_interest.sum()) / 1e4)
    values = {
        "gamma_force": here[0], "vanna_force": here[1], "charm_force": here[2], "movement_energy": total,
        "movement_energy_up": energy[0], "movement_energy_down": energy[1], "energy_asymmetry": energy[0] - energy[1],
        "elasticity": k, "elasticity_up": stiff[0], "elasticity_down": stiff[1], "elasticity_asymmetry": stiff[0] - stiff[1],
        "stability": steady * balance, "confidence": sure + 0.2 * max(0.0, 1.0 - abs(index - 20.0) / 20.0) + 0.2 * window
        if index == index else np.nan,
    }  # fmt: skip
    return _products(values, {} if word is None else {"energy_regime": word}, INTERPRETER_LABELS, unknown=vix is None)


def fusion_weights(elasticity: Floats, stability: Floats, jump: Floats, vol_of_vol: float) -> Floats:
    """(n,) weights of n timeframes, shortest first, by the reference system's rule (it could not run); they sum to 1."""
    place = np.arange(elasticity.size)
    steady = np.where(stability < 0.5, 0.7**place, 1.0)
    calm = np.where(jump > 1.0, 0.5**place, 1.0)
    penalty = np.where(place > 0, max(0.3, 1.0 - 1.5 * max(0.0, vol_of_vol - 0.3)), 1.0)
    raw = 0.4 / (1.0 + 0.1 * elasticity) + 0.3 * steady + 0.2 * calm + 0.1 * penalty
    return np.asarray(raw / raw.sum(), np.float64)


def legacy_gamma_regime(sign: float, net: float) -> GammaRegime:
    """By the reference system's absolute thresholds."""
    if sign < -0.5 and abs(net) > 1e7:
        return GammaRegime.SHORT_GAMMA_SQUEEZE
    if sign > 0.5 and abs(net) > 1e7:
        return GammaRegime.LONG_GAMMA_COMPRESSION
    return GammaRegime.LOW_GAMMA_EXPANSION if abs(net) < 5e6 else GammaRegime.NEUTRAL


def _words(
    net: Mapping[str, float], sign: float, decay: float, gamma: GammaRegime, jump: float, index: float, vanna_factor: float
) -> dict[str, StrEnum]:
    """The words that can be said; one that needs an unknown figure is left out."""
    words: dict[str, StrEnum] = {"gamma_regime": gamma}
    charm = abs(net["charm"])
    words["charm_regime"] = CharmRegime.CHARM_DECAY_DOMINANT if charm > 5e5 else CharmRegime.NEUTRAL
    if charm > 1e6 and decay > 0.5:
        words["charm_regime"] = CharmRegime.HIGH_CHARM_DECAY_ACCELERATION
    if abs(net["vanna"]) <= 5e6:
        words["vanna_regime"] = VannaRegime.VANNA_FLOW if abs(net["vanna"]) > 1e6 else VannaRegime.NEUTRAL
    elif index == index:
        words["vanna_regime"] = VannaRegime.HIGH_VANNA_HIGH_VOL if index > 25.0 else VannaRegime.HIGH_VANNA_LOW_VOL
    if index == index:
        words["volatility_regime"] = [VixLevel.LOW, VixLevel.ELEVATED, VixLevel.CRISIS][int(index >= 20.0) + int(index >= 30.0)]
    if jump == jump:
        words["jump_risk_regime"] = JumpRisk.HIGH if jump > 2.0 else JumpRisk.MODERATE if jump > 1.0 else JumpRisk.LOW
    if "jump_risk_regime" in words and vanna_factor == vanna_factor:
        words["potential_shape"] = _legacy_shape(net, sign, words["jump_risk_regime"] is JumpRisk.HIGH, vanna_factor)
    if "jump_risk_regime" in words and "vanna_regime" in words:
        order = ("gamma_regime", "vanna_regime", "charm_regime")
        loud = [words[name] for name in order if str(words[name]) != "neutral"]
        jumpy = words["jump_risk_regime"]
        words["primary_regime"] = jumpy if jumpy is not JumpRisk.LOW else loud[0] if loud else GammaRegime.NEUTRAL
    return words


def _legacy_shape(net: Mapping[str, float], sign: float, jumpy: bool, vanna_factor: float) -> PotentialShape:
    gamma = abs(net["gamma"])
    if abs(net["vanna"]) > 5e6 and sign < 0.0 and vanna_factor > 1.5:
        return PotentialShape.DOUBLE_WELL
    if jumpy or gamma > 1e7:
        return PotentialShape.QUARTIC
    return PotentialShape.QUADRATIC if gamma < 1e6 else PotentialShape.CUBIC


def _legacy_energy(energy: float, stiffness: float) -> tuple[EnergyRegime, float]:
    """The interpreter's regime and the stability that it gives it."""
    if max(energy, stiffness) < 0.3:
        return EnergyRegime.LOW, 0.8
    if max(energy, stiffness) < 0.6:
        return EnergyRegime.MEDIUM, 0.6
    return (EnergyRegime.HIGH, 0.4) if min(energy, stiffness) < 0.8 else (EnergyRegime.CRITICAL, 0.2)


def _pin_zones(chain: LegacyChain) -> int:
    """Strikes with more than 5,000 contracts, joined where they are at most 2 % of the spot apart."""
    strikes, place = np.unique(chain.strike, return_inverse=True)
    heavy = strikes[np.bincount(place, chain.open_interest) > 5000.0]
    return int(heavy.size and 1 + np.count_nonzero(np.diff(heavy) > 0.02 * chain.spot))


def _products(
    values: Mapping[str, float], labels: Mapping[str, StrEnum], names: tuple[str, ...], *, unknown: bool
) -> LegacyProducts:
    """What is no number or no word gets its reason: an input that was not given, or nothing there to measure."""
    why = Reason.COVARIATE_MISSING if unknown else Reason.UNDEFINED
    missing = [name for name, one in values.items() if not isfinite(one)] + [name for name in names if name not in labels]
    reasons = dict.fromkeys(missing, why)
    if "cross_asset_correlation" in reasons:
        reasons["cross_asset_correlation"] = Reason.COVARIATE_MISSING
    known = {name: float(one) for name, one in values.items() if isfinite(one)}
    return LegacyProducts(MappingProxyType(known), MappingProxyType(dict(labels)), MappingProxyType(reasons))
