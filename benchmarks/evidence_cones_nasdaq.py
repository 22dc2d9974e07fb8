"""Are our cones sharper than GARCH(1,1)-normal's on the same rows? NASDAQ composite 1999-2018, one day, out of sample."""

from __future__ import annotations

import json
import tempfile

import polars as pl

from fieldcast.workflows import import_bundled, load_experiment, open_workspace, validate

COVERS = ("src/fieldcast/data", "src/fieldcast/evaluation", "src/fieldcast/models", "src/fieldcast/projection",
          "src/fieldcast/workflows")

if __name__ == "__main__":
    experiment = load_experiment()
    with tempfile.TemporaryDirectory() as home, open_workspace(home) as workspace:
        instrument = import_bundled(workspace, "nasdaq").id
        part = validate(workspace, [instrument], experiment)[instrument]
    row = part.cone_difference.filter(pl.col("horizon") == 1).row(0, named=True)
    own = part.cones.filter((pl.col("horizon") == 1) & (pl.col("model") == "fieldcast"))
    print(json.dumps({
        "claim": "mean interval score over the 50, 75 and 90 % bands against GARCH(1,1)-normal refitted every 63 sessions, "
                 "relative; below 0 is better (stationary bootstrap, mean block 21)",
        "estimate": row["relative"],
        "low": row["low"],
        "high": row["high"],
        "n": row["n"],
        "seed": experiment.intervals.seed,
        "span": [part.out_of_sample_from, part.last_session],
        "cones": own.to_dicts(),
    }))
