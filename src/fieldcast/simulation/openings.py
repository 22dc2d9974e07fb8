"""Orders for one open, filled by the kernel that fills the orders of a backtest at each of its opens.

Who keeps an account from day to day (the paper broker) has no run of bars: it has orders, holdings and the bars of one open.
`fill_at_open` makes a venue of exactly that, and lets `_kernels_matching.at_open` play it under these settings:

    an account that borrows nothing and sells nothing that it does not hold, `Margin()`, `shorts=False`
    an order that it cannot pay, or an open that is no real print, refuses the order: `Shortfall.REJECT`, `UntrustedOpen.REJECT`
    every instrument is paid in full: `margined=()`

Price, fee and cash are those of a backtest with these settings over the same bars, to the minimal unit, because the same code
reckons them. One thing can differ: where the fee's step is finer than the minimal unit of money, a fee is rounded up to that
unit, which comes from tick and lot, and from the bars where their prices lie off the tick.

The kernel counts in whole numbers of 63 bits. A coin with six decimals of price and eight of quantity leaves it 23,058 dollars,
and a backtest of more is refused before it starts. An account that is kept from day to day cannot be refused in its midst, so an
open without that room is reckoned in exact decimals, by the formulas of `CostModel` (`_exactly`); where both have room they give
the same answers. Every order ends here with a fill or a named refusal: nothing about an order or a print is an exception.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from fieldcast.ground import IntegrityError, InvalidInput, MissingData, Reason, utc
from fieldcast.market import Instrument
from fieldcast.trading import CostModel, Fill, Order, Side, cash_effect, exact_sum
from fieldcast.trading.costs import is_us_listed
from fieldcast.trading.money import PRICE_STEP, price_from_bar

if TYPE_CHECKING:
    from fieldcast.simulation.market import Floats, Market


_SPARE = 4  # fills cost more than their prints, and several may add up


@dataclass(frozen=True, slots=True)
class OpeningPrint:
    """The open of one session, as a venue sees it.

    Parameters
    ----------
    opened_at : moment of the open
    bar_ts : `ts` of the bar that carries it, later than `opened_at`
    price : None where the source gives no open
    trusted : False where the open is known not to be a real print
    volume : of the bar, for the impact; None where it is not reported
    """

    instrument: str
    session: date
    opened_at: datetime
    bar_ts: datetime
    price: float | None
    trusted: bool
    volume: float | None = None


@dataclass(frozen=True, slots=True)
class _Open:
    """What comes together at one open; see `fill_at_open`."""

    orders: Sequence[Order]
    openings: Sequence[OpeningPrint]
    instruments: Mapping[str, Instrument]
    cash: Decimal
    held: Mapping[str, Decimal]
    costs: CostModel


def fill_at_open(
    orders: Sequence[Order],
    openings: Sequence[OpeningPrint],
    instruments: Mapping[str, Instrument],
    *,
    cash: Decimal,
    held: Mapping[str, Decimal],
    costs: CostModel,
) -> tuple[Fill | Reason, ...]:
    """What becomes of each order at this open: a fill over its whole quantity, or why there is none.

    Parameters
    ----------
    orders : in order of arrival, which is the order in which they are filled
    openings : one for each instrument that is ordered; all of one moment
    instruments : by id, of one currency
    cash : before the open
    held : units by instrument id
    costs : what a fill costs

    Raises
    ------
    InvalidInput : the openings are of several moments, or an order has none or two
    """
    by_id = {opening.instrument: opening for opening in openings}
    moments = {utc(opening.opened_at) for opening in openings}
    missing = sorted({order.instrument for order in orders} - by_id.keys())
    if missing or len(moments) > 1 or len(by_id) != len(openings):
        raise InvalidInput(
            f"expected one opening of one moment for each instrument that is ordered, found {len(openings)} of "
            f"{len(moments)} moments and none for {', '.join(missing) or 'no instrument'}"
        )
    refused = [_hopeless(order, by_id[order.instrument], instruments, costs) for order in orders]
    playable = [order for order, why in zip(orders, refused, strict=True) if why is None]
    if not playable:
        return tuple(why for why in refused if why is not None)
    ids = dict.fromkeys(order.instrument for order in playable)
    at = _Open(playable, [by_id[id] for id in ids], instruments, cash, held, costs)
    played = iter(_play(at) if _has_room(at) else _exactly(at))
    return tuple(next(played) if why is None else why for why in refused)


def _hopeless(order: Order, opening: OpeningPrint, instruments: Mapping[str, Instrument], costs: CostModel) -> Reason | None:
    """Why an order cannot even be brought to the open."""
    instrument, price = instruments[order.instrument], opening.price
    if not (instrument.tradable or instrument.notional):
        return Reason.NOT_TRADABLE
    if price is None or not math.isfinite(price) or price < float(PRICE_STEP):
        return Reason.PRICE_MISSING
    try:
        costs.parts(instrument, opening.opened_at)
    except MissingData:
        return Reason.COST_UNMEASURED
    return None


def _has_room(at: _Open) -> bool:
    """True where everything that this open can move fits in the kernel's whole numbers, with room to spare."""
    from fieldcast.simulation.units import ROOM, Units

    costs, market = at.costs, _bar(at.openings, at.instruments)
    try:
        units = Units.of(market)
    except InvalidInput:  # its smallest value, or a single lot, is beyond them already
        return False
    for row, instrument in enumerate(market.instruments):
        wanted = [order.quantity for order in at.orders if order.instrument == instrument.id]
        moved = sum(wanted, start := at.held.get(instrument.id, Decimal(0)))
        if moved * _SPARE > instrument.lot * int(units.most_lots[row]) or any(one % instrument.lot for one in (start, *wanted)):
            return False
        fees = () if costs.fees is None else (costs.fees.minimum, costs.fees.activity_maximum or Decimal(0))
        rates = () if costs.fees is None else (costs.fees.per_unit, costs.fees.activity_per_unit, costs.fees.passed_per_unit)
        amounts = (abs(at.cash), costs.minimum_commission, *fees, *(rate * max(moved, instrument.lot * 10**8) for rate in rates))
        if max(amounts).scaleb(units.cash_decimals) * _SPARE > ROOM:
            return False
    return True


def _exactly(at: _Open) -> list[Fill | Reason]:
    """The one open in exact decimals: what `_play` answers wherever both have room."""
    by_id = {opening.instrument: opening for opening in at.openings}
    own, cash, answers = dict(at.held), at.cash, list[Fill | Reason]()
    for order in at.orders:
        instrument = at.instruments[order.instrument]
        have = own.get(order.instrument, Decimal(0))
        try:
            answer = _exact_fill(order, by_id[order.instrument], instrument, cash, have, at.costs)
            if isinstance(answer, Fill):
                cash = exact_sum(cash, cash_effect(answer, instrument.multiplier))
                own[order.instrument] = exact_sum(have, answer.signed_quantity)
        except (InvalidInput, InvalidOperation):  # more than the 60 digits that an exact amount may have
            answer = Reason.QUANTITY_TOO_LARGE
        answers.append(answer)
    return answers


def _exact_fill(
    order: Order, opening: OpeningPrint, instrument: Instrument, cash: Decimal, held: Decimal, costs: CostModel
) -> Fill | Reason:
    """One order at its open, under the same rules in the same order as the kernel's `fill`."""
    from fieldcast.trading.costs._kernels import NO_PRICE, shift_hundredths

    assert opening.price is not None
    if not opening.trusted:
        return Reason.NEXT_OPEN_REFUSED
    if exact_sum(held, order.side.sign * order.quantity) < 0:
        return Reason.NO_SHORTS
    quantity = Decimal(float(order.quantity / instrument.lot) / (1.0 / float(instrument.lot)))  # as the kernel divides
    volume = math.nan if opening.volume is None else opening.volume
    parts = costs.parts(instrument, opening.opened_at)
    if int(shift_hundredths(parts.total_bps(float(quantity), volume))) == NO_PRICE:
        return Reason.VOLUME_NOT_REPORTED
    reference = price_from_bar(opening.price)
    fill = Fill(
        id=f"{order.client_id}-1",
        client_id=order.client_id,
        instrument=order.instrument,
        side=order.side,
        quantity=order.quantity,
        price=(price := costs.fill_price(
            order.side, reference, instrument.tick, parts=parts, quantity=quantity, volume=volume
        )),
        fee=_charging(costs, instrument).commission(price, order.quantity, instrument.multiplier, side=order.side),
        ts=utc(opening.opened_at),
        source_bar_ts=utc(opening.bar_ts),
        reference_price=reference,
    )  # fmt: skip
    left = exact_sum(cash, cash_effect(fill, instrument.multiplier))
    return Reason.INSUFFICIENT_CASH if order.side is Side.BUY and left < 0 else fill


def _charging(costs: CostModel, instrument: Instrument) -> CostModel:
    """The costs without what regulators take of sales, where the instrument is none of theirs."""
    if costs.fees is None or is_us_listed(instrument):
        return costs
    return replace(costs, fees=costs.fees.without_regulatory())


def _play(at: _Open) -> list[Fill | Reason]:
    """The one open, as bar 0 of a run that begins with this cash and these holdings."""
    from fieldcast.simulation import _state as s  # numba loads only when something is filled
    from fieldcast.simulation._account import Run
    from fieldcast.simulation._kernels_matching import at_open
    from fieldcast.simulation._kernels_orders import add
    from fieldcast.simulation.settings import Margin, Shortfall, UntrustedOpen, VenueSettings

    orders, openings = at.orders, at.openings
    market = _bar(openings, at.instruments)
    rows = {opening.instrument: row for row, opening in enumerate(openings)}
    currency = market.instruments[0].currency
    settings = VenueSettings(
        cash={currency: Decimal(0)}, costs=at.costs, shortfall=Shortfall.REJECT, untrusted_open=UntrustedOpen.REJECT,
        shorts=False, margin=Margin(), margined=(), pattern_equity=Decimal(0),
    )  # fmt: skip
    run = Run(market, settings, rows=len(orders))
    units, state, moment = run.units, run.state, int(market.open_ts[0])
    # What lies below the minimal unit of this open decides nothing: all its prices and fees are whole multiples of it.
    floor = at.cash.scaleb(units.cash_decimals).to_integral_value(rounding=ROUND_FLOOR).scaleb(-units.cash_decimals)
    state.cash[0] = state.totals[s.S_CASH] = units.minor(floor)
    for id, row in rows.items():
        state.position[row, s.P_LOTS] = units.lots(row, at.held.get(id, Decimal(0)))
    numbers = []
    for order in orders:
        row = rows[order.instrument]
        lots = units.lots(row, order.quantity)
        numbers.append(int(add(state, row, s.MARKET, order.side.sign, lots, moment, moment)))
    state.counters[s.C_BAR_OPEN], state.counters[s.C_BAR_END] = moment, int(market.ts[0])
    at_open(state, run.bars, 0)
    run.check()
    filled = {int(fill[s.F_ORDER]): fill for fill in state.fills[: state.counters[s.N_FILLS]]}
    answers: list[Fill | Reason] = []
    for order, number in zip(orders, numbers, strict=True):
        status, row = int(state.orders[number, s.O_STATUS]), rows[order.instrument]
        why = s.REASONS[state.orders[number, s.O_REASON]]
        if status == s.FILLED:
            fill = filled[number]
            answers.append(
                Fill(
                    id=f"{order.client_id}-1",
                    client_id=order.client_id,
                    instrument=order.instrument,
                    side=order.side,
                    quantity=order.quantity,
                    price=units.price(row, fill[s.F_PRICE]),
                    fee=units.money(fill[s.F_FEE]),
                    ts=utc(openings[row].opened_at),
                    source_bar_ts=utc(openings[row].bar_ts),
                    reference_price=units.price(row, fill[s.F_REFERENCE]),
                )
            )
        elif why is not None:
            answers.append(why)
        else:
            raise IntegrityError(f"expected every order to end at its open, found {order.client_id} at work")
    return answers


def _bar(openings: Sequence[OpeningPrint], instruments: Mapping[str, Instrument]) -> Market:
    """A market of one bar, which begins at the open and holds the prints of that moment and no other price."""
    import numpy as np

    from fieldcast.simulation.market import Market

    def row(values: Sequence[float | None]) -> Floats:
        return np.array([[np.nan if value is None else value] for value in values], dtype=np.float64)

    def micros(moment: datetime) -> int:
        return int(np.datetime64(utc(moment).replace(tzinfo=None), "us").astype(np.int64))

    prices, unknown = row([opening.price for opening in openings]), row([None] * len(openings))
    return Market(
        instruments=tuple(instruments[opening.instrument] for opening in openings),
        ts=np.array([max(micros(opening.bar_ts) for opening in openings)], dtype=np.int64),
        open_ts=np.array([micros(openings[0].opened_at)], dtype=np.int64),
        open=prices, high=unknown, low=unknown, close=prices, volume=row([opening.volume for opening in openings]),
        trusted_open=np.array([[opening.trusted] for opening in openings]), session=np.zeros(1, dtype=np.int64),
    )  # fmt: skip
