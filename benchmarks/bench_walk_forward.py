"""What a walk-forward of LightGBM costs besides LightGBM: the whole walk over its bare fits.

`walk` is `walk_odds` of boosted trees under the demo's settings on one simulated instrument (31 columns): splits,
purge, columns, checks, calibration on the held-out part, predictions, the models' hashes. `bare` is `lightgbm.train` on the very
same rows, with the data sets that it bins, and nothing else. Both in one thread, one after the other in every round; the claim is
the median of (walk - bare) / bare of the processor's time. `calibration` is the share of it that choosing and fitting the
calibrators takes, which a walk without them would not have.

`lightgbm.train` as it is called most writes a grown model as text and reads it back, which the walk spares itself; `beyond_lean`
is the same share over fits that spare it too (`keep_training_booster`).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from datetime import date

import lightgbm
import numpy as np

from fieldcast.data import SimulatedMarket, simulate
from fieldcast.models.boosted import SETTINGS
from fieldcast.projection import walk_forward
from fieldcast.projection.walk_forward import OddsTask, walk_odds
from fieldcast.workflows import load_experiment
from fieldcast.workflows.prepare import prepare_bars
from fieldcast.workflows.walks import odds_tasks

COVERS = (
    "src/fieldcast/projection/walk_forward.py",
    "src/fieldcast/projection/calibration.py",
    "src/fieldcast/projection/calibrators.py",
    "src/fieldcast/models/boosted.py",
)
SESSIONS, ROUNDS, SEED, AIM = 4_000, 7, 7, 0.10


def task_of(sessions: int) -> OddsTask:
    made = simulate(SimulatedMarket(seed=SEED, kind="planted", n_sessions=sessions, last=date(2018, 12, 31)))
    experiment = load_experiment()
    tasks = odds_tasks(prepare_bars(made.bars, made.instrument, experiment, data_hash=""), experiment)
    return next(task for task in tasks if task.key[1:] == ("sign", 1, "boosted_trees"))


def rows_of(task: OddsTask) -> list[tuple[np.ndarray, np.ndarray]]:
    """What each fit of the walk is given."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    original = walk_forward.MODELS["boosted_trees"]

    def recording(**parameters: object) -> object:
        model = original(**parameters)
        fit = model.fit
        model.fit = lambda X, y: (found.append((np.array(X), np.array(y))), fit(X, y))[1]  # type: ignore[method-assign]
        return model

    walk_forward.MODELS["boosted_trees"] = recording  # type: ignore[assignment]
    try:
        walk_odds(task)
    finally:
        walk_forward.MODELS["boosted_trees"] = original
    return found


def bare(rows: list[tuple[np.ndarray, np.ndarray]], parameters: dict[str, object], *, lean: bool = False) -> None:
    """LightGBM alone, with the settings of `BoostedTrees`; `lean`: without its copy of the model."""
    settings = SETTINGS | {
        "num_leaves": parameters["leaves"],
        "learning_rate": 0.05,
        "min_data_in_leaf": 100,
        "seed": parameters["seed"],
    }
    for X, y in rows:
        data = lightgbm.Dataset(X, label=y, params=settings)
        lightgbm.train(settings, data, num_boost_round=int(str(parameters["rounds"])), keep_training_booster=lean)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    task = task_of(given.sessions)
    rows = rows_of(task)
    shares, lean_shares, seconds, calibrating = [], [], [], []
    chosen = walk_forward.choose_calibrator
    spent = [0.0]

    def timed(*given_rows: object, **settings: object) -> object:
        began = time.process_time()
        found = chosen(*given_rows, **settings)  # type: ignore[arg-type]
        spent[0] += time.process_time() - began
        return found

    walk_forward.choose_calibrator = timed  # type: ignore[assignment]
    for _ in range(given.rounds):
        spent[0] = 0.0
        started = time.process_time()
        walk_odds(replace(task))  # a task keeps what its folds share: each walk makes it anew
        between = time.process_time()
        bare(rows, dict(task.parameters))
        ended = time.process_time()
        bare(rows, dict(task.parameters), lean=True)
        lean_shares.append((between - started) / (time.process_time() - ended) - 1.0)
        shares.append((between - started) / (ended - between) - 1.0)
        seconds.append(ended - between)
        calibrating.append(spent[0] / (ended - between))
    shares.sort()
    print(
        json.dumps(
            {
                "claim": "processor time of a walk-forward of LightGBM beyond its bare fits, as a share of them",
                "estimate": shares[len(shares) // 2],
                "low": shares[0],
                "high": shares[-1],
                "n": given.rounds,
                "seed": SEED,
                "fits": len(rows),
                "bare_s": float(np.median(seconds)),
                "beyond_lean": float(np.median(lean_shares)),
                "calibration": float(np.median(calibrating)),
                "met": shares[len(shares) // 2] < AIM,
            }
        )
    )
