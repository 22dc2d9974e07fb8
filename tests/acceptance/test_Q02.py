"""Q02, validated configuration with boot checks, and one command-line entry.

Done when: "Every documented command runs in CI, and a bad value stops boot with its key named"
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fieldcast.cli import main

pytestmark = pytest.mark.feature("Q02")
OPEN_PARTS: tuple[str, ...] = ("daemon", "dashboard")

ROOT = Path(__file__).resolve().parents[2]
FIELDCAST = str(Path(sysconfig.get_path("scripts")) / "fieldcast")
PAGE = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
DOCUMENTED = re.findall(r"^\$ (fieldcast .+)$", PAGE, re.MULTILINE)


def _run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder, without any setting of ours in the environment but those given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIELDCAST_")}
    return subprocess.run(
        command,
        cwd=folder,
        env=inherited | {"NO_COLOR": "1", "COLUMNS": "160"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _commands() -> dict[str, Any]:
    """Every leaf of the command line by its words, such as `data import`."""
    from typer.main import get_command

    from fieldcast.cli._app import app

    found: dict[str, Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[" ".join(words)] = command
        for name, child in (children or {}).items():
            walk(child, (*words, name))

    walk(get_command(app), ())
    return found


COMMANDS = _commands()
# Arguments with which each command would start its work: the shortest documented line of its section.
STARTS = {
    name: min(re.findall(r"^\$ fieldcast (.+)$", text, re.MULTILINE), key=len, default=name) for name, text in SECTIONS.items()
}


# what is documented is what is there --------------------------------------------------------------------------------


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    assert set(SECTIONS) == set(COMMANDS)
    assert list(SECTIONS)[:3] == ["version", "doctor", "demo"]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_shows_its_command_and_names_its_options(name: str) -> None:
    lines = re.findall(r"^\$ fieldcast (.+)$", SECTIONS[name], re.MULTILINE)
    assert lines
    assert all(line.startswith(name) for line in lines)
    common = {"--help", "--json", "--home", "--experiment", "--vix", "--as-of"}
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    missing = sorted(option for option in options - common if option not in SECTIONS[name])
    assert not missing, f"docs/reference/commands.md says nothing of {', '.join(missing)} under {name}"
    written = {word.split("=")[0] for line in lines for word in shlex.split(line) if word.startswith("--")}
    assert written <= options, f"{name} has no {', '.join(sorted(written - options))}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "version"])
def test_every_verb_takes_json(name: str) -> None:
    assert "--json" in {option for parameter in COMMANDS[name].params for option in parameter.opts}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from fieldcast.cli._app import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="fieldcast")
    assert done.exit_code == 0, done.output
    assert f"fieldcast {name}".strip() in done.output
    assert not list(tmp_path.iterdir()), "asking for help leaves nothing behind"


# a bad value stops the start ----------------------------------------------------------------------------------------

SETTINGS = [name for name in COMMANDS if name != "version"]


def _stopped(code: object, out: str, err: str, key: str) -> None:
    assert code == 2, out + err
    assert out == ""
    assert re.search(rf"\b{key}\b", err), err
    assert len(err.strip().splitlines()) == 1, err


@pytest.mark.parametrize("name", SETTINGS)
def test_a_bad_value_in_the_environment_stops_every_verb_with_its_key_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mybars.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIELDCAST_WORKERS", "many")
    monkeypatch.setattr(sys, "argv", ["fieldcast", *shlex.split(STARTS[name])])
    with pytest.raises(SystemExit) as ended:
        main()
    _stopped(ended.value.code, *capsys.readouterr(), "workers")
    assert [path.name for path in tmp_path.iterdir()] == ["mybars.csv"], "nothing is written before the settings stand"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("workers = 0", "workers"),
        ('workers = "LOUD"', "workers"),
        ("wrokers = 2", "wrokers"),
        ('ledger_url = "mysql://u:hunter2@h/d"', "ledger_url"),  # pragma: allowlist secret
        ("workers = = 2", "fieldcast.toml"),
    ],
)
def test_a_bad_file_of_settings_stops_the_start_with_its_key_named(text: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "fieldcast.toml").write_text(text, encoding="utf-8")
    done = _run([FIELDCAST, "data", "ls"], tmp_path)
    _stopped(done.returncode, done.stdout, done.stderr, re.escape(key))
    assert "hunter2" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fieldcast.toml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["data", "nonsense"],
        ["data", "ls", "--nonsense"],
        ["data", "import"],
        ["demo", "--rows", "many"],
        ["cycle", "run", "XNAS:COMP"],
        ["project", "XNAS:COMP", "--as-of", "yesterday"],
        ["data", "check", "XNAS:NONE"],
        ["data", "import", "absent.csv", "--instrument", "XNAS:NONE"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_clear_line_and_exit_code_two(arguments: list[str], tmp_path: Path) -> None:
    done = _run([FIELDCAST, *arguments], tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fieldcast: ")
    assert "Traceback" not in line


# every documented command runs --------------------------------------------------------------------------------------


def _own_file(path: Path) -> None:
    """The user's own file of the page: 1,400 daily bars up to the last days, from the simulated market."""
    import polars as pl

    from fieldcast.data.simulated import SimulatedMarket, simulate

    yesterday = (datetime.now(tz=UTC) - timedelta(days=1)).date()
    bars = simulate(SimulatedMarket(seed=11, kind="martingale", last=yesterday, n_sessions=2600)).bars
    bars.select(
        Date=pl.col("ts").dt.convert_time_zone("America/New_York").dt.date(),
        Open="open",
        High="high",
        Low="low",
        Close="close",
        Volume="volume",
    ).write_csv(path)


def _labelled_sentences(path: Path) -> None:
    """The user's own labelled sentences of the page."""
    forms = {
        "positive": ("profit rose in quarter {n}", "won {n} large orders", "beat all its {n} targets", "has {n} happy owners"),
        "negative": ("profit fell in quarter {n}", "cut jobs at {n} plants", "faces {n} lawsuits", "warned for the time {n}"),
        "neutral": ("has {n} offices", "reports on day {n}", "moved to street {n}", "makes {n} kinds of paper"),
    }
    firms = enumerate(("Alder Corp", "Birch and Sons", "Cedar Mills Ltd", "Dogwood Holding", "Elm Tree Foods"))
    lines = [f"{firm} {form.format(n=n)} .@{label}" for n, firm in firms for label, group in forms.items() for form in group]
    path.write_text("\n".join(lines), encoding="utf-8")


def _panel(path: Path) -> None:
    """The panel of the page: thirty simulated instruments on 300 days, with a factor."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(0)
    days = [datetime(2023, 1, 2, tzinfo=UTC).date() + timedelta(days=n) for n in range(300)]
    parts = []
    for n in range(30):
        close = 50 * np.exp(np.cumsum(0.01 * random.standard_normal(300)))
        other = {"close": close, "volume": random.integers(10_000, 90_000, 300), "reversal": random.standard_normal(300)}
        parts.append(pl.DataFrame({"instrument": [f"S{n:02d}"] * 300, "date": days, "sector": [f"s{n % 4}"] * 300, **other}))
    pl.concat(parts).write_csv(path)


def _quotes(path: Path) -> None:
    """A day of quotes, one a minute, of a spread that takes three values in turn."""
    start = datetime(2024, 1, 2, tzinfo=UTC)
    rows = [
        f"{start + timedelta(minutes=k):%Y-%m-%d %H:%M:%S.000},{1.1 + k * 1e-6:.6f},{1.1 + k * 1e-6 + (1 + k % 3) * 1e-5:.6f}"
        for k in range(1440)
    ]
    path.write_text("timestamp,bid,ask\n" + "\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every documented line, run in the order of the page in one empty folder."""
    folder = tmp_path_factory.mktemp("user")
    _own_file(folder / "mybars.csv")
    (folder / "mine.toml").write_text(
        'name = "mine"\n[[group]]\nname = "one"\nkind = "etf"\nvenue = "ARCX"\nsymbols = ["MINE"]\nminimum_rows = 250\n'
    )
    (folder / "maps").mkdir()
    (folder / "maps" / "qqq.csv").write_text("19990310,qqq,Q\n20041130,qqq,Q\n20110322,qqqq,Q\n20501231,qqq,Q\n")
    (folder / "members.csv").write_text("ticker,start_date,end_date\nIBM,1996-01-02,\nLEHMQ,1998-01-12,2008-09-17\n")
    _labelled_sentences(folder / "phrases.txt")
    demo = (ROOT / "src" / "fieldcast" / "workflows" / "demo.toml").read_text(encoding="utf-8")
    (folder / "second.toml").write_text(re.sub(r"^l2 = .*$", "l2 = 3.0", demo, count=1, flags=re.MULTILINE), encoding="utf-8")
    guide = (ROOT / "docs" / "how-to" / "train-and-tune.md").read_text(encoding="utf-8")
    plan, search = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (folder / "plan.toml").write_text(plan, encoding="utf-8")
    one_task = re.sub(r'^\[\[tasks\]\]\nkind = "direction".*?\n\n', "", plan, flags=re.MULTILINE | re.DOTALL)
    (folder / "search.toml").write_text(one_task + search, encoding="utf-8")
    shutil.copy(ROOT / "examples" / "my_features.py", folder)
    _panel(folder / "panel.csv")
    shutil.copy(ROOT / "examples" / "my_strategy.py", folder)
    guide = (ROOT / "docs" / "how-to" / "backtest-a-strategy.md").read_text(encoding="utf-8")
    whole, *_ = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (folder / "run.toml").write_text(whole, encoding="utf-8")
    _quotes(folder / "eurusd.csv")
    return {line: _run([FIELDCAST, *shlex.split(line)[1:]], folder) for line in DOCUMENTED}


@pytest.mark.slow
def test_every_documented_command_runs(ran: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """One test: the lines build on each other, and a run in parts would run them all in each part."""
    wrong = {}
    for line, done in ran.items():
        if done.returncode != 0 or not done.stdout.strip() or "Traceback" in done.stderr:
            wrong[line] = done.stdout[-1000:] + done.stderr[-1000:]
        elif "--json" in line and not isinstance(json.loads(done.stdout), dict):
            wrong[line] = done.stdout[:1000]
    assert not wrong, "\n\n".join(f"{line}\n{said}" for line, said in wrong.items())
    assert list(ran) == list(dict.fromkeys(DOCUMENTED))
