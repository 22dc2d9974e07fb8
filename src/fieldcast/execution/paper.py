"""The paper broker: the simulated venue behind the broker protocol, with the kernels and costs of a backtest.

Its books are its own file, so a crash of ours loses nothing of its, and an order that it has taken it has taken,
whatever our ledger knows. At each question it first lets its market catch up: every working order whose session's bar
is known by now is matched at that bar's open. What it has done later than the clock's now (a clock set back, in a
replay of history) it does not show.

Opens are played as they happened, whenever it is asked: an order stays where it is while one before it (an earlier open, or
the same open and an earlier arrival) waits for a bar that is not known yet. That wait ends with the next session's decision
time; of a bar later than that, what it decides can depend on when it was asked.

No splits and no dividends are booked. A dividend is not received. Where a stored split falls on a holding, or between an order
and its open, nothing is traded and no position is shown: see `_paper_splits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from types import TracebackType

from fieldcast.execution._paper_books import PaperBooks, currency_of
from fieldcast.execution._paper_market import PASSED, Hours, hours_of, opening_of
from fieldcast.execution._paper_splits import SplitWatch
from fieldcast.execution._paper_store import PaperStore
from fieldcast.execution.broker import Capabilities, MarketData, StoredActions
from fieldcast.ground import Clock, InvalidInput, Reason, utc
from fieldcast.market import Instrument
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
    actions : splits, as they were known; None where there are none to know of (indices, coins)

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
        actions: StoredActions | None = None,
    ) -> None:
        self._names = (account, portfolio)
        self._market = market
        self._splits = SplitWatch(actions, market)
        self._clock = clock
        self._paid_in = cash
        self._costs = costs or CostModel()
        self._instruments = tuple(instruments)
        self._caught_up_at: datetime | None = None
        self._store = PaperStore(path)
        try:
            self._store.open_account(account, portfolio, currency_of(cash, instruments), cash)
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
        InvalidInput : the quantity is no multiple of the lot, or the day is no session of the instrument
        Halted : the instrument was held across a split
        """
        now = self._catch_up()
        known = not isinstance(self._books.order(order.client_id), NotFound)
        if not known:
            self._check_day(order)
            self._splits.refuse_held(order.instrument, self._fills_by(now), now, portfolio="/".join(self._names))
        with self._all_or_nothing():
            state = self._books.submit(order, now)
            if not known:
                self._save([state], (), now, f"submit:{order.client_id}")
        return self._as_of(state, now)

    def cancel(self, client_id: str) -> OrderState | NotFound:
        """Take an order back; one that is final stays as it is, and so does one whose open has come.

        From its open on an order may have traded, and is not taken back until its bar says so, or is overdue.
        """
        now = self._catch_up()
        state = self._books.order(client_id)
        if isinstance(state, NotFound) or state.submitted_at > now:
            return NotFound(client_id)
        if state.status.is_final or self._may_have_traded(state, now):
            return self._as_of(state, now)
        with self._all_or_nothing():
            ended = self._books.cancel(client_id, now)
            assert isinstance(ended, OrderState)
            self._save([ended], (), now, f"cancel:{client_id}")
        return ended

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
        """What is held, by instrument id.

        Raises
        ------
        Halted : one of them was held across a split, which is not booked
        """
        fills, now = self.fills(), utc(self._clock.now())
        for instrument in dict.fromkeys(fill.instrument for fill in fills):
            self._splits.refuse_held(instrument, fills, now, portfolio="/".join(self._names))
        held: dict[str, Decimal] = {}
        for fill in fills:
            held[fill.instrument] = exact_sum(held.get(fill.instrument, Decimal(0)), fill.signed_quantity)
        return tuple(Position(instrument, quantity) for instrument, quantity in sorted(held.items()) if quantity != 0)

    def fills(self, since: datetime | None = None) -> tuple[Fill, ...]:
        """Fills at `since` or later, in the order in which they happened."""
        return tuple(fill for fill in self._fills_by(self._catch_up()) if since is None or fill.ts >= utc(since))

    def account(self) -> Account:
        """Cash, after every fill that is known."""
        multipliers = {id: instrument.multiplier for id, instrument in self._books.instruments.items()}
        moved = (cash_effect(fill, multipliers[fill.instrument]) for fill in self.fills())
        return Account(*self._names, self._books.currency, exact_sum(self._paid_in, *moved))

    def _fills_by(self, now: datetime) -> tuple[Fill, ...]:
        return tuple(fill for fill in self._books.fills() if self._known_at[fill.id] <= now)

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
        """Match, refuse or expire every order whose turn has come by now; returns now."""
        now = utc(self._clock.now())
        if now == self._caught_up_at:
            return now
        changed: list[OrderState] = []
        held_back: set[str] = set()
        booked = len(self._books.fills())
        with self._all_or_nothing():
            for _, turn in groupby(self._in_turn(now), key=_moment):
                openings = []
                for state, hours in turn:
                    order = state.order
                    opening = opening_of(self._market, order.instrument, order.valid_for_session, hours, now)
                    if opening is PASSED:
                        changed.append(self._books.expire(state.client_id, now, Reason.NO_DATA))
                    elif held_back or (opening is None and _holds(state, hours, now)):
                        held_back.add(state.client_id)
                    elif opening is not None:
                        if self._splits.lies_before(state, opening.opened_at, self._books.fills(), now):
                            changed.append(self._books.refuse(state.client_id, now, Reason.SPLIT_NOT_BOOKED))
                        openings.append(opening)
                changed += self._books.match(openings, now, held_back=held_back)
            if changed:
                self._save(changed, self._books.fills()[booked:], now, f"match:{now.date()}")
        self._caught_up_at = now
        return now

    def _in_turn(self, now: datetime) -> list[tuple[OrderState, Hours | None]]:
        """Working orders whose open has come, in the order of their opens and then of arrival; days without a session first.

        An order of an instrument that is not listed any more waits until it is.
        """
        waiting = []
        for state in self._books.open_orders():
            instrument = self._books.instruments.get(state.order.instrument)
            if instrument is None:
                continue
            hours = hours_of(instrument.calendar, state.order.valid_for_session)
            if hours is None or hours.opened_at < now:
                waiting.append((state, hours))
        return sorted(waiting, key=_moment)

    def _may_have_traded(self, state: OrderState, now: datetime) -> bool:
        instrument = self._books.instruments.get(state.order.instrument)
        hours = None if instrument is None else hours_of(instrument.calendar, state.order.valid_for_session)
        return hours is not None and hours.opened_at <= now < hours.overdue_at

    def _check_day(self, order: Order) -> None:
        instrument = self._books.instruments.get(order.instrument)
        if instrument is not None and hours_of(instrument.calendar, order.valid_for_session) is None:
            raise InvalidInput(
                f"expected a session of {instrument.calendar}, the calendar of {instrument.id}, found {order.valid_for_session}"
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

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Where what is done to the books fails, forget it, so that memory never knows more than the file."""
        try:
            yield
        except BaseException:
            self._load()
            raise

    def _save(self, states: Sequence[OrderState], fills: Sequence[Fill], known_at: datetime, label: str) -> None:
        """Make what happened last; called inside `_all_or_nothing`."""
        self._store.write(states, fills, known_at, label)
        self._known_at |= {fill.id: known_at for fill in fills}


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _moment(waiting: tuple[OrderState, Hours | None]) -> datetime:
    return _LONG_AGO if waiting[1] is None else waiting[1].opened_at


def _holds(state: OrderState, hours: Hours | None, now: datetime) -> bool:
    """True where those behind an order wait for its bar: it may fill, and the bar is not overdue."""
    return hours is not None and state.submitted_at < hours.opened_at and now < hours.overdue_at
