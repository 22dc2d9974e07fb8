"""S02, alpha agents (momentum, mean reversion, volatility, liquidity, pattern, regime, data quality, ML) with a mu, sigma,
confidence contract; ensemble with disagreement penalty and MAD z-score.

Done when: "Sigma and confidence vary with data for every agent, the penalty falls as variance of mu rises over 100 random sets,
and MAD of zero is handled".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.stats import median_abs_deviation

from fieldcast.market import BARS
from fieldcast.projection.agents import AGENTS, combine, disagreement, from_projection, mad_z, null_agent, price_agents
from fieldcast.projection.agents.contract import AgentPath

OPEN_PARTS: tuple[str, ...] = ()

N = 1500


def market(seed: int, n: int = N) -> pl.DataFrame:
    """Bars whose volatility and volume wander."""
    random = np.random.default_rng(seed)
    spread = 0.01 * np.exp(np.cumsum(0.03 * random.standard_normal(n)) * 0.5)
    close = 100 * np.exp(np.cumsum(spread * random.standard_normal(n)))
    ts = [datetime(2010, 1, 4, 21, tzinfo=UTC) + timedelta(days=k) for k in range(n)]
    return pl.DataFrame({
        "instrument": ["SIM:X"] * n, "ts": ts, "available_at": ts, "open": close, "high": close * 1.001, "low": close * 0.999,
        "close": close, "volume": np.rint(1e6 * np.exp(0.4 * random.standard_normal(n))), "reasons": ["simulated"] * n,
    }, schema=BARS)  # fmt: skip


def ahead(bars: pl.DataFrame, horizon: int) -> np.ndarray:
    log_close = np.log(bars["close"].to_numpy())
    found = np.full(len(log_close), np.nan)
    found[:-horizon] = log_close[horizon:] - log_close[:-horizon]
    return found


def every_agent(bars: pl.DataFrame, horizon: int = 1) -> list[AgentPath]:
    random = np.random.default_rng(1)
    n = bars.height
    quality, cone = random.uniform(0.6, 1.0, n), random.uniform(80, 200, n)
    return [
        *price_agents(bars, ahead(bars, horizon), horizon),
        null_agent(quality, cone / 1e4),
        from_projection(random.normal(0, 5, n), cone, random.uniform(0, 1, n)),
    ]


def test_sigma_and_confidence_vary_with_the_data_for_every_agent() -> None:
    agents = every_agent(market(2))
    assert [agent.name for agent in agents] == [*AGENTS, "data_quality", "projection"]
    for agent in agents:
        known = np.isfinite(agent.mu)
        assert known.sum() > 500, agent.name
        assert len(np.unique(agent.sigma[known].round(12))) > 100, agent.name
        assert len(np.unique(agent.confidence[known].round(12))) > 1, agent.name
        assert np.ptp(agent.sigma[known]) > 0.1 * agent.sigma[known].mean(), agent.name
    other = {agent.name: agent for agent in every_agent(market(3))[: len(AGENTS)]}
    for agent in agents[: len(AGENTS)]:
        both = np.isfinite(agent.sigma) & np.isfinite(other[agent.name].sigma)
        assert not np.allclose(agent.sigma[both], other[agent.name].sigma[both])
        assert not np.array_equal(agent.confidence[both], other[agent.name].confidence[both])


@pytest.mark.parametrize("horizon", [1, 5])
def test_no_agent_sees_what_comes(horizon: int) -> None:
    bars = market(4, 900)
    whole = price_agents(bars, ahead(bars, horizon), horizon)
    for cut in (400, 655, 899):
        known = bars.head(cut)
        for agent, again in zip(whole, price_agents(known, ahead(known, horizon), horizon), strict=True):
            for one, other in ((agent.mu, again.mu), (agent.sigma, again.sigma), (agent.confidence, again.confidence)):
                np.testing.assert_allclose(one[:cut], other, rtol=1e-9, atol=1e-15, err_msg=agent.name)


def test_a_planted_momentum_earns_confidence_and_noise_earns_little() -> None:
    from fieldcast.projection.agents.contract import line_agent

    random = np.random.default_rng(9)
    z, noise = random.standard_normal(4000), random.standard_normal(4000)
    returns = 0.01 * (0.15 * z + random.standard_normal(4000))
    planted = line_agent("planted", z, returns, np.full(4000, 0.01), 1)
    useless = line_agent("noise", noise, returns, np.full(4000, 0.01), 1)
    assert planted.confidence[-1] > 0.9
    assert planted.mu[-1] / (0.01 * z[-1]) == pytest.approx(0.15, abs=0.06)
    assert np.nanmean(useless.confidence[2000:]) < 0.5
    # ordinary least squares on the same rows, less the shrinkage
    slope = np.polyfit(z[:-1], returns[:-1] / 0.01, 1)[0]
    mean = (returns[:-1] / 0.01).mean()
    assert planted.mu[-1] == pytest.approx(0.01 * (mean + planted.confidence[-1] * slope * (z[-1] - z[:-1].mean())))


def test_the_penalty_falls_as_the_variance_of_mu_rises() -> None:
    random = np.random.default_rng(10)
    for _ in range(100):
        k = int(random.integers(2, 9))
        mu, sigma, weight = random.normal(0, 0.01, k), random.uniform(0.005, 0.03, k), random.uniform(0.05, 1.0, k)
        found = [disagreement(scale * mu, sigma, weight) for scale in (0.0, 0.5, 1.0, 2.0, 4.0)]
        variances, factors = zip(*found, strict=True)
        assert all(a < b for a, b in pairwise(variances))
        assert factors[0] == 1.0
        assert all(a > b > 0.0 for a, b in pairwise(factors))
        centre = np.average(mu, weights=weight)
        assert variances[2] == pytest.approx(np.average((mu - centre) ** 2, weights=weight))


def test_a_mad_of_zero_is_handled() -> None:
    assert mad_z([]).size == 0
    np.testing.assert_array_equal(mad_z([0.2, 0.2, 0.2]), [0, 0, 0])
    scores = mad_z([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1])         # MAD 0, mean absolute deviation 0.1 / 7
    assert scores[:6].tolist() == [0.0] * 6
    assert scores[6] == pytest.approx(0.7978845608 * 7)
    random = np.random.default_rng(11)
    for _ in range(100):
        x = random.normal(size=int(random.integers(3, 12)))
        expected = (x - np.median(x)) / median_abs_deviation(x, scale="normal")
        np.testing.assert_allclose(mad_z(x), expected, rtol=1e-9)


def agent(name: str, mu: float, sigma: float = 0.01, confidence: float = 0.5) -> AgentPath:
    return AgentPath(name, np.array([mu]), np.array([sigma]), np.array([confidence]))


def test_the_ensemble_by_hand() -> None:
    nan = np.array([np.nan])
    agents = [agent("a", 0.002, confidence=0.6), agent("b", 0.001, confidence=0.2), AgentPath("c", nan, nan, nan),
              agent("d", 0.003, confidence=0.0)]  # fmt: skip
    found = combine(agents, 0)
    mean = (0.6 * 0.002 + 0.2 * 0.001) / 0.8
    variance = (0.6 * (0.002 - mean) ** 2 + 0.2 * (0.001 - mean) ** 2) / 0.8
    assert found.voted == ("a", "b")
    assert found.silent == ("c", "d")
    assert found.agreement == pytest.approx(np.exp(-0.5 * variance / 1e-4))
    assert found.mu == pytest.approx(found.agreement * mean)
    assert found.sigma == pytest.approx(np.sqrt(1e-4 + variance))
    far = combine([agent(str(k), 0.001) for k in range(6)] + [agent("far", 0.5)], 0)
    assert far.outliers == ("far",)
    assert far.mu == pytest.approx(0.001)
    assert combine([AgentPath("c", nan, nan, nan)], 0).mu is None


def test_bad_data_draws_every_view_towards_none() -> None:
    views = [agent("a", 0.004), agent("b", 0.0041)]
    together = [combine([*views, null_agent([score], [0.01])], 0).mu for score in (1.0, 0.8, 0.6, 0.2)]
    assert None not in together
    assert all(one > other > 0 for one, other in pairwise(together))
