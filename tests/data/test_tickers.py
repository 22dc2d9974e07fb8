"""Dated tickers: who had one when, and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data.tickers import LEASES, Saved, import_map_files, resolve, resolve_many, save_leases, tickers_of
from fieldcast.ground import ConflictError, InvalidInput, MissingData
from fieldcast.ledger import Database


def leases(*rows: tuple[str, date, date | None, str]) -> pl.DataFrame:
    return pl.DataFrame([(*row, "test") for row in rows], schema=LEASES, orient="row")


OLD = ("FB", date(1999, 9, 29), date(2003, 3, 28), "USA:FB.1")
NEW = ("FB", date(2012, 5, 18), None, "XNAS:FB")


def test_a_ticker_means_who_had_it_on_the_day(db: Database):
    assert save_leases(db, leases(OLD, NEW)) == Saved(2, 0, 0)
    assert resolve(db, "fb", date(1999, 9, 29)) == resolve(db, "FB", date(2003, 3, 28)) == "USA:FB.1"
    assert resolve(db, "FB", date(2012, 5, 18)) == "XNAS:FB"
    for day in (date(1999, 9, 28), date(2003, 3, 29), date(2012, 5, 17)):
        with pytest.raises(MissingData, match=r"USA:FB\.1 1999-09-29\.\.2003-03-28, XNAS:FB 2012-05-18\.\.now"):
            resolve(db, "FB", day)
    with pytest.raises(MissingData, match="nobody"):
        resolve(db, "FB", date(2020, 1, 2), venue="XLON")
    wanted = [("FB", date(2000, 1, 3)), ("FB", date(2010, 1, 4)), ("fb", date(2020, 1, 2))]
    assert resolve_many(db, wanted) == ["USA:FB.1", None, "XNAS:FB"]


def test_saving_again_changes_nothing_and_a_lease_may_get_its_end(db: Database):
    save_leases(db, leases(OLD, NEW))
    assert save_leases(db, leases(OLD, NEW)) == Saved(0, 0, 2)
    ended = (*NEW[:2], date(2022, 6, 8), NEW[3])
    assert save_leases(db, leases(ended)) == Saved(0, 1, 0)
    assert tickers_of(db, "XNAS:FB")["last"].to_list() == [date(2022, 6, 8)]
    with pytest.raises(MissingData):
        resolve(db, "FB", date(2022, 6, 9))
    with pytest.raises(ConflictError, match="to end on 2022-06-08"):
        save_leases(db, leases(NEW))


def test_two_instruments_with_one_ticker_on_a_day_are_refused_and_nothing_is_kept(db: Database):
    save_leases(db, leases(NEW))
    other = ("FB", date(2015, 1, 2), date(2015, 6, 1), "XNAS:OTHER")
    with pytest.raises(ConflictError, match="to mean XNAS:FB"):
        save_leases(db, leases(("ABC", date(2015, 1, 2), None, "XNAS:ABC"), other))
    with pytest.raises(MissingData):
        resolve(db, "ABC", date(2016, 1, 4))


@pytest.mark.parametrize("row", [("", date(2015, 1, 2), None, "X1:A"), ("A", date(2015, 1, 2), date(2015, 1, 1), "X1:A")])
def test_leases_that_make_no_sense_are_refused(db: Database, row):
    with pytest.raises(InvalidInput, match="expected"):
        save_leases(db, leases(row))


def test_real_map_files_reuse_renames_and_delistings(db: Database, realdata: Path):
    folder = realdata / "reference/lean_map_files"
    assert import_map_files(db, folder) == Saved(40, 0, 0)
    assert import_map_files(db, folder) == Saved(0, 0, 40)
    assert resolve(db, "TWX", date(2000, 1, 3)) == "USA:TWX.1"
    assert resolve(db, "AOL", date(2000, 1, 3)) == resolve(db, "TWX", date(2014, 6, 5)) == "XNYS:TWX"
    assert resolve(db, "QQQQ", date(2008, 1, 2)) == resolve(db, "QQQ", date(2020, 1, 2)) == "XNAS:QQQ"
    assert resolve(db, "GOOG", date(2014, 4, 2)) == resolve(db, "GOOGL", date(2014, 4, 3)) == "XNAS:GOOGL"
    assert resolve(db, "NB", date(1998, 9, 30)) == resolve(db, "BAC", date(1998, 10, 1)) == "XNYS:BAC"
    with pytest.raises(MissingData):
        resolve(db, "QQQ", date(2008, 1, 2))
    with pytest.raises(MissingData):
        resolve(db, "USO", date(2003, 1, 2))        # another company's then, of which nothing is known
    life = tickers_of(db, "XNAS:TFCFA")
    assert life["ticker"].to_list() == ["NWSA", "FOXA", "TFCFA"]
    assert life["last"][-1] == date(2019, 3, 20)        # delisted
