"""The universe: the file that ships, files of a person, and what is refused in them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from fieldcast.data.universe import SHIPPED, load_universe
from fieldcast.ground import InvalidInput
from fieldcast.market import Kind, sessions

ONE = """
name = "mine"
[[group]]
name = "funds"
kind = "etf"
venue = "ARCX"
symbols = ["SPY", "NA"]
minimum_rows = 500
details = { SPY = { name = "S&P 500", tick = "0.01" } }
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_universe_has_225_instruments_of_seven_classes():
    universe = load_universe()
    assert len(universe) == len(universe.by_id) == 225
    assert {member.instrument.kind for member in universe} == set(Kind) - {Kind.OPTION}     # options come with their chains
    assert all(member.minimum_rows == 1260 for member in universe)
    assert len(universe.groups) == universe.table()["group"].n_unique() == 15
    assert universe.only(group="sector ETFs").table()["instrument"].to_list()[:2] == ["ARCX:XLK", "ARCX:XLF"]
    assert len(universe.only(group="sector ETFs")) == 11
    assert len(universe.only(kind="crypto")) == 15


def test_each_class_has_its_calendar_currency_and_tick():
    universe = load_universe().by_id
    assert universe["CRYP:BTC"].instrument.calendar == "24/7"
    assert universe["FX:EURUSD"].instrument.calendar == "24/5"
    assert (universe["FX:USDJPY"].instrument.currency, universe["FX:USDJPY"].instrument.tick) == ("JPY", Decimal("0.001"))
    assert (universe["FX:EURGBP"].instrument.currency, universe["FX:EURGBP"].instrument.tick) == ("GBP", Decimal("0.00001"))
    es = universe["XCME:ES"].instrument
    assert (es.calendar, es.tick, es.multiplier) == ("CMES", Decimal("0.25"), Decimal(50))
    assert (universe["FRED:DGS10"].table, universe["FRED:DGS10"].absent_allowed) == ("macro", 25)
    for member in universe.values():
        tradable = member.instrument.kind not in (Kind.INDEX, Kind.RATE)
        assert member.instrument.tradable is tradable, member.instrument.id
        assert not member.instrument.simulated


def test_every_calendar_of_the_shipped_universe_exists():
    for calendar in {member.instrument.calendar for member in load_universe()}:
        assert sessions(calendar).height > 5000


def test_a_person_may_replace_it(tmp_path):
    universe = load_universe(write(tmp_path, ONE))
    assert (universe.name, [member.instrument.id for member in universe]) == ("mine", ["ARCX:SPY", "ARCX:NA"])
    assert universe.by_id["ARCX:SPY"].instrument.name == "S&P 500"
    assert {member.minimum_rows for member in universe} == {500}
    assert universe.sha256 != load_universe().sha256


BAD = [
    ("not toml [", "to be TOML"),
    ("", "found nothing"),
    ('name = "x"\n', r"\[\[group\]\]"),
    (ONE + "\n[other]\na = 1\n", r"found name, group, other"),
    (ONE.replace('venue = "ARCX"\n', ""), "found no venue"),
    (ONE.replace("minimum_rows", "minimal_rows"), "unknown minimal_rows"),
    (ONE.replace('"etf"', '"fund"'), "expected a kind out of"),
    (ONE.replace('"NA"', '"SPY"'), "ARCX:SPY more than once"),
    (ONE.replace('["SPY", "NA"]', "[]"), "list of symbols"),
    (ONE.replace('["SPY", "NA"]', "[1]"), "list of symbols"),
    (ONE.replace("SPY = {", "QQQ = {"), "some of QQQ"),
    (ONE.replace('tick = "0.01"', "tick = 0.01"), "as text"),
    (ONE.replace('tick = "0.01"', 'tick = "cheap"'), "as a number"),
    (ONE.replace('tick = "0.01"', 'tick = "-1"'), "positive tick"),
    (ONE.replace('tick = "0.01"', 'colour = "blue"'), "for SPY"),
    (ONE.replace("minimum_rows = 500", "minimum_rows = 0"), "at least 1"),
    (ONE.replace("minimum_rows = 500", "absent_share = 1.5"), r"\[0, 1\)"),
    (ONE.replace("minimum_rows = 500", 'table = "bars/9d"'), "a table out of"),
    (ONE.replace('"NA"', '"A B"'), "an instrument id"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_file_that_is_not_a_universe_is_refused(tmp_path, text, message):
    with pytest.raises(InvalidInput, match=message):
        load_universe(write(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        load_universe(tmp_path / SHIPPED)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="to be TOML"):
        load_universe(tmp_path / "binary.toml")
    with pytest.raises(InvalidInput, match="expected members of bonds"):
        load_universe().only(group="bonds")
