"""10,000 AUCs of 5,000 rows, each on a draw of the stationary bootstrap: ours beside arch's draws with sklearn's roc_auc_score.

Both draw blocks of 21 rows on average and count ties as halves. Ours sorts once and re-weights the sorted rows by how often each
was drawn; theirs writes out each resample and sorts it again, which takes so long that they are timed on fewer draws and scaled
up. The estimate is the ratio of the best times, low and high the ratios of single rounds: above 1 is faster. The spread of the
draws of both is printed, because a fast figure that is another figure would be worth nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
from arch.bootstrap import StationaryBootstrap
from sklearn.metrics import roc_auc_score

from fieldcast.evaluation.intervals import ConcordancePanel, blocks

COVERS = ("src/fieldcast/evaluation",)
ROWS, DRAWS, THEIR_DRAWS, BLOCK, ROUNDS, SEED = 5_000, 10_000, 300, 21, 5, 7


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall time, processor time of all threads)."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    score = np.round(random.normal(size=ROWS), 3)  # some are equal
    y = (score + 3.0 * random.normal(size=ROWS) > 0.0).astype(float)

    def ours(draws: int = DRAWS) -> np.ndarray:
        blocks.cache_clear()  # every round draws anew
        panel = ConcordancePanel.of(score, y, np.arange(ROWS), ROWS, None)
        return panel.auc(block=BLOCK, draws=draws, seed=SEED)

    def theirs(draws: int = THEIR_DRAWS) -> np.ndarray:
        found = StationaryBootstrap(BLOCK, y, score, seed=SEED).apply(roc_auc_score, draws)
        return np.asarray(found)[:, 0]

    ours(10), theirs(2)  # compile and warm
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "arch and sklearn": []}
    for _ in range(ROUNDS):
        times["ours"].append(seconds(ours))
        wall, processor = seconds(theirs)
        times["arch and sklearn"].append((wall * DRAWS / THEIR_DRAWS, processor * DRAWS / THEIR_DRAWS))
    ratios = sorted(b[0] / a[0] for a, b in zip(times["ours"], times["arch and sklearn"], strict=True))
    best = {name: min(t)[0] for name, t in times.items()}
    print(
        json.dumps(
            {
                "claim": "10,000 stationary-bootstrap AUCs of 5,000 rows: time of arch's draws with sklearn's AUC over ours",
                "estimate": best["arch and sklearn"] / best["ours"],
                "low": ratios[0],
                "high": ratios[-1],
                "n": ROUNDS,
                "seed": SEED,
                "best_seconds": {name: round(t, 3) for name, t in best.items()},
                "best_processor_seconds": {name: round(min(p for _, p in t), 3) for name, t in times.items()},
                "their_draws_timed": THEIR_DRAWS,
                "auc": roc_auc_score(y, score),
                "standard_error": {
                    "ours": float(ours().std(ddof=1)),
                    "arch and sklearn": float(theirs(4 * THEIR_DRAWS).std(ddof=1)),
                },
            }
        )
    )
