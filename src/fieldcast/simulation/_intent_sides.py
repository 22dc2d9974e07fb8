"""The intents of a run as exact fractions, and which intent of one run is which of the other.

Intents are matched by key; what is left over is matched with its nearest neighbour of the same instrument and side within a
shift of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from fieldcast.simulation.trading_record import TradingRecord


@dataclass(frozen=True)
class Side:
    """One intent in one run; fractions are exact."""

    row: Mapping[str, Any]
    quantity: Fraction  # filled
    value: Fraction
    printed: Fraction | None  # None where a fill does not tell its print
    fee: Fraction
    ts: datetime | None  # of the first fill
    source: datetime | None

    @property
    def asked(self) -> Fraction:
        return exact(self.row["quantity"])

    @property
    def sign(self) -> int:
        return 1 if self.row["side"] == "BUY" else -1

    def worth(self, multiplier: Fraction, mark: Fraction) -> Fraction:
        return self.sign * multiplier * (self.quantity * mark - self.value) - self.fee


def sides_of(record: TradingRecord) -> dict[str, Side]:
    """Every intent of a run by its key, with the sums of its fills."""
    fills: dict[str, list[Mapping[str, Any]]] = {}
    for fill in record.fills.iter_rows(named=True):
        fills.setdefault(fill["intent"], []).append(fill)
    found = {}
    for row in record.orders.iter_rows(named=True):
        own = fills.get(row["intent"], [])
        prints = [fill["reference_price"] for fill in own]
        told = all(price is not None for price in prints)
        found[row["intent"]] = Side(
            row=row,
            quantity=sum((exact(fill["quantity"]) for fill in own), Fraction(0)),
            value=sum((exact(fill["quantity"]) * exact(fill["price"]) for fill in own), Fraction(0)),
            printed=sum((exact(fill["quantity"]) * exact(fill["reference_price"]) for fill in own), Fraction(0))
            if told
            else None,
            fee=sum((exact(fill["fee"]) for fill in own), Fraction(0)),
            ts=own[0]["ts"] if own else None,
            source=_source(record, own[0]) if own else None,
        )
    return found


def matched(
    ours: Mapping[str, Side], theirs: Mapping[str, Side], shift: timedelta
) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs of keys, and what is left of each side; by key where the sides agree, then by the nearest decision."""
    pairs = [(key, key) for key in ours if key in theirs and ours[key].sign == theirs[key].sign]
    taken = {key for key, _ in pairs}
    left, right = [key for key in ours if key not in taken], [key for key in theirs if key not in taken]
    if shift > timedelta(0):
        for key in list(left):
            mine = ours[key].row
            near = [
                (abs(theirs[other].row["decided_ts"] - mine["decided_ts"]), other)
                for other in right
                if (theirs[other].row["instrument"], theirs[other].row["side"]) == (mine["instrument"], mine["side"])
            ]
            if near and min(near)[0] <= shift:
                other = min(near)[1]
                pairs.append((key, other))
                left.remove(key)
                right.remove(other)
    return pairs, left, right


def exact(value: Decimal | str) -> Fraction:
    """A recorded number without rounding."""
    return Fraction(value) if isinstance(value, Decimal) else Fraction(Decimal(value))


def _source(record: TradingRecord, fill: Mapping[str, Any]) -> datetime | None:
    """End of the bar that the fill came from: the one that it names, else the one that holds it."""
    if fill["source_bar_ts"] is not None:
        named: datetime = fill["source_bar_ts"]
        return named
    later = record.bars[fill["instrument"]].filter(pl.col("ts") >= fill["ts"])["ts"]
    held: datetime | None = later.min() if later.len() else None  # type: ignore[assignment]
    return held
