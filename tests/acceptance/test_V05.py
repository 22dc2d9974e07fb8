"""V05: Ablation runner: drop each engine, keep if AUC gain is above 0.02 or 75 % coverage improves with AUC not lower.

Done when: "Keep if AUC gain > 0.02 with its paired interval above 0, or abs(coverage − 75 %) shrinks with its paired interval
above 0 and log loss not worse; a planted useful engine is kept in 20 of 20 random seeds and a noise engine dropped in at least
19"
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import InvalidInput, load_settings
from fieldcast.validation import load_evidence
from fieldcast.validation.engines import AUC_GAIN, Clause, EngineVerdict
from fieldcast.workflows import Experiment, ablate, load_experiment, open_workspace
from fieldcast.workflows.engine_ablations import ablate_prepared, engines_of
from fieldcast.workflows.prepare import Prepared, prepare

pytestmark = pytest.mark.feature("V05")
OPEN_PARTS: tuple[str, ...] = ()

SMALL = """
family = "ablation"
[nominated]
model = "logistic"
[features]
blocks = ["volatility"]
[walk_forward]
initial = 300
test = 63
step = 63
embargo = 2
calibration_share = 0.25
[labels]
sign = [1]
event_threshold = 0.01
flat_share = 0.3333
[models.logistic]
l2 = 10.0
refit = 126
[cones]
refit = 126
benchmark_refit = 252
[intervals]
block = 21
draws = 400
seed = 1
[cycle]
sessions = 2
volatility_target = 0.10
nav = "1000000"
"""
USEFUL, NOISE = ("useful_1", "useful_2"), ("noise_1", "noise_2", "noise_3")
ENGINES = {"useful": USEFUL, "noise": NOISE}
EDGE = 0.35  # logit of the sign for one deviation of the useful engine: an AUC of about 0.6


@cache
def _base(folder: Path) -> tuple[Prepared, Experiment]:
    """1,800 simulated sessions, ready to be walked."""
    (folder / "small.toml").write_text(SMALL)
    experiment = load_experiment(folder / "small.toml")
    with open_workspace(settings=load_settings(home=folder / "home", workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=3, kind="martingale", n_sessions=1800, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
        return prepare(workspace.store, made.instrument, experiment), experiment


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Experiment]:
    return _base(tmp_path_factory.mktemp("ablation"))


def planted(prepared: Prepared, seed: int) -> Prepared:
    """The same sessions with an engine that knows something of the next sign, and one that knows nothing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((prepared.rows, 5))
    odds = 1 / (1 + np.exp(-EDGE * (x[:, 0] + x[:, 1])))
    up = rng.random(prepared.rows) < odds
    size = np.abs(0.01 * rng.standard_normal(prepared.rows)) + 1e-5
    known = np.isfinite(prepared.returns[1])
    moved = np.where(known, np.where(up, size, -size), np.nan)
    ends = prepared.outcomes["sign", 1][1]
    table = prepared.table.select("ts", "as_of", *(pl.Series(name, x[:, i]) for i, name in enumerate((*USEFUL, *NOISE))))
    return replace(
        prepared,
        table=table,
        names=(*USEFUL, *NOISE),
        outcomes={("sign", 1): (np.where(known, up.astype(float), np.nan), ends)},
        returns={1: moved},
    )


@cache
def verdicts(prepared_id: int, seed: int) -> dict[str, EngineVerdict]:
    prepared, experiment = _KEPT[prepared_id]
    return {one.engine: one for one in ablate_prepared(planted(prepared, seed), experiment, ENGINES)}


_KEPT: dict[int, tuple[Prepared, Experiment]] = {}


def test_a_useful_engine_is_kept_in_20_of_20_and_a_noise_engine_dropped_in_19(base: tuple[Prepared, Experiment]) -> None:
    _KEPT[0] = base
    found = [verdicts(0, seed) for seed in range(20)]
    assert sum(one["useful"].kept for one in found) == 20
    assert sum(not one["noise"].kept for one in found) >= 19
    for one in found:
        assert one["useful"].clauses[0] is Clause.SHARPER
        assert one["useful"].auc.estimate > AUC_GAIN
        assert one["useful"].auc.low > 0


def test_the_figures_are_those_of_the_two_walks(base: tuple[Prepared, Experiment]) -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    from fieldcast.workflows.walks import odds_tasks, run_walks

    _KEPT[0] = base
    prepared, experiment = planted(base[0], 0), base[1]
    walks = []
    for names in ((*USEFUL, *NOISE), NOISE):
        task = next(t for t in odds_tasks(replace(prepared, names=names), experiment) if t.model == "logistic")
        walks += run_walks([task], workers=1, progress=lambda stage, done, total: None, stage="")
    rows = np.isfinite(walks[0].odds) & np.isfinite(walks[1].odds) & np.isfinite(prepared.returns[1])
    up = prepared.returns[1][rows] > 0
    mine = verdicts(0, 0)["useful"]
    gain = roc_auc_score(up, walks[0].odds[rows]) - roc_auc_score(up, walks[1].odds[rows])
    assert mine.auc.estimate == pytest.approx(gain, abs=1e-12)
    saved = log_loss(up, walks[1].odds[rows]) - log_loss(up, walks[0].odds[rows])
    assert mine.log_loss.estimate == pytest.approx(saved, abs=1e-12)
    assert mine.auc.n == rows.sum()


def test_the_only_engine_is_judged_against_the_base_rate(base: tuple[Prepared, Experiment]) -> None:
    prepared = replace(planted(base[0], 1), names=USEFUL)
    (found,) = ablate_prepared(prepared, base[1], {"useful": USEFUL})
    assert found.kept
    with pytest.raises(InvalidInput, match="engines of the columns"):
        ablate_prepared(prepared, base[1], {"none": ("other",)})


@pytest.mark.slow
def test_the_verb_drops_each_block_of_an_experiment_and_records_it(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(SMALL.replace('["volatility"]', '["volatility", "fields.liquidity"]'))
    experiment = load_experiment(tmp_path / "two.toml")
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=1000, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
        found = ablate(workspace, made.instrument.id, experiment)
        assert [one.engine for one in found.verdicts] == ["volatility", "fields.liquidity"]
        assert set(found.kept) == {one.engine for one in found.verdicts if one.clauses}
        assert found.simulated
        with workspace.ledger.read() as session:
            rows = load_evidence(session, [f"engine.{one.engine}.auc" for one in found.verdicts], workspace.clock.now())
        assert {row.claim for row in rows} == {"engine.volatility.auc", "engine.fields.liquidity.auc"}
        assert all(row.span.simulated for row in rows)
        names = prepare(workspace.store, made.instrument, experiment).names
        assert engines_of(names).keys() == {"volatility", "fields.liquidity"}
        assert found.as_dict()["engines"][0]["kept"] == found.verdicts[0].kept
