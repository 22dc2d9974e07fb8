"""Decisions and verdicts keep their promises when they are made."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason
from fieldcast.trading import Action, Decision, DecisionStatus, Intent, Side, Verdict, VerdictKind, client_id

NOW = datetime(2018, 12, 31, 21, 30, tzinfo=UTC)
units = st.integers(-50, 50).map(Decimal)
verdicts = st.one_of(
    st.just(Verdict.allow()),
    st.just(Verdict.reject(Reason.GATE_FAILED)),
    st.just(Verdict.freeze(Reason.KILL_SWITCH)),
    st.decimals(Decimal("0.001"), Decimal("0.999"), places=3).map(lambda f: Verdict.scale(f, Reason.NAV_LIMIT)),
)


def decision(current: int = 0, target: int = 0, action: Action = Action.HOLD, **changes: object) -> Decision:
    given = {
        "account": "a",
        "portfolio": "p",
        "slot": "2018-12-31/daily",
        "instrument": "XNAS:A",
        "revision": 0,
        "action": action,
        "current_position": Decimal(current),
        "target_position": Decimal(target),
        "reduce_only": False,
        "status": DecisionStatus.NO_ORDER,
        "reasons": (Reason.UNCHANGED,),
        "decided_at": NOW,
    } | changes
    return Decision(**given)  # type: ignore[arg-type]


def test_the_action_is_the_sign_of_the_change() -> None:
    assert decision(0, 5, Action.BUY).action is Action.BUY
    assert decision(5, 0, Action.SELL).action is Action.SELL
    assert decision(5, 5, Action.REJECT).action is Action.REJECT
    for current, target, wrong in ((0, 5, Action.SELL), (5, 0, Action.HOLD), (0, 5, Action.REJECT), (5, 5, Action.BUY)):
        with pytest.raises(InvalidInput):
            decision(current, target, wrong)


def test_an_unregistered_code_or_none_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="made_up"):
        decision(reasons=("made_up",))
    with pytest.raises(InvalidInput, match="at least one reason"):
        decision(reasons=())


def test_reduce_only_cannot_grow_a_position() -> None:
    with pytest.raises(InvalidInput, match="reduce-only"):
        decision(5, 6, Action.BUY, reduce_only=True)


def test_figures_without_a_value_are_refused() -> None:
    with pytest.raises(InvalidInput, match="finite"):
        decision(sizing={"p_up": float("nan")})


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        (VerdictKind.ALLOW, "0.5"),
        (VerdictKind.SCALE, "1"),
        (VerdictKind.SCALE, "0"),
        (VerdictKind.REJECT, "1"),
        (VerdictKind.FREEZE, "0.5"),
    ],
)
def test_a_verdicts_factor_suits_its_kind(kind: VerdictKind, factor: str) -> None:
    with pytest.raises(InvalidInput, match="factor"):
        Verdict(kind, Decimal(factor), (Reason.NAV_LIMIT,))


def test_a_refusal_needs_a_reason() -> None:
    with pytest.raises(InvalidInput, match="reason"):
        Verdict.reject()


@given(verdicts, units, units)
def test_exits_always_pass_and_increases_are_bounded(verdict: Verdict, held: Decimal, wish: Decimal) -> None:
    got = verdict.permitted(held, wish, Decimal(1))
    same_side = held * wish >= 0
    if same_side and abs(wish) <= abs(held):
        assert got == wish  # an exit is never refused, whatever the verdict
        return
    start = held if same_side else Decimal(0)
    assert min(start, wish) <= got <= max(start, wish)
    match verdict.kind:
        case VerdictKind.ALLOW:
            assert got == wish
        case VerdictKind.SCALE:
            assert abs(got - start) <= abs(wish - start) * verdict.factor
        case _:
            assert got == start


def test_an_intents_id_must_follow_from_its_parts() -> None:
    key = ("a", "p", "2018-12-31/daily", "XNAS:A", "main")
    good = Intent(client_id(*key, 1), *key, 1, Side.BUY, Decimal(3), NOW)
    assert good.signed_quantity == 3
    with pytest.raises(InvalidInput, match="client id"):
        Intent(client_id(*key, 2), *key, 1, Side.BUY, Decimal(3), NOW)
    with pytest.raises(InvalidInput, match="above zero"):
        Intent(client_id(*key, 1), *key, 1, Side.BUY, Decimal(0), NOW)
