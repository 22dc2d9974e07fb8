"""Options by chain in a plan: the rule that finds a contract, its causality, and runs with assignment and rolls."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcast as fc
from fieldcast.data import Lineage, Options, import_source, save_instrument
from fieldcast.data.chains import osi
from fieldcast.ground import ConfigError, MissingData, Reason, load_settings
from fieldcast.market import BARS, default_instrument, sessions_between, table_of
from fieldcast.workflows._option_sections import contract_name, option_record
from fieldcast.workflows.backtest_chain import chain_run, pick
from fieldcast.workflows.backtest_chain_play import play_chain
from fieldcast.workflows.backtest_chain_settings import LegPart, OptionsPart
from fieldcast.workflows.backtest_data import backtest_data
from fieldcast.workflows.backtest_play import venue_settings
from fieldcast.workflows.backtest_settings import plan_of
from fieldcast.workflows.progress import silent

SHARE = default_instrument("XNAS:PLT", "equity")
DAYS = sessions_between("XNYS", date(2024, 1, 2), date(2024, 2, 29))
CLOSES = [100.0 + 0.25 * t for t in range(DAYS.height)]      # 110.00 on 1 March's eve
EXPIRIES = (date(2024, 1, 19), date(2024, 2, 16), date(2024, 3, 15))
STRIKES = (90.0, 95.0, 100.0, 105.0, 110.0)


def quotes(stop: int = DAYS.height, later: timedelta = timedelta()) -> pl.DataFrame:
    """A chain at each close: intrinsic value and 0.05 a day to expiry in the middle, 0.10 between bid and offer."""
    rows = []
    for t, (day, close) in enumerate(DAYS.select("session", "close").iter_rows()):
        for expiry in EXPIRIES if t < stop else ():
            if day > expiry:
                continue
            for right in ("call", "put"):
                for strike in STRIKES:
                    inside = max((CLOSES[t] - strike) * (1 if right == "call" else -1), 0.0)
                    middle = round(inside + 0.05 * (expiry - day).days + 0.05, 2)
                    ends = DAYS.filter(pl.col("session") == expiry)["close"]
                    last = ends[0] if len(ends) else datetime(2024, 3, 15, 20, tzinfo=close.tzinfo)
                    rows.append({
                        "instrument": SHARE.id, "ts": close, "available_at": close + later, "root": "PLT", "strike": strike,
                        "contract_id": osi("PLT", expiry, right, strike), "expiry_ts": last, "right": right,
                        "exercise_style": "american", "settlement": "PM", "multiplier": 100.0,
                        "bid": round(middle - 0.05, 2), "ask": round(middle + 0.05, 2), "bid_size": 10.0, "ask_size": 10.0,
                    })  # fmt: skip
    schema = table_of("chains").schema
    return pl.DataFrame(rows, schema_overrides={name: schema[name] for name in rows[0]}).match_to_schema(
        pl.Schema(schema), missing_columns="insert"
    )


def opened_at(home: Path, chain: pl.DataFrame) -> fc.Workspace:
    made = fc.open_workspace(settings=load_settings(home=home, workers=1))
    save_instrument(made.ledger, SHARE)
    lineage = Lineage("test", "test", made.clock.now())
    same = {"ts": DAYS["close"], "available_at": DAYS["close"]} | dict.fromkeys(("open", "high", "low", "close"), CLOSES)
    frame = pl.DataFrame({"instrument": [SHARE.id] * DAYS.height} | same | {"volume": [1e6] * DAYS.height, "reasons": None})
    made.store.append(frame.select(pl.col(key).cast(dtype) for key, dtype in BARS.items()), lineage)
    made.store.append(chain, lineage, table="chains")
    return made


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fc.Workspace]:
    with opened_at(tmp_path_factory.mktemp("home"), quotes()) as made:
        yield made


def leg(**given: Any) -> LegPart:
    return LegPart(**({"right": "call", "side": "short"} | given))


# -- the plan --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"legs": []}, "at least 1"),
        ({"legs": [{"right": "call"}]}, "one of delta, moneyness, offset, width, found none"),
        ({"legs": [{"right": "call", "delta": 0.3, "offset": 5}]}, "found delta, offset"),
        ({"legs": [{"right": "call", "width": 5}]}, "of the first leg"),
        ({"contracts": 1}, "found contracts, covered"),
        ({"covered": False}, "one of contracts, notional and covered = true, found none"),
        ({"shares": False}, "which cover"),
        ({"days": [45, 20]}, "in order"),
        ({"roll_days": 20}, "fewer than the 20 days"),
        ({"underlying": "XNAS:OTHER"}, "one of XNAS:PLT"),
        ({"legs": [{"right": "put", "delta": 0.3}]}, "a short call"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(part: dict[str, Any], said: str) -> None:
    options = {"covered": True, "legs": [{"right": "call", "delta": 0.3}]} | part
    with pytest.raises(ConfigError, match=said):
        plan_of({"data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "options": options})


def test_a_plan_without_options_keeps_its_name_and_one_with_them_has_another() -> None:
    least = {"data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}]}
    options = {"covered": True, "legs": [{"right": "call", "delta": 0.3}]}
    assert "options" not in plan_of(least).settings()
    assert plan_of(least).hash != plan_of(least | {"options": options}).hash


def test_exits_and_finer_bars_are_of_shares_alone() -> None:
    options = {"covered": True, "legs": [{"right": "call", "delta": 0.3}]}
    with pytest.raises(ConfigError, match="no \\[exits\\]"):
        plan_of({"data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "options": options,
                 "exits": {"stop": 0.1}})  # fmt: skip


# -- the rule --------------------------------------------------------------------------------------------------------------

NOW = DAYS["close"][0]


def side(right: str) -> pl.DataFrame:
    rows = quotes(1).filter((pl.col("right") == right) & (pl.col("expiry_ts").dt.date() == EXPIRIES[1]))
    return rows.with_columns(id="contract_id", mid=(pl.col("bid") + pl.col("ask")) / 2).sort("strike")


@pytest.mark.parametrize(
    ("rule", "strike"),
    [({"moneyness": 1.05}, 105.0), ({"offset": -4}, 95.0), ({"moneyness": 1.025}, 100.0), ({"offset": 500}, 110.0)],
)  # fmt: skip
def test_the_listed_strike_that_is_nearest_is_taken_and_of_two_the_lower(rule: dict[str, float], strike: float) -> None:
    found = pick(side("call"), leg(**rule), 100.0, NOW, [], 0.0)
    assert found is not None
    assert found[1] == strike


def test_a_width_stays_on_its_side_of_the_first_strike() -> None:
    lower = pick(side("put"), leg(right="put", width=-0.5), 100.0, NOW, [100.0], 0.0)
    assert lower is not None
    assert lower[1] == 95.0
    assert pick(side("put"), leg(right="put", width=-5), 100.0, NOW, [90.0], 0.0) is None


def test_a_delta_is_the_chains_own_or_that_of_the_middle_prices_volatility() -> None:
    """Deltas of Black and Scholes at the volatility of each middle: the nearest to 0.35 stands at 110, to 0.9 at 90."""
    from scipy.stats import norm

    from fieldcast.pricing.black_scholes import bsm_price

    years = (side("call")["expiry_ts"][0] - NOW).total_seconds() / (365 * 86_400)
    priced = [float(bsm_price(100.0, strike, years, 0.0, 0.0, 0.3, True)) for strike in STRIKES]
    chain = side("call").with_columns(mid=pl.Series(priced))
    root = 0.3 * years**0.5
    exact = {strike: float(norm.cdf(math.log(100.0 / strike) / root + root / 2)) for strike in STRIKES}
    for strike, delta in exact.items():
        found = pick(chain, leg(delta=delta), 100.0, NOW, [], 0.0)
        assert found is not None
        assert found[1] == strike
    stated = chain.with_columns(delta=pl.Series([0.9, 0.8, 0.7, 0.6, 0.5]))
    found = pick(stated, leg(delta=0.8), 100.0, NOW, [], 0.0)
    assert found is not None
    assert found[1] == 95.0


def schedule(home: Path, chain: pl.DataFrame, **part: Any) -> Any:
    given = {"days": (20, 50), "roll_days": 5, "contracts": 1, "legs": (leg(moneyness=1.05),)} | part
    with opened_at(home, chain) as made:
        bars = made.store.read(SHARE.id)
        return chain_run(made, SHARE, bars, OptionsPart(**given), until=None).schedule


def test_what_is_quoted_later_changes_no_earlier_choice(tmp_path: Path) -> None:
    whole = schedule(tmp_path / "whole", quotes())
    assert [held.expires_at.date() for held in whole] == [EXPIRIES[1], EXPIRIES[2]]
    for stop in (5, 20, whole[1].opened + 1):
        part = schedule(tmp_path / str(stop), quotes(stop))
        assert [(held.opened, held.legs) for held in part] == [
            (held.opened, held.legs) for held in whole if held.opened < stop
        ]  # fmt: skip


@pytest.mark.parametrize("bid", [0.0, None])
def test_an_offer_that_nobody_bids_against_is_no_quote(tmp_path: Path, bid: float | None) -> None:
    """The call of 16 February at 105 is found on 2 January; on the tenth day half its offer would be half its worth."""
    silent = DAYS["close"][10]
    name = osi("PLT", EXPIRIES[1], "call", 105.0)
    there = pl.when((pl.col("contract_id") == name) & (pl.col("ts") == silent))
    chain = quotes().with_columns(bid=there.then(pl.lit(bid)).otherwise(pl.col("bid")))
    part = OptionsPart(days=(20, 50), roll_days=5, contracts=1, legs=(leg(moneyness=1.05),))
    with opened_at(tmp_path, chain) as made:
        found = chain_run(made, SHARE, made.store.read(SHARE.id), part, until=None)
    seen = found.frames[[one.id for one in found.instruments].index("OPRA:" + name.replace(" ", ""))]
    assert found.schedule[0].legs[0][0] == seen["instrument"][0]
    assert silent not in seen["ts"].to_list()
    assert (DAYS["close"][9] in seen["ts"].to_list(), DAYS["close"][11] in seen["ts"].to_list()) == (True, True)


def test_a_quote_that_was_not_known_in_time_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="at most 5 minutes old"):
        schedule(tmp_path, quotes(later=timedelta(minutes=1)))


# -- runs ------------------------------------------------------------------------------------------------------------------


def played(workspace: fc.Workspace, options: dict[str, Any], **parts: Any) -> Any:
    plan = {
        "data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "account": {"cash": 10_600},
        "costs": {"half_spread_bps": 0, "slippage_bps": 0, "commission_bps": 0}, "options": options,
    }  # fmt: skip
    return fc.backtest(workspace, plan_of(plan | parts)).runs[0]


@pytest.mark.slow
def test_a_covered_call_is_sold_at_the_bid_and_assigned(workspace: fc.Workspace) -> None:
    """
    Decided at the close of 2 January, filled at the next bar: 105 shares at 100.25, one call of 19 January at 100: 0.25 in the
    money and 16 days, 1.10, sold at 1.05. On 19 January the share is at 103.00: 100 shares go at 100, 5 stay.
    """
    options = {"days": [10, 20], "covered": True, "legs": [{"right": "call", "side": "short", "moneyness": 1.0}]}
    found = played(workspace, options)
    record = option_record(found.result)
    assert record.select("contract", "what", "quantity", "price").rows()[:2] == [
        ("PLT 2024-01-19 call 100", "sold", 1.0, 1.05), ("PLT 2024-01-19 call 100", "assigned", 1.0, 3.0),
    ]  # fmt: skip
    assert record["ts"][0] == DAYS["close"][1]      # the quote it was sold at
    assert record["ts"][1] == DAYS.filter(pl.col("session") == EXPIRIES[0])["close"][0]
    assert found.result.positions.filter(pl.col("instrument") == SHARE.id)["quantity"].to_list() == [5.0]
    cash = 10_600 - 105 * 100.25 + 105 + 10_000
    assert found.result.equity["equity"][-1] == pytest.approx(cash + 5 * CLOSES[-1])
    found.result.verify()
    page = (found.folder / "report.html").read_text("utf-8")
    assert "PLT 2024-01-19 call 100" in page
    assert "assigned" in page
    assert "as each moment knew it" in " ".join(found.report.warnings)


@pytest.mark.slow
def test_a_put_spread_alone_rolls_before_its_expiry_and_pays_for_its_contracts(workspace: fc.Workspace) -> None:
    options = {
        "days": [20, 50], "roll_days": 5, "contracts": 2, "shares": False, "preset": "schwab_options",
        "legs": [{"right": "put", "side": "short", "moneyness": 1.0}, {"right": "put", "side": "long", "width": -5}],
    }  # fmt: skip
    found = played(workspace, options, account={"cash": 5_000, "margin": "reg_t"})
    record = option_record(found.result)
    assert record["what"].to_list()[:6] == ["bought", "sold", "bought", "sold", "bought", "sold"]
    assert record["contract"].to_list()[2:4] == ["PLT 2024-02-16 put 100", "PLT 2024-02-16 put 95"]     # bought back, sold
    assert record["fee"].to_list()[:4] == pytest.approx([1.30] * 4)     # 0.65 a contract
    assert found.result.rejections.is_empty()
    assert not found.result.fills.filter(pl.col("instrument") == SHARE.id).height
    found.result.verify()


@pytest.mark.slow
def test_shares_that_cover_a_call_are_sold_once_it_has_been_bought_back(workspace: fc.Workspace) -> None:
    options = {"days": [20, 50], "covered": True, "legs": [{"right": "call", "side": "short", "moneyness": 1.05}]}
    plan = plan_of({
        "data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "account": {"cash": 10_600},
        "options": options,
    })  # fmt: skip
    data = backtest_data(workspace, plan, until=None, progress=silent)
    assert data.chain is not None
    wanted = np.zeros((len(data.market.instruments), data.market.bars))
    wanted[data.market.row(SHARE.id), :10] = 1.0
    found = play_chain(data, data.chain, wanted, venue_settings(plan, data), every_bar=False)
    assert found.rejections.is_empty()
    sold, bought, shares = found.fills.rows(named=True)[1:4]
    assert (sold["side"], bought["side"], shares["side"]) == ("SELL", "BUY", "SELL")
    assert sold["instrument"] == bought["instrument"] != SHARE.id
    assert (bought["ts"], shares["ts"]) == (DAYS["close"][11], DAYS["open"][12])
    assert not found.positions.filter(pl.col("quantity") != 0).height


@pytest.mark.parametrize("verb", ["sweep", "wfo"])
def test_sweeps_and_walks_refuse_options(
    workspace: fc.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:  # fmt: skip
    from typer.testing import CliRunner

    from fieldcast.cli._app import app

    monkeypatch.setenv("FIELDCAST_HOME", str(workspace.settings.home))
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'[data]\ninstruments = ["{SHARE.id}"]\n[[strategies]]\nname = "sma_cross"\n[options]\ncontracts = 1\n'
        '[[options.legs]]\nright = "call"\nmoneyness = 1.05\n', "utf-8",
    )  # fmt: skip
    given = CliRunner().invoke(app, [verb, "--plan", str(plan), "--range", "fast=2,3"])
    assert isinstance(given.exception, ConfigError)     # the program's entrance makes a message of it
    assert "no [options] in a sweep or a walk" in str(given.exception)


@pytest.mark.slow
def test_more_than_the_account_can_carry_is_refused_and_said(workspace: fc.Workspace) -> None:
    options = {"days": [20, 50], "contracts": 5, "shares": False, "legs": [{"right": "put", "moneyness": 1.0}]}
    found = played(workspace, options, account={"cash": 5_000, "margin": "reg_t"}, fills={"shortfall": "reject"})
    assert set(found.result.rejections["reasons"]) == {str(Reason.INSUFFICIENT_MARGIN)}
    assert "refused" in " ".join(found.report.warnings)
    secured = played(workspace, options | {"contracts": 1}, account={"cash": 5_000})
    assert set(secured.result.rejections["reasons"]) == {str(Reason.INSUFFICIENT_CASH)}     # 100 puts need 10,000 in cash


def words_of(workspace: fc.Workspace, options: dict[str, Any], **parts: Any) -> tuple[str, ...]:
    plan = {"data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "options": options}
    return backtest_data(workspace, plan_of(plan | parts), until=None, progress=silent).warnings


def test_one_position_in_one_contract_is_said_as_one(workspace: fc.Workspace) -> None:
    options = {"days": [40, 50], "contracts": 1, "shares": False, "legs": [{"right": "put", "moneyness": 1.0}]}
    said = words_of(workspace, options, account={"margin": "reg_t"})
    assert any(one.startswith("XNAS:PLT: 1 option position in 1 contract, chosen") for one in said)
    two = words_of(workspace, options | {"days": [20, 50]}, account={"margin": "reg_t"})
    assert any(one.startswith("XNAS:PLT: 2 option positions in 2 contracts, chosen") for one in two)


def test_shares_that_are_not_played_are_not_lent(workspace: fc.Workspace) -> None:
    options = {"days": [20, 50], "contracts": 1, "legs": [{"right": "put", "moneyness": 1.0}]}
    account = {"margin": "reg_t"}
    assert any("lent for nothing" in one for one in words_of(workspace, options, account=account))
    assert not any("lent for nothing" in one for one in words_of(workspace, options | {"shares": False}, account=account))


@pytest.mark.parametrize(
    ("preset", "costs", "said"),
    [
        ("ibkr_fixed", None, r'options.preset = "ibkr_fixed": expected shares and funds in USD'),
        ("tradier_pro_index_options", None, r"options on indices in USD, .* on XNAS:PLT \(kind equity\)"),
        (None, "ibkr_fixed", r'costs.preset = "ibkr_fixed": .* found OPRA:PLT.* of kind option'),
        ("schwab_options", "kraken", r'costs.preset = "kraken": expected coins'),
    ],
)
def test_fees_of_contracts_are_those_of_contracts(
    workspace: fc.Workspace, preset: str | None, costs: str | None, said: str
) -> None:
    options = {"days": [20, 50], "contracts": 1, "legs": [{"right": "put", "moneyness": 1.0}], "preset": preset}
    plan = plan_of({"data": {"instruments": [SHARE.id]}, "strategies": [{"name": "buy_and_hold"}], "options": options,
                    "costs": {"preset": costs}})  # fmt: skip
    data = backtest_data(workspace, plan, until=None, progress=silent)
    with pytest.raises(ConfigError, match=said):
        venue_settings(plan, data)
    both = plan.model_copy(update={
        "costs": plan.costs.model_copy(update={"preset": "ibkr_fixed"}),
        "options": plan.options and plan.options.model_copy(update={"preset": "schwab_options"}),
    })  # fmt: skip
    assert venue_settings(both, data).option_fees is not None


@pytest.mark.slow
def test_an_order_for_a_contract_that_never_filled_is_named_with_its_reason(workspace: fc.Workspace, tmp_path: Path) -> None:
    """Quotes of the first close alone: the orders of that close found none."""
    put = {"right": "put", "moneyness": 1.0}
    options = {"contracts": 1, "shares": False, "legs": [put, {"right": "put", "side": "long", "width": -5}]}
    with opened_at(tmp_path, quotes(1)) as made:
        for days, expiry, end in (([40, 50], "2024-02-16", "before it expired at 2024-02-16 21:00 UTC"),
                                  ([60, 80], "2024-03-15", "afterwards")):  # fmt: skip
            found = played(made, options | {"days": days}, account={"cash": 5_000, "margin": "reg_t"})
            assert found.result.fills.is_empty()
            for strike, side in ((100, "short"), (95, "long")):
                words = f"PLT {expiry} put {strike} ({side} leg): ordered at 2024-01-02 21:00 UTC and never filled, for no quote "
                assert words + f"of it came {end}" in found.report.warnings
    options |= {"days": [40, 50]}
    filled = played(workspace, options, account={"cash": 5_000, "margin": "reg_t"})
    assert not any("never" in one for one in filled.report.warnings), filled.report.warnings


@pytest.mark.slow
def test_a_structure_that_was_never_ordered_is_named_with_its_reason(workspace: fc.Workspace) -> None:
    call = {"days": [40, 50], "legs": [{"right": "call", "moneyness": 1.05}]}
    short = played(workspace, call | {"covered": True}, account={"cash": 5_000})
    words = "PLT 2024-02-16 call 105: found at 2024-01-02 21:00 UTC and never ordered, for "
    assert words + "too few shares were held to cover one" in short.report.warnings
    small = played(workspace, call | {"notional": 0.4}, account={"cash": 10_600, "margin": "reg_t"})
    assert words + "one is more than that share of the equity" in small.report.warnings


@pytest.mark.slow
def test_shares_that_an_assignment_leaves_short_are_lent_for_nothing_and_it_is_said(workspace: fc.Workspace) -> None:
    """The short call at 100 is assigned at 103 on 19 January, the long one at 105 ends worthless: 100 shares stay short."""
    options = {"days": [10, 20], "contracts": 1, "shares": False,
               "legs": [{"right": "call", "moneyness": 1.0}, {"right": "call", "side": "long", "width": 5}]}  # fmt: skip
    parts = {"account": {"cash": 20_000, "margin": "reg_t"}, "data": {"instruments": [SHARE.id], "last": date(2024, 1, 25)}}
    found = played(workspace, options, **parts)
    assert found.result.positions.filter(pl.col("instrument") == SHARE.id)["quantity"].to_list() == [-100.0]
    assert any("lent for nothing" in one for one in found.report.warnings)
    paid = played(workspace, options, **parts, financing={"borrow": 0.05})
    assert not any("lent for nothing" in one for one in paid.report.warnings)
    assert paid.report.costs.financing["borrow"] < 0


@pytest.mark.slow
@pytest.mark.realdata
def test_real_lean_options_run_by_the_verb(realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOG on 23 and 24 December 2015 (expiry at 13:00 New York): a covered call that is assigned, and a put spread."""
    from typer.testing import CliRunner

    from fieldcast.cli._app import app

    home = tmp_path / "home"
    monkeypatch.setenv("FIELDCAST_HOME", str(home))
    with fc.open_workspace(settings=load_settings(home=home, workers=1)) as made:
        folders = realdata / "intraday/lean_equity_minute/goog", realdata / "options/lean_minute/goog"
        for file in (*sorted(folders[0].glob("*_trade.zip")), folders[1] / "20151224_quote_american.zip"):
            for one in import_source(file, Options(now=made.clock.now()), store=made.store).instruments:
                save_instrument(made.ledger, one)
    common = 'family = "x"\n[data]\ninstruments = ["USA:GOOG"]\ntable = "bars/1m"\n[[strategies]]\nname = "buy_and_hold"\n'
    call = common + (
        '[account]\ncash = 80000\n[options]\ndays = [0, 3]\ncovered = true\npreset = "schwab_options"\n'
        '[[options.legs]]\nright = "call"\nside = "short"\nmoneyness = 0.99\n'
    )
    spread = common + (
        '[account]\ncash = 20000\nmargin = "reg_t"\n[options]\ndays = [0, 3]\ncontracts = 2\nshares = false\nrate = 0.003\n'
        '[[options.legs]]\nright = "put"\nside = "short"\ndelta = 0.3\n'
        '[[options.legs]]\nright = "put"\nside = "long"\nwidth = -5\n'
    )
    for name, text, said in (("call", call, "assigned"), ("spread", spread, "expired")):
        plan, report = tmp_path / f"{name}.toml", tmp_path / f"{name}.html"
        plan.write_text(text, "utf-8")
        given = CliRunner().invoke(app, ["backtest", "--plan", str(plan), "--report", str(report)])
        assert given.exit_code == 0, given.output
        page = report.read_text("utf-8")
        assert "GOOG 2015-12-24" in page
        assert said in page


@pytest.mark.slow
@pytest.mark.realdata
def test_a_real_index_option_settles_in_cash_by_the_verb(realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SPXW of 4 January 2021, over an index that nobody can hold: the put at 3800 that is sold first ends in the money."""
    from typer.testing import CliRunner

    from fieldcast.cli._app import app

    home = tmp_path / "home"
    monkeypatch.setenv("FIELDCAST_HOME", str(home))
    options = realdata / "options"
    with fc.open_workspace(settings=load_settings(home=home, workers=1)) as made:
        for file in ("lean_index_minute_spx/20210104_trade.zip", "lean_indexoption_minute/spxw/20210104_quote_european.zip"):
            for one in import_source(options / file, Options(now=made.clock.now()), store=made.store).instruments:
                save_instrument(made.ledger, one)
    plan, report = tmp_path / "index.toml", tmp_path / "index.html"
    text = (
        '[data]\ninstruments = ["XCBO:SPX"]\ntable = "bars/1m"\n[[strategies]]\nname = "buy_and_hold"\n[account]\ncash = 100000\n'
        'margin = "reg_t"\n[options]\ndays = [0, 0]\ncontracts = 1\nshares = {}\n[[options.legs]]\nright = "put"\noffset = -1\n'
    )
    for shares, code in (("true", 1), ("false", 0)):
        plan.write_text(text.format(shares), "utf-8")
        given = CliRunner().invoke(app, ["backtest", "--plan", str(plan), "--report", str(report)])
        assert bool(given.exit_code) == bool(code), given.output
    rows = report.read_text("utf-8").partition("SPXW 2021-01-04 put 3800")[2]
    assert "expired" in rows
    assert "98.62" in rows      # 3800 less the 3701.38 of the bar that ends at 16:00


def test_a_contract_is_named_for_a_reader() -> None:
    assert contract_name("OPRA:GOOG151224P00747500") == "GOOG 2015-12-24 put 747.5"
    assert contract_name("OPRA:A100") == "OPRA:A100"
