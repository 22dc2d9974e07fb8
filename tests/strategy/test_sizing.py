"""The volatility target: the formula by hand, and its bounds whatever it is given."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason
from fieldcast.strategy import SizedTarget, volatility_target

CASE = {"p_up": 0.55, "p_down": 0.35, "sigma_annual": 0.2, "nav": Decimal(1_000_000), "price": Decimal(7000)}


def size(**changes: Any) -> SizedTarget:
    return volatility_target(**(CASE | changes))


def test_by_hand() -> None:
    """0.10 / 0.20 / 2 = 0.25 of a million = 250 000, at 7 000 a unit: 35.7 -> 35."""
    sized = size(n_instruments=2)
    assert sized.weight == Decimal("0.25")
    assert sized.quantity == 35
    assert sized.reasons == (Reason.DIRECTION_UP, Reason.VOLATILITY_TARGET)
    assert sized.figures["sigma_annual"] == 0.2


def test_a_calm_market_is_held_once_and_no_more() -> None:
    assert size(sigma_annual=0.05).weight == 1
    assert size(sigma_annual=0.05, n_instruments=2).weight == Decimal("0.5")


def test_odds_down_ask_for_nothing_and_never_for_a_short() -> None:
    down = size(p_up=0.3, p_down=0.6)
    assert (down.quantity, down.reasons) == (0, (Reason.DIRECTION_DOWN,))
    even = size(p_up=0.45, p_down=0.45)
    assert (even.quantity, even.reasons) == (0, (Reason.DIRECTION_NONE,))


def test_multiplier_and_lot_count() -> None:
    assert size(multiplier=Decimal(50)).quantity == 1  # 500 000 / (7 000 * 50) = 1.43
    assert size(lot=Decimal("0.1")).quantity == Decimal("71.4")
    assert size(lot=Decimal(10)).quantity == 70


def test_less_than_a_lot_is_nothing_and_says_so() -> None:
    small = size(nav=Decimal(1000))
    assert small.quantity == 0
    assert Reason.BELOW_LOT in small.reasons


def test_the_dead_band_keeps_what_is_held_but_lets_it_go() -> None:
    near = size(current=Decimal(70), dead_band=Decimal("0.02"))  # 71 wanted: 7 000 is below 20 000
    assert near.quantity == 70
    assert Reason.WITHIN_DEAD_BAND in near.reasons
    assert size(current=Decimal(60), dead_band=Decimal("0.02")).quantity == 71
    assert size(current=Decimal(1), dead_band=Decimal("0.02"), p_up=0.1, p_down=0.8).quantity == 0


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1e-4, 10),
    st.decimals(-1000, Decimal("1e9"), places=2),
    st.decimals(Decimal("0.01"), Decimal("1e5"), places=2),
    st.integers(1, 20),
)
def test_the_value_stays_within_its_share_of_the_nav(
    p_up: float, p_down: float, sigma: float, nav: Decimal, price: Decimal, n: int
) -> None:
    sized = size(p_up=p_up, p_down=p_down, sigma_annual=sigma, nav=nav, price=price, n_instruments=n)
    assert 0 <= sized.weight * n <= 1
    assert sized.quantity >= 0
    assert sized.quantity == int(sized.quantity)
    assert sized.quantity * price * n <= max(nav, 0)
    assert (sized.quantity > 0) <= (p_up > p_down)


@pytest.mark.parametrize(
    "bad",
    [
        {"p_up": float("nan")},
        {"p_down": 1.2},
        {"sigma_annual": 0.0},
        {"sigma_annual": float("nan")},
        {"price": Decimal(0)},
        {"n_instruments": 0},
        {"dead_band": Decimal("-0.1")},
    ],
)
def test_bad_figures_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        size(**bad)
