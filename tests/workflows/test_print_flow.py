"""Option prints as a sign policy: the quote beside a print says who began it, and a cancelled print says nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage
from fieldcast.ground import ManualClock, Settings
from fieldcast.market import table_of
from fieldcast.workflows import open_workspace, read_fields, simulate_data
from fieldcast.workflows.upgrades import print_flow

NOW = datetime(2024, 3, 1, tzinfo=UTC)
DAY = date(2024, 1, 4)


@pytest.mark.slow
def test_prints_of_the_underlying_are_signed_by_the_quote_beside_them_and_cancels_count_from_then_on(tmp_path: Path) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(NOW)) as opened:
        simulate_data(opened, ["IDX"], first=DAY, last=DAY, seed=7, market="index", table="chains")
        chain = read_fields(opened, "SIM:IDX").chain
        assert chain is not None
        assert print_flow(opened, "SIM:IDX", chain) is None
        at = chain.as_of - timedelta(hours=1)
        places = np.array([3, 8, 12, 20])
        contracts = [str(chain.contract_id[place]) for place in places]
        listed = opened.store.read("SIM:IDX", table="chains").unique("contract_id")
        terms = pl.DataFrame({"contract_id": contracts}).join(listed, on="contract_id", maintain_order="left")
        prints = terms.with_columns(
            ts=pl.lit(at).dt.cast_time_unit("us"), available_at=pl.lit(at).dt.cast_time_unit("us"), sequence=pl.int_range(4),
            price=pl.Series([2.1, 1.9, 2.1, 2.1]), size=pl.lit(10.0), side=pl.Series([None, None, None, "sell"], dtype=pl.String),
            bid=pl.lit(1.8), ask=pl.lit(2.2), reasons=pl.lit("simulated"),
        )  # fmt: skip
        known = chain.as_of - timedelta(minutes=10)
        taken_back = prints[2:3].with_columns(size=pl.lit(0.0), available_at=pl.lit(known).dt.cast_time_unit("us"))
        kind = table_of("option_trades")
        rows = pl.concat([prints, taken_back])
        rows = rows.select(name for name in kind.schema if name in rows.columns).match_to_schema(
            pl.Schema(kind.schema), missing_columns="insert", integer_cast="upcast"
        )
        opened.store.append(rows, Lineage("simulated", "prints", NOW, simulated=True), table="option_trades")
        flow = print_flow(opened, "SIM:IDX", chain)
        assert flow is not None
        # bought above the middle, sold below it; the third was taken back; the fourth says so itself
        np.testing.assert_array_equal(flow.signed_volume[places], [10.0, -10.0, np.nan, -10.0])
        assert np.isnan(np.delete(flow.signed_volume, places)).all()
