"""`fieldcast fields` on a chain that states no price of its share: from the share's own minutes, or a refusal that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcast.ground import ManualClock, Settings
from fieldcast.market import table_of
from fieldcast.workflows import open_workspace, simulate_data

NAME = "SIM:SHR"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def chain_at(tmp_path: Path) -> datetime:
    """Moment of the newest chain of a share with American options, in a workspace whose chains state no price of it."""
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(datetime(2024, 3, 1, tzinfo=UTC))) as made:
        simulate_data(made, ["SHR"], first=date(2024, 1, 2), last=date(2024, 1, 3), seed=7, table="chains")
        rows = made.store.read(NAME, table="chains")
        at: datetime = rows["ts"].max() - timedelta(hours=1)  # type: ignore[operator]  # the daily bar of the close is no price then
        earlier = pl.col("ts", "available_at") - timedelta(hours=1)
        silent = rows.with_columns(earlier, exercise_style=pl.lit("american"), underlying_price=pl.lit(None, pl.Float64))
        lineage = replace(made.store.lineage(NAME, table="chains")[0], dataset="silent")
        made.store.append(silent, lineage, table="chains")
        truth = rows.filter(pl.col("ts") == pl.col("ts").max())["underlying_price"][0]
        (tmp_path / "truth").write_text(repr(truth), encoding="utf-8")
        return at


def minute(tmp_path: Path, ts: datetime, close: float) -> None:
    """A minute bar of the share."""
    with open_workspace(settings=Settings(home=tmp_path / "home")) as opened:
        row: dict[str, Any] = {"instrument": NAME, "ts": ts, "available_at": ts, "volume": 1.0, "reasons": "simulated"}
        row |= dict.fromkeys(("open", "high", "low", "close"), close)
        bars = pl.DataFrame([row], schema=dict(table_of("bars/1m").schema))
        opened.store.append(bars, opened.store.lineage(NAME, table="chains", dataset="silent")[0], table="bars/1m")


def test_the_price_of_a_share_whose_chain_states_none_is_that_of_its_minutes(
    run: Callable[..., Any], tmp_path: Path, chain_at: datetime
) -> None:
    asked = ("fields", NAME, "--home", tmp_path / "home", "--as-of", chain_at.isoformat(), "--dataset", "chains=silent", "--json")
    before = run(*asked).json
    assert before["dealer"] == {}
    assert "expected a price of SIM:SHR out of its quotes or bars" in before["notes"]["dealer"]
    truth = float((tmp_path / "truth").read_text(encoding="utf-8"))
    minute(tmp_path, chain_at - MINUTE, truth)
    minute(tmp_path, chain_at + MINUTE, 2 * truth)  # of later: no chain knows it
    found = run(*asked).json
    assert "dealer" not in found["notes"]
    assert found["dealer"]["gex"] is not None
    assert found["conventions"]["dealer.spot"] == (
        f"from bars/1m of the store at {chain_at - MINUTE:%Y-%m-%d %H:%M:%S} UTC: the chain states none"
    )
