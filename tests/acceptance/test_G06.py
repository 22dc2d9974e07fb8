"""G06: Hash-chained audit with a head anchored outside the database

Done when: "1,000 random edits, deletes, swaps, truncations and forks are all detected, 1,000 of 1,000"

The attacker opens the database file directly, drops the triggers and changes it at random places. A fork is the worst
case: from some entry on the log is rewritten with a valid chain of its own, of the same or another length. In half of
the attacks one of the two files beside the database is made to agree with it: the twin is written anew from the forged
log, or the anchor is moved to the forged head. Only an attacker who forges both files at once is outside what a machine
can see in itself; for that a copy of the anchor's line is kept elsewhere.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fieldcast.ledger import AuditRecord, AuditTrail, open_database, verify
from fieldcast.ledger._chain import EMPTY, Entry, Head, entry_hash
from fieldcast.ledger.types import EPOCH

pytestmark = pytest.mark.feature("G06")
OPEN_PARTS: tuple[str, ...] = ()

ENTRIES = 24
ATTACKS = 1000
SEED = 20181231
TEXTS = ("cycle_id", "entry_type", "record", "previous_hash", "hash")
TRIGGERS = ("audit_log_no_update", "audit_log_no_delete", "audit_log_chain")
START = datetime(2018, 10, 1, 20, 30, tzinfo=UTC)

COLUMNS = "sequence, cycle_id, entry_type, record, recorded_at, previous_hash, hash"
ROWS = f"SELECT {COLUMNS} FROM audit_log ORDER BY sequence"

Row = tuple[Any, ...]
Attack = Callable[[sqlite3.Connection, random.Random], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with 24 audited decisions, in order."""
    home = tmp_path_factory.mktemp("original")
    with open_database(f"sqlite:///{home / 'ledger.db'}", home) as db:
        for n in range(ENTRIES // 2):
            with db.begin(label="decide") as session:
                for symbol in ("XNAS:COMP", "XCBO:SPX"):
                    at = START + timedelta(days=n)
                    AuditTrail.append(
                        session,
                        AuditRecord(
                            cycle_id=f"cycle-{n}",
                            symbol=symbol,
                            timestamp=at,
                            final_decision=("BUY", "HOLD", "SELL")[n % 3],
                            position_size=Decimal(n) / 4,
                            reason_codes=("gate_passed",),
                            mu_hat=0.1 * n,
                        ),
                    )
        report = verify(db, home)
        assert report.ok
        assert report.entries == report.lines == report.anchor == ENTRIES
    return home


# what the attacker does to the database -----------------------------------------------------------------------------


def edit(connection: sqlite3.Connection, chance: random.Random) -> None:
    """One character of one text, or one microsecond."""
    sequence = chance.randint(1, ENTRIES)
    column = chance.choice([*TEXTS, "recorded_at"])
    (value,) = connection.execute(f"SELECT {column} FROM audit_log WHERE sequence = ?", (sequence,)).fetchone()
    if isinstance(value, int):
        changed: object = value + chance.choice([-1, 1]) * chance.randint(1, 10**12)
    else:
        at = chance.randrange(len(value))
        other = chance.choice([character for character in "0123456789abcdef{}\"" if character != value[at]])
        changed = value[:at] + other + value[at + 1 :]
    connection.execute(f"UPDATE audit_log SET {column} = ? WHERE sequence = ?", (changed, sequence))


def delete(connection: sqlite3.Connection, chance: random.Random) -> None:
    """One to five entries from anywhere, the gap sometimes closed by renumbering what follows."""
    gone = sorted(chance.sample(range(1, ENTRIES), chance.randint(1, 5)))
    for sequence in gone:
        connection.execute("DELETE FROM audit_log WHERE sequence = ?", (sequence,))
    if chance.random() < 0.5:
        left = [row[0] for row in connection.execute("SELECT sequence FROM audit_log ORDER BY sequence")]
        for new, old in enumerate(left, start=1):
            connection.execute("UPDATE audit_log SET sequence = ? WHERE sequence = ?", (new, old))


def swap(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Two entries change places: whole, or their records alone."""
    first, second = chance.sample(range(1, ENTRIES + 1), 2)
    if chance.random() < 0.5:
        for old, new in ((first, -1), (second, first), (-1, second)):
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("UPDATE audit_log SET sequence = ? WHERE sequence = ?", (new, old))
        return
    records = [
        connection.execute("SELECT record FROM audit_log WHERE sequence = ?", (sequence,)).fetchone()[0]
        for sequence in (first, second)
    ]
    for sequence, record in zip((second, first), records, strict=True):
        connection.execute("UPDATE audit_log SET record = ? WHERE sequence = ?", (record, sequence))


def truncate(connection: sqlite3.Connection, chance: random.Random) -> None:
    """The end is cut off: what is left is a valid chain."""
    connection.execute("DELETE FROM audit_log WHERE sequence > ?", (chance.randint(0, ENTRIES - 1),))


def fork(connection: sqlite3.Connection, chance: random.Random) -> None:
    """From some entry on another history, chained correctly; as long as the true one, shorter, or longer."""
    start = chance.randint(1, ENTRIES)
    length = max(start, ENTRIES + chance.choice([-3, -1, 0, 0, 0, 1, 5]))
    head = EMPTY
    if start > 1:
        row = connection.execute("SELECT hash FROM audit_log WHERE sequence = ?", (start - 1,)).fetchone()
        head = Head(start - 1, row[0])
    template = connection.execute(
        "SELECT cycle_id, entry_type, record, recorded_at FROM audit_log WHERE sequence = ?", (start,)
    ).fetchone()
    connection.execute("DELETE FROM audit_log WHERE sequence >= ?", (start,))
    for n in range(start, length + 1):
        cycle_id, entry_type, record, recorded_at = template
        record = record.replace('"final_decision":"', f'"final_decision":"FORGED{chance.randint(0, 9)}')
        moment = EPOCH + timedelta(microseconds=recorded_at)
        own = entry_hash(n, cycle_id, entry_type, record, moment, head.hash)
        connection.execute(
            f"INSERT INTO audit_log ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (n, cycle_id, entry_type, record, recorded_at, head.hash, own),
        )
        head = Head(n, own)


ATTACKERS: tuple[Attack, ...] = (edit, delete, swap, truncate, fork)


# what the attacker does to the files, so that they agree with the changed database ----------------------------------


def leave(home: Path, rows: list[Row]) -> None:
    """The files stay as they were."""


def forge_twin(home: Path, rows: list[Row]) -> None:
    """The twin is written anew from the changed log."""
    lines = [
        Entry(sequence, cycle_id, entry_type, record, EPOCH + timedelta(microseconds=at), previous, own).line()
        for sequence, cycle_id, entry_type, record, at, previous, own in rows
    ]
    (home / "audit.jsonl").write_bytes(b"".join(lines))


def forge_anchor(home: Path, rows: list[Row]) -> None:
    """The anchor is moved to the head of the changed log."""
    sequence, own = (rows[-1][0], rows[-1][6]) if rows else (0, "0" * 64)
    (home / "audit.anchor").write_text(f'{{"hash":"{own}","sequence":{sequence}}}\n')


COVERS = (leave, leave, forge_twin, forge_anchor)


def test_a_thousand_random_attacks_are_all_detected(original: Path, tmp_path: Path) -> None:
    home = tmp_path / "attacked"
    shutil.copytree(original, home)
    files = {home / name: (home / name).read_bytes() for name in ("audit.jsonl", "audit.anchor")}
    attacker = sqlite3.connect(home / "ledger.db", isolation_level=None)
    attacker.execute("PRAGMA synchronous = OFF")
    for trigger in TRIGGERS:
        attacker.execute(f"DROP TRIGGER {trigger}")
    true_rows = attacker.execute(ROWS).fetchall()
    assert len(true_rows) == ENTRIES

    chance = random.Random(SEED)
    tried: Counter[str] = Counter()
    detected: Counter[str] = Counter()
    with open_database(f"sqlite:///{home / 'ledger.db'}", None) as db:
        for number in range(ATTACKS):
            restore(attacker, true_rows)
            for path, content in files.items():
                path.write_bytes(content)
            if number % 100 == 0:
                assert verify(db, home).ok  # what was restored is the untouched trail
            attack = ATTACKERS[number % len(ATTACKERS)]
            cover = chance.choice(COVERS)
            attacker.execute("BEGIN")
            attack(attacker, chance)
            attacker.execute("COMMIT")
            cover(home, attacker.execute(ROWS).fetchall())
            name = f"{attack.__name__}, {cover.__name__}"
            tried[name] += 1
            detected[name] += not verify(db, home).ok
    attacker.close()
    assert tried.total() == ATTACKS == 1000
    assert len(tried) == len(ATTACKERS) * len(set(COVERS))
    assert detected == tried, f"undetected: {tried - detected}"
    assert detected.total() == 1000


def restore(connection: sqlite3.Connection, rows: list[Row]) -> None:
    """Put the true log back."""
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    connection.execute("BEGIN")
    connection.execute("DELETE FROM audit_log")
    connection.executemany(f"INSERT INTO audit_log ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")


def test_two_hundred_random_attacks_on_the_twin_alone_are_detected(original: Path, tmp_path: Path) -> None:
    home = tmp_path / "ledger"
    shutil.copytree(original, home)
    true_lines = (original / "audit.jsonl").read_bytes().splitlines(keepends=True)
    chance = random.Random(SEED + 1)
    with open_database(f"sqlite:///{home / 'ledger.db'}", None) as db:
        for number in range(200):
            lines = list(true_lines)
            first, second = chance.sample(range(ENTRIES), 2)
            match number % 5:
                case 0:  # one byte of a line
                    at = chance.randrange(len(lines[first]))
                    other = chance.choice([byte for byte in b"0123456789abcdef{}\n" if byte != lines[first][at]])
                    lines[first] = lines[first][:at] + bytes([other]) + lines[first][at + 1 :]
                case 1:
                    del lines[first]
                case 2:
                    lines[first], lines[second] = lines[second], lines[first]
                case 3:  # cut off after a whole line
                    lines = lines[:first]
                case 4:  # cut off within a line
                    lines[first:] = [lines[first][: chance.randrange(1, len(lines[first]))]]
            (home / "audit.jsonl").write_bytes(b"".join(lines))
            assert not verify(db, home).ok, number
        (home / "audit.jsonl").write_bytes(b"".join(true_lines))
        assert verify(db, home).ok


def test_the_untouched_ledger_passes_the_same_check(original: Path, tmp_path: Path) -> None:
    """The other half of the claim: the check that refuses a thousand forgeries accepts what was written."""
    home = tmp_path / "copy"
    shutil.copytree(original, home)
    with open_database(f"sqlite:///{home / 'ledger.db'}", None) as db:
        assert verify(db, home).ok


def test_a_database_ahead_of_its_anchor_is_accepted_and_one_behind_it_never(original: Path, tmp_path: Path) -> None:
    home = tmp_path / "ledger"
    shutil.copytree(original, home)
    lines = (original / "audit.jsonl").read_bytes().splitlines(keepends=True)
    attacker = sqlite3.connect(home / "ledger.db", isolation_level=None)
    for trigger in TRIGGERS:
        attacker.execute(f"DROP TRIGGER {trigger}")
    rows = attacker.execute(ROWS).fetchall()
    with open_database(f"sqlite:///{home / 'ledger.db'}", None) as db:
        for anchored in range(ENTRIES + 1):
            restore(attacker, rows)
            forge_anchor(home, rows[:anchored])
            (home / "audit.jsonl").write_bytes(b"".join(lines[:anchored]))  # a crash between commit and twin
            assert verify(db, home).ok
            if anchored:
                attacker.execute("DELETE FROM audit_log WHERE sequence >= ?", (anchored,))
                assert not verify(db, home).ok
                (home / "audit.jsonl").write_bytes(b"".join(lines[: anchored - 1]))  # and the twin cut like it
                assert not verify(db, home).ok
    attacker.close()


@pytest.mark.server
@pytest.mark.parametrize("attack", ["edit", "delete", "swap", "truncate"])
def test_postgresql_logs_are_held_to_the_same_check(postgres_url: str, tmp_path: Path, attack: str) -> None:
    from sqlalchemy import text

    at = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)
    with open_database(postgres_url, tmp_path) as db:
        with db.begin() as session:
            for n in range(6):
                AuditTrail.append(session, AuditRecord(f"cycle-{n}", "XNAS:COMP", at, "HOLD"))
        assert verify(db, tmp_path).ok
        statement = {
            "edit": "UPDATE audit_log SET recorded_at = recorded_at + interval '1 microsecond' WHERE sequence = 3",
            "delete": "DELETE FROM audit_log WHERE sequence = 3",
            "swap": "UPDATE audit_log a SET record = b.record, cycle_id = b.cycle_id FROM audit_log b "
            "WHERE (a.sequence, b.sequence) IN ((2, 5), (5, 2))",
            "truncate": "DELETE FROM audit_log WHERE sequence > 4",
        }[attack]
        with db.begin() as session:
            session.execute(text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
            session.execute(text(statement))
        assert not verify(db, tmp_path).ok
