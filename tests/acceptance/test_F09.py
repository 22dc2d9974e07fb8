"""F09, OIDistribution, GreekFieldMapper, CharmDecay.

Done when: "Walls and max pain match a hand-worked 10-strike chain, the grid value at current spot equals the direct value, and
charm is finite to the last minute before expiry".

The chain: spot 100, σ = 20 %, 30 days, r = q = 0. At a price x calls pay Σ C (x − K)⁺ and puts Σ P (K − x)⁺: 750 at 90, 350 at
95, 200 at 100, 300 at 105, so max pain is 100. Gamma goes with e^(−d1²/2): .653 at 95, 1.000 at 100, .713 at 105, .263 at 110; of
calls 40 × .713 = 28.5 is the most (at 105), of puts 30 × 1.000 = 30 (at 100, against 26.1 at 95).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fieldcast.fields.dealer import (
    OpenInterestRules,
    charm_decay,
    charm_field,
    dealer_field,
    dealer_sign,
    greek_field_mapper,
    oi_distribution,
)
from fieldcast.fields.priced_chain import PricedChain

pytestmark = pytest.mark.feature("F09")
OPEN_PARTS: tuple[str, ...] = ()

AS_OF = datetime(2026, 3, 2, 15, tzinfo=UTC)
CALLS = {80: 0, 85: 0, 90: 5, 95: 10, 100: 20, 105: 40, 110: 60, 115: 30, 120: 10, 125: 5}
PUTS = {80: 10, 85: 20, 90: 50, 95: 40, 100: 30, 105: 10, 110: 5, 115: 0, 120: 0, 125: 0}


def chain(minutes: int = 30 * 1440, as_of: datetime = AS_OF) -> PricedChain:
    """The ten strikes, puts first."""
    strike = np.repeat(np.array(list(CALLS), float), 2)
    call = np.tile([False, True], 10)
    held = np.array([(CALLS if right else PUTS)[int(k)] for k, right in zip(strike, call, strict=True)], float)
    moment = int(as_of.timestamp() * 1e6) + minutes * 60_000_000
    return PricedChain(
        underlying="X", as_of=as_of, ts=as_of, spot=100.0, contract_id=np.array([f"c{i}" for i in range(20)]), strike=strike,
        is_call=call, american=np.zeros(20, bool), expiry=np.zeros(20, np.int64), expiry_ts=np.array([moment]),
        years=np.full(20, minutes / 525_600), rate=np.zeros(20), carry=np.zeros(20), sigma=np.full(20, 0.2), open_interest=held,
        multiplier=np.full(20, 100.0), volume=np.full(20, np.nan), day_count="ACT/365", dropped={}, simulated=False,
    )  # fmt: skip


def test_walls_and_max_pain_of_the_hand_worked_chain() -> None:
    found = oi_distribution(dealer_sign(chain()))
    assert (found.call_wall, found.put_wall) == (105.0, 100.0)
    assert (found.call_wall_oi, found.put_wall_oi) == (110.0, 90.0)
    assert found.absolute_gamma_strike == 105.0
    assert found.max_pain == 100.0
    assert found.by_expiry["payout"].to_list() == [20_000.0]


def test_concentration_pin_zones_and_the_epp_scalar() -> None:
    book = dealer_sign(chain())
    found = oi_distribution(book, OpenInterestRules(pin_share=0.1, pin_reach=0.12, pin_gap=0.06, epp_scale=5e4))
    assert found.hhi == pytest.approx(16_275 / 345**2)
    assert found.pin_zones.select("low", "high").rows() == [(90.0, 110.0)]
    assert found.epp == pytest.approx(np.tanh(book.exposures.gex.sum() / 5e4))
    reading = dealer_field(chain()).reading()
    assert reading.landmarks["max_pain"].price == 100.0
    assert reading.values["oi_hhi"] == pytest.approx(found.hhi)


def test_the_grid_value_at_current_spot_equals_the_direct_value() -> None:
    found = dealer_field(chain())
    grid = greek_field_mapper(found.book, [98.0, 100.0, 102.0], [-1.0, 0.0, 1.0], [0.0, 60.0, 1440.0])
    for name in ("gex", "dex", "vex", "chex"):
        direct = getattr(found, name)
        assert getattr(grid, name)[1, 1, 0] == pytest.approx(direct, rel=1e-10, abs=1e-9)
        assert getattr(grid, name).shape == (3, 3, 3)
        assert np.isfinite(getattr(grid, name)).all()


def test_charm_is_finite_to_the_last_minute_before_expiry() -> None:
    close = datetime(2026, 3, 2, 21, tzinfo=UTC)
    for left in (390, 60, 10, 2, 1):
        as_of = close - timedelta(minutes=left)
        book = dealer_sign(chain(left, as_of))
        decay = charm_decay(book)
        assert decay.by_bucket["bucket"].to_list() == ["0DTE"]
        assert np.isfinite([*decay.by_bucket["chex"].to_list(), decay.to_close]).all()
        assert decay.overnight == 0.0
        path = charm_field(book)
        assert path.minutes[-1] == left
        assert path.minutes.size == left + 1
        assert np.isfinite(path.rate).all()
        assert np.isfinite(path.drift).all()
        assert path.drift[-1] == pytest.approx(decay.to_close)


def test_buckets_and_the_weekend() -> None:
    friday = datetime(2026, 3, 6, 20, tzinfo=UTC)
    found = charm_decay(dealer_sign(chain(10 * 1440, friday)))
    assert found.by_bucket["bucket"].to_list() == ["to 30 d"]
    assert found.closed_hours == 64.5
    assert abs(found.overnight) > 20 * abs(found.to_close)
