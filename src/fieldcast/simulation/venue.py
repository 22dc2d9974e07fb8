"""A minimal simulated venue.

It takes market orders for the open of one later session and fills each whole, or refuses it whole:

    price = print of the open shifted by half spread and slippage against the trader, on the tick
    cash  = cash - side * price * quantity * multiplier - commission

An order fills only at a print later than the order itself. It is refused where that open is not a real print, where
cash would fall below zero, or where it would sell more than is held (there is no margin and no short position). Orders
of one session are matched in the order in which they arrived. Nothing is drawn at random: the same orders and the same
prints give the same fills. The venue keeps no file; `Venue.restore` rebuilds it from orders and fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from fieldcast.ground import ConflictError, IntegrityError, InvalidInput, MissingData, Reason, utc
from fieldcast.market import Instrument
from fieldcast.trading import (
    CostModel,
    Fill,
    NotFound,
    Order,
    OrderState,
    OrderStatus,
    Side,
    cash_effect,
    exact_sum,
    fill_value,
)


@dataclass(frozen=True, slots=True)
class OpeningPrint:
    """The open of one session, as the venue sees it.

    Parameters
    ----------
    opened_at : moment of the open
    bar_ts : `ts` of the bar that carries it, later than `opened_at`
    price : None where the source gives no open
    trusted : False where the open is known not to be a real print
    """

    instrument: str
    session: date
    opened_at: datetime
    bar_ts: datetime
    price: Decimal | None
    trusted: bool


class Venue:
    """One cash account at a simulated exchange.

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
        if not cash.is_finite() or cash < 0:
            raise InvalidInput(f"expected starting cash of at least 0, found {cash}")
        currencies = {instrument.currency for instrument in instruments}
        if len(currencies) != 1:
            raise InvalidInput(f"expected instruments of one currency, found {', '.join(sorted(currencies)) or 'none'}")
        self.currency = currencies.pop()
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
    ) -> Venue:
        """The venue as it was: `states` in order of arrival, `fills` in the order in which they happened.

        Raises
        ------
        IntegrityError : orders and fills do not fit each other
        """
        venue = cls(cash=cash, costs=costs, instruments=instruments)
        for state in states:
            venue._states[state.client_id] = state
        for fill in fills:
            state_of_fill = venue._states.get(fill.client_id)
            if state_of_fill is None or state_of_fill.status is not OrderStatus.FILLED:
                raise IntegrityError(f"expected a filled order behind the fill {fill.id}, found {state_of_fill}")
            venue._book(fill)
        filled = {fill.client_id for fill in venue._fills}
        for client_id, state in venue._states.items():
            if (state.status is OrderStatus.FILLED) != (client_id in filled):
                raise IntegrityError(f"expected a fill exactly for filled orders, found {client_id} {state.status}")
        return venue

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

    def match(self, openings: Iterable[OpeningPrint], at: datetime) -> tuple[OrderState, ...]:
        """Fill or refuse every order that waits for one of these opens; what became of each, in order of arrival."""
        by_key = {(self._listed(opening.instrument).id, opening.session): opening for opening in openings}
        return tuple(
            self._match_one(state, by_key[key], at)
            for state in self.open_orders()
            if (key := (state.order.instrument, state.order.valid_for_session)) in by_key
        )

    def _match_one(self, state: OrderState, opening: OpeningPrint, at: datetime) -> OrderState:
        order = state.order
        if opening.opened_at <= state.submitted_at:
            return self._close(state, OrderStatus.EXPIRED, at, Reason.TOO_LATE)
        if opening.price is None:
            return self._close(state, OrderStatus.REJECTED, at, Reason.PRICE_MISSING)
        if not opening.trusted:
            return self._close(state, OrderStatus.REJECTED, at, Reason.NEXT_OPEN_REFUSED)
        if order.side is Side.SELL and self._positions.get(order.instrument, Decimal(0)) < order.quantity:
            return self._close(state, OrderStatus.REJECTED, at, Reason.NO_SHORTS)
        instrument = self._listed(order.instrument)
        price = self._costs.fill_price(order.side, opening.price, instrument.tick)
        fee = self._costs.commission(price, order.quantity, instrument.multiplier)
        value = order.side.sign * fill_value(price, order.quantity, instrument.multiplier)
        if exact_sum(self.cash, -value, -fee) < 0:
            return self._close(state, OrderStatus.REJECTED, at, Reason.INSUFFICIENT_CASH)
        fill = Fill(
            id=f"{order.client_id}-1",
            client_id=order.client_id,
            instrument=order.instrument,
            side=order.side,
            quantity=order.quantity,
            price=price,
            fee=fee,
            ts=utc(opening.opened_at),
            source_bar_ts=utc(opening.bar_ts),
            reference_price=opening.price,
        )
        self._book(fill)
        done = replace(state, status=OrderStatus.FILLED, filled_quantity=order.quantity, updated_at=utc(at))
        self._states[order.client_id] = done
        return done

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
