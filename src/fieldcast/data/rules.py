"""Cleaning: what is wrong with rows of daily bars, which rows go, which stay and are flagged.

A row is removed under the first rule that it breaks, so that the counts add up to the rows removed. A flagged row
stays, with the reason code on it: a large move may be a vendor's error or a crash, and only a person can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import polars as pl

from fieldcast.data.gaps import is_close, microseconds, session_times
from fieldcast.ground import Reason, utc
from fieldcast.market import BARS, PRICES, Instrument, Kind, add_reason, conform, has_reason

RANGE_TOLERANCE = 1e-6  # relative; adjusted prices carry float noise
LARGE_MOVE = {
    Kind.EQUITY: 0.15, Kind.ETF: 0.10, Kind.INDEX: 0.10, Kind.FX: 0.05, Kind.CRYPTO: 0.25, Kind.FUTURE: 0.15, Kind.OPTION: 1.0,
    Kind.RATE: 0.5,
}
LARGE_MOVE_SIGMAS = 10.0  # of the robust volatility of the 63 sessions before
ROBUST_WINDOW = 63
_MEDIAN_TO_SIGMA = 0.6744897501960817  # median of |z|, z standard normal


class Severity(StrEnum):
    """`error` removes the row; `warning` keeps and flags it; `note` only says how the source is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


SEVERITY: Mapping[Reason, Severity] = {
    Reason.STAMP_MISSING: Severity.ERROR,
    Reason.PRICE_MISSING: Severity.ERROR,
    Reason.PRICE_NOT_FINITE: Severity.ERROR,
    Reason.PRICE_NOT_POSITIVE: Severity.ERROR,
    Reason.HIGH_BELOW_LOW: Severity.ERROR,
    Reason.VOLUME_NEGATIVE: Severity.ERROR,
    Reason.FUTURE_STAMP: Severity.ERROR,
    Reason.NOT_A_SESSION: Severity.ERROR,
    Reason.DUPLICATE_STAMP: Severity.ERROR,
    Reason.OPEN_OUTSIDE_RANGE: Severity.WARNING,
    Reason.CLOSE_OUTSIDE_RANGE: Severity.WARNING,
    Reason.LARGE_MOVE: Severity.WARNING,
    Reason.CLOSE_ONLY: Severity.NOTE,
    Reason.VOLUME_NOT_REPORTED: Severity.NOTE,
    Reason.OPEN_SYNTHETIC: Severity.NOTE,
    Reason.SIMULATED: Severity.NOTE,
    Reason.LAST_BAR_UNPROVEN: Severity.WARNING,
}


@dataclass(frozen=True)
class CleaningReport:
    """What cleaning did: counts for each rule that fired, and the removed rows themselves.

    Parameters
    ----------
    removed, flagged : reason → rows
    quarantine : the removed rows (schema of their table) with `row`, their place in the input from 0, and `reason`
    rules : every rule that was tried, and its severity
    """

    rows_in: int
    rows_out: int
    removed: Mapping[Reason, int]
    flagged: Mapping[Reason, int]
    quarantine: pl.DataFrame
    rules: Mapping[Reason, Severity] = field(default_factory=lambda: SEVERITY)

    def table(self) -> pl.DataFrame:
        """One line for each rule: reason, severity, action, rows, meaning."""
        rows = [
            {
                "reason": str(reason),
                "severity": str(severity),
                "action": "removed" if severity is Severity.ERROR else "kept",
                "rows": self.removed.get(reason, 0) + self.flagged.get(reason, 0),
                "meaning": reason.meaning,
            }
            for reason, severity in self.rules.items()
        ]
        return pl.DataFrame(rows)


def clean(bars: pl.DataFrame, instrument: Instrument, now: datetime) -> tuple[pl.DataFrame, CleaningReport]:
    """Rows fit to be stored, ascending, with their flags; and a report of every rule that fired.

    Parameters
    ----------
    bars : columns of `market.BARS`, of one instrument, in any order; numbers may be null, NaN or anything else
    now : rows whose session has not closed by then are from the future
    """
    rows, now = (bars if bars.schema == _SCHEMA else conform(bars, BARS)).rechunk(), utc(now)
    ts = microseconds(rows["ts"])
    off = ~is_close(ts, session_times(instrument.calendar).close)
    late = ts > (now - _EPOCH) // timedelta(microseconds=1)
    broken, finite = rows.select(*_SOUND).row(0)
    broken, ascending = bool(broken or off.any() or late.any()), bool((ts[1:] > ts[:-1]).all())  # off: without a stamp, too
    kept, quarantine = (rows, _NOTHING) if ascending and not broken else _parted(rows, pl.Series(off), now, ascending=ascending)
    if not finite:
        kept = kept.with_columns(pl.when(pl.col("volume").is_finite()).then(pl.col("volume")).alias("volume"))
    kept = flag(kept, instrument)
    return kept, CleaningReport(rows.height, kept.height, counts(quarantine["reason"]), count_reasons(kept), quarantine)


def _parted(rows: pl.DataFrame, off: pl.Series, now: datetime, *, ascending: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The sound rows, ascending; the others with their place in the input and the first rule that each breaks."""
    rules: dict[Reason, pl.Expr | pl.Series] = {
        Reason.STAMP_MISSING: pl.col("ts").is_null(),
        Reason.FUTURE_STAMP: pl.col("ts") > now,
        Reason.NOT_A_SESSION: off,
        **_REMOVALS,
    }
    first = pl.coalesce(pl.when(where).then(pl.lit(str(reason))) for reason, where in rules.items())
    judged = rows.with_row_index("row").with_columns(reason=first)
    if not ascending:  # else each row has a time of its own
        judged = judged.with_columns(reason=pl.coalesce("reason", _duplicates(judged)))
    kept = judged.filter(pl.col("reason").is_null()).drop("row", "reason").sort("ts")
    return kept, judged.filter(pl.col("reason").is_not_null())


def _removals() -> dict[Reason, pl.Expr]:
    """Rule → rows that break it, in the order in which they are tried, after those on the stamp."""
    others = [pl.col(name) for name in ("open", "high", "low")]
    missing = pl.any_horizontal(price.is_null() | price.is_nan() for price in others) & ~has_reason(Reason.CLOSE_ONLY)
    return {
        Reason.PRICE_MISSING: pl.col("close").is_null() | pl.col("close").is_nan() | missing,
        Reason.PRICE_NOT_FINITE: pl.any_horizontal(pl.col(name).is_infinite() for name in PRICES),
        Reason.PRICE_NOT_POSITIVE: pl.any_horizontal(pl.col(name) <= 0 for name in PRICES),
        Reason.HIGH_BELOW_LOW: pl.col("high") < pl.col("low"),
        Reason.VOLUME_NEGATIVE: pl.col("volume") < 0,
    }


# made once: making the expressions costs as much as trying them on a small file
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = pl.Schema(BARS)
_NOTHING = pl.DataFrame(schema={"row": pl.UInt32(), **BARS, "reason": pl.String()})  # no query: an import starts no threads
_REMOVALS = _removals()
_SOUND = (  # whether any row breaks a rule, whether no volume has to go
    pl.any_horizontal(where.any() for where in _REMOVALS.values()).alias("broken"),
    pl.col("volume").is_finite().all().alias("finite"),
)


def _duplicates(rows: pl.DataFrame) -> pl.Series:
    """The reason where a sound row repeats a stamp: on all but the first where they agree, else on all of them."""
    sound = pl.col("reason").is_null()
    values = pl.struct([*PRICES, "volume"])
    of_stamp = ["ts", "reason"]
    repeated = (pl.len().over(of_stamp) > 1) & sound
    first = pl.int_range(pl.len()).over(of_stamp) == 0
    agree = values.n_unique().over(of_stamp) == 1
    duplicate = pl.when(repeated & ~(first & agree)).then(pl.lit(str(Reason.DUPLICATE_STAMP)))
    return rows.select(duplicate.alias("duplicate"))["duplicate"]


def flag(bars: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """`bars`, ascending, with the reason codes of what is unusual about them; no row goes."""
    rules = {**_warnings(), Reason.LARGE_MOVE: large_move(instrument)}
    rules = {reason: where.fill_null(value=False) for reason, where in rules.items()}
    found = bars.select(where.alias(reason) for reason, where in rules.items())
    return with_codes(bars, {reason: found[reason] for reason in rules if found[reason].any()})


def with_codes(rows: pl.DataFrame, found: Mapping[Reason, pl.Series]) -> pl.DataFrame:
    """`rows` with each code where its mask holds; codes stay sorted and unique. The cost goes with the rows flagged."""
    if not found:
        return rows
    if rows["reasons"].null_count() == rows.height:
        codes = [pl.when(found[code]).then(pl.lit(str(code))) for code in sorted(found)]
        joined = codes[0] if len(codes) == 1 else pl.concat_str(codes, separator=",", ignore_nulls=True).replace("", None)
        return rows.with_columns(joined.alias("reasons"))
    for code, where in found.items():
        new = rows.select(where & pl.col("reasons").ne_missing(pl.lit(str(code)))).to_series()
        if new.any():
            changed = rows.select("reasons").filter(new).with_columns(add_reason(code, pl.lit(value=True)))["reasons"]
            rows = rows.with_columns(reasons=rows["reasons"].scatter(new.arg_true(), changed))
    return rows


@lru_cache(maxsize=1)
def _warnings() -> dict[Reason, pl.Expr]:
    """Rule → rows that are kept and flagged."""
    above, below = pl.col("high") * (1 + RANGE_TOLERANCE), pl.col("low") * (1 - RANGE_TOLERANCE)
    return {
        Reason.OPEN_OUTSIDE_RANGE: (pl.col("open") > above) | (pl.col("open") < below),
        Reason.CLOSE_OUTSIDE_RANGE: (pl.col("close") > above) | (pl.col("close") < below),
        Reason.VOLUME_NOT_REPORTED: pl.col("volume").is_null() & ~has_reason(Reason.CLOSE_ONLY),
    }


def large_move(instrument: Instrument) -> pl.Expr:
    """|log return| above 10 robust sigmas of the 63 sessions before, or above a fixed size for its kind.

    The robust sigma is the median absolute log return / 0.6745. A covariate such as VIX, which is not for holding, has
    no fixed size: it moves by 10 % in a quiet week.
    """
    move = (pl.col("close") / pl.col("close").shift(1)).log().abs()
    usual = move.shift(1).rolling_median(ROBUST_WINDOW, min_samples=ROBUST_WINDOW // 3) / _MEDIAN_TO_SIGMA
    unusual = (usual > 0) & (move > LARGE_MOVE_SIGMAS * usual)
    if instrument.tradable or instrument.notional:
        return unusual.fill_null(value=False) | (move > LARGE_MOVE[instrument.kind])
    return unusual


def count_reasons(bars: pl.DataFrame) -> dict[Reason, int]:
    """How many rows carry each reason code."""
    reasons = bars["reasons"]
    if reasons.null_count() == reasons.len():
        return {}
    found: Counter[str] = Counter()
    for codes, count in reasons.drop_nulls().value_counts().iter_rows():
        for code in codes.split(","):
            found[code] += count
    return {Reason(code): found[code] for code in sorted(found)}  # type: ignore[call-arg]


def counts(reasons: pl.Series) -> dict[Reason, int]:
    """How many rows have each reason; one code a row."""
    if not reasons.len():
        return {}
    found = reasons.value_counts().iter_rows()
    return {Reason(code): int(count) for code, count in sorted(found)}  # type: ignore[call-arg]
