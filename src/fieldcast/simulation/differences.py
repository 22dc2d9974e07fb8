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
compared by kind, the last marks by position, the last rates by currency; each currency counts at the first run's last rate. The
legs of a roll are intents of their own. What all of this leaves is called unexplained and given exactly: explained +
unexplained = the difference in equity.

**Causes**, the first that holds: the first run's decision used a bar that, by the second's data, was not yet available when the
first filled (`look_ahead`); the print lies in a bar that the two runs saw differently (`data`); it is of another bar or moment
(`latency`); a limit that one run filled and the other did not, or in part (`unfilled_limit`, `partial_fill`); an order refused in
one (`rejected`), absent (`missing_order`), there alone (`extra_order`) or twice (`duplicate_order`); quantities a lot at most
apart (`rounding`) or further (`sizing`: a consequence of earlier differences); spread, slippage or fees (`cost`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.simulation._intent_sides import Side, exact, matched, sides_of
from fieldcast.simulation.difference_report import Cause, Difference, DifferenceReport
from fieldcast.simulation.trading_record import TradingRecord


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
    if set(first.rates) != set(second.rates):
        raise InvalidInput(
            f"expected accounts in the same currencies, found {', '.join(first.rates) or 'one'} in {first.name} and "
            f"{', '.join(second.rates) or 'one'} in {second.name}"
        )
    ours, theirs = sides_of(first), sides_of(second)
    pairs, alone_first, alone_second = matched(ours, theirs, shift)
    marks = {name: _last_mark(first, name) for name in first.instruments}
    found: list[Difference] = []
    equal = 0
    for key, other_key in pairs:
        parts = _pair(ours[key], theirs[other_key], first, second, marks)
        equal += not parts
        found += parts
    found += [_alone_first(ours[key], second, marks, first) for key in alone_first if ours[key].quantity or ours[key].row]
    found += [_alone_second(theirs[key], pairs, theirs, second, first, marks) for key in alone_second]
    found += _marks(second, theirs, marks)
    found = [replace(one, amount=one.amount * _rate(first, second, one.instrument)) for one in found]
    found += _rest(first, second) + _rates(first, second, theirs)
    equity = _equity(first, second)
    found = [one for one in found if one.amount or one.cause not in (Cause.MARK, Cause.FINANCING, Cause.START, Cause.RATE)]
    return DifferenceReport(
        first=first.name,
        second=second.name,
        differences=tuple(sorted(found, key=lambda one: (one.ts is None, one.ts or second.equity["ts"][-1]))),
        equity_difference=exact(second.equity["equity"][-1]) - exact(first.equity["equity"][-1]),
        shared_intents=len(pairs),
        equal_intents=equal,
        equity=equity,
        simulated=simulated or any(one.simulated for one in first.instruments.values()),
    )


# -- causes ------------------------------------------------------------------------------------------------------------


def _pair(one: Side, other: Side, first: TradingRecord, second: TradingRecord, marks: Mapping[str, Fraction]) -> list[Difference]:
    """The differences within one intent that both runs know."""
    name = one.row["instrument"]
    mark, multiplier = marks[name], exact(first.instruments[name].multiplier)
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
        lot = max(exact(first.instruments[name].lot), exact(second.instruments[name].lot))
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


def _fee_follows(one: Side, other: Side) -> bool:
    """Whether the fee is the same share of the value, so that it differs only because the quantity does."""
    if one.quantity == other.quantity or not one.fee or not other.fee:
        return False
    cent = Fraction(1, 100)  # commissions are rounded to the cent on both sides
    return abs(other.fee - one.fee * other.value / one.value) <= cent * (1 + other.value / one.value)


def _print_cause(one: Side, other: Side, first: TradingRecord, second: TradingRecord) -> tuple[Cause, str]:
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


def _looked_ahead(one: Side, second: TradingRecord) -> bool:
    """Whether the first run had filled before the bar behind its decision was available to the second."""
    available = _available(one, second)
    return available is not None and one.ts is not None and available > one.ts


def _not_before(one: Side, second: TradingRecord) -> str:
    return f"the bar of {one.row['decided_ts']:%Y-%m-%d %H:%M} was not available before {_available(one, second):%Y-%m-%d %H:%M}"


def _available(one: Side, second: TradingRecord) -> datetime | None:
    bars = second.bars[one.row["instrument"]].filter(pl.col("ts") == one.row["decided_ts"])
    found: datetime | None = bars["available_at"].min() if bars.height else None  # type: ignore[assignment]
    return found


def _values(record: TradingRecord, name: str, ts: datetime) -> tuple[Any, ...] | None:
    columns = [column for column in ("open", "high", "low", "close", "volume") if column in record.bars[name].columns]
    rows = record.bars[name].filter(pl.col("ts") == ts).select(columns)
    return rows.row(0) if rows.height else None


def _unfilled(one: Side, other: Side) -> Cause:
    """Why one of two orders of an intent was not filled."""
    lacking = other if other.quantity == 0 else one
    if lacking.row["status"] == "rejected":
        return Cause.REJECTED
    return Cause.UNFILLED_LIMIT if "limit" in str(lacking.row["kind"]) else Cause.NOT_FILLED


def _ends(one: Side, other: Side, first: TradingRecord, second: TradingRecord) -> str:
    def told(side: Side, name: str) -> str:
        why = f" ({side.row['reasons']})" if side.row["reasons"] else ""
        return f"{side.row['status']}{why} in {name}"

    return f"{told(one, first.name)}, {told(other, second.name)}"


def _alone_first(one: Side, second: TradingRecord, marks: Mapping[str, Fraction], first: TradingRecord) -> Difference:
    name = one.row["instrument"]
    amount = -one.worth(exact(first.instruments[name].multiplier), marks[name])
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
    one: Side,
    pairs: Sequence[tuple[str, str]],
    theirs: Mapping[str, Side],
    second: TradingRecord,
    first: TradingRecord,
    marks: Mapping[str, Fraction],
) -> Difference:
    name, decided = one.row["instrument"], one.row["decided_ts"]
    mark = marks[name] if name in marks else _last_mark(second, name)
    amount = one.worth(exact(second.instruments[name].multiplier), mark)
    base = one.row["intent"].partition(" #")[0]
    twins = [theirs[key] for _, key in pairs if key.partition(" #")[0] == base and theirs[key].asked == one.asked]
    if any(twin.sign == one.sign for twin in twins):
        return _difference(Cause.DUPLICATE_ORDER, one, amount, f"sent again in {second.name}: {_number(one.asked)}")
    if name in first.bars and _values(first, name, decided) != _values(second, name, decided):
        return _difference(
            Cause.DATA, one, amount, f"no order in {first.name}, which saw another bar at {decided:%Y-%m-%d %H:%M}"
        )
    return _difference(Cause.EXTRA_ORDER, one, amount, f"no order in {first.name}")


def _rest(first: TradingRecord, second: TradingRecord) -> list[Difference]:
    """Starting money and cash flows by kind, each currency at the first run's last rate."""
    found = []
    rates = first.rates
    begun, ended = first.openings, second.openings
    for currency in begun:
        one, other = begun[currency], ended[currency]
        words = f"{_number(one)} and {_number(other)} {currency}".strip()
        found.append(Difference(Cause.START, "", "", None, (other - one) * rates.get(currency, Fraction(1)), words))
    flows = [_flows(record) for record in (first, second)]
    for kind, currency in sorted({*flows[0], *flows[1]}):
        one, other = (flow.get((kind, currency), Fraction(0)) for flow in flows)
        words = f"{kind}: {_number(one)} and {_number(other)} {currency}".strip()
        found.append(Difference(Cause.FINANCING, "", "", None, (other - one) * rates.get(currency, Fraction(1)), words))
    return found


def _flows(record: TradingRecord) -> dict[tuple[str, str], Fraction]:
    """(kind, currency) -> amount; the currency is empty in a run of one."""
    found: dict[tuple[str, str], Fraction] = {}
    for kind, amount, currency in record.flows.select("kind", "amount", "currency").iter_rows():
        key = (str(kind), str(currency) if record.rates else "")
        found[key] = found.get(key, Fraction(0)) + exact(amount)
    return found


def _marks(second: TradingRecord, theirs: Mapping[str, Side], marks: Mapping[str, Fraction]) -> list[Difference]:
    """What the second run's last marks add beside the first's, in the currency of each instrument."""
    found = []
    for name in second.instruments:
        held = sum((side.sign * side.quantity for side in theirs.values() if side.row["instrument"] == name), Fraction(0))
        mark = _last_mark(second, name)
        gap = mark - marks.get(name, mark)
        amount = held * exact(second.instruments[name].multiplier) * gap
        found.append(Difference(Cause.MARK, "", name, None, amount, f"{_number(mark - gap)} and {_number(mark)}"))
    return found


def _rate(first: TradingRecord, second: TradingRecord, name: str) -> Fraction:
    """The first run's last rate of an instrument's currency."""
    held = first.instruments.get(name) or second.instruments[name]
    return first.rates.get(held.currency, Fraction(1))


def _rates(first: TradingRecord, second: TradingRecord, theirs: Mapping[str, Side]) -> list[Difference]:
    """What the second run's last rates add beside the first's: of all that it has in each currency."""
    rates, others, flows, found = first.rates, second.rates, _flows(second), []
    for currency, rate in rates.items():
        gap = others[currency] - rate
        held = second.openings[currency] + sum((flow for (_, own), flow in flows.items() if own == currency), Fraction(0))
        for side in theirs.values() if gap else ():
            one = second.instruments[side.row["instrument"]]
            if one.currency == currency:
                held += side.worth(exact(one.multiplier), _last_mark(second, one.id))
        found.append(Difference(Cause.RATE, "", "", None, gap * held, f"{currency}: {_number(rate)} and {_number(rate + gap)}"))
    return found


def _difference(cause: Cause, side: Side, amount: Fraction, found: str) -> Difference:
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
    gap = [float(exact(b) - exact(a)) for a, b in both.select("equity", "equity_second").iter_rows()]
    curves = both.select("ts", first=pl.col("equity").cast(pl.Float64), second=pl.col("equity_second").cast(pl.Float64))
    return curves.with_columns(difference=pl.Series(gap, dtype=pl.Float64)).sort("ts")


def _last_mark(record: TradingRecord, name: str) -> Fraction:
    """The last close up to the last moment of the equity."""
    bars = record.bars[name].filter((pl.col("ts") <= record.equity["ts"][-1]) & pl.col("close").is_not_null()).sort("ts")
    if bars.is_empty():
        raise InvalidInput(f"expected a close of {name} in {record.name}, found none")
    return exact(repr(float(bars["close"][-1])))


def _number(value: Fraction) -> str:
    return f"{float(value):,.8g}"
