"""How the store's files are named: which rows a file holds can be read off its path.

    <table>/<dataset>/<year>-g<generation>-<hash>.parquet                       daily tables
    <table>/<dataset>/<instrument>/<year>-g<generation>-<hash>.parquet          intraday tables
    <table>/<dataset>/<instrument>/<yyyy-mm-dd>-g<generation>-<hash>.parquet    their segments, one UTC day each

The instrument is percent-encoded, the hash is the first 16 digits of the SHA-256 of the file's bytes, years and days are
those of `ts` in UTC. A file never changes: a newer generation of the same *unit* (its path up to `-g`) replaces it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fieldcast.market import TABLES, Layout, file_name, from_file_name

_NAME = re.compile(r"(?P<period>\d{4}(-\d{2}-\d{2})?)-g(?P<generation>\d+)-(?P<prefix>[0-9a-f]{16})\.parquet")


@dataclass(frozen=True, order=True)
class Unit:
    """What one file holds: a year or a day of a dataset, or of one of its instruments.

    Parameters
    ----------
    instrument : its id; empty for a daily table, whose files hold many
    period : `2024`, or `2024-01-31` for a segment
    """

    table: str
    dataset: str
    instrument: str
    period: str

    @property
    def folder(self) -> str:
        place = f"{self.table}/{self.dataset}"
        return f"{place}/{file_name(self.instrument)}" if self.instrument else place

    @property
    def text(self) -> str:
        """The path up to the generation."""
        return f"{self.folder}/{self.period}"

    @property
    def year(self) -> int:
        return int(self.period[:4])

    @property
    def is_segment(self) -> bool:
        return len(self.period) > 4

    def path(self, generation: int, sha256: str) -> str:
        return f"{self.text}-g{generation}-{sha256[:16]}.parquet"


def parse_path(path: str) -> tuple[Unit, int, str] | None:
    """(unit, generation, hash prefix) of a path of the store; None for any other path."""
    folder, _, name = path.rpartition("/")
    match = _NAME.fullmatch(name)
    for table in TABLES.values():
        rest = folder.removeprefix(table.name + "/")
        if match is None or rest == folder:
            continue
        parts = rest.split("/")
        if table.layout is Layout.DAILY and len(parts) == 1 and len(match["period"]) == 4:
            return Unit(table.name, parts[0], "", match["period"]), int(match["generation"]), match["prefix"]
        if table.layout is Layout.INTRADAY and len(parts) == 2:
            unit = Unit(table.name, parts[0], from_file_name(parts[1]), match["period"])
            return unit, int(match["generation"]), match["prefix"]
    return None
