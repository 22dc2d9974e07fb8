"""Does any column see the future, remember more than it says, or move with the price level?

One loop runs over a whole registry of columns and recomputes its table on altered inputs:

    truncation  bars after row t, and covariate rows not available at t's decision time, are removed: every row up to t
                must stay the same to 1e-9
    prefix      bars (and covariate rows) before row s are removed: from s + warmup on, a column must stay the same
                to 1e-6
    scale       prices x c and volumes / c: only a column declared `level` may move, by more than 1e-6
    vintage     one covariate row (or bar) is published late and altered: no decision before that may move

What was found is a `CausalityReport`; the same of quantities that are fed row by row is in `steps`.

Source: architecture of the project, rule 2; the truncation test of the ts-scaling study, at 200 times instead of five.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import DECISION_DELAY, PRICES
from fieldcast.validation.causality_report import Array, CausalityReport, Kind, Violation, differs, plain

TRUNCATION_TOLERANCE = 1e-9
PREFIX_TOLERANCE = 1e-6
SCALE_TOLERANCE = 1e-6
LATE = timedelta(days=4)  # how late the vintage check publishes a covariate row
Covariates = Mapping[str, pl.DataFrame]
Compute = Callable[[pl.DataFrame, Covariates], pl.DataFrame]


class Declared(Protocol):
    """What the loop reads of a registered column; `features.Column` and the registry of fields both have it."""

    @property
    def name(self) -> str: ...
    @property
    def warmup(self) -> int: ...
    @property
    def level(self) -> bool: ...
    @property
    def inputs(self) -> Sequence[str]: ...


def check_causality(
    registry: Iterable[Declared] | Mapping[str, Declared],
    compute: Compute,
    bars: pl.DataFrame,
    *,
    covariates: Covariates | None = None,
    times: int = 200,
    late_rows: int = 40,
    scale: float = 7.3,
    seed: int = 0,
    delay: timedelta = DECISION_DELAY,
    blank_warmup: bool = True,
    restated_bars: bool = False,
) -> CausalityReport:
    """Run every check of this module over every registered column.

    Parameters
    ----------
    registry : the columns, each with name, warmup (rows), level and inputs
    compute : makes the table (`ts` and the columns, one row a bar) from bars and covariates
    bars : schema `market.BARS`, ascending, one instrument; more rows than the longest warm-up
    covariates : further tables by the name that columns have in their `inputs`, with ts and available_at
    times : random moments for truncation, random beginnings for prefix
    late_rows : random rows of each covariate, and of bars if asked, for vintage
    scale : the constant c of the scale check; not a power of two, so that rounding differs as well
    delay : from a bar's ts to its decision
    blank_warmup : whether a value within the first `warmup` rows of the table is a violation
    restated_bars : run the vintage check on bars too, for tables that look at each bar's `available_at` themselves

    Raises
    ------
    InvalidInput : no columns, or the table has other rows than the bars
    MissingData : too few bars for the longest warm-up
    """
    entries = registry.values() if isinstance(registry, Mapping) else registry
    columns = {entry.name: entry for entry in entries}
    if not columns:
        raise InvalidInput("expected at least one registered column to check, found none")
    longest = max(entry.warmup for entry in columns.values())
    if bars.height < longest + 2:
        raise MissingData(f"expected more bars than the longest warm-up of {longest} rows, found {bars.height}")
    loop = _Loop(columns, compute, bars, dict(covariates or {}), delay, blank_warmup, np.random.default_rng(seed))
    loop.whole()
    loop.truncation(times, longest)
    loop.prefix(times, longest)
    loop.scale(scale)
    loop.vintage(late_rows, longest, bars_too=restated_bars)
    return loop.report()


class _Loop:
    """The full table once, then every altered one against it."""

    def __init__(
        self,
        columns: dict[str, Declared],
        compute: Compute,
        bars: pl.DataFrame,
        covariates: dict[str, pl.DataFrame],
        delay: timedelta,
        blank_warmup: bool,
        random: np.random.Generator,
    ) -> None:
        self.columns, self.compute, self.bars, self.covariates = columns, compute, bars, covariates
        self.random, self.blank_warmup = random, blank_warmup
        self.as_of = bars["ts"] + delay
        self.found: list[Violation] = []
        self.comparisons: Counter[Kind] = Counter()
        self.recomputed: Counter[Kind] = Counter()
        self.judged: dict[Kind, Counter[str]] = {}
        self.full = self._table(bars, covariates)

    # the checks ---------------------------------------------------------------------------------------------------

    def whole(self) -> None:
        """The full table: nothing missing, nothing extra, finite, null in the warm-up and known somewhere after it."""
        for name, column in self.columns.items():
            if name not in self.full:
                self.found.append(Violation(name, Kind.NOT_COMPUTED))
                continue
            values = self.full[name]
            if np.isnan(values).all():
                self.found.append(Violation(name, Kind.NEVER_KNOWN))
            own_rows = any(name in self.covariates for name in column.inputs)  # their warm-up is not in rows of bars
            early = np.flatnonzero(~np.isnan(values[: 0 if own_rows else column.warmup]))
            if early.size and self.blank_warmup:
                row = int(early[0])
                self.found.append(Violation(name, Kind.EARLY, self.bars["ts"][row], None, float(values[row])))
        for name in self.full:
            if name not in self.columns:
                self.found.append(Violation(name, Kind.NOT_REGISTERED))

    def truncation(self, times: int, longest: int) -> None:
        """Rows up to t, on what was known at t, against those of the full table; every t is behind all warm-ups."""
        for row in self._rows(longest, self.bars.height, times):
            known = {name: table.filter(pl.col("available_at") <= self.as_of[row]) for name, table in self.covariates.items()}
            cut = self._table(self.bars.head(row + 1), known)
            self._compare(Kind.TRUNCATION, cut, slice(0, row + 1), TRUNCATION_TOLERANCE)

    def prefix(self, times: int, longest: int) -> None:
        """From each random beginning on: the rows behind a column's warm-up against those of the full table.

        Many columns are judged by one recomputation: beginning at row s, each counts from its own warm-up on. A column
        of a covariate counts once as many of the covariate's own rows have come since s.
        """
        for start in self._rows(0, self.bars.height - longest - 1, times):
            end = min(self.bars.height, start + longest + 50)
            part = self.bars[start:end]
            later: dict[str, pl.DataFrame] = {}
            arrivals: dict[str, npt.NDArray[np.int64]] = {}
            for name, table in self.covariates.items():
                later[name] = table if start == 0 else table[_newest(table, self.as_of[start - 1]) :]
                arrived = later[name]["available_at"].sort().search_sorted(self.as_of[start:end], side="right")
                arrivals[name] = arrived.to_numpy().astype(np.int64)
            cut = self._table(part, later)
            begin = {name: self._ready(column, arrivals, part.height) for name, column in self.columns.items()}
            self._compare(Kind.PREFIX, cut, slice(start, end), PREFIX_TOLERANCE, begin)

    def scale(self, constant: float) -> None:
        """Everything with prices times c and volumes by c: the whole table against the full one."""
        if not (np.isfinite(constant) and constant > 0 and constant != 1):
            raise InvalidInput(f"expected a positive scale other than 1, found {constant}")
        scaled = self.bars.with_columns(*(pl.col(name) * constant for name in PRICES), pl.col("volume") / constant)
        table = self._table(scaled, self.covariates)
        free = {name for name, column in self.columns.items() if column.level}
        self._compare(Kind.SCALE, table, slice(0, self.bars.height), SCALE_TOLERANCE, skip=free)

    def vintage(self, late_rows: int, longest: int, *, bars_too: bool) -> None:
        """One row comes late: decisions before it must not depend on what it says.

        Both tables have the late row; only its values differ.
        """
        for name, table in self.covariates.items():
            for late, altered, end in self._late_rows(table, late_rows):
                part = slice(max(0, end - 60), end)
                before = self._table(self.bars[part], self.covariates | {name: late})
                after = self._table(self.bars[part], self.covariates | {name: altered})
                self._compare(Kind.VINTAGE, after, part, TRUNCATION_TOLERANCE, against=before)
        for late, altered, end in self._late_rows(self.bars, late_rows) if bars_too else ():
            part = slice(max(0, end - longest - 60), end)
            before, after = self._table(late[part], self.covariates), self._table(altered[part], self.covariates)
            self._compare(Kind.VINTAGE, after, part, TRUNCATION_TOLERANCE, against=before)

    def _late_rows(self, table: pl.DataFrame, times: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, int]]:
        """The table with one random row late, the same with altered values, and how many bars were decided before."""
        numeric = [column for column, dtype in table.schema.items() if dtype.is_float()]
        rows = table.with_row_index("row").filter(pl.col("available_at").is_between(self.as_of[0], self.as_of[-1]))
        for place in self._rows(0, rows.height, times):
            row = int(rows["row"][place])
            here = pl.int_range(pl.len()) == row
            when = pl.when(here).then(pl.col("available_at") + LATE).otherwise(pl.col("available_at"))
            late = table.with_columns(when.alias("available_at"))
            altered = late.with_columns(
                pl.when(here).then(pl.col(column) * 1.5).otherwise(pl.col(column)).alias(column) for column in numeric
            )
            yield late, altered, int(self.as_of.search_sorted(late["available_at"][row], side="left"))

    # the machinery ------------------------------------------------------------------------------------------------

    def _rows(self, first: int, end: int, times: int) -> list[int]:
        """`times` random rows of [first, end), without repeats where there are that many; the last one among them."""
        count = max(0, min(times, end - first))
        rows = set(self.random.choice(np.arange(first, end), size=count, replace=False).tolist()) if count else set()
        return sorted(int(row) for row in rows)

    def _ready(self, column: Declared, arrivals: Mapping[str, npt.NDArray[np.int64]], rows: int) -> int:
        ready = column.warmup
        for name, arrived in arrivals.items():
            if name in column.inputs:
                ready = max(ready, int(np.searchsorted(arrived, column.warmup + 1)))
        return min(ready, rows)

    def _table(self, bars: pl.DataFrame, covariates: Covariates) -> dict[str, Array]:
        table = self.compute(bars, covariates)
        if "ts" not in table.columns or table.height != bars.height or not (table["ts"] == bars["ts"]).all():
            raise InvalidInput(
                f"expected a table with ts and one row for each of {bars.height} bars, found {table.height} rows "
                f"of {', '.join(table.columns[:5])}; make compute return the rows of the bars it is given"
            )
        out: dict[str, Array] = {}
        for name, dtype in table.schema.items():
            if name == "ts":
                continue
            if not (dtype.is_numeric() or dtype == pl.Boolean or dtype == pl.String or dtype.is_temporal()):
                raise InvalidInput(f"expected numbers, truth values, text or times in {name}, found {dtype}")
            values = _as_numbers(table[name])
            bad = (~values.drop_nulls().is_finite()).any()
            if bad and not any(v.column == name and v.kind is Kind.NOT_FINITE for v in self.found):
                self.found.append(Violation(name, Kind.NOT_FINITE))
            found = values.fill_null(float("nan")).to_numpy().astype(np.float64)
            out[name] = np.where(np.isfinite(found), found, np.nan)
        return out

    def _compare(
        self,
        kind: Kind,
        table: Mapping[str, Array],
        rows: slice,
        tolerance: float,
        begin: Mapping[str, int] | None = None,
        *,
        against: Mapping[str, Array] | None = None,
        skip: Iterable[str] = (),
    ) -> None:
        """Note, for each column, the last row at which `table` differs from those rows of the full one (or
        `against`)."""
        self.recomputed[kind] += 1
        known = self.judged.setdefault(kind, Counter(dict.fromkeys(self.columns, 0)))
        for name in self.columns:
            if name in skip or name not in self.full or name not in table:
                continue
            first = 0 if begin is None else begin[name]
            full = (self.full[name][rows] if against is None else against[name])[first:]
            other = table[name][first:]
            self.comparisons[kind] += full.size
            known[name] += int(not np.isnan(full).all()) if full.size else 0
            wrong = np.flatnonzero(differs(full, other, tolerance))
            if wrong.size:
                row = int(wrong[-1])
                ts = self.bars["ts"][(rows.start or 0) + first + row]
                self.found.append(Violation(name, kind, ts, plain(full[row]), plain(other[row])))

    def report(self) -> CausalityReport:
        least = {
            kind: min(counts[name] for name in self.columns if not (kind is Kind.SCALE and self.columns[name].level))
            for kind, counts in self.judged.items()
            if any(not (kind is Kind.SCALE and column.level) for column in self.columns.values())
        }
        judged = self.judged.get(Kind.PREFIX, Counter())
        unseen = [
            Violation(name, Kind.NEVER_KNOWN)
            for name in self.columns
            if name in self.full and not np.isnan(self.full[name]).all() and judged[name] == 0
        ]
        return CausalityReport(
            columns=tuple(self.columns),
            comparisons=dict(self.comparisons),
            times=dict(self.recomputed),
            least_times=least,
            violations=(*self.found, *unseen),
        )


def _newest(table: pl.DataFrame, as_of: datetime) -> int:
    """Place after the newest row of a covariate, in order of ts, that was known at a decision time."""
    known = (table["available_at"] <= as_of).arg_true()
    return int(known[-1]) + 1 if known.len() else 0


def _as_numbers(column: pl.Series) -> pl.Series:
    """Text as checksums and times as microseconds, so that every column can be compared in the same way."""
    if column.dtype == pl.String:
        names = column.drop_nulls().unique()
        codes = {name: float(zlib.crc32(str(name).encode())) for name in names}
        return column.replace_strict(codes, return_dtype=pl.Float64)
    return (column.to_physical() if column.dtype.is_temporal() else column).cast(pl.Float64)
