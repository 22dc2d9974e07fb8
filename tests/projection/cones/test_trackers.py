"""Trackers against plain loops, against the composer's own ACI, against mapie, and against adversaries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.projection import QUANTILE_LEVELS, AdaptiveConformal, RawTracker, cone_quantiles
from fieldcast.projection.cones import Aci, DtAci, Pid, TrackedScores, split, window_quantiles

TRACKERS = {
    "split": split(200, 50),
    "aci": Aci(0.02, 200, 50),
    "dtaci": DtAci(window=200, minimum=50),
    "pid": Pid(window=200, minimum=50),
    "quantile tracking": Pid(0.02, 0.0, scorecaster=False, window=200, minimum=50),
}


def scores(rows: int = 500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.standard_t(5, size=(rows, 2)) * np.exp(0.4 * np.sin(np.arange(rows) / 40))[:, None]
    z[rng.random(z.shape) < 0.03] = np.nan
    return z


# plain twins --------------------------------------------------------------------------------------------------------


def plain_set(z: list[float], t: int, horizon: int, window: int, minimum: int) -> list[float] | None:
    known = [value for value in z[: t - horizon + 1] if value == value] if t >= horizon else []
    known = sorted(known[-window:])
    return known if len(known) >= minimum else None


def plain_quantile(known: list[float], mass: float, upper: bool) -> float:
    rank = math.floor((len(known) + 1) * mass)
    if rank < 1:
        return math.inf if upper else -math.inf
    if rank > len(known):
        return -math.inf if upper else math.inf
    return known[-rank] if upper else known[rank - 1]


def plain_dtaci(
    z: list[float], tau: float, horizon: int, steps: np.ndarray, memory: int, window: int, minimum: int
) -> list[float]:
    """Tail masses of algorithm 1 of Gibbs and Candes (2022), with h interleaved trackers; errors counted on raw sets."""
    aim, upper, count = min(tau, 1 - tau), tau > 0.5, len(steps)
    eta = math.sqrt(3 / memory) * math.sqrt((math.log(count * memory) + 2) / ((1 - aim) ** 2 * aim**3 + (1 - aim) ** 3 * aim**2))
    sigma = 1 / (2 * memory)
    alphas = [[aim] * count for _ in range(horizon)]
    weights = [[1.0] * count for _ in range(horizon)]
    out = []
    for t in range(len(z)):
        k, past = t % horizon, t - horizon
        if past >= 0:
            known = plain_set(z, past, horizon, window, minimum)
            if known is not None and z[past] == z[past]:
                beyond = sum(x >= z[past] for x in known) if upper else sum(x <= z[past] for x in known)
                beta = (1 + beyond) / (len(known) + 1)
                fresh = []
                for j in range(count):
                    q = plain_quantile(known, alphas[k][j], upper)
                    missed = z[past] > q if upper else z[past] < q
                    loss = aim * (beta - alphas[k][j]) - min(0.0, beta - alphas[k][j])
                    fresh.append(weights[k][j] * math.exp(-eta * loss))
                    alphas[k][j] += steps[j] * (aim - missed)
                total = sum(fresh)
                weights[k] = [(1 - sigma) * w / total + sigma / count for w in fresh]
        share = sum(weights[k])
        out.append(sum(w * a for w, a in zip(weights[k], alphas[k], strict=True)) / share)
    return out


def plain_pid(
    z: list[float], tau: float, horizon: int, rate: float, integral: float, c: float, window: int, minimum: int
) -> list[float]:
    tracked, excess, n = 0.0, 0.0, 0
    raw: list[float] = []
    out = []
    edge: list[float] = []
    for t in range(len(z)):
        past = t - horizon
        if past >= 0 and z[past] == z[past] and raw[past] == raw[past]:
            error = float(z[past] > raw[past]) - (1 - tau)
            tracked += rate * edge[past] * error
            excess += error
            n += 1
        known = plain_set(z, t, horizon, window, minimum)
        if known is None:
            raw.append(math.nan), edge.append(0.0), out.append(math.nan)
            continue
        m = max(n, 1)
        angle = excess * math.log(m + 1) / (m * c)
        turn = math.copysign(math.inf, angle) if abs(angle) >= math.pi / 2 else integral * math.tan(angle)
        edge.append(max(abs(x) for x in known))
        raw.append(float(np.quantile(known, tau)) + tracked + turn)
        out.append(min(max(raw[-1], -edge[-1]), edge[-1]))
    return out


@pytest.mark.parametrize("horizon", [1, 3])
def test_dtaci_and_its_sets_are_those_of_a_plain_loop(horizon: int) -> None:
    z, levels = scores(), (0.05, 0.25, 0.95)
    tracker = DtAci(steps=(0.005, 0.02, 0.08), memory=100, window=200, minimum=50)
    found = tracker.run(z, horizon=horizon, levels=levels)
    for place in range(2):
        column = z[:, place].tolist()
        for at, tau in enumerate(levels):
            mass = plain_dtaci(column, tau, horizon, tracker.steps, 100, 200, 50)
            for t in range(60, 500, 7):
                known = plain_set(column, t, horizon, 200, 50)
                assert known is not None
                expected = plain_quantile(known, mass[t], tau > 0.5)
                capped = min(max(expected, known[0]), known[-1])
                assert found.quantiles[t, place, at] == capped
                assert found.levels[t, place, at] == pytest.approx(1 - mass[t] if tau > 0.5 else mass[t], abs=1e-12)
                assert found.saturated[t, place] or expected == capped


@pytest.mark.parametrize("horizon", [1, 3])
def test_pid_is_that_of_a_plain_loop(horizon: int) -> None:
    z = scores(seed=1)
    found = Pid(0.01, 0.3, 2.0, window=200, minimum=50).run(z, horizon=horizon, levels=(0.05, 0.75))
    for place in range(2):
        for at, tau in enumerate((0.05, 0.75)):
            plain = plain_pid(z[:, place].tolist(), tau, horizon, 0.01, 0.3, 2.0, 200, 50)
            np.testing.assert_allclose(found.quantiles[:, place, at], plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("gamma", [0.0, 0.02])
def test_aci_is_the_composers_own(horizon: int, gamma: float) -> None:
    z = scores(seed=2)[:, 0]
    sigma = np.full(len(z), 0.01)
    sigma[::37] = np.nan
    theirs = AdaptiveConformal(gamma, 200, 50).run(0.01 * z, sigma, horizon=horizon)
    z = 0.01 * z / sigma
    ours = Aci(gamma, 200, 50).run(z, horizon=horizon, levels=QUANTILE_LEVELS)
    known = np.isfinite(theirs.quantiles_bps[:, 0])
    q = cone_quantiles(ours.quantiles[:, 0], sigma)
    np.testing.assert_allclose(q[known], theirs.quantiles_bps[known], rtol=1e-12)
    np.testing.assert_array_equal(ours.saturated[known, 0], theirs.saturated[known])
    np.testing.assert_allclose(ours.levels[known, 0], theirs.levels[known], atol=1e-12)


def test_window_quantiles_are_numpys() -> None:
    z = scores(seed=3)
    found = window_quantiles(z, 2, 100, 30, [0.0, 0.1, 0.5, 0.95, 1.0])
    for t in range(200, 500, 11):
        past = z[: t - 1, 0]
        expected = np.quantile(past[np.isfinite(past)][-100:], [0.0, 0.1, 0.5, 0.95, 1.0])
        np.testing.assert_allclose(found[t, 0], expected, rtol=1e-13)


def test_split_and_aci_agree_with_mapie() -> None:
    """One-sided sets of mapie's split conformal regressor, and its adaptive level on the same errors."""
    from mapie.regression import SplitConformalRegressor, TimeSeriesRegressor
    from sklearn.dummy import DummyRegressor

    rng = np.random.default_rng(4)
    size = np.abs(rng.standard_t(5, size=300))  # absolute residuals: the upper tail is what mapie takes
    x, zero = np.zeros((300, 1)), DummyRegressor(strategy="constant", constant=0.0).fit(np.zeros((2, 1)), np.zeros(2))
    ours = split(299, 299).run(size, horizon=1, levels=[0.9]).quantiles[299, 0, 0]
    mapie = SplitConformalRegressor(zero, confidence_level=0.9, prefit=True).conformalize(x[:299], size[:299])
    high = mapie.predict_interval(x[:1])[1][0, 1, 0]
    assert ours == pytest.approx(high, rel=1e-12)
    signed = rng.normal(size=260)
    adaptive = TimeSeriesRegressor(zero, method="aci", cv="prefit").fit(x[:200], signed[:200])
    raw = RawTracker(0.1, 0.02)
    for value in signed[200:]:
        edges = adaptive.predict(x[:1], confidence_level=0.9, allow_infinite_bounds=True)[1][0, :, 0]
        raw.update(missed=not edges[0] < value < edges[1])
        adaptive.adapt_conformal_inference(x[:1], np.array([value]), gamma=0.02, confidence_level=0.9)
        (theirs,) = adaptive.current_alpha.values()
        assert theirs == pytest.approx(raw.mass, abs=1e-12)
    assert 0 < raw.misses < raw.updates


# promises -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("horizon", [1, 4])
def test_a_cut_changes_nothing_before_it(name: str, horizon: int) -> None:
    z = scores(seed=5)
    whole = TRACKERS[name].run(z, horizon=horizon)
    for cut in (120, 333):
        past = z[:cut].copy()
        past[max(cut - horizon, 0) :] = np.nan  # outcomes that had not ended by then
        part = TRACKERS[name].run(past, horizon=horizon)
        np.testing.assert_array_equal(part.quantiles[:cut], whole.quantiles[:cut])
        np.testing.assert_array_equal(part.saturated[:cut], whole.saturated[:cut])


@pytest.mark.parametrize("name", TRACKERS)
def test_instruments_are_tracked_apart(name: str) -> None:
    z = scores(seed=6)
    both, alone = TRACKERS[name].run(z, horizon=1), TRACKERS[name].run(z[:, 1], horizon=1)
    np.testing.assert_array_equal(both.quantiles[:, 1], alone.quantiles[:, 0])


@pytest.mark.parametrize("kind", ["drift", "steps", "blocks", "calm", "noise"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_pid_tracking_stays_within_its_bound_whatever_comes(kind: str, horizon: int) -> None:
    """Without integrator: |sum of errors| <= (b + eta (h + 1)) / eta, b the range of scores: q moves by the errors alone."""
    rng = np.random.default_rng(8)
    rows = 2000
    base = rng.uniform(0.0, 1.0, rows)
    steps = np.arange(rows)
    z = {"drift": steps / rows, "steps": (steps // 60 % 7) / 7.0, "blocks": np.where(steps // 45 % 3 == 0, 1.0, 0.0),
         "calm": np.where(steps < 60, base, 0.0), "noise": base}[kind]  # fmt: skip
    z[:30] = np.linspace(0.0, 1.0, 30)  # the range is known from the start: eta is constant
    found = Pid(0.05, 0.0, scorecaster=False, window=rows, minimum=30).run(z, horizon=horizon, levels=[0.9])
    q = found.quantiles[:, 0, 0]
    use = np.isfinite(q)
    misses = float((z[use] > q[use]).mean())
    bound = (1.0 + 0.05 * (2 * horizon + 1)) / (0.05 * use.sum())
    assert abs(misses - 0.1) <= bound
    assert bound < 0.02


@pytest.mark.parametrize("kind", ["drift", "steps", "blocks", "calm", "noise"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_aci_stays_within_its_bound_on_raw_sets(kind: str, horizon: int) -> None:
    """h interleaved trackers: each |miss rate - a| <= (max(a, 1 - a) + g) / (g T_h), raw sets counted."""
    rng, rows, step, aim = np.random.default_rng(9), 3000, 0.05, 0.1
    steps = np.arange(rows)
    z = {"drift": steps / 50.0, "steps": 1.0 * (steps // 60 % 7), "blocks": np.where(steps // 45 % 3 == 0, 3.0, 0.1),
         "calm": np.where(steps < 100, rng.normal(size=rows), -9.0), "noise": rng.standard_t(2, rows)}[kind]  # fmt: skip
    z[:100] = rng.normal(size=100)
    found = Aci(step, 500, 50).run(z, horizon=horizon, levels=[1 - aim])
    mass = 1.0 - found.levels[:, 0, 0]
    use = np.flatnonzero(np.isfinite(mass))[:-horizon]
    gone = np.array([(mass[t] - mass[t + horizon]) / step + aim for t in use])  # the error that moved the tracker
    assert set(np.round(gone, 6)) <= {0.0, 1.0}
    for offset in range(horizon):
        own = gone[offset::horizon]
        assert abs(own.mean() - aim) <= (max(aim, 1 - aim) + step) / (step * len(own)) + 1e-9
    q, raw_all, raw_none = found.quantiles[use, 0, 0], mass[use] <= 0.0, mass[use] >= 1.0
    rank_out = np.floor((found.known[use, 0] + 1) * mass[use]) < 1
    missed = np.where(raw_none, True, np.where(raw_all | rank_out, False, z[use] > q))
    np.testing.assert_array_equal(missed, gone > 0.5)


def test_dtaci_follows_a_change_of_regime_sooner_than_a_slow_tracker_and_covers() -> None:
    rng = np.random.default_rng(10)
    z = rng.normal(size=4000)
    z[2000:] *= 1.8
    rates = {}
    for name, tracker in {"split": split(2000, 100), "dtaci": DtAci(window=2000)}.items():
        q = tracker.run(z, horizon=1, levels=[0.05, 0.95]).quantiles[2000:2600, 0]
        rates[name] = float(((z[2000:2600] >= q[:, 0]) & (z[2000:2600] <= q[:, 1])).mean())
    assert abs(rates["dtaci"] - 0.9) < 0.5 * abs(rates["split"] - 0.9)
    assert rates["dtaci"] == pytest.approx(0.9, abs=0.04)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5]))
def test_scaling_scores_scales_quantiles(seed: int, horizon: int) -> None:
    z = scores(150, seed)
    for tracker in (Aci(0.02, 100, 30), DtAci(window=100, minimum=30), Pid(0.02, 0.0, window=100, minimum=30)):
        one, two = tracker.run(z, horizon=horizon), tracker.run(4.0 * z, horizon=horizon)
        np.testing.assert_allclose(two.quantiles, 4.0 * one.quantiles, rtol=1e-10)


def test_tracked_scores_ascend_on_a_panel(panel: object, sigma: np.ndarray) -> None:
    q = TrackedScores(DtAci(window=300, minimum=60)).quantiles(panel, sigma, 2)  # type: ignore[arg-type]
    known = np.isfinite(q).all(axis=-1)
    assert known.sum() > 1000
    assert (np.diff(q[known], axis=1) >= 0.0).all()
    assert np.isnan(q[~known]).all()


@pytest.mark.parametrize(
    "make",
    [lambda: Aci(-0.1), lambda: Aci(window=10), lambda: DtAci(steps=()), lambda: Pid(0.0), lambda: Pid(saturation=0.0)],
)
def test_bad_settings_are_refused(make: object) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        make()  # type: ignore[operator]


def test_an_infinity_is_refused() -> None:
    with pytest.raises(InvalidInput, match="infinities"):
        Aci().run(np.array([1.0, np.inf]), horizon=1)
