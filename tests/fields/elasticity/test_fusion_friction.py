"""Several horizons and several instruments in one reading, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.fields.elasticity import (
    Horizon,
    InstrumentElasticity,
    cross_asset_friction,
    directional_elasticity,
    fuse_timeframes,
    hedged_book,
)
from fieldcast.fields.vocabulary import FieldBias
from fieldcast.ground import InvalidInput, Reason


def test_a_hand_worked_fusion() -> None:
    # weights 0.05 / 0.10 = 0.5 and 0.15 / 0.20 = 0.75, half of which is covered: 0.5 and 0.375
    found = fuse_timeframes({"1h": Horizon(0.4, 0.05), "1d": Horizon(-0.2, -0.15, 0.5)})
    assert found.weights == {"1h": pytest.approx(0.5 / 0.875), "1d": pytest.approx(0.375 / 0.875)}
    lean = (0.5 * 0.4 - 0.375 * 0.2) / 0.875
    assert found.asymmetry == pytest.approx(lean)
    assert found.agreement == pytest.approx(lean / ((0.5 * 0.4 + 0.375 * 0.2) / 0.875))
    assert found.confidence == pytest.approx(found.agreement * 0.75)
    assert found.bias is FieldBias.UP


def test_horizons_that_cancel_do_not_agree_and_those_that_lean_one_way_do() -> None:
    assert fuse_timeframes({"a": Horizon(0.3, 0.1), "b": Horizon(-0.3, 0.1)}).agreement == 0.0
    assert fuse_timeframes({"a": Horizon(0.3, 0.1), "b": Horizon(0.1, 0.2)}).agreement == pytest.approx(1.0)


def test_an_unknown_horizon_lowers_confidence_and_nothing_else() -> None:
    one = fuse_timeframes({"1d": Horizon(0.3, 0.1)})
    two = fuse_timeframes({"1d": Horizon(0.3, 0.1), "1w": Reason.NO_DATA})
    assert (two.asymmetry, two.agreement) == (one.asymmetry, one.agreement)
    assert two.confidence == 0.5 * one.confidence
    assert two.reasons == {"1w": Reason.NO_DATA}


def test_nothing_known_is_no_zero() -> None:
    found = fuse_timeframes({"1d": Reason.NO_DATA})
    assert (found.asymmetry, found.bias, found.reasons["asymmetry"]) == (None, None, Reason.UNDEFINED)
    with pytest.raises(InvalidInput):
        fuse_timeframes({})


def test_one_position_held_in_spy_or_in_spx_has_the_same_friction(chain_of) -> None:
    """A book of SPY options (100 shares at 500) beside the same dollars in SPX options (100 units at 5,000)."""
    spx = hedged_book(chain_of([5_000.0], [True], 0.1, 0.15, 10.0, spot=5_000.0), [1.0])
    spy = hedged_book(chain_of([500.0], [True], 0.1, 0.15, 100.0, spot=500.0), [1.0])
    stiff = {"SPX": directional_elasticity(spx, 50.0).local, "SPY": directional_elasticity(spy, 5.0).local}
    assert stiff["SPY"] * (500.0 / 5_000.0) ** 2 == pytest.approx(stiff["SPX"])
    found = cross_asset_friction(
        {"SPX": InstrumentElasticity(5_000.0, stiff["SPX"]), "SPY": InstrumentElasticity(500.0, stiff["SPY"])}, base="SPX"
    )
    assert found.dollars_per_percent["SPY"] == pytest.approx(found.dollars_per_percent["SPX"], rel=1e-9)
    assert found.base_elasticity == pytest.approx(2.0 * stiff["SPX"], rel=1e-9)
    assert found.friction == pytest.approx(0.0, abs=1e-12)


def test_instruments_that_pull_against_each_other_have_friction() -> None:
    readings = {
        "SPX": InstrumentElasticity(5_000.0, 40.0),
        "SPY": InstrumentElasticity(500.0, -2_000.0),
        "VIX": InstrumentElasticity(20.0, 1_000.0, beta=-6.0),
        "QQQ": Reason.NO_DATA,
    }
    found = cross_asset_friction(readings, base="SPX")
    # 40 · 5,000² / 100 = 10 M; −2,000 · 500² / 100 = −5 M; 36 · 1,000 · 20² / 100 = 0.144 M
    assert found.dollars_per_percent == {"SPX": 10e6, "SPY": -5e6, "VIX": pytest.approx(144_000.0)}
    assert found.total == pytest.approx(5.144e6)
    assert found.friction == pytest.approx(1.0 - 5.144 / 15.144)
    assert found.reasons == {"QQQ": Reason.NO_DATA}


def test_the_base_must_be_known() -> None:
    wrong = {"SPY": InstrumentElasticity(500.0, 1.0)}, {"SPX": Reason.NO_DATA}, {"SPX": InstrumentElasticity(5e3, 1.0, 2.0)}
    for readings in wrong:
        with pytest.raises(InvalidInput):
            cross_asset_friction(readings, base="SPX")


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (1.0, np.nan), (1.0, 1.0, np.inf)])
def test_an_instrument_without_a_number_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        InstrumentElasticity(*wrong)
