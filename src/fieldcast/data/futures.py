"""Continuous futures: one series out of dated contracts, by a stated roll and a stated adjustment.

A roll is a day and two contracts. Until the close of that day the series holds the old contract, from it the new one, so that the
return over the next session is the new contract's own: no return of the series mixes two contracts. When to roll is decided by

- `CalendarRoll`: so many business days before the last trading day;
- `CrossoverRoll`: when the next contract's volume or open interest stood above the current one's for some sessions in a row, and
at
  the latest as a calendar roll would. The roll takes place at the first close after the figures were known (open interest comes a
  day late), on a day on which both contracts have a close.

The price differs between two contracts, and the series must not show that difference as a return. With g = new close - old close
and q = new close / old close at the roll,

    none        prices as they were; the close that a return must start from stands beside each row as `previous_close`
    difference  every price before a roll is raised by g (back-adjusted): changes of price are those of the contracts
    ratio       every price before a roll is multiplied by q (back-adjusted): returns are those of the contracts
    forward     every price after a roll is divided by q: the oldest contract keeps its prices, and history never changes

Point in time: as of t only rows and rolls count that were known at t. The levels of the two back-adjusted series change with each
later roll; their changes (returns) do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.contracts import Contract, business_day, ordered
from fieldcast.data.store import Store
from fieldcast.ground import InvalidInput, MissingData, utc
from fieldcast.market import BARS, DAILY, PRICES, STAMP, table_of

KNOWN_WITHIN = timedelta(hours=20)      # a close that became known later was not there to roll at
CONTINUOUS: dict[str, pl.DataType] = {
    **{name: dtype for name, dtype in BARS.items() if name != "reasons"},  # instrument = the root; prices adjusted
    "contract": pl.String(),            # that the row is of
    "previous_close": pl.Float64(),     # of the same contract at the row before, adjusted as the row is; null in the first row
    "reasons": pl.String(),
}
_FIGURES = ("close", "volume", "open_interest")
Floats = NDArray[np.float64]


class Adjustment(StrEnum):
    """How the prices of different contracts are joined; see the module."""

    NONE = "none"
    DIFFERENCE = "difference"
    RATIO = "ratio"
    FORWARD = "forward"


@dataclass(frozen=True)
class CalendarRoll:
    """Roll at the first close from `days` business days before the last trading day on."""

    days: int = 5

    def __post_init__(self) -> None:
        if self.days < 0:
            raise InvalidInput(f"expected days at or above zero, found {self.days}")


@dataclass(frozen=True)
class CrossoverRoll:
    """Roll once the next contract's figure stood above the current one's.

    Parameters
    ----------
    figure : volume or open_interest
    confirm : sessions in a row
    latest_days : business days before the last trading day from which the series rolls whatever the figures say
    """

    figure: Literal["volume", "open_interest"] = "volume"
    confirm: int = 1
    latest_days: int = 1

    def __post_init__(self) -> None:
        if self.figure not in ("volume", "open_interest"):
            raise InvalidInput(f"expected the figure volume or open_interest, found {self.figure!r}")
        if self.confirm < 1 or self.latest_days < 0:
            raise InvalidInput(f"expected confirm of at least 1 and latest_days of at least 0, found {self}")


RollRule = CalendarRoll | CrossoverRoll


@dataclass(frozen=True)
class Roll:
    """One change of contract.

    Parameters
    ----------
    ts : the close until which the series holds `old`
    decided_at : when the figures (or the date) behind it were known; before `ts` (at it, where the panel begins on a day to roll)
    known_at : when the roll's two prices were known
    old_close, new_close : of both contracts at `ts`, in the version known at the moment asked for
    """

    old: Contract
    new: Contract
    ts: datetime
    decided_at: datetime
    known_at: datetime
    old_close: float
    new_close: float

    @property
    def difference(self) -> float:
        return self.new_close - self.old_close

    @property
    def ratio(self) -> float:
        return self.new_close / self.old_close


def read_panel(
    store: Store, contracts: Iterable[Contract], *, as_of: datetime | None = None, table: str = DAILY, dataset: str | None = None
) -> pl.DataFrame:
    """Bars of contracts as known at `as_of` (schema `market.BARS`), with `open_interest` and `open_interest_available_at`, null
    where the store has none. Contracts without a bar are left out.

    Parameters
    ----------
    dataset : of the bars and of the open interest; needed only where one of them stands in more than one

    Raises
    ------
    MissingData : the store has bars of none of them
    ConflictError : several datasets hold a contract's bars, or the root's open interest, and none was named
    """
    known = ordered(contracts)
    held = _held(store, table, dataset)
    frames = [store.read(item.id, table=table, as_of=as_of, dataset=dataset) for item in known if item.id in held]
    if not frames:
        place = "the store" if dataset is None else f"dataset {dataset}"
        raise MissingData(f"expected bars of a contract of {known[0].root} in {place}, found none; import them first")
    bars = pl.concat(frames)
    if known[0].root not in _held(store, "open_interest", dataset):
        return bars.with_columns(
            open_interest=pl.lit(None, dtype=pl.Float64), open_interest_available_at=pl.lit(None, dtype=STAMP)
        )
    interest = store.read(known[0].root, table="open_interest", as_of=as_of, dataset=dataset)
    wanted = interest.select("ts", "open_interest", instrument="contract_id", open_interest_available_at="available_at")
    return bars.join(wanted, on=["instrument", "ts"], how="left")


def _held(store: Store, table: str, dataset: str | None) -> set[str]:
    """Instruments of a table, in one dataset where one is named."""
    rows = store.datasets().filter(pl.col("table") == table)
    return set((rows if dataset is None else rows.filter(pl.col("dataset") == dataset))["instrument"])


class _Panel:
    """A panel as matrices of (sessions, contracts), NaN where there is no row; the newest and the first version of each row."""

    def __init__(self, panel: pl.DataFrame, contracts: tuple[Contract, ...], as_of: datetime | None) -> None:
        rows = _checked(panel, contracts, as_of)
        if rows.is_empty():
            raise MissingData(f"expected bars of {contracts[0].root} known at {as_of}, found none")
        self.contracts = contracts
        self.newest = rows.unique(["instrument", "ts"], keep="last", maintain_order=True)
        first = rows.unique(["instrument", "ts"], keep="first", maintain_order=True)
        self.ts: list[datetime] = rows["ts"].unique().sort().to_list()
        self._row = {stamp: place for place, stamp in enumerate(self.ts)}
        self._column = {item.id: place for place, item in enumerate(contracts)}
        self.close = self._matrix(self.newest, "close")
        self.first = {name: self._matrix(first, name) for name in _FIGURES}
        for name in ("available_at", "open_interest_available_at"):
            self.first[name] = self._matrix(first.with_columns(pl.col(name).cast(STAMP).to_physical().cast(pl.Float64)), name)

    def _matrix(self, rows: pl.DataFrame, name: str) -> Floats:
        found = np.full((len(self.ts), len(self.contracts)), np.nan)
        at = [self._row[stamp] for stamp in rows["ts"]]
        of = [self._column[id] for id in rows["instrument"]]
        found[at, of] = rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return found

    def known_by(self, figure: str) -> Floats:
        """When the first version of a figure became known, microseconds since 1970."""
        return self.first["open_interest_available_at" if figure == "open_interest" else "available_at"]


def _checked(panel: pl.DataFrame, contracts: tuple[Contract, ...], as_of: datetime | None) -> pl.DataFrame:
    missing = [name for name in BARS if name not in panel.columns]
    if missing:
        raise InvalidInput(f"expected a panel with the columns {', '.join(BARS)}; missing {', '.join(missing)}")
    unknown = set(panel["instrument"].unique()) - {item.id for item in contracts}
    if unknown:
        raise InvalidInput(f"expected rows of the contracts that were named, found {', '.join(sorted(unknown))}")
    for name, dtype in (("open_interest", pl.Float64()), ("open_interest_available_at", STAMP)):
        if name not in panel.columns:
            panel = panel.with_columns(pl.lit(None, dtype=dtype).alias(name))
    if as_of is not None:
        panel = panel.filter(pl.col("available_at") <= utc(as_of)).with_columns(
            pl.when(pl.col("open_interest_available_at") <= utc(as_of)).then(pl.col(name)).alias(name)
            for name in ("open_interest", "open_interest_available_at")
        )
    if panel["close"].null_count() or not panel["close"].is_finite().all():
        raise InvalidInput("expected a finite close in every row of the panel; clean the bars first")
    return panel.sort("instrument", "ts", "available_at")


def rolls(
    panel: pl.DataFrame, contracts: Iterable[Contract], rule: RollRule, *, as_of: datetime | None = None
) -> tuple[Roll, ...]:
    """Every roll that was known at `as_of`, in order.

    Parameters
    ----------
    panel : bars of the contracts (see `read_panel`); several versions of a row may stand in it
    contracts : of one root; the series goes through them in the order of their expiry
    as_of : none = everything in the panel is known

    Raises
    ------
    MissingData : no rows; or a contract expired and there was no day to roll on: both closes known, the rule asking for it
    InvalidInput : the panel breaks its schema
    """
    known = ordered(contracts)
    return _rolls(_Panel(panel, known, as_of), rule)


def _rolls(panel: _Panel, rule: RollRule) -> tuple[Roll, ...]:
    deadlines = _deadlines(panel, rule)
    in_time = panel.first["available_at"] <= np.array([_micros(ts + KNOWN_WITHIN) for ts in panel.ts])[:, None]
    current = _first_contract(panel, deadlines)
    found: list[Roll] = []
    for row, ts in enumerate(panel.ts):
        while current + 1 < len(panel.contracts):
            decided = _decided(panel, rule, row, current, deadlines[current])
            both = in_time[row, current] and in_time[row, current + 1]
            if decided is None or not both:
                break
            known_at = max(panel.first["available_at"][row, current], panel.first["available_at"][row, current + 1])
            found.append(Roll(
                panel.contracts[current], panel.contracts[current + 1], ts, decided, _moment(max(known_at, _micros(ts))),
                float(panel.close[row, current]), float(panel.close[row, current + 1]),
            ))  # fmt: skip
            current += 1
            if ts.date() < deadlines[current]:
                break
        if ts.date() > panel.contracts[current].expiry and current + 1 < len(panel.contracts):
            raise MissingData(
                f"expected a day on which to roll from {panel.contracts[current].id} to {panel.contracts[current + 1].id} before "
                f"{panel.contracts[current].expiry}, with the closes of both; found none; import the missing bars or roll earlier"
            )
    return tuple(found)


def _first_contract(panel: _Panel, deadlines: list[date]) -> int:
    """The nearest contract that has a row on the first day and is not due to be rolled."""
    day = panel.ts[0].date()
    for place, deadline in enumerate(deadlines):
        if deadline >= day and not np.isnan(panel.close[0, place]):
            return place
    raise MissingData(f"expected a contract that trades on {day} and rolls later, found none; begin the panel earlier or later")


def _decided(panel: _Panel, rule: RollRule, row: int, current: int, deadline: date) -> datetime | None:
    """When the rule came to ask for a roll at this row's close; None where it does not."""
    ts = panel.ts[row]
    asked = None
    if isinstance(rule, CrossoverRoll):
        known = np.maximum(panel.known_by(rule.figure)[:, current], panel.known_by(rule.figure)[:, current + 1])
        figures = panel.first[rule.figure]
        there = ~np.isnan(figures[:, current]) & ~np.isnan(figures[:, current + 1]) & (known < _micros(ts))
        last = np.flatnonzero(there[: row + 1])[-rule.confirm :]
        if last.size == rule.confirm and (figures[last, current + 1] > figures[last, current]).all():
            asked = _moment(float(known[last].max()))
    if ts.date() >= deadline:
        due = panel.ts[row - 1] if row else ts
        asked = min(asked, due) if asked is not None else due
    return asked


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _moment(micros: float) -> datetime:
    return utc(datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=int(micros)))


def continuous(
    panel: pl.DataFrame,
    contracts: Iterable[Contract],
    rule: RollRule,
    adjustment: Adjustment | str,
    *,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """The continuous series of a root, as it was known at `as_of`; parameters and errors as in `rolls`.

    Returns
    -------
    schema `CONTINUOUS`, one row for each day on which the held contract has one. `close / previous_close - 1` is in every row a
    return that its contract had; volumes are the contract's. Prices adjusted by differences may fall below zero.

    Raises
    ------
    InvalidInput : a ratio needs prices above zero
    """
    adjustment = _adjustment(adjustment)
    known = ordered(contracts)
    held = _Panel(panel, known, as_of)
    made = _rolls(held, rule)
    bounds = np.array([_micros(item.ts) for item in made], dtype=np.int64)
    place = np.searchsorted(bounds, [_micros(ts) for ts in held.ts], side="left")
    start = held.contracts.index(made[0].old) if made else _first_contract(held, _deadlines(held, rule))
    of_row = start + place
    close = held.close[np.arange(len(held.ts)), of_row]
    there = np.flatnonzero(~np.isnan(close))
    before = np.full(len(held.ts), np.nan)
    before[there[1:]] = held.close[there[:-1], of_row[there[1:]]]
    add, times = _levels(made, adjustment)
    table = pl.DataFrame({
        "ts": pl.Series(held.ts, dtype=STAMP),
        "contract": [known[item].id for item in of_row],
        "previous_close": before,
        "add": add[place],
        "times": times[place],
    })  # fmt: skip
    rows = table.join(held.newest.rename({"instrument": "contract"}), on=["contract", "ts"], how="inner", maintain_order="left")
    adjusted = [
        ((pl.col(name) + pl.col("add")) * pl.col("times")).fill_nan(None).alias(name) for name in (*PRICES, "previous_close")
    ]
    return rows.with_columns(instrument=pl.lit(known[0].root)).with_columns(adjusted).select(
        pl.col(name).cast(dtype) for name, dtype in CONTINUOUS.items()
    )  # fmt: skip


def _deadlines(panel: _Panel, rule: RollRule) -> list[date]:
    days = rule.days if isinstance(rule, CalendarRoll) else rule.latest_days
    return [business_day(item.expiry, -days) for item in panel.contracts]


def _adjustment(value: Adjustment | str) -> Adjustment:
    try:
        return Adjustment(value)
    except ValueError:
        raise InvalidInput(f"expected an adjustment out of {', '.join(Adjustment)}, found {value!r}") from None


def _levels(made: tuple[Roll, ...], adjustment: Adjustment) -> tuple[Floats, Floats]:
    """What to add to, and by what to multiply, the prices of each stretch between rolls; (rolls + 1,) each."""
    add, times = np.zeros(len(made) + 1), np.ones(len(made) + 1)
    if adjustment is Adjustment.DIFFERENCE:
        add[:-1] = np.cumsum([roll.difference for roll in made][::-1])[::-1]
    elif adjustment in (Adjustment.RATIO, Adjustment.FORWARD):
        for roll in made:
            if roll.old_close <= 0 or roll.new_close <= 0:
                raise InvalidInput(
                    f"expected closes above zero at the roll of {roll.ts.date()} for the adjustment {adjustment}, found "
                    f"{roll.old_close} and {roll.new_close}; use difference"
                )
        ratios = np.array([roll.ratio for roll in made])
        if adjustment is Adjustment.RATIO:
            times[:-1] = np.cumprod(ratios[::-1])[::-1]
        else:
            times[1:] = np.cumprod(1 / ratios)
    return add, times


def roll_events(made: Iterable[Roll]) -> pl.DataFrame:
    """Rolls as rows of the table `events`: announced when decided, happening at their close."""
    table = table_of("events")
    records = [
        {
            "instrument": roll.old.root, "ts": roll.decided_at, "available_at": roll.decided_at, "happens_at": roll.ts,
            "event": "roll", "item": f"{roll.old.id}>{roll.new.id}", "value": None, "note": None, "reasons": None,
        }
        for roll in made
    ]  # fmt: skip
    return pl.DataFrame(records, schema=dict(table.schema))
