"""PSI and KS against scipy and a brute-force loop; thresholds with their nulls; triggers on planted and null cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models.drift import TrainingSample, drift, population_stability
from fieldcast.models.triggers import Recent, TriggerRules, calibration, command, decay, drifted, schedule

NOW = datetime(2026, 1, 5, tzinfo=UTC)
RULES = TriggerRules(draws=300)


def test_psi_is_a_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(1000), rng.standard_normal(400) + 0.5
    a[:50], b[:40] = np.nan, np.nan
    edges = np.quantile(a[50:], np.arange(1, 10) / 10)
    total = 0.0
    for k in range(11):
        low, high = (-np.inf if k == 0 else edges[min(k, 9) - 1]), (np.inf if k >= 9 else edges[k])
        if k < 10:
            p, q = (sum(low < x <= high for x in sample[np.isfinite(sample)]) / len(sample) for sample in (a, b))
        else:
            p, q = 50 / 1000, 40 / 400
        p, q = max(p, 0.5 / 1000), max(q, 0.5 / 400)
        total += (q - p) * np.log(q / p)
    found, bins = population_stability(a, b)
    assert (found, bins) == (pytest.approx(total, rel=1e-12), 11)


def test_ks_is_scipys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(700), rng.standard_normal(300) * 1.3
    report = drift(TrainingSample.of(a[:, None], ["x"]), b[:, None])
    assert report.features[0].ks == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert report.features[0].ks_p == pytest.approx(stats.kstwobign.sf(report.features[0].ks * np.sqrt(210)), abs=1e-12)


def test_a_null_sample_drifts_seldom_and_a_shifted_one_always() -> None:
    """300 null comparisons of 3 features at 1 % over all: at most 2 % cry wolf; a shift of one deviation does not hide."""
    rng = np.random.default_rng(2)
    false = missed = 0
    for _ in range(300):
        a, b = rng.standard_normal((300, 3)), rng.standard_normal((120, 3))
        sample = TrainingSample.of(a, ["x", "y", "z"])
        false += bool(drift(sample, b).drifted)
        missed += drift(sample, b + np.array([0.0, 1.0, 0.0])).drifted != ("y",)
    assert false <= 6, false
    assert missed <= 6, missed


def test_a_small_sample_needs_more_than_the_threshold() -> None:
    """PSI of 40 rows of nothing is often above 0.2: the null of that size keeps it quiet."""
    rng = np.random.default_rng(3)
    reports = [drift(TrainingSample.of(rng.standard_normal((400, 1)), ["x"]), rng.standard_normal((40, 1))) for _ in range(200)]
    loud = [r.features[0] for r in reports if r.features[0].psi is not None and r.features[0].psi > 0.2]
    assert len(loud) > 60
    assert sum(one.by_psi for one in loud) <= 8


def test_missing_values_are_a_bin_of_their_own() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((500, 1)), rng.standard_normal((200, 1))
    b[::2] = np.nan
    found = drift(TrainingSample.of(a, ["x"]), b).features[0]
    assert (found.by_psi, found.by_ks, found.missing_recent) == (True, False, 0.5)


def test_too_few_rows_say_nothing_and_the_sample_comes_back_from_plain_values() -> None:
    rng = np.random.default_rng(5)
    sample = TrainingSample.of(rng.standard_normal((9000, 2)), ["x", "y"], spacing=2)
    assert len(sample.features[0].ordered) == 4096
    assert TrainingSample.from_dict(sample.as_dict()) == sample
    found = drift(sample, rng.standard_normal((50, 2)) + 9).features[0]
    assert (found.psi, found.ks, found.drifted, found.n_recent) == (None, None, False, 25)
    with pytest.raises(InvalidInput):
        drift(sample, rng.standard_normal((50, 3)))
    with pytest.raises(MissingData):
        drift(sample, np.empty((0, 2)))


# triggers -------------------------------------------------------------------------------------------------------------------


def recent(rng: np.random.Generator, *, worse: float = 0.0, n: int = 400) -> Recent:
    """A calibrated forecaster of an event of 30 %, accepted with what it truly gains; `worse` mixes its odds with noise."""
    logit = -0.9 + 0.8 * rng.standard_normal(n)
    p = 1 / (1 + np.exp(-logit))
    y = (rng.random(n) < p).astype(float)
    many = 1 / (1 + np.exp(-(-0.9 + 0.8 * rng.standard_normal(200_000))))
    base = float(many.mean())
    gain = float(
        -(many * np.log(many) + (1 - many) * np.log(1 - many)).mean() + base * np.log(base) + (1 - base) * np.log(1 - base)
    )
    shown = p if worse == 0.0 else 1 / (1 + np.exp(-(-0.9 + 0.8 * worse * rng.standard_normal(n))))
    return Recent(shown, y, np.arange(n), base, gain)


def test_decay_fires_on_a_decayed_score_and_not_on_a_sound_one() -> None:
    rng = np.random.default_rng(6)
    assert all(decay(recent(rng, worse=1.0), RULES).fired for _ in range(20))
    fired = sum(decay(recent(rng), RULES).fired for _ in range(60))
    assert fired <= 6, fired  # a one-sided 95 % bound above a margin


def test_calibration_fires_on_lost_calibration_and_not_on_a_calibrated_forecast() -> None:
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(40):
        p = rng.uniform(0.2, 0.8, 400)
        false += calibration(p, rng.random(400) < p, RULES).fired
        assert calibration(p, rng.random(400) < np.clip(p + 0.2, 0, 1), RULES).fired
    assert false <= 5, false  # above the 95 % point of chance, and above 7 %


def test_schedule_drift_and_command_fire_when_they_should() -> None:
    due = schedule(NOW - timedelta(days=28), NOW, RULES)
    assert (due.fired, due.reason) == (True, "scheduled")
    assert not schedule(NOW - timedelta(days=27, hours=23), NOW, RULES).fired
    rng = np.random.default_rng(8)
    sample = TrainingSample.of(rng.standard_normal((500, 1)), ["x"])
    assert drifted(drift(sample, rng.standard_normal((200, 1)) + 1)).fired
    assert not drifted(drift(sample, rng.standard_normal((200, 1)))).fired
    assert not drifted(None).fired
    assert command(NOW, NOW - timedelta(days=1)).fired
    assert not command(None, NOW).fired
    assert not command(NOW - timedelta(days=2), NOW - timedelta(days=1)).fired  # it was fitted again since


def test_what_cannot_be_judged_does_not_fire_and_says_why() -> None:
    rng = np.random.default_rng(9)
    assert (decay(None, RULES).fired, decay(None, RULES).reason) == (False, "few_rows")
    few = recent(rng, worse=1.0, n=99)
    assert (decay(few, RULES).figure, calibration(few.p, few.y, RULES).reason) == (None, "few_rows")
