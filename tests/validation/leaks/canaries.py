"""Leak canaries: faults as they are made in practice, and sound columns that look like them.

`LEAKS` are name → (function, the causes that explain it); `CLEAN` are name → function. Each is written in one of the three forms
of table that users write: polars, pandas, NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from fieldcast.validation.leaks import Cause

Arrays = dict[str, np.ndarray]
Function = Callable[[Any], Any]


# planted faults -------------------------------------------------------------------------------------------------------


def shift_back(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", next_close=pl.col("close").shift(-1) / pl.col("close"))


def next_week_return(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].pct_change(-5).rename("ret")


def label_as_feature(bars: Arrays) -> Arrays:
    up = np.r_[bars["close"][1:] > bars["close"][:-1], False]
    return {"direction": up.astype(float)}


def one_bar_early_signal(bars: pd.DataFrame) -> pd.Series:
    cross = bars["close"].rolling(5).mean() > bars["close"].rolling(20).mean()
    return cross.shift(-1).astype(float).rename("cross")


def whole_sample_zscore(bars: pl.DataFrame) -> pl.DataFrame:
    r = pl.col("close").pct_change()
    return bars.select("ts", z=(r - r.mean()) / r.std())


def whole_sample_minmax(bars: pd.DataFrame) -> pd.Series:
    v = bars["volume"]
    return ((v - v.min()) / (v.max() - v.min())).rename("scaled")


def standard_scaler(bars: pd.DataFrame) -> Any:
    from sklearn.preprocessing import StandardScaler

    r = bars["close"].pct_change().fillna(0.0).to_numpy()[:, None]
    return StandardScaler().fit_transform(r)[:, 0]


def demeaned_by_all(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"excess": r - r.mean()}


def centred_average(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].rolling(11, center=True).mean()).rename("detrended")


def centred_convolution(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"smooth": np.convolve(r, np.ones(7) / 7, mode="same")}


def forward_volatility(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", vol=pl.col("close").pct_change().rolling_std(10).shift(-10))


def highest_of_the_next(bars: pd.DataFrame) -> pd.Series:
    ahead = bars["high"][::-1].rolling(8).max()[::-1].shift(-1)
    return (ahead / bars["close"]).rename("room")


def descending_sort(bars: pl.DataFrame) -> pl.DataFrame:
    turned = bars.sort("ts", descending=True)
    return turned.select("ts", mean=pl.col("close").rolling_mean(10) / pl.col("close")).sort("ts")


def back_filled_warmup(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].rolling(50).mean()).bfill().rename("trend")


def back_filled_gaps(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", volume=pl.col("volume").fill_null(strategy="backward").log())


def interpolated_gaps(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].interpolate().pct_change().rename("ret")


def weekly_close_joined(bars: pd.DataFrame) -> pd.Series:
    weekly = bars["close"].resample("W").transform("last")
    return (weekly / bars["close"]).rename("week")


def monthly_mean_joined(bars: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("ts").dt.truncate("1mo")
    return bars.select("ts", month=pl.col("close") / pl.col("close").mean().over(month))


def quarter_range_joined(bars: pd.DataFrame) -> pd.Series:
    quarter = bars["ts"].dt.tz_convert(None).dt.to_period("Q")
    high = bars.groupby(quarter)["high"].transform("max")
    return (high / bars["close"]).rename("quarter_high")


def global_rank(bars: pl.DataFrame) -> pl.DataFrame:
    r = pl.col("close").pct_change()
    return bars.select("ts", rank=r.rank() / r.count())


def quantile_bins(bars: pd.DataFrame) -> pd.Series:
    return pd.qcut(bars["close"].pct_change(), 10, labels=False).rename("bin")


def winsorised_by_all(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    low, high = np.nanquantile(r, [0.05, 0.95])
    return {"r": np.clip(r, low, high)}


def cumulative_from_the_end(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"left": np.cumsum(r[::-1])[::-1]}


def two_sided_smoother(bars: pd.DataFrame) -> pd.Series:
    forward = np.log(bars["close"]).diff().fillna(0.0).ewm(alpha=0.2).mean()
    return forward[::-1].ewm(alpha=0.2).mean()[::-1].rename("smooth")


def filtfilt(bars: Arrays) -> Arrays:
    from scipy.signal import butter, filtfilt

    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"cycle": filtfilt(*butter(2, 0.1), r)}


def regression_on_all(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    x = np.column_stack([np.ones(r.size), np.r_[0.0, r[:-1]], np.abs(np.r_[0.0, r[:-1]])])
    beta = np.linalg.lstsq(x, np.r_[r[1:], 0.0], rcond=None)[0]
    return {"forecast": x @ beta}


def components_of_all(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    v = np.diff(np.log1p(bars["volume"]), prepend=np.log1p(bars["volume"][0]))
    m = np.column_stack([r / 0.01, v / 0.3, np.abs(r) / 0.01])
    _, vectors = np.linalg.eigh(np.cov(m.T))
    lead = vectors[:, -1] * np.sign(vectors[0, -1])
    return {"pc1": m @ lead}


def detrended_by_all(bars: Arrays) -> Arrays:
    log, t = np.log(bars["close"]), np.arange(bars["close"].size)
    return {"cycle": log - np.polyval(np.polyfit(t, log, 1), t)}


def share_of_the_sample(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", age=pl.int_range(pl.len()) / pl.len())


def distance_from_the_top(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].max()).rename("from_top")


def filled_with_the_mean(bars: pd.DataFrame) -> pd.Series:
    return bars["volume"].fillna(bars["volume"].mean()).pct_change().rename("dv")


def triple_barrier(bars: Arrays) -> Arrays:
    close, out = bars["close"], np.full(bars["close"].size, np.nan)
    for t in range(close.size - 1):
        ahead = close[t + 1 : t + 11] / close[t] - 1
        hit = np.flatnonzero(np.abs(ahead) > 0.02)
        out[t] = np.sign(ahead[hit[0]]) if hit.size else 0.0
    return {"barrier": out}


LEAKS: dict[str, tuple[Function, frozenset[Cause]]] = {
    name: (function, frozenset(causes))
    for name, function, causes in (
        ("shift(-1)", shift_back, {Cause.SHIFT}),
        ("pct_change(-5)", next_week_return, {Cause.SHIFT}),
        ("label as a feature", label_as_feature, {Cause.SHIFT}),
        ("signal one bar early", one_bar_early_signal, {Cause.SHIFT}),
        ("z-score by the whole sample", whole_sample_zscore, {Cause.FULL_SAMPLE_NORMALISATION}),
        ("min-max by the whole sample", whole_sample_minmax, {Cause.FULL_SAMPLE_NORMALISATION}),
        ("StandardScaler fitted on all", standard_scaler, {Cause.FULL_SAMPLE_NORMALISATION}),
        ("mean of all removed", demeaned_by_all, {Cause.FULL_SAMPLE_NORMALISATION}),
        ("centred rolling mean", centred_average, {Cause.CENTRED_WINDOW}),
        ("convolution, mode same", centred_convolution, {Cause.CENTRED_WINDOW}),
        ("forward volatility", forward_volatility, {Cause.FORWARD_WINDOW}),
        ("highest of the next 8", highest_of_the_next, {Cause.FORWARD_WINDOW}),
        ("rolling mean on descending rows", descending_sort, {Cause.FORWARD_WINDOW}),
        ("back-filled warm-up", back_filled_warmup, {Cause.BACK_FILL}),
        ("back-filled gaps", back_filled_gaps, {Cause.BACK_FILL}),
        ("interpolated gaps", interpolated_gaps, {Cause.INTERPOLATION}),
        ("week's last close joined", weekly_close_joined, {Cause.PERIOD_JOIN}),
        ("month's mean joined", monthly_mean_joined, {Cause.PERIOD_JOIN}),
        ("quarter's high joined", quarter_range_joined, {Cause.PERIOD_JOIN}),
        ("rank among all", global_rank, {Cause.GLOBAL_RANK}),
        ("qcut bins", quantile_bins, {Cause.GLOBAL_RANK}),
        ("winsorised by all quantiles", winsorised_by_all, {Cause.WHOLE_SAMPLE_FIT, Cause.GLOBAL_RANK}),
        ("cumulative from the end", cumulative_from_the_end, {Cause.CUMULATIVE_FROM_END}),
        ("average run both ways", two_sided_smoother, {Cause.TWO_SIDED_FILTER}),
        ("filtfilt", filtfilt, {Cause.TWO_SIDED_FILTER}),
        ("regression on all rows", regression_on_all, {Cause.WHOLE_SAMPLE_FIT}),
        ("components of all rows", components_of_all, {Cause.WHOLE_SAMPLE_FIT}),
        ("trend of all removed", detrended_by_all, {Cause.WHOLE_SAMPLE_FIT}),
        ("share of the sample", share_of_the_sample, {Cause.LENGTH}),
        ("distance from the all-time high", distance_from_the_top, {Cause.FULL_SAMPLE_NORMALISATION}),
        ("gaps filled with the mean", filled_with_the_mean, {Cause.INTERPOLATION}),
        ("triple barrier", triple_barrier, {Cause.FORWARD_WINDOW}),
    )
}


# sound columns that look like them -------------------------------------------------------------------------------------


def shifted_return(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", ret=pl.col("close").shift(1) / pl.col("close").shift(6) - 1)


def return_now(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].pct_change(5).rename("ret")


def expanding_zscore(bars: pd.DataFrame) -> pd.Series:
    r = bars["close"].pct_change()
    return ((r - r.expanding(50).mean()) / r.expanding(50).std()).rename("z")


def rolling_zscore(bars: pl.DataFrame) -> pl.DataFrame:
    c = pl.col("close")
    return bars.select("ts", z=(c - c.rolling_mean(60)) / c.rolling_std(60))


def trailing_average(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].rolling(11).mean()).rename("trend")


def long_memory_average(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", slow=pl.col("close").log().diff().ewm_mean(half_life=400, ignore_nulls=True))


def pandas_ewm(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].ewm(span=300).mean()).rename("ewm")


def expanding_rank(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    out = np.full(r.size, np.nan)
    for t in range(50, r.size):
        out[t] = (r[: t + 1] <= r[t]).mean()
    return {"rank": out}


def rolling_rank(bars: pd.DataFrame) -> pd.Series:
    return bars["close"].rolling(60).rank(pct=True).rename("rank")


def expanding_bins(bars: pd.DataFrame) -> pd.Series:
    r = bars["close"].pct_change()
    return (r > r.expanding(60).quantile(0.9)).astype(float).rename("bin")


def on_balance_volume(bars: Arrays) -> Arrays:
    sign = np.sign(np.diff(bars["close"], prepend=bars["close"][0]))
    return {"obv": np.cumsum(sign * np.nan_to_num(bars["volume"]))}


def drawdown_so_far(bars: pd.DataFrame) -> pd.Series:
    return (bars["close"] / bars["close"].cummax() - 1).rename("drawdown")


def last_weeks_close(bars: pd.DataFrame) -> pd.Series:
    weekly = bars["close"].resample("W").last().shift(1)
    known = weekly.reindex(bars.index, method="ffill")
    ended = weekly.index.searchsorted(bars.index, side="left")
    values = np.where(ended < len(weekly), weekly.to_numpy()[np.minimum(ended, len(weekly) - 1)], np.nan)
    return pd.Series(np.where(np.isnan(values), known, values) / bars["close"].to_numpy(), index=bars.index, name="week")


def month_to_date(bars: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("ts").dt.truncate("1mo")
    return bars.select("ts", mtd=pl.col("close") / pl.col("open").first().over(month) - 1)


def previous_months_high(bars: pl.DataFrame) -> pl.DataFrame:
    monthly = bars.group_by_dynamic("ts", every="1mo").agg(high=pl.col("high").max()).with_columns(pl.col("high").shift(1))
    joined = bars.with_columns(month=pl.col("ts").dt.truncate("1mo")).join(
        monthly.rename({"ts": "month", "high": "before"}), on="month", how="left", maintain_order="left"
    )
    return joined.select("ts", room=pl.col("before") / pl.col("close"))


def lagged_merge(bars: pd.DataFrame) -> pd.DataFrame:
    monthly = bars["close"].resample("MS").mean()
    table = pd.DataFrame({"known_at": monthly.index + pd.DateOffset(months=1), "mean": monthly.to_numpy()})
    table["known_at"] = table["known_at"].astype(bars["ts"].dtype)
    left = bars[["ts", "close"]].reset_index(drop=True)
    merged = pd.merge_asof(left, table, left_on="ts", right_on="known_at")
    return pd.DataFrame({"ts": merged["ts"], "gap": merged["close"] / merged["mean"]})


def forward_filled(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", volume=pl.col("volume").fill_null(strategy="forward").log())


def rows_dropped(bars: pd.DataFrame) -> pd.DataFrame:
    r = bars["close"].pct_change()
    return pd.DataFrame({"vol": r.rolling(20).std()}).dropna()


def walk_forward_regression(bars: Arrays) -> Arrays:
    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    x, y = np.column_stack([np.ones(r.size - 1), r[:-1]]), r[1:]
    out = np.full(r.size, np.nan)
    for start in range(100, r.size, 50):
        beta = np.linalg.lstsq(np.nan_to_num(x[: start - 1]), np.nan_to_num(y[: start - 1]), rcond=None)[0]
        out[start : start + 50] = beta[0] + beta[1] * r[start : start + 50]
    return {"forecast": out}


def expanding_standardised(bars: Arrays) -> Arrays:
    v = np.log1p(bars["volume"])
    n = np.arange(1, v.size + 1)
    mean = np.cumsum(v) / n
    spread = np.sqrt(np.maximum(np.cumsum(v * v) / n - mean**2, 1e-12))
    return {"z": np.where(n > 60, (v - mean) / spread, np.nan)}


def causal_filter(bars: Arrays) -> Arrays:
    from scipy.signal import butter, lfilter

    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"cycle": lfilter(*butter(2, 0.1), np.nan_to_num(r))}


def fast_convolution(bars: Arrays) -> Arrays:
    from scipy.signal import fftconvolve

    r = np.diff(np.log(bars["close"]), prepend=np.log(bars["close"][0]))
    return {"smooth": fftconvolve(r, np.ones(30) / 30)[: r.size]}


def relative_strength(bars: pd.DataFrame) -> pd.Series:
    move = bars["close"].diff()
    up = move.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    down = (-move.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
    return (100 * up / (up + down)).rename("rsi")


def true_range(bars: pl.DataFrame) -> pl.DataFrame:
    before = pl.col("close").shift(1)
    span = pl.max_horizontal(pl.col("high"), before) - pl.min_horizontal(pl.col("low"), before)
    return bars.select("ts", atr=span.rolling_mean(14) / pl.col("close"))


def bars_since_high(bars: Arrays) -> Arrays:
    out, best, last = np.zeros(bars["close"].size), -np.inf, 0
    for t, value in enumerate(bars["high"]):
        if value >= best:
            best, last = value, t
        out[t] = t - last
    return {"since": out}


def day_of_week(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", day=pl.col("ts").dt.weekday(), month=pl.col("ts").dt.month())


def seeded_noise(bars: Arrays) -> Arrays:
    return {"noise": np.random.default_rng(7).standard_normal(bars["close"].size)}


def regime_name(bars: pl.DataFrame) -> pl.DataFrame:
    calm = pl.col("close").pct_change().rolling_std(20) < pl.col("close").pct_change().rolling_std(120)
    return bars.select("ts", regime=pl.when(calm).then(pl.lit("calm")).otherwise(pl.lit("wild")))


def descending_and_back(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", r=pl.col("close").pct_change()).sort("ts", descending=True)


CLEAN: dict[str, Function] = {
    "lagged return": shifted_return,
    "return up to now": return_now,
    "expanding z-score": expanding_zscore,
    "rolling z-score": rolling_zscore,
    "trailing mean": trailing_average,
    "EWMA, half-life 400": long_memory_average,
    "EWMA, span 300": pandas_ewm,
    "expanding rank": expanding_rank,
    "rolling rank": rolling_rank,
    "expanding quantile": expanding_bins,
    "on-balance volume": on_balance_volume,
    "drawdown so far": drawdown_so_far,
    "last week's close": last_weeks_close,
    "month to date": month_to_date,
    "previous month's high": previous_months_high,
    "lagged merge": lagged_merge,
    "gaps filled forwards": forward_filled,
    "rows without a value dropped": rows_dropped,
    "walk-forward regression": walk_forward_regression,
    "expanding standardisation": expanding_standardised,
    "causal filter": causal_filter,
    "FFT convolution": fast_convolution,
    "RSI": relative_strength,
    "average true range": true_range,
    "bars since the high": bars_since_high,
    "calendar columns": day_of_week,
    "seeded noise": seeded_noise,
    "named regimes": regime_name,
    "rows returned in descending order": descending_and_back,
}
