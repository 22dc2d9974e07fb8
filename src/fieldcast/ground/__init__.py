"""What everything else stands on: settings, errors, clock, hashes and the registry of reason codes."""

from fieldcast.ground.clock import Clock, ManualClock, SystemClock, utc
from fieldcast.ground.config import Settings, load_settings
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
