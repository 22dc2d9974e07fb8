"""F11 MarketFieldMap: namespaces, landmarks, steering; deterministic and hashable.

Done when: "The same inputs give the same hash in two processes with different hash seeds".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fieldcast.fields import LANDMARKS

pytestmark = pytest.mark.feature("F11")

OPEN_PARTS: tuple[str, ...] = ()
# namespaces of dealer and elasticity come with their engines (rows F06 to F10)

PROGRAM = """
import json
from datetime import UTC, datetime
import numpy as np, polars as pl
from fieldcast.fields import FieldMap, build_field_table
from fieldcast.market import BARS

n = 700
random = np.random.default_rng(5)
close = 100 * np.exp(np.cumsum(0.01 * random.standard_normal(n)))
reach = np.exp(0.005 * np.abs(random.standard_normal((2, n))))
ts = pl.select(pl.lit(datetime(2000, 1, 3, 21, tzinfo=UTC)).cast(BARS["ts"]) + pl.duration(days=pl.int_range(n))).to_series()
bars = pl.DataFrame({"instrument": ["XNAS:TEST"] * n, "ts": ts, "available_at": ts, "open": close,
    "high": close * reach[0], "low": close / reach[1], "close": close, "volume": [1e6] * n, "reasons": [None] * n},
    schema=BARS)
field = FieldMap.at("XNAS:TEST", ts[-1], build_field_table(bars))
other = FieldMap.at("XNAS:TEST", ts[-1], build_field_table(bars.with_columns(pl.col("close") * (1 + 1e-9))))
print(json.dumps({"hash": field.hash, "python": hash(field), "salted": hash("salted"), "other": other.hash,
    "as_set": len({field, field, other}),
    "namespaces": [len(field.liquidity), len(field.regime), len(field.sentiment)],
    "landmarks": list(field.landmarks), "steering": list(field.steering)}))
"""


def hashed(seed: str) -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_two_processes_with_different_hash_seeds_agree() -> None:
    first, second = hashed("1"), hashed("4242")
    assert first["salted"] != second["salted"], "expected the processes to salt their hashes differently"
    assert first["hash"] == second["hash"]
    assert len(str(first["hash"])) == 64
    assert first["python"] == second["python"]
    assert first["hash"] != first["other"] == second["other"]
    assert all(count > 2 for count in first["namespaces"])  # type: ignore[attr-defined]
    assert first["landmarks"] == list(LANDMARKS) == first["steering"]
    assert first["as_set"] == 2
