"""Volatility of a panel whose companies report: the pooled gamma trees, with columns that name the day of the next report.

A company reports about every 91 days, on a weekday of its own, after one close and before the next open. The date is public
weeks ahead; where it is not at hand, the company's past tells it. The most of a week around last quarter's wild night, which
`PooledTrees` sees, does not name the day: its sigma is too low in the night that counts and too high in those around it.

    size         of a night: |log open / last close| over the root of the mean realised variance of the 66 sessions before
    score        of a session: root of its realised variance over the same, times its volume over the geometric mean of the 22
                 before, that factor within e^-1 and e^2: news moves the price in heavy trading
    named        size and score of the session exactly 91, 182, 273 and 364 days before the horizon's, and the most within a day
    regular      of the four quarters the second least and the mean: of the named size, and of the score within four days (a
                 company that reports every quarter has three of four large)
    came, later  the score's most from 15 to 1 days before the horizon's first session, and 91 and 364 days before that; from 1
                 to 12 days after the days 91 and 364 days back: whether this quarter's report has been, and was to come
    since        days since the last score of 6 or more, at most 100

No window reaches past the row that asks. Sources: Beaver 1968, Patell and Wolfson 1984 (variance and volume at reports);
Chambers and Penman 1984 (reports keep to their dates).
"""

from __future__ import annotations

import numpy as np

from fieldcast.features.panel import Panel
from fieldcast.models.contract import Floats
from fieldcast.models.volatility._inputs import QUARTERS, following, lag, window_max
from fieldcast.models.volatility.boosted import PooledTrees
from fieldcast.models.volatility.contract import realised_variance, trailing_mean

SCALE_ROWS, VOLUME_ROWS = 66, 22
VOLUME_FACTOR = (-1.0, 2.0)  # bounds of its logarithm
NEWS = 6.0  # score that counts as one
LONGEST_WAIT = 100.0  # days since the last
CAME, LATER, NEAR = (-15, -1), (1, 12), 4  # calendar days about the horizon's sessions


class ReportTrees(PooledTrees):
    """`PooledTrees` on its own columns and on those of the module; parameters as there."""

    @property
    def name(self) -> str:
        return f"{super().name}_reports"

    def columns(self, panel: Panel, base: Floats, horizon: int) -> Floats:
        """See `PooledTrees.columns`; the module's 26 stand last."""
        return np.concatenate([super().columns(panel, base, horizon), report_columns(panel, horizon, self.calendar)], axis=-1)


def report_columns(panel: Panel, horizon: int, calendar: str = "XNYS") -> Floats:
    """(T, N, 26) columns of the module in the order of its list, NaN where not known; `calendar` knows the sessions to come."""
    variance = realised_variance(panel)
    usual = np.sqrt(lag(trailing_mean(variance, SCALE_ROWS), 1))
    volume = np.log(np.where(panel.volume > 0.0, panel.volume, np.nan))
    heavy = np.clip(volume - lag(trailing_mean(volume, VOLUME_ROWS), 1), *VOLUME_FACTOR)
    size = np.abs(panel.overnight()) / usual
    score = np.sqrt(variance) / usual * np.exp(heavy)
    dates, _ = following(panel.session, horizon, calendar)
    seen = np.arange(1, panel.rows + 1)

    def most(values: Floats, back: int, low: int, high: int) -> Floats:
        """Largest from `low` days after the horizon's first session to `high` after its last, `back` days before."""
        begin = np.searchsorted(panel.session, dates[:, 0] + np.timedelta64(low - back, "D"))
        end = np.searchsorted(panel.session, dates[:, -1] + np.timedelta64(high - back, "D"), side="right")
        return window_max(values, begin, np.minimum(end, seen))

    named = {(id_, slack): [most(values, back, -slack, slack) for back in QUARTERS]
             for id_, values in (("size", size), ("score", score)) for slack in (0, 1, NEAR)}  # fmt: skip
    columns = [column for (_, slack), four in named.items() if slack < NEAR for column in four]
    for four in (named["size", 0], named["score", NEAR]):
        stacked = np.stack(four)
        count = np.isfinite(stacked).sum(axis=0)
        mean = np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan)
        columns += [np.sort(stacked, axis=0)[1], mean]
    columns += [most(score, back, *CAME) for back in (0, 91, 364)] + [most(score, back, *LATER) for back in (91, 364)]
    days = panel.session.astype("datetime64[D]").astype(np.float64)[:, None]
    last = np.maximum.accumulate(np.where(score >= NEWS, days, -np.inf), axis=0)
    return np.stack([*columns, np.minimum(days - last, LONGEST_WAIT)], axis=-1)
