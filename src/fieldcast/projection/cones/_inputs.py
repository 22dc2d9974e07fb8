"""Inputs of the pooled forecasters: what a panel's rows up to t say about the next returns, on the scale of the forecast sigma.

Everything is free of the instrument's price and level of volatility, so that one model may learn from all instruments:

    variance     log of the day's, week's and month's Garman-Klass + overnight variance over sigma^2, of the year's too
    returns      of 1, 5, 22 and 63 sessions over sigma sqrt(k); the night's; the close's place in the day's range
    market       log VIX, its change and its place against its month; VIX over sigma; the panel's mean return and mean variance
    volume       log of the day's over the month's mean
    calendar     weekday of the next session, first Friday of a month, days to the month's end
    reports      companies report in the same week of each quarter: the largest night move, over the year's mean one, in the
                 sessions 13, 26, 39 and 52 weeks before the forecast span, three days either way; sessions since such a jump
    shape        mean |z| and the outer quantiles of past scores z = r / sigma whose outcome had ended
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fieldcast.features.panel import Panel
from fieldcast.models.volatility import realised_variance
from fieldcast.projection.cones._checks import Floats, panel_values
from fieldcast.projection.cones.trackers import window_quantiles

WEEK, MONTH, QUARTER, YEAR = 5, 22, 63, 252
QUARTERS_BACK = (91, 182, 273, 364)  # calendar days: whole weeks
SLACK = 3  # calendar days either way
JUMP = 4.0  # night move over its year's mean that counts as one
LONGEST_WAIT = 100.0  # sessions since the last jump, capped

NAMES = (
    "variance_1", "variance_5", "variance_22", "variance_252", "return_1", "return_5", "return_22", "return_63", "night", "place",
    "vix", "vix_change", "vix_month", "vix_over_sigma", "panel_return", "panel_variance", "volume", "weekday", "first_friday",
    "month_end", "report_91", "report_182", "report_273", "report_364", "report_mean", "report_least", "since_jump", "shape_mean",
    "shape_low", "shape_high",
)  # fmt: skip


def inputs(panel: Panel, sigma: Floats, horizon: int) -> Floats:
    """(T, N, len(NAMES)); NaN where not known.

    Parameters
    ----------
    sigma : (T, N) standard deviation of the log return over the horizon
    """
    close, opened = np.log(panel_values("close", panel.close)), np.log(panel_values("open", panel.open))
    high, low = np.log(panel_values("high", panel.high)), np.log(panel_values("low", panel.low))
    daily = sigma / np.sqrt(horizon)
    variance = realised_variance(panel)
    log_scale = 2.0 * np.log(daily)
    columns: dict[str, Floats] = {}
    for length in (1, WEEK, MONTH, YEAR):
        columns[f"variance_{length}"] = np.log(trailing_mean(variance, length)) - log_scale
    for length in (1, WEEK, MONTH, QUARTER):
        columns[f"return_{length}"] = (close - shifted(close, length)) / (daily * np.sqrt(length))
    night = opened - shifted(close, 1)
    columns["night"] = night / daily
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["place"] = np.where(high > low, (close - low) / (high - low), 0.5) + 0.0 * close
    columns |= _market(panel, daily, columns)
    columns["volume"] = _volume(panel)
    columns |= _calendar(panel.session, close.shape)
    columns |= _reports(panel.session, np.abs(night), horizon)
    columns |= _shape(panel, sigma, horizon)
    return np.stack([columns[name] for name in NAMES], axis=-1)


def _market(panel: Panel, daily: Floats, own: dict[str, Floats]) -> dict[str, Floats]:
    like = np.zeros_like(daily)
    found = panel.covariates.get("vix")
    vix = np.full(len(daily), np.nan) if found is None else np.log(np.asarray(found, dtype=np.float64))
    level = vix[:, None] + like
    return {
        "vix": level,
        "vix_change": level - shifted(level, 1),
        "vix_month": level - trailing_mean(level, MONTH),
        "vix_over_sigma": level - np.log(100.0 * daily * np.sqrt(YEAR)),
        "panel_return": _row_mean(own["return_1"])[:, None] + like,
        "panel_variance": _row_mean(own["variance_1"])[:, None] + like,
    }


def _volume(panel: Panel) -> Floats:
    volume = panel_values("volume", panel.volume)
    log = np.log(np.where(volume > 0.0, volume, np.nan))
    out: Floats = log - trailing_mean(log, MONTH)
    return out


def _calendar(session: NDArray[np.generic], shape: tuple[int, ...]) -> dict[str, Floats]:
    """Of the next weekday, which is the next session but for holidays."""
    day = np.asarray(session).astype("datetime64[D]")
    following = np.busday_offset(day, 1, roll="backward")
    weekday = (following.astype(np.int64) - 4) % 7  # 0 = Monday
    month_start = following.astype("datetime64[M]").astype("datetime64[D]")
    of_month = (following - month_start).astype(np.int64)
    next_month = (following.astype("datetime64[M]") + 1).astype("datetime64[D]")
    like = np.zeros(shape)
    return {
        "weekday": weekday[:, None] + like,
        "first_friday": ((weekday == 4) & (of_month < 7)).astype(np.float64)[:, None] + like,
        "month_end": (next_month - following).astype(np.float64)[:, None] + like,
    }


def _reports(session: NDArray[np.generic], night: Floats, horizon: int) -> dict[str, Floats]:
    day = np.asarray(session).astype("datetime64[D]").astype(np.int64)
    relative = night / trailing_mean(night, YEAR)
    following = np.busday_offset(np.asarray(session).astype("datetime64[D]"), 1, roll="backward").astype(np.int64)
    last = np.busday_offset(np.asarray(session).astype("datetime64[D]"), horizon, roll="backward").astype(np.int64)
    seen = np.arange(1, len(day) + 1)  # no window reaches past the row that asks, however long the horizon
    columns = {}
    for back in QUARTERS_BACK:
        begin = np.searchsorted(day, following - back - SLACK, side="left")
        end = np.minimum(np.searchsorted(day, last - back + SLACK, side="right"), seen)
        columns[f"report_{back}"] = _window_maximum(relative, begin, end)
    stacked = np.stack([columns[f"report_{back}"] for back in QUARTERS_BACK])
    columns["report_mean"] = np.log(stacked + 0.1).mean(axis=0)
    columns["report_least"] = np.sort(stacked, axis=0)[1]  # all but one of four quarters moved at least so much
    since = np.full(night.shape, LONGEST_WAIT)
    running = np.full(night.shape[1], LONGEST_WAIT)
    for t in range(len(night)):
        with np.errstate(invalid="ignore"):
            running = np.where(relative[t] > JUMP, 0.0, np.minimum(running + 1.0, LONGEST_WAIT))
        since[t] = running
    columns["since_jump"] = since
    return columns


def _window_maximum(values: Floats, begin: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    """(T, N) maximum over rows begin[t] .. end[t] - 1; NaN where the window is empty, too early or holds a NaN."""
    out = np.full(values.shape, np.nan)
    width = int((end - begin).max(initial=0))
    for offset in range(width):
        rows = begin + offset
        inside = (rows < end) & (rows < len(values))
        value = values[np.minimum(rows, len(values) - 1)]
        fresh = value if offset == 0 else np.maximum(out, value)
        out = np.where(inside[:, None], fresh, out)
    out[begin == 0] = np.nan
    return out


def _shape(panel: Panel, sigma: Floats, horizon: int) -> dict[str, Floats]:
    z = panel.log_return(horizon) / sigma
    edges = window_quantiles(z, horizon, 2 * YEAR, YEAR // 2, [0.05, 0.95])
    size = np.vstack([np.full((horizon, z.shape[1]), np.nan), np.abs(z)[:-horizon]])
    return {"shape_mean": trailing_mean(size, YEAR), "shape_low": edges[..., 0], "shape_high": edges[..., 1]}


def shifted(values: Floats, rows: int) -> Floats:
    """The values of `rows` rows before; NaN in the first."""
    out = np.full_like(values, np.nan)
    out[rows:] = values[:-rows]
    return out


def trailing_mean(values: Floats, length: int) -> Floats:
    """Mean of the last `length` rows, each window summed by itself; NaN until there are so many and where one is not known."""
    if length == 1:
        return values.copy()
    out = np.full_like(values, np.nan)
    if len(values) >= length:
        out[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length, axis=0).mean(axis=-1)
    return out


def _row_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
