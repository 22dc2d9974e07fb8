"""What an earned upgrade changes in a reading of the fields, and what stands there until it is earned.

The rows of evidence here stand in for ablations: they are made by hand and say that they rest on real sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage
from fieldcast.fields._rows import rows_of
from fieldcast.fields.dealer import NAIVE
from fieldcast.fields.regime import hmm_probabilities, observations
from fieldcast.ground import IntegrityError, InvalidInput, ManualClock, MissingData, Reason, Settings
from fieldcast.market import TABLES
from fieldcast.validation import UPGRADES, EvidenceRow, Measure, Span, save_evidence
from fieldcast.workflows import Workspace, fit_regime, open_workspace, read_fields, simulate_data, usable_fields
from fieldcast.workflows.upgrades import session_in_progress, stored_regime

NOW = datetime(2024, 3, 1, tzinfo=UTC)
RECORDED = datetime(2023, 12, 1, tzinfo=UTC)


def earn(workspace: Workspace, name: str, instrument: str, *, estimate: float = 0.05, recorded: datetime = RECORDED) -> None:
    upgrade = UPGRADES[name]
    row = EvidenceRow(
        upgrade.claim(Measure.AUC), upgrade.configuration_hash(instrument),
        Span((instrument,), date(2015, 1, 5), date(2023, 11, 30)), estimate, estimate - 0.02, estimate + 0.02, 2_000, "a test",
        recorded, recorded + timedelta(days=365),
    )  # fmt: skip
    with workspace.ledger.begin() as session:
        save_evidence(session, [row])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Three indices with a chain every hour of three sessions."""
    with open_workspace(settings=Settings(home=tmp_path_factory.mktemp("index")), clock=ManualClock(NOW)) as opened:
        days = {"first": date(2024, 1, 2), "last": date(2024, 1, 4)}
        simulate_data(opened, ["IDX", "TWO", "SIX"], **days, seed=7, market="index", table="chains", interval="1h")
        yield opened


@pytest.fixture
def bars(tmp_path: Path) -> Iterator[Workspace]:
    """Three years and a half of daily bars."""
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(NOW)) as opened:
        simulate_data(opened, ["ONE"], first=date(2020, 7, 1), last=date(2024, 1, 4), seed=8)
        yield opened


def snapshots(workspace: Workspace, instrument: str) -> list[datetime]:
    return workspace.store.read(instrument, table="chains")["ts"].unique().sort().to_list()


def test_a_session_is_in_progress_from_its_open_to_before_its_close() -> None:
    opened, closed = datetime(2024, 1, 4, 14, 30, tzinfo=UTC), datetime(2024, 1, 4, 21, tzinfo=UTC)
    tick = timedelta(microseconds=1)
    assert session_in_progress("XNYS", opened - tick) is None
    assert session_in_progress("XNYS", opened) == session_in_progress("XNYS", closed - tick) == opened
    assert session_in_progress("XNYS", closed) is None


def test_the_chain_of_a_session_in_progress_is_shown_with_a_mark_and_left_out_of_what_may_be_used(index: Workspace) -> None:
    moments = snapshots(index, "SIM:IDX")
    noon = next(at for at in moments if at.date() == date(2024, 1, 3) and at.hour >= 17)
    last_before = max(at for at in moments if at.date() == date(2024, 1, 2))
    shown = read_fields(index, "SIM:IDX", as_of=noon)
    assert shown.chain is not None
    assert shown.chain.ts == noon
    for engine in ("dealer", "elasticity"):
        assert "research only" in shown.map.conventions[f"{engine}.intraday_dealer"]
    used = read_fields(index, "SIM:IDX", as_of=noon, earned_only=True)
    assert used.chain is not None
    assert used.chain.ts == last_before
    assert "left out" in used.map.conventions["dealer.intraday_dealer"]
    assert used.map.dealer["gex"] != shown.map.dealer["gex"]
    assert usable_fields(index, "SIM:IDX", as_of=noon) == used.map
    only = read_fields(index, "SIM:IDX", as_of=datetime(2024, 1, 2, 21, tzinfo=UTC), earned_only=True)
    assert only.chain is not None, "after the close the session's last chain is the day's"
    assert only.chain.ts.date() == date(2024, 1, 2)


def test_where_all_chains_are_of_the_session_in_progress_the_dealers_are_not_earned(index: Workspace) -> None:
    inside = snapshots(index, "SIM:IDX")[2]
    assert session_in_progress("XNYS", inside) is not None
    with pytest.raises(MissingData, match="to read"):
        usable_fields(index, "SIM:IDX", as_of=inside)  # nothing else is known of it by then
    simulate_data(index, ["BAR"], first=date(2020, 1, 2), last=date(2024, 1, 4), seed=9)
    chain = index.store.read("SIM:IDX", table="chains").with_columns(instrument=pl.lit("SIM:BAR"))
    index.store.append(chain, Lineage("simulated", "chains", NOW, simulated=True), table="chains")
    found = usable_fields(index, "SIM:BAR", as_of=inside)
    assert found.reasons["dealer"] is found.reasons["elasticity"] is Reason.NOT_EARNED
    assert found.dealer == found.elasticity == {}
    assert found.regime


def test_an_earned_refresh_is_used_without_a_mark(index: Workspace) -> None:
    noon = next(at for at in snapshots(index, "SIM:TWO") if at.date() == date(2024, 1, 3) and at.hour >= 17)
    earn(index, "intraday_dealer", "SIM:TWO")
    used = read_fields(index, "SIM:TWO", as_of=noon, earned_only=True)
    assert used.chain is not None
    assert used.chain.ts == noon
    assert "dealer.intraday_dealer" not in used.map.conventions
    assert used.map == read_fields(index, "SIM:TWO", as_of=noon).map


def add_prints(workspace: Workspace, instrument: str, at: datetime) -> dict[str, float]:
    """Prints of two contracts by the side of the aggressor, of one by its quote, and the customers' net of each."""
    near = read_fields(workspace, instrument, as_of=at).chain
    assert near is not None
    place = np.argsort(np.abs(near.strike / near.spot - 1), kind="stable")[:3]
    names = [str(near.contract_id[i]) for i in place]
    rows = {names[0]: [("buy", 5.0), ("buy", 7.0), ("sell", 2.0)], names[1]: [("sell", 4.0)], names[2]: [(None, 3.0)]}
    lineage = Lineage("simulated", "prints", NOW, simulated=True)
    for name, prints in rows.items():
        symbol = f"OPRA:{name.replace(' ', '')}"
        head = [
            {"instrument": symbol, "ts": (ts := at - timedelta(minutes=9 - i)), "available_at": ts, "sequence": i, "price": 10.0,
             "size": size, "side": side, "reasons": "simulated"}
            for i, (side, size) in enumerate(prints)
        ]  # fmt: skip
        workspace.store.append(pl.DataFrame(head, schema_overrides=TABLES["trades"].schema).match_to_schema(
            pl.Schema(TABLES["trades"].schema), missing_columns="insert"), lineage, table="trades")  # fmt: skip
        before = [
            {"instrument": symbol, "ts": at - timedelta(minutes=minutes), "available_at": at - timedelta(minutes=minutes),
             "sequence": 0, "bid": bid, "ask": bid + 1, "reasons": "simulated"}
            for minutes, bid in ((20, 9.9), (9, 5.0))
        ]  # fmt: skip
        workspace.store.append(pl.DataFrame(before, schema_overrides=TABLES["quotes"].schema).match_to_schema(
            pl.Schema(TABLES["quotes"].schema), missing_columns="insert"), lineage, table="quotes")  # fmt: skip
    return {names[0]: 10.0, names[1]: -4.0, names[2]: -3.0}


def test_prints_say_who_holds_the_options_once_that_is_earned(index: Workspace) -> None:
    close = datetime(2024, 1, 4, 21, 30, tzinfo=UTC)
    plain = read_fields(index, "SIM:SIX", as_of=close)
    assert plain.map.conventions["dealer.sign_policy"] == NAIVE.name
    with pytest.raises(MissingData, match="expected prints"):
        read_fields(index, "SIM:SIX", as_of=close, sign="prints")
    net = add_prints(index, "SIM:SIX", close)
    assert read_fields(index, "SIM:SIX", as_of=close).map == plain.map, "prints alone change nothing"
    looked = read_fields(index, "SIM:SIX", as_of=close, sign="prints")
    assert "research only" in looked.map.conventions["dealer.print_stream"]
    with pytest.raises(InvalidInput, match="print_stream is disabled"):
        read_fields(index, "SIM:SIX", as_of=close, sign="prints", earned_only=True)

    earn(index, "print_stream", "SIM:SIX")
    used = read_fields(index, "SIM:SIX", as_of=close, earned_only=True)
    assert used.map.conventions["dealer.sign_policy"].startswith("trade flow")
    assert "dealer.print_stream" not in used.map.conventions
    assert used.dealer is not None
    book = used.dealer.book
    held = {str(name): float(x) for name, x in zip(book.chain.contract_id, book.positions, strict=True) if x}
    assert book.unknown[Reason.SIGN_UNKNOWN] == len(book.chain) - len(net)
    assert held.keys() == net.keys(), "of the others nobody knows who holds them"
    interest = dict(zip(used.chain.contract_id.tolist(), used.chain.open_interest.tolist(), strict=True)) if used.chain else {}
    assert held == {name: -np.sign(bought) * interest[name] for name, bought in net.items()}
    naive = read_fields(index, "SIM:SIX", as_of=close, sign="naive")
    assert naive.map.dealer == plain.map.dealer, "whoever asks for a policy gets it"


def test_fitted_states_stand_in_the_regime_only_once_they_are_earned(bars: Workspace) -> None:
    at = datetime(2024, 1, 4, 21, 30, tzinfo=UTC)
    fitted = fit_regime(bars, "SIM:ONE", as_of=datetime(2023, 6, 30, tzinfo=UTC))
    off = read_fields(bars, "SIM:ONE", as_of=at)
    assert off.map.reasons["regime.hmm"] is Reason.NOT_EARNED
    assert not any(name.startswith("hmm") for name in off.map.regime)
    earn(bars, "hmm_regime", "SIM:ONE", estimate=0.01)
    assert read_fields(bars, "SIM:ONE", as_of=at).map == off.map, "an ablation that fails switches nothing on"

    earn(bars, "hmm_regime", "SIM:ONE", recorded=RECORDED + timedelta(days=1))
    on = read_fields(bars, "SIM:ONE", as_of=at, earned_only=True)
    odds = hmm_probabilities(observations(rows_of(on.bars), fitted.hmm.features), fitted.hmm)[-1]
    assert [on.map.regime[f"hmm_{state}"] for state in fitted.hmm.states] == odds.tolist()
    assert on.map.labels["regime.hidden_state"] in {str(state) for state in fitted.hmm.states}
    assert 0 <= on.map.regime["change_odds"] <= 1
    assert fitted.hmm.hash[:16] in on.map.conventions["regime.hmm"]
    early = read_fields(bars, "SIM:ONE", as_of=datetime(2023, 11, 1, tzinfo=UTC))
    assert early.map.reasons["regime.hmm"] is Reason.NOT_EARNED, "the evidence was not on record then"


def test_earned_but_never_fitted_says_so(bars: Workspace) -> None:
    earn(bars, "hmm_regime", "SIM:ONE")
    found = read_fields(bars, "SIM:ONE", as_of=datetime(2024, 1, 4, 21, 30, tzinfo=UTC))
    assert found.map.reasons["regime.hmm"] is Reason.NOT_FITTED


def test_the_fit_knows_nothing_later_and_the_newest_that_was_known_is_used(bars: Workspace) -> None:
    one, two = (fit_regime(bars, "SIM:ONE", as_of=datetime(2023, month, 15, tzinfo=UTC)) for month in (3, 9))
    assert one.hmm.fitted_until < datetime(2023, 3, 15, tzinfo=UTC) <= two.hmm.fitted_until
    assert one.hmm.simulated
    assert stored_regime(bars, "SIM:ONE", one.hmm.fitted_until - timedelta(seconds=1)) is None
    assert stored_regime(bars, "SIM:ONE", two.hmm.fitted_until - timedelta(seconds=1)) == one
    assert stored_regime(bars, "SIM:ONE", NOW) == two
    assert fit_regime(bars, "SIM:ONE", as_of=datetime(2023, 9, 15, tzinfo=UTC)) == two
    two.path.write_text(two.path.read_text().replace('"rows": ', '"rows": 1'))
    with pytest.raises(IntegrityError, match="fit them again"):
        stored_regime(bars, "SIM:ONE", NOW)
    with pytest.raises(InvalidInput, match="future"):
        fit_regime(bars, "SIM:ONE", as_of=NOW + timedelta(days=1))
    with pytest.raises(MissingData, match="500 known rows"):
        fit_regime(bars, "SIM:ONE", as_of=datetime(2021, 3, 1, tzinfo=UTC))
