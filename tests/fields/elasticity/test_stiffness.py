"""Directional elasticity and the walk through a book, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcast.fields.books.ladders import Ladders
from fieldcast.fields.elasticity import directional_elasticity, hedged_book, resisting_work
from fieldcast.fields.elasticity.depth import walk
from fieldcast.ground import InvalidInput, Reason
from fieldcast.pricing import bsm_greeks

BOOK = Ladders(
    np.array([99.75, 99.5, 99.0]), np.array([4.0, 8.0, 16.0]), np.array([100.25, 100.5, 101.0]), np.array([1.0, 2.0, 3.0])
)


def test_a_walk_counts_every_level_that_is_no_further_than_the_move() -> None:
    found = walk(BOOK, 1, 0.5, 100.0)
    assert (found.density, found.cost) == ((1.0 + 2.0) / 0.5, 1.0 * 0.25 + 2.0 * 0.5)
    down = walk(BOOK, -1, 1.0, 100.0)
    assert (down.density, down.cost) == (28.0, 4.0 * 0.25 + 8.0 * 0.5 + 16.0)


def test_a_walk_without_a_book_or_beyond_it_or_in_a_crossed_one_has_its_reason() -> None:
    assert walk(None, 1, 0.5, 100.0).reason is Reason.BOOK_UNKNOWN
    assert walk(BOOK, 1, 1.5, 100.0).reason is Reason.BEYOND_BOOK
    crossed = Ladders(np.array([100.5]), np.ones(1), np.array([100.25]), np.ones(1))
    assert walk(crossed, 1, 0.5, 100.0).reason is Reason.QUOTE_CROSSED
    empty = Ladders(np.array([100.5]), np.ones(1), np.zeros(0), np.zeros(0))
    assert walk(empty, 1, 0.5, 100.0).reason is Reason.BOOK_ONE_SIDED


def test_the_local_elasticity_is_the_dealers_gamma(random_chain_of) -> None:
    chain = random_chain_of(11)
    signs = np.where(chain.is_call, 1.0, -1.0)
    gamma = bsm_greeks(100.0, chain.strike, chain.years, chain.rate, chain.rate - chain.carry, chain.sigma, chain.is_call).gamma
    exact = float((signs * chain.open_interest * chain.multiplier * gamma).sum())
    found = directional_elasticity(hedged_book(chain, signs), 1e-3)
    assert found.local == pytest.approx(exact, rel=1e-10)
    assert (found.up.dealer, found.down.dealer) == (pytest.approx(exact, rel=1e-2), pytest.approx(exact, rel=1e-2))
    assert found.dollars_per_percent(found.local) == pytest.approx(exact * 100.0**2 * 0.01, rel=1e-10)


def test_each_side_has_its_own_elasticity(chain_of) -> None:
    book = hedged_book(chain_of([101.0, 99.0], [True, False], 1 / 365, 0.15, [100.0, 50.0]), [1.0, -1.0])
    found = directional_elasticity(book, 1.0)
    below, above = (1.0, -1.0) if book.lines[6, 0] > 0 else (-1.0, 1.0)
    assert np.sign(found.up.dealer) == above
    assert np.sign(found.down.dealer) == below


def test_depth_adds_to_the_elasticity_and_dealers_change_how_far_an_order_moves_the_price(chain_of) -> None:
    chain = chain_of([100.0], [True], 30 / 365, 0.2, 0.5)
    long, short = (directional_elasticity(hedged_book(chain, [sign]), 0.5, depth=BOOK) for sign in (1.0, -1.0))
    assert long.up.total == long.up.dealer + 6.0
    assert long.up.acceleration == pytest.approx(6.0 / (6.0 + long.up.dealer))
    assert long.up.acceleration < 1.0 < short.up.acceleration  # type: ignore[operator]


def test_where_dealers_outweigh_the_book_no_order_size_has_a_price(chain_of) -> None:
    found = directional_elasticity(hedged_book(chain_of([100.0], [True], 30 / 365, 0.2, 1e4), [-1.0]), 0.5, depth=BOOK)
    assert found.up.total is not None
    assert found.up.total < 0.0
    assert found.up.acceleration is None


def test_elasticity_is_the_curvature_of_the_work(random_chain_of) -> None:
    chain = random_chain_of(12, expiries=4)
    chain.years[:] += 0.1
    book = hedged_book(chain, np.ones(len(chain)))
    h = 0.02
    up, down = (resisting_work(book, 100.0 + side * h).dollars for side in (1, -1))
    assert (up + down) / h**2 == pytest.approx(directional_elasticity(book, h).local, rel=1e-4)


def test_a_walk_needs_a_direction_and_a_distance() -> None:
    for direction, distance in ((0, 1.0), (1, 0.0), (1, np.nan)):
        with pytest.raises(InvalidInput):
            walk(BOOK, direction, distance, 100.0)
