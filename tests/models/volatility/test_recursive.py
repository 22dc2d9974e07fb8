"""EWMA, GARCH and GJR against loops and arch."""

from __future__ import annotations

import numpy as np
import pytest
from arch import arch_model

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import Ewma, Garch
from fieldcast.models.volatility.recursive import past_returns


def test_ewma_is_its_loop(simulated: Panel) -> None:
    sigma = Ewma(0.9).path(simulated, 4, 600)
    r = np.diff(np.log(simulated.close[:, 1]))
    value = np.mean(r[:22] ** 2)
    for t, x in enumerate(r, start=1):
        value = 0.9 * value + 0.1 * x**2
        if t >= 600:
            assert sigma[t, 1] == pytest.approx(np.sqrt(4 * value), rel=1e-9)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("horizon", [1, 5])
def test_garch_is_archs_own_forecast_at_the_first_refit(simulated: Panel, asymmetric: bool, horizon: int) -> None:
    first = 1000
    sigma = Garch(asymmetric=asymmetric).path(simulated, horizon, first)
    r = 100.0 * past_returns(simulated)[1 : first + 1, 0]
    result = arch_model(r, mean="Constant", vol="GARCH", p=1, o=int(asymmetric), q=1, rescale=False).fit(disp="off")
    wanted = result.forecast(horizon=horizon, reindex=False).variance.to_numpy()[-1].sum() / 1e4
    assert sigma[first, 0] ** 2 == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_between_refits_the_recursion_filters_on(simulated: Panel, asymmetric: bool) -> None:
    first = 1000
    sigma = Garch(asymmetric=asymmetric).path(simulated, 1, first)
    r = 100.0 * past_returns(simulated)[1:, 2]
    kind = {"mean": "Constant", "vol": "GARCH", "p": 1, "o": int(asymmetric), "q": 1, "rescale": False}
    parameters = arch_model(r[:first], **kind).fit(disp="off").params
    later = arch_model(r[: first + 40], **kind).fix(parameters)
    wanted = later.forecast(horizon=1, reindex=False).variance.to_numpy()[-1, 0] / 1e4
    assert sigma[first + 40, 2] ** 2 == pytest.approx(wanted, rel=1e-4)   # the start of the recursion is long forgotten


def test_a_fall_raises_gjr_more_than_a_rise() -> None:
    from fieldcast.models.volatility.recursive import _Fit

    fit = _Fit(0.0, 1e-6, 0.02, 0.12, 0.9)
    fall, rise = fit.ahead(np.array([-0.03]), 1e-4)[-1], fit.ahead(np.array([0.03]), 1e-4)[-1]
    assert fall - rise == pytest.approx(0.12 * 0.03**2)


def test_what_is_no_recursion_is_refused(simulated: Panel) -> None:
    from dataclasses import replace

    with pytest.raises(InvalidInput, match="decay"):
        Ewma(1.0)
    with pytest.raises(InvalidInput, match="window of at least"):
        Garch(window=50)
    flat = replace(simulated, close=np.full_like(simulated.close, 100.0))
    with pytest.raises(InvalidInput, match="constant series"):
        Garch().path(flat, 1, 900)
