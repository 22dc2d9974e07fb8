"""One horizon's projection, advanced row by row: the very figures of `composer.compose`, at the cost of a row.

What `compose` finds over a whole history is here kept between two rows: scores and level trackers of the cone, hits so far, the
coefficients of sigma until they are due, and for each fold its flat band, its calibration error and its drift. Arrays are kept
whole, so that what a fold learns at its start is learned by the same functions from the same values.

`parts` gives a state as plain arrays and JSON values, and `restored` is its inverse: the same state to the last bit, for a file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fieldcast.evaluation import Fold
from fieldcast.models import LogHar
from fieldcast.projection import composer
from fieldcast.projection.composer import FIRST_VOLATILITY_FIT, ConeMaker, Drift, HorizonPath, walk_volatility
from fieldcast.projection.conformal import BANDS, AdaptiveConformal, ConePath, ConformalState, cone_quantiles
from fieldcast.projection.growing import Growing
from fieldcast.projection.odds import compose_odds, cone_mean, odds_and_cone_agree
from fieldcast.projection.reliability import reliability

Floats = NDArray[np.float64]
_LOOK_BACK = 64  # rows that the newest sigma is computed from; it needs 22 of them
_SERIES = ("returns", "sigma", "odds", "moved", "quantiles", "forecast")


@dataclass(frozen=True)
class Parts:
    """A state taken apart.

    Parameters
    ----------
    arrays : by name, of numbers or flags
    values : the rest, as JSON types
    """

    arrays: Mapping[str, NDArray[Any]]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """What one new row brings to a horizon.

    Parameters
    ----------
    ended : log return over the horizon that ended at this row, NaN where it is not known
    odds : calibrated P(return > 0) of the row, NaN where not forecast; `input_missing` where a model lacked an input
    coverage : share of the model's inputs that are known
    in_time : False where a bar that sigma rests on was not known in time
    """

    ended: float
    odds: float
    input_missing: bool
    coverage: float
    in_time: bool


class VolatilityState:
    """Log-HAR sigma of the newest row; coefficients renewed at the rows at which `composer.walk_volatility` renews them.

    Parameters
    ----------
    variance, daily_return : (n,) as in `walk_volatility`
    regressors : (n, k) further columns; with them every row is the whole walk anew
    """

    def __init__(
        self, variance: Floats, daily_return: Floats, regressors: Floats | None, *, horizon: int, refit: int
    ) -> None:
        self.variance, self.daily = Growing(variance), Growing(daily_return)
        self.regressors = None if regressors is None else Growing(regressors)
        self.horizon, self.refit = horizon, refit
        self._model = LogHar()
        if self.regressors is None:
            self._fit(len(variance) - 1 - (len(variance) - 1 - FIRST_VOLATILITY_FIT) % refit)

    def parts(self) -> Parts:
        """All that the next row needs."""
        arrays = {"variance": self.variance.rows, "daily": self.daily.rows}
        if self.regressors is not None:
            arrays["regressors"] = self.regressors.rows
        model = self._model.parameters() if self.regressors is None else None     # with regressors nothing is kept
        return Parts(arrays, {"horizon": self.horizon, "refit": self.refit, "model": model})

    @classmethod
    def restored(cls, parts: Parts) -> Self:
        """The state of `parts`."""
        state = cls.__new__(cls)
        state.variance, state.daily = Growing(parts.arrays["variance"]), Growing(parts.arrays["daily"])
        state.regressors = Growing(parts.arrays["regressors"]) if "regressors" in parts.arrays else None
        state.horizon, state.refit = int(parts.values["horizon"]), int(parts.values["refit"])
        model = parts.values["model"]
        state._model = LogHar() if model is None else LogHar.from_parameters(model)
        return state

    def _fit(self, row: int) -> None:
        """The coefficients that are in force from `row` on: of rows whose horizon had ended by it."""
        self._model.fit(self.variance.rows[: row + 1], self.daily.rows[: row + 1], horizon=self.horizon)

    def add(self, variance: float, daily_return: float, regressors: Floats | None) -> float:
        """Sigma at one more row; NaN where an input is not known."""
        self.variance.add(variance)
        self.daily.add(daily_return)
        if self.regressors is not None:
            self.regressors.add(regressors)
            path = walk_volatility(
                self.variance.rows,
                self.daily.rows,
                horizon=self.horizon,
                refit=self.refit,
                regressors=self.regressors.rows,
            )
            return float(path[-1])
        row = len(self.variance) - 1
        if (row - FIRST_VOLATILITY_FIT) % self.refit == 0:
            self._fit(row)
        return float(self._model.predict(self.variance.rows[-_LOOK_BACK:])[-1])


class HorizonState:
    """A horizon after its last row.

    Parameters
    ----------
    path : composed over the whole history
    returns : (n,) log return close(t) → close(t + h), NaN where not known yet
    fold : the walk's last one
    sigma : state of the volatility, over the same rows
    maker : what finds the cone's quantiles; None = `AdaptiveConformal()`. Any other makes each row from the whole history
    """

    def __init__(
        self,
        path: HorizonPath,
        returns: Floats,
        fold: Fold,
        sigma: VolatilityState,
        *,
        flat_share: float,
        maker: ConeMaker | None,
        drift: Drift,
    ) -> None:
        self.horizon, self.flat_share, self.drift = path.horizon, flat_share, drift
        self.maker = maker or AdaptiveConformal()
        self.volatility = sigma
        self.returns, self.sigma, self.odds = Growing(returns), Growing(path.sigma), Growing(path.sign_odds)
        self.moved = Growing(path.moved)
        self.quantiles = Growing(path.quantiles_bps)
        self.forecast = Growing(np.asarray(np.isfinite(path.odds).all(axis=1), dtype=np.bool_))
        self._cone = self._replayed() if isinstance(self.maker, AdaptiveConformal) else None
        self._hits, self._scored = np.zeros(len(BANDS), dtype=np.int64), 0
        for done in range(max(len(returns) - self.horizon, 0)):
            self._count(done)
        self.at_fold(fold)

    def parts(self) -> Parts:
        """All that the next row needs, the volatility left out: it has parts of its own."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name).rows for name in _SERIES}
        arrays["hits"] = self._hits
        cone = self._cone
        if cone is not None:
            blank = [np.nan] * len(cone._mass[0])
            arrays["cone_scores"] = np.array(cone._ages, dtype=np.float64)
            arrays["cone_mass"] = np.array(cone._mass, dtype=np.float64)
            arrays["cone_raw"] = np.array([blank if raw is None else raw for raw in cone._raw], dtype=np.float64)
        learned = {"band": float(self._band), "error": float(self._error), "slope": float(self._slope)}
        named = {name: value if np.isfinite(value) else None for name, value in learned.items()}
        row = None if cone is None else cone._row
        return Parts(arrays, {"horizon": self.horizon, "scored": int(self._scored), "cone_row": row, **named})

    @classmethod
    def restored(
        cls, parts: Parts, sigma: VolatilityState, *, flat_share: float, maker: ConeMaker | None, drift: Drift
    ) -> Self:
        """The state of `parts`; the others as in the class."""
        state = cls.__new__(cls)
        arrays, values = parts.arrays, parts.values
        state.horizon, state.flat_share, state.drift = int(values["horizon"]), flat_share, drift
        state.maker = maker or AdaptiveConformal()
        state.volatility = sigma
        for name in _SERIES:
            setattr(state, name, Growing(arrays[name]))
        state._cone = None
        if isinstance(state.maker, AdaptiveConformal):
            cone = state._cone = state.maker.state(state.horizon)
            cone._ages = deque(arrays["cone_scores"].tolist())
            cone._known = sorted(cone._ages)
            cone._mass = arrays["cone_mass"].tolist()
            cone._raw = [None if raw[0] != raw[0] else raw for raw in arrays["cone_raw"].tolist()]
            cone._row = int(values["cone_row"])
        state._hits, state._scored = np.array(arrays["hits"]), int(values["scored"])
        state._band, state._error, state._slope = (
            np.nan if values[name] is None else float(values[name]) for name in ("band", "error", "slope")
        )
        return state

    def _replayed(self) -> ConformalState:
        """The trackers after the last row."""
        assert isinstance(self.maker, AdaptiveConformal)
        state = self.maker.state(self.horizon)
        score = (self.returns.rows - self.moved.rows) / self.sigma.rows
        known = np.isfinite(self.sigma.rows)
        for row in range(len(score)):
            ended = row - self.horizon
            state.advance(float(score[ended]) if ended >= 0 else np.nan, wanted=bool(known[row]))
        return state

    def at_fold(self, fold: Fold) -> None:
        """Learn what a fold learns at its first test row."""
        start = int(fold.test[0])
        returns, sigma, odds = self.returns.rows, self.sigma.rows, self.odds.rows
        self._band = composer.flat_band(fold, returns, sigma, self.flat_share)
        self._error = composer.calibration_error(start, odds, returns, self.horizon)
        self._slope = composer.drift_slope(start, odds, returns, sigma, self.horizon) if self.drift == "odds" else 0.0

    def add(self, row: Row, sigma: float, fold: Fold | None, *, tested: bool) -> HorizonPath:
        """The projection of one more row; every array of the result has that row alone.

        Parameters
        ----------
        sigma : of the row, from `volatility`
        fold : the fold that begins with this row; None where none does
        tested : False where the row is in no fold's test block
        """
        done = len(self.returns) - self.horizon
        if done >= 0:
            self.returns.rows[done] = row.ended
        known_sigma = sigma if row.in_time else np.nan
        self.returns.add(np.nan)
        self.sigma.add(known_sigma)
        self.odds.add(row.odds)
        if fold is not None:
            self.at_fold(fold)
        one_sigma, one_odds = np.array([known_sigma]), np.array([row.odds])
        moved = composer.drift_of(self._slope if tested else 0.0, one_odds, one_sigma)
        self.moved.add(moved[0])
        cone = self._quantiles(done, one_sigma, moved)
        band = one_sigma * np.nan if not tested else self._band * one_sigma
        odds = compose_odds(one_odds, cone.quantiles_bps, np.where(np.isfinite(band), band, 0.0))
        odds[~np.isfinite(band)] = np.nan
        forecast = np.asarray(np.isfinite(odds).all(axis=1), dtype=np.bool_)
        self.quantiles.add(cone.quantiles_bps[0])
        self.forecast.add(forecast[0])
        if done >= 0:
            self._count(done)
        agree = np.zeros(1, dtype=np.bool_)
        if forecast[0]:
            agree = odds_and_cone_agree(odds, cone.quantiles_bps, band)
        error = self._error if tested else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            coverage = self._hits[None, :] / np.array([[self._scored]])
        outcomes = self._scored // self.horizon if np.isfinite(error) else 0
        return HorizonPath(
            horizon=self.horizon,
            sign_odds=one_odds,
            input_missing=np.array([row.input_missing]),
            odds=odds,
            quantiles_bps=cone.quantiles_bps,
            flat_band_bps=band,
            mean_bps=cone_mean(cone.quantiles_bps),
            sigma=one_sigma,
            moved=moved,
            agree=agree,
            saturated=cone.saturated,
            reliability=reliability(row.coverage, outcomes, error),
            coverage=coverage,
            scored=np.array([self._scored]),
            cone=cone,
        )

    def _quantiles(self, done: int, sigma: Floats, moved: Floats) -> ConePath:
        """The cone of the newest row, moved by its drift."""
        if self._cone is None:
            whole = self.maker.run(self.returns.rows - self.moved.rows, self.sigma.rows, horizon=self.horizon)
            parts = (whole.quantiles_bps[-1:], whole.levels[-1:], whole.saturated[-1:], whole.scores[-1:])
        else:
            score = np.nan
            if done >= 0:
                score = float((self.returns.rows[done] - self.moved.rows[done]) / self.sigma.rows[done])
            made = self._cone.advance(score, wanted=bool(np.isfinite(sigma[0])))
            blank = [np.nan] * self.quantiles.rows.shape[1]
            found, levels, saturated, count = made if made is not None else (blank, blank, False, 0)
            quantiles = cone_quantiles(np.array([found]), sigma)
            parts = (quantiles, np.array([levels]), np.array([saturated]), np.array([count]))
        return ConePath(parts[0] + 1e4 * moved[:, None], parts[1], parts[2], parts[3], self.horizon)

    def _count(self, done: int) -> None:
        """Score the cone of a row whose outcome is known now."""
        happened = 1e4 * self.returns.rows[done]
        if not (self.forecast.rows[done] and np.isfinite(happened)):
            return
        cone = self.quantiles.rows[done]
        self._scored += 1
        for place in range(len(BANDS)):
            self._hits[place] += bool(cone[2 - place] <= happened <= cone[4 + place])
