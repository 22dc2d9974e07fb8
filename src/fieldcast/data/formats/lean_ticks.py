"""LEAN ticks: trades and quotes of shares, quotes of currencies.

    shares, trades     milliseconds,price,size,exchange,conditions,suspicious
    shares, quotes     milliseconds,bid,bid size,ask,ask size,exchange,conditions,suspicious
    currencies         milliseconds,bid,ask

Milliseconds are those since midnight in LEAN's data zone, prices of shares are in ten-thousandths. A quote with one side zero
says nothing about that side: it is null. What the source marks as suspicious is kept and carries the reason; so is what lies
outside the regular session. `sequence` is the line's place in the file: rows of one millisecond keep their order.
Source: QuantConnect, LEAN Engine, Data Format (US Equity, Forex).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.lean_instruments import owners_of, zone_of
from fieldcast.data.formats.lean_paths import LeanName, columns_of, first_member, name_of
from fieldcast.data.formats.lean_text import DAY_MS, placed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, add_reason, sessions, table_of
from fieldcast.market.tables import QUOTES, TRADES

_NUMBERS = {
    "trade": ("ms", "price", "size"),
    "quote": ("ms", "bid", "bid_size", "ask", "ask_size"),
    "currency": ("ms", "bid", "ask"),
}
_TEXT = ("exchange", "conditions", "suspicious")
_FLAGS = ("0", "1")


def _read(source: Source, options: Options, kind: str) -> Iterator[Parsed]:
    name = name_of(source, options)
    if name.day is None:
        raise InvalidInput(f"expected ticks of one day, named by it, found {source.name}")
    members = source.members()
    if len(members) != 1:
        raise InvalidInput(f"expected one file in {source.name}, found {len(members)}")
    data = source.member(members[0])
    first = data.split(b"\n", 1)[0]
    shape = "currency" if kind == "quote" and first.count(b",") == 2 else kind
    owners = owners_of(source, name, options)
    instrument = owners.on(name.day, name.ticker)
    fields = [*_NUMBERS[shape], *(_TEXT if shape != "currency" else ())]
    lines, lost = _lines(data, fields, len(_NUMBERS[shape]))
    stamps, assumed = placed(lines["ms"].to_numpy(), name.day, zone_of(name, options))
    lines = lines.with_columns(stamps.alias("ts")).rename({"row": "sequence"})
    if kind == "trade":
        rows = lines.with_columns(pl.col("price") / name.scale)
        table = TRADES
    else:
        rows, empty = _sides(lines, name)
        lost = pl.concat([lost, empty]).sort("row")
        table = QUOTES
    rows = rows.with_columns(instrument=pl.lit(instrument.id), reasons=pl.lit(None, dtype=pl.String))
    if "suspicious" in rows.columns:
        rows = rows.with_columns(add_reason(Reason.SUSPICIOUS, pl.col("suspicious") == "1"))
    rows = _hours(rows, name, instrument)
    yield Parsed(table.name, rows_of(table_of(table.name), rows), (instrument,), lost, notes=(*owners.notes, *assumed))


def _lines(data: bytes, fields: list[str], numbers: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines with their place, and those that cannot be read: a wrong number of fields, text in a number, no time of day."""
    lines = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    table = pl.DataFrame({"text": lines}, schema={"text": pl.String()}).with_row_index("row").with_columns(
        pl.col("row").cast(pl.Int64), part=pl.col("text").str.split(",")
    ).filter(pl.col("text") != "")
    whole = pl.col("part").list.len() == len(fields)
    read = table.filter(whole).with_columns(
        pl.col("part").list.get(k, null_on_oob=True).str.strip_chars().alias(name) for k, name in enumerate(fields)
    )
    values = [pl.col(name).cast(pl.Float64, strict=False) for name in fields[:numbers]]
    bad = pl.any_horizontal((pl.col(name) != "") & value.is_null() for name, value in zip(fields, values, strict=False))
    stamp = values[0]
    late = ~(stamp.is_between(0, DAY_MS, closed="left") & (stamp == stamp.floor())).fill_null(value=False)
    if "suspicious" in fields:
        bad = bad | ~pl.col("suspicious").is_in(_FLAGS)
    broken = pl.concat([table.filter(~whole), read.filter(bad | late).select(table.columns)]).sort("row")
    sound = read.filter(~(bad | late)).with_columns(value.alias(name) for name, value in zip(fields, values, strict=False))
    return sound.drop("text", "part"), rejects(broken["row"], broken["text"])


def _sides(lines: pl.DataFrame, name: LeanName) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Quotes with an empty side null; a row with neither side is a reject."""
    sides = {"bid": pl.col("bid").fill_nan(None), "ask": pl.col("ask").fill_nan(None)}
    given = {side: value.is_not_null() & (value != 0) for side, value in sides.items()}
    changed = [pl.when(given[side]).then(sides[side] / name.scale).alias(side) for side in sides]
    changed += [
        pl.when(given[side]).then(pl.col(f"{side}_size")).alias(f"{side}_size")
        for side in sides
        if f"{side}_size" in lines.columns
    ]
    neither = ~(given["bid"] | given["ask"])
    empty = lines.filter(neither)
    text = empty.select(pl.col("ts").cast(pl.String))["ts"]
    return lines.filter(~neither).with_columns(changed), rejects(empty["sequence"], text, Reason.VALUE_MISSING)


def _hours(rows: pl.DataFrame, name: LeanName, instrument: Instrument) -> pl.DataFrame:
    """The rows of a share with `outside_hours` where they lie outside its session."""
    if name.asset != "equity":
        return rows
    session = sessions(instrument.calendar).filter(pl.col("session") == name.day)
    if session.is_empty():
        return rows.with_columns(add_reason(Reason.OUTSIDE_HOURS, pl.lit(value=True)))
    start, end = session["open"][0], session["close"][0]
    return rows.with_columns(add_reason(Reason.OUTSIDE_HOURS, (pl.col("ts") < start) | (pl.col("ts") > end)))


def _knows(sample: Sample, kind: str) -> bool:
    member = first_member(sample)
    if member is None or member.is_option or (member.resolution, member.kind) != ("tick", kind):
        return False
    wanted = {len(_NUMBERS[kind]) + len(_TEXT)} | ({len(_NUMBERS["currency"])} if kind == "quote" else set())
    return columns_of(sample) in wanted


LEAN_TICKS = (
    Format(
        "lean-tick-trade", "LEAN trades, tick by tick", (TRADES.name,), "A: IBM and SPY 2013-10-07",
        lambda sample: _knows(sample, "trade"), lambda source, options: _read(source, options, "trade"),
    ),
    Format(
        "lean-tick-quote", "LEAN quotes, tick by tick: shares and currencies", (QUOTES.name,),
        "A: IBM 2013-10-07, Oanda EURUSD 2014-05-01",
        lambda sample: _knows(sample, "quote"), lambda source, options: _read(source, options, "quote"),
    ),
)
