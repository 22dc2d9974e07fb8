"""A vendor's table of prices as bars, daily or intraday: shared by every format that is a table with a time column.

Daily rows name a session; their `ts` is its close. An intraday bar is stamped by its start (most vendors) or by its end; `ts`
is always its end. A bar that begins within a session and would end after it ends with the session (Yahoo's hourly bar of
15:30 lasts half an hour). Bars outside the regular session are kept, and flagged by cleaning.

Vendors that are asked during a session add the minute that is still running: a flat bar without volume at the very end. Where it
ended less than a bar's length before now it is not stored; of an older one nothing tells whether a quiet minute or a running one
was written, so that it is kept, and cleaning flags it (`stub_bar`).

The newest bar of an instrument that is intraday, or a day of a market that never closes, carries `last_bar_unproven`: the file
cannot prove that it was over when it was fetched, and a later, longer file settles it. A day of an exchange with sessions carries
no such mark: with a file a day, each would restate the day before. One read before its session's close is removed as being of
the future; one fetched during a session and read after it cannot be told from a whole day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from fieldcast.data._reading import EMPTY, as_number, match_columns
from fieldcast.data._stamps import session_dates, zone_of
from fieldcast.data._times import interval_of, moments, seconds_of
from fieldcast.data.formats.contract import Options, Parsed, no_rejects
from fieldcast.data.formats.frames import rejects, rows_of, session_close
from fieldcast.data.formats.text import sound_symbol, venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, add_reason, default_instrument, sessions, table_of

NUMBERS = ("open", "high", "low", "close", "volume")
_NEVER_CLOSED = ("24/7", "24/5")
_WITHOUT_VOLUME = (Kind.INDEX, Kind.FX, Kind.RATE)     # vendors write 0 where nothing is counted
_SYMBOLS = ("symbol", "ticker")
_STUB = pl.col("open").eq(pl.col("close")) & pl.col("high").eq(pl.col("low")) & pl.col("high").eq(pl.col("close"))


@dataclass(frozen=True)
class BarTable:
    """A vendor's table and what is known about it.

    Parameters
    ----------
    frame : the file's columns, as text or typed
    name : the file's, for messages
    columns : our column → the file's
    symbols : the column of tickers, where there is one
    stamp : the vendor's convention for intraday bars; none = the person says, or `start` is assumed and noted
    places : of the rows in the file; none = from 0 on
    rejects : lines of the file that are no rows
    """

    frame: pl.DataFrame
    name: str
    columns: Mapping[str, str]
    symbols: str | None = None
    stamp: str | None = None
    places: pl.Series | None = None
    rejects: pl.DataFrame = field(default_factory=no_rejects)


def matched(
    frame: pl.DataFrame,
    name: str,
    options: Options,
    *,
    places: pl.Series | None = None,
    refused: pl.DataFrame | None = None,
) -> BarTable:
    """The table with its columns found by their usual names or as `options` names them (`symbol` is the column of tickers).

    Raises
    ------
    InvalidInput : see `match_columns`; a time zone or stamp that cannot be
    """
    if options.stamp not in (None, "start", "end"):
        raise InvalidInput(f"expected stamp start or end, found {options.stamp!r}")
    told = dict(options.columns)
    symbols = told.pop("symbol", None)
    if symbols is not None and symbols not in frame.columns:
        raise InvalidInput(f"expected the column of tickers {symbols} in {name}, found {', '.join(frame.columns)}")
    columns = match_columns([theirs for theirs in frame.columns if theirs != symbols], told, name)
    found = [theirs for theirs in frame.columns if theirs.strip().lower() in _SYMBOLS and theirs not in columns.values()]
    if symbols is None and len(found) == 1:
        symbols = found[0]
    return BarTable(frame, name, columns, symbols, places=places, rejects=no_rejects() if refused is None else refused)


def read_bars(table: BarTable, options: Options) -> Parsed:
    """The table's rows as daily or intraday bars.

    Raises
    ------
    InvalidInput : no instrument, times that cannot be placed, an interval that cannot be told, a stamp that contradicts the
        sessions, or a simulated instrument
    """
    owners, instruments, unnamed = _owners(table, options)
    frame, calendar = table.frame, instruments[0].calendar
    stamps = frame[table.columns["ts"]]
    interval = options.interval or interval_of(stamps, options.date_format, table.name)
    places = pl.Series(range(frame.height), dtype=pl.Int64) if table.places is None else table.places
    numbers, bad_volumes = _numbers(table, owners, instruments)
    missing = pl.lit(None, dtype=pl.String).alias("reasons")
    bars = pl.DataFrame({"row": places, "instrument": owners, **numbers}).with_columns(missing)
    bars = bars.with_columns(add_reason(Reason.VOLUME_UNREADABLE, pl.lit(bad_volumes)))
    notes = [f"columns: {', '.join(f'{ours}={theirs}' for ours, theirs in table.columns.items())}"]
    refused = no_rejects()
    if interval == "1d":
        refuse_zone(options, calendar, table.name)
        day = session_dates(stamps, calendar, options.date_format, table.name)
        bars = bars.with_columns(session_close(day, calendar), unreadable=day.is_null())
        bars = bars.with_columns(ts=pl.when("unreadable").then(None).otherwise("ts"))
        bars = _newest_marked(bars) if calendar in _NEVER_CLOSED else bars
    else:
        times = moments(stamps, options.zone, options.date_format, table.name, owners)
        stamp, note = _stamp(times, table, options, calendar)
        bars = _intraday(bars.with_columns(start_or_end=times), calendar, seconds_of(interval), stamp)
        bars, refused = _without_stub(_newest_marked(bars), options.now - timedelta(seconds=seconds_of(interval)))
        notes += [note, f"bars of {interval}" + ("" if options.interval else ", told by the steps between the times")]
    unsorted = int((bars["ts"].drop_nulls().diff().dt.total_microseconds() < 0).sum())
    if unsorted:
        notes.append(f"{unsorted} rows stood before an earlier one and were sorted")
    if "open" not in table.columns:
        bars = bars.with_columns(add_reason(Reason.CLOSE_ONLY, pl.lit(value=True)))
    if unnamed:
        bars = bars.filter(~pl.col("row").is_in(places.gather(unnamed).implode()))
        refused = pl.concat([refused, rejects(places.gather(unnamed), [str(owners[row]) for row in unnamed])])
    name = f"bars/{interval}"
    return Parsed(
        table=name,
        rows=rows_of(table_of(name), bars),
        instruments=instruments,
        rejects=pl.concat([table.rejects, refused]),
        adjustment="adjusted_only" if options.adjusted else "raw",
        notes=tuple(notes),
    )


def refuse_zone(options: Options, calendar: str, name: str) -> None:
    """A day's bar is that of a session of its calendar: a time zone has nothing to say about it.

    Raises
    ------
    InvalidInput : `Options.zone` is another than the calendar's own
    """
    own = zone_of(calendar)
    if options.zone is not None and options.zone != own:
        raise InvalidInput(
            f"expected no time zone for the daily bars of {name}, whose dates are sessions of {calendar} ({own}), found "
            f"{options.zone}; leave zone= out, or give interval= where the bars are shorter than a day"
        )


def real(instrument: Instrument) -> Instrument:
    """The instrument, where it is one of a real market.

    Raises
    ------
    InvalidInput : it is a simulated one
    """
    if instrument.simulated:
        raise InvalidInput(f"expected an instrument of a real market, found {instrument.id}, a simulated one")
    return instrument


def _owners(table: BarTable, options: Options) -> tuple[pl.Series, tuple[Instrument, ...], list[int]]:
    """The id of each row, the instruments, and the rows whose ticker can be none."""
    height = table.frame.height
    tickers = None if table.symbols is None else table.frame[table.symbols].cast(pl.String).str.to_uppercase()
    if options.instrument is not None:
        if tickers is not None and tickers.drop_nulls().n_unique() > 1:
            found = ", ".join(tickers.drop_nulls().unique().sort().head(5))
            raise InvalidInput(f"expected one instrument in {table.name}, found {found}; give venue= instead of instrument=")
        return pl.Series([options.instrument.id] * height, dtype=pl.String), (real(options.instrument),), []
    if tickers is None:
        raise InvalidInput(f"expected to be told whose prices {table.name} holds, found no column of tickers; give instrument=")
    if options.venue is None:
        raise InvalidInput(f"expected to be told the venue of the tickers in {table.name}; give venue=, such as XNAS")
    venue, kind = venue_of(options.venue), options.kind or Kind.EQUITY
    sound = table.frame.select(tickers.alias("t")).select(sound_symbol("t").fill_null(value=False))["t"]
    ids = sorted(set(tickers.filter(sound)))
    if not ids:
        raise InvalidInput(f"expected tickers in column {table.symbols} of {table.name}, found none")
    unnamed = [row for row, good in enumerate(sound) if not good]
    return venue + ":" + tickers, tuple(default_instrument(f"{venue}:{ticker}", kind) for ticker in ids), unnamed


def _numbers(
    table: BarTable, owners: pl.Series, instruments: tuple[Instrument, ...]
) -> tuple[dict[str, pl.Series], pl.Series]:
    """Prices and volume as numbers, and where a volume is something else: it is null.

    A volume that is zero throughout an index, a currency pair or a rate was not reported. That of anything else is a zero:
    whether it stays one must not depend on where the file was cut.
    """
    none = pl.Series([None] * table.frame.height, dtype=pl.Float64)
    numbers = {
        name: as_number(table.frame[table.columns[name]]) if name in table.columns else none for name in NUMBERS
    }
    bad = pl.Series([False], dtype=pl.Boolean).new_from_index(0, table.frame.height)
    if "volume" in table.columns:
        numbers["volume"], bad = _unlike_numbers(table.frame[table.columns["volume"]])
    uncounted = [instrument.id for instrument in instruments if instrument.kind in _WITHOUT_VOLUME]
    volume = pl.DataFrame({"owner": owners, "volume": numbers["volume"].fill_nan(None)})
    silent = pl.col("owner").is_in(uncounted) & (pl.col("volume").fill_null(0) == 0).all().over("owner")
    numbers["volume"] = volume.select(
        pl.when(silent.fill_null(value=False)).then(None).otherwise("volume").alias("volume")
    )["volume"]
    return numbers, bad


def cells(column: pl.Series, places: pl.Series) -> tuple[pl.Series, pl.DataFrame]:
    """The numbers of a column, null where it holds none, and a reject for each cell that holds something else.

    places : of the rows in the file
    """
    numbers, unlike = _unlike_numbers(column)
    text, bad = column.cast(pl.String).str.strip_chars(), unlike.arg_true()
    lines = pl.Series([f"{column.name}={text[row]}" for row in bad], dtype=pl.String)
    return numbers, rejects(places.gather(bad), lines)


def _unlike_numbers(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The finite numbers of a column, null elsewhere, and where it holds something else than a number or nothing."""
    numbers = as_number(column)
    text = column.cast(pl.String).str.strip_chars()
    empty = text.fill_null("").str.to_lowercase().is_in(EMPTY)
    infinite = numbers.is_infinite().fill_null(value=False)
    return numbers.set(infinite, None), (numbers.is_null() & ~empty) | infinite


def _stamp(times: pl.Series, table: BarTable, options: Options, calendar: str) -> tuple[str, str]:
    """Whether the times are starts or ends, and how that is known.

    Without a word from the person or the vendor they are starts, unless the sessions contradict it: no bar at any open and
    one at most closes.
    """
    if options.stamp is not None:
        return options.stamp, f"a bar's time is its {options.stamp}, as told"
    if table.stamp is not None:
        return table.stamp, f"a bar's time is its {table.stamp}, as this vendor has it"
    days = sessions(calendar).filter(pl.col("close") > pl.col("open"))
    found = times.drop_nulls()
    if found.is_empty():
        return "start", "a bar's time is taken to be its start"
    days = days.filter(pl.col("close") >= found.min(), pl.col("open") <= found.max())
    paused = days.filter((pl.col("open").shift(-1) > pl.col("close")).fill_null(value=True))
    opens, closes = (int(paused[name].is_in(found.implode()).sum()) for name in ("open", "close"))
    if paused.height and opens == 0 and 2 * closes >= paused.height:
        raise InvalidInput(
            f"expected to be told what the times of {table.name} are: {closes} of {paused.height} sessions have one at their "
            "close and none at their open, as the ends of bars have; give stamp=end (or stamp=start, or another zone=)"
        )
    return "start", "a bar's time is taken to be its start; give stamp=end where it is the end"


def _intraday(bars: pl.DataFrame, calendar: str, seconds: int, stamp: str) -> pl.DataFrame:
    """`bars` with `ts`, the end of each."""
    length = pl.duration(seconds=seconds)
    days = sessions(calendar).select("open", "close").rename({"open": "opens", "close": "closes"}).sort("opens")
    start = pl.col("start_or_end") if stamp == "start" else pl.col("start_or_end") - length
    placed = (
        bars.with_columns(start=start)
        .sort("start", maintain_order=True, nulls_last=True)
        .with_columns(probe=pl.col("start").fill_null(pl.col("start").max()))
        .join_asof(days, left_on="probe", right_on="opens", strategy="backward", check_sortedness=False)
        .sort("row")
    )
    end = pl.col("start") + length
    begins_within = (pl.col("start") < pl.col("closes")).fill_null(value=False)
    cut = begins_within & (end > pl.col("closes")) & pl.lit(stamp == "start")
    return placed.with_columns(ts=pl.when(cut).then("closes").otherwise(end))


def _newest_marked(bars: pl.DataFrame) -> pl.DataFrame:
    """`bars`, the newest of each instrument marked; one that is not over yet shows that those before it are."""
    newest = (pl.col("ts") == pl.col("ts").max().over("instrument")).fill_null(value=False)
    return bars.with_columns(add_reason(Reason.LAST_BAR_UNPROVEN, newest))


def _without_stub(bars: pl.DataFrame, running: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`bars` without the running minute that a vendor put at the end: the newest of its instrument, flat and without volume.

    running : of bars that end later it is believed
    """
    newest = pl.col("ts") == pl.col("ts").max().over("instrument")
    stub = newest & _STUB & (pl.col("volume") == 0) & (pl.col("ts") > running)
    found = bars.filter(stub.fill_null(value=False))
    if found.is_empty():
        return bars, no_rejects()
    text = found.select(pl.format("{} {} flat at {} without volume", "instrument", "ts", "close"))
    return bars.filter(~pl.col("row").is_in(found["row"].implode())), rejects(
        found["row"], text.to_series(), Reason.STUB_BAR
    )
