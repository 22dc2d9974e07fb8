"""Sweeps: every parameter set of a rule of the catalogue on every tape, one row of figures each.

Seeds and symbols are tapes like any other (simulated paths of a market, one instrument each), so a sweep over parameters, symbols
and seeds is one call. The table's order is tapes, then sets in the order given; it is the same at any number of workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.simulation.fast import _layout as layout
from fieldcast.simulation.fast.figures import FIGURES, figures_of
from fieldcast.simulation.fast.jobs import Backend, spread
from fieldcast.simulation.fast.settings import FastSettings
from fieldcast.simulation.fast.tape import Tape
from fieldcast.strategy.catalogue import parameters_of, strategy

# rule -> (number in the kernel, its parameters in the kernel's order, what of them is a window)
RULES: dict[str, tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    "buy_and_hold": (0, (), ()),
    "sma_cross": (1, ("fast", "slow"), ("fast", "slow")),
    "rsi": (2, ("period", "lower", "upper"), ("period",)),
    "bollinger": (3, ("period", "width"), ("period",)),
    "macd": (4, ("fast", "slow", "signal"), ()),
    "momentum": (5, ("period",), ()),
    "mean_reversion": (6, ("period",), ("period",)),
}
BLOCK, PIECES = 64, 32  # least sets in a piece of work, most pieces


@dataclass(frozen=True, eq=False)
class ParameterSets:
    """Checked parameter sets of one rule.

    Parameters
    ----------
    rule : its name in the catalogue
    rows : the sets as plain values, every parameter of the rule named
    values : (P, 4) float64 in the kernel's order, the last column `short`
    """

    rule: str
    rows: tuple[dict[str, Any], ...]
    values: NDArray[np.float64]

    @classmethod
    def grid(cls, rule: str, ranges: Mapping[str, Sequence[Any]]) -> ParameterSets:
        """Every combination of the ranges; what is not given has the rule's default.

        Combinations that the rule itself refuses because of their order (fast not below slow, lower not below upper) are left
        out; a value out of its bounds is an error.

        Raises
        ------
        InvalidInput : no such rule or parameter, a value out of bounds, or nothing is left
        """
        return cls.of(rule, [dict(zip(ranges, one, strict=True)) for one in product(*ranges.values())], skip_disordered=True)

    @classmethod
    def drawn(cls, rule: str, ranges: Mapping[str, Sequence[Any]], *, n: int, seed: int) -> ParameterSets:
        """`n` of the combinations, drawn without return; the same for the same seed."""
        every = cls.grid(rule, ranges)
        if n >= len(every.rows):
            return every
        chosen = np.sort(np.random.default_rng(seed).choice(len(every.rows), size=n, replace=False))
        return cls(rule, tuple(every.rows[i] for i in chosen), every.values[chosen])

    @classmethod
    def of(cls, rule: str, rows: Sequence[Mapping[str, Any]], *, skip_disordered: bool = False) -> ParameterSets:
        """The sets as they are given."""
        if rule not in RULES:
            raise InvalidInput(f"expected a rule out of {', '.join(RULES)}, found {rule!r}; another strategy: `sweep_targets`")
        _, names, _ = RULES[rule]
        kept, values = [], []
        for row in rows:
            if skip_disordered and _disordered(row):
                continue
            settings = strategy(rule, **row).settings
            kept.append(settings)
            padded = [float(settings[name]) for name in names] + [0.0] * (3 - len(names))
            values.append([*padded, float(settings.get("short", False))])
        if not kept:
            raise InvalidInput(f"expected at least one parameter set of {rule}, found none; parameters: "
                               f"{', '.join(one.name for one in parameters_of(type(strategy(rule))))}")  # fmt: skip
        return cls(rule, tuple(kept), np.array(values))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def longest(self) -> int:
        """The longest window whose sums are compared; 1 without any."""
        _, names, windows = RULES[self.rule]
        return max((int(self.values[:, names.index(name)].max()) for name in windows), default=1)

    def table(self) -> pl.DataFrame:
        """One row a set."""
        return pl.DataFrame(list(self.rows)) if self.rows[0] else pl.DataFrame({"set": range(len(self.rows))}).select([])


def sweep(
    sets: ParameterSets,
    tapes: Tape | Sequence[Tape],
    settings: FastSettings,
    *,
    labels: Sequence[str] | None = None,
    workers: int | None = None,
    backend: Backend = "threads",
) -> pl.DataFrame:
    """Figures of every set on every tape.

    Parameters
    ----------
    tapes : symbols, or paths of a simulated market
    labels : of the tapes; their instruments by default
    workers, backend : see `jobs.spread`

    Returns
    -------
    `tape`, the parameters, and FIGURES; one row a tape and set
    """
    tapes = (tapes,) if isinstance(tapes, Tape) else tuple(tapes)
    names = [tape.instrument for tape in tapes] if labels is None else list(labels)
    if not tapes or len(names) != len(tapes):
        raise InvalidInput(f"expected at least one tape and a label for each, found {len(tapes)} and {len(names)}")
    tables = []
    parameters = sets.table()
    for name, tape in zip(names, tapes, strict=True):
        whole, real = sweep_tape(sets, tape, settings, workers=workers, backend=backend)
        columns = figures_of(
            whole[:, 0], real[:, 0], bars=tape.length, cash_minor=tape.units.minor(settings.cash),
            minor=10.0**-tape.units.cash_decimals, periods_per_year=settings.periods_per_year,
        )  # fmt: skip
        found = pl.DataFrame(columns, schema=FIGURES)
        label = pl.Series("tape", [name] * len(sets), dtype=pl.String)
        tables.append(pl.concat([pl.DataFrame([label]), parameters, found], how="horizontal"))
    return pl.concat(tables)


def sweep_tape(
    sets: ParameterSets,
    tape: Tape,
    settings: FastSettings,
    *,
    spans: NDArray[np.int64] | None = None,
    workers: int | None = None,
    backend: Backend = "threads",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(P, S, WHOLES) and (P, S, REALS) of one tape, in the order of the sets.

    Parameters
    ----------
    spans : (S, 2) first bar and end of each account; None: one over the whole tape

    Raises
    ------
    InvalidInput : an exit that nobody can price (costs of the whole price or more)
    """
    order = np.lexsort(sets.values.T[::-1])      # sets of one first parameter follow each other
    values = np.ascontiguousarray(sets.values[order])
    count = len(sets)
    size = max(BLOCK, -(-count // PIECES))
    parts = np.array([[0, tape.length]], dtype=np.int64) if spans is None else np.ascontiguousarray(spans, dtype=np.int64)
    shared = (*_shared(sets, tape, settings), parts)
    pieces = [(RULES[sets.rule][0], values[first : first + size], shared) for first in range(0, count, size)]
    answers = spread(_block, pieces, workers=workers, backend=backend)
    whole = np.empty((count, len(parts), layout.WHOLES), dtype=np.int64)
    real = np.empty((count, len(parts), layout.REALS))
    whole[order] = np.concatenate([answer[0] for answer in answers])
    real[order] = np.concatenate([answer[1] for answer in answers])
    refuse_unpriced(whole, tape)
    return whole, real


def refuse_unpriced(whole: NDArray[np.int64], tape: Tape) -> None:
    """Raise where an exit had no price."""
    unpriced = int(whole[..., layout.W_UNPRICED].sum())
    if unpriced:
        raise InvalidInput(
            f"expected costs below the whole price at every exit of {tape.instrument}, found {unpriced} exits without a price: "
            "lower impact_bps, or size smaller"
        )


def _shared(sets: ParameterSets, tape: Tape, settings: FastSettings) -> tuple[Any, ...]:
    """What `sweep_block` wants between the sets and the results."""
    squares = tape.squares if sets.rule == "bollinger" else np.empty(0, dtype=np.int64)
    return (
        tape.closes, tape.sums, tape.exact_sums(sets.longest), squares, tape.open, *tape.extremes(settings), tape.close,
        tape.volume(settings), tape.costs(settings), tape.shares(settings), tape.lots_of_unit, tape.terms(settings),
    )  # fmt: skip


def _block(piece: tuple[int, NDArray[np.float64], tuple[Any, ...]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from fieldcast.simulation.fast._kernels_sweep import sweep_block

    rule, values, shared = piece
    spans = shared[-1]
    whole = np.empty((len(values), len(spans), layout.WHOLES), dtype=np.int64)
    real = np.empty((len(values), len(spans), layout.REALS))
    sweep_block(rule, values, 0, len(values), *shared, whole, real)
    return whole, real


def _disordered(row: Mapping[str, Any]) -> bool:
    return any(low in row and high in row and row[low] >= row[high] for low, high in (("fast", "slow"), ("lower", "upper")))
