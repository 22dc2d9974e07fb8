"""LEAN option zips: one file a contract, whose name says right, strike and expiry.

    quotes          …,bid open..close,size,ask open..close,size    → chains: both sides as they stood at the bar's end
    trades          …,open,high,low,close,volume                   → option_bars
    open interest   …,contracts                                    → open_interest

Minutes and seconds are in a file a day, days in a file a year; times are the bar's start in New York, prices and strikes in
ten-thousandths. A side of a quote that is empty or zero is null; the quote's path within the bar is not kept. Open interest is
the clearing house's count after the session before: `ts` is that session's close, `available_at` the time in the file (06:30 New
York), or the open of the day where the file has days alone.
Source: QuantConnect, LEAN Engine, Data Format (Equity Options, Index Options); terms of the contracts from `data.chains`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from fieldcast.data.chains import LARGEST_STRIKE, expiry_moments, osi_of, terms_of
from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of, session_close
from fieldcast.data.formats.lean_bars import FIELDS, INTERVAL, SPANS
from fieldcast.data.formats.lean_instruments import Owners, owners_of, zone_of
from fieldcast.data.formats.lean_paths import LeanName, Member, first_member, member_of, name_of, root_of
from fieldcast.data.formats.lean_text import Numbers, column, placed, read_dated, read_numbers, within_day
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import STAMP, Instrument, sessions, table_of
from fieldcast.market.tables import CHAINS, OPEN_INTEREST

KINDS = {**FIELDS, "openinterest": 2}
CALENDAR = "XNYS"


@dataclass(frozen=True)
class _File:
    """The lines of all members: numbers, each line's moment and contract."""

    numbers: Numbers
    stamps: pl.Series | None   # clock times of days; none where the first number is a millisecond of the day
    contract: np.ndarray       # (n,) place of the line's contract in `contracts`
    contracts: pl.DataFrame
    name: LeanName


def _read(source: Source, options: Options, kind: str) -> Iterator[Parsed]:
    file = _lines(source, options, kind)
    owners = owners_of(source, file.name, options)
    ts, available, instruments, ids = _times(file, owners, options, kind)
    lines = _terms(file)[pl.Series(file.contract, dtype=pl.UInt32)] if file.numbers.count else _terms(file).clear()
    frame = lines.with_columns(ts.alias("ts"), available.alias("available_at"), ids.alias("instrument"))
    reader = {"trade": _trades, "quote": _quotes, "openinterest": _open_interest}[kind]
    columns, empty = reader(file.numbers, file.name.scale)
    frame = frame.with_columns(columns).with_columns(row=pl.Series(file.numbers.rows, dtype=pl.Int64))
    lost = [file.numbers.rejects]
    dead = (pl.col("ts") > pl.col("expiry_ts")) & pl.lit(kind != "openinterest")
    for where, reason in ((empty, Reason.VALUE_MISSING), (dead, Reason.EXPIRED)):
        gone = frame.filter(where)
        if gone.height:
            lost.append(rejects(gone["row"], gone.select(pl.format("{} {}", "contract_id", "ts"))["contract_id"], reason))
            frame = frame.filter(~where)
    bars = f"option_bars/{INTERVAL[file.name.resolution]}"
    table = {"trade": bars, "quote": CHAINS.name, "openinterest": OPEN_INTEREST.name}[kind]
    if kind == "quote":
        frame = frame.with_columns(quote_ts=pl.col("ts"))
    stated = "reported" if kind == "openinterest" and file.stamps is None else "assumed"
    yield Parsed(
        table, rows_of(table_of(table), frame.drop("row")), instruments, pl.concat(lost),
        available_at=stated, notes=owners.notes,  # type: ignore[arg-type]
    )


# lines ---------------------------------------------------------------------------------------------------------------


def _lines(source: Source, options: Options, kind: str) -> _File:
    name = name_of(source, options)
    members: list[Member] = []
    data: list[bytes] = []
    counts: list[int] = []
    strays = []
    for text in source.members():
        member = member_of(text)
        if member is None or not _belongs(member, name, kind):
            strays.append(text)
            continue
        content = source.member(text).replace(b"\r\n", b"\n").rstrip(b"\n")
        if content:
            members.append(member)
            data.append(content)
            counts.append(content.count(b"\n") + 1)
    if not members:
        raise InvalidInput(f"expected contracts of {name.ticker} ({kind}) in {source.name}, found none")
    whole = b"\n".join(data)
    if name.day is None:
        stamps, numbers = read_dated(whole, KINDS[kind])
    else:
        stamps, numbers = None, within_day(read_numbers(whole, KINDS[kind]))
    if strays:
        lost = rejects([-1] * len(strays), strays)
        numbers = Numbers(numbers.values, numbers.rows, pl.concat([numbers.rejects, lost]))
    contract = np.searchsorted(np.cumsum(counts), numbers.rows, side="right")
    contracts = pl.DataFrame(
        {
            "root": pl.Series([root_of(member.ticker) for member in members], dtype=pl.String),
            "right": pl.Series([member.right for member in members], dtype=pl.String),
            "exercise_style": pl.Series([member.style for member in members], dtype=pl.String),
            "strike": pl.Series([member.strike for member in members], dtype=pl.Float64) / 10_000,
            "expiry": pl.Series([member.expiry for member in members], dtype=pl.String).str.to_date("%Y%m%d", strict=False),
        }
    )
    return _sound(_File(numbers, stamps, contract, contracts, name))


def _belongs(member: Member, name: LeanName, kind: str) -> bool:
    """True where the member is a contract of the zip's ticker, kind, resolution and day."""
    day = None if name.day is None else f"{name.day:%Y%m%d}"
    return (
        member.is_option
        and member.ticker.upper() == name.ticker
        and member.kind == kind
        and member.day == day
        and (member.resolution or "daily") == name.resolution
    )


def _sound(file: _File) -> _File:
    """Without the lines of contracts whose strike or expiry no OSI symbol can hold; those become rejects."""
    sound = file.contracts.select(
        (
            (pl.col("strike") > 0) & (pl.col("strike") <= LARGEST_STRIKE) & pl.col("expiry").dt.year().is_between(2000, 2099)
            & pl.col("root").str.contains("^[A-Z][A-Z0-9]{0,5}$")
        ).fill_null(value=False).alias("sound")
    )["sound"].to_numpy()
    if sound.all():
        return file
    good = sound[file.contract]
    text = file.contracts[pl.Series(file.contract[~good], dtype=pl.UInt32)].select(
        pl.format("{} {} {}", "root", "strike", pl.col("expiry").cast(pl.String).fill_null("?"))
    ).to_series()
    lost = pl.concat([file.numbers.rejects, rejects(pl.Series(file.numbers.rows[~good]), text)])
    numbers = Numbers(file.numbers.values[:, good], file.numbers.rows[good], lost)
    stamps = None if file.stamps is None else file.stamps.filter(pl.Series(good))
    return _File(numbers, stamps, file.contract[good], file.contracts, file.name)


def _terms(file: _File) -> pl.DataFrame:
    """A line for each contract: its id and terms."""
    terms = terms_of(root_of(file.name.ticker))
    frame = file.contracts.with_columns(
        settlement=pl.lit(terms.settlement), multiplier=pl.lit(terms.multiplier),
        expiry=pl.col("expiry").fill_null(date(2000, 1, 3)), strike=pl.col("strike").clip(0.001, LARGEST_STRIKE),
    )   # the fillings are of contracts that `_sound` left no line of
    return frame.with_columns(expiry_moments(frame["expiry"], frame["settlement"]), osi_of(frame)).drop("expiry")


# times ---------------------------------------------------------------------------------------------------------------


def _times(
    file: _File, owners: Owners, options: Options, kind: str
) -> tuple[pl.Series, pl.Series, tuple[Instrument, ...], pl.Series]:
    """`ts`, `available_at`, the underlyings and the id of each line's underlying."""
    ticker, count = file.name.ticker, file.numbers.count
    if file.stamps is None:
        assert file.name.day is not None
        instrument = owners.on(file.name.day, ticker)
        span = SPANS[file.name.resolution] if kind != "openinterest" else timedelta()
        owner = pl.Series(file.contract).cast(pl.String)
        stated, _ = placed(file.numbers.values[0], file.name.day, zone_of(file.name, options), span, owner)  # no session then
        ids = pl.repeat(instrument.id, count, dtype=pl.String, eager=True)
        if kind != "openinterest":
            return stated, stated, (instrument,), ids
        days = pl.repeat(file.name.day, count, dtype=pl.Date, eager=True)
        return _session_before(days)["close"], stated, (instrument,), ids
    days = file.stamps.dt.date()
    of_day = {day: owners.on(day, ticker) for day in days.unique()}
    ids = days.replace_strict({day: item.id for day, item in of_day.items()}, return_dtype=pl.String)
    instruments = tuple({item.id: item for item in of_day.values()}.values())
    if kind == "openinterest":
        around = _session_before(days)
        return around["close"], around["next_open"], instruments, ids
    close = session_close(days, CALENDAR)
    return close, close, instruments, ids


def _session_before(days: pl.Series) -> pl.DataFrame:
    """`close` of the last session before each day, `next_open` of the first one from the day on."""
    table = sessions(CALENDAR).select("session", "open", "close")
    frame = pl.DataFrame({"day": days}).with_row_index("place").sort("day")
    before = frame.join_asof(table.select("session", "close"), left_on="day", right_on="session", strategy="backward",
                             allow_exact_matches=False)
    after = frame.join_asof(table.select("session", next_open="open"), left_on="day", right_on="session", strategy="forward")
    return before.with_columns(after["next_open"]).sort("place").select(pl.col("close", "next_open").cast(STAMP))


# values --------------------------------------------------------------------------------------------------------------


def _trades(numbers: Numbers, scale: float) -> tuple[list[pl.Series], pl.Series]:
    values = [column(numbers.values[1 + k] / scale).alias(name) for k, name in enumerate(("open", "high", "low", "close"))]
    return [*values, column(numbers.values[5]).alias("volume")], pl.Series(np.zeros(numbers.count, dtype=bool))


def _quotes(numbers: Numbers, scale: float) -> tuple[list[pl.Series], pl.Series]:
    columns = []
    empty = np.ones(numbers.count, dtype=bool)
    for side, place in (("bid", 1), ("ask", 6)):
        prices = numbers.values[place : place + 4]
        absent = ((prices == 0) | np.isnan(prices)).all(axis=0)
        empty &= absent
        columns.append(column(np.where(absent, np.nan, prices[3] / scale)).alias(side))
        columns.append(column(np.where(absent, np.nan, numbers.values[place + 4])).alias(f"{side}_size"))
    return columns, pl.Series(empty)


def _open_interest(numbers: Numbers, scale: float) -> tuple[list[pl.Series], pl.Series]:
    return [column(numbers.values[1]).alias("open_interest")], pl.Series(np.zeros(numbers.count, dtype=bool))


# the formats ---------------------------------------------------------------------------------------------------------


def _knows(sample: Sample, kind: str) -> bool:
    member = first_member(sample)
    return member is not None and member.is_option and member.kind == kind


LEAN_OPTIONS = (
    Format(
        "lean-option-quote", "LEAN option quotes of minutes or days: shares and indices", (CHAINS.name,),
        "A: GOOG 2015-12-24 (2,192 contracts), TWX 2014-06-05, SPX and SPXW 2021-01-04 to 07, AAPL 2014 daily",
        lambda sample: _knows(sample, "quote"), lambda source, options: _read(source, options, "quote"),
    ),
    Format(
        "lean-option-trade", "LEAN option trades of minutes or days: shares and indices", ("option_bars/1m", "option_bars/1d"),
        "A: GOOG 2015-12-24, TWX 2014-06-05, SPX and SPXW 2021-01-04 to 07",
        lambda sample: _knows(sample, "trade"), lambda source, options: _read(source, options, "trade"),
    ),
    Format(
        "lean-open-interest", "LEAN open interest of option contracts", (OPEN_INTEREST.name,),
        "A: GOOG 2015-12-24, TWX 2014-06-05, SPX and SPXW 2021-01-04, AAPL 2014 daily",
        lambda sample: _knows(sample, "openinterest"), lambda source, options: _read(source, options, "openinterest"),
    ),
)
