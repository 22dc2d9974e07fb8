"""Profiles out of quotes and fills.

    spread sample     10^4 * (ask - bid) / mid                                 of each quote with both sides, ask >= bid
    slippage sample   10^4 * side * (price - reference) / reference - half spread at that time          of each fill

A fill counts where the spread of its moment is known: the last quote at or before it, not older than a minute. A bucket with
fewer samples than asked for keeps what it had, whatever it had. What was dropped is counted.

Source: the reference system's nightly job (7 days, 10 samples a bucket, dated files); its spreads were random draws, these
are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput, utc
from fieldcast.market import STAMP, Instrument
from fieldcast.trading.costs.buckets import BUCKETS, SessionBucket, bucket_codes
from fieldcast.trading.costs.impact import BPS
from fieldcast.trading.costs.profiles import CostDistribution, CostProfile, ExecutionCosts
from fieldcast.trading.orders import Side

LOOK_BACK = timedelta(days=7)
LEAST_SAMPLES = 10
QUOTE_AGE = timedelta(minutes=1)
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class MeasuredFill:
    """A fill of a real order: what was paid, and the price that it is measured against (the mid when it was sent)."""

    instrument: str
    side: Side
    price: Decimal
    reference_price: Decimal
    ts: datetime

    def __post_init__(self) -> None:
        if self.price <= 0 or self.reference_price <= 0:
            raise InvalidInput(f"expected prices above zero, found {self.price} and {self.reference_price}")


@dataclass(frozen=True)
class Recalibration:
    """New profiles, and what happened to each bucket.

    Parameters
    ----------
    costs : the profiles from now on
    buckets : instrument, bucket, kind (spread or slippage), samples, status (`updated` or `unchanged`); one row for each that
        had a sample or a profile
    quotes, one_sided, crossed : quotes looked at, and those without both sides or with ask < bid
    fills, fills_without_spread : fills looked at, and those without a quote at their time
    """

    costs: ExecutionCosts
    buckets: pl.DataFrame
    quotes: int
    one_sided: int
    crossed: int
    fills: int
    fills_without_spread: int


@dataclass(frozen=True)
class QuoteSamples:
    """Spreads of one instrument: (n,) moments in microseconds, ascending, and basis points; what was dropped."""

    moments: np.ndarray
    spread_bps: np.ndarray
    quotes: int
    one_sided: int
    crossed: int


def quote_samples(quotes: pl.DataFrame) -> QuoteSamples:
    """Spreads of quotes of one instrument.

    Parameters
    ----------
    quotes : rows of `quotes` (bid, ask), or of a table of quote bars (the quote at the end of each bar is taken, a moment
        before that end)

    Raises
    ------
    InvalidInput : neither pair of columns is there
    """
    bars = "bid_close" in quotes.columns
    if not bars and "bid" not in quotes.columns:
        raise InvalidInput(f"expected quotes (bid, ask) or quote bars (bid_close, ask_close), found {', '.join(quotes.columns)}")
    bid, ask = ("bid_close", "ask_close") if bars else ("bid", "ask")
    both = quotes.filter(pl.col(bid).is_not_null() & pl.col(ask).is_not_null()).sort("ts")
    usable = both.filter(pl.col(ask) >= pl.col(bid))
    spread = usable.select(BPS * (pl.col(ask) - pl.col(bid)) / (0.5 * (pl.col(ask) + pl.col(bid)))).to_series()
    moments = usable["ts"].cast(STAMP).to_physical().to_numpy() - (1 if bars else 0)
    return QuoteSamples(
        moments, spread.to_numpy(), quotes.height, quotes.height - both.height, both.height - usable.height
    )


def recalibrated(
    earlier: ExecutionCosts | None,
    *,
    as_of: datetime,
    instruments: Mapping[str, Instrument],
    quotes: Mapping[str, pl.DataFrame],
    fills: Sequence[MeasuredFill] = (),
    look_back: timedelta = LOOK_BACK,
    least: int = LEAST_SAMPLES,
) -> Recalibration:
    """Profiles of the last days, and those of before where a bucket has too few samples.

    Parameters
    ----------
    earlier : profiles until now; None = there are none
    as_of : the moment of the measurement; quotes and fills of (as_of - look_back, as_of] count
    instruments : id → instrument, for its calendar
    quotes : id → rows, see `quote_samples`
    fills : of any instruments; those of others than `instruments` are left aside
    least : samples that a bucket needs

    Raises
    ------
    InvalidInput : quotes of an instrument that is not described, or a look-back or a number of samples below one
    """
    as_of = utc(as_of)
    if look_back <= timedelta(0) or least < 1:
        raise InvalidInput(f"expected a look-back above 0 and at least 1 sample, found {look_back} and {least}")
    unknown = sorted(quotes.keys() - instruments.keys())
    if unknown:
        raise InvalidInput(f"expected quotes of described instruments, found {', '.join(unknown)}")
    window = (as_of - look_back, as_of)
    profiles = dict(earlier.profiles) if earlier is not None else {}
    rows: list[tuple[str, str, str, int, str]] = []
    dropped = np.zeros(3, np.int64)
    lost = looked = 0
    for name, instrument in sorted(instruments.items()):
        table = quotes.get(name)
        found = quote_samples(_within(table, window)) if table is not None else _NOTHING
        dropped += (found.quotes, found.one_sided, found.crossed)
        own = [fill for fill in fills if fill.instrument == name and window[0] < utc(fill.ts) <= window[1]]
        at, slippage = _slippage_samples(own, found)
        looked += len(own)
        lost += len(own) - at.size
        spreads = _by_bucket(instrument.calendar, found.moments, found.spread_bps)
        slippages = _by_bucket(instrument.calendar, at, slippage)
        for bucket in BUCKETS:
            before = profiles.get((name, bucket), CostProfile())
            kinds = {"spread": (spreads, before.spread), "slippage": (slippages, before.slippage)}
            after: dict[str, CostDistribution | None] = {}
            for kind, (samples, kept) in kinds.items():
                values = samples.get(bucket, np.empty(0))
                enough = values.size >= least
                after[kind] = CostDistribution.of(values, as_of) if enough else kept
                if values.size or kept is not None:
                    rows.append((name, str(bucket), kind, int(values.size), "updated" if enough else "unchanged"))
            if any(one is not None for one in after.values()):
                profiles[name, bucket] = CostProfile(**after)
    table_of_rows = pl.DataFrame(
        rows,
        schema={"instrument": pl.String, "bucket": pl.String, "kind": pl.String, "samples": pl.Int64, "status": pl.String},
        orient="row",
    )
    day: date = as_of.date()
    return Recalibration(
        ExecutionCosts(day, profiles), table_of_rows, int(dropped[0]), int(dropped[1]), int(dropped[2]), looked, lost
    )


_NOTHING = QuoteSamples(np.empty(0, np.int64), np.empty(0), 0, 0, 0)


def _within(table: pl.DataFrame, window: tuple[datetime, datetime]) -> pl.DataFrame:
    """Rows of the window that were known at its end."""
    inside = (pl.col("ts") > window[0]) & (pl.col("ts") <= window[1])
    known = pl.col("available_at") <= window[1] if "available_at" in table.columns else pl.lit(value=True)
    return table.filter(inside & known)


def _slippage_samples(fills: Sequence[MeasuredFill], found: QuoteSamples) -> tuple[np.ndarray, np.ndarray]:
    """Moments and slippage of the fills whose spread is known."""
    moments, slippage = [], []
    limit = int(QUOTE_AGE / _MOMENT)
    for fill in fills:
        at = int((utc(fill.ts) - _EPOCH) / _MOMENT)
        place = int(np.searchsorted(found.moments, at, side="right")) - 1
        if place < 0 or at - int(found.moments[place]) > limit:
            continue
        paid = BPS * fill.side.sign * float((fill.price - fill.reference_price) / fill.reference_price)
        moments.append(at)
        slippage.append(paid - 0.5 * float(found.spread_bps[place]))
    return np.array(moments, np.int64), np.array(slippage, np.float64)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00+00:00")


def _by_bucket(calendar: str, moments: np.ndarray, values: np.ndarray) -> dict[SessionBucket, np.ndarray]:
    if moments.size == 0:
        return {}
    codes = bucket_codes(calendar, moments)
    return {BUCKETS[code]: values[codes == code] for code in np.unique(codes)}
