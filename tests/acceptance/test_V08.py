"""V08: Promotion gates per symbol: accuracy 68 % and above the majority rate on the same calls, calibration error 5 %
(debiased), no leakage, exit code.

Done when: "Boundary cases return the right code, a constant forecast cannot pass, and CANNOT_JUDGE is given below the stated n"
"""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.ground import InvalidInput
from fieldcast.validation import GateOutcome, LeakageReport, LeakCheck, LeakKind, SymbolCalls, exit_code, promotion
from fieldcast.validation.leakage import Leak
from fieldcast.validation.promotion import LEAST_CALLS

pytestmark = pytest.mark.feature("V08")
OPEN_PARTS: tuple[str, ...] = ()

PASS, FAIL, CANNOT_JUDGE = GateOutcome.PASS, GateOutcome.FAIL, GateOutcome.CANNOT_JUDGE
CLEAN = LeakageReport.of(LeakCheck(kind, 100, ()) for kind in LeakKind)


def _calls(right: int, n: int, ups: int, *, confidence: float | None = None, horizon: int = 1, seed: int = 0) -> SymbolCalls:
    """n calls of which exactly `right` are right and `ups` outcomes are rises; the confidence is the accuracy unless given."""
    rng = np.random.default_rng(seed)
    up, correct = np.zeros(n), np.zeros(n)
    up[rng.permutation(n)[:ups]] = 1.0
    correct[rng.permutation(n)[:right]] = 1.0
    called = np.where(correct == 1.0, up, 1.0 - up)
    p = right / n if confidence is None else confidence
    dates = np.datetime64("2015-01-01") + np.arange(n)
    return SymbolCalls("SIM:ONE", dates, np.where(called == 1.0, p, 1.0 - p), up, horizon)


def _verdict(calls: SymbolCalls, leakage: LeakageReport | None = CLEAN) -> tuple[GateOutcome, int, str]:
    found = promotion(calls, leakage, draws=300)
    return found.outcome, exit_code([found]), found.text


@pytest.mark.parametrize(("right", "outcome", "code"), [(1360, PASS, 0), (1359, FAIL, 1), (1361, PASS, 0)])
def test_accuracy_of_exactly_68_percent_passes_and_one_call_less_fails(right: int, outcome: GateOutcome, code: int) -> None:
    found = _verdict(_calls(right, 2000, 1000))
    assert found[:2] == (outcome, code)
    assert ("accuracy of at least 68%" in found[2]) == (outcome is FAIL)


@pytest.mark.parametrize(
    ("confidence", "outcome", "code"), [(0.75, PASS, 0), (0.7510, PASS, 0), (0.7511, FAIL, 1), (0.62, FAIL, 1)]
)
def test_debiased_calibration_error_of_five_percent_is_the_limit(confidence: float, outcome: GateOutcome, code: int) -> None:
    # one confidence in one bin: the debiased error squared is (p - rate)^2 - rate (1 - rate) / (n - 1)
    calls = _calls(1400, 2000, 1000, confidence=confidence)
    expected = max((confidence - 0.7) ** 2 - 0.7 * 0.3 / 1999, 0.0) ** 0.5
    found = promotion(calls, CLEAN, draws=300)
    assert found.calibration is not None
    assert found.calibration.debiased == pytest.approx(expected, abs=1e-12)
    assert (found.outcome, exit_code([found])) == (outcome, code)


def test_the_limit_of_five_percent_itself_passes() -> None:
    over = (0.05**2 + 0.7 * 0.3 / 1999) ** 0.5
    for shift, outcome in ((-1e-9, PASS), (1e-6, FAIL)):
        assert _verdict(_calls(1400, 2000, 1000, confidence=0.7 + over + shift))[0] is outcome


@pytest.mark.parametrize("rate", [0.5, 0.68, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.51, 0.68, 0.9, 1.0])
def test_a_constant_forecast_cannot_pass(rate: float, p: float) -> None:
    n = 3000
    up = (np.random.default_rng(1).random(n) < rate).astype(float)
    calls = SymbolCalls("SIM:ONE", np.datetime64("2010-01-01") + np.arange(n), np.full(n, p), up)
    outcome, code, text = _verdict(calls)
    assert (outcome, code) == (FAIL, 1)
    assert "majority rate" in text


def test_a_constant_forecast_with_lucky_exceptions_cannot_pass_either() -> None:
    n = 3000
    rng = np.random.default_rng(2)
    up = (rng.random(n) < 0.75).astype(float)
    p = np.full(n, 0.75)
    p[np.flatnonzero(up == 0.0)[:2]] = 0.25  # two falls foreseen: above the majority rate by 2 of 3,000
    assert _verdict(SymbolCalls("SIM:ONE", np.datetime64("2010-01-01") + np.arange(n), p, up))[:2] == (CANNOT_JUDGE, 4)


def test_cannot_judge_below_the_stated_n() -> None:
    assert LEAST_CALLS == 1000
    for right, n, horizon, outcome, code in (
        (900, 999, 1, CANNOT_JUDGE, 4),
        (900, 1000, 1, PASS, 0),
        (10, 999, 1, CANNOT_JUDGE, 4),  # too few to fail on as well
        (4500, 4999, 5, CANNOT_JUDGE, 4),  # overlapping labels of 5 sessions: 999 effective calls
        (4500, 5000, 5, PASS, 0),
        (0, 0, 1, CANNOT_JUDGE, 4),
    ):
        found = promotion(_calls(right, n, n // 2, confidence=0.9, horizon=horizon), CLEAN, draws=300)
        assert (found.outcome, exit_code([found])) == (outcome, code), found.text
        assert outcome is PASS or "1000 effective calls" in found.text


def test_a_leak_fails_at_any_n_and_an_untested_door_cannot_be_judged() -> None:
    leaky = LeakageReport.of(
        [LeakCheck(kind, 100, ()) for kind in LeakKind]
        + [LeakCheck(LeakKind.SCALERS, 1, (Leak(LeakKind.SCALERS, "row 3", "follows row 900"),))]
    )
    for n in (10, 2000):
        outcome, code, text = _verdict(_calls(int(0.9 * n), n, n // 2), leaky)
        assert (outcome, code) == (FAIL, 1)
        assert "scalers" in text
    part = LeakageReport.of(LeakCheck(kind, 100, ()) for kind in LeakKind if kind is not LeakKind.THRESHOLDS)
    for report in (None, part):
        outcome, code, text = _verdict(_calls(1800, 2000, 1000), report)
        assert (outcome, code) == (CANNOT_JUDGE, 4)
        assert "thresholds" in text or report is None


def test_exit_code_of_several_symbols_is_the_worst() -> None:
    passed, failed, unknown = (
        promotion(_calls(*figures), CLEAN, draws=300) for figures in ((1400, 2000, 1000), (1000, 2000, 1000), (80, 100, 50))
    )
    assert exit_code([passed, passed]) == 0
    assert exit_code([passed, unknown]) == 4
    assert exit_code([unknown, failed, passed]) == 1
    with pytest.raises(InvalidInput, match="at least one symbol"):
        exit_code([])
