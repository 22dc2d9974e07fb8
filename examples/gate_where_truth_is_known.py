"""Does the gate let a planted edge through, and a martingale not? python examples/gate_where_truth_is_known.py [SEEDS]

Everything here is simulated. The figures say how the gate behaves, and nothing of any real market.
"""

from __future__ import annotations

import sys

import fieldcast as fc


def main(seeds: int = 2) -> None:
    experiment = fc.load_experiment()
    for kind in ("planted", "martingale"):
        study = fc.gate_study(kind, range(seeds), experiment)
        for seed, result, best in zip(study.seeds, study.results, study.bayes_auc, strict=True):
            print(f"SIMULATED {kind}, seed {seed}: {result.outcome}, AUC {result.estimate:.3f} (bound "
                  f"{result.lower_bound:.3f}, n={result.n}); knowing the rule would reach {best:.3f}")
        print(f"{study.passes} of {seeds} passed\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
