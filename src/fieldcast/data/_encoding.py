"""Rows as the bytes of a Parquet file, laid out for the reads that come.

A file of up to `WIDE` instruments is ordered by instrument and has a row group for each. A file of more is kept month by
month, each month ordered by instrument in row groups of `GROUP_ROWS` that never cross months: one instrument's year and one
day of every instrument then both touch a small part of it. Intraday files hold one instrument in order of time.

Times are stored as packed differences (a series of minutes is a few bytes), everything else through dictionaries where values
repeat, as prices on a grid do: half the size of plain values under zstd, written and read in less time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from fieldcast.data._content import content_sha256
from fieldcast.data._footer import KEY, Span, StoredFile, delivery_id, footer_text, moment
from fieldcast.data._layout import Unit
from fieldcast.data._order import is_ascending
from fieldcast.data.lineage import Lineage
from fieldcast.market import Layout, Table

WIDE = 1000
GROUP_ROWS = 16_384          # of a daily file of many instruments
SERIES_ROWS = 262_144        # of an intraday file
ReadOld = Callable[[pl.Expr | None], pl.DataFrame]


def encode(
    added: pl.DataFrame,
    read_old: ReadOld | None,
    old: StoredFile | None,
    unit: Unit,
    lineage: Lineage,
    written_at: datetime,
    table: Table,
) -> tuple[bytes, StoredFile]:
    """The next generation of a unit: its bytes and its description.

    Parameters
    ----------
    added : rows that the unit does not hold yet, in order
    read_old : reads the rows of the old file that fulfil a condition (none = all); none where the unit is new
    """
    spans, deliveries = _described(added, old, unit, lineage)
    rows = added.height + (old.rows if old else 0)
    first, last = min(span.first_us for span in spans.values()), max(span.last_us for span in spans.values())
    blocks = list(_conditions(unit)) if table.layout is Layout.DAILY and len(spans) > WIDE else [None]

    if read_old is not None and len(blocks) > 1 and old is not None and len(old.spans) <= WIDE:
        narrow = read_old(None)  # its row groups are by instrument: read once, it is small

        def read_old(condition: pl.Expr | None) -> pl.DataFrame:
            return narrow if condition is None else narrow.filter(condition)

    def block(condition: pl.Expr | None) -> pl.DataFrame:
        new = added if condition is None else added.filter(condition)
        return new if read_old is None else ordered(pl.concat([read_old(condition), new]), table)

    described = StoredFile(
        path="", unit=unit, generation=old.generation + 1 if old else 1, sha256="", content_sha256="", rows=rows,
        first_ts=moment(first), last_ts=moment(last), simulated=lineage.simulated or bool(old and old.simulated),
        written_at=written_at, spans=spans, deliveries=deliveries,
    )  # fmt: skip
    if len(blocks) > 1:
        return _by_month((block(condition) for condition in blocks), described, table)
    return whole(block(None), described, table)


def whole(rows: pl.DataFrame, described: StoredFile, table: Table) -> tuple[bytes, StoredFile]:
    """Rows in order as one file."""
    rows = rows.rechunk()
    described = replace(described, content_sha256=content_sha256(rows, table, ascending=True))
    buffer = io.BytesIO()
    groups = rows.partition_by("instrument", maintain_order=True) if table.layout is Layout.DAILY else [rows]
    with _writer(buffer, table, footer_text(described)) as writer:
        for group in groups:
            writer.write_table(_arrow(group, table), row_group_size=SERIES_ROWS)
    return _sealed(buffer, described)


def _by_month(months: Iterator[pl.DataFrame], described: StoredFile, table: Table) -> tuple[bytes, StoredFile]:
    """Months of rows as one file; no more than one of them is held as a table."""
    buffer, hashes = io.BytesIO(), []
    with _writer(buffer, table, "") as writer:
        for rows in months:
            if not rows.is_empty():
                hashes.append(content_sha256(rows, table, ascending=True))
                writer.write_table(_arrow(rows, table), row_group_size=GROUP_ROWS)
        described = replace(described, content_sha256=hashlib.sha256(",".join(hashes).encode()).hexdigest())
        writer.add_key_value_metadata({KEY: footer_text(described)})
    return _sealed(buffer, described)


def _sealed(buffer: io.BytesIO, described: StoredFile) -> tuple[bytes, StoredFile]:
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    return data, replace(described, sha256=sha256, path=described.unit.path(described.generation, sha256))


def ordered(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows in the order of their versions."""
    return rows if is_ascending(rows) else rows.sort(table.version_key)


def _described(
    added: pl.DataFrame, old: StoredFile | None, unit: Unit, lineage: Lineage
) -> tuple[dict[str, Span], dict[str, Lineage]]:
    """Spans and deliveries of the new file: the old one's, and what is added."""
    spans = dict(old.spans) if old else {}
    id = delivery_id(lineage)
    stamps = added["ts"].cast(pl.Int64)
    if unit.instrument:
        found = [(unit.instrument, added.height, stamps[0], stamps[-1])]
    else:  # rows stand in key order: an instrument's follow each other, oldest first
        names, lengths = added["instrument"].rle().struct.unnest().get_columns()[::-1]
        ends = lengths.cum_sum().cast(pl.Int64) - 1
        found = list(zip(names, lengths, stamps.gather(ends - lengths + 1), stamps.gather(ends), strict=True))
    for instrument, rows, first, last in found:
        known = spans.get(instrument)
        if known is None:
            spans[instrument] = Span(rows, first, last, (id,))
        else:
            ids = known.deliveries if id in known.deliveries else (*known.deliveries, id)
            spans[instrument] = Span(known.rows + rows, min(known.first_us, first), max(known.last_us, last), ids)
    return spans, {**(old.deliveries if old else {}), id: lineage}


def _conditions(unit: Unit) -> Iterator[pl.Expr]:
    """The months of a year."""
    stamp = pl.datetime
    for month in range(1, 13):
        first = stamp(unit.year, month, 1, time_zone="UTC", time_unit="us")
        after = stamp(unit.year + month // 12, month % 12 + 1, 1, time_zone="UTC", time_unit="us")
        yield (pl.col("ts") >= first) & (pl.col("ts") < after)


def _writer(buffer: io.BytesIO, table: Table, footer: str) -> Any:
    import pyarrow.parquet as pq

    schema = _arrow_schema(table)
    if footer:
        schema = schema.with_metadata({KEY.encode(): footer.encode()})
    times = [name for name, dtype in table.schema.items() if dtype.base_type() == pl.Datetime]
    return pq.ParquetWriter(
        buffer,
        schema,
        compression="zstd",
        use_dictionary=[name for name in table.schema if name not in times],
        column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    )


def _arrow(rows: pl.DataFrame, table: Table) -> Any:
    return rows.rechunk().to_arrow().cast(_arrow_schema(table))


def _arrow_schema(table: Table) -> Any:
    """The table's schema in Arrow's types."""
    import pyarrow as pa

    types = {
        "Float64": pa.float64(), "Int64": pa.int64(), "Boolean": pa.bool_(), "String": pa.string(),
        "Datetime": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    return pa.schema([pa.field(name, types[str(dtype.base_type())]) for name, dtype in table.schema.items()])
