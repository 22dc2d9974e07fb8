"""The report of a run in several currencies: costs, financing, trades and attribution in the base currency at dated rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.ground import MissingData
from fieldcast.market import BARS, PRICES, STAMP, Instrument, Kind, sessions_between
from fieldcast.market.tables import ACTIONS
from fieldcast.simulation import _state as s
from fieldcast.simulation.currencies import DatedRates
from fieldcast.simulation.event_table import EventKind
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import CASH_RATES
from fieldcast.simulation.market import Market
from fieldcast.simulation.report import attribution, backtest_report, cost_breakdown, next_open_returns, trades_in_base
from fieldcast.simulation.result import SimulationResult
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.targets_run import run_targets
from fieldcast.trading import CostModel

EURO = Instrument("XETR:SAP", Kind.EQUITY, currency="EUR", calendar="XNYS", simulated=True)
HOME = Instrument("XNAS:AAA", Kind.EQUITY, simulated=True)
PAIR = Instrument("OANDA:EURUSD", Kind.FX, currency="USD", calendar="24/5", tick=Decimal("0.00001"))
CALENDAR = sessions_between("XNYS", date(2024, 1, 2), date(2024, 4, 30))
BARS_ = CALENDAR.height
CENTS = 0.03  # the equity at the start and at the end is cut to cents in each of its parts
CASH = {"USD": Decimal(500_000), "EUR": Decimal(400_000)}


def quotes(seed: int, clock: pl.DataFrame = CALENDAR, before: str = "-1h") -> pl.DataFrame:
    """A rate a bar, known an hour before its end (the close of New York); the first one the evening before the run."""
    rng = np.random.default_rng(seed)
    close = np.round(1.09 * np.exp(np.cumsum(0.006 * rng.standard_normal(clock.height + 1))), 5)
    ts = pl.concat([clock["open"].head(1).dt.offset_by("-12h"), clock["close"].dt.offset_by(before)])
    columns = {"instrument": [PAIR.id] * ts.len(), "ts": ts, "available_at": ts, **dict.fromkeys(PRICES, close)}
    return pl.DataFrame(columns | {"volume": [None] * ts.len(), "reasons": ["volume_not_reported"] * ts.len()}).select(
        pl.col(name).cast(dtype) for name, dtype in BARS.items()
    )


def played(
    seed: int, costs: CostModel, *, interest: bool = True, instruments: Sequence[Instrument] = (HOME, EURO),
    clock: pl.DataFrame = CALENDAR, before: str = "-1h",
) -> SimulationResult:  # fmt: skip
    """Two instruments, of which the second is in euros, on the bars of `clock` (open, close)."""
    rng, bars = np.random.default_rng(seed), clock.height
    close = np.round(100 * np.exp(np.cumsum(0.015 * rng.standard_normal((2, bars)), axis=1)), 2)
    opened = np.round(np.hstack((np.full((2, 1), 100.0), close[:, :-1])) * np.exp(0.005 * rng.standard_normal((2, bars))), 2)
    stamps, every = (clock[name].dt.epoch("us").to_numpy() for name in ("close", "open")), np.ones((2, bars), dtype=np.bool_)
    market = Market(
        tuple(instruments), *stamps, opened, np.maximum(opened, close), np.minimum(opened, close), close, every * 1e6, every
    )
    first = clock["open"][0]
    rates = [{"currency": name, "ts": first, "available_at": first, "rate": 0.04} for name in ("USD", "EUR")]
    events = events_of(
        market, "USD", fx=DatedRates(quotes(seed + 1, clock, before), [PAIR]),
        rates=pl.DataFrame(rates, schema=CASH_RATES) if interest else None,
    )  # fmt: skip
    targets = 0.3 * np.repeat(rng.integers(-1, 2, (2, bars // 5 + 1)), 5, axis=1)[:, :bars]
    return run_targets(targets, market, VenueSettings(cash=CASH, base="USD", costs=costs), events=events)


PAID = CostModel(Decimal(2), Decimal(1), Decimal(3), Decimal(2))
FREE = CostModel(Decimal(0), Decimal(0), Decimal(0))


def rate_at(run: SimulationResult, ts: int) -> float:
    """Dollars for a euro: the newest rate that the run had booked by then."""
    known = [row for row in run.event_rows if row[s.EV_KIND] == EventKind.RATE and row[s.EV_TS] <= ts]
    return float(known[-1][s.EV_A] / known[-1][s.EV_B])


def moved_by_rates(run: SimulationResult) -> float:
    """What rates did to euros, walked through time: the balance (cash and positions at cost) before each change, times the
    change. What open positions have gained counts at the last rate."""
    euro = run.units.currencies.index("EUR")
    rows = [(int(row[s.J_TS]), 1, int(row[s.J_AMOUNT])) for row in run.journal_rows
            if row[s.J_CURRENCY] == euro and row[s.J_ACCOUNT] in (s.A_CASH, s.A_POSITION)]  # fmt: skip
    changes = [(int(row[s.EV_TS]), 0, float(row[s.EV_A] / row[s.EV_B])) for row in run.event_rows
               if row[s.EV_KIND] == EventKind.RATE]  # fmt: skip
    balance, rate, moved = 0, changes[0][2], 0.0
    for _, kind, value in sorted([*changes, *rows], key=lambda row: row[:2]):
        if kind == 0:
            moved += balance * (value - rate)
            rate = value
        else:
            balance += int(value)
    return moved / 10.0**run.units.cash_decimals


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_what_rates_did_to_balances_is_what_a_walk_through_time_finds(seed: int) -> None:
    run = played(seed, PAID)
    found = cost_breakdown(run)
    assert found.exchange == pytest.approx(moved_by_rates(run), abs=CENTS)
    assert abs(found.exchange) > 100


def test_the_steps_lead_from_before_costs_to_the_profit_and_each_amount_is_at_its_own_rate() -> None:
    run = played(5, PAID)
    found = cost_breakdown(run)
    assert sum(value for _, value in found.steps) == pytest.approx(found.profit, abs=1e-6)
    rate = {"XNAS:AAA": lambda ts: 1.0, "XETR:SAP": lambda ts: rate_at(run, ts)}
    fees = spread = traded = 0.0
    for fill in run.fills.with_columns(pl.col("ts").dt.epoch("us")).iter_rows(named=True):
        one = rate[fill["instrument"]](fill["ts"])
        fees += fill["fee"] * one
        spread += fill["spread_cost"] * one
        traded += fill["price"] * fill["quantity"] * one
    assert found.commissions == pytest.approx(fees, rel=1e-12)
    assert found.spread == pytest.approx(spread, rel=1e-12)
    assert found.traded_value == pytest.approx(traded, rel=1e-12)
    interest = 0.0
    for row in run.journal_rows[run.journal_rows[:, s.J_ACCOUNT] == s.A_INTEREST]:
        one = 1.0 if row[s.J_CURRENCY] == 0 else rate_at(run, int(row[s.J_TS]))
        interest -= row[s.J_AMOUNT] * one / 10.0**run.units.cash_decimals
    assert found.financing == {"interest": pytest.approx(interest, rel=1e-12)}


def test_trades_are_in_the_base_currency_at_the_rate_of_their_exit() -> None:
    run = played(6, PAID)
    found = trades_in_base(run)
    assert found.height == run.trades.height > 4
    for own, base in zip(run.trades.iter_rows(named=True), found.iter_rows(named=True), strict=True):
        one = 1.0 if own["instrument"] == HOME.id else rate_at(run, int(own["exit_ts"].timestamp() * 1e6))
        for name in ("gross", "costs", "net"):
            assert base[name] == pytest.approx(own[name] * one, rel=1e-12)
        assert base["entry_price"] == own["entry_price"]


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_without_fees_what_attribution_leaves_to_the_rates_is_what_the_walk_finds(seed: int) -> None:
    """A fee paid at an entry counts in its trade at the rate of the exit; without fees the row is the rates' alone."""
    run = played(seed, FREE)
    found = attribution(run)
    assert sum(found.table["amount"]) == pytest.approx(found.profit, abs=1e-6)
    left = found.table.filter(pl.col("kind") == "currency")["amount"]
    assert left.to_list() == [pytest.approx(moved_by_rates(run), abs=CENTS)]


def test_a_report_of_several_currencies_has_its_parts() -> None:
    report = backtest_report(played(11, PAID), draws=50)
    assert report.costs is not None
    assert report.attribution is not None
    assert report.activity.turnover.value is not None
    assert set(report.absent) == {"benchmark", "hits"}
    assert report.trades.expectancy.value is not None


def value_before_the_open(run: SimulationResult, t: int) -> float:
    """Dollars of the account just before it trades at the open of bar t: cash and positions, each at the rate of then."""
    moment, market = int(run.market.open_ts[t]), run.market
    rate = [1.0 if name == "USD" else rate_at(run, moment) for name in run.units.currencies]
    total = 0.0
    for row in run.journal_rows:
        before = row[s.J_TS] < moment or (row[s.J_TS] == moment and row[s.J_KIND] != s.K_FILL)
        if row[s.J_ACCOUNT] == s.A_CASH and before:
            total += row[s.J_AMOUNT] * rate[row[s.J_CURRENCY]] / 10.0**run.units.cash_decimals
    for fill in run.fill_rows:
        if fill[s.F_TS] < moment:
            n = fill[s.F_INSTRUMENT]
            lots = fill[s.F_SIDE] * fill[s.F_LOTS] * float(market.instruments[n].lot)
            total += lots * market.open[n, t] * rate[run.units.currency[n]]
    return total


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_the_gate_sees_the_account_in_its_base_from_open_to_open(seed: int) -> None:
    """It refused several currencies; each row's growth is that of cash and positions counted one by one."""
    refuse_other_than_a_walk_finds(played(seed, PAID))


COINS = (
    Instrument("SIM:COINUSD", Kind.CRYPTO, calendar="24/7", lot=Decimal("0.01"), simulated=True),
    Instrument("SIM:COINEUR", Kind.CRYPTO, currency="EUR", calendar="24/7", lot=Decimal("0.01"), simulated=True),
)


def every(length: str, bars: int) -> pl.DataFrame:
    """Bars of which each begins at the very moment at which the one before ended."""
    first = pl.Series([datetime(2024, 1, 2, tzinfo=UTC)]).cast(STAMP)
    count = pl.select(n=pl.int_range(bars + 1))["n"]
    hours = int(length[:-1]) * {"d": 24, "h": 1}[length[-1]]
    moments = pl.select(first.new_from_index(0, bars + 1) + pl.duration(hours=1) * hours * count).to_series()
    return pl.DataFrame({"open": moments[:-1], "close": moments[1:]})


def hours_of_new_york() -> pl.DataFrame:
    """The whole hours of sessions of New York: within one each begins where the one before ended, and a night follows."""
    rows = [{"open": begin + timedelta(hours=n), "close": begin + timedelta(hours=n + 1)}
            for begin in CALENDAR["open"].head(20).to_list() for n in range(6)]  # fmt: skip
    return pl.DataFrame(rows).with_columns(pl.all().cast(STAMP))


@pytest.mark.parametrize(
    ("instruments", "clock", "before"),
    [
        (COINS, every("1d", 60), "-1h"),
        (COINS, every("1d", 60), "0h"),         # each rate is known at the end of a bar, where the next one begins
        (COINS, every("6h", 120), "-10m"),
        (COINS, every("1h", 150), "0h"),
        ((HOME, EURO), hours_of_new_york(), "-10m"),
    ],
    ids=["days of coins", "days of coins, rates at their ends", "quarters of days", "hours of coins", "hours of New York"],
)
def test_the_gate_sees_it_where_a_bar_begins_as_the_one_before_ends(
    instruments: Sequence[Instrument], clock: pl.DataFrame, before: str
) -> None:
    """A fill at an open had its cash counted with the bar that ended at that moment, and its lots with its own."""
    for seed in (1, 2):
        refuse_other_than_a_walk_finds(played(seed, PAID, instruments=instruments, clock=clock, before=before))


def refuse_other_than_a_walk_finds(run: SimulationResult) -> None:
    """Growth and cost of each session against cash and positions counted one by one."""
    found = next_open_returns(run, run.market, run.market.instruments[0].id)
    assert run.market.session is not None
    starts = [t for t in range(1, run.market.bars) if run.market.session[t] != run.market.session[t - 1]]
    values = [value_before_the_open(run, t) for t in starts]
    growth = np.array(values[1:]) / np.array(values[:-1]) - 1.0
    np.testing.assert_allclose(found.gross - found.cost, growth, atol=1e-7)
    rates = [1.0, 1.0]
    paid = np.zeros(run.market.bars)
    for fill in run.fill_rows:
        rates[1] = rate_at(run, int(fill[s.F_TS]))
        parts = fill[s.F_FEE] + fill[s.F_SPREAD] + fill[s.F_SLIPPAGE] + fill[s.F_IMPACT]
        paid[fill[s.F_BAR]] += parts * rates[run.units.currency[fill[s.F_INSTRUMENT]]] / 10.0**run.units.cash_decimals
    of_session = np.add.reduceat(paid, starts)[:-1]
    np.testing.assert_allclose(found.cost, of_session / np.array(values[:-1]), rtol=1e-6)
    assert found.cost.sum() > 0.0


def test_a_share_paid_out_of_a_split_within_a_bar_counts_before_its_open() -> None:
    """A day of a clock that never stops holds the split's moment: 101 shares at 90 become 151 and half of one at 60, in cash."""
    clock, share = every("1d", 12), replace(EURO, id="XETR:ODD", calendar="24/7")
    price = np.where(np.arange(12) < 7, 90.0, 60.0)
    row, yes = np.vstack((np.full(12, 50.0), price)), np.ones((2, 12), dtype=np.bool_)
    stamps = (clock[name].dt.epoch("us").to_numpy() for name in ("close", "open"))
    market = Market((COINS[0], share), *stamps, row, row, row, row, yes * 1e6, yes)
    moment, told = (clock["open"][7] + timedelta(hours=hours) for hours in (5, -200))
    one = dict.fromkeys(ACTIONS.schema) | {"instrument": share.id, "ts": told, "available_at": told, "action": "split",
                                           "effective_at": moment, "ratio": 1.5}  # fmt: skip
    events = events_of(market, "EUR", fx=DatedRates(quotes(4, clock), [PAIR]), actions=pl.DataFrame([one], schema=ACTIONS.schema))
    run = run_targets(
        np.vstack((np.zeros(12), np.full(12, 0.91))), market,
        VenueSettings(cash={"EUR": Decimal(10_000), "USD": Decimal(0)}, base="EUR", costs=FREE),
        rebalance=np.arange(12) == 0, events=events,
    )  # fmt: skip
    assert run.positions["quantity"].to_list() == [151.0]
    np.testing.assert_allclose(next_open_returns(run, market, share.id).net, 0.0, atol=1e-12)


def test_a_market_in_another_currency_is_held_in_the_base() -> None:
    run = played(3, FREE, interest=False)
    found = next_open_returns(run, run.market, EURO.id)
    level = [run.market.open[1, t] * rate_at(run, int(run.market.open_ts[t])) for t in range(1, BARS_)]
    np.testing.assert_allclose(found.benchmark, np.array(level[1:]) / np.array(level[:-1]) - 1.0, rtol=1e-9)


def test_a_future_among_several_currencies_cannot_be_judged_and_is_named() -> None:
    run = played(3, FREE, interest=False)
    changed = replace(run, settings={**run.settings, "margined": [EURO.id]})
    with pytest.raises(MissingData, match="found XETR:SAP, of which only the change in value is paid"):
        next_open_returns(changed, run.market, HOME.id)
