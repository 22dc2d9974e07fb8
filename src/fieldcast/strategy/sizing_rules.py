"""How large a position may be: the smallest of the rules that are asked for.

    fixed              amount / (price * multiplier)
    risk share         share * NAV / (stop distance * multiplier)
    fractional Kelly   fraction * NAV * (p W - (1 - p) L) / (W L) / (price * multiplier)
    volatility target  NAV * target / sigma_annual / (price * multiplier)
    movement energy    share * NAV * reference / max(energy, floor) / (price * multiplier)
    cap                share * NAV / (price * multiplier)
    quality haircut    quality * the smallest of the others

W and L are the gain and the loss of a unit of value, at target and at stop. The Kelly share maximises the expected logarithm
of wealth; a quarter of it is usual, because p is estimated. Every limit is rounded down, so the result exceeds none of them,
and a rule that cannot be satisfied (no distance to the stop, no edge, nothing that resists) gives zero with its reason.

Sources: Kelly, "A new interpretation of information rate", Bell System Technical Journal 35 (1956) 917-926; Moreira and Muir
(2017) for the volatility target; the reference systems for the rest. That a larger movement energy asks for a smaller position
is theirs; the unit, and the floor that keeps 1 / energy bounded, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol

from fieldcast.ground import InvalidInput, Reason
from fieldcast.trading import exact_product, ratio_down, to_lots

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a size is for: net asset value, price of a unit, multiplier, smallest quantity.

    Raises
    ------
    InvalidInput : price, multiplier or lot is not above zero, or a figure is not finite
    """

    nav: Decimal
    price: Decimal
    multiplier: Decimal = Decimal(1)
    lot: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        positive = (self.price, self.multiplier, self.lot)
        if not all(figure.is_finite() and figure > 0 for figure in positive) or not self.nav.is_finite():
            raise InvalidInput(f"expected a price, multiplier and lot above 0 and a finite NAV, found {self}")

    def units_for(self, value: Decimal) -> Decimal:
        """Units that a value buys, never rounded up; 0 where the value is below zero."""
        return ratio_down(max(value, ZERO), exact_product(self.price, self.multiplier))


@dataclass(frozen=True, slots=True)
class Limit:
    """The most units that a rule allows, and why."""

    units: Decimal
    reason: Reason


class SizingRule(Protocol):
    """A limit on a position."""

    def limit(self, holding: Holding) -> Limit: ...


def _checked(rule: object, *, above: Sequence[str] = (), least: Sequence[str] = ()) -> None:
    """Refuse figures that are not finite, not above zero (`above`) or below zero (`least`)."""
    for name in (*above, *least):
        value = getattr(rule, name)
        if not math.isfinite(value) or value < 0 or (name in above and value == 0):
            bound = "above 0" if name in above else "of at least 0"
            raise InvalidInput(f"expected a finite {name} {bound} in {type(rule).__name__}, found {value}")


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


@dataclass(frozen=True, slots=True)
class FixedSize:
    """An amount of money."""

    amount: Decimal = Decimal(10_000)

    def __post_init__(self) -> None:
        _checked(self, least=("amount",))

    def limit(self, holding: Holding) -> Limit:
        return Limit(holding.units_for(self.amount), Reason.SIZE_FIXED)


@dataclass(frozen=True, slots=True)
class RiskShare:
    """What is lost at the stop is at most a share of NAV. `stop_distance` in price units; 0 gives no position."""

    stop_distance: Decimal
    share: Decimal = Decimal("0.01")

    def __post_init__(self) -> None:
        _checked(self, least=("stop_distance", "share"))

    def limit(self, holding: Holding) -> Limit:
        if self.stop_distance == 0:
            return Limit(ZERO, Reason.STOP_DISTANCE_ZERO)
        risked = exact_product(max(holding.nav, ZERO), self.share)
        return Limit(ratio_down(risked, exact_product(self.stop_distance, holding.multiplier)), Reason.SIZE_BY_RISK)


@dataclass(frozen=True, slots=True)
class FractionalKelly:
    """A fraction of the growth-optimal position.

    Parameters
    ----------
    p_win : calibrated probability of the gain
    gain, loss : of one unit of value, fractions above 0
    samples : outcomes that `p_win` rests on
    fraction : of the Kelly share
    least_edge, least_samples : below either there is no position; the edge is p W / L - (1 - p)
    """

    p_win: float
    gain: float
    loss: float
    samples: int
    fraction: float = 0.25
    least_edge: float = 0.05
    least_samples: int = 20

    def __post_init__(self) -> None:
        _checked(self, above=("gain", "loss"), least=("p_win", "fraction", "least_edge", "samples", "least_samples"))
        if self.p_win > 1:
            raise InvalidInput(f"expected p_win in [0, 1], found {self.p_win}")

    @property
    def edge(self) -> float:
        """Expected gain for each unit risked."""
        return self.p_win * self.gain / self.loss - (1.0 - self.p_win)

    def limit(self, holding: Holding) -> Limit:
        if self.samples < self.least_samples:
            return Limit(ZERO, Reason.FEW_ROWS)
        if self.edge <= 0 or self.edge < self.least_edge:
            return Limit(ZERO, Reason.EDGE_MISSING)
        share = self.fraction * self.edge / self.gain  # (p W - q L) / (W L)
        return Limit(holding.units_for(exact_product(max(holding.nav, ZERO), _exact(share))), Reason.SIZE_BY_KELLY)


@dataclass(frozen=True, slots=True)
class VolatilityTarget:
    """The position's own volatility is at most a target a year."""

    sigma_annual: float
    target: Decimal = Decimal("0.15")

    def __post_init__(self) -> None:
        _checked(self, above=("sigma_annual",), least=("target",))

    def limit(self, holding: Holding) -> Limit:
        value = exact_product(max(holding.nav, ZERO), self.target)
        return Limit(holding.units_for(ratio_down(value, _exact(self.sigma_annual))), Reason.VOLATILITY_TARGET)


@dataclass(frozen=True, slots=True)
class EnergyAware:
    """In proportion to 1 / movement energy.

    Parameters
    ----------
    energy_dollars : resisting work of a usual move (`energy_up_1pct` or `energy_down_1pct`); at or below 0 nothing resists, and
        there is no position
    reference_dollars : energy at which the position is `share` of NAV
    floor_dollars : energies below it count as this
    """

    energy_dollars: float
    reference_dollars: float
    floor_dollars: float
    share: Decimal = Decimal("0.10")

    def __post_init__(self) -> None:
        _checked(self, above=("reference_dollars", "floor_dollars"), least=("share",))
        if not math.isfinite(self.energy_dollars):
            raise InvalidInput(f"expected a finite movement energy, found {self.energy_dollars}")

    def limit(self, holding: Holding) -> Limit:
        if self.energy_dollars <= 0:
            return Limit(ZERO, Reason.NOTHING_RESISTS)
        value = exact_product(max(holding.nav, ZERO), self.share, _exact(self.reference_dollars))
        energy = _exact(max(self.energy_dollars, self.floor_dollars))
        return Limit(holding.units_for(ratio_down(value, energy)), Reason.SIZE_BY_ENERGY)


@dataclass(frozen=True, slots=True)
class Cap:
    """At most a share of NAV."""

    share: Decimal = Decimal("0.10")

    def __post_init__(self) -> None:
        _checked(self, least=("share",))

    def limit(self, holding: Holding) -> Limit:
        return Limit(holding.units_for(exact_product(max(holding.nav, ZERO), self.share)), Reason.SIZE_CAPPED)


@dataclass(frozen=True, slots=True)
class QualityHaircut:
    """A share, 0 to 1, of what the other rules allow: the quality of the data or the reliability of the projection."""

    quality: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 1.0:
            raise InvalidInput(f"expected a quality from 0 to 1, found {self.quality}")


@dataclass(frozen=True, slots=True)
class RuledSize:
    """The size, what bound it, and every rule's limit in units.

    Parameters
    ----------
    quantity : units, a multiple of the lot, >= 0
    reasons : of the rule that bound; `below_lot` besides where what it allows is less than a lot
    limits : rule's name → units
    """

    quantity: Decimal
    reasons: tuple[Reason, ...]
    limits: Mapping[str, Decimal]


def smallest_size(holding: Holding, rules: Sequence[SizingRule], haircut: QualityHaircut | None = None) -> RuledSize:
    """The largest position that every rule allows.

    Parameters
    ----------
    holding : what it is for
    rules : at least one, each kind at most once
    haircut : applied to the smallest of them

    Raises
    ------
    InvalidInput : no rule, or one kind twice
    """
    names = [type(rule).__name__ for rule in rules]
    if not names or len(set(names)) != len(names):
        raise InvalidInput(f"expected at least one rule and each kind once, found {', '.join(names) or 'none'}")
    limits = {name: rule.limit(holding) for name, rule in zip(names, rules, strict=True)}
    if haircut is not None:
        smallest = min(limit.units for limit in limits.values())
        cut = smallest if haircut.quality == 1.0 else exact_product(_short(smallest), _exact(haircut.quality))
        limits["QualityHaircut"] = Limit(cut, Reason.SIZE_BY_QUALITY)
    name = min(limits, key=lambda one: limits[one].units)
    bound = limits[name]
    quantity = to_lots(bound.units, holding.lot) if bound.units >= holding.lot else ZERO
    reasons = (bound.reason, Reason.BELOW_LOT) if quantity == 0 and bound.units > 0 else (bound.reason,)
    return RuledSize(quantity, reasons, MappingProxyType({one: limit.units for one, limit in limits.items()}))


def _short(units: Decimal) -> Decimal:
    """At most 30 digits, rounded down: room for an exact product."""
    return to_lots(units, Decimal("1E-10"))
