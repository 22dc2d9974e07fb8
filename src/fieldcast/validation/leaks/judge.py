"""From what the alterations showed to the report: the findings of each column, its verdict, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fieldcast.validation.leaks.diagnose import Diagnosis, diagnose, periods
from fieldcast.validation.leaks.report import Cause, ColumnSeen, Example, Finding, Kind, LeakReport, Outcome
from fieldcast.validation.leaks.runner import Runner
from fieldcast.validation.leaks.seen import Array, Moves, Seen


@dataclass(frozen=True)
class Judge:
    """What was asked of the columns, beside what was seen of them; `report` says what follows."""

    runner: Runner
    seen: Seen
    warmup: int | None
    decision: str
    strict: bool

    def report(self, *, data: str, simulated: bool, seed: int) -> LeakReport:
        """Every column with its verdict, and every finding, faults first."""
        calendar = periods(self.seen.sample.times)
        findings: list[Finding] = []
        columns = []
        for name, values in self.seen.full.items():
            mine = list(self._findings(name, values, calendar))
            findings += mine
            columns.append(
                ColumnSeen(
                    name=name,
                    verdict=_verdict(mine),
                    known=float(np.isfinite(values).mean()),
                    memory=self.seen.memory.get(name, 0),
                    scale=self.seen.scale.get(name, "unknown"),
                    reads_own_bar=name in self.seen.reads_own,
                )
            )
        names = self.seen.sample.columns["instrument"]
        kinds = dict.fromkeys((*self.seen.judged, *self.seen.raised))
        return LeakReport(
            function=self.runner.function,
            form=str(self.runner.form),
            data=data,
            simulated=simulated,
            rows=self.seen.sample.rows,
            instruments=int(np.unique(names).size),
            first=self._time(0),
            last=self._time(-1),
            decision=self.decision,
            warmup=self.warmup,
            seed=seed,
            columns=tuple(columns),
            findings=tuple(sorted(findings, key=lambda item: not item.fails)),
            alterations={how: (self.seen.judged[how], self.seen.raised[how]) for how in kinds},
            notes=tuple(self._notes()),
        )

    def _findings(self, name: str, values: Array, calendar: dict[str, NDArray[np.int64]]) -> Iterator[Finding]:
        if np.isnan(values).all():
            yield Finding(name, Kind.NEVER_KNOWN, True, "not one value is known: nothing can be said")
            return
        if name in self.seen.random:
            text = "two computations on the same bars differ: whether it looks ahead cannot be told; fix its random seed"
            yield Finding(name, Kind.NONDETERMINISTIC, True, text)
            return
        if self.seen.moves[name].cuts:
            yield self._look_ahead(name, calendar)
        if self.seen.own_moves[name].cuts:
            text = "its own bar's high, low, close or volume moves it, and decisions are made at the open"
            yield self._moved(name, Kind.SAME_BAR, self.seen.own_moves[name], Diagnosis(Cause.OWN_BAR, 0, text))
        if name in self.seen.broken:
            text = (
                f"{self.seen.broken[name]:,} rows after another beginning it still differs; the stated warm-up is {self.warmup:,}"
            )
            yield Finding(name, Kind.HISTORY, True, text)
        if self.seen.scale.get(name) in ("level", "mixed"):
            word = "in proportion to" if self.seen.scale[name] == "level" else "with"
            text = f"it moves {word} the level of prices, which a later split or dividend changes in back-adjusted bars"
            yield Finding(name, Kind.PRICE_LEVEL, self.strict, text)

    def _look_ahead(self, name: str, calendar: dict[str, NDArray[np.int64]]) -> Finding:
        moves = self.seen.moves[name]
        found = diagnose(
            self.seen.responses["impulse", name],
            self.seen.responses["step", name],
            moves.cuts,
            calendar,
            only_holes=not moves.beyond_holes,
            filled=moves.filled,
            leading=not moves.beyond_leading,
        )
        return self._moved(name, Kind.LOOK_AHEAD, moves, found)

    def _moved(self, name: str, kind: Kind, moves: Moves, found: Diagnosis) -> Finding:
        largest = sorted(moves.rows, key=lambda item: -item[0])[:3]
        first, last = moves.first or 0, moves.last or 0
        examples = tuple(
            Example(how, self._time(cut), self._time(int(self.seen.sample.when[row])), int(cut - self.seen.sample.when[row]),
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
        for how, count in self.seen.raised.items():
            if not self.seen.judged[how]:
                yield f"{how}: not judged, the code raised on all {count} of these: {self.seen.said[how]}"
        if not getattr(self.runner, "limited", True):
            yield "no time limit: the function was called in a thread that cannot be stopped"
        if self.decision == "close" and self.seen.reads_own:
            names = ", ".join(sorted(self.seen.reads_own)[:5]) + (" and others" if len(self.seen.reads_own) > 5 else "")
            yield f"sound for decisions at the close, not at the same bar's open: {names}; --decision open checks that"

    def _time(self, place: int) -> datetime:
        return datetime.fromtimestamp(int(self.seen.sample.times[place]) / 1e6, tz=UTC)


def _verdict(findings: list[Finding]) -> Outcome:
    kinds = {item.kind for item in findings if item.fails}
    if kinds & {Kind.LOOK_AHEAD, Kind.SAME_BAR}:
        return Outcome.LEAK
    if kinds & {Kind.HISTORY, Kind.PRICE_LEVEL}:
        return Outcome.FAULT
    return Outcome.CANNOT_JUDGE if kinds else Outcome.CLEAN


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
