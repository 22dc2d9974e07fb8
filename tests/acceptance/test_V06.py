"""V06: Daily paper projections, dated and idempotent; rolling 20-day AUC, 75 % coverage, IC, regime mix.

Done when: "Running a day twice leaves one packet per ticker, and the three rolling figures equal a recomputation from stored
packets"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, select

from fieldcast import workflows
from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ConflictError, ManualClock, load_settings
from fieldcast.ledger import tables
from fieldcast.market import sessions
from fieldcast.workflows import Experiment, Workspace, load_experiment, open_workspace

from .conftest import SMALL_EXPERIMENT

pytestmark = pytest.mark.feature("V06")
OPEN_PARTS: tuple[str, ...] = ()

NAMES = ("SIM:PLANTED", "SIM:MARTINGALE")
EXPERIMENT = SMALL_EXPERIMENT.replace('family = "small"', 'family = "watch"')
DAYS = 24


def experiment_of(folder: Path, l2: str = "10.0") -> Experiment:
    path = folder / f"e{l2}.toml"
    path.write_text(EXPERIMENT.replace("10.0", l2))
    return load_experiment(path)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Experiment, int]]:
    """Two simulated markets recorded on 24 evenings, each evening twice; the last evening's outcome is not known yet."""
    folder = tmp_path_factory.mktemp("watch")
    evenings = sessions("XNYS").filter(sessions("XNYS")["session"] <= date(2018, 12, 28)).tail(DAYS)["as_of"].to_list()
    clock = ManualClock(evenings[0])
    with open_workspace(settings=load_settings(home=folder / "home", workers=1), clock=clock) as workspace:
        for kind in ("planted", "martingale"):
            made = simulate(SimulatedMarket(seed=5, kind=kind, n_sessions=500, last=date(2018, 12, 31)))
            save_instrument(workspace.ledger, made.instrument)
            workspace.store.append(made.bars, made.lineage)
        experiment = experiment_of(folder)
        for evening in evenings:
            clock.advance_to(evening + timedelta(minutes=1))
            once = workflows.run_watch(workspace, NAMES, experiment)
            assert set(once.statuses.values()) == {"recorded"}
            clock.advance_to(evening + timedelta(hours=2))
            again = workflows.run_watch(workspace, NAMES, experiment)
            assert set(again.statuses.values()) == {"kept"}
        yield workspace, experiment, len(evenings)


def test_running_a_day_twice_leaves_one_packet_per_ticker(watched: tuple[Workspace, Experiment, int]) -> None:
    workspace, _, days = watched
    t = tables.PaperPacket
    with workspace.ledger.read() as session:
        counts = session.execute(select(t.instrument, t.session, func.count()).group_by(t.instrument, t.session)).all()
        stamps = session.execute(select(t.as_of, t.recorded_at)).all()
    assert len(counts) == days * 2
    assert {count for *_, count in counts} == {1}
    assert all(at == as_of + timedelta(minutes=1) for as_of, at in stamps)  # dated by the first run


def test_the_three_rolling_figures_equal_a_recomputation_from_stored_packets(
    watched: tuple[Workspace, Experiment, int],
) -> None:
    """From the packets' JSON and the bars' closes, with pandas and scikit-learn and nothing of the watch's own code."""
    from sklearn.metrics import roc_auc_score

    workspace, _, days = watched
    shown = workflows.show_watch(workspace, rates=False)
    with workspace.ledger.read() as session:
        papers = session.scalars(select(tables.PaperPacket)).all()
        stored = {row.digest: json.loads(row.json) for row in session.scalars(select(tables.Packet))}
    closes = {name: workspace.store.read(name).select("ts", "close").to_pandas() for name in NAMES}
    rows = []
    for paper in papers:
        horizon = next(one for one in stored[paper.digest]["horizons"] if one["horizon"] == "1d")
        odds, bands = horizon["direction"], dict(zip(horizon["levels"], horizon["quantiles_bps"], strict=True))
        close = closes[paper.instrument]
        at = int(np.flatnonzero(close["ts"] + pd.Timedelta(minutes=30) == pd.Timestamp(paper.as_of))[0])
        ret = 1e4 * np.log(close["close"][at + 1] / close["close"][at])
        rows.append((paper.session, paper.instrument, odds["up"] / (odds["up"] + odds["down"]), bands[0.125], bands[0.875], ret))
    table = pd.DataFrame(rows, columns=["session", "instrument", "p", "low", "high", "ret"]).sort_values("session")
    every = sorted(table["session"].unique())[: days - 1]  # the newest outcome is not known to the clock
    assert [day.session for day in shown.watched.days] == every
    judged = [day for day in shown.watched.days if day.judged]
    assert len(judged) == days - 1 - 19
    for day in judged:
        place = every.index(day.session)
        part = table[table["session"].isin(every[place - 19 : place + 1])]
        assert len(part) == 40
        wins = pairs = 0.0
        for _, one in part.groupby("instrument"):
            y = one["ret"] > 0
            wins, pairs = wins + roc_auc_score(y, one["p"]) * y.sum() * (~y).sum(), pairs + y.sum() * (~y).sum()
        assert day.auc == pytest.approx(wins / pairs, abs=1e-12)
        assert day.coverage == pytest.approx(((part["low"] <= part["ret"]) & (part["ret"] <= part["high"])).mean(), abs=1e-12)
        assert day.ic == pytest.approx(part["p"].corr(part["ret"]), abs=1e-9)
        assert sum(day.regime.values()) == pytest.approx(1.0, abs=1e-6)
        assert set(day.regime) == {"trend_up", "trend_down", "mean_revert", "expansion"}
    with workspace.ledger.read() as session:
        kept = session.scalars(select(tables.WatchDay).order_by(tables.WatchDay.session)).all()
    assert [(row.session, row.auc, row.coverage, row.ic) for row in kept] == [
        (day.session, day.auc, day.coverage, day.ic) for day in shown.watched.days]  # fmt: skip
    assert shown.simulated


def test_a_packet_after_the_open_is_not_recorded_and_other_evenings_stand(watched: tuple[Workspace, Experiment, int]) -> None:
    workspace, experiment, _ = watched
    before = [row.session for row in workflows.show_watch(workspace, rates=False).watched.days]
    late = ManualClock(datetime(2018, 12, 31, 15, 0, tzinfo=UTC))  # the session after Friday has opened
    home = workspace.settings
    with open_workspace(settings=home, clock=late) as other:
        found = workflows.run_watch(other, NAMES, experiment, name="late")
    assert set(found.statuses.values()) == {"too_late"}
    assert [row.session for row in workflows.show_watch(workspace, rates=False).watched.days] == before


def test_another_experiment_is_another_watch(watched: tuple[Workspace, Experiment, int], tmp_path: Path) -> None:
    workspace, _, _ = watched
    with pytest.raises(ConflictError, match="another watch"):
        workflows.run_watch(workspace, NAMES, experiment_of(tmp_path, "1.0"))


def test_a_ticker_that_cannot_be_projected_has_its_packet_with_the_reason(tmp_path: Path) -> None:
    evening = sessions("XNYS").filter(sessions("XNYS")["session"] == date(2018, 12, 31))["as_of"][0]
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1), clock=ManualClock(evening)) as workspace:
        made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=100, last=date(2018, 12, 31)))
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
        assert workflows.run_watch(workspace, NAMES[:1], experiment_of(tmp_path)).statuses == {NAMES[0]: "recorded"}
        with workspace.ledger.read() as session:
            text = session.scalars(select(tables.Packet.json)).one()
    assert json.loads(text)["horizons"][0]["reason"] == "short_history"
