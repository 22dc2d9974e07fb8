"""The paper broker: the simulated venue behind the broker protocol, with the kernels and costs of a backtest.

Its books are its own file, so a crash of ours loses nothing of its, and an order that it has taken it has taken,
whatever our ledger knows. At each question it first lets its market catch up: every working order whose session's bar
is known by now is matched at that bar's open. What it has done later than the clock's now (a clock set back, in a
replay of history) it does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

import polars as pl

from fieldcast.execution._paper_books import PaperBooks
from fieldcast.execution._paper_store import PaperStore
from fieldcast.execution.broker import Capabilities, MarketData
from fieldcast.ground import Clock, InvalidInput, MissingData, Reason, utc
from fieldcast.market import Instrument, has_reason, sessions
from fieldcast.simulation import OpeningPrint
from fieldcast.trading import (
    Account,
    CostModel,
    Fill,
    NotFound,
    Order,
    OrderState,
    OrderStatus,
    Position,
    cash_effect,
    exact_sum,
)


class PaperBroker:
    """A paper account for one portfolio.

    Parameters
    ----------
    path : its file; one for each account and portfolio, open in one process at a time
    account, portfolio : whose it is
    market : bars for the fills, as they were known
    clock : the same that the cycle is given
    instruments : what can be traded on it, in one currency
    cash : paid in when the file is made
    costs : spread, slippage and commission of each fill

    Raises
    ------
    Halted : another process has the file open
    ConflictError : the file is another portfolio's, or was opened with other cash
    """

    name = "paper"
    capabilities = Capabilities(market_on_open=True, idempotent_submit=True)

    def __init__(
        self,
        path: Path,
        *,
        account: str,
        portfolio: str,
        market: MarketData,
        clock: Clock,
        instruments: Sequence[Instrument],
        cash: Decimal,
        costs: CostModel | None = None,
    ) -> None:
        self._names = (account, portfolio)
        self._market = market
        self._clock = clock
        self._paid_in = cash
        self._costs = costs or CostModel()
        self._instruments = tuple(instruments)
        self._caught_up_at: datetime | None = None
        self._store = PaperStore(path)
        try:
            currency = PaperBooks(cash=cash, costs=self._costs, instruments=instruments).currency
            self._store.open_account(account, portfolio, currency, cash)
            self._load()
        except BaseException:
            self._store.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._store.close()

    def __enter__(self) -> PaperBroker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- the protocol ----------------------------------------------------------------------------------------------

    def submit(self, order: Order) -> OrderState:
        """Take the order; sent again under the same id, it is the same order.

        Raises
        ------
        ConflictError : the id belongs to a different order
        MissingData : the instrument is not listed
        """
        now = self._catch_up()
        state = self._books.submit(order, now)
        self._save([state], (), now, f"submit:{order.client_id}")
        return self._as_of(state, now)

    def cancel(self, client_id: str) -> OrderState | NotFound:
        """Take an order back; one that is final stays as it is."""
        now = self._catch_up()
        state = self._books.cancel(client_id, now)
        if isinstance(state, OrderState):
            self._save([state], (), now, f"cancel:{client_id}")
        return state

    def order(self, client_id: str) -> OrderState | NotFound:
        """What is known of an order, or the definite answer that it was never taken."""
        now = self._catch_up()
        state = self._books.order(client_id)
        if isinstance(state, NotFound) or state.submitted_at > now:
            return NotFound(client_id)
        return self._as_of(state, now)

    def open_orders(self) -> tuple[OrderState, ...]:
        """Orders that wait for their open, in order of arrival."""
        now = self._catch_up()
        shown = (self._as_of(state, now) for state in self._books.states() if state.submitted_at <= now)
        return tuple(state for state in shown if not state.status.is_final)

    def positions(self) -> tuple[Position, ...]:
        """What is held, by instrument id."""
        held: dict[str, Decimal] = {}
        for fill in self.fills():
            held[fill.instrument] = exact_sum(held.get(fill.instrument, Decimal(0)), fill.signed_quantity)
        return tuple(Position(instrument, quantity) for instrument, quantity in sorted(held.items()) if quantity != 0)

    def fills(self, since: datetime | None = None) -> tuple[Fill, ...]:
        """Fills at `since` or later, in the order in which they happened."""
        now = self._catch_up()
        return tuple(
            fill for fill in self._books.fills() if self._known_at[fill.id] <= now and (since is None or fill.ts >= utc(since))
        )

    def account(self) -> Account:
        """Cash, after every fill that is known."""
        multipliers = {id: instrument.multiplier for id, instrument in self._books.instruments.items()}
        moved = (cash_effect(fill, multipliers[fill.instrument]) for fill in self.fills())
        return Account(*self._names, self._books.currency, exact_sum(self._paid_in, *moved))

    # -- its market ------------------------------------------------------------------------------------------------

    def _as_of(self, state: OrderState, now: datetime) -> OrderState:
        """The order as it stood at `now`: what happened to it later is not shown."""
        if state.updated_at <= now:
            return state
        return replace(
            state,
            status=OrderStatus.ACCEPTED,
            filled_quantity=Decimal(0),
            updated_at=state.submitted_at,
            reasons=(),
        )

    def _catch_up(self) -> datetime:
        """Match or expire every working order whose session is known by now; returns now."""
        now = utc(self._clock.now())
        if now == self._caught_up_at:
            return now
        due = sorted({(state.order.valid_for_session, state.order.instrument) for state in self._books.open_orders()})
        openings = []
        changed = []
        booked = len(self._books.fills())
        for session, instrument in due:
            opening = self._opening(instrument, session, now)
            if isinstance(opening, OpeningPrint):
                openings.append(opening)
            elif opening is _PASSED:
                waiting = (state for state in self._books.open_orders() if _waits_for(state, instrument, session))
                changed += [self._books.expire(state.client_id, now, Reason.NO_DATA) for state in waiting]
        changed += self._books.match(openings, now)
        if changed:
            self._save(changed, self._books.fills()[booked:], now, f"match:{now.date()}")
        self._caught_up_at = now
        return now

    def _opening(self, instrument: str, session: date, now: datetime) -> OpeningPrint | _Passed | None:
        """The open of a session as known at `now`; None while there is none yet."""
        times = sessions(self._books.instruments[instrument].calendar).filter(pl.col("session") == session)
        if times.is_empty():
            raise InvalidInput(f"expected a session of {instrument}, found {session}")
        opened_at, closed_as_of = times["open"][0], times["as_of"][0]
        if opened_at >= now:
            return None
        try:
            bars = self._market.read(instrument, as_of=now, first=session)
        except MissingData:
            return None
        later = bars.filter(pl.col("ts") > opened_at).sort("ts")
        if later.is_empty():
            return None
        row = later.select("ts", "open", "volume", synthetic=has_reason(Reason.OPEN_SYNTHETIC)).row(0, named=True)
        if row["ts"] > closed_as_of:
            return _PASSED
        return OpeningPrint(
            instrument=instrument,
            session=session,
            opened_at=opened_at,
            bar_ts=row["ts"],
            price=row["open"],
            trusted=not row["synthetic"],
            volume=row["volume"],
        )

    # -- its books -------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        booked = self._store.fills()
        self._known_at = {fill.id: known_at for fill, known_at in booked}
        self._books = PaperBooks.restore(
            cash=self._paid_in,
            costs=self._costs,
            instruments=self._instruments,
            states=self._store.orders(),
            fills=[fill for fill, _ in booked],
        )

    def _save(self, states: Sequence[OrderState], fills: Sequence[Fill], known_at: datetime, label: str) -> None:
        """Make what happened last; where that fails, forget it, so that memory never knows more than the file."""
        try:
            self._store.write(states, fills, known_at, label)
        except BaseException:
            self._load()
            raise
        self._known_at |= {fill.id: known_at for fill in fills}


class _Passed(Enum):
    PASSED = "the session has passed, and its bar is missing"


_PASSED: Final = _Passed.PASSED


def _waits_for(state: OrderState, instrument: str, session: date) -> bool:
    return state.order.instrument == instrument and state.order.valid_for_session == session
