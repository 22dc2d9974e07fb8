"""A workspace is one folder with its store and its ledger; every workflow works in one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fieldcast.data import ParquetStore, Store
from fieldcast.ground import Clock, ConfigError, Settings, SystemClock, load_settings
from fieldcast.ledger import Database, open_database


@dataclass(frozen=True)
class Workspace:
    """Store, ledger, clock and settings that belong together."""

    settings: Settings
    store: Store
    ledger: Database
    clock: Clock

    @property
    def home(self) -> Path:
        return self.settings.home

    def close(self) -> None:
        self.ledger.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_workspace(home: Path | str | None = None, *, settings: Settings | None = None, clock: Clock | None = None) -> Workspace:
    """Open (or make) the workspace in `home`.

    Raises
    ------
    ConfigError : a setting is bad, or the folder cannot be made or written
    """
    if settings is None:
        settings = load_settings() if home is None else load_settings(home=Path(home))
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"expected a folder that can be made at {settings.home}, found: {error.strerror}") from None
    if not os.access(settings.home, os.W_OK):
        raise ConfigError(f"expected {settings.home} to be writable; choose another home")
    ledger = open_database(settings.database_url, settings.home)
    clock = clock or SystemClock()
    return Workspace(settings, ParquetStore(settings.store_url or settings.data_dir, ledger, clock), ledger, clock)
