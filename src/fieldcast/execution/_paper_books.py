"""The paper broker's books in memory: its orders, and one cash account that `simulation.fill_at_open` fills them for.

An order fills only at an open later than the order itself, and only in the session that it is for. Opens are played in the
order in which they happened, the orders of each in that in which they arrived. Nothing is drawn at random: the same orders and
the same bars give the same fills. The books keep no file; `PaperBooks.restore` rebuilds them from orders and fills.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, MissingData, Reason, utc
from fieldcast.market import Instrument
from fieldcast.simulation import OpeningPrint, fill_at_open
from fieldcast.trading import CostModel, Fill, NotFound, Order, OrderState, OrderStatus, cash_effect, exact_sum


def currency_of(cash: Decimal, instruments: Sequence[Instrument]) -> str:
    """The one currency of an account that begins with this cash and lists these instruments.

    Raises
    ------
    InvalidInput : the cash is negative, no instrument is listed, or they differ in currency
    """
    if not cash.is_finite() or cash < 0:
        raise InvalidInput(f"expected starting cash of at least 0, found {cash}")
    currencies = {instrument.currency for instrument in instruments}
    if len(currencies) != 1:
        raise InvalidInput(f"expected instruments of one currency, found {', '.join(sorted(currencies)) or 'none'}")
    return currencies.pop()


class PaperBooks:
    """One cash account at the simulated venue.

    Parameters
    ----------
    cash : paid in at the start, in the one currency of all instruments
    costs : what a fill costs
    instruments : what is listed; all of one currency

    Raises
    ------
    InvalidInput : the cash is negative, no instrument is listed, or they differ in currency
    """

    def __init__(self, *, cash: Decimal, costs: CostModel, instruments: Sequence[Instrument]) -> None:
        self.currency = currency_of(cash, instruments)
        self.instruments = {instrument.id: instrument for instrument in instruments}
        self.cash = cash
        self._costs = costs
        self._states: dict[str, OrderState] = {}
        self._fills: list[Fill] = []
        self._positions: dict[str, Decimal] = {}

    @classmethod
    def restore(
        cls,
        *,
        cash: Decimal,
        costs: CostModel,
        instruments: Sequence[Instrument],
        states: Iterable[OrderState],
        fills: Iterable[Fill],
    ) -> PaperBooks:
        """The books as they were: `states` in order of arrival, `fills` in the order in which they happened.

        Raises
        ------
        IntegrityError : orders and fills do not fit each other
        """
        books = cls(cash=cash, costs=costs, instruments=instruments)
        for state in states:
            books._states[state.client_id] = state
        for fill in fills:
            state_of_fill = books._states.get(fill.client_id)
            if state_of_fill is None or state_of_fill.status is not OrderStatus.FILLED:
                raise IntegrityError(f"expected a filled order behind the fill {fill.id}, found {state_of_fill}")
            books._book(fill)
        filled = {fill.client_id for fill in books._fills}
        for client_id, state in books._states.items():
            if (state.status is OrderStatus.FILLED) != (client_id in filled):
                raise IntegrityError(f"expected a fill exactly for filled orders, found {client_id} {state.status}")
        return books

    # -- what it answers -------------------------------------------------------------------------------------------

    def order(self, client_id: str) -> OrderState | NotFound:
        """What is known of one order."""
        return self._states.get(client_id, NotFound(client_id))

    def states(self) -> tuple[OrderState, ...]:
        """Every order, in order of arrival."""
        return tuple(self._states.values())

    def open_orders(self) -> tuple[OrderState, ...]:
        """Orders that wait for their open, in order of arrival."""
        return tuple(state for state in self._states.values() if not state.status.is_final)

    def fills(self) -> tuple[Fill, ...]:
        """Every fill, in the order in which they happened."""
        return tuple(self._fills)

    def positions(self) -> dict[str, Decimal]:
        """Units held by instrument id; instruments without a position are absent."""
        return {instrument: quantity for instrument, quantity in sorted(self._positions.items()) if quantity != 0}

    # -- what it does ----------------------------------------------------------------------------------------------

    def submit(self, order: Order, at: datetime) -> OrderState:
        """Accept an order; the same order a second time changes nothing and returns its state.

        Raises
        ------
        ConflictError : another order has this id already
        MissingData : the instrument is not listed
        InvalidInput : the quantity is no multiple of the lot
        """
        known = self._states.get(order.client_id)
        if known is not None:
            if known.order != order:
                raise ConflictError(f"expected {known.order} under the id {order.client_id}, found {order}")
            return known
        instrument = self._listed(order.instrument)
        if order.quantity % instrument.lot != 0:
            raise InvalidInput(f"expected a multiple of {instrument.lot} {instrument.id}, found {order.quantity}")
        at = utc(at)
        state = OrderState(order, f"V{len(self._states) + 1:08d}", OrderStatus.ACCEPTED, Decimal(0), at, at)
        self._states[order.client_id] = state
        return state

    def cancel(self, client_id: str, at: datetime) -> OrderState | NotFound:
        """Take an order back; one that is final already stays as it is."""
        state = self._states.get(client_id)
        if state is None:
            return NotFound(client_id)
        if state.status.is_final:
            return state
        return self._close(state, OrderStatus.CANCELLED, at, Reason.CANCELLED)

    def expire(self, client_id: str, at: datetime, reason: Reason) -> OrderState:
        """End an order whose session has passed without a print."""
        state = self._states.get(client_id)
        if state is None:
            raise MissingData(f"expected an order with the id {client_id}, found none")
        return state if state.status.is_final else self._close(state, OrderStatus.EXPIRED, at, reason)

    def refuse(self, client_id: str, at: datetime, reason: Reason) -> OrderState:
        """End an order that may not be brought to its open."""
        state = self._states.get(client_id)
        if state is None:
            raise MissingData(f"expected an order with the id {client_id}, found none")
        return state if state.status.is_final else self._close(state, OrderStatus.REJECTED, at, reason)

    def match(self, openings: Iterable[OpeningPrint], at: datetime, *, held_back: Collection[str] = ()) -> tuple[OrderState, ...]:
        """Fill or refuse every order that waits for one of these opens; what became of each, in order of arrival.

        held_back : client ids of orders that stay as they are, because one before them is not decided yet
        """
        by_key = {(self._listed(opening.instrument).id, opening.session): opening for opening in openings}
        due: dict[datetime, list[tuple[OrderState, OpeningPrint]]] = {}
        for state in self.open_orders():
            opening = by_key.get((state.order.instrument, state.order.valid_for_session))
            if opening is not None and state.client_id not in held_back:
                due.setdefault(utc(opening.opened_at), []).append((state, opening))
        ended = {state.client_id for moment in sorted(due) for state in self._match_at(moment, due[moment], at)}
        return tuple(state for state in self._states.values() if state.client_id in ended)

    def _match_at(self, moment: datetime, due: Sequence[tuple[OrderState, OpeningPrint]], at: datetime) -> list[OrderState]:
        """The orders of one open, in order of arrival."""
        late = [self._close(state, OrderStatus.EXPIRED, at, Reason.TOO_LATE) for state, _ in due if moment <= state.submitted_at]
        timely = [(state, opening) for state, opening in due if moment > state.submitted_at]
        if not timely:
            return late
        openings = {opening.instrument: opening for _, opening in timely}
        orders, held = [state.order for state, _ in timely], self.positions()
        answers = fill_at_open(orders, list(openings.values()), self.instruments, cash=self.cash, held=held, costs=self._costs)
        ended = late
        for (state, _), answer in zip(timely, answers, strict=True):
            if isinstance(answer, Reason):
                ended.append(self._close(state, OrderStatus.REJECTED, at, answer))
                continue
            self._book(answer)
            done = replace(state, status=OrderStatus.FILLED, filled_quantity=answer.quantity, updated_at=utc(at))
            self._states[state.client_id] = done
            ended.append(done)
        return ended

    def _close(self, state: OrderState, status: OrderStatus, at: datetime, reason: Reason) -> OrderState:
        done = replace(state, status=status, updated_at=utc(at), reasons=(*state.reasons, reason))
        self._states[state.client_id] = done
        return done

    def _book(self, fill: Fill) -> None:
        multiplier = self._listed(fill.instrument).multiplier
        self.cash = exact_sum(self.cash, cash_effect(fill, multiplier))
        held = self._positions.get(fill.instrument, Decimal(0))
        self._positions[fill.instrument] = exact_sum(held, fill.signed_quantity)
        self._fills.append(fill)

    def _listed(self, instrument: str) -> Instrument:
        try:
            return self.instruments[instrument]
        except KeyError:
            listed = ", ".join(sorted(self.instruments))
            raise MissingData(f"expected a listed instrument ({listed}), found {instrument}") from None
