"""A recursive quantity fed row by row must equal its batch: what runs live is what was tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.validation.causality_report import Array, CausalityReport, Kind, Violation, differs, plain

STEPS_TOLERANCE = 1e-9


class Recursion(Protocol):
    """What `check_steps` reads of a recursive quantity; `indicators.Recursive` has it."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def batch(self) -> Callable[..., Array]: ...
    @property
    def step(self) -> Callable[[], Stepper]: ...


class Stepper(Protocol):
    """One row in, the current value out."""

    def update(self, *row: float) -> float: ...


def check_steps(recursions: Iterable[Recursion], bars: pl.DataFrame) -> CausalityReport:
    """Feed every recursive quantity row by row and compare with its batch, to 1e-9; NaN must come at the same rows."""
    found, names, compared = [], [], 0
    for recursion in recursions:
        names.append(recursion.name)
        inputs = [bars[name].to_numpy().astype(np.float64) for name in recursion.inputs]
        batch, stepper = recursion.batch(*inputs), recursion.step()
        steps = np.array([stepper.update(*(float(value) for value in row)) for row in zip(*inputs, strict=True)])
        compared += batch.size
        if np.isnan(batch).all():
            found.append(Violation(recursion.name, Kind.NEVER_KNOWN))
        wrong = np.flatnonzero(differs(batch, steps, STEPS_TOLERANCE))
        if wrong.size:
            row = int(wrong[0])
            found.append(Violation(recursion.name, Kind.STEPS, bars["ts"][row], plain(batch[row]), plain(steps[row])))
    if not names:
        raise InvalidInput("expected at least one recursive quantity to check, found none")
    one = {Kind.STEPS: 1}
    return CausalityReport(tuple(names), {Kind.STEPS: compared}, one, one, tuple(found))
