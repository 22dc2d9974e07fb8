"""D18, fuzzed payloads and a ban on invented data (files; the payloads of network providers come with them).

Done when: "10,000 mutated payloads per provider yield only typed errors or quarantined rows, with 0 NaN, infinite or negative
prices stored".

The payloads are made by tests/data/formats/fuzz.py, whose docstring says from what and with which seeds. The fast tier runs 10
of each format, the slow one 15 more, and 3 × FIELDCAST_FUZZ (30 unless set) for what they leave in a store. The whole 10,000 of
each provider on every core, with their counts, is benchmarks/evidence_fuzz.py; what it found is filed under evidence/.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import polars as pl
import pytest

from fieldcast.data import FORMATS, Lineage, MemoryStore, Store
from fieldcast.data.importing import import_sources
from fieldcast.ground import InvalidInput, ManualClock, Settings
from fieldcast.workflows import import_data, open_workspace

pytestmark = pytest.mark.feature("D18", part="files")
OPEN_PARTS: tuple[str, ...] = ("payloads of network providers",)
CHUNKS = 3
ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(("first", "count"), [(0, 10), pytest.param(10, 15, marks=pytest.mark.slow)])
@pytest.mark.parametrize("format", sorted(fuzz.seeds()))
def test_damage_ends_in_a_typed_refusal_or_in_quarantine(format, first, count, tmp_path):
    became = judged(format, first, count, tmp_path)
    assert became.total() == count
    assert became["refused"] + became["damaged"] > 0  # the damage was not idle


def judged(format: str, first: int, count: int, folder: Path) -> Counter[str]:
    """What became of payloads: each is refused and leaves nothing, or what it holds is stored or counted as set aside."""
    own, became = fuzz.seeds()[format], Counter[str]()
    for number in range(first, first + count):
        seed = own[number % len(own)]
        data, _ = fuzz.payload(seed, number)
        outcome = fuzz.run(seed, data, folder)
        if outcome.refusal is not None:
            assert outcome.kept == 0, f"payload {number} of {format} was refused ({outcome.refusal}) and left rows"
            became["refused"] += 1
        elif outcome.kept + outcome.quarantined == 0:
            assert is_empty_archive(data), f"payload {number} of {format} was taken, and nothing says what became of it"
            became["empty"] += 1
        else:
            became["damaged" if outcome.quarantined else "taken"] += 1
    return became


def is_empty_archive(data: bytes) -> bool:
    """A day without trades comes as an archive with an empty file."""
    if not data.startswith(b"PK"):
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return all(member.file_size == 0 for member in archive.infolist())


MANY_PARTS = ("binance-stream", "hyperliquid-stream", "tiingo-daily", "yahoo-chart")  # a file of each fills several tables


@pytest.mark.parametrize("format", MANY_PARTS)
def test_damage_to_a_file_in_several_parts_reaches_no_table_on_the_disk(format, tmp_path):
    """Each part waits on the disk (`batch_rows` of 1) until the file is read to its end, then goes into files of the store."""
    (seed, *_), became = fuzz.seeds()[format], Counter[str]()
    path = tmp_path / seed.name
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(seed.options.now)) as workspace:
        store = workspace.store
        path.write_bytes(seed.data)
        sound = import_sources([(path, seed.options)], store=store, format=format, batch_rows=1)
        assert len(sound.tables) > 1
        assert fuzz.impossible(store, seed.options.now) == sum(count.added for count in sound.tables.values()) > 0
        for number in range(12):
            before = contents(store)
            path.write_bytes(fuzz.payload(seed, number)[0])
            options = replace(seed.options, now=seed.options.now + timedelta(minutes=number + 1))
            report = import_sources([(path, options)], store=store, format=format, batch_rows=1)
            fuzz.impossible(store, options.now)
            assert len(report.files) + len(report.failures) == 1
            if report.failures:
                assert "expected" in report.failures[0].message
                assert contents(store) == before, f"payload {number} was refused and left rows"
            became["refused" if report.failures else "taken"] += 1
        assert became.total() == 12
        assert became["refused"] > 0
        assert store.verify().ok


def contents(store: Store) -> list[tuple[str, str, str, str]]:
    """(table, instrument, dataset, hash of its rows) of everything in the store."""
    found = store.datasets().select("table", "instrument", "dataset").rows()
    return [(*row, store.content_hash(row[1], table=row[0], dataset=row[2])) for row in found]


FOLDER = (
    *("binance-klines", "fred-series", "french-factors", "finra-short-volume", "treasury-curves", "binance-stream"),
    "oanda-candles",
)


def test_a_folder_of_damaged_files_is_judged_file_by_file(tmp_path):
    """Through `workflows.import_data`: recognised by their content, stored as Parquet, each accounted for, and again the same."""
    now, folder = datetime(2024, 6, 1, tzinfo=UTC), tmp_path / "files"
    written = set()
    for format in FOLDER:
        for number, seed in [(n, seed) for seed in fuzz.seeds()[format] for n in range(6)]:
            path = folder / format / str(number) / seed.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(seed.data if number == 0 else fuzz.payload(seed, number)[0])
            written.add(path)
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(now)) as workspace:
        found = import_data(workspace, folder)
        taken, refused = [file.path for file in found.report.files], [item.path for item in found.report.failures]
        judged = [*taken, *refused, *found.unknown]
        assert len(judged) == len(set(judged)) == len(written)
        assert set(judged) == written
        assert refused
        assert len(taken) >= len(FOLDER)  # the sound ones, and those that were merely scratched
        assert all("expected" in item.message for item in found.report.failures)
        for file in found.report.files:
            assert file.rows_read == file.rows_kept + sum(file.removed.values()), file.path
        assert fuzz.impossible(workspace.store, now) > 0
        assert workspace.store.verify().ok
        before = contents(workspace.store)
        again = import_data(workspace, folder)
        assert set(again.passed_over) == set(taken)
        assert {item.path for item in again.report.failures} == set(refused)
        assert contents(workspace.store) == before


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("format", sorted(fuzz.seeds()))
def test_thousands_of_damaged_files_store_nothing_impossible(format, chunk, tmp_path):
    count = int(os.environ.get("FIELDCAST_FUZZ", "30"))
    tally = fuzz.campaign(format, chunk * count, count, tmp_path)
    assert tally["payloads"] == count
    assert tally["refused"] + tally["quarantined"] > 0  # the damage was not idle


# the harness itself -------------------------------------------------------------------------------------------------


def test_a_payload_can_be_made_again_and_differs_from_its_seed():
    changed = 0
    for own in fuzz.seeds().values():
        seed = own[0]
        assert fuzz.payload(seed, 3) == fuzz.payload(seed, 3)
        changed += sum(fuzz.payload(seed, number)[0] != seed.data for number in range(5))
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


def test_the_filed_campaign_had_ten_thousand_files_of_each_provider_and_no_failure() -> None:
    """The newest one filed, whatever code it ran on: `tools/evidence.py evidence --list` says whether that is this code."""
    newest = max((ROOT / "evidence").glob("evidence_fuzz-*.json"))
    filed = json.loads(newest.read_text(encoding="utf-8"))
    assert filed["estimate"] == 0.0
    assert filed["n"] == sum(filed["providers"].values())
    assert min(filed["providers"].values()) >= 10_000
    assert set(filed["formats"]) == set(FORMATS)
