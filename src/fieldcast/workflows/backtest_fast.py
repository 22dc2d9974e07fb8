"""A plan as the fast engine takes it: one tape an instrument, one account each, and what it leaves out said in words.

The fast engine books no corporate actions: it runs on prices that are carried through splits, and dividends are left out. A run
that counts is played by `backtest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import ConfigError
from fieldcast.market import DAILY, sessions_per_year, table_of
from fieldcast.simulation.event_table import EventKind
from fieldcast.simulation.fast import FastSettings, Size, Tape
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import DailyReturns, daily_returns, days_per_year
from fieldcast.workflows.backtest_data import BacktestData
from fieldcast.workflows.backtest_play import venue_settings
from fieldcast.workflows.backtest_settings import BacktestPlan

Array = npt.NDArray[np.float64]
_YEAR_SECONDS = 365.25 * 86_400


def fast_settings(plan: BacktestPlan, data: BacktestData) -> tuple[FastSettings, list[str]]:
    """The settings of each instrument's own account, and what they leave out.

    Raises
    ------
    ConfigError : something that the fast engine does not play; it is named
    """
    if len(data.purse.currencies) > 1 or len(data.purse.cash) > 1:
        raise ConfigError(
            f"expected one currency in a sweep or a walk, found {', '.join(data.purse.currencies)}; fieldcast backtest plays "
            "several"
        )
    if data.roots:
        raise ConfigError("expected instruments as they are stored in a sweep or a walk, found roots of futures; use backtest")
    if plan.options is not None:
        raise ConfigError("expected no [options] in a sweep or a walk, found some: the fast engine holds shares; use backtest")
    if plan.sizing is not None:
        raise ConfigError("expected no [sizing] in a sweep or a walk, found some: the fast engine knows weights; use backtest")
    left_out = []
    if data.actions.height:
        left_out.append("prices are carried through splits, and dividends left out: the fast engine books no corporate actions")
    kinds = set() if data.events is None else {EventKind(kind) for kind in data.events.kind}
    if EventKind.TERMS in kinds:
        raise ConfigError(
            'expected costs.regulatory = "preset" in a sweep or a walk, found "by_date": the fast engine knows one rate; use '
            "backtest"
        )
    paid = [kind.name.lower() for kind in sorted(kinds) if kind in (EventKind.BORROW, EventKind.INTEREST, EventKind.FUNDING)]
    if paid:
        left_out.append(f"{', '.join(paid)} left out: the fast engine pays none; a run that counts is played by backtest")
    made = FastSettings(
        venue=venue_settings(plan, data),
        size=Size("weight", Decimal(str(plan.account.weight))),
        stop=_share(plan.exits.stop),
        target=_share(plan.exits.target),
        trail=_share(plan.exits.trailing),
        periods_per_year=bars_per_year(plan, data),
    )
    return made, left_out


def tapes_of(data: BacktestData) -> tuple[Tape, ...]:
    """One tape an instrument, of the prices that strategies see."""
    return tuple(Tape.of(market) for market in signal_markets(data))


def signal_markets(data: BacktestData) -> list[Market]:
    """One market an instrument, of the prices that strategies see: raw where there were no splits."""
    found = []
    for instrument, arrays in zip(data.instruments, data.signals, strict=True):
        prices = [arrays[name] for name in ("ts", "open", "high", "low", "close", "volume")]
        found.append(Market.of_arrays(instrument, *prices, open_ts=arrays["open_ts"]))
    return found


def bars_per_year(plan: BacktestPlan, data: BacktestData) -> float:
    """Bars in a year: sessions for daily bars, else as many as the span had."""
    if plan.data.table == DAILY:
        return float(max(sessions_per_year(one.calendar) for one in data.instruments))
    assert table_of(plan.data.table).interval is not None
    market = data.market
    years = float(market.ts[-1] - market.open_ts[0]) / 1e6 / _YEAR_SECONDS
    return max(market.bars / years, 1.0)


def summed_returns(curves: Mapping[str, tuple[npt.NDArray[np.int64], Array]], data: BacktestData, cash: float) -> DailyReturns:
    """Daily returns of several accounts taken together.

    Parameters
    ----------
    curves : instrument -> (T_n,) stamps and equity at each
    cash : paid into each of them
    """
    curve, start = summed_curve(curves, cash)
    year = days_per_year(frozenset(one.calendar for one in data.instruments))
    return daily_returns(curve, start=start, days_per_year=year, days=data.market.days_at(curve["ts"].dt.epoch("us").to_numpy()))


def summed_curve(curves: Mapping[str, tuple[npt.NDArray[np.int64], Array]], cash: float) -> tuple[pl.DataFrame, float]:
    """ts and equity of several accounts taken together, and what was paid into them; parameters as in `summed_returns`."""
    whole: pl.DataFrame | None = None
    for place, (ts, equity) in enumerate(curves.values()):
        part = pl.DataFrame({"ts": pl.Series(ts).cast(pl.Datetime("us", "UTC")), f"e{place}": equity})
        whole = part if whole is None else whole.join(part, on="ts", how="full", coalesce=True)
    assert whole is not None
    names = [name for name in whole.columns if name != "ts"]
    held = whole.sort("ts").with_columns(pl.col(names).forward_fill().fill_null(cash))
    return held.select("ts", equity=pl.sum_horizontal(names)), cash * len(names)


def _share(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
