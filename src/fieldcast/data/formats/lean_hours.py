"""LEAN's reference data: the market hours database and the symbol properties database.

The hours of `<asset class>-<market>-<symbol>` (`[*]` stands for all that have no entry of their own; an entry without holidays of
its own has those of `[*]`): zones of the data and of the exchange, regular stretches of each weekday, holidays, early closes. The
properties of a symbol: its currency, tick, lot, contract multiplier. Nothing of Fieldcast's calendars is taken from here: the
readers serve to check them, and to describe instruments.
Source: QuantConnect, LEAN, `Data/market-hours` and `Data/symbol-properties`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from fieldcast.data.formats.source import Source
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import Instrument

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
REGULAR, BEFORE, AFTER = "market", "premarket", "postmarket"
_ALL = "[*]"
_FIXED_ZONES = {"UTC-05": "Etc/GMT+5", "UTC": "UTC"}
DAY_END = time(23, 59, 59, 999999)


@dataclass(frozen=True)
class Stretch:
    """A part of a weekday, in the exchange's clock time; `end` none = midnight."""

    start: time
    end: time | None
    state: str


@dataclass(frozen=True)
class MarketHours:
    """When one symbol trades.

    Parameters
    ----------
    data_zone, exchange_zone : names that `zoneinfo` knows
    week : weekday (`monday` …) → its stretches, in order
    holidays : days without trading
    early_closes, late_opens : day → clock time in the exchange's zone
    """

    data_zone: str
    exchange_zone: str
    week: Mapping[str, tuple[Stretch, ...]]
    holidays: frozenset[date]
    early_closes: Mapping[date, time]
    late_opens: Mapping[date, time]

    def is_open(self, day: date) -> bool:
        """True where the day has a regular stretch and is no holiday."""
        return day not in self.holidays and any(part.state == REGULAR for part in self.week[WEEKDAYS[day.weekday()]])

    def session(self, day: date) -> tuple[datetime, datetime]:
        """Start and end of the day's regular trading, in UTC.

        Raises
        ------
        MissingData : there is none on this day
        """
        regular = [part for part in self.week[WEEKDAYS[day.weekday()]] if part.state == REGULAR]
        if day in self.holidays or not regular:
            raise MissingData(f"expected a trading day, found {day}")
        start = max(regular[0].start, self.late_opens.get(day, time()))
        ends = regular[-1].end
        early = self.early_closes.get(day)
        if early is not None:
            ends = early if ends is None else min(early, ends)
        zone = ZoneInfo(self.exchange_zone)
        last = datetime.combine(day, ends, zone) if ends is not None else datetime.combine(day + timedelta(days=1), time(), zone)
        utc = ZoneInfo("UTC")
        return datetime.combine(day, start, zone).astimezone(utc), last.astimezone(utc)


@dataclass(frozen=True)
class SymbolProperties:
    """What one symbol is traded in; none where the database does not say."""

    symbol: str
    market: str
    asset: str
    description: str
    currency: str
    multiplier: Decimal
    tick: Decimal
    lot: Decimal

    def described(self, instrument: Instrument) -> Instrument:
        """`instrument` with this currency, tick, lot and multiplier."""
        return replace(
            instrument, currency=self.currency, tick=self.tick, lot=self.lot, multiplier=self.multiplier,
            name=instrument.name or self.description,
        )


# hours ---------------------------------------------------------------------------------------------------------------


def read_market_hours(source: Source, asset: str, market: str, symbol: str | None = None) -> MarketHours:
    """Hours of one symbol, or of the market where it has no entry of its own.

    Raises
    ------
    InvalidInput : not a market hours database
    MissingData : neither the symbol nor the market has an entry
    """
    try:
        entries = json.loads(source.data())["entries"]
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        raise InvalidInput(f"expected a market hours database (JSON with `entries`) in {source.name}, found none") from None
    if not isinstance(entries, dict):
        raise InvalidInput(f"expected a table of entries in {source.name}, found {type(entries).__name__}")
    found = {key.lower(): entry for key, entry in entries.items()}
    common = found.get(f"{asset}-{market}-{_ALL}".lower())
    own = found.get(f"{asset}-{market}-{symbol}".lower()) if symbol else None
    entry = own or common
    if entry is None:
        raise MissingData(f"expected hours of {asset} {market} {symbol or _ALL} in {source.name}, found none")
    return _hours(entry, common or {}, source.name)


def _hours(entry: dict[str, Any], common: dict[str, Any], name: str) -> MarketHours:
    try:
        holidays = entry.get("holidays") or common.get("holidays") or []
        early = {**(common.get("earlyCloses") or {}), **(entry.get("earlyCloses") or {})}
        late = {**(common.get("lateOpens") or {}), **(entry.get("lateOpens") or {})}
        return MarketHours(
            data_zone=_zone(entry["dataTimeZone"]),
            exchange_zone=_zone(entry["exchangeTimeZone"]),
            week={day: tuple(_stretch(part) for part in entry.get(day, [])) for day in WEEKDAYS},
            holidays=frozenset(_day(text) for text in holidays),
            early_closes={_day(day): _clock(at) or DAY_END for day, at in early.items()},
            late_opens={_day(day): _clock(at) or DAY_END for day, at in late.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise InvalidInput(f"expected zones, weekdays and holidays as LEAN has them in {name}, found: {error!r}") from None


def _stretch(part: dict[str, str]) -> Stretch:
    return Stretch(_clock(part["start"]) or time(), _clock(part["end"]), part["state"])


def _zone(name: str) -> str:
    return ZoneInfo(_FIXED_ZONES.get(name, name)).key


def _clock(text: str) -> time | None:
    """`HH:MM:SS`; none for `1.00:00:00` (or `1:00:00:00`), the end of the day."""
    return None if text in ("1.00:00:00", "1:00:00:00") else time.fromisoformat(text)


def _day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007


# properties ----------------------------------------------------------------------------------------------------------


def read_symbol_properties(source: Source, asset: str, market: str, symbol: str) -> SymbolProperties:
    """Properties of one symbol, or those of `[*]` of its market where it has no line of its own.

    Raises
    ------
    InvalidInput : not a symbol properties database, or the symbol's line has no numbers
    MissingData : neither the symbol nor its market has a line
    """
    lines = source.data().decode("utf-8-sig", "replace").splitlines()
    if not lines or not lines[0].lower().startswith("market,symbol,type,description,quote_currency,contract_multiplier"):
        raise InvalidInput(f"expected a symbol properties database in {source.name}, found {(lines or [''])[0][:80]!r}")
    common = None
    for line in lines[1:]:
        fields = [field.strip() for field in line.split(",")]
        if line.startswith("#") or len(fields) < 8 or (fields[0].lower(), fields[2].lower()) != (market.lower(), asset.lower()):
            continue
        if fields[1].upper() == symbol.upper():
            return _properties(fields, source.name)
        if fields[1] == _ALL:
            common = fields
    if common is None:
        raise MissingData(f"expected properties of {asset} {market} {symbol} in {source.name}, found none")
    return _properties([common[0], symbol.upper(), *common[2:]], source.name)


def _properties(fields: list[str], name: str) -> SymbolProperties:
    try:
        multiplier, tick, lot = (Decimal(text) for text in fields[5:8])
    except InvalidOperation:
        raise InvalidInput(f"expected numbers for {fields[1]} in {name}, found {','.join(fields)[:120]!r}") from None
    return SymbolProperties(fields[1], fields[0], fields[2], fields[3], fields[4], multiplier, tick, lot)
