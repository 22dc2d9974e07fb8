"""Option trades of Massive (Polygon until 2025): a flat file a day, all contracts, gzip.

    ticker,conditions,correction,exchange[,participant_timestamp],price,sip_timestamp,size

The ticker is `O:` and the OSI symbol without blanks; times are nanoseconds since 1970: the exchange's, where the column is there,
and the one at which OPRA published the print, from which on it was known. Condition 201 (CANC), 203 (CNCL), 205 (CNCO) and 207
(CNOL) take back an earlier print; a `correction` other than 0 marks a print that was corrected or cancelled. There is no side and
no quote beside a print.
Source: Massive, Flat Files, Options, Trades; its list of condition codes of options.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fieldcast.data.formats._moments import epoch
from fieldcast.data.formats._prints import Contracts, print_parts, quoted_parts
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import number
from fieldcast.ground import InvalidInput
from fieldcast.market.tables import OPTION_TRADES

_COLUMNS = ("ticker", "conditions", "correction", "exchange", "price", "sip_timestamp", "size")
_EVENT = "participant_timestamp"
_CANCELS = r"\b(201|203|205|207)\b"


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    contracts = Contracts(options, source.name)
    yield from print_parts(lambda: _parts(source), contracts)


def _parts(source: Source) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    def header(names: list[str]) -> list[str]:
        absent = [name for name in _COLUMNS if names.count(name) != 1]
        if absent or len(set(names)) < len(names):
            raise InvalidInput(f"expected columns {', '.join(_COLUMNS)} once each in {source.name}, found {', '.join(names)}")
        return names

    for frame, broken in quoted_parts(source, header):
        published = epoch("sip_timestamp")
        event = pl.min_horizontal(epoch(_EVENT), published) if _EVENT in frame.columns else published
        yield frame.select(
            "row",
            "text",
            pl.col("conditions", "exchange").replace("", None),
            number("price"),
            number("size"),
            contract=pl.col("ticker").str.strip_prefix("O:"),
            ts=event,
            available_at=published,
            cancel=pl.col("conditions").str.contains(_CANCELS),
            taken_back=~pl.col("correction").is_in(["", "0"]),
        ), broken


def _knows(sample: Sample) -> bool:
    names = {name.strip() for name in sample.first_line.split(",")}
    second = sample.head.split(b"\n", 2)[1:2]
    return set(_COLUMNS) <= names and "sequence_number" not in names and second != [] and second[0].startswith(b"O:")


FORMATS = (
    Format(
        "massive-option-trades", "Massive (Polygon) option trades: flat file of a day, all contracts", (OPTION_TRADES.name,),
        "B: Massive, Flat Files, Options, Trades (columns) and its condition codes of options", _knows, _read,
    ),
)
