"""Hashes of values, the same on every machine and under every Python hash seed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from fieldcast.ground.clock import utc
from fieldcast.ground.errors import InvalidInput

SIGNIFICANT_DIGITS = 12


def canonical(value: Any) -> Any:
    """`value` as JSON types with one spelling each: sorted keys, UTC times, floats at 12 significant digits.

    Raises
    ------
    InvalidInput : a float is NaN or infinite, or a type has no canonical form
    """
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return canonical(value.value)
        case str():
            return str(value)
        case float():
            if not math.isfinite(value):
                raise InvalidInput(f"expected a finite number, found {value}; the unknown is None with a reason")
            return float(f"{value:.{SIGNIFICANT_DIGITS - 1}e}") + 0.0
        case Decimal():
            return _plain(value)
        case datetime():
            return utc(value).isoformat()
        case date():
            return value.isoformat()
        case Mapping():
            if len({str(key) for key in value}) != len(value):
                raise InvalidInput(f"expected keys that differ as text, found {sorted(map(str, value))}")
            return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [canonical(item) for item in value]
    raise InvalidInput(f"expected a plain value to hash, found {type(value).__name__}")


def _plain(value: Decimal) -> str:
    """All digits, without an exponent, trailing zeros or a sign on zero."""
    if not value.is_finite():
        raise InvalidInput(f"expected a finite number, found {value}; the unknown is None with a reason")
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text.lstrip("-") == "0" else text


def canonical_json(value: Any) -> str:
    """One line of JSON that is equal exactly when the values are."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
