"""Round trips: how often they paid, how much, how long they were held, and how far they went either way on the way.

Win rate, profit factor, expectancy and their intervals are those of `evaluation.trading_figures`. Excursions are shares of the
entry price: the furthest against the trade (MAE, at most 0) and the furthest for it (MFE, at least 0) while it was held.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import trading_figures, trading_table
from fieldcast.ground import MissingData, Reason
from fieldcast.simulation.report.figures import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TradeFigures:
    """Figures of closed trades; money in the base currency, excursions as shares of the entry price.

    Parameters
    ----------
    closed, open : numbers of trades and of positions still open, which are in no figure here
    by_direction, by_instrument, by_tag : the same trades in groups, columns of `evaluation.trading_table`
    """

    closed: int
    open: int
    win_rate: Figure
    profit_factor: Figure
    expectancy: Figure
    mean_win: Figure
    mean_loss: Figure
    payoff: Figure
    largest_win: Figure
    largest_loss: Figure
    losses_in_a_row: Figure
    bars_held: Figure
    mean_mae: Figure
    mean_mfe: Figure
    mae_of_winners: Figure
    mfe_of_losers: Figure
    edge_ratio: Figure
    by_direction: pl.DataFrame
    by_instrument: pl.DataFrame
    by_tag: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            found[field.name] = (
                value.as_dict() if isinstance(value, Figure) else value.to_dicts() if isinstance(value, pl.DataFrame) else value
            )
        return found


def trade_figures(trades: pl.DataFrame, *, start: float, open_positions: int) -> TradeFigures:
    """Figures of the trades of a run.

    Parameters
    ----------
    trades : schema `simulation.result.TRADES`, in order of exit
    start : equity before the first trade
    """
    net = trades["net"].to_numpy()
    mae, mfe = (trades[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("mae", "mfe"))
    won, lost = net > 0.0, net < 0.0
    try:
        shared: Any = trading_figures(net, start=start) if net.size else None
        why = "no trade was closed"
    except MissingData as error:
        shared, why = None, str(error)
    reason = Reason.FEW_ROWS if not net.size else Reason.UNDEFINED

    def of(value: float | None, lack: str) -> Figure:
        return (
            Figure.missing(reason if shared is None else Reason.UNDEFINED, why if shared is None else lack)
            if value is None
            else Figure.of(value, why=lack)
        )

    def over(values: Array, rows: NDArray[np.bool_], lack: str) -> Figure:
        known = values[rows & np.isfinite(values)]
        return Figure.of(float(known.mean())) if known.size else Figure.missing(Reason.FEW_ROWS, lack)

    every = np.ones(net.size, dtype=np.bool_)
    against, forward = over(-mae, every, "no excursion is known"), over(mfe, every, "no excursion is known")
    return TradeFigures(
        closed=net.size,
        open=open_positions,
        win_rate=Figure(value=shared.win_rate, low=shared.win_rate_low, high=shared.win_rate_high) if shared else of(None, ""),
        profit_factor=of(shared.profit_factor if shared else None, "no trade lost"),
        expectancy=of(shared.mean_profit if shared else None, ""),
        mean_win=of(shared.mean_win if shared else None, "no trade won"),
        mean_loss=of(shared.mean_loss if shared else None, "no trade lost"),
        payoff=of(-shared.mean_win / shared.mean_loss if shared else None, "wins or losses are lacking"),
        largest_win=of(float(net[won].max()) if won.any() else None, "no trade won"),
        largest_loss=of(float(net[lost].min()) if lost.any() else None, "no trade lost"),
        losses_in_a_row=of(float(_longest_run(lost)) if net.size else None, ""),
        bars_held=over(trades["bars_held"].cast(pl.Float64).to_numpy(), every, why),
        mean_mae=over(mae, every, "no excursion is known"),
        mean_mfe=forward,
        mae_of_winners=over(mae, won, "no trade won"),
        mfe_of_losers=over(mfe, lost, "no trade lost"),
        edge_ratio=Figure.of(forward.value / against.value)
        if forward.value is not None and against.value is not None and against.value > 0.0
        else Figure.missing(Reason.UNDEFINED, "no trade went against its holder"),
        by_direction=_groups(net, trades["direction"], ("long", "short")),
        by_instrument=_groups(net, trades["instrument"]),
        by_tag=_groups(net, trades["tag"].fill_null("untagged")),
    )


def _groups(net: Array, by: pl.Series, order: tuple[str, ...] = ()) -> pl.DataFrame:
    if not net.size:
        return trading_table([0.0], np.array([""])).clear()
    return trading_table(net, by.cast(pl.String).to_numpy().astype(str), order=order)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if edges.size else 0
