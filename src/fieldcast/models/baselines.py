"""A model beside its baselines, all on identical rows.

Log loss, Brier score and AUC of every forecast are taken on the rows where the label and *all* forecasts are known: a
model that is silent on hard days cannot look better for it. A report without every required baseline promotes
nothing.

Exceedance turns a volatility forecast into odds without fitting: for a driftless normal log return of standard
deviation s,

    P(close >= +theta) = 1 - Phi(a / s),     P(high >= +theta) = 2 (1 - Phi(a / s)),     a = log(1 + theta)

(the reflection principle, for a price watched all the time). `report.model_report` fits every baseline on a model's own
folds; `exceedance` has the same odds with a drift, and from implied volatility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fieldcast.ground import Halted, InvalidInput
from fieldcast.models.contract import Floats

REQUIRED_BASELINES = (
    *("base_rate", "volatility_anchor", "har_exceedance", "garch_exceedance", "implied_exceedance"),
    *("strong_anchor", "random_forest", "mlp"),
)
IMPLIED_BASELINES = ("implied_exceedance", "strong_anchor")  # those that need an implied volatility
_EDGE = 1e-9


def exceedance_odds(sigma: ArrayLike, threshold: float, *, of: Literal["high", "close"] = "high") -> Floats:
    """P(the high, or the last close, of the horizon is at least close * (1 + threshold)), from sigma over the horizon.

    sigma is (n,), in log-return units, NaN where unknown; (n,) back, NaN in the same rows, else inside (0, 1).
    """
    from scipy.special import ndtr

    s = np.asarray(sigma, dtype=np.float64)
    if s.ndim != 1 or np.isinf(s).any() or (s <= 0).any():
        raise InvalidInput("expected a vector of positive volatilities (NaN where unknown)")
    if not (np.isfinite(threshold) and threshold > 0):
        raise InvalidInput(f"expected a threshold above 0, such as 0.01 for +1 %, found {threshold}")
    tail = ndtr(-np.log1p(threshold) / s)
    odds: Floats = np.clip(2.0 * tail if of == "high" else tail, _EDGE, 1.0 - _EDGE)
    return odds


@dataclass(frozen=True)
class Score:
    """Scores of one forecast on the common rows; `auc` is None where only one class occurs."""

    name: str
    n: int
    log_loss: float
    brier: float
    auc: float | None


@dataclass(frozen=True)
class BaselineReport:
    """A model and every baseline on n identical rows."""

    model: str
    label: str
    n: int
    dropped: int  # rows on which some forecast or the label is not known
    scores: tuple[Score, ...]  # the model first
    missing: tuple[str, ...]  # required baselines that were not given

    @property
    def promotable(self) -> bool:
        """True where every required baseline stands beside the model."""
        return not self.missing and self.n > 0

    def as_dict(self) -> dict[str, Any]:
        """As plain values, `promotable` included."""
        return asdict(self) | {"promotable": self.promotable}

    def skill(self, baseline: str) -> float:
        """1 - log loss of the model / log loss of the baseline; positive is better."""
        found = {score.name: score for score in self.scores}
        if baseline not in found:
            raise InvalidInput(f"expected a baseline out of {', '.join(found)}, found {baseline!r}")
        return 1.0 - self.scores[0].log_loss / found[baseline].log_loss

    def require_promotable(self) -> None:
        """Refuse the promotion of a model that was not held against its baselines.

        Raises
        ------
        Halted : a required baseline is missing, or there is no common row
        """
        if not self.promotable:
            lacking = ", ".join(self.missing) or "rows on which all are known"
            raise Halted(f"expected {self.model} beside all its baselines on {self.label}; missing {lacking}")


def compare_with_baselines(
    model: str,
    y: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    *,
    label: str,
    required: Sequence[str] = REQUIRED_BASELINES,
) -> BaselineReport:
    """Score `model` and its baselines where all of them speak.

    Parameters
    ----------
    model : its name among `forecasts`
    y : (n,) 0, 1 or NaN where the label is not known
    forecasts : name -> (n,) P(y = 1), NaN where unknown; a required baseline `b` may be named `b` or `b[...]`
    label : what y says, for the report
    required : names of baselines without which nothing is promoted

    Raises
    ------
    InvalidInput : the model is not among the forecasts, shapes differ, or a probability lies outside [0, 1]
    """
    from fieldcast.evaluation import auc, brier, log_loss

    if model not in forecasts:
        raise InvalidInput(f"expected the model among the forecasts {', '.join(forecasts)}, found {model!r}")
    labels = np.asarray(y, dtype=np.float64)
    table = {name: np.asarray(p, dtype=np.float64) for name, p in forecasts.items()}
    known = np.isfinite(labels)
    for name, p in table.items():
        if p.shape != labels.shape:
            raise InvalidInput(f"expected {len(labels)} forecasts from {name}, found shape {p.shape}")
        if ((p < 0) | (p > 1)).any():
            raise InvalidInput(f"expected probabilities in [0, 1] from {name}")
        known &= np.isfinite(p)
    kept = labels[known]
    given = {name.split("[", 1)[0] for name in table if name != model}  # a model is no baseline of itself
    missing = tuple(name for name in required if name not in given)
    order = [model, *(name for name in table if name != model)]
    scores = []
    for name in order if len(kept) else []:
        p = table[name][known]
        two = 0 < kept.sum() < len(kept)
        area = float(auc(p, kept)) if two else None
        scores.append(Score(name, len(kept), float(log_loss(p, kept)), float(brier(p, kept)), area))
    return BaselineReport(model, label, len(kept), len(labels) - len(kept), tuple(scores), missing)
