"""Warm states on disk: what goes on from a kept one is the cold path to the last bit; one that does not fit is passed over."""

from __future__ import annotations

import ast
import hashlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ConflictError, InvalidInput, MissingData, load_settings
from fieldcast.market import Instrument, default_instrument
from fieldcast.workflows import Experiment, Projector, Workspace, look, open_workspace, project, seal_span, validate, warm_states
from fieldcast.workflows.bars_hash import BarsHash
from fieldcast.workflows.cycles import validated_before
from fieldcast.workflows.warm_states import state_path

ROWS, LATER = 900, 60
VIX = "XCBO:VIX"


@dataclass(frozen=True)
class Market:
    bars: pl.DataFrame
    instrument: Instrument
    lineage: Lineage


@pytest.fixture(scope="module")
def market() -> Market:
    """Simulated bars stored as if they were real: a simulated instrument has no VIX."""
    made = simulate(SimulatedMarket(seed=11, kind="planted", n_sessions=ROWS + LATER, last=date(2018, 12, 31)))
    bars = made.bars.with_columns(instrument=pl.lit("XNYS:PLT"), reasons=pl.lit(None, pl.String))
    return Market(bars, default_instrument("XNYS:PLT", "equity"), Lineage("planted", "planted", made.lineage.fetched_at))


@pytest.fixture
def workspace(tmp_path: Path, market: Market) -> Iterator[Workspace]:
    """A store with the first sessions."""
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as opened:
        save_instrument(opened.ledger, market.instrument)
        opened.store.append(market.bars[:ROWS], market.lineage)
        yield opened


def changed(chosen: Experiment, **changes: Any) -> Experiment:
    plain = chosen.model_dump(mode="json")
    for path, value in changes.items():
        part = plain
        *head, last = path.split("__")
        for name in head:
            part = part[name]
        part[last] = value
    return Experiment.model_validate(plain)


def vix_of(bars: pl.DataFrame) -> pl.DataFrame:
    """A made-up VIX series: a slow wave, known a quarter of an hour after each close."""
    level = 18 + 6 * np.sin(np.arange(bars.height) / 40)
    prices = {name: pl.Series(level) for name in ("open", "high", "low", "close")}
    return bars.with_columns(
        instrument=pl.lit(VIX), available_at=pl.col("ts") + timedelta(minutes=15), **prices
    )


def add(workspace: Workspace, market: Market, rows: pl.DataFrame) -> None:
    workspace.store.append(rows, market.lineage)


def same(found: Projector, expected: Projector) -> None:
    """To the last bit, and in everything that the next row rests on."""
    assert found.packet.model_dump_json() == expected.packet.model_dump_json()
    assert found.data_hash == expected.data_hash
    for horizon, state in expected._horizons.items():
        other = found._horizons[horizon]
        for one, two in ((other.parts(), state.parts()), (other.volatility.parts(), state.volatility.parts())):
            assert one.values == two.values
            assert one.arrays.keys() == two.arrays.keys()
            for name, array in two.arrays.items():
                np.testing.assert_array_equal(one.arrays[name], array, err_msg=f"{horizon} {name}")


SETTINGS: dict[str, dict[str, Any]] = {
    "logistic": {},
    "trees": {"nominated__model": "boosted_trees", "models__boosted_trees": {
        "rounds": 10, "leaves": 7, "seed": 1, "refit": 21}},
    "drift": {"cones__drift": "odds"},
    "regressors": {"cones__regressors": ["log_atr_percent"]},
    "adaptive cones": {"cones__forecaster": "adaptive"},
    "a gap between test blocks": {"walk_forward__test": 15},
    "fields": {"features__blocks": ["volatility", "fields.liquidity"]},
    "vix": {"features__blocks": ["volatility", "vix"]},
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [name if name == "logistic" else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_what_goes_on_from_a_kept_state_is_the_cold_path(
    name: str, workspace: Workspace, market: Market, small: Experiment
) -> None:
    """Opened anew after every few bars, across folds, as a new process would."""
    chosen, bars = changed(small, **SETTINGS[name]), market.bars
    vix, series = (VIX, vix_of(bars)) if name == "vix" else (None, None)
    if series is not None:
        save_instrument(workspace.ledger, default_instrument(VIX, "index"))
        add(workspace, market, series[:ROWS])

    def opened() -> Projector:
        return Projector.open(workspace, market.instrument.id, chosen, vix=vix)

    assert opened().cold_because == "none is kept"
    row = ROWS
    for count in (0, 1, 1, 4, 30):
        if count:
            add(workspace, market, bars[row : row + count])
        if count and series is not None:
            add(workspace, market, series[row : row + count])
        row += count
        found = opened()
        assert found.cold_because is None
        known = None if series is None else series[:row]
        same(found, Projector(bars[:row], market.instrument, chosen, covariate=known))
    assert found.fits, "the walk opened a fold on the way"
    if vix is None:
        return
    with pytest.raises(InvalidInput, match="expected the VIX series beside new bars"):
        found.add(bars[row : row + 1])
    with pytest.raises(InvalidInput, match="found it restated"):
        found.add(bars[row : row + 1], covariate=series[: row + 1].with_columns(close=pl.col("close") + 1.0))
    add(workspace, market, bars[row : row + 1])
    add(workspace, market, series[row : row + 1])
    assert found.refresh(workspace) == Projector(bars[: row + 1], market.instrument, chosen, covariate=series[: row + 1]).packet


def test_every_module_that_figures_rest_on_is_in_the_hash_of_the_code() -> None:
    """Kernels of a20 take their logarithm from `pricing`: its change, too, has to make a state void."""
    root, files = warm_states.code_root(), set(warm_states.code_files())
    assert root / "pricing" / "_kernels_vector.py" in files
    elsewhere = set()
    for file in files:
        if file.parent.name == "workflows":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fieldcast."):
                path = root.joinpath(*str(node.module).split(".")[1:])
                if not {path.with_suffix(".py"), path / "__init__.py"} & files:
                    elsewhere.add(path.relative_to(root).parts[0])
    assert elsewhere <= {"ledger"}, "records of what was computed compute nothing"


def test_a_bar_that_was_restated_or_came_late_makes_the_state_void(
    workspace: Workspace, market: Market, small: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    name, bars = market.instrument.id, market.bars
    missing = ROWS + 3
    add(workspace, market, bars[ROWS : ROWS + 6].filter(pl.int_range(pl.len()) != missing - ROWS))
    before = Projector.open(workspace, name, small)
    old = bars[500:501].with_columns(close=pl.col("low"), available_at=pl.col("ts") + timedelta(days=2))
    for rows in (old, bars[missing : missing + 1]):
        add(workspace, market, rows)
        with caplog.at_level(logging.INFO, logger="fieldcast.warm"):
            found = Projector.open(workspace, name, small)
        assert found.cold_because is not None
        assert "found others: one was restated, or came late" in found.cold_because
        assert found.cold_because in caplog.text
        same(found, Projector(workspace.store.read(name), market.instrument, small))
        assert found.packet != before.packet
        assert Projector.open(workspace, name, small).cold_because is None, "the new state took the place of the void one"


def test_an_old_bar_that_was_restated_is_seen_by_a_projector_that_is_kept_open(
    workspace: Workspace, market: Market, small: Experiment
) -> None:
    followed = Projector.open(workspace, market.instrument.id, small)
    recent = Projector(market.bars[20:ROWS], market.instrument, small)
    assert recent.refresh(workspace) is recent.packet, "of the stored bars it looks at its own alone"
    old = market.bars[500:501].with_columns(close=pl.col("low"), available_at=pl.col("ts") + timedelta(days=2))
    add(workspace, market, old)
    add(workspace, market, market.bars[ROWS : ROWS + 1])
    for one in (followed, recent):
        with pytest.raises(ConflictError, match=rf"found one restated, the first at {old['ts'][0]:%Y-%m-%d}"):
            one.refresh(workspace)


def test_a_vix_value_that_was_restated_makes_the_state_void_and_a_new_one_does_not(
    workspace: Workspace, market: Market, small: Experiment
) -> None:
    chosen, series = changed(small, features__blocks=["volatility", "vix"]), vix_of(market.bars)
    save_instrument(workspace.ledger, default_instrument(VIX, "index"))
    add(workspace, market, series[: ROWS - 1])
    name = market.instrument.id
    with pytest.raises(MissingData, match="expected a VIX series"):
        Projector.open(workspace, name, chosen)
    Projector.open(workspace, name, chosen, vix=VIX)
    add(workspace, market, series[ROWS : ROWS + 1])
    assert Projector.open(workspace, name, chosen, vix=VIX).cold_because is None, "of a later session"
    for late in (
        series[400:401].with_columns(pl.col("open", "high", "low", "close") + 1.0, available_at=pl.col("ts") + timedelta(days=1)),
        series[ROWS - 1 : ROWS],
    ):
        add(workspace, market, late)
        found = Projector.open(workspace, name, chosen, vix=VIX)
        assert found.cold_because is not None
        assert "expected the VIX series as they were" in found.cold_because
        assert Projector.open(workspace, name, chosen, vix=VIX).cold_because is None


def test_an_earlier_look_is_cold_and_leaves_the_newer_state(
    workspace: Workspace, market: Market, small: Experiment
) -> None:
    name, then = market.instrument.id, market.bars["available_at"][ROWS - 10]
    Projector.open(workspace, name, small)
    kept = state_path(workspace, name, small).read_bytes()
    found = Projector.open(workspace, name, small, as_of=then)
    assert found.cold_because is not None
    assert "bars that the state was made with, found" in found.cold_because
    same(found, Projector(market.bars[: ROWS - 9], market.instrument, small))
    assert state_path(workspace, name, small).read_bytes() == kept
    assert Projector.open(workspace, name, small).cold_because is None


def test_of_a_sealed_span_no_kept_state_tells(workspace: Workspace, market: Market, small: Experiment) -> None:
    name = market.instrument.id
    whole = Projector.open(workspace, name, small)
    first = market.bars["ts"][ROWS - 20].date()
    seal_span(workspace, "last", [name], first=first, last=date(2030, 1, 1))
    before = Projector.open(workspace, name, small)
    assert before.packet.as_of.date() < first < whole.packet.as_of.date()
    assert before.cold_because is not None


def test_many_are_opened_as_each_is_alone_and_their_bars_are_read_at_once(
    workspace: Workspace, market: Market, small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = market.instrument, replace(market.instrument, id="SIM:TWIN")
    bars = market.bars
    twin = bars.with_columns(pl.col("open", "high", "low", "close") * 2.0, instrument=pl.lit(two.id))
    save_instrument(workspace.ledger, two)
    add(workspace, market, twin[:ROWS])
    assert [each.cold_because for each in Projector.open_each(workspace, [one.id, two.id], small)] == ["none is kept"] * 2
    for rows in (bars, twin):
        add(workspace, market, rows[ROWS : ROWS + 2])

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("expected the bars of both in one read")

    with monkeypatch.context() as patch:
        patch.setattr(type(workspace.store), "read", refused)
        found = Projector.open_each(workspace, [two.id, one.id, two.id], small)
    assert [each.instrument for each in found] == [two, one, two]
    assert [each.cold_because for each in found] == [None] * 3
    same(found[0], Projector(twin[: ROWS + 2], two, small))
    same(found[1], Projector(bars[: ROWS + 2], one, small))
    with pytest.raises(MissingData, match="SIM:NONE"):
        Projector.open_each(workspace, [one.id, "SIM:NONE"], small)
    seal_span(workspace, "last", [one.id], first=bars["ts"][ROWS - 20].date(), last=date(2030, 1, 1))
    sealed, free = Projector.open_each(workspace, [one.id, two.id], small)
    assert sealed.packet.as_of < bars["ts"][ROWS - 20] < free.packet.as_of
    assert free.cold_because is None


def test_many_that_are_held_open_take_their_new_bars_in_one_read(
    workspace: Workspace, market: Market, small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, bars = market.instrument, market.bars
    two = replace(one, id="SIM:TWO")
    twin = bars.with_columns(pl.col("open", "high", "low", "close") * 2.0, instrument=pl.lit(two.id))
    save_instrument(workspace.ledger, two)
    add(workspace, market, twin[:ROWS])
    held = Projector.open_each(workspace, [two.id, one.id], small)
    before = Projector.refresh_each(workspace, held)
    assert before == tuple(each.packet for each in held), "nothing came since"
    for rows in (bars, twin):
        add(workspace, market, rows[ROWS : ROWS + 2])

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("expected the bars of both in one read")

    with monkeypatch.context() as patch:
        patch.setattr(type(workspace.store), "read", refused)
        packets = Projector.refresh_each(workspace, held)
    assert packets == tuple(each.packet for each in held)
    same(held[0], Projector(twin[: ROWS + 2], two, small))
    same(held[1], Projector(bars[: ROWS + 2], one, small))
    with pytest.raises(InvalidInput, match=f"found two of {two.id}"):
        Projector.refresh_each(workspace, [held[0], held[0]])
    seal_span(workspace, "last", [one.id], first=bars["ts"][ROWS + 2].date(), last=date(2030, 1, 1))
    for rows in (bars, twin):
        add(workspace, market, rows[ROWS + 2 : ROWS + 3])
    free, sealed = Projector.refresh_each(workspace, held)
    assert sealed == packets[1], "of a sealed span it sees nothing"
    assert free.as_of > sealed.as_of
    add(workspace, market, bars[500:501].with_columns(close=pl.col("low"), available_at=pl.col("ts") + timedelta(days=2)))
    with pytest.raises(ConflictError, match="found one restated"):
        Projector.refresh_each(workspace, held)


def test_the_hash_of_bars_is_that_of_their_values_however_they_come() -> None:
    market = simulate(SimulatedMarket(seed=3, kind="planted", n_sessions=60, last=date(2018, 12, 31)))
    bars = market.bars.with_columns(
        volume=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("volume")),
        reasons=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("missing_volume")).otherwise(None),
    )
    whole = BarsHash(bars).hexdigest()
    grown = BarsHash(bars[:1])
    grown.add(bars[1:8])
    grown.add(bars[8:])
    assert grown.hexdigest() == BarsHash(pl.concat([bars[:30], bars[30:]], rechunk=False)).hexdigest() == whole
    for name in ("ts", "available_at"):
        assert BarsHash(bars.with_columns(pl.col(name) + timedelta(microseconds=1))).hexdigest() != whole, name
    for name in ("open", "high", "low", "close", "volume"):
        last = pl.int_range(pl.len()) == 59
        other = bars.with_columns(pl.when(last).then(pl.col(name) * (1 + 2e-16)).otherwise(pl.col(name)).alias(name))
        assert BarsHash(other).hexdigest() != whole, name
    assert BarsHash(bars.with_columns(reasons=None)).hexdigest() != whole
    assert BarsHash(bars.with_columns(reasons=pl.col("reasons").shift(1))).hexdigest() != whole
    assert BarsHash(bars.with_columns(instrument=pl.lit("SIM:X"))).hexdigest() != whole


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def sealed_anew(content: bytes) -> bytes:
    """The file with the sum of what it holds now; its sum stands behind eight bytes."""
    return content[:8] + hashlib.sha256(content[40:]).digest() + content[40:]


def with_objects(content: bytes) -> bytes:
    """A file that would have to be unpickled, under its own sum."""
    assert content.count(b'["<f8"') > 2
    return sealed_anew(content.replace(b'["<f8"', b'["|O8"'))


def cut_off(content: bytes) -> bytes:
    """A file whose last arrays are missing, under its own sum."""
    return sealed_anew(content[: len(content) // 2])


def another_state(content: bytes) -> bytes:
    """A whole file with another state under the sum of the old one."""
    place = content.index(b'"scored": ') + len(b'"scored": ')
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage", [flipped, with_objects, cut_off, another_state, lambda content: content[:1000], lambda content: b""]
)
def test_a_damaged_file_is_passed_over(damage: Any, workspace: Workspace, market: Market, small: Experiment) -> None:
    path = state_path(workspace, market.instrument.id, small)
    whole = Projector.open(workspace, market.instrument.id, small)
    path.write_bytes(damage(path.read_bytes()))
    found = Projector.open(workspace, market.instrument.id, small)
    assert found.cold_because is not None
    assert path.name in found.cold_because
    same(found, whole)
    assert Projector.open(workspace, market.instrument.id, small).cold_because is None


@pytest.mark.slow
def test_a_state_of_other_code_other_libraries_or_another_description_is_passed_over(
    workspace: Workspace, market: Market, small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = market.instrument.id
    Projector.open(workspace, name, small)
    for part, value in (("code_hash", "0" * 64), ("_libraries", {"numpy": "1.0"}), ("__version__", "0.0.0")):
        with monkeypatch.context() as patch:
            patch.setattr(warm_states, part, value if part == "__version__" else lambda value=value: value)
            found = Projector.open(workspace, name, small).cold_because
            assert found is not None
            assert {"code_hash": "code", "_libraries": "libraries", "__version__": "version"}[part] in found
        assert Projector.open(workspace, name, small).cold_because is not None
    save_instrument(workspace.ledger, replace(market.instrument, name="Another"))
    assert "expected instrument" in str(Projector.open(workspace, name, small).cold_because)
    other = changed(small, models__logistic__l2=20.0)
    assert Projector.open(workspace, name, other).cold_because == "none is kept", "a file of its own for each experiment"


def test_a_formula_that_changes_changes_the_hash_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "fieldcast"
    for file in ("__init__.py", "features/_a20.py", *(f"workflows/{name}.py" for name in warm_states._MODULES)):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x = 1\n")
    monkeypatch.setattr(warm_states.fieldcast, "__file__", str(root / "__init__.py"))
    hashed = warm_states.code_hash.__wrapped__
    before = hashed()
    assert hashed() == before
    (root / "features" / "_a20.py").write_text("x = 2\n")
    assert hashed() != before


def test_a_disk_that_takes_no_state_costs_no_packet(
    workspace: Workspace, market: Market, small: Experiment, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fieldcast.workflows.projector_opening.keep_state", full)
    found = Projector.open(workspace, market.instrument.id, small)
    assert "No space left on device" in caplog.text
    same(found, Projector(market.bars[:ROWS], market.instrument, small))


@pytest.mark.slow
def test_project_goes_on_from_the_kept_state_also_with_a_vix_series(
    workspace: Workspace, market: Market, small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, series = changed(small, features__blocks=["volatility", "vix"]), vix_of(market.bars)
    name = market.instrument.id
    save_instrument(workspace.ledger, default_instrument(VIX, "index"))
    add(workspace, market, series[:ROWS])
    validate(workspace, [name], chosen, vix=VIX)
    opened: list[Projector] = []
    make = Projector.open.__func__  # type: ignore[attr-defined]

    def noted(*arguments: Any, **named: Any) -> Projector:
        opened.append(make(Projector, *arguments, **named))
        return opened[-1]

    for row in (ROWS, ROWS + 1):
        add(workspace, market, market.bars[row : row + 1])
        add(workspace, market, series[row : row + 1])
        with monkeypatch.context() as patch:
            patch.setattr(look.Projector, "open", noted)
            patch.setattr(look, "projections_of", None)
            packet = project(workspace, name, chosen, vix=VIX)
        assert packet == opened[-1].packet
    assert [one.cold_because for one in opened] == ["none is kept", None]
    assert packet == validate(workspace, [name], chosen, vix=VIX)[name].packet


@pytest.mark.slow
def test_a_validation_with_another_vix_series_is_no_earlier_one(
    workspace: Workspace, market: Market, small: Experiment
) -> None:
    """It counted, so that packets went on from a state without a word about the series, or about a bar of it told anew."""
    chosen, series, name = changed(small, features__blocks=["volatility", "vix"]), vix_of(market.bars), market.instrument.id
    other = "XCBO:VXN"
    for id in (VIX, other):
        save_instrument(workspace.ledger, default_instrument(id, "index"))
        add(workspace, market, series[:ROWS].with_columns(instrument=pl.lit(id)))
    validate(workspace, [name], chosen, vix=VIX)
    add(workspace, market, market.bars[ROWS : ROWS + 1])
    add(workspace, market, series[ROWS : ROWS + 1])
    assert validated_before(workspace, name, chosen, vix=VIX)
    assert not validated_before(workspace, name, chosen, vix=other)
    assert not validated_before(workspace, name, chosen)
    told_anew = series[ROWS - 30 : ROWS - 29].with_columns(pl.col("close") * 1.01, pl.col("high") * 1.02)
    add(workspace, market, told_anew)
    assert not validated_before(workspace, name, chosen, vix=VIX)


@pytest.mark.slow
def test_another_process_goes_on_from_the_state(
    workspace: Workspace, market: Market, small: Experiment, tmp_path: Path
) -> None:
    name = market.instrument.id
    Projector.open(workspace, name, small)
    add(workspace, market, market.bars[ROWS : ROWS + 2])
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(workspace.home), name, str(tmp_path / "small.toml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    reason, packet = told.stdout.strip().splitlines()
    assert reason == "None"
    assert packet == Projector(market.bars[: ROWS + 2], market.instrument, small).packet.model_dump_json()


PROGRAM = """
import sys
from pathlib import Path
from fieldcast.workflows import Projector, load_experiment, open_workspace
with open_workspace(sys.argv[1]) as workspace:
    found = Projector.open(workspace, sys.argv[2], load_experiment(Path(sys.argv[3])))
    print(found.cold_because, found.packet.model_dump_json(), sep="\\n")
"""
