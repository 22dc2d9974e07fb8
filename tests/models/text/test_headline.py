"""The headline model, its measure, and near-duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, f1_score

from fieldcast.ground import IntegrityError, InvalidInput, MissingData, ShortHistory
from fieldcast.models.text import (
    HeadlineModel,
    Scored,
    accuracy_of,
    grouped_folds,
    near_duplicate_groups,
    out_of_fold,
    transfer_of,
)
from fieldcast.models.text.headline import MANIFEST, VOCABULARY, WEIGHTS
from fieldcast.models.text.near_duplicates import SIMILAR, shingles

from .conftest import sentences


def test_it_learns_what_it_is_taught_and_ignores_amounts(headline: HeadlineModel) -> None:
    texts, labels = sentences()
    assert (headline.score(texts).label == labels).mean() > 0.98
    one, other = headline.score(["Alder profit rose to 3.1 million", "Alder profit rose to 987,000 million"]).score
    assert one == other


def test_its_odds_are_scikit_learns(headline: HeadlineModel) -> None:
    """The same pipeline in one piece, fitted anew."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import FunctionTransformer

    from fieldcast.models.text.headline import _BLOCKS, opinions, plain

    texts, labels = sentences()
    union = make_union(*(TfidfVectorizer(sublinear_tf=True, **how) for how in _BLOCKS.values()), FunctionTransformer(opinions))
    oracle = make_pipeline(union, LogisticRegression(C=10.0, max_iter=2000)).fit([plain(text) for text in texts], labels)
    new = ["Alder won a record order", "Loss of Birch fell", "Elm 盈利 €5"]
    np.testing.assert_allclose(headline.odds(new), oracle.predict_proba([plain(text) for text in new]), atol=1e-6)


def test_a_saved_model_scores_to_the_last_bit_what_it_did(headline: HeadlineModel, tmp_path: Path) -> None:
    version = headline.save(tmp_path / "model")
    loaded = HeadlineModel.load(tmp_path / "model")
    assert loaded.version == version == headline.version
    assert (loaded.odds(sentences()[0]) == headline.odds(sentences()[0])).all()
    assert {path.name for path in (tmp_path / "model").iterdir()} == {MANIFEST, VOCABULARY, WEIGHTS}


@pytest.mark.parametrize("name", [VOCABULARY, WEIGHTS, MANIFEST])
def test_a_changed_file_is_refused(headline: HeadlineModel, tmp_path: Path, name: str) -> None:
    headline.save(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IntegrityError):
        HeadlineModel.load(tmp_path)


def test_arrays_that_hide_a_pickle_are_refused(headline: HeadlineModel, tmp_path: Path) -> None:
    """Even where the manifest has been made to agree with them."""
    import hashlib

    headline.save(tmp_path)
    np.savez(tmp_path / WEIGHTS, weights=np.array([{"a": 1}], dtype=object))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["files"][WEIGHTS] = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError):
        HeadlineModel.load(tmp_path)


def test_a_model_of_another_lexicon_is_refused(headline: HeadlineModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldcast.models.text import _words

    headline.save(tmp_path)
    monkeypatch.setitem(_words.WORDS, "blue", 1.0)
    with pytest.raises(InvalidInput, match="another"):
        HeadlineModel.load(tmp_path)


def test_a_folder_without_a_model_is_missing_data(tmp_path: Path, headline: HeadlineModel) -> None:
    with pytest.raises(MissingData, match="fieldcast train headline"):
        HeadlineModel.load(tmp_path)
    headline.save(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(MissingData, match=WEIGHTS):
        HeadlineModel.load(tmp_path)


def test_too_few_texts_or_labels_are_refused() -> None:
    texts, labels = sentences()
    with pytest.raises(ShortHistory):
        HeadlineModel.fit(texts[:29], labels[:29])
    with pytest.raises(InvalidInput, match="each of them"):
        HeadlineModel.fit(texts[:60], labels[:60])
    with pytest.raises(InvalidInput, match="C above 0"):
        HeadlineModel.fit(texts, labels, C=0.0)


# near-duplicates ----------------------------------------------------------------------------------------------------


def test_templates_with_other_numbers_are_one_group() -> None:
    texts = [
        "Operating profit rose to EUR 5.2 mn from EUR 4.1 mn",
        "A new plant opens in spring",
        "Operating profit rose to EUR 17 mn from EUR 11 mn",
        "Net profit rose to EUR 9 mn from EUR 4.1 mn",
        "",
    ]
    assert near_duplicate_groups(texts).tolist() == [0, 1, 0, 0, 2]


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=6).map(" ".join), max_size=12), st.sampled_from([0.3, 0.5, 1.0]))
def test_groups_are_the_components_of_all_pairs(texts: list[str], similar: float) -> None:
    """Oracle: Jaccard of every pair in a loop, and merging until nothing changes."""
    group = list(range(len(texts)))
    for left, one in enumerate(map(shingles, texts)):
        for right, other in enumerate(map(shingles, texts)):
            if one | other and len(one & other) / len(one | other) >= similar:
                group = [group[left] if number == group[right] else number for number in group]
    found = near_duplicate_groups(texts, similar)
    assert all((found[a] == found[b]) == (group[a] == group[b]) for a in range(len(texts)) for b in range(len(texts)))


def test_a_similarity_out_of_range_is_refused() -> None:
    assert 0 < SIMILAR < 1
    with pytest.raises(InvalidInput):
        near_duplicate_groups(["a"], 0.0)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 4))
def test_a_group_is_never_split_over_folds(numbers: list[int], folds: int) -> None:
    group = np.array(numbers)
    if np.unique(group).size < folds:
        with pytest.raises(ShortHistory):
            grouped_folds(group, folds)
        return
    fold = grouped_folds(group, folds)
    assert set(fold) == set(range(folds))
    assert all(np.unique(fold[group == number]).size == 1 for number in numbers)


def test_out_of_fold_never_scores_what_it_learnt() -> None:
    """A scorer that knows by heart what it was taught gets nothing right that it has not seen."""
    texts, labels = sentences()

    def fit(part: list[str], known: np.ndarray):
        heart = dict(zip(part, known, strict=True))

        def score(asked: list[str]) -> Scored:
            label = np.array([heart.get(text, 1) for text in asked])
            return Scored(label - 1.0, np.ones(len(asked)), label)

        return score

    found = out_of_fold(texts, labels, fit, folds=4)
    assert (found.scored.label == 1).all()
    assert accuracy_of(found.scored, labels).accuracy == pytest.approx(1 / 3)


# the measure --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_accuracy_and_f1_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    said, true = np.array(rows).T
    found = accuracy_of(Scored(said - 1.0, np.ones(said.size), said), true)
    assert found.accuracy == pytest.approx(accuracy_score(true, said))
    assert found.macro_f1 == pytest.approx(f1_score(true, said, average="macro", zero_division=0.0))


def test_the_standard_error_counts_groups() -> None:
    """Ten copies of each text say no more than one of each: √10 times the error of texts taken as independent."""
    said, true = np.tile([0, 0, 1, 2], 25), np.tile([0, 1, 1, 2], 25)
    scored = Scored(said - 1.0, np.ones(100), said)
    alone = accuracy_of(scored, true, np.arange(100)).standard_error
    assert alone == pytest.approx(np.sqrt(0.75 * 0.25 / 100))
    many = Scored(np.repeat(scored.score, 10), np.ones(1000), np.repeat(said, 10))
    assert accuracy_of(many, np.repeat(true, 10), np.repeat(np.arange(100), 10)).standard_error == pytest.approx(alone)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(rows: list[tuple[float, float]]) -> None:
    score, number = np.array(rows).T
    if np.unique(score).size > 1 and np.unique(number).size > 1 and number.any():
        scored = Scored(score, np.ones(score.size), np.full(score.size, 1))
        assert transfer_of(scored, number).spearman == pytest.approx(spearmanr(score, number).statistic, abs=1e-9)
