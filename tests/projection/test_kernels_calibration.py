"""The calibrators' kernels beside plain twins: Newton steps in numpy, isotonic steps by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression, minimize

from fieldcast.projection import _kernels_calibration as kernels
from fieldcast.projection.calibrators import Isotonic


def loss(weights: np.ndarray, a: np.ndarray, y: np.ndarray, ridge: float) -> float:
    eta = a @ weights
    return float(np.logaddexp(0.0, eta).sum() - y @ eta + 0.5 * ridge * (weights @ weights))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(20, 400), width=st.integers(1, 3), fractions=st.booleans())
def test_newton_ends_where_a_general_minimiser_ends(seed: int, n: int, width: int, fractions: bool) -> None:
    random = np.random.default_rng(seed)
    a = np.column_stack([random.normal(0.0, random.uniform(0.1, 3.0), n) for _ in range(width - 1)] + [np.ones(n)])
    chance = 1.0 / (1.0 + np.exp(-a @ random.normal(0.0, 0.7, width)))
    y = chance if fractions else (random.random(n) < chance).astype(float)
    ridge = 1e-3 * n  # a minimum that is not flat, wherever the labels fall
    found = kernels.newton(a, y, np.zeros(width), ridge, 100)
    best = minimize(loss, np.zeros(width), args=(a, y, ridge), method="BFGS", options={"gtol": 1e-9})
    assert loss(found, a, y, ridge) <= best.fun + 1e-9 * (1.0 + abs(best.fun))
    np.testing.assert_allclose(found, best.x, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_the_derivatives_are_those_of_the_loss(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, y, weights = random.normal(size=(30, 3)), random.random(30), random.normal(size=3)
    gradient, hessian = np.empty(3), np.empty((3, 3))
    value = kernels.objective(a, y, weights, 0.1, gradient, hessian)
    assert value == pytest.approx(loss(weights, a, y, 0.1), rel=1e-12)
    other, third = np.empty(3), np.empty((3, 3))
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-5
        rise = loss(weights + step, a, y, 0.1) - loss(weights - step, a, y, 0.1)
        assert gradient[k] == pytest.approx(rise / 2e-5, rel=1e-5, abs=1e-6)
        kernels.objective(a, y, weights + step, 0.1, other, third)
        np.testing.assert_allclose((other - gradient) / 1e-5, hessian[k], rtol=1e-3, atol=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_elimination_solves(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    matrix, right = random.normal(size=(size, size)) + 3.0 * np.eye(size), random.normal(size=size)
    expected = np.linalg.solve(matrix, right)
    kernels.solve(matrix.copy(), right)
    np.testing.assert_allclose(right, expected, rtol=1e-8, atol=1e-10)


def test_a_zero_on_the_diagonal_needs_another_pivot() -> None:
    right = np.array([2.0, 3.0])
    kernels.solve(np.array([[0.0, 1.0], [1.0, 1.0]]), right)
    np.testing.assert_allclose(right, [1.0, 2.0])


@given(
    st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.5, 9.0)), min_size=1, max_size=60),
)
def test_pooled_violators_are_scipys_isotonic_regression(pairs: list[tuple[float, float]]) -> None:
    values, weight = (np.array(side) for side in zip(*pairs, strict=True))
    out = np.empty(len(values))
    kernels.pool_violators(values, weight, out)
    np.testing.assert_allclose(out, isotonic_regression(values, weights=weight).x, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(20, 300), scores=st.sampled_from([3, 20, 10_000]))
def test_the_isotonic_steps_are_those_of_whole_arrays(seed: int, n: int, scores: int) -> None:
    random = np.random.default_rng(seed)
    p = random.integers(0, scores, n) / scores
    y = (random.random(n) < p).astype(float)
    x, where, count = np.unique(p, return_inverse=True, return_counts=True)
    weight = count.astype(float)
    mean = np.bincount(where, weights=y) / weight
    step = np.cumsum(np.diff(isotonic_regression(mean, weights=weight).x, prepend=-1.0) > 1e-12) - 1
    rows, hits = np.bincount(step, weights=weight), np.bincount(step, weights=weight * mean)
    fitted = isotonic_regression((hits + 1.0) / (rows + 2.0), weights=rows + 2.0).x[step]
    made = Isotonic().fit(p, y)
    np.testing.assert_allclose(np.interp(p, made.x, made.y), fitted[where], rtol=1e-12)
    assert set(made.x) <= set(x)
    assert (np.diff(made.y) >= 0).all()
