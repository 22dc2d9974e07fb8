"""What the cycle takes from a projection packet: the odds and the volatility of one horizon."""

from __future__ import annotations

from dataclasses import dataclass

from fieldcast.ground import IntegrityError
from fieldcast.projection import ProjectionPacket


@dataclass(frozen=True, slots=True)
class Outlook:
    """Odds in [0, 1]; mean and sigma of the log return over the horizon in basis points; sigma_annual a fraction."""

    p_up: float
    p_down: float
    sigma_annual: float
    mean_bps: float
    sigma_bps: float
    conviction: float
    reliability: float
    reference_price: float


def outlook(packet: ProjectionPacket, horizon: str) -> Outlook | None:
    """The outlook over `horizon`; None where the packet has none."""
    found = next((item for item in packet.horizons if item.horizon == horizon and item.known), None)
    if found is None:
        return None
    direction, reliability = found.direction, found.reliability
    names = ("sigma_annual", "mean_bps", "sigma_horizon_bps", "conviction", "reference_price")
    figures = {name: getattr(found, name) for name in names}
    if direction is None or reliability is None or None in figures.values():
        raise IntegrityError(f"expected every figure of {packet.instrument} over {horizon}, found {figures}")
    return Outlook(
        p_up=direction.up,
        p_down=direction.down,
        sigma_annual=float(figures["sigma_annual"]),
        mean_bps=float(figures["mean_bps"]),
        sigma_bps=float(figures["sigma_horizon_bps"]),
        conviction=float(figures["conviction"]),
        reliability=reliability.value,
        reference_price=float(figures["reference_price"]),
    )
