"""Scored texts as arrays: what had been scored by a moment, each text once.

The field never sees a text. It reads rows of the table `text_scores`, and of these those with available_at ≤ as_of. A text
that was scored twice by one scorer counts with the newest score known then; one that several scorers scored, with the first
of them in the declared order, so that no text is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.sentiment.rules import SOURCES, SentimentRules
from fieldcast.ground import InvalidInput, Reason, utc
from fieldcast.market import conform, has_reason, table_of

TABLE = "text_scores"
_MICROS_AN_HOUR = 3.6e9
Stamps = NDArray[np.int64]


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
    """Rows of `text_scores` that the engine can read.

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
    return rows


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Checked rows as arrays, in the order in which a later row of the same text takes the place of an earlier one.

    Parameters
    ----------
    ts, available_at : (n,) microseconds since 1970
    text : (n,) number of the text, by source and item
    columns : name → (n,) the rest, as in `Texts`
    scorer : (n,) places in `scorers`
    """

    ts: Stamps
    available_at: Stamps
    text: Stamps
    scorer: Stamps
    scorers: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    rules: SentimentRules

    @classmethod
    def of(cls, rows: pl.DataFrame | None, rules: SentimentRules) -> ScoreTable:
        """The table of rows from `checked_scores`; None = no rows.

        Sorted by the declared order of scorers, the first last, and within one by when the score was known.
        """
        rows = table_of(TABLE).empty() if rows is None else rows
        order = {scorer: place for place, scorer in enumerate(rules.scorers)}
        names = rows["scorer"].unique().sort()
        places = {name: place for place, name in enumerate(names)}
        ranks = {name: -order.get(name.partition("@")[0], len(order)) for name in names}
        rows = rows.with_columns(
            _rank=pl.col("scorer").replace_strict(ranks, return_dtype=pl.Int64),
            scorer=pl.col("scorer").replace_strict(places, return_dtype=pl.Int64),
            source=pl.col("source").replace_strict({s: n for n, s in enumerate(SOURCES)}, return_dtype=pl.Int64),
        ).sort("_rank", "available_at", "ts", "scorer", maintain_order=True)
        source = rows["source"].to_numpy()
        item = rows["item"].rank("dense").fill_null(0).to_numpy().astype(np.int64)
        _, text = np.unique(item * len(SOURCES) + source, return_inverse=True)
        flags = rows.select(assumed=has_reason(Reason.AVAILABILITY_ASSUMED), simulated=has_reason(Reason.SIMULATED))
        numbers = ("score", "confidence", "mentions", "engagement", "comments")
        columns = {name: rows[name].fill_null(float("nan")).to_numpy() for name in numbers}
        return cls(
            ts=rows["ts"].to_physical().to_numpy(),
            available_at=rows["available_at"].to_physical().to_numpy(),
            text=text,
            scorer=rows["scorer"].to_numpy(),
            scorers=tuple(names),
            columns=columns | {"source": source} | {name: flags[name].to_numpy().astype(bool) for name in flags.columns},
            rules=rules,
        )

    def at(self, as_of: datetime) -> Texts:
        """The texts that had been scored by `as_of`, each once, in the order of the table."""
        as_of = utc(as_of)
        stamp = int(as_of.timestamp() * 1e6)
        oldest = stamp - int(self.rules.back.total_seconds() * 1e6)
        known = np.flatnonzero((self.available_at <= stamp) & (self.ts > oldest))
        newest = np.full(int(self.text.max(initial=-1)) + 1, -1, dtype=np.int64)
        newest[self.text[known]] = known  # ascending: of several rows of a text the last one stays
        kept = np.sort(newest[newest >= 0])
        columns = {name: values[kept] for name, values in self.columns.items()}
        return Texts(
            as_of=as_of,
            age=np.maximum(stamp - self.ts[kept], 0) / _MICROS_AN_HOUR,
            scorers=tuple(self.scorers[place] for place in np.unique(self.scorer[kept])),
            simulated=bool(columns.pop("simulated").any()),
            **columns,
        )


def known_texts(rows: pl.DataFrame | None, as_of: datetime, rules: SentimentRules) -> Texts:
    """The texts that had been scored by `as_of`, each once.

    Parameters
    ----------
    rows : from `checked_scores`; None = none
    as_of : the moment, with its zone
    """
    return ScoreTable.of(rows, rules).at(as_of)
