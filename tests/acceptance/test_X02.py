"""X02: Nested tiers a20, a50, a100, a200, a250, a500, extensible to a1000 and a2000; a20 matches TA-Lib; VIX block of 8 with
cuts at 15 and 25.

Done when: "Each tier is a strict superset of the one below with its stated count (a200 is 206), a20 agrees with stored TA-Lib
vectors to 1e-6, and VIX 14.99, 15, 24.99, 25 map to the right regime".
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from fieldcast import features
from fieldcast.features import tiers
from fieldcast.validation.causality import check_causality
from fieldcast.workflows import load_experiment

FEATURES = Path(__file__).resolve().parents[1] / "features"
sys.path.insert(0, str(FEATURES))
from tier_bars import tier_bars, tier_vix  # noqa: E402

pytestmark = pytest.mark.feature("X02")
OPEN_PARTS: tuple[str, ...] = ()
COUNTS = {"a20": 20, "a50": 50, "a100": 100, "a200": 206, "a250": 250, "a500": 500}


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return tier_bars()


def test_each_tier_is_a_strict_superset_of_the_one_below_with_its_stated_count(bars: pl.DataFrame) -> None:
    found = tiers.tiers()
    assert {name: len(set(tier.names)) for name, tier in found.items()} == COUNTS
    for (_, below), (_, above) in pairwise(found.items()):
        assert set(below.names) < set(above.names)
        assert above.names[: len(below.names)] == below.names
    for name, count in COUNTS.items():
        assert features.columns([name]) == found[name].names
        assert features.compute(bars, [name]).columns == ["ts", *found[name].names]
        assert features.compute(bars, [name]).width == count + 1
        assert features.warmup([name]) == found[name].warmup


def test_no_column_of_any_tier_is_a_level() -> None:
    assert not [column.name for column in tiers.tiers()["a500"].columns if column.level]


@pytest.mark.parametrize("count", [1000, 2000])
def test_larger_tiers_are_made_by_the_same_means(count: int) -> None:
    below = tiers.tiers()["a500"]
    made = tiers.derive(f"a{count}", below, count)
    assert len(set(made.names)) == count
    assert set(below.names) < set(made.names)


def test_a20_agrees_with_the_stored_vectors_of_talib_to_1e_6(bars: pl.DataFrame) -> None:
    stored = json.loads((FEATURES / "data" / "talib_a20.json").read_text(encoding="utf-8"))
    table = features.compute(bars, ["a20"])
    assert set(stored["columns"]) == set(features.columns(["a20"]))
    assert len(stored["rows"]) == 9
    for name, values in stored["columns"].items():
        for row, expected in zip(stored["rows"], values, strict=True):
            assert table[name][row] == pytest.approx(expected, rel=1e-6, abs=1e-9), (name, row)


def test_the_vix_block_has_eight_columns_and_its_regime_turns_at_15_and_25(bars: pl.DataFrame) -> None:
    assert len(features.columns(["vix"])) == 8
    some = bars.head(6)
    levels = [20.0, 14.99, 15.0, 24.99, 25.0, 60.0]
    vix = some.select("ts", available_at=pl.col("ts") + timedelta(minutes=15), close=pl.Series(levels))
    table = features.compute(some, ["vix"], vix)
    assert table["vix_regime"].to_list() == [None, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_vix_stands_beside_a_tier(bars: pl.DataFrame) -> None:
    table = features.compute(bars, ["a20", "vix"], tier_vix(bars))  # the study's dataset "c"
    assert table.width == 1 + 28


def test_a_tier_is_a_word_of_an_experiment_and_the_demos_name_has_not_moved() -> None:
    demo = load_experiment()
    wider = demo.model_copy(update={"features": demo.features.model_copy(update={"blocks": ("a50", "volatility")})})
    assert wider.hash != demo.hash
    # as they were before there were tiers: what was recorded then keeps its name
    assert demo.hash.startswith("bbb726d8c8f04743")  # pragma: allowlist secret
    assert features.registry_hash(features.columns(["a20"])).startswith("3651aef23fde15fb")  # pragma: allowlist secret
    assert features.registry_hash(features.columns(["vix"])).startswith("1e788955b3eeec3d")  # pragma: allowlist secret
    assert features.registry_hash(features.columns(["volatility"])).startswith("c85c843f6d3195b0")  # pragma: allowlist secret
    assert features.columns(wider.features.blocks) == (*tiers.tiers()["a50"].names, *features.columns(["volatility"]))


def test_every_column_is_causal_at_three_times(bars: pl.DataFrame) -> None:
    """The whole registry at 200 times on a market and at fewer on others is X10's; this is its quick twin for the tiers."""
    tier = tiers.tiers()["a500"]
    report = check_causality(
        tier.columns, lambda bars, _: features.compute(bars, ["a500"]), bars.head(1100), times=3, late_rows=1, seed=4,
        restated_bars=True,
    )  # fmt: skip
    assert report.ok, str(report)
    assert len(report.columns) == 500
