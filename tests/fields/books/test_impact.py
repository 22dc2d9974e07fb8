"""Signs, spreads and Kyle's λ: hand-worked trades, regressions beside scipy, and the recorded trades and quotes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from fieldcast.fields.books import kyle_lambda, signed_trades, trade_costs
from fieldcast.fields.books.impact import _regress
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import table_of

START = datetime(2024, 1, 2, tzinfo=UTC)


def table(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    schema = dict(table_of(name).schema)
    whole = []
    for place, row in enumerate(rows):
        at = START + timedelta(milliseconds=int(row["at"]))  # type: ignore[call-overload]
        head = {"instrument": row.get("instrument", "XTST:A"), "ts": at, "available_at": at, "sequence": place}
        whole.append(dict.fromkeys(schema) | {k: v for k, v in row.items() if k in schema} | head)
    return pl.DataFrame(whole, schema=schema)


def quote(at: int, bid: float | None, ask: float | None) -> dict[str, object]:
    return {"at": at, "bid": bid, "ask": ask, "bid_size": 1.0, "ask_size": 1.0}


def trade(at: int, price: float, size: float = 1.0, side: str | None = None) -> dict[str, object]:
    return {"at": at, "price": price, "size": size, "side": side}


def test_lee_and_ready_by_hand():
    """Above the mid, below it, at it after an up-tick, at it after the down-tick before, by the venue, and before any quote."""
    quotes = table("quotes", [quote(1000, 99.0, 101.0)])
    trades = table("trades", [
        trade(500, 100.0), trade(2000, 100.5), trade(2001, 99.5), trade(2002, 100.0), trade(2003, 100.0),
        trade(2004, 100.5, side="sell"), trade(2005, 100.0),
    ])  # fmt: skip
    found = signed_trades(trades, quotes)
    assert found["sign"].to_list() == [None, 1, -1, 1, 1, -1, -1]
    assert found["sign_from"].to_list() == [None, "quote", "quote", "tick", "tick", "venue", "tick"]
    assert found["mid"].to_list() == [None] + [100.0] * 6


def test_the_quote_stands_before_the_trade_by_the_lag():
    quotes = table("quotes", [quote(0, 99.0, 101.0), quote(990, 101.0, 103.0), quote(1000, 103.0, 105.0)])
    trades = table("trades", [trade(1000, 101.0)])
    mids = [signed_trades(trades, quotes, timedelta(milliseconds=ms))["mid"][0] for ms in (0, 9, 10, 500)]
    assert mids == [102.0, 102.0, 100.0, 100.0]


def test_crossed_and_one_sided_quotes_are_no_quotes():
    quotes = table("quotes", [quote(0, 99.0, 101.0), quote(10, 102.0, 101.0), quote(20, None, 101.0)])
    assert signed_trades(table("trades", [trade(30, 101.0)]), quotes)["mid"][0] == 100.0


def test_spreads_worked_by_hand():
    """Buys at 101 with the mid at 100, which is 100.5 a second later: effective 200 bps, realised 100, impact 100."""
    pairs = [(quote(10_000 * k, 99.0, 101.0), quote(10_000 * k + 500, 99.5, 101.5)) for k in range(12)]
    quotes = table("quotes", [row for pair in pairs for row in pair])
    trades = table("trades", [trade(10_000 * k + 100, 101.0, side="buy") for k in range(12)])
    found = trade_costs(trades, quotes, (1.0, 60.0))
    assert found.effective_bps == pytest.approx(200.0)
    assert found.realised_bps[1.0] == pytest.approx(100.0)
    assert found.impact_bps[1.0] == pytest.approx(100.0)
    assert (found.trades, found.unsigned, found.unquoted) == (12, 0, 0)
    assert found.counts[1.0] == 11  # the quotes end 400 ms after the last trade


@given(seed=st.integers(0, 2**32))
def test_effective_is_realised_plus_impact(seed):
    random = np.random.default_rng(seed)
    mids = 100 + np.cumsum(random.normal(0, 0.01, 80))
    quotes = table("quotes", [quote(100 * k, mid - 0.02, mid + 0.02) for k, mid in enumerate(mids)])
    sides = random.choice(["buy", "sell"], 60)
    trades = table("trades", [
        trade(100 * k + 50, mids[k] + random.normal(0, 0.02), random.lognormal(), str(side)) for k, side in enumerate(sides)
    ])  # fmt: skip
    found = trade_costs(trades, quotes, (0.5, 1.0))
    for tau in (0.5, 1.0):
        assert found.counts[tau] == 60
        assert found.realised_bps[tau] + found.impact_bps[tau] == pytest.approx(found.effective_bps, abs=1e-9)


def test_few_trades_and_quotes_that_end_too_soon_say_nothing():
    quotes = table("quotes", [quote(0, 99.0, 101.0), quote(500, 99.0, 101.0)])
    few = trade_costs(table("trades", [trade(100, 101.0)]), quotes)
    assert (few.effective_bps, few.reasons["effective_bps"]) == (None, Reason.FEW_ROWS)
    many = trade_costs(table("trades", [trade(100 + k, 101.0) for k in range(20)]), quotes, (1.0,))
    assert many.effective_bps == pytest.approx(200.0)
    assert (many.realised_bps, many.reasons["realised_bps_1s"]) == ({}, Reason.FEW_ROWS)


@given(seed=st.integers(0, 2**32))
def test_the_slope_is_that_of_scipys_regression(seed):
    random = np.random.default_rng(seed)
    x = random.normal(0, 3, 50)
    y = 0.2 * x + random.normal(0, 1, 50)
    ours, theirs = _regress(x, y), linregress(x, y)
    assert ours.price_per_unit == pytest.approx(theirs.slope, abs=1e-12)
    assert ours.r_squared == pytest.approx(theirs.rvalue**2, abs=1e-12)


def test_the_error_is_hc1_as_its_matrix_form_gives_it():
    random = np.random.default_rng(5)
    x = random.normal(0, 3, 40)
    y = 0.2 * x + random.normal(0, 1, 40) * np.abs(x)
    design = np.stack([np.ones(40), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    left = y - design @ (inverse @ design.T @ y)
    sandwich = inverse @ (design.T * left**2) @ design @ inverse * 40 / 38
    assert _regress(x, y).standard_error == pytest.approx(float(np.sqrt(sandwich[1, 1])), rel=1e-12)


def test_lambda_comes_back_from_a_market_that_moves_by_it():
    """Each second 0.03 a unit of net buying; a trade at the very end of a second belongs to it, as the mid there does."""
    random = np.random.default_rng(11)
    flows = random.normal(0, 5, 200)
    mids = 100 + np.concatenate(([0.0], np.cumsum(0.03 * flows)))
    quotes = table("quotes", [quote(1000 * k, mid - 0.01, mid + 0.01) for k, mid in enumerate(mids)])
    trades = [trade(0, 100.0, 1e-9, "buy")]
    trades += [trade(1000 * (k + 1), 100.0, abs(flow), "buy" if flow > 0 else "sell") for k, flow in enumerate(flows)]
    found = kyle_lambda(table("trades", trades), quotes)
    assert found.price_per_unit == pytest.approx(0.03, rel=1e-6)
    assert found.r_squared == pytest.approx(1.0)
    assert found.intervals == 200


def test_a_stretch_that_is_too_short_or_without_volume_has_no_lambda():
    quotes = table("quotes", [quote(1000 * k, 99.0, 101.0) for k in range(60)])
    trades = [trade(1000 * k + 500, 101.0, 2.0, "buy") for k in range(60)]
    assert kyle_lambda(table("trades", trades[:20]), quotes).reason is Reason.FEW_ROWS
    still = kyle_lambda(table("trades", trades), quotes)
    assert (still.price_per_unit, still.reason) == (None, Reason.UNDEFINED)
    assert kyle_lambda(table("trades", []), quotes).reason is Reason.FEW_ROWS


def test_wrong_use_is_refused():
    quotes, trades = table("quotes", [quote(0, 99.0, 101.0)]), table("trades", [trade(1, 100.0)])
    with pytest.raises(InvalidInput, match="one instrument"):
        signed_trades(trades, quotes.with_columns(instrument=pl.lit("XTST:B")))
    with pytest.raises(InvalidInput, match="interval"):
        kyle_lambda(trades, quotes, timedelta(0))
    with pytest.raises(InvalidInput, match="horizons"):
        trade_costs(trades, quotes, (0.0,))


# recorded trades and quotes ------------------------------------------------------------------------------------------


def test_recorded_signs_are_the_venues_and_lee_and_ready_finds_most_of_them(binance):
    """With the quote of 50 ms before; with no lag the quote that a trade left behind stands before it (see the docs)."""
    trades, quotes = binance.tables["trades"], binance.tables["quotes"]
    venue = signed_trades(trades, quotes)
    assert venue["sign_from"].unique().to_list() == ["venue"]
    hidden = trades.with_columns(side=pl.lit(None, dtype=pl.String))
    right = []
    for lag in (0, 50):
        guessed = signed_trades(hidden, quotes, timedelta(milliseconds=lag))
        right.append((guessed["sign"] == venue["sign"]).mean())
    assert right[0] < 0.75 < 0.9 < right[1]


def test_recorded_trades_pay_the_spread_and_move_the_price(binance):
    found = trade_costs(binance.tables["trades"], binance.tables["quotes"], (1.0, 5.0), lag=timedelta(milliseconds=50))
    assert found.effective_bps > 0
    assert found.impact_bps[1.0] > 0
    assert (found.trades, found.unsigned) == (9757, 0)


def test_recorded_net_buying_goes_with_rising_prices(binance):
    found = kyle_lambda(binance.tables["trades"], binance.tables["quotes"])
    assert found.intervals == 345
    assert found.price_per_unit > 0
    assert 0 < found.r_squared < 1
