"""What everything else stands on: settings, errors, clock, hashes and the registry of reason codes.

`Settings` and `load_settings` load when they are first asked for: they bring pydantic, which takes longer to load than most
runs take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fieldcast.ground.clock import Clock, ManualClock, SystemClock, utc
from fieldcast.ground.errors import (
    ConfigError,
    ConflictError,
    FieldcastError,
    Halted,
    IntegrityError,
    InvalidInput,
    MissingData,
    ShortHistory,
    StrategyError,
)
from fieldcast.ground.files import write_whole
from fieldcast.ground.hashing import canonical_json, digest
from fieldcast.ground.reasons import Reason, reason_codes
from fieldcast.ground.shown import Shown, html_of

if TYPE_CHECKING:
    from fieldcast.ground.config import Settings, load_settings

__all__ = [
    "Clock",
    "ConfigError",
    "ConflictError",
    "FieldcastError",
    "Halted",
    "IntegrityError",
    "InvalidInput",
    "ManualClock",
    "MissingData",
    "Reason",
    "Settings",
    "ShortHistory",
    "Shown",
    "StrategyError",
    "SystemClock",
    "canonical_json",
    "digest",
    "html_of",
    "load_settings",
    "reason_codes",
    "utc",
    "write_whole",
]


def __getattr__(name: str) -> Any:
    if name not in ("Settings", "load_settings"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fieldcast.ground import config

    found = getattr(config, name)
    globals()[name] = found
    return found
