"""What trading costs: spread, slippage, impact, fees; one model for history, paper and live."""

from fieldcast.trading.costs.buckets import BUCKETS, SessionBucket, bucket_codes, bucket_of
from fieldcast.trading.costs.fees import FeeParts, FeeSchedule, Traded
from fieldcast.trading.costs.impact import impact_coefficient_bps
from fieldcast.trading.costs.liquidity import LiquiditySlippage, LiquidityState, liquidity_slippage
from fieldcast.trading.costs.model import CostModel, CostParts, CostSchedule, Unmeasured
from fieldcast.trading.costs.profiles import CostDistribution, CostProfile, ExecutionCosts, Statistic
from fieldcast.trading.costs.regulatory import option_activity_fee, section_31_rate, trading_activity_fee
from fieldcast.trading.costs.scope import is_us_listed, refuse_unsuited, suits
from fieldcast.trading.costs.venues import VENUES, fee_schedule

__all__ = [
    "BUCKETS",
    "VENUES",
    "CostDistribution",
    "CostModel",
    "CostParts",
    "CostProfile",
    "CostSchedule",
    "ExecutionCosts",
    "FeeParts",
    "FeeSchedule",
    "LiquiditySlippage",
    "LiquidityState",
    "SessionBucket",
    "Statistic",
    "Traded",
    "Unmeasured",
    "bucket_codes",
    "bucket_of",
    "fee_schedule",
    "impact_coefficient_bps",
    "is_us_listed",
    "liquidity_slippage",
    "option_activity_fee",
    "refuse_unsuited",
    "section_31_rate",
    "suits",
    "trading_activity_fee",
]
