"""Reference data into the ledger: which company a ticker meant when, and who belonged to an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcast.data import Source
from fieldcast.data.membership import import_membership
from fieldcast.data.tickers import import_map_files
from fieldcast.ground import Shown
from fieldcast.market import Instrument, Kind
from fieldcast.workflows.workspace import Workspace


@dataclass(frozen=True)
class ReferenceImported(Shown):
    """What became of the entries of a source."""

    what: str
    counts: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, **self.counts}


def import_tickers(workspace: Workspace, folder: Path | str) -> ReferenceImported:
    """A folder of LEAN map files: dated tickers.

    Raises
    ------
    InvalidInput : no map files there, or two companies with one ticker on the same day
    ConflictError : a ticker meant another instrument in what is stored
    """
    saved = import_map_files(workspace.ledger, Path(folder))
    return ReferenceImported("tickers", {"added": saved.added, "ended": saved.ended, "unchanged": saved.unchanged})


def import_members(
    workspace: Workspace, index: str, ranges: Path | str, changes: Path | str | None = None
) -> ReferenceImported:
    """Membership of an index over time: ranges (`ticker,start_date,end_date`), and changes (`date,add,remove`) laid over them.

    Raises
    ------
    InvalidInput : a file is not of that layout, or `index` is no id
    """
    Instrument(id=index, kind=Kind.INDEX)  # refuses what is no id
    result = import_membership(workspace.ledger, index, Source(ranges), None if changes is None else Source(changes))
    counts = {
        "spans": len(result.spans),
        "agreed": result.agreed,
        "extended": len(result.extended),
        "moved": len(result.moved),
        "unmatched": len(result.unmatched),
        "unlisted": len(result.unlisted),
    }
    return ReferenceImported(f"members of {index}", counts)
