"""Simulated bars into a workspace: the same again adds nothing, another history under the same id is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fieldcast.data import list_instruments
from fieldcast.ground import ConflictError, InvalidInput, ManualClock, Settings
from fieldcast.market import has_reason
from fieldcast.workflows import Workspace, open_workspace, simulate_data

SPAN = {"first": date(2019, 1, 2), "last": date(2019, 3, 29)}


@pytest.fixture
def workspace(tmp_path: Path):
    clock = ManualClock(datetime(2020, 6, 1, tzinfo=UTC))
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=clock) as opened:
        yield opened


def held(workspace: Workspace) -> tuple[list[object], list[str]]:
    """The catalogue, and the rows of the store."""
    store = workspace.store
    hashes = [store.content_hash(id, table=table) for table, id in store.datasets().select("table", "instrument").iter_rows()]
    return list(list_instruments(workspace.ledger)), hashes


def test_the_same_seed_again_adds_nothing(workspace: Workspace) -> None:
    made = simulate_data(workspace, ["A", "B"], seed=7, correlation=0.5, **SPAN)
    assert set(made.rows) == {"SIM:A", "SIM:B"}
    assert min(made.rows.values()) > 55
    before = held(workspace)
    assert simulate_data(workspace, ["A", "B"], seed=7, correlation=0.5, **SPAN).rows == {"SIM:A": 0, "SIM:B": 0}
    assert held(workspace) == before


@pytest.mark.parametrize(
    "other",
    [{"seed": 8}, {"seed": 7, "first": date(2019, 1, 3)}, {"seed": 7, "correlation": 0.9}, {"seed": 7, "market": "crypto"},
     {"seed": 8, "interval": "1h"}],
)  # fmt: skip
def test_another_seed_or_other_parameters_are_refused_and_nothing_is_written(workspace: Workspace, other) -> None:
    simulate_data(workspace, ["A", "B"], seed=7, correlation=0.5, **SPAN)
    before = held(workspace)
    with pytest.raises(ConflictError, match="SIM:A"):
        simulate_data(workspace, ["C", "A"], **{"correlation": 0.5, **SPAN, **other})
    assert held(workspace) == before


def test_minutes_stand_beside_days_of_the_same_seed(workspace: Workspace) -> None:
    simulate_data(workspace, ["A"], seed=7, **SPAN)
    assert simulate_data(workspace, ["A"], seed=7, interval="1h", **SPAN).rows["SIM:A"] > 300


# chains and books ---------------------------------------------------------------------------------------------------

DAYS = {"first": date(2019, 3, 28), "last": date(2019, 3, 29)}


@pytest.mark.parametrize(
    "options",
    [{}, {"market": "fx"}, {"market": "crypto", "interval": "1h"}, {"table": "chains", "market": "index"},
     pytest.param({"table": "chains", "interval": "1h"}, marks=pytest.mark.slow),
     pytest.param({"table": "depth"}, marks=pytest.mark.slow)],
    ids=lambda options: " ".join(options.values()) or "bars",
)  # fmt: skip
def test_a_later_end_appends_and_gives_what_the_whole_span_at_once_gives(tmp_path: Path, options) -> None:
    """By a session; an earlier end again adds nothing."""
    clock = ManualClock(datetime(2020, 6, 1, tzinfo=UTC))
    stored = []
    for ends in ((30, 31), (31,)):
        with open_workspace(settings=Settings(home=tmp_path / f"home{len(ends)}"), clock=clock) as opened:
            made = [
                simulate_data(opened, ["IDX"], seed=7, first=date(2019, 12, 30), last=date(2019, 12, end), **options).rows
                for end in ends
            ]
            assert min(rows["SIM:IDX"] for rows in made) > 0
            before = held(opened)
            earlier = simulate_data(opened, ["IDX"], seed=7, first=date(2019, 12, 30), last=date(2019, 12, 30), **options)
            assert earlier.rows == {"SIM:IDX": 0}
            assert held(opened) == before
            stored.append((opened.store.datasets().select("table", "rows").sort("table").rows(), before))
    assert stored[0] == stored[1]


@pytest.mark.parametrize("other", [{}, {"table": "chains"}], ids=["bars", "chains"])
@pytest.mark.parametrize("book_first", [True, False])
def test_a_book_and_another_price_path_of_one_name_are_refused(workspace: Workspace, other, book_first: bool) -> None:
    """A book is a history of its own: beside bars or chains of its name there would be two prices at one time."""
    day = {"first": date(2019, 3, 29), "last": date(2019, 3, 29)}
    one, two = ({"table": "depth"}, other) if book_first else (other, {"table": "depth"})
    simulate_data(workspace, ["A"], seed=7, **day, **one)
    before = held(workspace)
    with pytest.raises(ConflictError, match=r"SIM:A.*choose another name"):
        simulate_data(workspace, ["B", "A"], seed=7, **day, **two)
    assert held(workspace) == before


@pytest.mark.parametrize(
    ("options", "tables"),
    [({"table": "chains", "market": "index"}, {"bars/1d", "chains", "open_interest"}),
     pytest.param({"table": "depth", "market": "equity"}, {"depth", "quotes", "trades"}, marks=pytest.mark.slow)],
)  # fmt: skip
def test_chains_and_books_are_stored_with_what_belongs_to_them_and_labelled(workspace: Workspace, options, tables) -> None:
    made = simulate_data(workspace, ["IDX"], seed=7, **DAYS, **options)
    stored = workspace.store.datasets()
    assert set(stored["table"]) == tables
    assert stored["simulated"].all()
    rows = {table: workspace.store.read("SIM:IDX", table=table) for table in tables}
    assert made.rows == {"SIM:IDX": rows[options["table"]].height}
    assert all(frame.select(has_reason("simulated").all()).item() for frame in rows.values())
    assert all(item.simulated for item in list_instruments(workspace.ledger))
    before = held(workspace)
    assert simulate_data(workspace, ["IDX"], seed=7, **DAYS, **options).rows == {"SIM:IDX": 0}
    for other in ({"seed": 8}, {"seed": 7, "first": date(2019, 3, 27)}):
        with pytest.raises(ConflictError, match="SIM:IDX"):
            simulate_data(workspace, ["IDX"], **{**DAYS, **options, **other})
    assert held(workspace) == before


def test_a_chain_stands_beside_the_bars_that_it_was_made_on(workspace: Workspace) -> None:
    """The close of each session, in the chain and in bars that were simulated by themselves."""
    simulate_data(workspace, ["IDX"], seed=7, market="index", **DAYS)
    simulate_data(workspace, ["IDX"], seed=7, market="index", table="chains", **DAYS)
    bars = workspace.store.read("SIM:IDX")
    seen = workspace.store.read("SIM:IDX", table="chains").select("ts", "underlying_price").unique().sort("ts")
    assert seen.rows() == bars.select("ts", "close").rows()


@pytest.mark.parametrize(
    "wrong",
    [{"table": "trades"}, {"table": "chains", "market": "crypto"}, {"table": "chains", "correlation": 0.5},
     {"table": "depth", "market": "index"}, {"table": "depth", "interval": "1m"}, {"table": "depth", "like": "SIM:X"}],
)  # fmt: skip
def test_what_makes_no_sense_of_a_table_is_refused_and_nothing_is_written(workspace: Workspace, wrong) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        simulate_data(workspace, ["A"], seed=7, **{**DAYS, **wrong})
    assert workspace.store.datasets().is_empty()
