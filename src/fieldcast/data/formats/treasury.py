"""Panels and rates that are not FRED's: US Treasury par yields, LEAN's credit rate, French's factors, skfolio's volatilities.

- Treasury curves, as zipline ships them: fractions (0.0783 is 7.83 %), one column a tenor; an empty field is a tenor that was not
  issued. The quotes are of about 15:30 New York, the curve is out by 18:00 (Treasury, "Interest Rate Statistics").
- LEAN's interest-rate file: the discount window's primary credit rate in percent, a row for each change, in force from its
  date on; the Federal Reserve announces it before.
- French's monthly factors, as the package arch ships them: percent a month, dated YYYYMM, out some weeks later and revised.
- skfolio's implied volatilities of twenty shares at the close, as fractions a year: derived values, out by 18:00 as a convention.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time

import polars as pl

from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.fred import macro_part
from fieldcast.data.formats.source import Sample, Source
from fieldcast.data.formats.text import delimited, lines_of, number
from fieldcast.data.releases import Release, assumed_release, at, midnight, period_end
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market.tables import MACRO

_CURVE = "Time Period"
_TENOR = r"^\d+(month|year)$"
_RATE = ["DATE", "PCREDIT8"]
_FACTORS = ["Date", "Mkt-RF", "SMB", "HML", "RF"]
_TICKER = r"^[A-Z][A-Z0-9.]{0,9}$"
_QUOTED, _CLOSE, _OUT = time(15, 30), time(16), time(18)
_FRENCH = Release(60)


def read_curves(source: Source, options: Options) -> Iterator[Parsed]:
    """Par yields of every tenor, in one part."""
    table, names, refused = _table(source)
    tenors = names[1:]
    if names[:1] != [_CURVE] or not tenors or not pl.Series(tenors).str.contains(_TENOR).all():
        raise InvalidInput(f"expected {_CURVE} and tenors such as 10year in {source.name}, found {', '.join(names)}")
    day = table[_CURVE].str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    rows = _long(table.with_columns(day=_bounded(day)), tenors)
    yield macro_part(
        rows.select(
            instrument="TREASURY:" + pl.col("column").str.to_uppercase(),
            ts=at(pl.col("day"), _QUOTED),
            available_at=at(pl.col("day"), _OUT),
            value="value",
            unit=pl.lit("fraction a year"),
            reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
        ),
        refused,
        notes=("par yields as fractions a year: 0.0783 is 7.83 %",),
    )


def read_rate(source: Source, options: Options) -> Iterator[Parsed]:
    """Changes of the primary credit rate."""
    table, names, refused = _table(source)
    if names != _RATE:
        raise InvalidInput(f"expected the columns {', '.join(_RATE)} in {source.name}, found {', '.join(names)}")
    day = _bounded(table["DATE"].str.strip_chars().str.to_date("%Y-%m-%d", strict=False))
    yield macro_part(
        table.with_columns(day=day).select(
            instrument=pl.lit("LEAN:PCREDIT8"),
            ts=midnight(pl.col("day")),
            value=number("PCREDIT8"),
            unit=pl.lit("percent"),
            reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
        ),
        refused,
        notes=("each row is a change, in force from its date on",),
    )


def read_french(source: Source, options: Options) -> Iterator[Parsed]:
    """Monthly factor returns."""
    table, names, refused = _table(source)
    if names != _FACTORS:
        raise InvalidInput(f"expected the columns {', '.join(_FACTORS)} in {source.name}, found {', '.join(names)}")
    day = (table["Date"].str.strip_chars() + "01").str.to_date("%Y%m%d", strict=False)
    rows = _long(table.with_columns(day=_bounded(day)), names[1:])
    reasons = ",".join(sorted((Reason.AVAILABILITY_ASSUMED, Reason.LATEST_VINTAGE)))
    yield macro_part(
        rows.select(
            instrument="FRENCH:" + pl.col("column").str.to_uppercase(),
            ts=midnight(period_end(pl.col("day"), "monthly")),
            available_at=assumed_release(pl.col("day"), "monthly", _FRENCH, options.now),
            value="value",
            unit=pl.lit("percent a month"),
            reasons=pl.lit(reasons),
        ),
        refused,
    )


def read_volatilities(source: Source, options: Options) -> Iterator[Parsed]:
    """Implied volatilities, one column a share, in one part."""
    table, names, refused = _table(source)
    if names[0] != "Date" or len(names) < 2 or not pl.Series(names[1:]).str.contains(_TICKER).all():
        raise InvalidInput(f"expected Date and tickers in {source.name}, found {', '.join(names)[:200]}")
    day = table["Date"].str.strip_chars().str.to_date("%Y-%m-%d", strict=False)
    rows = _long(table.with_columns(day=_bounded(day)), names[1:])
    yield macro_part(
        rows.select(
            instrument="IMPLIEDVOL:" + pl.col("column"),
            ts=at(pl.col("day"), _CLOSE),
            available_at=at(pl.col("day"), _OUT),
            value="value",
            unit=pl.lit("fraction a year"),
            reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
        ),
        refused,
        notes=("implied volatilities as fractions a year: 0.25 is 25 %",),
    )


def _table(source: Source) -> tuple[pl.DataFrame, list[str], pl.DataFrame]:
    lines = lines_of(source.data())
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if not names or len(set(names)) < len(names) or "" in names:
        found = ", ".join(names)[:200] or "nothing"
        raise InvalidInput(f"expected a header with every column once in {source.name}, found {found}")
    table, refused = delimited(lines[1:], names, ",", first=1)
    return table, names, refused


def _long(table: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """`day`, `column`, `value`; an empty field is no observation."""
    long = table.select("day", *columns).unpivot(index="day", variable_name="column", value_name="text")
    return long.filter(pl.col("text").str.strip_chars() != "").with_columns(value=number("text"))


def _bounded(day: pl.Series) -> pl.Series:
    return day.set(~day.dt.year().is_between(1800, 2200), None)


def _starts(sample: Sample, names: list[str]) -> bool:
    return not sample.members and [name.strip() for name in sample.first_line.split(",")][: len(names)] == names


CURVES = Format(
    "treasury-curves",
    "US Treasury par yield curves, one column a tenor, as fractions",
    (MACRO.name,),
    "A: zipline's file, 1990 to 2017",
    lambda sample: _starts(sample, [_CURVE]),
    read_curves,
)
RATE = Format(
    "lean-interest-rate",
    "LEAN's interest-rate file: changes of the primary credit rate",
    (MACRO.name,),
    "A: LEAN's file, 2003 to 2023",
    lambda sample: _starts(sample, _RATE) and "interest-rate" in sample.name,
    read_rate,
)
FRENCH = Format(
    "french-factors",
    "French's monthly factors as the package arch ships them",
    (MACRO.name,),
    "A: arch's file, 1926 to 2018",
    lambda sample: _starts(sample, _FACTORS),
    read_french,
)
VOLATILITIES = Format(
    "skfolio-implied-vol",
    "implied volatilities of shares, one column a share, as skfolio ships them",
    (MACRO.name,),
    "A: skfolio's file of twenty shares, 2010 to 2022",
    lambda sample: _starts(sample, ["Date"]) and "implied_vol" in sample.name,
    read_volatilities,
)
FORMATS = (CURVES, RATE, FRENCH, VOLATILITIES)
