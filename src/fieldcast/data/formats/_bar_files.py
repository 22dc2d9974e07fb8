"""One reader for vendors' files of bars: a line a bar, columns by name or by place, one instrument a file.

A bar's `ts` is its end. Vendors that stream candles write the one that is still being formed as the last line. One that ends
after `now` is from the future and is removed by cleaning; of any other last bar the file cannot prove that it was over when it
was fetched, so that it carries the reason `last_bar_unproven`, unless the file's name promises a whole month or day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from fieldcast.data.formats._moments import LENGTHS, epoch, interval_of, moments
from fieldcast.data.formats.contract import Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of, session_close
from fieldcast.data.formats.source import Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import DAILY, PRICES, Instrument, add_reason, table_of

BLOCK = 16 << 20
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_SPAN = re.compile(r"(?<![0-9])(\d{4})-(\d{2})(?:-(\d{2}))?$")


@dataclass(frozen=True)
class BarFile:
    """How a vendor lays out its bars.

    Parameters
    ----------
    columns : of the file, in its order; a header, where there is one, may order them otherwise
    instrument : file name without its ending, and options → whom the bars are about
    time : column of the bar's time; with `clock`, the column of the time of day beside its date
    volume : column of the volume in base units; none where the file has none (a count of ticks is no volume)
    names : our price → the file's column, where they differ
    aliases : other spellings of a header's columns → ours
    zone : of times without an offset
    ends : the time is the bar's last moment instead of its first; `slack` is added to reach the end proper
    points : prices are counts of the instrument's tick
    daily_by_session : a day ends with the session of the instrument's calendar instead of 24 hours after its start
    notes : what a user should know
    """

    columns: tuple[str, ...]
    instrument: Callable[[str, Options], Instrument]
    time: str
    clock: str | None = None
    volume: str | None = "volume"
    names: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    ends: bool = False
    slack: timedelta = timedelta(0)
    points: bool = False
    separator: str = ","
    daily_by_session: bool = False
    notes: tuple[str, ...] = ()


def read_bar_file(layout: BarFile, source: Source, options: Options) -> Iterator[Parsed]:
    """The file's bars in parts; see `BarFile`.

    Raises
    ------
    InvalidInput : the file's columns, interval or instrument cannot be told
    """
    stem = stem_of(source)
    instrument = layout.instrument(stem, options)
    columns, skip, first, interval, newest_first = list(layout.columns), 0, 0, None, False
    for data, last in _with_last(text_blocks(source, BLOCK)):
        lines = lines_of(data)
        if first == 0 and lines:
            columns, skip = _header(lines[0], layout, source.name)
        frame, broken = delimited(lines[skip:], columns, layout.separator, first + skip)
        first, skip = first + len(lines), 0
        bars = _timed(frame, layout, options)
        if interval is None:
            interval = interval_of(bars["time"], options, source.name)
            newest_first = bars.height > 1 and (bars["time"][0] or EARLIEST) > (bars["time"][-1] or EARLIEST)
            holds_newest = newest_first or last
        else:
            holds_newest = last and not newest_first
        bars, unreadable = _ended(bars, layout, interval, instrument, options)
        if holds_newest:
            bars = _mark_last(bars, _promised_end(stem))
        table = f"bars/{interval}"
        rows = rows_of(table_of(table), _priced(bars, layout, instrument.tick).with_columns(instrument=pl.lit(instrument.id)))
        yield Parsed(table, rows, (instrument,), pl.concat([broken, unreadable]), notes=layout.notes)


def text_blocks(source: Source, size: int = BLOCK) -> Iterator[bytes]:
    """Whole lines of a file, or of the text files of a zip one after the other, in blocks of about `size` bytes."""
    members = source.sample().members
    if not members:
        yield from source.lines(size)
    for member in members:
        yield from source.member_lines(member, size)


def stem_of(source: Source) -> str:
    """The file's name without the endings `.csv`, `.txt`, `.gz`, `.zip`, `.data`."""
    stem = source.name
    while (shorter := re.sub(r"\.(csv|txt|gz|zip|data)$", "", stem, flags=re.IGNORECASE)) != stem:
        stem = shorter
    return stem


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    held: bytes | None = None
    for block in blocks:
        if held is not None:
            yield held, False
        held = block
    if held is not None:
        yield held, True


def _header(line: str, layout: BarFile, file: str) -> tuple[list[str], int]:
    """The file's columns in its own order, and how many lines its header takes."""
    found = [name.strip() for name in line.split(layout.separator)]
    named = [layout.aliases.get(name, name) for name in found]
    if set(layout.columns) & set(named) - {""}:
        needed = {layout.time, layout.clock, layout.volume, *(layout.names.get(name, name) for name in PRICES)} - {None}
        missing = [str(name) for name in needed if name not in named]
        if missing or len(set(named)) < len(named):
            raise InvalidInput(f"expected columns {', '.join(layout.columns)} in {file}, found {', '.join(found)}")
        return [name or "unnamed" for name in named], 1
    if len(found) != len(layout.columns):
        raise InvalidInput(f"expected {len(layout.columns)} columns ({', '.join(layout.columns)}) in {file}, found {len(found)}")
    return [name or "unnamed" for name in layout.columns], 0


def _timed(frame: pl.DataFrame, layout: BarFile, options: Options) -> pl.DataFrame:
    """With the column `time` in UTC and, for days, `day` as it is written."""
    written = frame[layout.time or "unnamed"]
    if layout.clock is not None:
        written = written + " " + frame[layout.clock]
    numeric = written.str.strip_chars().str.contains(r"^\d{11,19}$")
    zone = options.zone or layout.zone
    time = pl.DataFrame({"text": written, "read": moments(written, zone)}).select(
        pl.when(numeric).then(epoch("text")).otherwise("read").alias("time")
    )["time"]
    return frame.with_columns(time, written.alias("written"))


def _ended(
    bars: pl.DataFrame, layout: BarFile, interval: str, instrument: Instrument, options: Options
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """With `ts`, the end of each bar, and the rows whose time cannot be read."""
    unreadable = bars.filter(pl.col("time").is_null())
    bars = bars.filter(pl.col("time").is_not_null())
    if options.stamp not in (None, "start", "end"):
        raise InvalidInput(f"expected stamp start or end, found {options.stamp!r}")
    ends = layout.ends if options.stamp is None else options.stamp == "end"
    if f"bars/{interval}" == DAILY and layout.daily_by_session:
        local = bars["time"].dt.convert_time_zone(options.zone or layout.zone)
        bars = bars.with_columns(session_close(local.dt.date(), instrument.calendar).alias("ts"))
    elif ends:
        bars = bars.with_columns(ts=pl.col("time") + layout.slack)
    else:
        bars = bars.with_columns(ts=pl.col("time") + LENGTHS[interval])
    return bars, rejects(unreadable["row"], unreadable["written"])


def _promised_end(stem: str) -> datetime | None:
    """Where the month or day in the file's name ends; none where there is none."""
    found = _SPAN.search(stem)
    if found is None:
        return None
    year, month, day = (None if text is None else int(text) for text in found.groups())
    try:
        start = datetime(year or 0, month or 0, day or 1, tzinfo=UTC)
    except ValueError:
        return None
    return start + timedelta(days=1) if day else (start + timedelta(days=32)).replace(day=1)


def _mark_last(bars: pl.DataFrame, promised: datetime | None) -> pl.DataFrame:
    if bars.is_empty():
        return bars
    newest = bars["ts"].max()
    unproven = (pl.col("ts") == newest) if newest != promised else pl.lit(value=False)
    return bars.with_columns(reasons=pl.lit(None, dtype=pl.String)).with_columns(
        add_reason(Reason.LAST_BAR_UNPROVEN, unproven)
    )


def _priced(bars: pl.DataFrame, layout: BarFile, tick: Decimal) -> pl.DataFrame:
    prices = bars.select(number(layout.names.get(name, name)).alias(name) for name in PRICES)
    if layout.points:
        prices = prices.select(_from_points(prices[name], tick) for name in PRICES)
    volume = number(layout.volume) if layout.volume is not None else pl.lit(None, dtype=pl.Float64)
    kept = [name for name in ("ts", "reasons") if name in bars.columns]
    return bars.select(*kept, volume.alias("volume")).with_columns(prices)


def _from_points(points: pl.Series, tick: Decimal) -> pl.Series:
    """Counts of a tick as prices; a count that carries float noise is the whole number beside it.

    numpy divides; polars would multiply by the reciprocal, which is another number in the last place.
    """
    counts = points.fill_null(np.nan).to_numpy()
    whole = np.rint(counts)
    with np.errstate(invalid="ignore"):     # infinite counts: cleaning removes them
        counts = np.where(np.abs(counts - whole) < 1e-6, whole, counts)
    return pl.Series(points.name, counts / float(1 / tick)).fill_nan(None)
