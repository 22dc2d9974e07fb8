"""Reliability: the weakest part counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.projection import reliability


@pytest.mark.parametrize(
    ("coverage", "n", "ece", "expected"),
    [
        (1.0, 250, 0.0, 0.5),
        (1.0, 2250, 0.02, 0.8),
        (0.3, 2250, 0.02, 0.3),
        (1.0, 1e9, 0.10, 0.0),
        (1.0, 1e9, 0.25, 0.0),
        (1.0, 750, -0.01, 0.75),
        (1.0, 0, np.nan, 0.0),
    ],
)
def test_worked_cases(coverage: float, n: float, ece: float, expected: float) -> None:
    assert reliability(coverage, n, ece).value[0] == pytest.approx(expected)


@given(st.floats(0, 1), st.integers(0, 10**6), st.floats(-1, 1))
def test_it_is_the_least_part_and_lies_in_the_unit_interval(coverage: float, n: int, ece: float) -> None:
    found = reliability(coverage, n, ece)
    parts = [found.data[0], found.sample[0], found.calibration[0]]
    assert found.value[0] == min(parts)
    assert all(0 <= part <= 1 for part in parts)


def test_numbers_and_vectors_broadcast() -> None:
    found = reliability(1.0, np.array([0, 250, 750]), np.array([np.nan, 0.0, 0.0]))
    assert found.value.tolist() == [0.0, 0.5, 0.75]


@pytest.mark.parametrize(
    ("coverage", "n", "ece"), [(1.1, 1, 0.0), (np.nan, 1, 0.0), (1.0, -1, 0.0), (1.0, np.nan, 0.0), (1.0, 5, np.nan)]
)
def test_what_has_no_meaning_is_refused(coverage: float, n: float, ece: float) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        reliability(coverage, n, ece)
