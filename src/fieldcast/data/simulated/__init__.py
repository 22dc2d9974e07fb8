"""Fieldcast's own simulated markets: known truth to hold forecasts and gates against, and bars of any market offline.

`simulate` makes the daily bars of the two markets with a known edge (or none); `simulate_bars` the daily and intraday bars of
whole markets of shares, coins and currencies, and `calibrate` fits one of their instruments to a real series. Never a claim about
a real one: everything carries the label `simulated`.
"""

from fieldcast.data.simulated.bars import SimulatedBars, simulate_bars
from fieldcast.data.simulated.calibrate import Calibration, calibrate
from fieldcast.data.simulated.market import BAYES_AUC, Simulated, SimulatedMarket, bayes_auc, simulate
from fieldcast.data.simulated.observe import Facts, stylised_facts
from fieldcast.data.simulated.parameters import (
    SESSION,
    BarMarket,
    PriceProcess,
    Season,
    SimulatedInstrument,
    VolumeProcess,
    loadings_of,
)
from fieldcast.data.simulated.seasons import CRYPTO_SEASON, EQUITY_SEASON, FX_SEASON, crypto, equity, fx

__all__ = [
    "BAYES_AUC",
    "CRYPTO_SEASON",
    "EQUITY_SEASON",
    "FX_SEASON",
    "SESSION",
    "BarMarket",
    "Calibration",
    "Facts",
    "PriceProcess",
    "Season",
    "Simulated",
    "SimulatedBars",
    "SimulatedInstrument",
    "SimulatedMarket",
    "VolumeProcess",
    "bayes_auc",
    "calibrate",
    "crypto",
    "equity",
    "fx",
    "loadings_of",
    "simulate",
    "simulate_bars",
    "stylised_facts",
]
