"""SPY "high reaches +1 % within one day", fitted to the end of 2022, on the decision days of two published test spans.

Needs FIELDCAST_REALDATA (adjusted SPY and VIX, 1993 to 2025). The published figures on these spans are AUC .718 (2023-24, n 422)
and .878 (2025, n 181). 2023 to 2025 have been looked at before: this is a comparison, no fresh evidence, and nothing is tuned.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import date
from pathlib import Path

import polars as pl

from fieldcast.workflows import holdout, import_data, load_experiment, open_workspace

COVERS = ("src/fieldcast/data", "src/fieldcast/evaluation", "src/fieldcast/features", "src/fieldcast/models",
          "src/fieldcast/projection", "src/fieldcast/workflows")
SPANS = ((date(2023, 4, 27), date(2024, 12, 31)), (date(2025, 4, 28), date(2025, 12, 31)))

if __name__ == "__main__":
    if "FIELDCAST_REALDATA" not in os.environ:
        raise SystemExit("expected FIELDCAST_REALDATA to name the folder of real data, found nothing; set it")
    daily = Path(os.environ["FIELDCAST_REALDATA"]) / "daily" / "yahoo_adjusted"
    with tempfile.TemporaryDirectory() as home, open_workspace(home) as workspace:
        import_data(workspace, daily / "SPY.csv.gz", "ARCX:SPY", kind="etf", adjusted=True)
        import_data(workspace, daily / "VIX.csv.gz", "XCBO:VIX", kind="index")
        found = holdout(workspace, "ARCX:SPY", load_experiment(), fitted_to=date(2022, 12, 31), spans=SPANS, vix="XCBO:VIX")
    first = found.scores.filter((pl.col("model") == "boosted_trees") & (pl.col("metric") == "auc")).row(0, named=True)
    print(json.dumps({
        "claim": "AUC of LightGBM (a20, volatility and VIX columns) for SPY high >= +1 % in one day, 2023-04-27 to 2024-12-31; "
                 "published .718",
        "estimate": first["estimate"],
        "low": first["low"],
        "high": first["high"],
        "n": first["n"],
        "seed": load_experiment().models.boosted_trees.seed,
        "detail": found.as_dict(),
    }, default=str))
