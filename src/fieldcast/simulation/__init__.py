"""The simulated venue: orders, costs, cash; the same everywhere a market is played back.

Names load when they are first asked for: the fast engine need not wait for the venue's order book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldcast.simulation.openings import OpeningPrint, fill_at_open

__all__ = ["OpeningPrint", "fill_at_open"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fieldcast.simulation import openings

    found = getattr(openings, name)
    globals()[name] = found
    return found
