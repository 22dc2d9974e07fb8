"""V12: Trial registry that cannot be skipped, with PSR, minimum track length and deflated Sharpe from effective trial
count.

Done when: "A trial is one configuration on one span (fold fits are its children, reruns count as looks): running the
demo twice leaves N unchanged; golden vector gives SR0 .1132 and DSR .9004; DSR is printed at N and at effective N; an
evaluator without a TrialLog cannot be built"
"""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import fieldcast.evaluation
from fieldcast.evaluation import (
    FamilyFigures,
    SharpeMoments,
    TrialEvaluator,
    deflated_sharpe,
    effective_trials,
    expected_best_sharpe,
    min_track_record,
    probabilistic_sharpe,
    sharpe_moments,
)
from fieldcast.ground import InvalidInput, ManualClock
from fieldcast.ledger import open_database, tables
from fieldcast.validation import LedgerTrialLog
from fieldcast.workflows import demo

pytestmark = pytest.mark.feature("V12")
OPEN_PARTS: tuple[str, ...] = ()

EXPERIMENT = Path(__file__).parents[1] / "workflows" / "demo_400.toml"

START = datetime(2019, 1, 2, 21, 30, tzinfo=UTC)
N = 500
DATES = np.datetime64("2015-01-05") + np.arange(N) * np.timedelta64(1, "D")


def _experiment(folder: Path, run: int) -> FamilyFigures:
    """A small experiment, 3 models by 2 horizons, in a process of its own as far as the ledger can tell."""
    rng = np.random.default_rng(1)
    returns = 0.01 * rng.normal(size=N)
    idea = 3.0 * returns + 0.2 * rng.normal(size=N)
    with open_database(f"sqlite:///{folder / 'ledger.db'}", None) as database:
        log = LedgerTrialLog(database, folder / "trials", ManualClock(START + timedelta(days=run)))
        evaluator = TrialEvaluator(log, family="demo")
        for model in ("anchor", "logistic", "trees"):
            forecast = np.clip(0.5 + idea + 0.1 * rng.normal(size=N), 0.01, 0.99)
            for horizon in (1, 5):
                evaluator.score(
                    {"model": model, "l2": 10.0}, instrument="XNAS:COMP", label="sign", horizon=horizon, dates=DATES,
                    forecast=forecast, outcome=returns > 0, returns=returns, children=20 + run, draws=30,
                )
        return evaluator.figures()


def test_running_twice_leaves_n_unchanged_and_counts_looks(tmp_path: Path) -> None:
    first, second = (_experiment(tmp_path, run) for run in range(2))
    assert first.n == second.n == 6
    assert first.n_effective == second.n_effective
    assert [found.looks for found in first.trials] == [1] * 6
    assert [found.looks for found in second.trials] == [2] * 6
    assert {found.trial.children for found in second.trials} == {21}      # fits are children: counted, never trials
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as database, database.read() as session:
        assert session.query(tables.Trial).count() == 6


@pytest.mark.slow
def test_running_the_demo_twice_leaves_n_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_WORKERS", "1")
    found = []
    for _ in range(2):
        done = demo(tmp_path / "demo", rows=400, experiment=EXPERIMENT)
        with open_database(f"sqlite:///{tmp_path / 'demo' / 'fieldcast.db'}", None) as database, database.read() as session:
            trials = session.query(tables.Trial).order_by(tables.Trial.id).all()
        found.append((done.validation, trials))
    (first, before), (second, after) = found
    assert first.trials == second.trials == len(before) == len(after) == 12      # three models on four instruments
    assert [trial.id for trial in before] == [trial.id for trial in after]
    assert [trial.estimate for trial in before] == [trial.estimate for trial in after]
    assert ({trial.looks for trial in before}, {trial.looks for trial in after}) == ({1}, {2})
    assert first.families == second.families
    assert sum(sum(part.fits.values()) for part in second.parts) > second.trials   # fits are children, never trials
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "<th>DSR</th>" in re.sub(r"<th [^>]*>", "<th>", page)
    assert "DSR, effective N" in page


def test_golden_vector() -> None:
    # Bailey and Lopez de Prado (2014): SR 2.5 a year of 250 days, T = 1250, skew -3, raw kurtosis 10, V = 1/2 a year
    published = SharpeMoments(sharpe=2.5 / 250**0.5, n=1250, skew=-3.0, kurtosis=10.0)
    assert expected_best_sharpe(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(published, 0.5 / 250, 100) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(published, 0.5 / 250, 46) == pytest.approx(0.9505, abs=5e-5)


def test_probabilistic_sharpe_and_minimum_track_record_agree() -> None:
    moments = SharpeMoments(sharpe=0.1, n=0, skew=-0.5, kurtosis=5.0)
    length = min_track_record(moments)
    at_length = SharpeMoments(0.1, round(length), -0.5, 5.0)
    assert probabilistic_sharpe(at_length) == pytest.approx(0.95, abs=1e-3)
    # by hand: 1 + (1 + .05 + 4/4 * .01) (1.644854 / .1)^2
    assert length == pytest.approx(1 + 1.06 * 16.44854**2, rel=1e-6)


def test_deflated_sharpe_is_given_at_n_and_at_effective_n(tmp_path: Path) -> None:
    figures = _experiment(tmp_path, 0)
    eigenvalues = np.linalg.eigvalsh(np.corrcoef([found.trial.series for found in figures.trials]))
    effective = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert figures.n_effective == pytest.approx(effective)
    assert figures.n_effective == pytest.approx(effective_trials(np.corrcoef([t.trial.series for t in figures.trials])))
    assert 1.0 < figures.n_effective < figures.n == 6
    ratios = [sharpe_moments(found.trial.series).sharpe for found in figures.trials]
    variance = np.var(ratios, ddof=1)
    for found in figures.trials:
        moments = sharpe_moments(found.trial.series)
        assert found.dsr == pytest.approx(deflated_sharpe(moments, float(variance), 6))
        assert found.dsr_effective == pytest.approx(deflated_sharpe(moments, float(variance), effective))
        assert found.psr is not None
        assert found.dsr <= found.dsr_effective <= found.psr      # type: ignore[operator]
        printed = figures.describe(found.trial.id)
        assert f"DSR {found.dsr:.4f} at N=6, {found.dsr_effective:.4f} at effective N={effective:.2f}" in printed


def test_an_evaluator_without_a_log_cannot_be_built() -> None:
    assert inspect.signature(TrialEvaluator).parameters["log"].default is inspect.Parameter.empty
    with pytest.raises(TypeError):
        TrialEvaluator(family="demo")      # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="off the record"):
        TrialEvaluator(None, family="demo")      # type: ignore[arg-type]


def test_no_parameter_of_the_package_gives_a_trial_log_by_default() -> None:
    package = Path(fieldcast.evaluation.__file__).parents[1]
    taking = 0
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            positional = [*node.args.posonlyargs, *node.args.args]
            defaults = [None] * (len(positional) - len(node.args.defaults)) + list(node.args.defaults)
            named = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            for argument, default in [*zip(positional, defaults, strict=True), *named]:
                if argument.annotation is not None and "TrialLog" in ast.unparse(argument.annotation):
                    taking += 1
                    assert default is None, f"{path.name}: {node.name} gives a TrialLog by default"
    assert taking >= 2
