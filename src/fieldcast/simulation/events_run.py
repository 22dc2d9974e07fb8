"""A run of a strategy of one's own, called at the end of every bar.

    class Cross:
        def indicators(self, bars):                        # optional; bars: open, high, low, close, volume, each (T,) or (N, T)
            return {"fast": sma(bars["close"], 20), "slow": sma(bars["close"], 50)}

        def on_bar(self, now):
            if now["fast"] > now["slow"] and not now.position():
                now.buy(10)

`now` ends at the bar that is complete: `history` is a copy up to it, and nothing later can be reached. Indicators
are computed once over
all bars and read one by one; a strategy's are computed again on shortened bars, and one that then says something else of the
past looks ahead and is refused. The venue is played only when somebody asks: what happens in between is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import FieldcastError, InvalidInput, StrategyError
from fieldcast.simulation import _state as s
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.market import PRICES, Market
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.simulator import AccountView, OrderView, Simulator
from fieldcast.trading import Side
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

CUTS = (0.37, 0.71)  # shares of the bars on which indicators are computed again


class EventStrategy(Protocol):
    """What `run_events` calls. It may also have `indicators(bars)`; see the module."""

    def on_bar(self, now: Now) -> None:
        """Act on what is known at the end of a bar."""
        ...


class Now:
    """The end of a bar, as a strategy sees it. An instrument need not be named where there is only one.

    Parameters
    ----------
    t : number of the bar, from 0
    """

    __slots__ = ("_closes", "_fixed", "_market", "_rows", "_simulator", "_still", "t")

    def __init__(self, simulator: Simulator, indicators: Mapping[str, list[float] | NDArray[np.float64]]) -> None:
        self.t = -1
        self._simulator = simulator
        self._market = simulator.market
        self._rows = indicators
        self._closes = simulator.market.close[0].tolist() if len(simulator.market.instruments) == 1 else None
        state = simulator._run.state
        called = state.instrument[:, [s.I_MAINTENANCE, s.I_MAINTENANCE_LOT]].any()
        self._fixed = not len(state.events) and not called and bool((state.instrument[:, s.I_STYLE] == s.PAID).all())
        self._still = True

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def ts(self) -> int:
        """End of the bar, microseconds UTC."""
        return int(self._market.ts[self.t])

    def __getitem__(self, name: str) -> Any:
        """An indicator's value at this bar; (N,) where it has a row for each instrument."""
        row = self._rows[name]
        return row[self.t] if isinstance(row, list) else row[:, self.t]

    def close(self, instrument: str | None = None) -> float:
        """Close of the bar; NaN where the instrument has none."""
        if self._closes is not None and instrument is None:
            return float(self._closes[self.t])
        return float(self._market.close[self._row(instrument), self.t])

    def history(self, instrument: str | None = None, n: int | None = None, field: str = "close") -> NDArray[np.float64]:
        """The last n values (all: None) of a field up to this bar, oldest first: a copy, behind which nothing lies."""
        if field not in (*PRICES, "volume"):
            raise InvalidInput(f"expected a field out of {', '.join(PRICES)} and volume, found {field!r}")
        if n is not None and n < 0:
            raise InvalidInput(f"expected at least 0 values, found {n}")
        row: NDArray[np.float64] = getattr(self._market, field)[self._row(instrument)]
        end = self.t + 1
        return row[0 if n is None else max(0, end - n) : end].copy()

    def position(self, instrument: str | None = None) -> float:
        """Units held, negative where short."""
        self._sync()
        run, n = self._simulator._run, self._row(instrument)
        return float(run.state.position[n, s.P_LOTS] / run.state.scale[n, 1])

    @property
    def equity(self) -> float:
        """Cash and positions in the base currency."""
        self._play()
        run = self._simulator._run
        return float((run.state.totals[s.S_CASH] + run.state.totals[s.S_VALUE]) / 10.0**run.units.cash_decimals)

    @property
    def cash(self) -> float:
        """Cash in the base currency."""
        self._sync()
        run = self._simulator._run
        return float(run.state.totals[s.S_CASH] / 10.0**run.units.cash_decimals)

    def account(self) -> AccountView:
        """Everything about the account, exact."""
        self._play()
        return self._simulator.account()

    def order_state(self, number: int) -> OrderView:
        """What is known of an order."""
        self._play()
        return self._simulator.order(number)

    def working(self) -> tuple[int, ...]:
        """Orders that may still act."""
        self._sync()
        return self._simulator.working()

    # -- what can be done --------------------------------------------------------------------------------------------

    def buy(self, quantity: float | Decimal, instrument: str | None = None, **terms: Any) -> int:
        """An order to buy; terms as in `order`."""
        return self.order(Side.BUY, quantity, instrument, **terms)

    def sell(self, quantity: float | Decimal, instrument: str | None = None, **terms: Any) -> int:
        """An order to sell; terms as in `order`."""
        return self.order(Side.SELL, quantity, instrument, **terms)

    def order(
        self,
        side: Side,
        quantity: float | Decimal,
        instrument: str | None = None,
        *,
        kind: OrderKind | str | None = None,
        limit: float | Decimal | None = None,
        stop: float | Decimal | None = None,
        trail: float | Decimal | None = None,
        time_in_force: TimeInForce | str = TimeInForce.GTC,
        take_profit: float | Decimal | None = None,
        stop_loss: float | Decimal | None = None,
        reduce_only: bool = False,
        tag: str = "",
    ) -> int:
        """Send an order that acts from the next open on; its id.

        kind : where it does not follow from limit, stop and trail
        take_profit, stop_loss : prices of a bracket around it
        """
        self._play()
        market = self._market
        name = market.instruments[self._row(instrument)].id
        ticket = Ticket(
            name, Side(side), _decimal(quantity), _kind(kind, limit, stop, trail), limit=_price(limit), stop=_price(stop),
            trail=_price(trail), time_in_force=TimeInForce(time_in_force), reduce_only=reduce_only, tag=tag,
        )  # fmt: skip
        self._still = False
        if take_profit is None and stop_loss is None:
            return self._simulator.submit(ticket)
        return self._simulator.submit(Bracket(ticket, target=_price(take_profit), stop=_price(stop_loss)))

    def cancel(self, number: int) -> None:
        """Take an order back."""
        self._play()
        self._simulator.cancel(number)

    def replace(self, number: int, **changes: float | Decimal) -> int:
        """Another order in its place: quantity, limit, stop."""
        self._play()
        self._still = False
        return self._simulator.replace(number, **{name: _decimal(value) for name, value in changes.items()})

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _row(self, instrument: str | None) -> int:
        if instrument is not None:
            return self._market.row(instrument)
        if len(self._market.instruments) > 1:
            raise InvalidInput("expected the name of an instrument where there are several, found none")
        return 0

    def _play(self) -> None:
        """Bring the venue to this bar."""
        run = self._simulator._run
        if run.state.counters[s.N_BAR] < self.t:
            run.play(self.t + 1)
            totals = run.state.totals
            solvent = totals[s.S_CASH] >= 0 and totals[s.S_GROSS] == totals[s.S_NET]  # nothing owed or short: no margin call
            self._still = bool(self._fixed and solvent and run.state.counters[s.N_WORKING] == 0)

    def _sync(self) -> None:
        """Bring the venue to this bar where anything but a mark can have changed since."""
        if not self._still:
            self._play()


def run_events(
    strategy: EventStrategy,
    market: Market,
    settings: VenueSettings | None = None,
    *,
    events: EventTable | None = None,
) -> SimulationResult:
    """Call `strategy.on_bar(now)` at the end of every bar, and play its orders.

    Raises
    ------
    StrategyError : the strategy raises, or an indicator is of the wrong length or looks ahead; the message names the bar, and
        there is no result
    InvalidInput, ConfigError, MissingData : market, settings and events do not fit each other
    """
    simulator = Simulator(market, settings, events=events)
    now = Now(simulator, _indicators(strategy, market))
    on_bar = strategy.on_bar
    try:
        for t in range(market.bars):
            now.t = t
            on_bar(now)
    except StrategyError:
        raise
    except Exception as error:  # whatever the user's own code raises: named with its bar, and the run stops
        if isinstance(error, FieldcastError) and int(simulator._run.state.counters[s.C_ERROR]) != s.NO_ERROR:
            raise
        ended = np.datetime_as_string(np.datetime64(now.ts, "us"), unit="m").replace("T", " ")
        raise StrategyError(
            f"expected a strategy that runs through, found {type(error).__name__} at bar {now.t} ({ended} UTC): {error}",
            bar=now.t,
        ) from error
    if market.bars - 1 > simulator.t:
        simulator.advance(market.bars - 1 - simulator.t)
    return simulator.result()


def _indicators(strategy: EventStrategy, market: Market) -> dict[str, list[float] | NDArray[np.float64]]:
    make = getattr(strategy, "indicators", None)
    if make is None:
        return {}
    whole = _made(make, market, market.bars)
    for share in CUTS:
        count = int(market.bars * share)
        if count < 1:
            continue
        part = _made(make, market, count)
        for name, values in whole.items():
            if name not in part:
                raise StrategyError(f"expected the indicator {name} on {count} bars too, found none", bar=count - 1)
            same = (part[name] == values[..., :count]) | (np.isnan(part[name]) & np.isnan(values[..., :count]))
            near = np.isclose(part[name], values[..., :count], rtol=1e-9, atol=1e-12, equal_nan=True)
            if not bool((same | near).all()):
                bar = int(np.flatnonzero(~(same | near).reshape(-1, count).all(axis=0))[0])
                raise StrategyError(
                    f"expected the indicator {name} to know only the past, found another value at bar {bar} "
                    f"({int(market.ts[bar])}) once the bars after bar {count - 1} were taken away",
                    bar=bar,
                )
    return {name: values.tolist() if values.ndim == 1 else values for name, values in whole.items()}


def _made(make: Any, market: Market, count: int) -> dict[str, NDArray[np.float64]]:
    single = len(market.instruments) == 1
    bars = {}
    for name in (*PRICES, "volume"):
        array = getattr(market, name)[:, :count]
        bars[name] = array[0] if single else array
    made = {name: np.asarray(values, dtype=np.float64) for name, values in make(bars).items()}
    for name, values in made.items():
        if values.shape not in ((count,), (len(market.instruments), count)):
            raise StrategyError(f"expected {count} values of the indicator {name}, found shape {values.shape}")
    return made


def _kind(kind: OrderKind | str | None, limit: object, stop: object, trail: object) -> OrderKind:
    if kind is not None:
        return OrderKind(kind)
    if trail is not None:
        return OrderKind.TRAILING_STOP
    if stop is not None:
        return OrderKind.STOP if limit is None else OrderKind.STOP_LIMIT
    return OrderKind.MARKET if limit is None else OrderKind.LIMIT


def _decimal(value: float | Decimal) -> Decimal:
    """The decimal that a float is written as; NaN and infinity are left for the ticket to refuse."""
    return value if isinstance(value, Decimal) else Decimal(repr(float(value)))


def _price(value: float | Decimal | None) -> Decimal | None:
    return None if value is None else _decimal(value)
