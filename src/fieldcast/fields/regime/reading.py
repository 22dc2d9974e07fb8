"""The regime at one moment: the soft memberships, their words, and whether the market is in alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
import polars as pl

from fieldcast.fields._rows import rows_of
from fieldcast.fields.readings import Reading
from fieldcast.fields.regime.alarms import MarketState, RiskOff, RiskOffRules, overridden, risk_off
from fieldcast.fields.regime.buckets import (
    HOURS_KNOWN,
    correlation_level,
    market_hours,
    structure,
    trading_desk,
    vix_level,
    volatility_level,
)
from fieldcast.fields.regime.filtered import change_point_odds, hmm_probabilities, observations
from fieldcast.fields.regime.parameters import RETURN, ChangePointParameters, HmmParameters
from fieldcast.fields.regime.soft import NAMES
from fieldcast.fields.vocabulary import Alarm, Stance
from fieldcast.ground import Reason, utc
from fieldcast.market import sessions_between

DRAWDOWN_WINDOW = 60
VIX_CALENDAR, ONE_DAY = "XNYS", timedelta(days=1)
FOR_CALM = (Alarm.VIX_LEVEL, Alarm.VIX_JUMP, Alarm.DRAWDOWN)  # without these nobody is told that all is calm
OLDEST_VIX = timedelta(days=5)  # a long weekend and a holiday; an older close says nothing of now


@dataclass(frozen=True)
class RegimeField:
    """The regime of one instrument at one moment.

    Parameters
    ----------
    as_of : the moment of the decision, UTC
    state : what the alarms read
    verdict : which alarms are on, and which could not be judged
    memberships : the four soft memberships after the override; empty where they are unknown
    labels : words for the figures
    reasons : name → why a figure or word is unknown
    conventions : name → which frozen parameters a fitted figure comes from
    simulated : True where those were fitted on a simulation
    """

    as_of: datetime
    state: MarketState
    verdict: RiskOff
    memberships: Mapping[str, float]
    labels: Mapping[str, StrEnum]
    reasons: Mapping[str, Reason]
    values: Mapping[str, float] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    def reading(self) -> Reading:
        """The short form for the field map; the memberships of the table stay, the overridden ones stand beside them."""
        guarded = {f"{name}_guarded": value for name, value in self.memberships.items()}
        return Reading(
            "regime", self.as_of, dict(self.values) | guarded, labels=self.labels, reasons=self.reasons,
            conventions=self.conventions, simulated=self.simulated,
        )  # fmt: skip


def regime_field(
    row: Mapping[str, float],
    bars: pl.DataFrame,
    as_of: datetime,
    *,
    calendar: str,
    vix: pl.DataFrame | None = None,
    market_correlation: float | None = None,
    pairwise_correlation: float | None = None,
    dealer_gamma: float | None = None,
    rules: RiskOffRules | None = None,
    hmm: HmmParameters | Reason | None = None,
    change: ChangePointParameters | None = None,
) -> RegimeField:
    """Words, alarms and guarded memberships at `as_of`.

    Parameters
    ----------
    row : the regime quantities known at `as_of`, as `FieldMap.regime` has them
    bars : daily bars of the instrument, schema `market.BARS`
    calendar : of the instrument
    vix : daily bars of the VIX; only those known at `as_of` are read. None = no such series
    market_correlation : of the instrument with the market, over whatever the caller declares: a word, no alarm
    pairwise_correlation : mean over the pairs of the book of instruments that the caller trades, for the alarm; None = unknown
    dealer_gamma : dealers' net gamma at the present price; None = unknown
    hmm : frozen parameters of the hidden states; a reason = why they may not be used, which is then said; None = not asked for
    change : frozen parameters of the change points; None = not asked for

    Raises
    ------
    InvalidInput : fitted parameters of another instrument, or fitted on rows that were not known at `as_of`
    """
    as_of = utc(as_of)
    now, before, why = _vix(vix, as_of)
    state = MarketState(
        vix=now,
        vix_before=before,
        drawdown=_drawdown(bars, as_of),
        volatility_rank=row.get("volatility_rank"),
        correlation=pairwise_correlation,
        dealer_gamma=dealer_gamma,
    )
    verdict = risk_off(state, rules)
    labels: dict[str, StrEnum] = {}
    reasons: dict[str, Reason] = {}
    judged = len(Alarm) - len(verdict.not_judged)
    values: dict[str, float] = {"alarms": float(len(verdict.alarms)), "alarms_judged": float(judged)}
    reasons |= {f"alarm_{rule}": _why_not_judged(rule, state, why) for rule in verdict.not_judged}
    if now is None:
        reasons |= {"vix": why, "vix_level": why}
    else:
        values["vix"] = now
        labels["vix_level"] = vix_level(now)
    if state.drawdown is None:
        reasons["drawdown"] = Reason.WARMING_UP
    else:
        values["drawdown"] = state.drawdown
    if state.volatility_rank is None:
        reasons["volatility_level"] = Reason.WARMING_UP
    else:
        labels["volatility_level"] = volatility_level(state.volatility_rank)
    if market_correlation is not None:
        values["market_correlation"] = market_correlation
        labels["correlation_level"] = correlation_level(market_correlation)
    if verdict.active:
        labels["stance"] = Stance.RISK_OFF
    elif unknown := [rule for rule in FOR_CALM if rule in verdict.not_judged]:
        reasons["stance"] = reasons[f"alarm_{unknown[0]}"]
    else:
        labels["stance"] = Stance.CALM
    memberships = {name: row[name] for name in NAMES if name in row}
    if len(memberships) == len(NAMES) and "range_z" in row:
        memberships = overridden(memberships, row["range_z"], verdict)
        labels["structure"] = structure(memberships)
    else:
        memberships = {}
        reasons["structure"] = Reason.WARMING_UP
    if calendar in HOURS_KNOWN:
        labels["market_hours"] = market_hours(calendar, as_of)
    else:
        reasons["market_hours"] = Reason.UNDEFINED
    if calendar == "24/7":
        labels["trading_desk"] = trading_desk(as_of)
    fitted = _Fitted(bars, as_of, values, labels, reasons)
    fitted.states(hmm)
    fitted.runs(change)
    return RegimeField(as_of, state, verdict, memberships, labels, reasons, values, fitted.conventions, fitted.simulated)


class _Fitted:
    """Adds what frozen parameters say of the bars known at a moment."""

    def __init__(
        self,
        bars: pl.DataFrame,
        as_of: datetime,
        values: dict[str, float],
        labels: dict[str, StrEnum],
        reasons: dict[str, Reason],
    ) -> None:
        self.bars, self.as_of = bars.filter(pl.col("available_at") <= as_of), as_of
        self.values, self.labels, self.reasons = values, labels, reasons
        self.conventions: dict[str, str] = {}
        self.simulated = False

    def states(self, hmm: HmmParameters | Reason | None) -> None:
        """Odds of the hidden states, and the likeliest as a word; of equal ones the calmer."""
        if isinstance(hmm, Reason):
            self.reasons["hmm"] = hmm
        elif hmm is not None and self._usable("hmm", hmm):
            odds = hmm_probabilities(observations(rows_of(self.bars), hmm.features), hmm)[-1]
            if np.isfinite(odds).all():
                self.values |= {f"hmm_{state}": float(p) for state, p in zip(hmm.states, odds, strict=True)}
                self.labels["hidden_state"] = hmm.states[int(np.argmax(odds))]
            else:
                self.reasons["hmm"] = Reason.WARMING_UP

    def runs(self, change: ChangePointParameters | None) -> None:
        """Odds of a recent change, and the expected age of the present stretch."""
        if change is not None and self._usable("change", change):
            found = change_point_odds(observations(rows_of(self.bars), (RETURN,))[:, 0], change)
            if np.isfinite(found.recent[-1]):
                self.values |= {"change_odds": float(found.recent[-1]), "run_length": float(found.run_length[-1])}
            else:
                self.reasons["change_odds"] = Reason.WARMING_UP

    def _usable(self, name: str, parameters: HmmParameters | ChangePointParameters) -> bool:
        if self.bars.is_empty():
            self.reasons[name] = Reason.NO_DATA
            return False
        parameters.usable_at(self.bars["instrument"][0], self.as_of)
        self.simulated = self.simulated or parameters.simulated
        self.conventions[name] = (
            f"fitted on {parameters.rows} rows known until {parameters.fitted_until:%Y-%m-%d}, parameters {parameters.hash[:16]}"
        )
        return True


def _vix(vix: pl.DataFrame | None, as_of: datetime) -> tuple[float | None, float | None, Reason]:
    """Newest close known, the one before it, and why there is none."""
    if vix is None:
        return None, None, Reason.NO_DATA
    known = vix.filter(pl.col("available_at") <= as_of).sort("ts", "available_at").unique("ts", keep="last", maintain_order=True)
    if known.is_empty():
        return None, None, Reason.NO_DATA
    if as_of - known["ts"][-1] > OLDEST_VIX:
        return None, None, Reason.STALE
    closes = known["close"].tail(2).to_list()
    days = known["ts"].tail(2).dt.date().to_list()
    between = 0 if len(days) < 2 else sessions_between(VIX_CALENDAR, days[0] + ONE_DAY, days[1] - ONE_DAY).height
    return closes[-1], closes[0] if len(closes) == 2 and not between else None, Reason.NO_DATA


def _why_not_judged(rule: Alarm, state: MarketState, why: Reason) -> Reason:
    """Why a rule has no verdict: what it reads is not known."""
    if rule in (Alarm.VIX_LEVEL, Alarm.VIX_JUMP):
        return why if state.vix is None else Reason.MISSING_SESSION
    return Reason.WARMING_UP if rule is Alarm.DRAWDOWN else Reason.NO_DATA


def _drawdown(bars: pl.DataFrame, as_of: datetime) -> float | None:
    """1 − close / highest close of the last 60 bars known; None before there are so many."""
    closes = bars.filter(pl.col("available_at") <= as_of)["close"].tail(DRAWDOWN_WINDOW)
    if closes.len() < DRAWDOWN_WINDOW:
        return None
    return float(1.0 - closes[-1] / closes.max())
