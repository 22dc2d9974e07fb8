"""One instrument as the cycle sees it: what is known, what is usable of it, and what stands against trading on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from fieldcast.cycle._outlook import Outlook, outlook
from fieldcast.cycle.source import CycleSource, Snapshot
from fieldcast.ground import IntegrityError, MissingData, Reason
from fieldcast.market import Instrument, has_reason, last_session
from fieldcast.trading import price_from_bar

PRICE_TOLERANCE = 1e-6  # relative; a packet's reference price is the close that the bars show


@dataclass(frozen=True)
class Look:
    """What a cycle knows of an instrument at `as_of`.

    Parameters
    ----------
    snapshot : None where the source knows nothing
    price : newest close; None where there is none that can be used
    outlook : None where there is no projection for the newest session over the wanted horizon
    gate : `PASS`, `FAIL` or `CANNOT_JUDGE`; None where none stands
    next_open_trusted : the newest open was a real print, so the next one is taken to be one
    faults : codes that forbid an increase
    """

    instrument: Instrument
    snapshot: Snapshot | None
    price: Decimal | None
    outlook: Outlook | None
    gate: str | None
    next_open_trusted: bool
    faults: tuple[Reason, ...]

    @property
    def data_hash(self) -> str | None:
        return None if self.snapshot is None else self.snapshot.data_hash

    @property
    def quality(self) -> float | None:
        return None if self.snapshot is None else self.snapshot.quality

    @property
    def notes(self) -> tuple[Reason, ...]:
        """Codes that a reader of the decision should see, whatever it is."""
        return () if self.snapshot is None else self.snapshot.reasons


def look(source: CycleSource, instrument: Instrument, as_of: datetime, horizon: str) -> Look:
    """Ask the source about one instrument, and judge what can be used.

    Raises
    ------
    IntegrityError : the source shows the future, another instrument, or unlabelled simulated data
    """
    try:
        snapshot = source.snapshot(instrument, as_of)
    except MissingData:
        return Look(instrument, None, None, None, None, next_open_trusted=False, faults=(Reason.NO_DATA,))
    snapshot.check_causal(instrument.id, as_of)
    session = last_session(instrument.calendar, as_of)
    faults: list[Reason] = []
    price: Decimal | None = None
    trusted = False
    if snapshot.bars.is_empty():
        faults.append(Reason.NO_DATA)
    else:
        columns = snapshot.bars.select("ts", "open", "close", synthetic=has_reason(Reason.OPEN_SYNTHETIC))
        newest = columns.row(-1, named=True)
        close = newest["close"]
        if close is None or not math.isfinite(close):
            faults.append(Reason.PRICE_MISSING)
        elif close <= 0:
            faults.append(Reason.PRICE_NOT_POSITIVE)
        else:
            price = price_from_bar(close)
        trusted = newest["open"] is not None and not newest["synthetic"]
        if newest["ts"] < session["close"]:
            faults.append(Reason.STALE)
    found = _usable_outlook(snapshot, instrument, session["as_of"], horizon, price, faults)
    gate = None if snapshot.gate is None else snapshot.gate.outcome.value
    return Look(instrument, snapshot, price, found, gate, trusted, tuple(dict.fromkeys(faults)))


def _usable_outlook(
    snapshot: Snapshot,
    instrument: Instrument,
    session_as_of: object,
    horizon: str,
    price: Decimal | None,
    faults: list[Reason],
) -> Outlook | None:
    packet = snapshot.packet
    if packet is None:
        return None
    if packet.provenance.simulated != instrument.simulated:
        raise IntegrityError(
            f"expected a packet of {instrument.id} with simulated={instrument.simulated}, "
            f"found {packet.provenance.simulated}; simulated data is labelled everywhere"
        )
    found = outlook(packet, horizon)
    if found is None or price is None:
        return None
    other_close = not math.isclose(found.reference_price, float(price), rel_tol=PRICE_TOLERANCE)
    if packet.as_of != session_as_of or other_close:
        faults.append(Reason.STALE)
        return None
    return found
