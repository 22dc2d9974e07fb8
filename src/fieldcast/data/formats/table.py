"""A person's own table of prices: CSV or Parquet, daily or intraday bars, or closes with one column an instrument.

The file says what it can (columns by their usual names, the step between its times); a person says the rest with `Options`:
whose prices these are, columns with other names, the zone of times without one, whether a bar's time is its start or its end,
how dates are written, and whether the prices are back-adjusted.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data._reading import as_number, guessed, table_and_rejects
from fieldcast.data._stamps import session_dates
from fieldcast.data.formats.bars import matched, read_bars
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rows_of, session_close
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import DAILY, INTERVALS, Kind, default_instrument, table_of

_WIDE = ("date", "datetime", "time", "timestamp", "")


def read_table(source: Source, options: Options) -> Iterator[Parsed]:
    """Bars of one instrument, or of several with a column of tickers."""
    frame, places, refused = table_and_rejects(source.data(), source.name)
    yield read_bars(matched(frame, source.name, options, places=places, refused=refused), options)


def read_wide(source: Source, options: Options) -> Iterator[Parsed]:
    """Daily closes, one column an instrument; a day on which an instrument has none is no row of it.

    Raises
    ------
    InvalidInput : no venue, no column of dates, or a column whose name can be no ticker
    """
    frame, _, refused = table_and_rejects(source.data(), source.name)
    if options.venue is None:
        raise InvalidInput(f"expected to be told the venue of the tickers in {source.name}; give venue=, such as XNAS")
    dates = options.columns.get("ts") or next((name for name in frame.columns if name.strip().lower() in _WIDE), None)
    if dates is None or dates not in frame.columns:
        raise InvalidInput(f"expected a column of dates in {source.name}, found {', '.join(frame.columns)}; give columns=ts=...")
    venue, kind = venue_of(options.venue), options.kind or Kind.EQUITY
    tickers = [name for name in frame.columns if name != dates]
    instruments = tuple(default_instrument(f"{venue}:{ticker.strip().upper()}", kind) for ticker in tickers)
    if not tickers or len({instrument.id for instrument in instruments}) < len(tickers):
        raise InvalidInput(f"expected each ticker of {source.name} once, found {', '.join(tickers) or 'none'}")
    calendar = instruments[0].calendar
    day = session_dates(frame[dates], calendar, options.date_format, source.name)
    ts = session_close(day, calendar).set(day.is_null(), None)
    parts, empty = [], 0
    for ticker, instrument in zip(tickers, instruments, strict=True):
        text = frame[ticker]
        close = as_number(text)
        unread = close.is_null() & text.is_not_null() & (text.cast(pl.String).str.strip_chars() != "")
        part = pl.DataFrame({"ts": ts, "close": close, "unread": unread}).filter(pl.col("close").is_not_null() | pl.col("unread"))
        empty += frame.height - part.height
        parts.append(part.select(pl.lit(instrument.id).alias("instrument"), "ts", "close"))
    rows = pl.concat(parts).with_columns(reasons=pl.lit(str(Reason.CLOSE_ONLY)))
    yield Parsed(
        table=DAILY,
        rows=rows_of(table_of(DAILY), rows),
        instruments=instruments,
        rejects=refused,
        adjustment="adjusted_only" if options.adjusted else "raw",
        notes=(f"{len(tickers)} instruments, {empty} days without a close",),
    )


def _is_table(sample: Sample) -> bool:
    """Parquet, or a header with a time and a close."""
    if sample.members:
        return False
    if sample.head[:4] == b"PAR1":
        return True
    return {"ts", "close"} <= guessed(sample.first_line)


TABLE = Format(
    "table",
    "CSV or Parquet of bars, daily or intraday; columns, zone, stamp and interval as the person says",
    tuple(f"bars/{interval}" for interval in INTERVALS),
    "A: Yahoo daily and 1m/5m, Alpha Vantage 1m, CBOE VIX history, backtesting.py and arch files",
    _is_table,
    read_table,
    dataset="files",
)
WIDE = Format(
    "table-wide",
    "CSV or Parquet of daily closes, one column an instrument",
    (DAILY,),
    "A: the S&P 500 close panel and the factor ETFs of skfolio",
    lambda sample: False,  # any table could be one: a person names it
    read_wide,
    dataset="files",
)
FORMATS = (TABLE, WIDE)
