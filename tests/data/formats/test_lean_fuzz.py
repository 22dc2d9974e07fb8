"""Damaged LEAN files: every mutation ends in a refusal that says why, or in rows that the store may hold."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options, Source
from fieldcast.data.formats.lean import FORMATS
from fieldcast.data.formats.lean_hours import read_market_hours, read_symbol_properties
from fieldcast.data.formats.lean_maps import read_map_file
from fieldcast.data.importing import import_source
from fieldcast.data.membership import read_changes, read_ranges
from fieldcast.ground import FieldcastError
from fieldcast.market import TABLES, default_instrument

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FAST, MUTATIONS = 20, 60
# The first turns run with the fast tests, the others with the slow ones.
TURNS = [pytest.param(range(FAST), id="first"), pytest.param(range(FAST, MUTATIONS), id="later", marks=pytest.mark.slow)]
NUMBERS = (
    "nan", "inf", "-inf", "NaN", "1e400", "-1e308", "9" * 400, "-5", "0", "", "x", "0x10", "1.2.3", "٣", "\x00", "1e-320", '"1"',
)


def minute_lines(fields: int, rows: int = 60) -> str:
    values = [34_200_000 + 60_000 * k for k in range(rows)]
    if fields == 2:
        return "\n".join(f"{stamp},{k * 10}" for k, stamp in enumerate(values))
    side = "6450000,6453000,6449000,6451000,300"
    return "\n".join(f"{stamp},{side}" + (f",{side.replace('645', '646')}" if fields == 11 else "") for stamp in values)


def dated_lines(fields: int, clock: str = "00:00") -> str:
    days = [f"201406{day:02d}" for day in (2, 3, 4, 5, 6, 9, 10, 11, 12, 13)]
    values = [line.split(",", 1)[1] for line in minute_lines(fields, 10).split("\n")]
    return "\n".join(f"{day} {clock},{line}" for day, line in zip(days, values, strict=True))


def universe() -> str:
    header = "#expiry,strike,right,open,high,low,close,volume,open_interest,implied_volatility,delta,gamma,vega,theta,rho"
    lines = [header, ",,,100,101,99,100.5,5000,,,,,,,"]
    for strike in range(80, 120):
        for right, price in (("C", max(100.5 - strike, 0) + 1.5), ("P", max(strike - 100.5, 0) + 1.5)):
            lines.append(f"20140719,{strike},{right},{price},{price},{price},{price},10,200,0.25,0.5,0.02,0.1,-0.01,0.03")
    return "\n".join(lines)


# format → the folders and name of a file, and what its members (or it itself, under "") hold
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "lean-minute-trade": ("equity/usa/minute/aapl/20140605_trade.zip", {"20140605_aapl_minute_trade.csv": minute_lines(6)}),
    "lean-minute-quote": ("equity/usa/minute/aapl/20140605_quote.zip", {"20140605_aapl_minute_quote.csv": minute_lines(11)}),
    "lean-second-trade": ("equity/usa/second/aapl/20140605_trade.zip", {"20140605_aapl_second_trade.csv": minute_lines(6)}),
    "lean-second-quote": ("equity/usa/second/aapl/20140605_quote.zip", {"20140605_aapl_second_quote.csv": minute_lines(11)}),
    "lean-hour-trade": ("equity/usa/hour/aapl.zip", {"aapl.csv": dated_lines(6, "10:00")}),
    "lean-hour-quote": ("forex/oanda/hour/eurusd.zip", {"eurusd.csv": dated_lines(11, "10:00")}),
    "lean-daily-trade": ("equity/usa/daily/aapl.zip", {"aapl.csv": dated_lines(6)}),
    "lean-daily-quote": ("forex/oanda/daily/eurusd.zip", {"eurusd.csv": dated_lines(11)}),
    "lean-tick-trade": (
        "equity/usa/tick/ibm/20140605_trade.zip",
        {"20140605_ibm_Trade_Tick.csv": "\n".join(f"{34_200_000 + k},1815200,100,P,2000,{k % 2}" for k in range(60))},
    ),
    "lean-tick-quote": (
        "equity/usa/tick/ibm/20140605_quote.zip",
        {"20140605_ibm_Quote_Tick.csv": "\n".join(f"{34_200_000 + k},0,0,1836300,100,Q,1,0" for k in range(60))},
    ),
    "lean-option-quote": (
        "option/usa/minute/aapl/20140605_quote_american.zip",
        {f"20140605_aapl_minute_quote_american_call_{k}00000_20140719.csv": minute_lines(11, 8) for k in (60, 65, 70)},
    ),
    "lean-option-trade": (
        "option/usa/minute/aapl/20140605_trade_american.zip",
        {f"20140605_aapl_minute_trade_american_put_{k}00000_20140719.csv": minute_lines(6, 8) for k in (60, 65, 70)},
    ),
    "lean-open-interest": (
        "option/usa/minute/aapl/20140605_openinterest_american.zip",
        {f"20140605_aapl_minute_openinterest_american_put_{k}00000_20140719.csv": "23400000,900" for k in (60, 65, 70)},
    ),
    "lean-option-universe": ("option/usa/universes/aapl/20140605.csv", {"": universe()}),
    "lean-factor-file": (
        "equity/usa/factor_files/aapl.csv",
        {
            "": "20140205,0.8908440,0.0357143,512.59\n20140507,0.8961764,0.0357143,592.33\n"
            "20140606,0.9011818,0.0357143,645.57\n20501231,1,0.25,0"
        },
    ),
}


def written(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if "" in members:
        path.write_bytes(members[""])
        return path
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    path.write_bytes(buffer.getvalue())
    return path


def flip(data: bytes, dice: random.Random) -> bytes:
    body = bytearray(data)
    for _ in range(dice.randint(1, 5)):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return bytes(body)


def one_field(data: bytes, dice: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(lines))
        fields = lines[place].split(",")
        fields[dice.randrange(len(fields))] = dice.choice(NUMBERS)
        lines[place] = ",".join(fields)
    return "\n".join(lines).encode()


def fields_dropped(data: bytes, dice: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(lines))
        fields = lines[place].split(",")
        if dice.random() < 0.5:
            fields.pop(dice.randrange(len(fields)))
        else:
            fields.insert(dice.randrange(len(fields)), "7")
        lines[place] = ",".join(fields)
    return "\n".join(lines).encode()


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def lines_shuffled(data: bytes, dice: random.Random) -> bytes:
    lines = data.decode("utf-8", "replace").split("\n")
    lines += [dice.choice(lines) for _ in range(3)]
    dice.shuffle(lines)
    return "\n".join(lines).encode()


CONTENT: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, one_field, one_field, fields_dropped, cut, lines_shuffled)


def mutated(folder: Path, name: str, members: dict[str, str], dice: random.Random) -> Path:
    """A file with damage inside a member, to the bytes of the file, or to its members' names."""
    contents = {member: text.encode() for member, text in members.items()}
    kind = dice.random()
    if kind < 0.75:
        victim = dice.choice(list(contents))
        for _ in range(dice.randint(1, 2)):
            contents[victim] = dice.choice(CONTENT)(contents[victim] or b"0", dice)
        return written(folder, name, contents)
    if kind < 0.85 and "" not in contents:
        victim = dice.choice(list(contents))
        renamed = flip(victim.encode(), dice).decode("latin-1").replace("\x00", "0").replace("/", "_") or "x"
        contents[renamed] = contents.pop(victim)
        return written(folder, name, contents)
    path = written(folder, name, contents)
    path.write_bytes((cut if dice.random() < 0.5 else flip)(path.read_bytes(), dice))
    return path


def assert_storable(store: MemoryStore) -> int:
    """Every stored number is finite, every price above zero; returns the rows."""
    rows = 0
    for table, instrument in store.datasets().select("table", "instrument").iter_rows():
        kept = store.read(instrument, table=table)
        rows += kept.height
        for column, dtype in TABLES[table].schema.items():
            if dtype == pl.Float64:
                assert kept[column].drop_nulls().is_finite().all(), (table, column)
        for column in TABLES[table].positive:
            assert (kept[column].drop_nulls() > 0).all(), (table, column)
    return rows


SHARE = default_instrument("XNAS:AAPL", "equity")
REFERENCE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "map file": ("19990310,qqq,Q\n20041130,qqq,Q\n20110322,qqqq,Q\n20501231,qqq,Q\n", read_map_file),
    "market hours": (
        json.dumps({"entries": {"Equity-usa-[*]": {
            "dataTimeZone": "America/New_York", "exchangeTimeZone": "America/New_York", "holidays": ["1/1/2020"],
            "monday": [{"start": "09:30:00", "end": "16:00:00", "state": "market"}], "earlyCloses": {"11/27/2020": "13:00:00"},
        }}}, indent=0),
        lambda path: read_market_hours(Source(path), "Equity", "usa").session(date(2020, 6, 1)),
    ),
    "symbol properties": (
        "market,symbol,type,description,quote_currency,contract_multiplier,minimum_price_variation,lot_size,market_ticker\n"
        "usa,[*],equity,,USD,1,0.01,1\nusa,AAPL,equity,Apple,USD,1,0.01,1\n",
        lambda path: read_symbol_properties(Source(path), "equity", "usa", "AAPL").described(SHARE),
    ),
    "index ranges": (
        "ticker,start_date,end_date\nAAA,2000-01-03,2019-06-03\nBBB,2019-06-03,\nCCC,2001-01-02,2021-03-05\n",
        lambda path: read_ranges(Source(path)),
    ),
    "index changes": (
        'date,add,remove\n2019-06-03,"BBB","AAA"\n2021-03-15,"DDD,EEE",CCC\n', lambda path: read_changes(Source(path)),
    ),
}


@pytest.mark.parametrize("kind", sorted(REFERENCE))
def test_two_hundred_damaged_reference_files_are_read_or_refused(kind, tmp_path):
    text, read = REFERENCE[kind]
    dice = random.Random(f"lean {kind}")
    path = tmp_path / "qqq.csv"
    read_well = 0
    for _ in range(MUTATIONS):
        path.write_bytes(dice.choice(CONTENT)(text.encode(), dice))
        try:
            read(path)
        except FieldcastError:
            continue
        read_well += 1
    assert 0 < read_well < MUTATIONS


def test_every_lean_format_has_a_file_here():
    assert set(FILES) == {format.name for format in FORMATS}


@pytest.mark.parametrize("format", sorted(FILES))
def test_the_undamaged_file_is_recognised_and_goes_in_whole(format, tmp_path):
    name, members = FILES[format]
    path = written(tmp_path, name, {member: text.encode() for member, text in members.items()})
    store = MemoryStore()
    report = import_source(path, Options(now=NOW), store=store)
    assert report.format == format
    assert not report.removed
    assert assert_storable(store) == report.rows_kept == report.rows_read > 0


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("format", sorted(FILES))
def test_damaged_files_give_refusals_or_sound_rows(format, turns, tmp_path):
    name, members = FILES[format]
    dice = random.Random(f"lean {format}")
    messages: set[str] = set()
    refused = stored = quarantined = 0
    for turn in range(turns.stop):
        path = mutated(tmp_path, name, members, dice)
        if turn not in turns:
            continue
        store = MemoryStore()
        try:
            report = import_source(path, Options(now=NOW), store=store, format=format)
        except FieldcastError as error:
            messages.add(str(error))
            refused += 1
        else:
            quarantined += sum(report.removed.values())
        stored += assert_storable(store)
    assert all(message.startswith("expected") for message in messages)
    assert refused > 0      # the damage was not idle
    assert stored > 0       # and not all of it fatal
    assert quarantined > 0 or format in ("lean-factor-file", "lean-open-interest")
