"""Order ids: 26 characters, the same for the same parts, different for different ones."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.trading import client_id

PARTS = ("paper", "main", "2018-12-31/daily", "XNAS:COMP", "main", 1)
names = st.text(min_size=1, max_size=12)
keys = st.tuples(names, names, names, names, names, st.integers(1, 99))


def spelled_out(parts: tuple[object, ...]) -> str:
    """The definition, written with the standard library alone."""
    text = json.dumps(list(parts), separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % 36**26
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[number // 36**place % 36] for place in range(25, -1, -1))


def test_an_id_is_what_its_definition_says() -> None:
    assert client_id(*PARTS) == spelled_out(PARTS)


@given(keys)
def test_ids_are_26_letters_and_digits_and_replay_to_themselves(key: tuple[str, str, str, str, str, int]) -> None:
    first = client_id(*key)
    assert re.fullmatch(r"[a-z0-9]{26}", first)
    assert client_id(*key) == first


@given(keys, keys)
def test_different_parts_give_different_ids(left: tuple[object, ...], right: tuple[object, ...]) -> None:
    assert (client_id(*left) == client_id(*right)) == (left == right)  # type: ignore[arg-type]


def test_parts_cannot_run_into_each_other() -> None:
    assert client_id("ab", "c", *PARTS[2:]) != client_id("a", "bc", *PARTS[2:])  # type: ignore[arg-type]


def test_every_part_counts() -> None:
    changed = [(*PARTS[:place], "other" if place < 5 else 2, *PARTS[place + 1 :]) for place in range(6)]
    assert len({client_id(*key) for key in (PARTS, *changed)}) == 7  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [("", *PARTS[1:]), (*PARTS[:5], 0)])
def test_an_empty_part_or_attempt_zero_is_refused(bad: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInput):
        client_id(*bad)  # type: ignore[arg-type]
