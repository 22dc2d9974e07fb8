"""The store's index for every table: spans of instruments, deliveries kept once, a count of changes, a lease.

A migration is history: it repeats names in full and never follows later changes of the code.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from fieldcast.ledger.types import EPOCH, MICROSECOND, UtcMicros

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    old = _old_entries()
    op.drop_table("store_file")
    files, spans, deliveries, change = _create()
    op.bulk_insert(change, [{"id": 1, "number": 0}])
    op.bulk_insert(_lease(), [{"id": 1, "token": "", "host": "", "name": "", "pid": 0, "until": EPOCH}])
    known: dict[str, str] = {}
    for entry in old:
        file, of_file, lineages = _converted(entry)
        op.bulk_insert(files, [file])
        op.bulk_insert(spans, of_file)
        known |= lineages
    op.bulk_insert(deliveries, [{"id": id, "lineage": text} for id, text in sorted(known.items())])


def _old_entries() -> list[Any]:
    """Rows of the index as version 0002 kept it: daily bars alone."""
    old = sa.table(
        "store_file",
        *(sa.column(name) for name in ("path", "dataset", "generation", "sha256", "rows", "instruments", "lineage", "simulated")),
        sa.column("year", sa.Integer()), sa.column("first_ts", UtcMicros()), sa.column("last_ts", UtcMicros()),
        sa.column("written_at", UtcMicros()), sa.column("timeframe"),
    )  # fmt: skip
    return list(op.get_bind().execute(sa.select(old)))


def _create() -> tuple[sa.Table, sa.Table, sa.Table, sa.Table]:
    files = op.create_table(
        "store_file",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("table", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("content_sha256", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("first_ts", UtcMicros(), nullable=False),
        sa.Column("last_ts", UtcMicros(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("written_at", UtcMicros(), nullable=False),
        sa.Column("entry_sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_store_file")),
        sa.UniqueConstraint("unit", name=op.f("uq_store_file_unit")),
    )
    op.create_index("ix_store_file_place", "store_file", ["table", "dataset"])
    spans = op.create_table(
        "store_span",
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("deliveries", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("unit", "instrument", name=op.f("pk_store_span")),
    )
    op.create_index("ix_store_span_instrument", "store_span", ["instrument"])
    deliveries = op.create_table(
        "store_delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_delivery")),
    )
    change = op.create_table(
        "store_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_change")),
    )
    return files, spans, deliveries, change


def _lease() -> sa.Table:
    return op.create_table(
        "store_lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("until", UtcMicros(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_lease")),
    )


def _converted(entry: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    """One file of version 0002 as a file, its spans and its deliveries."""
    lineage = json.loads(entry.lineage)
    unit = f"bars/{entry.timeframe}/{entry.dataset}/{entry.year}"
    known: dict[str, str] = {}
    spans = []
    for instrument, span in sorted(json.loads(entry.instruments).items()):
        ids = []
        for item in lineage["deliveries"][instrument]:
            text = _text(item)
            ids.append(hashlib.sha256(text.encode()).hexdigest()[:16])
            known[ids[-1]] = text
        spans.append({
            "unit": unit, "instrument": instrument, "rows": span["rows"], "first_us": _micros(span["first_ts"]),
            "last_us": _micros(span["last_ts"]), "deliveries": ",".join(ids),
        })  # fmt: skip
    head = {
        "path": entry.path, "unit": unit, "generation": entry.generation, "sha256": entry.sha256,
        "content_sha256": lineage["content_sha256"], "rows": entry.rows, "simulated": bool(entry.simulated),
        "first_ts": entry.first_ts.isoformat(), "last_ts": entry.last_ts.isoformat(), "written_at": entry.written_at.isoformat(),
    }  # fmt: skip
    listed = [[s["instrument"], s["rows"], s["first_us"], s["last_us"], s["deliveries"]] for s in spans]
    sealed = hashlib.sha256(_text([head, listed, sorted(known)]).encode()).hexdigest()
    moments = {name: getattr(entry, name) for name in ("first_ts", "last_ts", "written_at")}
    place = {"table": f"bars/{entry.timeframe}", "dataset": entry.dataset, "instrument": "", "period": str(entry.year)}
    return head | moments | place | {"entry_sha256": sealed}, spans, known


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _micros(moment: str) -> int:
    return (datetime.fromisoformat(moment) - EPOCH) // MICROSECOND
