"""From a new bar to its packet: one instrument from its warm state, and 225 instruments, each from its stored bars.

Simulated daily histories of 2,500 sessions under the demo's experiment (logistic, horizons of one and five sessions, an event;
the 31 columns of a20 and volatility). Parts, milliseconds of one process on the wall and of its processor:

    step        a new bar in, the packet out: the median over sessions that open no fold of the walk
    fold        the same where a fold begins (one session in 21): features and labels of the whole history, three fits
    open        a projector made from a history: 83 folds of three walks
    many        225 projectors refreshed from a store that holds one new bar for each: bars read, packets out; seconds
    resumed     the same as a new process does it: each projector opened from the state that was kept in the workspace before the
                new bar, its packet made, its state kept again; seconds

Every packet of `step` is compared with that of a projector which was opened on the longer history, and every one of `resumed`
with that of `many`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.workflows import Projector, load_experiment, open_workspace

COVERS = (
    "src/fieldcast/workflows/projector.py",
    "src/fieldcast/workflows/warm_parts.py",
    "src/fieldcast/workflows/warm_states.py",
    "src/fieldcast/projection",
    "src/fieldcast/features/_compute.py",
    "src/fieldcast/features/_inputs.py",
)
ROWS, INSTRUMENTS, STEPS, SEED = 2_500, 225, 60, 7
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
    for row in (steps // 3, steps - 1):
        same = Projector(made.bars[: ROWS + row + 1], made.instrument, experiment).packet.digest
        assert same == digests[row], "the packet of the warm state is that of the cold path, or this measures nothing"
    plain = np.array([seconds for renewed, *seconds in found if not renewed]) * 1e3
    folds = np.array([seconds for renewed, *seconds in found if renewed]) * 1e3
    return {
        "step_ms": plain[:, 0].tolist(),
        "step_cpu_ms": float(np.median(plain[:, 1])),
        "fold_ms": float(np.median(folds[:, 0])),
        "open_ms": cold[0] * 1e3,
    }


def many(instruments: int) -> dict[str, float]:
    """Every instrument's new bar in the store; then all packets."""
    experiment = load_experiment()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_workspace(settings=load_settings(home=Path(folder), workers=1)) as workspace,
    ):
        projectors, later = [], []
        for number in range(instruments):
            market = SimulatedMarket(seed=SEED + number, kind="planted", n_sessions=ROWS, last=date(2018, 12, 31))
            made = simulate(market)
            name = f"SIM:P{number:03d}"
            instrument = replace(made.instrument, id=name)
            bars = made.bars.with_columns(instrument=made.bars["instrument"].replace({made.instrument.id: name}))
            save_instrument(workspace.ledger, instrument)
            workspace.store.append(bars[:-1], made.lineage)
            projectors.append(Projector.open(workspace, name, experiment))
            later.append((bars[-1:], made.lineage))
        for bars, lineage in later:
            workspace.store.append(bars, lineage)
        packets = []
        wall, used = timed(lambda: packets.extend(projector.refresh(workspace) for projector in projectors))
        names = [projector.instrument.id for projector in projectors]
        again: list[Projector] = []
        resumed = timed(lambda: again.extend(Projector.open(workspace, name, experiment) for name in names))
        assert all(one.cold_because is None for one in again), "a state was kept for each, or this measures something else"
        assert [one.packet for one in again] == packets
    return {"many_s": wall, "many_cpu_s": used, "resumed_s": resumed[0], "resumed_cpu_s": resumed[1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instruments", type=int, default=INSTRUMENTS)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    alone = one_instrument(given.steps)
    steps = sorted(alone.pop("step_ms"))
    together = many(given.instruments)
    print(
        json.dumps(
            {
                "claim": "milliseconds from a new daily bar to its packet, one instrument from warm state "
                f"({ROWS:,} sessions, horizons 1d and 5d)",
                "estimate": steps[len(steps) // 2],
                "low": steps[len(steps) // 20],
                "high": steps[-len(steps) // 20 - 1],
                "n": len(steps),
                "seed": SEED,
                **alone,
                **together,
                "instruments": given.instruments,
                "met": {"step": steps[len(steps) // 2] < AIM_MS, "many": together["many_s"] < AIM_S},
            }
        )
    )
