"""Forward filters with frozen parameters: against every path written out, blind to the future, the same bar by bar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from fieldcast.fields._rows import rows_of
from fieldcast.fields.regime import (
    ChangePointFilter,
    ChangePointParameters,
    HmmFilter,
    HmmParameters,
    change_point_odds,
    hmm_log_likelihood,
    hmm_probabilities,
    observations,
    regime_field,
)
from fieldcast.fields.vocabulary import HiddenState
from fieldcast.ground import InvalidInput, Reason

UNTIL = datetime(2005, 6, 1, tzinfo=UTC)
HMM = HmmParameters(
    instrument="XNAS:TEST",
    fitted_until=UNTIL,
    rows=600,
    simulated=False,
    features=("return", "range"),
    initial=(0.7, 0.2, 0.1),
    transition=((0.9, 0.08, 0.02), (0.1, 0.8, 0.1), (0.0, 0.3, 0.7)),
    means=((0.1, -0.4), (0.0, 0.3), (-0.3, 1.2)),
    variances=((0.3, 0.1), (1.5, 0.15), (9.0, 0.2)),
    log_likelihood=-1.0,
    bic=2.0,
    iterations=3,
    converged=True,
)
RUNS = ChangePointParameters(
    instrument="XNAS:TEST", fitted_until=UNTIL, rows=600, simulated=False,
    hazard=0.05, mean=0.02, weight=0.5, shape=1.5, scale=2.0, log_evidence=-1.0, longest=400, recent=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def values(bars: pl.DataFrame) -> np.ndarray:
    return observations(rows_of(bars), ("return", "range"))


def test_observations_are_the_return_and_the_log_range_in_percent(bars: pl.DataFrame, values: np.ndarray) -> None:
    row, before = bars.row(7, named=True), bars.row(6, named=True)
    assert values[7, 0] == pytest.approx(100 * np.log(row["close"] / before["close"]))
    assert values[7, 1] == pytest.approx(np.log(100 * np.log(row["high"] / row["low"])))
    assert np.isnan(values[0, 0])
    still = bars.with_columns(high=pl.col("low"))
    assert np.isnan(observations(rows_of(still), ("return", "range"))[:, 1]).all()


def test_the_filter_is_the_last_row_of_all_paths_up_to_each_row(values: np.ndarray) -> None:
    rows = values[1:8].copy()
    rows[2, 1] = np.nan  # one feature unknown
    rows[4] = np.nan  # nothing known
    found = hmm_probabilities(rows, HMM)
    initial, transition, means, variances = (np.array(x) for x in (HMM.initial, HMM.transition, HMM.means, HMM.variances))

    def density(row: np.ndarray, j: int) -> float:
        known = np.isfinite(row)
        return float(norm.pdf(row[known], means[j][known], np.sqrt(variances[j][known])).prod())

    for n in range(1, len(rows) + 1):
        odds = np.zeros(3)
        for path in product(range(3), repeat=n):
            weight = initial[path[0]] * density(rows[0], path[0])
            for t in range(1, n):
                weight *= transition[path[t - 1], path[t]] * density(rows[t], path[t])
            odds[path[-1]] += weight
        np.testing.assert_allclose(found[n - 1], odds / odds.sum(), rtol=1e-10)
        assert hmm_log_likelihood(rows[:n], HMM) == pytest.approx(np.log(odds.sum()), rel=1e-12)


def test_runs_are_those_of_every_division_into_stretches(values: np.ndarray) -> None:
    """All 2^(n−1) ways to divide n returns, each with its odds and the predictive densities of its stretches."""
    returns = values[1:10, 0]
    found = change_point_odds(returns, RUNS)
    for n in range(1, returns.size + 1):
        odds = np.zeros(n + 1)
        for begins in product((False, True), repeat=n - 1):
            weight, run = 1.0, 0
            for t, begin in enumerate((True, *begins)):
                if t:
                    weight *= RUNS.hazard if begin else 1 - RUNS.hazard
                run = 1 if begin else run + 1
                weight *= predictive(returns[t], returns[t - run + 1 : t])
            odds[run] += weight
        odds /= odds.sum()
        assert found.recent[n - 1] == pytest.approx(odds[: RUNS.recent + 1].sum(), rel=1e-10)
        assert found.run_length[n - 1] == pytest.approx(odds @ np.arange(n + 1), rel=1e-10)


def predictive(x: float, seen: np.ndarray) -> float:
    """Student's t of the normal-gamma posterior in closed form (DeGroot 1970, 9.6)."""
    n = seen.size
    mean = seen.mean() if n else 0.0
    weight, shape = RUNS.weight + n, RUNS.shape + n / 2
    centre = (RUNS.weight * RUNS.mean + n * mean) / weight
    scale = RUNS.scale + ((seen - mean) ** 2).sum() / 2 + RUNS.weight * n * (mean - RUNS.mean) ** 2 / (2 * weight)
    return float(student.pdf(x, 2 * shape, centre, np.sqrt(scale * (weight + 1) / (shape * weight))))


def test_nothing_later_moves_a_row(values: np.ndarray) -> None:
    odds, runs = hmm_probabilities(values, HMM), change_point_odds(values[:, 0], RUNS)
    for n in (1, 2, 57, 500, 899):
        np.testing.assert_array_equal(hmm_probabilities(values[:n], HMM), odds[:n])
        part = change_point_odds(values[:n, 0], RUNS)
        np.testing.assert_array_equal(part.recent, runs.recent[:n])
        np.testing.assert_array_equal(part.run_length, runs.run_length[:n])


def test_bar_by_bar_is_the_batch_to_the_last_bit(values: np.ndarray) -> None:
    holes = values.copy()
    holes[100:103] = np.nan
    short = replace(RUNS, longest=40)
    states, runs = HmmFilter(HMM), ChangePointFilter(short)
    np.testing.assert_array_equal(np.array([states.update(row) for row in holes]), hmm_probabilities(holes, HMM))
    stepped = np.array([runs.update(x) for x in holes[:, 0]])
    batch = change_point_odds(holes[:, 0], short)
    np.testing.assert_array_equal(stepped, np.column_stack([batch.recent, batch.run_length]))


def test_odds_sum_to_one_and_nothing_is_said_before_the_first_observation(values: np.ndarray) -> None:
    lost = np.vstack([np.full((5, 2), np.nan), values[1:]])
    odds, runs = hmm_probabilities(lost, HMM), change_point_odds(lost[:, 0], RUNS)
    assert np.isnan(odds[:5]).all()
    assert np.isnan(runs.recent[:5]).all()
    np.testing.assert_allclose(odds[5:].sum(axis=1), 1, rtol=1e-12)
    assert ((runs.recent[5:] >= 0) & (runs.recent[5:] <= 1)).all()
    assert runs.recent[5] == pytest.approx(1)


def test_the_cap_on_runs_hardly_moves_the_odds(values: np.ndarray) -> None:
    whole = change_point_odds(values[:, 0], replace(RUNS, longest=1_000))
    for longest, within in ((150, 0.03), (500, 1e-3)):
        capped = change_point_odds(values[:, 0], replace(RUNS, longest=longest))
        np.testing.assert_allclose(capped.recent[1:], whole.recent[1:], rtol=0, atol=within)
        assert capped.run_length[1:].max() <= longest


def test_the_field_carries_what_the_filter_says_at_the_moment(bars: pl.DataFrame) -> None:
    at = bars["available_at"][600]
    found = regime_field({}, bars, at, calendar="XNYS", hmm=HMM, change=RUNS)
    values = observations(rows_of(bars.head(601)), HMM.features)
    odds = hmm_probabilities(values, HMM)[-1]
    assert [found.values[f"hmm_{name}"] for name in ("calm", "normal", "turbulent")] == odds.tolist()
    assert found.labels["hidden_state"] is (HiddenState.CALM, HiddenState.NORMAL, HiddenState.TURBULENT)[int(odds.argmax())]
    assert found.values["change_odds"] == change_point_odds(values[:, 0], RUNS).recent[-1]
    assert HMM.hash[:16] in found.reading().conventions["hmm"]
    assert not found.reading().simulated
    assert regime_field({}, bars, at, calendar="XNYS", hmm=replace(HMM, simulated=True)).reading().simulated


def test_without_parameters_nothing_is_said_and_a_refusal_is(bars: pl.DataFrame) -> None:
    at = bars["available_at"][600]
    plain = regime_field({}, bars, at, calendar="XNYS")
    assert not any("hmm" in name for name in (*plain.values, *plain.labels, *plain.reasons))
    refused = regime_field({}, bars, at, calendar="XNYS", hmm=Reason.NOT_EARNED)
    assert refused.reasons["hmm"] is Reason.NOT_EARNED
    assert dict(refused.values) == dict(plain.values)


def test_parameters_that_know_the_future_or_belong_to_another_are_refused(bars: pl.DataFrame) -> None:
    at = bars["available_at"][600]
    late = replace(HMM, fitted_until=at + timedelta(microseconds=1))
    with pytest.raises(InvalidInput, match="fit earlier ones"):
        regime_field({}, bars, at, calendar="XNYS", hmm=late)
    with pytest.raises(InvalidInput, match="XNAS:OTHER"):
        regime_field({}, bars, at, calendar="XNYS", change=replace(RUNS, instrument="XNAS:OTHER"))


def test_parameters_that_are_none_are_refused() -> None:
    for broken in (
        {"initial": (0.5, 0.2, 0.2)},
        {"transition": ((0.5, 0.5), (0.5, 0.5))},
        {"variances": ((9.0, 0.1), (1.5, 0.1), (0.3, 0.1))},
        {"means": ((float("nan"), 0.0), (0.0, 0.0), (0.0, 0.0))},
        {"features": ("range",)},
    ):
        with pytest.raises(InvalidInput):
            replace(HMM, **broken)
    for bad in ({"hazard": 0.0}, {"scale": -1.0}, {"recent": 400}):
        with pytest.raises(InvalidInput):
            replace(RUNS, **bad)
    with pytest.raises(InvalidInput, match=r"shape \(n, 2\)"):
        hmm_probabilities(np.zeros((4, 1)), HMM)
    with pytest.raises(InvalidInput, match="infinities"):
        change_point_odds([np.inf], RUNS)
