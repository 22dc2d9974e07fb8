"""Funding of perpetual futures: what longs pay to shorts, as a share of the notional, at each funding time.

    LEAN       `margin_interest` files: `yyyymmdd HH:MM:SS,rate` in UTC, without a header; their names hold venue and symbol
    Binance    `SYMBOL-fundingRate-YYYY-MM.zip`: `calc_time,funding_interval_hours,last_funding_rate`, milliseconds since 1970
    Bybit      the answer of `/v5/market/funding/history`: `result.list` of `symbol`, `fundingRate`, `fundingRateTimestamp`

Sources: QuantConnect, LEAN Engine; Binance public data (data.binance.vision, `futures/um/monthly/fundingRate`) and its futures
API, `GET /fapi/v1/fundingRate`; Bybit API v5, Get Funding Rate History.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._bar_files import stem_of, text_blocks
from fieldcast.data.formats._moments import epoch, moments
from fieldcast.data.formats._pairs import crypto_instrument, crypto_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed, no_rejects
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, table_of

_BINANCE = "calc_time,funding_interval_hours,last_funding_rate"
_BYBIT = ("symbol", "fundingRate", "fundingRateTimestamp")
_LINE = re.compile(r"\d{8} \d{2}:\d{2}:\d{2},[-+0-9.eE]+")


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    instrument = crypto_instrument("BINANCE", _pair(stem_of(source)), options, perpetual=True)
    frame, broken = delimited(lines_of(source.data()), ["time", "rate"], ",")
    ts = moments(frame["time"], options.zone or "UTC")
    unread = frame.filter(ts.is_null())
    rows = frame.with_columns(ts.alias("ts"), number("rate").alias("paid"), instrument=pl.lit(instrument.id)).filter(
        pl.col("ts").is_not_null()
    )
    rows = rows.select("instrument", "ts", rate="paid")
    table = table_of("funding")
    rejected = pl.concat([broken, rejects(unread["row"], unread["time"])])
    yield Parsed(table.name, rows_of(table, rows), (instrument,), rejected)


def _read_binance(source: Source, options: Options) -> Iterator[Parsed]:
    instrument = crypto_instrument("BINANCE", _pair(stem_of(source)), options, perpetual=True)
    text = b"".join(text_blocks(source))
    lines = lines_of(text)
    frame, broken = delimited(lines[1:], _BINANCE.split(","), ",", first=1)
    rows = frame.select("row", "calc_time", epoch("calc_time").alias("ts"), number("last_funding_rate").alias("rate"))
    yield _parsed(rows, "calc_time", instrument, broken)


def _read_bybit(source: Source, options: Options) -> Iterator[Parsed]:
    try:
        answer = json.loads(source.data())
        failed = answer.get("retCode", 0) != 0
        texts = [] if failed else [{name: _text(item.get(name)) for name in _BYBIT} for item in answer["result"]["list"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(
            f"expected the answer of Bybit's funding history (JSON with result.list) in {source.name}, found another"
        ) from None
    if failed:
        found = f"retCode {_text(answer['retCode'])}: {_text(answer.get('retMsg'))}"
        raise InvalidInput(f"expected an answer of Bybit without an error in {source.name}, found {found}; fetch it again")
    frame = pl.DataFrame(texts, schema=dict.fromkeys(_BYBIT, pl.String())).with_row_index("row")
    symbols = frame["symbol"].unique().to_list()
    if len(symbols) != 1:
        found = ", ".join(sorted(symbol or "an entry without symbol" for symbol in symbols)) or "none"
        raise InvalidInput(f"expected the funding of one future in {source.name}, found {found}")
    if not symbols[0] and options.instrument is None:
        raise InvalidInput(f"expected the symbol of a future in {source.name}, found entries without one; give instrument=")
    instrument = crypto_instrument("BYBIT", _pair(symbols[0]), options, perpetual=True)
    rows = frame.select(
        pl.col("row").cast(pl.Int64), "fundingRateTimestamp", epoch("fundingRateTimestamp").alias("ts"),
        number("fundingRate").alias("rate"),
    )
    yield _parsed(rows, "fundingRateTimestamp", instrument, no_rejects())


def _text(value: object) -> str:
    """A value of the answer as text that UTF-8 can hold (JSON can hold half a surrogate pair); empty where it is null."""
    return "" if value is None else str(value).encode("utf-8", "backslashreplace").decode()


def _pair(name: str) -> str:
    """The pair in a name, else the name, so that who refuses it can say what was found."""
    return crypto_symbol(name.upper()) or name


def _parsed(rows: pl.DataFrame, written: str, instrument: Instrument, broken: pl.DataFrame) -> Parsed:
    """`rows` with `row`, the time as it is `written`, `ts` and `rate`."""
    unread = rows.filter(pl.col("ts").is_null())
    sound = rows.filter(pl.col("ts").is_not_null()).select(pl.lit(instrument.id).alias("instrument"), "ts", "rate")
    table = table_of("funding")
    return Parsed(table.name, rows_of(table, sound), (instrument,), pl.concat([broken, rejects(unread["row"], unread[written])]))


def _is_bybit(sample: Sample) -> bool:
    return sample.head.lstrip()[:1] == b"{" and b'"fundingRateTimestamp"' in sample.head and b'"fundingRate"' in sample.head


def _is_funding(sample: Sample) -> bool:
    there = any("margin_interest" in part for part in sample.path.parts[-3:])
    return there and _LINE.fullmatch(sample.first_line) is not None


FORMATS = (
    Format(
        "funding-lean", "LEAN margin interest: funding rates of a Binance perpetual future", ("funding",),
        "A: BTCUSD and ADAUSDT, 2020 and 2022", _is_funding, _read, dataset="lean",
    ),
    Format(
        "binance-funding", "Binance monthly funding rates of a perpetual future (data.binance.vision)", ("funding",),
        "B: Binance public data, futures/um/monthly/fundingRate", lambda sample: sample.first_line == _BINANCE, _read_binance,
    ),
    Format(
        "bybit-funding", "Bybit funding history of a perpetual future (JSON of /v5/market/funding/history)", ("funding",),
        "B: Bybit API v5, Get Funding Rate History", _is_bybit, _read_bybit,
    ),
)
