"""What trading costs an account, in the whole numbers of its run: the tables that the kernels of both engines are handed."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import numpy as np
from numpy.typing import NDArray

from fieldcast.simulation import _kernels_fill as f
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.units import Units
from fieldcast.trading.costs.fees import FeeSchedule

FEE_STEP = Decimal("0.01")
EIGHT = 8


def e8_up(share: Decimal) -> int:
    """A share in e8, up."""
    return int(share.scaleb(EIGHT).to_integral_value(rounding=ROUND_CEILING))


def fee_row(
    settings: VenueSettings, units: Units, n: int, own: FeeSchedule | None = None, *, regulated: bool = True
) -> NDArray[np.int64]:
    """The fees of instrument n as `_kernels_fill.fees` takes them; figures finer than their unit are rounded up.

    Parameters
    ----------
    own : its schedule, where that is not the run's
    regulated : the SEC and FINRA take their part of its sales (`trading.costs.scope.is_us_listed`); without, a schedule's
        section 31 and activity fees are not charged of it
    """
    costs, lot = settings.costs, units.lot[n]

    def minor(value: Decimal) -> int:
        return int(value.scaleb(units.cash_decimals).to_integral_value(rounding=ROUND_CEILING))

    def rate(per_unit: Decimal) -> int:
        return int((per_unit * lot).scaleb(units.cash_decimals + EIGHT).to_integral_value(rounding=ROUND_CEILING))

    row = np.zeros(f.FEE_COLUMNS, dtype=np.int64)
    row[f.FEE_CAP] = row[f.FEE_ACTIVITY_MOST] = -1
    fees, step = own or costs.fees, FEE_STEP
    if fees is not None and not regulated:
        fees = fees.without_regulatory()
    if fees is None:
        row[f.FEE_SHARE] = row[f.FEE_MAKER_SHARE] = e8_up(costs.commission_bps.scaleb(-4))
        row[f.FEE_MINIMUM] = minor(costs.minimum_commission)
    else:
        step = fees.step
        row[f.FEE_SHARE] = e8_up(fees.value_bps.scaleb(-4))
        row[f.FEE_MAKER_SHARE] = row[f.FEE_SHARE] if fees.maker_bps is None else e8_up(fees.maker_bps.scaleb(-4))
        row[f.FEE_RATE], row[f.FEE_MINIMUM] = rate(fees.per_unit), minor(fees.minimum)
        row[f.FEE_SECTION_31], row[f.FEE_ACTIVITY_RATE] = e8_up(fees.section_31), rate(fees.activity_per_unit)
        row[f.FEE_PASSED_RATE], row[f.FEE_PASSED_SHARE] = rate(fees.passed_per_unit), e8_up(fees.passed_of_commission)
        if fees.maximum_share is not None:
            row[f.FEE_CAP] = e8_up(fees.maximum_share)
        if fees.activity_maximum is not None:
            row[f.FEE_ACTIVITY_MOST] = minor(fees.activity_maximum)
    row[f.FEE_STEP] = 1 if settings.exact_fees else max(1, minor(step))
    return row


def cost_table(market: Market, settings: VenueSettings) -> NDArray[np.float64]:
    """(3, N, W) half spread, slippage and impact in bps; W = 1 where they are constants, else T, at each bar's open."""
    costs = settings.costs
    count = len(market.instruments)
    if costs.measured is None:
        parts = (float(costs.half_spread_bps), float(costs.slippage_bps), float(costs.impact_bps))
        found = np.array([[[part]] * count for part in parts], dtype=np.float64)
    else:
        schedule = costs.schedule(market.instruments, market.open_ts, latency_ms=settings.latency_us / 1000)
        impact = np.asarray(schedule.impact_bps, dtype=np.float64).reshape(count, -1)
        impact = np.broadcast_to(impact, schedule.half_spread_bps.shape)
        found = np.ascontiguousarray(np.stack((schedule.half_spread_bps, schedule.slippage_bps, impact)))
    if settings.options:
        found = np.repeat(found, market.bars // found.shape[2], axis=2)
        for term in settings.options:
            n = market.row(term.instrument)
            found[0, n] = _quoted(market.low[n], market.high[n], float(market.instruments[n].tick))
            found[2, n] = 0.0  # what a quote moves by is not known of its size
    return found


def _quoted(bid: NDArray[np.float64], ask: NDArray[np.float64], tick: float) -> NDArray[np.float64]:
    """(T,) half spread in bps of the middle, such that a fill is at bid or offer; 0 where there is no quote.

    A shift is rounded up to a hundredth of a basis point. Where that is less than a tick of the price, it is taken down to one
    here, so that rounding to the tick ends at the quote itself; of a higher price the fill is up to 1e-6 of it worse.
    """
    half = (ask - bid) / (ask + bid) * 10_000.0
    exact = (bid + ask) / 2 * 1e-6 < tick
    return np.nan_to_num(np.where(exact, np.floor(half * 100.0 + 1e-7) / 100.0, half))
