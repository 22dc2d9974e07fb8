"""The catalogue of instruments."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from fieldcast.data import list_instruments, load_instrument, save_instrument
from fieldcast.ground import ConflictError, MissingData
from fieldcast.market import Instrument, Kind, default_instrument


def test_an_instrument_comes_back_as_it_was(db, spy):
    bitcoin = default_instrument("CRYP:BTC/USD", Kind.CRYPTO, tick=Decimal("0.000000010"))
    odd = Instrument(
        id="XNAS:NA", kind=Kind.EQUITY, lot=Decimal("100"), multiplier=Decimal("0.1"), name="Nano Labs, ltd"
    )
    for instrument in (spy, bitcoin, odd):
        save_instrument(db, instrument)
        save_instrument(db, instrument)
        assert load_instrument(db, instrument.id) == instrument
    assert [item.id for item in list_instruments(db)] == ["ARCX:SPY", "CRYP:BTC/USD", "XNAS:NA"]


def test_what_may_change_changes(db, spy):
    save_instrument(db, spy)
    changed = replace(spy, tick=Decimal("0.005"), tradable=False, name="SPY")
    save_instrument(db, changed)
    assert load_instrument(db, "ARCX:SPY") == changed


@pytest.mark.parametrize(
    "change", [{"kind": Kind.EQUITY}, {"currency": "EUR"}, {"calendar": "24/7"}, {"simulated": True}]
)
def test_what_makes_the_instrument_does_not(db, spy, change):
    save_instrument(db, spy)
    with pytest.raises(ConflictError, match="assigned once"):
        save_instrument(db, replace(spy, **change))
    assert load_instrument(db, "ARCX:SPY") == spy


def test_an_unknown_instrument_is_missing_data(db):
    assert list_instruments(db) == ()
    with pytest.raises(MissingData, match="XNAS:AAPL"):
        load_instrument(db, "XNAS:AAPL")
