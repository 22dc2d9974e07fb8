"""The figures that the documentation states, computed again: they may move with the code, never out of these bounds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fieldcast.ground import load_settings
from fieldcast.workflows import gate_study, holdout, import_bundled, import_data, load_experiment, open_workspace, validate

pytestmark = pytest.mark.slow


def test_nasdaq_cones_cover_and_are_no_wider_than_garchs(tmp_path: Path) -> None:
    """NASDAQ, 1 day: Kupiec p > .05 at 75 %; interval score minus GARCH's below 0 and its upper bound below +0.5 %."""
    with open_workspace(settings=load_settings(home=tmp_path)) as workspace:
        name = import_bundled(workspace, "nasdaq").id
        part = validate(workspace, [name], load_experiment())[name]
    own = part.cones.filter((pl.col("horizon") == 1) & (pl.col("model") == "fieldcast"))
    assert own.filter(pl.col("level") == 0.75)["kupiec_p"].item() > 0.05
    difference = part.cone_difference.filter(pl.col("horizon") == 1).row(0, named=True)
    assert difference["n"] > 3000
    assert difference["relative"] < 0.0
    assert difference["high"] < 0.005
    assert part.gate.n > 3000


def test_the_gate_finds_a_planted_edge_and_refuses_martingales() -> None:
    """Logistic, sign over one day, random seeds 0 to 19, none dropped: 19 of 20 planted pass, at most 2 martingales do."""
    experiment = load_experiment()
    planted = gate_study("planted", range(20), experiment)
    martingale = gate_study("martingale", range(20), experiment)
    assert len(planted.results) == len(martingale.results) == 20
    assert planted.passes >= 19, planted.as_dict()
    assert martingale.passes <= 2, martingale.as_dict()


@pytest.mark.realdata
def test_spy_event_scores_on_the_published_spans(realdata: Path, tmp_path: Path) -> None:
    """SPY high >= +1 % in one day, fitted to the end of 2022: simple models stand where the published networks stood.

    Published AUC: .718 on 2023-04-27..2024-12-31 (n 422), .878 on 2025-04-28..2025-12-31 (n 181 with warm-up days).
    """
    daily = realdata / "daily" / "yahoo_adjusted"
    spans = ((date(2023, 4, 27), date(2024, 12, 31)), (date(2025, 4, 28), date(2025, 12, 31)))
    with open_workspace(settings=load_settings(home=tmp_path)) as workspace:
        import_data(workspace, daily / "SPY.csv.gz", "ARCX:SPY", kind="etf", adjusted=True)
        import_data(workspace, daily / "VIX.csv.gz", "XCBO:VIX", kind="index")
        found = holdout(workspace, "ARCX:SPY", load_experiment(), fitted_to=date(2022, 12, 31), spans=spans, vix="XCBO:VIX")
    auc = {(row["model"], row["first"].year): row for row in found.scores.filter(pl.col("metric") == "auc").to_dicts()}
    assert {row["n"] for key, row in auc.items() if key[1] == 2023} == {423}
    assert {row["n"] for key, row in auc.items() if key[1] == 2025} == {171}
    for model in ("anchor_vix", "boosted_trees", "logistic"):
        assert auc[model, 2023]["low"] < 0.718 < auc[model, 2023]["high"] or auc[model, 2023]["estimate"] > 0.718
        assert auc[model, 2025]["low"] < 0.878 < auc[model, 2025]["high"] or auc[model, 2025]["estimate"] > 0.878
    assert auc["anchor", 2023]["estimate"] < auc["anchor_vix", 2023]["estimate"]
