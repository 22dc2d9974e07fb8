"""The eighth strategy: follow the calibrated odds of the newest projection that was known.

    1   where P(up) > P(down) in the newest packet with as_of <= decision time that is still valid then
    -1  where P(down) > P(up) and `short`
    0   otherwise: odds that favour neither side, conviction below `conviction`, a missing or outdated horizon, no packet

Packets come as rows of `projection.PROJECTIONS` (out of sample: each was made at its as_of). The decision time of a bar is
`decided_ts` of the arrays where they have it, else the bar's end: a packet that came out later is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fieldcast.ground import InvalidInput, MissingData
from fieldcast.strategy.catalogue._parameters import Array, Parameters, choice, flag, real

if TYPE_CHECKING:
    import polars as pl

# those of `projection.HORIZONS`, which a test compares: that package takes half a second to load, and most strategies need none
HORIZONS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "2d", "3d", "4d", "5d")
_NEEDED = ("instrument", "as_of", "horizon", "status", "valid_until", "p_up", "p_down", "conviction")


@dataclass(frozen=True)
class Projection(Parameters):
    """Invested while the projection favours up.

    Parameters
    ----------
    horizon : of the projections
    conviction : least calibrated probability of the called side, given that the price moves; 0 = any
    packets : rows of one instrument, schema `projection.PROJECTIONS`; see `on`
    """

    horizon: str = choice("1d", HORIZONS)
    conviction: float = real(0.0, 0.0, 1.0)
    short: bool = flag()
    packets: pl.DataFrame | None = field(default=None, compare=False, repr=False)
    id: ClassVar[str] = "projection"

    def on(self, packets: pl.DataFrame) -> Projection:
        """The same strategy with its packets."""
        return Projection(self.horizon, self.conviction, self.short, packets)

    def targets(self, arrays: Any) -> Array:
        """(T,) targets; see the module.

        Raises
        ------
        MissingData : no packets were given, or none of the horizon
        InvalidInput : packets of several instruments, lacking columns, or arrays without `ts`
        """
        known = self._rows()
        stamps = arrays.get("decided_ts", arrays.get("ts"))
        if stamps is None:
            raise InvalidInput("expected arrays with ts (microseconds UTC), by which packets are known or not, found none")
        decided = np.asarray(stamps, dtype=np.int64)
        made = known["as_of"].dt.epoch("us").to_numpy()
        until = known["valid_until"].dt.epoch("us").fill_null(-(2**62)).to_numpy()
        up, down, sure = (known[name].fill_null(np.nan).to_numpy() for name in ("p_up", "p_down", "conviction"))
        newest = np.searchsorted(made, decided, side="right") - 1
        there = newest >= 0
        row = np.maximum(newest, 0)
        usable = there & (known["status"] == "ok").to_numpy()[row] & (until[row] > decided)
        if self.conviction > 0.0:
            usable &= sure[row] >= self.conviction
        side = (up > down).astype(np.float64) - (down > up if self.short else np.zeros(up.size, dtype=bool))
        return np.where(usable, side[row], 0.0)

    def _rows(self) -> pl.DataFrame:
        import polars as pl

        if self.packets is None:
            raise MissingData("expected packets for the projection strategy, found none; give them with on(table)")
        absent = [name for name in _NEEDED if name not in self.packets.columns]
        if absent:
            raise InvalidInput(f"expected rows of projections with {', '.join(_NEEDED)}, missing {', '.join(absent)}")
        if self.packets["instrument"].n_unique() > 1:
            raise InvalidInput("expected packets of one instrument, found several")
        known = self.packets.filter(pl.col("horizon") == self.horizon).sort("as_of")
        if known.is_empty():
            has = ", ".join(self.packets["horizon"].unique().sort()) or "none"
            raise MissingData(f"expected packets over {self.horizon}, found {has}")
        if known["as_of"].n_unique() != known.height:
            raise InvalidInput(f"expected one packet over {self.horizon} at each as_of, found several")
        return known
