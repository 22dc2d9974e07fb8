"""Trials and gate results in the ledger: what goes in comes out, on both databases, and damage is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.evaluation import MemoryTrialLog, TrialEvaluator, TrialScore, family_figures
from fieldcast.ground import IntegrityError, ManualClock, MissingData, Reason
from fieldcast.ledger import Database, open_database, tables
from fieldcast.validation import GateOutcome, GateResult, LedgerTrialLog, load_gate_result, save_gate_result

NOW = datetime(2019, 1, 2, 21, 30, tzinfo=UTC)
N = 300
DATES = np.datetime64("2015-01-05") + np.arange(N) * np.timedelta64(1, "D")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as database:
        yield database


def _log(database: Database, tmp_path: Path, at: datetime = NOW) -> LedgerTrialLog:
    return LedgerTrialLog(database, tmp_path / "trials", ManualClock(at))


def _score(log: LedgerTrialLog | MemoryTrialLog, horizon: int = 1, seed: int = 0) -> TrialScore:
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.normal(size=N)
    forecast = np.clip(0.5 + 3.0 * returns + 0.05 * rng.normal(size=N), 0.01, 0.99)
    return TrialEvaluator(log, family="demo").score(
        {"model": "logistic", "l2": 0.1, "columns": ("a", "b")}, instrument="XNAS:COMP", label="sign", horizon=horizon,
        dates=DATES, forecast=forecast, outcome=returns > 0, returns=returns, children=14, draws=30,
    )


def _round_trip(database: Database, tmp_path: Path) -> None:
    log = _log(database, tmp_path)
    memory = MemoryTrialLog()
    for horizon in (1, 5):
        _score(log, horizon)
        _score(memory, horizon)
    found, expected = log.trials("demo"), memory.trials("demo")
    assert [trial.id for trial in found] == [trial.id for trial in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.series, theirs.series)
        np.testing.assert_array_equal(ours.dates, theirs.dates)
        assert (ours.estimate, ours.n, ours.metric, ours.children) == (theirs.estimate, theirs.n, "auc", 14)
        assert (ours.span_start, ours.span_end) == (theirs.span_start, theirs.span_end)
    ledger, plain = family_figures(log, "demo"), family_figures(memory, "demo")
    assert (ledger.n, ledger.n_effective, ledger.variance) == (plain.n, plain.n_effective, plain.variance)
    assert [t.dsr for t in ledger.trials] == [t.dsr for t in plain.trials]
    assert log.trials("other") == ()


def test_trials_come_back_as_they_went_in(database: Database, tmp_path: Path) -> None:
    _round_trip(database, tmp_path)


def test_trials_come_back_from_postgresql(postgres_url: str, tmp_path: Path) -> None:
    with open_database(postgres_url, None) as database:
        _round_trip(database, tmp_path)


def test_another_process_that_runs_it_again_adds_a_look_and_no_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    for run in range(3):
        with open_database(url, None) as database:
            log = _log(database, tmp_path, NOW + timedelta(days=run))
            trial = _score(log).trial
            assert len(log.trials("demo")) == 1
            assert log.looks(trial.id) == run + 1
            with database.read() as session:
                row = session.get_one(tables.Trial, trial.id)
                assert (row.first_seen, row.last_seen) == (NOW, NOW + timedelta(days=run))
    assert len(list((tmp_path / "trials").iterdir())) == 1


def test_restated_data_refreshes_the_series_of_the_same_trial(database: Database, tmp_path: Path) -> None:
    log = _log(database, tmp_path)
    first, second = _score(log).trial, _score(log, seed=8).trial
    assert first.id == second.id
    (kept,) = log.trials("demo")
    np.testing.assert_array_equal(kept.series, second.series)
    assert len(list((tmp_path / "trials").iterdir())) == 1
    assert log.looks(first.id) == 2
    assert log.looks("unknown") == 0


def _change_value(path: Path) -> None:
    children = pl.read_parquet_metadata(path)["children"]
    frame = pl.read_parquet(path).with_columns(value=pl.col("value") + 1e-9)
    frame.write_parquet(path, metadata={"children": children})


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:100]), _change_value],
    ids=["gone", "cut", "changed"],
)
def test_a_series_that_is_gone_cut_or_changed_is_seen(
    database: Database, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    log = _log(database, tmp_path)
    _score(log)
    (path,) = (tmp_path / "trials").iterdir()
    damage(path)
    with pytest.raises(IntegrityError, match="score the trial again"):
        log.trials("demo")
    _score(log)      # and scoring again mends it
    assert len(log.trials("demo")) == 1


def test_a_row_whose_identity_was_changed_is_seen(database: Database, tmp_path: Path) -> None:
    log = _log(database, tmp_path)
    trial = _score(log).trial
    with database.begin() as session:
        session.get_one(tables.Trial, trial.id).configuration = {"model": "another"}
    with pytest.raises(IntegrityError, match="identity"):
        log.trials("demo")


def test_a_crash_between_file_and_row_leaves_no_trial(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = _log(database, tmp_path)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(database, "begin", die)
        with pytest.raises(KeyboardInterrupt):
            _score(log)
    assert log.trials("demo") == ()
    trial = _score(log).trial
    assert log.looks(trial.id) == 1
    assert not list((tmp_path / "trials").glob("*.tmp"))


def _result(outcome: GateOutcome = GateOutcome.FAIL, estimate: float = 0.51) -> GateResult:
    reason = {
        GateOutcome.PASS: Reason.GATE_PASSED, GateOutcome.FAIL: Reason.GATE_FAILED,
        GateOutcome.CANNOT_JUDGE: Reason.GATE_CANNOT_JUDGE,
    }[outcome]
    return GateResult(outcome, estimate, 0.0071, 0.4983, 4210, 4210, (reason,))


def _save(database: Database, result: GateResult, as_of: datetime, **key: str) -> None:
    with database.begin() as session:
        save_gate_result(
            session, result, instrument=key.get("instrument", "XNAS:COMP"), as_of=as_of, recorded_at=as_of,
            configuration_hash=key.get("configuration_hash", "c"), data_hash=key.get("data_hash", "d"),
        )


def test_the_newest_answer_known_at_a_moment_is_read_back(database: Database) -> None:
    _save(database, _result(GateOutcome.CANNOT_JUDGE, 0.53), NOW)
    _save(database, _result(GateOutcome.PASS, 0.56), NOW + timedelta(days=2))
    _save(database, _result(GateOutcome.FAIL), NOW + timedelta(days=1), instrument="SIM:MARTINGALE")
    with database.read() as session:
        early = load_gate_result(session, "XNAS:COMP", as_of=NOW + timedelta(days=1))
        late = load_gate_result(session, "XNAS:COMP", as_of=NOW + timedelta(days=9))
        assert (early.outcome, late.outcome) == (GateOutcome.CANNOT_JUDGE, GateOutcome.PASS)
        assert (late.estimate, late.standard_error, late.lower_bound, late.n) == (0.56, 0.0071, 0.4983, 4210)
        assert late.reasons == (Reason.GATE_PASSED,)
        assert late.dates is None
        assert "found 0.5600 with bound 0.4983" in late.text
        with pytest.raises(MissingData, match="found none"):
            load_gate_result(session, "XNAS:COMP", as_of=NOW - timedelta(seconds=1))
        with pytest.raises(MissingData):
            load_gate_result(session, "XNAS:COMP", as_of=NOW, configuration_hash="another")


def test_the_same_answer_twice_is_one_row_and_another_answer_is_refused(database: Database) -> None:
    for _ in range(2):
        _save(database, _result(), NOW)
    with database.read() as session:
        assert session.query(tables.GateResultRow).count() == 1
    with pytest.raises(IntegrityError, match="as before on the same data"):
        _save(database, _result(GateOutcome.PASS, 0.56), NOW)
    _save(database, _result(GateOutcome.PASS, 0.56), NOW, data_hash="restated")
    with database.read() as session:
        assert session.query(tables.GateResultRow).count() == 2
