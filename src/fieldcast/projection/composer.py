"""The composer: from odds and returns to a cone, three-way odds, drift and reliability at every out-of-sample row.

    sigma_t,h     log-HAR (with further regressors while they earn their place), coefficients renewed every `refit` rows from
                  rows whose horizon has ended
    drift_t,h     0, or what the sign odds p say: b sigma_t,h N^-1(p), b from rows whose horizon has ended
    cone          drift + seven conformal quantiles of past (r - drift) / sigma, times sigma_t,h; see projection.cones for others
    flat band     k * sigma_t,h, where k makes the flat share of the training rows 1/3
    odds          P(flat) from the cone, the rest split by the calibrated sign odds
    mean          of the cone
    reliability   the weakest of data, sample and calibration, each measured on outcomes known by then

The field map enters through the odds, and with it the drift and the cone's place; through the regressors of sigma it enters the
cone's width. N is the normal distribution function: a normal return with mean m and deviation sigma rises with the odds N(m /
sigma). b, the slope of the scores r / sigma on N^-1(p), is 1 for such returns and odds taken at their word; it is measured,
and kept inside [0, 1], so that odds which have told nothing so far move no cone.

Every fitted number at row t rests on labels that had ended by the decision at t. Nothing here knows of a position or an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation import Fold, ece
from fieldcast.features.labels import flat_band_k
from fieldcast.ground import InvalidInput
from fieldcast.models import LogHar
from fieldcast.projection.conformal import BANDS, AdaptiveConformal, ConePath
from fieldcast.projection.odds import compose_odds, cone_mean, odds_and_cone_agree
from fieldcast.projection.reliability import ReliabilityParts, reliability

Floats = NDArray[np.float64]
Drift = Literal["cone", "odds"]
YEAR = 252                          # sessions
FIRST_VOLATILITY_FIT = 22 + YEAR    # warm-up and one year of targets
MINIMUM_SCORED = 60                 # outcomes before a calibration error is measured


class ConeMaker(Protocol):
    """What turns returns and sigma into cones; see `AdaptiveConformal.run`."""

    def run(self, ret: Floats, sigma: Floats, *, horizon: int, first: int = 0) -> ConePath: ...


@dataclass(frozen=True)
class HorizonPath:
    """What is projected over one horizon at each row; arrays are (n,) or (n, k), NaN where there is no projection.

    `odds` are up, flat, down; `coverage` is the share of known outcomes inside the 50, 75 and 90 % bands so far and `scored`
    their number; `sigma` is that of the log return over the horizon, `moved` the log return that the odds moved the cone by (0
    where they do not).
    """

    horizon: int
    sign_odds: Floats
    input_missing: NDArray[np.bool_]
    odds: Floats
    quantiles_bps: Floats
    flat_band_bps: Floats
    mean_bps: Floats
    sigma: Floats
    moved: Floats
    agree: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    reliability: ReliabilityParts
    coverage: Floats
    scored: NDArray[np.int64]
    cone: ConePath

    @property
    def drift_bps(self) -> Floats:
        """(n,) what the odds moved the cone by, bps."""
        moved: Floats = 1e4 * self.moved
        return moved

    @property
    def known(self) -> NDArray[np.bool_]:
        """Rows that have both odds and a cone."""
        return np.asarray(np.isfinite(self.odds).all(axis=1) & np.isfinite(self.quantiles_bps).all(axis=1), dtype=np.bool_)

    @property
    def conviction(self) -> Floats:
        """Calibrated probability of the called side, given that the return is not 0."""
        called: Floats = np.maximum(self.sign_odds, 1.0 - self.sign_odds)
        return called


def walk_volatility(
    variance: Floats, daily_return: Floats, *, horizon: int, refit: int, regressors: Floats | None = None
) -> Floats:
    """Out-of-sample log-HAR sigma over the horizon at every row; NaN before the first fit.

    Regressors have to earn their place: a second log-HAR has them beside its own, and between two refits its sigma is used if,
    over all outcomes known by the first of them (a year of them at least), its mean QLIKE r^2 / sigma^2 + log sigma^2 was the
    lower one. It is first fitted when a year of rows with every regressor has ended. Where a regressor is not known, the plain
    sigma stands.

    Parameters
    ----------
    variance : (n,) daily variances, see `models.daily_variance`
    daily_return : (n,) log return close(t-1) → close(t)
    regressors : (n, k) further columns known at each row, NaN where they are not

    Raises
    ------
    InvalidInput : too few rows
    """
    if len(variance) <= FIRST_VOLATILITY_FIT:
        raise InvalidInput(f"expected more than {FIRST_VOLATILITY_FIT} rows for a volatility model, found {len(variance)}")
    path = LogHar().path(variance, daily_return, first=FIRST_VOLATILITY_FIT, horizon=horizon, refit=refit)
    sigma = path.sigma.copy()
    sigma[: path.first] = np.nan
    first = _first_wide_fit(path.sigma, variance, daily_return, horizon, regressors) if regressors is not None else len(variance)
    if first >= len(variance):
        return sigma
    wide = LogHar().path(variance, daily_return, first=first, horizon=horizon, refit=refit, extra=regressors)
    gain = _qlike_rows(sigma, daily_return, horizon) - _qlike_rows(wide.sigma, daily_return, horizon)
    chosen = sigma.copy()
    for row in wide.refits:
        past = gain[first : max(row - horizon + 1, first)]
        past = past[np.isfinite(past)]
        if past.size >= YEAR and past.mean() > 0.0:
            block = slice(row, row + refit)
            chosen[block] = np.where(np.isfinite(wide.sigma[block]), wide.sigma[block], sigma[block])
    return chosen


def _first_wide_fit(sigma: Floats, variance: Floats, daily_return: Floats, horizon: int, regressors: Floats) -> int:
    """First row by which enough rows with every regressor have seen their horizon end, at least `FIRST_VOLATILITY_FIT`.

    Parameters
    ----------
    sigma : (n,) of the plain log-HAR, its in-sample rows too: known where its own regressors are

    Returns
    -------
    int : n or more where there are never enough of them
    """
    complete = np.isfinite(sigma) & np.isfinite(regressors).all(axis=1)
    for values in (variance, daily_return):         # a target is known where both of t+1..t+h are
        ended = np.zeros(len(sigma), dtype=np.bool_)
        if len(sigma) > horizon:
            ended[:-horizon] = np.lib.stride_tricks.sliding_window_view(np.isfinite(values[1:]), horizon).all(axis=1)
        complete &= ended
    rows = np.flatnonzero(complete)
    needed = max(YEAR, 2 * (4 + regressors.shape[1]))       # the log-HAR asks for two rows a coefficient
    return max(FIRST_VOLATILITY_FIT, int(rows[needed - 1]) + horizon) if rows.size >= needed else len(sigma)


def _qlike_rows(sigma: Floats, daily_return: Floats, horizon: int) -> Floats:
    """(n,) QLIKE of each row's squared return over the horizon, less what does not depend on sigma; NaN where not known."""
    ahead = np.full(len(sigma), np.nan)
    if len(sigma) > horizon:
        ahead[:-horizon] = np.lib.stride_tricks.sliding_window_view(daily_return[1:], horizon).sum(axis=1)
    loss: Floats = ahead**2 / sigma**2 + 2.0 * np.log(sigma)
    return loss


def compose(
    *,
    horizon: int,
    folds: Iterable[Fold],
    returns: Floats,
    sigma: Floats,
    sign_odds: Floats,
    input_missing: NDArray[np.bool_],
    data_coverage: Floats,
    flat_share: float,
    conformal: ConeMaker | None = None,
    drift: Drift = "cone",
) -> HorizonPath:
    """Compose the projections of one instrument over one horizon.

    Parameters
    ----------
    folds : the walk's folds, in time order
    returns : (n,) log return close(t) → close(t + h), NaN where not known yet
    sigma : (n,) forecast of its standard deviation, NaN where there is none
    sign_odds : (n,) calibrated out-of-sample P(return > 0), NaN where not forecast
    input_missing : (n,) rows that have no forecast because an input of the model was not known
    data_coverage : (n,) share of the model's inputs that were known
    flat_share : share of the training rows inside the flat band
    conformal : what finds the cone's quantiles; None = `AdaptiveConformal()`
    drift : `cone` leaves the cone where past scores put it, `odds` moves it by what the sign odds say; see the module
    """
    folds = tuple(folds)
    moved = odds_drift(folds, sign_odds, returns, sigma, horizon) if drift == "odds" else np.zeros(len(returns))
    cone = (conformal or AdaptiveConformal()).run(returns - moved, sigma, horizon=horizon)
    cone = replace(cone, quantiles_bps=cone.quantiles_bps + 1e4 * moved[:, None])
    band = np.full(len(returns), np.nan)
    for fold in folds:
        band[fold.test] = flat_band(fold, returns, sigma, flat_share) * sigma[fold.test]
    odds = compose_odds(sign_odds, cone.quantiles_bps, np.where(np.isfinite(band), band, 0.0))
    odds[~np.isfinite(band)] = np.nan
    forecast = np.asarray(np.isfinite(odds).all(axis=1), dtype=np.bool_)
    hits, scored = _hits(cone, returns, forecast, horizon)
    agree = np.zeros(len(odds), dtype=np.bool_)
    agree[forecast] = odds_and_cone_agree(odds[forecast], cone.quantiles_bps[forecast], band[forecast])
    error = np.full(len(odds), np.nan)
    for fold in folds:
        if fold.test.size:
            error[fold.test] = calibration_error(int(fold.test[0]), sign_odds, returns, horizon)
    outcomes = np.where(np.isfinite(error), scored // horizon, 0)      # h-day outcomes overlap: n rows hold n / h of them
    return HorizonPath(
        horizon=horizon,
        sign_odds=sign_odds,
        input_missing=input_missing,
        odds=odds,
        quantiles_bps=cone.quantiles_bps,
        flat_band_bps=band,
        mean_bps=cone_mean(cone.quantiles_bps),
        sigma=sigma,
        moved=moved,
        agree=agree,
        saturated=cone.saturated,
        reliability=reliability(data_coverage, outcomes, error),
        coverage=hits,
        scored=scored,
        cone=cone,
    )


def odds_drift(folds: Iterable[Fold], sign_odds: Floats, returns: Floats, sigma: Floats, horizon: int) -> Floats:
    """(n,) log return that the sign odds of each row expect; 0 where there are no odds, or too few of their outcomes are known.

    The slope b of a test block is the least-squares slope (with an intercept, which the conformal quantiles carry) of r / sigma
    on N^-1(p), over forecast rows whose outcome was known before the block's first decision, kept inside [0, 1].
    """
    moved = np.zeros(len(returns))
    for fold in folds:
        if fold.test.size:
            slope = drift_slope(int(fold.test[0]), sign_odds, returns, sigma, horizon)
            moved[fold.test] = drift_of(slope, sign_odds[fold.test], sigma[fold.test])
    return moved


def drift_slope(start: int, sign_odds: Floats, returns: Floats, sigma: Floats, horizon: int) -> float:
    """The slope b of the fold whose first test row is `start`; 0 where too few outcomes are known by then."""
    end = max(start - horizon + 1, 0)
    said, score = _said(sign_odds[:end]), returns[:end] / sigma[:end]
    rows = np.flatnonzero(np.isfinite(said) & np.isfinite(score))
    if rows.size < MINIMUM_SCORED:
        return 0.0
    spread = said[rows] - said[rows].mean()
    weight = float(spread @ spread)
    return min(max(float(spread @ score[rows]) / weight, 0.0), 1.0) if weight > 0.0 else 0.0


def drift_of(slope: float, sign_odds: Floats, sigma: Floats) -> Floats:
    """(m,) log return that these odds expect, 0 where there are none."""
    if slope == 0.0:
        return np.zeros(len(sigma))
    moved: Floats = slope * np.nan_to_num(_said(sign_odds) * sigma)
    return moved


def _said(sign_odds: Floats) -> Floats:
    from scipy.special import ndtri

    score: Floats = ndtri(np.clip(sign_odds, 1e-6, 1.0 - 1e-6))
    return score


def flat_band(fold: Fold, returns: Floats, sigma: Floats, share: float) -> float:
    """Half-width of the flat band in bps over sigma, from the fold's own training rows; NaN where they are too few."""
    known = fold.train[np.isfinite(returns[fold.train]) & np.isfinite(sigma[fold.train])]
    if known.size < MINIMUM_SCORED:
        return float("nan")
    return 1e4 * flat_band_k(returns[known], sigma[known], share)


def _hits(cone: ConePath, returns: Floats, forecast: NDArray[np.bool_], horizon: int) -> tuple[Floats, NDArray[np.int64]]:
    """Measured coverage of the three bands over outcomes known at each row, and their number."""
    outcome = forecast & np.isfinite(returns)
    count = _known_by(outcome.astype(np.int64), horizon)
    columns = []
    for share in BANDS:
        low, high = cone.band(share)
        with np.errstate(invalid="ignore"):
            inside = outcome & (1e4 * returns >= low) & (1e4 * returns <= high)
        columns.append(_known_by(inside.astype(np.int64), horizon))
    with np.errstate(invalid="ignore", divide="ignore"):
        coverage = np.column_stack(columns) / count[:, None]
    return coverage, count


def _known_by(flags: NDArray[np.int64], horizon: int) -> NDArray[np.int64]:
    """Running count of flags of rows s with s + horizon <= t."""
    total = np.cumsum(flags)
    known = np.zeros_like(total)
    known[horizon:] = total[:-horizon]
    return known


def calibration_error(start: int, odds: Floats, returns: Floats, horizon: int) -> float:
    """Debiased ECE of the sign odds over outcomes known at the fold's first test row `start`; NaN while they are few."""
    end = max(start - horizon + 1, 0)
    rows = np.flatnonzero(np.isfinite(odds[:end]) & np.isfinite(returns[:end]) & (returns[:end] != 0.0))
    if rows.size < MINIMUM_SCORED:
        return float("nan")
    outcome = (returns[rows] > 0).astype(np.float64)
    return ece(odds[rows], outcome, draws=1, overlap=horizon).debiased
