"""Every verb: help, JSON, and one clear line with exit code 2 for wrong use."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from fieldcast import __version__
from fieldcast.ledger import AuditTrail

FIELDCAST = str(Path(sysconfig.get_path("scripts")) / "fieldcast")
PLANTED = "SIM:PLANTED"
VERBS = (
    *("version", "demo", "doctor", "fields", "validate", "project", "promote-check", "tiers", "agents"),
    *("data import", "data formats", "data ls", "data show", "data check", "data verify", "data compact"),
    *("data repair", "data universe", "data simulate", "data tickers", "data members"),
    *("data score", "train headline", "train odds", "train regime", "tune"),
    *("cycle run", "audit verify"),
    *("leaks", "ablate", "research"),
    *("backtest", "sweep", "wfo", "compare", "idea"),
    *("costs recalibrate", "costs show", "costs restore"),
    *("seal add", "seal register", "seal open", "seal look", "seal ls"),
    *("models ls", "models show", "models register", "models promote", "models rollback"),
    *("models predict", "models drift", "models triggers"),
    *("watch run", "watch show"),
    *("models report",),
)


def _leaves() -> set[str]:
    from typer.main import get_command

    from fieldcast.cli._app import app

    def walk(command: Any, words: tuple[str, ...]) -> set[str]:
        children = getattr(command, "commands", None)
        if children is None:
            return {" ".join(words)}
        return set().union(*(walk(child, (*words, name)) for name, child in children.items()))

    return walk(get_command(app), ())


def test_these_are_the_verbs() -> None:
    assert _leaves() == set(VERBS)


@pytest.mark.parametrize("verb", [*VERBS, "", "data", "train", "cycle", "audit", "seal", "models", "watch", "costs"])
def test_help_says_what_a_verb_does(run, verb) -> None:
    shown = run(*verb.split(), "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert f"Usage: fieldcast {verb}".strip() in shown.out
    if verb in VERBS and verb != "version":
        assert "--json" in shown.out


def test_help_loads_nothing_heavy() -> None:
    traced = subprocess.run(
        [FIELDCAST, "--help"], check=True, capture_output=True, text=True, env={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in traced.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"polars", "numpy", "pandas", "scipy", "sklearn", "numba", "lightgbm", "sqlalchemy", "plotly"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nonsense",), "nonsense"),
        (("data", "nonsense"), "nonsense"),
        (("demo", "--rows", "many"), "--rows"),
        (("demo", "--rows", "59"), "--rows"),
        (("demo", "--fast"), "--fast"),
        (("demo", "--experiment", "none.toml"), "none.toml"),
        (("fields",), "instrument"),
        (("fields", "SIM:NONE"), "SIM:NONE"),
        (("validate",), "instruments"),
        (("validate", "SIM:NONE"), "SIM:NONE"),
        (("project", PLANTED, "--as-of", "yesterday"), "yesterday"),
        (("project", PLANTED, "--as-of", "2018-12-31T21:30"), "2018-12-31T21:30Z"),
        (("data", "import"), "files"),
        (("data", "import", "none.csv"), "none.csv"),
        (("data", "import", "none.csv", "--instrument", "ARCX:SPY"), "none.csv"),
        (("data", "import", "none.csv", "--instrument", "ARCX:SPY", "--kind", "wine"), "wine"),
        (("data", "import", "none.csv", "--instrument", "ARCX:SPY", "--tick", "small"), "small"),
        (("data", "import", "none.csv", "--instrument", "ARCX:SPY", "--columns", "ts"), "ts"),
        (("data", "check", "SIM:NONE"), "SIM:NONE"),
        (("data", "score"), "--source"),
        (("data", "score", "SIM:NONE"), "SIM:NONE"),
        (("train", "headline"), "file"),
        (("train", "headline", "none.txt"), "none.txt"),
        (("train", "headline", "none.txt", "--folds", "1"), "--folds"),
        (("train", "odds"), "plan"),
        (("train", "odds", "none.toml", "SIM:NONE"), "none.toml"),
        (("tune", "none.toml", "SIM:NONE"), "none.toml"),
        (("train", "regime"), "instrument"),
        (("train", "regime", "SIM:NONE"), "SIM:NONE"),
        (("leaks",), "code"),
        (("leaks", "none.py"), "none.py"),
        (("leaks", "none.py", "--rows", "10"), "--rows"),
        (("ablate", "SIM:NONE"), "SIM:NONE"),
        (("research", "factor"), "panel"),
        (("research", "factor", "--panel", "none.csv"), "none.csv"),
        (("cycle", "run", PLANTED), "--paper"),
        (("cycle", "run", "SIM:NONE", "--paper"), "SIM:NONE"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(run, arguments, named) -> None:
    assert named in run(*arguments).refused()


def test_a_home_that_cannot_be_made_is_named(run, tmp_path) -> None:
    (tmp_path / "file").touch()
    assert "file" in run("data", "ls", "--home", tmp_path / "file" / "home").refused()


def test_a_bad_setting_stops_every_verb_with_its_key(run, monkeypatch) -> None:
    monkeypatch.setenv("FIELDCAST_WORKERS", "several")
    for verb in (("data", "ls"), ("doctor",), ("demo",), ("cycle", "run", PLANTED, "--paper")):
        assert "workers" in run(*verb).refused().lower()


def test_every_verb_prints_one_json_object(run, home, experiment, bars, tmp_path) -> None:
    bars.write_csv(tmp_path / "bars.csv")
    place, how = ("--home", home, "--json"), ("--experiment", experiment)
    added = run("data", "import", "bars.csv", "--instrument", "ARCX:SPY", "--kind", "etf", *place).json
    assert added["tables"]["bars/1d"] == {"rows_kept": 60, "added": 60, "restated": 0, "unchanged": 0}
    assert {row["instrument"] for row in run("data", "ls", *place).json["datasets"]} == {PLANTED, "ARCX:SPY"}
    assert run("data", "check", "ARCX:SPY", *place).json["completeness"] == 100.0
    assert run("data", "verify", *place).json["ok"] is True
    assert run("fields", PLANTED, *place).json["instrument"] == PLANTED
    judged = run("validate", PLANTED, *how, *place).json
    assert judged["trials"] == 3
    gate = judged["instruments"][0]["gate"]
    assert gate["outcome"] in gate["text"]
    packet = run("project", PLANTED, *how, *place).json
    assert packet == judged["instruments"][0]["packet"]
    sure = run("tiers", PLANTED, *how, *place).json
    assert (sure["as_of"], sure["simulated"]) == (packet["as_of"].replace("Z", "+00:00"), True)
    views = {row["name"]: row for row in run("agents", PLANTED, *how, *place).json["agents"]}
    mean = next(item["mean_bps"] for item in packet["horizons"] if item["horizon"] == "1d")
    assert views["projection"]["mu_bps"] == pytest.approx(mean)
    decided = run("cycle", "run", PLANTED, "--paper", "--as-of", packet["as_of"], *how, *place).json
    assert [item["instrument"] for item in decided["decisions"]] == [PLANTED]
    audit = run("audit", "verify", *place).json
    assert (audit["ok"], audit["entries"], audit["problems"]) == (True, 2, [])
    doctor = run("doctor", *place)
    assert {check["name"] for check in doctor.json["checks"]} >= {"python", "libgomp"}
    assert run("version").out.strip() == __version__


def test_text_says_the_same_and_a_report_is_written(run, home, experiment, tmp_path) -> None:
    judged = run("validate", PLANTED, "--experiment", experiment, "--report", tmp_path / "report.html", "--home", home)
    assert judged.code == 0
    assert f"{PLANTED} [SIMULATED]" in judged.out
    assert "3 trials on record" in judged.out
    page = (tmp_path / "report.html").read_text()
    assert PLANTED in page
    assert "SIMULATED" in page
    shown = run("project", PLANTED, "--experiment", experiment, "--home", home)
    assert shown.code == 0
    assert f"{PLANTED} as of 2018-12-31" in shown.out
    for verb in ("data ls", f"data check {PLANTED}", "data verify", f"fields {PLANTED}", "audit verify", "doctor"):
        assert run(*verb.split(), "--home", home).code == 0


# damage -------------------------------------------------------------------------------------------------------------


def test_data_verify_names_a_damaged_file_and_ends_with_1(run, home) -> None:
    assert run("data", "verify", "--home", home).code == 0
    file = sorted((home / "data" / "bars").rglob("*.parquet"))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    shown = run("data", "verify", "--home", home)
    assert shown.code == 1
    assert file.name in shown.out.replace("\n", "")
    told = run("data", "verify", "--home", home, "--json")
    assert told.code == 1
    assert [Path(problem["path"]).name for problem in told.json["problems"]] == [file.name]
    file.unlink()
    assert run("data", "verify", "--home", home).code == 1


def test_audit_verify_sees_an_edited_line_and_ends_with_1(run, home) -> None:
    from fieldcast.ground import load_settings
    from fieldcast.ledger import AuditRecord
    from fieldcast.workflows import open_workspace

    with open_workspace(settings=load_settings(home=home)) as workspace:
        for n in range(3):
            with workspace.ledger.begin(label="test") as session:
                AuditTrail.append(session, AuditRecord(f"c{n}", PLANTED, workspace.clock.now(), "HOLD"))
    assert run("audit", "verify", "--home", home).code == 0
    twin = home / "audit.jsonl"
    lines = twin.read_text().splitlines(keepends=True)
    twin.write_text("".join([lines[0], lines[1].replace("SIM:PLANTED", "SIM:PLANTEN"), lines[2]]))
    shown = run("audit", "verify", "--home", home)
    assert shown.code == 1
    assert "DAMAGED" in shown.out
    told = run("audit", "verify", "--home", home, "--json")
    assert told.code == 1
    assert {(problem["place"], problem["sequence"]) for problem in told.json["problems"]} == {("twin", 2)}
