"""HAR against statsmodels and scikit-learn, refit by refit."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import Har, ahead, realised_variance


def regressors(v: np.ndarray, t: int, *, log: bool) -> list[float]:
    x = np.log(v) if log else v
    return [1.0, x[t], x[t - 4 : t + 1].mean(), x[t - 21 : t + 1].mean()]


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("form", ["ols", "wls", "log"])
def test_a_forecast_is_statsmodels_fit_on_what_had_ended(simulated: Panel, form: str, horizon: int) -> None:
    first, refit, window = 800, 21, 400
    model = Har(form, refit=refit, window=window)  # type: ignore[arg-type]
    sigma = model.path(simulated, horizon, first)
    variance = realised_variance(simulated)
    target = ahead(variance, horizon)
    for i, fitted, t in ((0, 800, 800), (1, 821, 835), (2, 1388, 1399)):
        v = variance[:, i]
        rows = range(fitted - horizon + 1 - window, fitted - horizon + 1)
        X = np.array([regressors(v, s, log=form == "log") for s in rows])
        y = target[np.array(rows), i]
        ask = np.array(regressors(v, t, log=form == "log"))
        if form == "log":
            fit = sm.OLS(np.log(y), X).fit()
            wanted = np.mean(y / np.exp(fit.predict(X))) * np.exp(fit.predict(ask[None])[0])
        else:
            X, ask = X * [1, 1e4, 1e4, 1e4], ask * [1, 1e4, 1e4, 1e4]
            fit = sm.OLS(y * 1e4, X).fit()
            if form == "wls":
                expected = np.clip(fit.predict(X), y.min() * 1e4, y.max() * 1e4)
                fit = sm.WLS(y * 1e4, X, weights=1.0 / expected**2).fit()
            wanted = np.clip(fit.predict(ask[None])[0] * 1e-4, y.min(), y.max())
        assert sigma[t, i] ** 2 == pytest.approx(wanted, rel=1e-6)


def test_a_covariate_that_knows_more_helps(simulated: Panel) -> None:
    from fieldcast.models.volatility import qlike_rows

    realised = ahead(realised_variance(simulated), 1)
    plain, wide = (Har("log", c).path(simulated, 1, 900) for c in ((), ("vix",)))
    assert np.nanmean(qlike_rows(realised, wide)) < np.nanmean(qlike_rows(realised, plain))
    assert Har("log", ("vix",)).name == "log_har+vix"


def test_where_the_covariate_is_unknown_there_is_no_forecast(simulated: Panel) -> None:
    from dataclasses import replace

    vix = simulated.covariates["vix"].copy()
    vix[1000] = np.nan
    sigma = Har("log", ("vix",)).path(replace(simulated, covariates={"vix": vix}), 1, 900)
    assert np.isnan(sigma[1000]).all()
    assert np.isfinite(sigma[[999, 1001]]).all()


def test_what_is_no_har_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ols, wls or log"):
        Har("cubic")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="log form only"):
        Har("ols", ("vix",))
    with pytest.raises(InvalidInput, match="window of at least"):
        Har("log", window=100)
