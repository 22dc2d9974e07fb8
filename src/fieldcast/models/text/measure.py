"""How good a scorer is on labelled texts: out-of-fold by groups of near-duplicates, and carried over to another corpus.

    accuracy, macro F1   of the labels, with the accuracy of always naming the commonest label beside them
    sign, Spearman       of scores against a corpus that has numbers (FiQA); a score of 0 is no opinion and counts as wrong

Folds are whole groups: a sentence and its near-copy never stand on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, ShortHistory
from fieldcast.models.text.contract import LABELS, Floats, Scored
from fieldcast.models.text.near_duplicates import near_duplicate_groups

FOLDS = 10


@dataclass(frozen=True)
class Accuracy:
    """Labels against labels.

    Parameters
    ----------
    n : texts
    accuracy, macro_f1 : of the labels
    standard_error : of the accuracy, by the spread over groups; None where they are not known
    baseline : accuracy of always naming the commonest label
    recall : label → share of its texts that were named so
    """

    n: int
    accuracy: float
    macro_f1: float
    baseline: float
    recall: dict[str, float]
    standard_error: float | None = None


@dataclass(frozen=True)
class Transfer:
    """Scores against numbers: how many texts, share with the right sign, share with any opinion, rank correlation."""

    n: int
    sign: float
    opinion: float
    spearman: float


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Scores of every text by a model that saw none of its group.

    Parameters
    ----------
    scored : of the texts
    group, fold : (n,) of each text
    """

    scored: Scored
    group: NDArray[np.int64]
    fold: NDArray[np.int64]


def grouped_folds(group: NDArray[np.int64], folds: int, seed: int = 0) -> NDArray[np.int64]:
    """The fold of each text: whole groups, the largest first, each into the fold with the fewest texts so far.

    Raises
    ------
    ShortHistory : fewer groups than folds
    """
    numbers, sizes = np.unique(group, return_counts=True)
    if numbers.size < folds:
        raise ShortHistory(f"expected at least {folds} groups of texts for {folds} folds, found {numbers.size}")
    mixed = np.random.default_rng(seed).permutation(numbers.size)
    order = mixed[np.argsort(-sizes[mixed], kind="stable")]
    filled = np.zeros(folds, np.int64)
    where = np.empty(numbers.size, np.int64)
    for place in order:
        where[place] = fold = int(filled.argmin())
        filled[fold] += sizes[place]
    return where[np.searchsorted(numbers, group)]


def out_of_fold(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    fit: Callable[[Sequence[str], NDArray[np.int64]], Callable[[Sequence[str]], Scored]],
    *,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> OutOfFold:
    """Fit on all folds but one, score that one; groups of near-duplicates stay together.

    Parameters
    ----------
    fit : texts and labels → a function that scores texts
    progress : told how many folds of how many are done
    """
    group = near_duplicate_groups(texts)
    fold = grouped_folds(group, folds, seed)
    score, confidence, label = np.empty(len(texts)), np.empty(len(texts)), np.empty(len(texts), np.int64)
    for place in range(folds):
        if progress is not None:
            progress(place, folds)
        test = np.flatnonzero(fold == place)
        train = np.flatnonzero(fold != place)
        learnt, asked = ([texts[int(row)] for row in rows] for rows in (train, test))
        found = fit(learnt, labels[train])(asked)
        score[test], confidence[test], label[test] = found.score, found.confidence, found.label
    return OutOfFold(Scored(score, confidence, label), group, fold)


def accuracy_of(scored: Scored, labels: NDArray[np.int64], group: NDArray[np.int64] | None = None) -> Accuracy:
    """Accuracy of the labels.

    Parameters
    ----------
    labels : (n,) the true ones, places in LABELS
    group : (n,) groups of near-duplicates, whose errors go together; None = no standard error

    Raises
    ------
    InvalidInput : no texts, or another number of labels
    """
    if labels.shape != scored.label.shape or not labels.size:
        raise InvalidInput(f"expected a label for each of the scored texts, found {labels.shape} for {scored.label.shape}")
    right = (scored.label == labels).astype(np.float64)
    f1, recall = [], {}
    for place, name in enumerate(LABELS):
        true, said = labels == place, scored.label == place
        if true.any() or said.any():
            f1.append(2.0 * float((true & said).sum()) / float(true.sum() + said.sum()))
        if true.any():
            recall[name] = float(right[true].mean())
    error = None
    if group is not None:
        _, where = np.unique(group, return_inverse=True)
        sums = np.bincount(where, right - right.mean())
        error = float(np.sqrt((sums**2).sum()) / labels.size)
    commonest = float(np.bincount(labels, minlength=len(LABELS)).max()) / labels.size
    return Accuracy(labels.size, float(right.mean()), float(np.mean(f1)), commonest, recall, error)


def transfer_of(scored: Scored, numbers: Floats) -> Transfer:
    """Scores against numbers in [−1, 1]; those that are 0 say nothing about a sign and are left out of it.

    Raises
    ------
    ShortHistory : fewer than three texts
    """
    if numbers.shape != scored.score.shape or numbers.size < 3:
        raise ShortHistory(f"expected at least 3 scored texts with their numbers, found {numbers.size}")
    from scipy.stats import rankdata

    sided = numbers != 0
    right = np.sign(scored.score[sided]) == np.sign(numbers[sided])
    ranks = [rankdata(values) - (numbers.size + 1) / 2 for values in (scored.score, numbers)]
    scale = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    spearman = float((ranks[0] * ranks[1]).sum() / scale) if scale > 0 else 0.0
    return Transfer(numbers.size, float(right.mean()), float((scored.score != 0).mean()), spearman)
