"""What the pooled forecaster sees of each instrument at each session, (T, N, F), NaN where unknown.

    level      log of the base forecast's variance a session, b; its change over 1 and 5 sessions
    terms      log of the trailing means of v over 1, 2, 5, 10, 22, 66 and 250 sessions, minus b; of the night alone and of
               the day alone over 5 and 22; spread of log v within the month; how far the last ended forecasts missed
    signed     returns over 1, 5, 22 and 66 sessions over their scale; the night's; the close within the day's range;
               share of falls in the squared returns of 5 and 22 sessions (semivariance)
    implied    log VIX, its changes over 1 and 5 sessions and against its month, log VIX^2 / 252 minus b and minus the market
    market     means over the panel of the terms, of returns and of misses; own terms minus the market's; correlation of the
               own returns with the panel's mean over 66 sessions
    volume     log of volume over its mean of 22 and of 250 sessions
    calendar   of the next session, from the exchange's published calendar: weekday, days until it, whether it ends early,
               whether a short session or a holiday lies within the horizon, first Friday and third Friday of a month within
               the horizon, days to the month's end, month
    reports    nights that stand out recur every 91 days with companies that report: the largest night over its trailing scale
               in the sessions that lie 91, 182, 273 and 364 days before the horizon's sessions, their mean and least; days
               since the last such night

Everything is a ratio or a logarithm of one: no price level enters, save b itself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.contract import Floats
from fieldcast.models.volatility.contract import FLOOR, ahead, realised_variance, trailing_mean
from fieldcast.models.volatility.recursive import past_returns

Days = npt.NDArray[np.datetime64]
LENGTHS = (1, 2, 5, 10, 22, 66, 250)
QUARTERS = (91, 182, 273, 364)  # calendar days back: whole weeks, as companies report on a weekday of their quarter
SLACK = 3  # calendar days either way
JUMP = 3.0  # a night of so many trailing root mean squares is one that stands out
LONGEST = 100.0  # days since the last such night, at most


def inputs(panel: Panel, base: Floats, horizon: int, *, calendar: str, vix: str) -> tuple[tuple[str, ...], Floats]:
    """Names (F,) and values (T, N, F).

    Parameters
    ----------
    base : (T, N) sigma over the horizon, the forecast that is to be bettered
    calendar : exchange calendar that knows the sessions to come
    vix : covariate with the market's implied volatility in per cent a year; unknown columns where the panel has none
    """
    variance, ret, night = realised_variance(panel), past_returns(panel), panel.overnight()
    shape = variance.shape
    level = np.log(base**2 / horizon)
    columns: dict[str, Floats] = {"level": level, "level_1": level - lag(level, 1), "level_5": level - lag(level, 5)}
    means = {length: trailing_mean(variance, length) for length in LENGTHS}
    for length, mean in means.items():
        columns[f"term_{length}"] = np.log(mean) - level
    day = variance - night**2
    for length in (5, 22):
        columns[f"night_{length}"] = np.log(trailing_mean(night**2, length) + FLOOR) - level
        columns[f"day_{length}"] = np.log(np.maximum(trailing_mean(day, length), FLOOR)) - level
    logs = np.log(variance)
    centre = trailing_mean(logs, 22)
    columns["spread"] = np.sqrt(np.maximum(trailing_mean(logs**2, 22) - centre**2, 0.0))
    miss = lag(np.log(ahead(variance, horizon)) - np.log(base**2), horizon)  # of forecasts that have ended
    columns["miss_1"], columns["miss_5"], columns["miss_22"] = miss, trailing_mean(miss, 5), trailing_mean(miss, 22)
    columns |= _signed(panel, ret, night, means)
    market = {"level": level, "miss_1": miss, **{f"term_{k}": columns[f"term_{k}"] + level for k in (1, 5, 22)}, "return_1": ret}
    common = {name: mean_of(values) for name, values in market.items()}
    columns["market_level"] = spread_over(common["level"], shape)
    columns["market_miss"] = spread_over(common["miss_1"], shape)
    columns["market_return"] = spread_over(common["return_1"] / np.exp(0.5 * common["level"]), shape)
    columns["market_return_5"] = spread_over(5.0 * trailing_mean(common["return_1"], 5) / np.exp(0.5 * common["level"]), shape)
    for k in (1, 5, 22):
        columns[f"market_term_{k}"] = spread_over(common[f"term_{k}"] - common["level"], shape)
        columns[f"own_less_market_{k}"] = market[f"term_{k}"] - common[f"term_{k}"][:, None]
    columns["correlation"] = correlation(ret, common["return_1"], 66)
    columns |= _implied(panel, level, common["level"], vix)
    volume = np.log(np.where(panel.volume > 0.0, panel.volume, np.nan))
    for length in (22, 250):
        columns[f"volume_{length}"] = volume - trailing_mean(volume, length)
    columns |= {name: spread_over(column, shape) for name, column in calendar_columns(panel.session, horizon, calendar).items()}
    columns |= _reports(panel, variance, night, horizon, calendar)
    return tuple(columns), np.stack(list(columns.values()), axis=-1)


def _signed(panel: Panel, ret: Floats, night: Floats, means: dict[int, Floats]) -> dict[str, Floats]:
    logs = np.log(panel.close)
    scale = np.sqrt(means[22])
    out = {f"return_{k}": (logs - lag(logs, k)) / (scale * np.sqrt(k)) for k in (1, 5, 22, 66)}
    out["night"] = night / scale
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = panel.high - panel.low
        out["place"] = np.where(spread > 0.0, (panel.close - panel.low) / spread, 0.5) + 0.0 * panel.close
        for k in (5, 22):
            down = trailing_mean(np.where(ret < 0.0, ret**2, 0.0) + 0.0 * ret, k)
            out[f"falls_{k}"] = down / np.maximum(trailing_mean(ret**2, k), FLOOR)
    return out


def _implied(panel: Panel, level: Floats, market: Floats, vix: str) -> dict[str, Floats]:
    values = panel.covariates.get(vix)
    logs = np.full(panel.rows, np.nan) if values is None else np.log(np.asarray(values, dtype=np.float64))
    daily = 2.0 * (logs - np.log(100.0)) - np.log(252.0)
    out = {"vix": logs, "vix_1": logs - lag(logs, 1), "vix_5": logs - lag(logs, 5), "vix_month": logs - trailing_mean(logs, 22)}
    wide = {name: spread_over(column, level.shape) for name, column in out.items()}
    wide["vix_over_base"] = daily[:, None] - level
    wide["vix_over_market"] = spread_over(daily - market, level.shape)
    return wide


@lru_cache(maxsize=8)
def _published(calendar: str) -> tuple[Days, Floats]:
    """Sessions of the calendar and the hours that each is open."""
    from fieldcast.market import sessions

    table = sessions(calendar)
    hours = ((table["close"] - table["open"]).dt.total_seconds() / 3600.0).to_numpy().astype(np.float64)
    return table["session"].to_numpy().astype("datetime64[D]"), hours


def following(session: Days, horizon: int, calendar: str) -> tuple[Days, Floats]:
    """Dates (T, h) of the next sessions of the published calendar after each date, and whether each ends early (T, h).

    Raises
    ------
    InvalidInput : the calendar does not reach so far
    """
    dates, hours = _published(calendar)
    place = np.searchsorted(dates, session, side="right")[:, None] + np.arange(horizon)[None, :]
    if place.size and place.max() >= len(dates):
        raise InvalidInput(f"expected {horizon} sessions of {calendar} after {session.max()}, found fewer in its calendar")
    early = np.zeros(place.shape)
    usual = np.array([np.median(hours[max(0, p - 66) : p]) for p in place[:, 0]])
    early[hours[place] < usual[:, None] - 1.0] = 1.0
    return dates[place], early


def calendar_columns(session: Days, horizon: int, calendar: str) -> dict[str, Floats]:
    """Columns (T,) about the sessions of the horizon, which the exchange publishes in advance."""
    dates, early = following(session, horizon, calendar)
    weekday = (dates.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; Monday = 0
    of_month = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    friday = weekday == 4
    wait = (dates[:, 0] - session).astype(np.float64)
    span = (dates[:, -1] - session).astype(np.float64)
    month_end = ((dates[:, 0].astype("datetime64[M]") + 1).astype("datetime64[D]") - dates[:, 0]).astype(np.float64)
    return {
        "weekday": weekday[:, 0].astype(np.float64),
        "wait": wait,
        "span": span,
        "early": early[:, 0],
        "early_any": early.max(axis=1),
        "first_friday": (friday & (of_month <= 7)).any(axis=1).astype(np.float64),
        "third_friday": (friday & (of_month >= 15) & (of_month <= 21)).any(axis=1).astype(np.float64),
        "mid_month": ((of_month >= 10) & (of_month <= 15)).any(axis=1).astype(np.float64),
        "month_end": month_end,
        "month": (dates[:, 0].astype("datetime64[M]").astype(np.int64) % 12).astype(np.float64),
    }


def _reports(panel: Panel, variance: Floats, night: Floats, horizon: int, calendar: str) -> dict[str, Floats]:
    """Nights that stood out, a whole number of quarters before the sessions of the horizon."""
    scale = np.sqrt(lag(trailing_mean(variance, 66), 1))
    size = np.abs(night) / scale
    dates, _ = following(panel.session, horizon, calendar)
    out: dict[str, Floats] = {}
    found = []
    seen = np.arange(1, len(size) + 1)  # a quarter before a horizon that is longer than one lies ahead
    for back in QUARTERS:
        low = np.searchsorted(panel.session, dates[:, 0] - np.timedelta64(back + SLACK, "D"))
        high = np.searchsorted(panel.session, dates[:, -1] - np.timedelta64(back - SLACK, "D"), side="right")
        found.append(window_max(size, low, np.minimum(high, seen)))
        out[f"report_{back}"] = found[-1]
    stacked = np.stack(found)
    out["report_mean"], out["report_least"] = stacked.mean(axis=0), np.sort(stacked, axis=0)[1]  # the second least
    days = panel.session.astype(np.int64).astype(np.float64)[:, None]
    last = np.maximum.accumulate(np.where(size >= JUMP, days, -np.inf), axis=0)
    out["since_jump"] = np.minimum(days - last, LONGEST)
    return out


def window_max(values: Floats, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> Floats:
    """Maximum of the known values of rows low..high-1 for every row, (T, N); NaN where none is known, the window is empty or it
    begins before the data."""
    out = np.full(values.shape, np.nan)
    for row, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        if a > 0 and b > a:
            out[row] = np.fmax.reduce(values[a:b], axis=0)
    return out


def lag(values: Floats, k: int) -> Floats:
    """The value k rows before; NaN in the first k."""
    out = np.full(values.shape, np.nan)
    if k < len(values):
        out[k:] = values[:-k]
    return out


def mean_of(values: Floats) -> Floats:
    """(T,) mean over the known instruments; NaN where none is known."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    out = np.full(len(values), np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def spread_over(column: Floats, shape: tuple[int, ...]) -> Floats:
    """A (T,) column for every instrument, (T, N)."""
    return np.repeat(np.asarray(column, dtype=np.float64)[:, None], shape[1], axis=1)


def correlation(values: Floats, common: Floats, length: int) -> Floats:
    """(T, N) correlation of each column with `common` over the last `length` rows."""
    wide = common[:, None]
    mean_v, mean_c = trailing_mean(values, length), trailing_mean(wide, length)
    joint = trailing_mean(values * wide, length) - mean_v * mean_c
    spread = (trailing_mean(values**2, length) - mean_v**2) * (trailing_mean(wide**2, length) - mean_c**2)
    out = np.full(values.shape, np.nan)
    np.divide(joint, np.sqrt(np.maximum(spread, 0.0)), out=out, where=spread > 1e-16)
    return out
