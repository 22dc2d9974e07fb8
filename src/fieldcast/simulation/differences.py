"""Why two runs of one strategy ended with different money: backtest beside paper or live, order by order, each with its cause.

Intents are matched by key; what is left over is matched with its nearest neighbour of the same instrument and side within
`shift`. With s the side, M the multiplier, m the last mark, and for one intent in run 1 and 2 the filled quantity q, the values
of its fills at their prices V and at the bare prints R, and its fees f, everything as exact fractions:

    worth(i)  = s M (q_i m - V_i) - f_i
    worth(2) - worth(1) =  s M (q_2 - q_1)(m - V_1/q_1)              how much was filled
                         - s M q_2 (R_2/q_2 - R_1/q_1)               the print that it was filled at
                         - s M ((V_2 - R_2) - q_2 (V_1 - R_1)/q_1)   spread and slippage
                         - (f_2 - f_1)                               fees

An intent that only one run filled is worth what it was worth there. What else moved the accounts (dividends, interest, …) is
compared by kind, the last marks by position. What all of this leaves is called unexplained and given exactly: explained +
unexplained = the difference in equity.

**Causes**, the first that holds: the first run's decision used a bar that, by the second's data, was not yet available when the
first filled (`look_ahead`); the print lies in a bar that the two runs saw differently (`data`); it is of another bar or moment
(`latency`); a limit that one run filled and the other did not, or in part (`unfilled_limit`, `partial_fill`); an order refused in
one (`rejected`), absent (`missing_order`), there alone (`extra_order`) or twice (`duplicate_order`); quantities a lot at most
apart (`rounding`) or further (`sizing`: a consequence of earlier differences); spread, slippage or fees (`cost`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

import polars as pl

from fieldcast.ground import InvalidInput, Shown
from fieldcast.simulation.trading_record import TradingRecord


class Cause(StrEnum):
    """Why the runs differ in one respect; `.meaning` says it in words."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Cause:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    START = "start", "the accounts did not begin with the same money"
    DATA = "data", "the two runs saw different values of the bar behind the fill or the decision"
    LOOK_AHEAD = "look_ahead", "the decision used a bar that was not yet available when it was acted on"
    LATENCY = "latency", "the order came, or was filled, at another moment"
    UNFILLED_LIMIT = "unfilled_limit", "a limit order was filled in one run and not in the other"
    PARTIAL_FILL = "partial_fill", "an order was filled whole in one run and in part in the other"
    REJECTED = "rejected", "an order was refused in one run"
    MISSING_ORDER = "missing_order", "the second run never sent an order that the first one sent"
    EXTRA_ORDER = "extra_order", "the second run sent an order that the first one does not know"
    DUPLICATE_ORDER = "duplicate_order", "one decision was sent twice"
    NOT_FILLED = "not_filled", "an order was filled in one run and ended without a fill in the other"
    ROUNDING = "rounding", "the quantities differ by the rounding to a lot"
    SIZING = "sizing", "the quantities differ by more than a lot: sized from another equity or price"
    COST = "cost", "spread, slippage or fees differ"
    MARK = "mark", "the last prices that positions are valued at differ"
    FINANCING = "financing", "what holding earned or cost differs"


@dataclass(frozen=True)
class Difference:
    """One respect in which the runs differ.

    Parameters
    ----------
    amount : what it adds to the second run's equity beside the first's; exact
    found : what was found, in words
    """

    cause: Cause
    intent: str
    instrument: str
    ts: datetime | None
    amount: Fraction
    found: str


@dataclass(frozen=True, eq=False)
class DifferenceReport(Shown):
    """Every difference between two runs, and what they come to; amounts are of the second run less the first."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    equity_difference: Fraction
    shared_intents: int
    equal_intents: int
    equity: pl.DataFrame  # ts, first, second, difference; shared moments
    simulated: bool

    @property
    def explained(self) -> Fraction:
        return sum((one.amount for one in self.differences), Fraction(0))

    @property
    def unexplained(self) -> Fraction:
        return self.equity_difference - self.explained

    @property
    def by_cause(self) -> dict[Cause, tuple[int, Fraction]]:
        """Number and amount of the differences of each cause, the largest first."""
        found: dict[Cause, tuple[int, Fraction]] = {}
        for one in self.differences:
            count, amount = found.get(one.cause, (0, Fraction(0)))
            found[one.cause] = (count + 1, amount + one.amount)
        return dict(sorted(found.items(), key=lambda item: -abs(item[1][1])))

    @property
    def first_divergence(self) -> datetime | None:
        """The first shared moment at which the equities differ."""
        rows = self.equity.filter(pl.col("difference") != 0.0)
        return rows["ts"][0] if rows.height else None

    def as_dict(self) -> Mapping[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "simulated": self.simulated,
            "equity_difference": float(self.equity_difference),
            "explained": float(self.explained),
            "unexplained": float(self.unexplained),
            "intents_in_both": self.shared_intents,
            "intents_without_a_difference": self.equal_intents,
            "first_divergence": None if self.first_divergence is None else self.first_divergence.isoformat(),
            "causes": [
                {"cause": str(cause), "meaning": cause.meaning, "differences": count, "amount": float(amount)}
                for cause, (count, amount) in self.by_cause.items()
            ],
            "differences": [
                {"cause": str(one.cause), "intent": one.intent, "amount": float(one.amount), "found": one.found}
                for one in self.differences
            ],
        }


@dataclass(frozen=True)
class _Side:
    """One intent in one run; fractions are exact."""

    row: Mapping[str, Any]
    quantity: Fraction  # filled
    value: Fraction
    printed: Fraction | None  # None where a fill does not tell its print
    fee: Fraction
    ts: datetime | None  # of the first fill
    source: datetime | None

    @property
    def asked(self) -> Fraction:
        return _exact(self.row["quantity"])

    @property
    def sign(self) -> int:
        return 1 if self.row["side"] == "BUY" else -1

    def worth(self, multiplier: Fraction, mark: Fraction) -> Fraction:
        return self.sign * multiplier * (self.quantity * mark - self.value) - self.fee


def compare_runs(
    first: TradingRecord, second: TradingRecord, *, shift: timedelta = timedelta(0), simulated: bool = False
) -> DifferenceReport:
    """What separates two runs of one strategy.

    Parameters
    ----------
    first : the backtest
    second : paper or live
    shift : how far apart two orders of one intent may have been decided and still be the same

    Raises
    ------
    InvalidInput : the runs share no moment, or trade an instrument with different terms
    """
    for name in set(first.instruments) & set(second.instruments):
        one, other = first.instruments[name], second.instruments[name]
        if (one.multiplier, one.currency) != (other.multiplier, other.currency):
            raise InvalidInput(f"expected the same terms of {name} in both runs, found {one} and {other}")
    ours, theirs = _sides(first), _sides(second)
    pairs, alone_first, alone_second = _matched(ours, theirs, shift)
    marks = {name: _last_mark(first, name) for name in first.instruments}
    found: list[Difference] = []
    equal = 0
    for key, other_key in pairs:
        parts = _pair(ours[key], theirs[other_key], first, second, marks)
        equal += not parts
        found += parts
    found += [_alone_first(ours[key], second, marks, first) for key in alone_first if ours[key].quantity or ours[key].row]
    found += [_alone_second(theirs[key], pairs, theirs, second, first, marks) for key in alone_second]
    found += _rest(first, second, theirs, marks)
    equity = _equity(first, second)
    found = [one for one in found if one.amount or one.cause not in (Cause.MARK, Cause.FINANCING, Cause.START)]
    return DifferenceReport(
        first=first.name,
        second=second.name,
        differences=tuple(sorted(found, key=lambda one: (one.ts is None, one.ts or second.equity["ts"][-1]))),
        equity_difference=_exact(second.equity["equity"][-1]) - _exact(first.equity["equity"][-1]),
        shared_intents=len(pairs),
        equal_intents=equal,
        equity=equity,
        simulated=simulated or any(one.simulated for one in first.instruments.values()),
    )


# -- matching ----------------------------------------------------------------------------------------------------------


def _sides(record: TradingRecord) -> dict[str, _Side]:
    fills: dict[str, list[Mapping[str, Any]]] = {}
    for fill in record.fills.iter_rows(named=True):
        fills.setdefault(fill["intent"], []).append(fill)
    found = {}
    for row in record.orders.iter_rows(named=True):
        own = fills.get(row["intent"], [])
        prints = [fill["reference_price"] for fill in own]
        told = all(price is not None for price in prints)
        found[row["intent"]] = _Side(
            row=row,
            quantity=sum((_exact(fill["quantity"]) for fill in own), Fraction(0)),
            value=sum((_exact(fill["quantity"]) * _exact(fill["price"]) for fill in own), Fraction(0)),
            printed=sum((_exact(fill["quantity"]) * _exact(fill["reference_price"]) for fill in own), Fraction(0))
            if told
            else None,
            fee=sum((_exact(fill["fee"]) for fill in own), Fraction(0)),
            ts=own[0]["ts"] if own else None,
            source=_source(record, own[0]) if own else None,
        )
    return found


def _source(record: TradingRecord, fill: Mapping[str, Any]) -> datetime | None:
    """End of the bar that the fill came from: the one that it names, else the one that holds it."""
    if fill["source_bar_ts"] is not None:
        named: datetime = fill["source_bar_ts"]
        return named
    later = record.bars[fill["instrument"]].filter(pl.col("ts") >= fill["ts"])["ts"]
    held: datetime | None = later.min() if later.len() else None  # type: ignore[assignment]
    return held


def _matched(
    ours: Mapping[str, _Side], theirs: Mapping[str, _Side], shift: timedelta
) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Pairs of keys, and what is left of each side; by key where the sides agree, then by the nearest decision."""
    pairs = [(key, key) for key in ours if key in theirs and ours[key].sign == theirs[key].sign]
    taken = {key for key, _ in pairs}
    left, right = [key for key in ours if key not in taken], [key for key in theirs if key not in taken]
    if shift > timedelta(0):
        for key in list(left):
            mine = ours[key].row
            near = [
                (abs(theirs[other].row["decided_ts"] - mine["decided_ts"]), other)
                for other in right
                if (theirs[other].row["instrument"], theirs[other].row["side"]) == (mine["instrument"], mine["side"])
            ]
            if near and min(near)[0] <= shift:
                other = min(near)[1]
                pairs.append((key, other))
                left.remove(key)
                right.remove(other)
    return pairs, left, right


# -- causes ------------------------------------------------------------------------------------------------------------


def _pair(
    one: _Side, other: _Side, first: TradingRecord, second: TradingRecord, marks: Mapping[str, Fraction]
) -> list[Difference]:
    """The differences within one intent that both runs know."""
    name = one.row["instrument"]
    mark, multiplier = marks[name], _exact(first.instruments[name].multiplier)
    scale = one.sign * multiplier
    if one.quantity == 0 or other.quantity == 0:
        amount = other.worth(multiplier, mark) - one.worth(multiplier, mark)
        if one.quantity == other.quantity and one.row["status"] == other.row["status"]:
            return []
        if one.quantity == other.quantity:  # neither filled: only how they ended differs
            return [_difference(_unfilled(one, other), one, amount, _ends(one, other, first, second))]
        cause = Cause.LOOK_AHEAD if _looked_ahead(one, second) else _unfilled(one, other)
        return [_difference(cause, one, amount, _ends(one, other, first, second))]
    found = []
    asked = abs(one.asked - other.asked)
    if one.quantity != other.quantity:
        amount = scale * (other.quantity - one.quantity) * (mark - one.value / one.quantity)
        whole = one.quantity == one.asked and other.quantity == other.asked
        lot = max(_exact(first.instruments[name].lot), _exact(second.instruments[name].lot))
        cause = Cause.PARTIAL_FILL if not whole else Cause.ROUNDING if asked <= lot else Cause.SIZING
        found.append(_difference(cause, one, amount, f"{_number(one.quantity)} and {_number(other.quantity)} filled of "
                                 f"{_number(one.asked)} and {_number(other.asked)}"))  # fmt: skip
    before, after = one.value / one.quantity, other.value / other.quantity
    printed = one.printed is not None and other.printed is not None
    bare = before if one.printed is None or not printed else one.printed / one.quantity
    bare_other = before if other.printed is None or not printed else other.printed / other.quantity
    if bare != bare_other or one.source != other.source:
        amount = -scale * other.quantity * (bare_other - bare)
        why, words = _print_cause(one, other, first, second)
        found.append(_difference(why, one, amount, f"{words}: {_number(bare)} and {_number(bare_other)}"))
    beyond = -scale * other.quantity * ((after - bare_other) - (before - bare))
    if beyond:
        paid = "beyond the print paid" if printed else "the print is not known; paid"
        words = f"{paid} {_number(before - bare)} and {_number(after - bare_other)} a unit"
        found.append(_difference(Cause.COST, one, beyond, words))
    fees = one.fee - other.fee
    if fees and not _fee_follows(one, other):
        found.append(_difference(Cause.COST, one, fees, f"fees of {_number(one.fee)} and {_number(other.fee)}"))
    elif fees:
        found[0] = Difference(**{**vars(found[0]), "amount": found[0].amount + fees})
    return found


def _fee_follows(one: _Side, other: _Side) -> bool:
    """Whether the fee is the same share of the value, so that it differs only because the quantity does."""
    if one.quantity == other.quantity or not one.fee or not other.fee:
        return False
    cent = Fraction(1, 100)  # commissions are rounded to the cent on both sides
    return abs(other.fee - one.fee * other.value / one.value) <= cent * (1 + other.value / one.value)


def _print_cause(one: _Side, other: _Side, first: TradingRecord, second: TradingRecord) -> tuple[Cause, str]:
    """Why the prints differ, and what was found."""
    name = one.row["instrument"]
    if _looked_ahead(one, second):
        return (
            Cause.LOOK_AHEAD,
            _not_before(one, second),
        )
    if (
        one.source == other.source
        and one.source is not None
        and _values(first, name, one.source) != _values(second, name, one.source)
    ):
        return Cause.DATA, f"the bar that ends {one.source:%Y-%m-%d %H:%M} differs"
    if one.source != other.source or one.ts != other.ts:
        return Cause.LATENCY, f"filled at {one.ts:%Y-%m-%d %H:%M:%S} and {other.ts:%Y-%m-%d %H:%M:%S}"
    return Cause.COST, "the same bar and moment give two prints"


def _looked_ahead(one: _Side, second: TradingRecord) -> bool:
    """Whether the first run had filled before the bar behind its decision was available to the second."""
    available = _available(one, second)
    return available is not None and one.ts is not None and available > one.ts


def _not_before(one: _Side, second: TradingRecord) -> str:
    return f"the bar of {one.row['decided_ts']:%Y-%m-%d %H:%M} was not available before {_available(one, second):%Y-%m-%d %H:%M}"


def _available(one: _Side, second: TradingRecord) -> datetime | None:
    bars = second.bars[one.row["instrument"]].filter(pl.col("ts") == one.row["decided_ts"])
    found: datetime | None = bars["available_at"].min() if bars.height else None  # type: ignore[assignment]
    return found


def _values(record: TradingRecord, name: str, ts: datetime) -> tuple[Any, ...] | None:
    columns = [column for column in ("open", "high", "low", "close", "volume") if column in record.bars[name].columns]
    rows = record.bars[name].filter(pl.col("ts") == ts).select(columns)
    return rows.row(0) if rows.height else None


def _unfilled(one: _Side, other: _Side) -> Cause:
    """Why one of two orders of an intent was not filled."""
    lacking = other if other.quantity == 0 else one
    if lacking.row["status"] == "rejected":
        return Cause.REJECTED
    return Cause.UNFILLED_LIMIT if "limit" in str(lacking.row["kind"]) else Cause.NOT_FILLED


def _ends(one: _Side, other: _Side, first: TradingRecord, second: TradingRecord) -> str:
    def told(side: _Side, name: str) -> str:
        why = f" ({side.row['reasons']})" if side.row["reasons"] else ""
        return f"{side.row['status']}{why} in {name}"

    return f"{told(one, first.name)}, {told(other, second.name)}"


def _alone_first(one: _Side, second: TradingRecord, marks: Mapping[str, Fraction], first: TradingRecord) -> Difference:
    name = one.row["instrument"]
    amount = -one.worth(_exact(first.instruments[name].multiplier), marks[name])
    if _looked_ahead(one, second):
        words = f"no order in {second.name}: {_not_before(one, second)}"
        return _difference(Cause.LOOK_AHEAD, one, amount, words)
    decided = one.row["decided_ts"]
    if name in second.bars and _values(first, name, decided) != _values(second, name, decided):
        return _difference(
            Cause.DATA, one, amount, f"no order in {second.name}, which saw another bar at {decided:%Y-%m-%d %H:%M}"
        )
    return _difference(Cause.MISSING_ORDER, one, amount, f"no order in {second.name}")


def _alone_second(
    one: _Side,
    pairs: Sequence[tuple[str, str]],
    theirs: Mapping[str, _Side],
    second: TradingRecord,
    first: TradingRecord,
    marks: Mapping[str, Fraction],
) -> Difference:
    name, decided = one.row["instrument"], one.row["decided_ts"]
    mark = marks[name] if name in marks else _last_mark(second, name)
    amount = one.worth(_exact(second.instruments[name].multiplier), mark)
    base = one.row["intent"].partition(" #")[0]
    twins = [theirs[key] for _, key in pairs if key.partition(" #")[0] == base and theirs[key].asked == one.asked]
    if any(twin.sign == one.sign for twin in twins):
        return _difference(Cause.DUPLICATE_ORDER, one, amount, f"sent again in {second.name}: {_number(one.asked)}")
    if name in first.bars and _values(first, name, decided) != _values(second, name, decided):
        return _difference(
            Cause.DATA, one, amount, f"no order in {first.name}, which saw another bar at {decided:%Y-%m-%d %H:%M}"
        )
    return _difference(Cause.EXTRA_ORDER, one, amount, f"no order in {first.name}")


def _rest(
    first: TradingRecord, second: TradingRecord, theirs: Mapping[str, _Side], marks: Mapping[str, Fraction]
) -> list[Difference]:
    """Starting money, cash flows by kind, and the last marks."""
    found = [
        Difference(Cause.START, "", "", None, _exact(second.start) - _exact(first.start), f"{first.start} and {second.start}")
    ]
    flows = [dict(record.flows.iter_rows()) for record in (first, second)]
    for kind in sorted({*flows[0], *flows[1]}):
        one, other = (flow.get(kind, "0") for flow in flows)
        found.append(Difference(Cause.FINANCING, "", "", None, _exact(other) - _exact(one), f"{kind}: {one} and {other}"))
    for name in second.instruments:
        held = sum((side.sign * side.quantity for side in theirs.values() if side.row["instrument"] == name), Fraction(0))
        mark = _last_mark(second, name)
        gap = mark - marks.get(name, mark)
        amount = held * _exact(second.instruments[name].multiplier) * gap
        found.append(Difference(Cause.MARK, "", name, None, amount, f"{_number(mark - gap)} and {_number(mark)}"))
    return found


def _difference(cause: Cause, side: _Side, amount: Fraction, found: str) -> Difference:
    return Difference(cause, side.row["intent"], side.row["instrument"], side.ts or side.row["sent_ts"], amount, found)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _equity(first: TradingRecord, second: TradingRecord) -> pl.DataFrame:
    """Both curves at the moments that they share.

    Raises
    ------
    InvalidInput : there is none
    """
    both = first.equity.join(second.equity, on="ts", suffix="_second")
    if both.is_empty():
        raise InvalidInput(f"expected equities of {first.name} and {second.name} at shared moments, found none")
    gap = [float(_exact(b) - _exact(a)) for a, b in both.select("equity", "equity_second").iter_rows()]
    curves = both.select("ts", first=pl.col("equity").cast(pl.Float64), second=pl.col("equity_second").cast(pl.Float64))
    return curves.with_columns(difference=pl.Series(gap, dtype=pl.Float64)).sort("ts")


def _last_mark(record: TradingRecord, name: str) -> Fraction:
    """The last close up to the last moment of the equity."""
    bars = record.bars[name].filter((pl.col("ts") <= record.equity["ts"][-1]) & pl.col("close").is_not_null()).sort("ts")
    if bars.is_empty():
        raise InvalidInput(f"expected a close of {name} in {record.name}, found none")
    return _exact(repr(float(bars["close"][-1])))


def _exact(value: Decimal | str) -> Fraction:
    return Fraction(value) if isinstance(value, Decimal) else Fraction(Decimal(value))


def _number(value: Fraction) -> str:
    return f"{float(value):,.8g}"
