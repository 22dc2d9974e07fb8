"""LEAN bars of trades and of quotes: days and hours (one file a ticker), minutes and seconds (one file a ticker and day).

    days, hours        YYYYMMDD HH:MM,open,high,low,close,volume       or       …,bid open..close,size,ask open..close,size
    minutes, seconds   milliseconds since midnight, then the same

Times are the bar's start in the zone of LEAN's market hours database; `ts` is its end. Prices of shares and options are written
in ten-thousandths, all others in units. A side of a quote that is empty or zero is a side without a quote. The volume column of
an index counts its updates, the size column of a currency pair is always zero: both are null here. Rows outside the regular
session are kept and carry `outside_hours`.
Source: QuantConnect, LEAN Engine, Data Format (US Equity, Index, Forex, Crypto, Crypto Futures).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcast.data.formats.bars import refuse_zone
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import from_zone, rejects, session_close
from fieldcast.data.formats.lean_instruments import Owners, owners_of, zone_of
from fieldcast.data.formats.lean_paths import LeanName, columns_of, first_member, has_day_lines, name_of, parse_day
from fieldcast.data.formats.lean_text import Numbers, column, columns, constant, placed, read_dated, read_numbers, within_day
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, sessions, table_of

SPANS = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1), "daily": timedelta(days=1)}
INTERVAL = {"second": "1s", "minute": "1m", "hour": "1h", "daily": "1d"}
FIELDS = {"trade": 6, "quote": 11}
TRADE = ("open", "high", "low", "close")
_FEW = 16  # runs of rows inside and outside the session that a day in order does not exceed
QUOTE = tuple(f"{side}_{part}" for side in ("bid", "ask") for part in (*TRADE, "size"))


# reading -------------------------------------------------------------------------------------------------------------


def _read_day(source: Source, options: Options, kind: str) -> Iterator[Parsed]:
    """Minutes or seconds of one day."""
    name = name_of(source, options)
    if name.day is None or name.resolution not in SPANS:
        raise InvalidInput(f"expected a file of minutes or seconds named by its day, found {source.name}")
    _refuse_another_day(source, name.day)
    instrument, notes = _one_owner(source, name, name.day, options)
    numbers = within_day(read_numbers(_only_member(source), FIELDS[kind]))
    span = SPANS[name.resolution]
    ts, assumed = placed(numbers.values[0], name.day, zone_of(name, options), span)
    ids = constant("instrument", instrument.id, numbers.count)
    reasons = _hours(ts, name, span, instrument.calendar)
    yield _parsed(numbers, ts, name, kind, (instrument,), ids, reasons, (*notes, *assumed))


def _read_long(source: Source, options: Options, kind: str) -> Iterator[Parsed]:
    """All days or hours of a ticker."""
    name = name_of(source, options)
    stamps, numbers = read_dated(_only_member(source).tobytes(), FIELDS[kind])
    hourly = name.resolution == "hour" or bool((stamps.dt.hour() != 0).any())
    owners = owners_of(source, name, options)
    numbers, stamps, ids = _parted(numbers, stamps, owners)
    calendar = owners.instruments[0].calendar
    zone = zone_of(name, options)
    assumed: tuple[str, ...] = ()
    if hourly:
        ts, assumed = from_zone(stamps, zone, ids)
        ts = ts + SPANS["hour"]
    elif name.asset in ("forex", "cfd"):     # a day of the zone, Sunday's evening included
        ts = from_zone(stamps, zone)[0] + SPANS["daily"]      # midnights
    else:
        refuse_zone(options, calendar, source.name)
        ts = session_close(stamps.dt.date(), calendar)
    long = LeanName(name.asset, name.market, "hour" if hourly else "daily", name.ticker, None, name.perpetual, name.style)
    present = set(ids.unique())
    instruments = tuple(item for item in owners.instruments if item.id in present) or owners.instruments[:1]
    reasons = constant("reasons", None, numbers.count)
    yield _parsed(numbers, ts.alias("ts"), long, kind, instruments, ids.alias("instrument"), reasons, (*owners.notes, *assumed))


def _only_member(source: Source) -> np.ndarray:
    """The text of a zip that holds one file; it counts until the next one is asked for."""
    members = source.members()
    if len(members) != 1:
        raise InvalidInput(f"expected one file in {source.name}, found {len(members)}")
    return source.member_array(members[0])


def _refuse_another_day(source: Source, day: date) -> None:
    """The day stands in the file's name and in its member's; both must say the same."""
    text = source.name[:8]
    if text.isdigit() and parse_day(text, source.name) != day:
        raise InvalidInput(f"expected {source.name} to hold its own day, found {day} in it; the file was renamed")


def _one_owner(source: Source, name: LeanName, day: date, options: Options) -> tuple[Instrument, tuple[str, ...]]:
    owners = owners_of(source, name, options)
    return owners.on(day, name.ticker), owners.notes


def _parted(numbers: Numbers, stamps: pl.Series, owners: Owners) -> tuple[Numbers, pl.Series, pl.Series]:
    """The rows whose ticker meant a known company on their day, and the company's id of each."""
    if owners.holdings is None:
        return numbers, stamps, constant("instrument", owners.instruments[0].id, stamps.len())
    rows = pl.DataFrame({"day": stamps.dt.date()}).with_row_index("place").sort("day", maintain_order=True)
    held = rows.join_asof(owners.holdings.sort("first"), left_on="day", right_on="first", strategy="backward")
    ids = held.sort("place").select(
        pl.when(pl.col("last").is_null() | (pl.col("day") <= pl.col("last"))).then(pl.col("instrument")).alias("instrument")
    )["instrument"]
    known = ids.is_not_null().to_numpy()
    if known.all():
        return numbers, stamps, ids
    lost = pl.Series(numbers.rows[~known])
    text = stamps.filter(pl.Series(~known)).dt.strftime("%Y%m%d")
    dropped = rejects(lost, text, Reason.TICKER_UNKNOWN)
    kept = Numbers(numbers.values[:, known], numbers.rows[known], pl.concat([numbers.rejects, dropped]))
    return kept, stamps.filter(pl.Series(known)), ids.drop_nulls()


# rows ----------------------------------------------------------------------------------------------------------------


def _parsed(
    numbers: Numbers,
    ts: pl.Series,
    name: LeanName,
    kind: str,
    instruments: tuple[Instrument, ...],
    ids: pl.Series,
    reasons: pl.Series,
    notes: tuple[str, ...],
) -> Parsed:
    """Numbers as rows of bars or quote bars."""
    interval = INTERVAL[name.resolution]
    if kind == "trade":
        values, lost, more = _trade_columns(numbers, name)
        table = table_of(f"bars/{interval}")
    else:
        values, lost, more = _quote_columns(numbers, name)
        table = table_of(f"quote_bars/{interval}")
    rows = ids.to_frame().hstack([ts, ts.alias("available_at"), *values, reasons])   # a fifth of what pl.DataFrame takes for it
    rejected = numbers.rejects
    if lost is not None:
        text = rows.filter(lost)["ts"].cast(pl.String)
        rejected = pl.concat([rejected, rejects(pl.Series(numbers.rows).filter(lost), text, Reason.VALUE_MISSING)])
        rows = rows.filter(~lost)
    return Parsed(table.name, rows, instruments, rejected, notes=(*notes, *more))


def _trade_columns(numbers: Numbers, name: LeanName) -> tuple[list[pl.Series], pl.Series | None, tuple[str, ...]]:
    prices = columns(_scaled(numbers.values[1:5], name), TRADE)
    if name.asset == "index":
        nothing = pl.Series("volume", [None], dtype=pl.Float64).new_from_index(0, numbers.count)
        return [*prices, nothing], None, ("the volume column of an index counts its updates: no volume is stored",)
    return [*prices, column(numbers.values[5], "volume")], None, ()


def _scaled(prices: np.ndarray, name: LeanName) -> np.ndarray:
    return prices / name.scale if name.scale != 1.0 else prices


def _quote_columns(numbers: Numbers, name: LeanName) -> tuple[list[pl.Series], pl.Series | None, tuple[str, ...]]:
    """Both sides; which rows have neither."""
    sides = numbers.values[1:] / _divisors(name.scale)
    notes: tuple[str, ...] = ()
    neither = None
    if not (sides[0].all() and sides[5].all()) or np.isnan(sides).any():
        absent = [_without(sides[place : place + 5]) for place in (0, 5)]
        neither = absent[0] & absent[1]
    if name.asset in ("forex", "cfd"):
        for size in sides[4], sides[9]:
            if not np.nan_to_num(size).any():
                size[:] = np.nan
                notes = ("the sizes of this market are always zero: none is stored",)
    return columns(sides, QUOTE), pl.Series(neither) if neither is not None and neither.any() else None, notes


def _without(side: np.ndarray) -> np.ndarray:
    """Where none of a side's prices, (open, high, low, close, size), is there: empty or zero; nothing is left of it then."""
    absent: np.ndarray = ((side[:4] == 0) | np.isnan(side[:4])).all(axis=0)
    side[:, absent] = np.nan
    return absent


@lru_cache(maxsize=8)
def _divisors(scale: float) -> np.ndarray:
    """(10, 1) what the numbers of both sides are divided by: the prices by the scale, the sizes by 1."""
    return np.array([scale] * 4 + [1.0] + [scale] * 4 + [1.0])[:, None]


def _hours(ts: pl.Series, name: LeanName, span: timedelta, calendar: str) -> pl.Series:
    """`outside_hours` where the bar has no moment within the day's regular session; everywhere on a day without one."""
    if name.asset not in ("equity", "index") or name.day is None:
        return constant("reasons", None, ts.len())
    start, end = _session(calendar, name.day)
    moment = ts.cast(pl.Int64).to_numpy()
    outside = (moment <= start) | (moment >= end + span // timedelta(microseconds=1))
    turns = np.flatnonzero(outside[1:] != outside[:-1])   # a day in order has two
    if turns.size > _FEW or not outside.size:
        return constant("reasons", str(Reason.OUTSIDE_HOURS), ts.len()).zip_with(
            pl.Series(outside), constant("reasons", None, ts.len())
        )
    return _runs(bool(outside[0]), (*(turns + 1).tolist(), ts.len()))


@lru_cache(maxsize=64)
def _runs(outside: bool, ends: tuple[int, ...]) -> pl.Series:
    """Runs of rows outside and inside the session by turns, each up to its end: most days of a share have the same ones."""
    parts = []
    for first, last in pairwise((0, *ends)):
        parts.append(constant("reasons", str(Reason.OUTSIDE_HOURS) if outside else None, last - first))
        outside = not outside
    return pl.concat(parts, rechunk=True)


@lru_cache(maxsize=4096)
def _session(calendar: str, day: date) -> tuple[int, int]:
    """Open and close of a day's session in microseconds since 1970 UTC; an empty stretch where it has none."""
    found = sessions(calendar).filter(pl.col("session") == day).select(pl.col("open", "close").to_physical())
    return found.row(0) if found.height else (0, 0)


# the formats ---------------------------------------------------------------------------------------------------------


def _knows_day(sample: Sample, resolution: str, kind: str) -> bool:
    member = first_member(sample)
    return member is not None and not member.is_option and (member.resolution, member.kind) == (resolution, kind)


def _knows_long(sample: Sample, resolution: str, kind: str) -> bool:
    member = first_member(sample)
    if member is None or len(sample.members) != 1 or member.day or member.is_option or member.kind:
        return False
    if not has_day_lines(sample) or columns_of(sample) != FIELDS[kind]:
        return False
    starts = {line[9:14] for line in sample.head.split(b"\n")[:-1]} - {b""}
    return (resolution == "daily") == (starts <= {b"00:00"})


def _format(resolution: str, kind: str, proof: str) -> Format:
    long = resolution in ("hour", "daily")
    table = f"{'bars' if kind == 'trade' else 'quote_bars'}/{INTERVAL[resolution]}"
    unit = {"daily": "days", "hour": "hours", "minute": "minutes", "second": "seconds"}[resolution]
    return Format(
        name=f"lean-{resolution}-{kind}",
        title=f"LEAN {unit} of {'trades' if kind == 'trade' else 'quotes'}: shares, indices, currencies, coins",
        tables=(table,),
        proof=proof,
        recognises=lambda sample: (_knows_long if long else _knows_day)(sample, resolution, kind),
        read=lambda source, options: (_read_long if long else _read_day)(source, options, kind),
    )


LEAN_BARS = (
    _format("minute", "trade", "A: 36 days of shares, the SPX index, Coinbase and Binance futures"),
    _format("minute", "quote", "A: days of shares, Oanda, Coinbase and Binance futures"),
    _format("second", "trade", "A: SPY 2013-10-07"),
    _format("second", "quote", "A: SPY 2013-10-07"),
    _format("hour", "trade", "A: SPY 1998 to 2021"),
    _format("hour", "quote", "A: Oanda EURUSD 2007 to 2018"),
    _format("daily", "trade", "A: 11 shares and funds 1998 to 2021, Coinbase BTCUSD"),
    _format("daily", "quote", "A: Oanda GBPUSD 2007 to 2018"),
)
