"""What trades pay and what they move: signs of trades, effective and realised spread, Kyle's λ.

    sign s      +1 a buyer took, −1 a seller: as the venue says; else by Lee and Ready: above the mid of the quote before it +1,
                below −1, at it the sign of the last change of the trade price
    effective   2 s (p − m) / m · 10⁴            [bps]        p the trade, m the mid that stood before it
    realised    2 s (p − m_τ) / m · 10⁴          [bps]        m_τ the mid that stood τ after it
    impact      2 s (m_τ − m) / m · 10⁴          [bps]        effective = realised + impact, trade by trade

    Kyle        m(end) − m(start) = α + λ x + ε   over equal intervals, x the units bought less the units sold in them
                λ by least squares                  [price per unit]; with its standard error, robust to unequal variances (HC1)

A mid τ after a trade is known only where the quotes go on that long. λ describes the stretch it was measured on, as Amihud's
ratio does: it is no fitted model, and says how much price and signed volume moved together, not which moved which.

Sources: Lee & Ready, Inferring trade direction from intraday data, J. Finance 46 (1991) 733-746 (their lag of 5 s belongs to
hand-reported trades: the default here is none); Huang & Stoll, Dealer versus auction markets, J. Financial Economics 41 (1996)
313-357; Kyle, Continuous auctions and insider trading, Econometrica 53 (1985) 1315-1335; Hasbrouck, Empirical Market
Microstructure (2007), for λ as a regression on signed volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats
from fieldcast.fields.books.ladders import BPS
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import STAMP, conform, table_of

LEAST_INTERVALS = 30  # below it a slope is noise
LEAST_TRADES = 10


@dataclass(frozen=True)
class TradeCosts:
    """Means over the trades of a stretch, in basis points, each trade weighing its size.

    Parameters
    ----------
    effective_bps : mean effective spread; None with a reason
    realised_bps, impact_bps : horizon in seconds → mean over the trades whose later mid is known
    trades, unsigned, unquoted : how many trades; how many of them without a sign; without a quote before them
    counts : horizon → trades behind its means
    reasons : figure → why it is not there
    """

    effective_bps: float | None
    realised_bps: Mapping[float, float]
    impact_bps: Mapping[float, float]
    trades: int
    unsigned: int
    unquoted: int
    counts: Mapping[float, int]
    reasons: Mapping[str, Reason]


@dataclass(frozen=True)
class KyleLambda:
    """λ of a stretch: price per unit of net buying, its standard error, the share of variance explained, and the intervals."""

    price_per_unit: float | None
    standard_error: float | None
    r_squared: float | None
    intervals: int
    reason: Reason | None


def signed_trades(trades: pl.DataFrame, quotes: pl.DataFrame, lag: timedelta = timedelta(0)) -> pl.DataFrame:
    """Trades with who took, and the mid that stood before them.

    Parameters
    ----------
    trades, quotes : rows of those tables, of one instrument; a quote without two sides, or crossed, counts as none
    lag : how much older than the trade a quote must be. Where trades and quotes are stamped at their receipt, as in a recorded
        stream, the quote that a trade left behind often stands before the trade itself: without a lag its mid is then a later one

    Returns
    -------
    instrument, ts, available_at, price, size; `mid` before the trade (null: no quote yet), `sign` (1, −1; null: not known) and
    `sign_from` (venue, quote or tick), in order of time
    """
    rows = conform(trades, dict(table_of("trades").schema)).sort("ts", "sequence")
    mids = _mids(quotes)
    if pl.concat([rows["instrument"], mids["instrument"]]).n_unique() > 1:
        raise InvalidInput("expected trades and quotes of one instrument, found several; filter them first")
    before = rows.select(at=pl.col("ts") - lag).join_asof(
        mids.select("ts", "mid"), left_on="at", right_on="ts", strategy="backward", allow_exact_matches=False
    )["mid"]
    changed = pl.col("price").diff().sign()
    tick = pl.when(changed != 0).then(changed).forward_fill()
    against = (pl.col("price") - pl.col("mid")).sign()
    venue = pl.when(pl.col("side") == "buy").then(1.0).when(pl.col("side") == "sell").then(-1.0)
    quote = pl.when(against != 0).then(against)
    ticked = pl.when((against == 0) | pl.col("mid").is_null()).then(tick)
    source = pl.when(venue.is_not_null()).then(pl.lit("venue")).when(quote.is_not_null()).then(pl.lit("quote"))
    return rows.with_columns(before.alias("mid")).select(
        "instrument", "ts", "available_at", "price", "size", "mid",
        pl.coalesce(venue, quote, ticked).cast(pl.Int8).alias("sign"),
        source.when(ticked.is_not_null()).then(pl.lit("tick")).alias("sign_from"),
    )  # fmt: skip


def trade_costs(
    trades: pl.DataFrame,
    quotes: pl.DataFrame,
    horizons_seconds: Sequence[float] = (1.0, 5.0, 30.0, 60.0),
    lag: timedelta = timedelta(0),
) -> TradeCosts:
    """Effective spread, and how it parts into what the maker kept and what the price moved.

    Parameters
    ----------
    trades, quotes : rows of those tables, of one instrument, all known at the moment of asking
    horizons_seconds : τ, above 0
    lag : how much older than a trade its quote must be (see `signed_trades`)
    """
    if any(not (np.isfinite(tau) and tau > 0) for tau in horizons_seconds):
        raise InvalidInput(f"expected horizons above 0 seconds, found {list(horizons_seconds)}")
    rows = signed_trades(trades, quotes, lag)
    unsigned, unquoted = rows["sign"].null_count(), rows["mid"].null_count()
    used = rows.filter(pl.col("sign").is_not_null() & pl.col("mid").is_not_null() & (pl.col("size") > 0))
    price, mid, size = (used[name].to_numpy() for name in ("price", "mid", "size"))
    sign = used["sign"].cast(pl.Float64).to_numpy()
    reasons: dict[str, Reason] = {}
    enough = used.height >= LEAST_TRADES
    effective = float(np.average(2 * sign * (price - mid) / mid * BPS, weights=size)) if enough else None
    if effective is None:
        reasons["effective_bps"] = Reason.FEW_ROWS
    realised, impact, counts = {}, {}, {}
    for tau in horizons_seconds:
        later = _mids_at(quotes, used["ts"], tau)
        known = np.isfinite(later)
        counts[tau] = int(known.sum())
        if counts[tau] < LEAST_TRADES:
            reasons |= dict.fromkeys((f"realised_bps_{tau:g}s", f"impact_bps_{tau:g}s"), Reason.FEW_ROWS)
            continue
        weights = size[known]
        realised[tau] = float(np.average((2 * sign * (price - later) / mid * BPS)[known], weights=weights))
        impact[tau] = float(np.average((2 * sign * (later - mid) / mid * BPS)[known], weights=weights))
    return TradeCosts(effective, realised, impact, rows.height, unsigned, unquoted, counts, reasons)


def kyle_lambda(
    trades: pl.DataFrame,
    quotes: pl.DataFrame,
    interval: timedelta = timedelta(seconds=1),
    lag: timedelta = timedelta(0),
) -> KyleLambda:
    """Kyle's λ over the stretch that both tables cover.

    Parameters
    ----------
    trades, quotes : rows of those tables, of one instrument, all known at the moment of asking
    interval : length of the intervals; the stretch begins where both tables have begun, and those without a trade count as x = 0
    lag : how much older than a trade the quote must be that signs it, where the venue does not (see `signed_trades`)

    Returns
    -------
    KyleLambda; no figure with fewer than 30 intervals (`few_rows`) or where no signed volume varies (`undefined`)
    """
    step = interval // timedelta(microseconds=1)
    if step <= 0:
        raise InvalidInput(f"expected an interval above 0, found {interval}")
    rows = signed_trades(trades, quotes, lag).drop_nulls(["sign", "size"])
    mids = _mids(quotes)
    if mids.height < 2 or rows.is_empty():
        return KyleLambda(None, None, None, 0, Reason.FEW_ROWS)
    quoted = _micros(mids["ts"])
    at = _micros(rows["ts"])
    first, last = max(quoted[0], at[0]), min(quoted[-1], at[-1])
    edges = np.arange(first, last + 1, step)
    count = max(edges.size - 1, 0)
    if count < LEAST_INTERVALS:
        return KyleLambda(None, None, None, count, Reason.FEW_ROWS)
    # an interval holds its end and not its start, as the mid at its end does
    place = np.searchsorted(edges, at, side="left") - 1
    inside = (place >= 0) & (place < count)
    volume = rows["size"].to_numpy() * rows["sign"].cast(pl.Float64).to_numpy()
    x = np.bincount(place[inside], weights=volume[inside], minlength=count).astype(np.float64)
    y = np.diff(mids["mid"].to_numpy()[np.searchsorted(quoted, edges, side="right") - 1])
    return _regress(x, y)


def _regress(x: Floats, y: Floats) -> KyleLambda:
    """Slope of y on x with an intercept, and its HC1 standard error."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= 0:
        return KyleLambda(None, None, None, x.size, Reason.UNDEFINED)
    slope = float(centred @ y) / spread
    moved = y - y.mean()
    left = moved - slope * centred
    variance = float((centred * left) @ (centred * left)) / spread**2 * x.size / (x.size - 2)
    total = float(moved @ moved)
    if total <= 0:
        return KyleLambda(slope, float(np.sqrt(variance)), None, x.size, Reason.UNDEFINED)
    return KyleLambda(slope, float(np.sqrt(variance)), 1 - float(left @ left) / total, x.size, None)


def _mids(quotes: pl.DataFrame) -> pl.DataFrame:
    """The mids of sound quotes in order of time: instrument, ts, mid."""
    rows = conform(quotes, dict(table_of("quotes").schema)).sort("ts", "sequence")
    sound = rows.filter(pl.col("bid").is_not_null() & pl.col("ask").is_not_null() & (pl.col("bid") < pl.col("ask")))
    return sound.select("instrument", "ts", mid=(pl.col("bid") + pl.col("ask")) / 2)


def _mids_at(quotes: pl.DataFrame, ts: pl.Series, seconds: float) -> Floats:
    """(n,) mid that stood `seconds` after each time; NaN where the quotes end before."""
    mids = _mids(quotes)
    quoted, wanted = _micros(mids["ts"]), _micros(ts) + round(seconds * 1e6)
    if not quoted.size:
        return np.full(wanted.size, np.nan)
    place = np.maximum(np.searchsorted(quoted, wanted, side="right") - 1, 0)
    return np.where(wanted <= quoted[-1], mids["mid"].to_numpy()[place], np.nan)


def _micros(times: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return times.cast(STAMP).to_physical().to_numpy()
