"""Your own daily bars, from the file to the packet: python examples/own_file.py FILE ARCX:MINE [EXPERIMENT.toml]

Everything is kept in a folder `research` where you run it. Needs 1,863 rows with the built-in experiment; with
examples/short_history.toml 737.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fieldcast as fc


def main(file: str, instrument: str, experiment: str | None = None) -> None:
    setting = fc.load_experiment(Path(experiment) if experiment else None)
    with fc.open_workspace("research") as workspace:
        imported = fc.import_data(workspace, file, instrument, kind="etf", again=True).report.files[0]
        print(f"{imported.rows_kept} of {imported.rows_read} rows kept, quality {imported.quality.score:.2f}")

        part = fc.validate(workspace, [instrument], setting)[instrument]
        print(part.gate_text)
        print(part.scores.filter(metric="auc"))
        print(part.cones.filter(model="fieldcast"))

        tomorrow = part.packet.horizon("1d")
        if not tomorrow.known:
            print(f"no projection: {tomorrow.reason}")
            return
        low, high = tomorrow.band(0.90)
        print(f"after {part.last_session}: up {tomorrow.direction.up:.1%}, flat {tomorrow.direction.flat:.1%}, "
              f"down {tomorrow.direction.down:.1%}; 90 % of the returns between {low:+.0f} and {high:+.0f} bps")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
