"""Damaged vendor files: a typed refusal or rows in quarantine, no other exception, no impossible value in the store."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data._reading import table_from
from fieldcast.data.formats import FORMATS, Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput
from fieldcast.market import TABLES, default_instrument, sessions_between

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
FAST, MUTATIONS = 20, 60
# The first turns run with the fast tests, the others with the slow ones.
TURNS = [pytest.param(range(FAST), id="first"), pytest.param(range(FAST, MUTATIONS), id="later", marks=pytest.mark.slow)]
SPY = default_instrument("ARCX:SPY", "etf")
AAPL = default_instrument("XNAS:AAPL", "equity")
DAYS: list[date] = sessions_between("XNYS", date(2024, 1, 2), date(2024, 3, 1))["session"].to_list()


@dataclass(frozen=True)
class Case:
    """A sound small file of a format, and what a person must say about it."""

    format: str
    name: str
    data: bytes
    options: Options


def _price(n: int) -> float:
    return round(100 + 3 * ((n * 7919) % 101) / 101, 2)


def _daily(header: str, line: Callable[[int, date, float], str]) -> bytes:
    return "\n".join([header, *(line(n, day, _price(n)) for n, day in enumerate(DAYS))]).encode()


def _minutes() -> bytes:
    start = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    rows = [(start + timedelta(minutes=n), _price(n)) for n in range(60)]
    lines = [f"{t:%Y-%m-%d %H:%M:%S}+00:00,{p},{p + 1},{p - 1},{p},{100 + n}" for n, (t, p) in enumerate(rows)]
    return "\n".join(["Datetime,Close,High,Low,Open,Volume", *lines]).encode()


def _yahoo_chain() -> bytes:
    header = (
        "contractSymbol,lastTradeDate,strike,lastPrice,bid,ask,change,percentChange,volume,openInterest,impliedVolatility,"
        "inTheMoney,contractSize,currency,optionType,expirationDate,days_to_expire,underlyingPrice"
    )
    lines = []
    for n in range(40):
        strike, right = 150 + 5 * (n // 2), "CP"[n % 2]
        name = {"C": "call", "P": "put"}[right]
        lines.append(
            f"AAPL240315{right}{strike * 1000:08d},2024-01-02 17:{n:02d}:00+00:00,{strike}.0,5.2,5.1,5.3,0.0,0.0,{n}.0,{n * 10},"
            f"0.25,True,REGULAR,USD,{name},2024-03-15,72,190.5"
        )
    return "\n".join([header, *lines]).encode()


def _cboe() -> bytes:
    side = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
    lines = [
        "",
        "S&P 500 INDEX,Last: 4697.24,Change:  8.56",
        '"Date: January 4, 2024 at 10:52 AM EST",Bid: 4645.23,Ask: 4753.9,Size: 1*1,Volume: 0',
        f"Expiration Date,Calls,{side},Strike,Puts,{side}",
    ]
    for n in range(30):
        strike, root, day = 4000 + 50 * n, ("SPX", "SPXW")[n % 2], ("Fri Jan 19 2024", "Fri Jan 26 2024")[n % 2]
        stamp = ("240119", "240126")[n % 2]
        quote = "12.5,0.1,12.4,12.6,10,0.15,0.5,0.001,200"
        lines.append(f"{day},{root}{stamp}C{strike * 1000:08d},{quote},{strike}.00,{root}{stamp}P{strike * 1000:08d},{quote}")
    return "\n".join(lines).encode()


def _finra() -> bytes:
    lines = [f"20240105|{chr(65 + n // 26)}{chr(65 + n % 26)}|{100 + n}.5|{n % 3}|{300 + n}|B,Q,N" for n in range(60)]
    return "\r\n".join(["Date|Symbol|ShortVolume|ShortExemptVolume|TotalVolume|Market", *lines, "60", ""]).encode()


def _finra_parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(
        {
            "date": [date(2024, 1, 5)] * 50,
            "symbol": [f"T{n}" for n in range(50)],
            "short_volume": list(range(50)),
            "short_exempt_volume": [0] * 50,
            "total_volume": list(range(100, 150)),
            "market": ["B,Q"] * 50,
        }
    ).write_parquet(buffer)
    return buffer.getvalue()


def _monthly(header: str, line: Callable[[int, date], str]) -> bytes:
    months = [date(2019 + n // 12, n % 12 + 1, 1) for n in range(48)]
    return "\n".join([header, *(line(n, day) for n, day in enumerate(months))]).encode()


def _headlines() -> bytes:
    lines = ["# \u7b80\u62a5 (2024-01-05)", "", "## \u4e2a\u80a1\u65b0\u95fb: AAPL", ""]
    for n in range(20):
        lines += [
            f"### \u6807\u9898 {n}",
            f"> **\u53d1\u5e03\u65f6\u95f4:** 2024-01-05T{n:02d}:00:43Z | **\u6765\u6e90:** Wire",
            ">",
            f"> **\u539f\u6587\u6807\u9898:** Headline number {n}",
            "",
            f"\u6458\u8981 {n}",
            "",
            "[link](https://example.com)",
            "",
            "---",
            "",
        ]
    return "\n".join(lines).encode()


def _fiqa() -> bytes:
    entries = ",".join(
        f'"{n}": {{"sentence": "Company {n} gains", "info": [{{"snippets": "[]", "target": "Company {n}", '
        f'"sentiment_score": "{(n % 19 - 9) / 10}", "aspects": "[]"}}]}}'
        for n in range(40)
    )
    return f"{{{entries}}}".encode()


def _events() -> bytes:
    lines = [
        f"XNAS:AAPL,earnings,20{n:02d}Q1,2024-05-{n + 1:02d}T20:30:00Z,2024-04-{n + 1:02d}T12:00:00Z,{n}.5," for n in range(28)
    ]
    return "\n".join(["instrument,event,item,happens_at,announced_at,value,note", *lines]).encode()


PLAIN = Options(now=NOW)
CASES = (
    Case(
        "table",
        "a.csv",
        _daily("Date,Open,High,Low,Close,Volume", lambda n, d, p: f"{d},{p},{p + 1},{p - 1},{p},{n + 5}"),
        Options(now=NOW, instrument=SPY),
    ),
    Case("table", "minutes.csv", _minutes(), Options(now=NOW, instrument=SPY)),
    Case(
        "table-wide",
        "wide.csv",
        _daily("Date,AAPL,MSFT,KO", lambda n, d, p: f"{d},{p},{p * 2},{p / 2}"),
        Options(now=NOW, venue="XNAS", adjusted=True),
    ),
    Case(
        "tiingo-daily",
        "t.csv",
        _daily(
            "date,Close,High,Low,Open,Volume,Adjclose,Adjhigh,Adjlow,Adjopen,Adjvolume,Divcash,Splitfactor",
            lambda n, d, p: (
                f"{d} 00:00:00+00:00,{p},{p + 1},{p - 1},{p},9,{p},{p + 1},{p - 1},{p},9,{0.24 if n == 20 else 0.0},"
                f"{4.0 if n == 30 else 1.0}"
            ),
        ),
        Options(now=NOW, instrument=AAPL),
    ),
    Case(
        "yahoo-chart",
        "y.csv",
        _daily(
            "Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits",
            lambda n, d, p: (
                f"{d} 00:00:00-05:00,{p},{p + 1},{p - 1},{p},{p},9,{0.24 if n == 20 else 0.0},{4.0 if n == 30 else 0.0}"
            ),
        ),
        Options(now=NOW, instrument=AAPL),
    ),
    Case("yahoo-chain", "AAPL_options.csv", _yahoo_chain(), Options(now=NOW, instrument=AAPL)),
    Case("cboe-quotedata", "spx.csv", _cboe(), PLAIN),
    Case("finra-short-volume", "CNMSshvol20240105.txt", _finra(), PLAIN),
    Case("finra-short-volume", "finra.parquet", _finra_parquet(), PLAIN),
    Case("fred-series", "DGS10.csv", _daily("DATE,DGS10", lambda n, d, p: f"{d},{'.' if n % 9 == 0 else p / 25}"), PLAIN),
    Case(
        "alfred-vintages",
        "GDP.csv",
        _monthly(
            "observation_date,CPIAUCSL_20230110,CPIAUCSL_20230213,CPIAUCSL_20230310",
            lambda n, d: f"{d},{_price(n)},{_price(n) if n % 5 else _price(n) + 0.1},{_price(n)}",
        ),
        PLAIN,
    ),
    Case(
        "alfred-vintages",
        "periods.csv",
        _monthly("realtime_start,realtime_end,date,value", lambda n, d: f"2023-0{n % 9 + 1}-10,9999-12-31,{d},{_price(n)}"),
        Options(now=NOW, instrument=default_instrument("FRED:GDP", "rate")),
    ),
    Case(
        "treasury-curves",
        "curves.csv",
        _daily("Time Period,1month,10year", lambda n, d, p: f"{d} 00:00:00+00:00,{'' if n % 7 == 0 else 0.05},{p / 2500:.4f}"),
        PLAIN,
    ),
    Case("lean-interest-rate", "interest-rate.csv", _monthly("DATE,PCREDIT8", lambda n, d: f"{d},{2 + n / 8}"), PLAIN),
    Case(
        "french-factors",
        "french.csv",
        _monthly("Date,Mkt-RF,SMB,HML,RF", lambda n, d: f"{d:%Y%m},{n / 7:.2f},-1.2,0.4,0.1"),
        PLAIN,
    ),
    Case(
        "skfolio-implied-vol",
        "sp500_implied_vol.csv",
        _daily("Date,AAPL,MSFT", lambda n, d, p: f"{d},{p / 400},{'' if n % 9 == 0 else p / 500}"),
        PLAIN,
    ),
    Case(
        "phrasebank",
        "s.txt",
        "\r\n".join(
            f"Company {n} reports sales of EUR {n} mn .@{('neutral', 'positive', 'negative')[n % 3]}" for n in range(60)
        ).encode(),
        PLAIN,
    ),
    Case("fiqa", "f.json", _fiqa(), PLAIN),
    Case("headlines-markdown", "h.md", _headlines(), PLAIN),
    Case("events-table", "e.csv", _events(), PLAIN),
)
NUMBERS = (
    b"1e308",
    b"1e400",
    b"-1",
    b"0",
    b"nan",
    b"inf",
    b"-inf",
    b"NaN",
    b"99999999999999999999",
    b"",
    b"1e-320",
    b"--",
    b"0x1F",
    b"\xff",
)


def _flip(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _cut(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def _fields(data: bytearray, chance: random.Random) -> bytes:
    """Some fields dropped, doubled, or replaced by what is no sound number."""
    lines = bytes(data).split(b"\n")
    separator = b"|" if data.count(b"|") > data.count(b",") else b","
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(lines))
        fields = lines[place].split(separator)
        field = chance.randrange(len(fields))
        kind = chance.randrange(4)
        if kind == 0:
            del fields[field]
        elif kind == 1:
            fields.insert(field, fields[field])
        else:
            fields[field] = chance.choice(NUMBERS)
        lines[place] = separator.join(fields)
    return b"\n".join(lines)


def _lines(data: bytearray, chance: random.Random) -> bytes:
    """Lines dropped, doubled or shuffled."""
    lines = bytes(data).split(b"\n")
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(lines))
        kind = chance.randrange(3)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[place])
        else:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
    return b"\n".join(lines)


def _column(data: bytearray, chance: random.Random) -> bytes:
    """The same wrong text in one field of every line."""
    separator = b"|" if data.count(b"|") > data.count(b",") else b","
    value, place = chance.choice(NUMBERS), chance.randrange(8)
    lines = [line.split(separator) for line in bytes(data).split(b"\n")]
    for fields in lines[1:]:
        if place < len(fields):
            fields[place] = value
    return b"\n".join(separator.join(fields) for fields in lines)


def _cut_gzip(data: bytearray, chance: random.Random) -> bytes:
    packed = gzip.compress(bytes(data))
    return packed[: chance.randrange(2, len(packed))]


def _flip_gzip(data: bytearray, chance: random.Random) -> bytes:
    packed = bytearray(gzip.compress(bytes(data)))
    packed[chance.randrange(10, len(packed))] ^= 1 << chance.randrange(8)
    return bytes(packed)


MUTATORS = (_flip, _cut, _fields, _fields, _lines, _column, _cut_gzip, _flip_gzip)


def _impossible(store: MemoryStore) -> list[str]:
    """What stands in the store and must not."""
    found = []
    for row in store.datasets().iter_rows(named=True):
        table = TABLES[row["table"]]
        rows = store.read(row["instrument"], table=row["table"], dataset=row["dataset"])
        for name, dtype in table.schema.items():
            if dtype == pl.Float64 and not rows[name].drop_nulls().is_finite().all():
                found.append(f"{table.name}.{name} is not finite")
        found += [f"{table.name}.{name} is not positive" for name in table.positive if (rows[name].drop_nulls() <= 0).any()]
        found += [f"{table.name}.{name} is null" for name in (*table.required, "ts", "available_at") if rows[name].null_count()]
        if (rows["available_at"] < rows["ts"]).any() or (rows["ts"] > NOW).any():
            found.append(f"{table.name} has times that cannot be")
    return found


def _imported(path: Path, data: bytes, case: Case) -> MemoryStore | None:
    path.write_bytes(data)
    store = MemoryStore()
    try:
        import_source(path, case.options, store=store, format=case.format)
    except InvalidInput:
        assert store.datasets().is_empty()
        return None
    return store


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.name}")
def test_the_sound_file_is_recognised_and_stored_whole(case, tmp_path):
    path = tmp_path / case.name
    path.write_bytes(case.data)
    store = MemoryStore()
    chosen = (
        None if case.format in ("table-wide",) else import_source(path, case.options, store=MemoryStore(), dry_run=True).format
    )
    assert chosen in (None, case.format)
    report = import_source(path, case.options, store=store, format=case.format)
    assert report.removed == {}
    assert report.rows_kept > 20
    assert _impossible(store) == []
    again = import_source(path, replace(case.options, now=NOW + timedelta(hours=1)), store=store, format=case.format)
    assert sum(count.added + count.restated for count in again.tables.values()) == 0


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.name}")
def test_a_damaged_file_ends_in_a_typed_refusal_or_quarantine(case, turns, tmp_path):
    chance = random.Random(f"{case.format} {case.name}")
    refused = 0
    for turn in range(turns.stop):
        mutate = MUTATORS[turn % len(MUTATORS)]
        data = mutate(bytearray(case.data), chance)
        if turn not in turns:
            continue
        store = _imported(tmp_path / case.name, data, case)
        if store is None:
            refused += 1
        else:
            assert _impossible(store) == [], (mutate.__name__, turn)
    assert 0 < refused < len(turns)  # both ends were reached: some files were refused, some went in without their bad rows


def test_every_format_of_these_vendors_is_fuzzed():
    vendors = (
        "table",
        "tiingo-daily",
        "yahoo",
        "cboe",
        "finra",
        "fred",
        "alfred",
        "treasury",
        "skfolio",
        "french",
        "phrasebank",
        "fiqa",
        "headlines",
        "events",
    )
    mine = {name for name in FORMATS if name.startswith(vendors)}
    assert mine <= {case.format for case in CASES}


def test_no_damaged_parquet_file_ends_the_process() -> None:
    """3,000 files with bytes changed or cut off: each is read or refused by name (the reader of polars aborted at some)."""
    whole = _finra_parquet()
    draws = random.Random(1)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(draws.choice([1, 1, 2, 5, 20])):
            damaged[draws.randrange(len(damaged))] = draws.randrange(256)
        if draws.random() < 0.1:
            del damaged[draws.randrange(len(damaged)) :]
        try:
            table_from(bytes(damaged), "finra.parquet")
        except InvalidInput as error:
            refused += "finra.parquet" in str(error)
    assert 1500 < refused < 2900
