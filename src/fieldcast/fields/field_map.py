"""FieldMap: what is known of one instrument at one moment, as a value that can be compared, hashed and replayed.

Daily bars give one row of the field table; engines that read other things (a chain, a book, the session's minutes, texts)
add their readings. Its hash is the SHA-256 of canonical JSON with every number at 12 significant digits: the same inputs give
the same hash in every process, on every machine.

`steering` tells how far each landmark lies from the close, in average true ranges (positive above): how far price would
have to go to meet it, in the instrument's own strides. It is geometry, not a forecast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from math import log
from types import MappingProxyType
from typing import Any

import polars as pl

from fieldcast.fields.readings import NAMESPACES, Landmark, Reading
from fieldcast.fields.table import FIELD_REGISTRY, reasons_of
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown, digest, utc

LANDMARKS = ("poc", "val", "vah", "vwap", "swing_high", "swing_low")
_MAPPINGS = (*NAMESPACES, "landmarks", "steering", "labels", "reasons", "conventions")


@dataclass(frozen=True, eq=False)
class FieldMap(Shown):
    """The fields of one instrument as they were known at one moment.

    Parameters
    ----------
    instrument : id
    as_of : the moment of the decision, UTC
    ts : the bar it rests on (the newest one known at `as_of`)
    close : of that bar
    liquidity, regime, sentiment, dealer, elasticity : quantity → value; what is unknown is not in them
    landmarks : name → price and since when it was known
    steering : landmark → distance from the close in average true ranges, positive above
    labels : `namespace.name` → a word out of `fields.vocabulary`
    reasons : `namespace.quantity` → why it is unknown
    conventions : `namespace.name` → how its figures are to be read
    simulated : True where anything behind it came out of a simulation
    hash : SHA-256 over all of the above
    """

    instrument: str
    as_of: datetime
    ts: datetime
    close: float
    liquidity: Mapping[str, float]
    regime: Mapping[str, float]
    sentiment: Mapping[str, float]
    dealer: Mapping[str, float]
    elasticity: Mapping[str, float]
    landmarks: Mapping[str, Landmark]
    steering: Mapping[str, float]
    reasons: Mapping[str, Reason]
    labels: Mapping[str, str] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "as_of", utc(self.as_of))
        object.__setattr__(self, "ts", utc(self.ts))
        object.__setattr__(self, "hash", digest(self.as_dict()))

    @classmethod
    def at(
        cls,
        instrument: str,
        as_of: datetime,
        table: pl.DataFrame,
        readings: Iterable[Reading] = (),
        *,
        absent: Mapping[str, Reason] | None = None,
        simulated: bool = False,
    ) -> FieldMap:
        """The newest row of `table` that was known at `as_of`, and what other engines read by then.

        Parameters
        ----------
        instrument : id of the instrument whose table it is
        as_of : time with its zone
        table : from `build_field_table`
        readings : of engines that read more than daily bars; of one namespace there may be several
        absent : `namespace.quantity` (or a whole namespace) → why there is no reading of it
        simulated : whether the bars are

        Raises
        ------
        MissingData : no row was known at that time
        InvalidInput : `table` is no field table, `as_of` has no zone, a reading was made later than `as_of`, or two sources
            name the same quantity or landmark
        """
        as_of = utc(as_of)
        missing = [name for name in ("ts", "available_at", "close", "reasons", *FIELD_REGISTRY) if name not in table.columns]
        if missing:
            raise InvalidInput(f"expected a table from build_field_table, found one without {', '.join(missing[:4])}")
        known = table.filter(pl.col("available_at") <= as_of)
        if known.is_empty():
            raise MissingData(f"expected a bar of {instrument} known at {as_of.isoformat()}, found none; ask for later")
        row = known.row(-1, named=True)
        space: dict[str, dict[str, float]] = {name: {} for name in NAMESPACES}
        for name, column in FIELD_REGISTRY.items():
            if row[name] is not None:
                space[column.block][name.removeprefix(f"{column.block}.")] = row[name]
        liquidity = space["liquidity"]
        landmarks = {
            name: Landmark(liquidity[name], _known_since(known, row.get(f"liquidity.{name}_confirmed_at") or row["ts"]))
            for name in LANDMARKS
            if name in liquidity
        }
        reasons = reasons_of(row["reasons"]) | dict(absent or {})
        return cls._assembled(
            (instrument, as_of, row["ts"], row["close"]), space, landmarks, reasons, readings, simulated=simulated
        )

    @classmethod
    def without_bars(
        cls,
        instrument: str,
        as_of: datetime,
        ts: datetime,
        price: float,
        readings: Iterable[Reading],
        *,
        absent: Mapping[str, Reason],
    ) -> FieldMap:
        """The map of an instrument that has no daily bars: readings alone, such as those of an index's option chain.

        Parameters
        ----------
        ts, price : of the newest price known, such as the chain's spot; it stands as `close`
        absent : `namespace.quantity` (or a whole namespace) → why there is nothing
        """
        space: dict[str, dict[str, float]] = {name: {} for name in NAMESPACES}
        return cls._assembled((instrument, utc(as_of), ts, price), space, {}, dict(absent), readings, simulated=False)

    @classmethod
    def _assembled(
        cls,
        head: tuple[str, datetime, datetime, float],
        space: dict[str, dict[str, float]],
        landmarks: dict[str, Landmark],
        reasons: dict[str, Reason],
        readings: Iterable[Reading],
        *,
        simulated: bool,
    ) -> FieldMap:
        """Merge the readings into what the bars gave."""
        instrument, as_of, ts, close = head
        words: dict[str, dict[str, str]] = {"labels": {}, "conventions": {}}
        for reading in readings:
            _merge(reading, as_of, space, landmarks, reasons, words)
            simulated = simulated or reading.simulated
        atr = space["regime"].get("atr_percent")
        return cls(
            instrument=instrument,
            as_of=as_of,
            ts=ts,
            close=close,
            landmarks=landmarks,
            steering={name: 100.0 * log(mark.price / close) / atr for name, mark in landmarks.items()} if atr else {},
            reasons=reasons,
            labels=words["labels"],
            conventions=words["conventions"],
            simulated=simulated,
            liquidity=space["liquidity"],
            regime=space["regime"],
            sentiment=space["sentiment"],
            dealer=space["dealer"],
            elasticity=space["elasticity"],
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the hash: what is hashed, and what goes to JSON."""
        return {
            "instrument": self.instrument,
            "as_of": self.as_of,
            "ts": self.ts,
            "close": self.close,
            **{name: dict(getattr(self, name)) for name in NAMESPACES},
            "landmarks": {name: {"price": mark.price, "known_since": mark.known_since} for name, mark in self.landmarks.items()},
            "steering": dict(self.steering),
            "labels": dict(self.labels),
            "reasons": {name: reason.value for name, reason in self.reasons.items()},
            "conventions": dict(self.conventions),
            "simulated": self.simulated,
        }

    def __reduce__(self) -> tuple[type[FieldMap], tuple[Any, ...]]:
        """Read-only views cannot be sent to another process; the plain values that they show can."""
        values = (getattr(self, item.name) for item in fields(self) if item.init)
        return FieldMap, tuple(dict(value) if isinstance(value, Mapping) else value for value in values)

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, FieldMap) else NotImplemented

    def __hash__(self) -> int:
        return int(self.hash[:15], 16)


def _known_since(table: pl.DataFrame, ts: datetime) -> datetime:
    """When the row of that bar could first be known."""
    at = table["available_at"][int(table["ts"].search_sorted(ts))]
    assert isinstance(at, datetime)
    return at


def _merge(
    reading: Reading,
    as_of: datetime,
    space: Mapping[str, dict[str, float]],
    landmarks: dict[str, Landmark],
    reasons: dict[str, Reason],
    words: Mapping[str, dict[str, str]],
) -> None:
    """Put one reading beside what is there already; nothing is overwritten."""
    if utc(reading.as_of) > as_of:
        raise InvalidInput(f"expected readings made by {as_of.isoformat()}, found one of {reading.as_of.isoformat()}")
    where = reading.namespace
    twice = sorted((reading.values.keys() & space[where].keys()) | (reading.landmarks.keys() & landmarks.keys()))
    twice += sorted(name for name in reading.labels if f"{where}.{name}" in words["labels"])
    if twice:
        raise InvalidInput(f"expected each quantity of {where} from one source, found {', '.join(twice[:4])} twice")
    late = [name for name, mark in reading.landmarks.items() if utc(mark.known_since) > as_of]
    if late:
        raise InvalidInput(f"expected landmarks known by {as_of.isoformat()}, found later ones: {', '.join(late[:4])}")
    space[where].update(reading.values)
    landmarks.update(reading.landmarks)
    reasons.update({f"{where}.{name}": reason for name, reason in reading.reasons.items()})
    words["labels"].update({f"{where}.{name}": str(word) for name, word in reading.labels.items()})
    words["conventions"].update({f"{where}.{name}": text for name, text in reading.conventions.items()})
