"""The record of trials: identity, looks, the series that deflates, the evaluator that cannot do without a log."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import (
    MemoryTrialLog,
    Trial,
    TrialEvaluator,
    auc,
    brier,
    call_series,
    effective_trials,
    family_figures,
    log_loss,
    probabilistic_sharpe,
    sharpe_moments,
)
from fieldcast.ground import InvalidInput, MissingData

N = 400
DATES = np.datetime64("2015-01-05") + np.arange(N) * np.timedelta64(1, "D")


def _market(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.normal(size=N)
    forecast = np.clip(0.5 + 4.0 * returns + 0.1 * rng.normal(size=N), 0.01, 0.99)
    return returns, forecast


def _score(log: MemoryTrialLog, configuration: dict[str, Any] | None = None, **changes: Any) -> Any:
    returns, forecast = _market(changes.pop("seed", 0))
    arguments: dict[str, Any] = {
        "instrument": "XNAS:COMP", "label": "sign", "horizon": 1, "dates": DATES, "forecast": forecast,
        "outcome": (returns > 0).astype(float), "returns": returns, "draws": 50,
    }
    return TrialEvaluator(log, family="demo").score(configuration or {"model": "logistic"}, **(arguments | changes))


def test_an_evaluator_without_a_log_cannot_be_built() -> None:
    parameter = inspect.signature(TrialEvaluator).parameters["log"]
    assert parameter.default is inspect.Parameter.empty
    with pytest.raises(TypeError):
        TrialEvaluator(family="demo")      # type: ignore[call-arg]
    for nothing in (None, {}, lambda trial: None):
        with pytest.raises(InvalidInput, match="TrialLog"):
            TrialEvaluator(nothing, family="demo")      # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="family"):
        TrialEvaluator(MemoryTrialLog(), family="")


def test_scores_are_those_of_the_scored_rows_and_the_trial_is_on_record() -> None:
    log = MemoryTrialLog()
    returns, forecast = _market()
    outcome = (returns > 0).astype(float)
    forecast[:20] = np.nan
    outcome[-1] = np.nan
    found = _score(log, forecast=forecast, outcome=outcome, children=12)
    rows = slice(20, N - 1)
    assert found.n == N - 21
    assert found.auc.estimate == pytest.approx(auc(forecast[rows], outcome[rows]))
    assert found.brier == pytest.approx(brier(forecast[rows], outcome[rows]))
    assert found.log_loss == pytest.approx(log_loss(forecast[rows], outcome[rows]))
    (trial,) = log.trials("demo")
    assert trial is found.trial
    assert (trial.children, trial.metric, trial.n) == (12, "auc", N - 21)
    assert (trial.span_start, trial.span_end) == (DATES[20].item(), DATES[N - 2].item())
    np.testing.assert_allclose(trial.series, np.sign(forecast[20:] - 0.5) * returns[20:])


def test_running_again_is_a_look_and_not_a_trial() -> None:
    log = MemoryTrialLog()
    for _ in range(3):
        for horizon in (1, 5):
            last = _score(log, horizon=horizon)
    assert len(log.trials("demo")) == 2
    assert log.looks(last.trial.id) == 3
    assert log.looks("unknown") == 0
    restated, _ = _market(9)
    assert _score(log, horizon=5, returns=restated).trial.id == last.trial.id
    assert len(log.trials("demo")) == 2
    np.testing.assert_array_equal(_series_of(log, last.trial.id), _score(MemoryTrialLog(), horizon=5, returns=restated)
                                  .trial.series)


def _series_of(log: MemoryTrialLog, trial_id: str) -> np.ndarray:
    return next(trial.series for trial in log.trials("demo") if trial.id == trial_id)


def test_identity_is_family_configuration_and_span_and_nothing_else() -> None:
    base = _score(MemoryTrialLog()).trial
    same = [
        _score(MemoryTrialLog(), children=40), _score(MemoryTrialLog(), draws=60), _score(MemoryTrialLog(), seed=3),
        _score(MemoryTrialLog(), {"model": "logistic"}),
    ]
    assert {found.trial.id for found in same} == {base.id}
    other = [
        _score(MemoryTrialLog(), {"model": "trees"}), _score(MemoryTrialLog(), {"model": "logistic", "l2": 1.0}),
        _score(MemoryTrialLog(), instrument="XCBO:SPX"), _score(MemoryTrialLog(), label="event"),
        _score(MemoryTrialLog(), horizon=5), _score(MemoryTrialLog(), dates=DATES + 1),
    ]
    assert len({found.trial.id for found in other} | {base.id}) == 7


@given(st.integers(1, 8), st.integers(0, 500))
def test_ladder_of_calls_equals_one_rung_entered_a_day(horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    margin = np.where(rng.random(n) < 0.2, np.nan, rng.choice([-0.2, 0.0, 0.3], n))
    returns = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    earned = np.zeros(n)
    for entry in range(n):      # each call holds 1/h of the whole over its h days
        if np.isfinite(margin[entry]):
            for day in range(entry, min(entry + horizon, n)):
                earned[day] += np.sign(margin[entry]) * returns[day] / horizon
    first = int(np.flatnonzero(np.isfinite(margin))[0])
    expected = [day for day in range(first, n) if np.isfinite(returns[day])]
    rows, series = call_series(margin, returns, horizon)
    assert rows.tolist() == expected
    np.testing.assert_allclose(series, earned[expected], atol=1e-12)


def test_the_called_side_of_an_event_is_relative_to_its_own_threshold() -> None:
    returns, _ = _market()
    base = np.linspace(0.2, 0.3, N)
    found = _score(MemoryTrialLog(), label="event", forecast=base + 0.01, threshold=base)
    np.testing.assert_allclose(found.trial.series, returns)      # always above its base rate: always up


def test_family_is_deflated_at_n_and_at_effective_n() -> None:
    log = MemoryTrialLog()
    rng = np.random.default_rng(5)
    _, forecast = _market()
    for i in range(6):      # three are copies of one idea, three are noise
        idea = forecast if i < 3 else rng.random(N)
        _score(log, {"model": i}, forecast=np.clip(idea + 1e-6 * i, 0.0, 1.0))
    figures = family_figures(log, "demo")
    assert figures.n == 6
    assert figures.n_effective == pytest.approx(3.0, abs=0.1)      # 6^2 / (3^2 + 3)
    matrix = np.corrcoef([trial.series for trial in log.trials("demo")])
    assert figures.n_effective == pytest.approx(effective_trials(matrix), rel=1e-9)
    ratios = [sharpe_moments(trial.series).sharpe for trial in log.trials("demo")]
    assert figures.variance == pytest.approx(np.var(ratios, ddof=1))
    best = max(figures.trials, key=lambda found: found.sharpe or 0.0)
    assert best.psr == pytest.approx(probabilistic_sharpe(sharpe_moments(best.trial.series)))
    assert best.dsr < best.dsr_effective < best.psr      # type: ignore[operator]
    assert figures.of(best.trial.id) is best
    with pytest.raises(MissingData):
        figures.of("unknown")
    assert TrialEvaluator(log, family="demo").figures().n == 6


def test_one_trial_alone_is_not_deflated_and_a_flat_series_has_no_sharpe_ratio() -> None:
    log = MemoryTrialLog()
    only = _score(log)
    (found,) = family_figures(log, "demo").trials
    assert found.dsr == found.dsr_effective == found.psr
    assert found.looks == 1
    flat = MemoryTrialLog()
    _score(flat, forecast=np.full(N, 0.5))
    (found,) = family_figures(flat, "demo").trials
    assert (found.sharpe, found.dsr, found.min_track_record) == (None, None, None)
    assert "does not vary" in family_figures(flat, "demo").describe(found.trial.id)
    assert only.trial.sharpe is not None
    with pytest.raises(MissingData, match="none"):
        family_figures(MemoryTrialLog(), "demo")


def test_families_are_kept_apart() -> None:
    log = MemoryTrialLog()
    _score(log)
    returns, forecast = _market()
    TrialEvaluator(log, family="other").score(
        {"model": "logistic"}, instrument="XNAS:COMP", label="sign", horizon=1, dates=DATES, forecast=forecast,
        outcome=returns > 0, returns=returns, draws=20,
    )
    assert [len(log.trials(family)) for family in ("demo", "other", "none")] == [1, 1, 0]


def test_bad_rows_are_refused_and_leave_no_trial() -> None:
    log = MemoryTrialLog()
    returns, forecast = _market()
    with pytest.raises(InvalidInput, match="infinite"):
        _score(log, forecast=np.where(np.arange(N) == 3, np.inf, forecast))
    with pytest.raises(InvalidInput, match="one length"):
        _score(log, returns=returns[1:])
    with pytest.raises(MissingData, match="found none"):
        _score(log, outcome=np.full(N, np.nan))
    with pytest.raises(MissingData, match="both outcomes"):
        _score(log, outcome=np.ones(N))
    with pytest.raises(InvalidInput, match="ascending"):
        _score(log, dates=DATES[::-1])
    assert log.trials("demo") == ()


def test_a_trial_without_its_series_cannot_be_made() -> None:
    good = _score(MemoryTrialLog()).trial
    values = {name: getattr(good, name) for name in good.__dataclass_fields__}
    for change in (
        {"series": good.series[:-1]}, {"series": np.full(N, np.nan)}, {"dates": DATES[::-1]}, {"family": ""},
        {"dates": DATES[:1], "series": good.series[:1]}, {"estimate": float("nan")}, {"horizon": 0},
    ):
        with pytest.raises(InvalidInput):
            Trial(**(values | change))
