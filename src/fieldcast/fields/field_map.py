"""FieldMap: one row of the field table as a value that can be compared, hashed and replayed.

Its hash is the SHA-256 of canonical JSON with every number at 12 significant digits: the same inputs give the same hash
in every process, on every machine.

`steering` tells how far each landmark lies from the close, in average true ranges (positive above): how far price would
have to go to meet it, in the instrument's own strides. It is geometry, not a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from fieldcast.fields.readings import Landmark
from fieldcast.fields.table import FIELD_REGISTRY, reasons_of
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown, digest, utc

LANDMARKS = ("poc", "val", "vah", "vwap", "swing_high", "swing_low")


@dataclass(frozen=True, eq=False)
class FieldMap(Shown):
    """The fields of one instrument as they were known at one moment.

    Parameters
    ----------
    instrument : id
    as_of : the moment of the decision, UTC
    ts : the bar it rests on (the newest one known at `as_of`)
    liquidity, regime, sentiment : quantity → value; what is unknown is not in them
    landmarks : name → price and since when it was known
    steering : landmark → distance from the close in average true ranges, positive above
    reasons : `namespace.quantity` → why it is unknown
    hash : SHA-256 over all of the above
    """

    instrument: str
    as_of: datetime
    ts: datetime
    liquidity: Mapping[str, float]
    regime: Mapping[str, float]
    sentiment: Mapping[str, float]
    landmarks: Mapping[str, Landmark]
    steering: Mapping[str, float]
    reasons: Mapping[str, Reason]
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        for name in ("liquidity", "regime", "sentiment", "landmarks", "steering", "reasons"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "as_of", utc(self.as_of))
        object.__setattr__(self, "ts", utc(self.ts))
        object.__setattr__(self, "hash", digest(self.as_dict()))

    @classmethod
    def at(cls, instrument: str, as_of: datetime, table: pl.DataFrame) -> FieldMap:
        """The newest row of `table` that was known at `as_of`.

        Parameters
        ----------
        instrument : id of the instrument whose table it is
        as_of : time with its zone
        table : from `build_field_table`

        Raises
        ------
        MissingData : no row was known at that time
        InvalidInput : `table` is no field table, or `as_of` has no zone
        """
        as_of = utc(as_of)
        missing = [name for name in ("ts", "available_at", "reasons", *FIELD_REGISTRY) if name not in table.columns]
        if missing:
            raise InvalidInput(f"expected a table from build_field_table, found one without {', '.join(missing[:4])}")
        known = table.filter(pl.col("available_at") <= as_of)
        if known.is_empty():
            raise MissingData(f"expected a bar of {instrument} known at {as_of.isoformat()}, found none; ask for later")
        row = known.row(-1, named=True)
        space: dict[str, dict[str, float]] = {"liquidity": {}, "regime": {}, "sentiment": {}}
        for name, column in FIELD_REGISTRY.items():
            if row[name] is not None:
                space[column.block][name.removeprefix(f"{column.block}.")] = row[name]
        liquidity = space["liquidity"]
        atr = space["regime"].get("atr_percent")
        landmarks = {
            name: Landmark(liquidity[name], row.get(f"liquidity.{name}_confirmed_at") or row["ts"])
            for name in LANDMARKS
            if name in liquidity
        }
        steering = {name: -100.0 * liquidity[f"{name}_distance"] / atr for name in landmarks} if atr else {}
        return cls(
            instrument=instrument,
            as_of=as_of,
            ts=row["ts"],
            landmarks=landmarks,
            steering=steering,
            reasons=reasons_of(row["reasons"]),
            **space,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the hash: what is hashed, and what goes to JSON."""
        return {
            "instrument": self.instrument,
            "as_of": self.as_of,
            "ts": self.ts,
            "liquidity": dict(self.liquidity),
            "regime": dict(self.regime),
            "sentiment": dict(self.sentiment),
            "landmarks": {
                name: {"price": mark.price, "known_since": mark.known_since} for name, mark in self.landmarks.items()
            },
            "steering": dict(self.steering),
            "reasons": {name: reason.value for name, reason in self.reasons.items()},
        }

    def __reduce__(self) -> tuple[type[FieldMap], tuple[Any, ...]]:
        """Read-only views cannot be sent to another process; the plain values that they show can."""
        values = (getattr(self, item.name) for item in fields(self) if item.init)
        return FieldMap, tuple(dict(value) if isinstance(value, Mapping) else value for value in values)

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, FieldMap) else NotImplemented

    def __hash__(self) -> int:
        return int(self.hash[:15], 16)
