"""The parts of a backtest's plan that say how it is traded: the account, what trading costs, how orders fill, exits.

An amount has the currency that its key states. Shares of the value and basis points have none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fieldcast.market import table_of
from fieldcast.workflows.backtest_money import Amount, AtLeastNone, Currency, MarginPart, Part, Positive

Share = float
MARGINS = ("none", "reg_t")


class AccountPart(Part):
    """The account.

    Parameters
    ----------
    cash : paid in at the start, in the account's currency; or amounts by currency, such as { EUR = 60000, USD = 10000 }
    currency : that equity is reckoned in; none = that of the instruments, where they share one, or that of the cash
    weight : share of equity that a target of 1 is worth, over all instruments; above 1 needs margin
    margin : `none` = cash account (no shorts, no debt); `reg_t` = Regulation T; or shares of one's own, such as
        { initial = 0.3, maintenance = 0.2 }; one instrument's own stands in `instruments`
    shorts : positions below zero are allowed; none = where there is margin, of the account or of an instrument
    pdt : the pattern day trader rule: no position is opened after three day trades in five sessions below `pdt_equity`
    pdt_equity : in the account's currency; the rule's own 25,000 are dollars, so an account in another states its worth in it
    """

    cash: Positive | dict[Currency, AtLeastNone] = Decimal(100_000)
    currency: Currency | None = None
    weight: Share = Field(default=1.0, gt=0, le=4)
    margin: Literal["none", "reg_t"] | MarginPart = "none"
    shorts: bool | None = None
    pdt: bool = False
    pdt_equity: AtLeastNone = Decimal(25_000)

    @field_validator("cash", "margin", mode="before")
    @classmethod
    def _one_of_the_forms(cls, value: Any, found: ValidationInfo) -> Any:
        words = {"cash": ("an amount", "{ EUR = 60000, USD = 10000 }"), "margin": ("none or reg_t", "{ initial = 0.3 }")}
        if isinstance(value, list | bool) or (found.field_name == "margin" and isinstance(value, str) and value not in MARGINS):
            one, table = words[str(found.field_name)]
            raise ValueError(f"expected {one}, or a table such as {table}, found {value!r}")
        return value

    @model_validator(mode="after")
    def _some_cash(self) -> AccountPart:
        if isinstance(self.cash, dict):
            if not any(self.cash.values()):
                raise ValueError("cash: expected an amount above 0 in at least one currency, found none")
            if len(self.cash) > 1 and self.currency is None:
                raise ValueError(f"currency: expected the one that equity is reckoned in beside cash in {', '.join(self.cash)}")
        return self

    @model_validator(mode="after")
    def _rule_is_on(self) -> AccountPart:
        if not self.pdt and self.pdt_equity != AccountPart.model_fields["pdt_equity"].default:
            raise ValueError(f"pdt_equity: expected pdt = true beside it, found the rule off and {self.pdt_equity}")
        return self


class CostsPart(Part):
    """What trading costs: spread and slippage in basis points of the print, fees by a venue's preset or in basis points.

    Parameters
    ----------
    impact_bps : what an order as large as the bar's volume would move the price by; 0 = none
    minimum_commission : an order, in the currency of its instrument: 2 is two dollars of one and two yen of another
    preset : fees by name (`trading.costs.VENUES`); those of US shares and options are in dollars, and one that is for another
        kind of instrument or another currency than the run's is refused by name
    regulatory : section 31 and activity fees of sales of US shares: `preset` charges those that the preset states, through the
        whole run; `by_date` those of each day, and a day whose rate is not on record is refused. Nothing else pays any, but US
        options those of their own preset
    """

    half_spread_bps: Amount = Field(default=Decimal(1), ge=0, lt=5_000)
    slippage_bps: Amount = Field(default=Decimal(1), ge=0, lt=5_000)
    impact_bps: Amount = Field(default=Decimal(0), ge=0, lt=10_000)
    commission_bps: Amount = Field(default=Decimal("0.5"), ge=0, lt=10_000)
    minimum_commission: Amount = Field(default=Decimal(0), ge=0)
    preset: str | None = None
    regulatory: Literal["preset", "by_date"] = "preset"

    @model_validator(mode="after")
    def _fees_once(self) -> CostsPart:
        given = self.model_fields_set & {"commission_bps", "minimum_commission"}
        if self.preset is not None and given:
            raise ValueError(f"expected a preset or {' and '.join(sorted(given))}, found both: the preset states the fees")
        return self


class FillsPart(Part):
    """How orders fill.

    Parameters
    ----------
    convention : `next_open`; `same_close` trades at a price that the decision was made on, and every result says so
    rebalance : `on_change` of the target, or back to the target's weight after `every_bar`
    shortfall : an order that the account cannot pay for is rejected, or cut to what it can
    intrabar : which comes first where stop and target lie in one bar: the `worst`; what the path open, high, low, close meets
        (`ohlc`, the low first where the bar rose); or what the bars of the table `finer` say
    finer : table of bars inside those of `data.table`, such as bars/1h
    latency : seconds from an order to its being at the venue; one that misses an open waits for the next
    limit_touch : a limit fills where the price touches it; else it has to trade through
    untrusted_open : what becomes of an order at an open that is missing or no real print
    volume_share : most of a bar's volume that an order may be; none = no limit
    """

    convention: Literal["next_open", "same_close"] = "next_open"
    rebalance: Literal["on_change", "every_bar"] = "on_change"
    shortfall: Literal["reject", "cut"] = "cut"
    intrabar: Literal["worst", "ohlc", "finer"] = "worst"
    finer: str | None = None
    latency: Amount = Field(default=Decimal(0), ge=0, le=7 * 86_400)
    limit_touch: bool = False
    untrusted_open: Literal["wait", "reject"] = "wait"
    volume_share: Share | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> FillsPart:
        if (self.intrabar == "finer") != (self.finer is not None):
            raise ValueError("expected intrabar = finer and the table finer (such as bars/1h) together, found one of the two")
        if self.finer is not None and table_of(self.finer).kind != "bars":
            raise ValueError(f"finer: expected a table of bars such as bars/1h, found {self.finer}")
        if self.latency and self.convention == "same_close":
            raise ValueError(f"latency: expected none with same_close, found {self.latency}: an order cannot be late and at once")
        if self.latency * 1_000_000 % 1:
            raise ValueError(f"latency: expected seconds with at most 6 decimals, found {self.latency}")
        return self


class ExitsPart(Part):
    """Exits of every position; none = the strategy's targets alone decide.

    Parameters
    ----------
    stop, target : shares of the close at which the entry was decided
    trailing : share of the best price since the fill
    """

    stop: Share | None = Field(default=None, gt=0, lt=1)
    target: Share | None = Field(default=None, gt=0, le=10)
    trailing: Share | None = Field(default=None, gt=0, lt=1)

    @property
    def any(self) -> bool:
        return any(value is not None for value in (self.stop, self.target, self.trailing))
