"""Walk-forward optimisation: parameters are chosen on a training span, traded on the span after it, and chosen again.

    window k:   train [a, a + train)   gap   test [a + train + gap, a + train + gap + test)       the next one is `step` later

Each parameter set is an account of its own on every training span; the set with the best objective there is traded on the test
span, and nothing that happens in a test span is seen by its choice. Indicators know all bars before a span (they are causal),
accounts begin flat in each. The windows' choices are then traded as one strategy by one account over all test spans, so that
changing from one set to another has its costs.

Every set is a trial on the whole scored span, and so is the walk itself (its fits are its children): the log has what the best
could have been picked from, and the deflated figures count all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import FamilyFigures, Trial, TrialLog, family_figures
from fieldcast.ground import InvalidInput, ShortHistory
from fieldcast.simulation.fast.engine import FastResult, Strategy, arrays_of, run_fast, targets_of
from fieldcast.simulation.fast.figures import FIGURES, figures_of
from fieldcast.simulation.fast.jobs import Backend, spread
from fieldcast.simulation.fast.settings import FastSettings
from fieldcast.simulation.fast.sweeps import ParameterSets, sweep_tape
from fieldcast.simulation.fast.tape import Tape
from fieldcast.strategy.catalogue import strategy as catalogue_strategy

OBJECTIVES = ("sharpe", "sortino", "total_return", "return_over_drawdown")
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in bars.

    Parameters
    ----------
    train, test : of each window
    step : from one window to the next; None = `test`, so that every bar is scored once
    gap : bars between training and test span, for what a training span knows of the bars after it
    anchored : training spans all begin at the first bar
    """

    train: int
    test: int
    step: int | None = None
    gap: int = 0
    anchored: bool = False

    def __post_init__(self) -> None:
        if self.train < 2 or self.test < 1 or self.gap < 0:
            raise InvalidInput(f"expected train >= 2, test >= 1, gap >= 0 bars, found {self.train}, {self.test}, {self.gap}")
        if self.step is not None and self.step < self.test:
            raise InvalidInput(f"expected a step of at least the test span ({self.test} bars), found {self.step}")

    def spans(self, bars: int) -> list[tuple[int, int, int, int]]:
        """(train start, train end, test start, test end) of each window; the last test span may be shorter.

        Raises
        ------
        ShortHistory : not even one window fits
        """
        found, start = [], 0
        while start + self.train + self.gap < bars:
            end = start + self.train
            found.append((0 if self.anchored else start, end, end + self.gap, min(end + self.gap + self.test, bars)))
            start += self.step or self.test
        if not found:
            raise ShortHistory(f"expected more than {self.train + self.gap} bars for one window, found {bars}")
        return found


@dataclass(frozen=True, eq=False)
class WalkForwardOptimisation:
    """What was chosen where, and what the choices earned.

    Parameters
    ----------
    windows : one row a window: spans in bars and stamps, `chosen` (row of `sets`, null where no set had an objective), its
        parameters as `parameter_*`, `objective_train`, and `test_*` figures of the chosen set on the test span by itself
    sets : the parameter sets, one row each, with FIGURES over the whole scored span of accounts that never change parameters
    result : the walk as one account over the scored span
    targets : (T,) what it held, 0 outside the test spans
    """

    family: str
    objective: str
    windows: pl.DataFrame
    sets: pl.DataFrame
    result: FastResult
    targets: NDArray[np.float64]
    log: TrialLog
    trial_id: str

    @cached_property
    def deflated(self) -> FamilyFigures:
        """Deflated figures of everything in the family; the walk's own are `deflated.of(trial_id)`."""
        return family_figures(self.log, self.family)

    def describe(self) -> str:
        """One line on what is left of the walk's Sharpe ratio after so many trials."""
        family, own = self.deflated, self.deflated.of(self.trial_id)
        if own.sharpe is None or own.psr is None or own.dsr is None or own.dsr_effective is None:
            return "walk-forward: no Sharpe ratio, the daily returns do not vary"
        return (
            f"walk-forward: Sharpe ratio {own.sharpe:.4f} a day; PSR(0) {own.psr:.4f}; DSR {own.dsr:.4f} at N={family.n}, "
            f"{own.dsr_effective:.4f} at effective N={family.n_effective:.2f}"
        )


def optimise_walk_forward(
    sets: ParameterSets | tuple[Strategy, Sequence[Mapping[str, Any]]],
    tape: Tape,
    settings: FastSettings,
    windows: Windows,
    *,
    log: TrialLog,
    family: str,
    objective: str = "sharpe",
    least_trades: int = 1,
    workers: int | None = None,
    backend: Backend = "threads",
) -> WalkForwardOptimisation:
    """Choose parameters on each training span, trade them on the next one.

    Parameters
    ----------
    sets : of a rule of the catalogue, or a strategy of one's own (arrays, **parameters -> targets) with its parameter sets
    log, family : where trials are recorded; there is no default, on purpose
    objective : what is best on a training span; of equal ones the first set is taken
    least_trades : a set with fewer round trips on a training span is not chosen there
    workers, backend : see `jobs.spread`; the result is the same for all

    Raises
    ------
    InvalidInput : no such objective, or bars on fewer than two days
    ShortHistory : not even one window fits
    StrategyError : a strategy of one's own failed
    """
    if objective not in OBJECTIVES:
        raise InvalidInput(f"expected an objective out of {', '.join(OBJECTIVES)}, found {objective!r}")
    if not all(callable(getattr(log, name, None)) for name in ("record", "trials", "looks")) or not family:
        raise InvalidInput(f"expected a TrialLog and a family, found {type(log).__name__} and {family!r}")
    found = windows.spans(tape.length)
    scored = (found[0][2], found[-1][3])
    spans = np.array([*(one[:2] for one in found), *(one[2:] for one in found), scored], dtype=np.int64)
    rows, tables = _accounts(sets, tape, settings, spans, workers, backend)
    count = len(found)
    best = np.array([_best(_objective(table, objective), table["trades"].to_numpy(), least_trades) for table in tables[:count]])
    targets = np.zeros(tape.length)
    for number in sorted(set(best[best >= 0].tolist())):
        own = _targets(sets, number, rows[number], tape)
        for k in np.flatnonzero(best == number):
            targets[found[k][2] : found[k][3]] = own[found[k][2] : found[k][3]]
    result = run_fast(targets, tape, settings, span=scored)
    walk = _record(sets, rows, targets, tape, settings, windows, result, log, family, objective, workers, backend)
    chosen = _window_table(found, best, rows, tables, objective, tape)
    parameters = pl.DataFrame(rows) if rows[0] else pl.DataFrame()
    return WalkForwardOptimisation(
        family=family, objective=objective, windows=chosen, sets=pl.concat([parameters, tables[-1]], how="horizontal"),
        result=result, targets=targets, log=log, trial_id=walk,
    )  # fmt: skip


def _accounts(
    sets: ParameterSets | tuple[Strategy, Sequence[Mapping[str, Any]]],
    tape: Tape,
    settings: FastSettings,
    spans: NDArray[np.int64],
    workers: int | None,
    backend: Backend,
) -> tuple[list[dict[str, Any]], list[pl.DataFrame]]:
    """The sets as plain rows, and FIGURES of all of them on each span."""
    if isinstance(sets, ParameterSets):
        rows = [dict(one) for one in sets.rows]
        whole, real = sweep_tape(sets, tape, settings, spans=spans, workers=workers, backend=backend)
    else:
        own, given = sets
        rows = [dict(one) for one in given]
        if not rows:
            raise InvalidInput("expected at least one parameter set, found none")
        answers = spread(_one_set, [(own, one, tape, settings, spans) for one in rows], workers=workers, backend=backend)
        whole = np.stack([answer[0] for answer in answers])
        real = np.stack([answer[1] for answer in answers])
    tables = []
    for k, (begin, stop) in enumerate(spans.tolist()):
        columns = figures_of(
            whole[:, k], real[:, k], bars=stop - begin, cash_minor=tape.units.minor(settings.cash),
            minor=10.0**-tape.units.cash_decimals, periods_per_year=settings.periods_per_year,
        )  # fmt: skip
        tables.append(pl.DataFrame(columns, schema=FIGURES))
    return rows, tables


def _one_set(
    piece: tuple[Strategy, Mapping[str, Any], Tape, FastSettings, NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    own, parameters, tape, settings, spans = piece
    targets = targets_of(own, parameters, tape)
    runs = [run_fast(targets, tape, settings, span=(int(begin), int(stop))) for begin, stop in spans]
    return np.stack([run.whole for run in runs]), np.stack([run.real for run in runs])


def _objective(table: pl.DataFrame, objective: str) -> NDArray[np.float64]:
    """(P,) what is to be largest; -inf where it does not exist."""
    value = pl.col("total_return") / pl.col("max_drawdown") if objective == "return_over_drawdown" else pl.col(objective)
    known = value.is_finite() & ~pl.col("ruined")
    chosen = table.select(pl.when(known).then(value).otherwise(-np.inf).fill_null(-np.inf)).to_series()
    found: NDArray[np.float64] = chosen.to_numpy()
    return found


def _best(objective: NDArray[np.float64], trades: NDArray[Any], least_trades: int) -> int:
    """The first of the largest; -1 where there is none to choose."""
    value = np.where(trades >= least_trades, objective, -np.inf)
    best = int(value.argmax())
    return best if np.isfinite(value[best]) else -1


def _targets(
    sets: ParameterSets | tuple[Strategy, Sequence[Mapping[str, Any]]], number: int, row: Mapping[str, Any], tape: Tape
) -> NDArray[np.float64]:
    """(T,) the targets of one set over the whole tape, each from bars up to its own."""
    if isinstance(sets, ParameterSets):
        found: NDArray[np.float64] = catalogue_strategy(sets.rule, **row).targets(arrays_of(tape))
        return found
    return targets_of(sets[0], row, tape)


# -- the record --------------------------------------------------------------------------------------------------------


def _record(
    sets: ParameterSets | tuple[Strategy, Sequence[Mapping[str, Any]]],
    rows: list[dict[str, Any]],
    targets: NDArray[np.float64],
    tape: Tape,
    settings: FastSettings,
    windows: Windows,
    result: FastResult,
    log: TrialLog,
    family: str,
    objective: str,
    workers: int | None,
    backend: Backend,
) -> str:
    """Put every set and the walk on record; returns the walk's id."""
    scored = (result.begin, result.stop)
    rule = sets.rule if isinstance(sets, ParameterSets) else name_of(sets[0])
    terms = {"strategy": rule, "settings": settings.canonical()}
    pieces = [(sets if isinstance(sets, ParameterSets) else (sets[0], ()), number, row, tape, settings, scored)
              for number, row in enumerate(rows)]  # fmt: skip
    for row, (days, series, total) in zip(rows, spread(_series_of_set, pieces, workers=workers, backend=backend), strict=True):
        log.record(_trial(family, {**terms, "parameters": row}, tape, days, series, total, children=0))
    walk = {
        **terms,
        "walk_forward": {
            "train": windows.train, "test": windows.test, "step": windows.step or windows.test, "gap": windows.gap,
            "anchored": windows.anchored, "objective": objective, "sets": rows,
        },
    }  # fmt: skip
    fits = len(rows) * len(windows.spans(tape.length))
    trial = _trial(family, walk, tape, *_daily(result), children=fits)
    log.record(trial)
    return trial.id


def name_of(own: Strategy) -> str:
    """How the record names a strategy of one's own: where its function, or its class, is defined."""
    inner: Any = own.func if isinstance(own, partial) else own
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"


def _series_of_set(piece: Any) -> tuple[NDArray[np.datetime64], NDArray[np.float64], float]:
    sets, number, row, tape, settings, scored = piece
    return _daily(run_fast(_targets(sets, number, row, tape), tape, settings, span=scored))


def _daily(result: FastResult) -> tuple[NDArray[np.datetime64], NDArray[np.float64], float]:
    """Days, return of each from the last equity of the day before (the first from the cash paid in), and the total return."""
    tape = result.tape
    ts = tape.market.ts[tape.bars[result.begin : result.stop]]
    day = (ts - 1) // DAY_US      # a bar that ends at midnight belongs to the day that it ends
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    equity = result.equity_curve()[last]
    start = float(result.settings.cash)
    before = np.concatenate(([start], equity[:-1]))
    if bool((before <= 0.0).any()):
        known = int(np.flatnonzero(before <= 0.0)[0])      # ruined: nothing can be earned from there on
        before[known:], equity[known:] = 1.0, 1.0
    return day[last].astype("datetime64[D]"), equity / before - 1.0, float(result.figures["total_return"])


def _trial(
    family: str,
    configuration: Mapping[str, Any],
    tape: Tape,
    days: NDArray[np.datetime64],
    series: NDArray[np.float64],
    total: float,
    *,
    children: int,
) -> Trial:
    if days.size < 2:
        raise InvalidInput(f"expected scored bars on at least two days, found {days.size}")
    first: date = days[0].item()
    last: date = days[-1].item()
    return Trial(
        family=family, configuration=configuration, instrument=tape.instrument, label="strategy", horizon=1, span_start=first,
        span_end=last, metric="total_return", estimate=total, n=int(days.size), dates=days, series=series, children=children,
    )  # fmt: skip


def _window_table(
    found: list[tuple[int, int, int, int]],
    best: NDArray[np.int64],
    rows: list[dict[str, Any]],
    tables: list[pl.DataFrame],
    objective: str,
    tape: Tape,
) -> pl.DataFrame:
    count = len(found)
    ts = tape.market.ts[tape.bars]
    lines = []
    for k, (train_start, train_end, test_start, test_end) in enumerate(found):
        number = int(best[k])
        line: dict[str, Any] = {
            "window": k, "train_start": train_start, "train_end": train_end, "test_start": test_start, "test_end": test_end,
            "train_start_ts": int(ts[train_start]), "train_end_ts": int(ts[train_end - 1]),
            "test_start_ts": int(ts[test_start]), "test_end_ts": int(ts[test_end - 1]),
            "chosen": number if number >= 0 else None,
        }  # fmt: skip
        line |= {f"parameter_{name}": value if number >= 0 else None for name, value in rows[max(number, 0)].items()}
        line["objective_train"] = float(_objective(tables[k], objective)[number]) if number >= 0 else None
        scored = tables[count + k].row(number, named=True) if number >= 0 else dict.fromkeys(FIGURES)
        line |= {f"test_{name}": value for name, value in scored.items()}
        lines.append(line)
    frame = pl.DataFrame(lines, infer_schema_length=None)
    stamps = [name for name in frame.columns if name.endswith("_ts")]
    return frame.with_columns(pl.col(stamps).cast(pl.Datetime("us", "UTC")))
