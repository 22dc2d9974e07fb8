"""A person's own calendar of events: CSV or Parquet with a row for each announcement.

Columns: `instrument` (an id, or a ticker with `venue=`), `event` (earnings, ex_dividend, expiry, macro_release, roll), `item`
(which one of them, such as 2024Q1), `happens_at`, `announced_at`, and if wanted `value` and `note` (`cancelled` takes an item off
the calendar). Times have their zone or `zone=` gives it. A bare date in `happens_at` is a day whose time is not known: it lasts
to the end of the day there. Without a column `announced_at` everything counts as announced when the file reached Fieldcast.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data._reading import as_number, table_from
from fieldcast.data._times import moments
from fieldcast.data.events import DAY_ONLY, KINDS
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import sound_symbol, venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market.tables import EVENTS

_NEEDED = ("event", "item", "happens_at")
_OWNERS = ("instrument", "symbol", "ticker")
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ID = r"^[A-Z0-9]{2,12}:[^\s\x00-\x1f:]{1,32}$"


def read(source: Source, options: Options) -> Iterator[Parsed]:
    """Announcements.

    Raises
    ------
    InvalidInput : columns are missing, or times without a zone
    """
    frame = table_from(source.data(), source.name).with_row_index("_row")
    lower = {name.strip().lower(): name for name in frame.columns}
    owner = next((lower[name] for name in _OWNERS if name in lower), None)
    absent = [name for name in _NEEDED if name not in lower]
    if absent or (owner is None and options.instrument is None):
        found = ", ".join(frame.columns[1:])
        raise InvalidInput(f"expected the columns instrument, {', '.join(_NEEDED)} in {source.name}, found {found}")
    happens, vague = _happens(frame[lower["happens_at"]], options.zone, source.name)
    rows = frame.select(
        row=pl.col("_row").cast(pl.Int64),
        instrument=pl.lit(options.instrument.id) if owner is None and options.instrument else _ids(owner or "", options, frame),
        event=pl.col(lower["event"]).cast(pl.String).str.strip_chars(),
        item=pl.col(lower["item"]).cast(pl.String).str.strip_chars(),
        note=pl.col(lower["note"]).cast(pl.String).str.strip_chars() if "note" in lower else pl.lit(None, dtype=pl.String),
    ).with_columns(happens_at=happens, vague=vague)
    if "value" in lower:
        rows = rows.with_columns(value=as_number(frame[lower["value"]]))
    notes: tuple[str, ...] = ()
    if "announced_at" in lower:
        rows = rows.with_columns(ts=_announced(frame[lower["announced_at"]], options.zone, source.name))
    else:
        rows = rows.with_columns(ts=pl.lit(options.now), reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)))
        notes = ("no column announced_at: everything counts as announced when the file was read",)
    plain = pl.col("note").fill_null("") == ""
    day_only = pl.when(plain).then(pl.lit(DAY_ONLY)).otherwise(pl.format("{}: {}", pl.lit(DAY_ONLY), "note"))
    keeps = (pl.col("note").fill_null("") == "cancelled") | ~pl.col("vague")
    rows = rows.with_columns(note=pl.when(keeps).then("note").otherwise(day_only))
    sound = pl.col("event").is_in(KINDS) & pl.col("instrument").str.contains(_ID) & (pl.col("item") != "")
    broken = rows.filter(~sound.fill_null(value=False))
    text = broken.select(pl.concat_str("instrument", "event", "item", separator=",", ignore_nulls=True)).to_series()
    yield Parsed(
        table=EVENTS.name,
        rows=rows_of(EVENTS, rows.filter(sound.fill_null(value=False))),
        rejects=rejects(broken["row"], text),
        available_at="reported" if "announced_at" in lower else "assumed",
        notes=notes,
    )


def _ids(owner: str, options: Options, frame: pl.DataFrame) -> pl.Expr:
    """Ids as they stand, tickers with the venue before them."""
    text = pl.col(owner).cast(pl.String).str.strip_chars()
    if options.venue is None:
        bare = frame.filter(~text.str.contains(":", literal=True))[owner]
        if bare.len() == frame.height:
            raise InvalidInput(f"expected ids such as XNAS:AAPL in column {owner}, found {bare[0]}; give venue=")
        return text
    ticker = pl.when(sound_symbol(owner)).then(pl.lit(venue_of(options.venue) + ":") + text.str.to_uppercase()).otherwise(None)
    return pl.when(text.str.contains(":", literal=True)).then(text).otherwise(ticker)


def _happens(column: pl.Series, zone: str | None, name: str) -> tuple[pl.Series, pl.Series]:
    """The moment of each event, and whether only its day is known."""
    if column.dtype != pl.String:
        column = column.cast(pl.String) if column.dtype == pl.Date else column
    if column.dtype != pl.String:
        return moments(column, zone, None, name), pl.Series([False] * len(column), dtype=pl.Boolean)
    text = column.str.strip_chars()
    vague = text.str.contains(_DATE).fill_null(value=False)
    ends = (text.set(~vague, None).str.to_date("%Y-%m-%d", strict=False).dt.offset_by("1d")).cast(pl.Datetime("us"))
    timed = moments(text.set(vague, None), zone, None, name) if (~vague).any() else pl.Series([None] * len(text), dtype=pl.String)
    if vague.any() and zone is None:
        raise InvalidInput(f"expected the zone of the days in happens_at of {name}, such as America/New_York; give zone=")
    days = moments(ends, zone, None, name) if zone is not None else ends.dt.replace_time_zone("UTC").set(~vague, None)
    timed = timed.cast(pl.Datetime("us", "UTC"))
    return timed.zip_with(~vague, days), vague


def _announced(column: pl.Series, zone: str | None, name: str) -> pl.Series:
    """The moment of each announcement; of a bare date the end of its day, so that nothing is known too early."""
    return _happens(column, zone, name)[0]


def _known(sample: Sample) -> bool:
    names = {name.strip().strip('"').lower() for name in sample.first_line.replace(";", ",").split(",")}
    return not sample.members and set(_NEEDED) <= names


CALENDAR = Format(
    "events-table",
    "a calendar of announcements: instrument, event, item, happens_at, announced_at",
    (EVENTS.name,),
    "B: Fieldcast's own layout, described here",
    _known,
    read,
    dataset="events",
)
FORMATS = (CALENDAR,)
