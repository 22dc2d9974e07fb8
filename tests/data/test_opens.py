"""The flag on synthetic opens does not depend on how a history was cut into files."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.opens import flag_synthetic_opens, settle_opens
from fieldcast.ground import ManualClock, MissingData, Settings
from fieldcast.market import DECISION_DELAY, has_reason
from fieldcast.workflows import open_workspace

FLAGGED = pl.col("reasons").str.contains("open_synthetic").fill_null(value=False)


@pytest.fixture
def year(make_bars) -> pl.DataFrame:
    return make_bars(first=date(2022, 1, 3), last=date(2022, 12, 30))


def copies(bars: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """`bars` whose opens copy the previous close in some rows."""
    previous = pl.col("close").shift(1)
    copied = pl.when(pl.int_range(pl.len()).is_between(first, last)).then(previous).otherwise("open")
    return bars.with_columns(
        open=copied, high=pl.max_horizontal("high", copied), low=pl.min_horizontal("low", copied)
    )


def delivered(store, parts, make_lineage, spy) -> list[int]:
    """Files come in one after the other, as an import takes them; the rows that each restated."""
    restated = []
    for part in parts:
        try:
            history = store.read(spy.id, dataset="test")
        except MissingData:
            history = None
        now = part["ts"][-1] + timedelta(hours=1)
        store.append(flag_synthetic_opens(part, "XNYS", history), make_lineage(fetched_at=now))
        restated.append(settle_opens(store, [spy], "test", now))
        assert settle_opens(store, [spy], "test", now) == 0
    return restated


@pytest.mark.parametrize("span", [(1, 250), (150, 240), (2, 40), (2, 30)])
@pytest.mark.parametrize("size", [1, 10, 60, 400])
def test_the_flags_are_the_same_however_a_year_came_in(year, make_lineage, spy, span, size):
    bars = copies(year, *span).with_columns(reasons=pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("volume_zero")))
    bars = bars if size > 1 else bars.head(60)
    whole, cut = MemoryStore(), MemoryStore()
    delivered(whole, [bars], make_lineage, spy)
    delivered(cut, list(bars.iter_slices(size)), make_lineage, spy)
    assert cut.read(spy.id).drop("available_at").equals(whole.read(spy.id).drop("available_at"))
    assert cut.read(spy.id)["reasons"].equals(flag_synthetic_opens(bars, "XNYS")["reasons"])


def test_a_judgement_that_changes_is_a_restatement_and_the_past_stays(year, make_lineage, spy):
    """Copies begin in June: the year so far is judged anew, and what was read before is still read as of then."""
    bars, store = copies(year, 110, 250), MemoryStore()
    first, second = bars.head(100), bars.tail(bars.height - 100)
    assert delivered(store, [first, second], make_lineage, spy) == [0, 100]
    now = store.read(spy.id)
    assert now.select(FLAGGED.all()).item()
    assert now.drop("reasons", "available_at").equals(bars.drop("reasons", "available_at"))
    before = store.read(spy.id, as_of=first["ts"][-1] + DECISION_DELAY)
    assert before.equals(first)
    assert store.verify().ok


def test_the_store_on_the_disk_does_the_same(year, make_lineage, spy, tmp_path):
    bars, now = copies(year, 110, 250), year["ts"][-1] + timedelta(hours=2)
    whole = MemoryStore()
    delivered(whole, [bars], make_lineage, spy)
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(now)) as workspace:
        assert delivered(workspace.store, [bars.head(100), bars.tail(bars.height - 100)], make_lineage, spy) == [0, 100]
        assert workspace.store.read(spy.id).drop("available_at").equals(whole.read(spy.id).drop("available_at"))
        assert workspace.store.verify().ok


def test_a_flag_is_taken_back_where_the_year_turns_out_sound(year, make_lineage, spy):
    bars, store = copies(year, 1, 30), MemoryStore()
    assert delivered(store, [bars.head(40), bars.tail(bars.height - 40)], make_lineage, spy) == [0, 40]
    assert store.read(spy.id).select(has_reason("open_synthetic").any()).item() is False
    assert store.read(spy.id, as_of=bars["ts"][39] + timedelta(hours=2)).select(FLAGGED.all()).item()


def test_what_is_not_there_is_said(spy, make_lineage, year):
    with pytest.raises(MissingData, match="ARCX:SPY"):
        settle_opens(MemoryStore(), [spy], "test", year["ts"][-1])
