"""The gate to paper: its four clauses in order, what it refuses, what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import auc, auc_interval
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.validation import GateOutcome, GateResult, SignForecast, decide, gate_v04

PASS, FAIL, CANNOT_JUDGE = GateOutcome.PASS, GateOutcome.FAIL, GateOutcome.CANNOT_JUDGE
DAY = np.timedelta64(1, "D")


def _forecast(n: int, edge: float = 0.0, seed: int = 0, instrument: str = "XNAS:COMP", zeros: int = 0) -> SignForecast:
    """Odds that carry `edge` standard deviations of the next return."""
    rng = np.random.default_rng([seed, n])
    ret = 0.01 * rng.normal(size=n)
    ret[:zeros] = 0.0
    p = 0.5 + 0.1 * np.tanh(edge * ret / 0.01 + rng.normal(size=n))
    return SignForecast(instrument, np.datetime64("2000-01-03") + np.arange(n) * DAY, 0.8 * p, 0.8 * (1 - p), ret)


@pytest.mark.parametrize(
    ("estimate", "error", "lower", "expected"),
    [
        (0.5201, 0.0080, 0.5070, PASS), (0.5200, 0.0080, 0.5068, FAIL), (0.60, 0.05, 0.52, PASS),
        (0.60, 0.05, 0.50, CANNOT_JUDGE),      # the bound must be above 0.50, not at it
        (0.60, 0.07, 0.48, CANNOT_JUDGE),      # too small a sample comes before FAIL and before the bound
        (0.40, 0.0081, 0.38, CANNOT_JUDGE),    # .02 / .0081 = 2.469: even a bad forecast is not judged
        (0.40, 0.0080, 0.38, FAIL),            # .02 / .0080 = 2.5
        (0.5200, 0.0060, 0.5101, FAIL), (0.5150, 0.0060, 0.5051, FAIL), (0.5300, 0.0200, 0.4970, CANNOT_JUDGE),
        (0.5210, 0.0079, 0.4990, CANNOT_JUDGE),      # last clause: above the point, not above chance
        (0.5, 0.0, 0.5, FAIL),      # a constant forecast
    ],
)
def test_the_four_clauses_in_their_order(
    estimate: float, error: float, lower: float, expected: GateOutcome
) -> None:
    assert decide(estimate, error, lower) is expected


def test_the_point_is_strict_whatever_the_rounding_of_its_ratio() -> None:
    for pairs in (25, 50, 75, 1225, 10**6):
        assert decide(0.52 * pairs / pairs, 0.004, 0.513) is FAIL
        assert decide((13 * pairs) / (25 * pairs), 0.004, 0.513) is FAIL
    assert decide(0.1 + 0.42, 0.004, 0.513) is FAIL      # 0.52 and a bit, in binary
    assert decide(0.5201, 0.004, 0.513) is PASS


@given(st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 1))
def test_only_an_estimate_above_the_point_with_a_bound_above_chance_passes(
    estimate: float, error: float, lower: float
) -> None:
    outcome = decide(estimate, error, lower)
    if outcome is PASS:
        assert estimate > 0.52
        assert lower > 0.50
    if outcome is FAIL:
        assert estimate <= 0.52 + 1e-9
        assert error <= 0.02 / 2.49 + 1e-9


def test_figures_that_are_not_finite_are_never_judged() -> None:
    for figures in ((np.nan, 0.01, 0.5), (0.5, np.inf, 0.5), (0.5, -0.01, 0.5)):
        with pytest.raises(InvalidInput):
            decide(*figures)


@pytest.mark.parametrize(("label", "horizon"), [("event", 1), ("high_reaches", 1), ("direction", 1), ("sign", 5)])
def test_other_labels_and_horizons_are_refused_with_the_reason(label: str, horizon: int) -> None:
    with pytest.raises(InvalidInput, match="predictable from volatility alone"):
        gate_v04([_forecast(300)], label=label, horizon=horizon)


def test_the_outcome_is_the_sign_of_the_return_on_rows_that_moved() -> None:
    forecast = _forecast(900, edge=0.4, zeros=30)
    found = gate_v04([forecast], seed=3)
    moved = forecast.ret != 0.0
    expected = auc_interval(forecast.score[moved], forecast.ret[moved] > 0, seed=3)
    assert found.estimate == pytest.approx(auc(forecast.score[moved], forecast.ret[moved] > 0))
    assert (found.standard_error, found.lower_bound) == (expected.standard_error, expected.lower_one_sided)
    assert (found.n, found.dates) == (870, 870)
    assert found == gate_v04([forecast], seed=3)


def test_flat_odds_do_not_change_the_score() -> None:
    one = _forecast(600, edge=0.3)
    flat = np.random.default_rng(0).uniform(0.1, 0.9, 600)
    other = SignForecast(one.instrument, one.dates, one.score * (1 - flat), (1 - one.score) * (1 - flat), one.ret)
    assert gate_v04([other]).estimate == pytest.approx(gate_v04([one]).estimate, abs=1e-12)


def test_a_span_under_252_sessions_is_refused_even_beside_a_long_one() -> None:
    gate_v04([_forecast(252)])
    with pytest.raises(MissingData, match="252 sessions for SHORT:ONE, found 251"):
        gate_v04([_forecast(2000), _forecast(251, instrument="SHORT:ONE")])


def test_sessions_without_a_move_count_for_the_span_and_not_for_the_auc() -> None:
    assert gate_v04([_forecast(252, zeros=40)]).n == 212


def test_several_instruments_weigh_as_many_pairs_as_they_have() -> None:
    many = [_forecast(400 + 300 * i, edge=0.1 * i, seed=i, instrument=f"SIM:{i}") for i in range(4)]
    found = gate_v04(many)
    weights = np.array([part.pairs for part in found.instruments], dtype=float)
    areas = np.array([auc(f.score[f.ret != 0], f.ret[f.ret != 0] > 0) for f in many])
    assert found.estimate == pytest.approx(float(weights @ areas / weights.sum()), abs=1e-12)
    assert [part.auc for part in found.instruments] == pytest.approx(areas.tolist())
    assert found.n == sum(part.n for part in found.instruments)
    assert found.dates == max(f.dates.size for f in many)


def test_instruments_that_move_together_give_no_more_power_than_one() -> None:
    one = _forecast(1000, seed=4)
    copies = [SignForecast(f"SIM:{i}", one.dates, one.p_up, one.p_down, one.ret) for i in range(5)]
    assert gate_v04(copies).standard_error == pytest.approx(gate_v04([one]).standard_error)
    apart = [_forecast(1000, seed=i, instrument=f"SIM:{i}") for i in range(5)]
    assert gate_v04(apart).standard_error < 0.6 * gate_v04([one]).standard_error


def test_an_instrument_that_only_rose_adds_no_pair() -> None:
    up = _forecast(300, instrument="SIM:UP")
    up = SignForecast("SIM:UP", up.dates, up.p_up, up.p_down, np.abs(up.ret) + 1e-4)
    found = gate_v04([_forecast(800, edge=0.3), up])
    assert found.instruments[1].auc is None
    assert found.estimate == gate_v04([_forecast(800, edge=0.3)]).estimate
    with pytest.raises(MissingData, match="both outcomes"):
        gate_v04([up])


def test_a_constant_forecast_cannot_pass() -> None:
    one = _forecast(1000)
    constant = SignForecast("SIM:C", one.dates, np.full(1000, 0.55), np.full(1000, 0.45), one.ret)
    found = gate_v04([constant])
    assert (found.estimate, found.outcome) == (0.5, FAIL)


# five outcomes that a person may meet, and what he is told
@pytest.mark.parametrize(
    ("forecast", "outcome", "reason", "words"),
    [
        (_forecast(3000, edge=0.5), PASS, Reason.GATE_PASSED, "may be followed on paper"),
        (_forecast(8000, edge=0.0), FAIL, Reason.GATE_FAILED, "it is not there"),
        (_forecast(400, edge=0.0), CANNOT_JUDGE, Reason.GATE_CANNOT_JUDGE, "too small to tell"),
    ],
)
def test_the_text_says_what_was_expected_found_and_why(
    forecast: SignForecast, outcome: GateOutcome, reason: Reason, words: str
) -> None:
    found = gate_v04([forecast], draws=200)
    assert found.outcome is outcome
    assert found.passed == (outcome is PASS)
    assert found.reasons == (reason,)
    assert found.text.startswith(f"{outcome}: expected an AUC of the sign above 0.52")
    assert f"found {found.estimate:.4f}" in found.text
    assert words in found.text


def test_the_text_never_shows_a_figure_as_equal_to_its_limit_when_it_is_not() -> None:
    result = GateResult(PASS, 0.520004, 0.006, 0.51, 9000, 9000, (Reason.GATE_PASSED,))
    assert "0.52000400" in result.text
    last = GateResult(CANNOT_JUDGE, 0.53, 0.0079, 0.4999, 9000, None, (Reason.GATE_CANNOT_JUDGE,))
    assert "chance alone could still explain it" in last.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p_up": np.full(300, 0.7), "p_down": np.full(300, 0.7)}, "sum in"),
        ({"p_up": np.zeros(300), "p_down": np.zeros(300)}, "sum in"),
        ({"p_up": np.full(300, -0.1)}, "at or above 0"),
        ({"ret": np.append(np.zeros(299), np.nan)}, "finite ret"),
        ({"ret": np.zeros(299)}, "one length"),
        ({"dates": np.full(300, np.datetime64("2000-01-03"))}, "strictly ascending"),
        ({"dates": np.full(300, np.datetime64("NaT"))}, "known"),
    ],
)
def test_impossible_forecasts_are_refused(change: dict[str, Any], words: str) -> None:
    good = _forecast(300)
    values = {name: getattr(good, name) for name in ("instrument", "dates", "p_up", "p_down", "ret")}
    with pytest.raises(InvalidInput, match=words):
        SignForecast(**(values | change))


def test_calls_that_would_bend_the_rule_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 21"):
        gate_v04([_forecast(300)], block=5)
    with pytest.raises(InvalidInput, match="once"):
        gate_v04([_forecast(300), _forecast(300)])
    with pytest.raises(InvalidInput, match="at least one"):
        gate_v04([])
