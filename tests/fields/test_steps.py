"""The step form gives the row of the batch, for every registered column, and keeps a bounded past."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from fieldcast.fields import FIELD_REGISTRY, WARMUP, build_field_table
from fieldcast.fields.steps import KEPT, FieldStepper
from fieldcast.ground import InvalidInput
from fieldcast.market import BARS


def holed(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars with an unknown volume, a close-only day, a session without trading and opens that are no prints."""
    place = pl.int_range(pl.len())
    return bars.with_columns(
        *(pl.when(place == 640).then(None).otherwise(name).alias(name) for name in ("open", "high", "low")),
        volume=pl.when(place == 620).then(None).when(place == 655).then(0.0).otherwise("volume"),
        reasons=pl.when(place.is_between(630, 634)).then(pl.lit("open_synthetic")).otherwise("reasons"),
        available_at=pl.when(place == 650).then(pl.col("available_at") + timedelta(days=9)).otherwise("available_at"),
    ).cast(BARS)  # type: ignore[arg-type]


def same(row: dict[str, object], expected: dict[str, object]) -> None:
    assert list(row) == list(expected)
    for name, value in expected.items():
        if isinstance(value, float) and name in FIELD_REGISTRY:
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
        else:
            assert row[name] == value, name


def test_each_step_is_the_last_row_of_the_batch_for_every_column(make_bars) -> None:
    """Through holes and restarts, until every column has had a value; the batch is computed once, being causal."""
    bars = holed(make_bars(900, seed=7))
    table = build_field_table(bars)
    stepper = FieldStepper(bars.head(600))
    known = set()
    for row in range(600, bars.height):
        if row > 665 and row % 9:
            stepper._take(bars[row])
            continue
        got = stepper.update(bars[row])
        same(got, table.row(row, named=True))
        known |= {name for name in FIELD_REGISTRY if got[name] is not None}
    assert known == set(FIELD_REGISTRY)


def test_a_stepper_that_begins_empty_warms_up_as_the_batch_does(make_bars) -> None:
    bars = make_bars(90, seed=8, tick=0.05)
    table, stepper = build_field_table(bars), FieldStepper()
    for row in range(bars.height):
        same(stepper.update(bars[row]), table.row(row, named=True))


def test_a_long_past_is_forgotten_without_a_trace(make_bars) -> None:
    """Begun with history longer than what is kept, and run far enough for the kept rows to be moved."""
    bars = make_bars(3 * KEPT, seed=3, tick=0.01)
    begin = bars.height - KEPT - 200
    late = pl.int_range(pl.len()) == begin + 1 - WARMUP  # read by the first two rows, and by no later one
    bars = bars.with_columns(
        available_at=pl.when(late).then(pl.col("available_at") + timedelta(days=4_000)).otherwise("available_at")
    )
    stepper = FieldStepper(bars.head(begin))
    assert len(stepper) == KEPT
    table = build_field_table(bars)
    for row in range(begin, bars.height):
        got = stepper.update(bars[row]) if row > bars.height - 40 or row < begin + 3 else stepper._take(bars[row])
        if got is not None:
            same(got, table.row(row, named=True))
    assert table["available_at"][begin + 1] - table["available_at"][begin + 2] > timedelta(days=3_000)
    assert len(stepper) == KEPT > WARMUP


def test_a_step_takes_one_later_bar_of_its_instrument(bars: pl.DataFrame) -> None:
    stepper = FieldStepper(bars.head(10))
    with pytest.raises(InvalidInput, match="one closed bar, found 2"):
        stepper.update(bars[10:12])
    with pytest.raises(InvalidInput, match="later than"):
        stepper.update(bars[9])
    with pytest.raises(InvalidInput, match="one stepper for each"):
        stepper.update(bars[10].with_columns(instrument=pl.lit("XNAS:ELSE")))
    with pytest.raises(InvalidInput, match="high ≥ low"):
        stepper.update(bars[10].with_columns(high=pl.lit(1.0)))
    with pytest.raises(InvalidInput, match="a close on every bar"):
        stepper.update(bars[10].with_columns(close=pl.lit(None, dtype=pl.Float64)))
    stepper.update(bars[10])
    assert len(stepper) == 11


@pytest.mark.slow
def test_the_cost_of_a_bar_does_not_grow_with_its_past(make_bars) -> None:
    """After 4,900 bars within half as much again as after as many as are kept."""
    bars = make_bars(5000, seed=1)
    spent = {}
    for past in (KEPT, 4900):
        stepper = FieldStepper(bars.head(past))
        times = []
        for row in range(past, past + 60):
            start = time.process_time()
            stepper.update(bars[row])
            times.append(time.process_time() - start)
        spent[past] = float(np.median(times))
    assert spent[4900] < 1.5 * spent[KEPT] + 0.001
