"""What an order costs: one model for history, paper and live.

    price of a purchase = print * (1 + shift), up to the tick
    price of a sale     = print * (1 - shift), down to the tick
    shift               = half spread + slippage + impact * sqrt(quantity / volume)        (`_kernels.total_shift_bps`)
    commission          = max(value * commission / 10^4, minimum), up to 0.01; or that of a `FeeSchedule`

All parameters are in basis points of the print except `minimum_commission` (currency units an order). The defaults are
for notional index units, held at about what an index fund's investor pays at the open: half a spread of 1 bp, 1 bp of
slippage, 0.5 bp of commission, no minimum, no impact. They are an assumption, wider than a liquid index fund's own spread, and
every fill records the print beside the price, so what was charged can be read off.

With `measured` profiles the half spread and the slippage are those of the instrument and of the hours of the fill. Where a
bucket was never measured the model refuses, unless it was told to take its constants there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import numpy as np

from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.market import Instrument
from fieldcast.trading.costs.buckets import BUCKETS, SessionBucket, bucket_codes, bucket_of
from fieldcast.trading.costs.fees import FeeSchedule
from fieldcast.trading.costs.profiles import LATENCY_LIMIT_MS, CostDistribution, ExecutionCosts, Statistic
from fieldcast.trading.money import exact_product, fill_value, to_cent, to_tick
from fieldcast.trading.orders import Side

BASIS_POINT = Decimal("0.0001")
HUNDREDTH_OF_BASIS_POINT = Decimal("0.000001")


class Unmeasured(StrEnum):
    """What a model with measured profiles does where there is none."""

    REFUSE = "refuse"
    CONSTANTS = "constants"


@dataclass(frozen=True, slots=True)
class CostParts:
    """The three figures that `total_shift_bps` takes besides quantity and volume, basis points."""

    half_spread_bps: float
    slippage_bps: float
    impact_bps: float = 0.0

    def total_bps(self, quantity: float = 0.0, volume: float = float("nan")) -> float:
        """Distance of a fill from its print; infinite or NaN where impact asks for a volume that is zero or unknown."""
        from fieldcast.trading.costs._kernels import total_shift_bps

        return float(total_shift_bps(self.half_spread_bps, self.slippage_bps, self.impact_bps, float(quantity), float(volume)))


@dataclass(frozen=True)
class CostSchedule:
    """Costs over a clock, as the simulated venue and the fast engine take them.

    Parameters
    ----------
    half_spread_bps, slippage_bps : (N, T)
    impact_bps : (N,)
    measured : (N, T) True where spread and slippage both come from a measured profile
    """

    half_spread_bps: np.ndarray
    slippage_bps: np.ndarray
    impact_bps: np.ndarray
    measured: np.ndarray


@dataclass(frozen=True, slots=True)
class CostModel:
    """Spread, slippage, impact and fees; none can be negative.

    Parameters
    ----------
    half_spread_bps, slippage_bps : constants, used where nothing measured stands in their place
    commission_bps, minimum_commission : used where `fees` is None
    impact_bps : shift of an order as large as the volume (see `impact.impact_coefficient_bps`)
    fees : a schedule of fees instead of the commission
    measured : profiles by instrument and session bucket
    statistic : which of their figures stands for them; p90 is the pessimistic one
    unmeasured : what to do in a bucket without a profile

    Raises
    ------
    ConfigError : a parameter is negative or not finite, or spread and slippage reach the whole price
    """

    half_spread_bps: Decimal = Decimal(1)
    slippage_bps: Decimal = Decimal(1)
    commission_bps: Decimal = Decimal("0.5")
    minimum_commission: Decimal = Decimal(0)
    impact_bps: Decimal = Decimal(0)
    fees: FeeSchedule | None = None
    measured: ExecutionCosts | None = None
    statistic: Statistic = Statistic.MEAN
    unmeasured: Unmeasured = Unmeasured.REFUSE

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Decimal) and (not value.is_finite() or value < 0):
                raise ConfigError(f"expected {field.name} of at least 0, found {value}")
        if self.half_spread_bps + self.slippage_bps >= 10_000:
            raise ConfigError("expected half_spread_bps + slippage_bps below 10000, found the whole price")
        object.__setattr__(self, "statistic", Statistic(self.statistic))
        object.__setattr__(self, "unmeasured", Unmeasured(self.unmeasured))

    # -- prices ----------------------------------------------------------------------------------------------------

    def parts(self, instrument: Instrument | None = None, at: datetime | None = None, *, latency_ms: float = 0.0) -> CostParts:
        """The figures for a fill of `instrument` at a moment.

        Parameters
        ----------
        instrument, at : needed where profiles were measured
        latency_ms : between decision and order; above 500 the 90 % point stands for a measured profile

        Raises
        ------
        InvalidInput : the model has profiles, and the instrument or the moment is missing
        MissingData : the bucket was never measured, and `unmeasured` is `refuse`
        """
        constants = CostParts(float(self.half_spread_bps), float(self.slippage_bps), float(self.impact_bps))
        if self.measured is None:
            return constants
        if instrument is None or at is None:
            raise InvalidInput("expected the instrument and the moment of a fill, which a model with profiles needs, found none")
        bucket = bucket_of(instrument.calendar, at)
        spread, slippage = self._distributions(instrument.id, bucket)
        return CostParts(
            constants.half_spread_bps if spread is None else 0.5 * spread.reading(self.statistic, latency_ms=latency_ms),
            constants.slippage_bps if slippage is None else slippage.reading(self.statistic, latency_ms=latency_ms),
            constants.impact_bps,
        )

    def fill_price(
        self,
        side: Side,
        reference: Decimal,
        tick: Decimal,
        *,
        parts: CostParts | None = None,
        quantity: Decimal = Decimal(0),
        volume: float = float("nan"),
    ) -> Decimal:
        """The price of a fill at the print `reference`, on the tick; never better than the print.

        Parameters
        ----------
        parts : from `parts`; without it, those of a model that needs no instrument
        quantity, volume : of the order and of the time that it trades in, for the impact

        Raises
        ------
        InvalidInput : impact asks for a volume that is zero or unknown, or the shift reaches the whole price
        """
        from fieldcast.trading.costs._kernels import NO_PRICE, shift_hundredths

        shift_bps = (parts or self.parts()).total_bps(float(quantity), volume)
        hundredths = int(shift_hundredths(shift_bps))
        if hundredths == NO_PRICE:
            raise InvalidInput(
                f"expected a shift below the whole price, found {shift_bps} basis points for {quantity} "
                f"against a volume of {volume}"
            )
        shift = side.sign * exact_product(Decimal(hundredths), HUNDREDTH_OF_BASIS_POINT)
        return to_tick(exact_product(reference, 1 + shift), tick, up=side is Side.BUY)

    def schedule(
        self,
        instruments: Sequence[Instrument],
        moments: np.ndarray,
        *,
        latency_ms: float = 0.0,
        sample_seed: int | None = None,
    ) -> CostSchedule:
        """Costs of each instrument at each moment.

        Parameters
        ----------
        instruments : N
        moments : (T,) int64 microseconds, UTC, at which fills happen
        latency_ms : as in `parts`
        sample_seed : draw spread and slippage from the measured distributions instead of taking a figure of them; the draw of an
            instrument at a moment depends on the seed and on both, and on nothing else that is asked for

        Raises
        ------
        MissingData : a bucket was never measured, and `unmeasured` is `refuse`
        InvalidInput : a sample was asked for and nothing was measured
        """
        moments = np.asarray(moments, np.int64)
        shape = (len(instruments), moments.size)
        half = np.full(shape, float(self.half_spread_bps))
        slippage = np.full(shape, float(self.slippage_bps))
        measured = np.zeros(shape, np.bool_)
        if self.measured is None and sample_seed is not None:
            raise InvalidInput("expected measured profiles to draw samples from, found constants; recalibrate first")
        for row, instrument in enumerate(instruments if self.measured is not None else ()):
            codes = bucket_codes(instrument.calendar, moments)
            for code in np.unique(codes):
                spread_of, slippage_of = self._distributions(instrument.id, BUCKETS[code])
                where = codes == code
                for name, found, out, share in (("spread", spread_of, half, 0.5), ("slippage", slippage_of, slippage, 1.0)):
                    if found is None:
                        continue
                    if sample_seed is None:
                        out[row, where] = share * found.reading(self.statistic, latency_ms=latency_ms)
                    else:
                        drawn = found.sampled(_uniforms(sample_seed, name, instrument.id, moments[where]))
                        floor = found.reading(Statistic.P90) if latency_ms > LATENCY_LIMIT_MS else 0.0
                        out[row, where] = share * np.maximum(drawn, floor)
                measured[row, where] = spread_of is not None and slippage_of is not None
        return CostSchedule(half, slippage, np.full(len(instruments), float(self.impact_bps)), measured)

    def _distributions(
        self, instrument: str, bucket: SessionBucket
    ) -> tuple[CostDistribution | None, CostDistribution | None]:
        assert self.measured is not None
        profile = self.measured.get(instrument, bucket)
        missing = [name for name in ("spread", "slippage") if getattr(profile, name) is None]
        if missing and self.unmeasured is Unmeasured.REFUSE:
            raise MissingData(
                f"expected a measured {' and '.join(missing)} of {instrument} in the bucket {bucket}, found none as of "
                f"{self.measured.as_of}; recalibrate on more data, or use unmeasured='constants'"
            )
        return profile.spread, profile.slippage

    # -- fees ------------------------------------------------------------------------------------------------------

    def commission(
        self, price: Decimal, quantity: Decimal, multiplier: Decimal, *, side: Side | None = None, maker: bool = False
    ) -> Decimal:
        """Commission and fees of a fill in currency units, >= 0; `side` is needed where the fees of a sale are others."""
        if self.fees is not None:
            return self.fees.total(price, quantity, multiplier, side=side, maker=maker)
        value = abs(fill_value(price, quantity, multiplier))
        return to_cent(max(exact_product(value, self.commission_bps, BASIS_POINT), self.minimum_commission))


def _uniforms(seed: int, name: str, instrument: str, moments: np.ndarray) -> np.ndarray:
    """(n,) numbers in [0, 1), each a function of seed, name, instrument and its own moment."""
    from fieldcast.ground import digest

    key = np.uint64(int(digest([seed, name, instrument])[:16], 16))
    mixed = moments.astype(np.uint64) ^ key  # splitmix64 (Steele, Lea and Flood 2014) of key and moment
    with np.errstate(over="ignore"):
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    out: np.ndarray = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return out
