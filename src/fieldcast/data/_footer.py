"""What a file of the store says about itself: the description that its footer and the index share.

The footer is JSON under the key `fieldcast`. Format 2 lists the instruments column by column and each delivery once, with
references from the instruments, so that a file with ten thousand of them stays quick to open. Format 1, of daily bars
alone, is still read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fieldcast.data._layout import Unit, parse_path
from fieldcast.data._objects import Files
from fieldcast.data.lineage import Lineage
from fieldcast.ground import IntegrityError
from fieldcast.ledger.types import EPOCH, MICROSECOND

KEY = "fieldcast"


@dataclass(frozen=True)
class Span:
    """What a file holds of one instrument; moments in microseconds since 1970, deliveries by id, oldest first."""

    rows: int
    first_us: int
    last_us: int
    deliveries: tuple[str, ...]


@dataclass(frozen=True)
class StoredFile:
    """One file of the store as the index and the footer describe it; `path` is relative to the store's root."""

    path: str
    unit: Unit
    generation: int
    sha256: str  # of the file's bytes
    content_sha256: str  # of its column values; of the months' hashes where the file is kept month by month
    rows: int
    first_ts: datetime
    last_ts: datetime
    simulated: bool
    written_at: datetime
    spans: Mapping[str, Span]
    deliveries: Mapping[str, Lineage]

    @property
    def entry_sha256(self) -> str:
        """Over everything that the index says about the file, so that a changed index is found without opening it."""
        head = {
            "path": self.path, "unit": self.unit.text, "generation": self.generation, "sha256": self.sha256,
            "content_sha256": self.content_sha256, "rows": self.rows, "simulated": self.simulated,
            "first_ts": self.first_ts.isoformat(), "last_ts": self.last_ts.isoformat(),
            "written_at": self.written_at.isoformat(),
        }  # fmt: skip
        listed = [[id, s.rows, s.first_us, s.last_us, ",".join(s.deliveries)] for id, s in sorted(self.spans.items())]
        return hashlib.sha256(_text([head, listed, sorted(self.deliveries)]).encode()).hexdigest()


def delivery_id(lineage: Lineage) -> str:
    """The id of a delivery: the same delivery has the same one everywhere."""
    return hashlib.sha256(_text(lineage.to_json()).encode()).hexdigest()[:16]


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def moment(us: int) -> datetime:
    return EPOCH + us * MICROSECOND


def footer_text(file: StoredFile) -> str:
    """The footer of a file; `path` and `sha256`, which follow from its bytes, are not in it."""
    sets: dict[tuple[str, ...], int] = {}
    for span in file.spans.values():
        sets.setdefault(span.deliveries, len(sets))
    spans = sorted(file.spans.items())
    return _text({
        "format": 2,
        "table": file.unit.table,
        "dataset": file.unit.dataset,
        "instrument": file.unit.instrument,
        "period": file.unit.period,
        "generation": file.generation,
        "content_sha256": file.content_sha256,
        "rows": file.rows,
        "first_ts": file.first_ts.isoformat(),
        "last_ts": file.last_ts.isoformat(),
        "simulated": file.simulated,
        "written_at": file.written_at.isoformat(),
        "deliveries": {id: item.to_json() for id, item in file.deliveries.items()},
        "delivery_sets": [list(ids) for ids in sets],
        "spans": {
            "instrument": [id for id, _ in spans],
            "rows": [span.rows for _, span in spans],
            "first_us": [span.first_us for _, span in spans],
            "last_us": [span.last_us for _, span in spans],
            "delivery_set": [sets[span.deliveries] for _, span in spans],
        },
    })  # fmt: skip


def describe(footer: dict[str, Any], path: str, sha256: str) -> StoredFile:
    """A footer, read as JSON, as the description of its file."""
    if footer["format"] == 1:
        return _describe_first(footer, path, sha256)
    columns = footer["spans"]
    sets = [tuple(ids) for ids in footer["delivery_sets"]]
    rows = zip(*(columns[name] for name in ("instrument", "rows", "first_us", "last_us", "delivery_set")), strict=True)
    return StoredFile(
        path=path,
        unit=Unit(footer["table"], footer["dataset"], footer["instrument"], footer["period"]),
        generation=footer["generation"],
        sha256=sha256,
        content_sha256=footer["content_sha256"],
        rows=footer["rows"],
        first_ts=datetime.fromisoformat(footer["first_ts"]),
        last_ts=datetime.fromisoformat(footer["last_ts"]),
        simulated=footer["simulated"],
        written_at=datetime.fromisoformat(footer["written_at"]),
        spans={id: Span(count, first, last, sets[place]) for id, count, first, last, place in rows},
        deliveries={id: Lineage.from_json(item) for id, item in footer["deliveries"].items()},
    )


def _describe_first(footer: dict[str, Any], path: str, sha256: str) -> StoredFile:
    """A footer of format 1."""
    deliveries: dict[str, Lineage] = {}
    spans = {}
    for id, span in footer["instruments"].items():
        ids = []
        for item in footer["lineage"][id]:
            lineage = Lineage.from_json(item)
            ids.append(delivery_id(lineage))
            deliveries[ids[-1]] = lineage
        first, last = (micros(datetime.fromisoformat(span[name])) for name in ("first_ts", "last_ts"))
        spans[id] = Span(span["rows"], first, last, tuple(ids))
    return StoredFile(
        path=path,
        unit=Unit(f"bars/{footer['timeframe']}", footer["dataset"], "", str(footer["year"])),
        generation=footer["generation"],
        sha256=sha256,
        content_sha256=footer["content_sha256"],
        rows=footer["rows"],
        first_ts=datetime.fromisoformat(footer["first_ts"]),
        last_ts=datetime.fromisoformat(footer["last_ts"]),
        simulated=footer["simulated"],
        written_at=datetime.fromisoformat(footer["written_at"]),
        spans=spans,
        deliveries=deliveries,
    )


def inspect(files: Files, path: str) -> StoredFile:
    """Description of a file as its own bytes and footer give it.

    Raises
    ------
    IntegrityError : the file is gone, is no Parquet file, has no footer of ours, or is not what its name says
    """
    import pyarrow as pa

    name = parse_path(path)
    try:
        sha256 = files.sha256(path)
        if name is None or sha256[:16] != name[2]:
            raise IntegrityError(f"expected {path} to have the SHA-256 in its name, found {sha256[:16]}…: its bytes changed")
        described = describe(json.loads(files.footer(path)[KEY.encode()]), path, sha256)
    except FileNotFoundError:
        raise IntegrityError(f"expected the file {path}, found none") from None
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        raise IntegrityError(f"expected {path} to be a Parquet file with Fieldcast's footer, found {error}") from None
    if (described.unit, described.generation) != name[:2]:
        raise IntegrityError(f"expected {path} to be named as its footer says, found {described.unit.text}")
    return described


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
