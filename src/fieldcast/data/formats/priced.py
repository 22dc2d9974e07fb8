"""Price tables that also tell dividends and splits: Yahoo's chart history and Tiingo's daily prices.

Tiingo gives raw prices beside adjusted ones; the raw ones are stored, and the dividends and splits that lead from the one to
the other go to table `actions`. Yahoo's `Close` is adjusted for every later split (and only `Adj Close` for dividends), so its
bars are `adjusted_only`; its dividends are divided by later splits too, which is undone for the splits that the file shows.
Source: Tiingo, end-of-day documentation (`divCash`, `splitFactor`); Yahoo Finance help, "adjusted close".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from fieldcast.data._reading import table_and_rejects
from fieldcast.data._stamps import session_dates, zone_of
from fieldcast.data._times import interval_of
from fieldcast.data.actions import action_rows
from fieldcast.data.formats.bars import BarTable, cells, matched, read_bars
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import DAILY, INTERVALS, Instrument

_ACTIONS = "actions"


def read_tiingo(source: Source, options: Options) -> Iterator[Parsed]:
    """Raw daily bars, then the dividends and splits."""
    if options.adjusted:
        raise InvalidInput(f"expected the raw prices of {source.name} to be wanted, found adjusted=; its adjusted ones follow")
    yield from _with_actions(source, options, splits="splitfactor", dividends="divcash", split_adjusted=False)


def read_yahoo(source: Source, options: Options) -> Iterator[Parsed]:
    """Split-adjusted bars, daily or intraday, then the dividends and splits."""
    options = replace(options, adjusted=True, stamp=options.stamp or "start")
    yield from _with_actions(source, options, splits="stock splits", dividends="dividends", split_adjusted=True)


def _with_actions(
    source: Source, options: Options, splits: str, dividends: str, *, split_adjusted: bool
) -> Iterator[Parsed]:
    frame, places, refused = table_and_rejects(source.data(), source.name)
    lower = {name.strip().lower(): name for name in frame.columns}
    absent = [name for name in (splits, dividends) if name not in lower]
    if absent:
        raise InvalidInput(f"expected columns {splits} and {dividends} in {source.name}, missing {', '.join(absent)}")
    if options.instrument is None:
        raise InvalidInput(f"expected to be told whose prices {source.name} holds; give instrument=")
    table = matched(frame, source.name, options, places=places, refused=refused)
    split, bad_splits = cells(frame[lower[splits]], places)
    dividend, bad_dividends = cells(frame[lower[dividends]], places)
    bars = read_bars(table, options)
    yield replace(bars, rejects=pl.concat([bars.rejects, bad_splits, bad_dividends]))
    rows = _actions(table, options, options.instrument, split, dividend, split_adjusted=split_adjusted)
    if rows.height:
        note = "dividends are given after later splits; undone for the splits of this file" if split_adjusted else ""
        yield Parsed(_ACTIONS, rows, bars.instruments, adjustment=bars.adjustment, notes=(note,) if note else ())


def _actions(
    table: BarTable, options: Options, instrument: Instrument, split: pl.Series, dividend: pl.Series, *, split_adjusted: bool
) -> pl.DataFrame:
    calendar, stamps = instrument.calendar, table.frame[table.columns["ts"]]
    interval = options.interval or interval_of(stamps, options.date_format, table.name)
    if interval == "1d":
        day = session_dates(stamps, calendar, options.date_format, table.name)
    else:      # the day of an intraday row is that of its own local clock, which the text begins with
        day = stamps.cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    frame = pl.DataFrame({"day": day, "split": split.fill_nan(None), "dividend": dividend.fill_nan(None)}).drop_nulls("day")
    frame = frame.filter((pl.col("split").fill_null(0) != 0) | (pl.col("dividend").fill_null(0) != 0)).sort("day")
    if split_adjusted:      # what was paid then, on the shares of then
        ratio = pl.when(pl.col("split") > 0).then("split").otherwise(1.0).fill_null(1.0)
        later = ratio.reverse().cum_prod().reverse() / ratio
        frame = frame.with_columns(dividend=pl.col("dividend") * later)
    return action_rows(instrument.id, frame["day"], frame["split"], frame["dividend"], zone=zone_of(calendar))


def _columns(sample: Sample) -> set[str]:
    return set() if sample.members else {name.strip().strip('"').lower() for name in sample.first_line.split(",")}


TIINGO = Format(
    "tiingo-daily",
    "Tiingo daily prices, raw and adjusted, with dividends and splits",
    (DAILY, _ACTIONS),
    "A: eight US stocks and funds 2024-04 to 2026-03, both spellings of the columns, NVDA's 10:1 split",
    lambda sample: {"close", "divcash", "splitfactor"} <= _columns(sample),
    read_tiingo,
)
YAHOO = Format(
    "yahoo-chart",
    "Yahoo chart history as yfinance writes it, with dividends and splits",
    (*(f"bars/{interval}" for interval in INTERVALS), _ACTIONS),
    "A: vendor files with known errors and their repaired twins (London, Milan, Sydney, New York), daily and hourly",
    lambda sample: {"close", "dividends", "stock splits"} <= _columns(sample),
    read_yahoo,
)
FORMATS = (TIINGO, YAHOO)
