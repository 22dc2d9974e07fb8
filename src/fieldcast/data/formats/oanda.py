"""Candles of Oanda's REST service (v20) as JSON: `{"instrument","granularity","candles":[…]}`.

A candle has the start of its span, whether it is over (`complete`), and prices `o, h, l, c` as text for the sides that were asked
for: `bid` and `ask` become quote bars, `mid` alone bars without a volume (Oanda's `volume` counts prices, not units). One that is
not over is left out. Days and longer are aligned to a time that the answer does not state, and are refused.
Source: developer.oanda.com, rest-live-v20, Instrument Definitions.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._moments import LENGTHS, moments
from fieldcast.data.formats._pairs import fx_instrument, fx_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import PRICES, table_of

_GRANULARITY = {"M1": "1m", "M5": "5m", "M15": "15m", "M30": "30m", "H1": "1h", "H4": "4h"}
_SIDE = pl.Struct(dict.fromkeys("ohlc", pl.String()))
_CANDLE = pl.Struct({"complete": pl.Boolean(), "time": pl.String(), "bid": _SIDE, "ask": _SIDE, "mid": _SIDE})
_ANSWER = pl.Struct({"instrument": pl.String(), "granularity": pl.String(), "candles": pl.List(_CANDLE)})


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    pair, granularity, candles = _decoded(source)
    interval = _GRANULARITY.get(granularity)
    if interval is None:
        raise InvalidInput(f"expected a granularity out of {', '.join(_GRANULARITY)} in {source.name}, found {granularity!r}")
    instrument = fx_instrument("OANDA", fx_symbol(pair.replace("_", "")), options)
    candles = candles.with_row_index("row")
    candles = candles.with_columns(
        moments(candles["time"], "UTC").alias("start"), row=pl.col("row").cast(pl.Int64),
        text=pl.concat_str(pl.lit("candle of "), pl.col("time").fill_null("?")),
    )
    sides = [side for side in ("bid", "ask", "mid") if candles.select(pl.col(side).struct.field("c").is_not_null().any()).item()]
    if not sides:
        raise InvalidInput(f"expected candles of bid and ask, or mid, in {source.name}, found none")
    unread = candles.filter(pl.col("start").is_null() | pl.col("complete").is_null())
    open_ones = candles.filter(~pl.col("complete"))
    whole = candles.filter(pl.col("start").is_not_null() & pl.col("complete")).with_columns(
        ts=pl.col("start") + LENGTHS[interval], instrument=pl.lit(instrument.id)
    )
    quoted = [side for side in sides if side != "mid"]
    prefix = {side: f"{side}_" for side in quoted} or {"mid": ""}
    whole = whole.with_columns(
        pl.col(side).struct.field(letter).cast(pl.Float64, strict=False).alias(f"{start}{name}")
        for side, start in prefix.items()
        for letter, name in zip("ohlc", PRICES, strict=True)
    )
    table = table_of(f"quote_bars/{interval}" if quoted else f"bars/{interval}")
    lost = pl.concat(
        [rejects(unread["row"], unread["text"]), rejects(open_ones["row"], open_ones["text"], Reason.LAST_BAR_UNPROVEN)]
    )
    notes = () if quoted else ("middle prices: nothing can be traded at them",)
    yield Parsed(table.name, rows_of(table, whole), (instrument,), lost, notes=notes)


def _decoded(source: Source) -> tuple[str, str, pl.DataFrame]:
    """Pair, granularity and candles of the answer."""
    text = source.data().decode("utf-8-sig", "replace")
    try:
        answer = pl.DataFrame({"text": [text]}).select(pl.col("text").str.json_decode(_ANSWER)).unnest("text")
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"expected candles of Oanda as JSON in {source.name}, found: {str(error)[:200]}") from None
    if answer.height != 1 or not answer.select(pl.col("candles").list.len()).item():
        raise InvalidInput(f"expected candles in {source.name}, found none")
    candles = answer.select(pl.col("candles").explode()).unnest("candles")
    return str(answer["instrument"][0] or ""), str(answer["granularity"][0] or ""), candles


def _is_candles(sample: Sample) -> bool:
    head = sample.head.replace(b" ", b"").replace(b"\n", b"")
    return head.startswith(b"{") and all(word in head for word in (b'"granularity":', b'"candles":[', b'"complete":'))


FORMATS = (
    Format(
        "oanda-candles", "Oanda v20 candles as JSON: bid and ask, or mid",
        tuple(f"{kind}/{interval}" for kind in ("quote_bars", "bars") for interval in _GRANULARITY.values()),
        "B: developer.oanda.com, rest-live-v20, Instrument Definitions", _is_candles, _read,
    ),
)
