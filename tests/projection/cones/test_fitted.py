"""GJR-skewed-t, filtered simulation and the pooled trees: against arch and plain loops, and cut at a date."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.projection.cones import BoostedQuantiles, GjrQuantiles, fit_gjr, skewt_quantile, window_quantiles
from fieldcast.projection.cones import _kernels_gjr as kernels
from fieldcast.projection.cones._inputs import NAMES, inputs


def simulated(rows: int = 1500, seed: int = 0) -> np.ndarray:
    """GJR returns: omega 2e-6, alpha .02, gamma .12, beta .9, innovations t(6)."""
    rng = np.random.default_rng(seed)
    value, out = 1e-4, np.empty(rows)
    for t in range(rows):
        out[t] = np.sqrt(value) * rng.standard_t(6) / np.sqrt(1.5)
        value = 2e-6 + (0.02 + 0.12 * (out[t] < 0)) * out[t] ** 2 + 0.9 * value
    return out


def test_the_fit_is_archs() -> None:
    from arch.univariate import GARCH, ConstantMean, SkewStudent

    r = simulated()
    ours = fit_gjr(r)
    theirs = ConstantMean(100 * r, volatility=GARCH(1, 1, 1), distribution=SkewStudent(), rescale=False).fit(disp="off")
    assert ours.converged
    assert -ours.loss * len(r) == pytest.approx(theirs.loglikelihood, abs=0.1)
    mu, omega, alpha, gamma, beta, nu, skew = np.asarray(theirs.params)
    found = (ours.alpha, ours.gamma, ours.beta, ours.skew)
    np.testing.assert_allclose(found, (alpha, gamma, beta, skew), atol=0.02)
    assert ours.omega * 1e4 == pytest.approx(omega, rel=0.2)
    assert ours.mu * 100 == pytest.approx(mu, abs=0.01)
    assert ours.nu == pytest.approx(nu, rel=0.1)


def test_kernels_are_their_plain_loops() -> None:
    r = simulated(50)
    plain = [1e-6 + (0.03 + 0.05 + 0.9) * 1e-4]
    for x in r:
        plain.append(1e-6 + (0.03 + 0.1 * (x < 0)) * x * x + 0.9 * plain[-1])
    out = np.empty(51)
    kernels.filter_variance(r, 1e-6, 0.03, 0.1, 0.9, 1e-4, out)
    np.testing.assert_allclose(out, plain, rtol=1e-13)
    shocks, sums = np.random.default_rng(1).normal(size=(7, 3)), np.empty((2, 7))
    kernels.simulate_sums(np.array([1e-4, 4e-4]), 1e-4, 1e-6, 0.03, 0.1, 0.9, shocks, sums)
    for t, start in enumerate((1e-4, 4e-4)):
        for m in range(7):
            value, total = start, 0.0
            for k in range(3):
                e = np.sqrt(value) * shocks[m, k]
                total += 1e-4 + e
                value = 1e-6 + (0.03 + 0.1 * (e < 0)) * e * e + 0.9 * value
            assert sums[t, m] == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("nu", "skew"), [(5.0, -0.2), (12.0, 0.0), (3.5, 0.4)])
def test_skewed_t_is_archs_and_has_mean_0_and_variance_1(nu: float, skew: float) -> None:
    from arch.univariate import SkewStudent

    p = np.array([0.01, 0.05, 0.3, 0.5, 0.7, 0.95, 0.99])
    np.testing.assert_allclose(skewt_quantile(p, nu, skew), SkewStudent().ppf(p, [nu, skew]), rtol=1e-7, atol=1e-9)
    z = SkewStudent().ppf(p, [nu, skew])
    own = kernels.skewt_loss(z, np.ones(len(z)), nu, skew)
    theirs = -SkewStudent().loglikelihood([nu, skew], z, np.ones(len(z)))
    assert own == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("innovations", ["skewt", "filtered"])
def test_gjr_quantiles_cover_and_see_no_future(panel: Panel, sigma: np.ndarray, innovations: str) -> None:
    levels = (0.05, 0.5, 0.95)
    for horizon in (1, 3):
        forecaster = GjrQuantiles(600, innovations, refit=150, paths=500)  # type: ignore[arg-type]
        whole = forecaster.quantiles(panel, sigma, horizon, levels)
        part = forecaster.quantiles(panel.head(760), sigma[:760], horizon, levels)
        np.testing.assert_array_equal(part, whole[:760])
        known = np.isfinite(whole[..., 0]) & np.isfinite(panel.log_return(horizon))
        inside = (panel.log_return(horizon) >= whole[..., 0]) & (panel.log_return(horizon) <= whole[..., 2])
        assert known.sum() > 1000
        assert inside[known].mean() == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("horizon", [1, 5, 80])
def test_inputs_see_no_future_and_lose_the_level(panel: Panel, sigma: np.ndarray, horizon: int) -> None:
    whole = inputs(panel, sigma, horizon)
    assert whole.shape == (*sigma.shape, len(NAMES))
    for cut in (500, 801):
        np.testing.assert_array_equal(inputs(panel.head(cut), sigma[:cut], horizon), whole[:cut])
    known = np.isfinite(whole[500:-10]).mean(axis=(0, 1))
    assert known.min() > 0.9, dict(zip(NAMES, known, strict=True))


def test_report_inputs_find_the_jump_of_last_quarter(panel: Panel, sigma: np.ndarray) -> None:
    """A night move 13 weeks before the next session shows in `report_91`, and not a fortnight later."""
    t = 700
    opened = panel.open.copy()
    day = np.busday_offset(panel.session[t], 1) - np.timedelta64(91, "D")
    row = int(np.searchsorted(panel.session, day))
    opened[row, 0] = panel.close[row - 1, 0] * 1.3
    moved = replace(panel, open=opened, high=np.maximum(panel.high, opened))
    column = inputs(moved, sigma, 1)[..., NAMES.index("report_91")]
    assert column[t, 0] > 10.0
    assert column[t + 10, 0] < 10.0
    assert column[t, 1] < 10.0


@pytest.mark.parametrize("horizon", [1, 3])
def test_trees_see_no_future_and_ascend(panel: Panel, sigma: np.ndarray, horizon: int) -> None:
    trees, levels = BoostedQuantiles(650, refit=130, rounds=5), (0.05, 0.5, 0.95)
    q = trees.quantiles(panel, sigma, horizon, levels)
    np.testing.assert_array_equal(trees.quantiles(panel.head(790), sigma[:790], horizon, levels), q[:790])
    known = np.isfinite(q[..., 0])
    assert known[650:].all()
    assert not known[:650].any()
    assert (np.diff(q[650:], axis=-1) >= 0.0).all()


def test_trees_that_learn_nothing_leave_the_empirical_quantile(panel: Panel, sigma: np.ndarray) -> None:
    q = BoostedQuantiles(800, refit=200, rounds=1).quantiles(panel, sigma, 1, (0.25, 0.75))
    z = panel.log_return(1) / sigma
    base = sigma[..., None] * window_quantiles(z, 1, 1000, 250, [0.25, 0.75])
    assert np.abs(q[800:-1] / base[800:-1] - 1.0).max() < 0.25  # one small step of one tree


def test_too_little_is_refused(panel: Panel, sigma: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="ended outcomes"):
        BoostedQuantiles(300).quantiles(panel, sigma, 1)
    with pytest.raises(InvalidInput, match="finite returns"):
        fit_gjr(np.zeros(600))
    with pytest.raises(InvalidInput, match="first and refit"):
        BoostedQuantiles(0)
