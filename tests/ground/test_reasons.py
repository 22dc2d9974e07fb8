"""The registry of reason codes is closed: an unregistered code is refused, and every code means something."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason, reason_codes


def test_every_code_is_spelt_alike_and_explains_itself() -> None:
    for reason in Reason:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", reason.value), reason
        assert reason.name.lower() == reason.value
        assert len(reason.meaning.split()) >= 3, reason
        assert "," not in reason.value, "codes are joined by commas in tables"


def test_no_two_codes_mean_the_same() -> None:
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_a_code_is_its_text() -> None:
    assert Reason.SIMULATED == "simulated"
    assert f"{Reason.SIMULATED}" == "simulated"
    assert Reason("simulated") is Reason.SIMULATED


@given(st.text().filter(lambda text: text not in set(Reason)))
def test_an_unregistered_code_is_refused_by_name(code: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(repr(code))):
        reason_codes(["simulated", code])


def test_codes_keep_their_order_and_lose_their_repeats() -> None:
    assert reason_codes(["stale", "simulated", "stale"]) == (Reason.STALE, Reason.SIMULATED)
    assert reason_codes([]) == ()


def test_the_registry_cannot_be_extended_from_outside() -> None:
    with pytest.raises(TypeError, match="extend"):

        class More(Reason):  # type: ignore[misc]
            NEW = "new", "a code that somebody wanted in passing"
