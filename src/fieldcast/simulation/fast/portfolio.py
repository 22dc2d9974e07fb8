"""Many instruments in one account: a table of targets, rebalanced when they change or on a schedule, costs and cash shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import ConfigError, InvalidInput, StrategyError
from fieldcast.market.schemas import STAMP
from fieldcast.simulation.fast import _layout as layout
from fieldcast.simulation.fast.figures import figures_row
from fieldcast.simulation.fast.settings import LARGEST_TARGET, FastSettings
from fieldcast.simulation.fast.tape import price_units, terms_table, units_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.units import Units

PORTFOLIO_FILLS: dict[str, pl.DataType] = {
    "ts": STAMP,
    "decided_ts": STAMP,
    "source_bar_ts": STAMP,
    "bar": pl.Int64(),
    "instrument": pl.String(),
    "side": pl.String(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "reference_price": pl.Float64(),
    "fee": pl.Float64(),
    "price_units": pl.Int64(),
    "fee_minor": pl.Int64(),
}


@dataclass(frozen=True, eq=False)
class PortfolioResult:
    """One run of a portfolio.

    Parameters
    ----------
    equity_minor : (T,) exact minimal units at each close
    fill_rows : (n, 8) int64, columns P_* of `_kernels_portfolio`
    """

    market: Market
    units: Units
    settings: FastSettings
    equity_minor: NDArray[np.int64]
    fill_rows: NDArray[np.int64]
    whole: NDArray[np.int64]
    real: NDArray[np.float64]

    @property
    def fill_convention(self) -> str:
        return "next_open"

    @property
    def simulated(self) -> bool:
        return self.market.simulated

    @property
    def data_hash(self) -> str:
        return self.market.data_hash

    def equity_curve(self) -> NDArray[np.float64]:
        """(T,) equity at each close in the account's currency."""
        curve: NDArray[np.float64] = self.equity_minor / 10.0**self.units.cash_decimals
        return curve

    @cached_property
    def figures(self) -> dict[str, Any]:
        """FIGURES of the run by name; a position of any instrument counts as exposure, its return to zero as a trade."""
        return figures_row(
            self.whole, self.real, bars=self.market.bars, cash_minor=self.units.minor(self.settings.cash),
            minor=10.0**-self.units.cash_decimals, periods_per_year=self.settings.periods_per_year,
        )  # fmt: skip

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Every fill in order; schema PORTFOLIO_FILLS."""
        bar, n, side, lots, price, printed, fee, decided = self.fill_rows.T
        scale, minor = self.units.price_scale[n], 10.0**self.units.cash_decimals
        lot = np.array([float(one) for one in self.units.lot])[n]
        names = pl.Series([one.id for one in self.market.instruments], dtype=pl.String)
        return pl.DataFrame(
            {
                "ts": _stamps(self.market.open_ts[bar]),
                "decided_ts": _stamps(self.market.ts[decided]),
                "source_bar_ts": _stamps(self.market.ts[bar]),
                "bar": bar,
                "instrument": names.gather(pl.Series(n, dtype=pl.Int64)),
                "side": np.where(side > 0, "BUY", "SELL"),
                "lots": lots,
                "quantity": lots * lot,
                "price": price / scale,
                "reference_price": printed / scale,
                "fee": fee / minor,
                "price_units": price,
                "fee_minor": fee,
            },
            schema=PORTFOLIO_FILLS,
        )


def run_portfolio(
    targets: NDArray[Any], market: Market, settings: FastSettings, *, rebalance: NDArray[np.bool_] | None = None
) -> PortfolioResult:
    """Trade a table of targets in one account.

    Parameters
    ----------
    targets : (N, T) weights of equity (multiplied by the size's value), or whole multiples of a fixed size
    rebalance : (T,) bars, and the only ones, in which to trade to the targets; None: an instrument wherever its target changes

    Raises
    ------
    StrategyError : a target is not finite, too large or no multiple in a bar that the instrument has; both are named
    ConfigError : exits, or a size that depends on each instrument's own past: `run_fast` or the venue has them
    InvalidInput : shapes do not fit, or instruments in several currencies
    """
    if settings.exits or settings.size.kind not in ("weight", "units"):
        raise ConfigError(f"expected a portfolio of weights or units without exits, found size {settings.size.kind} and exits "
                          f"{settings.stop}, {settings.target}, {settings.trail}")  # fmt: skip
    shape = (len(market.instruments), market.bars)
    table = np.asarray(targets, dtype=np.float64)
    if table.shape != shape:
        raise InvalidInput(f"expected targets of shape {shape}, found {table.shape}")
    schedule = np.empty(0, dtype=np.bool_) if rebalance is None else np.ascontiguousarray(rebalance, dtype=np.bool_)
    if schedule.size and schedule.shape != shape[1:]:
        raise InvalidInput(f"expected {shape[1]} flags of rebalancing, found {schedule.size}")
    units = units_of(market, settings)
    opened, close = _prices(market, units)
    table = np.ascontiguousarray(table.T)
    _check_targets(table, close, market, settings)
    return _play(table, opened, close, schedule, market, units, settings)


def _play(
    table: NDArray[np.float64],
    opened: NDArray[np.int64],
    close: NDArray[np.int64],
    schedule: NDArray[np.bool_],
    market: Market,
    units: Units,
    settings: FastSettings,
) -> PortfolioResult:
    from fieldcast.simulation.fast import _kernels_portfolio as kernels

    bars, count = table.shape
    terms = terms_table(market, units, settings)
    costs = settings.venue.costs
    if costs.measured is not None:
        raise ConfigError("expected constant costs for a portfolio of the fast engine, found measured profiles: use the venue")
    parts = np.array([[float(costs.half_spread_bps)], [float(costs.slippage_bps)], [float(costs.impact_bps)]])
    volume = np.ascontiguousarray(market.volume.T) if costs.impact_bps > 0 else np.empty((0, 0))
    if schedule.size:
        most = int(schedule.sum()) * count
    else:
        most = int((table[0] != 0.0).sum() + (table[1:] != table[:-1]).sum())
        most += _gaps(close)      # a target that changed in a gap is acted on after it
    whole, real = np.empty(layout.WHOLES, dtype=np.int64), np.empty(layout.REALS)
    curve = np.empty(bars, dtype=np.int64)
    fills = np.empty((most, kernels.PORTFOLIO_FILL_COLUMNS), dtype=np.int64)
    state = np.empty((kernels.STATE_ROWS, count), dtype=np.int64)
    queue = np.empty((most + count, 3), dtype=np.int64)
    later = np.empty((count, 3), dtype=np.int64)
    lots_of_unit = np.array([float(1 / lot) for lot in units.lot])
    done = kernels.play_portfolio(
        opened, close, volume, parts, lots_of_unit, terms, table, schedule, whole, real, curve, fills, state, np.empty(count),
        queue, later,
    )
    return PortfolioResult(market, units, settings, curve, fills[:done], whole, real)


def _gaps(close: NDArray[np.int64]) -> int:
    """How many runs of missing bars there are in all instruments."""
    missing = close == 0
    return int((missing[1:] & ~missing[:-1]).sum() + missing[0].sum())


def _prices(market: Market, units: Units) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(T, N) opens (0 = no print that may be traded) and closes (0 = no bar) in price units; made once for a market."""
    known = market._cache.get("portfolio prices")
    if known is None:
        scale = units.price_scale[:, None]
        opened = price_units(market.open, scale)
        opened[~market.trusted_open] = 0
        known = (np.ascontiguousarray(opened.T), np.ascontiguousarray(price_units(market.close, scale).T))
        market._cache["portfolio prices"] = known
    found: tuple[NDArray[np.int64], NDArray[np.int64]] = known
    return found


def _check_targets(table: NDArray[np.float64], close: NDArray[np.int64], market: Market, settings: FastSettings) -> None:
    of_weight = settings.size.kind == "weight"
    wrong = ~(np.abs(table) * (float(settings.size.value) if of_weight else 1.0) <= LARGEST_TARGET)
    if not of_weight:
        wrong |= table != np.rint(table)
    if wrong.any():
        wrong &= close > 0
        if wrong.any():
            t, n = (int(one[0]) for one in np.nonzero(wrong))
            kind = "target" if of_weight else "whole multiple of the size"
            raise StrategyError(
                f"expected a finite {kind} of at most {LARGEST_TARGET:.0e} "
                f"for {market.instruments[n].id} at bar {t} ({int(market.ts[t])}), found {table[t, n]}",
                bar=t,
            )


def _stamps(ts: NDArray[np.int64]) -> pl.Series:
    return pl.Series(ts, dtype=pl.Int64).cast(STAMP)
