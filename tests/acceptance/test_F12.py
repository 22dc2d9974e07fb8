"""F12, earned upgrades behind gates: intraday dealer refresh, HMM regime, print stream.

Done when: "Each upgrade stays disabled until a recorded ablation result meets its gate, shown by a test of both outcomes".

Each ablation here is measured by `ablation_evidence` on odds that were made up: with an upgrade that knows something of the sign,
and with one that knows nothing more than without it. What is recorded, read back, judged and switched is the real thing: a
ledger on disk, a store, and the reading of the fields. The runners that walk on stored bars, chains and prints show both outcomes
in tests/workflows/test_chain_ablations.py and test_ablations.py; the importers of prints are proved by files made after their
vendors' documents (tests/data/formats/test_option_prints_fuzz.py), as no vendor's file of them is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage
from fieldcast.ground import ManualClock, Reason, Settings
from fieldcast.market import TABLES
from fieldcast.validation import UPGRADES, EvidenceRow, UpgradeVerdict, ablation_evidence, load_verdicts, save_evidence
from fieldcast.workflows import FieldsRead, Workspace, fit_regime, open_workspace, read_fields, simulate_data

pytestmark = pytest.mark.feature("F12")
OPEN_PARTS: tuple[str, ...] = ()

NOW = datetime(2024, 3, 1, tzinfo=UTC)
RECORDED = datetime(2023, 12, 1, tzinfo=UTC)
INDEX, SHARE = "SIM:IDX", "SIM:ONE"
NOON, AFTER = datetime(2024, 1, 3, 17, 30, tzinfo=UTC), datetime(2024, 1, 4, 21, 30, tzinfo=UTC)
DAYS = np.datetime64("2020-01-06") + np.arange(900)


def _buy_puts(workspace: Workspace) -> None:
    """Customers buy the puts next to the money; of every other contract nobody knows who holds it."""
    chain = read_fields(workspace, INDEX, as_of=AFTER).chain
    assert chain is not None
    puts = np.flatnonzero(~chain.is_call)
    for i in puts[np.argsort(np.abs(chain.strike[puts] / chain.spot - 1), kind="stable")[:5]]:
        at = AFTER - timedelta(minutes=40)
        row = {"instrument": f"OPRA:{str(chain.contract_id[i]).replace(' ', '')}", "ts": at, "available_at": at, "sequence": 0,
               "price": 1.0, "size": 10.0, "side": "buy", "reasons": "simulated"}  # fmt: skip
        schema = pl.Schema(TABLES["trades"].schema)
        frame = pl.DataFrame([row], schema_overrides=schema).match_to_schema(schema, missing_columns="insert")
        workspace.store.append(frame, Lineage("simulated", "prints", NOW, simulated=True), table="trades")


@pytest.fixture(params=UPGRADES)
def upgrade(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def workspace(tmp_path: Path, upgrade: str) -> Iterator[Workspace]:
    """Hourly chains and option prints of an index, or the bars of a share and its fitted regime."""
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(NOW)) as opened:
        if upgrade == "hmm_regime":
            simulate_data(opened, ["ONE"], first=date(2021, 7, 1), last=AFTER.date(), seed=8)
            fit_regime(opened, SHARE, as_of=datetime(2023, 9, 1, tzinfo=UTC))
        else:
            days = {"first": date(2024, 1, 2), "last": AFTER.date()}
            simulate_data(opened, ["IDX"], **days, seed=7, market="index", table="chains", interval="1h")
            _buy_puts(opened)
        yield opened


def ablation(upgrade: str, *, knows: bool, recorded: datetime = RECORDED, simulated: bool = False) -> tuple[EvidenceRow, ...]:
    """The recorded result of an ablation in which the upgrade adds something, or nothing."""
    random = np.random.default_rng(12)
    truth = np.clip(0.5 + 0.15 * random.standard_normal(900), 0.05, 0.95)
    returns = np.where(random.random(900) < truth, 0.01, -0.01)
    without = np.clip(0.5 + 0.05 * random.standard_normal(900), 0.05, 0.95)
    return ablation_evidence(
        UPGRADES[upgrade], instrument=SHARE if upgrade == "hmm_regime" else INDEX, dates=DAYS, returns=returns,
        with_odds=truth if knows else np.clip(without + 0.05 * random.standard_normal(900), 0.05, 0.95), without_odds=without,
        simulated=simulated, command="tests/acceptance/test_F12.py", recorded_at=recorded, draws=200,
    )  # fmt: skip


def record(workspace: Workspace, rows: tuple[EvidenceRow, ...]) -> None:
    with workspace.ledger.begin("ablation") as session:
        save_evidence(session, rows)


def judged(workspace: Workspace, upgrade: str, at: datetime = AFTER) -> UpgradeVerdict:
    with workspace.ledger.read() as session:
        return load_verdicts(session, SHARE if upgrade == "hmm_regime" else INDEX, at)[upgrade]


def used(workspace: Workspace, upgrade: str) -> FieldsRead:
    """The fields as whatever feeds a model may read them."""
    if upgrade == "hmm_regime":
        return read_fields(workspace, SHARE, as_of=AFTER, earned_only=True)
    return read_fields(workspace, INDEX, as_of=NOON if upgrade == "intraday_dealer" else AFTER, earned_only=True)


def switched_on(found: FieldsRead, upgrade: str) -> bool:
    """Whether the reading rests on the upgrade."""
    if upgrade == "hmm_regime":
        odds = [value for name, value in found.map.regime.items() if name.startswith("hmm_")]
        assert bool(odds) != ("regime.hmm" in found.map.reasons)
        return bool(odds) and sum(odds) == pytest.approx(1)
    assert found.chain is not None
    if upgrade == "intraday_dealer":
        return found.chain.ts.date() == NOON.date()
    return found.map.conventions["dealer.sign_policy"].startswith("trade flow")


def test_an_upgrade_stays_disabled_until_its_ablation_meets_the_gate(workspace: Workspace, upgrade: str) -> None:
    assert judged(workspace, upgrade).reasons == (Reason.EVIDENCE_MISSING,)
    before = used(workspace, upgrade)
    assert not switched_on(before, upgrade)

    record(workspace, ablation(upgrade, knows=False))
    assert judged(workspace, upgrade).reasons == (Reason.EVIDENCE_FAILED,)
    assert used(workspace, upgrade).map == before.map

    record(workspace, ablation(upgrade, knows=True, simulated=True, recorded=RECORDED + timedelta(days=1)))
    assert not judged(workspace, upgrade).enabled
    assert used(workspace, upgrade).map == before.map

    passing = ablation(upgrade, knows=True, recorded=RECORDED + timedelta(days=2))
    record(workspace, tuple(replace(row, configuration_hash="0" * 64) for row in passing))
    assert not judged(workspace, upgrade).enabled

    record(workspace, passing)
    verdict = judged(workspace, upgrade)
    assert verdict.enabled
    assert verdict.reasons == (Reason.EARNED,)
    assert verdict.row is not None
    assert verdict.row.estimate > 0.02
    assert verdict.row.low > 0
    after = used(workspace, upgrade)
    assert switched_on(after, upgrade)
    assert after.map != before.map
    assert not judged(workspace, upgrade, RECORDED + timedelta(days=1)).enabled, "not on record then"
    assert not judged(workspace, upgrade, RECORDED + timedelta(days=400)).enabled, "expired by then"

    record(workspace, ablation(upgrade, knows=False, recorded=RECORDED + timedelta(days=3)))
    assert judged(workspace, upgrade).reasons == (Reason.EVIDENCE_FAILED,)
    assert used(workspace, upgrade).map == before.map, "lost again"
