"""Every field of one instrument at one moment, through the store: what enters, since when, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fieldcast.fields.vocabulary import MarketHours
from fieldcast.ground import InvalidInput, ManualClock, MissingData, Reason, Settings
from fieldcast.market import sessions_between, table_of
from fieldcast.workflows import Workspace, field_map, import_data, open_workspace, read_fields, simulate_data

NOW = datetime(2024, 3, 1, tzinfo=UTC)
FIRST, LAST = date(2024, 1, 2), date(2024, 1, 4)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A simulated index with its chain, a share with its minutes, and an order book."""
    home = tmp_path_factory.mktemp("fields")
    with open_workspace(settings=Settings(home=home), clock=ManualClock(NOW)) as opened:
        simulate_data(opened, ["IDX"], first=FIRST, last=LAST, seed=7, market="index", table="chains")
        simulate_data(opened, ["ONE"], first=date(2020, 1, 2), last=LAST, seed=8)
        simulate_data(opened, ["MIN"], first=FIRST, last=LAST, seed=8, interval="1m")
        yield opened


def test_a_chain_gives_the_dealers_and_the_elasticity_of_the_moment(workspace: Workspace) -> None:
    found = read_fields(workspace, "SIM:IDX")
    assert found.map.simulated
    assert found.dealer is not None
    assert found.elasticity is not None
    assert found.map.dealer["gex"] == pytest.approx(found.dealer.gex)
    assert found.map.landmarks["call_wall"].known_since <= found.map.as_of
    assert found.map.conventions["dealer.sign_policy"].startswith("naive")
    assert found.map.as_of == workspace.store.read("SIM:IDX")["ts"][-1] + timedelta(minutes=30)
    assert found.notes == {}


def test_only_what_was_known_enters(workspace: Workspace) -> None:
    rows = workspace.store.read("SIM:IDX", table="chains")
    second = rows["ts"].unique().sort()[1]
    found = read_fields(workspace, "SIM:IDX", as_of=second)
    assert found.chain is not None
    assert found.chain.ts == second
    before = read_fields(workspace, "SIM:IDX", as_of=second - timedelta(microseconds=1))
    assert before.chain is not None
    assert before.chain.ts == rows["ts"].min()
    assert found.map.hash != before.map.hash
    assert read_fields(workspace, "SIM:IDX", as_of=second).map.hash == found.map.hash


def test_the_sign_policy_is_the_users_choice_and_stamped(workspace: Workspace) -> None:
    naive, short = (read_fields(workspace, "SIM:IDX", sign=sign) for sign in ("naive", "all_short"))
    assert short.map.dealer["gex"] < 0
    assert short.map.dealer["gex_calls"] == pytest.approx(-naive.map.dealer["gex_calls"])
    assert short.map.conventions["dealer.sign_policy"].startswith("all short")
    with pytest.raises(InvalidInput, match="found 'mine'"):
        read_fields(workspace, "SIM:IDX", sign="mine")


def test_an_old_chain_is_stale_while_the_bars_go_on(workspace: Workspace) -> None:
    found = read_fields(workspace, "SIM:IDX", as_of=datetime(2024, 1, 11, tzinfo=UTC))
    assert found.dealer is None
    assert found.map.reasons["dealer"] is Reason.STALE
    assert found.map.dealer == {}
    assert found.map.close == workspace.store.read("SIM:IDX")["close"][-1]


def test_bars_of_long_ago_are_no_field_of_now(workspace: Workspace) -> None:
    with pytest.raises(MissingData, match=r"found the newest of 2024-01-04, 1\d sessions before"):
        read_fields(workspace, "SIM:IDX", as_of=datetime(2024, 1, 25, tzinfo=UTC))


def test_a_book_of_another_price_stays_out_of_the_elasticity_and_stops_nothing(tmp_path: Path) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(NOW)) as opened:
        simulate_data(opened, ["IDX"], first=FIRST, last=FIRST, seed=7, market="index", table="chains")
        rows = opened.store.read("SIM:IDX", table="chains")
        moment, spot = rows["ts"][0], rows["underlying_price"][0]
        for share, notes in ((1.02, {"elasticity, the book"}), (1.0001, set())):
            frame = depth_around(spot * share, moment)
            opened.store.append(frame, replace(opened.store.lineage("SIM:IDX")[0], dataset=f"near{share}"), table="depth")
            found = read_fields(opened, "SIM:IDX", as_of=moment, datasets={"depth": f"near{share}"})
            assert set(found.notes) == notes
            assert found.elasticity is not None
            assert "book_mid" in found.map.landmarks
            assert found.map.dealer
            late = read_fields(opened, "SIM:IDX", as_of=moment + timedelta(minutes=5), datasets={"depth": f"near{share}"})
            assert late.map.reasons["liquidity.book_spread_bps"] is Reason.STALE


def depth_around(mid: float, ts: datetime) -> pl.DataFrame:
    """A whole book of one level a side."""
    kind = table_of("depth")
    row = {"instrument": "SIM:IDX", "ts": ts, "available_at": ts, "first_update": None, "last_update": None, "snapshot": True,
           "size": 10.0, "order_id": None, "action": None, "reasons": "simulated"}  # fmt: skip
    rows = [row | {"sequence": 1, "side": "bid", "price": mid - 0.5}, row | {"sequence": 2, "side": "ask", "price": mid + 0.5}]
    return pl.DataFrame(rows, schema=dict(kind.schema))


def test_a_simulated_vix_is_never_chosen_for_a_real_instrument_and_marks_the_map_that_names_it(tmp_path: Path) -> None:
    with open_workspace(settings=Settings(home=tmp_path), clock=ManualClock(NOW)) as opened:
        days = sessions_between("XNYS", date(2022, 1, 3), date(2023, 12, 29))["session"]
        close = 100 + pl.int_range(len(days), eager=True) % 7
        columns = {"Date": days, "Open": close, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 1000}
        pl.DataFrame(columns).write_csv(tmp_path / "aaa.csv")
        import_data(opened, tmp_path / "aaa.csv", "XNAS:AAA", columns={"ts": "Date"})
        simulate_data(opened, ["VIX"], first=date(2022, 1, 3), last=date(2023, 12, 29), seed=1)
        plain = read_fields(opened, "XNAS:AAA")
        assert not plain.map.simulated
        assert plain.map.reasons["regime.vix"] is Reason.NO_DATA
        named = read_fields(opened, "XNAS:AAA", vix="SIM:VIX")
        assert named.map.simulated
        assert "vix" in named.map.regime


def test_without_a_chain_dealers_are_absent_and_nothing_stands_in(workspace: Workspace) -> None:
    found = read_fields(workspace, "SIM:ONE")
    assert found.map.reasons["dealer"] is Reason.NO_DATA
    assert found.map.reasons["elasticity"] is Reason.NO_DATA
    assert found.map.dealer == found.map.elasticity == {}
    assert found.map.labels["regime.market_hours"] == MarketHours.AFTER_HOURS
    assert found.map.reasons["regime.vix"] is Reason.NO_DATA
    assert field_map(workspace, "SIM:ONE") == found.map


def test_minutes_give_the_session_also_where_there_are_no_daily_bars(workspace: Workspace) -> None:
    found = read_fields(workspace, "SIM:MIN")
    assert found.session is not None
    assert found.session.session == LAST
    assert found.map.reasons["liquidity.daily"] is Reason.NO_DATA
    assert found.map.close == workspace.store.read("SIM:MIN", table="bars/1m")["close"][-1]
    opening = datetime(2024, 1, 4, 14, 31, tzinfo=UTC)
    early = read_fields(workspace, "SIM:MIN", as_of=opening)
    assert early.session is not None
    assert early.session.developing.height == 1


def test_nothing_known_and_the_future_are_refused(workspace: Workspace) -> None:
    with pytest.raises(MissingData, match="found none"):
        read_fields(workspace, "SIM:IDX", as_of=datetime(2024, 1, 2, 12, tzinfo=UTC))
    with pytest.raises(MissingData, match="catalogue"):
        read_fields(workspace, "SIM:NONE")
    with pytest.raises(InvalidInput):
        read_fields(workspace, "SIM:IDX", as_of=NOW + timedelta(days=1))


def test_the_page_shows_every_section_and_asks_the_network_for_nothing(workspace: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "fields.html"
    found = read_fields(workspace, "SIM:IDX", plot=target)
    page = target.read_text(encoding="utf-8")
    assert found.plot == target
    for heading in ("Dealers", "Elasticity", "Every figure"):
        assert f"<h2>{heading}</h2>" in page
    assert "SIMULATED" in page
    assert "default-src 'none'" in page
    assert "Order book" not in page
    session = tmp_path / "session.html"
    read_fields(workspace, "SIM:MIN", plot=session)
    assert "<h2>This session</h2>" in session.read_text(encoding="utf-8")


def test_the_result_is_plain_values(workspace: Workspace) -> None:
    shown = read_fields(workspace, "SIM:IDX").as_dict()
    assert set(shown) >= {"dealer", "elasticity", "labels", "conventions", "landmarks", "reasons", "notes", "hash", "plot"}
    assert isinstance(pl.DataFrame([{"gex": shown["dealer"]["gex"]}]).item(), float)
