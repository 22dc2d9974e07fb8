"""The one closed registry of reason codes.

Whatever is unknown, refused, scaled or flagged anywhere in Fieldcast carries one of these codes, and nothing else. A code
that is not listed here cannot be written to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from fieldcast.ground.errors import InvalidInput


class Reason(StrEnum):
    """Codes and, as `.meaning`, what each tells a person."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    # rows of data
    CLOSE_ONLY = "close_only", "the source gives a close and nothing else"
    OPEN_SYNTHETIC = "open_synthetic", "opens copy the previous close in this year: no fill, no feature may use them"
    VOLUME_NOT_REPORTED = "volume_not_reported", "the source gave no volume for this row"
    VOLUME_UNREADABLE = "volume_unreadable", "the source's volume is no finite number; the bar is kept and its volume unknown"
    PRICE_MISSING = "price_missing", "a price is null or not a number"
    PRICE_NOT_POSITIVE = "price_not_positive", "a price is zero or negative"
    PRICE_NOT_FINITE = "price_not_finite", "a price is infinite"
    HIGH_BELOW_LOW = "high_below_low", "the high is below the low"
    OPEN_OUTSIDE_RANGE = "open_outside_range", "the open lies outside low and high"
    CLOSE_OUTSIDE_RANGE = "close_outside_range", "the close lies outside low and high"
    VOLUME_NEGATIVE = "volume_negative", "the volume is below zero"
    DUPLICATE_STAMP = "duplicate_stamp", "the same instrument and time occur twice in one file"
    FUTURE_STAMP = "future_stamp", "the row is dated after now"
    NOT_A_SESSION = "not_a_session", "the calendar has no session on this date"
    MISSING_SESSION = "missing_session", "the calendar has a session for which there is no row"
    STAMP_MISSING = "stamp_missing", "the row has no date or time that can be read"
    MISSING_BARS = "missing_bars", "the session has times for which there is no bar"
    LARGE_MOVE = "large_move", "the move from the previous close is unusually large; kept, for a person to look at"
    STALE = "stale", "the newest row is older than the session that was asked for"
    STALE_FEATURES = "stale_features", "the newest stored features lag the market by more than the limit"
    ROW_UNREADABLE = "row_unreadable", "the row of the source cannot be read: fields are missing or of another kind"
    VALUE_MISSING = "value_missing", "a value that the table needs is not there"
    VALUE_NOT_FINITE = "value_not_finite", "a number is infinite"
    VALUE_NOT_POSITIVE = "value_not_positive", "a value that must be above zero is not"
    VALUE_NEGATIVE = "value_negative", "a value that cannot be negative is"
    VALUES_OUT_OF_ORDER = "values_out_of_order", "a low, bid or first value stands above its high, ask or last one"
    KNOWN_BEFORE_EVENT = "known_before_event", "the row says that it was known before it happened"
    PLACEHOLDER = "placeholder", "the source fills the row with zeros or a floor value where it knows nothing"
    OUTSIDE_HOURS = "outside_hours", "the row lies outside the regular session of the calendar"
    QUOTE_CROSSED = "quote_crossed", "the bid stands above the ask"
    AVAILABILITY_ASSUMED = "availability_assumed", "the source does not say when this was known; the moment is a convention"
    TRADE_CANCELLED = "trade_cancelled", "the trade was cancelled or corrected later, or the row itself reports a cancel"
    EXPIRED = "expired", "the contract had expired when the row was taken"
    LATEST_VINTAGE = "latest_vintage", "the value is the newest revision, not what was first published"
    LAST_BAR_UNPROVEN = "last_bar_unproven", "the last bar of a file that may have been fetched before the bar was over"
    BOOK_UNKNOWN = "book_unknown", "no snapshot of the order book has come yet: its state is unknown"
    BOOK_GAP = "book_gap", "updates of the order book are missing: its state is unknown until the next snapshot"
    BOOK_ONE_SIDED = "book_one_sided", "one side of the order book is empty: there is no middle price"
    BEYOND_BOOK = "beyond_book", "the visible order book ends before what was asked for; what lies behind it is not known"
    STAMP_IMPOSSIBLE = "stamp_impossible", "a date or time of the row lies before 1700 or after 2500"
    VALUE_NOT_ALLOWED = "value_not_allowed", "a word that the table does not know, such as a side that is neither buy nor sell"
    VOLUME_ZERO = "volume_zero", "the source reports a volume of zero for this bar"
    STUB_BAR = "stub_bar", "the newest bar of a delivery with one price and no volume: it was still being formed"
    FEW_ROWS = "few_rows", "there are too few rows to judge or to use"
    COLUMN_MISSING = "column_missing", "a column without which rows cannot be judged is not there"
    FLASH_SPIKE = "flash_spike", "a very large move that the next bar takes back: most likely a wrong print"
    OPEN_GAP = "open_gap", "the open stands unusually far from the previous close"
    PRICE_UNIT = "price_unit", "prices of a run of bars stand a hundred times too high or too low: another unit"
    PRICE_UNIT_MIXED = "price_unit_mixed", "some prices of a bar stand in another unit than its others"
    DIVIDEND_SIZE = "dividend_size", "the dividend is out of all proportion to the fall of the price on its ex-date"
    DIVIDEND_REPEATED = "dividend_repeated", "the same dividend stands twice within a few sessions"
    SPLIT_MISPLACED = "split_misplaced", "prices step by a recorded split's ratio, but on another date than the split's"
    SPLIT_NOT_APPLIED = "split_not_applied", "a split is recorded and prices do not step by its ratio"
    SPLIT_MISSING = "split_missing", "prices step by the ratio of a split, and none is recorded"
    REPAIRED = "repaired", "a person replaced the vendor's values by a proposed repair"
    DELISTED = "delisted", "trading in the instrument has ended"
    REINSTATED = "reinstated", "a person brought the instrument back from retirement; it must be judged again"
    SUSPICIOUS = "suspicious", "the source itself marks the row as doubtful"
    TICKER_UNKNOWN = "ticker_unknown", "no company is known that had this ticker on the row's date"
    UNDERLYING_MISMATCH = (
        "underlying_mismatch", "call and put of this strike imply another price of the underlying than the one stated"
    )
    # quotes of options and what is fitted to them
    ZERO_BID = "zero_bid", "nobody bids for this contract: its ask alone says nothing about its value"
    SPREAD_TOO_WIDE = "spread_too_wide", "bid and ask stand too far apart to say what the contract is worth"
    BELOW_INTRINSIC = "below_intrinsic", "the price is below what exercise alone would bring: no volatility explains it"
    OUT_OF_LINE = "out_of_line", "the quote bids more than nearer strikes ask: it is of another time or another contract"
    OPEN_INTEREST_LOW = "open_interest_low", "fewer contracts are open than are needed to get in and out"
    TRADED_TOO_LITTLE = "traded_too_little", "fewer contracts were traded in the session than are needed to get in and out"
    SCORE_LOW = "score_low", "the score of the contract's liquidity is below the limit"
    UNRESOLVED = "unresolved", "the data does not determine the quantity well enough for it to be used"
    ARBITRAGE_LEFT = "arbitrage_left", "no curve through these quotes was found that is free of arbitrage"
    OPEN_INTEREST_UNKNOWN = "open_interest_unknown", "the source gives no open interest for this contract"
    OPEN_INTEREST_UNPUBLISHED = "open_interest_unpublished", "the open interest of this contract came out after this moment"
    VOLATILITY_MISSING = "volatility_missing", "neither this contract's quotes nor its neighbours' give an implied volatility"
    SIGN_UNKNOWN = "sign_unknown", "the sign policy does not know who holds this contract"
    # what cannot be computed
    WARMING_UP = "warming_up", "too little history for this quantity"
    UNDEFINED = "undefined", "the quantity has no value here: nothing moved, nothing was traded, or none lies in the window"
    NO_DATA = "no_data", "there is no row for this instrument at this time"
    SHORT_HISTORY = "short_history", "too few rows to train a model before this time"
    TARGET_OUTSIDE_SESSION = "target_outside_session", "the horizon ends after trading stops, or in a pause"
    COVARIATE_MISSING = "covariate_missing", "a column that the model needs is not known at this time"
    ODDS_CONE_DISAGREE = "odds_cone_disagree", "the odds and the cone differ by more than the declared tolerance"
    CONE_SATURATED = "cone_saturated", "the conformal level asked for more than the sample can give; the cone is capped"
    SIMULATED = "simulated", "the data is simulated"
    # what has to be earned by an ablation
    EARNED = "earned", "a recorded ablation has met the upgrade's gate"
    NOT_EARNED = "not_earned", "no recorded ablation has met the upgrade's gate: it may be looked at, and nothing may use it"
    EVIDENCE_MISSING = "evidence_missing", "no ablation of this upgrade is on record for this instrument at this time"
    EVIDENCE_EXPIRED = "evidence_expired", "the newest ablation on record has expired; it must be run again"
    EVIDENCE_OTHER = "evidence_other", "the ablations on record are of another configuration than what would be switched on"
    EVIDENCE_FAILED = "evidence_failed", "the newest ablation on record does not meet the gate"
    NOT_FITTED = "not_fitted", "no parameters are stored that were fitted on what was known at this time"
    # decisions
    DATA_QUALITY = "data_quality", "the quality score of the data is below the limit"
    GATE_FAILED = "gate_failed", "the projection did not pass its gate"
    GATE_CANNOT_JUDGE = "gate_cannot_judge", "the sample is too small for the gate to judge"
    GATE_MISSING = "gate_missing", "no gate result stands for this instrument"
    PROJECTION_MISSING = "projection_missing", "there is no projection for this slot"
    NOT_TRADABLE = "not_tradable", "a covariate or reference series, never to be traded"
    NOTIONAL_UNITS = "notional_units", "traded on paper in notional index units, not in a real instrument"
    NEXT_OPEN_REFUSED = "next_open_refused", "the next open is not a real print, so an order cannot fill there"
    NO_SHORTS = "no_shorts", "the wanted position is short and shorts are not allowed"
    NAV_LIMIT = "nav_limit", "the wanted exposure is above the limit on net asset value"
    INSUFFICIENT_CASH = "insufficient_cash", "the account cannot pay for this order"
    VOLATILITY_TARGET = "volatility_target", "the size follows from the volatility target"
    SIZE_FIXED = "size_fixed", "the size follows from a fixed amount of money"
    SIZE_BY_RISK = "size_by_risk", "the size follows from what would be lost at the stop"
    SIZE_BY_KELLY = "size_by_kelly", "the size follows from a fraction of the growth-optimal one"
    SIZE_BY_ENERGY = "size_by_energy", "the size follows from the movement energy"
    SIZE_BY_QUALITY = "size_by_quality", "the size is cut for the quality of the data or of the projection"
    SIZE_CAPPED = "size_capped", "the size is the largest share of net asset value that is allowed"
    STOP_DISTANCE_ZERO = "stop_distance_zero", "there is no distance between entry and stop, so no size has a known risk"
    EDGE_MISSING = "edge_missing", "the expected gain for each unit risked is below the least that is asked for"
    NOTHING_RESISTS = "nothing_resists", "no energy resists the move: dealers feed it"
    LEVEL_NOT_POSITIVE = "level_not_positive", "a stop, a target or an end of the entry range is not above zero"
    COST_ABOVE_REWARD = "cost_above_reward", "what entry and exit cost is no less than what the target would earn"
    NOTIONAL_LIMIT = "notional_limit", "the idea's value is above the limit in money"
    MARKET_AVOIDED = "market_avoided", "the state of the market is one in which nothing is opened"
    MARKET_PLASTIC = "market_plastic", "the market gives way on both sides: moves feed themselves"
    MARKET_FROZEN = "market_frozen", "there is hardly anything to trade against"
    IMPACT_UNKNOWN = "impact_unknown", "no volume is known that could take the order, so its price impact cannot be told"
    IMPACT_HIGH = "impact_high", "the order would move the price by more than the limit"
    SLIPPAGE_HIGH = "slippage_high", "the expected slippage is above the limit"
    REWARD_RISK_LOW = "reward_risk_low", "after costs the target earns less than the stop loses"
    SENTIMENT_EXTREME = "sentiment_extreme", "texts are panicked or euphoric"
    BELOW_LOT = "below_lot", "the change is smaller than one lot"
    WITHIN_DEAD_BAND = "within_dead_band", "the change is too small to be worth its cost"
    UNCHANGED = "unchanged", "the target equals the current position"
    DIRECTION_UP = "direction_up", "the calibrated odds favour up"
    DIRECTION_DOWN = "direction_down", "the calibrated odds favour down"
    DIRECTION_NONE = "direction_none", "the calibrated odds favour neither side"
    KILL_SWITCH = "kill_switch", "the kill switch is on: nothing may be increased until a person releases it"
    TOO_LATE = "too_late", "the open that the order was meant for has passed"
    CANCELLED = "cancelled", "the order was cancelled before it could fill"
    NOT_ACTED_ON = "not_acted_on", "a side was called and no trade in that direction was open after it"
    STILL_OPEN = "still_open", "the position is still open, so that there is no closed trade yet"
    TRIALS_UNKNOWN = "trials_unknown", "no record says how many other configurations were tried: nothing can be deflated by them"
    # orders at the simulated venue
    QUANTITY_ZERO = "quantity_zero", "the order is for nothing"
    QUANTITY_NEGATIVE = "quantity_negative", "the quantity is below zero; the side says which way an order goes"
    QUANTITY_TOO_LARGE = "quantity_too_large", "the order is larger than the account's amounts can hold exactly"
    INSUFFICIENT_MARGIN = "insufficient_margin", "the equity does not carry the margin that the position would need"
    CUT_TO_CASH = "cut_to_cash", "the order was cut to what cash and margin allow"
    MARGIN_CALL = "margin_call", "the equity fell below the maintenance margin, so the venue closes the position"
    PATTERN_DAY_TRADER = "pattern_day_trader", "three day trades in five sessions, and less equity than the rule asks for"
    DAY_OVER = "day_over", "the order was for the day, and the day is over"
    NOT_AT_ONCE = "not_at_once", "the order had to fill at once and could not, or not wholly"
    OTHER_FILLED = "other_filled", "another order of the same group has filled"
    PARENT_ENDED = "parent_ended", "the order that this one waits for ended without a fill"
    NOTHING_TO_REDUCE = "nothing_to_reduce", "the order may only reduce a position, and there is none on the other side"
    REPLACED = "replaced", "another order has taken its place"
    ROLLED = "rolled", "the position was rolled into the next contract, and the orders of the old one ended"
    COST_UNMEASURED = "cost_unmeasured", "costs are the measured ones, and none were measured for this instrument at these hours"
    SPLIT_NOT_BOOKED = "split_not_booked", "it has split since it was bought or ordered, which a paper account does not book"
    GATE_PASSED = "gate_passed", "the projection has passed its gate"
    REVISED = "revised", "an explicit revision of an earlier decision of the same slot"
    # what stands between research and money
    SEALED = "sealed", "the span is sealed: nothing is fitted or scored on it before it is opened, once"
    SEAL_OPENED = "seal_opened", "a sealed span was opened for a configuration that was frozen before"
    SEAL_REFUSED = "seal_refused", "a sealed span was asked for a second time, or by a configuration that was not frozen before"
    EFFECT_UNKNOWN = "effect_unknown", "no minimum detectable effect was recorded before the run"
    KILLED = "killed", "a kill rule of the watch over live forecasts has tripped"
    CLOCK_RUNNING = "clock_running", "the eight weeks on paper that come before live money have not passed"
    DRIFTED = "drifted", "a feature is distributed otherwise than in the sample that the model was fitted on"
    SCORE_DECAYED = "score_decayed", "the model scores worse on recent outcomes than when it was accepted"
    CALIBRATION_LOST = "calibration_lost", "the model's odds no longer mean what they say"
    SCHEDULED = "scheduled", "the time that the model may serve without a new fit has passed"
    COMMANDED = "commanded", "a person asked for it"


def reason_codes(values: Iterable[str]) -> tuple[Reason, ...]:
    """Registered codes of `values`, in order and without repeats; an unregistered code is refused."""
    found: dict[Reason, None] = {}
    for value in values:
        try:
            found[Reason(value)] = None  # type: ignore[call-arg]
        except ValueError:
            raise InvalidInput(
                f"expected a registered reason code, found {value!r}; register it in ground/reasons.py"
            ) from None
    return tuple(found)
