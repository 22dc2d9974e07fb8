"""The session under way: its profile and VWAP as they grow, the composite of the last sessions, volume against the clock.

Minute bars are put into the sessions of the instrument's calendar (half days, daylight saving and midday breaks come with it; a
24/7 market has one a UTC day). A bar belongs to the trading segment in which it ends; bars outside count for nothing and are
counted. Everything stands as it was known at `as_of`: bars published later are not read, and of two versions of a bar the newer
one that was known is.

    relative volume = log( volume since the open / mean over the last 20 sessions of their volume until as long after their open )

A session shorter than that (a half day) is left out of the mean, as is one whose first bars are missing; below five sessions
there is no value. Equations of profile and bands: `profile.py`, `vwap.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from fieldcast.fields._rows import Counts, Flags, Floats, Rows, rows_of
from fieldcast.fields.liquidity.profile import BINS, SHARE, Profile, developing
from fieldcast.fields.liquidity.vwap import SIGMAS, session_of, weighted_bands
from fieldcast.fields.readings import Landmark, Reading
from fieldcast.ground import InvalidInput, MissingData, Reason, utc
from fieldcast.market import BARS, Instrument, conform, segments

NAMESPACE = "liquidity"
_MINUTE = 60_000_000  # microseconds
_DAY = 1440 * _MINUTE
_LATE_START = 5 * _MINUTE  # a session whose first bar ends later than this (or two bars) was not seen from its beginning

_SESSION_VALUES = (
    "session_poc_distance",
    "session_vwap_distance",
    "session_vwap_deviation",
    "session_value_area_position",
    "session_value_area_share",
    "session_relative_volume",
    "week_vwap_distance",
    "composite_poc_distance",
    "composite_value_area_position",
)


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How a session is read.

    Parameters
    ----------
    bins, share : of the profiles
    composite : sessions in the composite profile, the one under way included
    past, least : sessions that volume is compared with, at most and at least
    """

    bins: int = BINS
    share: float = SHARE
    composite: int = 5
    past: int = 20
    least: int = 5

    def __post_init__(self) -> None:
        if self.composite < 1 or not 1 <= self.least <= self.past:
            raise InvalidInput(f"expected composite ≥ 1 and 1 ≤ least ≤ past, found {self.composite}, {self.least}, {self.past}")


@dataclass(frozen=True, eq=False)
class SessionLiquidity:
    """One session as far as it was known.

    Parameters
    ----------
    instrument, as_of : whose, and when
    session : date of the session that the newest known bar belongs to
    current : whether it is the newest session that had opened by `as_of`
    profile, composite : of this session, and of the last sessions with it; none where nothing was traded
    composite_sessions : how many sessions are in the composite
    developing : one row a bar of this session: `ts`, `available_at`, `close`, `poc`, `val`, `vah`, `value_area_share`, `vwap`,
        `sd`, `lower_3` … `upper_3`, `week_vwap`, `relative_volume`; null where there is no value
    outside : bars of the span that lie outside trading hours, which were left out
    """

    instrument: str
    as_of: datetime
    session: date
    current: bool
    profile: Profile | None
    composite: Profile | None
    composite_sessions: int
    developing: pl.DataFrame
    outside: int
    values: Mapping[str, float]
    landmarks: Mapping[str, Landmark]
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    simulated: bool = False

    def reading(self) -> Reading:
        """The short form for the field map. A session that is over and followed by another has reasons and no values."""
        if not self.current:
            return Reading(
                NAMESPACE, self.as_of, {}, reasons=dict.fromkeys(_SESSION_VALUES, Reason.STALE), simulated=self.simulated
            )
        return Reading(
            NAMESPACE,
            self.as_of,
            self.values,
            landmarks=self.landmarks,
            reasons=self.reasons,
            conventions={"session": f"{self.session.isoformat()}, composite of {self.composite_sessions} sessions"},
            simulated=self.simulated,
        )


def session_liquidity(
    bars: pl.DataFrame, instrument: Instrument, as_of: datetime, policy: SessionPolicy = SessionPolicy()
) -> SessionLiquidity:
    """The newest session of intraday bars that had begun by `as_of`.

    Parameters
    ----------
    bars : intraday bars of one instrument, schema `market.BARS`; history for the composite and the volume of other sessions
    instrument : whose calendar says when it trades
    as_of : time with its zone; nothing known later is read
    policy : bins, and how many sessions are looked at

    Raises
    ------
    MissingData : no bar inside trading hours was known at `as_of`
    InvalidInput : the bars break the schema, or are of several instruments
    """
    as_of = utc(as_of)
    known, place, outside = _known(bars, instrument, as_of, policy)
    rows = rows_of(known)
    here = place == place[-1]
    opened, lengths, days = _hours(instrument.calendar)
    table = _developing(rows, here, place, (opened, lengths, days), policy)
    profile = _profile(rows, here, policy)
    recent = np.unique(place)[-policy.composite :]
    composite = _profile(rows, place >= recent[0], policy)
    newest = int(np.searchsorted(opened, int(as_of.timestamp() * 1e6), side="left")) - 1
    values, landmarks, reasons = _figures(table, composite)
    return SessionLiquidity(
        instrument=instrument.id,
        as_of=as_of,
        session=date(1970, 1, 1) + timedelta(days=int(days[place[-1]])),
        current=newest == place[-1],
        profile=profile,
        composite=composite,
        composite_sessions=recent.size,
        developing=table,
        outside=outside,
        values=values,
        landmarks=landmarks,
        reasons=reasons,
        simulated=instrument.simulated,
    )


def _known(
    bars: pl.DataFrame, instrument: Instrument, as_of: datetime, policy: SessionPolicy
) -> tuple[pl.DataFrame, Counts, int]:
    """The known bars of the sessions that are looked at, the place of each one's session, and how many lay outside hours."""
    bars = conform(bars, BARS)
    bars = bars.filter(pl.col("available_at") <= as_of)
    stamps = bars["ts"].to_physical().to_numpy()
    if (np.diff(stamps) <= 0).any():  # versions of a bar, or bars out of order
        bars = bars.sort("ts", "available_at").unique("ts", keep="last", maintain_order=True)
        stamps = bars["ts"].to_physical().to_numpy()
    place = session_of(stamps, instrument.calendar)
    inside = place >= 0
    if not inside.any():
        raise MissingData(
            f"expected bars of {instrument.id} inside the sessions of {instrument.calendar} known at {as_of.isoformat()}, "
            f"found none among {bars.height}; import them, or correct the calendar"
        )
    sessions = np.unique(place[inside])
    first = sessions[-1 - min(sessions.size - 1, max(policy.past, policy.composite - 1))]
    start = int(np.argmax(place >= first))
    kept = inside[start:]
    return bars[start:].filter(pl.Series(kept)), place[start:][kept], int((~kept).sum())


def _hours(calendar: str) -> tuple[Counts, Counts, Counts]:
    """By place: open of each session and its length to the last close, both in microseconds, and its date in days since 1970."""
    table = segments(calendar)
    days = table["session"].to_physical().to_numpy()
    turns = np.diff(days) != 0
    opened = table["start"].to_physical().to_numpy()[np.concatenate(([True], turns))]
    closed = table["end"].to_physical().to_numpy()[np.concatenate((turns, [True]))]
    return opened, closed - opened, days[np.concatenate(([True], turns))]


def _profile(rows: Rows, chosen: Flags, policy: SessionPolicy) -> Profile | None:
    known = chosen & _traded(rows)
    if not (rows.volume[known] > 0).any():
        return None
    arrays = (item[known] for item in (rows.high, rows.low, rows.close, rows.volume))
    return Profile.of(*arrays, bins=policy.bins, share=policy.share)


def _traded(rows: Rows) -> Flags:
    known: Flags = np.isfinite(rows.high) & np.isfinite(rows.low) & np.isfinite(rows.volume)
    return known


def _developing(
    rows: Rows, here: Flags, place: Counts, hours: tuple[Counts, Counts, Counts], policy: SessionPolicy
) -> pl.DataFrame:
    known = here & _traded(rows)
    at = np.flatnonzero(known)
    arrays = [item[at] for item in (rows.high, rows.low, rows.close, rows.volume)]
    grown = developing(*arrays, bins=policy.bins, share=policy.share)
    typical = (arrays[0] + arrays[1] + arrays[2]) / 3
    mean, deviation = weighted_bands(typical, arrays[3], np.arange(at.size) == 0)
    columns = grown | {"vwap": mean, "sd": deviation}
    for k in SIGMAS:
        columns |= {f"lower_{k}": mean - k * deviation, f"upper_{k}": mean + k * deviation}
    columns["week_vwap"] = _week_vwap(rows, place, hours[0], hours[2])[at]
    columns["relative_volume"] = _relative_volume(rows, place, hours[0], hours[1], policy)[at]
    known_at = rows.available_at.cum_max()
    frame = {"ts": rows.ts.gather(at), "available_at": known_at.gather(at), "close": pl.Series(arrays[2])}
    return pl.DataFrame(frame | {name: pl.Series(name, values).fill_nan(None) for name, values in columns.items()})


def _late(stamps: Counts) -> int:
    """How long after its open a session's first bar may end: five minutes, or two bars."""
    return max(_LATE_START, 2 * int(np.diff(stamps).min(initial=_DAY)))


def _week_vwap(rows: Rows, place: Counts, opened: Counts, days: Counts) -> Floats:
    """VWAP since the first session of the ISO week; no value where the bars begin within it."""
    week = (days[place] + 3) // 7  # day 0 was a Thursday
    before = (days[np.maximum(place[0] - 1, 0)] + 3) // 7
    stamps = rows.ts.to_physical().to_numpy()
    from_open = stamps[0] - opened[place[0]] <= _late(stamps)
    whole = (week != week[0]) | bool(before != week[0] and from_open)
    at = np.flatnonzero(_traded(rows))
    restart = np.concatenate(([True], np.diff(week[at]) != 0))[: at.size]
    result = np.full(len(rows), np.nan)
    result[at] = weighted_bands((rows.high[at] + rows.low[at] + rows.close[at]) / 3, rows.volume[at], restart)[0]
    return np.where(whole, result, np.nan)


def _relative_volume(rows: Rows, place: Counts, opened: Counts, lengths: Counts, policy: SessionPolicy) -> Floats:
    """Log of the volume since the open over its mean in the sessions before; NaN outside the last session."""
    stamps = rows.ts.to_physical().to_numpy()
    elapsed = stamps - opened[place]
    late = _late(stamps)
    volume = np.where(np.isfinite(rows.volume), rows.volume, 0.0)
    here = np.flatnonzero(place == place[-1])
    mine = np.cumsum(volume[here])
    total, count = np.zeros(here.size), np.zeros(here.size)
    for session in np.unique(place)[:-1][-policy.past :]:
        there = np.flatnonzero(place == session)
        if elapsed[there[0]] > late or not np.isfinite(rows.volume[there]).all():
            continue
        until = np.searchsorted(elapsed[there], elapsed[here], side="right")
        lasted = elapsed[here] <= lengths[session]
        total += np.where(lasted, np.concatenate(([0.0], np.cumsum(volume[there])))[until], 0.0)
        count += lasted
    known = (count >= policy.least) & (total > 0) & (mine > 0)
    known &= bool(np.isfinite(rows.volume[here]).all()) and elapsed[here[0]] <= late
    result = np.full(len(rows), np.nan)
    result[here[known]] = np.log(mine[known] * count[known] / total[known])
    return result


def _figures(table: pl.DataFrame, composite: Profile | None) -> tuple[dict[str, float], dict[str, Landmark], dict[str, Reason]]:
    """Values, landmarks and reasons of the last bar."""
    if table.is_empty():
        return {}, {}, dict.fromkeys(_SESSION_VALUES, Reason.VOLUME_NOT_REPORTED)
    last = table.row(-1, named=True)
    close, since = last["close"], last["available_at"]
    marks: dict[str, float | None] = {f"session_{name}": last[name] for name in ("poc", "val", "vah", "vwap")}
    marks["week_vwap"] = last["week_vwap"]
    if composite is not None:
        marks |= {"composite_poc": composite.poc, "composite_val": composite.val, "composite_vah": composite.vah}
    prices = {name: price for name, price in marks.items() if price is not None}
    values: dict[str, float | None] = dict.fromkeys(_SESSION_VALUES)
    values["session_value_area_share"] = last["value_area_share"]
    values["session_relative_volume"] = last["relative_volume"]
    for name in ("session_poc", "session_vwap", "week_vwap", "composite_poc"):
        if name in prices:
            values[f"{name}_distance"] = float(np.log(close / prices[name]))
    if last["sd"]:
        values["session_vwap_deviation"] = (close - last["vwap"]) / last["sd"]
    for span in ("session", "composite"):
        low, high = prices.get(f"{span}_val"), prices.get(f"{span}_vah")
        if low is not None and high is not None and high > low:
            values[f"{span}_value_area_position"] = (close - low) / (high - low)
    reasons = {name: Reason.UNDEFINED for name, value in values.items() if value is None}
    for name in ("session_relative_volume", "week_vwap_distance"):
        if name in reasons:
            reasons[name] = Reason.FEW_ROWS
    known = {name: value for name, value in values.items() if value is not None}
    return known, {name: Landmark(price, since) for name, price in prices.items()}, reasons
