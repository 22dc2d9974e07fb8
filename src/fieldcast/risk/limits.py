"""Limits.

A proposal to increase a position is refused (REJECT) where the instrument may not be traded, its next open is no real
print, its data is poor, no projection or no passed gate stands behind it, or it would be short. What is left is cut
(SCALE) to the room under the limit on net asset value:

    factor = (max_exposure * NAV - sum |kept_i| v_i) / sum increase_i v_i,     capped to 1; no room = REJECT

v_i is price * multiplier; kept_i is the smaller of what is held and what is wanted, so a decrease makes room. The kill
switch turns every verdict into FREEZE. A verdict never stands in the way of a step towards zero (`Verdict.permitted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fieldcast.ground import ConfigError, InvalidInput, Reason
from fieldcast.market import Instrument
from fieldcast.trading import Verdict, exact_product, ratio_down, to_lots

FACTOR_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds; all are inclusive.

    Parameters
    ----------
    max_exposure : sum of position values as a multiple of NAV
    minimum_quality : quality score below which data is not trusted to increase anything
    """

    max_exposure: Decimal = Decimal(1)
    minimum_quality: float = 0.6

    def __post_init__(self) -> None:
        if not self.max_exposure.is_finite() or self.max_exposure < 0:
            raise ConfigError(f"expected max_exposure of at least 0, found {self.max_exposure}")
        if not 0.0 <= self.minimum_quality <= 1.0:
            raise ConfigError(f"expected minimum_quality in [0, 1], found {self.minimum_quality}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is wanted for one instrument, and everything that a limit looks at.

    Parameters
    ----------
    current, wanted : units, working orders included in `current`; `wanted` is None where it cannot be computed
    price : reference price; None where it is not known
    quality : score of the data in [0, 1]; None where it is not known
    gate : outcome of the gate, `PASS`, `FAIL` or `CANNOT_JUDGE`; None where none stands
    has_projection : a usable packet for this slot exists
    next_open_trusted : the next open can be a fill
    faults : further codes that forbid an increase, such as `stale` or `no_data`
    """

    instrument: Instrument
    current: Decimal
    wanted: Decimal | None
    price: Decimal | None
    quality: float | None
    gate: str | None
    has_projection: bool
    next_open_trusted: bool
    faults: tuple[Reason, ...] = ()

    def value(self, quantity: Decimal) -> Decimal:
        """Value of `quantity` units in the instrument's currency; only of zero where the price is not known."""
        if quantity == 0:
            return Decimal(0)
        if self.price is None:
            raise InvalidInput(f"expected a price to value {quantity} of {self.instrument.id}, found none")
        return exact_product(self.price, self.instrument.multiplier, quantity)


_GATE_REASONS = {None: Reason.GATE_MISSING, "FAIL": Reason.GATE_FAILED, "CANNOT_JUDGE": Reason.GATE_CANNOT_JUDGE}


def gate_reason(gate: str | None) -> Reason:
    """The code that an outcome of the gate stands for."""
    if gate == "PASS":
        return Reason.GATE_PASSED
    try:
        return _GATE_REASONS[gate]
    except KeyError:
        raise InvalidInput(f"expected PASS, FAIL or CANNOT_JUDGE, found the gate outcome {gate!r}") from None


def _refusals(proposal: Proposal, limits: Limits) -> tuple[Reason, ...]:
    reasons: list[Reason] = list(proposal.faults)
    instrument = proposal.instrument
    if not instrument.tradable and not instrument.notional:
        reasons.append(Reason.NOT_TRADABLE)
    if not proposal.next_open_trusted:
        reasons.append(Reason.NEXT_OPEN_REFUSED)
    if proposal.quality is None or proposal.quality < limits.minimum_quality:
        reasons.append(Reason.DATA_QUALITY)
    if not proposal.has_projection:
        reasons.append(Reason.PROJECTION_MISSING)
    if proposal.gate != "PASS":
        reasons.append(gate_reason(proposal.gate))
    if proposal.wanted is not None and proposal.wanted < 0:
        reasons.append(Reason.NO_SHORTS)
    if proposal.price is None:
        reasons.append(Reason.PRICE_MISSING)
    return tuple(dict.fromkeys(reasons))


def check_limits(
    proposals: Sequence[Proposal], *, nav: Decimal, limits: Limits, frozen: bool = False
) -> dict[str, Verdict]:
    """One verdict for each proposal of one portfolio, by instrument id.

    Parameters
    ----------
    proposals : one for each instrument, each at most once
    nav : net asset value of the portfolio
    frozen : the kill switch is on

    Raises
    ------
    InvalidInput : an instrument occurs twice, or a held position has no price
    """
    if len({proposal.instrument.id for proposal in proposals}) != len(proposals):
        raise InvalidInput("expected each instrument once among the proposals, found one twice")
    refusals = {proposal.instrument.id: _refusals(proposal, limits) for proposal in proposals}
    kept = increases = Decimal(0)
    for proposal in proposals:
        wanted = proposal.current if proposal.wanted is None else max(proposal.wanted, Decimal(0))
        kept += abs(proposal.value(min(proposal.current, wanted)))
        if wanted > proposal.current and not refusals[proposal.instrument.id]:
            increases += proposal.value(wanted - proposal.current)
    ceiling = exact_product(limits.max_exposure, max(nav, Decimal(0)))
    figures: dict[str, Any] = {"nav": nav, "exposure_ceiling": ceiling, "exposure_kept": kept, "increases": increases}
    room = max(ceiling - kept, Decimal(0))
    factor = Decimal(1)
    if increases > room:
        factor = to_lots(ratio_down(room, increases), FACTOR_STEP)
    return {
        proposal.instrument.id: _verdict(proposal, refusals[proposal.instrument.id], factor, frozen, figures)
        for proposal in proposals
    }


def _verdict(
    proposal: Proposal, refusals: tuple[Reason, ...], factor: Decimal, frozen: bool, portfolio: dict[str, Any]
) -> Verdict:
    figures = portfolio | {"quality": proposal.quality, "gate": proposal.gate, "wanted": proposal.wanted}
    if frozen:
        return Verdict.freeze(Reason.KILL_SWITCH, *refusals, **figures)
    if refusals:
        return Verdict.reject(*refusals, **figures)
    notional = (Reason.NOTIONAL_UNITS,) if proposal.instrument.notional else ()
    increases = proposal.wanted is not None and proposal.wanted > proposal.current
    if not increases or factor == 1:
        return Verdict.allow(*notional, **figures)
    if factor == 0:
        return Verdict.reject(Reason.NAV_LIMIT, **figures)
    return Verdict.scale(factor, Reason.NAV_LIMIT, *notional, **figures)
