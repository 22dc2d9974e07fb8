"""Futures by their root: one series for the strategy, dated contracts in the account, and rolls between them.

[data]
instruments = ["XCME:ES"]                # contracts XCME:ES.2024H, XCME:ES.2024M … in the store
[futures]
roll = "calendar"
days = 5                                 # business days before the last trading day
[instruments."XCME:ES"]
multiplier = 50
margin = { initial_per_contract = 12000, maintenance_per_contract = 11000 }

A strategy sees the continuous series, adjusted forward: what happens later changes no earlier price, and no return mixes two
contracts. Its target is held in the contract of the moment. At the close of a roll the position moves from the old contract to
the new one, each leg at its close with its costs (`simulation.derivatives`); then the target's size is reckoned anew, so that an
order for a few contracts may follow. Gains are settled at each session's close, and a contract that is held to its last day
expires there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from fieldcast.data import load_instrument
from fieldcast.data.contracts import Contract, contract
from fieldcast.data.futures import Adjustment, CalendarRoll, CrossoverRoll, Roll, RollRule, continuous, read_panel, rolls
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.market import BARS, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.simulation.derivatives import FutureTerms, future_terms
from fieldcast.workflows.backtest_money import InstrumentPart, MarginPart, Part
from fieldcast.workflows.workspace import Workspace


class FuturesPart(Part):
    """When a root of `data.instruments` rolls.

    Parameters
    ----------
    roll : `calendar`, so many business `days` before the last trading day; `volume` or `open_interest`, when the next contract's
        stood above the current one's for `confirm` sessions, at the latest `days` before the last trading day
    expiries : last trading days of contracts whose root has no known rule, by id
    """

    roll: Literal["calendar", "volume", "open_interest"] = "calendar"
    days: int = Field(default=5, ge=0, le=60)
    confirm: int = Field(default=1, ge=1, le=60)
    expiries: dict[str, date] = Field(default_factory=dict)

    def rule(self) -> RollRule:
        """As the panel of contracts takes it."""
        if self.roll == "calendar":
            return CalendarRoll(self.days)
        return CrossoverRoll(self.roll, self.confirm, self.days)


@dataclass(frozen=True, eq=False)
class Rolled:
    """A root with what is needed to play it.

    Parameters
    ----------
    head : what the strategy trades: the root
    instruments, frames : of the contracts that are held at some time, in order; their bars
    series : what the strategy sees, one row a session
    changes, terms : rolls and last days of the contracts
    """

    head: Instrument
    instruments: tuple[Instrument, ...]
    frames: tuple[pl.DataFrame, ...]
    series: pl.DataFrame
    changes: tuple[Roll, ...]
    terms: tuple[FutureTerms, ...]
    words: str

    def holding(self, rows: dict[str, int], ts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """(T,) row of the market that is held after the close of each bar."""
        held = np.full(ts.size, rows[self.instruments[0].id], dtype=np.intp)
        for change in self.changes:
            held[np.searchsorted(ts, _micros(change.ts)) :] = rows[change.new.id]
        return held


def contracts_of(workspace: Workspace, root: str, table: str, part: FuturesPart) -> tuple[Contract, ...]:
    """The stored contracts of a root; none where it is no root.

    Raises
    ------
    InvalidInput : a contract whose last trading day nobody knows
    """
    held = workspace.store.datasets().filter(pl.col("table") == table)["instrument"].unique().to_list()
    found = []
    for name in sorted(one for one in held if one.startswith(f"{root}.")):
        try:
            found.append(contract(name, part.expiries.get(name)))
        except InvalidInput as error:
            raise InvalidInput(
                f'expected the last trading day of {name}, found none ({error}); state it: [futures] expiries = {{ "{name}" = '
                "2024-03-15 }"
            ) from None
    return tuple(sorted(found))


def rolled(
    workspace: Workspace,
    root: str,
    known: tuple[Contract, ...],
    part: FuturesPart,
    own: InstrumentPart | None,
    *,
    table: str,
    dataset: str | None,
    first: date | None,
    last: date | None,
    until: datetime | None,
) -> Rolled:
    """A root's contracts over the span, with their rolls.

    Raises
    ------
    MissingData : no bars in the span, or a contract ended and there was no day to roll on
    InvalidInput : a contract that is no future
    """
    panel = read_panel(workspace.store, known, as_of=until, table=table, dataset=dataset)
    day = pl.col("ts").dt.date()
    if first is not None:
        panel = panel.filter(day >= first)
    if last is not None:
        panel = panel.filter(day <= last)
    if panel["ts"].n_unique() < 2:
        raise MissingData(f"expected at least two bars of contracts of {root} ({table}) in the span, found {panel.height}")
    alive = tuple(one for one in known if one.id in set(panel["instrument"]))
    changes = rolls(panel, alive, part.rule(), as_of=until)
    series = continuous(panel, alive, part.rule(), Adjustment.FORWARD, as_of=until)
    begin = changes[0].old.id if changes else str(series["contract"][0])
    names = [begin, *(change.new.id for change in changes)]
    terms_of = {one.id: one for one in alive}
    instruments = tuple(_contract(workspace, name, own) for name in names)
    frames = tuple(panel.filter(pl.col("instrument") == name).select(list(BARS)) for name in names)
    margin = (MarginPart() if own is None or own.margin is None else own.margin).terms()
    terms = tuple(
        future_terms(terms_of[one.id], one, margin.initial_per_unit, margin.maintenance_per_unit) for one in instruments
    )
    how = "" if part.roll == "calendar" else f"where the next one's {part.roll.replace('_', ' ')} is above, at the latest "
    words = f"{root}: {len(names)} contracts, {len(changes)} rolls ({how}{part.days} business days before the last trading day)"
    head = replace(instruments[0], id=root)
    return Rolled(head, instruments, frames, series, changes, terms, words)


def _contract(workspace: Workspace, name: str, own: InstrumentPart | None) -> Instrument:
    found = load_instrument(workspace.ledger, name)
    if found.kind is not Kind.FUTURE:
        raise InvalidInput(f"expected contracts of kind future, found {name} of kind {found.kind}; import it with --kind future")
    return found if own is None else replace(found, **own.terms)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
