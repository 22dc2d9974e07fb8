"""Which contracts of an option chain can be traded.

    spread %        100 (ask − bid) / mid
    spread score    1 − spread % / 5, never below 0                    1 at no spread, 0 at 5 %
    interest score  log(1 + open interest) / log(1 + 10,000), at most 1
    volume score    log(1 + volume) / log(1 + 1,000), at most 1
    score           0.4 spread + 0.4 interest + 0.2 volume

A contract is tradeable with open interest ≥ 100, spread ≤ 5 %, volume ≥ 50 and a score ≥ 0.6; what it fails is listed. Where the
bid, the ask, the open interest or the volume is not known there is no score, and it is not tradeable: `value_missing`.

Weights and limits are those of the reference system this engine descends from; it scores in logs without saying where they reach
1, so 10,000 and 1,000 contracts are our declared choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import conform, table_of


@dataclass(frozen=True)
class StrikeLimits:
    """Weights and limits of the filter; see the module."""

    widest_spread_pct: float = 5.0
    full_open_interest: float = 10_000.0
    full_volume: float = 1_000.0
    spread_weight: float = 0.4
    open_interest_weight: float = 0.4
    volume_weight: float = 0.2
    least_open_interest: float = 100.0
    least_volume: float = 50.0
    least_score: float = 0.6

    def __post_init__(self) -> None:
        weights = (self.spread_weight, self.open_interest_weight, self.volume_weight)
        if abs(sum(weights) - 1) > 1e-12 or min(weights) < 0:
            raise InvalidInput(f"expected weights of 0 or more that sum to 1, found {weights}")
        if min(self.widest_spread_pct, self.full_open_interest, self.full_volume) <= 0:
            raise InvalidInput(f"expected scales above 0, found {self}")


def option_strikes(chain: pl.DataFrame, limits: StrikeLimits | None = None) -> pl.DataFrame:
    """Score every contract of a chain, and say which can be traded.

    Parameters
    ----------
    chain : rows of `chains`: one snapshot; the volume is the session's so far, the open interest as known then

    Returns
    -------
    contract_id, expiry_ts, strike, right; spread_pct, spread_score, open_interest_score, volume_score, score (0 … 1, null where
    something is not known); `tradeable`; `reasons` against it, null where there are none; the order of the chain
    """
    limits = limits or StrikeLimits()
    rows = conform(chain, dict(table_of("chains").schema))
    bid, ask, interest, volume = (pl.col(name) for name in ("bid", "ask", "open_interest", "volume"))
    quoted = (bid > 0) & (ask >= bid)
    spread = pl.when(quoted).then(200 * (ask - bid) / (ask + bid))

    def log_score(value: pl.Expr, full: float) -> pl.Expr:
        return (value.log1p() / pl.lit(full).log1p()).clip(0, 1)

    scored = rows.with_columns(
        spread_pct=spread,
        spread_score=(1 - spread / limits.widest_spread_pct).clip(0, 1),
        open_interest_score=log_score(interest, limits.full_open_interest),
        volume_score=log_score(volume, limits.full_volume),
    ).with_columns(
        score=limits.spread_weight * pl.col("spread_score")
        + limits.open_interest_weight * pl.col("open_interest_score")
        + limits.volume_weight * pl.col("volume_score")
    )
    against = [
        (Reason.VALUE_MISSING, bid.is_null() | ask.is_null() | interest.is_null() | volume.is_null()),
        (Reason.ZERO_BID, bid == 0),
        (Reason.QUOTE_CROSSED, (bid > 0) & (ask < bid)),
        (Reason.SPREAD_TOO_WIDE, pl.col("spread_pct") > limits.widest_spread_pct),
        (Reason.OPEN_INTEREST_LOW, interest < limits.least_open_interest),
        (Reason.TRADED_TOO_LITTLE, volume < limits.least_volume),
        (Reason.SCORE_LOW, pl.col("score") < limits.least_score),
    ]
    texts = [pl.when(where.fill_null(value=False)).then(pl.lit(str(code))) for code, where in against]
    joined = pl.concat_str(*texts, separator=",", ignore_nulls=True)
    scored = scored.with_columns(reasons=pl.when(joined.str.len_chars() > 0).then(joined))
    return scored.select(
        "contract_id", "expiry_ts", "strike", "right", "spread_pct", "spread_score", "open_interest_score", "volume_score",
        "score", pl.col("reasons").is_null().alias("tradeable"), "reasons",
    )  # fmt: skip
