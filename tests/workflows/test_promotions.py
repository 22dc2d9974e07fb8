"""The promotion gates on a workspace: what is asked, what is tested for leaks, and what a planted leak does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.validation import GateOutcome, LeakageReport, LeakKind
from fieldcast.workflows import Experiment, Workspace, check_promotion, promotions, validate
from fieldcast.workflows.prepare import prepare


@pytest.fixture
def one(workspace: Workspace) -> str:
    from fieldcast.data import list_instruments

    return list_instruments(workspace.ledger)[0].id


def test_a_small_sample_cannot_be_judged_and_nothing_leaks(workspace: Workspace, small: Experiment, one: str) -> None:
    found = check_promotion(workspace, [one], small)
    (result,) = found.results
    assert result.outcome is GateOutcome.CANNOT_JUDGE
    assert found.exit_code == 4
    assert "1000 effective calls" in result.text
    assert result.leakage.startswith("no leak found")
    assert json.loads(json.dumps(found.as_dict()))["symbols"][0]["symbol"] == one
    assert found.as_dict()["symbols"][0]["simulated"] is True
    assert one in found._repr_html_()


def test_the_figures_are_those_of_the_stored_projections(workspace: Workspace, small: Experiment, one: str) -> None:
    part = validate(workspace, [one], small)[one]
    (result,) = check_promotion(workspace, [one], small).results
    happened = part.outcomes.filter((pl.col("horizon") == "1d") & pl.col("ret").is_not_null() & (pl.col("ret") != 0.0))
    forecast = part.projections.filter((pl.col("horizon") == "1d") & (pl.col("status") == "ok"))
    table = forecast.join(happened, on=["as_of", "horizon"])
    called_up = (table["p_up"] >= table["p_down"]).to_numpy()
    rose = (table["ret"] > 0).to_numpy()
    assert result.n == table.height > 100
    assert result.accuracy == pytest.approx(np.mean(called_up == rose))
    assert result.majority == pytest.approx(max(rose.mean(), 1 - rose.mean()))


def test_every_door_of_the_real_code_is_tested(workspace: Workspace, small: Experiment, one: str) -> None:
    from fieldcast.data import load_instrument

    prepared = prepare(workspace.store, load_instrument(workspace.ledger, one), small)
    report = LeakageReport.of(promotions.leakage_checks(workspace, prepared, small))
    assert report.ok, str(report)
    assert not report.untested


def test_a_leak_in_the_code_fails_the_gates_by_name(
    workspace: Workspace, small: Experiment, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = promotions.compute

    def leaky(bars: pl.DataFrame, *arguments: object, **options: object) -> pl.DataFrame:
        table = sound(bars, *arguments, **options)  # type: ignore[arg-type]
        first = next(name for name, kind in table.schema.items() if kind.is_float())
        return table.with_columns(pl.col(first).shift(-1))

    monkeypatch.setattr(promotions, "compute", leaky)
    found = check_promotion(workspace, [one], small)
    assert found.exit_code == 1
    assert found.results[0].outcome is GateOutcome.FAIL
    assert f"leakage in {LeakKind.FEATURES}" in found.results[0].text


def _trained_on_everything(fit: Callable[..., object]) -> Callable[..., object]:
    return lambda task, train: fit(task, np.arange(task.first_usable, task.y.size))


def _centred_by_everything(fit: Callable[..., object]) -> Callable[..., object]:
    return lambda task, train: fit(replace(task, features=task.features - np.nanmean(task.features, axis=0)), train)


@pytest.mark.parametrize(
    ("plant", "kinds", "named"),
    [
        (_trained_on_everything, {LeakKind.SCALERS, LeakKind.THRESHOLDS}, "a row outside training follows others outside"),
        (_centred_by_everything, {LeakKind.SCALERS}, "a training row follows rows outside training"),
    ],
)
def test_a_leak_in_the_walk_itself_is_found(
    workspace: Workspace,
    small: Experiment,
    one: str,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[..., Callable[..., object]],
    kinds: set[LeakKind],
    named: str,
) -> None:
    from fieldcast.data import load_instrument
    from fieldcast.projection import walk_forward

    prepared = prepare(workspace.store, load_instrument(workspace.ledger, one), small)
    monkeypatch.setattr(walk_forward, "fit_fold", plant(walk_forward.fit_fold))
    report = LeakageReport.of(promotions.leakage_checks(workspace, prepared, small))
    assert report.kinds == kinds
    assert named in str(report)


def test_wrong_use_is_refused(workspace: Workspace, small: Experiment, one: str) -> None:
    with pytest.raises(InvalidInput, match="each instrument once"):
        check_promotion(workspace, [one, one], small)
    with pytest.raises(MissingData):
        check_promotion(workspace, ["SIM:NONE"], small)
