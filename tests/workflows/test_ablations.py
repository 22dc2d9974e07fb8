"""The ablation of the fitted regime: columns that know nothing later, and evidence that reaches the ledger."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from fieldcast.fields._rows import rows_of
from fieldcast.fields.regime import hmm_probabilities, observations
from fieldcast.ground import InvalidInput, ManualClock, MissingData, Reason, Settings
from fieldcast.models.hmm import fit_hmm
from fieldcast.validation import UPGRADES, load_evidence
from fieldcast.workflows import ablate_regime, load_experiment, open_workspace, simulate_data
from fieldcast.workflows.ablations import COLUMNS, regime_columns

from .conftest import SMALL

NOW = datetime(2024, 3, 1, tzinfo=UTC)
QUICK = SMALL.replace("l2 = 10.0\nrefit = 21", "l2 = 10.0\nrefit = 63")


@pytest.mark.slow
def test_the_ablation_walks_twice_and_records_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(QUICK)
    experiment = load_experiment(tmp_path / "small.toml")
    with open_workspace(settings=Settings(home=tmp_path / "home", workers=1), clock=ManualClock(NOW)) as workspace:
        simulate_data(workspace, ["ONE"], first=date(2019, 9, 3), last=date(2024, 1, 4), seed=8)
        found = ablate_regime(workspace, "SIM:ONE", experiment)
        upgrade = UPGRADES["hmm_regime"]
        with workspace.ledger.read() as session:
            assert set(load_evidence(session, upgrade.claims, NOW)) == set(found.evidence)
        assert found.verdict.reasons == (Reason.SIMULATED,)
        assert all(row.span.simulated and row.n > 100 for row in found.evidence)
        assert found.evidence[0].configuration_hash == upgrade.configuration_hash("SIM:ONE")

        bars = workspace.store.read("SIM:ONE")
        columns = regime_columns(bars, simulated=True)
        assert columns.shape == (bars.height, len(COLUMNS))
        assert np.isnan(columns[:756]).all()
        assert np.isfinite(columns[756:]).all()
        np.testing.assert_array_equal(regime_columns(bars.head(1_020), simulated=True), columns[:1_020])
        values = observations(rows_of(bars), ("return", "range"))
        first = fit_hmm(values[:756], ("return", "range"), instrument="SIM:ONE", fitted_until=bars["available_at"][755])
        np.testing.assert_array_equal(columns[756:1_008, 0], hmm_probabilities(values[:1_008], first)[756:, 0])
        with pytest.raises(MissingData, match="756 bars"):
            regime_columns(bars.head(756), simulated=True)
        event = experiment.model_copy(update={"nominated": experiment.nominated.model_copy(update={"horizon": 5})})
        with pytest.raises(InvalidInput, match="sign at 1 session"):
            ablate_regime(workspace, "SIM:ONE", event)
