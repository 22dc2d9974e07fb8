"""The whole numbers that a run is reckoned in, and the refusal of what does not fit in 63 bits.

    price unit of an instrument   10^-p, the largest that carries every bar price and the tick exactly, p <= 8
                                  (a price with more than 8 decimals is rounded to 8, half to even)
    lot of an instrument          `Instrument.lot`
    minimal unit of money         10^-c, one c for all currencies of the run, such that 0.01 and
                                  price unit * lot * multiplier of every instrument are whole multiples

    factor = price unit * lot * multiplier / minimal unit        (what one price unit of one lot is worth)

A position is limited to `most_lots`, at which its value at the highest price of the market still leaves four times
the room in 63 bits, shared among all instruments: a sum of positions cannot overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.simulation.market import SCALES, Market

ROOM = 2**61


@dataclass(frozen=True, eq=False)
class Units:
    """Scales of one market.

    Parameters
    ----------
    currencies : (C,) in the order of the cash array; the base currency first
    currency : (N,) int64 index into `currencies`
    price_decimals : (N,) p of each instrument
    cash_decimals : c, of every currency
    tick, factor, most_lots : (N,) int64: price units, minimal units, lots
    lot : (N,) exact lots in units of the instrument
    """

    currencies: tuple[str, ...]
    currency: NDArray[np.int64]
    price_decimals: NDArray[np.int64]
    cash_decimals: int
    tick: NDArray[np.int64]
    factor: NDArray[np.int64]
    most_lots: NDArray[np.int64]
    lot: tuple[Decimal, ...]

    @classmethod
    def of(cls, market: Market, base: str | None = None, *, currencies: tuple[str, ...] = ()) -> Units:
        """The units of a market.

        Parameters
        ----------
        base : currency of the account; None: the one currency of all instruments
        currencies : further ones that the run holds cash in

        Raises
        ------
        InvalidInput : instruments of several currencies and no base, or an instrument whose units do not fit; it is named
        """
        found = list(dict.fromkeys(instrument.currency for instrument in market.instruments))
        if base is None:
            if len(found) > 1:
                raise InvalidInput(f"expected a base currency for instruments in {', '.join(found)}, found none")
            base = found[0]
        names = tuple(dict.fromkeys((base, *found, *currencies)))
        key = ("units", names)
        known = market._cache.get(repr(key))
        if isinstance(known, Units):
            return known
        units = cls._of(market, names)
        market._cache[repr(key)] = units
        return units

    @classmethod
    def _of(cls, market: Market, names: tuple[str, ...]) -> Units:
        places, largest = _decimals(market)
        unit_values = []
        cash_decimals = 2
        for n, instrument in enumerate(market.instruments):
            places[n] = max(places[n], _places(instrument.tick))
            value = Decimal(1).scaleb(-int(places[n])) * instrument.lot * instrument.multiplier
            unit_values.append(value)
            cash_decimals = max(cash_decimals, _places(value))
        if cash_decimals > 18:
            worst = max(range(len(unit_values)), key=lambda n: _places(unit_values[n]))
            raise InvalidInput(_too_fine(market, worst, unit_values[worst], cash_decimals))
        factor = [int(value.scaleb(cash_decimals)) for value in unit_values]
        tick = [int(one.tick.scaleb(int(places[n]))) for n, one in enumerate(market.instruments)]
        most = []
        for n in range(len(factor)):
            top = max(int(largest[n] * 10.0 ** int(places[n])) + 1, tick[n])
            most.append(ROOM // len(factor) // (top * factor[n]))
            if most[n] < 1:
                raise InvalidInput(_too_fine(market, n, unit_values[n], cash_decimals))
        at = {name: c for c, name in enumerate(names)}
        return cls(
            currencies=names,
            currency=np.array([at[one.currency] for one in market.instruments], dtype=np.int64),
            price_decimals=places,
            cash_decimals=cash_decimals,
            tick=np.array(tick, dtype=np.int64),
            factor=np.array(factor, dtype=np.int64),
            most_lots=np.array(most, dtype=np.int64),
            lot=tuple(one.lot for one in market.instruments),
        )

    # -- between whole numbers and the world -------------------------------------------------------------------------

    @property
    def price_scale(self) -> NDArray[np.float64]:
        """(N,) 10^p."""
        return SCALES[self.price_decimals]

    @property
    def cent(self) -> int:
        """Minimal units of 0.01."""
        return int(10 ** (self.cash_decimals - 2))

    def minor(self, amount: Decimal) -> int:
        """An amount of money in minimal units.

        Raises
        ------
        InvalidInput : it is finer than the minimal unit, or beyond 63 bits
        """
        scaled = amount.scaleb(self.cash_decimals)
        if not amount.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) >= ROOM:
            raise InvalidInput(f"expected an amount in steps of 1e-{self.cash_decimals} below {self.money(ROOM)}, found {amount}")
        return int(scaled)

    def money(self, minor: int) -> Decimal:
        """Minimal units as an amount, exact."""
        return Decimal(int(minor)).scaleb(-self.cash_decimals)

    def price(self, n: int, units: int) -> Decimal:
        """Price units of instrument n as a price, exact."""
        return Decimal(int(units)).scaleb(-int(self.price_decimals[n]))

    def price_units(self, n: int, price: Decimal) -> int:
        """A price of instrument n in price units.

        Raises
        ------
        InvalidInput : not above zero, or finer than the price unit
        """
        if not price.is_finite() or price <= 0:
            raise InvalidInput(f"expected a price above zero, found {price}")
        scaled = price.scaleb(int(self.price_decimals[n]))
        if scaled != scaled.to_integral_value() or scaled >= ROOM:
            raise InvalidInput(f"expected a price in steps of 1e-{self.price_decimals[n]}, found {price}")
        return int(scaled)

    def lots(self, n: int, quantity: Decimal) -> int:
        """A quantity of instrument n in lots; refused where it is no whole number of them."""
        if not quantity.is_finite() or quantity % self.lot[n] != 0:
            raise InvalidInput(f"expected a multiple of {self.lot[n]}, found {quantity}")
        return int(quantity / self.lot[n])

    def quantity(self, n: int, lots: int) -> Decimal:
        """Lots of instrument n as a quantity, exact."""
        return self.lot[n] * int(lots)

    def canonical(self) -> Mapping[str, object]:
        """What a result's hash sees of the units."""
        return {"currencies": list(self.currencies), "cash_decimals": self.cash_decimals,
                "price_decimals": [int(p) for p in self.price_decimals]}  # fmt: skip


def _decimals(market: Market) -> tuple[NDArray[np.int64], list[float]]:
    from fieldcast.simulation._kernels_market import decimals_needed

    places = np.zeros(len(market.instruments), dtype=np.int64)
    largest = [0.0] * len(places)
    for source in (market, *(() if market.finer is None else (market.finer,))):
        for n in range(len(places)):
            if source.has_every_price(n):
                places[n] = max(places[n], source._cache["survey"][1][n])
                largest[n] = max(largest[n], source.highest(n))
                continue
            for name in ("close", "open", "high", "low"):
                row = getattr(source, name)[n]
                places[n] = decimals_needed(row, int(places[n]), SCALES)
                top = float(row.max(initial=0.0))
                if top != top:
                    top = float(np.nanmax(row, initial=0.0))
                largest[n] = max(largest[n], top)
    return places, largest


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _too_fine(market: Market, n: int, value: Decimal, cash_decimals: int) -> str:
    instrument = market.instruments[n]
    return (
        f"expected prices and lots of {instrument.id} that fit in 63 bits, found a smallest value of {value} "
        f"{instrument.currency} in a run with {cash_decimals} decimals of money: give it a larger lot "
        f"(now {instrument.lot}) or round its prices"
    )
