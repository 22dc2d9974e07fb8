"""The 141 columns of the engine matrix, by group, and how each is read off a field map.

    hedge 40        dealers' holdings and what they make of a move          namespaces dealer and elasticity
    liquidity 40    where volume was done, spreads, short volume, the book  namespace liquidity
    sentiment 28    the mood of price and of texts                          namespace sentiment
    technical 18    registered columns of daily bars                        `features.compute`
    regime 15       trend, range, volatility, alarms                        namespace regime

Dollars and units are levels, so none stands as it is: what a dealer has to trade is divided by the money that a usual day
turns over (mean of close × volume over 20 rows), a price by the close. Words become their place in the vocabulary, or a flag.

Source: the Gnosis V3 reference system, whose 141 were never listed; the groups are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fieldcast.fields.vocabulary import ElasticityRegime, EnergyRegime, GammaRegime, JumpRisk

GROUPS = {"hedge": 40, "liquidity": 40, "sentiment": 28, "technical": 18, "regime": 15}
SIZE = 141


class How(StrEnum):
    """How a column comes from its parts."""

    TAKEN = "as it is"
    RATIO = "the first over the second"
    LOG_RATIO = "log of the first over the second"
    TILT = "(first - second) / (first + second)"
    TURNOVER = "over the turnover of a usual day"
    STIFFNESS = "× close² / 100, over the turnover of a usual day"
    PRICE = "over the close"
    DISTANCE = "log of the landmark over the close"
    RANK = "place of the word, the mildest 0"
    FLAG = "1 where the word is this one"
    FEATURE = "registered column of daily bars"


@dataclass(frozen=True, slots=True)
class EngineColumn:
    """One column of the matrix.

    Parameters
    ----------
    name : `group.quantity`
    how : see `How`
    parts : `namespace.quantity` of the field map (a landmark or word: under its engine's namespace), or a registered column
    words : of RANK all in order, of FLAG the one that counts
    """

    name: str
    how: How
    parts: tuple[str, ...]
    words: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]


def _taken(group: str, namespace: str, names: str) -> tuple[EngineColumn, ...]:
    return tuple(EngineColumn(f"{group}.{name}", How.TAKEN, (f"{namespace}.{name}",)) for name in names.split())


def _made(how: How, namespace: str, names: str) -> tuple[EngineColumn, ...]:
    """Columns of the group hedge, each `name` or `name=quantity`."""
    pairs = (name.partition("=") for name in names.split())
    return tuple(EngineColumn(f"hedge.{name}", how, (f"{namespace}.{source or name}",)) for name, _, source in pairs)


_HEDGE = (
    EngineColumn("hedge.net_gamma_share", How.RATIO, ("dealer.gex", "dealer.gex_gross")),
    EngineColumn("hedge.call_gamma_share", How.RATIO, ("dealer.gex_calls", "dealer.gex_gross")),
    *_made(How.TURNOVER, "dealer", "gamma=gex gross_gamma=gex_gross delta=dex vanna=vex charm=chex"),
    *_made(How.TURNOVER, "dealer", "charm_to_close charm_overnight"),
    *_taken("hedge", "dealer", "flip_distance put_call_oi oi_hhi oi_entropy epp dealer_long_share"),
    *_made(How.PRICE, "dealer", "expected_move_sd expected_move_straddle"),
    *_made(How.DISTANCE, "dealer", "call_wall put_wall call_wall_oi put_wall_oi absolute_gamma_strike max_pain"),
    *_taken("hedge", "elasticity", "energy_share_up energy_share_down giving_way_down"),
    *_made(How.TAKEN, "elasticity", "asymmetry=dealer_asymmetry_1sigma"),
    *_made(How.TURNOVER, "elasticity", "work_up=work_up_1sigma work_down=work_down_1sigma barrier_up barrier_down"),
    *_made(How.PRICE, "elasticity", "sigma=sigma_dollars"),
    *_made(How.STIFFNESS, "elasticity", "elasticity_up=dealer_elasticity_up_1sigma"),
    *_made(How.STIFFNESS, "elasticity", "elasticity_down=dealer_elasticity_down_1sigma"),
    EngineColumn("hedge.jump_risk", How.RANK, ("elasticity.jump_risk",), tuple(JumpRisk)),
    EngineColumn("hedge.energy_regime", How.RANK, ("elasticity.energy_regime",), tuple(EnergyRegime)),
    EngineColumn("hedge.short_gamma", How.FLAG, ("elasticity.gamma_regime",), (GammaRegime.SHORT_GAMMA_SQUEEZE,)),
    EngineColumn("hedge.long_gamma", How.FLAG, ("elasticity.gamma_regime",), (GammaRegime.LONG_GAMMA_COMPRESSION,)),
    EngineColumn("hedge.plastic", How.FLAG, ("elasticity.elasticity_regime",), (ElasticityRegime.PLASTIC,)),
    EngineColumn("hedge.brittle", How.FLAG, ("elasticity.elasticity_regime",), (ElasticityRegime.BRITTLE,)),
)

_LIQUIDITY = (
    *_taken("liquidity", "liquidity", "value_area_position poc_distance val_distance vah_distance vwap_distance vwap_deviation"),
    *_taken("liquidity", "liquidity", "swing_high_age swing_low_age swing_high_distance swing_low_distance structure gap"),
    *_taken("liquidity", "liquidity", "amihud_ratio kyle_impact relative_volume effort_result absorption displacement"),
    *_taken("liquidity", "liquidity", "wyckoff_accumulation wyckoff_markup wyckoff_distribution squeeze squeeze_momentum"),
    *_taken("liquidity", "liquidity", "corwin_schultz_spread abdi_ranaldo_spread edge_spread"),
    *_taken("liquidity", "liquidity", "short_ratio short_ratio_z off_exchange_share"),
    *_taken("liquidity", "liquidity", "book_spread_bps book_imbalance_1 book_imbalance_5 book_microprice_bps"),
    *_taken("liquidity", "liquidity", "book_elasticity_bid book_elasticity_ask book_slippage_buy_100000"),
    *_taken("liquidity", "liquidity", "book_slippage_sell_100000 book_impact_bps_5s"),
    EngineColumn("liquidity.book_slope_tilt", How.LOG_RATIO, ("liquidity.book_slope_bid", "liquidity.book_slope_ask")),
    EngineColumn("liquidity.book_depth_tilt", How.TILT, ("liquidity.book_depth_bid_2bps", "liquidity.book_depth_ask_2bps")),
)

_SENTIMENT = (
    *_taken("sentiment", "sentiment", "rsi mfi trend range_ratio text_score text_momentum text_acceleration divergence"),
    *_taken("sentiment", "sentiment", "dispersion conviction reversal_energy trend_energy mention_z mania meme_pressure"),
    *_taken("sentiment", "sentiment", "news_score news_confidence news_velocity x_score x_confidence x_velocity"),
    *_taken("sentiment", "sentiment", "reddit_score reddit_confidence reddit_velocity"),
    *_taken("sentiment", "sentiment", "stocktwits_score stocktwits_confidence stocktwits_velocity stocktwits_bull_bear"),
)

FEATURES = (
    *(
        "rsi_14",
        "stochrsi_14",
        "macd_to_close",
        "adx_14",
        "percent_b_20",
        "close_to_sma_12",
        "close_to_sma_50",
        "close_to_dema_20",
    ),
    *("close_to_vwap_20", "obv_20", "adosc_to_volume", "rv_5", "rv_22", "parkinson_22", "garman_klass_1", "overnight_share_22"),
    *("set31.macd_difference", "set31.band_width"),
)
_TECHNICAL = tuple(
    EngineColumn(f"technical.{name.removeprefix('set31.')}", How.FEATURE, (f"technical.{name}",)) for name in FEATURES
)

_REGIME = (
    *_taken("regime", "regime", "efficiency ema_spread atr_percent range_z trend_strength trend_up trend_down mean_revert"),
    *_taken("regime", "regime", "expansion realised_volatility volatility_rank drawdown vix alarms market_correlation"),
)

COLUMNS: tuple[EngineColumn, ...] = (*_HEDGE, *_LIQUIDITY, *_SENTIMENT, *_TECHNICAL, *_REGIME)
