"""The interpreter: every quantity of this package for one priced chain, and its short form.

Moves come in two sizes: 1 % of the spot, and one sigma of a day, taken from the chain's own at-the-money volatility unless given:

    sigma $ = S0 · σ_atm / sqrt(sessions a year),   σ_atm at the money forward of the expiry nearest to 30 days

`fields.dealer.at_the_money` has σ_atm: of the nearest expiry with strikes on both sides of the forward, and unknown without one.
Figures with the order book in them are unknown where it ends before the move; the dealers' part of each stands beside it under
a name of its own (`work_…`, `dealer_elasticity_…`, `dealer_asymmetry_…`) whether there is a book or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from math import sqrt
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.dealer.at_the_money import at_the_money, live_contracts
from fieldcast.fields.elasticity.conventions import BOOK, DEALERS
from fieldcast.fields.elasticity.flow import Beta, HedgeFlow, hedge_flow
from fieldcast.fields.elasticity.fusion import Horizon
from fieldcast.fields.elasticity.positions import HedgedBook, Policy, PricingModel, hedged_book
from fieldcast.fields.elasticity.profile import EnergyProfile, RegimeReading, energy_profile, read_regimes
from fieldcast.fields.elasticity.regimes import Thresholds, bias_of, volatility_level
from fieldcast.fields.elasticity.stiffness import DirectionalElasticity, directional_elasticity
from fieldcast.fields.elasticity.surface import ElasticitySurface, SurfaceGrid, elasticity_surface
from fieldcast.fields.elasticity.work import MovementEnergy, movement_energy
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.readings import Landmark, Reading
from fieldcast.ground import InvalidInput, MissingData, Reason


@dataclass(frozen=True)
class ElasticityParameters:
    """Declared choices of the interpreter.

    Parameters
    ----------
    percent : the fixed move, of the spot
    days : calendar days that pass in the charm flow
    sigma_days : the expiry nearest to it gives the volatility of a day's move
    sessions_a_year : days of trading
    grid : domain of the surface; None = no surface
    thresholds : of the regimes
    model : how contracts are re-priced
    """

    percent: float = 0.01
    days: float = 1.0
    sigma_days: float = 30.0
    sessions_a_year: float = 252.0
    grid: SurfaceGrid | None = field(default_factory=SurfaceGrid)
    thresholds: Thresholds = field(default_factory=Thresholds)
    model: PricingModel = PricingModel.BLACK_SCHOLES

    def __post_init__(self) -> None:
        if not (0.0 < self.percent < 1.0 and self.days >= 0.0 and self.sigma_days > 0.0 and self.sessions_a_year > 0.0):
            raise InvalidInput(f"expected a move in (0, 1) and positive times, found {self}")


@dataclass(frozen=True, eq=False)
class ElasticityField:
    """What the interpreter found; `energy` and `elasticity` have one entry for each size of move, `1pct` and `1sigma`."""

    underlying: str
    as_of: datetime
    known_since: datetime
    book: HedgedBook
    sigma_dollars: float
    flow: HedgeFlow
    """To −1 sigma, −1 %, the spot itself, +1 %, +1 sigma."""
    energy: Mapping[str, MovementEnergy]
    elasticity: Mapping[str, DirectionalElasticity]
    profile: EnergyProfile
    regimes: RegimeReading
    parameters: ElasticityParameters
    conventions: Mapping[str, str]
    labels: Mapping[str, StrEnum]
    coverage: float
    """Share of the snapshot's live contracts that are in the figures: priced, with a holder whom the policy knows."""
    simulated: bool
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    """Label → why it is unknown, for those that the interpreter itself gives."""

    @cached_property
    def surface(self) -> ElasticitySurface | None:
        """Over the declared domain, computed when it is first asked for; none where no domain was declared.

        Raises
        ------
        IntegrityError : a node came out as no number
        """
        return None if self.parameters.grid is None else elasticity_surface(self.book, self.parameters.grid)

    def horizon(self) -> Horizon | Reason:
        """What `fuse_timeframes` needs of this field."""
        found = self.energy["1sigma"]
        values = self.regimes.values
        if found.asymmetry.value is None:
            return found.asymmetry.reason or Reason.UNDEFINED
        if "energy_share_up" not in values:
            return Reason.VOLUME_NOT_REPORTED
        share = 0.5 * (abs(values["energy_share_up"]) + abs(values["energy_share_down"]))  # a side that feeds the move counts too
        return Horizon(found.asymmetry.value, share, self.coverage)

    def reading(self) -> Reading:
        """The short form for the field map."""
        values: dict[str, float] = {"sigma_dollars": self.sigma_dollars, "coverage": self.coverage} | dict(self.regimes.values)
        reasons: dict[str, Reason] = dict(self.regimes.reasons) | dict(self.reasons)

        def put(name: str, value: float | None, why: Reason | None) -> None:
            if value is None:
                reasons[name] = why or Reason.UNDEFINED
            else:
                values[name] = value

        for size, energy in self.energy.items():
            values |= {f"work_up_{size}": energy.dealer_up.dollars, f"work_down_{size}": energy.dealer_down.dollars}
            for side, cost, whole in (("up", energy.book_up, energy.up), ("down", energy.book_down, energy.down)):
                put(f"book_cost_{side}_{size}", cost, energy.book_reason)
                put(f"energy_{side}_{size}", whole, energy.book_reason)
            put(f"least_energy_{size}", energy.least, energy.book_reason)
            put(f"asymmetry_{size}", energy.asymmetry.value, energy.asymmetry.reason)
            put(f"dealer_asymmetry_{size}", energy.dealer_asymmetry.value, energy.dealer_asymmetry.reason)
        for size, found in self.elasticity.items():
            for side, one in (("up", found.up), ("down", found.down)):
                values[f"dealer_elasticity_{side}_{size}"] = one.dealer
                put(f"elasticity_{side}_{size}", one.total, one.reason)
                put(f"acceleration_{side}_{size}", one.acceleration, one.reason)
        local = self.elasticity["1sigma"]
        values["elasticity"] = local.local
        values["hedge_dollars_per_percent"] = local.dollars_per_percent(local.local)
        for k, name in ((0, "down_1sigma"), (1, "down_1pct"), (3, "up_1pct"), (4, "up_1sigma")):
            values[f"flow_{name}"] = float(self.flow.gamma[k])
            put(f"vanna_flow_{name}", None if self.flow.vanna is None else float(self.flow.vanna[k]), Reason.COVARIATE_MISSING)
        values["charm_flow"] = float(self.flow.charm[2])
        landmarks = {}
        for side, direction in (("up", 1), ("down", -1)):
            values[f"barrier_{side}"], price = self.profile.barrier(direction)
            if price is not None:
                landmarks[f"barrier_{side}"] = Landmark(price, self.known_since)
        return Reading(
            "elasticity", self.as_of, values, landmarks, self.labels, reasons, self.conventions, simulated=self.simulated
        )


def elasticity_field(
    priced: PricedChain,
    signs: ArrayLike | Policy,
    *,
    depth: Ladders | None = None,
    sigma_move: float | None = None,
    daily_volume: float | None = None,
    beta: Beta | None = None,
    parameters: ElasticityParameters | None = None,
) -> ElasticityField:
    """The elasticity field of one chain.

    Parameters
    ----------
    priced : the contracts
    signs : a sign policy of `fields.dealer`, or (n,) signs of the dealers' side (see `positions.hedged_book`)
    depth : the underlying's order book (`fields.books.ladders`); None = the field is that of the dealers alone, and says so
    sigma_move : one sigma of a day as a fraction of the spot; None = from the chain
    daily_volume : units of the underlying traded on a usual day; None = what is measured against it is unknown
    beta : how volatility answers the price, fitted elsewhere; None = the vanna flow is unknown
    parameters : declared choices

    Raises
    ------
    InvalidInput : out of range, or a book of something else
    MissingData : no contract with a known position; or no expiry with strikes around its forward and no `sigma_move`
    """
    chosen = parameters or ElasticityParameters()
    book = hedged_book(priced, signs, model=chosen.model)
    implied = at_the_money(priced, chosen.sigma_days)
    if sigma_move is None:
        if implied is None:
            raise MissingData(
                f"expected an expiry of {priced.underlying} with strikes on both sides of its forward, found none around "
                f"{priced.spot:g}: the volatility at the money is unknown; give sigma_move, one sigma of a day"
            )
        fraction = implied / sqrt(chosen.sessions_a_year)
    else:
        fraction = sigma_move
    if not 0.0 < fraction < 1.0:
        raise InvalidInput(f"expected one sigma of a day as a fraction of the spot in (0, 1), found {fraction}")
    spot, sigma = book.spot, fraction * book.spot
    sizes = {"1pct": chosen.percent * spot, "1sigma": sigma}
    energy = {name: movement_energy(book, size, name=name, depth=depth) for name, size in sizes.items()}
    profile = energy_profile(book, sigma)
    regimes = read_regimes(profile, daily_volume=daily_volume, thresholds=chosen.thresholds)
    labels, reasons, lean = _labels(energy["1sigma"], implied, chosen.thresholds)
    given = "implied at the money" if sigma_move is None else "given"
    conventions = {
        **book.conventions,
        "energy_of": DEALERS if depth is None else BOOK,
        "profile_of": DEALERS,
        "bias_of": lean,
        "moves": f"1pct = {chosen.percent:g} of the spot; 1sigma = {fraction:.6g} of the spot, {given}",
        "charm": f"{chosen.days:g} calendar days",
        "vanna": "unknown" if beta is None else f"{beta.points_per_percent:g} volatility points for +1 % ({beta.source})",
        "day_count": priced.day_count,
        "iv_source": priced.iv_source,
    }
    return ElasticityField(
        underlying=priced.underlying,
        as_of=priced.as_of,
        known_since=priced.available_at or priced.as_of,
        book=book,
        sigma_dollars=sigma,
        flow=hedge_flow(book, spot + np.array([-sigma, -sizes["1pct"], 0.0, sizes["1pct"], sigma]), beta=beta, days=chosen.days),
        energy=MappingProxyType(energy),
        elasticity=MappingProxyType({name: directional_elasticity(book, size, depth=depth) for name, size in sizes.items()}),
        profile=profile,
        regimes=regimes,
        parameters=chosen,
        conventions=MappingProxyType(conventions),
        labels=MappingProxyType(dict(regimes.labels) | labels),
        coverage=(len(priced) - book.unknown) / live_contracts(priced),
        simulated=priced.simulated,
        reasons=MappingProxyType(reasons),
    )


def _labels(
    energy: MovementEnergy, implied: float | None, thresholds: Thresholds
) -> tuple[dict[str, StrEnum], dict[str, Reason], str]:
    """The interpreter's own words, why any is missing, and what the bias is that of."""
    labels: dict[str, StrEnum] = {}
    reasons: dict[str, Reason] = {}
    if implied is None:
        reasons["volatility_level"] = Reason.FEW_ROWS
    else:
        labels["volatility_level"] = volatility_level(100.0 * implied, thresholds)
    whole = energy.up is not None and energy.down is not None
    lean = energy.asymmetry if whole else energy.dealer_asymmetry
    if lean.value is None:
        reasons["bias"] = lean.reason or Reason.UNDEFINED
    else:
        labels["bias"] = bias_of(lean.value, thresholds)
    return labels, reasons, BOOK if whole and energy.book_up is not None else DEALERS
