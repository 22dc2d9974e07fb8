"""Threshold labels: the week, what is unknown, and families kept apart (all 75 cells: acceptance row X06)."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from fieldcast.features.thresholds import CELLS, Family, LabelRun, Threshold, threshold
from fieldcast.ground import InvalidInput

Bars = Callable[..., pl.DataFrame]


def test_there_are_75_cells_with_names_of_their_own() -> None:
    assert len(CELLS) == len({cell.name for cell in CELLS}) == 75
    assert CELLS[0].name == "high_up_0.5%_1"
    assert CELLS[-1].name == "close_5%_weekly"


def test_weekly_ends_with_the_week_of_the_next_session(bars_of: Bars) -> None:
    bars = bars_of(15, 3)  # three whole weeks from a Monday on
    ends = threshold(bars, Family.HIGH_UP, 0.01, "weekly")["label_end_ts"].to_list()
    friday = [bars["ts"][row] for row in (4, 9, 14)]
    assert ends[:4] == [friday[0]] * 4
    assert ends[4:9] == [friday[1]] * 5
    # the third week is not known to be over: no row of a fourth one exists
    assert ends[9:] == [None] * 6


def test_weekly_on_the_last_session_of_a_week_is_the_label_of_the_next_weekly_bar(bars_of: Bars) -> None:
    bars = bars_of(300, 4)
    week = bars.group_by_dynamic("ts", every="1w").agg(pl.col("high").max(), pl.col("close").last())
    daily = threshold(bars, Family.HIGH_UP, 0.01, "weekly")["y"].to_list()
    for number in range(week.height - 2):
        expected = week["high"][number + 1] >= week["close"][number] * 1.01
        assert daily[5 * number + 4] == int(expected)


def test_a_session_that_closes_at_midnight_on_sunday_belongs_to_the_week_it_ends(bars_of: Bars) -> None:
    days = pl.datetime_range(
        pl.datetime(2020, 1, 7, time_unit="us", time_zone="UTC"),  # the close of Monday 2020-01-06, around the clock
        pl.datetime(2020, 1, 21, time_unit="us", time_zone="UTC"),
        "1d",
    )
    bars = bars_of(15, 5).with_columns(ts=days).with_columns(available_at="ts")
    ends = threshold(bars, Family.CLOSE, 0.01, "weekly")["label_end_ts"]
    assert ends[0].isoformat() == "2020-01-13T00:00:00+00:00"  # the close of Sunday the 12th
    assert ends[6].isoformat() == "2020-01-20T00:00:00+00:00"


def test_a_holiday_shortens_its_week_and_a_missing_week_does_not_stretch_one(bars_of: Bars) -> None:
    bars = bars_of(20, 6)
    short = bars.filter(~pl.int_range(pl.len()).is_in([9, 10, 11, 12, 13, 14]))
    ends = threshold(short, Family.LOW_DOWN, 0.01, "weekly")["label_end_ts"].to_list()
    assert ends[5] == bars["ts"][8]  # Friday is missing: Thursday ends the week
    assert ends[8] is None  # the next session is two weeks later, in the last week of the data


def test_an_unknown_low_in_the_window_makes_the_answer_unknown(bars_of: Bars) -> None:
    bars = bars_of(60, 7)
    holed = bars.with_columns(
        low=pl.when(pl.int_range(pl.len()) == 30).then(None).otherwise(pl.col("low")),
        reasons=pl.when(pl.int_range(pl.len()) == 30).then(pl.lit("close_only")).otherwise(None),
    )
    table = threshold(holed, Family.LOW_DOWN, 0.01, 5)
    assert table["y"][25:30].null_count() == 5
    assert table["y"].null_count() == 10
    assert threshold(holed, Family.HIGH_UP, 0.01, 5)["y"].null_count() == 5


def test_families_cannot_be_mixed_in_a_run(bars_of: Bars) -> None:
    up, other = Threshold(Family.HIGH_UP, 0.01, 1), Threshold(Family.HIGH_UP, 0.02, "weekly")
    run = LabelRun((up, other))
    assert run.family is Family.HIGH_UP
    table = run.table(bars_of(50))
    assert table.columns == ["label", "ts", "label_end_ts", "y"]
    assert table["label"].unique(maintain_order=True).to_list() == ["high_up_1%_1", "high_up_2%_weekly"]
    with pytest.raises(InvalidInput, match="one family"):
        LabelRun((up, Threshold(Family.CLOSE, 0.01, 1)))
    with pytest.raises(InvalidInput, match="without repeats"):
        LabelRun((up, up))
    with pytest.raises(InvalidInput, match="without repeats"):
        LabelRun(())


@pytest.mark.parametrize(
    ("family", "theta", "horizon"),
    [("high", 0.01, 1), ("high_up", 1.0, 1), ("high_up", 0.0, 1), ("high_up", 0.01, 0), ("high_up", 0.01, "monthly")],
)
def test_a_cell_that_is_not_one_is_refused(bars_of: Bars, family: str, theta: float, horizon: int) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        threshold(bars_of(10), family, theta, horizon)
