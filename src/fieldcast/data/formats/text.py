"""Delimited text, line by line: a line with the wrong number of fields costs that line, never the file.

For vendors' files whose fields hold no quotes. Every field stays text (`NA` and `NAN` are tickers), a byte that is no UTF-8
makes its line a reject.
"""

from __future__ import annotations

import re

import polars as pl

from fieldcast.data.formats.contract import no_rejects
from fieldcast.data.formats.frames import rejects
from fieldcast.ground import InvalidInput

_DAMAGED = "\ufffd"
_SYMBOL = "^[^\\s\\x00-\\x1f:\ufffd]{1,32}$"
SIMULATED = "SIM"
_VENUE = re.compile(r"[A-Z0-9]{2,12}")


def lines_of(data: bytes) -> list[str]:
    """The text's lines without their ends; bytes that are no UTF-8 are marked, empty lines at the end are gone."""
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    return text.rstrip("\n").split("\n") if text.strip() else []


def delimited(lines: list[str], names: list[str], separator: str, first: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines as a table of text with `row`, and the rejects.

    Parameters
    ----------
    names : of the columns; a line with another number of fields is a reject
    first : the number of the first line
    """
    numbered = pl.DataFrame({"row": range(first, first + len(lines)), "text": lines}, {"row": pl.Int64(), "text": pl.String()})
    numbered = numbered.filter(pl.col("text").str.strip_chars() != "")
    whole = (pl.col("text").str.count_matches(separator, literal=True) == len(names) - 1) & ~pl.col("text").str.contains(
        _DAMAGED, literal=True
    )
    broken = numbered.filter(~whole)
    fields = pl.col("text").str.split(separator).list.to_struct(fields=names).struct.unnest()
    table = numbered.filter(whole).select("row", fields) if len(names) > 1 else numbered.filter(whole).rename({"text": names[0]})
    if table.is_empty():
        table = pl.DataFrame(schema={"row": pl.Int64(), **dict.fromkeys(names, pl.String())})
    return table, rejects(broken["row"], broken["text"]) if broken.height else no_rejects()


def number(name: str, *missing: str) -> pl.Expr:
    """A column of text as float64; what is no number is null."""
    text = pl.col(name).str.strip_chars()
    return pl.when(text.is_in(["", *missing])).then(None).otherwise(text).cast(pl.Float64, strict=False).alias(name)


def sound_symbol(name: str) -> pl.Expr:
    """True where the text can be the symbol of an id."""
    return pl.col(name).str.contains(_SYMBOL)


def venue_of(venue: str) -> str:
    """The prefix of ids that a person names.

    Raises
    ------
    InvalidInput : it cannot be one, or it is that of simulated instruments
    """
    if venue == SIMULATED:
        raise InvalidInput(f"expected the venue of a real market, found {venue}, which is kept for simulated instruments")
    if not _VENUE.fullmatch(venue):
        raise InvalidInput(f"expected a venue of 2 to 12 upper case letters and digits such as XNAS, found {venue!r}")
    return venue
