"""A book over time: imbalance, microprice, spread and order flow after each message, or at chosen times.

At a chosen time t the row shows the last state that was known by then, and as order flow the sum over the messages that became
known since the time before, in (t', t]. Nothing later enters. A stretch in which the book was unknown at any message has no order
flow: what happened then is not known. A stretch without a message has a flow of zero, because nothing changed.
"""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import polars as pl

from fieldcast.fields._rows import Counts, Floats
from fieldcast.fields.books.imbalance import ImbalanceSettings, order_book_imbalance
from fieldcast.ground import InvalidInput, MissingData, Reason, reason_codes
from fieldcast.market import STAMP


def book_events(depth: pl.DataFrame, at: pl.Series | None = None, settings: ImbalanceSettings | None = None) -> pl.DataFrame:
    """Imbalance, microprice, spread and order flow over time.

    Parameters
    ----------
    depth : rows of `depth` of one instrument
    at : strictly ascending times in UTC; None = after each message
    settings : levels and weighting

    Returns
    -------
    instrument, ts, available_at (of the last message; null where there is none), then the quantities of `order_book_imbalance`
    and their `reasons`. With `at`, `ts` are those times, `ofi_k` is the flow since the time before (null at the first:
    `warming_up`), and `age_seconds` is how old the last message was

    Raises
    ------
    InvalidInput : rows of several instruments or none, or times without a zone, null or out of order
    """
    from fieldcast.data.books import replay

    settings = settings or ImbalanceSettings()
    table = order_book_imbalance(replay(depth, settings.levels[-1]).states, settings)
    return table if at is None else events_at(table, at, settings)


def events_at(table: pl.DataFrame, at: pl.Series, settings: ImbalanceSettings) -> pl.DataFrame:
    """The rows of `order_book_imbalance` looked at at chosen times; see `book_events`."""
    wanted = _times(at)
    known = table["available_at"].cast(STAMP).to_physical().to_numpy()
    place = np.searchsorted(known, wanted, side="right") - 1  # last message known by then
    seen = place >= 0
    rows = table[np.maximum(place, 0)].with_columns(
        pl.when(pl.Series(seen)).then(pl.col(name)).alias(name) for name in ("available_at", *settings.quantities, "reasons")
    )
    reason = np.array([(text or "").split(",")[0] for text in rows["reasons"]], object)
    reason = np.where(reason == str(Reason.WARMING_UP), "", reason)  # of the message's own flow, which is not shown
    reason = np.where(seen, reason, str(Reason.BOOK_UNKNOWN))
    flow_reason = np.full(wanted.size, "", object)
    columns = []
    for name in settings.quantities:
        if name.startswith("ofi_"):
            flow, why = _flow(table, name, place)
            columns.append(pl.Series(name, np.where(reason == "", flow, np.nan), nan_to_null=True))
            flow_reason = np.where(np.isnan(flow) & (flow_reason == ""), why, flow_reason)
    texts = [",".join(dict.fromkeys(code for code in pair if code)) or None for pair in zip(reason, flow_reason, strict=True)]
    return rows.with_columns(
        at.cast(STAMP).alias("ts"),
        *columns,
        pl.Series("age_seconds", np.where(seen, (wanted - known[np.maximum(place, 0)]) / 1e6, np.nan), nan_to_null=True),
        pl.Series("reasons", texts, dtype=pl.String),
    ).select("instrument", "ts", "available_at", "age_seconds", *settings.quantities, "reasons")


def flow_between(table: pl.DataFrame, first: datetime, last: datetime, settings: ImbalanceSettings) -> dict[str, float | Reason]:
    """Order flow of the messages known in (first, last], for each `ofi_k`, or why it is not known.

    Raises
    ------
    MissingData : no message was known by `first`: the stretch begins before the rows do
    """
    times = pl.Series([first, last]).cast(STAMP)
    known = table["available_at"].cast(STAMP).to_physical().to_numpy()
    place = np.searchsorted(known, _times(times), side="right") - 1
    if place[0] < 0:
        raise MissingData(f"expected messages of the book by {first.isoformat()}, found none; ask for a shorter stretch")
    found: dict[str, float | Reason] = {}
    stretch = table[place[0] + 1 : place[1] + 1]    # alone: a sum over it does not depend on where the rows before begin
    for name in (item for item in settings.quantities if item.startswith("ofi_")):
        values = stretch[name].fill_null(float("nan")).to_numpy()
        unknown = np.flatnonzero(np.isnan(values))
        if unknown.size:
            code = stretch["reasons"][int(unknown[-1])] or str(Reason.BEYOND_BOOK)
            found[name] = reason_codes([code.split(",")[0]])[0]
        else:
            found[name] = math.fsum(values)
    return found


def _flow(table: pl.DataFrame, name: str, place: Counts) -> tuple[Floats, Floats]:
    """(k,) flow of the messages after place[i − 1] and up to place[i], NaN where one is unknown, and why."""
    values = table[name].fill_null(float("nan")).to_numpy()
    unknown = np.isnan(values)
    total = np.concatenate(([0.0], np.cumsum(np.where(unknown, 0.0, values))))
    gaps = np.concatenate(([0], np.cumsum(unknown)))
    latest = np.maximum.accumulate(np.where(unknown, np.arange(unknown.size), -1))
    before = np.concatenate(([-1], place[:-1]))
    whole = (gaps[place + 1] == gaps[before + 1]) & (before >= 0)
    codes = table["reasons"].to_list()
    why = np.full(place.size, str(Reason.WARMING_UP), object)
    for i in np.flatnonzero(~whole & (before >= 0)):
        why[i] = (codes[latest[place[i]]] or str(Reason.BEYOND_BOOK)).split(",")[0]
    flow = np.where(whole, total[place + 1] - total[before + 1], np.nan)
    return flow, why


def _times(at: pl.Series) -> Counts:
    if not isinstance(at.dtype, pl.Datetime) or at.dtype.time_zone is None or at.null_count():
        raise InvalidInput(f"expected times with their zone, found {at.dtype} with {at.null_count()} null")
    times = at.cast(STAMP).to_physical().to_numpy()
    if (np.diff(times) <= 0).any():
        raise InvalidInput("expected times in strictly ascending order, found others; sort them and take each once")
    return np.asarray(times, np.int64)
