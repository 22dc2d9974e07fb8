"""What a model may see: every column with its inputs, its memory and its unit.

`warmup` is the number of rows before a value counts: the first `warmup` rows of any table are null, and what happened
earlier than `warmup` rows ago moves the value by less than 1e-6. For a window it is the window; for a recursion it
follows from the decay, with generous seeds (`recursive_warmup`).

`level` marks a column that moves when prices are multiplied by a constant and volumes divided by it, as a later split
does to an adjusted history. No column is one: whatever is a price enters as a ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Protocol

from fieldcast.ground import InvalidInput, digest

FORMULAS = 1  # raised whenever a formula changes, so that recorded models know their columns
MEMORY = 1e-6  # what older history may still do to a value


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a model may see.

    Parameters
    ----------
    name, block : its name in tables and the block it comes with
    inputs : columns of bars it is made from, or `vix`
    warmup : rows of that input before the value counts, see the module
    unit : of the value
    low, high : what the value can never be below or above; None where there is no such bound
    formula, source : what it is and where that is written down
    level : moves with the price level, see the module
    """

    name: str
    block: str
    inputs: tuple[str, ...]
    warmup: int
    unit: str
    formula: str
    source: str
    low: float | None = None
    high: float | None = None
    level: bool = False


def recursive_warmup(seed_rows: int, keep: float, *, stages: int = 1, seed_error: float = 1.0) -> int:
    """Rows after which one or two averages in a row have forgotten their seeds to within 1e-6.

    Each average keeps the share `keep` of its value from row to row and is seeded, after `seed_rows` rows of its input,
    with an error of at most `seed_error`. n rows after the last seed one average still has the error

        seed_error * keep^n

    and two in a row, of which the first has run for `seed_rows` rows when the second is seeded,

        seed_error * keep^n * (1 + (2 + (1 - keep) n) keep^seed_rows)

    (the second's own seed, and the first's error handed on and, as in a DEMA, counted twice).

    Parameters
    ----------
    seed_rows : rows used up by each seed
    keep : share of the old value that survives one row, in (0, 1)
    stages : 1 or 2 averages
    seed_error : how wrong a seed may be, in units of the value; 1 is a hundred per cent
    """
    n = 0
    while True:
        handed_on = (2.0 + (1.0 - keep) * n) * keep**seed_rows if stages == 2 else 0.0
        if seed_error * (1.0 + handed_on) * keep**n <= MEMORY:
            return stages * seed_rows + n
        n += 1


class _Declares(Protocol):
    """A module of columns."""

    @property
    def COLUMNS(self) -> tuple[Column, ...]: ...  # noqa: N802


@cache
def _all() -> Mapping[str, Column]:
    from fieldcast.features import _a20, _fields, _set31, _vix, _volatility, tiers

    modules: tuple[_Declares, ...] = (
        _a20,
        _vix,
        _volatility,
        _fields,
        _set31,
        tiers,
    )
    found: dict[str, Column] = {}
    for module in modules:
        for column in module.COLUMNS:
            if column.name in found:
                raise InvalidInput(f"expected unique column names, found {column.name} twice")
            found[column.name] = column
    return MappingProxyType(found)


def registry() -> Mapping[str, Column]:
    """Every registered column by name, in table order."""
    return _all()


@cache
def _members() -> Mapping[str, tuple[Column, ...]]:
    """Columns by block, in table order."""
    found: dict[str, list[Column]] = {}
    for column in _all().values():
        found.setdefault(column.block, []).append(column)
    return MappingProxyType({block: tuple(members) for block, members in found.items()})


def blocks() -> tuple[str, ...]:
    """Names of the blocks, in table order."""
    return tuple(_members())


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """Names that stand for several blocks: `fields` for every block `fields.…`, a tier for a20 and what each step adds to it."""
    from fieldcast.features import tiers

    found: dict[str, list[str]] = {}
    for block in blocks():
        head, dot, _ = block.partition(".")
        if dot:
            found.setdefault(head, []).append(block)
    return MappingProxyType({head: tuple(members) for head, members in found.items()} | dict(tiers.GROUPS))


def columns(wanted: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of these blocks (or groups of blocks), block by block in the order given.

    Raises
    ------
    InvalidInput : no block, a block twice (in a group as well counts), or one that does not exist
    """
    return tuple(column.name for column in of_blocks(wanted))


def of_blocks(wanted: Sequence[str]) -> tuple[Column, ...]:
    """The columns themselves; as `columns`."""
    return _of_blocks((wanted,) if isinstance(wanted, str) else tuple(wanted))


@lru_cache(maxsize=256)
def _of_blocks(asked: tuple[str, ...]) -> tuple[Column, ...]:
    known, together = blocks(), groups()
    names = [block for name in asked for block in together.get(name, (name,))]
    if not names or len(set(names)) != len(names) or any(name not in known for name in names):
        whole = ", ".join((*known, *(f"{name} ({', '.join(members)})" for name, members in together.items())))
        raise InvalidInput(f"expected each at most once out of the blocks {whole}; found {list(asked)}")
    return tuple(column for name in names for column in _members()[name])


def warmup(wanted: Sequence[str]) -> int:
    """Rows until every column of these blocks counts (for `vix`: rows of VIX)."""
    return max(column.warmup for column in of_blocks(wanted))


def registry_hash(names: Iterable[str] | None = None) -> str:
    """SHA-256 over the declarations of all columns, or of those named: changes when a column does."""
    from fieldcast.fields.table import FORMULAS as FIELD_FORMULAS

    chosen = tuple(_all().values()) if names is None else tuple(_column(name) for name in names)
    return _hash_of(chosen, FORMULAS, FIELD_FORMULAS)


@lru_cache(maxsize=256)
def _hash_of(chosen: tuple[Column, ...], formulas: int, field_formulas: int) -> str:
    """The same declarations have one hash; versions of the formulas as in the modules of that name."""
    from fieldcast.features import _fields

    declared: dict[str, object] = {"formulas": formulas, "columns": [asdict(column) for column in chosen]}
    if any(column.block.startswith(_fields.PREFIX) for column in chosen):
        declared["field_formulas"] = field_formulas
    return digest(declared)


def _column(name: str) -> Column:
    try:
        return _all()[name]
    except KeyError:
        raise InvalidInput(f"expected a registered column, found {name!r}; see fieldcast.features.REGISTRY") from None
