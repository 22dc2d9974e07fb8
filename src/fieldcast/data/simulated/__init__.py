"""Fieldcast's own simulated markets: known truth to hold forecasts and gates against, and bars of any market offline.

`simulate` makes the daily bars of the two markets with a known edge (or none); `simulate_bars` the daily and intraday bars of
whole markets of shares, coins and currencies, and `calibrate` fits one of their instruments to a real series. `simulate_chain`
lists and quotes options on such a share or index, `simulate_book` runs an order book; both give the truth beside the rows, and
`spoil` plants faults in a chain. Never a claim about a real market: everything carries the label `simulated`.
"""

from fieldcast.data.simulated.bars import SimulatedBars, simulate_bars
from fieldcast.data.simulated.book import BookMarket, BookSession, SimulatedBook, simulate_book
from fieldcast.data.simulated.book_process import BookProcess, QueueRates, default_rates
from fieldcast.data.simulated.calibrate import Calibration, calibrate
from fieldcast.data.simulated.chain import ChainMarket, ChainSession, ChainSnapshot, ChainTruth, SimulatedChain, simulate_chain
from fieldcast.data.simulated.defects import FAULTS, Defects, Spoiled, spoil
from fieldcast.data.simulated.flows import FlowProcess
from fieldcast.data.simulated.listings import EQUITY_LISTINGS, INDEX_LISTINGS, ListingRules
from fieldcast.data.simulated.market import BAYES_AUC, Simulated, SimulatedMarket, bayes_auc, simulate
from fieldcast.data.simulated.observe import Facts, stylised_facts
from fieldcast.data.simulated.option_quotes import QuoteProcess
from fieldcast.data.simulated.parameters import (
    SESSION,
    BarMarket,
    PriceProcess,
    Season,
    SimulatedInstrument,
    VolumeProcess,
    loadings_of,
)
from fieldcast.data.simulated.seasons import CRYPTO_SEASON, EQUITY_SEASON, FX_SEASON, crypto, equity, fx, index
from fieldcast.data.simulated.surface import Surface, SurfaceProcess

__all__ = [
    "BAYES_AUC",
    "CRYPTO_SEASON",
    "EQUITY_LISTINGS",
    "EQUITY_SEASON",
    "FAULTS",
    "FX_SEASON",
    "INDEX_LISTINGS",
    "SESSION",
    "BarMarket",
    "BookMarket",
    "BookProcess",
    "BookSession",
    "Calibration",
    "ChainMarket",
    "ChainSession",
    "ChainSnapshot",
    "ChainTruth",
    "Defects",
    "Facts",
    "FlowProcess",
    "ListingRules",
    "PriceProcess",
    "QueueRates",
    "QuoteProcess",
    "Season",
    "Simulated",
    "SimulatedBars",
    "SimulatedBook",
    "SimulatedChain",
    "SimulatedInstrument",
    "SimulatedMarket",
    "Spoiled",
    "Surface",
    "SurfaceProcess",
    "VolumeProcess",
    "bayes_auc",
    "calibrate",
    "crypto",
    "default_rates",
    "equity",
    "fx",
    "index",
    "loadings_of",
    "simulate",
    "simulate_bars",
    "simulate_book",
    "simulate_chain",
    "spoil",
    "stylised_facts",
]
