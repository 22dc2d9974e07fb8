"""A run's state made from a market and settings, grown as it fills, and turned into a result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import ConfigError, IntegrityError, InvalidInput, MissingData
from fieldcast.simulation import _kernels_fill as f
from fieldcast.simulation import _state as s
from fieldcast.simulation._charges import EIGHT, cost_table, e8_up, fee_row
from fieldcast.simulation._kernels_matching import Bars
from fieldcast.simulation._kernels_option_margin import OPTION_COLUMNS
from fieldcast.simulation._kernels_run import NEEDS_ROOM, advance
from fieldcast.simulation.event_table import EventKind, EventTable
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import FillConvention, Intrabar, Shortfall, UntrustedOpen, VenueSettings
from fieldcast.simulation.units import Units
from fieldcast.trading.costs.scope import is_us_listed

FIRST_ROWS = 256


def _bars(market: Market) -> Bars:
    """The arrays of a market as the kernels take them."""
    return Bars(**{name: getattr(market, name) for name in Bars.layout})


def _no_bars() -> Bars:
    return Bars(**{name: np.empty((1, 0) if table.dimensions == 2 else 0, table.dtype) for name, table in Bars.layout.items()})


_NO_FINER = _no_bars()
_NO_BARS = np.empty(0, dtype=np.int64)


def _in_one_piece(**shapes: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    """Empty tables out of one piece of memory.

    numpy asks for large pages for a piece of at least 4 MB, and the first write to each costs a tenth of that to small pages.
    """
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = np.split(np.empty(sum(sizes), dtype=np.int64), np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}


class Run:
    """The arrays of one run. `state` is replaced when a table grows; everything else is for life."""

    def __init__(
        self, market: Market, settings: VenueSettings, events: EventTable | None = None, *, rows: int = FIRST_ROWS,
        exposures: bool = True,
    ) -> None:  # fmt: skip
        self.market, self.settings = market, settings
        self.units = units = Units.of(market, settings.base, currencies=_further(market, settings))
        _check_names(market, settings)
        count = len(market.instruments)
        self.start_minor = 0
        self.first, finer = _finer(market, settings)
        self.bars = _bars(market)
        self.finer = _NO_FINER if finer is None else _bars(finer)
        counters = np.zeros(s.COUNTERS, dtype=np.int64)
        counters[s.N_BAR] = -1
        fx = np.zeros((len(units.currencies), 2), dtype=np.int64)
        fx[0], fx[1:, 1] = 1, 1
        self.state = s.State(
            counters=counters,
            totals=np.zeros(s.TOTALS, dtype=np.int64),
            cash=np.zeros(len(units.currencies), dtype=np.int64),
            instrument=_instruments(market, settings, units),
            position=np.zeros((count, s.POSITION_COLUMNS), dtype=np.int64),
            events=_event_rows(events, market, units, settings),
            fx=fx,
            rules=_rules(settings, units, market),
            scale=np.column_stack((units.price_scale, [1.0 / float(lot) for lot in units.lot])),
            costs=cost_table(market, settings),
            options=_options(market, settings, units),
            **_in_one_piece(
                orders=(rows + 2 * count, s.ORDER_COLUMNS),
                working=(rows + 2 * count,),
                fills=(rows + 4 * count, s.FILL_COLUMNS),
                journal=(4 * rows + 16 * count, s.JOURNAL_COLUMNS),
                curve=(4 if exposures else s.CURVE_MONEY, market.bars),
            ),
        )
        self.events = True if len(self.state.events) else None
        self._deposit()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def play(self, stop: int) -> None:
        """Play all bars before `stop` that have not been played."""
        while advance(self.state, self.bars, self.finer, self.first, stop, self.events) == NEEDS_ROOM:
            self.grow()
        self.check()

    def grow(self, orders: int = 0) -> None:
        """Double what is more than half full, and make room for at least `orders` more and what they may write."""
        state, counters = self.state, self.state.counters
        count = len(state.position)
        working = int(counters[s.N_WORKING]) + orders + count
        segments = 3 + (int(np.diff(self.first).max(initial=0)) if len(self.first) else 0)
        fills = working * segments + 64 * s.EVENT_FILLS + (len(state.events) - int(counters[s.N_CURSOR])) * s.EVENT_FILLS
        postings = fills * 4 + (len(state.events) - int(counters[s.N_CURSOR])) * s.EVENT_POSTINGS
        wanted = {
            "orders": int(counters[s.N_ORDERS]) + orders + count,
            "working": working + orders + count,
            "fills": int(counters[s.N_FILLS]) + min(fills, 4 * len(state.fills) + working * segments + 64),
            "journal": int(counters[s.N_JOURNAL]) + min(postings, 4 * len(state.journal) + 4 * working * segments + 4096),
        }
        counts = {"orders": s.N_ORDERS, "fills": s.N_FILLS, "journal": s.N_JOURNAL, "working": s.N_WORKING}
        grown = {
            name: s.grow(getattr(state, name), least)
            for name, least in wanted.items()
            if least > len(getattr(state, name)) or 2 * int(counters[counts[name]]) > len(getattr(state, name))
        }
        self.state = state.with_tables(**grown)

    def check(self) -> None:
        """Raise what a kernel has found wrong.

        Raises
        ------
        IntegrityError : a fill from another bar than the one played, an event that does not balance or is not known
        InvalidInput : an amount does not fit in 63 bits
        MissingData : an option that is held expires, and its underlying has no price of that session
        """
        error, at = int(self.state.counters[s.C_ERROR]), int(self.state.counters[s.C_ERROR_AT])
        if error == s.NO_ERROR:
            return
        bar = int(self.state.counters[s.N_BAR])
        where = f"at bar {bar} ({int(self.market.ts[max(bar, 0)])})"
        if error == s.OVERFLOW:
            raise InvalidInput(f"expected amounts that fit in 63 bits {where}, found one that does not ({at}); use a larger lot")
        if error == s.LOOK_AHEAD:
            raise IntegrityError(
                f"expected each fill to stem from the bar that is played, found order {at} filled from another {where}"
            )
        if error == s.NO_SETTLEMENT:
            name, under = (self.market.instruments[self.state.events[at, k]].id for k in (s.EV_INSTRUMENT, s.EV_OTHER))
            raise MissingData(
                f"expected a price of {under} of the session in which {name} expires, which the run holds, found none {where}; "
                "import that session's bars, state the settlement value, or close the position before"
            )
        raise IntegrityError(f"expected events that are known and balance, found event {at} {where}")

    # -- the end -----------------------------------------------------------------------------------------------------

    def result(self, tags: Mapping[int, str] | None = None, warnings: tuple[str, ...] = (), **more: Any) -> SimulationResult:
        """The run as it stands after its last bar."""
        state, counters = self.state, self.state.counters
        done = int(counters[s.N_BAR]) + 1
        market = self.market if done == self.market.bars else self.market.between(0, done)
        settings = {**self.settings.canonical(), **self.units.canonical(), **more}
        orders = _frozen(state.orders[: counters[s.N_ORDERS]])
        return SimulationResult(
            market=market,
            units=self.units,
            settings=settings,
            order_rows=orders,
            fill_rows=_frozen(state.fills[: counters[s.N_FILLS]]),
            journal_rows=_frozen(state.journal[: counters[s.N_JOURNAL]]),
            position_rows=_frozen(state.position.copy()),
            account_rows=_frozen(state.curve[:, :done]),
            cash={currency: int(amount) for currency, amount in zip(self.units.currencies, state.cash, strict=True)},
            start_minor=self.start_minor,
            fill_convention=str(self.settings.fill),
            event_rows=_frozen(state.events[: counters[s.N_CURSOR]]),
            tags=dict(tags or {}),
            warnings=(*self._warnings(), *warnings),
        )

    def _warnings(self) -> tuple[str, ...]:
        found = []
        counters = self.state.counters
        if self.settings.fill is FillConvention.SAME_CLOSE:
            found.append("orders fill at the close that they were decided on: no such price can be had")
        if self.settings.volume_share is None:
            found.append("orders fill whole whatever the volume of the bar: no volume_share is set")
        if counters[s.C_COARSE]:
            found.append(f"{counters[s.C_COARSE]} bars had no finer ones inside and were played under the worst path")
        if counters[s.C_LIQUIDATIONS]:
            found.append(f"{counters[s.C_LIQUIDATIONS]} positions were closed by margin calls")
        if self.market.simulated:
            found.append("the prices are simulated")
        return tuple(found)

    def _deposit(self) -> None:
        state = self.state
        ts = int(self.market.open_ts[0])
        for currency, amount in self.settings.cash.items():
            c = self.units.currencies.index(currency)
            minor = self.units.minor(amount)
            if minor == 0:
                continue
            event = int(state.counters[s.N_EVENTS])
            state.counters[s.N_EVENTS] += 1
            for account, signed in ((s.A_CASH, minor), (s.A_CAPITAL, -minor)):
                row = state.journal[state.counters[s.N_JOURNAL]]
                row[:] = (event, ts, s.K_DEPOSIT, account, -1, c, signed)
                state.counters[s.N_JOURNAL] += 1
            state.cash[c] += minor
        if len(self.units.currencies) > 1:
            self._first_rates(ts)
        state.totals[s.S_CASH] = s.cash_in_base(state)
        state.totals[s.S_SESSION_EQUITY] = state.totals[s.S_CASH]
        self.start_minor = int(state.totals[s.S_CASH])

    def _first_rates(self, ts: int) -> None:
        """The rate of each currency at the start: every one must be known by the first open."""
        state = self.state
        for c, currency in enumerate(self.units.currencies[1:], start=1):
            rows = state.events[(state.events[:, s.EV_KIND] == 0) & (state.events[:, s.EV_CURRENCY] == c)]
            if not len(rows) or rows[0, s.EV_STEP] > 0:
                raise MissingData(
                    f"expected a rate of {currency} in {self.units.currencies[0]} that is known by the first open ({ts}), "
                    "found none; pass events made with dated rates"
                )
            known = rows[rows[:, s.EV_STEP] == 0][-1]
            state.fx[c] = known[s.EV_A], known[s.EV_B]


def _further(market: Market, settings: VenueSettings) -> tuple[str, ...]:
    return tuple(settings.cash)


def _check_names(market: Market, settings: VenueSettings) -> None:
    ids = {instrument.id for instrument in market.instruments}
    for label, names in (("margins", settings.margins), ("margined", settings.margined or ())):
        strange = sorted(set(names) - ids)
        if strange:
            raise ConfigError(f"expected {label} of instruments of the market, found {', '.join(strange)}")


def _event_rows(
    events: EventTable | None, market: Market, units: Units, settings: VenueSettings
) -> NDArray[np.int64]:
    if events is None or not len(events):
        return np.empty((0, s.EVENT_COLUMNS), dtype=np.int64)
    from fieldcast.simulation.events import event_rows

    rows = event_rows(events, market, units)
    settles = np.isin(rows[:, s.EV_KIND], (EventKind.SETTLE, EventKind.EXPIRE_FUTURE))
    for n in np.unique(rows[settles, s.EV_INSTRUMENT]):
        if not settings.is_margined(market.instruments[n]):
            name = market.instruments[n].id
            raise ConfigError(f"expected {name}, which is settled each day, among `margined`; found it paid in full")
    return rows


def _finer(market: Market, settings: VenueSettings) -> tuple[NDArray[np.int64], Market | None]:
    """Where each bar's finer ones begin, (T + 1,), or nothing."""
    if settings.intrabar is not Intrabar.FINER:
        return _NO_BARS, None
    if market.finer is None:
        raise ConfigError("expected a market with finer bars for intrabar=finer, found one without")
    finer = market.finer
    first = np.searchsorted(finer.ts, market.open_ts, side="right")
    ends = np.searchsorted(finer.ts, market.ts, side="right")
    starts = finer.open_ts[np.minimum(first, finer.bars - 1)]
    across = np.flatnonzero((first < ends) & (starts < market.open_ts))
    if len(across):
        raise InvalidInput(f"expected finer bars that lie within one bar each, found one across the start of bar {across[0]}")
    if bool((first[1:] != ends[:-1]).any()) or first[0] != 0 or ends[-1] != finer.bars:
        raise InvalidInput("expected every finer bar to lie inside a bar of the market, found some outside")
    return np.concatenate((first, ends[-1:])).astype(np.int64), finer


def _options(market: Market, settings: VenueSettings, units: Units) -> NDArray[np.int64]:
    if not settings.options:
        return np.empty((0, OPTION_COLUMNS), dtype=np.int64)
    from fieldcast.simulation._option_table import option_rows  # most runs have no options

    return option_rows(market, settings, units)


def _instruments(market: Market, settings: VenueSettings, units: Units) -> NDArray[np.int64]:
    rows = np.zeros((len(market.instruments), s.INSTRUMENT_COLUMNS), dtype=np.int64)
    rows[:, s.I_CURRENCY], rows[:, s.I_TICK], rows[:, s.I_FACTOR] = units.currency, units.tick, units.factor
    rows[:, s.I_MOST_LOTS], rows[:, s.I_PRICE_SCALE] = units.most_lots, 10**units.price_decimals
    options = {term.instrument for term in settings.options}
    for n, instrument in enumerate(market.instruments):
        margin = settings.margin_of(instrument.id)
        rows[n, s.I_STYLE] = s.MARGINED if settings.is_margined(instrument) else s.PAID
        rows[n, s.I_INITIAL], rows[n, s.I_MAINTENANCE] = e8_up(margin.initial), e8_up(margin.maintenance)
        for column, each in ((s.I_INITIAL_LOT, margin.initial_per_unit), (s.I_MAINTENANCE_LOT, margin.maintenance_per_unit)):
            money = (each * instrument.lot).scaleb(units.cash_decimals)
            rows[n, column] = int(money.to_integral_value(rounding=ROUND_CEILING))
        if instrument.id in options:  # its margin is that of its group
            rows[n, s.I_INITIAL : s.I_MAINTENANCE + 1] = rows[n, s.I_INITIAL_LOT : s.I_MAINTENANCE_LOT + 1] = 0
        own = settings.option_fees if instrument.id in options else None
        rows[n, s.I_FEES :] = fee_row(settings, units, n, own, regulated=is_us_listed(instrument))
    return rows


def _rules(settings: VenueSettings, units: Units, market: Market) -> NDArray[np.int64]:
    rules = np.zeros(s.RULES, dtype=np.int64)
    rules[s.R_SAME_CLOSE] = settings.fill is FillConvention.SAME_CLOSE
    rules[s.R_INTRABAR] = {Intrabar.WORST: f.WORST, Intrabar.OHLC: f.OHLC, Intrabar.FINER: f.FINER}[settings.intrabar]
    rules[s.R_TOUCH] = settings.limit_touch
    rules[s.R_CUT] = settings.shortfall is Shortfall.CUT
    rules[s.R_LATENCY] = settings.latency_us
    rules[s.R_SHORTS] = settings.shorts
    rules[s.R_PDT] = settings.pattern_day_trader
    rules[s.R_PDT_EQUITY] = units.minor(settings.pattern_equity) if settings.pattern_day_trader else 0
    rules[s.R_UNTRUSTED_REJECTS] = settings.untrusted_open is UntrustedOpen.REJECT
    paid = [instrument.id for instrument in market.instruments if not settings.is_margined(instrument)]
    rules[s.R_BORROWS_CASH] = settings.margin.initial < 1 or any(settings.margin_of(id).initial < 1 for id in paid)
    rules[s.R_VOLUME_SHARE] = 0 if settings.volume_share is None else int(settings.volume_share.scaleb(EIGHT))
    return rules


def _frozen(table: NDArray[np.int64]) -> NDArray[np.int64]:
    view = table.view()
    view.flags.writeable = False
    return view
