"""The kill switch latches, by file and by row, and only a release with a reason turns it off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fieldcast.ground import InvalidInput
from fieldcast.ledger import Database, open_database
from fieldcast.risk import KillSwitch

NOW = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as database:
        yield database


def test_it_is_off_until_it_is_turned_on_and_on_until_it_is_released(ledger: Database, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "KILL")
    assert not switch.is_on(ledger)
    switch.engage(ledger, at=NOW, why="a test")
    assert switch.is_on(ledger)
    assert KillSwitch(tmp_path / "KILL").is_on(ledger)  # a restart changes nothing
    switch.release(ledger, at=NOW, why="looked at")
    assert not switch.is_on(ledger)


def test_the_file_alone_is_enough(ledger: Database, tmp_path: Path) -> None:
    (tmp_path / "KILL").touch()
    assert KillSwitch(tmp_path / "KILL").is_on(ledger)


def test_deleting_the_file_is_not_enough_where_the_row_stands(ledger: Database, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "KILL")
    switch.engage(ledger, at=NOW, why="a test")
    switch.path.unlink()
    assert switch.is_on(ledger)


def test_moving_it_needs_a_reason(ledger: Database, tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path / "KILL")
    with pytest.raises(InvalidInput, match="reason"):
        switch.engage(ledger, at=NOW, why=" ")
    assert not switch.is_on(ledger)
