"""The prior of the change-point detector: chosen by the evidence, and the truth where it is known."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fieldcast.fields.regime import ChangePointParameters, change_point_odds
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.models.change_points import fit_change_points

STAMP = {"instrument": "XNAS:TEST", "fitted_until": datetime(2018, 12, 31, 21, tzinfo=UTC)}


def stretches(n: int, length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns whose deviation is drawn anew every so many bars on average, and where it was."""
    random = np.random.default_rng(seed)
    new = random.random(n) < 1 / length
    new[0] = True
    deviation = random.choice([0.3, 3.0], n)[np.flatnonzero(new)][np.cumsum(new) - 1]
    return deviation * random.standard_normal(n), new


def test_the_evidence_prefers_the_rate_at_which_stretches_began() -> None:
    often, _ = stretches(2_000, 21, seed=1)
    seldom, _ = stretches(2_000, 252, seed=1)
    found = [fit_change_points(values, **STAMP, longest=200).hazard for values in (often, seldom)]
    assert found[0] > found[1]


def test_no_other_prior_of_the_grid_has_more_evidence() -> None:
    values, _ = stretches(500, 60, seed=2)
    best = fit_change_points(values, **STAMP, longest=100)
    others = [
        fit_change_points(values, **STAMP, longest=100, hazards=(h,), shapes=(a,)) for h in (1 / 21, 1 / 252) for a in (1.0, 8.0)
    ]
    assert all(best.log_evidence >= other.log_evidence for other in others)
    assert best.mean == pytest.approx(values.mean())
    assert best.scale == pytest.approx(best.shape * values.var())


def test_a_change_is_seen_soon_after_it_and_not_before() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([0.4 * random.standard_normal(300), 3.0 * random.standard_normal(100)])
    prior = fit_change_points(values, **STAMP)
    found = change_point_odds(values, prior)
    assert found.recent[280:300].max() < 0.2
    assert found.recent[300:306].max() > 0.9
    assert found.run_length[299] > 200
    assert 40 < found.run_length[360] < 80


def test_the_prior_comes_back_from_its_json_and_too_little_is_refused() -> None:
    values, _ = stretches(300, 60, seed=4)
    found = fit_change_points(values, **STAMP, hazards=(0.02,), shapes=(2.0,), longest=50)
    assert ChangePointParameters.from_dict(found.as_dict()) == found
    with pytest.raises(MissingData, match="250 known returns"):
        fit_change_points(values[:249], **STAMP)
    with pytest.raises(InvalidInput, match="constant"):
        fit_change_points(np.zeros(300), **STAMP)
