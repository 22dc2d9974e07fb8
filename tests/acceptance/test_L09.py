"""L09: Pre-registration: minimum detectable effect printed before a run, sealed test opened once, compute axis recorded.

Done when: "A second opening of a sealed test is refused and logged, and a run without its effect size does not start"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from fieldcast import workflows
from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ConflictError, Halted, ManualClock, load_settings
from fieldcast.ledger import tables
from fieldcast.workflows import Experiment, Workspace, load_experiment, open_workspace

from .conftest import SMALL_EXPERIMENT

pytestmark = pytest.mark.feature("L09")
OPEN_PARTS: tuple[str, ...] = ()

EXPERIMENT = SMALL_EXPERIMENT.replace('family = "small"', 'family = "sealed"\npreregistered = {preregistered}')
NAME = "SIM:PLANTED"
FIRST, LAST = date(2018, 7, 2), date(2018, 12, 31)


def experiment_of(folder: Path, *, preregistered: bool = True, l2: str = "10.0") -> Experiment:
    path = folder / f"e{preregistered}{l2}.toml"
    path.write_text(EXPERIMENT.format(preregistered=str(preregistered).lower()).replace("l2 = 10.0", f"l2 = {l2}"))
    return load_experiment(path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 5, 12, tzinfo=UTC))


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1), clock=clock) as opened:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=800, last=LAST))
        save_instrument(opened.ledger, made.instrument)
        opened.store.append(made.bars, made.lineage)
        yield opened


def trials(workspace: Workspace) -> int:
    with workspace.ledger.read() as session:
        return int(session.scalar(select(func.count()).select_from(tables.Trial)) or 0)


def test_the_whole_way(workspace: Workspace, clock: ManualClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fieldcast.cli import _render

    experiment, other = experiment_of(tmp_path), experiment_of(tmp_path, l2="1.0")
    workflows.seal_span(workspace, "final", [NAME], first=FIRST, last=LAST)

    # a run without its effect size does not start: no row is read, no trial recorded
    with pytest.raises(Halted, match="effect_unknown"):
        workflows.validate(workspace, [NAME], experiment)
    assert trials(workspace) == 0

    # the effect is printed and stored before the run, with the compute axis
    made = workflows.register_experiment(workspace, [NAME], experiment, first=FIRST, last=LAST)
    _render.show(made, as_json=False)
    shown = capsys.readouterr().out
    assert shown.startswith(f"minimum detectable effect: AUC {made.effect.auc:.4f}")
    assert "compute: training rows summed over all fits" in shown
    assert 0.5 < made.effect.auc < 1.0
    with workspace.ledger.read() as session:
        row = session.scalars(select(tables.Registration)).one()
    assert (row.minimum_effect, row.standard_error) == (made.effect.minimum, made.effect.standard_error)
    assert row.compute["training_rows"] > row.compute["fits"] > 0
    assert row.configuration == experiment.model_dump(mode="json")
    assert row.measured_on.endswith("2018-06-28")  # the last outcome that had ended before the seal

    # before the opening, a run ends where the seal begins
    before = workflows.validate(workspace, [NAME], experiment)
    assert before[NAME].last_session == "2018-06-29"
    with pytest.raises(Halted, match="effect_unknown"):  # the family is pre-registered: so is every configuration of it
        workflows.validate(workspace, [NAME], other)

    # opened once, for the frozen configuration
    clock.advance_to(clock.now() + timedelta(hours=1))
    with pytest.raises(Halted, match="frozen before"):
        workflows.open_span(workspace, "final", other)
    opened = workflows.open_span(workspace, "final", experiment)
    assert opened.seal.opened_for == experiment.hash
    assert workflows.validate(workspace, [NAME], experiment)[NAME].last_session == "2018-12-31"
    clock.advance_to(clock.now() + timedelta(hours=1))
    workflows.register_experiment(workspace, [NAME], other, first=FIRST, last=LAST)
    clock.advance_to(clock.now() + timedelta(hours=1))
    for again in (experiment, other):
        with pytest.raises(ConflictError, match="opened once"):
            workflows.open_span(workspace, "final", again)
    assert workflows.validate(workspace, [NAME], other)[NAME].last_session == "2018-06-29"

    # every attempt stands in the audit trail, and the trail is whole
    with workspace.ledger.read() as session:
        log = [json.loads(text) for text in session.scalars(select(tables.AuditLog.record).order_by(tables.AuditLog.sequence))]
    assert [record["final_decision"] for record in log] == [
        "SEALED", "REGISTERED", "REFUSED", "OPENED", "REGISTERED", "REFUSED", "REFUSED"]  # fmt: skip
    assert workflows.verify_audit(workspace).ok
    listed = workflows.list_seals(workspace).as_dict()
    assert listed["seals"][0]["opened_for"] == experiment.hash
    assert "sealed span final, opened" in {one["label"] for one in listed["looked_at"]}


def test_nothing_that_fits_or_scores_reads_what_is_sealed(workspace: Workspace, tmp_path: Path) -> None:
    """What was validated before the seal is no way around it, and neither is any other verb."""
    from fieldcast.features import REGISTRY
    from fieldcast.workflows.cross_sections import _stored
    from fieldcast.workflows.cycles import projections_of
    from fieldcast.workflows.registered_models import _outcomes, model_registry

    plain, midnight = experiment_of(tmp_path, preregistered=False), datetime(2018, 7, 2, tzinfo=UTC)
    workflows.register_model(workspace, NAME, plain)
    workflows.validate(workspace, [NAME], plain)
    kept = model_registry(workspace)
    whole = projections_of(workspace, NAME, plain)
    assert whole.table["as_of"].max() > midnight
    assert max(_outcomes(workspace, kept, "sim-planted"))[1] > midnight
    workflows.seal_span(workspace, "final", [NAME], first=FIRST, last=LAST)
    cut = projections_of(workspace, NAME, plain)
    assert cut.table["as_of"].max() < midnight
    ended = cut.outcomes.filter(cut.outcomes["ret"].is_not_null())
    assert ended.height
    assert ended["label_end_ts"].max() < midnight
    assert max(at for _, at in _outcomes(workspace, kept, "sim-planted")) < midnight
    column = next(name for name, one in REGISTRY.items() if one.block == "volatility")
    rows, _ = _stored(workspace, column, [NAME], (), lambda *_: None)
    assert rows["date"].max() == date(2018, 6, 29)
    assert workflows.ablate(workspace, NAME, plain).last == "2018-06-29"
    assert workflows.read_tiers(workspace, NAME, plain).as_of < midnight
    with pytest.raises(Halted, match="effect_unknown"):  # nor does anything start without its effect size
        workflows.ablate(workspace, NAME, experiment_of(tmp_path))


def test_the_watch_records_nothing_sealed_and_live_stays_locked(workspace: Workspace, tmp_path: Path) -> None:
    from fieldcast.market import sessions
    from fieldcast.workflows.watching import live_lock

    evening = sessions("XNYS").filter(sessions("XNYS")["session"] == LAST)["as_of"][0]
    with open_workspace(settings=workspace.settings, clock=ManualClock(evening)) as then:
        workflows.seal_span(then, "final", [NAME], first=FIRST, last=LAST)
        found = workflows.run_watch(then, [NAME], experiment_of(tmp_path, preregistered=False))
        assert found.statuses == {NAME: "sealed"}
        with then.ledger.begin("paper") as session:
            session.add(tables.PaperPacket(watch="paper", instrument=NAME, session=LAST, as_of=evening, digest="x",
                                           configuration_hash="c", regime={}, recorded_at=evening))  # fmt: skip
        assert "sealed" in live_lock(then).reasons


def test_an_experiment_that_is_not_preregistered_runs_as_before(workspace: Workspace, tmp_path: Path) -> None:
    plain = experiment_of(tmp_path, preregistered=False)
    assert plain.hash != experiment_of(tmp_path).hash
    assert workflows.validate(workspace, [NAME], plain)[NAME].last_session == "2018-12-31"


def test_training_reads_nothing_sealed_either(workspace: Workspace) -> None:
    assert str(workflows.fit_regime(workspace, NAME).hmm.fitted_until.date()) == "2018-12-31"
    workflows.seal_span(workspace, "final", ["*"], first=FIRST, last=LAST)
    assert str(workflows.fit_regime(workspace, NAME).hmm.fitted_until.date()) == "2018-06-29"


def test_a_report_says_what_had_been_looked_at(tmp_path: Path) -> None:
    from dataclasses import replace

    from fieldcast.validation.sealed import LOOKED_BEFORE
    from fieldcast.workflows.reports import ReportInput, render

    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=500, last=date(2024, 6, 28)))
        named = replace(made.instrument, simulated=False, id="XNAS:X") if not made.instrument.simulated else made.instrument
        save_instrument(workspace.ledger, named)
        workspace.store.append(made.bars, made.lineage)
        found = workflows.validate(workspace, [NAME], experiment_of(tmp_path, preregistered=False))
    assert found.looked == ()  # a simulated market has no years that anybody had seen
    page = render(ReportInput(replace(found, looked=LOOKED_BEFORE)))
    assert "Looked at before" in page
    assert "looked at while Fieldcast was being built" in page
    assert "Looked at before" not in render(ReportInput(found))
