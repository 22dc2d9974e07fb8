"""LEAN option universe files: one line a contract with the day's prices, open interest, volatility and Greeks.

    #expiry,strike,right,open,high,low,close,volume,open_interest,implied_volatility,delta,gamma,vega,theta,rho
    ,,,open,high,low,close,volume,…                                 the underlying

The file's date is the session that its prices are of (its underlying closes are those of that day's tape); LEAN reads it on the
morning after, when the open interest is out too. So `ts` is the close of the file's session and every row is available from the
next session's open: `open_interest` and `oi_available_at` with it.

A line without a price, volume or open interest is a placeholder and is refused; a file of nothing else is refused as a whole.
A volatility at zero or at its floor of 1e-7 is null, and so are Greeks that are all zero. `close` is a mid where the contract did
not trade: it is stored as `mark`. Where call and put of a strike imply an underlying more than a quarter away from the stated
one, the strike belongs to another deliverable (before a split) or to a stale line: the row is kept, flagged
`underlying_mismatch`, and is not given the underlying's price.
Source: QuantConnect, LEAN Engine, Data Format (Equity Options, universe files).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import polars as pl

from fieldcast.data.chains import LARGEST_STRIKE, expiry_moments, osi_of, terms_of
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.lean_instruments import owners_of
from fieldcast.data.formats.lean_paths import LeanName, parse_day, root_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import add_reason, next_session, sessions
from fieldcast.market.tables import CHAINS

FIELDS = (
    "expiry", "strike", "right", "open", "high", "low", "close", "volume", "open_interest", "implied_volatility", "delta",
    "gamma", "vega", "theta", "rho",
)
HEADER = "#expiry,strike,right,open,high,low,close,volume,open_interest,implied_volatility"
GREEKS = ("delta", "gamma", "vega", "theta", "rho")
VOLATILITY_FLOOR = 1.0001e-7
MISMATCH = 0.25     # of the stated price: rates and dividends explain far less, any split far more
_CALENDAR = "XNYS"


def _read(source: Source, options: Options) -> Iterator[Parsed]:
    name, ts, known = _about(source)
    lines = source.data().decode("utf-8-sig", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    if not lines[0].startswith(HEADER):
        raise InvalidInput(f"expected {HEADER}… as the first line of {source.name}, found {lines[0][:80]!r}")
    table, unread = _fields(lines)
    spot, contracts = _underlying(table, source)
    owners = owners_of(source, name, options)
    underlying = owners.on(name.day or date.min, name.ticker)
    contracts, bad = _contracts(contracts, name)
    empty = contracts.filter(_nothing())
    rows = _judged(contracts.filter(~_nothing()), spot)
    terms = terms_of(root_of(name.ticker))
    rows = rows.with_columns(
        instrument=pl.lit(underlying.id), settlement=pl.lit(terms.settlement), exercise_style=pl.lit(terms.exercise_style),
        multiplier=pl.lit(terms.multiplier), root=pl.lit(root_of(name.ticker)),
        ts=pl.lit(ts), available_at=pl.lit(known), underlying_ts=pl.lit(ts), oi_available_at=pl.lit(known),
    )
    rows = rows.with_columns(expiry_moments(rows["expiry"], rows["settlement"]), osi_of(rows))
    dead = rows.filter(pl.col("expiry_ts") < pl.col("ts"))
    lost = [
        unread, rejects(bad["row"], bad["text"]), rejects(empty["row"], empty["text"], Reason.PLACEHOLDER),
        rejects(dead["row"], dead["text"], Reason.EXPIRED),
    ]
    notes = list(owners.notes)
    if name.day is not None:
        notes.append(f"prices of {name.day}, known from {known:%Y-%m-%d %H:%M} UTC on")
    yield Parsed(
        CHAINS.name, rows_of(CHAINS, rows.filter(pl.col("expiry_ts") >= pl.col("ts"))), (underlying,),
        pl.concat(lost).sort("row"), notes=tuple(notes),
    )


def _about(source: Source) -> tuple[LeanName, datetime, datetime]:
    """Ticker and date from `<ticker>/<date>.csv`; the session's close and the next one's open."""
    stem = source.name.split(".", 1)[0]
    day = parse_day(stem, source.name)
    ticker = source.path.resolve().parent.name.upper()
    session = sessions(_CALENDAR).filter(pl.col("session") == day)
    if session.is_empty():
        raise InvalidInput(f"expected {source.name} to be named by a session of {_CALENDAR}, found {day}")
    asset = "indexoption" if terms_of(root_of(ticker)).venue else "option"
    name = LeanName(asset, "usa", "daily", ticker, day, perpetual=False, style=None)
    following = next_session(_CALENDAR, day)["open"]
    assert isinstance(following, datetime)
    return name, session["close"][0], following


def _fields(lines: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines after the header as text columns with `row`; those with another number of fields are rejects."""
    table = pl.DataFrame({"text": lines}, schema={"text": pl.String()}).with_row_index("row").with_columns(
        pl.col("row").cast(pl.Int64), part=pl.col("text").str.split(",")
    ).filter((pl.col("row") > 0) & (pl.col("text") != ""))
    whole = pl.col("part").list.len() == len(FIELDS)
    broken = table.filter(~whole)
    read = table.filter(whole).with_columns(
        pl.col("part").list.get(k, null_on_oob=True).str.strip_chars().alias(name) for k, name in enumerate(FIELDS)
    )
    return read.drop("part"), rejects(broken["row"], broken["text"])


def _underlying(table: pl.DataFrame, source: Source) -> tuple[float | None, pl.DataFrame]:
    """The close of the underlying where the file gives one, and the contracts' lines."""
    about = table.filter((pl.col("expiry") == "") & (pl.col("strike") == "") & (pl.col("right") == ""))
    if about.height > 1:
        raise InvalidInput(f"expected one line about the underlying in {source.name}, found {about.height}")
    close = about["close"].cast(pl.Float64, strict=False).fill_nan(None)
    spot = close[0] if about.height else None
    sound = spot is not None and 0 < spot < float("inf")
    return (spot if sound else None), table.join(about.select("row"), on="row", how="anti")


def _contracts(table: pl.DataFrame, name: LeanName) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines whose contract and numbers can be read, and the others."""
    numbers = FIELDS[3:]
    garbled = pl.any_horizontal(
        (pl.col(field) != "") & pl.col(field).cast(pl.Float64, strict=False).is_null() for field in numbers
    )
    strike = pl.col("strike").cast(pl.Float64, strict=False)
    expiry = pl.col("expiry").str.to_date("%Y%m%d", strict=False)
    thousandths = (strike * 1000 - (strike * 1000).round()).abs() < 1e-6
    contract = (
        expiry.dt.year().is_between(2000, 2099) & (strike > 0) & (strike <= LARGEST_STRIKE) & thousandths
        & pl.col("right").is_in(["C", "P"])
    ).fill_null(value=False)
    sound = contract & ~garbled
    read = table.filter(sound).with_columns(
        expiry.alias("expiry"), strike.alias("strike"), pl.col("right").replace_strict({"C": "call", "P": "put"}, default=None),
        *(pl.col(field).cast(pl.Float64, strict=False).fill_nan(None) for field in numbers),
    )
    return read, table.filter(~sound)


def _nothing() -> pl.Expr:
    """True where the line has no price, no volume and no open interest."""
    fields = ("open", "high", "low", "close", "volume", "open_interest")
    return pl.all_horizontal(pl.col(field).fill_null(0) == 0 for field in fields)


def _judged(rows: pl.DataFrame, spot: float | None) -> pl.DataFrame:
    """Placeholders out, marks in, strikes of another deliverable flagged."""
    no_volatility = pl.col("implied_volatility").is_between(0, VOLATILITY_FLOOR)
    no_greeks = pl.all_horizontal(pl.col(name).fill_null(0) == 0 for name in GREEKS[1:])
    rows = rows.with_columns(
        iv=pl.when(~no_volatility).then(pl.col("implied_volatility")),
        mark=pl.when(pl.col("close") != 0).then(pl.col("close")),
        reasons=pl.when(no_volatility).then(pl.lit(str(Reason.PLACEHOLDER))),
        **{name: pl.when(~no_greeks).then(pl.col(name)) for name in GREEKS},
    )
    if spot is None:
        return rows.with_columns(underlying_price=pl.lit(None, dtype=pl.Float64))
    other = pl.col("strike").is_in(_other_deliverables(rows, spot).implode())
    return rows.with_columns(
        add_reason(Reason.UNDERLYING_MISMATCH, other), underlying_price=pl.when(~other).then(pl.lit(spot, dtype=pl.Float64))
    )


def _other_deliverables(rows: pl.DataFrame, spot: float) -> pl.Series:
    """Strikes at which put and call, or a call alone, deny the stated price of the underlying.

    Parity gives call - put + strike = spot but for rates, dividends and early exercise; a call is worth at most the spot.
    """
    sides = rows.filter(pl.col("mark") > 0).group_by("expiry", "strike").agg(
        call=pl.col("mark").filter(pl.col("right") == "call").first(), put=pl.col("mark").filter(pl.col("right") == "put").first()
    )
    implied = pl.col("call") - pl.col("put") + pl.col("strike")
    denied = ((implied / spot - 1).abs() > MISMATCH).fill_null(value=False) | (
        pl.col("call") > spot * (1 + MISMATCH)
    ).fill_null(value=False)
    return sides.filter(denied)["strike"].unique()


def _knows(sample: Sample) -> bool:
    return sample.first_line.startswith(HEADER) and sample.name.split(".", 1)[0].isdigit()


LEAN_UNIVERSE = (
    Format(
        "lean-option-universe", "LEAN option universe: a day's chain with open interest and Greeks", (CHAINS.name,),
        "A: AAPL 2014-06-05 to 09, GOOG 2015-12-23 and 24, SPY 2023-12-28 to 2024-01-09", _knows, _read,
    ),
)
