"""What readers of recorded streams share: lines of JSON, levels of a book, the receiver's clock, places in the source.

A message of a book is taken as a whole or not at all: a book that lacks one level of one message is wrong for hours, while a
missing message is noticed by the venue's own numbering (`data.books`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from fieldcast.data.formats._bar_files import text_blocks
from fieldcast.data.formats.contract import Parsed, no_rejects
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Source
from fieldcast.data.formats.text import lines_of
from fieldcast.market import STAMP, Instrument, table_of

BLOCK = 8 << 20
LEVELS = pl.List(pl.List(pl.String))     # [[price, size], …] as text


def numbered_lines(source: Source) -> Iterator[pl.DataFrame]:
    """The file's lines in parts: `row` and `text`; empty lines are left out."""
    first = 0
    for data in text_blocks(source, BLOCK):
        lines = lines_of(data)
        numbers = pl.int_range(first, first + len(lines), dtype=pl.Int64, eager=True)
        yield pl.DataFrame({"row": numbers, "text": pl.Series(lines, dtype=pl.String)}).filter(pl.col("text") != "")
        first += len(lines)


def decoded(lines: pl.DataFrame, json: str, dtype: pl.Struct) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frame with the fields of a column of JSON, and the lines that are no JSON of this shape."""
    if lines.is_empty():
        return pl.concat([lines.drop(json), pl.DataFrame(schema={json: dtype}).unnest(json)], how="horizontal"), lines
    try:
        fields = lines.select(pl.col(json).str.json_decode(dtype)).unnest(json)
        return pl.concat([lines.drop(json), fields], how="horizontal"), lines.clear()
    except pl.exceptions.PolarsError:
        if lines.height == 1:
            return decoded(lines.clear(), json, dtype)[0], lines
    middle = lines.height // 2      # one line that is broken spoils the whole column: look for it
    halves = [decoded(part, json, dtype) for part in (lines[:middle], lines[middle:])]
    return pl.concat([good for good, _ in halves]), pl.concat([bad for _, bad in halves])


def received(name: str) -> pl.Expr:
    """Nanoseconds since 1970 as text, as a time; null where they are none of 1973 to 2255."""
    nanos = pl.col(name).cast(pl.Int64, strict=False)
    return pl.when(nanos.is_between(10**17, 9 * 10**18)).then(nanos // 1000).cast(STAMP)


def not_after(event: str, receipt: str) -> pl.Expr:
    """The event's own time, or that of its receipt where the venue's clock runs ahead of the receiver's."""
    return pl.min_horizontal(event, receipt)


CLOCK_NOTE = "where the venue's clock is ahead of the receiver's, ts is the time of receipt"


@dataclass
class Places:
    """Where the next row of each table stands in its source."""

    next: dict[str, int] = field(default_factory=dict)

    def number(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """With `sequence`, which goes on from part to part."""
        first = self.next.get(table, 0)
        self.next[table] = first + rows.height
        return rows.with_columns(sequence=pl.int_range(first, first + rows.height, dtype=pl.Int64))


def book_rows(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A row for each level of each message, in the order of the messages, bids before asks; and the unfit messages.

    Parameters
    ----------
    messages : `row`, `text`, `bids` and `asks` (as `LEVELS`), and whatever else is the same for the rows of a message
    """
    sides = [
        messages.drop("bids", "asks", "text").with_columns(level=messages[column], side=pl.lit(side), order=pl.lit(place))
        for place, (column, side) in enumerate((("bids", "bid"), ("asks", "ask")))
    ]
    levels = pl.concat(sides).explode("level", empty_as_null=False, keep_nulls=False).with_columns(
        price=pl.col("level").list.get(0, null_on_oob=True).cast(pl.Float64, strict=False),
        size=pl.col("level").list.get(1, null_on_oob=True).cast(pl.Float64, strict=False),
    )
    sound = (
        (pl.col("level").list.len() >= 2) & pl.col("price").is_finite() & (pl.col("price") > 0)
        & pl.col("size").is_finite() & (pl.col("size") >= 0)
    )
    wrong = levels.filter(~sound.fill_null(value=False))["row"].unique()
    unfit = messages.filter(
        pl.col("row").is_in(wrong.implode()) | pl.col("bids").is_null() | pl.col("asks").is_null()
    ).select("row", "text")
    kept = levels.filter(~pl.col("row").is_in(unfit["row"].implode()))
    return kept.sort("row", "order", maintain_order=True).drop("level", "order"), unfit


def joined_empty(messages: pl.DataFrame) -> pl.DataFrame:
    """Numbered messages without those that change no level: the next one takes over the number where an empty one began.

    A message may only be left out so where it joins the next one of its instrument without a gap.
    """
    empty = (pl.col("bids").list.len() + pl.col("asks").list.len() == 0).fill_null(value=False)
    if not messages.select(empty.any()).item():
        return messages
    begun: dict[str, tuple[int, int]] = {}      # instrument → first and last number of the empty messages before
    first: list[int | None] = []
    read = messages.select("instrument", "first_update", "last_update", "snapshot", empty.alias("empty"))
    for id, low, high, snapshot, nothing in read.iter_rows():
        before = begun.pop(id, None)
        joins = before is not None and low is not None and before[1] + 1 == low and not snapshot
        start = before[0] if joins and before is not None else low
        first.append(start)
        if nothing and start is not None and high is not None and not snapshot:
            begun[id] = (start, high)
    return messages.with_columns(first_update=pl.Series(first, dtype=pl.Int64)).filter(~empty)


def parsed_part(
    tables: dict[str, pl.DataFrame], unread: list[pl.DataFrame], instruments: tuple[Instrument, ...], places: Places,
    notes: tuple[str, ...], *, reported: bool = True,
) -> Iterator[Parsed]:
    """The rows of one part of a file by table; what could not be read goes with the largest of them."""
    texts = [frame.select("row", "text") for frame in unread if frame.height]
    lost = pl.concat([rejects(frame["row"], frame["text"]) for frame in texts]).sort("row") if texts else no_rejects()
    filled = sorted((name for name, rows in tables.items() if rows.height), key=lambda name: -tables[name].height)
    if not filled and lost.height:
        filled = [next(iter(tables))]
    for place, name in enumerate(filled):
        table = table_of(name)
        rows = rows_of(table, places.number(name, tables[name]))
        held = rows["instrument"].unique().to_list()
        yield Parsed(
            name, rows, tuple(item for item in instruments if item.id in held), lost if place == 0 else no_rejects(),
            available_at="reported" if reported else "assumed", notes=notes,
        )
