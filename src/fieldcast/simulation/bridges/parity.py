"""The same positions through another engine and through the simulated venue, side by side.

On the ground that they share (`job`), trades, fees and equity are equal: trades and prices exactly, money to the rounding of
floats. Where an engine rounds a fee, its fees may be off by that step at every fill, and its equity by what has come together
so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from fieldcast.ground import MissingData, Shown
from fieldcast.simulation.bridges.job import FILLS, TRADES, Array, Job, Peer, PeerRun, round_trips
from fieldcast.simulation.market import Market
from fieldcast.simulation.result import SimulationResult

FLOATS = 1e-9  # of the cash: what sums of binary fractions may be off


@dataclass(frozen=True)
class Parity(Shown):
    """One engine beside the simulated venue on one job; differences are the engine's less ours, money in the job's currency.

    Parameters
    ----------
    skipped : why there was no comparison; None where there was one
    trades, our_trades : closed round trips
    trades_equal : direction, bars, quantity and prices of every trade, and of every fill, are the same
    fees, our_fees : in all
    equity_gap : the largest at any close
    return_gap_bps : of the return over the whole job
    allowed : what the engine's rounding of fees accounts for, in money
    reason : the rounding or convention that accounts for a gap; empty where there is none
    """

    peer: str
    version: str
    job: str
    skipped: str | None = None
    trades: int = 0
    our_trades: int = 0
    trades_equal: bool = False
    fees: float = 0.0
    our_fees: float = 0.0
    equity_gap: float = 0.0
    return_gap_bps: float = 0.0
    allowed: float = 0.0
    reason: str = ""

    @property
    def equal(self) -> bool:
        """Whether trades are the same, and fees and equity but for the documented rounding."""
        return (
            self.skipped is None
            and self.trades_equal
            and max(abs(self.equity_gap), abs(self.fees - self.our_fees)) <= self.allowed
        )

    def as_dict(self) -> dict[str, Any]:
        return vars(self) | {"equal": self.equal}


def our_run(job: Job) -> SimulationResult:
    """The job at the simulated venue."""
    from fieldcast.simulation.settings import TargetUnit, VenueSettings
    from fieldcast.simulation.targets_run import run_targets
    from fieldcast.trading import CostModel

    day = 86_400_000_000
    ts = job.dates.astype("datetime64[us]").astype(np.int64) + 21 * day // 24
    market = Market.of_arrays(
        job.instrument, ts, job.open, job.high, job.low, job.close, job.volume, open_ts=ts - day * 13 // 48
    )  # fmt: skip
    costs = CostModel(Decimal(0), Decimal(0), job.fee_share * 10_000, Decimal(0))
    settings = VenueSettings(cash={job.instrument.currency: job.cash}, costs=costs, exact_fees=True, size=TargetUnit.UNITS)
    return run_targets(job.target.astype(np.float64), market, settings)


def our_fills(result: SimulationResult) -> pl.DataFrame:
    """Our fills in the form of a bridge's."""
    side = pl.when(pl.col("side") == "BUY").then(1).otherwise(-1)
    return result.fills.select("bar", side=side, quantity="quantity", price="price", fee="fee").select(
        pl.col(name).cast(dtype) for name, dtype in FILLS.items()
    )


def compare(job: Job, peer: Peer, *, name: str = "", result: SimulationResult | None = None) -> Parity:
    """Play the job in the engine and at the venue; an engine that is not there is skipped with the reason.

    Raises
    ------
    FieldcastError : the engine is there and failed
    """
    try:
        theirs = peer.play(job)
    except MissingData as error:
        return Parity(peer.name, "", name, skipped=str(error))
    ours = our_run(job) if result is None else result
    return beside(job, peer, theirs, ours, name=name)


def beside(job: Job, peer: Peer, theirs: PeerRun, ours: SimulationResult, *, name: str = "") -> Parity:
    """What separates the engine's run from ours."""
    fills = our_fills(ours)
    trips = round_trips(fills)
    paid, our_paid = float(theirs.fills["fee"].sum()), float(fills["fee"].sum())
    gap = theirs.equity - ours.equity_curve()
    cash = float(job.cash)
    steps = [places for places in (peer.fee_decimals, ours.units.cash_decimals) if places is not None]
    rounding = sum(_rounded(job, fills, places) * 10.0**-places for places in steps)
    equal = _same(theirs.fills, fills, ("bar", "side", "quantity", "price")) and _same(
        theirs.trades, trips, ("direction", "entry_bar", "exit_bar", "quantity", "entry_price", "exit_price")
    )
    off = max(abs(float(np.abs(gap).max())), abs(paid - our_paid))
    return Parity(
        peer=theirs.peer,
        version=theirs.version,
        job=name,
        trades=theirs.trades.height,
        our_trades=trips.height,
        trades_equal=equal,
        fees=paid,
        our_fees=our_paid,
        equity_gap=float(gap[int(np.abs(gap).argmax())]),
        return_gap_bps=1e4 * float(gap[-1]) / cash,
        allowed=FLOATS * cash + rounding,
        reason=f"fees are rounded to {' and '.join(map(str, steps))} decimals"
        if FLOATS * cash < off <= FLOATS * cash + rounding
        else "",
    )


def _rounded(job: Job, fills: pl.DataFrame, places: int) -> int:
    """How many fees are no whole number of steps of so many decimals."""
    exact = (
        Decimal(repr(price)) * Decimal(repr(quantity)) * job.fee_share
        for price, quantity in fills.select("price", "quantity").iter_rows()
    )
    return sum(fee != round(fee, places) for fee in exact)


def _same(theirs: pl.DataFrame, ours: pl.DataFrame, columns: tuple[str, ...]) -> bool:
    """Whether the rows are the same, prices and quantities but for the last bits of a float."""
    if theirs.height != ours.height:
        return False
    order = [name for name in ("exit_bar", "bar", "entry_bar") if name in columns]
    left, right = (table.sort(order, maintain_order=True) for table in (theirs, ours))
    return all(_close(left[name].cast(pl.Float64).to_numpy(), right[name].cast(pl.Float64).to_numpy()) for name in columns)


def _close(left: Array, right: Array) -> bool:
    return bool(np.allclose(left, right, rtol=1e-12, atol=0.0))


__all__ = ["FILLS", "TRADES", "Parity", "beside", "compare", "our_fills", "our_run"]
