"""F14, declared exposure conventions, and flips by re-pricing.

Done when: "The two-option vector (r = q = 0, T = 30/365) returns both roots, 541.40 and 555.60, and an output without its
convention stamp is rejected".
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from fieldcast.fields.dealer import (
    ALL_SHORT,
    NAIVE,
    PROCESSORS,
    Conventions,
    Stamped,
    dealer_field,
    dealer_sign,
)
from fieldcast.fields.elasticity import (
    SurfaceGrid,
    directional_elasticity,
    elasticity_field,
    elasticity_surface,
    hedge_flow,
    hedged_book,
    movement_energy,
    resisting_work,
)
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.readings import Reading
from fieldcast.ground import InvalidInput

pytestmark = pytest.mark.feature("F14")
OPEN_PARTS: tuple[str, ...] = ()

AS_OF = datetime(2026, 3, 2, 15, tzinfo=UTC)


def two_options(rate: float = 0.0) -> PricedChain:
    """Put 515 (σ 18 %, 15,000) and call 525 (σ 15 %, 10,000), 30 days, S = 520, q = 0."""
    moment = int(AS_OF.timestamp() * 1e6) + 30 * 86_400_000_000
    return PricedChain(
        underlying="X", as_of=AS_OF, ts=AS_OF, spot=520.0, contract_id=np.array(["P", "C"]), strike=np.array([515.0, 525.0]),
        is_call=np.array([False, True]), american=np.array([False, False]), expiry=np.zeros(2, np.int64),
        expiry_ts=np.array([moment]), years=np.full(2, 30 / 365), rate=np.full(2, rate), carry=np.full(2, rate),
        sigma=np.array([0.18, 0.15]), open_interest=np.array([15_000.0, 10_000.0]), multiplier=np.array([100.0, 100.0]),
        volume=np.full(2, np.nan), day_count="ACT/365", dropped={}, simulated=False,
    )  # fmt: skip


def test_both_roots() -> None:
    found = dealer_field(two_options())
    assert [round(flip, 2) for flip in found.flips] == [541.40, 555.60]
    assert found.reading().landmarks["flip"].price == found.flips[0]  # the nearer one
    assert [round(flip, 2) for flip in dealer_field(two_options(rate=0.05)).flips] == [539.18, 553.32]


def test_flips_are_a_list_that_may_be_empty() -> None:
    found = dealer_field(two_options(), sign=ALL_SHORT)
    assert found.flips == ()
    assert "flip" in found.reading().reasons
    assert dealer_field(two_options(), spots=np.linspace(530.0, 550.0, 50)).flips == pytest.approx([541.40], abs=0.005)


def test_the_stamp_names_sign_unit_day_count_and_settlement() -> None:
    stamp = dealer_field(two_options()).reading().conventions
    assert stamp["sign_policy"] == "naive: dealers long calls, short puts"
    assert "dollars of delta" in stamp["unit"]
    assert "per 1 %" in stamp["unit"]
    assert stamp["day_count"].startswith("ACT/365")
    assert "AM" in stamp["settlement"]
    assert set(stamp) == {part.name for part in fields(Conventions)}


def test_every_processor_s_output_is_stamped_and_none_can_be_made_without() -> None:
    book = dealer_sign(two_options())
    outputs = [book, *(work(book) for name, work in PROCESSORS.items() if name != "DealerSign"), dealer_field(two_options())]
    assert len(outputs) == 9
    for output in outputs:
        assert isinstance(output, Stamped)
        for bad in (None, "naive", {"sign_policy": "naive"}):
            with pytest.raises(InvalidInput, match="expected the conventions"):
                replace(output, conventions=bad)
        with pytest.raises(TypeError):
            type(output)(**{part.name: getattr(output, part.name) for part in fields(output) if part.name != "conventions"})
    with pytest.raises(InvalidInput, match="settlement"):
        Conventions(sign_policy="naive", day_count="ACT/365", iv_source="given", settlement="")


def test_a_reading_of_exposures_without_its_stamp_is_rejected() -> None:
    """The short form that the field map, the command line and a model see is refused just as the engine's own output is."""
    for engine, unit in (
        (dealer_field(two_options()).reading(), "unit"),
        (elasticity_field(two_options(), NAIVE).reading(), "units"),
    ):
        assert {"sign_policy", unit} <= engine.conventions.keys()
        with pytest.raises(InvalidInput, match="expected the conventions"):
            Reading(engine.namespace, AS_OF, engine.values, conventions={})
        for name in ("sign_policy", unit):
            rest = {part: words for part, words in engine.conventions.items() if part != name}
            with pytest.raises(InvalidInput, match=name):
                replace(engine, conventions=rest)


def test_every_result_of_the_elasticity_engine_carries_the_stamp_of_its_book() -> None:
    book = hedged_book(two_options(), ALL_SHORT)
    results = [
        resisting_work(book, 530.0), movement_energy(book, 5.0), directional_elasticity(book, 5.0), hedge_flow(book, 530.0),
        elasticity_surface(book, SurfaceGrid(prices=3)),
    ]  # fmt: skip
    for result in results:
        assert result.conventions["sign_policy"] == ALL_SHORT.name
        assert {"units", "orientation", "re_pricing"} <= result.conventions.keys()
        given = {part.name: getattr(result, part.name) for part in fields(result) if part.name != "conventions"}
        with pytest.raises(TypeError, match="conventions"):
            type(result)(**given)
