"""The walk: no fitted number knows a row that comes after it, and the model that was calibrated is the one that scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.evaluation import WalkForward
from fieldcast.ground import InvalidInput
from fieldcast.projection.walk_forward import OddsTask, walk_odds

ROWS = 700


def _task(model: str = "logistic", *, horizon: int = 1, seed: int = 0, edge: float = 1.0) -> OddsTask:
    random = np.random.default_rng(seed)
    features = random.normal(size=(ROWS, 3))
    y = (random.random(ROWS) < 1.0 / (1.0 + np.exp(-edge * features[:, 0]))).astype(np.float64)
    decision = np.datetime64("2010-01-04T21:30", "us") + np.arange(ROWS) * np.timedelta64(1, "D").astype("timedelta64[us]")
    label_end = np.full(ROWS, np.datetime64("NaT", "us"))
    label_end[: ROWS - horizon] = decision[horizon:] - np.timedelta64(30, "m")
    y[ROWS - horizon :] = np.nan
    return OddsTask(
        instrument="SIM:X",
        label="sign",
        horizon=horizon,
        model=model,
        columns=("signal", "noise", "more"),
        features=features if model != "base_rate" else np.empty((ROWS, 0)),
        y=y,
        decision=decision,
        label_end=label_end,
        first_usable=0,
        walk=WalkForward(initial=400, test=21, step=21, embargo=2),
        refit=21,
        calibration_share=0.25,
        parameters={"l2": 1.0} if model == "logistic" else {},
    )


@pytest.mark.parametrize("model", ["base_rate", "logistic"])
@pytest.mark.parametrize("cut", [455, 462, 483, 600])
def test_forecasts_up_to_a_row_do_not_depend_on_later_rows(model: str, cut: int) -> None:
    task = _task(model)
    whole = walk_odds(task)
    y = task.y[:cut].copy()
    y[cut - 1 :] = np.nan                      # the outcome of the last row is not known yet
    label_end = task.label_end[:cut].copy()
    label_end[cut - 1 :] = np.datetime64("NaT", "us")
    part = walk_odds(replace(task, features=task.features[:cut], y=y, decision=task.decision[:cut], label_end=label_end))
    np.testing.assert_array_equal(whole.odds[:cut], part.odds)
    np.testing.assert_array_equal(whole.raw[:cut], part.raw)


def test_changing_test_rows_leaves_every_earlier_fit_unchanged() -> None:
    task = _task()
    changed = task.features.copy()
    changed[600:] *= -3.0
    before, after = walk_odds(task), walk_odds(replace(task, features=changed))
    early = [fit for fit in before.fits if fit.first_test_row <= 600]
    assert early == [fit for fit in after.fits if fit.first_test_row <= 600]
    assert len(early) >= 5


def test_every_row_after_the_first_test_row_is_forecast_once_and_the_newest_too() -> None:
    walk = walk_odds(_task())
    known = np.isfinite(walk.odds)
    assert not known[:400].any()
    assert known[400:].all()


def test_the_planted_column_is_found_and_the_base_rate_is_not() -> None:
    task = _task(edge=1.5)
    scored = slice(400, ROWS - 1)
    odds = walk_odds(task).odds[scored]
    outcome = task.y[scored]
    assert odds[outcome == 1].mean() - odds[outcome == 0].mean() > 0.1
    base = walk_odds(replace(_task("base_rate", edge=1.5), y=task.y)).odds[scored]
    assert np.ptp(base) < 0.1


def test_a_column_that_is_mostly_unknown_stays_out_of_the_fold() -> None:
    task = _task()
    features = task.features.copy()
    features[:150, 1] = np.nan
    walk = walk_odds(replace(task, features=features))
    assert walk.fits[0].columns == ("signal", "more")
    assert np.isfinite(walk.odds[400:]).all()


def test_a_hole_of_a_few_rows_costs_those_rows_and_not_the_column() -> None:
    task = _task()
    features = task.features.copy()
    features[100:103, 1] = np.nan
    walk = walk_odds(replace(task, features=features))
    assert {fit.columns for fit in walk.fits} == {("signal", "noise", "more")}
    assert walk.fits[0].n_fit + walk.fits[0].n_calibration < walk_odds(task).fits[0].n_fit + walk_odds(task).fits[0].n_calibration


def test_where_a_fold_cannot_be_fitted_no_older_model_steps_in() -> None:
    task = _task()
    y = task.y.copy()
    y[150:500] = np.nan                       # the later calibration blocks hold no outcome
    walk = walk_odds(replace(task, y=y))
    fitted = {fit.first_test_row for fit in walk.fits}
    blocks = range(400, ROWS, 21)
    for first in blocks:
        known = np.isfinite(walk.odds[first : first + 21])
        assert known.all() if first in fitted else not known.any()
    assert fitted != set(blocks)


def test_a_test_row_with_an_unknown_input_gets_no_forecast() -> None:
    task = _task()
    features = task.features.copy()
    features[650, 0] = np.nan
    walk = walk_odds(replace(task, features=features))
    assert np.isnan(walk.odds[650])
    assert np.flatnonzero(walk.input_missing).tolist() == [650]
    assert np.isfinite(walk.odds[[649, 651]]).all()


def test_refit_must_be_a_multiple_of_the_step() -> None:
    with pytest.raises(InvalidInput, match="multiple of the step 21"):
        walk_odds(replace(_task(), refit=30))
    with pytest.raises(InvalidInput, match="expected a model"):
        walk_odds(replace(_task(), model="oracle"))


def test_a_refit_of_63_uses_a_third_of_the_fits() -> None:
    task = _task()
    assert len(walk_odds(task).fits) == 15
    assert len(walk_odds(replace(task, refit=63)).fits) == 5


def test_optional_columns_enter_best_known_first_while_together_they_cost_at_most_two_rows_in_a_hundred() -> None:
    task = _task()
    random = np.random.default_rng(4)
    more = random.normal(size=(ROWS, 4))
    for place, share in enumerate((0.30, 0.012, 0.0, 0.012)):        # unknown: one in three, then too many together, ...
        more[random.random(ROWS) < share, place] = np.nan
    names = ("often_undefined", "late", "whole", "later")
    wide = replace(
        task, columns=(*task.columns, *names), features=np.column_stack([task.features, more]), optional=frozenset(names)
    )
    walk = walk_odds(wide)
    for fit in walk.fits:
        counts = np.isfinite(more[: fit.first_test_row]).mean(axis=0)
        assert counts[0] < 0.8
        assert fit.columns[:3] == task.columns
        assert "whole" in fit.columns
        assert "often_undefined" not in fit.columns
        assert fit.n_fit + fit.n_calibration >= 0.97 * (fit.first_test_row - 5)
    assert {"late", "later"} - set(walk.fits[-1].columns), "both together cost more than two in a hundred"
    assert {"late", "later"} & set(walk.fits[-1].columns)
    required = walk_odds(replace(wide, optional=frozenset()))
    assert {"late", "later"} <= set(required.fits[-1].columns)
    rows = [one.fits[-1].n_fit + one.fits[-1].n_calibration for one in (required, walk)]
    assert rows[0] < rows[1]
    plain = walk_odds(replace(task, optional=frozenset({"no_such_column"})))
    np.testing.assert_array_equal(plain.odds, walk_odds(task).odds)
