"""Warm states on disk: what goes on from a kept one is the cold path to the last bit; one that does not fit is passed over."""

from __future__ import annotations

import ast
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


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def with_objects(content: bytes) -> bytes:
    """A file that would have to be unpickled."""
    import io

    buffer = io.BytesIO()
    np.savez(buffer, sha256=np.array([{"a": 1}], dtype=object))
    return buffer.getvalue()


def resealed(content: bytes) -> bytes:
    """A whole file with another state under another sum than its own."""
    import io

    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["1.path.sigma"] = arrays["1.path.sigma"] * 1.5
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", [flipped, with_objects, resealed, lambda content: content[:1000], lambda content: b""])
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

    monkeypatch.setattr("fieldcast.workflows.projector.keep_state", full)
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
