"""What a cycle is told about an instrument, as it was known at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from fieldcast.ground import IntegrityError, Reason, reason_codes
from fieldcast.market import Instrument
from fieldcast.projection import ProjectionPacket
from fieldcast.validation import GateResult


@dataclass(frozen=True)
class Snapshot:
    """One instrument as known at `as_of`.

    Parameters
    ----------
    bars : BARS, ascending by ts, one row a ts; the last rows are enough, an empty table means that nothing is known
    data_hash : of all the data that the projection could see; a restated bar changes it
    quality : score of the data in [0, 1]; None where it is not known
    packet : the projection made for this session; None where there is none
    gate : what the gate last said of this instrument's projection; None where nothing stands
    reasons : why something above is missing, and whatever else a reader of the decision should know
    """

    bars: pl.DataFrame
    data_hash: str
    quality: float | None
    packet: ProjectionPacket | None
    gate: GateResult | None
    reasons: tuple[Reason, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", reason_codes(self.reasons))

    def check_causal(self, instrument: str, as_of: datetime) -> None:
        """Refuse what could not be known at `as_of`.

        Raises
        ------
        IntegrityError : a bar, a packet or its instrument does not belong here
        """
        if self.bars.height:
            late = self.bars.filter((pl.col("ts") > as_of) | (pl.col("available_at") > as_of)).height
            if late:
                raise IntegrityError(f"expected bars of {instrument} known at {as_of.isoformat()}, found {late} later")
            if set(self.bars["instrument"].unique()) != {instrument}:
                raise IntegrityError(f"expected bars of {instrument} alone, found others")
        if self.packet is not None:
            if self.packet.instrument != instrument:
                raise IntegrityError(f"expected a packet of {instrument}, found one of {self.packet.instrument}")
            if self.packet.as_of > as_of:
                raise IntegrityError(
                    f"expected a packet of {instrument} made by {as_of.isoformat()}, "
                    f"found one of {self.packet.as_of.isoformat()}"
                )


class CycleSource(Protocol):
    """Where a cycle gets its data, projections and gates from."""

    def snapshot(self, instrument: Instrument, as_of: datetime) -> Snapshot:
        """What was known of `instrument` at `as_of`.

        Raises
        ------
        MissingData : nothing is known of it; the cycle then rejects it with `no_data`
        """
        ...
