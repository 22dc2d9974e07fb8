"""Scored texts for the tests of sentiment: rows of `text_scores`, made one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from fieldcast.market import table_of

AS_OF = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
SCORES = table_of("text_scores")


def text(source: str, hours: float, score: float, confidence: float = 1.0, **more: Any) -> dict[str, Any]:
    """One scored text, `hours` before AS_OF, known when it was published unless `known` says how many hours before AS_OF."""
    ts = AS_OF - timedelta(hours=hours)
    known = more.pop("known", None)
    return {
        "instrument": "XNAS:TEST",
        "ts": ts,
        "available_at": ts if known is None else AS_OF - timedelta(hours=known),
        "item": more.pop("item", f"{source}/{hours}/{score}/{confidence}"),
        "source": source,
        "scorer": "lexicon@1",
        "score": float(score),
        "confidence": float(confidence),
        "mentions": 1.0,
        **more,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in SCORES.schema} for row in rows], schema=dict(SCORES.schema))


@pytest.fixture
def make() -> Callable[..., pl.DataFrame]:
    return frame


@pytest.fixture
def one() -> Callable[..., dict[str, Any]]:
    return text


@pytest.fixture
def as_of() -> datetime:
    return AS_OF
