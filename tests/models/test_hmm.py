"""Hidden Markov models: against every path written out, against hmmlearn, and against the truth where it is known."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fieldcast.fields.regime import HmmParameters, hmm_log_likelihood
from fieldcast.ground import IntegrityError, InvalidInput, MissingData
from fieldcast.models._kernels_hmm import climb, expectation
from fieldcast.models.hmm import HmmRules, fit_hmm

UNTIL = datetime(2018, 12, 31, 21, tzinfo=UTC)
STAMP = {"instrument": "XNAS:TEST", "fitted_until": UNTIL}
BOTH = ("return", "range")


def model(states: int, width: int, seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    return (
        random.dirichlet(np.ones(states)),
        random.dirichlet(np.ones(states), states),
        random.normal(0, 1, (states, width)),
        random.uniform(0.3, 3, (states, width)),
    )


def by_paths(rows: np.ndarray, parts: tuple[np.ndarray, ...]) -> tuple[float, np.ndarray, np.ndarray]:
    """Log likelihood, odds of each state at each row, and expected moves, from every path of states written out."""
    initial, transition, means, variances = parts
    states, n = initial.size, len(rows)
    density = np.array([[norm.pdf(row, means[j], np.sqrt(variances[j])).prod() for j in range(states)] for row in rows])
    total, state, pair = 0.0, np.zeros((n, states)), np.zeros((states, states))
    for path in product(range(states), repeat=n):
        odds = initial[path[0]] * density[0, path[0]]
        for t in range(1, n):
            odds *= transition[path[t - 1], path[t]] * density[t, path[t]]
        total += odds
        state[np.arange(n), path] += odds
        np.add.at(pair, (path[:-1], path[1:]), odds)
    return float(np.log(total)), state / total, pair / total


@pytest.mark.parametrize(("states", "width", "n"), [(2, 1, 8), (2, 2, 7), (3, 2, 6), (4, 1, 5)])
def test_expectations_are_those_of_all_paths_together(states: int, width: int, n: int) -> None:
    parts = model(states, width, seed=states + width)
    rows = np.random.default_rng(n).normal(0, 1.5, (n, width))
    state, pair = np.empty((n, states)), np.empty((states, states))
    found = expectation(rows, *parts, state, pair)
    likelihood, odds, moves = by_paths(rows, parts)
    assert found == pytest.approx(likelihood, rel=1e-12)
    np.testing.assert_allclose(state, odds, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(pair, moves, rtol=1e-10, atol=1e-14)


def test_hmmlearn_finds_the_same_likelihood_and_the_same_passes() -> None:
    """Source: hmmlearn 0.3.3, GaussianHMM(2, covariance_type="diag", covars_prior=0, covars_weight=1, min_covar=0,
    init_params="", tol=-inf): score(x) of the start, and the parameters after 1 and 5 passes of fit(x)."""
    t = np.arange(300)
    quarter = (t // 50) % 2
    x = np.column_stack([np.sin(t * 1.7) * (1 + 2 * quarter), np.cos(t * 0.9) + 0.8 * quarter])

    def start() -> list[np.ndarray]:
        tables = ([0.6, 0.4], [[0.9, 0.1], [0.2, 0.8]], [[0.0, 0.0], [0.2, 0.5]], [[1.0, 0.5], [4.0, 1.0]])
        return [np.array(table) for table in tables]

    state, pair = np.empty((300, 2)), np.empty((2, 2))
    assert expectation(x, *start(), state, pair) == pytest.approx(-892.2455326562285, rel=1e-13)
    one, five = start(), start()
    assert climb(x, np.zeros(2), *one, 1, 1e-300)[:2] == (pytest.approx(-838.1705658292165, rel=1e-12), 1)
    np.testing.assert_allclose(
        one[1], [[0.936208848156326, 0.063791151843674], [0.0590248846418047, 0.940975115358195]], rtol=1e-10
    )
    np.testing.assert_allclose(
        one[3], [[0.63444198987419, 0.491343783573942], [4.338080749257918, 0.511546165938136]], rtol=1e-10
    )
    climb(x, np.zeros(2), *five, 5, 1e-300)
    np.testing.assert_allclose(five[0], [0.9999987674339821, 1.2325660179409917e-06], rtol=1e-6)
    np.testing.assert_allclose(
        five[2], [[0.01134805109505179, -0.006515165020048347], [-0.06141060062121758, 0.7960445604936907]], rtol=1e-9
    )
    assert expectation(x, *five, state, pair) == pytest.approx(-829.8947574319307, rel=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 2))
def test_no_pass_lowers_the_likelihood(seed: int, states: int, width: int) -> None:
    rows = np.random.default_rng(seed).standard_t(4, (200, width))
    parts = model(states, width, seed)
    state, pair = np.empty((200, states)), np.empty((states, states))
    before = expectation(rows, *parts, state, pair)
    for _ in range(8):
        after = climb(rows, np.full(width, 1e-12), *parts, 1, 1e-300)[0]
        assert after >= before - 1e-9 * abs(before)
        before = after


def two_states(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calm days that last 50 bars, wild ones that last 20: returns in %, log ranges; and the state of each bar."""
    random = np.random.default_rng(seed)
    state = np.zeros(n, dtype=int)
    for t in range(1, n):
        state[t] = state[t - 1] ^ int(random.random() < (0.02, 0.05)[state[t - 1]])
    mean, deviation = np.array([0.08, -0.15])[state], np.array([0.6, 2.0])[state]
    width = np.array([-0.2, 0.9])[state] + 0.35 * random.standard_normal(n)
    return np.column_stack([mean + deviation * random.standard_normal(n), width]), state


def test_two_states_that_were_put_in_are_found() -> None:
    rows, _ = two_states(4_000, seed=3)
    found = fit_hmm(rows, BOTH, **STAMP)
    assert len(found.states) == 2, "BIC takes the number that was put in"
    assert found.converged
    np.testing.assert_allclose(found.means, [[0.08, -0.2], [-0.15, 0.9]], atol=0.12)
    np.testing.assert_allclose(np.sqrt(found.variances), [[0.6, 0.35], [2.0, 0.35]], rtol=0.06)
    np.testing.assert_allclose(found.transition, [[0.98, 0.02], [0.05, 0.95]], atol=0.012)
    assert found.log_likelihood == pytest.approx(hmm_log_likelihood(rows, found), rel=1e-9)
    free = 1 + 2 + 8
    assert found.bic == pytest.approx(-2 * found.log_likelihood + free * np.log(4_000), rel=1e-12)


def test_the_same_rows_give_the_same_hash_and_more_starts_never_a_worse_fit() -> None:
    rows, _ = two_states(900, seed=5)
    few, again = (fit_hmm(rows, BOTH, **STAMP, rules=HmmRules(states=(3,), starts=2)) for _ in range(2))
    many = fit_hmm(rows, BOTH, **STAMP, rules=HmmRules(states=(3,), starts=6))
    assert few.hash == again.hash
    assert many.log_likelihood >= few.log_likelihood
    deviations = [row[0] for row in many.variances]
    assert deviations == sorted(deviations)


def test_no_state_shrinks_onto_a_repeated_value() -> None:
    rows, _ = two_states(700, seed=6)
    rows[100:140, 0] = 0.25
    found = fit_hmm(rows, BOTH, **STAMP, rules=HmmRules(states=(4,), floor=0.02))
    assert (np.array(found.variances) >= 0.02 * rows.var(axis=0) * (1 - 1e-12)).all()


def test_unknown_rows_are_left_out_and_too_few_are_refused() -> None:
    rows, _ = two_states(640, seed=7)
    holes = rows.copy()
    holes[::40, 1] = np.nan
    rules = HmmRules(states=(2,), starts=1)
    kept = np.isfinite(holes).all(axis=1)
    assert fit_hmm(holes, BOTH, **STAMP, rules=rules) == fit_hmm(rows[kept], BOTH, **STAMP, rules=rules)
    with pytest.raises(MissingData, match="500 known rows"):
        fit_hmm(rows[:499], BOTH, **STAMP)
    with pytest.raises(InvalidInput, match="constant"):
        fit_hmm(np.ones((600, 1)), ("return",), **STAMP)
    with pytest.raises(InvalidInput, match="return and range"):
        fit_hmm(rows, ("range", "return"), **STAMP)


def test_parameters_come_back_from_their_json_and_a_changed_digit_is_seen() -> None:
    rows, _ = two_states(600, seed=8)
    found = fit_hmm(rows, BOTH, **STAMP, rules=HmmRules(states=(2,), starts=1))
    written = found.as_dict()
    assert HmmParameters.from_dict(written) == found
    written["parameters"]["means"] = [[0.5, 0.5], *written["parameters"]["means"][1:]]
    with pytest.raises(IntegrityError, match="hash"):
        HmmParameters.from_dict(written)
    with pytest.raises(InvalidInput, match="format"):
        HmmParameters.from_dict({**found.as_dict(), "format": 99})
