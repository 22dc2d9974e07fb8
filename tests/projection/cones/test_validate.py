"""An experiment names what finds its cones: the run's name, its projections and its score tables follow."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ConfigError, load_settings
from fieldcast.workflows import Experiment, load_experiment, open_workspace, validate

NAMES = ("SIM:PLANTED", "SIM:MARTINGALE")
SMALL = """
family = "small"
[nominated]
model = "logistic"
[features]
blocks = ["volatility"]
[walk_forward]
initial = 150
test = 21
step = 21
embargo = 2
calibration_share = 0.4
[labels]
sign = [1, 5]
event = [1]
event_threshold = 0.01
flat_share = 0.3333
[models.logistic]
l2 = 10.0
refit = 21
[cones]
refit = 21
benchmark_refit = 126
{option}
[intervals]
block = 21
draws = 200
seed = 1
[cycle]
sessions = 3
volatility_target = 0.10
nav = "1000000"
"""


def experiment(folder: Path, option: str = "") -> Experiment:
    path = folder / "small.toml"
    path.write_text(SMALL.replace("{option}", option))
    return load_experiment(path)


def test_the_default_leaves_the_name_of_a_run_alone(tmp_path: Path) -> None:
    plain, named = experiment(tmp_path), experiment(tmp_path, 'forecaster = "conformal"')
    others = {experiment(tmp_path, f'forecaster = "{kind}"').hash for kind in ("adaptive", "experts")}
    assert plain.hash == named.hash
    assert "forecaster" in plain.model_dump()["cones"]
    assert len({plain.hash, *others}) == 3
    with pytest.raises(ConfigError, match="forecaster"):
        experiment(tmp_path, 'forecaster = "oracle"')


@pytest.mark.parametrize("kind", ["adaptive", "experts"])
def test_validate_uses_and_scores_the_named_cones(tmp_path: Path, kind: str) -> None:
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        for market in ("planted", "martingale"):
            made = simulate(SimulatedMarket(seed=5, kind=market, n_sessions=800, last=date(2018, 12, 31)))
            save_instrument(workspace.ledger, made.instrument)
            workspace.store.append(made.bars, made.lineage)
        run = validate(workspace, list(NAMES), experiment(tmp_path, f'forecaster = "{kind}"'))
    for name in NAMES:
        table = run[name].cones
        assert set(table["model"]) == {"fieldcast", "garch_normal", "conformal"}
        assert table.group_by("horizon").agg(pl.col("n").n_unique())["n"].to_list() == [1, 1]  # the same rows for all
        ours, plain = (table.filter(pl.col("model") == model) for model in ("fieldcast", "conformal"))
        assert ours["interval_score_bps"].to_list() != plain["interval_score_bps"].to_list()
        assert ours["kupiec_p"].null_count() == ours["christoffersen_p"].null_count() == 0
        daily = ours.filter(pl.col("horizon") == 1)
        assert (daily["coverage"] - daily["level"]).abs().max() < 0.06
        assert run[name].packet.horizons[0].quantiles_bps == tuple(sorted(run[name].packet.horizons[0].quantiles_bps))
