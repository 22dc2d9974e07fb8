"""Does the gate let a planted edge (Bayes AUC 0.60) through? 100 simulated markets, none dropped. [SIMULATED]"""

from __future__ import annotations

import json
from math import sqrt

from fieldcast.workflows import gate_study, load_experiment

COVERS = ("src/fieldcast/evaluation", "src/fieldcast/features", "src/fieldcast/models", "src/fieldcast/projection",
          "src/fieldcast/validation", "src/fieldcast/data/simulated", "src/fieldcast/workflows")
SEEDS = range(1000, 1100)

if __name__ == "__main__":
    study = gate_study("planted", SEEDS, load_experiment())
    n, rate, z = len(SEEDS), study.passes / len(SEEDS), 1.96
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    width = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    print(json.dumps({
        "claim": "PASS rate of the gate on simulated markets with a planted edge of Bayes AUC 0.60 (Wilson interval)",
        "estimate": rate,
        "low": centre - width,
        "high": centre + width,
        "n": n,
        "seed": [SEEDS.start, SEEDS.stop - 1],
        "simulated": True,
        "detail": study.as_dict(),
    }))
