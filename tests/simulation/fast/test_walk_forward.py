"""Walk-forward optimisation: choices see training spans alone, and everything is on record."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.evaluation import MemoryTrialLog
from fieldcast.ground import InvalidInput, ShortHistory
from fieldcast.simulation.fast import (
    FastSettings,
    ParameterSets,
    Tape,
    Windows,
    arrays_of,
    optimise_walk_forward,
    run_fast,
)
from fieldcast.simulation.market import Market
from fieldcast.strategy.catalogue import strategy

GRID = {"fast": [2, 5, 10], "slow": [15, 30, 60]}
WINDOWS = Windows(train=300, test=100)


def walk(market: Market, **further):
    return optimise_walk_forward(
        ParameterSets.grid("sma_cross", GRID), Tape.of(market), FastSettings(), further.pop("windows", WINDOWS),
        log=further.pop("log", None) or MemoryTrialLog(), family="walk", **further,
    )  # fmt: skip


def test_each_window_chooses_the_set_that_was_best_on_its_training_span(one) -> None:
    market = one(7, bars=850, sigma=0.02)
    found, tape = walk(market), Tape.of(market)
    assert found.windows["test_start"].to_list() == [300, 400, 500, 600, 700, 800]
    assert found.windows["test_end"].to_list()[-1] == 850
    rows = ParameterSets.grid("sma_cross", GRID).rows
    targets = [strategy("sma_cross", **row).targets(arrays_of(tape)) for row in rows]
    for line in found.windows.iter_rows(named=True):
        scores = [
            run_fast(one_set, tape, FastSettings(), span=(line["train_start"], line["train_end"])).figures["sharpe"]
            for one_set in targets
        ]
        best = int(np.argmax([-np.inf if score is None else score for score in scores]))
        assert line["chosen"] == best
        assert line["objective_train"] == scores[best]
        assert (line["parameter_fast"], line["parameter_slow"]) == (rows[best]["fast"], rows[best]["slow"])
        own = run_fast(targets[best], tape, FastSettings(), span=(line["test_start"], line["test_end"])).figures
        assert line["test_total_return"] == own["total_return"]
        scored = slice(line["test_start"], line["test_end"])
        assert np.array_equal(found.targets[scored], targets[best][scored])
    assert found.windows["chosen"].n_unique() > 1


def test_no_choice_depends_on_what_comes_after_its_training_span(one) -> None:
    market = one(8, bars=700, sigma=0.02)
    cut = 500      # the end of the third training span
    changed = {name: getattr(market, name)[0].copy() for name in ("open", "high", "low", "close")}
    for values in changed.values():
        values[cut:] = values[cut:][::-1]
    other = Market.of_arrays(market.instruments[0], market.ts, **changed, volume=market.volume[0])
    before, after = walk(market).windows, walk(other).windows
    known = before["train_end"] <= cut
    assert known.sum() == 3
    columns = ["chosen", "objective_train", "parameter_fast", "parameter_slow"]
    assert before.filter(known).select(columns).equals(after.filter(known).select(columns))


def test_every_set_and_the_walk_itself_are_trials(one) -> None:
    log = MemoryTrialLog()
    found = walk(one(9, bars=600, sigma=0.02), log=log)
    trials = log.trials("walk")
    assert len(trials) == 9 + 1
    own = next(trial for trial in trials if trial.id == found.trial_id)
    assert own.children == 9 * found.windows.height
    assert own.n == 300
    assert own.estimate == found.result.figures["total_return"]
    assert found.deflated.n == 10
    dsr = found.deflated.of(found.trial_id).dsr
    assert dsr is not None
    assert dsr < found.deflated.of(found.trial_id).psr      # the best of many has to show more
    assert "at N=10" in found.describe()
    walk(one(9, bars=600, sigma=0.02), log=log)
    assert len(log.trials("walk")) == 10      # again is a look, not a trial


def test_a_window_without_a_set_to_choose_holds_nothing(one) -> None:
    found = walk(one(10, bars=450, sigma=0.001), least_trades=10_000)
    assert found.windows["chosen"].null_count() == found.windows.height == 2
    assert found.result.fills.height == 0


def test_anchored_spans_begin_at_the_first_bar_and_a_gap_is_never_scored(one) -> None:
    found = walk(one(7, bars=850, sigma=0.02), windows=Windows(train=300, test=100, gap=20, anchored=True)).windows
    assert set(found["train_start"]) == {0}
    assert (found["test_start"] - found["train_end"]).to_list() == [20] * found.height


def test_windows_and_objectives_that_cannot_be_are_refused(one) -> None:
    with pytest.raises(ShortHistory, match="400 bars"):
        walk(one(1, bars=300), windows=Windows(train=400, test=100))
    with pytest.raises(InvalidInput, match="step"):
        Windows(train=100, test=50, step=20)
    with pytest.raises(InvalidInput, match="objective"):
        walk(one(1, bars=450), objective="luck")
    with pytest.raises(InvalidInput, match="TrialLog"):
        walk(one(1, bars=450), log=object())
