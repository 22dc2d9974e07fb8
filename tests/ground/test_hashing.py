"""One spelling for each value: equal values hash equally, on every machine; what has no canonical form is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput, Reason, canonical_json, digest

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_no_space_is_spent() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": True}) == '{"a":true,"b":[1,2.5,null]}'


def test_digest_is_sha256_of_the_canonical_json() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


@given(PLAIN)
def test_canonical_json_parses_and_is_a_fixed_point(value: object) -> None:
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


@given(st.dictionaries(st.text(), st.integers(), min_size=2), st.randoms())
def test_the_order_of_a_mapping_does_not_matter(value: dict[str, int], random: object) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(dict(shuffled)) == digest(value)


def test_floats_agree_at_twelve_significant_digits() -> None:
    assert digest(0.1 + 0.2) == digest(0.3)
    assert digest(1.000000000001) != digest(1.00000000001)
    assert canonical_json(-0.0) == canonical_json(0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), [1.0, float("nan")], {"a": float("inf")}])
def test_a_number_that_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        canonical_json(value)


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, 1j])
def test_a_type_without_a_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=type(value).__name__):
        digest(value)


def test_decimals_with_one_value_have_one_spelling() -> None:
    assert canonical_json(Decimal("1.50")) == canonical_json(Decimal("1.5")) == '"1.5"'
    assert canonical_json(Decimal("1E+3")) == '"1000"'
    assert canonical_json(Decimal("0.00")) == '"0"'


def test_moments_are_spelt_in_utc() -> None:
    here = datetime(2018, 1, 2, 16, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert canonical_json(here) == '"2018-01-02T21:00:00+00:00"'
    assert digest(here) == digest(datetime(2018, 1, 2, 21, 0, tzinfo=UTC))
    assert canonical_json(date(2018, 1, 2)) == '"2018-01-02"'


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(InvalidInput, match="naive"):
        canonical_json(datetime(2018, 1, 2, 16, 0))  # noqa: DTZ001 - the point of the test


def test_a_member_of_an_enumeration_counts_as_its_value() -> None:
    assert canonical_json(Reason.SIMULATED) == '"simulated"'


def test_the_hash_seed_of_the_process_does_not_matter() -> None:
    program = "from fieldcast.ground import digest; print(digest({'x': {'b': 1, 'a': [0.1, None]}, 'é': 'ü'}))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(seen) == 1
