"""Liquidity at one moment: the daily columns put into words, beside the session, the order book and short volume.

Nothing is counted twice: what the field table holds already stays there, and the reading adds the words for it and what the other
sources found. The rules for the words are declared:

    phase     the Wyckoff phase that holds at least half of the membership, else none
    squeeze   on where its ratio is below 0; released where it was on at most 5 bars ago; else off
    turns     climbing (1), falling (−1), mixed between, by `structure`
    effort    absorbed or displaced where the score of the last bar reaches the threshold of `ZonePolicy`, else ordinary
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fieldcast.fields.liquidity.effort import PHASES, ZonePolicy
from fieldcast.fields.liquidity.session import NAMESPACE, SessionLiquidity
from fieldcast.fields.liquidity.short_pressure import ShortPressure
from fieldcast.fields.readings import Landmark, Reading
from fieldcast.fields.vocabulary import Effort, SqueezeState, TurnSequence, WyckoffPhase
from fieldcast.ground import InvalidInput, Reason, utc

RELEASED = 5  # bars for which a squeeze counts as released
MAJORITY = 0.5

Found = StrEnum | Reason


@dataclass(frozen=True)
class LiquidityField:
    """The liquidity of one instrument at one moment.

    Parameters
    ----------
    as_of : the moment of the decision, UTC
    labels : words for the daily columns
    reasons : label → why there is no word
    session, short : what was found there; none where it was not given
    parts : their readings and that of the book, as they are merged
    """

    as_of: datetime
    labels: Mapping[str, StrEnum]
    reasons: Mapping[str, Reason]
    session: SessionLiquidity | None
    short: ShortPressure | None
    parts: tuple[Reading, ...]

    def reading(self) -> Reading:
        """The short form for the field map: words, and all figures that are not in the field table."""
        values: dict[str, float] = {}
        landmarks: dict[str, Landmark] = {}
        labels: dict[str, StrEnum] = dict(self.labels)
        reasons: dict[str, Reason] = dict(self.reasons)
        conventions: dict[str, str] = {}
        for part in self.parts:
            _refuse_repeats(part, (values, landmarks, labels, reasons))
            values |= part.values
            landmarks |= part.landmarks
            labels |= part.labels
            reasons |= part.reasons
            conventions |= part.conventions
        return Reading(
            NAMESPACE,
            self.as_of,
            values,
            landmarks=landmarks,
            labels=labels,
            reasons=reasons,
            conventions=conventions,
            simulated=any(part.simulated for part in self.parts),
        )


def interpret(
    row: Mapping[str, float],
    as_of: datetime,
    *,
    session: SessionLiquidity | None = None,
    book: Reading | None = None,
    short: ShortPressure | None = None,
    policy: ZonePolicy = ZonePolicy(),
) -> LiquidityField:
    """Words for the daily columns, and what the other sources found by `as_of`.

    Parameters
    ----------
    row : the liquidity quantities known at `as_of`, as `FieldMap.liquidity` has them
    as_of : time with its zone
    session : from `session_liquidity`
    book : reading of the order book (`fields.books.book_field(…).reading()`)
    short : from `short_pressure`
    policy : the scores from which on a bar is called absorbed or displaced

    Raises
    ------
    InvalidInput : a part was read later than `as_of`, or is of another namespace
    """
    as_of = utc(as_of)
    given = (session.reading() if session else None, book, short.reading() if short else None)
    parts = tuple(part for part in given if part is not None)
    for part in parts:
        if part.namespace != NAMESPACE or utc(part.as_of) > as_of:
            raise InvalidInput(
                f"expected readings of liquidity made by {as_of.isoformat()}, found one of {part.namespace} "
                f"of {part.as_of.isoformat()}"
            )
    found: dict[str, Found] = {
        "wyckoff_phase": _phase(row),
        "squeeze_state": _squeeze(row),
        "turns": _turns(row),
        "effort": _effort(row, policy),
    }
    labels = {name: word for name, word in found.items() if not isinstance(word, Reason)}
    reasons = {name: word for name, word in found.items() if isinstance(word, Reason)}
    return LiquidityField(as_of, labels, reasons, session, short, parts)


def _phase(row: Mapping[str, float]) -> Found:
    shares = {name: row.get(f"wyckoff_{name}") for name in PHASES}
    known = {name: share for name, share in shares.items() if share is not None}
    if len(known) < len(PHASES):
        return Reason.WARMING_UP
    best = max(known, key=lambda name: known[name])
    return WyckoffPhase(best) if known[best] >= MAJORITY else Reason.UNRESOLVED


def _squeeze(row: Mapping[str, float]) -> Found:
    if "squeeze" not in row:
        return Reason.WARMING_UP
    if row["squeeze"] < 0:
        return SqueezeState.ON
    if "squeeze_age" not in row:
        return Reason.WARMING_UP
    return SqueezeState.RELEASED if row.get("squeeze_since", RELEASED + 1.0) <= RELEASED else SqueezeState.OFF


def _turns(row: Mapping[str, float]) -> Found:
    if "structure" not in row:
        return Reason.UNDEFINED
    return {1.0: TurnSequence.CLIMBING, -1.0: TurnSequence.FALLING}.get(row["structure"], TurnSequence.MIXED)


def _effort(row: Mapping[str, float], policy: ZonePolicy) -> Found:
    if "absorption" not in row or "displacement" not in row:
        return Reason.UNDEFINED
    if row["absorption"] >= policy.absorption:
        return Effort.ABSORBED
    if abs(row["displacement"]) >= policy.displacement:
        return Effort.DISPLACED_UP if row["displacement"] > 0 else Effort.DISPLACED_DOWN
    return Effort.ORDINARY


def _refuse_repeats(part: Reading, found: Iterable[Mapping[str, object]]) -> None:
    names = {*part.values, *part.landmarks, *part.labels, *part.reasons}
    twice = sorted(names & {name for mapping in found for name in mapping})
    if twice:
        raise InvalidInput(f"expected each quantity of liquidity from one source, found {', '.join(twice[:4])} twice")
