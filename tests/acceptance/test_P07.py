"""P07: Conformal cones on scores scaled by the volatility forecast: split, CQR, ACI, DtACI, PID, with h-step update
delay; online expert aggregation of quantiles; packet cone capped, flagged `saturated`, rearranged to be monotone.

Done when: "The raw ACI tracker (infinite sets allowed) stays within its bound on adversarial sequences (0.019 at
T=1,000, a=.1, g=.05, h=1; h interleaved trackers otherwise), and Kupiec and Christoffersen are printed for each cone
after capping"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.data import read_bundled
from fieldcast.evaluation import coverage, diff_interval
from fieldcast.models import GarchNormal, LogHar, daily_variance
from fieldcast.projection import BANDS, QUANTILE_LEVELS, AdaptiveConformal, ConePath, RawTracker, normal_quantiles
from fieldcast.projection.cones import (
    Aci,
    BandScale,
    DtAci,
    Experts,
    PanelCones,
    Pid,
    conformalise,
    packet_cones,
    split,
    window_quantiles,
)

pytestmark = pytest.mark.feature("P07")
OPEN_PARTS: tuple[str, ...] = ()

T, ALPHA, GAMMA, BOUND = 1000, 0.1, 0.05, 0.019


def adversary(kind: str, tracker: RawTracker, t: int, rng: np.random.Generator) -> bool:
    """Whether the next outcome would lie outside any finite, non-empty set; the adversary sees the tracker's level."""
    return {
        "always outside": True,
        "never outside": False,
        "outside while the set is wide": tracker.mass < ALPHA,
        "outside while the set is narrow": tracker.mass > ALPHA,
        "long blocks": (t // 100) % 2 == 0,
        "outside at the end": t > 0.8 * T,
        "coin": bool(rng.random() < 0.5),
    }[kind]


KINDS = ("always outside", "never outside", "outside while the set is wide", "outside while the set is narrow",
         "long blocks", "outside at the end", "coin")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_tracker_stays_within_its_bound(kind: str) -> None:
    tracker, rng = RawTracker(ALPHA, GAMMA), np.random.default_rng(0)
    for t in range(T):
        outside = adversary(kind, tracker, t, rng)
        tracker.update(missed=tracker.empty or (outside and not tracker.infinite))
    assert tracker.updates == T
    assert tracker.bound == pytest.approx(BOUND, abs=5e-4)
    assert abs(tracker.misses / T - ALPHA) <= tracker.bound


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("horizon", [2, 5])
def test_h_interleaved_trackers_each_stay_within_theirs(kind: str, horizon: int) -> None:
    trackers, rng = [RawTracker(ALPHA, GAMMA) for _ in range(horizon)], np.random.default_rng(1)
    pending: list[tuple[int, bool]] = []
    for t in range(T * horizon):
        if t >= horizon:                                     # the outcome of row t - h is known now, not before
            which, missed = pending.pop(0)
            trackers[which].update(missed=missed)
        now = trackers[t % horizon]
        outside = adversary(kind, now, t // horizon, rng)
        pending.append((t % horizon, now.empty or (outside and not now.infinite)))
    for tracker in trackers:
        assert tracker.updates == T - 1
        assert abs(tracker.misses / tracker.updates - ALPHA) <= tracker.bound
    total = sum(tracker.misses for tracker in trackers) / sum(tracker.updates for tracker in trackers)
    assert abs(total - ALPHA) <= trackers[0].bound


# cones of real returns ----------------------------------------------------------------------------------------------


class Cones:
    """NASDAQ composite 1999-2018: conformal cones on log-HAR sigma beside GARCH(1,1)-normal, on the same rows."""

    def __init__(self, horizon: int, gamma: float = 0.005) -> None:
        bars = read_bundled("nasdaq")[1]
        log = np.log(bars["close"].to_numpy())
        daily = np.r_[np.nan, np.diff(log)]
        self.horizon = horizon
        self.ret = np.full(len(log), np.nan)
        self.ret[:-horizon] = log[horizon:] - log[:-horizon]
        variance = daily_variance(bars)["variance"].to_numpy()
        self.sigma = LogHar().path(variance, daily, first=756, horizon=horizon).sigma
        self.path: ConePath = AdaptiveConformal(gamma=gamma).run(self.ret, self.sigma, horizon=horizon)
        garch = GarchNormal().path(daily, first=900, horizons=(horizon,))
        self.garch = normal_quantiles(garch.sigma[:, 0], garch.mean[:, 0])
        known = np.isfinite(np.column_stack([self.ret, self.garch, self.path.quantiles_bps]))
        self.rows = np.flatnonzero(known.all(axis=1))

    def loss(self, quantiles: np.ndarray) -> np.ndarray:
        """Mean interval score of the three bands, in bps, on each row."""
        x, total = 1e4 * self.ret[self.rows], np.zeros(len(self.rows))
        for place, share in enumerate(BANDS):
            low, high = quantiles[self.rows, 2 - place], quantiles[self.rows, 4 + place]
            miss = np.maximum(low - x, 0) + np.maximum(x - high, 0)
            total += high - low + 2 / (1 - share) * miss
        return total / len(BANDS)


@pytest.fixture(scope="module")
def daily() -> Cones:
    return Cones(1)


@pytest.fixture(scope="module")
def weekly() -> Cones:
    return Cones(5)


@pytest.mark.parametrize("name", ["daily", "weekly"])
def test_kupiec_and_christoffersen_are_printed_for_each_cone_after_capping(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    cones: Cones = request.getfixturevalue(name)
    assert cones.path.saturated.dtype == np.bool_
    for share in BANDS:
        low, high = cones.path.band(share)
        found = coverage(low[cones.rows], high[cones.rows], 1e4 * cones.ret[cones.rows], share, horizon=cones.horizon)
        with capsys.disabled():
            print(f"\n{cones.horizon} d, {share:.0%} band: {found}, {int(cones.path.saturated.sum())} capped", end="")
        assert abs(found.rate - share) < 0.02
        assert found.kupiec_p is not None
        assert found.christoffersen_p is not None
        assert found.kupiec_p > 0.05


def test_the_interval_score_beats_garch_normal(daily: Cones) -> None:
    ours, theirs = daily.loss(daily.path.quantiles_bps), daily.loss(daily.garch)
    difference = diff_interval(ours, theirs, block=21, draws=500, seed=1)
    assert difference.estimate < 0.0
    assert difference.high < 0.005 * theirs.mean()


def test_cones_of_every_row_are_strictly_ordered_and_finite(daily: Cones, weekly: Cones) -> None:
    for cones in (daily, weekly):
        q = cones.path.quantiles_bps
        known = np.isfinite(q).any(axis=1)
        assert np.isfinite(q[known]).all()
        assert (np.diff(q[known], axis=1) > 0).all()


def test_a_step_of_zero_is_split_conformal_with_its_beta_coverage() -> None:
    """Split on n exchangeable scores: the mean coverage of the 90 % band is that of the order statistics."""
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(300):
        z = rng.normal(size=251)
        path = AdaptiveConformal(gamma=0.0, window=None, minimum=250).run(z, np.ones(251), horizon=1)
        low, high = path.band(0.9)
        hits.append(low[250] <= 1e4 * z[250] <= high[250])
    assert np.mean(hits) == pytest.approx(0.9, abs=3 * np.sqrt(0.9 * 0.1 / 300))


def test_a_jump_of_the_market_saturates_and_is_flagged() -> None:
    rng = np.random.default_rng(3)
    ret = 0.01 * rng.normal(size=600)
    ret[400:] *= np.exp(np.arange(200) / 20.0)
    path = AdaptiveConformal(gamma=0.05, window=300, minimum=100).run(ret, np.full(600, 0.01), horizon=1)
    flagged = np.flatnonzero(path.saturated)
    assert (flagged >= 400).sum() > 50
    assert np.isfinite(path.quantiles_bps[flagged]).all()
    assert (np.diff(path.quantiles_bps[flagged], axis=1) > 0).all()


# every way to a cone ------------------------------------------------------------------------------------------------


def every_cone(cones: Cones) -> dict[str, PanelCones]:
    """Split, CQR, ACI, DtACI, PID and the experts' aggregate of one instrument, as packets would carry them."""
    ret, sigma, h, levels = cones.ret[:, None], cones.sigma[:, None], cones.horizon, QUANTILE_LEVELS
    z, normal = ret / sigma, normal_quantiles(cones.sigma)[:, None] / 1e4
    trackers = {"split": split(), "ACI": Aci(0.005), "DtACI": DtAci(), "PID": Pid()}
    tracked = {name: tracker.run(z, horizon=h, levels=levels) for name, tracker in trackers.items()}
    quantiles = {name: sigma[..., None] * found.quantiles for name, found in tracked.items()}
    flags = {name: found.saturated for name, found in tracked.items()}
    rolling = window_quantiles(ret, h, 250, 250, QUANTILE_LEVELS)
    layer = conformalise(rolling, ret, sigma, horizon=h, levels=levels)
    quantiles["CQR"], flags["CQR"] = layer.quantiles, layer.saturated
    members = [rolling, normal, *(quantiles[name] for name in ("split", "DtACI", "PID", "CQR"))]
    mixed = Experts(smooth=1.0).combine([np.sort(q, axis=-1) for q in members], ret, sigma, horizon=h, levels=levels)
    slow = BandScale(0.01).run(mixed.quantiles, ret, horizon=h, levels=levels)
    quantiles["experts"], flags["experts"] = slow.quantiles, slow.saturated
    return {
        name: packet_cones(q, ret, sigma, horizon=h, levels=levels, saturated=flags[name]) for name, q in quantiles.items()
    }


@pytest.mark.parametrize("name", ["daily", "weekly"])
def test_every_cone_is_capped_flagged_ordered_and_its_tests_printed(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    cones: Cones = request.getfixturevalue(name)
    loss = {}
    for kind, made in every_cone(cones).items():
        q = made.quantiles_bps[:, 0]
        known = np.isfinite(q).any(axis=1)
        assert np.isfinite(q[known]).all()
        assert (np.diff(q[known], axis=1) > 0).all()
        ret = np.where(np.isin(np.arange(len(q)), cones.rows), cones.ret, np.nan)[:, None]
        table = made.coverage(("NASDAQ",), ret)
        assert table.height == len(BANDS)
        assert table["n"].min() > 3000
        for row in table.iter_rows(named=True):
            with capsys.disabled():
                print(f"\n{cones.horizon} d, {kind}, {row['level']:.0%} band: {row['coverage']:.3f} of {row['n']}, Kupiec p "
                      f"{row['kupiec_p']:.3f}, Christoffersen p {row['christoffersen_p']:.3f}, {row['saturated']} capped", end="")
            assert abs(row["coverage"] - row["level"]) < 0.025
            if kind in ("ACI", "DtACI", "PID", "experts"):       # what adapts has to pass; a rolling split need not
                assert row["kupiec_p"] > 0.05
        loss[kind] = cones.loss(q)
    difference = diff_interval(loss["experts"], cones.loss(cones.garch), block=21, draws=500, seed=1)
    assert difference.estimate < 0.0


def test_the_aggregate_is_not_far_from_its_best_member() -> None:
    """Regret: over 4,000 rows the mean pinball loss is within 1 % of the best expert's, whichever that is."""
    rng = np.random.default_rng(11)
    ret, levels = 0.01 * rng.standard_t(6, size=(4000, 1)), np.array(QUANTILE_LEVELS)
    experts = [normal_quantiles(np.full(4000, 0.01 * k))[:, None] / 1e4 for k in (0.4, 1.1, 3.0)]
    mixed = Experts().combine(experts, ret, np.full(ret.shape, 0.01), horizon=1, levels=QUANTILE_LEVELS).quantiles

    def pinball(q: np.ndarray) -> float:
        error = ret[..., None] - q
        return float(np.maximum(levels * error, (levels - 1) * error).mean())

    assert pinball(mixed) < 1.01 * min(pinball(q) for q in experts)
