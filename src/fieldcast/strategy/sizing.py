"""Volatility target.

    weight   = min(1, target_volatility / sigma_annual) / n        where P(up) > P(down), else 0
    quantity = floor_lot(weight * NAV / (price * multiplier))

sigma_annual is the projected standard deviation of the log return a year (a fraction), n the number of instruments
of the portfolio, so the weights sum to at most 1 and a portfolio of uncorrelated instruments runs below its target.
There are no shorts: odds that favour down ask for nothing to be held. The target moves a little every day; a dead band
(a fraction of NAV, 0 = off) keeps the current position where the change is worth less, except on the way to zero.
Source: Moreira and Muir, "Volatility-Managed Portfolios", Journal of Finance 72 (2017), with the cap at 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fieldcast.ground import InvalidInput, Reason
from fieldcast.trading import exact_product, ratio_down, to_lots

DEFAULT_TARGET = Decimal("0.10")
WEIGHT_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class SizedTarget:
    """The quantity that is wanted, the codes that explain it, and the figures it comes from."""

    quantity: Decimal
    weight: Decimal
    reasons: tuple[Reason, ...]
    figures: Mapping[str, Any]


def volatility_target(
    *,
    p_up: float,
    p_down: float,
    sigma_annual: float,
    nav: Decimal,
    price: Decimal,
    current: Decimal = Decimal(0),
    n_instruments: int = 1,
    lot: Decimal = Decimal(1),
    multiplier: Decimal = Decimal(1),
    target_volatility: Decimal = DEFAULT_TARGET,
    dead_band: Decimal = Decimal(0),
) -> SizedTarget:
    """The position that a volatility target asks for.

    Parameters
    ----------
    p_up, p_down : calibrated probabilities in [0, 1]
    sigma_annual : projected annual volatility, a fraction above 0
    nav : net asset value of the portfolio, in its currency
    price, multiplier, lot : of the instrument; price in its currency a unit
    current : held, working orders included, in units
    n_instruments : number of instruments that share the portfolio
    target_volatility : fraction a year
    dead_band : fraction of NAV; a smaller change is not worth its cost

    Raises
    ------
    InvalidInput : a probability, the volatility, the price or a parameter is out of its range
    """
    for label, probability in (("p_up", p_up), ("p_down", p_down)):
        if not 0.0 <= probability <= 1.0:
            raise InvalidInput(f"expected {label} in [0, 1], found {probability}")
    if not math.isfinite(sigma_annual) or sigma_annual <= 0:
        raise InvalidInput(f"expected a finite sigma_annual above 0, found {sigma_annual}")
    if price <= 0 or n_instruments < 1 or target_volatility <= 0 or dead_band < 0:
        raise InvalidInput(
            f"expected price > 0, n_instruments >= 1, target_volatility > 0, dead_band >= 0, "
            f"found {price}, {n_instruments}, {target_volatility}, {dead_band}"
        )
    figures: dict[str, Any] = {
        "p_up": p_up,
        "p_down": p_down,
        "sigma_annual": sigma_annual,
        "target_volatility": target_volatility,
        "n_instruments": n_instruments,
        "nav": nav,
        "price": price,
    }
    if p_up <= p_down:
        reason = Reason.DIRECTION_DOWN if p_up < p_down else Reason.DIRECTION_NONE
        return SizedTarget(Decimal(0), Decimal(0), (reason,), figures | {"weight": Decimal(0)})
    share = min(Decimal(1), ratio_down(target_volatility, Decimal(repr(float(sigma_annual)))))
    weight = to_lots(ratio_down(share, Decimal(n_instruments)), WEIGHT_STEP)
    unit_value = exact_product(price, multiplier)
    quantity = to_lots(ratio_down(exact_product(max(nav, Decimal(0)), weight), unit_value), lot)
    figures["weight"] = weight
    reasons = [Reason.DIRECTION_UP, Reason.VOLATILITY_TARGET]
    if quantity == 0:
        reasons.append(Reason.BELOW_LOT)
    change = exact_product(abs(quantity - current), unit_value)
    if quantity not in (0, current) and change < exact_product(dead_band, max(nav, Decimal(0))):
        figures["outside_dead_band"] = quantity
        return SizedTarget(current, weight, (*reasons, Reason.WITHIN_DEAD_BAND), figures)
    return SizedTarget(quantity, weight, tuple(reasons), figures)
