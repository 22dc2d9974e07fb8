"""P02: Composer: field map to direction, drift, diffusion and cones per horizon, fitted on walk-forward training windows only.

Done when: "Fitted parameters are unchanged when test rows change, and the composer beats the base rate on planted signal and ties
it on noise"

All on the project's own simulated market, through the same path as `validate`. The planted signal is stronger here than the
demo's (P(up) = .70 after a rise over five sessions, .30 after a fall): the demo's .60 leaves the log loss within noise of the
base rate's, as its report says. A tie is a log loss within 1 % of the base rate's: a fitted model pays a little for its
coefficients.

The field map enters as the block `fields`: every column that its engines register for models. Direction: the sign odds are fitted
on these columns. Drift and cone: moved by those odds, at a slope that the odds have earned so far (`cones.drift = "odds"`).
Diffusion: a field joins the volatility forecast's regressors while its walk-forward QLIKE is the lower one (`cones.regressors`).
The demo leaves both options, and the block, out: its configuration was nominated before they were there.

No column of the field map is the planted cause (the sign of the last five sessions' return); `sentiment.trend` (20 sessions),
`sentiment.rsi`, `regime.efficiency` (10) and `regime.ema_spread` carry it mixed with older moves, and the skill with fields alone
is therefore a little lower than with the price features. Horizons are sessions; those within a day are not claimed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import polars as pl
import pytest

from fieldcast.data import MemoryStore, SimulatedMarket, read_bundled, simulate
from fieldcast.evaluation import auc_interval, central_band, coverage, log_loss_rows, mean_interval_score, skill_interval
from fieldcast.features import columns, compute, warmup
from fieldcast.models import LogHar, daily_variance
from fieldcast.projection.composer import FIRST_VOLATILITY_FIT, HorizonPath, walk_volatility
from fieldcast.projection.walk_forward import OddsWalk, walk_odds
from fieldcast.workflows import Experiment, load_experiment
from fieldcast.workflows.prepare import Prepared, prepare
from fieldcast.workflows.study import compose_paths
from fieldcast.workflows.walks import odds_tasks, splitter

pytestmark = pytest.mark.feature("P02")
OPEN_PARTS: tuple[str, ...] = ()

SEEDS = (0, 1, 2)
TIE = 0.01
STRONG = 0.70
PRICES, FIELDS = ("a20", "volatility"), ("fields",)
DIFFUSION = ("regime.efficiency", "regime.expansion")       # regressors of sigma in the tests with fields


@dataclass(frozen=True)
class Composed:
    prepared: Prepared
    walks: dict[tuple[int, str], OddsWalk]
    paths: dict[int, HorizonPath]


def experiment(horizons: tuple[int, ...], blocks: tuple[str, ...]) -> Experiment:
    """The demo's, with the logistic alone on the sign; with fields, they reach drift, cone and sigma as well."""
    plain = load_experiment().model_dump(mode="json")
    plain["models"]["boosted_trees"] = None
    plain["labels"] |= {"sign": list(horizons), "event": []}
    plain["features"]["blocks"] = list(blocks)
    plain["walk_forward"]["initial"] = 756 if {"a20", "fields"} & set(blocks) and horizons == (1,) else 300
    if "fields" in blocks:
        plain["cones"] |= {"drift": "odds", "regressors": list(DIFFUSION)}
        plain["models"]["logistic"]["l2"] = 100.0       # many columns that say the same in other words
    return Experiment.model_validate(plain)


def compose(store: MemoryStore, made: object, setting: Experiment) -> Composed:
    instrument = made.instrument  # type: ignore[attr-defined]
    prepared = prepare(store, instrument, setting)
    walks = [walk_odds(task) for task in odds_tasks(prepared, setting) if task.model != "anchor"]
    paths = {path.horizon: path for path in compose_paths(prepared, walks, setting)}
    return Composed(prepared, {(walk.horizon, walk.model): walk for walk in walks}, paths)


# fitted parameters --------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Twice:
    """The same history twice; in the second one every bar after row `cut` is another."""

    setting: Experiment
    cut: int
    fitted_on: int          # rows after the cut at which a model's own rows, without its calibrator's, go beyond it
    composed: tuple[Composed, Composed]


@pytest.fixture(scope="module", params=[("volatility", 1000, 640, 120), ("fields", 1700, 1300, 240)], ids=["prices", "fields"])
def histories(request: pytest.FixtureRequest) -> Twice:
    block, rows, cut, fitted_on = request.param
    setting = experiment((1, 5), (block,))
    made = simulate(SimulatedMarket(seed=3, n_sessions=rows, last=date(2018, 12, 31)))
    other = simulate(SimulatedMarket(seed=99, n_sessions=rows, last=date(2018, 12, 31), annual_volatility=0.5))
    prices = ["open", "high", "low", "close", "volume"]
    late = pl.int_range(pl.len()) > cut
    changed = made.bars.with_columns(
        pl.when(late).then(other.bars[name]).otherwise(pl.col(name)).alias(name) for name in prices
    )
    found = []
    for bars in (made.bars, changed):
        store = MemoryStore()
        store.append(bars, made.lineage)
        found.append(compose(store, made, setting))
    return Twice(setting, cut, fitted_on, (found[0], found[1]))


def regressors(composed: Composed, names: tuple[str, ...]) -> np.ndarray | None:
    return composed.prepared.features(names) if names else None


def test_fitted_parameters_are_unchanged_when_test_rows_change(histories: Twice) -> None:
    cut, names = histories.cut, histories.setting.cones.regressors
    for horizon in (1, 5):
        fits = [[f for f in one.walks[horizon, "logistic"].fits if f.first_test_row <= cut] for one in histories.composed]
        assert fits[0] == fits[1]                 # the coefficients by their hash, columns, rows and kind of calibrator
        assert len(fits[0]) > 3
        assert {column for f in fits[0] for column in f.columns} <= set(columns(histories.setting.features.blocks))
        later = [
            [f.digest for f in one.walks[horizon, "logistic"].fits if f.first_test_row > cut + histories.fitted_on]
            for one in histories.composed
        ]
        assert all(a != b for a, b in zip(*later, strict=True))
        assert len(later[0]) > 5
        volatility = []
        first = FIRST_VOLATILITY_FIT if not names else warmup(("fields",)) + 252
        for one in histories.composed:
            variance = daily_variance(one.prepared.bars)["variance"].to_numpy()
            daily = np.concatenate([[np.nan], one.prepared.returns[1][:-1]])
            extra = regressors(one, names)
            volatility.append(LogHar().path(variance, daily, first=first, horizon=horizon, refit=21, extra=extra))
        assert volatility[0].refits == volatility[1].refits
        early = [row <= cut for row in volatility[0].refits]
        same = [a == b for a, b in zip(volatility[0].parameters, volatility[1].parameters, strict=True)]
        assert same[: sum(early)] == [True] * sum(early)
        assert not any(same[sum(early) + 1 :])


def test_direction_drift_diffusion_and_cone_are_unchanged_up_to_the_change(histories: Twice) -> None:
    cut, (first, second) = histories.cut, histories.composed
    for horizon in (1, 5):
        one, other = first.paths[horizon], second.paths[horizon]
        for name in ("odds", "mean_bps", "drift_bps", "sigma", "quantiles_bps", "flat_band_bps"):
            a, b = getattr(one, name), getattr(other, name)
            np.testing.assert_array_equal(a[: cut + 1], b[: cut + 1], err_msg=name)
            assert np.isfinite(a[cut - 20 : cut + 1]).all(), name
            moves = name != "drift_bps" or histories.setting.cones.drift == "odds"
            assert moves != np.array_equal(a[cut + 30 :], b[cut + 30 :], equal_nan=True), name


def test_training_rows_end_before_their_test_rows_are_decided(histories: Twice) -> None:
    prepared, setting = histories.composed[0].prepared, histories.setting
    for horizon in (1, 5):
        ends = prepared.outcomes["sign", horizon][1]
        folds = list(splitter(setting).split(prepared.decision, ends, prepared.first_usable))
        assert len(folds) > 10
        for fold in folds:
            assert (ends[fold.train] <= prepared.decision[fold.test[0]]).all()
            assert fold.train[-1] < fold.test[0]


# skill --------------------------------------------------------------------------------------------------------------


@cache
def market(kind: str, seed: int, blocks: tuple[str, ...] = PRICES) -> Composed:
    """Twenty years of one market, composed over one day with these features and the demo's walk."""
    made = simulate(SimulatedMarket(seed=seed, kind=kind, p_up=STRONG))  # type: ignore[arg-type]
    store = MemoryStore()
    store.append(made.bars, made.lineage)
    return compose(store, made, experiment((1,), blocks))


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


def cone_skill(composed: Composed):
    """Skill in the mean interval score of the cone that follows the odds, against the same cone left where past scores put it."""
    moved = composed.paths[1]
    still = compose_paths(composed.prepared, list(composed.walks.values()), experiment((1,), PRICES))[0]
    happened = 1e4 * composed.prepared.returns[1]
    known = moved.known & still.known & np.isfinite(happened)
    scores = [mean_interval_score(path.quantiles_bps[known], happened[known]) for path in (moved, still)]
    bands = {level: central_band(moved.quantiles_bps[known], level) for level in (0.5, 0.9)}
    covered = [coverage(low, high, happened[known], level, horizon=1) for level, (low, high) in bands.items()]
    correlation = np.corrcoef(moved.mean_bps[known], happened[known])[0, 1]
    return skill_interval(*scores, block=21, draws=300, seed=1), covered, correlation


BLOCKS = pytest.mark.parametrize("blocks", [PRICES, FIELDS], ids=["prices", "fields"])


@pytest.mark.slow
@BLOCKS
@pytest.mark.parametrize("seed", SEEDS)
def test_the_composer_beats_the_base_rate_on_a_planted_signal(seed: int, blocks: tuple[str, ...]) -> None:
    composed = market("planted", seed, blocks)
    skill, auc = sign_skill(composed)
    # measured 2026-11 for seeds 0 to 2, with lower ends: prices .049 (.032), .067 (.048), .067 (.047);
    # fields (44 columns) .039 (.022), .062 (.044), .059 (.038), AUC .635, .666, .665, n 3608, 3583, 3676
    assert skill.low > 0.01
    assert auc.low > 0.60
    ours, base = three_way_loss(composed)
    assert ours < 0.99 * base


@pytest.mark.slow
@BLOCKS
@pytest.mark.parametrize("seed", SEEDS)
def test_the_composer_ties_the_base_rate_on_noise(seed: int, blocks: tuple[str, ...]) -> None:
    composed = market("martingale", seed, blocks)
    skill, auc = sign_skill(composed)
    assert abs(skill.estimate) < TIE          # measured: prices -.004, -.003, -.006; fields -.005, -.004, -.006
    # .49, .49, .49 and .48, .50, .50: the base rate of an expanding walk leans a little against what comes next
    assert auc.low < 0.5 < auc.high
    ours, base = three_way_loss(composed)
    assert abs(ours / base - 1.0) < TIE


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_drift_and_cone_come_from_the_field_map_where_it_tells_something_and_from_nothing_else_on_noise(seed: int) -> None:
    skill, covered, correlation = cone_skill(market("planted", seed, FIELDS))
    assert skill.low > 0.01                   # measured: .036, .053, .046 less interval score than the cone without drift
    assert correlation > 0.2                  # of the mean with what happened: .26, .35, .34
    skill, noise, correlation = cone_skill(market("martingale", seed, FIELDS))
    assert abs(skill.estimate) < 0.002        # measured: -.0004, .0001, -.0002
    assert abs(correlation) < 0.03
    for found in (*covered, *noise):
        assert abs(found.rate - found.level) < 0.01


@pytest.mark.slow
def test_a_field_joins_the_diffusion_where_it_lowers_the_loss_and_costs_nothing_on_noise() -> None:
    """Nasdaq's volatility falls with a rise and grows with a fall; Kaufman's signed efficiency knows which it was."""
    for name, least, most in (("nasdaq", 0.006, 0.03), ("noise", -0.002, 0.002)):
        bars = read_bundled("nasdaq")[1] if name == "nasdaq" else simulate(SimulatedMarket(seed=1, kind="martingale")).bars
        variance = daily_variance(bars)["variance"].to_numpy()
        daily = np.diff(np.log(bars["close"].to_numpy()), prepend=np.nan)
        field = compute(bars, ["fields.regime"])["regime.efficiency"].to_numpy()[:, None]
        sigma = [walk_volatility(variance, daily, horizon=1, refit=21, regressors=x) for x in (None, field)]
        ahead = np.append(daily[1:], np.nan)
        loss = [(ahead / one) ** 2 + 2.0 * np.log(one) for one in sigma]
        gain = (loss[0] - loss[1])[600:-1]
        assert gain.size > 4000
        assert least < gain.mean() < most, name           # measured: .0125 and .0000
        means = gain[: gain.size // 63 * 63].reshape(-1, 63).mean(axis=1)
        if name == "nasdaq":
            assert gain.mean() > 2.0 * means.std(ddof=1) / np.sqrt(means.size)
