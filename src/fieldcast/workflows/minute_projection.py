"""Projections of the next minutes: packets with the horizons 1m, 5m, 15m and 1h from stored minute bars.

    sigma      time-of-day profile times a log-HAR level (`models.volatility.TimeOfDay`), renewed each day
    odds       logistic on the moves of the last 1, 5, 15 and 60 minutes over sigma, the place of the close in the last hour's
               range and the level of volatility against its day; refitted each day on the days before it, and calibrated on the
               last of them
    cone       adaptive conformal quantiles of the scores of the last five days; or, where a market never closes and it is asked
               for, experts (`projection.cones.MinuteExperts`)
    the rest   as for daily projections (`projection.composer`)

A horizon of h minutes begins at the end of a bar and ends h minutes later, with trading all the way: within one stretch of an
exchange's session, and over midnight where a market never closes. Where the session ends before the horizon does, or where the
bar at its end is absent, nothing is said, and the reason stands in the packet. Decisions are made one second after the end of the
bar (`market.BAR_LATENCY`), and an order can reach the market a second later. Settings were fixed beforehand and not tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast import __version__
from fieldcast.data import load_instrument
from fieldcast.evaluation import WalkForward
from fieldcast.ground import InvalidInput, Reason, ShortHistory, digest
from fieldcast.market import BAR_LATENCY, Instrument, segments, sessions_per_year, table_of, time_zone
from fieldcast.models.volatility import TimeOfDay
from fieldcast.projection import ProjectionPacket
from fieldcast.projection.composer import ConeMaker, HorizonPath, compose
from fieldcast.projection.cones import MinuteExperts, minute_scales
from fieldcast.projection.cones.minutes import MEMBERS
from fieldcast.projection.conformal import AdaptiveConformal
from fieldcast.projection.figures import horizon_figures
from fieldcast.projection.packet import HorizonProjection, Provenance
from fieldcast.projection.walk_forward import OddsTask, walk_odds
from fieldcast.workflows.cycles import not_in_the_future
from fieldcast.workflows.prepare import MICROSECONDS, Array
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.study import running_hashes
from fieldcast.workflows.workspace import Workspace

HORIZONS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}  # minutes
TABLE = "bars/1m"
MINUTE = 60_000_000  # microseconds
DAY = 1440
STALE = 5  # minutes for which the last price stands in for one at which nothing was traded
ALWAYS_OPEN = "24/7"
MinuteConeKind = Literal["conformal", "experts"]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class MinuteSettings:
    """What decides a minute projection, and nothing else.

    Parameters
    ----------
    days : of trading, the newest ones, that are read
    initial : days before the first projected one
    training : days that each fit of the odds looks back on
    scores : days whose scores make a cone
    l2, calibration_share, flat_share, gamma : of the logistic, its calibrator, the flat band and the cone's trackers
    cones : what finds the cone's quantiles; "experts" for markets that never close (`scores` and `gamma` are then not used)
    """

    days: int = 30
    initial: int = 10
    training: int = 10
    scores: int = 5
    l2: float = 100.0
    calibration_share: float = 0.2
    flat_share: float = 1.0 / 3.0
    gamma: float = 0.002
    cones: MinuteConeKind = "conformal"

    def __post_init__(self) -> None:
        if self.cones not in get_args(MinuteConeKind):
            raise InvalidInput(f"expected cones out of {', '.join(get_args(MinuteConeKind))}, found {self.cones!r}")
        if not 4 <= self.initial < self.days or not 2 <= self.training <= self.initial or not 1 <= self.scores <= self.initial:
            raise InvalidInput(f"expected 4 <= initial < days, and training and scores within initial, found {self}")


@dataclass(frozen=True, eq=False)
class MinuteRows:
    """Minute bars of the regular session, n of them, with what a calendar says of them.

    stretch : (n,) number of the unbroken stretch of trading that a bar lies in; ends : (n,) end of that stretch
    """

    bars: pl.DataFrame
    ts: Whole
    stretch: Whole
    ends: Whole
    a_day: int

    def ahead(self, minutes: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Row of the bar that ends exactly so many minutes later in the same stretch, and where there is one; (n,) each."""
        wanted = self.ts + minutes * MINUTE
        place = np.minimum(np.searchsorted(self.ts, wanted), len(self.ts) - 1)
        found = (self.ts[place] == wanted) & (self.stretch[place] == self.stretch)
        return place, np.asarray(found, dtype=np.bool_)


def minute_rows(bars: pl.DataFrame, instrument: Instrument, days: int) -> MinuteRows:
    """The newest days of a calendar's trading.

    Raises
    ------
    ShortHistory : no bar lies in a session
    InvalidInput : bars that do not end on whole minutes
    """
    opened, closed = _stretches(instrument.calendar)
    ts = bars["ts"].dt.timestamp("us").to_numpy().astype(np.int64)
    if (ts % MINUTE).any():
        raise InvalidInput(f"expected bars of {instrument.id} that end on whole minutes, found others; resample them first")
    place = np.searchsorted(closed, ts)  # the first stretch that ends at the bar's end or later
    inside = np.flatnonzero((place < len(closed)) & (ts > opened[np.minimum(place, len(opened) - 1)]))
    if not inside.size:
        raise ShortHistory(f"expected minute bars of {instrument.id} in sessions of {instrument.calendar}, found none")
    always = instrument.calendar == ALWAYS_OPEN
    number = (ts - 1) // (DAY * MINUTE) if always else place
    kept = inside[number[inside] > number[inside][-1] - days] if always else _newest(inside, number, days)
    a_day = DAY if always else int(np.median((closed - opened)[np.unique(place[kept])]) // MINUTE)
    stretch, ends = (np.zeros(kept.size, dtype=np.int64), np.full(kept.size, np.iinfo(np.int64).max)) if always else (
        place[kept].astype(np.int64), closed[place[kept]])  # fmt: skip
    return MinuteRows(bars[kept], ts[kept], stretch, ends, a_day)


def _newest(inside: NDArray[np.intp], number: Whole, days: int) -> NDArray[np.intp]:
    seen = np.unique(number[inside])
    return np.asarray(inside[number[inside] >= seen[max(0, len(seen) - days)]], dtype=np.intp)


def _stretches(calendar: str) -> tuple[Whole, Whole]:
    table = segments(calendar)
    opened, closed = (table[name].dt.timestamp("us").to_numpy().astype(np.int64) for name in ("start", "end"))
    return opened, closed


def minute_path(rows: MinuteRows, instrument: Instrument, minutes: int, settings: MinuteSettings) -> HorizonPath:
    """What is projected over one horizon at each row, every figure from rows up to it.

    Raises
    ------
    ShortHistory : there are no rows past the initial days
    InvalidInput : cones from experts for a market that closes
    """
    _check_cones(instrument, settings)
    close = rows.bars["close"].to_numpy().astype(np.float64)
    always = instrument.calendar == ALWAYS_OPEN
    zone = "UTC" if always else time_zone(instrument.calendar)
    path = TimeOfDay(zone, around_the_clock=always).path(rows.bars, minutes)
    one = path if minutes == 1 else TimeOfDay(zone, around_the_clock=always).path(rows.bars, 1)
    place, there = rows.ahead(minutes)
    returns = np.where(there, np.log(close[place] / close), np.nan)
    features = _features(rows, close, one.sigma)
    y = np.where(returns > 0, 1.0, np.where(returns < 0, 0.0, np.nan))
    stamps = rows.ts.astype(MICROSECONDS)
    decision = (rows.ts + BAR_LATENCY // timedelta(microseconds=1)).astype(MICROSECONDS)
    label_end = np.where(there, stamps[place], np.datetime64("NaT"))
    walk = WalkForward(
        initial=settings.initial * rows.a_day, test=rows.a_day, step=rows.a_day, embargo=0, expanding=False
    )
    first = int(np.flatnonzero(np.isfinite(path.sigma))[0]) if np.isfinite(path.sigma).any() else len(close)
    task = OddsTask(
        instrument=instrument.id,
        label="sign",
        horizon=minutes,
        model="logistic",
        columns=COLUMNS,
        features=features,
        y=y,
        decision=decision,
        label_end=label_end,
        first_usable=0,
        walk=walk,
        refit=rows.a_day,
        calibration_share=settings.calibration_share,
        parameters={"l2": settings.l2},
    )
    folds = list(walk.split(decision, label_end, 0))
    if not folds or first == len(close):
        needed = settings.initial * rows.a_day
        raise ShortHistory(f"expected more than {needed} minute bars of {instrument.id}, found {len(close)}; import more")
    odds = walk_odds(task)
    return compose(
        horizon=minutes,
        folds=folds,
        returns=returns,
        sigma=path.sigma,
        sign_odds=odds.odds,
        input_missing=odds.input_missing,
        data_coverage=np.isfinite(features).mean(axis=1),
        flat_share=settings.flat_share,
        conformal=_cone_maker(rows, minutes, settings),
    )


def _check_cones(instrument: Instrument, settings: MinuteSettings) -> None:
    if settings.cones == "experts" and instrument.calendar != ALWAYS_OPEN:
        raise InvalidInput(
            f"expected a market that never closes for cones from experts, found {instrument.id} on {instrument.calendar}; "
            "leave the cones at conformal"
        )


def _cone_maker(rows: MinuteRows, minutes: int, settings: MinuteSettings) -> ConeMaker:
    least = max(100, 2 * minutes)
    if settings.cones == "experts":
        return MinuteExperts(minute_scales(rows.bars, minutes), least)
    return AdaptiveConformal(settings.gamma, settings.scores * rows.a_day, least)


COLUMNS = ("move_1", "move_5", "move_15", "move_60", "place_60", "level")


def _features(rows: MinuteRows, close: Array, sigma: Array) -> Array:
    """(n, 6) of `COLUMNS`; NaN in the first hour of a stretch, and where minutes without trades leave too little to read."""
    n = len(close)
    price = np.log(close)
    found = []
    for minutes in (1, 5, 15, 60):
        wanted = rows.ts - minutes * MINUTE
        place = np.maximum(np.searchsorted(rows.ts, wanted, side="right") - 1, 0)  # a minute without trades kept its price
        stale = wanted - rows.ts[place]
        there = (stale >= 0) & (stale <= STALE * MINUTE) & (rows.stretch[place] == rows.stretch)
        found.append(np.where(there, price - price[place], np.nan) / (sigma * np.sqrt(minutes)))
    hour = np.full(n, np.nan)
    if n >= 60:
        window = np.lib.stride_tricks.sliding_window_view(price, 60)
        low, high = window.min(axis=1), window.max(axis=1)
        span = rows.ts[59:] - rows.ts[:-59]
        whole = (span <= (59 + 3 * STALE) * MINUTE) & (rows.stretch[59:] == rows.stretch[:-59]) & (high > low)
        hour[59:] = np.where(whole, (price[59:] - low) / np.where(high > low, high - low, 1.0) - 0.5, np.nan)
    mean = np.full(n, np.nan)
    known = np.isfinite(sigma)
    logs = np.where(known, np.log(np.where(known, sigma, 1.0)), 0.0)
    total, count = np.cumsum(logs), np.cumsum(known)
    back = min(rows.a_day, n)
    total[back:], count[back:] = total[back:] - total[:-back].copy(), count[back:] - count[:-back].copy()
    np.divide(total, count, out=mean, where=count >= back // 2)
    return np.column_stack([*found, hour, np.log(sigma) - mean])


def project_minutes(
    workspace: Workspace,
    instrument: str,
    *,
    horizons: Sequence[str] = tuple(HORIZONS),
    as_of: datetime | None = None,
    settings: MinuteSettings | None = None,
) -> ProjectionPacket:
    """The packet of the newest stored minute bar known (at `as_of`).

    Parameters
    ----------
    horizons : out of "1m", "5m", "15m" and "1h"

    Raises
    ------
    MissingData : the instrument is unknown, or has no minute bars
    ShortHistory : too few days for an out-of-sample projection
    InvalidInput : an unknown horizon, or one twice; cones from experts for a market that closes
    """
    not_in_the_future(workspace, as_of)
    chosen = settings or MinuteSettings()
    described = load_instrument(workspace.ledger, instrument)
    until = known_until(workspace, (instrument,), digest(_identity(chosen)), as_of)
    bars = workspace.store.read(instrument, table=table_of(TABLE).name, as_of=until)
    return minute_packet(bars, described, horizons=horizons, settings=chosen)


def minute_packet(
    bars: pl.DataFrame,
    instrument: Instrument,
    *,
    horizons: Sequence[str] = tuple(HORIZONS),
    settings: MinuteSettings | None = None,
) -> ProjectionPacket:
    """The packet of the last of the bars, schema `market.BARS`; as `project_minutes`."""
    chosen = settings or MinuteSettings()
    unknown = [name for name in horizons if name not in HORIZONS]
    if unknown or not horizons or len(set(horizons)) != len(horizons):
        raise InvalidInput(f"expected horizons out of {', '.join(HORIZONS)}, each once, found {list(horizons)}")
    _check_cones(instrument, chosen)
    rows = minute_rows(bars, instrument, chosen.days)
    end = _moment(int(rows.ts[-1]))
    projected = []
    for name in horizons:
        minutes = HORIZONS[name]
        entry, target = end + 2 * BAR_LATENCY, end + timedelta(minutes=minutes)
        times = {"entry_ts": entry, "target_ts": target, "valid_until": min(end + timedelta(minutes=1) + BAR_LATENCY, target)}
        if rows.ts[-1] + minutes * MINUTE > rows.ends[-1]:
            projected.append(HorizonProjection.missing(name, Reason.TARGET_OUTSIDE_SESSION))
            continue
        path = minute_path(rows, instrument, minutes, chosen)
        periods = sessions_per_year(instrument.calendar) * rows.a_day / minutes
        figures = horizon_figures(path, len(rows.ts) - 1, name, float(rows.bars["close"][-1]), periods)
        projected.append(HorizonProjection.model_validate(figures | times))
    return ProjectionPacket(
        instrument=instrument.id,
        as_of=end + BAR_LATENCY,
        provenance=Provenance(
            data_hashes={instrument.id: running_hashes(rows.bars)[-1]},
            model_id=f"minutes-{digest(_identity(chosen))[:16]}",
            code_version=__version__,
            simulated=instrument.simulated,
        ),
        warnings=(Reason.SIMULATED,) if instrument.simulated else (),
        horizons=tuple(projected),
    )


def _identity(settings: MinuteSettings) -> dict[str, object]:
    """What names the settings; the kind of cones and its members only where it isn't the default, so that earlier packets keep
    their name."""
    plain = asdict(settings)
    if settings.cones == "conformal":
        del plain["cones"]
    else:
        plain["members"] = [list(member) for member in MEMBERS]
    return {"kind": "minute_projection", "columns": list(COLUMNS), **plain}


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
