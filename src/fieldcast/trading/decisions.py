"""What was decided about an instrument in a slot, and what risk said about it.

    action = sign(target - current): BUY, SELL or HOLD; REJECT = a wanted increase was refused and target = current

A verdict limits increases only. Whatever it is, a step towards zero passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from fieldcast.ground import InvalidInput, Reason, canonical_json, reason_codes, utc
from fieldcast.trading.money import to_lots


class Action(StrEnum):
    """The four things a decision can say."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"
    REJECT = "REJECT"


class DecisionStatus(StrEnum):
    """Whether the decision carries an order."""

    ORDERED = "ordered"
    NO_ORDER = "no_order"


class VerdictKind(StrEnum):
    """From free to frozen."""

    ALLOW = "ALLOW"
    SCALE = "SCALE"
    REJECT = "REJECT"
    FREEZE = "FREEZE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What risk allows of a wanted change, why, and from which figures.

    Parameters
    ----------
    kind : ALLOW, SCALE (an increase is cut to `factor` of itself), REJECT (no increase), FREEZE (no increase anywhere)
    factor : in (0, 1) for SCALE, 1 for ALLOW, 0 for REJECT and FREEZE
    reasons : registered codes; at least one unless the kind is ALLOW
    figures : the numbers that led to it, as they were
    """

    kind: VerdictKind
    factor: Decimal
    reasons: tuple[Reason, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", reason_codes(self.reasons))
        match self.kind:
            case VerdictKind.ALLOW:
                fits = self.factor == 1
            case VerdictKind.SCALE:
                fits = 0 < self.factor < 1
            case _:
                fits = self.factor == 0
        if not fits:
            raise InvalidInput(f"expected a factor that suits {self.kind}, found {self.factor}")
        if self.kind is not VerdictKind.ALLOW and not self.reasons:
            raise InvalidInput(f"expected at least one reason code for {self.kind}, found none")

    @classmethod
    def allow(cls, *reasons: Reason, **figures: Any) -> Verdict:
        return cls(VerdictKind.ALLOW, Decimal(1), reasons, figures)

    @classmethod
    def scale(cls, factor: Decimal, *reasons: Reason, **figures: Any) -> Verdict:
        return cls(VerdictKind.SCALE, factor, reasons, figures)

    @classmethod
    def reject(cls, *reasons: Reason, **figures: Any) -> Verdict:
        return cls(VerdictKind.REJECT, Decimal(0), reasons, figures)

    @classmethod
    def freeze(cls, *reasons: Reason, **figures: Any) -> Verdict:
        return cls(VerdictKind.FREEZE, Decimal(0), reasons, figures)

    def permitted(self, current: Decimal, wanted: Decimal, lot: Decimal) -> Decimal:
        """The position that may be held: all of a decrease, and `factor` of an increase, whole lots towards `current`.

        A change through zero is a decrease to zero and then an increase on the other side.
        """
        if abs(wanted) <= abs(current) and wanted * current >= 0:
            return wanted
        floor = current if wanted * current >= 0 else Decimal(0)
        if self.factor == 1:
            return wanted
        return floor + to_lots((wanted - floor) * self.factor, lot)


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one instrument in one slot.

    Parameters
    ----------
    current_position : held when it was made, working orders left aside
    target_position : to be held after the next open
    reduce_only : True where only a step towards zero was permitted
    status : ordered, where at least one intent belongs to it
    reasons : at least one registered code
    packet_digest, gate_result : the projection and the gate that it rests on; None where there was none
    sizing : the figures behind it (probabilities, volatility, weight, NAV, verdict), plain values
    reference_price : close of the slot's session; None where it is not known

    Raises
    ------
    InvalidInput : a code is not registered or there is none, or the action does not fit the positions
    """

    account: str
    portfolio: str
    slot: str
    instrument: str
    revision: int
    action: Action
    current_position: Decimal
    target_position: Decimal
    reduce_only: bool
    status: DecisionStatus
    reasons: tuple[Reason, ...]
    decided_at: datetime
    packet_digest: str | None = None
    gate_result: str | None = None
    sizing: Mapping[str, Any] = field(default_factory=dict)
    reference_price: Decimal | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", reason_codes(self.reasons))
        if not self.reasons:
            raise InvalidInput(f"expected at least one reason code for {self.instrument} in {self.slot}, found none")
        if self.revision < 0:
            raise InvalidInput(f"expected a revision of at least 0, found {self.revision}")
        change = self.target_position - self.current_position
        expected = Action.BUY if change > 0 else Action.SELL if change < 0 else Action.HOLD
        if self.action is not expected and not (self.action is Action.REJECT and change == 0):
            raise InvalidInput(
                f"expected {expected} for {self.current_position} -> {self.target_position}, found {self.action}"
            )
        if self.reduce_only and abs(self.target_position) > abs(self.current_position):
            raise InvalidInput(f"expected a reduce-only target within {self.current_position}, found a larger one")
        utc(self.decided_at)
        canonical_json(self.sizing)  # refuses NaN and values without a plain form
