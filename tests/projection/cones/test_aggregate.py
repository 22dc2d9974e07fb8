"""Bernstein online aggregation against a plain loop; regret, delay, regimes; recalibration, layers, path bands, packets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.projection.cones import (
    CONE_LEVELS,
    BandScale,
    DtAci,
    Experts,
    Normal,
    PooledEmpirical,
    Rolling,
    ScaledEmpirical,
    band_edges,
    conformalise,
    packet_cones,
    path_band,
)
from fieldcast.projection.conformal import QUANTILE_LEVELS

TAU = np.array(CONE_LEVELS)


def normal_experts(
    rows: int, width: int, scales: tuple[float, ...], seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Experts that take sigma for a multiple of it, and returns of sigma 0.01."""
    from scipy.special import ndtri

    rng = np.random.default_rng(seed)
    ret = 0.01 * rng.normal(size=(rows, width))
    return [np.broadcast_to(0.01 * k * ndtri(TAU), (rows, width, TAU.size)).copy() for k in scales], ret, np.full(ret.shape, 0.01)


def pinball_sum(q: np.ndarray, ret: np.ndarray) -> np.ndarray:
    error = ret[..., None] - q
    return np.maximum(TAU * error, (TAU - 1) * error).sum(axis=(0, 1))


def plain_boa(experts: list[list[float]], outcome: list[float], tau: float, horizon: int) -> list[float]:
    """One level of one instrument; experts[k][t]."""
    count = len(experts)
    regret, squares, bound, rate = [0.0] * count, [0.0] * count, [0.0] * count, [math.inf] * count
    weights: list[list[float]] = []
    out: list[float] = []
    for t in range(len(outcome)):
        past = t - horizon
        if past >= 0:
            g = (1.0 if outcome[past] < out[past] else 0.0) - tau
            losses = [g * expert[past] for expert in experts]
            mean = sum(w * loss for w, loss in zip(weights[past], losses, strict=True))
            for k in range(count):
                d = mean - losses[k]
                if abs(d) > bound[k]:
                    bound[k] = 2.0 ** math.ceil(math.log2(abs(d)))
                squares[k] += d * d
                old = 0.0 if rate[k] == math.inf else rate[k]
                rate[k] = min(
                    1 / (2 * bound[k]) if bound[k] else math.inf,
                    math.sqrt(math.log(count) / squares[k]) if squares[k] else math.inf,
                )
                regret[k] += 0.5 * (d - old * d * d + bound[k] * (old * d > 0.5))
        if all(r == math.inf for r in rate):
            w = [1.0 / count] * count
        else:
            raw = [r * math.exp(r * total) if r < math.inf else 0.0 for r, total in zip(rate, regret, strict=True)]
            w = [value / sum(raw) for value in raw]
        weights.append(w)
        out.append(sum(a * expert[t] for a, expert in zip(w, experts, strict=True)))
    return out


@pytest.mark.parametrize("horizon", [1, 4])
def test_aggregation_is_that_of_a_plain_loop(horizon: int) -> None:
    experts, ret, _ = normal_experts(300, 2, (0.5, 1.0, 2.5), seed=1)
    found = Experts().combine(experts, ret, np.ones_like(ret), horizon=horizon)
    for place in range(2):
        plain = [
            plain_boa([e[:, place, level].tolist() for e in experts], ret[:, place].tolist(), tau, horizon)
            for level, tau in enumerate(TAU)
        ]
        np.testing.assert_allclose(found.quantiles[:, place], np.sort(np.array(plain).T, axis=1), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("pooled", [True, False])
def test_regret_against_the_best_expert_is_small_and_of_second_order(pooled: bool) -> None:
    """Average excess loss over the best single expert falls as 1 / sqrt(T) at least; the right expert's weight grows."""
    excess = []
    for rows in (500, 4000):
        experts, ret, scale = normal_experts(rows, 3, (0.3, 1.0, 3.0), seed=2)
        found = Experts(pooled=pooled).combine(experts, ret, scale, horizon=1)
        best = np.min([pinball_sum(e, ret) for e in experts], axis=0)
        excess.append(((pinball_sum(found.quantiles, ret) - best) / (rows * 3 * 0.01)).max())
        np.testing.assert_allclose(found.weights.sum(axis=-1), 1.0, rtol=1e-12)
    assert excess[1] < excess[0] / 2.0 + 1e-4
    assert excess[1] < 0.5 / math.sqrt(4000)
    assert found.weights[-1, :, [0, -1], 1].min() > 0.5


def test_a_mixture_may_beat_every_expert() -> None:
    """Two experts whose right mixture is neither: the linearised loss finds it."""
    experts, ret, scale = normal_experts(4000, 2, (0.5, 1.5), seed=3)
    found = Experts(pooled=True).combine(experts, ret, scale, horizon=1)
    outer = [0, 1, -2, -1]
    assert (pinball_sum(found.quantiles, ret)[outer] < np.min([pinball_sum(e, ret) for e in experts], axis=0)[outer]).all()


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_cut_changes_no_aggregate_before_it(horizon: int) -> None:
    experts, ret, scale = normal_experts(400, 2, (0.5, 1.0, 2.0), seed=4)
    regime = (np.arange(400) // 50) % 3
    for combiner in (Experts(smooth=1.0, share=0.01), Experts(pooled=True)):
        whole = combiner.combine(experts, ret, scale, horizon=horizon, regime=regime)
        cut = 251
        past = ret[:cut].copy()
        past[cut - horizon :] = np.nan
        part = combiner.combine([e[:cut] for e in experts], past, scale[:cut], horizon=horizon, regime=regime[:cut])
        np.testing.assert_array_equal(part.quantiles, whole.quantiles[:cut])
        for layer in (BandScale(0.02), BandScale(0.02, 0.01, common=0.05, forget=0.02)):
            recalibrated = layer.run(whole.quantiles, ret, horizon=horizon).quantiles
            np.testing.assert_array_equal(layer.run(part.quantiles, past, horizon=horizon).quantiles, recalibrated[:cut])


def test_regimes_learn_apart() -> None:
    """Volatility doubles in one regime: each regime comes to trust its own expert, one set of weights cannot."""
    experts, ret, scale = normal_experts(3000, 2, (0.7, 1.4), seed=5)
    regime = (np.arange(3000) // 20) % 2
    ret = ret * np.where(regime == 1, 1.4, 0.7)[:, None]
    apart = Experts().combine(experts, ret, scale, horizon=1, regime=regime)
    together = Experts().combine(experts, ret, scale, horizon=1)
    assert apart.weights[-1, 0, 0, regime[-1]] > 0.8
    assert pinball_sum(apart.quantiles, ret).sum() < pinball_sum(together.quantiles, ret).sum()


def test_rows_that_an_expert_lacks_have_no_aggregate_and_teach_nothing() -> None:
    experts, ret, scale = normal_experts(100, 2, (0.5, 2.0), seed=6)
    experts[0][10:20, 1] = np.nan
    found = Experts().combine(experts, ret, scale, horizon=1)
    assert np.isnan(found.quantiles[10:20, 1]).all()
    assert np.isfinite(found.quantiles[10:20, 0]).all()
    np.testing.assert_array_equal(found.weights[20, 1], found.weights[11, 1])


def test_bad_experts_are_refused() -> None:
    experts, ret, scale = normal_experts(50, 2, (1.0, 2.0))
    with pytest.raises(InvalidInput, match="two or more experts"):
        Experts().combine(experts[:1], ret, scale, horizon=1)
    with pytest.raises(InvalidInput, match="class of 0 or more"):
        Experts().combine(experts, ret, scale, horizon=1, regime=np.full(50, -1))
    with pytest.raises(InvalidInput, match="share"):
        Experts(share=1.0)


# recalibration and layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.7, 1.5])
@pytest.mark.parametrize("horizon", [1, 5])
def test_recalibration_brings_every_band_to_its_rate(factor: float, horizon: int) -> None:
    experts, ret, _ = normal_experts(4000, 3, (factor,), seed=7)
    found = BandScale(0.02).run(experts[0], ret, horizon=horizon).quantiles[500:]
    for share in (0.5, 0.75, 0.9):
        low, high = band_edges(TAU, share)
        rate = ((ret[500:] >= found[..., low]) & (ret[500:] <= found[..., high])).mean(axis=0)
        np.testing.assert_allclose(rate, share, atol=0.012)
    assert (np.diff(found, axis=-1) >= 0.0).all()


def plain_widths(q: np.ndarray, ret: np.ndarray, horizon: int, layer: BandScale) -> np.ndarray:
    """The widths' logarithms (T, N) of the outer band, one instrument and row after another."""
    length, width = ret.shape
    own, shared, found = np.zeros(width), 0.0, np.zeros((length, width))
    rarer = math.sqrt(0.1 / 0.5)
    outer = []
    for t in range(length):
        if t >= horizon:
            low, high = outer[t - horizon]
            known = [i for i in range(width) if np.isfinite(ret[t - horizon, i])]
            missed = {i: float(not low[i] <= ret[t - horizon, i] <= high[i]) for i in known}
            for i in known:
                own[i] = (1 - layer.shrink) * own[i] + layer.step * rarer * (missed[i] - 0.1)
            if known:
                excess = sum(missed.values()) / len(known) - 0.1
                shared = (1 - layer.forget) * shared + layer.common * rarer * excess
        found[t] = own + shared
        middle = q[t, :, 4]
        outer.append([middle + np.exp(found[t]) * (q[t, :, edge] - middle) for edge in (0, 8)])
    return found


@pytest.mark.parametrize("horizon", [1, 5])
def test_own_and_common_corrections_are_their_plain_loop(horizon: int) -> None:
    experts, ret, _ = normal_experts(600, 4, (0.8,), seed=9)
    ret[200:260, 1] = np.nan
    layer = BandScale(0.02, 0.01, common=0.06, forget=0.03)
    found = layer.run(experts[0], ret, horizon=horizon).quantiles
    middle = experts[0][..., 4]
    scale = (found[..., 8] - found[..., 4]) / (experts[0][..., 8] - middle)
    np.testing.assert_allclose(np.log(scale), plain_widths(experts[0], ret, horizon, layer), atol=1e-12)


def test_a_common_correction_follows_what_befalls_all_and_keeps_the_bound() -> None:
    """Every width is too small for 150 rows: the common correction finds it sooner, and misses stay as promised over all rows."""
    experts, ret, _ = normal_experts(3000, 10, (1.0,), seed=10)
    wild = np.zeros(3000, dtype=bool)
    for begin in range(500, 3000, 600):
        wild[begin : begin + 150] = True
    ret[wild] *= 1.8
    low, high = band_edges(TAU, 0.9)

    def inside(layer: BandScale) -> np.ndarray:
        found = layer.run(experts[0], ret, horizon=1).quantiles
        return (ret >= found[..., low]) & (ret <= found[..., high])

    alone, both = inside(BandScale(0.006)), inside(BandScale(0.006, common=0.06, forget=0.02))
    assert alone[wild].mean() < 0.75
    assert both[wild].mean() > alone[wild].mean() + 0.05
    off = [sum(abs(rows[part].mean() - 0.9) for part in (wild, ~wild)) for rows in (alone, both)]
    assert off[1] < off[0]
    step = 0.006 * math.sqrt(0.1 / 0.5)
    assert (np.abs(both.mean(axis=0) - 0.9) <= (2 * math.log(4.0) + 2 * step) / (step * 3000)).all()


def test_bad_corrections_are_refused() -> None:
    for wrong in ({"common": 1.0}, {"common": -0.1}, {"common": 0.1, "forget": 1.0}):
        with pytest.raises(InvalidInput, match="expected common and forget"):
            BandScale(0.01, **wrong)


@pytest.mark.parametrize("kind", ["blocks", "growing", "always outside at the end"])
def test_recalibration_keeps_its_telescoping_bound(kind: str) -> None:
    """|miss rate - promised| <= (range of c + steps in flight) / (g T): c stays where the caps and its steps allow."""
    experts, _, _ = normal_experts(3000, 1, (1.0,))
    t = np.arange(3000)
    noise = np.random.default_rng(12).normal(size=3000)
    ret = {"blocks": np.where(t // 80 % 2 == 0, 0.02, 0.001), "growing": 0.02 * noise * (0.3 + t / 3000),
           "always outside at the end": np.where(t > 2700, 0.03, 0.005)}[kind][:, None]  # fmt: skip
    found = BandScale(0.05).run(experts[0], ret, horizon=1).quantiles
    low, high = band_edges(TAU, 0.9)
    missed = ((ret < found[..., low]) | (ret > found[..., high])).mean()
    step = 0.05 * math.sqrt(0.1 / 0.5)
    assert abs(missed - 0.1) <= (2 * math.log(4.0) + 2 * step) / (step * 3000)


def test_cqr_is_the_plain_quantile_of_past_conformity_and_agrees_with_mapie() -> None:
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.dummy import DummyRegressor

    rng = np.random.default_rng(8)
    y, low, high = rng.normal(size=400), -1.0, 1.2
    forecast = np.broadcast_to(np.array([low, 0.0, high]), (400, 1, 3)).copy()
    found = conformalise(forecast, y, np.ones(400), horizon=1, levels=(0.1, 0.5, 0.9)).quantiles[:, 0]
    past = np.sort(low - y[:399])
    assert found[399, 0] == pytest.approx(low - past[math.ceil(400 * 0.9 - 1e-9) - 1])
    zero = np.zeros((399, 1))

    def constant(value: float) -> DummyRegressor:
        return DummyRegressor(strategy="constant", constant=value).fit(np.zeros((2, 1)), np.zeros(2))

    models = [constant(low), constant(high), constant(0.0)]
    mapie = ConformalizedQuantileRegressor(models, confidence_level=0.8, prefit=True).conformalize(zero, y[:399])
    edges = mapie.predict_interval(zero[:1], symmetric_correction=False)[1][0, :, 0]
    np.testing.assert_allclose(found[399, [0, 2]], edges, atol=0.02)  # mapie interpolates between order statistics
    assert found[399, 1] == 0.0


def test_layers_repair_a_narrow_forecast() -> None:
    experts, ret, scale = normal_experts(2500, 2, (0.6,), seed=9)
    for tracker in (None, DtAci(window=500)):
        found = conformalise(experts[0], ret, scale, horizon=2, tracker=tracker)
        use = slice(500, None)
        inside = (ret[use] >= found.quantiles[use, :, 0]) & (ret[use] <= found.quantiles[use, :, -1])
        assert inside.mean() == pytest.approx(0.9, abs=0.015)


def test_path_band_holds_the_whole_path_as_often_as_it_says() -> None:
    rng = np.random.default_rng(10)
    daily = 0.01 * rng.normal(size=(3000, 2))
    quantiles, outcome = {}, {}
    from scipy.special import ndtri

    for h in range(1, 6):
        total = np.full(daily.shape, np.nan)
        total[:-h] = np.lib.stride_tricks.sliding_window_view(daily[1:], h, axis=0).sum(axis=-1)
        outcome[h] = total
        quantiles[h] = np.broadcast_to(0.01 * math.sqrt(h) * ndtri(TAU), (*daily.shape, TAU.size))
    for level in (0.8, 0.9):
        found = path_band(quantiles, outcome, (0, 4, 8), level=level, window=800)
        inside = found.inside[np.isfinite(found.inside)]
        assert inside.mean() == pytest.approx(level, abs=0.02)
        held = np.all(
            [(outcome[h] >= found.low[..., h - 1]) & (outcome[h] <= found.high[..., h - 1]) for h in range(1, 6)], axis=0
        )
        np.testing.assert_array_equal(held[np.isfinite(found.inside)], inside.astype(bool))
    marginal = np.all([(outcome[h] >= quantiles[h][..., 0]) & (outcome[h] <= quantiles[h][..., 8]) for h in range(1, 6)], axis=0)
    assert marginal[:-5].mean() < 0.85  # five marginal 90 % bands do not hold a path
    with pytest.raises(InvalidInput, match="same horizons"):
        path_band(quantiles, {1: outcome[1]}, (0, 4, 8))


# packets ------------------------------------------------------------------------------------------------------------


def test_packet_cones_are_capped_flagged_ordered_and_tested() -> None:
    experts, ret, scale = normal_experts(1200, 2, (1.0,), seed=11)
    wild = experts[0].copy()
    wild[600:610, 0, -1] = np.inf
    wild[700, 1] = wild[700, 1, ::-1]  # crossed
    found = packet_cones(wild, ret, scale, horizon=1)
    assert found.quantiles_bps.shape == (1200, 2, len(QUANTILE_LEVELS))
    assert found.saturated[600:610, 0].all()
    known = np.isfinite(found.quantiles_bps[..., 0])
    assert known[1:].all()
    assert not known[0].any()
    assert (np.diff(found.quantiles_bps[1:], axis=-1) > 0.0).all()
    top = 1e4 * np.abs(ret[:600, 0]).max()
    assert found.quantiles_bps[600, 0, -1] == pytest.approx(top, rel=1e-9)
    table = found.coverage(("A", "B"), ret)
    assert table.columns == ["instrument", "level", "coverage", "n", "kupiec_p", "christoffersen_p", "saturated"]
    assert table.height == 6
    assert (table["coverage"] - table["level"]).abs().max() < 0.04
    assert table["christoffersen_p"].null_count() == 0
    with pytest.raises(InvalidInput, match="among the quantiles"):
        packet_cones(wild[..., 1:], ret, scale, horizon=1, levels=CONE_LEVELS[1:])


# shapes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize(
    "make", [lambda: Rolling(100), lambda: ScaledEmpirical(300, 60), lambda: PooledEmpirical(200, 60), Normal]
)
def test_shapes_see_no_future_and_ascend(panel: object, sigma: np.ndarray, make: object, horizon: int) -> None:
    forecaster = make()  # type: ignore[operator]
    whole = forecaster.quantiles(panel, sigma, horizon)
    for cut in (300, 777):
        np.testing.assert_array_equal(forecaster.quantiles(panel.head(cut), sigma[:cut], horizon), whole[:cut])  # type: ignore[attr-defined]
    known = np.isfinite(whole).all(axis=-1)
    assert known.sum() > 2000
    assert (np.diff(whole[known], axis=1) >= 0.0).all()
    assert np.isnan(whole[~known]).all()


def test_rolling_is_numpys_quantile_of_the_last_returns(panel: object) -> None:
    ret = panel.log_return(2)  # type: ignore[attr-defined]
    found = Rolling(100).quantiles(panel, np.ones_like(ret), 2)  # type: ignore[arg-type]
    np.testing.assert_allclose(found[400, 0], np.quantile(ret[299:399, 0], TAU), rtol=1e-12)
    pooled = PooledEmpirical(200, 60).quantiles(panel, np.full(ret.shape, 0.01), 2)  # type: ignore[arg-type]
    np.testing.assert_allclose(pooled[400, 1], np.quantile(ret[199:399], TAU), rtol=1e-12)
