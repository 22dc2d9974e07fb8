"""P05, conviction and tiers: ensemble weights (35/40/25 preset) with fallbacks, boosters, -5 % bias, pattern term as the crpbot
preset, re-calibrated afterwards; tiers on out-of-sample quantiles (0.75/0.65 preset) with 2-scan hysteresis and 2 % margin per
symbol; reliability kept apart.

Done when: "Worked cases for each fallback match, an absent component never counts as zero, and a 10-step path gives the expected
tiers with no state shared between symbols".
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fieldcast.projection import conviction as module
from fieldcast.projection.conviction import Scan, crpbot_preset, fit_conviction, score_scan
from fieldcast.projection.tiers import LEAST, Tier, TierThresholds, TierTracker, walk_tiers

OPEN_PARTS: tuple[str, ...] = ()

QUIET = datetime(2024, 3, 5, 20, 0, tzinfo=UTC)         # outside both sessions
ALL = {"recurrent": 0.80, "transformer": 0.70, "reinforced": 0.60, "sentiment": 0.90}


def only(*names: str) -> dict[str, float | None]:
    return {name: p if name in names else None for name, p in ALL.items()}


@pytest.mark.parametrize(("names", "vote"), [
    # by hand, with the weights that the preset states for each case
    (("recurrent", "transformer", "reinforced"), 0.35 * 0.80 + 0.40 * 0.70 + 0.25 * 0.60),
    (("recurrent", "transformer", "reinforced", "sentiment"), 0.30 * 0.80 + 0.35 * 0.70 + 0.25 * 0.60 + 0.10 * 0.90),
    (("recurrent", "transformer", "sentiment"), 0.30 * 0.80 + 0.35 * 0.70 + 0.35 * 0.90),
    (("recurrent", "transformer"), 0.5 * 0.80 + 0.5 * 0.70),
    (("transformer", "reinforced"), (0.40 * 0.70 + 0.25 * 0.60) / 0.65),
    (("recurrent",), 0.80),
    (("sentiment",), 0.90),
    (("reinforced", "sentiment"), (0.25 * 0.60 + 0.10 * 0.90) / 0.35),
])  # fmt: skip
def test_worked_cases_of_every_fallback(names: tuple[str, ...], vote: float) -> None:
    found = score_scan(Scan(QUIET, only(*names)), crpbot_preset())
    assert found.parts["vote"] == pytest.approx(vote, abs=1e-12)
    assert found.score == pytest.approx(vote - 0.05, abs=1e-12)
    assert sum(found.weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert found.side == "up"
    assert set(found.absent) == set(ALL) - set(names)
    assert found.conviction is None                     # a preset's score is no probability


def test_an_absent_component_never_counts_as_zero() -> None:
    random = np.random.default_rng(5)
    for _ in range(500):
        level = float(random.uniform(0.5, 1.0))
        names = [name for name in ALL if random.random() < 0.7] or ["recurrent"]
        odds = {name: level if name in names else None for name in ALL}
        assert score_scan(Scan(QUIET, odds), crpbot_preset()).parts["vote"] == pytest.approx(level, abs=1e-12)
    none = score_scan(Scan(QUIET, dict.fromkeys(ALL, None)), crpbot_preset())
    assert (none.side, none.score, none.conviction) == ("none", None, None)


def test_boosters_pattern_and_bias_as_stated() -> None:
    odds = only("recurrent", "transformer")
    def parts(hour: int = 20, **more: object) -> dict[str, float]:
        return dict(score_scan(Scan(QUIET.replace(hour=hour), odds, **more), crpbot_preset()).parts)  # type: ignore[arg-type]

    assert parts()["bias"] == -0.05
    assert [parts(hour)["session"] for hour in (8, 9, 11, 12, 13, 14, 16, 17)] == [0, 0.01, 0.01, 0, 0, 0.01, 0.01, 0]
    assert (parts(aligned=True)["aligned"], parts(aligned=False)["aligned"], parts()["aligned"]) == (0.02, 0.0, 0.0)
    assert (parts(regime="high")["regime"], parts(regime="low")["regime"]) == (0.01, -0.01)
    assert parts(win_rate=0.7, samples=9)["pattern"] == 0.0
    assert parts(win_rate=0.7, samples=10)["pattern"] == pytest.approx(0.02)
    assert parts(win_rate=0.2, samples=50)["pattern"] == pytest.approx(-0.03)
    sure = Scan(QUIET.replace(hour=10), {"recurrent": 1.0}, aligned=True, regime="high", win_rate=1.0, samples=99)
    assert score_scan(sure, crpbot_preset()).score == 1.0           # clipped


def test_a_fall_is_the_mirror_of_a_rise() -> None:
    random = np.random.default_rng(6)
    for _ in range(200):
        odds = {name: float(random.uniform(0, 1)) for name in ALL}
        up = score_scan(Scan(QUIET, odds, aligned=True), crpbot_preset())
        down = score_scan(Scan(QUIET, {name: 1.0 - p for name, p in odds.items()}, aligned=True), crpbot_preset())
        assert {up.side, down.side} == {"up", "down"}
        assert up.score == pytest.approx(down.score, abs=1e-12)


def test_the_score_is_calibrated_afterwards() -> None:
    random = np.random.default_rng(7)
    score = random.uniform(0.45, 0.95, 4000)
    truth = 0.5 + 0.25 * (score - 0.45) / 0.5           # far less sure than the score says
    hits = (random.random(4000) < truth).astype(float)
    choice = fit_conviction(score[:3000], hits[:3000])
    scans = [Scan(QUIET, {"recurrent": s + 0.05}) for s in score[3000:].tolist()]
    said = np.array([score_scan(scan, crpbot_preset(), choice).conviction for scan in scans], dtype=float)
    assert np.mean((said - truth[3000:]) ** 2) < 0.03**2 < np.mean((score[3000:] - truth[3000:]) ** 2)
    assert "reliability" not in module.Conviction.__dataclass_fields__          # it stays apart


def test_a_ten_step_path_gives_the_expected_tiers_and_symbols_share_nothing() -> None:
    tracker = TierTracker(TierThresholds.preset())
    path = [0.60, 0.66, 0.66, 0.68, 0.76, 0.78, 0.74, 0.72, 0.60, 0.60]
    # low; named medium, inside the margin; again inside; crossed 0.67 with three in a row: medium; high named once; twice and
    # beyond 0.77: high; named medium inside the margin; below 0.73, twice: medium; low named once; twice and below 0.63: low
    expected = ["low", "low", "low", "medium", "medium", "high", "high", "medium", "medium", "low"]
    other = [0.80, 0.80, 0.55, 0.55, 0.80, 0.80, 0.80, 0.55, 0.80, 0.55]
    # a jump over a whole tier needs two scans and no margin
    others = ["high", "high", "high", "low", "low", "high", "high", "high", "high", "high"]
    found: dict[str, list[str]] = {"BTC": [], "ETH": []}
    for one, two in zip(path, other, strict=True):
        found["BTC"].append(str(tracker.update("BTC", one).tier))
        found["ETH"].append(str(tracker.update("ETH", two).tier))
    assert found == {"BTC": expected, "ETH": others}
    alone = TierTracker(TierThresholds.preset())
    assert [str(alone.update("BTC", one).tier) for one in path] == expected


def test_a_scan_without_conviction_breaks_the_run_and_keeps_the_tier() -> None:
    tracker = TierTracker(TierThresholds.preset())
    steps = [tracker.update("X", conviction) for conviction in (0.60, 0.70, None, 0.70, float("nan"), 0.70, 0.70)]
    assert [step.tier for step in steps] == [Tier.LOW] * 6 + [Tier.MEDIUM]
    again = TierTracker.from_state(tracker.state())
    assert again.state() == tracker.state()


def test_fitted_thresholds_are_quantiles_of_what_was_known_before() -> None:
    random = np.random.default_rng(8)
    values = 0.5 + 0.05 * random.random(800)
    values[::17] = np.nan
    whole = walk_tiers(values)
    assert all(tier is None for tier in whole[:LEAST])
    assert {Tier.LOW, Tier.MEDIUM, Tier.HIGH} <= set(whole)
    for cut in (150, 399, 610):
        assert walk_tiers(values[:cut]) == whole[:cut]
    thresholds = TierThresholds.fitted(values)
    known = values[np.isfinite(values)]
    assert np.mean(known >= thresholds.high) == pytest.approx(0.2, abs=0.01)
    assert np.mean(known >= thresholds.medium) == pytest.approx(0.5, abs=0.01)
    assert np.mean(known >= thresholds.high_up) == pytest.approx(0.18, abs=0.01)
