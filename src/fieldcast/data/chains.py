"""Listed options: their identifiers, and the terms that follow from the root.

A contract is identified by its OSI symbol (root padded to six, yymmdd, C or P, strike × 1000 in eight digits). Strike and expiry
are no key: SPX and SPXW share both on most lines and settle at different moments.

The true last moment of a contract is that of its settlement price: the open of the expiry day for AM-settled index options
(their trading stops the evening before), the close of the session for all others, which is 13:00 on a half-day. An expiry
date without a session (a Saturday before 2015, a holiday) means the session before it. Beyond the calendar's horizon the
usual hours of a weekday stand in.
Sources: OCC, "Options Symbology Initiative"; Cboe, product specifications of SPX, SPXW, XSP, VIX and VIXW, RUT, NDX, DJX, OEX
and XEO.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from typing import Literal

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import STAMP, sessions

Right = Literal["call", "put"]
CALENDAR, ZONE = "XNYS", "America/New_York"
LARGEST_STRIKE = 99_999.999
_OSI = r"^([A-Z][A-Z0-9]{0,5}) *(\d{6})([CP])(\d{8})$"
_ADJUSTED = re.compile(r"[A-Z]+\d")


@dataclass(frozen=True)
class Terms:
    """What the root says about a contract.

    Parameters
    ----------
    underlying : symbol of what is delivered or settled against
    settlement : `AM` (against the opening prices of the expiry day) or `PM`
    exercise_style : `european` or `american`
    multiplier : units of the underlying for each contract
    venue : prefix of the underlying's id where the root itself tells it: index options
    """

    underlying: str
    settlement: str
    exercise_style: str
    multiplier: float
    venue: str | None = None


def _index(underlying: str, settlement: str, style: str = "european", venue: str = "XCBO") -> Terms:
    return Terms(underlying, settlement, style, 100.0, venue)


_ROOTS = {
    "SPX": _index("SPX", "AM"), "SPXW": _index("SPX", "PM"), "XSP": _index("XSP", "PM"),
    "VIX": _index("VIX", "AM"), "VIXW": _index("VIX", "AM"),
    "RUT": _index("RUT", "AM"), "RUTW": _index("RUT", "PM"), "MRUT": _index("MRUT", "PM"),
    "NDX": _index("NDX", "AM", venue="XNAS"), "NDXP": _index("NDX", "PM", venue="XNAS"), "XND": _index("XND", "PM", venue="XNAS"),
    "DJX": _index("DJX", "AM"), "OEX": _index("OEX", "PM", "american"), "XEO": _index("XEO", "PM"),
}


def terms_of(root: str) -> Terms:
    """The terms of a root: those of an index option, else of an option on a share or fund.

    Raises
    ------
    InvalidInput : the root of a contract that was adjusted for a corporate action (`AAPL1`): its deliverable is not in the symbol
    """
    if root in _ROOTS:
        return _ROOTS[root]
    if _ADJUSTED.fullmatch(root):
        raise InvalidInput(f"expected a root with standard terms, found {root}: an adjusted contract's deliverable is its own")
    return Terms(root, "PM", "american", 100.0)


# OSI ----------------------------------------------------------------------------------------------------------------


def osi(root: str, expiry: date, right: Right, strike: float) -> str:
    """The contract's OSI symbol, 21 characters.

    Raises
    ------
    InvalidInput : a root, year or strike that the symbol cannot hold
    """
    thousandths = round(strike * 1000) if 0 < strike <= LARGEST_STRIKE else 0
    if not re.fullmatch(r"[A-Z][A-Z0-9]{0,5}", root):
        raise InvalidInput(f"expected a root of one to six capitals and digits, found {root!r}")
    if not 2000 <= expiry.year <= 2099:
        raise InvalidInput(f"expected an expiry in 2000 to 2099, found {expiry}")
    if right not in ("call", "put"):
        raise InvalidInput(f"expected call or put, found {right!r}")
    if thousandths == 0 or abs(thousandths / 1000 - strike) > 1e-9 * strike:
        raise InvalidInput(f"expected a strike up to {LARGEST_STRIKE} in thousandths, found {strike}")
    return f"{root:<6}{expiry:%y%m%d}{'C' if right == 'call' else 'P'}{thousandths:08d}"


def parse_osi(symbol: str) -> tuple[str, date, Right, float]:
    """Root, expiry date, right and strike of an OSI symbol, padded or not.

    Raises
    ------
    InvalidInput : it is none
    """
    row = parsed_osi(pl.Series([symbol])).row(0)
    if row[0] is None:
        raise InvalidInput(f"expected an OSI symbol such as 'SPXW  230914C04500000', found {symbol!r}")
    return row


def parsed_osi(symbols: pl.Series) -> pl.DataFrame:
    """`root`, `expiry`, `right`, `strike` of OSI symbols, padded or not; all null where one cannot be read."""
    parts = symbols.str.extract_groups(_OSI)
    field = parts.struct.field
    strike = field("4").str.slice(0, 5) + "." + field("4").str.slice(5)  # read as text, so that 47.099 is 47.099
    frame = pl.DataFrame(
        {
            "root": field("1"),
            "expiry": ("20" + field("2")).str.to_date("%Y%m%d", strict=False),
            "right": field("3").replace({"C": "call", "P": "put"}),
            "strike": strike.cast(pl.Float64, strict=False),
        }
    )
    whole = pl.col("expiry").is_not_null() & (pl.col("strike") > 0)
    return frame.select(pl.when(whole).then(pl.col(name)).alias(name) for name in frame.columns)


def osi_of(frame: pl.DataFrame) -> pl.Series:
    """OSI symbols out of columns `root`, `expiry`, `right`, `strike`, as `parsed_osi` gives them."""
    thousandths = (pl.col("strike") * 1000).round().cast(pl.Int64).cast(pl.String).str.zfill(8)
    letter = pl.when(pl.col("right") == "call").then(pl.lit("C")).otherwise(pl.lit("P"))
    symbol = pl.concat_str(pl.col("root").str.pad_end(6), pl.col("expiry").dt.strftime("%y%m%d"), letter, thousandths)
    return frame.select(symbol.alias("contract_id"))["contract_id"]


# moments ------------------------------------------------------------------------------------------------------------


def expiry_moments(expiry: pl.Series, settlement: pl.Series) -> pl.Series:
    """When each contract ends, in UTC.

    Parameters
    ----------
    expiry : (n,) dates as in the symbol
    settlement : (n,) `AM` or `PM`
    """
    days = sessions(CALENDAR).select("session", "open", "close")
    horizon = days["session"][-1]
    frame = pl.DataFrame({"expiry": expiry.cast(pl.Date), "settlement": settlement}).with_row_index("place")
    placed = frame.sort("expiry").join_asof(days, left_on="expiry", right_on="session", strategy="backward").sort("place")
    back = (pl.col("expiry").dt.weekday() - 5).clip(0, 2)
    weekday = pl.col("expiry") - pl.duration(days=back)
    usual = pl.when(pl.col("settlement") == "AM").then(_local(weekday, time(9, 30))).otherwise(_local(weekday, time(16)))
    listed = pl.when(pl.col("settlement") == "AM").then("open").otherwise("close")
    moment = pl.when(pl.col("expiry") > horizon).then(usual).otherwise(listed).cast(STAMP)
    return placed.select(moment.alias("expiry_ts"))["expiry_ts"]


def open_interest_known(ts: pl.Series) -> pl.Series:
    """When the open interest that a snapshot shows could first be known.

    It is the clearing house's count after the previous session, out before the open (OCC publishes it overnight): the open of
    the snapshot's own session. A snapshot outside a session's hours may show the next count already: then its own time.
    """
    days = sessions(CALENDAR).select("open", "close")
    frame = pl.DataFrame({"ts": ts}).with_row_index("place").sort("ts")
    placed = frame.join_asof(days, left_on="ts", right_on="open", strategy="backward").sort("place")
    return placed.select(pl.when(pl.col("ts") <= pl.col("close")).then("open").otherwise("ts").alias("known"))["known"]


def underlying_time(ts: pl.Series) -> pl.Series:
    """When the underlying's price in a snapshot was made: then, or at the last close where no session was on."""
    days = sessions(CALENDAR).select("open", "close")
    frame = pl.DataFrame({"ts": ts}).with_row_index("place").sort("ts")
    placed = frame.join_asof(days, left_on="ts", right_on="open", strategy="backward").sort("place")
    return placed.select(pl.min_horizontal("ts", pl.col("close").fill_null(pl.col("ts"))).alias("underlying_ts"))["underlying_ts"]


def _local(day: pl.Expr, clock: time) -> pl.Expr:
    """A time of a day in New York, in UTC."""
    return day.cast(pl.Date).dt.combine(clock).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
