"""The economic gate counts a family as every other report does: a sweep is as many trials as it has parameter sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldcast.evaluation import MemoryTrialLog, Trial, TrialLog, deflated_sharpe, family_figures
from fieldcast.ground import InvalidInput, SystemClock
from fieldcast.ledger import Database
from fieldcast.validation import LedgerTrialLog
from fieldcast.validation.economic import EconomicResult, NextOpenReturns, gate_economic
from fieldcast.validation.sealed import looked_at

N, FAMILY = 400, "swept"
DAYS = np.datetime64("2020-01-01", "D") + np.arange(N)


def series(seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.01, N)


def trial(configuration: dict[str, Any], values: np.ndarray) -> Trial:
    first, last = DAYS[0].item(), DAYS[-1].item()
    return Trial(FAMILY, configuration, "SIM:A", "net_return", 1, first, last, "net_mean", 0.0, N, DAYS, values)


def swept(points: int) -> MemoryTrialLog:
    """Six stored sets of a sweep, the best of which says for how many others it stands."""
    log = MemoryTrialLog()
    for seed in range(6):
        log.record(trial({"set": seed} | ({"points": points} if seed == 0 else {}), series(seed)))
    return log


def judged(log: TrialLog) -> EconomicResult:
    """A run of 0.1 % a day."""
    decided = DAYS.astype("datetime64[us]")
    own = NextOpenReturns(
        "SIM:A", DAYS, decided, decided + 1, series(99, 0.001), np.zeros(N), series(7), simulated=True, fill="next_open"
    )
    return gate_economic(own, log=log, family=FAMILY, configuration={"own": 1}, draws=50)


def test_the_gate_counts_every_parameter_set_of_a_sweep() -> None:
    """It counted the stored series: 7 where 500 had been tried."""
    alone, among = judged(swept(1)), judged(swept(494))
    assert (alone.family_size, among.family_size) == (7, 500)
    assert among.effective_size == pytest.approx(alone.effective_size)
    assert among.moments is not None
    log = swept(494)
    log.record(trial({"own": 1}, series(99, 0.001)))
    assert among.deflated.dsr == pytest.approx(deflated_sharpe(among.moments, family_figures(log, FAMILY).variance, 500))
    assert among.deflated.dsr is not None
    assert alone.deflated.dsr is not None
    assert among.deflated.dsr < alone.deflated.dsr - 0.1
    assert among.deflated.dsr_effective == pytest.approx(alone.deflated.dsr_effective)
    assert among.deflated.psr == alone.deflated.psr


def test_a_family_is_deflated_by_all_that_its_trials_stand_for() -> None:
    few, many = family_figures(swept(1), FAMILY), family_figures(swept(495), FAMILY)
    assert (few.n, many.n) == (6, 500)
    assert many.best_of_n > few.best_of_n
    assert many.best_of_effective == pytest.approx(few.best_of_effective)
    before = {one.trial.configuration["set"]: one.dsr for one in few.trials}
    for one in many.trials:
        assert one.dsr is not None
        assert one.dsr < (before[one.trial.configuration["set"]] or 0.0)


@pytest.mark.parametrize("points", [0, -3, 2.5, "many", True])
def test_what_stands_for_no_number_of_sets_is_refused(points: Any) -> None:
    with pytest.raises(InvalidInput, match="points"):
        trial({"points": points}, series(1))


def test_what_had_been_seen_of_a_span_counts_every_parameter_set(db: Database, tmp_path: Path) -> None:
    """The list of what was scored counted the stored series: 6 of 500."""
    log = LedgerTrialLog(db, tmp_path / "trials", SystemClock())
    for one in swept(495).trials(FAMILY):
        log.record(one)
    log.record(trial({"set": 1}, series(1)))      # a second look
    log.record(replace(trial({"inner": {"points": 9}}, series(3)), instrument="SIM:B"))
    with db.read() as session:
        labels = [one.label for one in looked_at(session, ["SIM:A"]) if FAMILY in one.label]
        others = [one.label for one in looked_at(session, ["SIM:B"]) if FAMILY in one.label]
    assert labels == ["500 configurations of 'swept' scored, 7 looks"]
    assert others == ["1 configurations of 'swept' scored, 1 looks"]
