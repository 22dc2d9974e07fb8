"""Write the pages of docs/reference that follow from registries in the code; a test fails when one is out of date."""

from __future__ import annotations

import argparse
from pathlib import Path

from fieldcast.data import FORMATS
from fieldcast.features import REGISTRY, Column
from fieldcast.features.tiers import tiers
from fieldcast.ground import Reason
from fieldcast.market import TABLES

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
MADE = "This page is written from `{source}` by `tools/reference_pages.py`.\n\n"

REASONS = """# Reason codes

Whatever is unknown, refused, scaled or flagged in Fieldcast carries one of these codes. The registry is closed: a code
that is not here cannot be written. In tables a row's codes are joined by commas, sorted.

"""

FILES = """# File formats

What `fieldcast data import` reads. A file's format is recognised by its name and first bytes; `--format NAME` says it where two
would do. Plain, `.gz` and (where a vendor ships them) `.zip` files are read alike.

Evidence class A: bytes captured from the vendor; B: the vendor's documented schema. Each format has been run on what the last
column names, and on thousands of damaged copies of it: a bad row is quarantined and counted, a bad file refused, and nothing that
is not a finite positive price is ever stored as one.

"""

STORE = """# Tables of the store

Every table has `ts` (when the row's event ended) and `available_at` (when it could first be known, never before `ts`), both in
UTC. A row is identified by its key; a restatement is a second row with the same key and a later `available_at`, and a read
returns the last one known at its `as_of`. The unknown is null with a code in `reasons`. Prices are in the instrument's currency,
sizes in its units, fractions are fractions.

"""


def reasons() -> str:
    rows = "".join(f"| `{reason}` | {reason.meaning} |\n" for reason in Reason)
    return REASONS + MADE.format(source="fieldcast.ground.Reason") + "| code | what it says |\n|---|---|\n" + rows


def formats() -> str:
    head = "| format | what it is | fills | dataset | proved on |\n|---|---|---|---|---|\n"
    rows = "".join(
        f"| `{item.name}` | {item.title} | {_tables(item.tables)} | `{item.home}` | {item.proof} |\n" for item in FORMATS.values()
    )
    return FILES + MADE.format(source="fieldcast.data.FORMATS") + head + rows


def _tables(names: tuple[str, ...]) -> str:
    """Names of tables; several intervals of one kind as one."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, interval = name.partition("/")
        kinds.setdefault(kind, []).append(interval)
    return ", ".join(f"`{kind}/…`" if len(found) > 2 else ", ".join(f"`{kind}/{i}`" if i else f"`{kind}`" for i in found)
                     for kind, found in kinds.items())


def store() -> str:
    parts = [STORE + MADE.format(source="fieldcast.market.TABLES")]
    seen: set[str] = set()
    for table in TABLES.values():
        if table.kind in seen:
            continue
        seen.add(table.kind)
        intervals = [other.interval for other in TABLES.values() if other.kind == table.kind and other.interval]
        title = f"{table.kind}/INTERVAL" if intervals else table.kind
        parts.append(f"## {title}\n\n")
        if intervals:
            parts.append(f"Intervals: {', '.join(intervals)}. ")
        parts.append(f"Key: {', '.join(f'`{name}`' for name in table.key)}.\n\n| column | type | must be |\n|---|---|---|\n")
        for name, dtype in table.schema.items():
            rules = [
                word
                for word, names in (("there", (*table.key, "available_at", *table.required)), ("above 0", table.positive),
                                    ("at or above 0", table.non_negative))
                if name in names
            ]
            parts.append(f"| `{name}` | {_type(dtype)} | {', '.join(rules)} |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


FEATURES = """# Feature columns

What a model may see, block by block. An experiment names blocks in `features.blocks`; a tier's name stands for a20 and what
every tier up to it adds. The first *rows* of any table are null, and what happened earlier than that many rows ago moves a
value by less than 1e-6. Bounds are what a value can never be beyond; an empty bound is none. No column moves when prices are
multiplied by a constant and volumes divided by it.

The formulas of the tiers are written in a small language and are computed from that text: `O H L C V` are the bar, `R` its
log return, `TR` its true range, `TP` and `MID` its typical and middle price, `BODY`, `GAP` and `REACH` the logs of close over
open, open over the close before, and high over low; `TOP` and `BOTTOM` the ends of its body, `AD` and `FLOW` its volume signed
by where it closed and by the return. A word with a number looks back that many rows.

"""


def features() -> str:
    blocks: dict[str, list[Column]] = {}
    for column in REGISTRY.values():
        blocks.setdefault(column.block, []).append(column)
    sizes = ", ".join(f"`{name}` {len(tier.columns)}" for name, tier in tiers().items())
    parts = [FEATURES + MADE.format(source="fieldcast.features.REGISTRY") + f"Tiers and their columns: {sizes}.\n\n"]
    for block, members in blocks.items():
        parts.append(f"## {block}\n\n{len(members)} columns.\n\n")
        parts.append("| column | unit | rows | from | to | reads | formula | source |\n|---|---|---|---|---|---|---|---|\n")
        for item in members:
            low, high = ("" if bound is None else f"{bound:.4g}" for bound in (item.low, item.high))
            formula = item.formula.replace("|", "\\|")
            reads = ", ".join(item.inputs)
            cells = (f"`{item.name}`", item.unit, str(item.warmup), low, high, reads, f"`{formula}`", item.source)
            parts.append(f"| {' | '.join(cells)} |\n")
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def _type(dtype: object) -> str:
    names = {"Float64": "number", "Int64": "integer", "String": "text", "Boolean": "true or false"}
    return names.get(str(dtype), "time (UTC)")


PAGES = {"reason-codes.md": reasons, "formats.md": formats, "store-tables.md": store, "features.md": features}


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
