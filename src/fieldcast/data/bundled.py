"""Real daily data that comes with an installed package, so that Fieldcast works offline from the first minute.

The wheel of `arch` ships NASDAQ composite and S&P 500 OHLCV (1999-01-04 to 2018-12-31) and the VIX close (2014-01-03 to
2019-01-03). Index points, volumes in shares, prices as shipped (raw). The files are read without importing `arch`.

Dates become the session's close on XNYS. `available_at` is assumed: the close for the two indices, close + 15 minutes
for VIX, whose final value comes at 16:15 New York. VIX rows without a value (`.`) are exchange holidays: dropped and
counted.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from fieldcast.data.lineage import Lineage
from fieldcast.data.opens import flag_synthetic_opens
from fieldcast.data.rules import flag
from fieldcast.ground import Clock, IntegrityError, InvalidInput, MissingData, Reason, SystemClock
from fieldcast.market import BARS, STAMP, Instrument, Kind, add_reason, sessions

DATASET = "bundled"


@dataclass(frozen=True)
class _Series:
    instrument: Instrument
    file: str
    value: str | None  # the one column of a series without open, high, low and volume
    delay: timedelta


def _index(id: str, name: str, *, notional: bool) -> Instrument:
    return Instrument(id=id, kind=Kind.INDEX, tradable=False, notional=notional, name=name)


_SERIES = {
    "nasdaq": _Series(
        _index("XNAS:COMP", "NASDAQ composite", notional=True), "nasdaq/nasdaq.csv.gz", None, timedelta()
    ),
    "sp500": _Series(_index("XCBO:SPX", "S&P 500", notional=True), "sp500/sp500.csv.gz", None, timedelta()),
    "vix": _Series(_index("XCBO:VIX", "VIX", notional=False), "vix/vix.csv.gz", "vix", timedelta(minutes=15)),
}
BUNDLED = tuple(_SERIES)


def read_bundled(name: str, clock: Clock | None = None) -> tuple[Instrument, pl.DataFrame, Lineage]:
    """One bundled series: its instrument, its bars (schema `market.BARS`) and where they came from.

    Parameters
    ----------
    name : `nasdaq`, `sp500` or `vix`
    clock : stamps `fetched_at`; none = the machine's

    Raises
    ------
    InvalidInput : another name
    MissingData : the package that ships the file is not installed
    IntegrityError : the shipped file has a row that the exchange calendar contradicts
    """
    if name not in _SERIES:
        raise InvalidInput(f"expected a bundled series out of {', '.join(_SERIES)}, found {name!r}")
    series = _SERIES[name]
    path = _shipped(series.file)
    data = path.read_bytes()
    table = pl.read_csv(io.BytesIO(gzip.decompress(data)), infer_schema_length=0)
    rows = table.select(
        session=pl.col("Date").str.to_date("%-m/%-d/%Y"),
        **{
            target: pl.col(column).cast(pl.Float64, strict=False) if column else pl.lit(None, dtype=pl.Float64)
            for target, column in _columns(series).items()
        },
    )
    known = rows.filter(pl.col("close").is_not_null())
    instrument = series.instrument
    bars = (
        known.join(sessions(instrument.calendar).select("session", ts="close"), on="session", how="left")
        .with_columns(
            instrument=pl.lit(instrument.id),
            available_at=(pl.col("ts") + series.delay).cast(STAMP),
            reasons=pl.lit(None, dtype=pl.String),
        )
        .select(pl.col(column).cast(dtype) for column, dtype in BARS.items())
        .sort("ts")
    )
    if bars["ts"].null_count():
        raise IntegrityError(f"expected every row of {path.name} on a session of {instrument.calendar}, found others")
    holidays = _holidays(rows, instrument)
    lineage = Lineage(
        provider="bundled",
        dataset=DATASET,
        fetched_at=(clock or SystemClock()).now(),
        source=f"arch/data/{series.file} sha256:{hashlib.sha256(data).hexdigest()}",
        dropped={str(Reason.NOT_A_SESSION): holidays} if holidays else {},
    )
    if series.value is not None:
        bars = bars.with_columns(add_reason(Reason.CLOSE_ONLY, pl.lit(value=True)))
    return instrument, flag(flag_synthetic_opens(bars, instrument.calendar), instrument), lineage


def _columns(series: _Series) -> dict[str, str | None]:
    """Our column → the file's."""
    if series.value is not None:
        return {"open": None, "high": None, "low": None, "close": series.value, "volume": None}
    return {name: name.capitalize() for name in ("open", "high", "low", "close", "volume")}


def _holidays(rows: pl.DataFrame, instrument: Instrument) -> int:
    """How many rows have no value; each must be a day without a session."""
    empty = rows.filter(pl.col("close").is_null())["session"]
    open_days = empty.filter(empty.is_in(sessions(instrument.calendar)["session"].implode()))
    if open_days.len():
        raise IntegrityError(f"expected a value of {instrument.id} on every session, found none on {open_days[0]}")
    return empty.len()


def _shipped(file: str) -> Path:
    spec = find_spec("arch")
    if spec is None or not spec.submodule_search_locations:
        raise MissingData("expected the package arch, which ships the bundled data, found none; pip install arch")
    path = Path(spec.submodule_search_locations[0]) / "data" / file
    if not path.is_file():
        raise MissingData(f"expected {path}, found none; pip install 'arch>=8,<9'")
    return path
