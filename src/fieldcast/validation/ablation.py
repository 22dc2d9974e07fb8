"""One ablation: the same walk scored with and without a part, on identical rows, as rows of evidence.

    gain in AUC        AUC(with) − AUC(without)
    gain in log loss   mean over rows of log loss(without) − log loss(with)

Both with 90 % intervals of the stationary bootstrap over dates, the same draws for both sides. Rows on which either side has
no odds, or the return is 0 or unknown, are left out of both: a part cannot gain by being silent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.evaluation import Interval, auc_difference_interval, diff_interval, log_loss_rows
from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.validation.evidence import EvidenceRow, Span
from fieldcast.validation.upgrades import Measure, Upgrade

ALPHA = 0.10  # each end of the interval is a one-sided 95 % bound
BLOCK = 21
LEAST_ODDS = 1e-6


def ablation_evidence(
    upgrade: Upgrade,
    *,
    instrument: str,
    with_odds: ArrayLike,
    without_odds: ArrayLike,
    returns: ArrayLike,
    dates: NDArray[Any],
    simulated: bool,
    command: str,
    recorded_at: datetime,
    block: int = BLOCK,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[EvidenceRow, EvidenceRow]:
    """The rows of evidence that the ablation of an upgrade gives: gain in AUC, and gain in log loss.

    Parameters
    ----------
    with_odds, without_odds : (n,) out-of-sample P(return > 0) of the two walks, NaN where not forecast
    returns : (n,) of the same rows, NaN where unknown
    dates : (n,) sessions
    simulated : whether any row behind it is
    command : that made the odds
    block, draws, seed : of the bootstrap; blocks of at least 21 sessions

    Raises
    ------
    InvalidInput : shapes that differ, or shorter blocks
    MissingData : hardly a row has both odds and an outcome
    """
    on, off, moved = (np.asarray(x, np.float64) for x in (with_odds, without_odds, returns))
    days = np.asarray(dates).astype("datetime64[D]")
    if not (on.shape == off.shape == moved.shape == days.shape and on.ndim == 1) or block < BLOCK:
        raise InvalidInput(f"expected odds, returns and dates of one length and blocks of {BLOCK}, found {on.shape}, {block}")
    rows = np.isfinite(on) & np.isfinite(off) & np.isfinite(moved) & (moved != 0)
    if rows.sum() < 2 * block:
        raise MissingData(f"expected at least {2 * block} rows with both odds and an outcome, found {int(rows.sum())}")
    on, off, days, up = on[rows], off[rows], days[rows], moved[rows] > 0
    settings: dict[str, Any] = {"dates": days, "block": block, "draws": draws, "seed": seed, "alpha": ALPHA}
    losses = (log_loss_rows(np.clip(odds, LEAST_ODDS, 1 - LEAST_ODDS), up) for odds in (off, on))
    span = Span((instrument,), days.min().item(), days.max().item(), simulated)
    made = utc(recorded_at)

    def row(measure: Measure, found: Interval) -> EvidenceRow:
        return EvidenceRow(
            claim=upgrade.claim(measure),
            configuration_hash=upgrade.configuration_hash(instrument),
            span=span,
            estimate=found.estimate,
            low=found.low,
            high=found.high,
            n=found.n,
            command=command,
            recorded_at=made,
            expires_at=made + upgrade.valid_for,
        )

    sharper = auc_difference_interval(on, off, up, **settings)
    return row(Measure.AUC, sharper), row(Measure.LOG_LOSS, diff_interval(*losses, **settings))
