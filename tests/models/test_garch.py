"""GARCH(1,1)-normal against arch."""

from __future__ import annotations

import numpy as np
import pytest
from arch.univariate import GARCH, ConstantMean, Normal

from fieldcast.ground import InvalidInput
from fieldcast.models import GarchNormal, backcast, garch_variance


def simulate(n: int, seed: int, omega: float = 2e-6, alpha: float = 0.09, beta: float = 0.89) -> np.ndarray:
    rng = np.random.default_rng(seed)
    value, out = omega / (1 - alpha - beta), []
    for _ in range(n):
        move = np.sqrt(value) * rng.normal()
        out.append(move)
        value = omega + alpha * move**2 + beta * value
    return np.array(out) + 3e-4


@pytest.fixture(scope="module")
def ret() -> np.ndarray:
    return np.r_[np.nan, simulate(1500, 4)]


def fitted_by_arch(r: np.ndarray) -> object:
    model = ConstantMean(100.0 * r, volatility=GARCH(1, 0, 1), distribution=Normal(), rescale=False)
    return model.fit(disp="off")


def test_the_filter_equals_archs_conditional_variance(ret: np.ndarray) -> None:
    result = fitted_by_arch(ret[1:])
    mu, omega, alpha, beta = np.asarray(result.params)
    ours = garch_variance(100.0 * ret[1:] - mu, omega, alpha, beta, backcast(100.0 * ret[1:]))
    assert np.abs(ours[:-1] / np.asarray(result.conditional_volatility) ** 2 - 1.0).max() < 1e-12


def test_forecasts_at_a_refit_equal_archs(ret: np.ndarray) -> None:
    path = GarchNormal().path(ret, first=1000, horizons=(1, 5))
    result = fitted_by_arch(ret[1:1001])
    ahead = result.forecast(horizon=5).variance.to_numpy()[-1] / 1e4
    assert path.sigma[1000] == pytest.approx(np.sqrt([ahead[0], ahead.sum()]), rel=1e-4)
    assert path.mean[1000] == pytest.approx(np.array([1, 5]) * float(result.params.iloc[0]) / 100, rel=1e-2)


def test_parameters_stand_still_between_refits_and_the_recursion_goes_on(ret: np.ndarray) -> None:
    path = GarchNormal(refit=63).path(ret, first=1000)
    assert [fit.row for fit in path.parameters] == list(range(1000, 1501, 63))
    fit = path.parameters[1]
    for t in range(fit.row, fit.row + 62):
        following = fit.omega + fit.alpha * (ret[t + 1] - fit.mu) ** 2 + fit.beta * path.sigma[t, 0] ** 2
        assert path.sigma[t + 1, 0] ** 2 == pytest.approx(following, rel=1e-12)
    assert np.isnan(path.sigma[:1000]).all()


@pytest.mark.parametrize("cut", [1001, 1063, 1200])
def test_the_path_knows_nothing_of_later_rows(ret: np.ndarray, cut: int) -> None:
    whole = GarchNormal().path(ret, first=1000, horizons=(1, 5))
    part = GarchNormal().path(ret[:cut], first=1000, horizons=(1, 5))
    assert np.array_equal(whole.sigma[:cut], part.sigma, equal_nan=True)


def test_the_true_parameters_are_found() -> None:
    fit = GarchNormal(refit=10_000).path(simulate(6000, 2), first=5999).parameters[0]
    assert fit.converged
    assert fit.alpha == pytest.approx(0.09, abs=0.02)
    assert fit.beta == pytest.approx(0.89, abs=0.03)


def test_a_window_forgets(ret: np.ndarray) -> None:
    changed = ret.copy()
    changed[1:400] *= 3.0
    one = GarchNormal(window=600).path(ret, first=1100)
    two = GarchNormal(window=600).path(changed, first=1100)
    assert np.array_equal(one.sigma[1100:], two.sigma[1100:])


def test_what_cannot_be_fitted_is_refused(ret: np.ndarray) -> None:
    holed = ret.copy()
    holed[700] = np.nan
    with pytest.raises(InvalidInput, match="after the first known"):
        GarchNormal().path(holed, first=1000)
    with pytest.raises(InvalidInput, match="250 returns"):
        GarchNormal().path(ret, first=200)
    with pytest.raises(InvalidInput, match="constant"):
        GarchNormal().path(np.zeros(400), first=300)
    with pytest.raises(InvalidInput, match="horizons"):
        GarchNormal().path(ret, first=1000, horizons=())
    with pytest.raises(InvalidInput, match="window"):
        GarchNormal(window=10)
