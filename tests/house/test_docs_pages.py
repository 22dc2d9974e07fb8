"""What the pages promise is there: links, commands, options, columns, keys, figures that follow from the code, examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"^<!-- runs in CI -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMON = {"--help", "--json", "--home"}


def _tables(text: str) -> list[str]:
    """First cells, in code, of the rows of every table."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def _sections(page: str) -> dict[str, str]:
    return dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXTS[page], re.MULTILINE | re.DOTALL))


# links ----------------------------------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[page])):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        file, _, anchor = target.partition("#")
        found = (ROOT / page).parent / file if file else ROOT / page
        assert found.exists(), f"{page} links to {target}, which is not there"
        if anchor:
            assert anchor in _anchors(found.read_text(encoding="utf-8")), f"{page} links to {target}"


def test_the_picture_of_the_report_is_one_and_is_small() -> None:
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", TEXTS["README.md"])
    data = (ROOT / name).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1280
    assert 800 <= height <= 2600
    assert len(data) < 400_000


# commands -------------------------------------------------------------------------------------------------------------


def _leaves() -> dict[str, set[str]]:
    """Options of every leaf of the command line, by its words, such as `data import`."""
    from typer.main import get_command

    from fieldcast.cli._app import app

    found: dict[str, set[str]] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[" ".join(words)] = {o for p in command.params for o in p.opts if o.startswith("--")} | {"--help"}
        for name, child in (children or {}).items():
            walk(child, (*words, name))

    walk(get_command(app), ())
    return found


LEAVES = _leaves()


def _commands(text: str) -> list[str]:
    """Command lines of a page: lines of its shell blocks, and inline code that begins with a program of ours."""
    blocks = [body for kind, body in FENCE.findall(text) if kind in ("sh", "console")]
    lines = [line.removeprefix("$ ") for body in blocks for line in body.splitlines()]
    lines += re.findall(r"`((?:fieldcast|make) [^`]+)`", FENCE.sub("", text))
    return [line.split(" #")[0].strip().replace(".venv/bin/", "") for line in lines]


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_of_a_page_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in _commands(TEXTS[page]):
        words = shlex.split(line)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, f"{page}: {line}"
        if words[0] != "fieldcast" or words[1:] == ["--help"]:
            continue
        name = next((name for name in LEAVES if words[1 : 1 + len(name.split())] == name.split()), None)
        assert name is not None, f"{page}: {line}"
        written = {word.split("=")[0] for word in words if word.startswith("--")}
        assert written <= LEAVES[name], f"{page}: {line}"


@pytest.mark.parametrize("name", LEAVES)
def test_the_reference_lists_exactly_the_options_of_a_command(name: str) -> None:
    listed = [cell.split()[0] for cell in _tables(_sections("docs/reference/commands.md")[name])]
    assert len(set(listed)) == len(listed)
    assert set(listed) == LEAVES[name] - COMMON


# tables, packet, experiment -------------------------------------------------------------------------------------------


def test_the_page_of_tables_lists_the_columns_of_the_schemas() -> None:
    from fieldcast.market import BARS
    from fieldcast.projection.table import PROJECTIONS
    from fieldcast.workflows.score import CONE_DIFFERENCE, CONES, SCORES

    sections = _sections("docs/reference/tables.md")
    assert _tables(sections["BARS"]) == list(BARS)
    assert _tables(sections["PROJECTIONS"]) == list(PROJECTIONS)
    assert _tables(sections["Scores"])[: len(SCORES)] == list(SCORES)
    assert _tables(sections["Cones"]) == [*CONES, *CONE_DIFFERENCE]


def test_the_page_of_the_packet_lists_the_keys_of_the_schema() -> None:
    from fieldcast.projection.packet import SCHEMA_FILE

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    objects = {"ProjectionPacket": schema} | {k: v for k, v in schema["$defs"].items() if v["type"] == "object"}
    sections = _sections("docs/reference/packet.md")
    assert set(sections) - {"Promises", "Versions"} == set(objects)
    for name, found in objects.items():
        assert set(_tables(sections[name])) == set(found["properties"]), name


def _keys(model: Any, prefix: str = "") -> set[str]:
    from typing import get_args

    from pydantic import BaseModel

    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = next((a for a in (field.annotation, *get_args(field.annotation))
                      if isinstance(a, type) and issubclass(a, BaseModel)), None)
        found |= {f"{prefix}{name}"} if inner is None else _keys(inner, f"{prefix}{name}.")
    return found


def test_the_page_of_experiments_lists_every_key() -> None:
    from fieldcast.workflows import Experiment

    listed = _tables(TEXTS["docs/how-to/write-an-experiment.md"])
    assert set(listed) - {"models.boosted_trees"} == _keys(Experiment)  # the table itself has a line of its own


def test_the_rows_that_a_history_needs_follow_from_the_experiments() -> None:
    from fieldcast.features import warmup
    from fieldcast.validation.gate import LEAST_SESSIONS
    from fieldcast.workflows import load_experiment

    page = TEXTS["docs/how-to/your-own-files.md"]
    for experiment in (load_experiment(), load_experiment(ROOT / "examples" / "short_history.toml")):
        first = warmup(list(experiment.features.blocks)) + experiment.walk_forward.initial + 1
        for rows in (first, first + LEAST_SESSIONS):
            assert f"{rows:,}" in page, f"{experiment.family}: {rows:,}"
    assert "1,863 daily bars" in TEXTS["README.md"]


# what runs ------------------------------------------------------------------------------------------------------------


def _python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIELDCAST_")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=inherited, capture_output=True, text=True, check=False, timeout=300
    )


def _own_file(path: Path, rows: int) -> None:
    from fieldcast.data.simulated import SimulatedMarket, simulate

    yesterday = (datetime.now(tz=UTC) - timedelta(days=1)).date()
    bars = simulate(SimulatedMarket(seed=11, kind="martingale", last=yesterday, n_sessions=rows)).bars
    day = pl.col("ts").dt.convert_time_zone("America/New_York").dt.date()
    bars.select(Date=day, Open="open", High="high", Low="low", Close="close", Volume="volume").write_csv(path)


GATE_LINE = re.compile(
    r"^([A-Z]+:[A-Z]+)(?: \[SIMULATED\])? +([A-Z_]+) +([\d.]+) ± ([\d.]+) +([\d.]+) +([\d,]+) +\S+ \.\. \S+$", re.MULTILINE
)
CONE_LINE = re.compile(
    r"^([A-Z]+:[A-Z]+)(?: \[SIMULATED\])? +(\d) +([\d.]+)% +([\d.]+)% +([\d.]+)% +([\d.]+) +([-+][\d.]+)% ± ([\d.]+)%$",
    re.MULTILINE,
)


def test_the_readme_and_the_tutorial_show_the_same_run() -> None:
    readme, tutorial = TEXTS["README.md"], TEXTS["docs/tutorial/first-run.md"]
    assert GATE_LINE.findall(readme) == GATE_LINE.findall(tutorial)
    assert set(CONE_LINE.findall(readme)) <= set(CONE_LINE.findall(tutorial))
    assert len(GATE_LINE.findall(readme)) == 4
    assert len(CONE_LINE.findall(tutorial)) == 8


@pytest.mark.slow
def test_the_figures_that_the_pages_show_are_those_of_the_demo(tmp_path: Path) -> None:
    """To within what another processor's arithmetic may change: 0.002 of an AUC, half a per cent of coverage."""
    done = _python("-c", "from fieldcast.cli import main; main()", "demo", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = {part["instrument"]: part for part in json.loads(done.stdout)["validation"]["instruments"]}
    page = TEXTS["docs/tutorial/first-run.md"]
    for name, outcome, auc, _, bound, n in GATE_LINE.findall(page):
        gate = parts[name]["gate"]
        assert (gate["outcome"], f"{gate['n']:,}") == (outcome, n)
        assert abs(gate["estimate"] - float(auc)) < 0.002
        assert abs(gate["lower_bound"] - float(bound)) < 0.002
    for name, horizon, *covered, _, difference, _ in CONE_LINE.findall(page):
        cones = [row for row in parts[name]["cones"] if (row["model"], row["horizon"]) == ("fieldcast", int(horizon))]
        for row, shown in zip(sorted(cones, key=lambda row: row["level"]), covered, strict=True):
            assert abs(100 * row["coverage"] - float(shown)) < 0.5
        (row,) = (row for row in parts[name]["cone_difference"] if row["horizon"] == int(horizon))
        assert abs(100 * row["relative"] - float(difference)) < 0.2


def test_the_readme_has_one_example_of_at_most_ten_lines() -> None:
    (code,) = MARKED.findall(TEXTS["README.md"])
    assert len(code.splitlines()) <= 10
    assert "import fieldcast as fc" in code


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in TEXTS if MARKED.search(TEXTS[page])])
def test_code_that_is_marked_as_run_runs(page: str, tmp_path: Path) -> None:
    for place, code in enumerate(MARKED.findall(TEXTS[page])):
        script = tmp_path / f"example_{place}.py"
        script.write_text(code, encoding="utf-8")
        done = _python(script.name, folder=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.startswith(("PASS", "FAIL", "CANNOT_JUDGE"))
    assert {path.name for path in tmp_path.iterdir()} == {f"example_{i}.py" for i in range(len(MARKED.findall(TEXTS[page])))}


@pytest.mark.slow
def test_the_example_of_an_own_file_runs_with_the_experiment_for_a_short_history(tmp_path: Path) -> None:
    _own_file(tmp_path / "mybars.csv", 800)
    examples = ROOT / "examples"
    done = _python(
        str(examples / "own_file.py"), "mybars.csv", "ARCX:MINE", str(examples / "short_history.toml"), folder=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("800 of 800 rows kept")
    assert "n=315 on 315 sessions" in done.stdout
    assert "90 % of the returns between" in done.stdout


@pytest.mark.slow
def test_the_example_of_the_gate_runs(tmp_path: Path) -> None:
    done = _python(str(ROOT / "examples" / "gate_where_truth_is_known.py"), "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("SIMULATED") == 2
    assert "SIMULATED martingale, seed 0: PASS" not in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_page_of_tables_lists_the_columns_of_a_real_validation(tmp_path: Path) -> None:
    import fieldcast as fc

    _own_file(tmp_path / "mybars.csv", 800)
    with fc.open_workspace(tmp_path) as workspace:
        fc.import_data(workspace, tmp_path / "mybars.csv", "ARCX:MINE", kind="etf")
        setting = fc.load_experiment(ROOT / "examples" / "short_history.toml")
        part = fc.validate(workspace, ["ARCX:MINE"], setting)["ARCX:MINE"]
    sections = _sections("docs/reference/tables.md")
    assert _tables(sections["Outcomes"]) == part.outcomes.columns
    assert _tables(sections["Fits"]) == part.fit_table.columns
    assert _tables(sections["Reliability"]) == part.reliability.columns
    assert _tables(sections["Sharpe"]) == part.sharpe.columns
    metrics = _tables(sections["Scores"])[len(part.scores.columns) :]
    assert set(metrics) == set(part.scores["metric"])
