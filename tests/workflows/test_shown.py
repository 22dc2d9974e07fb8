"""Rows that were asked for and are not there, and members of what is no index."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.ground import InvalidInput, ManualClock, MissingData, Settings
from fieldcast.market import sessions_between
from fieldcast.workflows import Workspace, import_data, import_members, open_workspace, show_data

SPY = "ARCX:SPY"


@pytest.fixture
def workspace(tmp_path: Path):
    days = sessions_between("XNYS", date(2019, 1, 2), date(2019, 12, 31))["session"]
    close = 100 + 0.25 * (pl.int_range(len(days), eager=True) % 7)
    bars = pl.DataFrame({"Date": days, "Open": close + 0.1, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 1000})
    bars.write_csv(tmp_path / "spy.csv")
    clock = ManualClock(datetime(2020, 6, 1, tzinfo=UTC))
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=clock) as opened:
        import_data(opened, tmp_path / "spy.csv", SPY, kind="etf")
        yield opened


def test_a_range_the_wrong_way_round_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InvalidInput, match="first at or before last, found 2019-06-28 and 2019-06-03"):
        show_data(workspace, SPY, first=date(2019, 6, 28), last=date(2019, 6, 3))
    assert show_data(workspace, SPY, first=date(2019, 6, 3), last=date(2019, 6, 3)).height == 1


def test_a_range_without_rows_is_answered_with_the_one_that_has_them(workspace: Workspace) -> None:
    with pytest.raises(MissingData, match="rows from 2019-01-02 to 2019-12-31"):
        show_data(workspace, SPY, first=date(2021, 1, 1))
    with pytest.raises(MissingData, match="rows from 2019-01-02 to 2019-03-29"):
        show_data(workspace, SPY, first=date(2019, 6, 3), as_of=datetime(2019, 3, 31, tzinfo=UTC))
    with pytest.raises(MissingData, match="the first of them became known at 2019-01-02"):
        show_data(workspace, SPY, as_of=datetime(2018, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("adjust", ["split", "total"])
def test_prices_are_not_adjusted_by_actions_that_nobody_imported(workspace: Workspace, adjust: str) -> None:
    with pytest.raises(MissingData, match=r"actions of ARCX:SPY in the store, found none; import a file .* read raw prices"):
        show_data(workspace, SPY, adjust=adjust)


def test_members_of_what_is_no_id_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "ranges.csv").write_text("ticker,start_date,end_date\nAAA,2019-01-02,\n")
    with pytest.raises(InvalidInput, match="instrument id such as XNAS:AAPL, found 'not an id'"):
        import_members(workspace, "not an id", tmp_path / "ranges.csv")
    assert import_members(workspace, "XCBO:SPX", tmp_path / "ranges.csv").counts["spans"] == 1
