"""The flat table and the packet as a view of it."""

from __future__ import annotations

import copy
from datetime import timedelta
from types import ModuleType

import polars as pl
import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.projection import (
    PROJECTION_KEY,
    PROJECTIONS,
    ProjectionPacket,
    packet_from_row,
    packets_to_table,
)


@pytest.fixture
def two(packets: ModuleType) -> list[ProjectionPacket]:
    first = packets.packet_fields()
    later = copy.deepcopy(first)
    later["as_of"] += timedelta(minutes=1)
    later["provenance"] |= {"simulated": True, "evidence_id": "e1"}
    later["warnings"] = ("simulated",)
    later["horizons"][0]["warnings"] = ("cone_saturated",)
    del later["horizons"][1]["coverage"]
    later["horizons"][1]["events"] = {}
    return [ProjectionPacket.model_validate(first), ProjectionPacket.model_validate(later)]


def test_packets_come_back_from_their_rows(two: list[ProjectionPacket]) -> None:
    table = packets_to_table(two)
    assert dict(table.schema) == PROJECTIONS
    assert table.height == 6
    assert table.select(PROJECTION_KEY).is_unique().all()
    for packet in two:
        again = packet_from_row(table, packet.instrument, packet.as_of)
        assert again == packet
        assert again.digest == packet.digest


def test_the_table_survives_parquet(two: list[ProjectionPacket], tmp_path: object) -> None:
    table = packets_to_table(two)
    table.write_parquet(f"{tmp_path}/p.parquet")
    assert packet_from_row(pl.read_parquet(f"{tmp_path}/p.parquet"), two[1].instrument, two[1].as_of) == two[1]


def test_a_missing_horizon_has_no_figures_in_its_row(two: list[ProjectionPacket]) -> None:
    row = packets_to_table(two[:1]).filter(pl.col("status") == "missing").to_dicts()[0]
    figures = [name for name, dtype in PROJECTIONS.items() if dtype in (pl.Float64(), pl.Int64())]
    assert all(row[name] is None for name in figures)
    assert row["reason"] == "no_data"


def test_an_empty_list_gives_an_empty_table() -> None:
    assert dict(packets_to_table([]).schema) == PROJECTIONS


def test_unknown_keys_and_broken_rows_are_refused(two: list[ProjectionPacket]) -> None:
    table = packets_to_table(two)
    with pytest.raises(MissingData, match="XNAS:NONE"):
        packet_from_row(table, "XNAS:NONE", two[0].as_of)
    with pytest.raises(InvalidInput, match="sum to 1"):
        packet_from_row(table.with_columns(p_up=pl.col("p_up") + 0.01), two[0].instrument, two[0].as_of)
    mixed = table.with_columns(model_id=pl.col("horizon"))
    with pytest.raises(InvalidInput, match="one provenance"):
        packet_from_row(mixed, two[0].instrument, two[0].as_of)
    with pytest.raises(InvalidInput, match="schema version"):
        packet_from_row(table.with_columns(schema_version=pl.lit("0.9")), two[0].instrument, two[0].as_of)


def test_levels_beyond_the_seven_have_no_row(packets: ModuleType) -> None:
    fields = packets.packet_fields()
    horizon = fields["horizons"][0]
    horizon["levels"] = (*horizon["levels"], 0.99)
    horizon["quantiles_bps"] = (*horizon["quantiles_bps"], 1e4)
    with pytest.raises(InvalidInput, match="seven levels"):
        packets_to_table([ProjectionPacket.model_validate(fields)])
