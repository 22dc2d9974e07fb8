"""Projections as a flat table: one row an instrument, decision time and horizon. A packet is a view of its rows.

Historic projections are written straight into this table, column by column; a packet is made only for the rows that
someone looks at, and is validated then. The table carries the seven required quantiles; a packet with further levels
has no row. Unknown is null; what a missing horizon cannot say is null in all its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from pydantic import ValidationError

from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.market import STAMP
from fieldcast.projection.conformal import QUANTILE_LEVELS
from fieldcast.projection.packet import PACKET_SCHEMA_VERSION, HorizonProjection, ProjectionPacket

QUANTILE_COLUMNS = ("q_05", "q_12_5", "q_25", "q_50", "q_75", "q_87_5", "q_95")
_PAIR = pl.List(pl.Struct({"name": pl.String(), "value": pl.Float64()}))
_HASHES = pl.List(pl.Struct({"name": pl.String(), "sha256": pl.String()}))

PROJECTIONS: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "as_of": STAMP,
    "horizon": pl.String(),
    "schema_version": pl.String(),
    "status": pl.String(),  # ok | missing
    "reason": pl.String(),  # registered code of a missing horizon
    "reference_price": pl.Float64(),
    "entry_ts": STAMP,
    "target_ts": STAMP,
    "valid_until": STAMP,
    "return_kind": pl.String(),
    "flat_band_bps": pl.Float64(),
    "p_up": pl.Float64(),
    "p_flat": pl.Float64(),
    "p_down": pl.Float64(),
    **{name: pl.Float64() for name in QUANTILE_COLUMNS},  # bps
    "mean_bps": pl.Float64(),
    "sigma_horizon_bps": pl.Float64(),
    "sigma_annual": pl.Float64(),
    "periods_per_year": pl.Float64(),
    "conviction": pl.Float64(),
    "reliability": pl.Float64(),
    "reliability_data": pl.Float64(),
    "reliability_sample": pl.Float64(),
    "reliability_calibration": pl.Float64(),
    "coverage_n": pl.Int64(),
    "coverage_50": pl.Float64(),
    "coverage_75": pl.Float64(),
    "coverage_90": pl.Float64(),
    "events": _PAIR,  # name and probability; an empty list where there is none
    "warnings": pl.List(pl.String()),  # of the packet
    "horizon_warnings": pl.List(pl.String()),
    "model_id": pl.String(),
    "evidence_id": pl.String(),
    "code_version": pl.String(),
    "data_hashes": _HASHES,
    "simulated": pl.Boolean(),
}
PROJECTION_KEY = ("instrument", "as_of", "horizon")


def packets_to_table(packets: Sequence[ProjectionPacket]) -> pl.DataFrame:
    """The rows of `packets`, schema `PROJECTIONS`, in their order.

    Raises
    ------
    InvalidInput : a packet has levels besides the seven required ones
    """
    rows = [_row(packet, horizon) for packet in packets for horizon in packet.horizons]
    return pl.DataFrame(rows, schema=PROJECTIONS, orient="row")


def packet_from_row(table: pl.DataFrame, instrument: str, as_of: datetime) -> ProjectionPacket:
    """The packet of one instrument and decision time, its horizons in the table's order.

    Raises
    ------
    MissingData : the table has no such rows
    InvalidInput : the rows break a promise of the packet, or disagree about what all horizons share
    """
    moment = utc(as_of)
    found = table.filter((pl.col("instrument") == instrument) & (pl.col("as_of") == moment))
    if found.is_empty():
        raise MissingData(f"expected projections of {instrument} at {moment.isoformat()} in the table, found none")
    rows = found.to_dicts()
    shared = ("schema_version", "warnings", "model_id", "evidence_id", "code_version", "data_hashes", "simulated")
    head = {name: rows[0][name] for name in shared}
    if any({name: row[name] for name in shared} != head for row in rows):
        raise InvalidInput(f"expected one provenance for all horizons of {instrument} at {moment.isoformat()}")
    if head["schema_version"] != PACKET_SCHEMA_VERSION:
        raise InvalidInput(f"expected schema version {PACKET_SCHEMA_VERSION}, found {head['schema_version']!r}")
    try:
        return ProjectionPacket.model_validate(
            {
                "instrument": instrument,
                "as_of": moment,
                "provenance": {
                    "data_hashes": {item["name"]: item["sha256"] for item in head["data_hashes"]},
                    "model_id": head["model_id"],
                    "evidence_id": head["evidence_id"],
                    "code_version": head["code_version"],
                    "simulated": head["simulated"],
                },
                "warnings": head["warnings"],
                "horizons": [_horizon(row) for row in rows],
            }
        )
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidInput(f"expected rows of a sound packet for {instrument} at {moment}, found {problems}") from None


def _row(packet: ProjectionPacket, horizon: HorizonProjection) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(PROJECTIONS)
    direction, reliability, coverage = horizon.direction, horizon.reliability, horizon.coverage
    if horizon.levels is not None and horizon.quantiles_bps is not None:
        if any(abs(a - b) > 1e-12 for a, b in zip(horizon.levels, QUANTILE_LEVELS, strict=False)) or len(
            horizon.levels
        ) != len(QUANTILE_LEVELS):
            raise InvalidInput(f"expected the seven levels {QUANTILE_LEVELS} for a table row, found {horizon.levels}")
        row |= dict(zip(QUANTILE_COLUMNS, horizon.quantiles_bps, strict=True))
    if direction is not None:
        row |= {"p_up": direction.up, "p_flat": direction.flat, "p_down": direction.down}
    if reliability is not None:
        row |= {
            "reliability": reliability.value,
            "reliability_data": reliability.data,
            "reliability_sample": reliability.sample,
            "reliability_calibration": reliability.calibration,
        }
    if coverage is not None:
        row |= {
            "coverage_n": coverage.n,
            "coverage_50": coverage.band_50,
            "coverage_75": coverage.band_75,
            "coverage_90": coverage.band_90,
        }
    for name in _SAME:
        row[name] = getattr(horizon, name)
    provenance = packet.provenance
    return row | {
        "instrument": packet.instrument,
        "as_of": packet.as_of,
        "schema_version": packet.schema_version,
        "reason": None if horizon.reason is None else str(horizon.reason),
        "events": [{"name": name, "value": value} for name, value in horizon.events.items()],
        "warnings": [str(code) for code in packet.warnings],
        "horizon_warnings": [str(code) for code in horizon.warnings],
        "model_id": provenance.model_id,
        "evidence_id": provenance.evidence_id,
        "code_version": provenance.code_version,
        "data_hashes": [{"name": name, "sha256": value} for name, value in provenance.data_hashes.items()],
        "simulated": provenance.simulated,
    }


_SAME = (
    "horizon", "status", "reference_price", "entry_ts", "target_ts", "valid_until", "return_kind", "flat_band_bps",
    "mean_bps", "sigma_horizon_bps", "sigma_annual", "periods_per_year", "conviction",
)  # fmt: skip


def _horizon(row: Mapping[str, Any]) -> dict[str, Any]:
    """The input of a HorizonProjection; groups whose columns are all null are absent."""
    out = {name: row[name] for name in _SAME} | {
        "reason": row["reason"],
        "events": {item["name"]: item["value"] for item in row["events"] or ()},
        "warnings": row["horizon_warnings"] or (),
    }
    groups = {
        "direction": {"up": "p_up", "flat": "p_flat", "down": "p_down"},
        "reliability": {
            "value": "reliability",
            "data": "reliability_data",
            "sample": "reliability_sample",
            "calibration": "reliability_calibration",
        },
        "coverage": {
            "n": "coverage_n",
            "band_50": "coverage_50",
            "band_75": "coverage_75",
            "band_90": "coverage_90",
        },
    }
    for group, columns in groups.items():
        values = {key: row[column] for key, column in columns.items()}
        if any(value is not None for value in values.values()):
            out[group] = values
    quantiles = [row[name] for name in QUANTILE_COLUMNS]
    if any(value is not None for value in quantiles):
        out |= {"levels": QUANTILE_LEVELS, "quantiles_bps": quantiles}
    return out
