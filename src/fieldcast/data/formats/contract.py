"""What a file format is: how it is recognised, and how its bytes become rows of the store's tables.

A reader turns bytes into rows and judges nothing but readability: numbers stay as they are (zero, negative, infinite), so that
one set of rules (`data.cleaning`) decides for every vendor and counts what it removes. What cannot be read as a row at all is a
reject with its place and its text. A reader never raises on a bad row; it raises `InvalidInput` where the file as a whole is not
what its format says, and then nothing of it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.lineage import Adjustment, Availability
from fieldcast.market import Instrument, Kind

REJECTS: dict[str, pl.DataType] = {
    "row": pl.Int64(),      # place in the source, from 0
    "reason": pl.String(),  # a registered reason code
    "text": pl.String(),    # the source's own text, at most 200 characters
}


def no_rejects() -> pl.DataFrame:
    """No row was unreadable."""
    return pl.DataFrame(schema=REJECTS)


@dataclass(frozen=True)
class Options:
    """What a person says about a file that the file itself does not say.

    Parameters
    ----------
    now : rows dated after it are from the future; also when the file reached Fieldcast
    instrument : of a file about one instrument whose name is not in it
    venue : prefix of the ids of a file with tickers alone, such as `XNAS`
    kind : asset class of instruments that are new
    columns : our column → the file's
    interval : `1m`, `1d` … where the file does not say
    zone : time zone of times without one, such as `America/New_York`
    stamp : whether a bar's time is its `start` or its `end`, where the format leaves it open
    date_format : strptime format, where dates could be read in two ways
    adjusted : the prices are back-adjusted and raw ones are not to be had
    map_files : folder of LEAN map files, which say which company a ticker meant on which date
    """

    now: datetime
    instrument: Instrument | None = None
    venue: str | None = None
    kind: Kind | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    interval: str | None = None
    zone: str | None = None
    stamp: str | None = None
    date_format: str | None = None
    adjusted: bool = False
    map_files: Path | None = None


@dataclass(frozen=True)
class Parsed:
    """Rows of one table out of a file (or out of a part of it).

    Parameters
    ----------
    table : name in `market.TABLES`
    rows : the table's schema, in the source's order; times and keys read, numbers not judged yet
    instruments : described, for the catalogue; every id of `rows` that can be traded or watched
    rejects : schema `REJECTS`
    adjustment, available_at : as in `Lineage`
    notes : what the reader had to decide, in words
    """

    table: str
    rows: pl.DataFrame
    instruments: tuple[Instrument, ...] = ()
    rejects: pl.DataFrame = field(default_factory=no_rejects)
    adjustment: Adjustment = "raw"
    available_at: Availability = "assumed"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One file format of one vendor.

    Parameters
    ----------
    name : as on the command line, such as `lean-minute-trade`
    title : what it is, in words
    tables : what it can fill
    proof : evidence class A (bytes captured from the vendor) or B (its documented schema), and what it was proved on
    recognises : True where a file's name and first bytes are of this format
    read : the file's rows, in parts that fit in memory
    dataset : where the rows belong if nobody says otherwise; none = the vendor, the part of the name before the first dash

    Raises (`read`)
    ------
    InvalidInput : the file as a whole is not of this format, or `Options` lacks what it does not say itself
    """

    name: str
    title: str
    tables: tuple[str, ...]
    proof: str
    recognises: Callable[[Sample], bool]
    read: Callable[[Source, Options], Iterator[Parsed]]
    dataset: str | None = None

    @property
    def home(self) -> str:
        """The dataset of its rows if nobody says otherwise."""
        return self.dataset or self.name.split("-", 1)[0]
