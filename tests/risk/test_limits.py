"""Limits: each refusal by itself, the room under the NAV limit, and exits that always pass."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import ConfigError, InvalidInput, Reason
from fieldcast.market import Instrument, Kind
from fieldcast.risk import Limits, Proposal, check_limits
from fieldcast.trading import Verdict, VerdictKind

SHARE = Instrument("XNAS:A", Kind.EQUITY)
NAV = Decimal(100_000)
GOOD = Proposal(
    SHARE,
    current=Decimal(0),
    wanted=Decimal(100),
    price=Decimal(500),
    quality=0.6,
    gate="PASS",
    has_projection=True,
    next_open_trusted=True,
)


def judge(*, frozen: bool = False, **changes: Any) -> Verdict:
    return check_limits([replace(GOOD, **changes)], nav=NAV, limits=Limits(), frozen=frozen)[SHARE.id]


def test_what_keeps_every_limit_passes() -> None:
    assert judge().kind is VerdictKind.ALLOW  # quality 0.6 is enough


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument": replace(SHARE, tradable=False)}, Reason.NOT_TRADABLE),
        ({"next_open_trusted": False}, Reason.NEXT_OPEN_REFUSED),
        ({"quality": 0.59}, Reason.DATA_QUALITY),
        ({"quality": None}, Reason.DATA_QUALITY),
        ({"gate": "FAIL"}, Reason.GATE_FAILED),
        ({"gate": "CANNOT_JUDGE"}, Reason.GATE_CANNOT_JUDGE),
        ({"gate": None}, Reason.GATE_MISSING),
        ({"has_projection": False, "wanted": None}, Reason.PROJECTION_MISSING),
        ({"wanted": Decimal(-1)}, Reason.NO_SHORTS),
        ({"price": None, "wanted": None}, Reason.PRICE_MISSING),
        ({"faults": (Reason.STALE,)}, Reason.STALE),
    ],
)
def test_each_refusal_stands_alone(changes: dict[str, Any], reason: Reason) -> None:
    verdict = judge(**changes)
    assert verdict.kind is VerdictKind.REJECT
    assert verdict.reasons == (reason,)


def test_notional_units_may_be_held_and_say_so() -> None:
    verdict = judge(instrument=replace(SHARE, tradable=False, notional=True))
    assert verdict.kind is VerdictKind.ALLOW
    assert verdict.reasons == (Reason.NOTIONAL_UNITS,)


def test_too_much_is_cut_to_the_room() -> None:
    verdict = judge(wanted=Decimal(400))  # 200 000 wanted, 100 000 there is
    assert verdict.kind is VerdictKind.SCALE
    assert verdict.factor == Decimal("0.5")
    assert verdict.reasons == (Reason.NAV_LIMIT,)
    assert verdict.permitted(Decimal(0), Decimal(400), Decimal(1)) == 200


def test_no_room_is_a_refusal() -> None:
    other = replace(GOOD, instrument=replace(SHARE, id="XNAS:B"), current=Decimal(200), wanted=Decimal(200))
    verdicts = check_limits([GOOD, other], nav=NAV, limits=Limits())
    assert verdicts["XNAS:A"].kind is VerdictKind.REJECT
    assert verdicts["XNAS:A"].reasons == (Reason.NAV_LIMIT,)
    assert verdicts["XNAS:B"].kind is VerdictKind.ALLOW


def test_a_refused_increase_takes_no_room() -> None:
    refused = replace(GOOD, instrument=replace(SHARE, id="XNAS:B"), wanted=Decimal(200), gate="FAIL")
    verdicts = check_limits([replace(GOOD, wanted=Decimal(200)), refused], nav=NAV, limits=Limits())
    assert verdicts["XNAS:A"].kind is VerdictKind.ALLOW


def test_the_kill_switch_freezes_increases_and_lets_exits_go() -> None:
    verdict = judge(frozen=True, current=Decimal(50))
    assert verdict.kind is VerdictKind.FREEZE
    assert verdict.reasons[0] is Reason.KILL_SWITCH
    assert verdict.permitted(Decimal(50), Decimal(100), Decimal(1)) == 50
    assert verdict.permitted(Decimal(50), Decimal(0), Decimal(1)) == 0


def test_an_instrument_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="once"):
        check_limits([GOOD, GOOD], nav=NAV, limits=Limits())


@pytest.mark.parametrize("bad", [{"max_exposure": Decimal(-1)}, {"minimum_quality": 1.5}])
def test_limits_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Limits(**bad)


proposals = st.lists(
    st.builds(
        Proposal,
        instrument=st.just(SHARE),
        current=st.integers(0, 300).map(Decimal),
        wanted=st.one_of(st.none(), st.integers(0, 600).map(Decimal)),
        price=st.decimals(Decimal("0.5"), 900, places=2),
        quality=st.sampled_from([0.2, 0.9]),
        gate=st.sampled_from(["PASS", "PASS", "FAIL", None]),
        has_projection=st.booleans(),
        next_open_trusted=st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@given(proposals, st.decimals(0, 200_000, places=2), st.booleans())
def test_exposure_never_rises_above_the_limit_through_an_increase(
    drawn: list[Proposal], nav: Decimal, frozen: bool
) -> None:
    named = [replace(p, instrument=replace(SHARE, id=f"XNAS:N{i}")) for i, p in enumerate(drawn)]
    verdicts = check_limits(named, nav=nav, limits=Limits(), frozen=frozen)
    before = after = Decimal(0)
    for p in named:
        wanted = p.current if p.wanted is None else p.wanted
        target = verdicts[p.instrument.id].permitted(p.current, wanted, Decimal(1))
        before += p.value(min(p.current, wanted))
        after += p.value(target)
        if wanted <= p.current:
            assert target == wanted
        if verdicts[p.instrument.id].kind in (VerdictKind.REJECT, VerdictKind.FREEZE):
            assert target <= p.current
    assert after <= max(nav, before)
