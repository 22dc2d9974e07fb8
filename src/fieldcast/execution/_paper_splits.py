"""Splits that a paper account would have to book, and does not: what stands across one is neither traded nor shown as held.

Ten shares bought at 1,200 before a split of 10 for 1 are a hundred at 120 after it. An account that goes on counting ten shows
a loss that nobody had. This one cannot turn them into a hundred (its ledger would have to follow), so it says so and stops
before a figure rests on them.

A source that gives back-adjusted prices alone has no step at a split, so that ten shares at 120 stay ten. There the split counts
only where the bar that the holding was bought at has been told anew since, at another price.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from fieldcast.data.actions import effective
from fieldcast.execution.broker import MarketData, StoredActions
from fieldcast.ground import ConflictError, Halted, MissingData
from fieldcast.market.tables import ACTIONS
from fieldcast.trading import Fill, OrderState, exact_sum

REBASED = 1e-4  # relative; a split moves prices by a ratio, and a correction of a last digit is none


@dataclass(frozen=True, slots=True)
class Split:
    """New shares for one old from `effective_at` on, midnight of the ex-date."""

    effective_at: datetime
    ratio: float


@dataclass(frozen=True)
class SplitWatch:
    """What is known of splits, for one account.

    Parameters
    ----------
    actions : None where there are none to know of, as of indices and coins
    market : bars, by which a source of back-adjusted prices shows that it has told them anew
    """

    actions: StoredActions | None
    market: MarketData

    def refuse_held(self, instrument: str, fills: Sequence[Fill], now: datetime, *, portfolio: str) -> None:
        """Refuse to go on with an instrument that was held across a split.

        Parameters
        ----------
        fills : of the account that were known at `now`, in the order in which they happened

        Raises
        ------
        Halted : it was; the message names the split
        """
        for split in self._known(instrument, now):
            units = self._held_across(split, instrument, fills, now)
            if units:
                raise Halted(
                    f"expected no split of what is held, found {units} {instrument} held across its split of {split.ratio:g} "
                    f"for 1 on {split.effective_at:%Y-%m-%d}; a paper account books no splits, so the position and the value of "
                    f"{portfolio} would be false from then on: begin another portfolio"
                )

    def lies_before(self, state: OrderState, opened_at: datetime, fills: Sequence[Fill], now: datetime) -> bool:
        """True where a split lies between an order, or the purchase of what it sells, and its open."""
        instrument = state.order.instrument
        splits = [split for split in self._known(instrument, now) if split.effective_at <= opened_at]
        return any(
            state.submitted_at < split.effective_at or self._held_across(split, instrument, fills, now) for split in splits
        )

    def _known(self, instrument: str, now: datetime) -> list[Split]:
        """Splits that were effective and known at `now`, oldest first."""
        if self.actions is None:
            return []
        try:
            rows = self._rows(self.actions, instrument, now)
        except MissingData:
            return []
        return [
            Split(row["effective_at"], row["ratio"])
            for row in effective(rows, now, "split").iter_rows(named=True)
            if row["ratio"] is not None and row["ratio"] != 1.0
        ]

    @staticmethod
    def _rows(actions: StoredActions, instrument: str, now: datetime) -> pl.DataFrame:
        """Those of the prices' own delivery, where several sources state some."""
        try:
            return actions.read(instrument, table=ACTIONS.name, as_of=now)
        except ConflictError:
            return actions.read(instrument, table=ACTIONS.name, as_of=now, dataset=actions.lineage(instrument)[-1].dataset)

    def _held_across(self, split: Split, instrument: str, fills: Sequence[Fill], now: datetime) -> Decimal:
        """Units that were held when a split came, where prices step at it; 0 where they do not."""
        before = [fill for fill in fills if fill.instrument == instrument and fill.ts < split.effective_at]
        units = exact_sum(*(fill.signed_quantity for fill in before))
        return units if units and self._steps_after(before[-1], now) else Decimal(0)

    def _steps_after(self, fill: Fill, now: datetime) -> bool:
        """True where prices step at a split that came after this fill."""
        assert self.actions is not None
        if not any(one.adjustment == "adjusted_only" for one in self.actions.lineage(fill.instrument)):
            return True
        bar = self.market.read(fill.instrument, as_of=now).filter(pl.col("ts") == fill.source_bar_ts)
        opened = bar["open"].drop_nulls()
        return opened.is_empty() or not math.isclose(opened[0], float(fill.reference_price), rel_tol=REBASED)
