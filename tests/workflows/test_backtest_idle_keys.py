"""What a plan asks for and its run cannot have is refused or named, and a size is reckoned from what its own instrument knew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import ConfigError, InvalidInput, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between
from fieldcast.workflows.backtest_data import backtest_data
from fieldcast.workflows.backtest_gate import market_of
from fieldcast.workflows.backtest_settings import BacktestPlan, plan_of
from fieldcast.workflows.backtest_sizing import EnergyPart, Sizer, SizingPart
from fieldcast.workflows.backtests import benchmark_of
from fieldcast.workflows.progress import silent

DAYS = sessions_between("XNYS", date(2023, 12, 1), date(2024, 3, 28))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    """Shares and a coin in dollars, shares in euros, three contracts of a root, a pair."""
    with fc.open_workspace(settings=load_settings(home=tmp_path_factory.mktemp("home"), workers=1)) as opened:
        for name, kind, currency in (
            ("XNAS:US", "equity", "USD"), ("XPAR:EU", "equity", "EUR"), ("BINANCE:COIN", "crypto", "USD"),
            ("XCME:ES.2023Z", "future", "USD"), ("XCME:ES.2024H", "future", "USD"), ("XCME:ES.2024M", "future", "USD"),
            ("OANDA:EURUSD", "fx", "USD"),
        ):  # fmt: skip
            save_instrument(opened.ledger, default_instrument(name, kind, currency=currency, calendar="XNYS"))
            rows = DAYS.filter(pl.col("session") <= date(2023, 12, 15)) if name.endswith("2023Z") else DAYS
            n, ts = rows.height, rows["close"]
            prices = dict.fromkeys(("open", "high", "low", "close"), np.full(n, 1.1 if kind == "fx" else 100.0))
            frame = pl.DataFrame({"instrument": [name] * n, "ts": ts, "available_at": ts} | prices
                                 | {"volume": [1e6] * n, "reasons": [None] * n})  # fmt: skip
            opened.store.append(frame.select(pl.col(key).cast(kind_) for key, kind_ in BARS.items()),
                                Lineage("test", "test", opened.clock.now()))  # fmt: skip
        yield opened


def plan(*instruments: str, **parts: Any) -> BacktestPlan:
    return plan_of({"data": {"instruments": instruments}, "strategies": [{"name": "buy_and_hold"}]} | parts)


def read(workspace: fc.Workspace, found: BacktestPlan) -> Any:
    return backtest_data(workspace, found, until=None, progress=silent)


@pytest.mark.parametrize(
    ("instrument", "parts", "said"),
    [
        ("BINANCE:COIN", {"instruments": {"BINANCE:COIN": {"borrow": 0.05}}}, "found borrow of kind crypto"),
        ("BINANCE:COIN", {"instruments": {"BINANCE:COIN": {"withholding": 0.1}}}, "found withholding of kind crypto"),
        ("XNAS:US", {"instruments": {"XNAS:US": {"funding": 0.0001}}}, "found funding of kind equity"),
        ("XNAS:US", {"fx": {"conversions": [{"at": date(2024, 1, 3), "sold": "EUR", "bought": "USD"}]}}, "found USD alone"),
        ("XNAS:US", {"futures": {}}, "expected a root such as XCME:ES"),
        ("XCME:ES", {"futures": {"expiries": {"XCME:ES.2042H": date(2042, 3, 20)}}}, "found XCME:ES.2042H"),
    ],
)
def test_what_nothing_of_the_run_can_have_is_refused(
    workspace: fc.Workspace, instrument: str, parts: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(workspace, plan(instrument, **parts))


def test_what_changes_nothing_is_named(workspace: fc.Workspace) -> None:
    found = read(workspace, plan("BINANCE:COIN", financing={"borrow": 0.01, "withholding": 0.15}, fx={"half_spread_bps": 2},
                                 costs={"regulatory": "by_date"}))  # fmt: skip
    for words in ("financing.borrow charges nothing", "financing.withholding takes nothing", "costs.regulatory takes nothing",
                  "[fx] changes nothing"):  # fmt: skip
        assert any(words in one for one in found.warnings), words
    plain = read(workspace, plan("XNAS:US", financing={"borrow": 0.01, "withholding": 0.15}))
    assert not any("nothing" in one for one in plain.warnings if "lent for nothing" not in one), plain.warnings


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"account": {"pdt_equity": 30_000}}, "pdt_equity"),
        ({"financing": {"debit_spread": 0.02}}, "debit_spread"),
        ({"financing": {"funding_hours": 4}}, "funding_hours"),
    ],
)
def test_a_key_without_what_it_belongs_to_is_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan("XNAS:US", **parts)


def test_what_is_asked_for_shows_the_defaults_that_act_in_it() -> None:
    found = plan("XNAS:US", sizing={"risk": {}, "cap": 0.25}, exits={"stop": 0.05}, financing={"interest": {"USD": 0.03}})
    assert found.asked["sizing"] == {"risk": {"share": "0.01"}, "cap": "0.25"}
    assert found.asked["financing"]["debit_spread"] == "0.015"
    assert "fx" not in found.asked
    assert "instruments" not in found.asked


@pytest.mark.parametrize("given", [{"least": 3}, {"threshold": 0.5}])
def test_words_of_a_vote_need_a_vote(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="together with combine"):
        fc.backtest_plan("XNAS:US", ["rsi", "macd"], **given)


def test_conversions_of_the_run_are_none_of_its_benchmarks(workspace: fc.Workspace) -> None:
    found = plan("XPAR:EU", account={"cash": {"USD": 1_000, "EUR": 5_000}, "currency": "EUR"}, benchmark="XNAS:US",
                 data={"instruments": ["XPAR:EU"], "first": date(2023, 12, 20)},
                 fx={"conversions": [{"at": date(2023, 12, 28), "sold": "USD", "bought": "EUR"}]})  # fmt: skip
    held, name = benchmark_of(workspace, found, read(workspace, found), 5_900.0)
    assert name == "XNAS:US"
    assert held is not None
    elsewhere = found.model_copy(update={"benchmark": "XPAR:EU"})       # its bars are in euros alone
    assert benchmark_of(workspace, elsewhere, read(workspace, elsewhere), 5_900.0)[1] == "XPAR:EU"


def test_a_root_counts_once_where_cash_is_shared_out(workspace: fc.Workspace) -> None:
    account = {"cash": 10_000, "currency": "EUR"}
    days = {"instruments": ["XCME:ES", "XPAR:EU"], "first": date(2023, 12, 6)}
    found = read(workspace, plan(data=days, account=account, futures={}))
    assert len(found.instruments) == 4
    assert any("5,000.00 EUR become USD" in word for word in found.warnings), found.warnings


def test_the_gate_is_refused_for_a_root_and_its_first_day_without_it(workspace: fc.Workspace) -> None:
    rolled = plan("XCME:ES", futures={})
    with pytest.raises(ConfigError, match="the root XCME:ES"):
        fc.backtest(workspace, rolled, gate=True)
    with pytest.raises(ConfigError, match="--gate"):
        fc.backtest(workspace, plan("XNAS:US"), gate_from=date(2024, 1, 3))
    assert market_of(plan("XNAS:US", "XPAR:EU", benchmark="XPAR:EU"), ["XNAS:US", "XPAR:EU"]) == "XPAR:EU"


def test_a_size_reads_what_was_known_when_its_own_instrument_decided() -> None:
    hour = 3_600_000_000
    ts = np.array([hour, 2 * hour])
    signals = [{"close": np.array([100.0, 100.0]), "decided_ts": ts + late} for late in (0, hour // 2)]
    both = np.array([0, 1])
    asked: list[int] = []

    def known(moment: int) -> float:
        asked.append(moment)
        return 1e9

    data = SimpleNamespace(market=SimpleNamespace(ts=ts, bars=2), signals=signals, places=(both, both), series={"OWN:E": known})
    part = SizingPart(energy=EnergyPart(series="OWN:E", reference_dollars=1e9, floor_dollars=1e8))
    sizer = Sizer.of(part, cast(Any, data), stop=None, target=None, year=252.0)
    one = default_instrument("XNAS:US", "equity")
    for row in (0, 1):
        sizer.size(one, row, 1, nav=Decimal(10_000), price=Decimal(100), most=Decimal(1))
    assert asked == [2 * hour, 2 * hour + hour // 2]


@pytest.mark.parametrize(
    ("vote", "said"),
    [({"rule": "majority", "threshold": 0.5}, "threshold: expected the rule weighted"),
     ({"rule": "at_least", "threshold": 0.5}, "threshold: expected the rule weighted"),
     ({"rule": "weighted", "least": 1}, "least: expected the rule at_least")],
)  # fmt: skip
def test_a_key_of_another_rule_of_votes_is_refused(vote: dict[str, Any], said: str) -> None:
    strategies = [{"name": "buy_and_hold"}, {"name": "sma_cross"}]
    with pytest.raises(ConfigError, match=said):
        plan("XNAS:US", strategies=strategies, combine=vote)


def test_what_is_bought_and_held_beside_a_run_pays_its_impact_too(workspace: fc.Workspace) -> None:
    """10,000 dollars at 100 are 100 shares of a million: 500 bps times the root of 1e-4 is 5 bps, once, at the first close."""
    free = {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}
    for costs, share in ((free, 0.0), (free | {"impact_bps": 500}, 5e-4)):
        found = plan("XNAS:US", costs=costs, account={"cash": 10_000})
        held, name = benchmark_of(workspace, found, read(workspace, found), 10_000.0)
        assert held.equity[0] == pytest.approx(10_000 / (1 + share), abs=2.0)
        assert name == "the same instruments, held"
    assert held.equity[0] < 9_997


def test_an_impact_that_no_volume_can_bear_is_named(workspace: fc.Workspace) -> None:
    found = plan("XNAS:US", costs={"impact_bps": 9_000}, account={"cash": 1_000_000_000})
    _, name = benchmark_of(workspace, found, read(workspace, found), 1e9)
    assert name == (
        "the same instruments, held (bought without the impact of XNAS:US: too little volume in its first bar, or none)"
    )


def test_a_future_around_the_clock_has_to_say_whether_it_ends(workspace: fc.Workspace) -> None:
    """Named like neither, it paid no funding, and nothing said so."""
    kept = [("BYBIT:BTCUSDT", None), ("BINANCE:BTCUSDT_240329", False), ("BINANCE:BTCUSDT-PERP", True)]
    for name, _ in kept:
        save_instrument(workspace.ledger, default_instrument(name, "future", calendar="24/7"))
        frame = workspace.store.read("XNAS:US").with_columns(instrument=pl.lit(name))
        workspace.store.append(frame, Lineage("test", "test", workspace.clock.now()))
    with pytest.raises(ConfigError, match="whether BYBIT:BTCUSDT, a future that trades around the clock, has a last day"):
        read(workspace, plan("BYBIT:BTCUSDT"))
    for name, perpetual in kept:
        own = {} if perpetual is not None else {"instruments": {name: {"perpetual": True}}}
        said = read(workspace, plan(name, **own)).warnings
        assert any("no funding of this span is stored" in one for one in said) == (perpetual is not False)
    stated = plan("BYBIT:BTCUSDT", instruments={"BYBIT:BTCUSDT": {"perpetual": True, "funding": 0.0001}})
    assert any("0.0100% is paid every 8 hours" in one for one in read(workspace, stated).warnings)
    with pytest.raises(ConfigError, match=r"XNAS:US.perpetual: expected a future, found kind equity"):
        read(workspace, plan("XNAS:US", instruments={"XNAS:US": {"perpetual": True}}))


def test_instruments_of_other_calendars_run_together_where_the_plan_says_whose_days_count(workspace: fc.Workspace) -> None:
    """A future whose day begins the evening before in Chicago, and a coin of UTC days: of one bar they say two days."""
    lineage, names = Lineage("test", "test", workspace.clock.now()), ("XCME:NQ", "BINANCE:OTHER")
    monday, friday = datetime(2024, 1, 8, 1, tzinfo=UTC), datetime(2024, 1, 12, 21, tzinfo=UTC)
    ends = pl.datetime_range(monday, friday, "1h", time_unit="us", eager=True)
    for name, kind, calendar in zip(names, ("future", "crypto"), ("CMES", "24/7"), strict=True):
        save_instrument(workspace.ledger, default_instrument(name, kind, calendar=calendar))
        frame = pl.DataFrame({"instrument": [name] * len(ends), "ts": ends, "available_at": ends}
                             | dict.fromkeys(("open", "high", "low", "close"), [50.0] * len(ends))
                             | {"volume": [1e3] * len(ends), "reasons": [None] * len(ends)})  # fmt: skip
        workspace.store.append(frame.select(pl.col(key).cast(kind) for key, kind in BARS.items()), lineage, table="bars/1h")
    both = {"instruments": names, "table": "bars/1h"}

    def of(**keys: Any) -> BacktestPlan:
        return plan_of({"data": both | keys, "strategies": [{"name": "buy_and_hold"}]})

    with pytest.raises(InvalidInput, match=r'such as calendar = "CMES" under \[data\] of the plan'):
        read(workspace, of())
    evening = int(datetime(2024, 1, 10, 0, tzinfo=UTC).timestamp()) * 1_000_000     # 17:00 to 18:00 in Chicago, of the 10th there
    for calendar, day in (("CMES", date(2024, 1, 10)), ("24/7", date(2024, 1, 9))):
        market = read(workspace, of(calendar=calendar)).market
        assert len(market.instruments) == 2
        at = int(np.flatnonzero(market.ts == evening)[0])
        assert market.session[at] == (day - date(1970, 1, 1)).days
    with pytest.raises(ConfigError, match="calendar"):
        of(calendar="NYSE-ish")
    assert "calendar" not in of().settings()["data"]     # plans without the key keep their hash
