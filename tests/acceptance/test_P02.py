"""P02: Composer: field map to direction, drift, diffusion and cones per horizon, fitted on walk-forward training windows only.

Done when: "Fitted parameters are unchanged when test rows change, and the composer beats the base rate on planted signal and ties
it on noise"

All on the project's own simulated market, through the same path as `validate`. The planted signal is stronger here than the
demo's (P(up) = .70 after a rise over five sessions, .30 after a fall): the demo's .60 leaves the log loss within noise of the
base rate's, as its report says. A tie is a log loss within 1 % of the base rate's: a fitted model pays a little for its
coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore, SimulatedMarket, simulate
from fieldcast.evaluation import auc_interval, log_loss_rows, skill_interval
from fieldcast.models import LogHar, daily_variance
from fieldcast.projection.composer import FIRST_VOLATILITY_FIT, HorizonPath
from fieldcast.projection.walk_forward import OddsWalk, walk_odds
from fieldcast.workflows import Experiment, load_experiment
from fieldcast.workflows.prepare import Prepared, prepare
from fieldcast.workflows.study import compose_paths
from fieldcast.workflows.walks import odds_tasks, splitter

pytestmark = pytest.mark.feature("P02")
OPEN_PARTS: tuple[str, ...] = ("field map columns as the composer's input (price features stand in)", "horizons under one day")

SEEDS = (0, 1, 2)
TIE = 0.01
STRONG = 0.70


@dataclass(frozen=True)
class Composed:
    prepared: Prepared
    walks: dict[tuple[int, str], OddsWalk]
    paths: dict[int, HorizonPath]


def experiment(horizons: tuple[int, ...], blocks: tuple[str, ...]) -> Experiment:
    """The demo's, with the logistic alone on the sign."""
    plain = load_experiment().model_dump(mode="json")
    plain["models"]["boosted_trees"] = None
    plain["labels"] |= {"sign": list(horizons), "event": []}
    plain["features"]["blocks"] = list(blocks)
    plain["walk_forward"]["initial"] = 756 if "a20" in blocks else 300
    return Experiment.model_validate(plain)


def compose(store: MemoryStore, made: object, setting: Experiment) -> Composed:
    instrument = made.instrument  # type: ignore[attr-defined]
    prepared = prepare(store, instrument, setting)
    walks = [walk_odds(task) for task in odds_tasks(prepared, setting) if task.model != "anchor"]
    paths = {path.horizon: path for path in compose_paths(prepared, walks, setting)}
    return Composed(prepared, {(walk.horizon, walk.model): walk for walk in walks}, paths)


# fitted parameters --------------------------------------------------------------------------------------------------

CUT = 640


@pytest.fixture(scope="module")
def histories() -> tuple[Composed, Composed]:
    """The same history twice; in the second one every bar after row CUT is another."""
    setting = experiment((1, 5), ("volatility",))
    made = simulate(SimulatedMarket(seed=3, n_sessions=1000, last=date(2018, 12, 31)))
    other = simulate(SimulatedMarket(seed=99, n_sessions=1000, last=date(2018, 12, 31), annual_volatility=0.5))
    columns = ["open", "high", "low", "close", "volume"]
    late = pl.int_range(pl.len()) > CUT
    changed = made.bars.with_columns(
        pl.when(late).then(other.bars[name]).otherwise(pl.col(name)).alias(name) for name in columns
    )
    found = []
    for bars in (made.bars, changed):
        store = MemoryStore()
        store.append(bars, made.lineage)
        found.append(compose(store, made, setting))
    return found[0], found[1]


def test_fitted_parameters_are_unchanged_when_test_rows_change(histories: tuple[Composed, Composed]) -> None:
    for horizon in (1, 5):
        fits = [[f for f in one.walks[horizon, "logistic"].fits if f.first_test_row <= CUT] for one in histories]
        assert fits[0] == fits[1]                 # coefficients, calibrator, columns and rows, by their hash
        assert len(fits[0]) > 3
        later = [[f.digest for f in one.walks[horizon, "logistic"].fits if f.first_test_row > CUT + 120] for one in histories]
        assert all(a != b for a, b in zip(*later, strict=True))
        assert len(later[0]) > 5
        volatility = []
        for one in histories:
            variance = daily_variance(one.prepared.bars)["variance"].to_numpy()
            daily = np.concatenate([[np.nan], one.prepared.returns[1][:-1]])
            volatility.append(LogHar().path(variance, daily, first=FIRST_VOLATILITY_FIT, horizon=horizon, refit=21))
        assert volatility[0].refits == volatility[1].refits
        early = [row <= CUT for row in volatility[0].refits]
        same = [a == b for a, b in zip(volatility[0].parameters, volatility[1].parameters, strict=True)]
        assert same[: sum(early)] == [True] * sum(early)
        assert not any(same[sum(early) + 1 :])


def test_direction_drift_diffusion_and_cone_are_unchanged_up_to_the_change(histories: tuple[Composed, Composed]) -> None:
    first, second = histories
    for horizon in (1, 5):
        one, other = first.paths[horizon], second.paths[horizon]
        for name in ("odds", "mean_bps", "sigma", "quantiles_bps", "flat_band_bps"):
            a, b = getattr(one, name), getattr(other, name)
            np.testing.assert_array_equal(a[: CUT + 1], b[: CUT + 1], err_msg=name)
            assert np.isfinite(a[CUT - 20 : CUT + 1]).all(), name
            assert not np.array_equal(a[CUT + 30 :], b[CUT + 30 :], equal_nan=True), name


def test_training_rows_end_before_their_test_rows_are_decided(histories: tuple[Composed, Composed]) -> None:
    prepared = histories[0].prepared
    setting = experiment((1, 5), ("volatility",))
    for horizon in (1, 5):
        ends = prepared.outcomes["sign", horizon][1]
        folds = list(splitter(setting).split(prepared.decision, ends, prepared.first_usable))
        assert len(folds) > 10
        for fold in folds:
            assert (ends[fold.train] <= prepared.decision[fold.test[0]]).all()
            assert fold.train[-1] < fold.test[0]


# skill --------------------------------------------------------------------------------------------------------------


@cache
def market(kind: str, seed: int) -> Composed:
    """Twenty years of one market, composed over one day with the demo's features and walk."""
    made = simulate(SimulatedMarket(seed=seed, kind=kind, p_up=STRONG))  # type: ignore[arg-type]
    store = MemoryStore()
    store.append(made.bars, made.lineage)
    return compose(store, made, experiment((1,), ("a20", "volatility")))


def sign_skill(composed: Composed):
    """Skill of the composer's sign odds in log loss against the base rate, and their AUC, on identical rows."""
    y = composed.prepared.outcomes["sign", 1][0]
    odds = composed.paths[1].odds
    up = odds[:, 0] / (odds[:, 0] + odds[:, 2])
    base = composed.walks[1, "base_rate"].odds
    known = np.isfinite(y) & np.isfinite(up) & np.isfinite(base)
    assert known.sum() > 3000
    up, base, y = np.clip(up[known], 1e-6, 1 - 1e-6), base[known], y[known]
    skill = skill_interval(log_loss_rows(up, y), log_loss_rows(base, y), block=21, draws=300, seed=1)
    return skill, auc_interval(up, y, block=21, draws=300, seed=1)


def three_way_loss(composed: Composed) -> tuple[float, float]:
    """Mean log loss of up, flat and down: the composer's, and that of the shares among all rows decided before."""
    path, returns = composed.paths[1], composed.prepared.returns[1]
    bps, band = 1e4 * returns, path.flat_band_bps
    happened = np.where(bps > band, 0, np.where(bps < -band, 2, 1))
    known = np.flatnonzero(np.isfinite(path.odds).all(axis=1) & np.isfinite(returns) & np.isfinite(band))
    counts = np.cumsum(np.eye(3)[happened[known]], axis=0)
    start = 250                                   # a base rate needs outcomes of its own
    shares = counts[start - 2 : -2] / counts[start - 2 : -2].sum(axis=1, keepdims=True)
    rows = np.arange(start, known.size)
    ours = -np.log(np.clip(path.odds[known[rows], happened[known[rows]]], 1e-6, 1.0)).mean()
    base = -np.log(shares[np.arange(rows.size), happened[known[rows]]]).mean()
    return float(ours), float(base)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_composer_beats_the_base_rate_on_a_planted_signal(seed: int) -> None:
    composed = market("planted", seed)
    skill, auc = sign_skill(composed)
    assert skill.low > 0.01          # measured 2026-11 for seeds 0 to 2: skill .049, .067, .067, lower ends .032, .048, .047
    assert auc.low > 0.60
    ours, base = three_way_loss(composed)
    assert ours < 0.99 * base


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_composer_ties_the_base_rate_on_noise(seed: int) -> None:
    composed = market("martingale", seed)
    skill, auc = sign_skill(composed)
    assert abs(skill.estimate) < TIE          # measured: -.004, -.003, -.006
    assert auc.low < 0.5 < auc.high
    ours, base = three_way_loss(composed)
    assert abs(ours / base - 1.0) < TIE
