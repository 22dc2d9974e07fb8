"""Bad files and short histories: a typed error or a quarantine with counts, nothing half-written, and a REJECT in a cycle."""

from __future__ import annotations

import gzip
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

TODAY = datetime.now(tz=UTC).date()
SPY = ("--instrument", "ARCX:SPY", "--kind", "etf")


def stored(home: Path) -> dict[str, int]:
    """Rows of the tables that an import writes, and the files of the store, published or not."""
    database = home / "fieldcast.db"
    if not database.exists():
        return {"instrument": 0, "store_file": 0, "files": 0}
    connection = sqlite3.connect(database)
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("instrument", "store_file")}
    connection.close()
    files = [path for path in (home / "data").rglob("*") if path.is_file() and path.name != ".lock"]
    return found | {"files": len(files)}


def change(frame: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    other = pl.lit(value, dtype=frame[column].dtype)
    return frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(other).otherwise(pl.col(column)).alias(column))


# refused whole ------------------------------------------------------------------------------------------------------


def _refused_files(folder: Path, bars: pl.DataFrame) -> dict[str, str]:
    """Files that no row of can be used, by name, and what the error has to name."""
    bars.drop("Close").write_csv(folder / "no_close.csv")
    bars.drop("Date").write_csv(folder / "no_date.csv")
    bars.head(0).write_csv(folder / "header_only.csv")
    (folder / "empty.csv").touch()
    (folder / "empty.parquet").touch()
    bars.write_parquet(folder / "whole.parquet")
    whole = (folder / "whole.parquet").read_bytes()
    (folder / "truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "truncated.csv.gz").write_bytes(gzip.compress(bars.write_csv().encode())[:-20])
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 8)
    bars.with_columns(Close=pl.lit("dear")).write_csv(folder / "words.csv")
    bars.with_columns(Date=pl.col("Date").cast(pl.String) + " 16:00").write_csv(folder / "no_zone.csv")
    offsets = pl.Series(["-05:00" if n % 2 else "+02:00" for n in range(bars.height)])
    mixed = bars.with_columns(Date=pl.col("Date").cast(pl.String) + "T16:00:00" + offsets)
    mixed.write_csv(folder / "mixed_zones.csv")
    bars.with_columns(Close=-pl.col("Close")).write_csv(folder / "all_negative.csv")
    to_come = pl.lit(TODAY) + pl.duration(days=30 + pl.int_range(pl.len()))
    bars.with_columns(Date=to_come).write_csv(folder / "future.csv")
    return {
        "no_close.csv": "close", "no_date.csv": "ts", "header_only.csv": "rows", "empty.csv": "empty.csv",
        "empty.parquet": "empty.parquet", "truncated.parquet": "truncated.parquet", "truncated.csv.gz": "truncated.csv.gz",
        "binary.csv": "binary.csv", "words.csv": "60 of 60", "no_zone.csv": "no_zone.csv", "mixed_zones.csv": "mixed_zones.csv",
        "all_negative.csv": "60 of 60", "future.csv": "future_stamp",
    }  # fmt: skip


def test_a_file_that_cannot_be_used_is_refused_by_name_and_leaves_nothing(run, bars, tmp_path) -> None:
    home = tmp_path / "home"
    for name, named in _refused_files(tmp_path, bars).items():
        line = run("data", "import", name, *SPY, "--home", home).refused()
        assert named in line, (name, line)
        assert stored(home) == {"instrument": 0, "store_file": 0, "files": 0}, name
        assert run("data", "ls", "--home", home, "--json").json["datasets"] == []


def test_a_refused_file_leaves_what_was_stored_before(run, bars, tmp_path) -> None:
    home = tmp_path / "home"
    bars.write_csv(tmp_path / "good.csv")
    assert run("data", "import", "good.csv", *SPY, "--home", home).code == 0
    before, listed = stored(home), run("data", "ls", "--home", home, "--json").json
    for name in _refused_files(tmp_path, bars):
        run("data", "import", name, "--instrument", "ARCX:SPY", "--tick", "0.5", "--home", home).refused()
    assert stored(home) == before
    assert run("data", "ls", "--home", home, "--json").json == listed
    assert run("data", "verify", "--home", home).code == 0


def test_an_id_keeps_its_kind_without_being_told_again_and_refuses_another(run, bars, tmp_path) -> None:
    bars.head(50).write_csv(tmp_path / "bars.csv")
    bars.write_csv(tmp_path / "longer.csv")
    home = ("--home", tmp_path / "home", "--json")
    assert run("data", "import", "bars.csv", *SPY, *home).code == 0
    for other in (("--kind", "equity"), ("--currency", "EUR"), ("--calendar", "24/7")):
        refused = run("data", "import", "longer.csv", "--instrument", "ARCX:SPY", *other, *home).refused(3)
        assert "as in the catalogue" in refused
    again = run("data", "import", "longer.csv", "--instrument", "ARCX:SPY", *home).json["tables"]["bars/1d"]
    assert (again["added"], again["unchanged"]) == (10, 50)


def test_a_calendar_that_is_not_known_is_refused(run, bars, tmp_path) -> None:
    bars.write_csv(tmp_path / "bars.csv")
    assert "MOON" in run("data", "import", "bars.csv", *SPY, "--calendar", "MOON", "--home", tmp_path / "home").refused()
    assert stored(tmp_path / "home")["instrument"] == 0


def test_a_dry_run_says_the_same_and_writes_nothing(run, bars, tmp_path) -> None:
    change(bars, 7, "Close", -1.0).write_csv(tmp_path / "bars.csv")
    dry = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--dry-run", "--json").json
    assert stored(tmp_path / "home") == {"instrument": 0, "store_file": 0, "files": 0}
    real = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--json").json
    assert dry["files"] == real["files"]
    assert dry["tables"] == real["tables"]
    assert real["tables"]["bars/1d"] == {"rows_kept": 59, "added": 59, "restated": 0, "unchanged": 0}


# quarantined rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Close", float("nan"), "price_missing"),
        ("Close", None, "price_missing"),
        ("Close", 0.0, "price_not_positive"),
        ("Open", -3.0, "price_not_positive"),
        ("High", 1.0, "high_below_low"),
        ("Date", date(2018, 11, 22), "not_a_session"),
    ],
)
def test_a_bad_row_is_set_aside_and_counted(run, bars, tmp_path, column, value, reason) -> None:
    change(bars, 30, column, value).write_csv(tmp_path / "bars.csv")
    found = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--json").json
    (file,) = found["files"]
    assert (file["rows_read"], file["rows_kept"], found["tables"]["bars/1d"]["added"]) == (60, 59, 59)
    assert file["removed"] == {reason: 1}
    (row,) = file["quarantine"]
    assert (row["row"], row["reason"], row["table"]) == (30, reason, "bars/1d")
    checked = run("data", "check", "ARCX:SPY", "--home", tmp_path / "home", "--json").json
    assert checked["completeness"] == pytest.approx(100 * 59 / 60)


def test_unsorted_rows_are_sorted_and_counted(run, bars, tmp_path) -> None:
    bars.reverse().write_csv(tmp_path / "bars.csv")
    found = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--json").json
    assert found["tables"]["bars/1d"]["added"] == 60
    assert any("59 rows stood before an earlier one" in note for note in found["files"][0]["notes"])
    shown = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "other")
    assert "59 rows stood before an earlier one" in shown.out


def test_a_stamp_that_occurs_twice_with_two_prices_is_set_aside(run, bars, tmp_path) -> None:
    other = bars.slice(10, 1).with_columns(Close=pl.col("Close") + 0.5)
    pl.concat([bars, other]).write_csv(tmp_path / "bars.csv")
    found = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--json").json
    assert found["files"][0]["removed"] == {"duplicate_stamp": 2}
    assert found["tables"]["bars/1d"]["added"] == 59


def test_a_row_of_a_day_that_has_not_come_is_set_aside(run, bars, tmp_path) -> None:
    change(bars, 59, "Date", TODAY + timedelta(days=400)).write_csv(tmp_path / "bars.csv")
    found = run("data", "import", "bars.csv", *SPY, "--home", tmp_path / "home", "--json").json
    assert found["files"][0]["removed"] == {"future_stamp": 1}
    assert found["tables"]["bars/1d"]["added"] == 59


# fifty rows ---------------------------------------------------------------------------------------------------------


def test_fifty_rows_are_stored_but_nothing_is_projected_and_the_cycle_rejects(run, bars, experiment, tmp_path) -> None:
    bars.head(50).write_csv(tmp_path / "bars.csv")
    home, how = ("--home", tmp_path / "home"), ("--experiment", experiment)
    assert run("data", "import", "bars.csv", *SPY, *home, "--json").json["tables"]["bars/1d"]["added"] == 50
    for verb in ("validate", "project"):
        refused = run(verb, "ARCX:SPY", *how, *home)
        assert refused.code == 2
        assert "expected at least" in refused.err.splitlines()[-1]
        assert "found 50" in refused.err.splitlines()[-1]
    moment = "2018-11-13T21:30+00:00"
    decided = run("cycle", "run", "ARCX:SPY", "--paper", "--as-of", moment, *how, *home, "--json").json
    (decision,) = decided["decisions"]
    assert decision["action"] == "REJECT"
    assert "short_history" in decision["reasons"]
    assert decision["current_position"] == decision["target_position"]
    shown = run("cycle", "run", "ARCX:SPY", "--paper", "--as-of", moment, *how, *home)
    assert shown.code == 0
    assert "REJECT" in shown.out
    assert "short_history" in shown.out.replace("\n", " ")
    assert run("audit", "verify", *home).code == 0


def test_a_history_too_short_for_a_gate_is_projected_and_rejected_with_its_reason(run, experiment, tmp_path) -> None:
    from fieldcast.data import SimulatedMarket, save_instrument, simulate
    from fieldcast.ground import load_settings
    from fieldcast.workflows import open_workspace

    made = simulate(SimulatedMarket(seed=5, kind="planted", n_sessions=420, last=date(2018, 12, 31)))
    with open_workspace(settings=load_settings(home=tmp_path / "home", workers=1)) as workspace:
        save_instrument(workspace.ledger, made.instrument)
        workspace.store.append(made.bars, made.lineage)
    home, how = ("--home", tmp_path / "home"), ("--experiment", experiment)
    judged = run("validate", "SIM:PLANTED", *how, *home, "--report", tmp_path / "report.html", "--json").json
    (part,) = judged["instruments"]
    assert part["gate"]["outcome"] == "NOT_ASKED"
    assert "at least 252 sessions" in part["gate"]["text"]
    assert part["gate"]["estimate"] is None
    assert "252 sessions" in (tmp_path / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "NOT_ASKED" in run("validate", "SIM:PLANTED", *how, *home).out
    decided = run("cycle", "run", "SIM:PLANTED", "--paper", "--as-of", part["packet"]["as_of"], *how, *home, "--json").json
    (decision,) = decided["decisions"]
    assert decision["target_position"] == decision["current_position"]
    assert {"gate_missing", "short_history", "simulated"} <= set(decision["reasons"]) or decision["action"] == "HOLD"
    assert "short_history" in decision["reasons"]
