"""Does the user's own code look ahead? Its columns are computed again and again on bars whose future was altered.

    look-ahead   a value of the past moves when later bars do                             always a fault
    own bar      a value moves with the high, low, close or volume of its own bar         a fault where decisions are at the open
    history      a value depends on bars older than the stated warm-up                    a fault where a warm-up was stated
    level        a value is not free of the level of prices, which later splits move      a fault under `strict`
    random       two computations on the same bars differ                                 nothing can be said of the column

Values are the same where they differ by at most 1e-9 of the value and of the column's size (1e-6 for history and level). A value
that an alteration to missing bars only blanks is no leak: NaN runs through sums and transforms. Where the code raises on altered
bars, that computation is counted and says nothing; where it raises on all of one kind, the report says so.

Source: the truncation test of rule 2 of the project's architecture, and freqtrade's lookahead and recursive analyses, with
fingerprints of single altered bars in addition.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.validation.leaks import alter
from fieldcast.validation.leaks.alter import FUTURES, Altered, Sample
from fieldcast.validation.leaks.diagnose import Diagnosis, Response, diagnose, periods
from fieldcast.validation.leaks.faults import CodeRaised, NothingKnown, WrongRows
from fieldcast.validation.leaks.report import Cause, ColumnSeen, Example, Finding, Kind, LeakReport, Outcome
from fieldcast.validation.leaks.runner import Columns, Runner

FUTURE_TOLERANCE, SOFT_TOLERANCE = 1e-9, 1e-6
EARLY_CUTS = (1, 4, 12, 33)
RANDOM_CUTS, IMPULSES, HOLES = 8, 10, 5
FACTOR = 7.3
DECISIONS = ("close", "open")
Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
_STAGE = "Looking for leaks"


@dataclass
class _Moves:
    """What moved of one column."""

    cuts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[float, str, int, int, float, float]] = field(default_factory=list)  # size, how, cut, row, value, altered
    first: int | None = None
    last: int | None = None
    beyond_holes: bool = False
    beyond_leading: bool = False
    filled: bool = True


def check_leaks(
    runner: Runner,
    bars: pl.DataFrame,
    *,
    data: str = "bars",
    simulated: bool = False,
    warmup: int | None = None,
    decision: str = "close",
    strict: bool = False,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> LeakReport:
    """Put the user's columns to every alteration, and say which moved, when and why.

    Parameters
    ----------
    runner : computes the columns; see `runner`
    bars : ts, close and any other numbers, one row a bar; several instruments where there is a column `instrument`
    data : what the bars are, for the report
    warmup : rows after which a value may no longer depend on where the history began; None = only measured
    decision : `close` (a row may use its own bar) or `open` (of its own bar it may use the open alone)
    strict : price levels are faults too
    seed : of the cuts and of the random alterations

    Raises
    ------
    CodeFault : the code gives no columns to judge
    InvalidInput, MissingData : bars that are not fit, or an unknown decision
    """
    if decision not in DECISIONS:
        raise InvalidInput(f"expected decisions at the {' or the '.join(DECISIONS)}, found {decision!r}")
    if warmup is not None and warmup < 0:
        raise InvalidInput(f"expected a warm-up of 0 rows or more, found {warmup}")
    check = _Check(runner, alter.sample_of(bars), warmup, decision, strict, np.random.default_rng(seed), progress)
    check.repeat()
    check.futures()
    check.holes()
    check.own_bars()
    check.beginnings()
    check.levels()
    check.impulses()
    check.repeat_at_the_end()
    return check.report(data=data, simulated=simulated, seed=seed)


class _Check:
    def __init__(
        self,
        runner: Runner,
        sample: Sample,
        warmup: int | None,
        decision: str,
        strict: bool,
        rng: np.random.Generator,
        progress: Progress,
    ) -> None:
        self.runner, self.sample, self.rng, self.progress = runner, sample, rng, progress
        self.warmup, self.decision, self.strict = warmup, decision, strict
        self.judged: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.moves: dict[str, _Moves] = defaultdict(_Moves)
        self.random: set[str] = set()
        self.memory: dict[str, int | None] = {}
        self.broken: dict[str, int] = {}  # column → rows after the beginning at which it still depends on it
        self.scale: dict[str, str] = {}
        self.reads_own: set[str] = set()
        self.own_moves: dict[str, _Moves] = defaultdict(_Moves)
        self.responses: dict[tuple[str, str], list[Response]] = defaultdict(list)
        self.done, self.total = 0, 120
        full = self._compute(sample.columns)
        self.full = {name: values for name, values in full.items() if not self._passed_through(name, values)}
        if not self.full:
            raise WrongRows(f"expected columns made by {runner.function}, found only the bars that it was given")
        if all(np.isnan(values).all() for values in self.full.values()):
            raise NothingKnown(f"expected {runner.function} to know some value on {sample.rows} bars, found none in any column")
        self.size = {name: _size(values) for name, values in self.full.items()}

    # the checks -------------------------------------------------------------------------------------------------------

    def repeat(self) -> None:
        """The same bars again: what differs is random."""
        again = self._compute(self.sample.columns)
        self.judged["repeat"] += 1
        for name, values in self.full.items():
            if name not in again or _differs(values, again[name], FUTURE_TOLERANCE, self.size[name]).any():
                self.random.add(name)

    def repeat_at_the_end(self) -> None:
        """Once more, after all the others: code that keeps something between computations answers otherwise now."""
        self.repeat()

    def futures(self) -> None:
        """Every alteration of the future at every cut."""
        for cut in self._cuts():
            for how in FUTURES:
                altered = alter.future(self.sample, cut, how, self.rng)
                self._look(how, cut, altered, self.full)
        self._look("append", self.sample.times.size - 1, alter.append(self.sample, 40, self.rng), self.full)

    def holes(self) -> None:
        """The same on bars with gaps, cut inside a gap."""
        spots = np.linspace(0.1, 0.9, HOLES) * self.sample.times.size
        holes = [int(spot) for spot in spots]
        gappy = alter.with_holes(self.sample, holes)
        base = self._try("gaps", gappy.columns)
        if base is None:
            return
        for at in holes:
            for cut in (at, at + 2):
                for how in ("replace", "down"):
                    self._look("gaps", cut, alter.future(gappy, cut, how, self.rng), base, gaps=True)

    def own_bars(self) -> None:
        """High, low, close and volume of a row's own bar."""
        for place, cut in enumerate(self._random_times(4, low=0.3)):
            altered = alter.own_bar(self.sample, cut, up=place % 2 == 0, later=False)
            found = self._try("own_bar", altered.bars)
            for name, values in (found or {}).items():
                if name in self.full and name not in self.random:
                    rows = altered.ours[self.sample.when[altered.ours] == cut]
                    here = np.isin(altered.ours, rows)
                    wrong = _differs(self.full[name][rows], values[altered.theirs[here]], FUTURE_TOLERANCE, self.size[name])
                    if wrong.any():
                        self.reads_own.add(name)
                        if self.decision == "open":
                            self._note(self.own_moves[name], "own_bar", cut, rows[wrong], values, altered, self.full, name)

    def beginnings(self) -> None:
        """History from later beginnings: how many rows until each column has forgotten that?"""
        times = self.sample.times.size
        memory: dict[str, int | None] = dict.fromkeys(self.full, 0)
        for start in sorted({1, 7, times // 10, times // 4, times // 2}):
            altered = alter.without_beginning(self.sample, start)
            found = self._try("beginning", altered.bars)
            for name in self.full if found is not None else ():
                if found is None or name not in found or name in self.random:
                    continue
                wrong = _differs(self.full[name][altered.ours], found[name][altered.theirs], SOFT_TOLERANCE, self.size[name])
                if not wrong.any():
                    continue
                last = int(self.sample.when[altered.ours[wrong]].max())
                needed = last - start + 1
                known = memory[name]
                room = times - start
                memory[name] = None if known is None or needed > 0.9 * room else max(known, needed)
                if self.warmup is not None and needed > self.warmup:
                    self.broken[name] = max(self.broken.get(name, 0), needed)
        self.memory = memory

    def levels(self) -> None:
        """All prices times one number."""
        altered = alter.rescaled(self.sample, FACTOR)
        found = self._try("level", altered.bars)
        for name, values in self.full.items():
            if found is None or name not in found or name in self.random:
                continue
            other = found[name]
            if not _differs(values, other, SOFT_TOLERANCE, self.size[name]).any():
                self.scale[name] = "free"
                continue
            both = np.isfinite(values) & np.isfinite(other) & (np.abs(values) > 1e-9 * self.size[name])
            ratio = other[both] / values[both]
            same = both.any() and np.ptp(ratio) <= 1e-6 * max(float(np.abs(ratio).max()), 1e-300)
            self.scale[name] = "level" if same else "mixed"

    def impulses(self) -> None:
        """Single altered bars, for the columns that look ahead: their fingerprint."""
        leaking = [name for name in self.full if name not in self.random and self.moves[name].cuts]
        if not leaking:
            return
        for place, at in enumerate(self._impulse_times()):
            for how in ("impulse", "step"):
                altered = alter.impulse(self.sample, at, up=place % 2 == 0, later=how == "step")
                found = self._try(how, altered.bars) or {}
                for name in leaking:
                    if name in found:
                        self._fingerprint(how, name, at, found[name])

    # the machinery ----------------------------------------------------------------------------------------------------

    def _compute(self, bars: dict[str, NDArray[Any]]) -> Columns:
        found = self.runner.run(bars)
        self.done += 1
        self.progress(_STAGE, min(self.done, self.total), self.total)
        return found

    def _try(self, how: str, bars: dict[str, NDArray[Any]]) -> Columns | None:
        """A computation on altered bars; None where the code cannot do it, which is counted and told."""
        try:
            found = self._compute(bars)
        except (CodeRaised, WrongRows) as fault:
            self.raised[how] += 1
            self.said.setdefault(how, str(fault))
            return None
        self.judged[how] += 1
        return found

    def _look(self, how: str, cut: int, altered: Altered, base: Columns, *, gaps: bool = False) -> None:
        found = self._try(how, altered.bars)
        if found is None:
            return
        for name in self.full:
            if name in self.random or name not in found or name not in base:
                continue
            ours, theirs = base[name][altered.ours], found[name][altered.theirs]
            wrong = _differs(ours, theirs, FUTURE_TOLERANCE, self.size[name])
            if how == "missing":  # NaN runs through sums: only another number is a look ahead
                wrong &= np.isfinite(theirs)
            if wrong.any():
                self._note(self.moves[name], how, cut, altered.ours[wrong], found[name], altered, base, name, gaps=gaps)

    def _note(
        self,
        moves: _Moves,
        how: str,
        cut: int,
        rows: NDArray[np.intp],
        values: Array,
        altered: Altered,
        base: Columns,
        name: str,
        *,
        gaps: bool = False,
    ) -> None:
        moves.cuts[how] += 1
        place = np.full(self.sample.rows, -1)
        place[altered.ours] = altered.theirs
        when = self.sample.when[rows]
        moves.first = int(when.min()) if moves.first is None else min(moves.first, int(when.min()))
        moves.last = int(when.max()) if moves.last is None else max(moves.last, int(when.max()))
        sizes = np.abs(np.nan_to_num(base[name][rows]) - np.nan_to_num(values[place[rows]])) / self.size[name]
        worst = int(np.argmax(sizes))
        row = int(rows[worst])
        moves.rows.append((float(sizes[worst]), how, cut, row, float(base[name][row]), float(values[place[row]])))
        moves.beyond_holes |= not gaps
        whole = self.full[name]
        moves.filled &= all(self._is_filled(base[name], int(one), cut) for one in rows[:50])
        if not gaps:
            known = np.flatnonzero(np.isfinite(whole))
            run = known[0] if known.size else 0
            constant = np.flatnonzero(whole[known] != whole[run]) if known.size else np.empty(0, dtype=int)
            lead = known[constant[0]] if constant.size else self.sample.rows
            moves.beyond_leading |= bool((rows >= lead).any())

    def _is_filled(self, values: Array, row: int, cut: int) -> bool:
        """Whether the row's value is that of the first row behind the cut that has one of its own."""
        mine = self.sample.columns["instrument"] == self.sample.columns["instrument"][row]
        later = np.flatnonzero(mine & (self.sample.when > cut))[:8]
        return bool(later.size) and bool(np.isclose(values[later], values[row], rtol=1e-12, atol=0.0).any())

    def _fingerprint(self, how: str, name: str, at: int, values: Array) -> None:
        """The response of one column, of the instrument that moved most before the impulse."""
        if values.size != self.sample.rows:
            return
        changed = _differs(self.full[name], values, FUTURE_TOLERANCE, self.size[name])
        names = self.sample.columns["instrument"]
        early = changed & (self.sample.when < at)
        moved = names[early] if early.any() else names[:1]
        kinds, counts = np.unique(moved, return_counts=True)
        rows = np.flatnonzero(names == kinds[np.argmax(counts)])
        response = Response(at, self.sample.when[rows], self.full[name][rows], values[rows], changed[rows])
        self.responses[how, name].append(response)

    def _cuts(self) -> list[int]:
        times = self.sample.times.size
        return sorted({*EARLY_CUTS, *self._random_times(RANDOM_CUTS, low=0.05), times - 6, times - 2})

    def _random_times(self, count: int, *, low: float) -> list[int]:
        times = self.sample.times.size
        room = np.arange(int(low * times), times - 2)
        return sorted(int(at) for at in self.rng.choice(room, size=min(count, room.size), replace=False))

    def _impulse_times(self) -> list[int]:
        """Random times, and times at which a day, week, month, quarter or year ends."""
        times = self.sample.times.size
        chosen = set(self._random_times(IMPULSES, low=0.2))
        for numbers in periods(self.sample.times).values():
            ends = np.flatnonzero(numbers[1:] != numbers[:-1])
            ends = ends[(ends > 0.1 * times) & (ends < times - 2)]
            if ends.size:
                chosen |= {int(at) for at in self.rng.choice(ends, size=min(3, ends.size), replace=False)}
        return sorted(chosen)

    def _passed_through(self, name: str, values: Array) -> bool:
        """A column of the bars that was handed on unchanged."""
        given = self.sample.columns.get(name)
        if name == "instrument":
            return True
        return given is not None and given.dtype.kind == "f" and np.array_equal(given, values, equal_nan=True)

    # the report -------------------------------------------------------------------------------------------------------

    def report(self, *, data: str, simulated: bool, seed: int) -> LeakReport:
        calendar = periods(self.sample.times)
        findings: list[Finding] = []
        columns = []
        for name, values in self.full.items():
            mine = list(self._findings(name, values, calendar))
            findings += mine
            columns.append(
                ColumnSeen(
                    name=name,
                    verdict=_verdict(mine),
                    known=float(np.isfinite(values).mean()),
                    memory=self.memory.get(name, 0),
                    scale=self.scale.get(name, "unknown"),
                    reads_own_bar=name in self.reads_own,
                )
            )
        names = self.sample.columns["instrument"]
        kinds = dict.fromkeys((*self.judged, *self.raised))
        return LeakReport(
            function=self.runner.function,
            form=str(self.runner.form),
            data=data,
            simulated=simulated,
            rows=self.sample.rows,
            instruments=int(np.unique(names).size),
            first=self._time(0),
            last=self._time(-1),
            decision=self.decision,
            warmup=self.warmup,
            seed=seed,
            columns=tuple(columns),
            findings=tuple(sorted(findings, key=lambda item: not item.fails)),
            alterations={how: (self.judged[how], self.raised[how]) for how in kinds},
            notes=tuple(self._notes()),
        )

    def _findings(self, name: str, values: Array, calendar: dict[str, NDArray[np.int64]]) -> Iterator[Finding]:
        if np.isnan(values).all():
            yield Finding(name, Kind.NEVER_KNOWN, True, "not one value is known: nothing can be said")
            return
        if name in self.random:
            text = "two computations on the same bars differ: whether it looks ahead cannot be told; fix its random seed"
            yield Finding(name, Kind.NONDETERMINISTIC, True, text)
            return
        if self.moves[name].cuts:
            yield self._look_ahead(name, calendar)
        if self.own_moves[name].cuts:
            text = "its own bar's high, low, close or volume moves it, and decisions are made at the open"
            yield self._moved(name, Kind.SAME_BAR, self.own_moves[name], Diagnosis(Cause.OWN_BAR, 0, text))
        if name in self.broken:
            text = f"{self.broken[name]:,} rows after another beginning it still differs; the stated warm-up is {self.warmup:,}"
            yield Finding(name, Kind.HISTORY, True, text)
        if self.scale.get(name) in ("level", "mixed"):
            word = "in proportion to" if self.scale[name] == "level" else "with"
            text = f"it moves {word} the level of prices, which a later split or dividend changes in back-adjusted bars"
            yield Finding(name, Kind.PRICE_LEVEL, self.strict, text)

    def _look_ahead(self, name: str, calendar: dict[str, NDArray[np.int64]]) -> Finding:
        moves = self.moves[name]
        found = diagnose(
            self.responses["impulse", name],
            self.responses["step", name],
            moves.cuts,
            calendar,
            only_holes=not moves.beyond_holes,
            filled=moves.filled,
            leading=not moves.beyond_leading,
        )
        return self._moved(name, Kind.LOOK_AHEAD, moves, found)

    def _moved(self, name: str, kind: Kind, moves: _Moves, found: Diagnosis) -> Finding:
        largest = sorted(moves.rows, key=lambda item: -item[0])[:3]
        first, last = moves.first or 0, moves.last or 0
        examples = tuple(
            Example(how, self._time(cut), self._time(int(self.sample.when[row])), int(cut - self.sample.when[row]),
                    _plain(value), _plain(altered))
            for _, how, cut, row, value, altered in largest
        )  # fmt: skip
        whole = found.cause in (
            Cause.FULL_SAMPLE_NORMALISATION, Cause.GLOBAL_RANK, Cause.CUMULATIVE_FROM_END, Cause.WHOLE_SAMPLE_FIT
        )  # fmt: skip
        return Finding(
            column=name,
            kind=kind,
            fails=True,
            text=found.text,
            cause=found.cause,
            reach=found.reach,
            whole_sample=whole,
            moved=dict(moves.cuts),
            first=self._time(first),
            last=self._time(last),
            size=largest[0][0],
            examples=examples,
        )

    def _notes(self) -> Iterator[str]:
        for how, count in self.raised.items():
            if not self.judged[how]:
                yield f"{how}: not judged, the code raised on all {count} of these: {self.said[how]}"
        if not getattr(self.runner, "limited", True):
            yield "no time limit: the function was called in a thread that cannot be stopped"
        if self.decision == "close" and self.reads_own:
            names = ", ".join(sorted(self.reads_own)[:5]) + (" and others" if len(self.reads_own) > 5 else "")
            yield f"sound for decisions at the close, not at the same bar's open: {names}; --decision open checks that"

    def _time(self, place: int) -> datetime:
        return datetime.fromtimestamp(int(self.sample.times[place]) / 1e6, tz=UTC)


def _verdict(findings: list[Finding]) -> Outcome:
    kinds = {item.kind for item in findings if item.fails}
    if kinds & {Kind.LOOK_AHEAD, Kind.SAME_BAR}:
        return Outcome.LEAK
    if kinds & {Kind.HISTORY, Kind.PRICE_LEVEL}:
        return Outcome.FAULT
    return Outcome.CANNOT_JUDGE if kinds else Outcome.CLEAN


def _size(values: Array) -> float:
    """The column's size, against which a difference is small: its deviation, else its level, else 1."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 1.0
    low, high = np.quantile(known, (0.05, 0.95))
    return float(high - low) or float(known.std()) or float(np.abs(known).mean()) or 1.0


def _differs(one: Array, other: Array, tolerance: float, size: float) -> NDArray[np.bool_]:
    a, b = np.isnan(one), np.isnan(other)
    x, y = np.where(a, 0.0, one), np.where(b, 0.0, other)
    far = np.abs(x - y) > tolerance * (np.abs(x) + size)
    return np.asarray((a != b) | (~a & ~b & far), dtype=np.bool_)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
