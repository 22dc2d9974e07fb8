"""How convinced the texts are, and what that stores: the second-order field.

With the score s, momentum v (its slope a day) and the sources' weights q_k = c_k w_k / Σ c w:

    dispersion      σ = √ Σ q_k (σ_k² + (s_k − s)²)            of texts within sources and of sources among each other, 0 … 1
    conviction      C = 0.3 (1 − σ) + 0.3 · mean confidence + 0.2 · min(1, mentions / 1000) + 0.2 |s|        0 … 1
    contrarian      K = −sign(s) · C · (|s| − 0.7) where |s| ≥ 0.7, else 0              against the crowd, at extremes alone
    reversal energy U = (|s| · C)^1.5                                   stored by an extreme that is believed
    trend energy    T = (|v| · |s|)^1.2                                 of a mood on the move
    acceleration    Γ = s_t − 2 s_{t−1} + s_{t−2}                       a day²

Sentiment is taken as what moves price, so that its change is price's acceleration and its second difference stands to it as
gamma stands to delta: Γ says how fast the push itself changes, U what an extreme would give back if it turned. They are
figures of the field in units of the score; nothing says that price owes them anything until an evaluation shows it.

Source: Gnosis V3's interpreter, with its constants; it measured σ over sources alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldcast.fields._rows import Floats
from fieldcast.fields.sentiment.flows import SourceFlow
from fieldcast.fields.sentiment.rules import SentimentRules
from fieldcast.ground import Reason


@dataclass(frozen=True)
class Convinced:
    """Conviction and what follows from it; `reasons` says why a figure is not there."""

    figures: Mapping[str, float]
    reasons: Mapping[str, Reason]


def weighted_score(flows: Sequence[SourceFlow], rules: SentimentRules) -> float | None:
    """Σ score · confidence · weight / Σ confidence · weight over the sources that have a score; None where none has."""
    parts = [(flow.score, flow.confidence * getattr(rules.weights, flow.source)) for flow in flows
             if flow.score is not None and flow.confidence is not None]  # fmt: skip
    total = sum(weight for _, weight in parts)
    if total <= 0:
        return None
    score = sum(score * weight for score, weight in parts) / total
    return float(np.clip(score, min(score for score, _ in parts), max(score for score, _ in parts)))


def conviction(flows: Sequence[SourceFlow], rules: SentimentRules | None = None, *, momentum: float | None = None) -> Convinced:
    """Conviction: dispersion, conviction, the contrarian signal and both energies.

    Parameters
    ----------
    flows : of the sources
    momentum : slope of the score a day; None = not known, and the trend energy neither
    """
    rules = rules or SentimentRules()
    score = weighted_score(flows, rules)
    names = ("dispersion", "conviction", "contrarian", "reversal_energy", "trend_energy")
    if score is None:
        return Convinced({}, dict.fromkeys(names, _why(flows)))
    heard = [flow for flow in flows if flow.score is not None and flow.confidence and getattr(rules.weights, flow.source)]
    scores, spreads, sure = (_array(heard, name) for name in ("score", "dispersion", "confidence"))
    share = sure * [getattr(rules.weights, flow.source) for flow in heard]
    share /= share.sum()
    dispersion = min(1.0, float(np.sqrt((share * (spreads**2 + (scores - score) ** 2)).sum())))
    amount = min(1.0, sum(flow.figures["mentions"] for flow in heard) / rules.full_volume)
    size = abs(score)
    convinced = 0.3 * (1.0 - dispersion) + 0.3 * float(sure.mean()) + 0.2 * amount + 0.2 * size
    against = -float(np.sign(score)) * convinced * (size - rules.extreme) if size >= rules.extreme else 0.0
    figures = {
        "dispersion": dispersion,
        "conviction": convinced,
        "contrarian": against,
        "reversal_energy": (size * convinced) ** 1.5,
    }
    if momentum is None:
        return Convinced(figures, {"trend_energy": Reason.WARMING_UP})
    return Convinced(figures | {"trend_energy": (abs(momentum) * size) ** 1.2}, {})


def slope(values: Floats) -> float:
    """Slope of the least-squares line through equally spaced values, a step."""
    steps = np.arange(values.size) - (values.size - 1) / 2.0
    return float((steps * values).sum() / (steps**2).sum())


def second_difference(values: Floats) -> float:
    """Of the last three of equally spaced values."""
    return float(values[-1] - 2.0 * values[-2] + values[-3])


def _why(flows: Sequence[SourceFlow]) -> Reason:
    return Reason.UNDEFINED if any(flow.is_there for flow in flows) else Reason.NO_DATA


def _array(flows: Sequence[SourceFlow], name: str) -> Floats:
    return np.array([getattr(flow, name) for flow in flows], dtype=np.float64)
