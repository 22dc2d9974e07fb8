"""LEAN factor files: splits and dividends as running factors.

    date,price factor,split factor,reference price

A row's factors apply to dates up to its own, and the reference is the raw close of that date: the action between two rows took
effect on the next session. With p and s the price and split factors of consecutive rows,

    ratio = s(next) / s        amount = reference * (1 - p / p(next))

so that `actions.adjust` gives back p * s to the digits that the file prints. A ratio within half a millionth of a fraction of
whole numbers up to 100 is that fraction (the file prints 1/7 as 0.1428571). The cash amounts follow from printed factors and are
right to about the reference's last digit; the price factors hold cash dividends and spin-offs alike.
Source: QuantConnect, LEAN Engine, US Equity data format; `Data/FactorFile`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from fractions import Fraction

import polars as pl

from fieldcast.data.actions import action_rows
from fieldcast.data.formats.contract import Format, Options, Parsed, no_rejects
from fieldcast.data.formats.frames import rejects
from fieldcast.data.formats.lean_instruments import owners_of
from fieldcast.data.formats.lean_maps import FOREVER, beside
from fieldcast.data.formats.lean_paths import LeanName
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, default_instrument, sessions
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import ACTIONS

_CALENDAR = "XNYS"
_SNAP = 5e-7            # relative; half of the last of seven printed digits
_SIMPLE = 100           # largest denominator of a split that is taken for exact
FACTORS: dict[str, pl.DataType] = {
    "day": pl.Date(), "price_factor": pl.Float64(), "split_factor": pl.Float64(), "reference": pl.Float64(),
}


def read_factors(data: bytes, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The file's rows, schema `FACTORS` with `row`, by date; and the lines that cannot be read."""
    lines = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    good: list[tuple[int, date, float, float, float]] = []
    bad: list[tuple[int, str]] = []
    for row, line in enumerate(lines):
        fields = [field.strip() for field in line.split(",")]
        if not line.strip():
            continue
        try:
            day = datetime.strptime(fields[0], "%Y%m%d").date()  # noqa: DTZ007
            numbers = [float(field) for field in fields[1:]]
        except ValueError:
            bad.append((row, line))
            continue
        sound = len(numbers) in (2, 3) and all(1e-12 < value < 1e12 for value in numbers[:2]) and day.year >= 1950
        if not sound:
            bad.append((row, line))
            continue
        reference = numbers[2] if len(numbers) == 3 and 0 < numbers[2] < 1e12 else float("nan")
        good.append((row, day, numbers[0], numbers[1], reference))
    table = pl.DataFrame(good, schema={"row": pl.Int64(), **FACTORS}, orient="row")
    table = table.with_columns(pl.col("reference").fill_nan(None))
    broken = rejects([row for row, _ in bad], [text for _, text in bad]) if bad else no_rejects()
    if table.select("day").is_duplicated().any():
        raise InvalidInput(f"expected one row a date in the factor file {name}, found several")
    return table.sort("day"), broken


def exact_ratio(ratio: float) -> float:
    """The split that a printed ratio stands for: a simple fraction where one is near enough, else the ratio."""
    if not math.isfinite(ratio):
        return ratio
    simple = Fraction(ratio).limit_denominator(_SIMPLE)
    if 0 < simple.numerator <= _SIMPLE and abs(float(simple) / ratio - 1) <= _SNAP:
        return float(simple)
    return ratio


def actions_of(factors: pl.DataFrame, instrument: str) -> pl.DataFrame:
    """Rows of table `actions` out of factors by date.

    Raises
    ------
    InvalidInput : an action that would take effect after the calendar's last session
    """
    later = factors.with_columns(
        next_price=pl.col("price_factor").shift(-1), next_split=pl.col("split_factor").shift(-1)
    ).filter(pl.col("next_price").is_not_null())
    later = later.with_columns(
        ratio=pl.col("next_split") / pl.col("split_factor"), part=1 - pl.col("price_factor") / pl.col("next_price")
    ).filter((pl.col("ratio") != 1) | (pl.col("part") != 0))
    if later.is_empty():
        return ACTIONS.empty()
    days = sessions(_CALENDAR).select("session")
    placed = later.with_columns(after=pl.col("day") + pl.duration(days=1)).sort("after").join_asof(
        days, left_on="after", right_on="session", strategy="forward"
    )
    if placed["session"].null_count():
        raise InvalidInput(f"expected actions of {instrument} within the calendar, found one after {days['session'][-1]}")
    return action_rows(
        instrument,
        placed["session"],
        [exact_ratio(ratio) for ratio in placed["ratio"]],
        (placed["reference"] * placed["part"]).fill_null(float("inf")),    # no reference: no amount; cleaning takes it out
        placed["reference"],
    )


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    factors, broken = read_factors(source.data(), source.name)
    if factors.height < 2:
        raise InvalidInput(f"expected at least two rows in the factor file {source.name}, found {factors.height}")
    instrument, notes = _company(source, factors["day"][0], options)
    rows = actions_of(factors, instrument.id)
    if rows.is_empty() and broken.is_empty():
        notes = (*notes, f"{instrument.id} had neither split nor dividend")
    yield Parsed(ACTIONS.name, rows, (instrument,), broken, notes=notes)


def _company(source: Source, first: date, options: Options) -> tuple[Instrument, tuple[str, ...]]:
    """A factor file is named by the company's permtick, as its map file is."""
    permtick = source.name.lower().removesuffix(".gz").removesuffix(".csv").upper()
    name = LeanName("equity", "usa", "daily", permtick, None, perpetual=False, style=None)
    if options.instrument is not None:
        return options.instrument, ()
    maps = beside(source.path, options.map_files)
    held = None if maps is None else maps.holdings.filter(pl.col("permtick") == permtick)
    if held is None or held.is_empty():
        owners = owners_of(source, name, options)
        return owners.instruments[-1], owners.notes
    venue = options.venue or held.sort("first")["venue"][-1]
    return default_instrument(f"{venue}:{permtick}", options.kind or Kind.EQUITY), ()


def _knows(sample: Sample) -> bool:
    """A first line of date and three numbers, and a last row in 2050 or a folder that says so."""
    fields = sample.first_line.split(",")
    if sample.members or len(fields) != 4 or len(fields[0]) != 8 or not fields[0].isdigit():
        return False
    return "factor" in sample.path.parent.name.lower() or f"\n{FOREVER.year}1231,".encode() in sample.head


LEAN_FACTORS = (
    Format(
        "lean-factor-file", "LEAN factor file: splits and dividends of a share", (ACTIONS.name,),
        "A: 22 files; re-applying their actions gives their factors back to 1e-6", _knows, _read,
    ),
)
