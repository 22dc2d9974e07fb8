"""A classifier's calls beside what came: a list of hits, the trades that they led to, and whether the two agree.

A call is made at the end of a bar. The first price that it could have been acted on is the next open that is a real print; it is
judged by the open `horizon` bars later:

    realised    open(entry + horizon) / open(entry) - 1          bars of its own instrument that have a real open; a split between
                                                                 the two changes the number of shares and is no move
    hit         the sign of `realised` is the called side; a move of exactly zero is neither a hit nor a miss

A call belongs to the trade that was open in its direction right after its entry. A call without a trade says why: it called no
side, its order was refused, its position is still open, or nothing was done about it; a trade without a call is counted too.
The bars that a trade's calls last make up its whole way, from the open of its entry to the open of its exit: each bar counts
once, however many calls last through it, and none after the exit. Their moves are summed to show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import wilson
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market import STAMP
from fieldcast.simulation.market import Market
from fieldcast.simulation.report.attribution import oldest_entry
from fieldcast.simulation.report.figures import Figure
from fieldcast.simulation.report.splits import shares_through
from fieldcast.simulation.result import SimulationResult

CALLS = ("ts", "instrument", "predicted")
SCHEMA: dict[str, pl.DataType] = {
    "ts": STAMP,  # end of the bar at which the call was made
    "instrument": pl.String(),
    "predicted": pl.Int8(),  # 1 up, -1 down, 0 neither
    "probability": pl.Float64(),  # of the called side; null where none was given
    "entry_ts": STAMP,  # moment of the open from which the call is judged; null where there is none
    "exit_ts": STAMP,
    "entry_open": pl.Float64(),
    "exit_open": pl.Float64(),
    "realised": pl.Float64(),
    "hit": pl.Boolean(),  # null where nothing was called, nothing moved, or the outcome is not known
    "trade": pl.Int64(),  # row of the table of trades
    "reason": pl.String(),  # why there is no trade; null where there is one
}
SIDES = {1: "long", -1: "short"}
STILL_OPEN, NONE = -1, -2  # in place of the row of a trade
Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HitList:
    """Every call with what came of it.

    Parameters
    ----------
    table : columns as in `SCHEMA`, in order of time
    horizon : bars that a call lasts
    hit_rate : hits of the calls that are judged, with Wilson's interval at 95 %
    base_rate : share of rises among the judged calls: what calling up every time would have hit
    judged, hits, level, unknown, sideless : numbers of calls; `level` moved by nothing, of `unknown` the outcome is not known yet
    traded : calls that belong to a trade
    untraded : the others, by reason
    uncalled : rows of trades to which no call belongs
    gaps : for each trade, by its row: its way from open to open that its calls do not make up, as a share of the entry; None
        where it was not entered and left at opens
    """

    table: pl.DataFrame
    horizon: int
    hit_rate: Figure
    base_rate: Figure
    judged: int
    hits: int
    level: int
    unknown: int
    sideless: int
    traded: int
    untraded: dict[str, int]
    uncalled: tuple[int, ...]
    gaps: dict[int, float | None]

    @property
    def reconciles(self) -> bool:
        """Each trade has its calls, each call its trade or a reason, and the calls' moves make up the trades' way."""
        counted = self.traded + sum(self.untraded.values()) == self.table.height
        whole = all(gap is None or abs(gap) <= 1e-9 for gap in self.gaps.values())
        return counted and whole and not self.uncalled

    def as_dict(self) -> dict[str, Any]:
        return {
            "horizon_bars": self.horizon,
            "calls": self.table.height,
            "hit_rate": self.hit_rate.as_dict(),
            "base_rate": self.base_rate.as_dict(),
            **{name: getattr(self, name) for name in ("judged", "hits", "level", "unknown", "sideless", "traded", "untraded")},
            "trades_without_a_call": len(self.uncalled),
            "reconciles": self.reconciles,
        }


def hit_list(calls: pl.DataFrame, result: SimulationResult, *, horizon: int = 1) -> HitList:
    """Judge a classifier's calls and match them with the trades of the backtest that followed them.

    Parameters
    ----------
    calls : `ts`, `instrument`, `predicted` in {-1, 0, 1}, and `probability` where there is one; one row a bar and instrument
    result : of the run that acted on them, at fills of the next open
    horizon : bars

    Raises
    ------
    InvalidInput : a column is missing, a side is none of the three, a call stands twice, its `ts` is no end of a bar, or the run
        filled at the close that it decided on
    MissingData : no call
    """
    if result.fill_convention != "next_open":
        raise InvalidInput(f"expected a run that fills at the next open, found {result.fill_convention}: calls count from there")
    market = result.market
    rows = _checked(calls, market)
    if horizon < 1:
        raise InvalidInput(f"expected a horizon of at least 1 bar, found {horizon}")
    refused = _refused(result.rejections)
    spans = pl.concat([
        result.trades.select("instrument", "direction", "entry_ts", "exit_ts", row=pl.col("trade_id")),
        _still_open(result),
    ])
    parts = [
        _judged(part.with_columns(instrument=pl.lit(name)), result, spans, horizon, refused)
        for (name,), part in rows.group_by("instrument", maintain_order=True)
    ]
    table = pl.concat([part for part, _ in parts]).sort("ts", "instrument")
    ways: dict[int, float] = {}
    for _, found in parts:
        ways |= found
    return _counted(table, horizon, result, ways)


def _still_open(result: SimulationResult) -> pl.DataFrame:
    """The positions that are still open, as spans without an end; row -1."""
    rows = []
    for name, lots in result.positions.select("instrument", "lots").iter_rows():
        entry = oldest_entry(result, result.market.row(name))
        side = SIDES[1 if lots > 0 else -1]
        rows.append({"instrument": name, "direction": side, "entry_ts": entry, "exit_ts": None, "row": STILL_OPEN})
    schema = {"instrument": pl.String(), "direction": pl.String(), "entry_ts": STAMP, "exit_ts": STAMP, "row": pl.Int64()}
    moments = pl.DataFrame(rows, schema=schema | {"entry_ts": pl.Int64()})
    return moments.with_columns(pl.col("entry_ts").cast(STAMP))


def _judged(
    calls: pl.DataFrame, result: SimulationResult, spans: pl.DataFrame, horizon: int, refused: pl.DataFrame
) -> tuple[pl.DataFrame, dict[int, float]]:
    """The rows of one instrument, and for each of its trades the sum of its calls' moves."""
    name, market = calls["instrument"][0], result.market
    bars, opens = _real_opens(market, market.row(name))
    level = opens * shares_through(result, market.row(name))[bars]
    stamp, side = calls["stamp"].to_numpy(), calls["predicted"].cast(pl.Int64).to_numpy()
    place = np.searchsorted(bars, np.searchsorted(market.ts, stamp), side="right")
    entered, known = place < bars.size, place + horizon < bars.size
    first, last = np.minimum(place, bars.size - 1), np.minimum(place + horizon, bars.size - 1)
    if not bars.size:
        raise MissingData(f"expected a real open of {name} in the market, found none")
    entry, leave = opens[first], opens[last]
    realised = np.where(known, level[last] / level[first] - 1.0, np.nan)
    trade = np.full(stamp.size, NONE, dtype=np.int64)
    for direction in (1, -1):
        entries, exits, numbers = _spans(spans, name, direction)
        latest = np.searchsorted(entries, market.open_ts[bars[first]], side="right") - 1
        inside = (side == direction) & entered & (latest >= 0)
        inside &= market.open_ts[bars[first]] < exits[np.maximum(latest, 0)] if exits.size else False
        trade = np.where(inside, numbers[np.maximum(latest, 0)] if numbers.size else NONE, trade)
    ends = dict(spans.filter(pl.col("row") >= 0).select("row", pl.col("exit_ts").dt.epoch("us")).iter_rows())
    ways = {
        int(row): _covered(first[trade == row], horizon, level, int(np.searchsorted(market.open_ts[bars], ends[int(row)])))
        for row in np.unique(trade[trade >= 0])
    }
    judged = known & (side != 0) & (realised != 0.0)
    table = calls.select(
        pl.from_epoch("stamp", time_unit="us").dt.replace_time_zone("UTC").alias("ts"),
        "instrument",
        "predicted",
        "probability",
        entry_ts=_stamps(market.open_ts[bars[first]], entered),
        exit_ts=_stamps(market.open_ts[bars[last]], known),
        entry_open=_where(entry, entered),
        exit_open=_where(leave, known),
        realised=_where(realised, known),
        hit=_where((realised > 0.0) == (side > 0), judged),
        trade=_where(trade, trade >= 0),
        held=pl.Series(trade == STILL_OPEN),
    )
    reason = (
        pl.when(pl.col("trade").is_not_null()).then(None)
        .when(pl.col("held")).then(pl.lit(str(Reason.STILL_OPEN)))
        .when(pl.col("predicted") == 0).then(pl.lit(str(Reason.DIRECTION_NONE)))
        .when(pl.col("refused").is_not_null()).then(pl.col("refused"))
        .when(pl.col("entry_ts").is_null()).then(pl.lit(str(Reason.NO_DATA)))
        .otherwise(pl.lit(str(Reason.NOT_ACTED_ON)))
    )  # fmt: skip
    told = table.join(refused, on=["ts", "instrument"], how="left", maintain_order="left").with_columns(reason=reason)
    return told.select(pl.col(column).cast(dtype) for column, dtype in SCHEMA.items()), ways


def _covered(entries: Integers, horizon: int, level: Array, leave: int) -> float:
    """The sum of one-bar moves over the bars that calls entered at these places last, each bar once, up to the trade's exit.

    entries : (n,) ascending places in `level`, the opens of the instrument in shares of the first one
    leave : place of the open at which the trade ended
    """
    until = np.minimum(entries + horizon, min(leave, level.size - 1))
    begin = np.maximum(entries, np.concatenate(([0], until[:-1])))
    return float((level[until] - level[begin])[until > begin].sum())


def _counted(table: pl.DataFrame, horizon: int, result: SimulationResult, ways: dict[int, float]) -> HitList:
    trades = result.trades
    called = table.filter(pl.col("predicted") != 0)
    judged = called.filter(pl.col("hit").is_not_null())
    hits = int(judged["hit"].sum())
    nothing = Figure.missing(Reason.FEW_ROWS, "no call has a known outcome yet")
    untraded = table.filter(pl.col("trade").is_null()).group_by("reason").len().sort("reason")
    with_calls = set(table["trade"].drop_nulls().to_list())
    return HitList(
        table=table,
        horizon=horizon,
        hit_rate=_share(hits, judged.height) if judged.height else nothing,
        base_rate=_share(int((judged["realised"] > 0).sum()), judged.height) if judged.height else nothing,
        judged=judged.height,
        hits=hits,
        level=called.filter(pl.col("realised") == 0.0).height,
        unknown=called.filter(pl.col("realised").is_null()).height,
        sideless=table.height - called.height,
        traded=table.height - table["trade"].null_count(),
        untraded={str(reason): int(count) for reason, count in untraded.iter_rows()},
        uncalled=tuple(row for row in range(trades.height) if row not in with_calls),
        gaps=_gaps(result, ways),
    )


def _share(count: int, n: int) -> Figure:
    low, high = wilson(count, n)
    return Figure(value=count / n, low=low, high=high)


def _gaps(result: SimulationResult, ways: dict[int, float]) -> dict[int, float | None]:
    """The way of each closed trade between the opens of its entry and exit, less its calls' moves, over the entry's open."""
    found: dict[int, float | None] = {}
    shares = {one.id: shares_through(result, n) for n, one in enumerate(result.market.instruments)}
    columns = result.trades.select("instrument", pl.col("entry_ts", "exit_ts").dt.epoch("us"))
    for row, (name, entry, leave) in enumerate(columns.iter_rows()):
        begin, end = (_open_at(result.market, name, stamp, shares[name]) for stamp in (entry, leave))
        found[row] = None if begin is None or end is None else (end - begin - ways.get(row, 0.0)) / begin
    return found


def _open_at(market: Market, instrument: str, stamp: int, shares: Array) -> float | None:
    """The open of the bar that begins at this moment (microseconds), in shares of the first bar; None where none does."""
    place = int(np.searchsorted(market.open_ts, stamp))
    if place >= market.bars or int(market.open_ts[place]) != stamp:
        return None
    value = float(market.open[market.row(instrument), place] * shares[place])
    return value if np.isfinite(value) else None


def _real_opens(market: Market, row: int) -> tuple[Integers, Array]:
    """Bars of an instrument that open with a real print, and those opens."""
    bars = np.flatnonzero(market.trusted_open[row] & np.isfinite(market.open[row]))
    return bars, market.open[row][bars]


def _spans(spans: pl.DataFrame, instrument: str, direction: int) -> tuple[Integers, Integers, Integers]:
    """Entry, exit (without one: the far future) in microseconds and row of the trades of one side, by entry."""
    mine = spans.filter((pl.col("instrument") == instrument) & (pl.col("direction") == SIDES[direction]))
    part = mine.sort("entry_ts", maintain_order=True).select("row", pl.col("entry_ts", "exit_ts").dt.epoch("us"))
    leave = part["exit_ts"].fill_null(np.iinfo(np.int64).max)
    return tuple(column.cast(pl.Int64).to_numpy() for column in (part["entry_ts"], leave, part["row"]))  # type: ignore[return-value]


def _refused(rejections: pl.DataFrame) -> pl.DataFrame:
    """The first reason by time of decision and instrument."""
    chosen = rejections.select("instrument", ts="created_ts", refused="reasons")
    return chosen.unique(["ts", "instrument"], keep="first", maintain_order=True)


def _where(values: NDArray[Any], known: NDArray[np.bool_]) -> pl.Series:
    """The values, null where they are not known."""
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()


def _stamps(values: Integers, known: NDArray[np.bool_]) -> pl.Series:
    return pl.from_epoch(_where(values, known), time_unit="us").dt.replace_time_zone("UTC")


def _checked(calls: pl.DataFrame, market: Market) -> pl.DataFrame:
    absent = [name for name in CALLS if name not in calls.columns]
    if absent:
        raise InvalidInput(f"expected columns {', '.join(CALLS)}, missing {', '.join(absent)}")
    if calls.is_empty():
        raise MissingData("expected at least one call, found none")
    sides = set(calls["predicted"].unique().to_list())
    if not sides <= {-1, 0, 1}:
        raise InvalidInput(f"expected sides out of -1, 0 and 1, found {sorted(map(str, sides))}")
    if calls.select("ts", "instrument").is_duplicated().any():
        raise InvalidInput("expected one call a bar and instrument, found one twice")
    probability = pl.col("probability").cast(pl.Float64) if "probability" in calls.columns else pl.lit(None, dtype=pl.Float64)
    rows = calls.sort("ts", "instrument").select(
        "instrument", pl.col("predicted").cast(pl.Int8), probability=probability, stamp=pl.col("ts").dt.epoch("us")
    )
    outside = rows.filter((pl.col("probability") < 0.0) | (pl.col("probability") > 1.0) | pl.col("probability").is_nan())
    if outside.height:
        raise InvalidInput(f"expected probabilities from 0 to 1, found {outside['probability'][0]}")
    strange = ~np.isin(rows["stamp"].to_numpy(), market.ts)
    if strange.any():
        first = rows["stamp"][int(strange.argmax())]
        raise InvalidInput(f"expected calls at ends of bars, found {int(strange.sum())} others, the first at {first}")
    return rows
