"""CBOE's `quotedata.csv`: one underlying, calls on the left, the strike in the middle, puts on the right.

Three lines come first: an empty one, the name with the last price, the time with the underlying's quote. The columns of calls
and puts have the same names, so places count, not names. On a weekend the file still lists what expired on Friday.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from fieldcast.data.formats.chain import chain_rows
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.ground import InvalidInput, utc

_SIDE = ("Last Sale", "Net", "Bid", "Ask", "Volume", "IV", "Delta", "Gamma", "Open Interest")
_HEADER = ("Expiration Date", "Calls", *_SIDE, "Strike", "Puts", *_SIDE)
_COLUMNS = ["expiration", *(f"{side}_{n}" for side in ("call", "mid", "put") for n in range(10 if side != "mid" else 1))]
_SPOT = re.compile(r"Last: *([0-9.,]+)")
_TIME = re.compile(r"Date: *(.+?),? +(?:at +)?(\d{1,2}:\d{2}(?::\d{2})? *(?:[AP]M)?) *([A-Z]{2,4})\b", re.IGNORECASE)
_DAYS = ("%B %d, %Y", "%b %d, %Y", "%a %b %d %Y", "%Y-%m-%d", "%m/%d/%Y")
_CLOCKS = ("%I:%M %p", "%I:%M%p", "%I:%M:%S %p", "%H:%M", "%H:%M:%S")
_ZONES = {
    **dict.fromkeys(("ET", "EST", "EDT"), "America/New_York"),
    **dict.fromkeys(("CT", "CST", "CDT"), "America/Chicago"),
    **dict.fromkeys(("UTC", "GMT"), "UTC"),
}


def read(source: Source, options: Options) -> Iterator[Parsed]:
    """One snapshot.

    Raises
    ------
    InvalidInput : the preamble lacks the price of the underlying or a time with its zone, or the columns are others
    """
    lines = lines_of(source.data())
    place = next((n for n, line in enumerate(lines[:8]) if line.startswith("Expiration Date,")), None)
    if place is None or tuple(field.strip() for field in lines[place].split(",")) != _HEADER:
        raise InvalidInput(f"expected the columns of CBOE's quotedata in {source.name}: Expiration Date, Calls … Strike, Puts …")
    preamble = " ".join(lines[:place])
    spot, ts = _spot(preamble, source.name), _time(preamble, source.name)
    table, refused = delimited(lines[place + 1 :], _COLUMNS, ",", first=place + 1)
    expiration = _expirations(table["expiration"])
    quotes = pl.concat([_side(table, expiration, spot, side) for side in ("call", "put")])
    quotes = quotes.with_columns(quote_ts=pl.lit(ts).dt.cast_time_unit("us"))
    yield chain_rows(quotes, [refused], options, source.name, ts=ts, availability="reported")


def _side(table: pl.DataFrame, expiration: pl.Series, spot: float, side: str) -> pl.DataFrame:
    names = [f"{side}_{n}" for n in range(10)]
    return table.with_columns(expiration=expiration).select(
        "row",
        "expiration",
        contract=pl.col(names[0]).str.strip_chars(),
        strike=number("mid_0"),
        right=pl.lit(side),
        last=number(names[1]),
        bid=number(names[3]),
        ask=number(names[4]),
        volume=number(names[5]),
        iv=number(names[6]),
        delta=number(names[7]),
        gamma=number(names[8]),
        open_interest=number(names[9]),
        underlying_price=pl.lit(spot),
    )


def _expirations(text: pl.Series) -> pl.Series:
    text = text.str.strip_chars()
    read = [text.str.to_date(form, strict=False) for form in ("%a %b %d %Y", "%Y-%m-%d", "%m/%d/%Y")]
    return pl.select(pl.coalesce(read)).to_series()


def _spot(preamble: str, name: str) -> float:
    found = _SPOT.search(preamble)
    try:
        spot = float(found[1].replace(",", "")) if found else 0.0
    except ValueError:
        spot = 0.0
    if spot <= 0:
        raise InvalidInput(f"expected the underlying's price (Last: …) in the second line of {name}, found none above zero")
    return spot


def _time(preamble: str, name: str) -> datetime:
    found = _TIME.search(preamble)
    if found:
        day, clock, zone = found[1].strip().strip('"'), found[2].strip().upper(), found[3].upper()
        for form in (f"{day_form} {clock_form}" for day_form in _DAYS for clock_form in _CLOCKS):
            if zone not in _ZONES:
                break
            try:
                local = datetime.strptime(f"{day} {clock}", form).replace(tzinfo=ZoneInfo(_ZONES[zone]))
            except ValueError:
                continue
            if 1990 <= local.year <= 2100:
                return utc(local)
    raise InvalidInput(
        f"expected a time with its zone (Date: September 14, 2023 at 4:31 PM EDT) in the third line of {name}, found none"
    )


def _known(sample: Sample) -> bool:
    return not sample.members and b"\nExpiration Date,Calls," in b"\n" + sample.head


QUOTEDATA = Format(
    "cboe-quotedata",
    "CBOE delayed quotes of an option chain (quotedata.csv)",
    ("chains",),
    "A: SPX of 2023-09-14 and 2024-01-07 (a Sunday), SPY of 2023-09-14",
    _known,
    read,
)
FORMATS = (QUOTEDATA,)
