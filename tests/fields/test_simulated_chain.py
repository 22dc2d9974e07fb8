"""A simulated chain priced as the field engines price any chain: volatility, forward and counts against the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from fieldcast.data.simulated import (
    EQUITY_LISTINGS,
    INDEX_LISTINGS,
    ChainMarket,
    Defects,
    equity,
    index,
    simulate_chain,
    spoil,
)
from fieldcast.fields.pricing_chain import price_chain

DAYS = date(2024, 3, 12), date(2024, 3, 13)
INDEX = ChainMarket(11, index("IDX"), *DAYS, listings=INDEX_LISTINGS)
SHARE = ChainMarket(
    5, equity("SHR"), *DAYS, style="american", listings=replace(EQUITY_LISTINGS, weeklies=3, monthlies=2, long_years=0)
)


def truth_of(snapshot, contract_id):
    """The truth of these contracts, in their order."""
    named = snapshot.rows.select("contract_id", "expiry_ts", "root", "strike", "open_interest").with_columns(
        snapshot.truth.contracts.drop("contract_id")
    ).join(snapshot.truth.expiries, on=["expiry_ts", "root"], maintain_order="left")  # fmt: skip
    return pl.DataFrame({"contract_id": contract_id}).join(named, on="contract_id", how="left", maintain_order="left")


@pytest.mark.parametrize(("market", "tolerance"), [(INDEX, 0.006), (SHARE, 0.02)])
def test_what_the_engines_see_of_a_simulated_chain_is_the_truth_behind_it(market, tolerance):
    """Volatility within the tolerance (99 % of the contracts within two standard deviations), the forward within 0.1 %."""
    *_, snapshot = simulate_chain(market).snapshots()
    chain = price_chain(snapshot.rows, snapshot.ts)
    assert chain.simulated
    assert len(chain) > 0.4 * snapshot.rows.height
    truth = truth_of(snapshot, chain.contract_id)
    assert truth["sigma"].null_count() == 0
    np.testing.assert_array_equal(chain.open_interest, truth["open_interest"])
    forward = chain.spot * np.exp(chain.carry * chain.years)
    np.testing.assert_allclose(forward, truth["forward"], rtol=1e-3)
    near = np.abs(np.log(truth["strike"] / truth["forward"])) < 2 * np.sqrt(truth["theta"])
    missed = np.abs(chain.sigma - truth["sigma"].to_numpy())[near.to_numpy()]
    assert np.quantile(missed, 0.99) < tolerance


def test_planted_faults_do_not_reach_the_engines():
    earlier, snapshot = simulate_chain(INDEX).snapshots()
    made = spoil(snapshot.rows, Defects(stale=0.05, crossed=0.05, zero_bid=0.05, no_quote=0.05), 3, earlier=earlier.rows)
    chain = price_chain(made.rows, snapshot.ts)
    spoiled = set(made.faults.drop_nulls()["contract_id"])
    whole = price_chain(snapshot.rows, snapshot.ts)
    assert len(chain) < len(whole)
    assert sum(chain.dropped.values()) + len(chain) == snapshot.rows.height
    sound = {symbol: sigma for symbol, sigma in zip(whole.contract_id, whole.sigma, strict=True) if symbol not in spoiled}
    kept = [(sigma, sound[symbol]) for symbol, sigma in zip(chain.contract_id, chain.sigma, strict=True) if symbol in sound]
    assert np.quantile([abs(mine - theirs) for mine, theirs in kept], 0.95) < 0.003
