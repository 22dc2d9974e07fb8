"""The online blend against a loop of its formula, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import Blend, Ewma, Har, aggregate, ahead, qlike_rows, realised_variance
from fieldcast.models.volatility.blend import CLIP


def experts(rows: int, seed: int, bias: tuple[float, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sigma paths of known bias, and outcomes of the true variance."""
    rng = np.random.default_rng(seed)
    true = 1e-4 * np.exp(0.5 * np.sin(np.arange(rows) / 30.0))[:, None] * np.ones((rows, 2))
    realised = true * rng.chisquare(8, size=true.shape) / 8
    noise = rng.standard_normal((len(bias), rows, 2)) * 0.1
    return {f"e{j}": np.sqrt(true * np.exp(b + noise[j])) for j, b in enumerate(bias)}, realised


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_weights_are_those_of_the_formula(horizon: int) -> None:
    paths, realised = experts(80, 1, (0.0, 0.4, -0.6))
    realised = realised.copy()
    realised[-horizon:] = np.nan
    found = aggregate(paths, realised, horizon)
    logs = {name: 2 * np.log(path) for name, path in paths.items()}
    K = len(paths)
    s, q, m = [0.0] * K, [0.0] * K, [0.0] * K
    blended: list[np.ndarray] = []
    for t in range(80):
        if t >= horizon:
            u = t - horizon
            g = [float(np.clip(1 - realised[u, i] / np.exp(blended[u][i]), -CLIP, CLIP)) for i in range(2)]
            for j, name in enumerate(paths):
                r = float(np.mean([g[i] * (blended[u][i] - logs[name][u, i]) for i in range(2)]))
                m[j], q[j] = max(m[j], abs(r)), q[j] + r * r
                eta = min(1 / (2 * max(m[j], 1e-6)), np.sqrt(np.log(K) / max(q[j], 1e-12)))
                s[j] += r - eta * r * r
        etas = [min(1 / (2 * max(m[j], 1e-6)), np.sqrt(np.log(K) / max(q[j], 1e-12))) for j in range(K)]
        w = np.array([etas[j] * np.exp(etas[j] * s[j]) for j in range(K)])
        w /= w.sum()
        np.testing.assert_allclose(found.weights[t], w, rtol=1e-8)
        blended.append(sum(w[j] * logs[name][t] for j, name in enumerate(paths)))
        np.testing.assert_allclose(found.sigma[t], np.exp(0.5 * blended[-1]), rtol=1e-9)


def test_the_weight_goes_to_the_unbiased_expert() -> None:
    paths, realised = experts(1500, 2, (1.5, 0.0, 1.0))
    found = aggregate(paths, realised, 1)
    assert found.weights[-1, 1] > 0.9
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)
    loss = {name: np.nanmean(qlike_rows(realised, path)[300:]) for name, path in paths.items()}
    ours = np.nanmean(qlike_rows(realised, found.sigma)[300:])
    assert ours < 1.05 * min(loss.values())


def test_experts_that_err_on_both_sides_are_mixed() -> None:
    paths, realised = experts(1500, 3, (0.8, -0.8))
    found = aggregate(paths, realised, 1)
    ours = np.nanmean(qlike_rows(realised, found.sigma)[300:])
    assert ours < 0.8 * min(np.nanmean(qlike_rows(realised, path)[300:]) for path in paths.values())


def test_an_outcome_moves_no_weight_before_it_has_ended() -> None:
    paths, realised = experts(100, 4, (0.0, 0.5))
    other = realised.copy()
    other[50:] *= 40.0
    one, two = aggregate(paths, realised, 5), aggregate(paths, other, 5)
    np.testing.assert_array_equal(one.weights[:55], two.weights[:55])
    assert not np.array_equal(one.weights[55], two.weights[55])


def test_a_silent_expert_leaves_its_weight_to_the_others() -> None:
    paths, realised = experts(60, 5, (0.0, 0.3))
    paths["e1"][:20] = np.nan
    paths["e0"][30, 1] = np.nan
    paths["e0"][40], paths["e1"][40] = np.nan, np.nan
    found = aggregate(paths, realised, 1)
    np.testing.assert_allclose(found.sigma[:20], paths["e0"][:20])
    assert found.sigma[30, 1] == pytest.approx(paths["e1"][30, 1])
    assert np.isnan(found.sigma[40]).all()
    assert np.isfinite(found.sigma[41:]).all()


def test_a_blend_of_forecasters_is_the_aggregate_of_their_paths(simulated: Panel) -> None:
    blend = Blend([Ewma(), Har("log")])
    found = blend.aggregate(simulated, 1, 900)
    paths = {"ewma": Ewma().path(simulated, 1, 900), "log_har": Har("log").path(simulated, 1, 900)}
    wanted = aggregate(paths, ahead(realised_variance(simulated), 1), 1)
    np.testing.assert_array_equal(found.sigma, wanted.sigma)
    np.testing.assert_array_equal(blend.path(simulated, 1, 900), wanted.sigma)
    assert found.weights[-1, 1] > 0.6      # the model that sees ranges wins on this panel


def test_what_cannot_be_blended_is_refused() -> None:
    with pytest.raises(InvalidInput, match="different names"):
        Blend([Ewma(), Ewma(0.9)])
    with pytest.raises(InvalidInput, match="at least one expert"):
        aggregate({}, np.ones((3, 1)), 1)
    with pytest.raises(InvalidInput, match="shape"):
        aggregate({"a": np.ones((2, 1))}, np.ones((3, 1)), 1)
    with pytest.raises(InvalidInput, match="positive finite"):
        aggregate({"a": np.zeros((3, 1))}, np.ones((3, 1)), 1)
