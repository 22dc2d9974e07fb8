"""The lines of a LEAN file as columns of numbers; a line that cannot be read costs that line, never the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from fieldcast.data.formats.contract import no_rejects
from fieldcast.data.formats.frames import from_zone, rejects
from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP

DAY_MS = 86_400_000
LINE_END = 10
_NONE = no_rejects()


@dataclass(frozen=True)
class Numbers:
    """A file's numbers.

    Parameters
    ----------
    values : (fields, n) float64; NaN where a field is empty
    rows : (n,) places in the file, from 0
    rejects : the lines that could not be read
    """

    values: np.ndarray
    rows: np.ndarray
    rejects: pl.DataFrame

    @property
    def count(self) -> int:
        return int(self.values.shape[1])

    def keep(self, where: np.ndarray) -> Numbers:
        """The rows where `where` holds; nothing becomes a reject."""
        return self if where.all() else Numbers(self.values[:, where], self.rows[where], self.rejects)


def read_numbers(data: bytes | np.ndarray, fields: int) -> Numbers:
    """Lines of `fields` numbers; a line with another number of fields, or with text in one, is a reject.

    Parameters
    ----------
    data : the text; bytes, or as (b,) uint8
    """
    from fieldcast.data.formats.lean_kernels import parse_numbers

    text = np.frombuffer(data, dtype=np.uint8) if isinstance(data, bytes) else data
    lines = np.count_nonzero(text == LINE_END) + bool(text.size and text[-1] != LINE_END)
    values = np.empty((fields, lines))
    count = parse_numbers(text, fields, values)
    if count >= 0:
        return Numbers(values[:, :count], np.arange(count), _NONE)
    return _slowly(text.tobytes(), fields)


def _slowly(data: bytes, fields: int) -> Numbers:
    """The same for a file in which something is odd."""
    lines = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    names = [f"field_{k}" for k in range(fields)]
    parts = pl.DataFrame({"text": lines}, schema={"text": pl.String()}).with_row_index("row").with_columns(
        pl.col("row").cast(pl.Int64), part=pl.col("text").str.split(",")
    ).filter(pl.col("text") != "")
    whole = pl.col("part").list.len() == fields
    broken = parts.filter(~whole)
    texts = [pl.col("part").list.get(k, null_on_oob=True).str.strip_chars() for k in range(fields)]
    read = (text.cast(pl.Float64, strict=False).alias(name) for name, text in zip(names, texts, strict=True))
    numbers = parts.filter(whole).with_columns(read)
    garbled = pl.any_horizontal((text != "") & pl.col(name).is_null() for name, text in zip(names, texts, strict=True))
    broken = pl.concat([broken, numbers.filter(garbled).select(broken.columns)]).sort("row")
    numbers = numbers.filter(~garbled)
    broken = rejects(broken["row"], broken["text"]) if broken.height else no_rejects()
    values = numbers.select(pl.col(names).fill_null(float("nan"))).to_numpy().T
    return Numbers(np.ascontiguousarray(values).reshape(fields, -1), numbers["row"].to_numpy(), broken)


def read_dated(data: bytes, fields: int) -> tuple[pl.Series, Numbers]:
    """Lines `YYYYMMDD HH:MM,…`: the stamps (clock time without a zone), and the lines' numbers with 0 in the stamp's place."""
    lines = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    parts = pl.DataFrame({"text": lines}, schema={"text": pl.String()}).with_row_index("row").filter(pl.col("text") != "")
    parts = parts.with_columns(
        pl.col("row").cast(pl.Int64),
        stamp=pl.col("text").str.slice(0, 14).str.strptime(pl.Datetime("us"), "%Y%m%d %H:%M", strict=False),
    )
    sound = (pl.col("text").str.slice(14, 1) == ",") & pl.col("stamp").dt.year().is_between(1950, 2200).fill_null(value=False)
    unread = parts.filter(~sound)
    parts = parts.filter(sound)
    numbers = read_numbers("\n".join(["0" + text for text in parts["text"].str.slice(14)]).encode(), fields)
    places = parts["row"].to_numpy()
    broken = numbers.rejects.with_columns(pl.Series("row", places[numbers.rejects["row"].to_numpy()], dtype=pl.Int64))
    stamps = parts["stamp"].gather(pl.Series(numbers.rows, dtype=pl.UInt32))
    lost = pl.concat([rejects(unread["row"], unread["text"]), broken])
    return stamps, Numbers(numbers.values, places[numbers.rows], lost)


def within_day(numbers: Numbers) -> Numbers:
    """Without the rows whose first field is no millisecond of a day; those become rejects."""
    with np.errstate(invalid="ignore"):
        stamp = numbers.values[0]
        sound = (stamp >= 0) & (stamp < DAY_MS) & (stamp == np.floor(stamp))
    if sound.all():
        return numbers
    text = [",".join(f"{value:g}" for value in column) for column in numbers.values[:, ~sound].T]
    lost = rejects(pl.Series(numbers.rows[~sound]), pl.Series(text))
    return Numbers(numbers.values[:, sound], numbers.rows[sound], pl.concat([numbers.rejects, lost]))


def placed(
    milliseconds: np.ndarray, day: date, zone: str, span: timedelta = timedelta(), owners: pl.Series | None = None
) -> tuple[pl.Series, tuple[str, ...]]:
    """Milliseconds since a day's local midnight, in UTC, `span` later; and what had to be assumed, in words.

    The milliseconds are the clock's: on a day on which it is put forward or back, each wall-clock time is looked up, and the
    order of the rows (of each of `owners`) tells the two hours of autumn apart.
    """
    length = span // timedelta(microseconds=1)
    whole, start = _midnight(day, zone)
    if whole:
        stamps = milliseconds.astype(np.int64) * 1000
        stamps += start + length
        return pl.Series("ts", stamps).cast(STAMP), ()      # no copy: microseconds are what the type holds
    naive = datetime(day.year, day.month, day.day)  # noqa: DTZ001
    local = pl.Series("ts", milliseconds.astype(np.int64) * 1000).cast(pl.Duration("us")) + naive
    found, notes = from_zone(local, zone, owners)
    return (found + span).alias("ts"), notes


def moments(milliseconds: np.ndarray, day: date, zone: str, span: timedelta = timedelta()) -> pl.Series:
    """`placed` without the words."""
    return placed(milliseconds, day, zone, span)[0]


@lru_cache(maxsize=4096)
def _midnight(day: date, zone: str) -> tuple[bool, int]:
    """Whether the zone keeps one offset all day, and its midnight in microseconds since 1970 UTC."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"expected a time zone such as America/New_York, found {zone!r}") from None
    start = datetime(day.year, day.month, day.day, tzinfo=place)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=place)
    return start.utcoffset() == end.utcoffset(), round(start.timestamp()) * 1_000_000


def column(values: np.ndarray, name: str = "") -> pl.Series:
    """A column of numbers, null where the file has none."""
    return pl.Series(name, values, nan_to_null=bool(np.isnan(values).any()))


def columns(values: np.ndarray, names: Sequence[str]) -> list[pl.Series]:
    """The rows of (k, n) numbers as columns, null where the file has none: parts of one piece of memory, copied once."""
    whole = column(values.reshape(-1))
    count = values.shape[1]
    return [whole.slice(place * count, count).alias(name) for place, name in enumerate(names)]


def constant(name: str, value: str | None, count: int) -> pl.Series:
    """The same text in every row."""
    return _once(name, value).new_from_index(0, count)


@lru_cache(maxsize=4096)
def _once(name: str, value: str | None) -> pl.Series:
    return pl.Series(name, [value], dtype=pl.String)
