"""Does the gate keep a martingale out? 300 simulated martingales with stochastic volatility, none dropped. [SIMULATED]"""

from __future__ import annotations

import json

from fieldcast.workflows import gate_study, load_experiment

COVERS = ("src/fieldcast/evaluation", "src/fieldcast/features", "src/fieldcast/models", "src/fieldcast/projection",
          "src/fieldcast/validation", "src/fieldcast/data/simulated", "src/fieldcast/workflows")
SEEDS = range(1000, 1300)

if __name__ == "__main__":
    study = gate_study("martingale", SEEDS, load_experiment())
    print(json.dumps({
        "claim": "PASS rate of the gate on simulated martingales is below 8 % (one-sided 95 % Clopper-Pearson bound)",
        "estimate": study.passes / len(SEEDS),
        "low": 0.0,
        "high": study.upper_bound(),
        "n": len(SEEDS),
        "seed": [SEEDS.start, SEEDS.stop - 1],
        "holds": study.upper_bound() < 0.08,
        "simulated": True,
        "detail": study.as_dict(),
    }))
