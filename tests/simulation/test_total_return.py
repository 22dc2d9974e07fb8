"""Holding a real share through its splits and dividends, cash put back into it, against total-return prices that others made.

A dividend put back at the close before the ex-date less the dividend buys 1 / (1 - dividend / close before) shares for one: the
account then grows exactly as the adjusted price does (CRSP), but for whole cents and parts of shares. NVDA: Tiingo's own adjusted
closes, split of 10 for 1 on 10 June 2024. AAPL: the factors of LEAN's file, 7 for 1 on 9 June 2014.
"""

from __future__ import annotations

import gzip
import importlib.util
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from fieldcast.data.actions import action_rows, adjust
from fieldcast.data.formats.lean_factors import actions_of, read_factors
from fieldcast.market import BARS, Instrument, Kind, sessions_between
from fieldcast.simulation import _state as s
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market

_spec = importlib.util.spec_from_file_location("fieldcast_test_ledger", Path(__file__).with_name("ledger.py"))
ledger = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ledger)

LOT = Decimal("0.000001")


def bars_of(id: str, days: pl.Series, close: pl.Series) -> pl.DataFrame:
    """Daily bars at the closes of the sessions."""
    frame = pl.DataFrame({"session": days.cast(pl.Date), "price": close})
    table = sessions_between("XNYS", frame["session"].min(), frame["session"].max()).join(frame, on="session", how="inner")
    assert table.height == frame.height
    return table.select(
        instrument=pl.lit(id), ts="close", available_at="close", open="price", high="price", low="price", close="price",
        volume=pl.lit(1.0), reasons=pl.lit(None, dtype=pl.String),
    ).select(pl.col(name).cast(dtype) for name, dtype in BARS.items())


def splits(actions: pl.DataFrame) -> list[tuple[date, float]]:
    return actions.filter(pl.col("action") == "split").select(pl.col("effective_at").dt.date(), "ratio").rows()


def grown(bars: pl.DataFrame, actions: pl.DataFrame) -> tuple[np.ndarray, ledger.Ledger]:
    """Equity at each close over the equity at the first, all of it in the share, dividends put back."""
    id = bars["instrument"][0]
    market = Market.of({id: bars}, [Instrument(id, Kind.EQUITY, lot=LOT)])
    book = ledger.Ledger(market, events_of(market, actions=actions), {"USD": "1000000"})
    dividends = {
        int(np.searchsorted(market.ts, row["effective_at"].timestamp() * 1e6, side="right")): row["amount"]
        for row in actions.filter(pl.col("action") == "dividend").iter_rows(named=True)
    }

    def at_open(t: int) -> None:
        price = None
        if t == 0:
            price = Decimal(repr(float(market.close[0, 0])))
        elif t in dividends and 0 < t < market.bars:
            before = Decimal(int(book.state.position[0, s.P_MARK])).scaleb(-int(book.units.price_decimals[0]))
            price = (before - Decimal(repr(round(dividends[t], 6)))).quantize(Decimal("0.01"))
        if price is not None and book.cash() > 0:
            quantity = (book.cash() / price).quantize(LOT, rounding="ROUND_DOWN")
            if quantity:
                book.trade(id, str(quantity), str(price))

    equity = []
    for t in range(market.bars):
        book.events_until(2 * t, t)
        at_open(t)
        book.state.position[0, s.P_MARK] = round(market.close[0, t] * 10 ** int(book.units.price_decimals[0]))
        s.remark(book.state, 0)
        book.events_until(2 * t + 1, t)
        equity.append(float(book.equity()))
    book.check()
    return np.array(equity) / equity[0], book


def test_nvidia_held_through_its_split_follows_tiingos_adjusted_close(realdata):
    path = realdata / "daily" / "tiingo_raw_and_adj" / "NVDA_1d.csv.gz"
    raw = pl.read_csv(gzip.decompress(path.read_bytes())).with_columns(day=pl.col("date").str.slice(0, 10).str.to_date())
    bars = bars_of("XNAS:NVDA", raw["day"], raw["Close"])
    actions = action_rows("XNAS:NVDA", raw["day"], raw["splitfactor"], raw["divcash"])
    assert splits(actions) == [(date(2024, 6, 10), 10.0)]
    found, book = grown(bars, actions)
    assert book.postings(s.K_SPLIT) == []                       # no part of a lot was left over
    assert len(book.moved(s.K_DIVIDEND)) >= 8
    theirs = (raw["AdjClose"] / raw["AdjClose"][0]).to_numpy()
    np.testing.assert_allclose(found, theirs, rtol=2e-5)
    ours = adjust(bars, actions, bars["available_at"].max(), "total")["close"].to_numpy()
    np.testing.assert_allclose(found, ours / ours[0], rtol=2e-5)


def test_apple_held_through_its_split_of_seven_follows_the_factors_of_lean(realdata):
    factors, _ = read_factors((realdata / "reference" / "lean_factor_files" / "aapl.csv").read_bytes(), "aapl.csv")
    actions = actions_of(factors, "XNAS:AAPL")
    with zipfile.ZipFile(realdata / "daily" / "lean_raw" / "aapl.zip") as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()
    days, prices = [line[:8] for line in lines], [float(line.split(",")[4]) / 10_000 for line in lines]
    raw = pl.DataFrame({"day": days, "close": prices}).with_columns(pl.col("day").str.to_date("%Y%m%d"))
    raw = raw.filter(pl.col("day").is_between(date(2013, 1, 2), date(2016, 12, 30)))
    assert (date(2014, 6, 9), 7.0) in splits(actions)
    inside = actions.filter(pl.col("effective_at").dt.date().is_between(date(2013, 1, 3), date(2016, 12, 30)))
    found, book = grown(bars_of("XNAS:AAPL", raw["day"], raw["close"]), inside)
    assert len(book.moved(s.K_DIVIDEND)) == 16
    theirs = raw.sort("day").join_asof(factors.sort("day"), on="day", strategy="forward")
    total = (theirs["close"] * theirs["price_factor"] * theirs["split_factor"]).to_numpy()
    np.testing.assert_allclose(found, total / total[0], rtol=2e-5)
