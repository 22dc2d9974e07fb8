"""V02: Splitters (70/15/15 or dated, span-isolated, legacy chunk, purged k-fold, minimum-sample guard) and leakage tests on
features, labels, splits, scalers and thresholds.

Done when: "A 19-row validation set is refused, and each of five planted leak types fails the run by name"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, simulate
from fieldcast.evaluation import ChunkSplit, DatedSplit, Partition, ShareSplit, WalkForward, purged_k_fold
from fieldcast.features import compute, labels
from fieldcast.ground import InvalidInput, MissingData, ShortHistory
from fieldcast.market import sessions_between
from fieldcast.validation import (
    LeakageReport,
    LeakFound,
    LeakKind,
    feature_leaks,
    label_leaks,
    scaler_leaks,
    split_leaks,
    threshold_leaks,
)

pytestmark = pytest.mark.feature("V02")
OPEN_PARTS: tuple[str, ...] = ()

DAY = np.timedelta64(1, "D")


def _daily(n: int, horizon: int = 1) -> tuple[np.ndarray, np.ndarray]:
    made = np.datetime64("2000-01-03T21:30", "us") + np.arange(n) * DAY
    ended = np.full(n, np.datetime64("NaT", "us"))
    ended[: n - horizon] = made[horizon:] - np.timedelta64(30, "m")
    return made, ended


# --- splitters


def test_seventy_fifteen_fifteen() -> None:
    made, ended = _daily(2000)
    found = ShareSplit().split(made, ended)
    # the last label of each part ends in the next one, and that of the last row is still open
    assert found.train.tolist() == list(range(1399))
    assert found.validation.tolist() == list(range(1400, 1699))
    assert found.test.tolist() == list(range(1700, 1999))


def test_dates_of_the_older_study_leave_422_validation_samples() -> None:
    """Train to 2022, validation 2023 and 2024, context of 80 sessions, label one ahead: published as 422 validation samples."""
    days = sessions_between("XNYS", date(2010, 1, 4), date(2025, 12, 31))["session"].to_numpy().astype("datetime64[D]")
    made = (days + np.timedelta64(21, "h")).astype("datetime64[us]") + np.timedelta64(30, "m")
    ended = np.append(made[1:] - np.timedelta64(30, "m"), np.datetime64("NaT", "us"))
    found = DatedSplit(date(2022, 12, 31), date(2024, 12, 31), context=80).split(made, ended)
    assert found.validation.size == 422
    assert days[found.validation[0]] == np.datetime64("2023-04-27")  # "end of April 2023": 79 sessions of context first
    assert found.train.size == np.count_nonzero(days <= np.datetime64("2022-12-31")) - 80
    for rows, first, last in (
        (found.train, "2010-01-04", "2022-12-31"),
        (found.validation, "2023-01-01", "2024-12-31"),
        (found.test, "2025-01-01", "2025-12-31"),
    ):
        assert (days[rows - 79] >= np.datetime64(first)).all()
        assert (ended[rows].astype("datetime64[D]") <= np.datetime64(last)).all()


@pytest.mark.parametrize("context", [None, 1, 60])
@pytest.mark.parametrize("horizon", [1, 5])
def test_no_splitter_lets_a_span_reach_over(context: int | None, horizon: int) -> None:
    made, ended = _daily(3000, horizon)
    found = ShareSplit(0.6, 0.2, context=context).split(made, ended)
    pairs = [(found.train, found.validation), (found.train, found.test), (found.validation, found.test)]
    assert not split_leaks(pairs, made, ended).leaks
    for early, late in pairs:
        assert ended[early].max() < made[late[0]]
        assert early[-1] < late[0] - (0 if context is None else context - 1)


@pytest.mark.parametrize("mode", ["scattered", "contiguous"])
def test_windows_of_the_chunk_split_touch_no_held_out_chunk(mode: str) -> None:
    context, horizon = 10, 2
    found = ChunkSplit(context, horizon, mode=mode).split(12_000)
    held = set()
    for row in (*found.validation, *found.test):
        held |= set(range(row - context + 1, row + horizon + 1))
    assert len(held) == 12 * (found.validation.size + found.test.size)  # chunks do not overlap
    assert found.validation.size == found.test.size == 150
    spans = {r + k for r in found.train.tolist() for k in range(-context + 1, horizon + 1)}
    assert not spans & held
    if mode == "contiguous":
        assert found.train.max() < min(found.validation.min(), found.test.min())
    other = ChunkSplit(context, horizon, mode=mode, seed=43).split(12_000)
    assert (other.test.tolist() == found.test.tolist()) == (mode == "contiguous")


def test_purged_k_fold_tests_every_row_once_and_leaks_nothing() -> None:
    made, ended = _daily(500, 7)
    folds = list(purged_k_fold(5, embargo=3).split(made, ended))
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(500))
    assert not split_leaks([(fold.train, fold.test) for fold in folds], made, ended).leaks
    middle = folds[2]
    assert middle.test.tolist() == list(range(200, 300))
    # before: labels of 7 rows; after: the last test label ends shortly before row 306 is decided, and 3 rows of embargo
    assert middle.purged.tolist() == [*range(194, 200), *range(300, 309), *range(493, 500)]


def test_a_validation_set_of_19_rows_is_refused_by_name() -> None:
    # the older study's chunks: 8,073 rows in chunks of 60 + 1 are 132, of which 15 % are 19
    with pytest.raises(ShortHistory, match="validation set, found 19"):
        ChunkSplit(context=60, horizon=1).split(8073)
    for least in (30, 100):
        with pytest.raises(ShortHistory, match=r"validation set, found 19"):
            ShareSplit(0.70, 0.10, least_rows=least).split(*_daily(200))
    with pytest.raises(ShortHistory, match="test set, found 49"):
        ShareSplit(0.80, 0.15).split(*_daily(1000))
    with pytest.raises(ShortHistory, match="train set, found 89"):
        ShareSplit(0.10, 0.45).split(*_daily(900))
    with pytest.raises(InvalidInput, match="cannot be taken out"):
        ShareSplit(least_rows=19)


# --- a run with five doors, and a leak planted at each


@dataclass(frozen=True)
class Run:
    """A small experiment: what makes its features and labels, splits, scales and chooses."""

    features: Callable[[pl.DataFrame], pl.DataFrame]
    labels: Callable[[pl.DataFrame], pl.DataFrame]
    split: Callable[[np.ndarray, np.ndarray], list[tuple[np.ndarray, np.ndarray]]]
    scale: Callable[[np.ndarray, np.ndarray], np.ndarray]
    choose: Callable[[np.ndarray, np.ndarray, np.ndarray], float]

    def check(self, bars: pl.DataFrame) -> LeakageReport:
        target = self.labels(bars)
        made = bars["ts"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]") + np.timedelta64(30, "m")
        ended = target["label_end_ts"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
        folds = self.split(made, ended)
        train = folds[0][0]
        X = self.features(bars).drop("ts").to_numpy().astype(float)
        y = target["y"].fill_null(0).to_numpy().astype(float)
        return LeakageReport.of(
            [
                feature_leaks(self.features, bars, times=6, first=200),
                label_leaks(self.labels, bars, times=8),
                split_leaks(folds, made, ended),
                scaler_leaks(self.scale, X, train),
                threshold_leaks(self.choose, np.nan_to_num(X[:, 0]), y, train),
            ]
        )


def _fieldcast_features(bars: pl.DataFrame) -> pl.DataFrame:
    return compute(bars, ["a20"]).select("ts", pl.selectors.float())


def _scale(X: np.ndarray, train: np.ndarray) -> np.ndarray:
    X = np.nan_to_num(X)
    return (X - X[train].mean(axis=0)) / (X[train].std(axis=0) + 1e-12)


def _best_cut(score: np.ndarray, y: np.ndarray, rows: np.ndarray) -> float:
    cuts = np.quantile(score[rows], np.linspace(0.05, 0.95, 19))
    return float(cuts[np.argmax([((score[rows] > cut) == y[rows]).mean() for cut in cuts])])


def _walk(made: np.ndarray, ended: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(fold.train, fold.test) for fold in WalkForward(400, 50, 50).split(made, ended, 60)]


CLEAN = Run(_fieldcast_features, lambda bars: labels.sign(bars, 5), _walk, _scale, _best_cut)


def _centred_average(bars: pl.DataFrame) -> pl.DataFrame:
    ahead = bars["close"].rolling_mean(5, center=True).fill_null(strategy="forward")
    return _fieldcast_features(bars).with_columns(centred=ahead / bars["close"] - 1.0)


def _filled_backwards(bars: pl.DataFrame) -> pl.DataFrame:
    sparse = pl.Series([v if i % 7 == 0 else None for i, v in enumerate(bars["volume"].cast(pl.Float64))], dtype=pl.Float64)
    return _fieldcast_features(bars).with_columns(filled=sparse.fill_null(strategy="backward").fill_null(0.0))


def _normalised_over_all(bars: pl.DataFrame) -> pl.DataFrame:
    close = bars["close"]
    return _fieldcast_features(bars).with_columns(z=(close - close.mean()) / close.std())


def _ends_too_early(bars: pl.DataFrame) -> pl.DataFrame:
    return labels.sign(bars, 5).with_columns(label_end_ts=labels.sign(bars, 1)["label_end_ts"])


def _looks_back(bars: pl.DataFrame) -> pl.DataFrame:
    return labels.sign(bars, 5).with_columns(y=(pl.Series(bars["close"]).pct_change(5) > 0).cast(pl.Int8))


def _unpurged(made: np.ndarray, ended: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.arange(60, start), np.arange(start, start + 50)) for start in range(460, made.size - 60, 50)]


def _shuffled(made: np.ndarray, ended: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(0).permutation(np.flatnonzero(~np.isnat(ended)))
    return [(np.sort(order[:400]), np.sort(order[400:500]))]


def _twice(made: np.ndarray, ended: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.append(train, test[:3]), test) for train, test in _walk(made, ended)]


PLANTED = [
    (LeakKind.FEATURES, replace(CLEAN, features=_centred_average), "column centred"),
    (LeakKind.FEATURES, replace(CLEAN, features=_filled_backwards), "column filled"),
    (LeakKind.FEATURES, replace(CLEAN, features=_normalised_over_all), "column z"),
    (LeakKind.LABELS, replace(CLEAN, labels=_ends_too_early), "stated end"),
    (LeakKind.LABELS, replace(CLEAN, labels=_looks_back), "already"),
    (LeakKind.SPLITS, replace(CLEAN, split=_unpurged), "touches a test span"),
    (LeakKind.SPLITS, replace(CLEAN, split=_shuffled), "touches a test span"),
    (LeakKind.SPLITS, replace(CLEAN, split=_twice), "in training and in test"),
    (LeakKind.SCALERS, replace(CLEAN, scale=lambda X, train: _scale(X, np.arange(len(X)))), "training row follows"),
    (
        LeakKind.SCALERS,  # the test rows scaled by themselves
        replace(
            CLEAN,
            scale=lambda X, train: np.vstack(
                [_scale(X, train)[: train[-1] + 1], _scale(X, np.arange(train[-1] + 1, len(X)))[train[-1] + 1 :]]
            ),
        ),
        "outside training follows",
    ),
    (LeakKind.THRESHOLDS, replace(CLEAN, choose=lambda s, y, rows: _best_cut(s, y, np.arange(len(y)))), "alteration"),
    (
        LeakKind.THRESHOLDS,
        replace(CLEAN, choose=lambda s, y, rows: _best_cut(s, y, np.setdiff1d(np.arange(len(y)), rows))),
        "alteration",
    ),
]


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return simulate(SimulatedMarket(seed=2, kind="martingale", n_sessions=800)).bars


def test_the_clean_run_passes(bars: pl.DataFrame) -> None:
    report = CLEAN.check(bars)
    assert report.ok, str(report)
    report.require()
    assert min(report.comparisons.values()) >= 5


@pytest.mark.parametrize(("kind", "run", "named"), PLANTED, ids=[f"{kind}-{i}" for i, (kind, _, _) in enumerate(PLANTED)])
def test_a_planted_leak_fails_the_run_by_name(bars: pl.DataFrame, kind: LeakKind, run: Run, named: str) -> None:
    with pytest.raises(LeakFound, match=f"leakage in {kind}: ") as caught:
        run.check(bars).require()
    assert caught.value.kinds == {kind}  # its own name, and no other
    assert named in str(caught.value)
    assert caught.value.exit_code == 1


def test_each_of_the_five_kinds_is_planted() -> None:
    assert {kind for kind, _, _ in PLANTED} == set(LeakKind)
    assert len(LeakKind) == 5


def test_a_door_that_was_not_looked_at_is_no_clean_run(bars: pl.DataFrame) -> None:
    report = LeakageReport.of([feature_leaks(_fieldcast_features, bars, times=2, first=200)])
    assert not report.ok
    with pytest.raises(MissingData, match="labels, splits, scalers, thresholds"):
        report.require()


def test_a_partition_can_be_put_to_the_test() -> None:
    made, ended = _daily(600, 5)
    leaky = Partition(np.arange(400), np.arange(400, 500), np.arange(500, 595))
    assert [leak.kind for leak in split_leaks([(leaky.train, leaky.validation)], made, ended).leaks] == [LeakKind.SPLITS]
