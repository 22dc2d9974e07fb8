"""The book of a field map is read no further back than its window rests on, and says what the whole session's rows say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.fields.books import book_field
from fieldcast.ground import ManualClock, Settings
from fieldcast.market import table_of
from fieldcast.workflows import Workspace, open_workspace, read_fields, simulate_data
from fieldcast.workflows.fields import BOOK, Known

NAME = "SIM:BK"
OPENED = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
SECONDS = 7_200
AT = OPENED + timedelta(seconds=SECONDS - 1)


def feed(snapshot_every: int) -> pl.DataFrame:
    """Two hours of a book of five levels a side: a change a second, told whole every so many seconds; every 97th is late."""
    random, rows, sequence = np.random.default_rng(4), [], 0
    sizes = {(side, level): 10.0 for side in ("bid", "ask") for level in range(5)}

    def row(second: int, side: str, level: int, *, snapshot: bool) -> dict[str, Any]:
        price = 100.0 - 0.01 * (level + 1) if side == "bid" else 100.0 + 0.01 * (level + 1)
        ts = OPENED + timedelta(seconds=second)
        known = ts + timedelta(milliseconds=900 if second % 97 == 0 else 5)
        return {"instrument": NAME, "ts": ts, "available_at": known, "sequence": sequence, "snapshot": snapshot, "side": side,
                "price": price, "size": sizes[side, level], "reasons": "simulated"}  # fmt: skip

    for second in range(SECONDS):
        if second % snapshot_every == 0:
            for side, level in sizes:
                rows.append(row(second, side, level, snapshot=True))
                sequence += 1
            continue
        side, level = ("bid", "ask")[int(random.integers(2))], int(random.integers(5))
        sizes[side, level] = float(random.integers(1, 50))
        rows.append(row(second, side, level, snapshot=False))
        sequence += 1
    schema = pl.Schema(table_of("depth").schema)
    made = pl.DataFrame(rows, schema_overrides={name: schema[name] for name in rows[0]})
    return made.match_to_schema(schema, missing_columns="insert")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows of the book each read gave."""
    seen: list[int] = []
    plain = Known.rows

    def rows(self: Known, table: str, *arguments: Any, **named: Any) -> pl.DataFrame | None:
        found = plain(self, table, *arguments, **named)
        if table == "depth":
            seen.append(0 if found is None else found.height)
        return found

    monkeypatch.setattr(Known, "rows", rows)
    return seen


def stored(workspace: Workspace, every: int) -> pl.DataFrame:
    """The feed in the store of a simulated instrument."""
    simulate_data(workspace, ["BK"], first=date(2024, 1, 2), last=date(2024, 1, 2), seed=3)
    rows = feed(every)
    workspace.store.append(rows, replace(workspace.store.lineage(NAME)[0], dataset="feed"), table="depth")
    return rows


@pytest.mark.parametrize("every", [120, SECONDS])
def test_the_book_says_what_all_of_its_rows_say_and_is_read_as_far_back_as_it_has_to_be(
    every: int, tmp_path: Path, read: list[int]
) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(datetime(2024, 3, 1, tzinfo=UTC))) as workspace:
        rows = stored(workspace, every)
        for as_of in (AT, AT - timedelta(seconds=150, milliseconds=700), OPENED + timedelta(seconds=30)):
            read.clear()
            found, whole = read_fields(workspace, NAME, as_of=as_of).book, book_field(rows, as_of, settings=BOOK)
            assert found is not None
            assert found.available_at == whole.available_at
            assert dict(found.figures) == dict(whole.figures)
            assert dict(found.reasons) == dict(whole.reasons)
            assert found.simulated
            assert "mid" in found.figures
            known = rows.filter(pl.col("available_at") <= as_of).height
            if every == SECONDS or as_of < AT - timedelta(hours=1):
                assert read[-1] == known  # one snapshot, at the opening: all of it is needed
            else:
                assert read == [read[0]]
                assert 0 < read[0] < 0.2 * known


@pytest.mark.parametrize("every", [120, SECONDS])
@pytest.mark.parametrize("back", [0, 1, 61, 1_000])
def test_rows_that_became_known_later_are_read_alone(every: int, back: int, tmp_path: Path) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(datetime(2024, 3, 1, tzinfo=UTC))) as workspace:
        rows, start = stored(workspace, every), AT - timedelta(seconds=back)
        found = workspace.store.read(NAME, table="depth", as_of=AT, known_from=start)
        expected = workspace.store.read(NAME, table="depth", as_of=AT).filter(pl.col("available_at") >= start)
        assert found.equals(expected)
        assert found.height == rows.filter(pl.col("available_at").is_between(start, AT)).height


def test_a_book_of_another_day_is_named_and_not_read(tmp_path: Path) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(datetime(2024, 3, 1, tzinfo=UTC))) as workspace:
        simulate_data(workspace, ["BK"], first=date(2024, 1, 2), last=date(2024, 1, 12), seed=3)
        workspace.store.append(feed(120), replace(workspace.store.lineage(NAME)[0], dataset="feed"), table="depth")
        old = read_fields(workspace, NAME, as_of=datetime(2024, 1, 12, 22, tzinfo=UTC))
        assert old.book is None
        assert old.notes["book"].startswith("expected rows of depth from 2024-01-11 on that were known at 2024-01-12 22:00 UTC")
        assert "the store has 2024-01-02 to 2024-01-02" in old.notes["book"]
        assert "session" not in old.notes  # of what was never stored nothing is said
        assert "book" not in read_fields(workspace, NAME, as_of=AT).notes
