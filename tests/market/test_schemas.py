"""Tables have exactly their columns and types; reasons stay registered, sorted and unique."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import BAR_KEY, BARS, PRICES, STAMP, add_reason, conform, empty_bars, has_reason, trusted_open

CODES = st.sampled_from([str(reason) for reason in Reason])


def _bars(reasons: list[str | None]) -> pl.DataFrame:
    n = len(reasons)
    moments = [datetime(2018, 1, 1 + k, 21, tzinfo=UTC) for k in range(n)]
    return pl.DataFrame(
        {
            "instrument": ["XNAS:COMP"] * n,
            "ts": moments,
            "available_at": moments,
            "open": [1.0] * n,
            "high": [2.0] * n,
            "low": [0.5] * n,
            "close": [1.5] * n,
            "volume": [10.0] * n,
            "reasons": reasons,
        },
        schema=BARS,
    )


def test_an_empty_table_has_the_whole_schema() -> None:
    assert dict(empty_bars().schema) == BARS
    assert empty_bars().is_empty()
    assert set(BAR_KEY) | set(PRICES) <= set(BARS)
    assert BARS["ts"] == BARS["available_at"] == STAMP == pl.Datetime("us", "UTC")


def test_conform_orders_casts_and_drops_what_is_not_in_the_schema() -> None:
    frame = (
        _bars([None])
        .with_columns(pl.col("volume").cast(pl.Int64), extra=pl.lit(1))
        .select("extra", *reversed(list(BARS)))
    )
    made = conform(frame, BARS)
    assert dict(made.schema) == BARS
    assert made.equals(_bars([None]))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"missing close, reasons$"):
        conform(_bars([None]).drop("close", "reasons"), BARS)


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="n/a"):
        conform(_bars([None]).with_columns(close=pl.lit("n/a")), BARS)


def test_reasons_are_found_by_their_whole_code() -> None:
    frame = _bars([None, "stale", "close_only,stale", "large_move"])
    assert frame.select(has_reason("stale")).to_series().to_list() == [False, True, True, False]
    assert frame.select(has_reason("move")).to_series().to_list() == [False] * 4


@given(st.lists(st.lists(CODES, unique=True, max_size=3), min_size=1, max_size=5), CODES, st.data())
def test_adding_a_reason_keeps_codes_sorted_unique_and_others_untouched(
    rows: list[list[str]], code: str, data: st.DataObject
) -> None:
    where = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    before = _bars([",".join(sorted(row)) or None for row in rows]).with_columns(where=pl.Series(where))
    after = before.with_columns(add_reason(code, pl.col("where")))
    for row, chosen, found in zip(rows, where, after["reasons"].to_list(), strict=True):
        expected = sorted({*row, code}) if chosen else sorted(row)
        assert found == (",".join(expected) or None)
    again = after.with_columns(add_reason(code, pl.col("where")))
    assert again.equals(after)


def test_a_synthetic_open_is_unknown_to_features_and_fills() -> None:
    frame = _bars([None, "open_synthetic", "large_move,open_synthetic", "stale"])
    assert frame.select(trusted_open()).to_series().to_list() == [1.0, None, None, 1.0]
