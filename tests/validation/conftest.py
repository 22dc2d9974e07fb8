"""A ledger on both dialects for the tests of what is sealed and registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldcast.ledger import Database, open_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_database(url, tmp_path) as opened:
        yield opened
