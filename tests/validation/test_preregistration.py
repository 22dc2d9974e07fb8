"""Registrations on both dialects, and the effect that a run could find, against a simulation."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
from scipy import stats

from fieldcast.evaluation import auc_interval
from fieldcast.ground import Halted, InvalidInput, MissingData
from fieldcast.ledger import Database
from fieldcast.validation.preregistration import Effect, minimum_effect, planned_effect, register, require_effect

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRST, LAST = date(2024, 1, 2), date(2024, 12, 31)
EFFECT = Effect(0.02, 0.05, 0.05, 0.8, 21, 252, 1000, 1000)


def test_a_preregistered_family_needs_an_effect_for_every_configuration(db: Database) -> None:
    with db.read() as session:
        assert require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"]) is None
        with pytest.raises(Halted, match="effect_unknown"):
            require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"], preregistered=True)
    with db.begin("register") as session:
        register(session, family="f", configuration_hash="c1", configuration={"x": 0.1}, instruments=("XNAS:A",),
                 first=FIRST, last=LAST, effect=EFFECT, measured_on="x", compute={"axis": "rows"}, at=NOW)  # fmt: skip
    with db.read() as session:
        found = require_effect(session, family="f", configuration_hash="c1", instruments=["XNAS:A"], preregistered=True)
        assert found is not None
        assert (found.effect_auc, found.compute) == (0.55, {"axis": "rows"})
        for wrong in (
            {"configuration_hash": "c2", "instruments": ["XNAS:A"]},
            {"configuration_hash": "c1", "instruments": ["XNAS:B"]},
        ):
            with pytest.raises(Halted, match="minimum detectable effect"):
                require_effect(session, family="f", **wrong)  # type: ignore[arg-type]
        assert require_effect(session, family="g", configuration_hash="c2", instruments=["XNAS:A"]) is None


def test_a_registration_without_a_compute_axis_is_refused(db: Database) -> None:
    with pytest.raises(InvalidInput, match="compute axis"), db.begin("register") as session:
        register(session, family="f", configuration_hash="c", configuration={}, instruments=["XNAS:A"], first=FIRST, last=LAST,
                 effect=EFFECT, measured_on="x", compute={}, at=NOW)  # fmt: skip


def test_the_minimum_effect_is_its_formula() -> None:
    t = stats.t(252 / 21 - 1)
    assert minimum_effect(0.03, 252, 21) == pytest.approx(0.03 * (t.ppf(0.95) + t.ppf(0.8)), rel=1e-12)
    assert minimum_effect(0.03, 10**7, 21) == pytest.approx(0.03 * 2.4865, rel=1e-3)  # the gate's 2.49
    with pytest.raises(MissingData, match="two blocks"):
        minimum_effect(0.03, 41, 21)


def test_independent_outcomes_give_the_textbook_error() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random(2000) < 0.5).astype(float)
    found = planned_effect(y, np.arange(2000), np.zeros(2000), sessions=1000, block=21, draws=200, seed=1)
    assert found.standard_error == pytest.approx(np.sqrt(1 / (3 * 1000)), rel=0.12)  # validation-science: sqrt(1 / 3n)


def test_a_forecaster_at_the_effect_is_found_with_its_power() -> None:
    """Power of the very test that the run applies (bound of the bootstrap interval above 0.5), 200 runs of 504 sessions.

    The effect is a little cautious: its error comes from persistent scores, the forecaster's here are independent.
    """
    rng = np.random.default_rng(2)
    sessions, runs = 504, 200
    past = (rng.random(1500) < 0.5).astype(float)
    effect = planned_effect(past, np.arange(1500), np.zeros(1500), sessions=sessions, block=21, draws=200, seed=0)
    shift = np.sqrt(2) * stats.norm.ppf(effect.auc)  # AUC of two unit normals so far apart
    hits = 0
    for run in range(runs):
        y = (rng.random(sessions) < 0.5).astype(float)
        score = rng.standard_normal(sessions) + shift * y
        hits += auc_interval(score, y, block=21, draws=200, seed=run).lower_one_sided > 0.5
    assert 0.78 <= hits / runs <= 0.93, (hits, runs)
