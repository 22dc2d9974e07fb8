"""The watch over live forecasts: rolling figures, the named kill rules, a sequential test, and the clock before live money.

Over the last 20 sessions, pooled over the universe, from the packets as they were recorded:

    AUC        of P(up) / (P(up) + P(down)) against the sign of the return; pairs within an instrument, ties half
    coverage   share of returns inside the 75 % band
    IC         Pearson correlation of P(up) / (P(up) + P(down)) and the return

The named rules, judged from the 20th session on:

    auc        AUC below 0.50 on 10 sessions in a row
    coverage   coverage below 60 % or above 90 %
    ic         IC below 0 on 10 sessions in a row

A figure that cannot be computed is a failure of its rule. Each rule trips on its exact session, and stays tripped.

Beside them stands a sequential test whose false-kill rate is known. Under H0 (the recorded odds and bands are calibrated) the
likelihood ratio q(outcome) / p(outcome) of any other forecast q has mean 1 given the past; so has its mean over the instruments
of a session, however they depend on each other. Products over sessions are martingales, and so is their average E over a fixed
list of alternatives (odds that are worth nothing, inverted, or 10 points too high or low; bands that hold 50, 60, 85 or 95 %). By
Ville's inequality P(sup E >= 1 / alpha) <= alpha for any length of the run and any stopping: with alpha = 5 % a calibrated
forecaster, of AUC 0.536 or any other, is killed in at most 5 % of runs, be they eight weeks or eight years. How often chance
trips the named rules is simulated in `false_kills`.

What it cannot do: in eight weeks, odds that are worth nothing and claim an AUC of 0.536 look like odds that are worth it (it
kills them in about 0.1 % of 1,000 simulated runs on ten instruments); bands that hold 60 % are killed in about 96 %.

Sources: the rules, phi-nance phase 6.5; Ville (1939); Ramdas, Grünwald, Vovk and Shafer (2023), "Game-theoretic statistics and
safe anytime-valid inference", for e-processes and their averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, Reason, utc

WINDOW, RUN = 20, 10
AUC_FLOOR, IC_FLOOR = 0.50, 0.0
COVERAGE_LOW, COVERAGE_HIGH = 0.60, 0.90
BAND = 0.75
FALSE_KILLS = 0.05
KILL_AT = 1.0 / FALSE_KILLS
CLOCK_DAYS = 56  # eight weeks
RECORDED_SHARE = 0.9  # of the calendar's sessions, for the clock to count
RULES = ("auc", "coverage", "ic", "sequential")
NAMED = RULES[:3]
ODDS_SCALES, ODDS_SHIFTS = (0.0, -1.0), (-0.1, 0.1)
BANDS = (0.50, 0.60, 0.85, 0.95)
_EDGE = 1e-3
Array = NDArray[np.float64]


@dataclass(frozen=True)
class PaperRow:
    """One recorded projection with what came of it; NaN where unknown.

    Parameters
    ----------
    p_up : P(up) / (P(up) + P(down))
    low_bps, high_bps : edges of the 75 % band
    ret_bps : log return over the horizon
    regime : probability of each regime when it was recorded; empty where unknown
    """

    instrument: str
    session: date
    p_up: float
    low_bps: float
    high_bps: float
    ret_bps: float
    regime: Mapping[str, float]


@dataclass(frozen=True)
class Day:
    """The watch on one session; a figure is None where it cannot be computed, or before there are 20 sessions."""

    session: date
    rows: int
    judged: bool
    auc: float | None
    coverage: float | None
    ic: float | None
    regime: Mapping[str, float]
    auc_run: int
    ic_run: int
    evidence: float


@dataclass(frozen=True)
class Kill:
    """A rule that has tripped."""

    rule: str
    session: date
    figure: float | None


@dataclass(frozen=True)
class Watched:
    """Every session of a watch, and the first trip of each rule."""

    days: tuple[Day, ...]
    kills: tuple[Kill, ...]


@dataclass(frozen=True)
class Lock:
    """May live money follow? `day` counts from the first recorded packet."""

    locked: bool
    day: int
    recorded: int
    expected: int
    reasons: tuple[Reason, ...]


def watch(rows: Sequence[PaperRow]) -> Watched:
    """Every figure and every trip, from the recorded rows alone.

    Raises
    ------
    InvalidInput : two rows of one instrument and session
    """
    days = sorted({row.session for row in rows})
    names = sorted({row.instrument for row in rows})
    if len({(row.instrument, row.session) for row in rows}) != len(rows):
        raise InvalidInput("expected one row an instrument and session, found more; a session has one packet of an instrument")
    if not rows:
        return Watched((), ())
    place = {day: i for i, day in enumerate(days)}, {name: i for i, name in enumerate(names)}
    table = np.full((4, 1, len(days), len(names)), np.nan)
    for row in rows:
        table[:, 0, place[0][row.session], place[1][row.instrument]] = row.p_up, row.ret_bps, row.low_bps, row.high_bps
    p, ret, low, high = table
    inside = np.where(np.isfinite(ret + low + high), (low <= ret) & (ret <= high), np.nan)
    figures = rolling(p, ret, inside)
    runs = {name: _runs(_failed(name, figures[name]))[0] for name in ("auc", "ic")}
    evidence = e_process(p, ret, inside)[0]
    first = trips(figures, evidence[None, :])
    found = [
        Day(
            session=day,
            rows=int(np.isfinite(p[0, t] + ret[0, t]).sum()),
            judged=t >= WINDOW - 1,
            auc=_known(figures["auc"][0, t]),
            coverage=_known(figures["coverage"][0, t]),
            ic=_known(figures["ic"][0, t]),
            regime=_mix(rows, days[max(0, t - WINDOW + 1)], day),
            auc_run=int(runs["auc"][t]),
            ic_run=int(runs["ic"][t]),
            evidence=float(evidence[t]),
        )
        for t, day in enumerate(days)
    ]
    kills = []
    for rule in RULES:
        t = int(first[rule][0])
        if t >= 0:
            kills.append(Kill(rule, days[t], found[t].evidence if rule == "sequential" else getattr(found[t], rule)))
    return Watched(tuple(found), tuple(kills))


def rolling(p: Array, ret: Array, inside: Array, *, window: int = WINDOW) -> dict[str, Array]:
    """AUC, coverage and IC over the last `window` sessions.

    Parameters
    ----------
    p, ret, inside : (runs, sessions, instruments); NaN where unknown

    Returns
    -------
    name → (runs, sessions), NaN before the window is full and where a figure cannot be computed
    """
    runs, days, _ = p.shape
    found = {name: np.full((runs, days), np.nan) for name in NAMED}
    for t in range(window - 1, days):
        part = slice(t - window + 1, t + 1)
        score, move = p[:, part], ret[:, part]
        known = np.isfinite(score) & np.isfinite(move)
        up, down = known & (move > 0), known & (move < 0)
        concordant = np.zeros(runs)
        for i in range(window):
            mine = score[:, i : i + 1]
            wins = (mine > score) + 0.5 * (mine == score)
            concordant += (wins * down * up[:, i : i + 1]).sum(axis=(1, 2))
        pairs = (up.sum(axis=1) * down.sum(axis=1)).sum(axis=1)
        held = np.isfinite(inside[:, part])
        n = known.sum(axis=(1, 2))
        a, b = (np.where(known, values, 0.0) for values in (score, move))
        with np.errstate(invalid="ignore", divide="ignore"):
            found["auc"][:, t] = np.where(pairs > 0, concordant / pairs, np.nan)
            found["coverage"][:, t] = np.nansum(inside[:, part], axis=(1, 2)) / held.sum(axis=(1, 2))
            a = np.where(known, a - (a.sum(axis=(1, 2)) / n)[:, None, None], 0.0)
            b = np.where(known, b - (b.sum(axis=(1, 2)) / n)[:, None, None], 0.0)
            scale = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
            found["ic"][:, t] = np.where(scale > 1e-12, (a * b).sum(axis=(1, 2)) / scale, np.nan)
    return found


def e_process(p: Array, ret: Array, inside: Array) -> Array:
    """The sequential test's e-value after each session; (runs, sessions). A session without outcomes leaves it as it is."""
    values = []
    odds = np.clip(p, _EDGE, 1.0 - _EDGE)
    up = np.where(ret != 0, (ret > 0).astype(np.float64), np.nan) + 0.0 * ret
    for q in (*(0.5 + scale * (odds - 0.5) for scale in ODDS_SCALES), *(odds + shift for shift in ODDS_SHIFTS)):
        other = np.clip(q, _EDGE, 1.0 - _EDGE)
        values.append(_product(np.where(up == 1.0, other / odds, (1.0 - other) / (1.0 - odds)) + 0.0 * up))
    for share in BANDS:
        values.append(_product(np.where(inside == 1.0, share / BAND, (1.0 - share) / (1.0 - BAND)) + 0.0 * inside))
    return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def trips(figures: Mapping[str, Array], evidence: Array) -> dict[str, NDArray[np.intp]]:
    """The session on which each rule first trips, (runs,) for each rule; -1 where it does not."""
    hit = {
        "auc": _runs(_failed("auc", figures["auc"])) >= RUN,
        "coverage": _failed("coverage", figures["coverage"]),
        "ic": _runs(_failed("ic", figures["ic"])) >= RUN,
        "sequential": evidence >= KILL_AT,
    }
    return {rule: np.where(found.any(axis=1), found.argmax(axis=1), -1) for rule, found in hit.items()}


def lock(first_recorded: datetime | None, now: datetime, *, recorded: int, expected: int, killed: bool) -> Lock:
    """May live money follow? Not before eight weeks on paper, with nine sessions in ten recorded, and with no rule tripped.

    Parameters
    ----------
    first_recorded : when the first packet was written; None = none yet
    recorded, expected : sessions with packets, and sessions of the calendar since the first; of the worst instrument
    """
    day = 0 if first_recorded is None else (utc(now) - utc(first_recorded)).days  # whole days: eight weeks have to pass
    reasons = []
    if day < CLOCK_DAYS or recorded < RECORDED_SHARE * expected or first_recorded is None:
        reasons.append(Reason.CLOCK_RUNNING)
    if killed:
        reasons.append(Reason.KILLED)
    return Lock(bool(reasons), day, recorded, expected, tuple(reasons))


def _failed(rule: str, figure: Array) -> NDArray[np.bool_]:
    """(runs, sessions): the figure breaks its rule, or cannot be computed, on a session that is judged."""
    with np.errstate(invalid="ignore"):
        bad = {
            "auc": ~(figure >= AUC_FLOOR - 1e-12),
            "coverage": ~((figure >= COVERAGE_LOW - 1e-12) & (figure <= COVERAGE_HIGH + 1e-12)),
            "ic": ~(figure >= IC_FLOOR - 1e-12),
        }[rule]
    bad[:, : WINDOW - 1] = False
    return bad


def _runs(bad: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many sessions in a row have failed, this one included; (runs, sessions)."""
    length = np.zeros(bad.shape, dtype=np.intp)
    for t in range(bad.shape[1]):
        length[:, t] = np.where(bad[:, t], 1 + (length[:, t - 1] if t else 0), 0)
    return length


def _product(ratio: Array) -> Array:
    """Running product over sessions of the mean ratio of the instruments whose outcome is known."""
    known = np.isfinite(ratio)
    n = known.sum(axis=2)
    mean = np.where(n > 0, np.where(known, ratio, 0.0).sum(axis=2) / np.maximum(n, 1), 1.0)
    return np.asarray(np.cumprod(mean, axis=1))


def _mix(rows: Sequence[PaperRow], first: date, last: date) -> dict[str, float]:
    """Mean probability of each regime over the rows of the window whose regime is known."""
    found = [row.regime for row in rows if first <= row.session <= last and row.regime]
    names = sorted({name for one in found for name in one})
    return {name: float(np.mean([one.get(name, 0.0) for one in found])) for name in names}


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
