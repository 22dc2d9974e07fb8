"""Opens that are copies of the previous close.

Some index histories carry no opening print: the vendor filled the open with the previous close. In such a year no fill
and no feature may use the open. The rule, on every import and for each calendar year:

    share of sessions with |open / previous close - 1| < 1 bp   above 20 %   →   reason `open_synthetic` on all its rows

Only sessions that begin after a pause are compared: where trading never stops the open is the previous close by nature.

A year is judged by what is known of it, and a file may bring a part of a year: `flag_synthetic_opens` flags the rows of a file,
`settle_opens` then brings the rows that are stored in line with the judgement on all of them, so that the flags do not depend on
how a history was cut into files. What it changes is a restatement: as of an earlier moment the rows read as they did then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from fieldcast.data.lineage import Lineage
from fieldcast.data.store import Store
from fieldcast.ground import Reason, utc
from fieldcast.market import BARS, Instrument, add_reason, has_reason, sessions

TOLERANCE = 1e-4
SHARE = 0.20
FEWEST = 20  # compared sessions below which a year is not judged


def flag_synthetic_opens(bars: pl.DataFrame, calendar: str, history: pl.DataFrame | None = None) -> pl.DataFrame:
    """`bars` of one instrument, ascending, with `open_synthetic` on every row of a year that breaks the rule.

    Parameters
    ----------
    history : rows of the same instrument that are known already; they help to judge a year and are not returned
    """
    together = bars if history is None else pl.concat([history.filter(~pl.col("ts").is_in(bars["ts"].implode())), bars])
    years = synthetic_years(together, calendar)
    return bars.with_columns(add_reason(Reason.OPEN_SYNTHETIC, pl.col("ts").dt.year().is_in(years))).select(list(BARS))


def settle_opens(store: Store, instruments: Iterable[Instrument], dataset: str, now: datetime) -> int:
    """Add or remove `open_synthetic` on stored daily bars of a dataset where the judgement on their whole year says so.

    Called after rows were stored; called again it changes nothing.

    Returns
    -------
    rows that were restated

    Raises
    ------
    MissingData : the dataset holds no daily bars of one of the instruments
    """
    parts: dict[tuple[str, ...], list[pl.DataFrame]] = {}
    lineages: dict[tuple[str, ...], Lineage] = {}
    for instrument in instruments:
        stored = store.read(instrument.id, dataset=dataset)
        wrong = _misjudged(stored, instrument.calendar)
        if not wrong.is_empty():
            delivery = store.lineage(instrument.id, dataset=dataset)[-1]
            key: tuple[str, ...] = (delivery.adjustment, delivery.available_at, str(delivery.simulated))
            parts.setdefault(key, []).append(wrong)
            lineages[key] = delivery
    restated = 0
    for key, frames in parts.items():
        rows = pl.concat(frames)
        newest: datetime = rows["available_at"].sort()[-1]
        moment = max(utc(now), newest + timedelta(microseconds=1))
        source = f"opens judged again after {lineages[key].source.removeprefix('opens judged again after ')}"
        restated += store.append(rows, replace(lineages[key], fetched_at=moment, source=source, dropped={})).rows_restated
    return restated


def _misjudged(stored: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """The rows whose flag is not what their year's judgement says, with the flag as it has to be."""
    synthetic = pl.col("ts").dt.year().is_in(synthetic_years(stored, calendar))
    flagged = has_reason(Reason.OPEN_SYNTHETIC)
    kept = pl.col("reasons").str.split(",").list.eval(pl.element().filter(pl.element() != str(Reason.OPEN_SYNTHETIC)))
    without = pl.when(kept.list.len() > 0).then(kept.list.join(","))
    return (
        stored.filter(synthetic != flagged)
        .with_columns(pl.when(flagged).then(without).otherwise("reasons").alias("reasons"), _flagged=flagged)
        .with_columns(add_reason(Reason.OPEN_SYNTHETIC, ~pl.col("_flagged")))
        .select(list(BARS))
    )


def synthetic_years(bars: pl.DataFrame, calendar: str) -> list[int]:
    """Calendar years whose opens break the rule, ascending."""
    table = open_copies(bars, calendar)
    return table.filter((pl.col("compared") >= FEWEST) & (pl.col("share") > SHARE))["year"].to_list()


def open_copies(bars: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """By calendar year: `compared` sessions, and the `share` whose open is within 1 bp of the previous close."""
    begins = sessions(calendar).select(ts="close", paused=pl.col("open") > pl.col("close").shift(1))
    return (
        bars.sort("ts")
        .with_columns(previous=pl.col("close").shift(1))
        .join(begins, on="ts", how="left")
        .filter(pl.col("paused") & pl.col("open").is_not_null() & pl.col("previous").is_not_null())
        .group_by(year=pl.col("ts").dt.year())
        .agg(
            compared=pl.len(),
            share=((pl.col("open") / pl.col("previous") - 1).abs() < TOLERANCE).mean(),
        )
        .sort("year")
    )
