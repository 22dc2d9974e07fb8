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

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.validation.leaks import alter
from fieldcast.validation.leaks.alter import FUTURES, Altered, Sample
from fieldcast.validation.leaks.diagnose import periods
from fieldcast.validation.leaks.faults import CodeRaised, NothingKnown, WrongRows
from fieldcast.validation.leaks.judge import Judge
from fieldcast.validation.leaks.report import LeakReport
from fieldcast.validation.leaks.runner import Columns, Runner
from fieldcast.validation.leaks.seen import FUTURE_TOLERANCE, SOFT_TOLERANCE, Array, Seen, differs, size_of

EARLY_CUTS = (1, 4, 12, 33)
RANDOM_CUTS, IMPULSES, HOLES = 8, 10, 5
FACTOR = 7.3
DECISIONS = ("close", "open")
Progress = Callable[[str, int, int], None]
_STAGE = "Looking for leaks"


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
    check = _Check(runner, alter.sample_of(bars), warmup, decision, np.random.default_rng(seed), progress)
    check.repeat()
    check.futures()
    check.holes()
    check.own_bars()
    check.beginnings()
    check.levels()
    check.impulses()
    check.repeat_at_the_end()
    return Judge(runner, check.seen, warmup, decision, strict).report(data=data, simulated=simulated, seed=seed)


class _Check:
    """Every alteration on one sample, and what it showed."""

    def __init__(
        self,
        runner: Runner,
        sample: Sample,
        warmup: int | None,
        decision: str,
        rng: np.random.Generator,
        progress: Progress,
    ) -> None:
        self.runner, self.rng, self.progress = runner, rng, progress
        self.warmup, self.decision = warmup, decision
        self.done, self.total = 0, 120
        found = self._compute(sample.columns)
        full = {name: values for name, values in found.items() if not _passed_through(sample, name, values)}
        if not full:
            raise WrongRows(f"expected columns made by {runner.function}, found only the bars that it was given")
        if all(np.isnan(values).all() for values in full.values()):
            raise NothingKnown(f"expected {runner.function} to know some value on {sample.rows} bars, found none in any column")
        self.seen = Seen(sample, full, {name: size_of(values) for name, values in full.items()})

    # the checks -------------------------------------------------------------------------------------------------------

    def repeat(self) -> None:
        """The same bars again: what differs is random."""
        again = self._compute(self.seen.sample.columns)
        self.seen.judged["repeat"] += 1
        for name, values in self.seen.full.items():
            if name not in again or differs(values, again[name], FUTURE_TOLERANCE, self.seen.size[name]).any():
                self.seen.random.add(name)

    def repeat_at_the_end(self) -> None:
        """Once more, after all the others: code that keeps something between computations answers otherwise now."""
        self.repeat()

    def futures(self) -> None:
        """Every alteration of the future at every cut."""
        for cut in self._cuts():
            for how in FUTURES:
                altered = alter.future(self.seen.sample, cut, how, self.rng)
                self._look(how, cut, altered, self.seen.full)
        self._look("append", self.seen.sample.times.size - 1, alter.append(self.seen.sample, 40, self.rng), self.seen.full)

    def holes(self) -> None:
        """The same on bars with gaps, cut inside a gap."""
        spots = np.linspace(0.1, 0.9, HOLES) * self.seen.sample.times.size
        holes = [int(spot) for spot in spots]
        gappy = alter.with_holes(self.seen.sample, holes)
        base = self._try("gaps", gappy.columns)
        if base is None:
            return
        for at in holes:
            for cut in (at, at + 2):
                for how in ("replace", "down"):
                    self._look("gaps", cut, alter.future(gappy, cut, how, self.rng), base, gaps=True)

    def own_bars(self) -> None:
        """High, low, close and volume of a row's own bar."""
        seen = self.seen
        for place, cut in enumerate(self._random_times(4, low=0.3)):
            altered = alter.own_bar(seen.sample, cut, up=place % 2 == 0, later=False)
            found = self._try("own_bar", altered.bars)
            for name, values in (found or {}).items():
                if name in seen.full and name not in seen.random:
                    rows = altered.ours[seen.sample.when[altered.ours] == cut]
                    here = np.isin(altered.ours, rows)
                    wrong = differs(seen.full[name][rows], values[altered.theirs[here]], FUTURE_TOLERANCE, seen.size[name])
                    if wrong.any():
                        seen.reads_own.add(name)
                        if self.decision == "open":
                            seen.note(seen.own_moves[name], "own_bar", cut, rows[wrong], values, altered, seen.full, name)

    def beginnings(self) -> None:
        """History from later beginnings: how many rows until each column has forgotten that?"""
        seen, times = self.seen, self.seen.sample.times.size
        memory: dict[str, int | None] = dict.fromkeys(seen.full, 0)
        for start in sorted({1, 7, times // 10, times // 4, times // 2}):
            altered = alter.without_beginning(seen.sample, start)
            found = self._try("beginning", altered.bars)
            for name in seen.full if found is not None else ():
                if found is None or name not in found or name in seen.random:
                    continue
                wrong = differs(seen.full[name][altered.ours], found[name][altered.theirs], SOFT_TOLERANCE, seen.size[name])
                if not wrong.any():
                    continue
                last = int(seen.sample.when[altered.ours[wrong]].max())
                needed = last - start + 1
                known = memory[name]
                room = times - start
                memory[name] = None if known is None or needed > 0.9 * room else max(known, needed)
                if self.warmup is not None and needed > self.warmup:
                    seen.broken[name] = max(seen.broken.get(name, 0), needed)
        seen.memory = memory

    def levels(self) -> None:
        """All prices times one number."""
        altered = alter.rescaled(self.seen.sample, FACTOR)
        found = self._try("level", altered.bars)
        for name, values in self.seen.full.items():
            if found is None or name not in found or name in self.seen.random:
                continue
            other = found[name]
            if not differs(values, other, SOFT_TOLERANCE, self.seen.size[name]).any():
                self.seen.scale[name] = "free"
                continue
            both = np.isfinite(values) & np.isfinite(other) & (np.abs(values) > 1e-9 * self.seen.size[name])
            ratio = other[both] / values[both]
            same = both.any() and np.ptp(ratio) <= 1e-6 * max(float(np.abs(ratio).max()), 1e-300)
            self.seen.scale[name] = "level" if same else "mixed"

    def impulses(self) -> None:
        """Single altered bars, for the columns that look ahead: their fingerprint."""
        leaking = [name for name in self.seen.full if name not in self.seen.random and self.seen.moves[name].cuts]
        if not leaking:
            return
        for place, at in enumerate(self._impulse_times()):
            for how in ("impulse", "step"):
                altered = alter.impulse(self.seen.sample, at, up=place % 2 == 0, later=how == "step")
                found = self._try(how, altered.bars) or {}
                for name in leaking:
                    if name in found:
                        self.seen.fingerprint(how, name, at, found[name])

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
            self.seen.raised[how] += 1
            self.seen.said.setdefault(how, str(fault))
            return None
        self.seen.judged[how] += 1
        return found

    def _look(self, how: str, cut: int, altered: Altered, base: Columns, *, gaps: bool = False) -> None:
        found = self._try(how, altered.bars)
        if found is None:
            return
        for name in self.seen.full:
            if name in self.seen.random or name not in found or name not in base:
                continue
            ours, theirs = base[name][altered.ours], found[name][altered.theirs]
            wrong = differs(ours, theirs, FUTURE_TOLERANCE, self.seen.size[name])
            if how == "missing":  # NaN runs through sums: only another number is a look ahead
                wrong &= np.isfinite(theirs)
            if wrong.any():
                self.seen.note(self.seen.moves[name], how, cut, altered.ours[wrong], found[name], altered, base, name, gaps=gaps)

    def _cuts(self) -> list[int]:
        times = self.seen.sample.times.size
        return sorted({*EARLY_CUTS, *self._random_times(RANDOM_CUTS, low=0.05), times - 6, times - 2})

    def _random_times(self, count: int, *, low: float) -> list[int]:
        times = self.seen.sample.times.size
        room = np.arange(int(low * times), times - 2)
        return sorted(int(at) for at in self.rng.choice(room, size=min(count, room.size), replace=False))

    def _impulse_times(self) -> list[int]:
        """Random times, and times at which a day, week, month, quarter or year ends."""
        times = self.seen.sample.times.size
        chosen = set(self._random_times(IMPULSES, low=0.2))
        for numbers in periods(self.seen.sample.times).values():
            ends = np.flatnonzero(numbers[1:] != numbers[:-1])
            ends = ends[(ends > 0.1 * times) & (ends < times - 2)]
            if ends.size:
                chosen |= {int(at) for at in self.rng.choice(ends, size=min(3, ends.size), replace=False)}
        return sorted(chosen)


def _passed_through(sample: Sample, name: str, values: Array) -> bool:
    """A column of the bars that was handed on unchanged."""
    given = sample.columns.get(name)
    if name == "instrument":
        return True
    return given is not None and given.dtype.kind == "f" and np.array_equal(given, values, equal_nan=True)
