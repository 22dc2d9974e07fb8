"""M11: Model registry: semantic version, SHA-256, promote, roll back, shadow predictions; drift (PSI, KS) and retrain triggers
(schedule, decay, calibration, command).

Done when: "Rollback restores the earlier hash in one command, and each trigger fires on a planted case and not on a null case"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast import workflows
from fieldcast.data import SimulatedMarket, read_bundled, save_instrument, simulate
from fieldcast.features import labels
from fieldcast.ground import Halted, ManualClock, load_settings
from fieldcast.market import DECISION_DELAY
from fieldcast.models.baselines import IMPLIED_BASELINES, REQUIRED_BASELINES
from fieldcast.models.triggers import TriggerRules
from fieldcast.workflows import Experiment, Workspace, load_experiment, open_workspace
from fieldcast.workflows.registered_models import model_registry

from .conftest import SMALL_EXPERIMENT

pytestmark = pytest.mark.feature("M11")
OPEN_PARTS: tuple[str, ...] = ()

NAME = "SIM:PLANTED"
MODEL = "sim-planted"
EXPERIMENT = SMALL_EXPERIMENT.replace('family = "small"', 'family = "registry"').replace("l2 = 10.0", "l2 = L2")


def experiment_of(folder: Path, l2: str) -> Experiment:
    path = folder / f"e{l2}.toml"
    path.write_text(EXPERIMENT.replace("L2", l2))
    return load_experiment(path)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """800 simulated sessions; version 1.0.0 is active, 1.0.1 was promoted after it, 1.0.2 is a shadow."""
    folder = tmp_path_factory.mktemp("registry")
    clock = ManualClock(datetime(2019, 1, 2, 12, tzinfo=UTC))
    with open_workspace(settings=load_settings(home=folder / "home", workers=1), clock=clock) as opened:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=800, last=date(2018, 12, 31)))
        save_instrument(opened.ledger, made.instrument)
        opened.store.append(made.bars, made.lineage)
        for l2 in ("10.0", "1.0", "100.0"):
            workflows.register_model(opened, NAME, experiment_of(folder, l2))
        yield opened


def test_rollback_restores_the_earlier_hash_in_one_command(workspace: Workspace, monkeypatch, capsys) -> None:
    import sys

    from fieldcast.cli import main

    def run(*words: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["fieldcast", *words, "--home", str(workspace.home), "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return json.loads(capsys.readouterr().out)

    first = run("models", "promote", MODEL, "1.0.0")
    second = run("models", "promote", MODEL, "1.0.1")
    assert first["sha256"] != second["sha256"]
    restored = run("models", "rollback", MODEL, "--note", "drill")
    assert restored["sha256"] == first["sha256"]
    assert restored["active"] is True
    assert model_registry(workspace).load(MODEL).hash == first["sha256"]
    assert [change["action"] for change in restored["history"]] == ["promote", "promote", "rollback"]
    assert run("audit", "verify")["ok"] is True


def test_the_report_holds_the_model_against_its_baselines_on_equal_rows(workspace: Workspace) -> None:
    scores = workflows.show_model(workspace, MODEL, "1.0.0").version.baselines["scores"]
    needed = set(REQUIRED_BASELINES) - set(IMPLIED_BASELINES)  # a simulated market has no implied volatility
    assert {one["name"].split("[")[0] for one in scores} >= {"logistic", "anchor", *needed}
    assert len({one["n"] for one in scores}) == 1
    kept = model_registry(workspace)
    bare = kept.register("bare", kept.load(MODEL, "1.0.0"), None, instrument=NAME, label="sign", horizon=1,
                         configuration_hash="c", data_hash="d", trained_until=workspace.clock.now(), simulated=True)  # fmt: skip
    with pytest.raises(Halted, match="baselines"):
        workflows.promote_model(workspace, "bare", bare.version)


@pytest.mark.slow
def test_a_real_market_s_model_is_not_promoted_without_the_baselines_of_implied_volatility(tmp_path: Path) -> None:
    """S&P 500 and VIX, 2015 to 2018."""
    clock = ManualClock(datetime(2026, 1, 2, 12, tzinfo=UTC))
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1), clock=clock) as workspace:
        instruments = []
        for name in ("sp500", "vix"):
            instrument, bars, lineage = read_bundled(name, clock)
            save_instrument(workspace.ledger, instrument)
            workspace.store.append(bars.filter(pl.col("ts").dt.year() >= 2015), lineage)
            instruments.append(instrument.id)
        market, vix = instruments
        bare = workflows.register_model(workspace, market, experiment_of(tmp_path, "10.0"), name="bare").version
        assert bare.baselines["missing"] == list(IMPLIED_BASELINES)
        with pytest.raises(Halted, match="missing implied_exceedance, strong_anchor"):
            workflows.promote_model(workspace, "bare", bare.version)
        whole = workflows.register_model(workspace, market, experiment_of(tmp_path, "10.0"), name="whole", vix=vix).version
        assert {one["name"].split("[")[0] for one in whole.baselines["scores"]} >= set(REQUIRED_BASELINES)
        assert workflows.promote_model(workspace, "whole", whole.version).version.active


def test_shadows_are_recorded_beside_the_active_model(workspace: Workspace) -> None:
    if not workflows.show_model(workspace, MODEL).history:
        workflows.promote_model(workspace, MODEL, "1.0.0")
    shown = workflows.predict_models(workspace, MODEL)
    assert set(shown.predicted) == {"1.0.0", "1.0.1", "1.0.2"}
    assert len(set(shown.predicted.values())) == 3
    again = workflows.predict_models(workspace, MODEL)
    assert again.predicted == shown.predicted
    assert shown.shadows == ()  # the next close is not known yet


def test_each_trigger_fires_on_a_planted_case_and_not_on_a_null_case(workspace: Workspace) -> None:
    """Version 1.0.1 speaks calibrated odds on 252 past sessions, 1.0.2 the opposite of what comes."""
    kept, rules = model_registry(workspace), TriggerRules(draws=300)
    rows = labels.sign(workspace.store.read(NAME), 1).drop_nulls("y").tail(252)
    base = kept.get(MODEL, "1.0.1").baselines["scores"]
    rng = np.random.default_rng(3)
    assert {one["name"] for one in base} >= {"base_rate"}
    for ts, y in zip(rows["ts"].to_list(), rows["y"].to_list(), strict=True):
        sound = 0.55 if rng.random() < (0.55 if y else 0.45) else 0.45  # P(up | 0.55) = 0.55 where up is even
        kept.record_prediction(MODEL, "1.0.1", NAME, ts + DECISION_DELAY, sound)
        kept.record_prediction(MODEL, "1.0.2", NAME, ts + DECISION_DELAY, 0.35 if y else 0.65)
    null = {one.name: one for one in workflows.model_triggers(workspace, MODEL, "1.0.1", rules=rules).triggers}
    assert {name: one.fired for name, one in null.items()} == dict.fromkeys(
        ("schedule", "decay", "calibration", "drift", "command"), False), null  # fmt: skip
    assert null["decay"].n == null["calibration"].n == 252
    late = workspace.clock
    assert isinstance(late, ManualClock)
    late.advance_to(late.now() + timedelta(days=40))
    planted = workflows.model_triggers(workspace, MODEL, "1.0.2", request=True, rules=rules)
    fired = {one.name for one in planted.triggers if one.fired}
    assert fired == {"schedule", "decay", "calibration", "command"}
    assert planted.due


def test_drift_fires_when_the_market_changes_and_not_before(tmp_path: Path) -> None:
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="martingale", n_sessions=2000, last=date(2018, 12, 31)))
        calm = made.bars
        base = calm["close"].log().diff().fill_null(0.0)
        # from row 800 on every move is three times as large; ranges too
        scale = pl.Series(np.where(np.arange(calm.height) < 1200, 1.0, 3.0))
        path = float(calm["close"][0]) * (base * scale).cum_sum().exp()
        wild = calm.with_columns(
            [(path * ((calm[name] / calm["close"]).log() * scale).exp()).alias(name) for name in ("open", "high", "low", "close")]
        )
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(wild.head(1200), made.lineage)
        found = workflows.register_model(workspace, made.instrument.id, experiment_of(tmp_path, "10.0")).version
        assert workflows.model_drift(workspace, found.name, sessions=700).report.drifted == ()
        workspace.store.append(wild.tail(800), made.lineage)
        report = workflows.model_drift(workspace, found.name, sessions=750).report
        assert report.drifted
        assert not {one.name for one in workflows.model_triggers(workspace, found.name, sessions=750).triggers if one.fired} & {
            "decay", "calibration", "command"}  # fmt: skip
