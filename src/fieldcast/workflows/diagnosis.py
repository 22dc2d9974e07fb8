"""Is this machine ready? Each check says what it found and, where it failed, the one thing to do."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fieldcast.ground import Settings, Shown

KILL_CORRELATION = 0.5          # of returns across instruments; `fieldcast watch show` takes it from the recorded sessions


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` is empty where nothing is to be done."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis(Shown):
    """All findings of `doctor`."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        return {"ok": self.ok, "checks": [vars(check) for check in self.checks]}


def doctor(settings: Settings) -> Diagnosis:
    """Look at Python, the system's OpenMP library, the core's packages, the home folder and the ledger.

    The last line tells how often the watch's kill rules kill a calibrated forecaster of the user's universe by chance.
    """
    return Diagnosis((_openmp(), _python(), *_packages(), _home(settings.home), _ledger(settings), _kill_rules(settings)))


def _openmp() -> Check:
    """LightGBM's wheel does not bring libgomp, and a minimal Debian does not have it."""
    try:
        ctypes.CDLL("libgomp.so.1" if sys.platform.startswith("linux") else "libomp.dylib")
    except OSError:
        remedy = "apt-get install -y libgomp1" if sys.platform.startswith("linux") else "brew install libomp"
        return Check("libgomp", ok=False, found="not on this machine; LightGBM cannot load", remedy=remedy)
    return Check("libgomp", ok=True, found="present")


def _python() -> Check:
    return Check("python", ok=sys.version_info >= (3, 11), found=platform.python_version(), remedy="" if
                 sys.version_info >= (3, 11) else "install Python 3.11 or later")


def _packages() -> list[Check]:
    checks = []
    for name in ("polars", "numba", "lightgbm", "arch", "scikit-learn", "sqlalchemy", "exchange_calendars"):
        try:
            checks.append(Check(name, ok=True, found=metadata.version(name)))
        except metadata.PackageNotFoundError:
            checks.append(Check(name, ok=False, found="not installed", remedy=f"pip install {name}"))
    return checks


def _home(home: Path) -> Check:
    folder = next(place for place in (home.absolute(), *home.absolute().parents) if place.exists())
    writable = os.access(folder, os.W_OK)
    return Check("home", ok=writable, found=f"{home.absolute()} is {'' if writable else 'not '}writable",
                 remedy="" if writable else "set FIELDCAST_HOME to a folder that you may write to")


def _ledger(settings: Settings) -> Check:
    """Only looks: a ledger that is not there yet is made on first use."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(settings.database_url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return Check("ledger", ok=True, found=f"{shown} will be made on first use")
    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            connection.execute(text("select count(*) from sqlite_master" if url.get_backend_name() == "sqlite" else "select 1"))
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        return Check("ledger", ok=False, found=f"{shown} does not answer ({type(error).__name__})",
                     remedy="start the database or unset FIELDCAST_LEDGER_URL to use the SQLite default")
    return Check("ledger", ok=True, found=f"{shown} answers")


def _kill_rules(settings: Settings) -> Check:
    """False-kill rates of the watch for the user's universe: what is watched, else what is tradable in the ledger, else one."""
    from fieldcast.validation.false_kills import false_kills

    size, which = _universe(settings)
    found = false_kills(size, correlation=KILL_CORRELATION, runs=max(100, min(400, 6000 // size)))
    text = (
        f"of {found.sessions}-session runs of a calibrated forecaster of AUC {found.auc:g} on {size} instrument(s) ({which}; "
        f"correlation {KILL_CORRELATION:g} assumed; simulated), the named rules kill {found.any_named}, the sequential test "
        f"{found.rules['sequential']}, at most 5 % by proof"
    )
    return Check("kill rules", ok=True, found=text)


def _universe(settings: Settings) -> tuple[int, str]:
    """How many instruments, and where that was found; only looks."""
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return 1, "no ledger yet"
    asked = (
        ("paper_packet", "SELECT count(DISTINCT instrument) FROM paper_packet", "watched"),
        ("instrument", "SELECT count(*) FROM instrument WHERE tradable", "tradable in the ledger"),
    )
    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            there = set(inspect(connection).get_table_names())
            for table, query, which in asked:
                size = int(connection.execute(text(query)).scalar() or 0) if table in there else 0
                if size:
                    return size, which
    except (SQLAlchemyError, ImportError) as error:
        return 1, f"the ledger does not answer ({type(error).__name__})"
    finally:
        engine.dispose()
    return 1, "nothing in the ledger yet"
