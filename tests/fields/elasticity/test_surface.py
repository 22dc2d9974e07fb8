"""The surface: its values, its axes, and what becomes of it as contracts expire."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.fields.elasticity import PricingModel, SurfaceGrid, elasticity_surface, hedged_book, resisting_work
from fieldcast.ground import InvalidInput


@pytest.fixture(scope="module")
def book(random_chain_of):
    chain = random_chain_of(21)
    return hedged_book(chain, np.where(chain.is_call, 1.0, -1.0))


def test_today_at_todays_volatility_the_energy_is_the_resisting_work(book) -> None:
    surface = elasticity_surface(book)
    assert surface.energy.shape == surface.elasticity.shape == (5, 9, 41)
    today = surface.energy[0, 4]
    exact = [resisting_work(book, price).dollars for price in surface.prices]
    np.testing.assert_allclose(today, exact, rtol=1e-8, atol=1e-8 * np.abs(exact).max())
    assert (surface.energy[..., 20] == 0.0).all()  # nothing has moved


def test_the_elasticity_is_the_second_difference_of_the_energy(book) -> None:
    surface = elasticity_surface(book, SurfaceGrid(prices=401, reach=0.05, shifts=(0.0, 0.3), days=(5.0,)))
    h = np.diff(surface.prices)
    for shift in (0, 1):
        energy = surface.energy[0, shift]
        slope = np.diff(energy) / h
        second = np.diff(slope) / (0.5 * (h[1:] + h[:-1]))
        exact = surface.elasticity[0, shift, 1:-1]
        assert np.max(np.abs(second - exact)) < 2e-3 * np.abs(exact).max()


def test_other_volatility_and_other_days_are_re_priced(chain_of) -> None:
    chain = chain_of([100.0], [True], 30 / 365, 0.2, 10.0)
    surface = elasticity_surface(hedged_book(chain, [1.0]), SurfaceGrid(shifts=(0.0, 0.25), days=(0.0, 10.0)))
    later = elasticity_surface(
        hedged_book(chain_of([100.0], [True], 20 / 365, 0.25, 10.0), [1.0]), SurfaceGrid(shifts=(0.0,), days=(0.0,))
    )
    np.testing.assert_allclose(surface.elasticity[1, 1], later.elasticity[0, 0], rtol=1e-10)
    np.testing.assert_allclose(surface.energy[1, 1], later.energy[0, 0], rtol=1e-9, atol=1e-9)


def test_expired_contracts_drop_out_and_the_share_is_told(chain_of) -> None:
    chain = chain_of([100.0, 100.0], [True, True], [2 / 365, 50 / 365], 0.2, [30.0, 10.0])
    surface = elasticity_surface(hedged_book(chain, [1.0, 1.0]), SurfaceGrid(days=(0.0, 1.0, 2.0, 60.0)))
    np.testing.assert_allclose(surface.expired, [0.0, 0.0, 0.75, 1.0])
    assert (surface.energy[3] == 0.0).all()
    assert surface.elasticity[2].max() > 0.0


@pytest.mark.parametrize("seconds", [1e-6, 1.0, 60.0, 3600.0])
def test_no_node_is_without_a_number_up_to_the_last_moment(chain_of, seconds: float) -> None:
    strikes = np.linspace(60.0, 140.0, 81)
    chain = chain_of(strikes, strikes > 100.0, seconds / 31_536_000, 0.01, 1000.0)
    for model in PricingModel:
        grid = SurfaceGrid(reach=0.3, shifts=(-0.99, 0.0, 9.0))
        surface = elasticity_surface(hedged_book(chain, np.ones(81), model=model), grid)
        assert np.isfinite(surface.energy).all()
        assert np.isfinite(surface.elasticity).all()


@pytest.mark.parametrize(
    "wrong",
    [{"prices": 40}, {"prices": 1}, {"reach": 0.0}, {"shifts": (-1.0,)}, {"shifts": ()}, {"days": (-1.0,)}, {"days": (2.0, 1.0)}],
)
def test_a_domain_that_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(InvalidInput):
        SurfaceGrid(**wrong)
