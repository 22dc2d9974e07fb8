"""The registry on both dialects: versions, hashes, promotion with baselines alone, roll-back, shadows that nothing uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

import fieldcast
from fieldcast.ground import ConflictError, Halted, IntegrityError, InvalidInput, ManualClock, MissingData
from fieldcast.ledger import open_database, tables
from fieldcast.models import Logistic
from fieldcast.models.baselines import REQUIRED_BASELINES, BaselineReport, Score, compare_with_baselines
from fieldcast.models.drift import TrainingSample
from fieldcast.models.registry import ModelRegistry, Version

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
Y = (np.random.default_rng(0).random(200) < 0.5).astype(float)
X = np.random.default_rng(1).standard_normal((200, 2))


def fitted(l2: float) -> Logistic:
    return Logistic(l2).fit(X, Y)


def report_of(model: str = "logistic", *, without: str = "", required: tuple[str, ...] = REQUIRED_BASELINES) -> BaselineReport:
    odds = {model: np.full(200, 0.5)} | {name: np.full(200, Y.mean()) for name in REQUIRED_BASELINES if name not in without}
    return compare_with_baselines(model, Y, odds, label="sign 1d", required=required)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModelRegistry]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_database(url, tmp_path) as db:
        yield ModelRegistry(db, tmp_path / "models", ManualClock(NOW))


def add(kept: ModelRegistry, l2: float, report: BaselineReport | None, **more: object) -> Version:
    return kept.register(
        "spy", fitted(l2), report, instrument="ARCX:SPY", label="sign", horizon=1, configuration_hash="c", data_hash="d",
        trained_until=NOW - timedelta(days=3), simulated=False, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_versions_promotions_and_roll_back(kept: ModelRegistry) -> None:
    one, two = add(kept, 1.0, report_of()), add(kept, 2.0, report_of(), change="minor")
    three = add(kept, 3.0, report_of(), change="major")
    assert [v.version for v in kept.versions("spy")] == [one.version, two.version, three.version] == ["1.0.0", "1.1.0", "2.0.0"]
    assert add(kept, 2.0, None).version == "1.1.0"  # the same model is the version that it has
    assert one.sha256 == fitted(1.0).hash
    with pytest.raises(MissingData):
        kept.get("spy")
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        kept.promote("spy", version)
    assert kept.rollback("spy").sha256 == two.sha256
    assert kept.get("spy").sha256 == kept.load("spy").hash == two.sha256
    assert kept.rollback("spy").sha256 == one.sha256  # and the one before
    with pytest.raises(MissingData, match="earlier"):
        kept.rollback("spy")
    kept.promote("spy", "2.0.0")
    assert kept.rollback("spy").version == "1.0.0"  # what it took the place of, whatever came before
    assert [(p.action, p.version) for p in kept.history("spy")][3:] == [
        ("rollback", "1.1.0"), ("rollback", "1.0.0"), ("promote", "2.0.0"), ("rollback", "1.0.0")]  # fmt: skip
    with pytest.raises(ConflictError, match="the same"):
        kept.promote("spy", "1.0.0")


def test_models_that_are_registered_at_once_do_not_write_over_each_other(kept: ModelRegistry) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def attempt(l2: float) -> str:
        try:
            return add(kept, l2, report_of()).sha256
        except IntegrityError:  # PostgreSQL: the version was taken in between; nothing was written
            return ""

    with ThreadPoolExecutor(4) as pool:
        made = [sha256 for sha256 in pool.map(attempt, (1.0, 2.0, 3.0, 4.0)) if sha256]
    assert sorted(kept.load("spy", one.version).hash for one in kept.versions("spy")) == sorted(made)
    assert made


def test_promotions_stand_in_the_audit_trail(kept: ModelRegistry) -> None:
    add(kept, 1.0, report_of())
    kept.promote("spy", "1.0.0")
    with kept._database.read() as session:
        record = json.loads(session.scalars(select(tables.AuditLog.record)).one())
    assert record["final_decision"] == "PROMOTE"
    assert record["metadata"]["sha256"] == fitted(1.0).hash


@pytest.mark.parametrize("fault", ["no report", "a baseline is missing", "asked for less", "unequal n", "no rows", "alone"])
def test_a_model_without_its_baselines_on_equal_n_cannot_be_promoted(kept: ModelRegistry, fault: str) -> None:
    good = report_of()
    scores = {"unequal n": (*good.scores[:-1], replace(good.scores[-1], n=199)), "alone": good.scores[:1]}.get(fault, good.scores)
    reports = {
        "no report": None,
        "a baseline is missing": report_of(without="garch_exceedance"),
        "asked for less": report_of(without="garch_exceedance", required=("base_rate",)),
        "no rows": BaselineReport("logistic", "sign 1d", 0, 200, tuple(replace(s, n=0) for s in good.scores), ()),
    }
    add(kept, 1.0, reports.get(fault, replace(good, scores=scores)))
    with pytest.raises(Halted, match=r"baseline|rows"):
        kept.promote("spy", "1.0.0")
    assert kept.history("spy") == []
    assert isinstance(good.scores[0], Score)


def test_a_changed_file_is_neither_promoted_nor_rolled_back_to(kept: ModelRegistry) -> None:
    add(kept, 1.0, report_of())
    add(kept, 2.0, report_of())
    kept.promote("spy", "1.0.0")
    kept.promote("spy", "1.0.1")
    path = kept._folder / "spy" / "1.0.0" / "model.json"
    path.write_text(path.read_text().replace('"l2": 1.0', '"l2": 9.0'))
    with pytest.raises(IntegrityError):
        kept.rollback("spy")
    with pytest.raises(IntegrityError):
        kept.promote("spy", "1.0.0")
    assert kept.get("spy").version == "1.0.1"


def test_the_training_sample_is_kept_and_checked(kept: ModelRegistry) -> None:
    sample = TrainingSample.of(X, ["a", "b"])
    add(kept, 1.0, report_of(), sample=sample)
    add(kept, 2.0, report_of())
    assert kept.sample("spy", "1.0.0") == sample
    with pytest.raises(MissingData, match="training sample"):
        kept.sample("spy", "1.0.1")
    (kept._folder / "spy" / "1.0.0" / "training_sample.json").write_text("{}")
    with pytest.raises(IntegrityError):
        kept.sample("spy", "1.0.0")


def test_shadows_are_recorded_beside_the_active_model_and_scored_on_common_rows(kept: ModelRegistry) -> None:
    for l2 in (1.0, 2.0):
        add(kept, l2, report_of())
    kept.promote("spy", "1.0.0")
    moments = [NOW + timedelta(days=k) for k in range(6)]
    for k, at in enumerate(moments):
        assert kept.record_prediction("spy", "1.0.0", "ARCX:SPY", at, 0.6) == "active"
        if k:
            assert kept.record_prediction("spy", "1.0.1", "ARCX:SPY", at, 0.7) == "shadow"
    assert kept.record_prediction("spy", "1.0.1", "ARCX:SPY", moments[1], 0.1) == "shadow"  # the first word stands
    assert kept.predictions("spy", "1.0.1")[0] == ("ARCX:SPY", moments[1], 0.7)
    outcomes = {("ARCX:SPY", at): 1.0 for at in moments[:5]}
    active, shadow = kept.shadow_scores("spy", outcomes)
    assert (active.version, active.role, active.n) == ("1.0.0", "active", 4)
    assert (shadow.version, shadow.role, shadow.n) == ("1.0.1", "shadow", 4)
    assert (active.log_loss, shadow.log_loss) == (pytest.approx(-np.log(0.6)), pytest.approx(-np.log(0.7)))
    with pytest.raises(InvalidInput):
        kept.record_prediction("spy", "1.0.1", "ARCX:SPY", NOW, 1.1)


def test_nothing_but_the_registry_touches_the_rows_of_predictions() -> None:
    root = Path(fieldcast.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"ModelPrediction\b|model_prediction\b", path.read_text(encoding="utf-8"))
    }
    assert users == {"ledger/_tables_models.py", "ledger/tables.py", "ledger/migrations/versions/0004_science.py",
                     "models/registry.py"}  # fmt: skip


def test_a_name_is_a_plain_word(kept: ModelRegistry) -> None:
    with pytest.raises(InvalidInput, match="small letters"):
        kept.register("../x", fitted(1.0), None, instrument="A", label="sign", horizon=1, configuration_hash="c", data_hash="d",
                      trained_until=NOW, simulated=False)  # fmt: skip
