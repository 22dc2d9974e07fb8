"""V07: Kill criteria as named (AUC below .50 for 10 days, coverage outside 60 to 90 %, IC negative for 10 trading days), pooled
over the universe, persisted; beside them a sequential test with a stated false-kill rate; the 8-week clock that must pass before
live.

Done when: "Each rule trips at its exact day, NaN counts as a failure, live stays locked on day 55, the sequential test kills a
calibrated AUC-0.536 forecaster in at most 5 % of 8-week runs, and `doctor` prints the false-kill rate of the rules for the user's
universe"
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from fieldcast import workflows
from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ManualClock, Settings, load_settings
from fieldcast.ledger import open_database, tables
from fieldcast.market import sessions
from fieldcast.projection.conformal import QUANTILE_LEVELS
from fieldcast.projection.packet import HorizonProjection, ProjectionPacket, Provenance
from fieldcast.validation.false_kills import calibrated_runs, false_kills
from fieldcast.validation.watch import PaperRow, e_process, trips, watch
from fieldcast.workflows import Workspace, open_workspace
from fieldcast.workflows.watching import live_lock

pytestmark = pytest.mark.feature("V07")
OPEN_PARTS: tuple[str, ...] = ("live",)  # nothing here can trade live yet: the lock is asked by nobody

START = date(2024, 1, 1)
NAME = "SIM:PLANTED"


def rows(days: int, p: float | list[float], ret: list[float], *, inside: float = 1.0) -> list[PaperRow]:
    odds = [p] * days if isinstance(p, float) else p
    return [
        PaperRow(name, START + timedelta(days=t), odds[t], -200.0 * inside, 200.0 * inside, ret[t], {})
        for t in range(days)
        for name in ("A", "B")
    ]


def test_each_rule_trips_at_its_exact_day_pooled_over_the_universe() -> None:
    """Right up to session 24, wrong from then on; bands hold everything up to session 39 of 60."""
    up = [100.0 if t % 2 else -100.0 for t in range(60)]
    odds = [0.6 if (move > 0) == (t < 24) else 0.4 for t, move in enumerate(up)]
    found = watch(rows(60, odds, up))
    days = {day.session: day for day in found.days}
    below = [day for day, one in days.items() if one.auc is not None and one.auc < 0.5 - 1e-12]
    negative = [day for day, one in days.items() if one.ic is not None and one.ic < -1e-12]
    kills = {kill.rule: kill.session for kill in found.kills}
    assert kills["auc"] == below[9]
    assert (below[9] - below[0]).days == 9
    assert kills["ic"] == negative[9]
    assert kills["coverage"] == START + timedelta(days=19)  # every return inside: above 90 % at once


@pytest.mark.parametrize("rule", ["auc", "ic", "coverage"])
def test_nan_counts_as_a_failure(rule: str) -> None:
    good = {"auc": np.full((1, 60), 0.6), "ic": np.full((1, 60), 0.1), "coverage": np.full((1, 60), 0.75)}
    good[rule] = good[rule].copy()
    good[rule][0, 25:40] = np.nan
    found = {name: int(at[0]) for name, at in trips(good, np.ones((1, 60))).items()}
    assert found[rule] == (25 if rule == "coverage" else 34)
    assert all(at == -1 for name, at in found.items() if name != rule)


@pytest.mark.parametrize(("instruments", "correlation"), [(1, 0.0), (10, 0.5)])
def test_the_sequential_test_seldom_kills_a_calibrated_forecaster_of_auc_0536(instruments: int, correlation: float) -> None:
    """2,000 simulated eight-week runs each: the whole 95 % interval of the false-kill rate lies below 5 %."""
    rng = np.random.default_rng(2024)
    killed = 0
    for _ in range(4):
        p, ret, inside = calibrated_runs(rng, 500, 40, instruments, auc=0.536, correlation=correlation)
        killed += int((e_process(p, ret, inside).max(axis=1) >= 20.0).sum())
    from fieldcast.validation.false_kills import rate

    assert rate(killed, 2000).high <= 0.05, killed


def test_the_named_rules_kill_the_same_forecaster_often_and_that_is_told() -> None:
    """The negative result that the sequential test is there for (simulated, 400 runs)."""
    found = false_kills(10)
    assert found.any_named.low > 0.15
    assert found.rules["sequential"].high < 0.05


def test_doctor_prints_the_false_kill_rate_for_the_users_universe(tmp_path: Path, monkeypatch, capsys) -> None:
    import sys

    from fieldcast.cli import main

    settings = load_settings(home=tmp_path / "home", workers=1)

    def line(settings: Settings) -> str:
        return next(check.found for check in workflows.doctor(settings).checks if check.name == "kill rules")

    assert "on 1 instrument(s) (no ledger yet" in line(settings)
    assert not (tmp_path / "home" / "ledger.db").exists()
    with open_database(settings.database_url, settings.home) as db, db.begin("paper") as session:
        for name in ("A", "B", "C"):
            session.add(tables.PaperPacket(watch="paper", instrument=name, session=START, as_of=datetime(2024, 1, 2, tzinfo=UTC),
                        digest="d", configuration_hash="c", regime={}, recorded_at=datetime(2024, 1, 2, tzinfo=UTC)))  # fmt: skip
    told = line(settings)
    expected = false_kills(3, correlation=0.5, runs=400)
    assert "on 3 instrument(s) (watched" in told
    assert f"the named rules kill {expected.any_named}" in told
    assert f"the sequential test {expected.rules['sequential']}" in told
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "argv", ["fieldcast", "doctor", "--home", str(settings.home)])
    with pytest.raises(SystemExit):
        main()
    assert "kill rules" in capsys.readouterr().out


# the persisted watch ------------------------------------------------------------------------------------------------------


def packet_of(as_of: datetime, p_up: float, band: float) -> ProjectionPacket:
    """A sound packet with the odds that the cone implies, or a warning that they do not."""
    horizon = HorizonProjection.model_validate({
        "horizon": "1d", "status": "ok", "reference_price": 100.0, "entry_ts": as_of + timedelta(hours=17),
        "target_ts": as_of + timedelta(days=1), "valid_until": as_of + timedelta(days=1), "flat_band_bps": 0.0,
        "direction": {"up": p_up, "flat": 0.0, "down": 1 - p_up}, "levels": QUANTILE_LEVELS,
        "quantiles_bps": tuple(band * z for z in (-1.5, -1.0, -0.5, 0.01, 0.5, 1.0, 1.5)), "mean_bps": 0.0,
        "sigma_horizon_bps": band, "sigma_annual": band * 1e-4 * 252**0.5, "periods_per_year": 252.0,
        "conviction": max(p_up, 1 - p_up), "reliability": {"value": 1.0, "data": 1.0, "sample": 1.0, "calibration": 1.0},
        "warnings": ["odds_cone_disagree"],
    })  # fmt: skip
    provenance = Provenance(data_hashes={NAME: "0" * 64}, model_id="m", code_version="0", simulated=True)
    return ProjectionPacket(instrument=NAME, as_of=as_of, provenance=provenance, warnings=("simulated",), horizons=(horizon,))


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Workspace, ManualClock, list[datetime]]:
    """45 sessions of one simulated instrument, recorded with odds that are always wrong and bands that are far too wide."""
    from fieldcast.projection import record_packet

    made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=120, last=date(2018, 12, 31)))
    bars = made.bars
    table = sessions("XNYS").filter(sessions("XNYS")["session"] <= date(2018, 12, 31)).tail(46)
    clock = ManualClock(table["as_of"][0])
    workspace = open_workspace(settings=load_settings(home=tmp_path / "home", workers=1), clock=clock)
    save_instrument(workspace.ledger, made.instrument)
    workspace.store.append(bars, made.lineage)
    closes = dict(zip(bars["ts"].to_list(), bars["close"].to_list(), strict=True))
    ends = table["close"].to_list()
    for k, (day, as_of) in enumerate(zip(table["session"].to_list()[:45], table["as_of"].to_list()[:45], strict=True)):
        rises = closes[ends[k + 1]] > closes[ends[k]]
        packet = packet_of(as_of, 0.4 if rises else 0.6, 5000.0)
        with workspace.ledger.begin("paper") as session:
            record_packet(session, packet)
            session.add(tables.PaperPacket(watch="paper", instrument=NAME, session=day, as_of=as_of, digest=packet.digest,
                                           configuration_hash="c", regime={}, recorded_at=as_of))  # fmt: skip
    return workspace, clock, table["as_of"].to_list()


def test_trips_are_persisted_audited_and_stay(recorded: tuple[Workspace, ManualClock, list[datetime]]) -> None:
    workspace, clock, evenings = recorded
    clock.advance_to(evenings[20])  # 20 outcomes are known: the first judged session
    first = workflows.show_watch(workspace, rates=False)
    assert [(kill.rule, kill.session) for kill in first.kills if kill.rule != "sequential"] == [("coverage", evenings[19].date())]
    clock.advance_to(evenings[45])
    last = workflows.show_watch(workspace, rates=False)
    found = {kill.rule: kill.session for kill in last.kills}
    assert found["coverage"] == evenings[19].date()
    assert found["auc"] == found["ic"] == evenings[28].date()  # the tenth judged session in a row
    with workspace.ledger.read() as session:
        records = [json.loads(text) for text in session.scalars(select(tables.AuditLog.record))]
    assert sorted(record["metadata"]["rule"] for record in records) == sorted(found)
    assert {record["final_decision"] for record in records} == {"KILLED"}
    again = workflows.show_watch(workspace, rates=False)
    assert again.kills == last.kills
    assert again.lock.reasons[-1] == "killed"
    workspace.close()


def test_a_session_is_judged_once_every_outcome_of_it_is_known(recorded: tuple[Workspace, ManualClock, list[datetime]]) -> None:
    """A second instrument whose bars end holds its session up for a week; then its outcome is unknown, and the rest counts."""
    workspace, clock, evenings = recorded
    with workspace.ledger.begin("paper") as session:
        save_second = simulate(SimulatedMarket(seed=5, kind="martingale", n_sessions=60, last=evenings[5].date()))
        from fieldcast.projection import record_packet

        packet = packet_of(evenings[5], 0.5, 100.0).model_copy(update={"instrument": save_second.instrument.id})
        record_packet(session, packet)
        session.add(tables.PaperPacket(watch="paper", instrument=packet.instrument, session=evenings[5].date(),
                                       as_of=evenings[5], digest=packet.digest, configuration_hash="c", regime={},
                                       recorded_at=evenings[5]))  # fmt: skip
    save_instrument(workspace.ledger, save_second.instrument)
    workspace.store.append(save_second.bars, save_second.lineage)
    clock.advance_to(evenings[8])
    assert [day.session for day in workflows.show_watch(workspace, rates=False).watched.days] == [
        at.date() for at in evenings[:5]]  # fmt: skip
    clock.advance_to(evenings[6] + timedelta(days=7, hours=1))
    days = workflows.show_watch(workspace, rates=False).watched.days
    assert days[5].session == evenings[5].date()
    assert days[5].rows == 1
    clock.advance_to(evenings[-1] + timedelta(days=60))
    found = live_lock(workspace)  # the first instrument was recorded on 45 sessions, the second on one
    assert (found.recorded, found.day >= 56, found.locked) == (1, True, True)
    workspace.close()


def test_live_stays_locked_on_day_55(tmp_path: Path) -> None:
    table = sessions("XNYS").filter(sessions("XNYS")["session"] >= date(2018, 1, 2)).head(60)
    clock = ManualClock(table["as_of"][0])
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1), clock=clock) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=120, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        assert live_lock(workspace).locked  # nothing recorded at all
        began = table["as_of"][0]
        for day, as_of in zip(table["session"].to_list(), table["as_of"].to_list(), strict=True):
            if (as_of - began).days > 57:
                break
            clock.advance_to(as_of)
            with workspace.ledger.begin("paper") as session:
                session.add(tables.PaperPacket(watch="paper", instrument=NAME, session=day, as_of=as_of, digest=str(day),
                                               configuration_hash="c", regime={}, recorded_at=as_of))  # fmt: skip
            found = live_lock(workspace)
            assert found.locked == (found.day < 56), found
            assert found.recorded == found.expected
        assert found.day >= 56
        days = {live_lock(workspace).day}
    for day, locked in ((55, True), (56, False)):
        with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1),
                            clock=ManualClock(began + timedelta(days=day))) as later:  # fmt: skip
            assert live_lock(later).locked is locked, day
    assert days
