"""X03: Set of 31 (market-hours, range, volume, trend, oscillator, volatility regime) and multi-timeframe features with alignment
score, admitted by a 2 % uplift rule.

Done when: "Exactly 31 named columns are produced, and a higher-timeframe value appears only after its bar closes"
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast import features
from fieldcast.data.simulated import BarMarket, equity, simulate_bars
from fieldcast.features._set31 import BLOCK, COLUMNS
from fieldcast.features.multi_timeframe import ALIGNMENT, SET31, alignment, higher_timeframes, join_timeframes
from fieldcast.ground import InvalidInput
from fieldcast.models import Logistic, out_of_fold
from fieldcast.models.uplift import LEAST, Admission, paired_uplift
from fieldcast.validation.causality import check_causality
from fieldcast.validation.causality_report import Kind

pytestmark = pytest.mark.feature("X03")
OPEN_PARTS: tuple[str, ...] = ()
GROUPS = {"market hours": 5, "range": 4, "volume": 3, "trend": 8, "oscillator": 8, "volatility regime": 3}


@pytest.fixture(scope="module")
def minutes() -> pl.DataFrame:
    """Five simulated sessions of minute bars, each known half a second after its end, some a good while later."""
    (made,) = simulate_bars(BarMarket(31, (equity("SET"),), date(2014, 3, 3), date(2014, 3, 7), "1m"))
    late = pl.when(pl.int_range(pl.len()) % 97 == 40).then(timedelta(minutes=7)).otherwise(timedelta(milliseconds=500))
    return made.bars.with_columns(available_at=pl.col("ts") + late)


def test_exactly_31_named_columns_are_produced_in_six_groups(minutes: pl.DataFrame) -> None:
    table = features.compute(minutes, [BLOCK])
    names = [name for name in table.columns if name != "ts"]
    assert len(names) == len(set(names)) == 31 == sum(GROUPS.values())
    assert tuple(names) == features.columns([BLOCK]) == tuple(column.name for column in COLUMNS)
    first = 0
    heads = ("tokyo", "range_to_mean", "volume_mean_20_100", "close_to_sma_7", "rsi_14", "volatility_low")
    for head, size in zip(heads, GROUPS.values(), strict=True):
        assert names[first] == f"{BLOCK}.{head}"
        first += size
    last = table.row(-1, named=True)
    assert all(last[name] is not None for name in names)
    assert all(table[name].drop_nulls().is_finite().all() for name in names)
    varying = {name for name in names if table[name].drop_nulls().n_unique() > 1}
    assert set(names) - varying <= {f"{BLOCK}.{name}" for name in ("tokyo", "weekend")}  # New York's hours, Monday to Friday


def test_the_set_of_31_sees_no_future_and_moves_with_no_split(minutes: pl.DataFrame) -> None:
    names = {column.name: column for column in COLUMNS}
    report = check_causality(names, lambda bars, _: features.compute(bars, [BLOCK]), minutes.head(600), times=15, seed=3)
    assert report.ok, str(report)
    assert report.comparisons[Kind.SCALE] > 0


def test_a_higher_timeframe_value_appears_only_after_its_bar_closes(minutes: pl.DataFrame) -> None:
    higher = higher_timeframes(minutes, "XNYS")
    joined = join_timeframes(minutes, higher)
    seen = joined.hstack(minutes.select("available_at"))
    for name, frame in higher.items():
        bar = f"{name}.bar_ts"
        known = seen.drop_nulls(bar)
        assert known.height > minutes.height // 2
        assert (known["ts"] >= known[bar]).all()
        told = known.join(frame.select(pl.col("ts").alias(bar), since="available_at"), on=bar, how="left")
        assert (told["available_at"] >= told["since"]).all()
        # and at once then: nothing newer was known that had ended
        for row in range(0, minutes.height, 61):
            ts, now = minutes["ts"][row], minutes["available_at"][row]
            there = frame.filter((pl.col("ts") <= ts) & (pl.col("available_at").rolling_max(400, min_samples=1) <= now))
            assert joined[bar][row] == (there["ts"][-1] if there.height else None)
        own = features.compute(frame, SET31)
        values = joined.select(bar, f"{name}.set31.rsi_14").drop_nulls(bar).join(own, left_on=bar, right_on="ts", how="left")
        assert values[f"{name}.set31.rsi_14"].equals(values["set31.rsi_14"], check_names=False)


def test_cutting_the_minutes_at_any_moment_leaves_every_earlier_row_as_it_was(minutes: pl.DataFrame) -> None:
    whole = join_timeframes(minutes, higher_timeframes(minutes, "XNYS"))
    aligned = alignment(minutes, whole, ("5m", "15m", "60m"))
    for cut in (400, 777, 1000, 1409):
        part = minutes.head(cut)
        again = join_timeframes(part, higher_timeframes(part, "XNYS"))
        assert again.equals(whole.head(cut))
        assert alignment(part, again, ("5m", "15m", "60m")).equals(aligned.head(cut))


def test_the_alignment_score_is_the_share_of_timeframes_that_point_one_way(minutes: pl.DataFrame) -> None:
    names = ("5m", "15m")
    joined = join_timeframes(
        minutes, {name: frame for name, frame in higher_timeframes(minutes, "XNYS").items() if name in names}
    )
    own = features.compute(minutes, SET31)
    found = alignment(minutes, joined, names)
    assert tuple(found.columns[1:]) == ALIGNMENT
    trend = "set31.close_to_sma_21"
    there = (minutes["available_at"].rolling_max(1950, min_samples=1) <= minutes["available_at"]).to_list()
    assert 0 < there.count(False) < minutes.height / 10  # rows that came before an earlier one of the same minutes
    for row in range(0, minutes.height, 37):
        trends = [own[trend][row] if there[row] else None, *(joined[f"{name}.{trend}"][row] for name in names)]
        score = found["alignment.score"][row]
        if any(value is None for value in trends):
            assert score is None
        else:
            assert score == pytest.approx(abs(sum(np.sign(trends))) / 3)
            assert found["alignment.direction"][row] == pytest.approx(sum(np.sign(trends)) / 3)
    scores = found["alignment.score"].drop_nulls()
    assert set(scores.round(9)) <= {0.0, round(1 / 3, 9), round(2 / 3, 9), 1.0}  # two thirds where one trend is exactly flat
    assert {round(1 / 3, 9), 1.0} <= set(scores.round(9))


def test_further_columns_are_admitted_for_two_points_out_of_sample_and_for_nothing_less() -> None:
    random = np.random.default_rng(312)
    n = 3000
    known, further, noise = random.standard_normal((3, n))
    y = (random.random(n) < 1 / (1 + np.exp(-0.5 * known - 0.9 * further))).astype(float)
    folds = [(np.arange(start), np.arange(start, start + 500)) for start in range(1000, 3000, 500)]

    def scored(*columns: np.ndarray) -> object:
        return out_of_fold(Logistic, np.column_stack(columns), y, folds, name="model")

    base = scored(known)
    good, bad = (paired_uplift(base, scored(known, one), y) for one in (further, noise))  # type: ignore[arg-type]
    assert LEAST == 0.02
    assert good.admission is Admission.ADMITTED
    assert good.interval is not None
    assert good.gain == pytest.approx(good.interval.estimate)
    assert good.gain >= 0.02
    assert good.n == 2000
    assert bad.admission is Admission.REFUSED
    # a gain in sample is no evidence, and too few dates are none either
    with pytest.raises(InvalidInput, match="in-sample"):
        paired_uplift(np.full(n, 0.5), np.full(n, 0.6), y)  # type: ignore[arg-type]
    few = out_of_fold(Logistic, known[:330, None], y[:330], [(np.arange(300), np.arange(300, 330))], name="few")
    assert paired_uplift(few, few, y[:330]).admission is Admission.CANNOT_JUDGE
