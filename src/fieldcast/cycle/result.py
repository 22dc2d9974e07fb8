"""What a cycle returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from fieldcast.ground import Shown
from fieldcast.trading import Action, Decision, OrderState, Side


class CycleStatus(StrEnum):
    """What this run of the slot was."""

    DECIDED = "decided"  # the slot was new
    REVISED = "revised"  # the slot had been decided with other hashes, and was decided again on purpose
    UNCHANGED = "unchanged"  # the slot had been decided with these very hashes: nothing was added


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order that waits for its open."""

    client_id: str
    instrument: str
    side: Side
    quantity: Decimal
    valid_for_session: date


@dataclass(frozen=True)
class CycleResult(Shown):
    """One run of one slot of one portfolio.

    Parameters
    ----------
    decisions : one for each instrument, by id
    submitted : orders that the broker answered to in this run
    booked : orders whose end was booked in this run: filled, refused, cancelled or expired
    pending : orders that wait for their open when the run ends; on the last day of a history they stay so
    blocked : client ids that the kill switch stopped
    lapsed : client ids that were never accepted before their open passed
    unresolved : client ids that the broker has not answered to
    cash, positions_value, nav : of the slot, in `currency`, at the closes known at `as_of`
    drawdown : 1 - nav / highest nav so far
    """

    account: str
    portfolio: str
    slot: str
    revision: int
    status: CycleStatus
    as_of: datetime
    configuration_hash: str
    data_hash: str
    decisions: tuple[Decision, ...]
    submitted: tuple[OrderState, ...]
    booked: tuple[OrderState, ...]
    pending: tuple[PendingOrder, ...]
    blocked: tuple[str, ...]
    lapsed: tuple[str, ...]
    unresolved: tuple[str, ...]
    currency: str
    cash: Decimal
    positions_value: Decimal
    nav: Decimal
    drawdown: float

    def decision(self, instrument: str) -> Decision:
        """The decision about one instrument; KeyError where the portfolio does not have it."""
        for decision in self.decisions:
            if decision.instrument == instrument:
                return decision
        raise KeyError(instrument)

    @property
    def text(self) -> str:
        """One line that a person can read."""
        counts = ", ".join(
            f"{number} {action}"
            for action in Action
            if (number := sum(decision.action is action for decision in self.decisions))
        )
        parts = [f"{self.portfolio} {self.slot}: {self.status}, {counts}", f"NAV {self.nav:,.2f} {self.currency}"]
        if self.booked:
            parts.append(f"{len(self.booked)} order(s) booked")
        if self.pending:
            sessions = ", ".join(sorted({order.valid_for_session.isoformat() for order in self.pending}))
            parts.append(f"{len(self.pending)} order(s) pending for the open of {sessions}")
        for label in ("blocked", "lapsed", "unresolved"):
            if ids := getattr(self, label):
                parts.append(f"{len(ids)} intent(s) {label}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--json`; decimals as text."""
        return {
            "account": self.account,
            "portfolio": self.portfolio,
            "slot": self.slot,
            "revision": self.revision,
            "status": self.status.value,
            "as_of": self.as_of.isoformat(),
            "configuration_hash": self.configuration_hash,
            "data_hash": self.data_hash,
            "currency": self.currency,
            "cash": format(self.cash, "f"),
            "positions_value": format(self.positions_value, "f"),
            "nav": format(self.nav, "f"),
            "drawdown": self.drawdown,
            "decisions": [
                {
                    "instrument": decision.instrument,
                    "action": decision.action.value,
                    "current_position": format(decision.current_position, "f"),
                    "target_position": format(decision.target_position, "f"),
                    "reduce_only": decision.reduce_only,
                    "status": decision.status.value,
                    "reasons": [reason.value for reason in decision.reasons],
                }
                for decision in self.decisions
            ],
            "submitted": [state.client_id for state in self.submitted],
            "booked": [{"client_id": state.client_id, "status": state.status.value} for state in self.booked],
            "pending": [
                {
                    "client_id": order.client_id,
                    "instrument": order.instrument,
                    "side": order.side.value,
                    "quantity": format(order.quantity, "f"),
                    "valid_for_session": order.valid_for_session.isoformat(),
                }
                for order in self.pending
            ],
            "blocked": list(self.blocked),
            "lapsed": list(self.lapsed),
            "unresolved": list(self.unresolved),
        }
