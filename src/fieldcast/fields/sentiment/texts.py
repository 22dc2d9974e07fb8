"""Scored texts as arrays: what had been scored by a moment, each text once.

The field never sees a text. It reads rows of the table `text_scores`, and of these those with available_at ≤ as_of. A text
that was scored twice by one scorer counts with the newest score known then; one that several scorers scored, with the first
of them in the declared order, so that no text is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.sentiment.rules import SOURCES, SentimentRules
from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import conform, has_reason, table_of

TABLE = "text_scores"
_MICROS_AN_HOUR = 3.6e9


@dataclass(frozen=True, eq=False)
class Texts:
    """Scored texts known at one moment, (n,) each.

    Parameters
    ----------
    as_of : the moment, UTC
    source : place in SOURCES
    age : hours since the text was published
    score, confidence : in [−1, 1] and [0, 1]
    mentions : texts that the row stands for
    engagement, comments : as the source counts them; NaN where it does not say
    assumed : whether when it could be known is a convention
    scorers : who scored them
    simulated : whether any of them came out of a simulation
    """

    as_of: datetime
    source: np.ndarray
    age: Floats
    score: Floats
    confidence: Floats
    mentions: Floats
    engagement: Floats
    comments: Floats
    assumed: Flags
    scorers: tuple[str, ...]
    simulated: bool

    def __len__(self) -> int:
        return self.score.size

    def of(self, source: str, youngest: float = 0.0, oldest: float = np.inf) -> Flags:
        """(n,) which texts are of `source` and of an age in hours from `youngest` to `oldest`, the latter not included."""
        found: Flags = (self.source == SOURCES.index(source)) & (self.age >= youngest) & (self.age < oldest)
        return found


def checked_scores(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of `text_scores`, oldest knowledge first.

    Raises
    ------
    InvalidInput : another schema, several instruments, a source that is not known, or a score or confidence out of range
    """
    rows = conform(rows, dict(table_of(TABLE).schema))
    if rows["instrument"].n_unique() > 1:
        raise InvalidInput(f"expected scores about one instrument, found {rows['instrument'].n_unique()}; filter them first")
    strange = sorted(set(rows["source"].unique().to_list()) - set(SOURCES))
    if strange:
        raise InvalidInput(f"expected sources out of {', '.join(SOURCES)}, found {strange[0]!r}")
    inside = pl.col("score").is_between(-1, 1) & pl.col("confidence").is_between(0, 1)
    if not rows.select(inside.fill_null(value=False).all()).item():
        raise InvalidInput("expected scores in [-1, 1] and confidences in [0, 1], found others; score the texts again")
    return rows.sort("available_at", "ts", "item", "scorer")


def known_texts(rows: pl.DataFrame | None, as_of: datetime, rules: SentimentRules) -> Texts:
    """The texts that had been scored by `as_of`, each once.

    Parameters
    ----------
    rows : from `checked_scores`; None = none
    as_of : the moment, with its zone
    """
    as_of = utc(as_of)
    if rows is None:
        rows = table_of(TABLE).empty()
    known = rows.filter(pl.col("available_at") <= as_of, pl.col("ts") > as_of - rules.back)
    name = pl.col("scorer").str.split("@").list.first()
    order = {scorer: place for place, scorer in enumerate(rules.scorers)}
    known = known.with_columns(_rank=name.replace_strict(order, default=len(order), return_dtype=pl.Int64))
    known = known.sort("_rank", descending=True, maintain_order=True).unique(["source", "item"], keep="last", maintain_order=True)
    number = {column: known[column].fill_null(float("nan")).to_numpy() for column in ("engagement", "comments")}
    stamp = int(as_of.timestamp() * 1e6)
    return Texts(
        as_of=as_of,
        source=known["source"].replace_strict({s: n for n, s in enumerate(SOURCES)}, return_dtype=pl.Int64).to_numpy(),
        age=np.maximum(stamp - known["ts"].to_physical().to_numpy(), 0) / _MICROS_AN_HOUR,
        score=known["score"].to_numpy(),
        confidence=known["confidence"].to_numpy(),
        mentions=known["mentions"].fill_null(1.0).to_numpy(),
        assumed=known.select(has_reason(Reason.AVAILABILITY_ASSUMED)).to_series().to_numpy().astype(bool),
        scorers=tuple(known["scorer"].unique().sort()),
        simulated=bool(known.select(has_reason(Reason.SIMULATED).any()).item()),
        **number,
    )
