"""What a broker or an exchange takes for a fill.

    commission     = min(max(value * rate + quantity * per unit, minimum), value * largest share), up to the step
    section 31     = value * rate, sales alone, up to the step                        (SEC)
    activity fee   = min(quantity * rate, largest), sales alone, up to the step       (FINRA TAF)
    passed through = quantity * rate + commission * share, up to the step             (clearing, CAT)

The order of the bounds is that of Interactive Brokers, which states both: where the largest share of the value lies below the
minimum, the share is charged. The step is 0.01 where money is dollars, and finer where a venue charges in parts of a coin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.trading.costs.regulatory import option_activity_fee, section_31_rate, trading_activity_fee
from fieldcast.trading.money import exact_product, exact_sum, fill_value, round_up
from fieldcast.trading.orders import Side

BASIS_POINT = Decimal("0.0001")
ZERO = Decimal(0)


class Traded(StrEnum):
    """What a schedule is for; it decides which regulators take what of a sale."""

    SHARES = "shares"
    OPTIONS = "options"
    INDEX_OPTIONS = "index_options"  # pay no section 31
    COINS = "coins"  # coins and their futures, of which neither regulator takes anything


@dataclass(frozen=True, slots=True)
class FeeParts:
    """The parts of what was taken, currency units, each >= 0."""

    commission: Decimal
    section_31: Decimal = ZERO
    activity_fee: Decimal = ZERO
    passed_through: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return exact_sum(self.commission, self.section_31, self.activity_fee, self.passed_through)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Fees of one venue and plan, as it published them.

    Parameters
    ----------
    name : of venue and plan, such as `ibkr_fixed`
    per_unit : currency units a unit (share, contract)
    value_bps : of the value, for an order that takes liquidity
    maker_bps : of the value, for one that gives it; None = the same
    minimum : currency units an order
    maximum_share : of the value that the commission never exceeds; None = no such bound
    section_31, activity_per_unit, activity_maximum : of sales of US shares and options; the maximum is None where there is none
    passed_per_unit, passed_of_commission : clearing and the like, on both sides
    step : what each part is rounded up to
    traded : what it is for; a unit of options is a contract
    source, published : where and when the venue published it; empty for a schedule of one's own
    note : what the schedule leaves out

    Raises
    ------
    ConfigError : a figure is negative or not finite, or the step is not above zero
    """

    name: str
    per_unit: Decimal = ZERO
    value_bps: Decimal = ZERO
    maker_bps: Decimal | None = None
    minimum: Decimal = ZERO
    maximum_share: Decimal | None = None
    section_31: Decimal = ZERO
    activity_per_unit: Decimal = ZERO
    activity_maximum: Decimal | None = None
    passed_per_unit: Decimal = ZERO
    passed_of_commission: Decimal = ZERO
    step: Decimal = Decimal("0.01")
    traded: Traded = Traded.SHARES
    source: str = ""
    published: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Decimal) and (not value.is_finite() or value < 0):
                raise ConfigError(f"expected {one.name} of at least 0 in the fees {self.name}, found {value}")
        if self.step == 0:
            raise ConfigError(f"expected a step above 0 in the fees {self.name}, found 0")

    @property
    def side_matters(self) -> bool:
        """True where a sale costs more than a purchase."""
        return self.section_31 > 0 or self.activity_per_unit > 0

    def parts(
        self, price: Decimal, quantity: Decimal, multiplier: Decimal, *, side: Side | None = None, maker: bool = False
    ) -> FeeParts:
        """What one fill costs, part by part.

        Parameters
        ----------
        price, quantity, multiplier : of the fill; quantity > 0
        side : needed where `side_matters`
        maker : True where the order gave liquidity

        Raises
        ------
        InvalidInput : the side is needed and was not given
        """
        if side is None and self.side_matters:
            raise InvalidInput(f"expected the side of the fill for the fees {self.name}, which are others for a sale, found none")
        value = abs(fill_value(price, quantity, multiplier))
        rate = self.maker_bps if maker and self.maker_bps is not None else self.value_bps
        commission = max(exact_sum(exact_product(value, rate, BASIS_POINT), exact_product(quantity, self.per_unit)), self.minimum)
        if self.maximum_share is not None:
            commission = min(commission, exact_product(value, self.maximum_share))
        commission = round_up(commission, self.step)
        passed = exact_sum(
            exact_product(quantity, self.passed_per_unit), exact_product(commission, self.passed_of_commission)
        )
        if side is not Side.SELL:
            return FeeParts(commission, passed_through=round_up(passed, self.step))
        activity = exact_product(quantity, self.activity_per_unit)
        if self.activity_maximum is not None:
            activity = min(activity, self.activity_maximum)
        return FeeParts(
            commission,
            round_up(exact_product(value, self.section_31), self.step),
            round_up(activity, self.step),
            round_up(passed, self.step),
        )

    def total(
        self, price: Decimal, quantity: Decimal, multiplier: Decimal, *, side: Side | None = None, maker: bool = False
    ) -> Decimal:
        """What one fill costs in all; see `parts`."""
        return self.parts(price, quantity, multiplier, side=side, maker=maker).total

    def with_regulatory_on(self, day: date) -> FeeSchedule:
        """The same plan with the section 31 and activity rates that were in force on that day for what is `traded`.

        Raises
        ------
        MissingData : one of the rates of that day is not on record
        ConfigError : the plan is for coins, of which the regulators take nothing
        """
        if self.traded is Traded.COINS:
            raise ConfigError(
                f"expected fees of shares or options, found {self.name}, of coins: the SEC and FINRA take nothing of these; "
                "use the schedule as it is"
            )
        rate, most = trading_activity_fee(day) if self.traded is Traded.SHARES else (option_activity_fee(day), None)
        value = ZERO if self.traded is Traded.INDEX_OPTIONS else section_31_rate(day)
        return replace(self, section_31=value, activity_per_unit=rate, activity_maximum=most)

    def without_regulatory(self) -> FeeSchedule:
        """The same plan without section 31 and activity fees."""
        return replace(self, section_31=ZERO, activity_per_unit=ZERO, activity_maximum=None)
