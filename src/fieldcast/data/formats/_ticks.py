"""What readers of files of quotes and trades share: text columns in parts, and rows with their place in the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from fieldcast.data.formats._bar_files import text_blocks
from fieldcast.data.formats._streams import Places, parsed_part
from fieldcast.data.formats.contract import Parsed
from fieldcast.data.formats.source import Source
from fieldcast.data.formats.text import delimited, lines_of
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument


def text_parts(source: Source, columns: Sequence[str], *, header: bool | None, separator: str = ",") -> Iterator[
    tuple[pl.DataFrame, pl.DataFrame]
]:
    """The file's columns as text (and `row`, `text`), part by part, and the lines that have another number of fields.

    Parameters
    ----------
    header : the first line must be (True), cannot be (False) or may be (None) the names of the columns

    Raises
    ------
    InvalidInput : the header is missing or another one
    """
    first = 0
    for data in text_blocks(source):
        lines = lines_of(data)
        skip = 0
        if first == 0 and lines and header is not False:
            named = [name.strip() for name in lines[0].split(separator)]
            skip = int(named == list(columns))
            if header and not skip:
                raise InvalidInput(f"expected columns {', '.join(columns)} in {source.name}, found {', '.join(named)}")
        frame, broken = delimited(lines[skip:], list(columns), separator, first + skip)
        yield frame.with_columns(text=pl.concat_str(columns, separator=separator)), broken.select("row", "text")
        first += len(lines)


def tick_part(
    table: str, frame: pl.DataFrame, broken: pl.DataFrame, instruments: tuple[Instrument, ...], places: Places,
    needed: Sequence[str], *, reported: bool = False, notes: tuple[str, ...] = (),
) -> Iterator[Parsed]:
    """The rows of a part that have what is `needed`, as a part of `table`; the others are rejects."""
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in needed)
    unread = [broken, frame.filter(lacking).select("row", "text")]
    yield from parsed_part({table: frame.filter(~lacking)}, unread, instruments, places, notes, reported=reported)
