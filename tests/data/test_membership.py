"""Index membership: survivors and the others, two files that disagree, dates of change."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from fieldcast.data.formats import Source
from fieldcast.data.membership import (
    Change,
    Span,
    import_membership,
    members,
    read_changes,
    read_ranges,
    reconcile,
    save_membership,
)
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.ledger import Database

RANGES = (
    "ticker,start_date,end_date\nAAA,2000-01-03,2019-06-03\nBBB,2019-06-03,\nCCC,2001-01-02,2021-03-05\n"
    "DDD,2021-03-05,\nEEE,2000-01-03,\n"
)


def source(folder: Path, name: str, text: str) -> Source:
    path = folder / name
    path.write_text(text)
    return Source(path)


def test_the_end_of_a_range_is_the_first_day_without_the_ticker(tmp_path, db: Database):
    spans = read_ranges(source(tmp_path, "ranges.csv", RANGES))
    assert Span("AAA", date(2000, 1, 3), date(2019, 6, 2)) in spans
    save_membership(db, "X", spans, "test")
    assert members(db, "X", date(2019, 6, 2)) == ("AAA", "CCC", "EEE")
    assert members(db, "X", date(2019, 6, 3)) == ("BBB", "CCC", "EEE")


def test_saving_replaces_what_was_known(tmp_path, db: Database):
    save_membership(db, "X", [Span("OLD", date(2000, 1, 3), None)], "first")
    assert save_membership(db, "X", [Span("NEW", date(2000, 1, 3), None)], "second") == 1
    assert members(db, "X", date(2020, 1, 2)) == ("NEW",)
    with pytest.raises(MissingData, match="none before 2000-01-03"):
        members(db, "X", date(1999, 12, 31))
    with pytest.raises(MissingData, match="members of Y"):
        members(db, "Y", date(2020, 1, 2))


def test_changes_agree_move_extend_or_stay_unmatched_and_every_kind_is_counted(tmp_path):
    text = (
        'date,add,remove\n2019-06-03,"BBB","AAA"\n2021-03-15,DDD,CCC\n2022-05-02,"FFF,GGG",EEE\n2022-06-01,,HHH\n2020-02-03,III,\n'
    )
    found = reconcile(read_ranges(source(tmp_path, "r.csv", RANGES)), read_changes(source(tmp_path, "c.csv", text)))
    assert found.agreed == 2
    assert {(change.ticker, change.day) for change in found.moved} == {("DDD", date(2021, 3, 15)), ("CCC", date(2021, 3, 15))}
    assert {change.ticker for change in found.extended} == {"EEE", "FFF", "GGG"}
    assert {change.ticker for change in found.unmatched} == {"HHH", "III"}
    assert found.unlisted == ()
    assert found.disagreements == 4
    assert Span("EEE", date(2000, 1, 3), date(2022, 5, 1)) in found.spans
    assert Span("CCC", date(2001, 1, 2), date(2021, 3, 14)) in found.spans
    assert Span("DDD", date(2021, 3, 15), None) in found.spans


def test_a_bound_that_the_changes_do_not_have_is_named(tmp_path):
    changes = read_changes(source(tmp_path, "c.csv", "date,add,remove\n2019-06-03,BBB,\n2021-02-01,CCC,\n"))
    found = reconcile(read_ranges(source(tmp_path, "r.csv", RANGES)), changes)
    assert Change(date(2019, 6, 3), "AAA", entered=False) in found.unlisted
    assert found.unmatched == (Change(date(2021, 2, 1), "CCC", entered=True),)     # it was in already
    assert found.disagreements == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "ticker,start\nA,2000-01-03\n", "ticker,start_date,end_date\n", "ticker,start_date,end_date\nA,x,\n",
        "ticker,start_date,end_date\nA,2000-01-03\n", "ticker,start_date,end_date\nA,2000-01-03,1999-01-04\n",
        "ticker,start_date,end_date\nA,2000-01-03,\nA,2010-01-04,\n", 'ticker,start_date,end_date\n"A,2000-01-03,\n',
        "ticker,start_date,end_date\n\x00,2000-01-03,,,,\n",
    ],
)
def test_what_are_no_ranges_is_refused(tmp_path, text):
    with pytest.raises(InvalidInput, match="expected"):
        read_ranges(source(tmp_path, "ranges.csv", text))


def test_the_real_index_of_2008_holds_those_that_failed(db: Database, realdata: Path):
    folder = realdata / "reference"
    found = import_membership(
        db, "SP500", Source(folder / "sp500_ticker_start_end.csv"), Source(folder / "sp500_changes_since_2019.csv")
    )
    assert (found.agreed, len(found.extended), len(found.moved), len(found.unmatched), len(found.unlisted)) == (270, 20, 4, 0, 2)
    assert {change.ticker for change in found.moved} == {"WTW", "WLTW", "EG", "RE"}
    assert {change.ticker for change in found.unlisted} == {"FRC", "SCG"}
    assert found.disagreements == 6
    then, after = members(db, "SP500", date(2008, 6, 30)), members(db, "SP500", date(2009, 1, 2))
    assert {"LEHMQ", "WAMUQ"} <= set(then)      # Lehman and Washington Mutual, which failed that September
    assert not {"LEHMQ", "WAMUQ"} & set(after)
    today = members(db, "SP500", date(2025, 11, 14))
    assert (len(then), len(after), len(today)) == (497, 498, 503)
    assert len(set(then) - set(today)) > 200    # what a study of today's members would never have seen
