"""Market vocabulary without input or output: instruments, sessions, table schemas."""

from fieldcast.market.instrument import Instrument, Kind, default_instrument, file_name, from_file_name
from fieldcast.market.schemas import (
    BAR_KEY,
    BARS,
    PRICES,
    STAMP,
    add_reason,
    conform,
    empty_bars,
    has_reason,
    trusted_open,
)
from fieldcast.market.sessions import (
    DECISION_DELAY,
    last_session,
    next_session,
    segments,
    sessions,
    sessions_between,
    sessions_per_year,
)
from fieldcast.market.tables import DAILY, INTERVALS, TABLES, Layout, Table, table_of

__all__ = [
    "BARS",
    "BAR_KEY",
    "DAILY",
    "DECISION_DELAY",
    "INTERVALS",
    "PRICES",
    "STAMP",
    "TABLES",
    "Instrument",
    "Kind",
    "Layout",
    "Table",
    "add_reason",
    "conform",
    "default_instrument",
    "empty_bars",
    "file_name",
    "from_file_name",
    "has_reason",
    "last_session",
    "next_session",
    "segments",
    "sessions",
    "sessions_between",
    "sessions_per_year",
    "table_of",
    "trusted_open",
]
