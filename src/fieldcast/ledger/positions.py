"""Positions, derived: the sum of signed fills. Nothing stores a position, so nothing can disagree with its fills."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from fieldcast.ledger._tables_trading import CashMovement, Fill, Intent
from fieldcast.ledger.exact import exact_sum


def positions(session: Session, account: str, portfolio: str) -> dict[str, Decimal]:
    """Units held by instrument; instruments whose fills cancel out are left out.

    The sum is made in Python: on SQLite an exact decimal is text, and SQL would add it as a binary float.
    """
    rows = session.execute(
        select(Fill.instrument, Fill.side, Fill.quantity)
        .join(Intent, Intent.client_id == Fill.client_id)
        .where(Intent.account == account, Intent.portfolio == portfolio)
    )
    signed: defaultdict[str, list[Decimal]] = defaultdict(list)
    for instrument, side, quantity in rows:
        signed[instrument].append(quantity if side == "BUY" else -quantity)
    held = {instrument: exact_sum(quantities) for instrument, quantities in sorted(signed.items())}
    return {instrument: quantity for instrument, quantity in held.items() if quantity != 0}


def cash(session: Session, account: str, portfolio: str) -> dict[str, Decimal]:
    """Cash by currency: the sum of its movements."""
    rows = session.execute(
        select(CashMovement.currency, CashMovement.amount).where(
            CashMovement.account == account, CashMovement.portfolio == portfolio
        )
    )
    amounts: defaultdict[str, list[Decimal]] = defaultdict(list)
    for currency, amount in rows:
        amounts[currency].append(amount)
    return {currency: exact_sum(values) for currency, values in sorted(amounts.items())}
