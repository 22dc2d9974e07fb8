"""D18, fuzzed payloads and a ban on invented data (files; the payloads of network providers come with them).

Done when: "10,000 mutated payloads per provider yield only typed errors or quarantined rows, with 0 NaN, infinite or negative
prices stored".

The payloads are made by tests/data/formats/fuzz.py, whose docstring says from what and with which seeds. The fast tier runs 25
of each format, the slow one 10 × FIELDCAST_FUZZ (30 unless set; 1,000 makes the 10,000 of the row). The whole 10,000 on every
core, with their counts, is benchmarks/evidence_fuzz.py.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import polars as pl
import pytest

from fieldcast.data import FORMATS, Lineage, MemoryStore
from fieldcast.ground import InvalidInput

pytestmark = pytest.mark.feature("D18", part="files")
OPEN_PARTS: tuple[str, ...] = ("payloads of network providers",)
CHUNKS = 10


def load() -> ModuleType:
    """tests/data/formats/fuzz.py as a module."""
    path = Path(__file__).parents[1] / "data" / "formats" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fieldcast_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fuzz = load()


def test_every_registered_format_has_a_seed():
    assert fuzz.without_seed() == set(), "give each of these one sound file in a test_*fuzz.py of tests/data/formats"
    assert set(fuzz.seeds()) <= set(FORMATS)


@pytest.mark.parametrize("format", sorted(fuzz.seeds()))
def test_the_sound_file_itself_goes_in(format, tmp_path):
    for seed in fuzz.seeds()[format]:
        outcome = fuzz.run(seed, seed.data, tmp_path)
        assert outcome.refusal is None
        assert outcome.kept > 0


@pytest.mark.parametrize("format", sorted(fuzz.seeds()))
def test_damage_ends_in_a_typed_refusal_or_in_quarantine(format, tmp_path):
    tally = fuzz.campaign(format, 0, 25, tmp_path)
    assert tally["payloads"] == 25
    assert tally["refused"] + tally["stored"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("format", sorted(fuzz.seeds()))
def test_thousands_of_damaged_files_store_nothing_impossible(format, chunk, tmp_path):
    count = int(os.environ.get("FIELDCAST_FUZZ", "30"))
    tally = fuzz.campaign(format, chunk * count, count, tmp_path)
    assert tally["payloads"] == count
    assert tally["refused"] > 0  # the damage was not idle


# the harness itself -------------------------------------------------------------------------------------------------


def test_a_payload_can_be_made_again_and_differs_from_its_seed():
    changed = 0
    for own in fuzz.seeds().values():
        seed = own[0]
        assert fuzz.payload(seed, 3) == fuzz.payload(seed, 3)
        changed += sum(fuzz.payload(seed, number) != seed.data for number in range(5))
    assert changed > 4.5 * len(fuzz.seeds())


def test_a_format_without_a_seed_is_noticed(monkeypatch):
    monkeypatch.setattr(fuzz, "FORMATS", {**FORMATS, "new-vendor": object()})
    assert fuzz.without_seed() == {"new-vendor"}


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("x"), pl.exceptions.ComputeError("no"), InvalidInput("no")])
def test_an_error_of_another_kind_or_without_words_fails_and_names_the_payload(monkeypatch, tmp_path, error):
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(fuzz, "import_source", broken)
    format = sorted(fuzz.seeds())[0]
    with pytest.raises(AssertionError, match=rf"payload 7 of {format}"):
        fuzz.campaign(format, 7, 1, tmp_path)


@pytest.mark.parametrize(("column", "value"), [("close", float("nan")), ("close", float("inf")), ("close", -1.0), ("high", 0.0)])
def test_an_impossible_value_in_the_store_is_noticed(column, value):
    seed = next(seed for own in fuzz.seeds().values() for seed in own if seed.format == "fred-series")
    good = {"instrument": "A:B", "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0, "reasons": None}
    ts = pl.Series([seed.options.now]).cast(pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({**good, column: value}).with_columns(ts=ts, available_at=ts, reasons=pl.lit(None, dtype=pl.String))
    row = SimpleNamespace(table="bars/1d", instrument="A:B", dataset="x")
    store = SimpleNamespace(
        datasets=lambda: pl.DataFrame([vars(row)]), read=lambda *_, **__: frame
    )
    with pytest.raises(AssertionError, match="holds what cannot be"):
        fuzz.impossible(store, seed.options.now)
    real = MemoryStore()
    with pytest.raises(InvalidInput):
        real.append(frame, Lineage(provider="x", dataset="x", fetched_at=seed.options.now))
