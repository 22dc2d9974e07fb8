"""Nested tiers of indicators of daily bars: a20 in a50 in a100 in a200 in a250 in a500, and what is built on top.

    tier    columns   adds
    a20         20    the twenty indicators of `features._a20`
    a50         50    returns, QQE, Schaff, risk ratios, gaps, volume
    a100       100    accelerations, oscillators, tail risk, trend, flow
    a200       206    families of averages, counters, bands, calendar, channels, divergence, regimes (its name says 200)
    a250       250    lags and rolling statistics
    a500       500    further periods, volatility estimators, candles, slower bars, entropies, fractals, phases

The names and the families are those of the ts-scaling study. Three things differ, and every column of a tier differs for one of
them only: a price or a cumulative line enters as a ratio, because a level does not survive a split or a bull market; the
columns need bars and nothing else, so that every instrument has them (the study's five premia of VIX need a second one; VIX is
a block of its own); and what repeats another column under a second name is another period instead.

Each column is its formula: a text in the small language of `read`, from which its inputs, look-back, unit and bounds follow,
and from which `features.validators` computes it a second time with other code. A tier that lists more is made with `extend`,
one that takes lags and rolling statistics of a tier's columns with `derive`; so are a1000 and a2000 made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import inf
from types import MappingProxyType

import numpy as np

from fieldcast.features import _a20
from fieldcast.features._inputs import Array, Inputs
from fieldcast.features._registry import Column
from fieldcast.features.tiers import _a50, _a100, _a200, _a250, _a500
from fieldcast.features.tiers._formula import SHORT, Node, read, run
from fieldcast.features.tiers._twin import rederive
from fieldcast.features.tiers._words import Group
from fieldcast.ground import InvalidInput

ADDED = "added"
_STEPS = {"a50": _a50.GROUPS, "a100": _a100.GROUPS, "a200": _a200.GROUPS, "a250": _a250.GROUPS, "a500": _a500.GROUPS}
ROLLING: Mapping[str, str] = MappingProxyType(
    {"mean": "mean({0}, {1})", "deviation": "std({0}, {1})", "rank": "rank({0}, {1})", "change": "({0}) - lag({0}, {1})"}
)
"""Rolling statistics that `derive` takes of a column, as formulas of the column and the rows."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A named list of columns that holds every column of the tier below.

    columns : all of them, those of the tier below first
    formulas : text by name, of every column but those of a20, which have a module of their own
    """

    name: str
    columns: tuple[Column, ...]
    formulas: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def warmup(self) -> int:
        """Rows until every column counts."""
        return max(column.warmup for column in self.columns)


def column_of(name: str, block: str, unit: str, formula: str, source: str) -> Column:
    """The declaration that follows from a formula.

    Raises
    ------
    InvalidInput : the formula cannot be read, or moves with the level of prices or of volumes
    """
    node = read(formula)
    if node.price or node.volume:
        raise InvalidInput(
            f"expected {name} to be free of the level of prices and volumes, found a unit of price^{node.price:g} "
            f"volume^{node.volume:g} in {formula!r}; divide it by something of that unit"
        )
    low, high = (None if bound in (inf, -inf) else bound for bound in (node.low, node.high))
    return Column(name, block, node.inputs, node.warmup, unit, formula, source, low, high)


def added(name: str, groups: Iterable[Group]) -> tuple[Column, ...]:
    """The columns of one step, in the block `<name>.added`."""
    return tuple(
        column_of(column, f"{name}.{ADDED}", group.unit, formula, group.source)
        for group in groups
        for column, formula in group.formulas.items()
    )


COLUMNS: tuple[Column, ...] = tuple(column for name, groups in _STEPS.items() for column in added(name, groups))
"""Every column that a tier adds to a20."""

BLOCKS: tuple[str, ...] = tuple(f"{name}.{ADDED}" for name in _STEPS)
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: (_a20.BLOCK, *BLOCKS[: place + 1]) for place, name in enumerate(_STEPS)}
)
"""Blocks that a tier's name stands for."""


@cache
def tiers() -> Mapping[str, Tier]:
    """Every tier by name, the smallest first."""
    made = {"a20": Tier("a20", _a20.COLUMNS, MappingProxyType({}))}
    below = made["a20"]
    for name in _STEPS:
        more = tuple(column for column in COLUMNS if column.block == f"{name}.{ADDED}")
        below = made[name] = Tier(
            name,
            (*below.columns, *more),
            MappingProxyType(dict(below.formulas) | {column.name: column.formula for column in more}),
        )
    return MappingProxyType(made)


def extend(name: str, below: Tier, groups: Sequence[Group]) -> Tier:
    """A tier of the columns of `below` and further ones.

    Raises
    ------
    InvalidInput : nothing is added, a name or a formula is there already, or a column moves with the level of prices
    """
    more = added(name, groups)
    if not more:
        raise InvalidInput(f"expected {name} to add columns to {below.name}, found none")
    names, formulas = set(below.names), set(below.formulas.values())
    for column in more:
        if column.name in names or column.formula in formulas:
            raise InvalidInput(f"expected a new name and a new formula, found {column.name} ({column.formula}) twice in {name}")
        names.add(column.name)
        formulas.add(column.formula)
    merged = dict(below.formulas) | {column.name: column.formula for column in more}
    return Tier(name, (*below.columns, *more), MappingProxyType(merged))


def derive(name: str, below: Tier, count: int, *, lags: Sequence[int] = (1, 2, 3, 5), windows: Sequence[int] = (5, 20, 60),
           longest: int = 1000) -> Tier:  # fmt: skip
    """A tier of `count` columns: those of `below`, then lags and rolling statistics of them, one kind after another.

    Parameters
    ----------
    lags, windows : rows of each lag, and of each of `ROLLING`
    longest : warm-up in rows that no derived column may exceed

    Raises
    ------
    InvalidInput : these lags and windows do not make that many columns
    """
    kinds = [(f"lag_{k}", f"lag({{0}}, {k})") for k in lags]
    kinds += [(f"{kind}_{rows}", text.replace("{1}", str(rows))) for rows, (kind, text) in product(windows, ROLLING.items())]
    units = {column.name: column.unit for column in below.columns}
    found: dict[str, Group] = {}
    have, names = set(below.formulas.values()), set(below.names)
    for kind, text in kinds:
        for base, formula in below.formulas.items():
            made, label = text.format(formula), f"{base}_{kind}"
            if len(found) == count - len(below.columns):
                break
            if made in have or label in names or read(made).warmup > longest:
                continue
            have.add(made)
            names.add(label)
            unit = "fraction" if kind.startswith("rank") else units[base]
            found[label] = Group(unit, f"{kind} of {base}", {label: made})
    if len(found) < count - len(below.columns):
        raise InvalidInput(f"expected {count} columns, found {len(below.columns) + len(found)}; give more lags or windows")
    return extend(name, below, tuple(found.values()))


def values(inputs: Inputs, formulas: Mapping[str, str]) -> dict[str, Array]:
    """These formulas over one instrument's bars, each (n,); NaN where not defined."""
    wanted = frozenset().union(*(read(text).leaves for text in formulas.values()))
    leaves = {"O": inputs.open, "H": inputs.high, "L": inputs.low, "C": inputs.close, "V": inputs.volume}
    if not inputs.rows:
        return {name: np.empty(0) for name in formulas}
    return run(formulas, leaves | (calendar(inputs) if wanted - leaves.keys() else {}))


def calendar(inputs: Inputs) -> dict[str, Array]:
    """The date of each bar's last instant in UTC, every number in [0, 1].

    weekday (Monday 0, Sunday 1), month (January 0, December 1), month_left (days to the end of the month / 31), quarter_end (1 in
    March, June, September and December)
    """
    day = (inputs.ts - 1).astype("datetime64[us]").astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    number = month.astype(np.int64) % 12
    last = (month + 1).astype("datetime64[D]")
    return {
        "weekday": (day.astype(np.int64) + 3) % 7 / 6.0,
        "month": number / 11.0,
        "month_left": ((last - day).astype(np.int64) - 1) / 31.0,
        "quarter_end": (number % 3 == 2).astype(np.float64),
    }


__all__ = [
    "BLOCKS",
    "COLUMNS",
    "GROUPS",
    "ROLLING",
    "SHORT",
    "Group",
    "Node",
    "Tier",
    "calendar",
    "column_of",
    "derive",
    "extend",
    "read",
    "rederive",
    "run",
    "tiers",
    "values",
]
