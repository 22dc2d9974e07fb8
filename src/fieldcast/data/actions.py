"""Corporate actions, applied when prices are read and only as far as they were known.

The store keeps raw prices. A price p that ended before the ex-dates e of a set of actions is read as

    p' = p * prod_e f_e        f = 1 / ratio                    split, `ratio` new shares for one old share
                               f = 1 - amount / close_before    dividend (CRSP: the price falls by the cash on the ex-date)
    v' = v / prod_(splits) f   a size grows with a split and knows no dividend

Only actions that were effective and known at `as_of` count: read as of the day before a split the prices are the raw ones,
read later they run on without a jump, and nothing that came after `as_of` moves them. A reader of returns sees the same
returns at every later `as_of`; a reader of levels sees those that a trader had before him.
Source: CRSP, Data Descriptions Guide, "factor to adjust prices"; LEAN's factor files follow the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, get_args

import numpy as np
import polars as pl

from fieldcast.data.store import Store, between
from fieldcast.ground import InvalidInput, MissingData, Reason, utc
from fieldcast.market import DAILY, STAMP
from fieldcast.market.tables import ACTIONS

Mode = Literal["raw", "split", "total"]
SPLIT, DIVIDEND = "split", "dividend"
NEW_YORK = "America/New_York"
# kind of table → columns that are prices, columns that are numbers of shares
_QUOTED = tuple(f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close"))
_SCALED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bars": (("open", "high", "low", "close"), ("volume",)),
    "quote_bars": (_QUOTED, ("bid_size", "ask_size")),
    "trades": (("price",), ("size",)),
    "quotes": (("bid", "ask"), ("bid_size", "ask_size")),
}
_Values = Sequence[float | None] | pl.Series | None


def action_rows(
    instrument: str,
    dates: Sequence[date | None] | pl.Series,
    splits: _Values = None,
    dividends: _Values = None,
    references: _Values = None,
    *,
    zone: str = NEW_YORK,
    announced: Sequence[datetime | None] | pl.Series | None = None,
) -> pl.DataFrame:
    """Rows of table `actions` out of columns (date, split, dividend), as price files bring them.

    Parameters
    ----------
    dates : (n,) ex-dates
    splits : (n,) new shares for one old share; 0, 1, NaN and null mean none
    dividends : (n,) cash for one share as held before the ex-date; 0, NaN and null mean none
    references : (n,) close before the ex-date, where the source states it
    zone : of the instrument; an action is effective from midnight of its ex-date there
    announced : (n,) when each was announced (UTC); none = not said: the ex-date's midnight, with reason
        `availability_assumed`

    Returns
    -------
    schema of `actions`, by ex-date, splits before dividends; numbers are not judged (cleaning does)
    """
    days = pl.Series("day", dates, dtype=pl.Date)
    empty = [None] * days.len()

    def numbers(name: str, values: _Values) -> pl.Series:
        column = pl.Series(name, empty if values is None else values, strict=False).cast(pl.Float64, strict=False)
        return column.fill_nan(None)

    columns = [days, numbers("ratio", splits), numbers("amount", dividends), numbers("reference", references)]
    lengths = {column.len() for column in columns}
    if len(lengths) != 1:
        raise InvalidInput(f"expected as many dates as splits, dividends and references for {instrument}, found {lengths}")
    frame = pl.DataFrame(columns).with_columns(
        announced=pl.Series("announced", empty if announced is None else announced, dtype=STAMP),
        effective_at=pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC"),
    )
    none = pl.lit(None, dtype=pl.Float64)
    split = frame.filter((pl.col("ratio") != 0) & (pl.col("ratio") != 1)).with_columns(
        action=pl.lit(SPLIT), order=pl.lit(0), amount=none
    )
    dividend = frame.filter(pl.col("amount") != 0).with_columns(action=pl.lit(DIVIDEND), order=pl.lit(1), ratio=none)
    rows = pl.concat([split, dividend.select(split.columns)]).sort("day", "order", nulls_last=True, maintain_order=True)
    assumed = pl.when(pl.col("announced").is_null()).then(pl.lit(str(Reason.AVAILABILITY_ASSUMED)))
    return rows.with_columns(
        instrument=pl.lit(instrument), ts=pl.coalesce("announced", "effective_at"), reasons=assumed
    ).with_columns(available_at="ts").select(pl.col(name).cast(dtype) for name, dtype in ACTIONS.schema.items())


def adjust(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    as_of: datetime,
    mode: Mode,
    *,
    closes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Prices as a person would read them at `as_of`.

    Parameters
    ----------
    bars : raw rows of one instrument out of bars, quote_bars, trades or quotes; daily or intraday
    actions : its rows of table `actions`; those that were not yet known or effective at `as_of` do nothing
    mode : `raw` leaves the prices, `split` takes splits in, `total` splits and dividends
    closes : `ts`, `close` (raw) out of which the close before an ex-date is taken where an action has no reference;
        none = `bars`

    Returns
    -------
    `bars` with prices and sizes scaled; rows, order and other columns as they were

    Raises
    ------
    InvalidInput : rows of several instruments, an unknown mode, an action without its number, a dividend as large as the price
    MissingData : a dividend has neither a reference nor a close before it, and rows before it
    """
    if mode not in get_args(Mode):
        raise InvalidInput(f"expected mode raw, split or total, found {mode!r}")
    prices, sizes = _columns(bars)
    if mode == "raw" or bars.is_empty():
        return bars
    known = effective(actions, as_of, mode)
    _refuse_strangers(bars, known)
    if known.is_empty() or known["effective_at"][-1] < bars["ts"].min():
        return bars
    known = known.filter(pl.col("effective_at") >= bars["ts"].min())
    price, size = _factors(known, bars if closes is None else closes)
    moments = known["effective_at"].to_physical().to_numpy()
    later = np.searchsorted(moments, bars["ts"].cast(STAMP).to_physical().to_numpy(), side="left")  # actions before the row
    price_factor = pl.Series("price_factor", _after(price)[later])
    size_factor = pl.Series("size_factor", _after(size)[later])
    return bars.with_columns(
        *(pl.col(name) * price_factor for name in prices), *(pl.col(name) / size_factor for name in sizes)
    )


def effective(actions: pl.DataFrame, as_of: datetime, mode: Mode) -> pl.DataFrame:
    """The actions that count at `as_of` in this mode, by ex-date; of one announced twice, the newest announcement."""
    moment = utc(as_of)
    wanted = [SPLIT, DIVIDEND] if mode == "total" else [SPLIT] if mode == "split" else []
    known = actions.filter(
        (pl.col("effective_at") <= moment) & (pl.col("available_at") <= moment) & pl.col("action").is_in(wanted)
    )
    newest = known.sort("available_at", "ts", maintain_order=True).unique(
        ["instrument", "action", "effective_at"], keep="last", maintain_order=True
    )
    return newest.sort("effective_at", "action", descending=[False, True])


def read_adjusted(
    store: Store,
    instrument: str,
    mode: Mode,
    *,
    as_of: datetime | None = None,
    table: str = DAILY,
    first: date | None = None,
    last: date | None = None,
    dataset: str | None = None,
    actions_dataset: str | None = None,
    assume_none: bool = False,
) -> pl.DataFrame:
    """Rows of one instrument with corporate actions applied as far as they were known at `as_of`.

    Parameters
    ----------
    mode : as in `adjust`
    as_of : none = when the newest row became known
    first, last : UTC dates of `ts`, both included; a row reads the same in every range
    actions_dataset : of table `actions`; needed only where several datasets hold the instrument's
    assume_none : read an instrument for which no action is stored as one that never had any

    Raises
    ------
    MissingData : no such rows; no actions are stored (and `assume_none` is not set); or the source gives adjusted prices
        alone, which can be read in mode `total` only
    """
    lineage = store.lineage(instrument, table=table, dataset=dataset)
    if any(delivery.adjustment == "adjusted_only" for delivery in lineage):
        if mode != "total":
            raise MissingData(
                f"expected raw prices of {instrument} ({table}), found a source that gives back-adjusted ones alone; read them "
                "adjusted in total (their levels carry every later dividend, their returns do not), or import a raw source"
            )
        return store.read(instrument, table=table, as_of=as_of, first=first, last=last, dataset=dataset)
    rows = store.read(instrument, table=table, as_of=as_of, dataset=dataset)
    if rows.is_empty() or mode == "raw":
        return between(rows, first, last)
    moment = as_of if as_of is not None else rows["available_at"].max()
    try:
        actions = store.read(instrument, table=ACTIONS.name, as_of=moment, dataset=actions_dataset)  # type: ignore[arg-type]
    except MissingData:
        if not assume_none:
            raise MissingData(
                f"expected corporate actions of {instrument} in the store, found none; import a file that states its splits and "
                "dividends (a LEAN factor file, or prices with columns for them), or read raw prices instead (adjust raw; in "
                "Python, read_adjusted also takes assume_none=True for an instrument that never had any)"
            ) from None
        actions = ACTIONS.empty()
    closes = None
    if actions["reference"].null_count() and table != DAILY:
        closes = _daily_closes(store, instrument, as_of, dataset)
    return between(adjust(rows, actions, moment, mode, closes=closes), first, last)  # type: ignore[arg-type]


def _daily_closes(store: Store, instrument: str, as_of: datetime | None, dataset: str | None) -> pl.DataFrame | None:
    """Daily closes where the store has them: the official close comes before the last print of an evening."""
    try:
        return store.read(instrument, as_of=as_of, dataset=dataset, columns=["ts", "close"])
    except MissingData:
        return None


def _columns(bars: pl.DataFrame) -> tuple[list[str], list[str]]:
    """The price and the size columns of `bars`."""
    for prices, sizes in _SCALED.values():
        if prices[-1] in bars.columns:
            return [name for name in prices if name in bars.columns], [name for name in sizes if name in bars.columns]
    raise InvalidInput(f"expected rows of {', '.join(_SCALED)}, found columns {', '.join(bars.columns)}")


def _refuse_strangers(bars: pl.DataFrame, actions: pl.DataFrame) -> None:
    ids = set(bars["instrument"].unique()) | set(actions["instrument"].unique())
    if len(ids) > 1:
        raise InvalidInput(f"expected rows and actions of one instrument, found {', '.join(sorted(ids))}")


def _after(factors: np.ndarray) -> np.ndarray:
    """(n + 1,) at k the product of the factors from the k-th action on; at n, after the last one, exactly 1."""
    return np.concatenate([np.cumprod(factors[::-1])[::-1], [1.0]])


def _factors(actions: pl.DataFrame, closes: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(n,) of each action: what it does to earlier prices, and what its split does to them."""
    series = "close" if "close" in closes.columns else None
    before = pl.lit(None, dtype=pl.Float64).alias("close_before")
    judged = actions.with_columns(before)
    if series and not closes.is_empty():
        known = closes.select(pl.col("ts").alias("effective_at"), pl.col("close").alias("close_before")).drop_nulls()
        judged = actions.join_asof(known.sort("effective_at"), on="effective_at", strategy="backward")
    judged = judged.with_columns(base=pl.coalesce("reference", "close_before"))
    is_split = pl.col("action") == SPLIT
    bare = judged.filter(pl.when(is_split).then(pl.col("ratio").is_null()).otherwise(pl.col("amount").is_null()))
    if bare.height:
        raise InvalidInput(f"expected a ratio of each split and an amount of each dividend, found {_shown(bare)} without")
    blind = judged.filter(~is_split & pl.col("base").is_null())
    if blind.height:
        raise MissingData(f"expected a close before each dividend, found none before {_shown(blind)}; give closes or a reference")
    judged = judged.with_columns(
        factor=pl.when(is_split).then(1 / pl.col("ratio")).otherwise(1 - pl.col("amount") / pl.col("base")),
        split=pl.when(is_split).then(1 / pl.col("ratio")).otherwise(1.0),
    )
    absurd = judged.filter(~((pl.col("factor") > 0) & pl.col("factor").is_finite()))
    if absurd.height:
        raise InvalidInput(f"expected a dividend below the price and a ratio above zero, found {_shown(absurd)}")
    return judged["factor"].to_numpy(), judged["split"].to_numpy()


def _shown(actions: pl.DataFrame) -> str:
    """The first of `actions` in words."""
    row = actions.row(0, named=True)
    numbers = f"ratio {row['ratio']}, amount {row['amount']}"
    return f"{row['action']} of {row['instrument']} at {row['effective_at']:%Y-%m-%d} ({numbers})"
