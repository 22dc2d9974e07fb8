"""What the causality checks found: each violation of one column at one time, and how much was looked at.

A column that is null at every row that was looked at cannot be judged, and that is a violation too: a check never passes for
lack of evidence. Differences are relative where a value is above 1 and absolute below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Kind(StrEnum):
    """What a column did wrong."""

    NOT_COMPUTED = "not_computed"  # registered, but absent from the table
    NOT_REGISTERED = "not_registered"  # in the table, but not in the registry
    NOT_FINITE = "not_finite"  # NaN or infinity in a table
    NEVER_KNOWN = "never_known"  # null at every row that was looked at
    EARLY = "early"  # not null within the declared warm-up
    TRUNCATION = "truncation"
    PREFIX = "prefix"
    SCALE = "scale"
    VINTAGE = "vintage"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Violation:
    """One column at one time: `full` is the value on everything, `altered` the one that should have been equal to
    it."""

    column: str
    kind: Kind
    ts: datetime | None = None
    full: float | None = None
    altered: float | None = None

    def __str__(self) -> str:
        when = "" if self.ts is None else f" at {self.ts.isoformat()}"
        values = "" if self.ts is None else f": {self.full} on all rows, {self.altered} otherwise"
        return f"{self.column} {self.kind}{when}{values}"


@dataclass(frozen=True, slots=True)
class CausalityReport:
    """What was looked at and what was found; at most one violation for each column, kind and recomputation."""

    columns: tuple[str, ...]
    comparisons: Mapping[Kind, int]  # values compared, by kind of check
    times: Mapping[Kind, int]  # recomputations, by kind of check
    least_times: Mapping[Kind, int]  # of these, the fewest in which a column was known and compared
    violations: tuple[Violation, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.violations

    def of(self, kind: Kind) -> frozenset[str]:
        """Names of the columns that violate `kind`."""
        return frozenset(violation.column for violation in self.violations if violation.kind is kind)

    def __str__(self) -> str:
        looked = ", ".join(f"{kind} {self.times[kind]}x" for kind in self.times)
        if self.ok:
            return f"{len(self.columns)} columns causal ({looked})"
        counted = Counter((violation.column, str(violation.kind)) for violation in self.violations)
        worst = ", ".join(f"{column} {kind} ({n})" for (column, kind), n in counted.most_common(10))
        return f"{len(self.violations)} violations in {len(self.columns)} columns ({looked}): {worst}"


def differs(full: Array, other: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Where two series are not the same: known in one alone, or apart by more than the tolerance."""
    one, two = np.isnan(full), np.isnan(other)
    apart = np.abs(np.where(one, 0.0, full) - np.where(two, 0.0, other))
    far: npt.NDArray[np.bool_] = apart > tolerance * np.maximum(1.0, np.abs(np.where(one, 0.0, full)))
    differs: npt.NDArray[np.bool_] = (one != two) | (~one & ~two & far)
    return differs


def plain(value: float) -> float | None:
    """The value for a report; None where it is unknown."""
    return None if np.isnan(value) else float(value)
