"""Date bootstrap: draws, oracles from arch and from brute force, coverage of what it promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fieldcast.evaluation import (
    auc,
    auc_difference_interval,
    auc_interval,
    diff_interval,
    ic_interval,
    information_coefficient,
    intervals,
    mean_interval,
    skill_interval,
    stationary_bootstrap,
)
from fieldcast.evaluation.intervals import ConcordancePanel, date_positions, resampled_sums, summarise
from fieldcast.ground import InvalidInput, MissingData

DAY = np.timedelta64(1, "D")


def _dates(n: int) -> np.ndarray:
    return np.datetime64("2010-01-04") + np.arange(n) * DAY


def _ar1(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    noise = rng.normal(size=n + 200)
    values = np.zeros(n + 200)
    for t in range(1, n + 200):
        values[t] = rho * values[t - 1] + noise[t]
    return values[200:]


@given(st.integers(1, 200), st.floats(1.0, 60.0), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_draw_holds_as_many_dates_as_there_are(n: int, block: float, draws: int, seed: int) -> None:
    counts = stationary_bootstrap(n, block=block, draws=draws, seed=seed)
    assert counts.shape == (draws, n)
    assert (counts.sum(axis=1) == n).all()
    assert (counts >= 0).all()
    assert (counts == np.round(counts)).all()
    np.testing.assert_array_equal(counts, stationary_bootstrap(n, block=block, draws=draws, seed=seed))


def test_every_date_is_drawn_once_on_average_wherever_it_lies() -> None:
    counts = stationary_bootstrap(60, block=10, draws=40_000, seed=1)
    assert abs(counts.mean(axis=0) - 1.0).max() < 0.06  # the wrap leaves no edge effect
    assert counts[:, 0].mean() == pytest.approx(1.0, abs=0.06)


def test_neighbours_travel_together_as_the_block_length_says() -> None:
    counts = stationary_bootstrap(2000, block=20, draws=400, seed=2)
    centred = counts - 1.0
    variance = (centred**2).mean()
    for lag in (1, 5, 20):
        together = (centred[:, lag:] * centred[:, :-lag]).mean() / variance
        assert together == pytest.approx((1 - 1 / 20) ** lag, abs=0.04)


def test_standard_error_of_a_mean_equals_that_of_arch() -> None:
    from arch.bootstrap import StationaryBootstrap

    values = _ar1(np.random.default_rng(4), 500, 0.5)
    theirs = StationaryBootstrap(15, values, seed=3).apply(np.mean, 4000).std(ddof=1)
    ours = stationary_bootstrap(500, block=15, draws=4000, seed=3) @ values / 500
    assert ours.std(ddof=1) == pytest.approx(theirs, rel=0.06)
    found = mean_interval(values, block=15, draws=4000, seed=3)
    assert found.standard_error == pytest.approx(ours.std(ddof=1) * (500 / 485) ** 0.5)
    assert found.estimate == pytest.approx(values.mean())


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans())
def test_weighted_auc_equals_the_auc_of_the_rows_written_out(seed: int, instruments: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    dates = np.tile(_dates(n), instruments)
    groups = np.repeat(np.arange(instruments), n)
    score = np.round(rng.normal(size=n * instruments), 0 if coarse else 6)
    y = (rng.random(n * instruments) < 0.5).astype(float)
    position, n_dates = date_positions(dates.size, dates)
    counts = stationary_bootstrap(n_dates, block=5, draws=3, seed=seed)
    found = ConcordancePanel.of(score, y, position, n_dates, groups).auc(block=5, draws=3, seed=seed)
    for draw, value in zip(counts, found, strict=True):
        concordant = pairs = 0.0
        for group in range(instruments):
            rows = np.repeat(np.flatnonzero(groups == group), draw[position[groups == group]].astype(int))
            up, down = int(y[rows].sum()), int((1 - y[rows]).sum())
            if up and down:
                concordant += roc_auc_score(y[rows], score[rows]) * up * down
                pairs += up * down
        assert value == pytest.approx(concordant / pairs, abs=1e-12)


def test_auc_interval_of_one_instrument_and_of_several() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=600)
    y = (score + 3 * rng.normal(size=600) > 0).astype(float)
    found = auc_interval(score, y, seed=5)
    assert found.estimate == pytest.approx(auc(score, y))
    assert found.low < found.lower_one_sided < found.estimate < found.high
    assert (found.n, found.dates) == (600, 600)
    assert found == auc_interval(score, y, dates=_dates(600), groups=np.zeros(600), seed=5)
    assert found != auc_interval(score, y, seed=6)
    # two instruments with one and the same history hold no more information than one
    twice = auc_interval(
        np.tile(score, 2), np.tile(y, 2), dates=np.tile(_dates(600), 2), groups=np.repeat(["a", "b"], 600), seed=5
    )
    assert twice.standard_error == pytest.approx(found.standard_error)
    assert twice.estimate == pytest.approx(found.estimate)


def test_pairs_are_never_compared_across_instruments() -> None:
    rng = np.random.default_rng(1)
    y = np.concatenate([rng.random(300) < 0.9, rng.random(300) < 0.1]).astype(float)
    score = np.repeat([1.0, 0.0], 300)  # says which instrument it is, and nothing else
    groups = np.repeat([0, 1], 300)
    assert auc(score, y) > 0.85
    found = auc_interval(score, y, dates=np.tile(_dates(300), 2), groups=groups)
    assert found.estimate == 0.5
    assert found.standard_error == 0.0


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(1)
    score, y = rng.random(3000), (rng.random(3000) < 0.5).astype(float)
    position, n_dates = date_positions(3000, None)
    panel = ConcordancePanel.of(score, y, position, n_dates, None)
    many = panel.auc(block=21, draws=2000, seed=3)  # enough work for a second thread
    counts = stationary_bootstrap(3000, block=21, draws=2000, seed=3)
    for draw in (0, 999, 1000, 1999):
        rows = np.repeat(np.arange(3000), counts[draw].astype(int))
        assert many[draw] == pytest.approx(auc(score[rows], y[rows]), abs=1e-12)
    values = rng.normal(size=(3000, 2))
    np.testing.assert_allclose(
        resampled_sums(values, block=5, draws=2000, seed=4),
        stationary_bootstrap(3000, block=5, draws=2000, seed=4) @ values,
        atol=1e-9,
    )


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_very_same_draws(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    score, y = np.round(rng.random(400), 2), (rng.random(400) < 0.5).astype(float)
    panel = ConcordancePanel.of(score, y, *date_positions(400, None), None)
    values = rng.normal(size=(400, 3))
    alone = panel.auc(block=9, draws=101, seed=3), resampled_sums(values, block=9, draws=101, seed=3)
    parts: list[slice] = []
    in_threads = intervals._in_threads

    def counted(work: Callable[[slice], None], draws: int, cost: int) -> None:
        in_threads(lambda part: (parts.append(part), work(part))[1], draws, cost)

    monkeypatch.setattr(intervals, "_THREADED", 0)
    monkeypatch.setattr(intervals.os, "sched_getaffinity", lambda _: set(range(threads)), raising=False)
    monkeypatch.setattr(intervals, "_in_threads", counted)
    together = panel.auc(block=9, draws=101, seed=3), resampled_sums(values, block=9, draws=101, seed=3)
    assert len(parts) == 2 * threads
    np.testing.assert_array_equal(together[0], alone[0])
    np.testing.assert_array_equal(together[1], alone[1])


def test_a_difference_of_aucs_is_paired() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=1000)
    y = (signal + 2 * rng.normal(size=1000) > 0).astype(float)
    close = signal + 0.05 * rng.normal(size=1000)
    found = auc_difference_interval(signal, close, y, seed=1)
    assert found.estimate == pytest.approx(auc(signal, y) - auc(close, y))
    assert found.standard_error < 0.2 * auc_interval(signal, y, seed=1).standard_error
    same = auc_difference_interval(signal, signal, y, seed=1)
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)


def test_paired_means_and_skill() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(size=500)
    a, b = shared + 1.0, shared + 0.01 * rng.normal(size=500)
    found = diff_interval(a, b, seed=2)
    assert found.estimate == pytest.approx(np.mean(a - b))
    assert found.standard_error < 0.001
    loss, reference = rng.random(500), 0.2 + rng.random(500)
    skill = skill_interval(loss, reference, seed=2)
    assert skill.estimate == pytest.approx(1 - loss.mean() / reference.mean())
    counts = stationary_bootstrap(500, block=21, draws=1000, seed=2)
    drawn = 1 - (counts @ loss) / (counts @ reference)
    assert skill.standard_error == pytest.approx(drawn.std(ddof=1) * (500 / 479) ** 0.5)


def test_information_coefficient_interval_re_weights_the_ranks() -> None:
    rng = np.random.default_rng(6)
    a = rng.normal(size=400)
    b = 0.3 * a + rng.normal(size=400)
    found = ic_interval(a, b, seed=1)
    assert found.estimate == pytest.approx(information_coefficient(a, b))
    assert found.low < 0.28 < found.high
    assert found.standard_error == pytest.approx((1 - found.estimate**2) / 400**0.5, rel=0.25)
    with pytest.raises(MissingData, match="constant"):
        ic_interval(np.ones(100), b[:100])


def test_rows_of_one_date_move_together_in_a_mean() -> None:
    rng = np.random.default_rng(7)
    daily = rng.normal(size=300)
    panel = np.tile(daily, 8)
    together = mean_interval(panel, dates=np.tile(_dates(300), 8), seed=1)
    assert together.standard_error == pytest.approx(mean_interval(daily, seed=1).standard_error)
    assert (together.n, together.dates) == (2400, 300)


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(MissingData, match="both outcomes"):
        auc_interval(np.arange(100.0), np.ones(100))
    with pytest.raises(MissingData, match="two blocks"):
        mean_interval(np.arange(30.0), block=21)
    with pytest.raises(MissingData, match="most resamples"):
        summarise(0.5, np.array([0.4, np.nan, np.nan]), n=100, dates=100, block=21)
    with pytest.raises(InvalidInput):
        mean_interval(np.arange(100.0), alpha=0.7)
    with pytest.raises(InvalidInput, match="date for every row"):
        mean_interval(np.arange(100.0), dates=np.full(100, np.datetime64("NaT")))
    with pytest.raises(InvalidInput):
        stationary_bootstrap(10, block=0.5)


@pytest.mark.slow
def test_interval_of_an_autocorrelated_mean_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    inside = []
    for seed in range(1000):
        found = mean_interval(_ar1(rng, 500, 0.5), block=21, draws=300, seed=seed)
        inside.append(found.low <= 0.0 <= found.high)
    assert 0.92 <= np.mean(inside) <= 0.97


@pytest.mark.slow
def test_one_sided_bound_of_an_auc_is_above_chance_about_five_times_in_a_hundred() -> None:
    rng = np.random.default_rng(9)
    for n, most in ((252, 0.075), (1500, 0.07)):
        above = [
            auc_interval(_ar1(rng, n, 0.9), rng.random(n) < 0.5, draws=200, seed=seed).lower_one_sided > 0.5
            for seed in range(1000)
        ]
        assert 0.03 <= np.mean(above) <= most
