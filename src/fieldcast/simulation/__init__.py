"""The simulated venue: market orders at the next open, costs, cash; the same everywhere a market is played back."""

from fieldcast.simulation.venue import OpeningPrint, Venue

__all__ = ["OpeningPrint", "Venue"]
