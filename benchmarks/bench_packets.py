"""From a new bar to its packet: one instrument from its warm state, and 225 instruments in a new process, from states on disk.

Simulated daily histories of 2,500 sessions under the demo's experiment (logistic, horizons of one and five sessions, an event;
the 31 columns of a20 and volatility). Parts, milliseconds of one process on the wall and of its processor:

    step        a new bar in, the packet out: the median over sessions that open no fold of the walk
    fold        the same where a fold begins (one session in 21): features and labels of the whole history, three fits
    open        a projector made from a history: 83 folds of three walks
    resumed     225 instruments: a new process opens each from the state that was kept in the workspace before the new bar, makes
                its packet and keeps its state again; seconds, from the workspace opened to the last state written
    process     the same with the interpreter's start and imports; seconds on the wall
    many        225 projectors that are held open in one process, refreshed from the store; seconds

The 225 are a few distinct histories, each under many names (`--learned`): to walk 225 histories anew takes minutes, and is not
what is measured. A state under another name is what that name's own walk would have kept, its figures being the same; the packet
of one of the names is held against a walk of its history, as packets of `step` are. Packets of `resumed` are those of `many`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from fieldcast.data import Simulated, SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.market import Instrument
from fieldcast.projection import ProjectionPacket
from fieldcast.workflows import Projector, Workspace, load_experiment, open_workspace
from fieldcast.workflows.bars_hash import BarsHash
from fieldcast.workflows.warm_parts import taken_apart
from fieldcast.workflows.warm_states import keep_state, key_of, state_path

COVERS = (
    "src/fieldcast/workflows/bars_hash.py",
    "src/fieldcast/workflows/projector.py",
    "src/fieldcast/workflows/projector_calendar.py",
    "src/fieldcast/workflows/projector_history.py",
    "src/fieldcast/workflows/projector_opening.py",
    "src/fieldcast/workflows/projector_packets.py",
    "src/fieldcast/workflows/warm_parts.py",
    "src/fieldcast/workflows/warm_states.py",
    "src/fieldcast/projection",
    "src/fieldcast/features/_compute.py",
    "src/fieldcast/features/_inputs.py",
)
ROWS, INSTRUMENTS, STEPS, LEARNED, SEED = 2_500, 225, 60, 3, 7
AIM_MS, AIM_S = 5.0, 5.0


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - used


def one_instrument(steps: int) -> dict[str, object]:
    made = simulate(SimulatedMarket(seed=SEED, kind="planted", n_sessions=ROWS + steps, last=date(2018, 12, 31)))
    experiment = load_experiment()
    opened: list[Projector] = []
    cold = timed(lambda: opened.append(Projector(made.bars[:ROWS], made.instrument, experiment)))
    projector, found, digests = opened[0], [], []
    for row in range(ROWS, ROWS + steps):
        before = len(projector.fits)
        seconds = timed(lambda row=row: projector.add(made.bars[row : row + 1]))
        digests.append(projector.packet.digest)
        found.append((len(projector.fits) > before, *seconds))
    for row in sorted({steps // 3, steps - 1}):
        same = Projector(made.bars[: ROWS + row + 1], made.instrument, experiment).packet.digest
        assert same == digests[row], "the packet of the warm state is that of the cold path, or this measures nothing"
    plain = np.array([seconds for renewed, *seconds in found if not renewed]) * 1e3
    folds = np.array([seconds for renewed, *seconds in found if renewed]) * 1e3
    return {
        "step_ms": plain[:, 0].tolist(),
        "step_cpu_ms": float(np.median(plain[:, 1])),
        "fold_ms": float(np.median(folds[:, 0])) if len(folds) else None,
        "open_ms": cold[0] * 1e3,
    }


def learned_histories(count: int) -> list[tuple[Simulated, Projector]]:
    """Distinct histories, each with the projector of all its bars but the last."""
    found = []
    for number in range(count):
        made = simulate(SimulatedMarket(seed=SEED + number, kind="planted", n_sessions=ROWS, last=date(2018, 12, 31)))
        found.append((made, Projector(made.bars[:-1], made.instrument, load_experiment())))
    return found


def named(made: Simulated, name: str) -> tuple[Instrument, pl.DataFrame]:
    """The instrument and its bars under another name."""
    bars = made.bars.with_columns(instrument=made.bars["instrument"].replace({made.instrument.id: name}))
    return replace(made.instrument, id=name), bars


def keep_under(workspace: Workspace, instrument: Instrument, bars: pl.DataFrame, projector: Projector) -> None:
    """The state of a projector, kept for another name's bars of the same figures."""
    experiment, packet, learned = projector.experiment, projector.packet, projector.learned
    provenance = packet.provenance.model_copy(update={"data_hashes": {instrument.id: projector.data_hash}})
    renamed = replace(learned, packet=packet.model_copy(update={"instrument": instrument.id, "provenance": provenance}))
    data = projector.rests_on | {"bars": BarsHash(bars).hexdigest()}
    path = state_path(workspace, instrument.id, experiment)
    keep_state(path, taken_apart(renamed, key_of(instrument, experiment, None), data))


def many(instruments: int, count: int) -> dict[str, float]:
    """Every instrument's new bar in the store; then all packets, in a new process and in this one."""
    histories = learned_histories(count)
    names = [f"SIM:P{number:03d}" for number in range(instruments)]
    with (
        tempfile.TemporaryDirectory() as folder,
        open_workspace(settings=load_settings(home=Path(folder), workers=1)) as workspace,
    ):
        bars = {}
        for place, name in enumerate(names):
            made, projector = histories[place % count]
            instrument, bars[name] = named(made, name)
            save_instrument(workspace.ledger, instrument)
            keep_under(workspace, instrument, bars[name][:-1], projector)
        lineage = histories[0][0].lineage
        workspace.store.append(pl.concat([rows[:-1] for rows in bars.values()]), lineage)
        held = Projector.open_each(workspace, names, load_experiment())
        assert all(one.cold_because is None for one in held), "a state was kept for each, or this measures something else"
        workspace.store.append(pl.concat([rows[-1:] for rows in bars.values()]), lineage)
        command = [sys.executable, __file__, "--resume", folder, "--instruments", str(instruments)]
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        process = time.perf_counter() - started
        resumed = json.loads(done.stdout.splitlines()[-1])
        packets: list[ProjectionPacket] = []
        wall, used = timed(lambda: packets.extend(Projector.refresh_each(workspace, held)))
        digests = [packet.digest for packet in packets]
        assert resumed.pop("digests") == digests
        cold = Projector(bars[names[-1]], held[-1].instrument, load_experiment())
        assert cold.packet.digest == digests[-1], "a state under another name is that of its own walk"
    return {"many_s": wall, "many_cpu_s": used, **resumed, "process_s": process, "histories": count}


def resume(home: Path, instruments: int) -> dict[str, object]:
    """What the new process does."""
    experiment = load_experiment()
    names = [f"SIM:P{number:03d}" for number in range(instruments)]
    found: list[Projector] = []

    def work() -> None:
        with open_workspace(settings=load_settings(home=home, workers=1)) as workspace:
            found.extend(Projector.open_each(workspace, names, experiment))

    wall, used = timed(work)
    assert all(one.cold_because is None for one in found), "a state was kept for each, or this measures something else"
    return {"resumed_s": wall, "resumed_cpu_s": used, "digests": [one.packet.digest for one in found]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--steps", type=int, default=STEPS, help="sessions of one instrument, at least 2")
    parser.add_argument("--learned", type=int, default=LEARNED, help="distinct histories among the instruments")
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume is not None:
        print(json.dumps(resume(given.resume, given.instruments)))
        raise SystemExit
    if given.steps < 2:
        parser.error(f"expected at least 2 steps, found {given.steps}")
    alone = one_instrument(given.steps)
    steps = np.array(alone.pop("step_ms"))
    together = many(given.instruments, min(given.learned, given.instruments))
    low, middle, high = np.quantile(steps, [0.05, 0.5, 0.95]).tolist()
    print(
        json.dumps(
            {
                "claim": "milliseconds from a new daily bar to its packet, one instrument from warm state "
                f"({ROWS:,} sessions, horizons 1d and 5d)",
                "estimate": middle,
                "low": low,
                "high": high,
                "n": len(steps),
                "seed": SEED,
                **alone,
                **together,
                "instruments": given.instruments,
                "met": {
                    "step": middle < AIM_MS,
                    "resumed": together["resumed_s"] < AIM_S,
                    "process": together["process_s"] < AIM_S,
                },
            }
        )
    )
