"""Exits bar by bar: by hand, against a brute-force loop, and mirrored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import ConflictError, InvalidInput
from fieldcast.strategy import Exit, ExitKind, ExitManager, ExitPlan
from fieldcast.trading import Side

Bar = tuple[int, int, int]


def run(plan: ExitPlan, bars: list[Bar]) -> Exit | None:
    manager = ExitManager(plan)
    for opened, high, low in bars:
        found = manager.on_bar(Decimal(opened), Decimal(high), Decimal(low))
        if found is not None:
            return found
    return None


def long(**more: object) -> ExitPlan:
    return ExitPlan(Side.BUY, Decimal(100), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bars", "kind", "bar", "price"),
    [
        ([(100, 102, 99), (101, 103, 98)], ExitKind.STOP, 2, 98),
        ([(100, 102, 99), (95, 103, 94)], ExitKind.STOP, 2, 95),  # gapped through the stop
        ([(100, 105, 99)], ExitKind.TARGET, 1, 104),
        ([(106, 107, 105)], ExitKind.TARGET, 1, 106),  # gapped over the target
        ([(100, 105, 97)], ExitKind.STOP, 1, 98),  # both inside the bar: the worse one
        ([(100, 104, 99), (100, 101, 99)], ExitKind.TIME, 2, None),  # a target only touched
    ],
)
def test_a_long_with_a_stop_and_a_target(bars: list[Bar], kind: ExitKind, bar: int, price: int | None) -> None:
    found = run(long(stop=Decimal(98), target=Decimal(104), most_bars=2), bars)
    assert found == Exit(kind, bar, None if price is None else Decimal(price))


def test_a_trailing_stop_moves_only_when_the_bar_is_over() -> None:
    """The first bar makes 110 and 98: whether it fell 3 from its best, nobody knows before it is over."""
    manager = ExitManager(long(trailing=Decimal(3)))
    assert manager.on_bar(Decimal(100), Decimal(110), Decimal(98)) is None
    assert manager.trailing_stop == 107
    assert manager.on_bar(Decimal(109), Decimal(109), Decimal(106)) == Exit(ExitKind.TRAILING_STOP, 2, Decimal(107))


def test_a_trailing_stop_never_falls() -> None:
    manager = ExitManager(long(trailing=Decimal(5)))
    seen = []
    for opened, high, low in [(100, 104, 99), (103, 103, 100), (101, 102, 100)]:
        assert manager.on_bar(Decimal(opened), Decimal(high), Decimal(low)) is None
        seen.append(manager.trailing_stop)
    assert seen == [99, 99, 99]


Left = tuple[str, int, int | None]


def brute(side: int, stop: int, target: int, trailing: int | None, most: int, bars: list[Bar]) -> Left | None:
    """The rules once more, on signed numbers: a short is a long on the negative axis."""
    best = side * 100
    for place, (opened, high, low) in enumerate(bars, 1):
        o, h, x = (opened, high, low) if side > 0 else (-opened, -low, -high)
        level, kind = side * stop, "stop"
        if trailing is not None and best - trailing > level:
            level, kind = best - trailing, "trailing_stop"
        if o <= level:
            return kind, place, side * o
        if o >= side * target:
            return "target", place, side * o
        if x <= level:
            return kind, place, side * level
        if h > side * target:
            return "target", place, side * side * target
        if place >= most:
            return "time", place, None
        best = max(best, h)
    return None


bars_of = st.lists(st.lists(st.integers(85, 115), min_size=3, max_size=3).map(sorted), min_size=1, max_size=12)


@given(bars_of, st.integers(1, 9), st.integers(1, 9), st.none() | st.integers(1, 9), st.integers(1, 12), st.sampled_from(Side))
def test_exits_are_those_of_a_plain_loop(
    raw: list[list[int]], risk: int, reward: int, trailing: int | None, most: int, side: Side
) -> None:
    bars = [(mid, high, low) for low, mid, high in raw]
    stop, target = 100 - side.sign * risk, 100 + side.sign * reward
    plan = ExitPlan(side, Decimal(100), Decimal(stop), Decimal(target), None if trailing is None else Decimal(trailing), most)
    found = run(plan, bars)
    expected = brute(side.sign, stop, target, trailing, most, bars)
    assert (None if found is None else (str(found.kind), found.bar, found.price)) == expected


@given(bars_of, st.integers(1, 9), st.integers(1, 9), st.none() | st.integers(1, 9), st.integers(1, 12))
def test_a_short_is_left_where_the_mirrored_long_is(
    raw: list[list[int]], risk: int, reward: int, trailing: int | None, most: int
) -> None:
    bars = [(mid, high, low) for low, mid, high in raw]
    mirrored = [(200 - opened, 200 - low, 200 - high) for opened, high, low in bars]
    distance = None if trailing is None else Decimal(trailing)
    up = run(ExitPlan(Side.BUY, Decimal(100), Decimal(100 - risk), Decimal(100 + reward), distance, most), bars)
    down = run(ExitPlan(Side.SELL, Decimal(100), Decimal(100 + risk), Decimal(100 - reward), distance, most), mirrored)
    if up is None or down is None:
        assert up is down
        return
    assert (up.kind, up.bar) == (down.kind, down.bar)
    assert up.price == (None if down.price is None else 200 - down.price)


def test_a_position_ends_once() -> None:
    manager = ExitManager(long(stop=Decimal(98)))
    manager.on_bar(Decimal(97), Decimal(97), Decimal(96))
    with pytest.raises(ConflictError, match="bar 1"):
        manager.on_bar(Decimal(97), Decimal(97), Decimal(96))


@pytest.mark.parametrize(
    "wrong", [{}, {"stop": Decimal(100)}, {"target": Decimal(99)}, {"trailing": Decimal(0)}, {"most_bars": 0}]
)
def test_impossible_plans_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        long(**wrong)


def test_prices_that_are_no_bar_are_refused() -> None:
    with pytest.raises(InvalidInput, match="low <= open"):
        ExitManager(long(stop=Decimal(98))).on_bar(Decimal(100), Decimal(99), Decimal(98))
