"""One instrument's bars as the kernels want them: whole numbers, prefix sums, and nothing that depends on a parameter.

A tape is made once and serves every run and every sweep on it. Prices are in the venue's price units (`Units`); the closes that
rules compare are in the units of `strategy.catalogue.close_units`, less the first close, so that sums stay small.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.simulation._charges import cost_table, e8_up, fee_row
from fieldcast.simulation._kernels_fill import OHLC, WORST
from fieldcast.simulation.fast import _layout as layout
from fieldcast.simulation.fast.settings import FastSettings
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Intrabar, Shortfall, UntrustedOpen
from fieldcast.simulation.units import Units
from fieldcast.strategy.catalogue import close_units
from fieldcast.trading.costs.scope import is_us_listed

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
EXACT = 2.0**53
LARGEST = 2.0**62
E8 = Decimal(100_000_000)
_SIZING = {"weight": layout.WEIGHT, "units": layout.LOTS, "volatility": layout.VOLATILITY, "risk": layout.RISK}


@dataclass(frozen=True, eq=False)
class Tape:
    """T bars of one instrument of a market, those in which it has none left out. What a run does not ask for is never made.

    Parameters
    ----------
    market, row : where it comes from; `units` are those of the market
    first, stop : its part of the bars that the instrument has
    present : numbers of all bars that the instrument has on the market's clock; None: it has them all
    """

    market: Market
    row: int
    units: Units
    first: int
    stop: int
    present: Integers | None = None

    @classmethod
    def of(cls, market: Market, row: int = 0) -> Tape:
        """The tape of row `row` of a market; it is made once and kept with the market.

        Raises
        ------
        InvalidInput : the instrument has no bar, or cannot be held
        """
        key = f"tape {row}"
        found = market._cache.get(key)
        if isinstance(found, Tape):
            return found
        instrument = market.instruments[row]
        if not instrument.tradable and not instrument.notional:
            raise InvalidInput(f"expected an instrument that can be held, found {instrument.id}")
        units, present = Units.of(market), None
        if not market.has_every_price(row):
            closes = market.close[row]
            present = np.flatnonzero(closes == closes)
            if not present.size:
                raise InvalidInput(f"expected bars of {instrument.id}, found none")
            if present.size == closes.size:
                present = None
        stop = market.bars if present is None else present.size
        tape = cls(market=market, row=row, units=units, first=0, stop=stop, present=present)
        market._cache[key] = tape
        return tape

    @property
    def instrument(self) -> str:
        return self.market.instruments[self.row].id

    @property
    def length(self) -> int:
        """T."""
        return self.stop - self.first

    def between(self, start: int, stop: int) -> Tape:
        """Bars start..stop-1 as a tape of their own."""
        if not 0 <= start < stop <= self.length:
            raise InvalidInput(f"expected bars within 0..{self.length}, found {start}..{stop}")
        part = Tape(self.market, self.row, self.units, self.first + start, self.first + stop, self.present)
        for name in ("open", "high", "low", "close"):  # what has been made serves the part too
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][start:stop]
        return part

    # -- the bars ----------------------------------------------------------------------------------------------------

    @cached_property
    def bars(self) -> Integers:
        """(T,) numbers of its bars on the market's clock."""
        return np.arange(self.first, self.stop) if self.present is None else self.present[self.first : self.stop]

    def values(self, name: str) -> NDArray[Any]:
        """(T,) of an array of the market, such as `close`; what is not left out is not copied."""
        row: NDArray[Any] = getattr(self.market, name)[self.row]
        return row[self.first : self.stop] if self.present is None else row[self.bars]

    @property
    def scale(self) -> float:
        """Price units of 1."""
        return float(self.units.price_scale[self.row])

    @cached_property
    def close(self) -> Integers:
        """(T,) int64 price units."""
        return price_units(self.values("close"), self.scale)

    def close_to_fill(self) -> tuple[Integers, Floats]:
        """`close`, and the prices (T,) that the caller's kernel fills it from before anybody reads it; (0,) where it was made."""
        if "close" in self.__dict__:
            return self.close, np.empty(0)
        found: Integers = np.empty(self.length, dtype=np.int64)
        self.__dict__["close"] = found
        return found, np.ascontiguousarray(self.values("close"))

    @cached_property
    def open(self) -> Integers:
        """(T,) int64 price units; 0 = no print that may be traded at."""
        found, untrusted = price_units(self.values("open"), self.scale), ~self.values("trusted_open")
        if untrusted.any():
            found[untrusted] = 0
        return found

    @cached_property
    def high(self) -> Integers:
        """(T,) int64 price units; one that is missing is the highest that is known of the bar."""
        return self._extreme("high", np.maximum)

    @cached_property
    def low(self) -> Integers:
        """(T,) int64 price units; one that is missing is the lowest that is known of the bar."""
        return self._extreme("low", np.minimum)

    def _extreme(self, name: str, extreme: Any) -> Integers:
        found = price_units(self.values(name), self.scale)
        missing = found == 0
        if missing.any():
            known = np.where(self.open > 0, self.open, self.close)
            found[missing] = extreme(known, self.close)[missing]
        return found

    def extremes(self, settings: FastSettings) -> tuple[Integers, Integers]:
        """(high, low) for a run with exits; without any a kernel reads neither, and is handed the closes."""
        return (self.high, self.low) if settings.exits else (self.close, self.close)

    def opens_after(self, at: Integers) -> Integers:
        """The open of the bar after each of these bars in price units; 0 where there is none that may be traded at."""
        if "open" in self.__dict__:
            from fieldcast.simulation.fast._kernels_account import next_opens

            prints = np.empty(at.size, dtype=np.int64)
            next_opens(self.open, at, at.size, prints)
            return prints
        after = at + 1
        last = bool(after.size) and int(after[-1]) == self.length
        known = after[:-1] if last else after
        prints = price_units(self.values("open")[known], self.scale) * self.values("trusted_open")[known]
        return np.append(prints, 0) if last else prints

    # -- what the kernels share --------------------------------------------------------------------------------------

    @cached_property
    def closes(self) -> Integers:
        """(T,) closes for rules: whole units, less the first."""
        found = close_units(self.values("close"))
        found -= found[0]
        return found

    @cached_property
    def sums(self) -> Integers:
        """(T + 1,) prefix sums of `closes`."""
        total = np.zeros(self.length + 1, dtype=np.int64)
        np.cumsum(self.closes, out=total[1:])
        return total

    @cached_property
    def squares(self) -> Integers:
        """(T + 1,) prefix sums of the squares of `closes`, modulo 2^64: differences over a window are exact."""
        total = np.zeros(self.length + 1, dtype=np.int64)
        np.cumsum(self.closes * self.closes, out=total[1:])
        return total

    @cached_property
    def _opens_missing(self) -> Integers:
        if self.market.has_every_price(self.row) and bool(self.values("trusted_open").all()):
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.open[1:] == 0)

    @cached_property
    def _reach(self) -> float:
        """The largest prefix sum, positive or not."""
        if self.length * max(int(self.closes.max()), -int(self.closes.min())) < LARGEST:      # then `sums` are true
            return float(max(int(self.sums.max()), -int(self.sums.min())))
        return float(np.abs(np.cumsum(self.closes.astype(np.float64))).max())      # of floats: it cannot wrap round

    @cached_property
    def _float_sums(self) -> Floats:
        return self.sums.astype(np.float64)

    def exact_sums(self, longest: int) -> Floats:
        """`sums` as float64 where every product with a window of up to `longest` bars is exact, else (0,).

        Raises
        ------
        InvalidInput : a product would not even fit in 63 bits
        """
        reach = 2.0 * longest * self._reach
        if reach < EXACT:
            return self._float_sums
        if reach >= LARGEST:
            raise InvalidInput(
                f"expected closes and windows whose products fit in 63 bits, found {self.length} bars of {self.instrument} and a "
                f"window of {longest}: use fewer bars or prices with fewer decimals"
            )
        return np.empty(0)

    # -- terms of an account -------------------------------------------------------------------------------------------

    def terms(self, settings: FastSettings) -> Integers:
        """(TERMS,) int64 of `_layout`: the settings in the units of this tape.

        Raises
        ------
        ConfigError : a setting that does not fit the units; it is named
        InvalidInput : orders would have to wait for an open that is no print
        """
        missing = self._opens_missing
        if missing.size and settings.venue.untrusted_open is UntrustedOpen.WAIT:
            raise InvalidInput(
                f"expected an open that may be traded at in every bar of {self.instrument}, found none at bar "
                f"{self.bars[missing[0] + 1]}: set untrusted_open=reject, or use the venue"
            )
        return terms_of(self.market, self.row, self.units, settings)

    def costs(self, settings: FastSettings) -> Floats:
        """(3, W) bps: half spread, slippage, impact; W = 1 where they are constants, else T."""
        found = costs_of(self.market, settings)[:, self.row]
        return np.ascontiguousarray(found if found.shape[1] == 1 else found[:, self.bars])

    @property
    def lots_of_unit(self) -> float:
        """Lots in one unit of the instrument."""
        return float(1 / self.units.lot[self.row])

    def volume(self, settings: FastSettings) -> Floats:
        """(T,) volume of each bar where impact is charged, else (0,).

        Raises
        ------
        InvalidInput : impact is asked for, and a bar has no known volume above 0
        """
        if settings.venue.costs.impact_bps == 0:
            return np.empty(0)
        volume = self.values("volume")
        bad = np.flatnonzero(~(volume > 0.0))
        if bad.size:
            raise InvalidInput(
                f"expected a volume above 0 in every bar of {self.instrument} where impact is charged, found {volume[bad[0]]} "
                f"at bar {self.bars[bad[0]]}: the venue can run it, or leave impact out"
            )
        return np.ascontiguousarray(volume)

    def shares(self, settings: FastSettings) -> Integers:
        """(T,) int64 e8 of equity that the volatility target allows at each close, 0 before sigma is known; else (0,)."""
        if settings.size.kind != "volatility":
            return np.empty(0, dtype=np.int64)
        window = settings.size.window
        price = self.values("close")
        share = np.zeros(self.length, dtype=np.int64)
        if price.size <= window:
            return share
        returns = np.diff(np.log(price))
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        sigma = windows.std(axis=1, ddof=1) * np.sqrt(settings.periods_per_year)
        cap, wanted = float(settings.size.cap), float(settings.size.value)
        allowed = np.minimum(np.divide(wanted, sigma, out=np.full(sigma.size, cap), where=sigma > wanted / cap), cap)
        share[window:] = np.floor(allowed * 1e8).astype(np.int64)
        return share


def terms_of(market: Market, row: int, units: Units, settings: FastSettings) -> Integers:
    """(TERMS,) int64 of one instrument of a market."""
    venue, size = settings.venue, settings.size
    margin = venue.margin_of(market.instruments[row].id)
    if venue.is_margined(market.instruments[row]) or margin.initial_per_unit != 0:
        raise ConfigError(
            f"expected an instrument that is paid in full, found {market.instruments[row].id}, of which only changes in value "
            "are paid or whose margin is an amount a unit: use the venue (`run_targets`)"
        )
    unit = _share(size.value, "size") if size.kind == "weight" else _share(size.cap, "cap")
    if size.kind == "units":
        unit = units.lots(row, size.value)
    given: dict[int, Any] = {
        layout.T_CASH: units.minor(settings.cash),
        layout.T_FACTOR: units.factor[row],
        layout.T_TICK: units.tick[row],
        layout.T_MOST_LOTS: units.most_lots[row],
        layout.T_SHORTS: venue.shorts,
        layout.T_CUT: venue.shortfall is Shortfall.CUT,
        layout.T_BORROWS: any(one.initial < 1 for one in (venue.margin, *venue.margins.values())),
        layout.T_INITIAL: e8_up(margin.initial),
        layout.T_MAINTENANCE: e8_up(margin.maintenance),
        layout.T_SIZING: _SIZING[size.kind],
        layout.T_UNIT: unit,
        layout.T_RISK: _share(size.value, "risk") if size.kind == "risk" else 0,
        layout.T_STOP: 0 if settings.stop is None else _share(settings.stop, "stop"),
        layout.T_TARGET: 0 if settings.target is None else _share(settings.target, "target"),
        layout.T_TRAIL: 0 if settings.trail is None else _share(settings.trail, "trail"),
        layout.T_POLICY: OHLC if venue.intrabar is Intrabar.OHLC else WORST,
        layout.T_TOUCH: venue.limit_touch,
        layout.T_WAITS: venue.untrusted_open is UntrustedOpen.WAIT,
    }
    terms = np.zeros(layout.TERMS, dtype=np.int64)
    for place, value in given.items():
        terms[place] = int(value)
    terms[layout.T_FEES :] = fee_row(venue, units, row, regulated=is_us_listed(market.instruments[row]))
    return terms


def terms_table(market: Market, units: Units, settings: FastSettings) -> Integers:
    """(N, TERMS) int64 of all instruments of a market; those with the same margin and lot differ in three columns only."""
    venue = settings.venue
    table = np.empty((len(market.instruments), layout.TERMS), dtype=np.int64)
    known: dict[Any, Integers] = {}
    for row, instrument in enumerate(market.instruments):
        key = (venue.margin_of(instrument.id), venue.is_margined(instrument), units.lot[row], is_us_listed(instrument))
        if key not in known:
            known[key] = terms_of(market, row, units, settings)
        table[row] = known[key]
    table[:, layout.T_FACTOR], table[:, layout.T_TICK], table[:, layout.T_MOST_LOTS] = units.factor, units.tick, units.most_lots
    return table


def costs_of(market: Market, settings: FastSettings) -> Floats:
    """(3, N, W) bps, the venue's own."""
    return cost_table(market, settings.venue)


def units_of(market: Market, settings: FastSettings) -> Units:
    """The units of a market in the account's one currency.

    Raises
    ------
    InvalidInput : an instrument in another currency than the cash
    """
    units = Units.of(market, settings.venue.base, currencies=tuple(settings.venue.cash))
    if len(units.currencies) != 1:
        raise InvalidInput(f"expected instruments and cash in one currency, found {', '.join(units.currencies)}: use the venue")
    return units


def price_units(prices: Floats, scale: float | Floats) -> Integers:
    """Prices in price units, half to even as the venue's; 0 where there is none."""
    if isinstance(scale, float):
        from fieldcast.simulation.fast._kernels_marks import whole_prices

        found: Integers = np.empty(prices.size, dtype=np.int64)
        whole_prices(np.ascontiguousarray(prices), scale, found)
        return found
    scaled = prices * scale
    np.rint(scaled, out=scaled)
    if not np.isfinite(scaled.sum()):
        np.nan_to_num(scaled, copy=False, nan=0.0)
    return scaled.astype(np.int64)


def _whole(value: Decimal, what: str) -> int:
    if value != value.to_integral_value() or abs(value) >= 2**62:
        raise ConfigError(f"expected {what}, found a value of {value}")
    return int(value)


def _share(value: Decimal, what: str) -> int:
    return _whole(value * E8, f"{what} in steps of 1e-8")
