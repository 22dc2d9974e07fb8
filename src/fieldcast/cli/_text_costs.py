"""Execution costs as text."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def recalibrated_text(result: Any) -> RenderableType:
    """The text of `CostsRecalibrated`."""
    table = _table(f"Execution costs as of {result.as_of:%Y-%m-%d %H:%M} UTC", "instrument", "bucket", "kind", "samples", "")
    for row in result.buckets.iter_rows(named=True):
        table.add_row(row["instrument"], row["bucket"], row["kind"], f"{row['samples']:,}", row["status"])
    counts = result.counts
    lines = [
        f"{counts['quotes']:,} quotes ({counts['one_sided']:,} of one side, {counts['crossed']:,} crossed)",
        f"{counts['fills']:,} fills ({counts['fills_without_spread']:,} without a quote at their time; "
        f"{counts['simulated_fills']:,} simulated ones left aside)",
        f"written to {result.path}",
    ]
    return Group(table, Text("\n".join(lines)), _profiles(result.costs))


def costs_text(result: Any) -> RenderableType:
    """The text of `CostsShown`."""
    if result.costs is None:
        return Text("no execution costs were measured yet: fieldcast costs recalibrate")
    days = ", ".join(f"{day} *" if day == result.pointed_at else str(day) for day in result.dates)
    return Group(_profiles(result.costs), Text(f"calibrations (* counts): {days}"))


def _profiles(costs: Any) -> RenderableType:
    table = _table(
        f"Profiles of {costs.as_of}, basis points", "instrument", "bucket", "kind", "mean", "p50", "p90", "samples", "measured"
    )
    for (instrument, bucket), profile in sorted(costs.profiles.items()):
        for kind, found in (("spread", profile.spread), ("slippage", profile.slippage)):
            if found is not None:
                table.add_row(
                    instrument, str(bucket), kind, f"{found.mean_bps:.2f}", f"{found.p50_bps:.2f}", f"{found.p90_bps:.2f}",
                    f"{found.sample_count:,}", f"{found.last_updated:%Y-%m-%d}",
                )  # fmt: skip
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in ("samples", "mean", "p50", "p90") else "left")
    return table
