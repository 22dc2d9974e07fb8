"""The registry: names, blocks, warm-ups from decay, and a hash that tells registries apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcast import features
from fieldcast.features import REGISTRY, recursive_warmup
from fieldcast.features import _registry as registry_module
from fieldcast.ground import InvalidInput


def test_blocks_have_the_sizes_they_are_named_for() -> None:
    assert features.blocks()[:3] == ("a20", "vix", "volatility")
    assert {name for name in features.blocks()[3:] if not name.startswith("fields.") and not name.endswith(".added")} == {"set31"}
    assert len(features.columns(["set31"])) == 31
    assert len(features.columns(["a20"])) == 20
    assert len(features.columns(["vix"])) == 8
    assert features.columns(["vix", "a20"]) == features.columns(["vix"]) + features.columns(["a20"])


def test_no_model_column_is_a_price_level() -> None:
    assert not [name for name, column in REGISTRY.items() if column.level]


def test_every_column_says_what_it_is() -> None:
    for name, column in REGISTRY.items():
        assert name == column.name
        assert column.unit
        assert column.formula
        assert column.source
        assert column.inputs
        assert column.warmup >= 0


def test_the_warm_up_of_a_wilder_average_follows_from_its_decay() -> None:
    # (13/14)^n <= 1e-6 first at n = 187
    assert recursive_warmup(0, 13 / 14) == 187
    assert recursive_warmup(14, 13 / 14, seed_error=10.0) == 14 + 218
    assert REGISTRY["rsi_14"].warmup == 232


def test_two_averages_in_a_row_forget_more_slowly_than_one() -> None:
    assert recursive_warmup(9, 0.8, stages=2) > recursive_warmup(18, 0.8)
    assert features.warmup(["a20"]) == REGISTRY["close_to_dema_90"].warmup == 854


@pytest.mark.parametrize("wanted", [[], ["a21"], ["a20", "a20"], ["fields", "fields.regime"], ["fields.no_such_engine"]])
def test_unknown_repeated_or_no_blocks_are_refused(wanted: list[str]) -> None:
    with pytest.raises(InvalidInput, match="a20, vix, volatility"):
        features.columns(wanted)


def test_the_hash_changes_with_a_declaration_and_with_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = features.registry_hash()
    assert before == features.registry_hash()
    assert features.registry_hash(["rsi_14"]) not in (before, features.registry_hash(["adx_14"]))
    with pytest.raises(InvalidInput, match="registered column"):
        features.registry_hash(["rsi_15"])
    changed = dict(REGISTRY) | {"rsi_14": replace(REGISTRY["rsi_14"], warmup=1)}
    monkeypatch.setattr(registry_module, "_all", lambda: changed)
    assert features.registry_hash() != before


def test_the_registry_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        REGISTRY["rsi_14"] = REGISTRY["adx_14"]  # type: ignore[index]
