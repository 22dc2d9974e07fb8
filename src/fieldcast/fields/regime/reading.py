"""The regime at one moment: the soft memberships, their words, and whether the market is in alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

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
from fieldcast.fields.regime.soft import NAMES
from fieldcast.fields.vocabulary import Alarm, Stance
from fieldcast.ground import Reason, utc

DRAWDOWN_WINDOW = 60
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
    """

    as_of: datetime
    state: MarketState
    verdict: RiskOff
    memberships: Mapping[str, float]
    labels: Mapping[str, StrEnum]
    reasons: Mapping[str, Reason]
    values: Mapping[str, float] = field(default_factory=dict)

    def reading(self) -> Reading:
        """The short form for the field map; the memberships of the table stay, the overridden ones stand beside them."""
        guarded = {f"{name}_guarded": value for name, value in self.memberships.items()}
        return Reading("regime", self.as_of, dict(self.values) | guarded, labels=self.labels, reasons=self.reasons)


def regime_field(
    row: Mapping[str, float],
    bars: pl.DataFrame,
    as_of: datetime,
    *,
    calendar: str,
    vix: pl.DataFrame | None = None,
    correlation: float | None = None,
    dealer_gamma: float | None = None,
    rules: RiskOffRules | None = None,
) -> RegimeField:
    """Words, alarms and guarded memberships at `as_of`.

    Parameters
    ----------
    row : the regime quantities known at `as_of`, as `FieldMap.regime` has them
    bars : daily bars of the instrument, schema `market.BARS`
    calendar : of the instrument
    vix : daily bars of the VIX; only those known at `as_of` are read. None = no such series
    correlation : with the market, over whatever the caller declares; None = unknown
    dealer_gamma : dealers' net gamma at the present price; None = unknown
    """
    as_of = utc(as_of)
    now, before, why = _vix(vix, as_of)
    state = MarketState(
        vix=now,
        vix_before=before,
        drawdown=_drawdown(bars, as_of),
        volatility_rank=row.get("volatility_rank"),
        correlation=correlation,
        dealer_gamma=dealer_gamma,
    )
    verdict = risk_off(state, rules)
    labels: dict[str, StrEnum] = {}
    reasons: dict[str, Reason] = {}
    values: dict[str, float] = {"alarms": float(len(verdict.alarms))}
    if now is None:
        reasons |= {"vix": why, "vix_level": why}
    else:
        values["vix"] = now
        labels["vix_level"] = vix_level(now)
    if state.drawdown is not None:
        values["drawdown"] = state.drawdown
    if state.volatility_rank is None:
        reasons["volatility_level"] = Reason.WARMING_UP
    else:
        labels["volatility_level"] = volatility_level(state.volatility_rank)
    if correlation is not None:
        values["correlation"] = correlation
        labels["correlation_level"] = correlation_level(correlation)
    if verdict.active:
        labels["stance"] = Stance.RISK_OFF
    elif Alarm.VIX_LEVEL in verdict.not_judged:
        reasons["stance"] = why
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
    return RegimeField(as_of, state, verdict, memberships, labels, reasons, values)


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
    return closes[-1], closes[0] if len(closes) == 2 else None, Reason.NO_DATA


def _drawdown(bars: pl.DataFrame, as_of: datetime) -> float | None:
    """1 − close / highest close of the last 60 bars known; None before there are so many."""
    closes = bars.filter(pl.col("available_at") <= as_of)["close"].tail(DRAWDOWN_WINDOW)
    if closes.len() < DRAWDOWN_WINDOW:
        return None
    return float(1.0 - closes[-1] / closes.max())
