"""Implied volatility as a forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.ground.reasons import Reason
from fieldcast.models.volatility import Implied, ahead, realised_variance


def test_raw_is_the_index_on_the_scale_of_the_horizon(simulated: Panel) -> None:
    sigma = Implied({"XTST:S1": "vix"}, scaled=False).path(simulated, 5)
    vix = simulated.covariates["vix"]
    np.testing.assert_allclose(sigma[1:, 1], vix[1:] / 100.0 * np.sqrt(5.0 / 252.0))
    assert np.isnan(sigma[:, [0, 2]]).all()


def test_scaled_takes_off_what_was_too_much_on_ended_outcomes(simulated: Panel) -> None:
    first, horizon = 900, 5
    sigma = Implied({"XTST:S0": "vix"}).path(simulated, horizon, first)
    vix = simulated.covariates["vix"]
    said = (vix / 100.0) ** 2 * horizon / 252.0
    outcome = ahead(realised_variance(simulated), horizon)[:, 0]
    for fitted, t in ((900, 900), (921, 940)):
        past = (outcome / said)[: fitted - horizon + 1]
        k = np.nanmean(past)
        assert sigma[t, 0] ** 2 == pytest.approx(k * said[t], rel=1e-9)


def test_twice_the_index_gives_the_same_forecast(simulated: Panel) -> None:
    doubled = replace(simulated, covariates={"vix": 2.0 * simulated.covariates["vix"]})
    model = Implied({"XTST:S0": "vix"})
    np.testing.assert_allclose(model.path(doubled, 1, 900)[900:, 0], model.path(simulated, 1, 900)[900:, 0], rtol=1e-9)


def test_what_is_missing_has_its_reason(simulated: Panel) -> None:
    model = Implied({"XTST:S0": "vix", "XTST:S1": "vxn"})
    both = replace(simulated, covariates={"vix": simulated.covariates["vix"], "vxn": simulated.covariates["vix"]})
    assert model.missing(both) == {"XTST:S0": None, "XTST:S1": None, "XTST:S2": Reason.COVARIATE_MISSING}
    quiet = simulated.covariates["vix"].copy()
    quiet[-1] = np.nan
    gone = replace(both, covariates={**both.covariates, "vxn": quiet})
    assert model.missing(gone)["XTST:S1"] == Reason.COVARIATE_MISSING
    assert np.isnan(model.path(gone, 1)[-1, 1])
    assert model.missing(both.head(100))["XTST:S0"] == Reason.SHORT_HISTORY
    untraded = both.close.copy()
    untraded[-1, 0] = np.nan
    assert model.missing(replace(both, close=untraded))["XTST:S0"] == Reason.NO_DATA


def test_a_series_of_no_instrument_is_refused(simulated: Panel) -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        Implied({})
    with pytest.raises(InvalidInput, match="instrument out of"):
        Implied({"XTST:NONE": "vix"}).path(simulated, 1)
