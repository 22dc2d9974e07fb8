"""X09: Sample weights (energy, volatility, time decay, uniqueness) and class balancing; feature curation by correlation, MI,
redundancy, stability and permutation.

Done when: "Weights are positive with mean 1, and a planted redundant column and a planted noise column are both removed"
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from fieldcast.data import SimulatedMarket, load_instrument, save_instrument, simulate
from fieldcast.features import curation as measures
from fieldcast.features import weights
from fieldcast.ground import InvalidInput, MissingData, load_settings
from fieldcast.models import Logistic
from fieldcast.models.bundle import SCALER
from fieldcast.models.curation import Curation, Why, curate
from fieldcast.workflows import Workspace, load_trained, open_workspace, train_odds
from fieldcast.workflows.recipe import Examples, Recipe
from fieldcast.workflows.recipe_parts import CurationPart, NormalisePart
from fieldcast.workflows.training_plan import TrainingPlan
from fieldcast.workflows.training_rows import TrainingRows, training_rows

pytestmark = pytest.mark.feature("X09")
OPEN_PARTS: tuple[str, ...] = ()
PLANTED = "SIM:PLANTED"
COLUMNS = ("strong", "weak", "bent", "redundant", "noise", "passing")
ROWS = 2600


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three columns that tell (one only by its size), a copy with a little error, noise, and one that told at first."""
    random = np.random.default_rng(seed)
    strong, weak, bent, noise, passing = random.standard_normal((5, ROWS))
    redundant = np.exp(strong) * (1 + 0.02 * random.standard_normal(ROWS))  # another scale: ranks see through it
    told = np.where(np.arange(ROWS) < ROWS // 6, 1.5, 0.0) * passing
    odds = 1 / (1 + np.exp(-(0.9 * strong + 0.5 * weak + told - 0.7 * (np.abs(bent) - 0.8))))
    X = np.column_stack([strong, weak, np.abs(bent), redundant, noise, passing])
    return X, (random.random(ROWS) < odds).astype(float)


def found(X: np.ndarray, y: np.ndarray, training: np.ndarray) -> Curation:
    return curate(X, y, COLUMNS, training, gap=1, seed=9)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_redundant_and_a_planted_noise_column_are_both_removed(seed: int) -> None:
    X, y = planted(seed)
    result = found(X, y, np.arange(2000))
    assert set(result.kept) >= {"weak", "bent"}
    # of two columns that rank alike one stays; which of them is a matter of their correlation with the label
    assert len({"strong", "redundant"} & set(result.kept)) == 1
    copy = next(one for one in result.verdicts if one.why is Why.REDUNDANT)
    assert {copy.name, copy.twin} == {"strong", "redundant"}
    assert copy.likeness is not None
    assert copy.likeness >= 0.95
    assert "noise" in result.removed
    assert result.removed["noise"] in (Why.UNRELATED, Why.UNSTABLE, Why.WORTHLESS)
    assert "passing" in result.removed
    assert result.loss_kept < result.loss_all + 0.002  # what was taken out was worth nothing
    assert result.rows == 2000


def test_a_noise_column_that_correlates_by_chance_falls_to_the_shuffling_test() -> None:
    X, y = planted(0)
    training = np.arange(2000)
    random = np.random.default_rng(99)
    by_shuffling = 0
    for _ in range(40):  # of forty noise columns two pass the first test by chance
        noisy = X.copy()
        noisy[:, 4] = random.standard_normal(ROWS)
        result = found(noisy, y, training)
        assert "noise" in result.removed
        by_shuffling += result.removed["noise"] is Why.WORTHLESS
    assert by_shuffling >= 1


def test_curation_inside_a_fold_reads_its_training_rows_alone() -> None:
    X, y = planted(1)
    training = np.arange(1800)
    before = found(X, y, training)
    other_X, other_y = X.copy(), y.copy()
    other_X[1800:] = np.nan
    other_y[1800:] = np.nan
    after = found(other_X, other_y, training)
    assert after == before
    other_X[:1800, 4] = X[:1800, 0] + 0.5 * X[:1800, 1]
    assert found(other_X, other_y, training) != before


def test_weights_are_positive_with_mean_one_each_and_multiplied() -> None:
    random = np.random.default_rng(3)
    n = 1500
    start = np.arange(n)
    end = start + random.integers(1, 21, n)
    y = (random.random(n) < 0.12).astype(float)
    made = {
        "energy": weights.energy(np.exp(2 * random.standard_normal(n))),
        "volatility": weights.volatility(0.01 * np.exp(0.5 * random.standard_normal(n))),
        "time decay": weights.time_decay(n - 1 - start),
        "uniqueness": weights.uniqueness(start, end),
        "balanced": weights.balance(y),
        "sqrt": weights.balance(y, "sqrt"),
    }
    for name, weight in {**made, "together": weights.combined(*made.values())}.items():
        assert (weight > 0).all(), name
        assert weight.mean() == pytest.approx(1.0, abs=1e-12), name
        assert weight.shape == (n,)
        assert np.ptp(weight) > 0, name
    assert made["balanced"][y == 1].sum() == pytest.approx(made["balanced"][y == 0].sum())


# in the walk of a plan ------------------------------------------------------------------------------------------------


def plan(**changes: object) -> TrainingPlan:
    """Every table that says how rows are turned into a fit; 1,900 sessions, two folds."""
    whole = {
        "family": "x09",
        "seed": 7,
        "features": {"blocks": ("a20",)},
        "tasks": ({"kind": "event", "horizon": 3, "threshold": 0.01},),
        "model": {"kind": "logistic", "settings": {"l2": 10.0}},
        "weights": {
            "uniqueness": True,
            "half_life": 200.0,
            "volatility": True,
            "energy": {"column": "atr_to_close"},
            "balance": "sqrt",
        },
        "normalise": {"kind": "robust"},
        "curation": {"folds": 2, "worth": 0.0, "worth_sigmas": 0.0, "sigmas": 0.5},  # so that some columns stay
        "walk_forward": {"initial": 600, "test": 200, "step": 200, "embargo": 4},
    }
    return TrainingPlan.model_validate({name: part for name, part in {**whole, **changes}.items() if part is not None})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    settings = load_settings(home=tmp_path_factory.mktemp("x09"), workers=1)
    home = open_workspace(settings=settings)
    made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=1900, last=date(2018, 12, 31)))
    save_instrument(home.ledger, made.instrument)
    home.store.append(made.bars, made.lineage)
    yield home
    home.close()


def rows_of(workspace: Workspace, chosen: TrainingPlan) -> TrainingRows:
    return training_rows(workspace.store, load_instrument(workspace.ledger, PLANTED), chosen)


def test_weights_of_a_fold_are_positive_with_mean_one_and_each_is_that_of_its_own_rows(workspace: Workspace) -> None:
    chosen = plan(curation=None, normalise=None)
    rows, task = rows_of(workspace, chosen), chosen.tasks[0]
    for fold in rows.folds(chosen, task):
        train = np.intersect1d(fold.train, rows.known(task))
        fitted = chosen.recipe.fit(chosen.new(), rows.examples(task, train))
        assert fitted.weights is not None
        assert (fitted.weights > 0).all()
        assert fitted.weights.mean() == pytest.approx(1.0, abs=1e-12)
        y = rows.targets[task.name][train]
        expected = weights.combined(
            weights.uniqueness(rows.decision[train], rows.label_end[task.name][train], moments=rows.moments),
            weights.time_decay(train[-1] - train, 200.0),
            weights.volatility(rows.sigma[train]),
            weights.energy(rows.features[train, chosen.columns.index("atr_to_close")]),
            weights.balance(y, "sqrt"),
        )
        np.testing.assert_allclose(fitted.weights, expected, rtol=1e-12)
        plain = Logistic(10.0).fit(rows.features[train], y, weights=expected)
        np.testing.assert_array_equal(fitted.bundle.model.predict(rows.features), plain.predict(rows.features))


def test_nothing_after_a_fold_reaches_its_weights_its_columns_or_its_normaliser(workspace: Workspace) -> None:
    chosen = plan()
    whole, task = rows_of(workspace, chosen), chosen.tasks[0]
    odds = whole.walk(chosen, task, whole.folds(chosen, task)).odds
    assert np.isfinite(odds).sum() > 250
    for row in (640, 799, 810):
        cut = chosen.model_copy(update={"until": whole.days[row].item()})
        past = rows_of(workspace, cut)
        assert past.days[-1] == whole.days[row]
        np.testing.assert_allclose(past.walk(cut, task, past.folds(cut, task)).odds, odds[: row + 1], rtol=1e-13)


def test_a_planted_redundant_and_a_planted_noise_column_stay_out_of_a_recipes_model() -> None:
    X, y = planted(0)
    day = np.datetime64("2010-01-04T21:00", "us") + np.arange(ROWS + 1) * np.timedelta64(1, "D")
    recipe = Recipe(COLUMNS, 9, normalise=NormalisePart(kind="standard"), curation=CurationPart())
    examples = Examples(X, y, day[:-1] + np.timedelta64(30, "m"), day[1:], np.ones(ROWS), day, 1)
    fitted = recipe.fit(Logistic(), examples.at(np.arange(2000)))
    assert fitted.curation == found(X, y, np.arange(2000))
    assert fitted.bundle.kept == fitted.curation.kept
    assert "noise" not in fitted.bundle.seen
    assert len({"strong", "redundant"} & set(fitted.bundle.seen)) == 1
    other = X.copy()
    other[:, COLUMNS.index("noise")] = 1e6  # what is out moves nothing
    np.testing.assert_array_equal(fitted.bundle.predict(other), fitted.bundle.predict(X))


def test_a_training_is_kept_with_its_columns_and_its_normaliser_and_does_not_load_without(workspace: Workspace) -> None:
    chosen = plan()
    trained = train_odds(workspace, chosen, [PLANTED])
    folder, record = trained.folders[0], trained.bundles[0]
    told = record["fits"]["model"]
    assert set(told["curation"]["kept"]) | set(told["curation"]["removed"]) == set(chosen.columns)
    assert told["curation"]["effective_rows"] == pytest.approx(record["span"]["rows"] / 3, rel=0.02)  # labels of three sessions
    assert told["weights"]["least"] > 0
    assert told["weights"]["effective_rows"] < record["span"]["rows"]
    loaded = load_trained(folder, plan=chosen)
    bundle = loaded.models["model"]
    assert bundle.kept == tuple(told["curation"]["kept"])
    assert bundle.normaliser is not None
    assert bundle.normaliser.columns == bundle.kept
    rows = rows_of(workspace, chosen)
    X = rows.features[rows.known(chosen.tasks[0])]
    assert np.isfinite(loaded.predict(X)).all()
    base = rows.targets[chosen.tasks[0].name][rows.known(chosen.tasks[0])].mean()
    assert loaded.predict(X).mean() == pytest.approx(base, abs=0.1)  # balanced classes, and still odds of this world
    with pytest.raises(InvalidInput, match="architecture"):
        load_trained(folder, plan=plan(normalise={"kind": "standard"}))
    (folder / "model" / SCALER).unlink()
    with pytest.raises(MissingData, match="normaliser"):
        load_trained(folder, plan=chosen)


def test_a_plan_that_cannot_weigh_or_curate_says_so() -> None:
    volatility = {"tasks": ({"kind": "volatility", "horizon": 1},), "quantiles": {"rounds": 5}, "model": None}
    with pytest.raises(ValueError, match="a volatility has no classes"):
        plan(**volatility)
    with pytest.raises(ValueError, match="expected one of the plan's columns, found 'wine'"):
        plan(weights={"energy": {"column": "wine"}})
    with pytest.raises(ValueError, match="leave the table out"):
        plan(weights={})
    with pytest.raises(ValueError, match=r"redundancy in \(0, 1\]"):
        plan(curation={"redundancy": 2.0})
    with pytest.raises(ValueError, match="revin"):
        plan(normalise={"kind": "revin"})
    bare = plan(weights=None, normalise=None, curation=None)
    assert bare.hash != plan().hash


def test_a_weight_that_cannot_be_made_is_refused_by_name(workspace: Workspace) -> None:
    chosen = plan(weights={"energy": {"column": "macd_to_close"}}, curation=None)
    rows, task = rows_of(workspace, chosen), chosen.tasks[0]
    with pytest.raises(InvalidInput, match="energy in macd_to_close: expected energies above zero"):
        rows.walk(chosen, task, rows.folds(chosen, task))


def test_labels_that_overlap_pass_the_limits_of_chance_no_more_often_than_those_that_do_not() -> None:
    """Persistent noise columns beside labels of ten bars: by the count of rows far too many stand out."""
    random = np.random.default_rng(31)
    rows, horizon, columns = 1500, 10, 60
    passed, by_rows, kept = 0, 0, 0
    for _ in range(4):
        steps = random.standard_normal((rows + 200, columns))
        noise = np.empty_like(steps)
        noise[0] = steps[0]
        for row in range(1, len(steps)):
            noise[row] = 0.97 * noise[row - 1] + steps[row]
        noise = noise[-rows:]
        ret = random.standard_normal(rows + horizon)
        y = (np.convolve(ret, np.ones(horizon), "valid")[1 : rows + 1] > 0).astype(float)
        related = np.abs(measures.correlation(noise, y))
        by_rows += int((related >= 2.0 / np.sqrt(rows)).sum())
        passed += int((related >= 2.0 / np.sqrt(rows / horizon)).sum())
        result = curate(noise, y, [f"c{k}" for k in range(columns)], np.arange(rows), gap=horizon, seed=1)
        assert result.effective_rows == pytest.approx(rows / horizon, rel=0.02)
        kept += len(result.kept)
    assert by_rows > 0.35 * 4 * columns  # rows that overlap, counted as if they did not
    assert passed < 0.10 * 4 * columns
    assert kept < 0.05 * 4 * columns
