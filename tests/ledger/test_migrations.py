"""Migrations: numbered without gaps, whole or not at all, safe when several processes start at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from fieldcast.ledger import _migrate, open_database
from fieldcast.ledger._engine import build_engine


def test_file_names_tell_what_alembic_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(_migrate.MIGRATIONS))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(known)) == _migrate.versions()
    assert _migrate.versions() == tuple(f"{n:04}" for n in range(1, len(known) + 1))


def test_an_upgrade_that_fails_half_way_leaves_the_older_version_whole(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build_engine(empty_url)
    run = _migrate._run_alembic

    def run_then_fail(connection: object, target: str) -> None:
        run(connection, target)  # type: ignore[arg-type]
        raise OSError("the disk is full")

    monkeypatch.setattr(_migrate, "_run_alembic", run_then_fail)
    with pytest.raises(OSError, match="disk is full"):
        _migrate.upgrade(engine)
    assert inspect(engine).get_table_names() == []
    monkeypatch.undo()
    assert _migrate.upgrade(engine)
    assert _migrate.current(engine) == _migrate.newest()
    assert not _migrate.upgrade(engine)
    engine.dispose()


@pytest.mark.slow
def test_processes_that_start_at_once_create_one_ledger(empty_url: str, folder: Path) -> None:
    program = (
        "from pathlib import Path; from fieldcast.ledger import open_database\n"
        f"open_database({empty_url!r}, Path({str(folder)!r}))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(3)
    ]
    errors = [child.communicate()[1] for child in children]
    assert errors == ["", "", ""]
    with open_database(empty_url, folder) as db, db.read() as session:
        assert session.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_a_path_with_a_percent_sign_is_no_trouble(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path / '100%' / 'ledger.db'}", tmp_path / "100%") as db, db.read() as session:
        assert session.execute(text("SELECT count(*) FROM audit_log")).scalar() == 0
