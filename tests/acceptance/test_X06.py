"""X06, labels: thresholds (High-up, Low-down, Close; theta .5/1/2/3/5 %; 1/2/3/5 days, weekly) and forward return,
direction with flat band, magnitude, volatility, 15-minute-ahead; balance report.

Done when: "Threshold labels equal a brute-force loop in all 75 cells, label families cannot be mixed in one run, and
cut points come from training rows only".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.features import labels
from fieldcast.features.thresholds import CELLS, Family, Horizon, LabelRun, Threshold, threshold
from fieldcast.ground import InvalidInput
from fieldcast.market import BARS, STAMP, conform, sessions_between

pytestmark = pytest.mark.feature("X06")
OPEN_PARTS: tuple[str, ...] = ()


def simulated(n: int = 520, step: timedelta | None = None) -> pl.DataFrame:
    """Bars on New York's sessions (holidays, early closes), or every `step`, rough enough for 5 % moves."""
    random = np.random.default_rng(606)
    if step is None:
        calendar = sessions_between("XNYS", datetime(2012, 6, 1).date(), datetime(2016, 12, 31).date())  # noqa: DTZ001
        ts = calendar["close"].head(n).cast(STAMP)
    else:
        first = datetime(2020, 3, 2, 14, 31, tzinfo=UTC)
        ts = pl.Series("ts", [first + step * row for row in range(n)], dtype=STAMP)
    move = 0.018 * random.standard_normal(n)
    close = 40 * np.exp(np.cumsum(move))
    opened = close * np.exp(-0.5 * move)
    frame = pl.DataFrame(
        {
            "instrument": ["XTST:SIM"] * n,
            "ts": ts,
            "open": opened,
            "high": np.maximum(opened, close) * (1 + 0.01 * random.random(n)),
            "low": np.minimum(opened, close) * (1 - 0.01 * random.random(n)),
            "close": close,
            "volume": 1e5 * random.random(n),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    ).with_columns(available_at="ts")
    return conform(frame, BARS)


def brute_force(
    bars: pl.DataFrame, family: Family, theta: float, horizon: Horizon
) -> tuple[list[datetime | None], list[int | None]]:
    """The definition as loops over rows: end of the window and label."""
    ts, high, low, close = (bars[name].to_list() for name in ("ts", "high", "low", "close"))
    week = [stamp.isocalendar()[:2] for stamp in ts]
    ends: list[datetime | None] = []
    answers: list[int | None] = []
    for t in range(len(ts)):
        window: list[int] | None
        if horizon == "weekly":
            window = [row for row in range(t + 1, min(t + 15, len(ts))) if week[row] == week[t + 1]]
            over = bool(window) and window[-1] + 1 < len(ts)
            window = window if over else None
        else:
            window = list(range(t + 1, t + horizon + 1)) if t + horizon < len(ts) else None
        if window is None:
            ends.append(None)
            answers.append(None)
            continue
        reached = False
        for row in window:
            if family is Family.HIGH_UP:
                reached = reached or high[row] >= close[t] * (1 + theta)
            elif family is Family.LOW_DOWN:
                reached = reached or low[row] <= close[t] * (1 - theta)
            else:
                reached = reached or close[row] >= close[t] * (1 + theta)
        ends.append(ts[window[-1]])
        answers.append(int(reached))
    return ends, answers


@pytest.mark.parametrize("market", ["simulated", "nasdaq"])
def test_threshold_labels_equal_a_brute_force_loop_in_all_75_cells(market: str) -> None:
    bars = simulated() if market == "simulated" else read_bundled("nasdaq")[1].head(700)
    assert len(CELLS) == 3 * 5 * 5
    assert {cell.theta for cell in CELLS} == {0.005, 0.01, 0.02, 0.03, 0.05}
    assert {cell.horizon for cell in CELLS} == {1, 2, 3, 5, "weekly"}
    both_classes = 0
    for cell in CELLS:
        ends, answers = brute_force(bars, cell.family, cell.theta, cell.horizon)
        table = threshold(bars, cell.family, cell.theta, cell.horizon)
        assert table["label_end_ts"].to_list() == ends, cell.name
        assert table["y"].to_list() == answers, cell.name
        both_classes += len({answer for answer in answers if answer is not None}) == 2
    assert both_classes >= 70  # the comparison would mean little if most labels were constant


def test_label_families_cannot_be_mixed_in_one_run() -> None:
    for one, other in combinations(Family, 2):
        with pytest.raises(InvalidInput, match="one family"):
            LabelRun((Threshold(one, 0.01, 1), Threshold(other, 0.01, 5)))
    for family in Family:
        run = LabelRun(tuple(cell for cell in CELLS if cell.family is family))
        table = run.table(simulated(60))
        assert table["label"].n_unique() == 25
        assert table["label"].str.starts_with(family).all()


def test_cut_points_come_from_training_rows_only() -> None:
    bars = simulated()
    cut_off = bars["ts"][300]
    sigma = np.full(bars.height, 0.02)
    other_future = bars.with_columns(
        pl.when(pl.col("ts") > cut_off).then(pl.col(name) * 3).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    fitted = []
    for given in (bars, other_future):
        table = labels.sign(given, 5)
        training = labels.training_rows(table, cut_off)
        assert training.max() == 295  # the answers of the rows after it came later than the cut-off
        ret = table["ret"].to_numpy()[training]
        fitted.append((labels.flat_band_k(ret, sigma[training]), labels.magnitude_cuts(ret, sigma[training])))
    assert fitted[0] == fitted[1]
    k, cuts = fitted[0]
    flat = labels.three_way(bars, 5, sigma, k)["direction"].head(296)
    assert (flat == 0).mean() == pytest.approx(1 / 3, abs=1 / 296)
    sizes = labels.magnitude(bars, 5, sigma, cuts)["magnitude"].head(296).value_counts()["count"].to_list()
    assert max(sizes) - min(sizes) <= 2
    # the other future has another share of flat rows, which nobody may tune away
    later = labels.three_way(other_future, 5, sigma, k)["direction"][296:]
    assert abs((later == 0).mean() - 1 / 3) > 1 / 296


def test_forward_return_and_volatility_equal_their_loops() -> None:
    bars = simulated(120)
    close, opened = bars["close"].to_list(), bars["open"].to_list()
    for h in (1, 5):
        ret, sigma = labels.sign(bars, h)["ret"], labels.volatility(bars, h)["log_sigma"]
        tradable = labels.open_to_close(bars, h)["ret"]
        for t in range(120 - h):
            assert ret[t] == pytest.approx(math.log(close[t + h] / close[t]), rel=1e-12)
            assert tradable[t] == pytest.approx(math.log(close[t + h] / opened[t + 1]), rel=1e-12)
            squares = [math.log(close[d + 1] / close[d]) ** 2 for d in range(t, t + h)]
            assert sigma[t] == pytest.approx(math.log(math.sqrt(sum(squares) / h + 1e-8)), rel=1e-10)


def test_fifteen_minutes_ahead_are_minutes_and_not_rows() -> None:
    minutes = simulated(90, timedelta(minutes=1)).filter(~pl.int_range(pl.len()).is_in([20, 40, 41]))
    table = labels.minutes_ahead(minutes, 15)
    by_time = dict(zip(minutes["ts"], minutes["close"], strict=True))
    for row, stamp in enumerate(minutes["ts"]):
        later = by_time.get(stamp + timedelta(minutes=15))
        expected = None if later is None else int(later > by_time[stamp])
        assert table["y"][row] == expected
    assert table["y"].null_count() == 15 + 3


@pytest.mark.parametrize(
    ("label", "make"),
    [
        ("y", lambda bars: threshold(bars, Family.HIGH_UP, 0.01, 1)),
        ("direction", lambda bars: labels.three_way(bars, 1, np.full(bars.height, 0.02), 0.4)),
    ],
)
def test_the_balance_report_counts_classes_and_unknown_rows(label: str, make: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    table = make(simulated())
    report = labels.balance(table, label)
    values = table[label].to_list()
    for row in report.iter_rows(named=True):
        assert row["rows"] == values.count(row["value"])
        assert row["share"] == pytest.approx(values.count(row["value"]) / (len(values) - values.count(None)))
        assert row["unknown"] == values.count(None)
    assert report["value"].to_list() == sorted({value for value in values if value is not None})
