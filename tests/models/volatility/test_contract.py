"""The contract: realised variance, QLIKE, and that no forecaster sees past its row."""

from __future__ import annotations

from datetime import UTC, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models import qlike
from fieldcast.models.volatility import (
    Blend,
    Ewma,
    Garch,
    Har,
    Implied,
    PooledTrees,
    ReturnScaled,
    VolatilityForecaster,
    ahead,
    qlike_rows,
    realised_variance,
)

FIRST = 900


def forecasters() -> list[VolatilityForecaster]:
    trees = {"min_data_in_leaf": 30}
    return [
        Ewma(),
        Garch(refit=200),
        Garch(asymmetric=True, refit=200),
        Har("ols"),
        Har("wls"),
        Har("log"),
        Har("log", ("vix",)),
        PooledTrees("gamma", rounds=10, settings=trees),
        PooledTrees("log", rounds=8, settings=trees, seeds=(1, 2)),
        Implied({"XTST:S0": "vix", "XTST:S2": "vix"}),
        Blend([Ewma(), Har("log"), Implied({"XTST:S1": "vix"})]),
        ReturnScaled(Har("log")),
    ]


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("model", forecasters(), ids=lambda model: model.name)
def test_a_panel_cut_at_a_row_gives_the_same_forecasts_up_to_it(
    simulated: Panel, model: VolatilityForecaster, horizon: int
) -> None:
    whole = model.path(simulated, horizon, FIRST)
    assert whole.shape == simulated.close.shape
    assert np.isnan(whole[:FIRST]).all()
    assert np.isfinite(whole[FIRST:]).any()
    for rows in (FIRST + 1, 1133):      # the first forecast alone; inside a refit block
        cut = simulated.cut(simulated.decision[rows - 1].item().replace(tzinfo=UTC) + timedelta(minutes=1))
        assert cut.rows == rows
        np.testing.assert_array_equal(model.path(cut, horizon, FIRST), whole[:rows])


@pytest.mark.parametrize("model", forecasters(), ids=lambda model: model.name)
def test_another_future_changes_nothing_before_it(simulated: Panel, model: VolatilityForecaster) -> None:
    """Stronger than a cut: the rows after 1,100 are there, with other values."""
    from dataclasses import replace

    changed = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(simulated, name).copy()
        values[1100:] *= 3.0 if name != "volume" else 9.0
        changed[name] = values
    vix = simulated.covariates["vix"].copy()
    vix[1100:] *= 2.0
    other = replace(simulated, **changed, covariates={"vix": vix})
    mine, theirs = model.path(simulated, 5, FIRST), model.path(other, 5, FIRST)
    np.testing.assert_array_equal(mine[:1100], theirs[:1100])
    both = np.isfinite(mine[1100:]) & np.isfinite(theirs[1100:])
    assert (mine[1100:][both] != theirs[1100:][both]).any()   # and afterwards it is seen


@pytest.mark.parametrize("model", forecasters(), ids=lambda model: model.name)
def test_an_instrument_that_begins_late_is_silent_until_it_has_a_history(
    simulated: Panel, model: VolatilityForecaster
) -> None:
    from dataclasses import replace

    late = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(simulated, name).copy()
        values[:600, 1] = np.nan
        late[name] = values
    sigma = model.path(replace(simulated, **late), 1, FIRST)
    assert np.isnan(sigma[:850, 1]).all()
    if model.name not in ("implied", "log_har_of_returns"):      # these two have a longer way to go
        assert np.isfinite(sigma[1200:-1, 1]).all()


@pytest.mark.parametrize("model", forecasters(), ids=lambda model: model.name)
def test_constant_volatility_is_found(panel_of, model: VolatilityForecaster) -> None:
    sigma = model.path(panel_of(1300, 3, 7, steady=True), 5, FIRST)
    wanted = 0.01 * np.sqrt(5.0)
    tolerance = 0.08 if model.name != "ewma" else 0.15
    spoken = sigma[FIRST:][np.isfinite(sigma[FIRST:])]
    assert np.sqrt(np.mean(spoken**2)) == pytest.approx(wanted, rel=tolerance)


def test_realised_variance_is_the_night_squared_plus_garman_klass(simulated: Panel) -> None:
    found = realised_variance(simulated)
    for t, i in ((1, 0), (700, 1), (1399, 2)):
        o, h, low, c = (np.log(getattr(simulated, name)[t, i]) for name in ("open", "high", "low", "close"))
        before = np.log(simulated.close[t - 1, i])
        wanted = (o - before) ** 2 + 0.5 * (h - low) ** 2 - (2 * np.log(2) - 1) * (c - o) ** 2
        assert found[t, i] == pytest.approx(wanted, rel=1e-12)
    assert np.isnan(found[0]).all()


def test_without_an_open_the_squared_return_stands_in(simulated: Panel) -> None:
    from dataclasses import replace

    opened = simulated.open.copy()
    opened[10, 1] = np.nan
    found = realised_variance(replace(simulated, open=opened))
    wanted = np.log(simulated.close[10, 1] / simulated.close[9, 1]) ** 2
    assert found[10, 1] == pytest.approx(max(wanted, 1e-8))


def test_the_outcome_of_a_row_is_the_sum_of_the_sessions_after_it() -> None:
    values = np.arange(1.0, 11.0)[:, None]
    found = ahead(values, 3)[:, 0]
    np.testing.assert_array_equal(found[:7], [sum(range(t + 2, t + 5)) for t in range(7)])
    assert np.isnan(found[7:]).all()
    assert np.isnan(ahead(values, 10)).all()
    with pytest.raises(InvalidInput, match="at least 1"):
        ahead(values, 0)


@given(st.lists(st.floats(1e-8, 1e-1), min_size=1, max_size=20), st.floats(0.3, 3.0))
def test_qlike_is_zero_at_the_truth_and_above_elsewhere(variances: list[float], factor: float) -> None:
    x = np.array(variances)
    np.testing.assert_allclose(qlike_rows(x, np.sqrt(x)), 0.0, atol=1e-12)
    off = qlike_rows(x, np.sqrt(factor * x))
    assert (off >= -1e-12).all()
    assert off.mean() == pytest.approx(qlike(x, factor * x))


def test_qlike_refuses_what_it_cannot_score() -> None:
    with pytest.raises(InvalidInput, match="one shape"):
        qlike_rows(np.ones(3), np.ones(2))
    with pytest.raises(InvalidInput, match="positive finite"):
        qlike_rows(np.array([0.0]), np.array([1.0]))
    assert np.isnan(qlike_rows(np.array([np.nan]), np.array([1.0]))).all()


@pytest.mark.parametrize("model", forecasters(), ids=lambda model: model.name)
def test_what_cannot_be_forecast_is_refused(simulated: Panel, model: VolatilityForecaster) -> None:
    with pytest.raises(InvalidInput, match="horizon of at least 1"):
        model.path(simulated, 0)
    with pytest.raises(InvalidInput, match="inside the 1400 sessions"):
        model.path(simulated, 1, 1400)


def test_a_covariate_that_the_panel_does_not_have_is_named(simulated: Panel) -> None:
    with pytest.raises(InvalidInput, match="'vvix'"):
        Har("log", ("vvix",)).path(simulated, 1)
    with pytest.raises(InvalidInput, match="'vvix'"):
        Implied({"XTST:S0": "vvix"}).path(simulated, 1)
