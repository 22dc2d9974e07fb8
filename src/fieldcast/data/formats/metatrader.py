"""Bars exported from MetaTrader 5 in broker time, by itself and by ejtrader; an hourly EURUSD file of backtesting.py, in UTC.

Broker time is not UTC and no file says which it is. It must be given as `zone`, or Eastern European time is assumed with a note:
that is what the exports proved here are in (their 4-hour opens fit Oanda's hours of 2015 to 2018 best under it). A column of
tick counts is not a volume, so that the bars' volume is null.

`Export Bars` (View, Symbols, Bars) writes `<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL> <SPREAD>` with tabs between
them, dates as 2020.01.02, days without `<TIME>`. `<VOL>` is what was traded on an exchange; currency brokers write 0 there for
want of one, and the file does not say which is meant: it is not read.
Source: MetaTrader 5 Help, Market Watch, Symbols; the columns are those of `MqlRates` (MQL5 Reference).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from fieldcast.data.formats._bar_files import BarFile, read_bar_file
from fieldcast.data.formats._pairs import fx_instrument, fx_symbol
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.market import Instrument

BROKER_ZONE = "Europe/Athens"
_TICKS = "the file counts price changes, which is no volume: volume is null"


def _metatrader(name: str, options: Options) -> Instrument:
    return fx_instrument("MT5", fx_symbol(name), options)


def _reference(name: str, options: Options) -> Instrument:
    return fx_instrument("FX", fx_symbol(name), options)


_POINTS = BarFile(
    columns=("Date", "open", "high", "low", "close", "tick_volume"), instrument=_metatrader, time="Date", volume=None,
    zone=BROKER_ZONE, points=True, daily_by_session=True,
    notes=(_TICKS, "prices are counts of the instrument's tick (158000 of 0.00001 = 1.58)"),
)
_MARKED = {name: f"<{name.upper()}>" for name in ("open", "high", "low", "close")}
_DAYS = BarFile(
    columns=("<DATE>", *_MARKED.values(), "<TICKVOL>", "<VOL>", "<SPREAD>"), instrument=_metatrader, time="<DATE>", volume=None,
    names=_MARKED, zone=BROKER_ZONE, separator="\t", daily_by_session=True, notes=(_TICKS,),
)
_EXPORT = replace(_DAYS, columns=("<DATE>", "<TIME>", *_DAYS.columns[1:]), clock="<TIME>")
_UPPER = {"open": "Open", "high": "High", "low": "Low", "close": "Close"}
_BACKTESTING = BarFile(
    columns=("time", "Open", "High", "Low", "Close", "Volume"), instrument=_reference, time="time", volume=None, names=_UPPER,
    aliases={"": "time"}, daily_by_session=True, notes=(_TICKS,),
)


def _read_broker_time(layout: BarFile, source: Source, options: Options) -> Iterator[Parsed]:
    if options.zone is None:
        assumed = f"times are taken as broker time in {BROKER_ZONE}, which the file does not say; give zone= where it is another"
        layout = replace(layout, notes=(*layout.notes, assumed))
    yield from read_bar_file(layout, source, options)


def _is_points(sample: Sample) -> bool:
    return sample.first_line == ",".join(_POINTS.columns)


def _is_export(layout: BarFile, sample: Sample) -> bool:
    return sample.first_line == "\t".join(layout.columns)


def _is_backtesting(sample: Sample) -> bool:
    second = sample.head.split(b"\n", 2)[1:2]
    timed = bool(second) and b":" in second[0].split(b",", 1)[0]
    return sample.first_line == ",Open,High,Low,Close,Volume" and timed and fx_symbol(sample.path.name) is not None


FORMATS = (
    Format(
        "metatrader-points", "MetaTrader 5 bars exported in points (ejtrader): Date, open, high, low, close, tick_volume",
        ("bars/1m", "bars/5m", "bars/15m", "bars/30m", "bars/1h", "bars/4h", "bars/1d"),
        "A: EURUSD 4h and daily, GBPUSD 1h, 2012 to 2022", _is_points, partial(_read_broker_time, _POINTS),
    ),
    Format(
        "metatrader-export", "MetaTrader 5 bars by its own Export Bars (tab-separated <DATE> <TIME> <OPEN> …)",
        ("bars/1m", "bars/5m", "bars/15m", "bars/30m", "bars/1h", "bars/4h", "bars/1d"),
        "B: MetaTrader 5 Help, Market Watch, Symbols; MQL5 Reference, MqlRates", partial(_is_export, _EXPORT),
        partial(_read_broker_time, _EXPORT),
    ),
    Format(
        "metatrader-export-days", "MetaTrader 5 daily bars by its own Export Bars (tab-separated, without <TIME>)", ("bars/1d",),
        "B: MetaTrader 5 Help, Market Watch, Symbols; MQL5 Reference, MqlRates", partial(_is_export, _DAYS),
        partial(_read_broker_time, _DAYS),
    ),
    Format(
        "backtestingpy-fx", "Hourly FX bars as the backtesting.py project ships them (UTC, start of the bar)",
        ("bars/1h",), "A: EURUSD 1h, April 2017 to February 2018; closes equal Oanda's hours",
        _is_backtesting, partial(read_bar_file, _BACKTESTING),
    ),
)
