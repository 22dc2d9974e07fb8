"""What a leak test found: one line a column, and a finding with its evidence for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fieldcast.ground import Shown


class Outcome(StrEnum):
    """The answer of a leak test."""

    CLEAN = "clean"
    LEAK = "leak"
    FAULT = "fault"  # no look-ahead, but something else that was asked for does not hold
    CANNOT_JUDGE = "cannot_judge"


class Kind(StrEnum):
    """What is wrong with a column."""

    LOOK_AHEAD = "look_ahead"
    SAME_BAR = "same_bar"
    NONDETERMINISTIC = "nondeterministic"
    HISTORY = "history"
    PRICE_LEVEL = "price_level"
    NEVER_KNOWN = "never_known"


class Cause(StrEnum):
    """Why a column looks ahead, as its response to the alterations tells."""

    meaning: str
    remedy: str

    def __new__(cls, code: str, meaning: str, remedy: str) -> Cause:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.remedy = remedy
        return member

    SHIFT = "shift", "a value is taken from a later row, as shift(-k) does", "shift by a positive number of rows"
    FORWARD_WINDOW = (
        "forward_window",
        "a window over the rows that follow: a forward label, a rolling window on reversed or descending rows",
        "keep labels out of the features; roll over the rows before, in ascending order of time",
    )
    CENTRED_WINDOW = "centred_window", "a window with rows on both sides of its own", "use a window that ends at its own row"
    TWO_SIDED_FILTER = (
        "two_sided_filter",
        "a filter that also runs backwards: a reversed moving average, filtfilt, a smoother",
        "run the filter forwards only",
    )
    FULL_SAMPLE_NORMALISATION = (
        "full_sample_normalisation",
        "mean, deviation or range of the whole sample normalises every row",
        "normalise by an expanding or rolling window, or by figures of the training rows alone",
    )
    GLOBAL_RANK = (
        "global_rank",
        "a rank, quantile or bin among all rows, later ones included",
        "rank within an expanding or rolling window",
    )
    CUMULATIVE_FROM_END = "cumulative_from_end", "a sum that runs from the last row backwards", "accumulate from the first row"
    WHOLE_SAMPLE_FIT = (
        "whole_sample_fit",
        "something fitted on rows that include later ones: a regression, components, limits, states",
        "fit on rows whose outcome was known, and fit again as time goes on",
    )
    PERIOD_JOIN = (
        "period_join",
        "the figure of a whole period stands on the period's earlier rows, as a resample and join does",
        "give a period's figure to the rows after it ended: shift the resampled table by one period before the join",
    )
    BACK_FILL = "back_fill", "a gap is filled from a later row", "fill forwards, or leave the gap"
    INTERPOLATION = "interpolation", "a gap is interpolated between an earlier and a later row", "fill forwards, or leave the gap"
    LENGTH = (
        "length",
        "the number of rows, or the place counted from the last one, enters the value",
        "count from the first row, or not at all",
    )
    OWN_BAR = (
        "own_bar",
        "high, low, close or volume of the bar whose open is traded",
        "shift by one row where decisions are made at the open",
    )
    UNKNOWN = "unknown", "an earlier row depends on later ones in a way that none of the known patterns explains", ""


@dataclass(frozen=True)
class Example:
    """One value that moved: the row, and what it is with the later rows as they are and altered."""

    how: str
    cut: datetime
    row: datetime
    rows_before: int
    value: float | None
    altered: float | None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one column.

    Parameters
    ----------
    fails : whether it decides the outcome
    text : what was seen, for people
    cause : why, where it looks ahead
    reach : how many rows ahead it looks at least; None where it reaches through the whole sample
    whole_sample : True where rows as far back as the first known one move
    moved : alteration → at how many of its cuts an earlier value moved
    first, last : the earliest and the latest row that moved
    size : largest move of a value, in standard deviations of the column
    examples : the first few values that moved, the largest first
    """

    column: str
    kind: Kind
    fails: bool
    text: str
    cause: Cause | None = None
    reach: int | None = None
    whole_sample: bool = False
    moved: Mapping[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    size: float | None = None
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class ColumnSeen:
    """One column: whether it looks ahead, and what else was learnt about it.

    Parameters
    ----------
    verdict : clean, leak, fault or cannot_judge
    known : share of rows on which it has a value
    memory : rows after which it has forgotten where the history began, to 1e-6; None = it never does
    scale : `free` of the level of prices, a `level` (in proportion to a power of it), or `mixed`
    reads_own_bar : whether high, low, close or volume of a row's own bar move its value: sound for decisions at the close alone
    """

    name: str
    verdict: Outcome
    known: float
    memory: int | None
    scale: str
    reads_own_bar: bool


@dataclass(frozen=True)
class LeakReport(Shown):
    """Result of a leak test.

    Parameters
    ----------
    function, form : what was run, and the form of table it took
    data : what the bars are; `rows` of `instruments`, from `first` to `last`
    columns : in the order of the result
    findings : those that fail first
    alterations : alteration → (computations judged, computations on which the code raised)
    notes : what limits the answer
    """

    function: str
    form: str
    data: str
    simulated: bool
    rows: int
    instruments: int
    first: datetime
    last: datetime
    decision: str
    warmup: int | None
    seed: int
    columns: tuple[ColumnSeen, ...]
    findings: tuple[Finding, ...]
    alterations: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        verdicts = {column.verdict for column in self.columns}
        return next((level for level in (Outcome.LEAK, Outcome.FAULT, Outcome.CANNOT_JUDGE) if level in verdicts), Outcome.CLEAN)

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.CLEAN

    @property
    def leaking(self) -> tuple[str, ...]:
        """Names of the columns that look ahead."""
        return tuple(column.name for column in self.columns if column.verdict is Outcome.LEAK)

    @property
    def computations(self) -> int:
        return sum(judged + raised for judged, raised in self.alterations.values())

    def finding(self, column: str, kind: Kind = Kind.LOOK_AHEAD) -> Finding | None:
        """The finding of a kind about a column."""
        return next((item for item in self.findings if item.column == column and item.kind is kind), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "outcome": str(self.outcome),
            "ok": self.ok,
            "function": self.function,
            "form": self.form,
            "data": {
                "name": self.data,
                "simulated": self.simulated,
                "rows": self.rows,
                "instruments": self.instruments,
                "first": self.first.isoformat(),
                "last": self.last.isoformat(),
            },
            "decision": self.decision,
            "warmup": self.warmup,
            "seed": self.seed,
            "columns": [asdict(column) | {"verdict": str(column.verdict)} for column in self.columns],
            "findings": [_finding(item) for item in self.findings],
            "alterations": {how: {"judged": a, "raised": b} for how, (a, b) in self.alterations.items()},
            "notes": list(self.notes),
        }


def _finding(item: Finding) -> dict[str, Any]:
    plain = asdict(item)
    for name in ("first", "last"):
        plain[name] = None if plain[name] is None else plain[name].isoformat()
    plain |= {"kind": str(item.kind), "cause": None if item.cause is None else str(item.cause)}
    plain["why"] = None if item.cause is None else item.cause.meaning
    plain["remedy"] = None if item.cause is None else item.cause.remedy
    plain["moved"] = dict(item.moved)
    plain["examples"] = [asdict(one) | {"cut": one.cut.isoformat(), "row": one.row.isoformat()} for one in item.examples]
    return plain
